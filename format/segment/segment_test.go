package segment_test

import (
	"bytes"
	"fmt"
	"reflect"
	"testing"

	"hindcast/format/clock"
	"hindcast/format/event"
	"hindcast/format/segment"
	"hindcast/format/testkit"
)

var meta = segment.Meta{
	Host: "box", MachineID: "5d41402a", BootID: "3f9c12ab-0000-4000-8000-000000000001", Kernel: "6.18.44", Arch: "amd64",
	Recorder: "0.1.0", Config: "c0ffee", Clock: clock.Pair{Boot: 3_600_000_000_000, Wall: 1_795_000_000_000_000_000},
	Number: 0xa1, CPUs: 8, Started: 3_599_000_000_000, Command: []string{"sh", "-c", "echo \xff"},
}

// write returns a segment with one batch per list of rows, unsealed when seal is false.
func write(t testing.TB, seal bool, batches ...[]event.Row) (*testkit.MemFile, *segment.Writer) {
	t.Helper()
	f := new(testkit.MemFile)
	w, err := segment.NewWriter(f, meta, segment.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range batches {
		if err := w.Write(testkit.Batch(b)); err != nil {
			t.Fatal(err)
		}
	}
	if seal {
		if err := w.Seal(); err != nil {
			t.Fatal(err)
		}
	}
	return f, w
}

func open(t testing.TB, b []byte) *segment.Segment {
	t.Helper()
	s, err := segment.Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// readAll returns the rows of every batch that can be read.
func readAll(t testing.TB, s *segment.Segment) (rows []event.Row) {
	t.Helper()
	for i := range s.Batches() {
		var c event.Columns
		if err := s.Read(i, 0, &c); err != nil {
			continue
		}
		for j := range c.N {
			var r event.Row
			c.Row(j, &r)
			rows = append(rows, r)
		}
	}
	return rows
}

// sameRows compares rows with nil and empty bytes being equal.
func sameRows(t testing.TB, got, want []event.Row) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d rows, want %d", len(got), len(want))
	}
	for i := range got {
		if k := differs(&got[i], &want[i]); k != "" {
			t.Fatalf("row %d (%s): %s differs", i, want[i].Type, k)
		}
	}
}

func differs(a, b *event.Row) string {
	for col := event.Column(0); col < event.NumColumns; col++ {
		if a.Int(col) != b.Int(col) || !bytes.Equal(a.Bytes(col), b.Bytes(col)) {
			return event.ColumnTable[col].Name
		}
	}
	return ""
}

func three() [][]event.Row {
	all := testkit.EveryEvent(3_600_000_000_000)
	return [][]event.Row{all, all[:3], all[10:14]}
}

func TestRoundTrip(t *testing.T) {
	batches := three()
	for _, sealed := range []bool{true, false} {
		f, w := write(t, sealed, batches...)
		s := open(t, f.B)
		if s.Sealed() != sealed {
			t.Fatalf("sealed %v, want %v", s.Sealed(), sealed)
		}
		want := meta
		want.Format, want.Catalog, want.Prev = segment.Format, event.Version, segment.Genesis
		if got := s.Meta(); !reflect.DeepEqual(got, want) {
			t.Errorf("meta %+v, want %+v", got, want)
		}
		if s.Rows() != uint64(len(batches[0])+7) || s.Root() != w.Root() {
			t.Errorf("%d rows, root %v, want root %v", s.Rows(), s.Root(), w.Root())
		}
		if !reflect.DeepEqual(s.Batches(), w.Entries()[1:]) {
			t.Errorf("batches\n%+v, want\n%+v", s.Batches(), w.Entries()[1:])
		}
		fs, err := s.Verify()
		if err != nil {
			t.Fatal(err)
		}
		if sealed && len(fs) != 0 || !sealed && (len(fs) != 1 || fs[0].Class != segment.Unsealed) {
			t.Errorf("findings %v", fs)
		}
		var all []event.Row
		for _, b := range batches {
			all = append(all, b...)
		}
		sameRows(t, readAll(t, s), all)
	}
}

