package spill

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"hindcast/format/clock"
	"hindcast/format/event"
	"hindcast/format/segment"
	"hindcast/format/store"
	"hindcast/format/testkit"
)

var now = clock.Pair{Boot: clock.Boot(time.Hour), Wall: clock.FromTime(time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC))}

var meta = segment.Meta{Host: "h", MachineID: "m", BootID: "3f9c12ab", Clock: now, Started: 7}

// batch is rows that no other number has.
func batch(n, rows int) *event.Columns {
	var out []event.Row
	for i := range rows {
		out = append(out, event.Row{TS: clock.Boot(1e9 + n*1000 + i), Type: event.Open, PID: uint32(n), Path: fmt.Appendf(nil, "/%d/%d", n, i)})
	}
	return testkit.Batch(out)
}

// killed is a store's folder in which a recorder was killed that had put batches 0 to n-1 into its
// file, of which it had encoded the first done.
func killed(t *testing.T, n, done int, noted bool) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "store")
	s, err := store.Create(dir, store.Options{Meta: meta})
	if err != nil {
		t.Fatal(err)
	}
	f := New(dir, meta, Options{})
	for i := range n {
		if err := f.Add(batch(i, 10+i), now); err != nil {
			t.Fatal(err)
		}
	}
	var c event.Columns
	for i := range done {
		fr, err := f.Next(&c)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Append(&c); err != nil {
			t.Fatal(err)
		}
		if i == done-1 && !noted { // killed between the two
			break
		}
		if err := f.Done(fr); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// stored returns how many rows each batch has in the store, and the ledger rows.
func stored(t *testing.T, dir string) (rows map[uint32]int, ledger []event.Row) {
	t.Helper()
	entries, err := store.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	rows = map[uint32]int{}
	last := clock.Boot(0)
	for _, e := range entries {
		f, err := os.Open(filepath.Join(dir, e.Path))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		st, _ := f.Stat()
		seg, err := segment.Open(f, st.Size())
		if err != nil {
			t.Fatal(err)
		}
		var c event.Columns
		for i := range seg.Batches() {
			if err := seg.Read(i, 0, &c); err != nil {
				t.Fatal(err)
			}
			var r event.Row
			for k := range c.N {
				c.Row(k, &r)
				if r.Type == event.Ledger {
					r.Text, r.Text2 = append([]byte(nil), r.Text...), append([]byte(nil), r.Text2...)
					ledger = append(ledger, r)
					continue
				}
				if r.TS < last {
					t.Errorf("row of %d after one of %d", r.TS, last)
				}
				last = r.TS
				rows[r.PID]++
			}
		}
	}
	return rows, ledger
}

func check(t *testing.T, dir string, batches int, without ...int) []event.Row {
	t.Helper()
	rows, ledger := stored(t, dir)
	for i := range batches {
		want := 10 + i
		for _, w := range without {
			if w == i {
				want = 0
			}
		}
		if rows[uint32(i)] != want {
			t.Errorf("batch %d: %d rows, want %d", i, rows[uint32(i)], want)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, Name)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file is still there: %v", err)
	}
	return ledger
}

func TestQueueKeepsOrderAndGoesAway(t *testing.T) {
	dir := t.TempDir()
	f := New(dir, meta, Options{})
	var c event.Columns
	if _, err := f.Next(&c); err != io.EOF {
		t.Fatalf("of an empty file: %v", err)
	}
	next, got := 0, 0
	for round := range 3 {
		for range 5 + round {
			if err := f.Add(batch(next, 20), now); err != nil {
				t.Fatal(err)
			}
			next++
		}
		for f.Len() > 2-round {
			fr, err := f.Next(&c)
			if err != nil || c.PID[0] != uint32(got) || c.N != 20 || fr.Clock != now {
				t.Fatalf("batch %d: %+v, %v", got, fr, err)
			}
			if err := f.Done(fr); err != nil {
				t.Fatal(err)
			}
			got++
		}
	}
	if got != next {
		t.Errorf("%d of %d batches", got, next)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("%v is left", left)
	}
}

func TestFileKeepsToItsSize(t *testing.T) {
	dir := t.TempDir()
	f := New(dir, meta, Options{Max: 64 << 10})
	n := 0
	for ; ; n++ {
		if err := f.Add(batch(n, 20), now); err != nil {
			if !errors.Is(err, ErrFull) {
				t.Fatal(err)
			}
			break
		}
	}
	if st, err := os.Stat(filepath.Join(dir, Name)); err != nil || st.Size() > 64<<10 || n == 0 || f.Len() != n {
		t.Errorf("%d batches, %v, %v", n, st.Size(), err)
	}
	// A tenth of what is free, should that be less.
	g := New(t.TempDir(), meta, Options{Free: func() (int64, error) { return 100 << 10, nil }})
	if err := g.Add(batch(0, 200), now); !errors.Is(err, ErrFull) {
		t.Errorf("on a disk that is nearly full: %v", err)
	}
}

func TestTakeInAfterAKill(t *testing.T) {
	for _, x := range []struct {
		name  string
		done  int
		noted bool
	}{{"none encoded", 0, true}, {"some encoded", 3, true}, {"encoded and not noted", 3, false}, {"all but one", 5, true}, {"the last one not noted", 6, false}} {
		t.Run(x.name, func(t *testing.T) {
			dir := killed(t, 6, x.done, x.noted)
			got, err := TakeIn(dir)
			if err != nil {
				t.Fatal(err)
			}
			if ledger := check(t, dir, 6); len(ledger) != 0 || got.Lost != 0 {
				t.Errorf("ledger %v, %+v", ledger, got)
			}
			if again, err := TakeIn(dir); again != nil || err != nil {
				t.Errorf("a second time: %+v, %v", again, err)
			}
		})
	}
}

// Wherever the file ends, what is whole before is taken in, and the frame that was being written is
// nobody's loss.
func TestTakeInOfACutFile(t *testing.T) {
	whole := killed(t, 3, 0, true)
	b, err := os.ReadFile(filepath.Join(whole, Name))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, 10, page, headSize - 1, headSize, headSize + 1, headSize + frameHead, headSize + page - 1, len(b) - 1} {
		dir := killed(t, 3, 0, true)
		if err := os.Truncate(filepath.Join(dir, Name), int64(n)); err != nil {
			t.Fatal(err)
		}
		got, err := TakeIn(dir)
		if err != nil {
			t.Fatalf("cut to %d: %v", n, err)
		}
		if got.Lost != 0 || len(got.Damaged) != 0 {
			t.Errorf("cut to %d: %+v", n, got)
		}
		if _, err := os.Stat(filepath.Join(dir, Name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("cut to %d: the file is still there", n)
		}
	}
}

func TestTakeInTellsDamage(t *testing.T) {
	place := func(t *testing.T, dir string, n int) int64 {
		f := &File{}
		var err error
		if f.f, err = os.Open(filepath.Join(dir, Name)); err != nil {
			t.Fatal(err)
		}
		defer f.f.Close()
		at := int64(headSize)
		for range n {
			fr, err := f.frame(at, 1<<40)
			if err != nil {
				t.Fatal(err)
			}
			at = fr.next
		}
		return at
	}
	for _, x := range []struct {
		name   string
		offset int64 // in the frame
	}{{"body", 100}, {"head", 5}} {
		t.Run(x.name, func(t *testing.T) {
			dir := killed(t, 5, 0, true)
			f, err := os.OpenFile(filepath.Join(dir, Name), os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.WriteAt([]byte{0x5a, 0xa5}, place(t, dir, 2)+x.offset); err != nil {
				t.Fatal(err)
			}
			f.Close()
			got, err := TakeIn(dir)
			if err != nil {
				t.Fatal(err)
			}
			ledger := check(t, dir, 5, 2)
			if got.Lost != 12 || len(ledger) != 1 || ledger[0].N2 != 12 || string(ledger[0].Text) != Cause {
				t.Errorf("%+v, ledger %+v", got, ledger)
			}
		})
	}
}

func TestNoSpillFileIsLeftAlone(t *testing.T) {
	dir := killed(t, 1, 0, true)
	name := filepath.Join(dir, Name)
	if err := os.WriteFile(name, make([]byte, 3*page), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := TakeIn(dir); !errors.Is(err, ErrHead) {
		t.Errorf("%v", err)
	}
	if st, err := os.Stat(name); err != nil || st.Size() != 3*page {
		t.Errorf("it was touched: %v", err)
	}
}
