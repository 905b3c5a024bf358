package segment_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"hindcast/format/event"
	"hindcast/format/segment"
	"hindcast/format/testkit"
)

var freeze = flag.Bool("freeze", false, "write a frozen segment that does not exist yet")

const frozenDir = "../../testdata/segment"

// TestFrozen reads segments that earlier versions wrote and compares every value with the
// text beside them. They are never written anew: a reader that cannot read them is broken.
func TestFrozen(t *testing.T) {
	if *freeze {
		dir := filepath.Join(frozenDir, fmt.Sprintf("v%d", event.Version))
		if _, err := os.Stat(dir); err == nil {
			t.Fatalf("%s exists", dir)
		}
		all := testkit.EveryEvent(3_600_000_000_000)
		h := testkit.NewHost(5)
		busy := make([]event.Row, 400)
		for i := range busy {
			h.Next(&busy[i])
		}
		f, _ := write(t, true, all, busy, all[3:5])
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "segment.arrows"), f.B, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "rows.txt"), dump(t, f.B), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	dirs, err := filepath.Glob(filepath.Join(frozenDir, "v*"))
	if err != nil || len(dirs) < event.Version {
		t.Fatalf("frozen segments %v, %v; want one per catalogue version", dirs, err)
	}
	for _, dir := range dirs {
		b, err := os.ReadFile(filepath.Join(dir, "segment.arrows"))
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(filepath.Join(dir, "rows.txt"))
		if err != nil {
			t.Fatal(err)
		}
		if got := dump(t, b); !bytes.Equal(got, want) {
			a, b := bytes.Split(got, []byte("\n")), bytes.Split(want, []byte("\n"))
			for i := range min(len(a), len(b)) {
				if !bytes.Equal(a[i], b[i]) {
					t.Fatalf("%s: line %d is\n%s\nwant\n%s", dir, i+1, a[i], b[i])
				}
			}
			t.Fatalf("%s: %d lines, want %d", dir, len(a), len(b))
		}
	}
}

// dump prints a segment: what it says of itself, and every value that is not null and not zero.
func dump(t *testing.T, b []byte) []byte {
	t.Helper()
	s, err := segment.Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	fs, err := s.Verify()
	if err != nil || len(fs) != 0 || !s.Sealed() {
		t.Fatalf("findings %v, %v", fs, err)
	}
	var out bytes.Buffer
	m := s.Meta()
	fmt.Fprintf(&out, "format %d catalog %d host %q boot %q clock %d %d number %d prev %q command %q\n",
		m.Format, m.Catalog, m.Host, m.BootID, m.Clock.Boot, m.Clock.Wall, m.Number, m.Prev, m.Command)
	fmt.Fprintf(&out, "root %s rows %d lost %d\n", s.Root(), s.Rows(), s.Lost())
	for _, r := range readAll(t, s) {
		fmt.Fprintf(&out, "%d %s", r.TS, r.Type)
		for col := event.ColFlags; col < event.NumColumns; col++ {
			info := event.ColumnTable[col]
			if v := r.Bytes(col); len(v) > 0 {
				fmt.Fprintf(&out, " %s=%q", info.Name, v)
			} else if v := r.Int(col); v != 0 {
				fmt.Fprintf(&out, " %s=%d", info.Name, v)
			}
		}
		out.WriteByte('\n')
	}
	return out.Bytes()
}
