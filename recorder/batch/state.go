//go:build linux

package batch

import (
	"cmp"
	"slices"
	"sync/atomic"

	"hindcast/format/clock"
	"hindcast/format/event"
)

// State is what a new segment opens with, so that it can be read alone: the clocks, the
// coverage, every credential set that was described, and the processes that live.
//
// It follows the rows that were written, rather than asking the kernel again when a segment
// begins: so it is exactly the state between the last row before and the first row after, costs
// the kernel nothing, and a segment can begin while iterators are slow or refused. What it cannot
// know is an exit that was lost; the recorder therefore runs the iterators again, at its leisure,
// after a segment began and after a loss, and their rows correct it. A parent is the one a
// process was born with or last seen with: that a process was handed to another parent is not an
// event.
//
// Files and sockets are not kept here; they come with those later iterator runs.
//
// A State is used by one goroutine, the Writer's; only SetCoverage may be called from others.
type State struct {
	Clock func() clock.Pair // read as a segment begins; nil leaves the row out

	coverage atomic.Pointer[[]event.Row]

	asOf  clock.Boot
	creds map[uint32]*event.Row
	procs map[key]*event.Row
	ended [2]map[key]bool // lately; a key never lives again
	begin clock.Boot      // of the snapshot that is being read
	seen  int             // process rows in it
}

type key struct {
	pid   uint32
	start uint64
}

// flags of a row that speaks of the state as a segment begins.
const stateFlags = event.FlagSnapshot | event.FlagRecorder

// Begin writes the rows. Nothing was applied yet in the first segment: its snapshot comes as
// rows of the iterators, and the recorder writes clock and coverage itself.
func (s *State) Begin(add func(*event.Row)) error {
	if s.asOf == 0 {
		return nil
	}
	if s.Clock != nil {
		r := ClockRow(s.Clock())
		add(&r)
	}
	at := func(r *event.Row, flags uint32) {
		c := *r
		c.TS = s.asOf
		c.Flags |= flags
		add(&c)
	}
	if p := s.coverage.Load(); p != nil {
		for i := range *p {
			at(&(*p)[i], stateFlags)
		}
	}
	for _, id := range sorted(s.creds, cmp.Compare[uint32]) {
		at(s.creds[id], stateFlags)
	}
	for _, k := range sorted(s.procs, func(a, b key) int {
		return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.pid, b.pid))
	}) {
		at(s.procs[k], 0)
	}
	return nil
}

func sorted[K comparable, V any](m map[K]V, order func(a, b K) int) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, order)
	return keys
}

// SetCoverage sets the coverage rows that later segments open with; it keeps them.
func (s *State) SetCoverage(rows []event.Row) { s.coverage.Store(&rows) }

// Restore sets the credential sets that were described before, and from when on that is the
// state; the first segment opens with them.
func (s *State) Restore(creds []event.Row, asOf clock.Boot) {
	s.creds, s.procs = map[uint32]*event.Row{}, map[key]*event.Row{}
	for i := range creds {
		s.creds[creds[i].Cred] = &creds[i]
	}
	s.asOf = asOf
}

// Reset forgets everything but the clock and the coverage, whose rows a new recording replaces.
func (s *State) Reset() {
	s.asOf, s.creds, s.procs, s.ended, s.begin, s.seen = 0, nil, nil, [2]map[key]bool{}, 0, 0
}

// Live returns how many processes are alive as far as is known.
func (s *State) Live() int { return len(s.procs) }

// Apply follows the rows of a batch.
func (s *State) Apply(c *event.Columns) {
	if s.creds == nil {
		s.creds, s.procs = map[uint32]*event.Row{}, map[key]*event.Row{}
	}
	var r event.Row
	for i, t := range c.Type {
		switch t {
		case event.Fork, event.Exec, event.Exit, event.Cred, event.CredChange, event.Process, event.Recorder:
			c.Row(i, &r)
			s.apply(&r)
		}
		s.asOf = max(s.asOf, c.TS[i])
	}
}

