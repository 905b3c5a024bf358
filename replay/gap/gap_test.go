package gap

import (
	"testing"

	"hindcast/format/clock"
	"hindcast/format/event"
	"hindcast/replay/load"
)

func TestFor(t *testing.T) {
	s := NewSet()
	rows := []event.Row{
		{TS: 5, Type: event.Recorder, Text: []byte("start")},
		{TS: 6, Type: event.Coverage, Text: []byte("hook_a"), N1: 0, N2: 1 << event.FirstWrite, Text2: []byte("why")},
		{TS: 6, Type: event.Coverage, Text: []byte("hook_b"), N1: 1, N2: 1 << event.FirstRead},
		{TS: 50, Type: event.Coverage, Text: []byte("hook_a"), N1: 0, N2: 1 << event.FirstWrite, Text2: []byte("why")},
		{TS: 20, T0: 10, Type: event.Ledger, N1: int64(event.FirstWrite), N2: 3, CPU: 1, Text: []byte("ring_full")},
		{TS: 30, T0: 20, Type: event.Ledger, N1: int64(event.FirstWrite), N2: 4, CPU: 1, Text: []byte("ring_full")},
		{TS: 30, T0: 20, Type: event.Ledger, N1: 0, N2: 1, Text: []byte("decode")},
		{TS: 30, T0: 20, Type: event.Ledger, N1: int64(event.Exit), N2: 0, Text: []byte("nothing lost")},
		{TS: 2, Type: event.Open, Flags: event.FlagSnapshot},
		{TS: 60, Type: event.Open},
		{TS: 61, Type: event.Recorder, Text: []byte("stop")},
	}
	for i := range rows {
		s.Apply(&rows[i], load.RowID{Row: uint32(i)})
	}
	var cut [event.MaxType]uint64
	cut[event.Exec] = 2
	s.Finish(&cut, []string{"segment 3: bad digest"})
	if b, e := s.Bounds(); b != 5 || e != 61 {
		t.Errorf("bounds %d %d", b, e)
	}
	for _, c := range []struct {
		from, to clock.Boot
		events   uint64
		want     map[Kind]uint64 // kind -> sum of counts + 1 per hole
	}{
		{0, 100, 0, map[Kind]uint64{Damaged: 1, Lost: 8 + 2, NotAttached: 1, Truncated: 3, BeforeStart: 1, AfterEnd: 1}},
		{12, 15, Events(event.FirstWrite), map[Kind]uint64{Damaged: 1, Lost: 3 + 1, NotAttached: 1}},
		{12, 15, Events(event.FirstRead), map[Kind]uint64{Damaged: 1}},
		{25, 26, Events(event.Connect), map[Kind]uint64{Damaged: 1, Lost: 2}},
		{40, 45, Events(event.Exec), map[Kind]uint64{Damaged: 1, Truncated: 3}},
	} {
		got := map[Kind]uint64{}
		for _, h := range s.For(c.from, c.to, c.events) {
			got[h.Kind] += h.Count + 1
			if h.Text == "" || (h.Kind == Lost || h.Kind == NotAttached) && len(h.Rows) == 0 {
				t.Errorf("a hole without words or rows: %+v", h)
			}
		}
		for _, k := range []Kind{Damaged, Lost, NotAttached, Truncated, BeforeStart, AfterEnd} {
			if got[k] != c.want[k] {
				t.Errorf("[%d,%d] %x: %s %d, want %d", c.from, c.to, c.events, k, got[k], c.want[k])
			}
		}
	}
	if !s.Lossy(11, 12, Events(event.FirstWrite)) || s.Lossy(200, 300, 0) {
		t.Error("lossy")
	}
}