// TestKernelRecordsSurviveTheDisk takes every event that the kernel sends the whole way: its bytes,
// decoded, written as Arrow, read back, made bytes again.
func TestKernelRecordsSurviveTheDisk(t *testing.T) {
	var sent [][]byte
	var rows []event.Row
	for i := range event.Catalog {
		e := &event.Catalog[i]
		if e.Ring == event.NoRing {
			continue
		}
		r := event.Row{Type: e.ID, TS: 7, CPU: 1, Flags: event.FlagFailed, TID: 11, PID: 10, PStart: 99, Image: 3, Cred: 4, Cgroup: 5, Ret: -7, Comm: []byte("comm")}
		for j, f := range e.Fields {
			switch f.C {
			case event.CBytes, event.CClaimed:
				r.SetBytes(f.Col, fmt.Appendf(nil, "bytes-%d\xff", j))
			case event.CPath:
				r.SetBytes(f.Col, fmt.Appendf(nil, "/dir/a b/%d\xfe", j))
			case event.CAddr:
				r.SetBytes(f.Col, fmt.Appendf(nil, "10.0.0.%d", j))
			default:
				r.SetInt(f.Col, int64(100+j))
			}
			if f.Name == "family" {
				r.Family = 2
			}
		}
		var got event.Row
		sent = append(sent, r.Wire(1))
		if _, err := event.Decode(sent[len(sent)-1], &got); err != nil {
			t.Fatalf("%s: %v", e.Name, err)
		}
		rows = append(rows, got)
	}
	f, _ := write(t, true, rows)
	for i, r := range readAll(t, open(t, f.B)) {
		if !bytes.Equal(r.Wire(1), sent[i]) {
			t.Errorf("%s: came back as\n%x, sent was\n%x", r.Type, r.Wire(1), sent[i])
		}
	}
}

// TestProjection reads one column at a time and compares it with the whole.
func TestProjection(t *testing.T) {
	f, _ := write(t, true, three()...)
	s := open(t, f.B)
	var all, one event.Columns
	for i := range s.Batches() {
		if err := s.Read(i, 0, &all); err != nil {
			t.Fatal(err)
		}
		for col := event.Column(0); col < event.NumColumns; col++ {
			if err := s.Read(i, 1<<col, &one); err != nil {
				t.Fatal(err)
			}
			if want := uint64(1<<col | 1<<event.ColTS | 1<<event.ColType); one.Loaded != want {
				t.Fatalf("loaded %b, want %b", one.Loaded, want)
			}
			for j := range one.N {
				var a, b event.Row
				all.Row(j, &a)
				one.Row(j, &b)
				if a.Int(col) != b.Int(col) || !bytes.Equal(a.Bytes(col), b.Bytes(col)) {
					t.Fatalf("batch %d row %d column %s", i, j, event.ColumnTable[col].Name)
				}
			}
		}
	}
}

func TestWriterRefuses(t *testing.T) {
	f := new(testkit.MemFile)
	w, err := segment.NewWriter(f, meta, segment.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var c event.Columns
	if err := w.Write(&c); err == nil {
		t.Error("an empty batch was accepted")
	}
	rows := make([]event.Row, segment.MaxRows+1)
	for i := range rows {
		rows[i].Type = event.Clock
	}
	if err := w.Write(testkit.Batch(rows)); err == nil {
		t.Error("a batch of too many rows was accepted")
	}
	if err := w.Write(testkit.Batch([]event.Row{{Type: 55}})); err == nil {
		t.Error("a row of an unknown event was accepted")
	}
	if err := w.Seal(); err != nil {
		t.Fatal(err)
	}
	if err := w.Write(testkit.Batch(rows[:1])); err == nil {
		t.Error("a sealed segment took rows")
	}
	if s := open(t, f.B); len(s.Batches()) != 0 || !s.Sealed() || len(s.Findings()) != 0 {
		t.Errorf("segment without rows: %d batches, sealed %v, %v", len(s.Batches()), s.Sealed(), s.Findings())
	}
}

// TestLargeRows writes a batch whose arguments exceed what a batch may hold in memory.
func TestLargeRows(t *testing.T) {
	var rows []event.Row
	for i := range 1000 {
		arg := bytes.Repeat([]byte{byte(i), byte(i >> 8), 'x'}, 20000)
		rows = append(rows, event.Row{TS: clock.Boot(i), Type: event.Exec, Argv: arg, Path: []byte("/bin/true")})
	}
	f, w := write(t, true, rows)
	if n := len(w.Entries()) - 1; n < 2 {
		t.Errorf("written as %d batch", n)
	}
	sameRows(t, readAll(t, open(t, f.B)), rows)
}

func TestFilter(t *testing.T) {
	f, _ := write(t, true, three()...)
	got := open(t, f.B).Filter()
	if !got.MayProcess(100, 99<<40) || !got.MayComm([]byte("com\xff m")) || !got.MayPath([]byte("/open/path\xfe\n")) {
		t.Error("the filter denies what is there")
	}
	yes := 0
	for i := range 1000 {
		if got.MayPath([]byte{byte(i), byte(i >> 8), 'z'}) {
			yes++
		}
	}
	if yes > 60 {
		t.Errorf("%d of 1000 absent paths pass the filter", yes)
	}
	if !(segment.Filter{}).MayPath([]byte("x")) {
		t.Error("the zero filter says no")
	}
}
