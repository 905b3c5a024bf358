//go:build linux && (amd64 || arm64)

package recorder

import (
	"fmt"
	"sync"
	"time"

	"hindcast/format/clock"
	"hindcast/format/event"
	"hindcast/recorder/batch"
	"hindcast/recorder/mount"
)

// How often the witness looks by itself, and how soon after a row that gives a reason. A flood of
// such rows does not make it look more often.
const (
	witnessTime = time.Second
	witnessSoon = 200 * time.Millisecond
)

// clockStep is by how much the two clocks must have moved against each other before it is told.
// Steering by the usual daemons stays below it from one second to the next.
const clockStep = time.Millisecond

// witness looks at what calls claim to have changed: the kernel's list of mounts, and the wall
// clock. It has a goroutine of its own, since reading the lists of many namespaces takes time.
type witness struct {
	mu     sync.Mutex // guards mounts
	mounts mount.Watch

	asking sync.Mutex
	asked  map[uint32]uint32 // namespaces that mount rows spoke of, and a process of each
	nudge  chan struct{}
	ended  chan struct{}

	last clock.Pair // as last looked at
	told clock.Pair // as last written
}

// begin makes the witness ready to be asked.
func (w *witness) begin() {
	w.mounts.Now = boot
	w.nudge, w.ended = make(chan struct{}, 1), make(chan struct{})
	w.last = readClocks()
	w.told = w.last
}

// saw is called by the draining goroutine for records of mounts and clocks.
func (w *witness) saw(rec []byte) {
	var r event.Row
	if _, err := event.Decode(rec, &r); err != nil {
		return
	}
	if r.Flags&event.FlagFailed != 0 {
		return
	}
	w.asking.Lock()
	if r.Type == event.Mount {
		if w.asked == nil {
			w.asked = map[uint32]uint32{}
		}
		w.asked[uint32(r.N4)] = r.PID
	}
	w.asking.Unlock()
	select {
	case w.nudge <- struct{}{}:
	default:
	}
}

// attest looks every second, and soon after it was nudged.
func (s *session) attest() {
	w := &s.witness
	defer close(w.ended)
	t := time.NewTicker(witnessTime)
	defer t.Stop()
	for {
		select {
		case <-s.halt:
			return
		case <-w.nudge:
			s.look()
			select {
			case <-s.halt:
				return
			case <-time.After(witnessSoon):
			}
		case <-t.C:
			s.look()
		}
	}
}

// look compares with the last look and hands the differences to the draining goroutine.
func (s *session) look() {
	w := &s.witness
	w.asking.Lock()
	asked := w.asked
	w.asked = nil
	w.asking.Unlock()
	w.mu.Lock()
	var rows []event.Row
	stirred := w.mounts.Stirred()
	if stirred || len(asked) > 0 {
		rows = w.mounts.Check(asked)
		if s.scoped() && len(asked) == 0 {
			rows = nil // somebody else's doing: taken note of, and not told
		}
	}
	w.mu.Unlock()
	s.tell(append(rows, w.clocks(readClocks())...))
}

// clocks returns the readings before and after the wall clock moved, when it did.
func (w *witness) clocks(now clock.Pair) (rows []event.Row) {
	if shift(w.told, now) >= clockStep {
		if w.last != w.told {
			rows = append(rows, batch.ClockRow(w.last))
		}
		rows = append(rows, batch.ClockRow(now))
		w.told = now
	}
	w.last = now
	return rows
}

// shift is by how much the wall clock moved against the boot clock.
func shift(a, b clock.Pair) time.Duration {
	d := time.Duration(b.Wall-a.Wall) - time.Duration(b.Boot-a.Boot)
	return max(d, -d)
}

// tell hands rows to the draining goroutine.
func (s *session) tell(rows []event.Row) {
	if len(rows) == 0 {
		return
	}
	s.do(func() {
		for _, r := range rows {
			s.collector.Row(r)
		}
	})
}

// found tells the mounts and cgroups that are there; of a recorded command only the cgroup that
// it starts in and those above. It returns how many rows that are.
func (s *session) found() int {
	w := &s.witness
	w.mu.Lock()
	rows := w.mounts.Find()
	left := w.mounts.Left
	w.mu.Unlock()
	if s.scoped() {
		rows, left = nil, 0
	}
	if left > 0 {
		now := boot()
		s.do(func() {
			s.row("snapshot-incomplete", fmt.Sprintf("mounts of %d namespaces are not followed", left), 0, now)
		})
	}
	if root := s.set.CgroupRoot; root != "" {
		var only []string
		if s.scoped() {
			only = []string{ownCgroup()}
		}
		cgroups, left := cgroupsFound(root, boot(), only...)
		rows = append(rows, cgroups...)
		if left {
			now := boot()
			s.do(func() { s.row("snapshot-incomplete", fmt.Sprintf("more than %d cgroups", maxCgroups), 0, now) })
		}
	}
	s.tell(rows)
	return len(rows)
}
