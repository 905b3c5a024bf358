package segment_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"testing"

	"hindcast/format/event"
	"hindcast/format/segment"
	"hindcast/format/testkit"
)

// try does with a file everything that a reader does. Whatever the bytes are, nothing may
// panic, and rows that come out are rows: types and counts in range.
func try(t testing.TB, b, index []byte) {
	t.Helper()
	s, err := segment.OpenIndexed(bytes.NewReader(b), int64(len(b)), index)
	if err != nil {
		t.Fatalf("a reader that cannot fail failed: %v", err)
	}
	if _, err := s.Verify(); err != nil {
		t.Fatal(err)
	}
	var c event.Columns
	var r event.Row
	total := uint64(0)
	for i := range s.Batches() {
		err := s.Read(i, 0, &c)
		if f := segment.AsFinding(err); err != nil && f == nil {
			t.Fatal(err)
		}
		if c.N > segment.MaxRows {
			t.Fatalf("batch of %d rows", c.N)
		}
		for j := range c.N {
			c.Row(j, &r)
		}
		total += uint64(s.Batches()[i].Rows)
	}
	if total != s.Rows() {
		t.Fatalf("%d rows in batches, %d in all", total, s.Rows())
	}
	s.Summary()
	s.Filter().MayPath([]byte("/etc/passwd"))
	var f testkit.MemFile
	if _, err := s.Mend(&f); err == nil {
		m := open(t, f.B)
		if !m.Sealed() {
			t.Fatal("a mended segment is not sealed")
		}
	}
}

func FuzzOpen(f *testing.F) {
	sealed, _, _, _ := small(f, true)
	unsealed, index, _, _ := small(f, false)
	f.Add(sealed, []byte(nil))
	f.Add(unsealed, index)
	f.Add(sealed[:len(sealed)/2], index)
	f.Add([]byte(nil), []byte(nil))
	f.Fuzz(func(t *testing.T, b, index []byte) { try(t, b, index) })
}

// forge applies edits (offset, value) to an unsealed segment and makes the digests right
// again, so that what lies behind the digest check is tried.
func forge(base []byte, entries []segment.BatchInfo, edits []byte) []byte {
	b := append([]byte(nil), base...)
	for ; len(edits) >= 5; edits = edits[5:] {
		at := int(binary.LittleEndian.Uint32(edits)) % len(b)
		b[at] = edits[4]
	}
	for i, e := range entries {
		p := b[e.Offset : e.Offset+e.Length]
		end := int(e.Length)
		if i > 0 {
			n := int64(binary.LittleEndian.Uint32(p[e.Dict+4:]))
			if n < 128 || e.Dict+8+n > e.Length {
				continue
			}
			end = int(e.Dict + 8 + n)
		}
		copy(p[end-68:], bytes.Repeat([]byte("0"), 64))
		segment.Sign(p, end)
	}
	return b
}

func FuzzForged(f *testing.F) {
	base, index, w, _ := small(f, false)
	f.Add([]byte{0, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, edits []byte) {
		try(t, forge(base, w.Entries(), edits), index)
	})
}

// FuzzFooter leaves the batches alone and changes what is behind them; the checksum is made
// right again.
func FuzzFooter(f *testing.F) {
	base, _, w, _ := small(f, true)
	last := w.Entries()[len(w.Entries())-1]
	tail := int(last.Offset+last.Length) + 8
	f.Add(base[tail:])
	f.Fuzz(func(t *testing.T, b []byte) {
		file := append(append([]byte(nil), base[:tail]...), b...)
		try(t, file, nil)
		segment.Checksum(file)
		try(t, file, nil)
	})
}

// TestForged runs a fixed walk of what the fuzz targets do, with a bound on memory: a
// forged length must be refused before it is believed.
func TestForged(t *testing.T) {
	base, index, w, _ := small(t, false)
	sealed, _, _, _ := small(t, true)
	tail := int(w.Size()) + 8
	rnd := rand.New(rand.NewPCG(1, 1))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	rounds := 3000
	for i := range rounds {
		edits := make([]byte, 5*(1+rnd.IntN(3)))
		for j := range edits {
			edits[j] = byte(rnd.Uint32())
		}
		if i%2 == 0 { // a value that is a length or an offset is worth more tries
			edits[4] = []byte{0, 1, 0x7f, 0x80, 0xff}[rnd.IntN(5)]
		}
		try(t, forge(base, w.Entries(), edits), index)
		file := append([]byte(nil), sealed...)
		file[tail+rnd.IntN(len(file)-tail)] = byte(rnd.Uint32())
		segment.Checksum(file)
		try(t, file, nil)
	}
	runtime.ReadMemStats(&after)
	// An honest round takes about 2 MB in all its steps; one believed length would take 64.
	if per := float64(after.TotalAlloc-before.TotalAlloc) / float64(rounds) / 1e6; per > 20 {
		t.Errorf("%.1f MB allocated per round", per)
	}
}

// TestBombs forges lengths that ask for a lot of memory.
func TestBombs(t *testing.T) {
	base, _, w, _ := small(t, false)
	e := w.Entries()[1]
	// Every place in the batch's metadata and in front of its buffers that holds a length,
	// one after the other, is made huge.
	for at := int(e.Offset); at+8 <= int(e.Offset+e.Length); at += 8 {
		for _, v := range []uint64{1 << 20, 1 << 30, 1 << 40, 1<<63 - 1, 1<<64 - 1} {
			edits := make([]byte, 0, 40)
			for i := range 8 {
				edits = binary.LittleEndian.AppendUint32(edits, uint32(at+i))
				edits = append(edits, byte(v>>(8*i)))
			}
			s := open(t, forge(base, w.Entries(), edits))
			for i := range s.Batches() {
				var c event.Columns
				if err := s.Read(i, 0, &c); err != nil && segment.AsFinding(err) == nil {
					t.Fatal(err)
				}
			}
		}
	}
	var peak runtime.MemStats
	runtime.ReadMemStats(&peak)
	if peak.HeapSys > 256<<20 {
		t.Errorf("the heap grew to %d MiB", peak.HeapSys>>20)
	}
}
