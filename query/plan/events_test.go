package plan

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"hindcast/format/clock"
	"hindcast/format/event"
	"hindcast/format/segment"
	"hindcast/query/lang"
	"hindcast/replay/load"
)

func someRows() load.Mem {
	var m load.Mem
	for i := 0; i < 20; i++ {
		r := event.Row{Type: event.Open, TS: clock.Boot(100 + i), PID: uint32(i%3 + 1), PStart: 1, Comm: []byte(fmt.Sprintf("c%d", i%2)), Path: []byte(fmt.Sprintf("/f%d", i)), Ino: uint64(i%5 + 1)}
		if i < 2 {
			r.Flags = event.FlagSnapshot
		}
		m = append(m, r)
	}
	m[0], m[7] = m[7], m[0] // sources order by time
	return append(m,
		event.Row{Type: event.Ledger, TS: 118, T0: 112, N1: int64(event.Open), N2: 5, Text: []byte("ring_full"), CPU: 1, Flags: event.FlagRecorder},
		event.Row{Type: event.Ledger, TS: 119, T0: 110, N1: int64(event.Open), N2: 2, Text: []byte("ring_full"), Text2: []byte("b"), Flags: event.FlagRecorder},
		event.Row{Type: event.Coverage, TS: 100, N1: 0, N2: 1 << event.FirstRead, Text: []byte("hook"), Text2: []byte("why"), Flags: event.FlagRecorder},
		event.Row{Type: event.Fork, TS: 116, PID: 1, PStart: 1, OPID: 9, OStart: 116, OTID: 9},
		event.Row{Type: event.Recorder, TS: 130, Text: []byte("stop"), Flags: event.FlagRecorder})
}

// columns is the same source, through batches.
type batches struct{ load.Mem }

func (b batches) ScanWhere(cols, types uint64, where func(*event.Columns, []uint32) []uint32, f func(*event.Row, load.RowID) error) error {
	var c event.Columns
	var ids []load.RowID
	if err := b.Scan(cols, types, func(r *event.Row, id load.RowID) error {
		c.Append(r)
		ids = append(ids, id)
		return nil
	}); err != nil {
		return err
	}
	c.Finish()
	sel := make([]uint32, c.N)
	for i := range sel {
		sel[i] = uint32(i)
	}
	for _, i := range where(&c, sel) {
		var r event.Row
		c.Row(int(i), &r)
		if err := f(&r, ids[i]); err != nil {
			if errors.Is(err, load.Stop) {
				return nil
			}
			return err
		}
	}
	return nil
}

func TestEvents(t *testing.T) {
	for _, c := range []struct {
		filter string
		o      EventsOptions
		want   string
		res    EventsResult
	}{
		{"proc.name = c1 and proc.pid = 1", EventsOptions{}, "/f3 /f9 /f15", EventsResult{Shown: 3, Matched: 3}},
		{"evt.type = open", EventsOptions{First: 2}, "/f0 /f1", EventsResult{Shown: 2, Matched: 2, Stopped: true}},
		{"evt.type = open", EventsOptions{First: 2, HideSnapshot: true}, "/f2 /f3", EventsResult{Shown: 2, Matched: 2, Stopped: true}},
		{"evt.type = open", EventsOptions{Last: 3}, "/f17 /f18 /f19", EventsResult{Shown: 3, Matched: 20}},
		{"file.path exists", EventsOptions{Since: 105, Until: 108}, "/f5 /f6 /f7", EventsResult{Shown: 3, Matched: 3}},
		{"evt.num = 0:7", EventsOptions{}, "/f0", EventsResult{Shown: 1, Matched: 1}},
		{"evt.num != 0:7 and file.path in (/f0, /f7)", EventsOptions{}, "/f7", EventsResult{Shown: 1, Matched: 1}},
		{"proc.pid = 77", EventsOptions{Last: 3}, "", EventsResult{}},
		{"evt.type = exec and evt.type = open", EventsOptions{}, "", EventsResult{}},
	} {
		for _, src := range []load.Source{someRows(), batches{someRows()}} {
			f, err := lang.Compile(c.filter, lang.Env{})
			if err != nil {
				t.Fatal(err)
			}
			o := c.o
			o.Filter = f
			var got []string
			res, err := Events(src, o, func(r *event.Row, id load.RowID) error {
				got = append(got, string(r.Path))
				return nil
			})
			if err != nil || res != c.res || strings.Join(got, " ") != c.want {
				t.Errorf("%T %s %+v: %s %+v %v, want %s %+v", src, c.filter, c.o, strings.Join(got, " "), res, err, c.want, c.res)
			}
		}
	}
}

func TestEventsError(t *testing.T) {
	boom := errors.New("boom")
	for _, o := range []EventsOptions{{}, {Last: 2}} {
		if _, err := Events(someRows(), o, func(*event.Row, load.RowID) error { return boom }); !errors.Is(err, boom) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

func TestDescribe(t *testing.T) {
	x, err := Describe(someRows(), Facts{Findings: []segment.Finding{{Class: segment.BadDigest, Segment: "s", Detail: "d"}}})
	if err != nil {
		t.Fatal(err)
	}
	if x.Rows != 25 || x.Snapshot != 2 || x.Recording != 4 || x.Processes != 4 || x.Files != 5 || x.LostTotal != 7 || !x.Stopped || x.Snapshotted {
		t.Errorf("%+v", x)
	}
	if len(x.Lost) != 1 || x.Lost[0].Lost != 7 || x.Lost[0].Seen != 20 || x.Lost[0].From.Boot != 110 || x.Lost[0].To.Boot != 119 || fmt.Sprint(x.Lost[0].CPUs, x.Lost[0].Rows) != "[0 1] [0:20 0:21]" {
		t.Errorf("%+v", x.Lost)
	}
	if len(x.Coverage) != 1 || x.Coverage[0].Attached || fmt.Sprint(x.Coverage[0].Events) != "[read]" {
		t.Errorf("%+v", x.Coverage)
	}
	if x.Begin.Boot != 102 || x.End.Boot != 119 {
		t.Errorf("from %d to %d", x.Begin.Boot, x.End.Boot)
	}
	kinds := map[string]int{}
	for _, g := range x.NotSeen {
		kinds[g.Kind]++
	}
	if kinds["damaged"] != 1 || kinds["lost"] == 0 || kinds["not_attached"] != 1 {
		t.Errorf("%v", kinds)
	}
}

func TestLimitsNarrow(t *testing.T) {
	gs, err := Limits(someRows(), Facts{}, 1<<event.Fork, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range gs {
		if g.Kind == "lost" || g.Kind == "not_attached" {
			t.Errorf("%+v does not concern fork", g)
		}
	}
}
