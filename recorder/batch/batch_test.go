//go:build linux

package batch

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand"
	"slices"
	"testing"
	"time"

	"hindcast/format/clock"
	"hindcast/format/event"
	"hindcast/format/store"
)

func wire(ts clock.Boot, pid uint32) []byte {
	r := event.Row{Type: event.Fork, TS: ts, PID: pid, OPID: pid + 1}
	return r.Wire(0)
}

func TestOrderGivesTimeOrderAndKeepsTheRest(t *testing.T) {
	var o Order
	rng := rand.New(rand.NewSource(1))
	var want []int
	for i := range 1000 {
		ts := rng.Intn(500)
		want = append(want, ts)
		if i%10 == 0 {
			o.AddRow(event.Row{TS: clock.Boot(ts)})
		} else {
			o.Add(wire(clock.Boot(ts), uint32(i)))
		}
	}
	slices.Sort(want)
	var got []int
	take := func(before clock.Boot) {
		o.Take(before, func(b []byte) {
			var r event.Row
			if _, err := event.Decode(b, &r); err != nil {
				t.Fatal(err)
			}
			got = append(got, int(r.TS))
		}, func(r *event.Row) { got = append(got, int(r.TS)) })
	}
	for before := 0; before <= 500; before += 50 {
		take(clock.Boot(before))
		if n := len(got); n > 0 && got[n-1] >= before {
			t.Fatalf("a row of %d came out before %d", got[n-1], before)
		}
		if n, _ := slices.BinarySearch(want, before); len(got) != n {
			t.Fatalf("%d rows before %d, want %d", len(got), before, n)
		}
	}
	if !slices.Equal(got, want) {
		t.Error("not in order, or not all")
	}
	if o.Held() != 0 {
		t.Errorf("%d bytes left", o.Held())
	}
}

func TestOrderKeepsEqualTimesInPlaceAndShortRecordsFirst(t *testing.T) {
	var o Order
	for i := range 20 {
		o.Add(wire(7, uint32(i)))
	}
	o.Add([]byte("short"))
	var got []string
	o.Take(8, func(b []byte) {
		if len(b) < event.HeaderSize {
			got = append(got, string(b))
			return
		}
		var r event.Row
		event.Decode(b, &r)
		got = append(got, fmt.Sprint(r.PID))
	}, nil)
	if want := "[short 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19]"; fmt.Sprint(got) != want {
		t.Errorf("got %v", got)
	}
}