func (s *State) apply(r *event.Row) {
	k := key{r.PID, r.PStart}
	switch r.Type {
	case event.Cred:
		s.creds[r.Cred] = own(r)
	case event.Process:
		if s.ended[0][k] || s.ended[1][k] || s.newer(k, r) {
			return // the iterator's rows arrive late
		}
		p := own(r)
		p.Flags |= stateFlags
		s.procs[k] = p
		if s.begin != 0 {
			s.seen++
		}
	case event.Fork:
		if r.Flags&event.FlagThread != 0 || s.newer(key{r.OPID, r.OStart}, r) {
			return
		}
		child := event.Row{}
		if p := s.procs[k]; p != nil {
			child = *p // the program is the creator's until the child execs
		}
		child.Type, child.Flags = event.Process, stateFlags|r.Flags&event.FlagKThread
		child.TS, child.CPU = r.TS, r.CPU
		child.PID, child.PStart, child.TID = r.OPID, r.OStart, r.OPID
		child.Image, child.Cred, child.Cgroup = r.Image, r.Cred, r.Cgroup
		child.OPID, child.OStart = uint32(r.N3), uint64(r.N4)
		child.N7, child.N9 = r.N7, r.N5
		child.Comm = slices.Clone(r.Comm)
		s.procs[key{child.PID, child.PStart}] = &child
	case event.Exec:
		p := own(r)
		p.Type, p.Flags = event.Process, stateFlags|r.Flags&event.FlagKThread
		p.TID = r.PID
		p.Op, p.OTID, p.Path2, p.Text = 0, 0, nil, nil
		p.Dev2, p.Ino2, p.Gen2 = 0, 0, 0
		// program, arguments and directory are the first three byte fields of both events; the
		// environment follows the end of the arguments in both
		p.Marks = r.Marks&(1<<(2*3)-1) | r.Marks>>execTail&15<<processTail
		p.OPID, p.OStart, p.N9 = 0, 0, 0
		if old := s.procs[k]; old != nil {
			p.OPID, p.OStart, p.N9 = old.OPID, old.OStart, old.N9
		}
		s.procs[k] = p
	case event.Exit:
		if r.Flags&event.FlagThread == 0 {
			delete(s.procs, k)
			s.end(k)
		}
	case event.CredChange:
		if p := s.procs[k]; p != nil && r.TID == r.PID {
			p.Cred = r.Cred
		}
	case event.Recorder:
		switch string(r.Text) {
		case SnapshotBegin:
			s.begin, s.seen = r.TS, 0
		case SnapshotEnd:
			// A run of the iterators that gave processes gave all that live.
			if s.begin != 0 && s.seen > 0 && string(r.Text2) == Whole {
				for k, p := range s.procs {
					if p.TS < s.begin {
						delete(s.procs, k)
					}
				}
			}
			s.begin = 0
		}
	}
}

// newer tells whether what is known of a process is younger than the row.
func (s *State) newer(k key, r *event.Row) bool {
	p := s.procs[k]
	return p != nil && p.TS > r.TS
}

// end remembers the last 32,768 to 65,536 processes that ended.
func (s *State) end(k key) {
	if s.ended[0] == nil || len(s.ended[0]) >= 32768 {
		s.ended[0], s.ended[1] = map[key]bool{}, s.ended[0]
	}
	s.ended[0][k] = true
}

// Actions of recorder rows that bracket what iterators gave, and the detail of an end row that
// vouches for all processes of the host.
const (
	SnapshotBegin = "snapshot-begin"
	SnapshotEnd   = "snapshot-end"
	Whole         = "all processes"
)

// own is a copy of the row that shares no memory with its batch.
func own(r *event.Row) *event.Row {
	c := *r
	for col := range event.NumColumns {
		if event.ColumnTable[col].Kind == event.Dict {
			if b := c.Bytes(col); len(b) > 0 {
				c.SetBytes(col, slices.Clone(b))
			} else {
				c.SetBytes(col, nil)
			}
		}
	}
	return &c
}
