package state

import (
	"path"
	"strings"

	"hindcast/format/clock"
	"hindcast/format/event"
	"hindcast/replay/index"
	"hindcast/replay/load"
)

// ProcID numbers a process in its table.
type ProcID int32

// None is the number of no entity.
const None = -1

// ProcKey is the identity of a process on one boot.
type ProcKey struct {
	PID   uint32
	Start uint64
}

// Origin says how a process came to be known.
type Origin uint8

const (
	Mention  Origin = iota // named by another's row
	Actor                  // acted, no row tells its beginning
	Snapshot               // was there when the recording or a segment began
	Forked                 // its fork was recorded
)

func (o Origin) String() string { return [...]string{"mention", "actor", "snapshot", "fork"}[o] }

// Process is one process over its life. Threads are collapsed into it.
type Process struct {
	ProcKey
	Origin  Origin
	KThread bool
	First   clock.Boot // first row that spoke of it
	Last    clock.Boot

	Creator ProcID // from its fork row; None when that was not recorded
	ForkAt  clock.Boot
	ForkRow load.RowID
	Born    load.RowID // row that gives the origin, valid unless Origin is Mention
	PidNS   uint32
	NSPID   uint32
	Cgroup  uint64

	Parents []Parent // observed and inferred, by time; see timeline
	Images  []Image  // by exec number
	Creds   []CredSpan
	Threads int32 // threads created, the first included

	Exited       bool // an end is known or inferred
	ExitInferred bool
	ExitAt       clock.Boot
	ExitCode     int32
	ExitSignal   int32
	ExitRow      load.RowID
}

// Parent is who a process's parent was from an instant on.
type Parent struct {
	From     clock.Boot
	Proc     ProcID
	Inferred bool
	Seen     bool // Row states it
	Row      load.RowID
}

// CredSpan is the credentials of a process from an instant on.
type CredSpan struct {
	From clock.Boot
	Cred CredID
	How  CredHow
	Row  load.RowID
}

// CredHow says what changed credentials.
type CredHow uint8

const (
	CredSeen   CredHow = iota // first seen with them, or changed without a row that says how
	CredExec                  // by exec
	CredCall                  // by a system call
	CredSetID                 // by exec of a set-id program or one with capabilities
	CredNoCall                // by no call: the kernel did it, or somebody who controls it
)

// Image is one program of a process.
type Image struct {
	Number    uint32
	From      clock.Boot
	Comm      index.Name
	Exe       index.Name
	Filename  index.Name // name given to exec; the script where there is an interpreter
	Cwd       index.Name
	Argv      string // NUL separated
	ArgvCut   bool
	File      FileID
	Script    FileID
	Flags     uint32 // exec_flags
	PidNS     uint32
	MntNS     uint32
	NetNS     uint32
	NLinkZero bool // no link when it was started
	Inherited bool // from the creator by fork
	Known     bool // an exec or snapshot row described it
	Row       load.RowID
}

// Exec flags of Image.Flags.
const (
	ExecMemory  = 1
	ExecNoLink  = 2
	ExecScript  = 4
	ExecSetID   = 8
	ExecByFD    = 16
	ExecByOther = 32
)

// Label returns the short name of the program: what it was started as.
func (m *Image) Label(n *index.Names) string {
	if m.Comm != 0 {
		return n.String(m.Comm)
	}
	for _, s := range []index.Name{m.Filename, m.Exe} {
		if s != 0 {
			return path.Base(n.String(s))
		}
	}
	return "?"
}

// Args returns the arguments.
func (m *Image) Args() []string { return index.SplitArgs([]byte(m.Argv)) }

// ImageAt returns the number in Images of the program at t: the first when t lies before
// all of them, -1 when none is known.
func (p *Process) ImageAt(t clock.Boot) int {
	n := -1
	for i := range p.Images {
		if i == 0 || p.Images[i].From <= t {
			n = i
		}
	}
	return n
}

// CredAt returns the credentials at t, 0 when unknown.
func (p *Process) CredAt(t clock.Boot) CredID {
	var c CredID
	for i, s := range p.Creds {
		if i == 0 || s.From <= t {
			c = s.Cred
		}
	}
	return c
}

