package state

import (
	"hindcast/format/clock"
	"hindcast/format/event"
	"hindcast/replay/index"
	"hindcast/replay/load"
)

// Seen is what a row speaks of, resolved. Entities that the row does not have are None.
type Seen struct {
	Actor  ProcID
	Other  ProcID // child, target
	Object FileID
	// Second is the script of an exec, the object that a rename replaced.
	Second FileID
	Sock   SockID
	// ByName: Object was found by a claimed name. Several: more than one object could have had it.
	ByName  bool
	Several bool
	Path    index.Name // name of Object in this row; 0 none
	Path2   index.Name
}

// Deed is something a process did that changes no file, socket or process, but what others may
// believe of the host: entering a namespace, loading a module, taking another name.
type Deed struct {
	Proc     ProcID
	Type     event.Type
	Op       uint32
	At       clock.Boot
	From, To uint64 // namespaces
	Own      bool   // it touched the recorder itself
	Name     index.Name
	Row      load.RowID
}

// Table is the state of everything, after the rows applied so far.
type Table struct {
	Names index.Names
	Procs []Process
	Files []Object
	Socks []Socket
	Creds []Cred
	Deeds []Deed

	// Begin and End are the first and last instants of which a row of an event or snapshot speaks.
	Begin, End clock.Boot
	begun      bool
	Rows       uint64
	// Truncated counts byte fields that were cut or unreadable, by event.
	Truncated [event.MaxType]uint64

	procs     map[ProcKey]ProcID
	files     map[ObjectKey]FileID // newest incarnation
	socks     map[sockKey]SockID
	bound     *index.Spans[string, FileID] // path -> objects
	credOf    map[uint64]CredID
	credSets  map[credKey]CredID
	witness   map[uint32]pendingUnlink // by thread
	unixByIno map[uint64]SockID
}

// NewTable returns an empty table.
func NewTable() *Table {
	t := &Table{
		procs:     make(map[ProcKey]ProcID),
		files:     make(map[ObjectKey]FileID),
		socks:     make(map[sockKey]SockID),
		bound:     index.NewSpans[string, FileID](),
		credOf:    make(map[uint64]CredID),
		credSets:  make(map[credKey]CredID),
		witness:   make(map[uint32]pendingUnlink),
		unixByIno: make(map[uint64]SockID),
	}
	t.Names.IDString("") // fixes 0 as the empty name
	t.Creds = append(t.Creds, Cred{})
	return t
}

// Apply takes one row. Rows must come in time order; rows that describe an earlier instant
// (snapshots, totals) may come at any time and are reconciled by key.
func (t *Table) Apply(r *event.Row, id load.RowID) Seen {
	t.Rows++
	if r.Type < event.Ledger { // what the recorder says of itself lies outside, too
		if !t.begun || r.TS < t.Begin {
			t.Begin, t.begun = r.TS, true
		}
		t.End = max(t.End, r.TS)
	}
	if r.Marks != 0 && r.Type < event.MaxType {
		t.Truncated[r.Type]++
	}
	s := Seen{Actor: None, Other: None, Object: None, Second: None, Sock: None}
	switch r.Type {
	case event.Cred:
		t.defineCred(r, id)
		return s
	case event.Process:
		s.Actor = t.snapshotProcess(r, id)
		return s
	case event.Ledger, event.Coverage, event.Recorder, event.Clock:
		return s
	}
	s.Actor = t.actor(r, id)
	t.deed(r, id, s.Actor)
	switch r.Type {
	case event.Fork:
		s.Other = t.fork(r, id, s.Actor)
	case event.Exec:
		t.exec(r, id, &s)
	case event.Exit:
		t.exit(r, id, s.Actor)
	case event.CredChange:
		t.credChange(r, id, s.Actor)
	case event.SignalSent, event.Access, event.Session, event.SetName, event.Control, event.Namespace, event.PerfEvent, event.Cgroup:
		s.Other = t.other(r)
	case event.Reparent:
		t.reparent(r, id, &s)
	case event.FDPassed:
		s.Other = t.other(r)
		t.seeObject(r, id, &s)
	case event.Open, event.FirstRead, event.FirstWrite, event.MmapExec, event.MmapWrite, event.Mprotect, event.Dirty, event.Close, event.IO, event.File:
		t.seeObject(r, id, &s)
	case event.OpenFailed, event.ExecFailed, event.Chmod, event.Chown, event.Truncate, event.Attr, event.Mkdir, event.Symlink,
		event.Rename, event.Link, event.Unlink, event.InodeUnlink:
		t.nameCall(r, id, &s)
	case event.Listen, event.Connect, event.Accept, event.ConnClose, event.SockFirst, event.SockTotal, event.Socket, event.Bind, event.UnixConn, event.ConnectDenied:
		s.Sock = t.socket(r, id, s.Actor)
	}
	return s
}

// deed notes acts that leave no trace but their row.
func (t *Table) deed(r *event.Row, id load.RowID, p ProcID) {
	if p == None || r.Flags&(event.FlagSnapshot|event.FlagFailed) != 0 {
		return
	}
	d := Deed{Proc: p, Type: r.Type, Op: r.Op, At: r.TS, Row: id}
	switch r.Type {
	case event.Namespace:
		d.From, d.To = uint64(r.N1), uint64(r.N2)
		if r.OPID != 0 && r.OStart != 0 {
			d.Proc = t.mention(ProcKey{r.OPID, r.OStart}, r.TS)
		}
	case event.SetName:
		d.Name = t.Names.ID(r.Text)
	case event.Module, event.ClockSet:
		d.Name = t.Names.ID(r.Path)
	case event.Mismatch:
		d.Name = t.Names.ID(r.Path)
	case event.BPF:
		if d.Own = r.N7 != 0; !d.Own {
			return
		}
	default:
		return
	}
	t.Deeds = append(t.Deeds, d)
}

// truncated reports whether the event's byte field stored in column c was cut or unreadable.
func truncated(r *event.Row, c event.Column) bool {
	e := event.ByID(r.Type)
	if e == nil || r.Marks == 0 {
		return false
	}
	k := 0
	for i := range e.Fields {
		f := &e.Fields[i]
		switch f.C {
		case event.CBytes, event.CPath, event.CClaimed:
			if f.Col == c {
				return r.Marks>>(2*k)&3 != 0
			}
			k++
		}
	}
	return false
}
