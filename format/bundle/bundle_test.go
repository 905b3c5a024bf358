package bundle_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"hindcast/format/bundle"
	"hindcast/format/clock"
	"hindcast/format/event"
	"hindcast/format/segment"
	"hindcast/format/store"
	"hindcast/format/testkit"
)

var meta = segment.Meta{Host: "box", BootID: "3f9c12ab-0000-4000-8000-000000000001", Recorder: "test", Command: []string{"make", "demo"},
	Clock: clock.Pair{Boot: 3_600_000_000_000, Wall: 1_795_000_000_000_000_000}}

// source is a small segment with a ledger and a coverage row.
func source(t testing.TB, number uint64, prev string, seal bool) (bundle.Source, string) {
	t.Helper()
	m := meta
	m.Number, m.Prev = number, prev
	f := new(testkit.MemFile)
	w, err := segment.NewWriter(f, m, segment.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ts := m.Clock.Boot + clock.Boot(number)
	if err := w.Write(testkit.Batch([]event.Row{
		{Type: event.Coverage, TS: ts, Text: []byte("sched_process_exec"), N1: 1, Op: 1, N2: 4},
		{Type: event.Ledger, TS: ts, Text: []byte("ring_full"), N1: 2, N2: 10},
		{Type: event.Exit, TS: ts, PID: 7, PStart: 3},
	})); err != nil {
		t.Fatal(err)
	}
	if seal {
		if err := w.Seal(); err != nil {
			t.Fatal(err)
		}
	}
	return bundle.Source{Name: segment.NameOf(ts.Wall(m.Clock.Offset()), &m), R: f, Size: int64(len(f.B))}, w.Root().String()
}

func pack(t testing.TB) []byte {
	t.Helper()
	a, root := source(t, 1, "", true)
	b, root := source(t, 2, root, false)
	c, _ := source(t, 3, root, true)
	var buf bytes.Buffer
	if err := bundle.Write(&buf, []bundle.Source{c, a, b}, bundle.Manifest{Name: "x", Created: "2026-11-20"}); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func read(t testing.TB, b []byte) *bundle.Bundle {
	t.Helper()
	got, err := bundle.Read(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestBundle packs three segments, one of them not sealed, given in the wrong order, and
// reads them back; the same input gives the same bytes.
func TestBundle(t *testing.T) {
	packed := pack(t)
	if !bytes.Equal(packed, pack(t)) {
		t.Error("the same segments gave other bytes")
	}
	b := read(t, packed)
	if len(b.Segments) != 3 || b.Manifest.Host != "box" || len(b.Manifest.Command) != 2 || len(b.Manifest.Segments) != 3 {
		t.Fatalf("%d segments, manifest %+v", len(b.Segments), b.Manifest)
	}
	for i, s := range b.Segments {
		if s.Name.Number != uint64(i+1) || !s.Sealed() || s.Rows() != 3 || b.Manifest.Segments[i].Rows != 3 {
			t.Errorf("segment %d: %s, sealed %v, %d rows", i, s.Name, s.Sealed(), s.Rows())
		}
	}
	if len(b.Ledger.Losses) != 1 || b.Ledger.Losses[0] != (segment.Loss{Class: event.Exec, Cause: "ring_full", Count: 30}) || len(b.Ledger.Coverage) != 1 {
		t.Errorf("ledger %+v", b.Ledger)
	}
	// The one that was not sealed says so, for good.
	if fs := b.Findings(); len(fs) != 1 || fs[0].Class != segment.Unsealed || !fs[0].Recovered {
		t.Errorf("findings %+v", fs)
	}
}

// TestTar opens a bundle with an ordinary tar reader.
func TestTar(t *testing.T) {
	r := tar.NewReader(bytes.NewReader(pack(t)))
	var names []string
	for {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Mode != 0o440 || h.Typeflag != tar.TypeReg || !h.ModTime.IsZero() && h.ModTime.Unix() != 0 {
			t.Errorf("%s: %+v", h.Name, h)
		}
		if n, err := io.Copy(io.Discard, r); err != nil || n != h.Size {
			t.Errorf("%s: %d of %d bytes, %v", h.Name, n, h.Size, err)
		}
		names = append(names, h.Name)
	}
	if len(names) != 6 || names[0] != "manifest.json" || names[1] != "checkpoint" || names[2] != "ledger.json" {
		t.Errorf("members %q", names)
	}
}

// damaged says whether anything in the bundle, its segments' bytes included, is found wrong
// beyond what the mended segment says of its own past.
func damaged(t *testing.T, b *bundle.Bundle) bool {
	t.Helper()
	all := b.Findings()
	for i := range b.Segments {
		fs, err := b.Segments[i].Verify()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, fs...)
	}
	for _, f := range all {
		if !f.Recovered {
			return true
		}
	}
	return false
}

// TestEveryCut cuts a bundle at every 16th byte, and at every byte around the borders of
// its members: what is left opens with a finding, or is refused as no bundle.
func TestEveryCut(t *testing.T) {
	packed := pack(t)
	for cut := 0; cut < len(packed); cut++ {
		if cut%16 != 0 && cut%512 > 8 && cut%512 < 504 {
			continue
		}
		b, err := bundle.Read(bytes.NewReader(packed[:cut]), int64(cut))
		switch {
		case cut < 512:
			if !errors.Is(err, bundle.ErrNotABundle) {
				t.Fatalf("cut at %d: %v", cut, err)
			}
		case err != nil:
			t.Fatalf("cut at %d: %v", cut, err)
		case !damaged(t, b):
			t.Fatalf("cut at %d: not found", cut)
		}
	}
}

// TestEveryFlip changes every byte of a bundle that is its own, and every 13th of the
// segments, whose own test changes all of theirs.
func TestEveryFlip(t *testing.T) {
	packed := pack(t)
	r := bytes.NewReader(packed)
	segments := make([]bool, len(packed))
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if err != nil {
			break
		}
		if at := len(packed) - r.Len(); filepath.Ext(h.Name) == segment.Ext {
			for i := range int(h.Size) {
				segments[at+i] = i%13 != 0
			}
		}
	}
	for at := range packed {
		if segments[at] {
			continue
		}
		packed[at] ^= 1 << (at % 8)
		b, err := bundle.Read(bytes.NewReader(packed), int64(len(packed)))
		if err == nil && !damaged(t, b) {
			t.Fatalf("byte %d changed: not found", at)
		}
		packed[at] ^= 1 << (at % 8)
	}
}

// TestHostile opens archives that a bundle must never be.
func TestHostile(t *testing.T) {
	packed := pack(t)
	other := func(f func(w *tar.Writer)) []byte {
		var buf bytes.Buffer
		w := tar.NewWriter(&buf)
		f(w)
		w.Close()
		return buf.Bytes()
	}
	add := func(w *tar.Writer, h *tar.Header, body string) {
		h.Size = int64(len(body))
		if h.Mode == 0 {
			h.Mode = 0o440
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, body)
	}
	twice := append(append([]byte(nil), packed[:1024+512*((len(manifestOf(t, packed))-1)/512)]...), packed...)
	for name, b := range map[string][]byte{
		"empty":     {},
		"zeros":     make([]byte, 4096),
		"junk":      bytes.Repeat([]byte("junk"), 1000),
		"other tar": other(func(w *tar.Writer) { add(w, &tar.Header{Name: "a.txt"}, "hello") }),
		"link": other(func(w *tar.Writer) {
			add(w, &tar.Header{Name: "manifest.json", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}, "")
		}),
		"upward path": other(func(w *tar.Writer) { add(w, &tar.Header{Name: "../manifest.json"}, "{}") }),
		"twice":       twice,
	} {
		if got, err := bundle.Read(bytes.NewReader(b), int64(len(b))); !errors.Is(err, bundle.ErrNotABundle) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	if err := bundle.Write(io.Discard, nil, bundle.Manifest{}); !errors.Is(err, bundle.ErrEmpty) {
		t.Errorf("no segments: %v", err)
	}
	bad := bundle.Source{Name: segment.Name{Boot: "00000000"}, R: bytes.NewReader([]byte("no segment at all")), Size: 17}
	if err := bundle.Write(io.Discard, []bundle.Source{bad}, bundle.Manifest{}); err == nil {
		t.Error("junk was packed")
	}
}

func manifestOf(t *testing.T, b []byte) []byte {
	r := tar.NewReader(bytes.NewReader(b))
	if _, err := r.Next(); err != nil {
		t.Fatal(err)
	}
	p, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestWriteDir packs a store and compares the bytes of the segments; verify finds nothing.
func TestWriteDir(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	s, err := store.Create(dir, store.Options{Meta: meta, SegmentBytes: 20 << 10})
	if err != nil {
		t.Fatal(err)
	}
	var c event.Columns
	h := testkit.NewHost(1)
	for range 10 {
		h.Fill(&c, 200)
		if err := s.Append(&c); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	dst := filepath.Join(t.TempDir(), "x.hind")
	if err := bundle.WriteDir(dst, dir, bundle.Manifest{}); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(dst); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", st, err)
	}
	rep, err := store.Verify(dst)
	if err != nil || len(rep.Findings) != 0 || rep.Rows != 2000 || rep.Kind != "bundle" || len(rep.Segments) < 2 {
		t.Fatalf("%+v, %v", rep, err)
	}
	direct, err := store.Verify(dir)
	if err != nil || direct.Head != rep.Head {
		t.Errorf("head %s, the store has %s", rep.Head, direct.Head)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(dst), ".*")); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	if err := bundle.WriteDir(dst, t.TempDir(), bundle.Manifest{}); !errors.Is(err, bundle.ErrEmpty) {
		t.Errorf("an empty folder: %v", err)
	}
	if again, err := bundle.Open(dst); err != nil {
		t.Errorf("the failed write touched the old file: %v", err)
	} else {
		again.Close()
	}
}

func FuzzBundle(f *testing.F) {
	packed := pack(f)
	f.Add(packed)
	f.Add(packed[:len(packed)/2])
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := bundle.Read(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		got.Findings()
		for i := range got.Segments {
			if _, err := got.Segments[i].Verify(); err != nil {
				t.Fatal(err)
			}
		}
	})
}