// ParentAt returns the parent span in force at t, nil when none is known.
func (p *Process) ParentAt(t clock.Boot) *Parent {
	var at *Parent
	for i := range p.Parents {
		if i == 0 || p.Parents[i].From <= t {
			at = &p.Parents[i]
		}
	}
	return at
}

// Begin returns when the process began: its start, unless rows contradict it.
func (p *Process) Begin() clock.Boot {
	b := clock.Boot(p.Start)
	if b > p.First || b < 0 {
		return p.First
	}
	return b
}

// Alive reports whether the process existed at t, as far as is known.
func (p *Process) Alive(t clock.Boot) bool {
	return p.Begin() <= t && (!p.Exited || t < p.ExitAt)
}

// Proc returns the process with that key.
func (t *Table) Proc(k ProcKey) (ProcID, bool) {
	p, ok := t.procs[k]
	return p, ok
}

// mention returns the process with that key, making it when it is new. Pid 0 is no process.
func (t *Table) mention(k ProcKey, at clock.Boot) ProcID {
	if k.PID == 0 {
		return None
	}
	if p, ok := t.procs[k]; ok {
		if at < t.Procs[p].First {
			t.Procs[p].First = at
		}
		if at > t.Procs[p].Last {
			t.Procs[p].Last = at
		}
		return p
	}
	p := ProcID(len(t.Procs))
	t.procs[k] = p
	t.Procs = append(t.Procs, Process{ProcKey: k, First: at, Last: at, Creator: None, Threads: 1})
	return p
}

// actor notes that a process acted: it lived, ran that image and had those credentials.
func (t *Table) actor(r *event.Row, id load.RowID) ProcID {
	if r.Flags&event.FlagNoOwner != 0 {
		return None
	}
	p := t.mention(ProcKey{r.PID, r.PStart}, r.TS)
	if p == None {
		return None
	}
	q := &t.Procs[p]
	if q.Origin == Mention {
		q.Origin, q.Born = Actor, id
	}
	if r.Flags&event.FlagKThread != 0 {
		q.KThread = true
	}
	if q.Cgroup == 0 {
		q.Cgroup = r.Cgroup
	}
	// A row with an owner taken from a socket tells of the past, not of this instant.
	if r.Flags&(event.FlagOwnerSock|event.FlagOwnerGuess|event.FlagSnapshot) != 0 || r.Type == event.IO || r.Type == event.SockTotal {
		return p
	}
	if r.Type == event.Exec {
		return p
	}
	t.touchImage(p, r)
	// Threads change credentials one by one, each with a row: only of a process with a single
	// thread does any row say what they are now.
	if t.Procs[p].Threads == 1 && r.TID == r.PID || len(t.Procs[p].Creds) == 0 {
		t.touchCred(p, r.TS, t.cred(id, r.Cred), CredSeen, id)
	}
	return p
}

// touchImage notes an exec number whose exec row is missing.
func (t *Table) touchImage(p ProcID, r *event.Row) {
	q := &t.Procs[p]
	n := len(q.Images)
	if n > 0 && q.Images[n-1].Number >= r.Image {
		m := &q.Images[n-1]
		if m.Comm == 0 && m.Number == r.Image {
			m.Comm = t.Names.ID(r.Comm)
		}
		return
	}
	from := r.TS
	if n == 0 {
		from = min(from, clock.Boot(q.Start))
	}
	q.Images = append(q.Images, Image{Number: r.Image, From: from, Comm: t.Names.ID(r.Comm), File: None, Script: None})
}

func (t *Table) touchCred(p ProcID, at clock.Boot, c CredID, how CredHow, id load.RowID) {
	if c == 0 {
		return
	}
	q := &t.Procs[p]
	if n := len(q.Creds); n > 0 && q.Creds[n-1].Cred == c {
		return
	}
	q.Creds = append(q.Creds, CredSpan{From: at, Cred: c, How: how, Row: id})
}

// other returns the second process of a row, None when the row does not say which incarnation
// of its pid is meant.
func (t *Table) other(r *event.Row) ProcID {
	if r.OStart == 0 {
		return None
	}
	return t.mention(ProcKey{r.OPID, r.OStart}, r.TS)
}

