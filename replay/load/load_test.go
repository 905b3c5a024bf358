package load_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"sort"
	"testing"

	"hindcast/format/bundle"
	"hindcast/format/clock"
	"hindcast/format/event"
	"hindcast/format/segment"
	"hindcast/format/store"
	"hindcast/format/testkit"
	"hindcast/replay/load"
)

var meta = segment.Meta{Host: "box", BootID: "3f9c12ab-0000-4000-8000-000000000001", Recorder: "test",
	Clock: clock.Pair{Boot: 3_600_000_000_000, Wall: 1_795_000_000_000_000_000}}

// fill writes n rows in batches of a few hundred, shuffled a little in time as a recorder's
// are, into a store of small segments, and returns them in stored order by segment.
func fill(t *testing.T, dir string, n int) (rows [][]event.Row) {
	t.Helper()
	s, err := store.Create(dir, store.Options{Meta: meta, SegmentBytes: 40 << 10})
	if err != nil {
		t.Fatal(err)
	}
	h := testkit.NewHost(3)
	segs := 0
	for done := 0; done < n; {
		var batch []event.Row
		for len(batch) < 300 && done < n {
			var r event.Row
			h.Next(&r)
			if done%7 == 0 {
				r.TS -= clock.Boot(done%5) * 4_000_000 // reaches into earlier batches
			}
			batch = append(batch, r)
			done++
		}
		if err := s.Append(testkit.Batch(batch)); err != nil {
			t.Fatal(err)
		}
		if st := s.Stats(); st.Segments > segs {
			segs = st.Segments
			rows = append(rows, nil)
		}
		rows[segs-1] = append(rows[segs-1], batch...)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return rows
}

type got struct {
	id load.RowID
	ts clock.Boot
}

func scan(t *testing.T, c load.Source, cols, types uint64) (out []got) {
	t.Helper()
	err := c.Scan(cols, types, func(r *event.Row, id load.RowID) error {
		out = append(out, got{id, r.TS})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestScan compares the merge with a stable sort of everything, for every kind of capture
// and one and several workers, then with a set of types and with a predicate.
func TestScan(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	rows := fill(t, dir, 20000)
	if len(rows) < 4 {
		t.Fatalf("%d segments", len(rows))
	}
	var want []got
	byID := make(map[load.RowID]event.Row)
	for i, seg := range rows {
		for j := range seg {
			id := load.RowID{Segment: uint32(i), Row: uint32(j)}
			want = append(want, got{id, seg[j].TS})
			byID[id] = seg[j]
		}
	}
	sort.SliceStable(want, func(i, j int) bool { return want[i].ts < want[j].ts })
	hind := filepath.Join(t.TempDir(), "x.hind")
	if err := bundle.WriteDir(hind, dir, bundle.Manifest{}); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, hind} {
		for _, workers := range []int{1, 4} {
			c, err := load.Open(path, load.Options{Workers: workers})
			if err != nil {
				t.Fatal(err)
			}
			all := scan(t, c, 0, 0)
			if len(all) != len(want) {
				t.Fatalf("%s: %d rows, want %d", path, len(all), len(want))
			}
			for i := range all {
				if all[i] != want[i] {
					t.Fatalf("%s: place %d is row %v at %d, want %v at %d", path, i, all[i].id, all[i].ts, want[i].id, want[i].ts)
				}
			}
			n := 0
			err = c.Scan(0, 1<<event.Open|1<<event.Exec, func(r *event.Row, id load.RowID) error {
				w := byID[id]
				if r.Type != event.Open && r.Type != event.Exec || r.Ino != w.Ino || !bytes.Equal(r.Path, w.Path) || !bytes.Equal(r.Argv, w.Argv) {
					t.Fatalf("row %v is %s %q, want %s %q", id, r.Type, r.Path, w.Type, w.Path)
				}
				n++
				return nil
			})
			want2, want3 := 0, 0
			for _, r := range byID {
				if r.Type == event.Open || r.Type == event.Exec {
					want2++
					if r.PID%2 == 0 {
						want3++
					}
				}
			}
			if err != nil || n != want2 {
				t.Fatalf("%d rows of two types, want %d: %v", n, want2, err)
			}
			n = 0
			err = c.ScanWhere(1<<event.ColPID, 1<<event.Open|1<<event.Exec, func(b *event.Columns, sel []uint32) []uint32 {
				out := sel[:0]
				for _, i := range sel {
					if b.PID[i]%2 == 0 {
						out = append(out, i)
					}
				}
				return out
			}, func(r *event.Row, id load.RowID) error { n++; return nil })
			if err != nil || n != want3 {
				t.Fatalf("%d rows kept by the predicate, want %d: %v", n, want3, err)
			}
			in := c.Info()
			if in.Rows != uint64(len(want)) || len(in.Segments) != len(rows) || len(c.Findings()) != 0 {
				t.Errorf("info: %d rows, %d segments, findings %v", in.Rows, len(in.Segments), c.Findings())
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestScanStops(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	fill(t, dir, 5000)
	c, err := load.Open(dir, load.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	boom := errors.New("boom")
	for _, x := range []struct{ give, want error }{{load.Stop, nil}, {boom, boom}} {
		n := 0
		err := c.Scan(0, 0, func(*event.Row, load.RowID) error {
			if n++; n == 3 {
				return x.give
			}
			return nil
		})
		if err != x.want || n != 3 {
			t.Errorf("%d calls, %v; want 3, %v", n, err, x.want)
		}
	}
}

// TestDamaged flips a byte in one batch of one segment: the rows of that batch are missing,
// all others are there, and the finding says so.
func TestDamaged(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	fill(t, dir, 5000)
	list, err := store.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	victim := filepath.Join(dir, filepath.FromSlash(list[1].Path))
	b, err := os.ReadFile(victim)
	if err != nil {
		t.Fatal(err)
	}
	s, err := segment.Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	hit := s.Batches()[1]
	b[hit.Offset+hit.Length/2] ^= 4
	if err := os.Chmod(victim, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(victim, b, 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := load.Open(dir, load.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	rows := scan(t, c, 0, 0)
	if len(rows) != 5000-hit.Rows {
		t.Errorf("%d rows, want %d", len(rows), 5000-hit.Rows)
	}
	scan(t, c, 0, 0)
	fs := c.Findings()
	if len(fs) != 1 || fs[0].Class != segment.BadDigest || fs[0].Rows != uint64(hit.Rows) || fs[0].Segment != filepath.Base(victim) {
		t.Errorf("findings %+v", fs)
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	junk := filepath.Join(dir, "junk")
	if err := os.WriteFile(junk, []byte("this is no capture"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{junk, dir, filepath.Join(dir, "none")} {
		if c, err := load.Open(path, load.Options{}); err == nil {
			c.Close()
			t.Errorf("%s was opened", path)
		}
	}
}

func TestRowID(t *testing.T) {
	id := load.RowID{Segment: 3, Row: 1742}
	if got, err := load.ParseRowID(id.String()); err != nil || got != id || id.String() != "3:1742" {
		t.Errorf("%v, %v", got, err)
	}
	for _, s := range []string{"", "3", "3:", ":1", "a:1", "1:-1", "1:4294967296"} {
		if _, err := load.ParseRowID(s); err == nil {
			t.Errorf("%q was accepted", s)
		}
	}
}

func TestMem(t *testing.T) {
	m := load.Mem{{TS: 5, Type: event.Exit}, {TS: 1, Type: event.Fork}, {TS: 5, Type: event.Fork}}
	out := scan(t, m, 0, 0)
	if len(out) != 3 || out[0].id.Row != 1 || out[1].id.Row != 0 || out[2].id.Row != 2 {
		t.Errorf("order %v", out)
	}
	if out := scan(t, m, 0, 1<<event.Exit); len(out) != 1 || out[0].id.Row != 0 {
		t.Errorf("exits %v", out)
	}
}