func TestOrderAllocatesNothingWhenWarm(t *testing.T) {
	var o Order
	rec := wire(5, 1)
	nop := func([]byte) {}
	round := func() {
		for range 100 {
			o.Add(rec)
		}
		o.Take(6, nop, nil)
	}
	round()
	round()
	if n := testing.AllocsPerRun(100, round); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// sink is a store that can refuse.
type sink struct {
	rows  []event.Row
	fail  error
	syncs int
}

func (s *sink) Append(c *event.Columns) error {
	if s.fail != nil {
		return s.fail
	}
	for i := range c.N {
		var r event.Row
		c.Row(i, &r)
		s.rows = append(s.rows, *own(&r))
	}
	return nil
}

func (s *sink) Sync() error { s.syncs++; return nil }

func (s *sink) Stats() store.Stats { return store.Stats{Segments: 1, Bytes: int64(len(s.rows))} }

func columns(rows ...event.Row) *event.Columns {
	c := &event.Columns{}
	for i := range rows {
		c.Append(&rows[i])
	}
	c.Finish()
	return c
}

func TestWriterCountsWhatTheDiskRefusesAndGoesOn(t *testing.T) {
	s := &sink{fail: errors.New("no space left on device")}
	w := NewWriter(s, &State{})
	put := func(rows ...event.Row) {
		c := w.Free()
		for i := range rows {
			c.Append(&rows[i])
		}
		c.Finish()
		w.Put(c)
	}
	led := func(ts clock.Boot, n int64) event.Row {
		return event.Row{Type: event.Ledger, TS: ts, T0: ts - 1, CPU: 1, N1: 16, N2: n, Text: []byte("ring_full")}
	}
	put(event.Row{Type: event.Fork}, event.Row{Type: event.Open}, event.Row{Type: event.Open}, led(10, 3))
	put(event.Row{Type: event.Open}, led(20, 4))
	w.Settle()
	p := w.Progress()
	if lost := p.Lost; p.Rows != 0 || lost[event.Fork] != 1 || lost[event.Open] != 3 || lost[event.Ledger] != 0 || p.Err == nil {
		t.Errorf("%+v", p)
	}
	kept := w.Lost()
	if len(kept) != 1 || kept[0].N2 != 7 || kept[0].T0 != 9 || kept[0].TS != 20 || string(kept[0].Text) != "ring_full" || kept[0].CPU != 1 {
		t.Fatalf("kept %+v", kept)
	}
	if again := w.Lost(); len(again) != 0 {
		t.Errorf("kept twice: %+v", again)
	}
	s.fail = nil
	put(kept...)
	w.Settle()
	if p := w.Progress(); p.Rows != 1 || p.Err != nil || p.Segments != 1 || p.Bytes != 1 {
		t.Errorf("%+v", p)
	}
	w.Close()
	if len(s.rows) != 1 || s.rows[0].N2 != 7 {
		t.Errorf("stored %+v", s.rows)
	}
}

// A store that could write the first part of a batch says how many rows it lost: the last ones.
func TestWriterCountsOnlyTheLostTail(t *testing.T) {
	s := &sink{fail: fmt.Errorf("append batch: %w", &store.LostError{Rows: 2, Err: errors.New("no space")})}
	w := NewWriter(s, nil)
	c := w.Free()
	for _, ty := range []event.Type{event.Fork, event.Exec, event.Open, event.Exit} {
		c.Append(&event.Row{Type: ty})
	}
	c.Finish()
	w.Put(c)
	w.Close()
	p := w.Progress()
	if p.Rows != 2 || p.Lost[event.Fork]+p.Lost[event.Exec] != 0 || p.Lost[event.Open] != 1 || p.Lost[event.Exit] != 1 || p.Err == nil {
		t.Errorf("%+v", p)
	}
}

func TestWriterSyncs(t *testing.T) {
	s := &sink{}
	w := NewWriter(s, nil)
	c := w.Free()
	c.Append(&event.Row{Type: event.Fork})
	c.Finish()
	w.Put(c)
	time.Sleep(syncEvery + syncEvery/2)
	w.Close()
	if s.syncs != 1 {
		t.Errorf("%d syncs of one batch", s.syncs)
	}
}

func begin(t *testing.T, s *State) (out []event.Row) {
	t.Helper()
	if err := s.Begin(func(r *event.Row) { out = append(out, *own(r)) }); err != nil {
		t.Fatal(err)
	}
	return out
}

func find(rows []event.Row, pid uint32) *event.Row {
	for i := range rows {
		if rows[i].Type == event.Process && rows[i].PID == pid {
			return &rows[i]
		}
	}
	return nil
}

func TestStateOpensASegmentWithWhatLives(t *testing.T) {
	s := &State{Clock: func() clock.Pair { return clock.Pair{Boot: 1, Wall: 2} }}
	s.SetCoverage([]event.Row{{Type: event.Coverage, Text: []byte("hc_fork"), N1: 1}})
	if rows := begin(t, s); len(rows) != 0 {
		t.Fatalf("first segment opens with %+v", rows)
	}
	b := func(s string) []byte { return []byte(s) }
	s.Apply(columns(
		event.Row{Type: event.Cred, TS: 1, Cred: 3, N1: 1000},
		event.Row{Type: event.Process, TS: 2, PID: 10, PStart: 5, TID: 10, Image: 1, Cred: 3, Path: b("/bin/sh"), Argv: b("sh\x00"), Path3: b("/"), OPID: 1, OStart: 1, N9: 10, Ino: 77},
		// a child, its thread, and what it becomes
		event.Row{Type: event.Fork, TS: 3, PID: 10, PStart: 5, TID: 10, Image: 1, Cred: 3, OPID: 11, OStart: 30, OTID: 11, N3: 10, N4: 5, N5: 4, N7: 99},
		event.Row{Type: event.Fork, TS: 4, Flags: event.FlagThread, PID: 11, PStart: 30, OPID: 11, OStart: 30, OTID: 12},
		event.Row{Type: event.Fork, TS: 4, PID: 10, PStart: 5, OPID: 20, OStart: 40, N3: 10, N4: 5},
		event.Row{Type: event.Exec, TS: 5, PID: 11, PStart: 30, TID: 11, Image: 2, Cred: 4, Path: b("/bin/true"), Path2: b("true"), Text: b("true"), Argv: b("true\x00"), Op: 4, OTID: 11, Marks: 0x3ff},
		event.Row{Type: event.CredChange, TS: 6, PID: 10, PStart: 5, TID: 10, Cred: 9},
		event.Row{Type: event.Exit, TS: 7, Flags: event.FlagThread, PID: 10, PStart: 5},
		event.Row{Type: event.Exit, TS: 8, PID: 20, PStart: 40},
		// an iterator saw it before it ended; the row came late
		event.Row{Type: event.Process, TS: 7, PID: 20, PStart: 40},
	))
	rows := begin(t, s)
	if s.Live() != 2 || len(rows) != 5 {
		t.Fatalf("%d live, %d rows: %+v", s.Live(), len(rows), rows)
	}
	if rows[0].Type != event.Clock || rows[0].N1 != 2 || rows[1].Type != event.Coverage || rows[2].Type != event.Cred || rows[2].N1 != 1000 {
		t.Errorf("opens with %+v", rows[:3])
	}
	for _, r := range rows[1:] {
		if r.TS != 8 || r.Flags != stateFlags {
			t.Errorf("%s: ts %d flags %#x", r.Type, r.TS, r.Flags)
		}
	}
	p := find(rows, 10)
	if p == nil || p.Cred != 9 || !bytes.Equal(p.Path, b("/bin/sh")) || p.Ino != 77 || p.OPID != 1 {
		t.Errorf("parent %+v", p)
	}
	c := find(rows, 11)
	if c == nil || c.Image != 2 || c.Cred != 4 || string(c.Path) != "/bin/true" || c.Path2 != nil || c.Text != nil || c.Op != 0 || c.OTID != 0 ||
		c.OPID != 10 || c.OStart != 5 || c.N9 != 4 || c.Marks != 0x3f {
		t.Errorf("child %+v", c)
	}
}

func TestStateOfAForkedProcessIsItsCreators(t *testing.T) {
	s := &State{}
	s.Apply(columns(
		event.Row{Type: event.Process, TS: 2, PID: 10, PStart: 5, Path: []byte("/bin/sh"), Argv: []byte("sh\x00-x\x00"), N7: 1},
		event.Row{Type: event.Fork, TS: 3, PID: 10, PStart: 5, Comm: []byte("sh"), Image: 6, Cred: 2, OPID: 11, OStart: 30, N3: 1, N4: 0, N5: 4, N7: 99},
		event.Row{Type: event.Exit, TS: 4, PID: 10, PStart: 5},
	))
	c := find(begin(t, s), 11)
	if c == nil || string(c.Path) != "/bin/sh" || string(c.Argv) != "sh\x00-x\x00" || c.Image != 6 || c.Cred != 2 || c.OPID != 1 || c.N9 != 4 || c.N7 != 99 || c.PStart != 30 || c.TID != 11 {
		t.Errorf("child %+v", c)
	}
}

func TestStateForgetsWhatAWholeSnapshotDoesNotShow(t *testing.T) {
	for _, whole := range []bool{true, false} {
		s := &State{}
		detail := "command only"
		if whole {
			detail = Whole
		}
		s.Apply(columns(
			event.Row{Type: event.Fork, TS: 1, PID: 1, OPID: 10, OStart: 1}, // its exit was lost
			event.Row{Type: event.Fork, TS: 1, PID: 1, OPID: 11, OStart: 1},
			event.Row{Type: event.Recorder, TS: 5, Text: []byte(SnapshotBegin)},
			event.Row{Type: event.Process, TS: 6, PID: 11, PStart: 1},
			event.Row{Type: event.Fork, TS: 7, PID: 1, OPID: 12, OStart: 7}, // born meanwhile
			event.Row{Type: event.Recorder, TS: 9, Text: []byte(SnapshotEnd), Text2: []byte(detail)},
		))
		want := 3
		if whole {
			want = 2
		}
		if s.Live() != want {
			t.Errorf("whole %v: %d live, want %d", whole, s.Live(), want)
		}
	}
}