// reparent notes who took in a process whose parent, the actor, ended. The kernel half foresees
// it by the kernel's rules; a later row that names the parent stands beside it.
func (t *Table) reparent(r *event.Row, id load.RowID, s *Seen) {
	s.Other = t.other(r)
	if r.N2 == 0 {
		return
	}
	if parent := t.mention(ProcKey{uint32(r.N1), uint64(r.N2)}, r.TS); s.Other != None && parent != None {
		t.seeParent(s.Other, r.TS, parent, id)
	}
}

const cloneThread = 0x10000

func (t *Table) fork(r *event.Row, id load.RowID, actor ProcID) ProcID {
	k := ProcKey{r.OPID, r.OStart}
	if r.N1&cloneThread != 0 {
		if actor != None && k == t.Procs[actor].ProcKey {
			t.Procs[actor].Threads++
			return actor
		}
		c := t.mention(k, r.TS)
		if c != None {
			t.Procs[c].Threads++
		}
		return c
	}
	c := t.mention(k, r.TS)
	if c == None || c == actor {
		return None // a process cannot make itself: the row is damaged
	}
	q := &t.Procs[c]
	q.Origin, q.Born, q.ForkAt, q.ForkRow, q.Creator = Forked, id, r.TS, id, actor
	q.NSPID, q.PidNS = uint32(r.N5), uint32(r.N7)
	if q.Cgroup == 0 {
		q.Cgroup = r.Cgroup
	}
	parent := actor
	if r.N3 > 0 {
		if pp := t.mention(ProcKey{uint32(r.N3), uint64(r.N4)}, r.TS); pp != None && pp != c {
			parent = pp
		}
		q = &t.Procs[c] // mention may have moved the slice
	}
	if parent != None {
		t.seeParent(c, q.Begin(), parent, id)
	}
	if actor != None {
		a := &t.Procs[actor]
		if i := a.ImageAt(r.TS); i >= 0 {
			m := a.Images[i]
			m.Inherited, m.From = true, q.Begin()
			if len(q.Images) == 0 {
				q.Images = append(q.Images, m)
			} else if q.Images[0].Number > m.Number {
				q.Images = append([]Image{m}, q.Images...)
			} else if q.Images[0].Number == m.Number && !q.Images[0].Known {
				q.Images[0] = m
			}
		}
		if c := a.CredAt(r.TS); c != 0 && len(q.Creds) == 0 {
			q.Creds = append(q.Creds, CredSpan{From: q.Begin(), Cred: c, Row: id})
		}
	}
	return c
}

// seeParent notes that a row names the parent at an instant.
func (t *Table) seeParent(c ProcID, at clock.Boot, parent ProcID, id load.RowID) {
	if parent == None || parent == c {
		return
	}
	q := &t.Procs[c]
	i := len(q.Parents)
	for i > 0 && q.Parents[i-1].From > at {
		i--
	}
	if i > 0 && q.Parents[i-1].Proc == parent {
		return
	}
	if i < len(q.Parents) && q.Parents[i].Proc == parent {
		q.Parents[i].From, q.Parents[i].Row = at, id
		return
	}
	q.Parents = append(q.Parents, Parent{})
	copy(q.Parents[i+1:], q.Parents[i:])
	q.Parents[i] = Parent{From: at, Proc: parent, Seen: true, Row: id}
}

// describe fills an image from an exec or process row.
func (t *Table) describe(m *Image, r *event.Row, id load.RowID) {
	m.Number, m.Known, m.Inherited, m.Row = r.Image, true, false, id
	m.Comm = t.Names.ID(r.Comm)
	m.Exe = t.Names.ID(r.Path)
	m.Cwd = t.Names.ID(r.Path3)
	m.Argv = string(r.Argv)
	m.ArgvCut = truncated(r, event.ColArgv) || r.N4 > int64(len(r.Argv))
	m.PidNS, m.MntNS, m.NetNS = uint32(r.N7), uint32(r.N8), r.NetNS
	m.NLinkZero = r.N3 == 0 && r.Ino != 0
}

// placeImage returns where an image with that number belongs in the process, making room
// when it is not there.
func (q *Process) placeImage(number uint32) *Image {
	i := len(q.Images)
	for i > 0 && q.Images[i-1].Number > number {
		i--
	}
	if i > 0 && q.Images[i-1].Number == number {
		return &q.Images[i-1]
	}
	q.Images = append(q.Images, Image{})
	copy(q.Images[i+1:], q.Images[i:])
	q.Images[i] = Image{Number: number, File: None, Script: None}
	return &q.Images[i]
}

