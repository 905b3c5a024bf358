//go:build linux && (amd64 || arm64)

package recorder

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/cilium/ebpf"

	"hindcast/bpf"
	"hindcast/format/clock"
	"hindcast/format/event"
	"hindcast/recorder/baseline"
	"hindcast/recorder/health"
	"hindcast/recorder/probe"
)

// Filter is what of the events is wanted, besides lineage: births, programs, ends, credentials,
// names, sessions, parents and namespaces of processes, and what the recorder says of itself.
type Filter struct {
	// Text is the filter as it was written, Parts in one line what of it is decided where.
	Text, Parts string
	// Types are the events it may hold for, as bits. Hooks that tell none of them are left out.
	Types uint64
	// Kernel is what is asked of an event before a record is made.
	Kernel bpf.Selection
	// Keep is asked about each row before it is stored, lineage excepted. The effective user of
	// the actor is given when it is known. It is called by one goroutine at a time.
	Keep func(r *event.Row, euid uint32, known bool) bool
}

// unasked is the events that the filter leaves out as a whole.
func (f *Filter) unasked() uint64 {
	if f == nil {
		return 0
	}
	var all uint64
	for _, e := range event.Catalog {
		all |= 1 << e.ID
	}
	return all &^ (f.Types | event.Lineage | event.Told)
}

// check looks whether the filter speaks of processes that are there.
func (f *Filter) check() error {
	if f == nil {
		return nil
	}
	for _, pid := range f.Kernel.Roots() {
		if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); err != nil {
			return fmt.Errorf("the filter asks for what descends from process %d: there is none", pid)
		}
	}
	return nil
}

// selects returns what the programs are asked to tell.
func (f *Filter) selects() *bpf.Selection {
	if f == nil {
		return nil
	}
	return &f.Kernel
}

// text is the filter for the digests of options.
func (f *Filter) text() string {
	if f == nil {
		return ""
	}
	return f.Text
}

// wants tells whether a row is to be stored. Of the draining goroutine.
func (s *session) wants(r *event.Row) bool {
	if (event.Lineage|event.Told)>>r.Type&1 != 0 {
		if r.Type == event.Cred {
			s.users[r.Cred] = uint32(r.N2)
		}
		return true
	}
	uid, known := s.users[r.Cred]
	return s.o.Filter.Keep(r, uid, known && r.Cred != 0)
}

// plant puts the processes whose descendants are asked for into the kernel's table, before the
// hooks are there to follow them.
func (s *session) plant() error {
	f := s.o.Filter
	if f == nil || s.taken != nil {
		return nil
	}
	for i, pid := range f.Kernel.Roots() {
		var mask uint32
		if err := s.set.Trees().Lookup(pid, &mask); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return err
		}
		if err := s.set.Trees().Put(pid, mask|1<<i); err != nil {
			return err
		}
	}
	return nil
}

// grow adds what descends from them already. Whoever is added has its later children followed by
// the fork hook; those it had until then show in the next look.
func (s *session) grow() error {
	f := s.o.Filter
	if f == nil || s.taken != nil || len(f.Kernel.Roots()) == 0 {
		return nil
	}
	for range 8 {
		parents := map[uint32]uint32{}
		for _, h := range s.probe.Snapshot() {
			if e := probe.Lookup(h.Name); e == nil || e.Bits()&(1<<event.Process) == 0 {
				continue
			}
			var r event.Row
			if _, err := baseline.Read(h, func(rec []byte) {
				if _, e := event.Decode(rec, &r); e == nil {
					parents[r.PID] = r.OPID
				}
			}); err != nil {
				return err
			}
		}
		added := 0
		for more := true; more; {
			more = false
			for pid, parent := range parents {
				var mask, have uint32
				if s.set.Trees().Lookup(parent, &mask) != nil {
					continue
				}
				s.set.Trees().Lookup(pid, &have)
				if have&mask == mask {
					continue
				}
				if err := s.set.Trees().Put(pid, have|mask); err != nil {
					return err
				}
				added++
				more = true
			}
		}
		if added == 0 {
			return nil
		}
	}
	return nil
}

// row is the row of coverage that speaks of the filter.
func (f *Filter) row(at clock.Boot) event.Row {
	return event.Row{
		TS: at, Type: event.Coverage, Flags: event.FlagRecorder, N2: int64(f.unasked()), N3: event.WhyAsked,
		Text: []byte(event.FilterHook), Text2: []byte(f.Text + "\n" + f.Parts),
	}
}

// leftOut tells from time to time, and at the end, how much the filter has left out since the
// programs were loaded. Of the draining goroutine.
func (s *session) leftOut(now clock.Boot, r *health.Reading, end bool) {
	if s.collector.Keep == nil || !end && now.Sub(s.leftAt) < time.Minute {
		return
	}
	var total uint64
	var parts []string
	for t := range event.Type(event.MaxType) {
		early, late, here := r.Sum(health.Unselected, t), r.Sum(health.Deselected, t), s.collector.Unselected[t]
		n := early + late + here
		if n == 0 {
			continue
		}
		total += n
		parts = append(parts, fmt.Sprintf("%s %d", t, n))
	}
	if s.leftAt = now; total == s.leftTotal && !end {
		return
	}
	s.leftTotal = total
	s.row("left-out", strings.Join(parts, ", "), int64(total), now)
}
