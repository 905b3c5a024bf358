//go:build linux

package batch

import (
	"testing"
	"time"

	"hindcast/format/clock"
	"hindcast/format/event"
	"hindcast/format/segment"
	"hindcast/format/store"
)

// An event allocates nothing on its way from the ring to the disk, once as much was seen as a batch
// holds. A process does: it is remembered. What a batch allocates does not depend on its rows.
func TestEventsAllocateNothing(t *testing.T) {
	all := mix(2 * fullRows)
	var events, births [][]byte
	var forks float64
	for _, rec := range all {
		switch typ, _, _ := wireHead(rec); typ {
		case event.Fork, event.Exec, event.Exit:
		default:
			if len(events) < fullRows {
				events = append(events, rec)
			}
		}
	}
	births = all[:fullRows]
	for _, rec := range births {
		if typ, _, _ := wireHead(rec); typ == event.Fork {
			forks++
		}
	}
	state := &State{}
	s, err := store.Create(t.TempDir(), store.Options{
		Meta:         segment.Meta{BootID: "3f9c12ab", Clock: clock.Pair{Boot: clock.Boot(time.Hour), Wall: 1}},
		Begin:        state.Begin,
		SegmentBytes: 1 << 40, SegmentAge: 1 << 40,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, x := range []struct {
		name  string
		recs  [][]byte
		sink  Sink
		state *State
		most  float64 // allocations per batch
	}{
		{"into columns", events, nothing{}, nil, 2},
		{"onto disk", events, s, state, 64},
		{"into columns with processes", births, nothing{}, nil, 2 * forks},
		{"onto disk with processes", births, s, state, 12 * forks},
	} {
		t.Run(x.name, func(t *testing.T) {
			w := NewWriter(x.sink, x.state)
			defer w.Close()
			c := NewCollector(nil, nil, w)
			batch := func() {
				for i, rec := range x.recs {
					c.Stream(rec)
					if i%1024 == 1023 { // what a look at the rings finds
						c.Emit(0)
					}
				}
				c.Finish()
				w.Settle()
			}
			for range 2 * cap(w.free) { // each of the columns in use has been filled
				batch()
			}
			n := testing.AllocsPerRun(10, batch)
			t.Logf("%v allocations in a batch of %d rows", n, len(x.recs))
			if n > x.most {
				t.Errorf("%v allocations in a batch of %d rows, at most %v", n, len(x.recs), x.most)
			}
			for typ, bad := range c.Bad {
				if bad > 0 {
					t.Errorf("%d records of %v do not decode", bad, event.Type(typ))
				}
			}
		})
	}
}