func (t *Table) exec(r *event.Row, id load.RowID, s *Seen) {
	if s.Actor == None {
		return
	}
	t.seeObject(r, id, s)
	q := &t.Procs[s.Actor]
	m := q.placeImage(r.Image)
	if m.Inherited { // numbers that did not grow: the recorded exec wins
		q.Images = append(q.Images, Image{})
		m = &q.Images[len(q.Images)-1]
	}
	t.describe(m, r, id)
	m.From, m.Filename, m.Flags = r.TS, t.Names.ID(r.Path2), r.Op
	m.File, m.Script = s.Object, None
	how := CredExec
	if r.Op&ExecSetID != 0 {
		how = CredSetID
	}
	t.touchCred(s.Actor, r.TS, t.cred(id, r.Cred), how, id)
	if r.Op&ExecScript != 0 && len(r.Path2) > 0 {
		script := string(r.Path2)
		if !strings.HasPrefix(script, "/") && len(r.Path3) > 0 {
			script = string(r.Path3) + "/" + script
		}
		f, several := t.byName(clean(script), r.TS, true)
		m.Script, s.Second, s.Several = f, f, several
		s.Path2 = t.Names.IDString(clean(script))
	}
}

func (t *Table) exit(r *event.Row, id load.RowID, p ProcID) {
	if p == None {
		return
	}
	if pp := t.mention(ProcKey{r.OPID, r.OStart}, r.TS); pp != None {
		t.seeParent(p, r.TS, pp, id)
	}
	if r.Op&2 == 0 {
		return
	}
	q := &t.Procs[p]
	q.Exited, q.ExitInferred, q.ExitAt, q.ExitRow = true, false, r.TS, id
	q.ExitCode, q.ExitSignal = int32(r.N1), int32(r.N2)
}

// noCall stands for the call of a change that none made.
const noCall = 1<<32 - 1

func (t *Table) credChange(r *event.Row, id load.RowID, p ProcID) {
	if p == None {
		return
	}
	how := CredCall
	if r.N2 == noCall {
		how = CredNoCall
	}
	if q := &t.Procs[p]; len(q.Creds) > 0 {
		if n := len(q.Creds); q.Creds[n-1].Row == id { // actor noted it a moment ago
			q.Creds[n-1].How = how
			return
		}
	}
	t.touchCred(p, r.TS, t.cred(id, r.Cred), how, id)
}

// snapshotProcess reconciles a process row, which may come again at every segment start
// and before or after live rows of the same process.
func (t *Table) snapshotProcess(r *event.Row, id load.RowID) ProcID {
	p := t.mention(ProcKey{r.PID, r.PStart}, r.TS)
	if p == None {
		return None
	}
	q := &t.Procs[p]
	if q.Origin < Snapshot {
		q.Origin, q.Born = Snapshot, id
	}
	if r.Flags&event.FlagKThread != 0 {
		q.KThread = true
	}
	q.NSPID, q.PidNS = uint32(r.N9), uint32(r.N7)
	if q.Cgroup == 0 {
		q.Cgroup = r.Cgroup
	}
	m := q.placeImage(r.Image)
	if !m.Known && !m.Inherited {
		first := m == &q.Images[0]
		t.describe(m, r, id)
		switch {
		case first:
			m.From = clock.Boot(q.Start) // or some exec since: not recorded
		case m.From == 0 || m.From > r.TS:
			m.From = r.TS
		}
		m.File = None
		if r.Ino != 0 {
			m.File = t.object(ObjectKey{r.Dev, r.Ino, r.Gen}, r.Mode, r.TS)
			t.bind(string(r.Path), m.File, r.TS, false)
		}
	}
	if len(t.Procs[p].Creds) == 0 {
		t.touchCred(p, r.TS, t.cred(id, r.Cred), CredSeen, id)
	}
	if pp := t.mention(ProcKey{r.OPID, r.OStart}, r.TS); pp != None {
		at := r.TS
		if len(t.Procs[p].Parents) == 0 {
			at = t.Procs[p].Begin()
		}
		t.seeParent(p, at, pp, id)
	}
	return p
}
