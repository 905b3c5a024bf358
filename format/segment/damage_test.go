package segment_test

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"testing"

	"hindcast/format/event"
	"hindcast/format/segment"
	"hindcast/format/testkit"
)

// small is a segment of three batches for tests that try every offset. The first has every
// dictionary, empty ones too; the second and third only those they use.
func small(t testing.TB, seal bool) (b, index []byte, w *segment.Writer, batches [][]event.Row) {
	all := testkit.EveryEvent(3_600_000_000_000)
	batches = [][]event.Row{all[:2], all[7:9], all[20:23]}
	f, w := write(t, seal, batches...)
	for i := range w.Entries() {
		index = append(index, w.Entries()[i].IndexEntry()...)
	}
	return f.B, index, w, batches
}

func openIndexed(t testing.TB, b, index []byte) *segment.Segment {
	t.Helper()
	s, err := segment.OpenIndexed(bytes.NewReader(b), int64(len(b)), index)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func classes(fs []segment.Finding) (out []segment.Class) {
	for _, f := range fs {
		out = append(out, f.Class)
	}
	return out
}

// TestEveryCut cuts a segment at every byte. What lies whole before the cut must come back,
// value by value, nothing else may, and the one finding must name the right class.
func TestEveryCut(t *testing.T) {
	full, index, w, batches := small(t, true)
	entries := w.Entries()
	ends := make(map[int]bool)
	for _, e := range entries {
		ends[int(e.Offset+e.Length)] = true
	}
	schema := int(entries[0].Length)
	for _, indexed := range []bool{false, true} {
		for cut := 0; cut < len(full); cut++ {
			var idx []byte
			if indexed {
				idx = index
			}
			s := openIndexed(t, full[:cut:cut], idx)
			whole := 0
			var want []event.Row
			for i, e := range entries[1:] {
				if int(e.Offset+e.Length) <= cut {
					whole++
					want = append(want, batches[i]...)
				}
			}
			if len(s.Batches()) != whole {
				t.Fatalf("cut at %d: %d batches, want %d", cut, len(s.Batches()), whole)
			}
			if cut%31 == 0 || ends[cut] {
				sameRows(t, readAll(t, s), want)
			}
			class := segment.TornTail
			switch {
			case cut == 0:
				class = segment.Empty
			case cut >= schema && ends[cut]:
				class = segment.Unsealed
			}
			fs := s.Findings()
			if len(fs) != 1 || fs[0].Class != class {
				t.Fatalf("cut at %d: findings %v; want one %s", cut, fs, class)
			}
			if s.Sealed() {
				t.Fatalf("cut at %d: sealed", cut)
			}
			if f := fs[0]; indexed && class == segment.TornTail && cut > schema && cut < int(entries[len(entries)-1].Offset) && f.Rows == 0 {
				t.Fatalf("cut at %d: the side index knows how many rows are gone, the finding does not", cut)
			}
		}
	}
}

// TestEveryFlip changes every byte of a segment, sealed and unsealed, on one core and on
// two (arrow's own reader checks nothing on two). Every change must be found, and cost no
// row outside the batch it hit.
func TestEveryFlip(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for _, x := range []struct {
		procs int
		kind  string
		mask  func(at int) byte
	}{
		{1, "sealed", func(at int) byte { return 1 << (at % 8) }},
		{2, "sealed", func(at int) byte { return 0x80 >> (at % 8) }},
		{2, "sealed", func(at int) byte { return 0xff }},
		{1, "unsealed", func(at int) byte { return 1 << (at % 8) }},
		{2, "unsealed", func(at int) byte { return 0x20 }},
		{2, "indexed", func(at int) byte { return 1 << (at % 8) }},
	} {
		t.Run(fmt.Sprintf("%s/%d", x.kind, x.procs), func(t *testing.T) {
			runtime.GOMAXPROCS(x.procs)
			everyFlip(t, x.kind, x.mask)
		})
	}
}

func everyFlip(t *testing.T, kind string, mask func(at int) byte) {
	full, index, w, batches := small(t, kind == "sealed")
	if kind != "indexed" {
		index = nil
	}
	entries := w.Entries()
	b := append([]byte(nil), full...)
	var c event.Columns
	for at := range b {
		b[at] ^= mask(at)
		s := openIndexed(t, b, index)
		n, rows := 0, 0
		for _, f := range s.Findings() {
			if f.Class != segment.Unsealed {
				n++
			}
		}
		for i := range s.Batches() {
			if err := s.Read(i, 0, &c); err != nil {
				n++
			}
			rows += c.N
		}
		if n == 0 {
			t.Fatalf("byte %d of %d changed by %#x: not found", at, len(b), mask(at))
		}
		// The schema of an unsealed file may be lost beyond use; no other hit may cost more
		// than its batch.
		if at >= int(entries[0].Length) || kind == "sealed" {
			var want []event.Row
			for i, e := range entries[1:] {
				if at < int(e.Offset) || at >= int(e.Offset+e.Length) {
					want = append(want, batches[i]...)
				}
			}
			if rows != len(want) {
				t.Fatalf("byte %d changed by %#x: %d rows, want %d; findings %v", at, mask(at), rows, len(want), s.Findings())
			}
			if at%97 == 0 {
				sameRows(t, readAll(t, s), want)
				if fs, err := s.Verify(); err != nil || len(fs) < n {
					t.Fatalf("byte %d: Verify finds %v, %v", at, fs, err)
				}
			}
		}
		b[at] ^= mask(at)
	}
	if !bytes.Equal(b, full) {
		t.Fatal("the test broke its own bytes")
	}
}

// TestMend cuts and hits an unsealed segment and mends it: the result is sealed, holds
// every batch that was whole, says what happened each time it is opened, and arrow reads it.
func TestMend(t *testing.T) {
	all := testkit.EveryEvent(3_600_000_000_000)
	batches := [][]event.Row{all[:2], all[7:9], all[16:19], all[2:3], all[20:24]}
	f, w := write(t, false, batches...)
	full, entries := f.B, w.Entries()
	hit := append([]byte(nil), full...)
	hit[entries[2].Offset+entries[2].Length/2] ^= 1
	last := entries[len(entries)-1]
	for _, x := range []struct {
		name  string
		bytes []byte
		keep  []int
		left  int
		class []segment.Class
	}{
		{"whole", full, []int{0, 1, 2, 3, 4}, 0, []segment.Class{segment.Unsealed}},
		{"cut", full[:last.Offset+9], []int{0, 1, 2, 3}, 1, []segment.Class{segment.TornTail}},
		{"hit", hit, []int{0, 2, 3, 4}, 1, []segment.Class{segment.BadDigest, segment.Unsealed}},
		{"hit and cut", hit[:last.Offset+last.Length-1], []int{0, 2, 3}, 2, []segment.Class{segment.BadDigest, segment.TornTail}},
	} {
		t.Run(x.name, func(t *testing.T) {
			var f testkit.MemFile
			left, err := open(t, x.bytes).Mend(&f)
			if err != nil || len(left) != x.left || f.Synced != len(f.B) {
				t.Fatalf("left %v, %v, %d of %d bytes synced", left, err, f.Synced, len(f.B))
			}
			s := open(t, f.B)
			fs, err := s.Verify()
			if err != nil || fmt.Sprint(classes(fs)) != fmt.Sprint(x.class) {
				t.Fatalf("findings %v, %v; want %v", fs, err, x.class)
			}
			for _, f := range fs {
				if !f.Recovered {
					t.Errorf("finding %v is not marked as recovered", f)
				}
			}
			if !s.Sealed() || s.Flags()&segment.FlagRecovered == 0 || s.Flags()&segment.FlagDropped != 0 != (x.left > 0) {
				t.Errorf("sealed %v, flags %#x", s.Sealed(), s.Flags())
			}
			var want []event.Row
			for _, i := range x.keep {
				want = append(want, batches[i]...)
			}
			sameRows(t, readAll(t, s), want)
			if n := arrowRows(t, f.B); n != len(want) {
				t.Errorf("arrow reads %d rows, want %d", n, len(want))
			}
		})
	}
	if _, err := open(t, full[:100]).Mend(new(testkit.MemFile)); err == nil {
		t.Error("a file without schema was mended")
	}
}

// TestNthFailure makes every file operation of a writer fail in turn. Whatever Write said
// was written must be readable, and Write must have said how many rows were not.
func TestNthFailure(t *testing.T) {
	_, _, _, batches := small(t, false)
	for n := 1; ; n++ {
		f := &testkit.MemFile{FailAt: n}
		w, err := segment.NewWriter(f, meta, segment.Options{})
		if err != nil {
			continue // the schema was not written
		}
		var want []event.Row
		failed := false
		for _, b := range batches {
			if err := w.Write(testkit.Batch(b)); err == nil {
				want = append(want, b...)
			} else if we := new(segment.WriteError); !failed && (!asWrite(err, &we) || we.Rows != len(b) || we.Cut != nil) {
				t.Fatalf("operation %d: %v", n, err)
			} else {
				failed = true
			}
		}
		sealErr := w.Seal()
		if sealErr != nil {
			sameRows(t, readAll(t, open(t, f.B)), want)
			if err := w.Seal(); err != nil {
				t.Fatalf("operation %d: second seal: %v", n, err)
			}
		}
		s := open(t, f.B)
		if !s.Sealed() || len(s.Findings()) != 0 || s.Flags()&segment.FlagWriteError != 0 != failed {
			t.Fatalf("operation %d: sealed %v, flags %#x, %v", n, s.Sealed(), s.Flags(), s.Findings())
		}
		sameRows(t, readAll(t, s), want)
		if f.Ops < n {
			break
		}
	}
}

func asWrite(err error, we **segment.WriteError) bool { return errors.As(err, we) }

// TestRewind fails a sync: what was durable stays, what was not comes back to be written
// elsewhere.
func TestRewind(t *testing.T) {
	_, _, _, batches := small(t, false)
	for synced := 0; synced <= len(batches)+1; synced++ {
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
		w.Synced(synced)
		again, whole, err := w.Rewind()
		if err != nil || !whole {
			t.Fatal(whole, err)
		}
		kept := max(synced-1, 0)
		var got, want []event.Row
		for _, c := range again {
			for i := range c.N {
				var r event.Row
				c.Row(i, &r)
				got = append(got, r)
			}
		}
		for _, b := range batches[kept:] {
			want = append(want, b...)
		}
		sameRows(t, got, want)
		if synced == 0 {
			if len(f.B) != 0 {
				t.Error("nothing was durable and something is left")
			}
			continue
		}
		if err := w.Seal(); err != nil {
			t.Fatal(err)
		}
		want = nil
		for _, b := range batches[:kept] {
			want = append(want, b...)
		}
		s := open(t, f.B)
		if fs, _ := s.Verify(); len(fs) != 0 {
			t.Errorf("findings %v", fs)
		}
		sameRows(t, readAll(t, s), want)
	}
}
