package segment_test

import (
	"testing"

	"hindcast/format/event"
	"hindcast/format/segment"
	"hindcast/format/testkit"
)

// TestBytesPerRow holds the size of a segment to a number: the rows are the same in every run, and so
// are the bytes, but for what a new version of the compressor does. They are harder than those of a
// host, since sizes, times and generations are drawn at random. A batch of few rows costs more: each
// starts its dictionaries anew.
func TestBytesPerRow(t *testing.T) {
	for _, x := range []struct {
		name  string
		batch int     // rows
		most  float64 // bytes per row
	}{
		{"busy host", 16384, 34.7},
		{"some load", 4096, 38.2},
		{"idle host", 512, 59.0},
	} {
		t.Run(x.name, func(t *testing.T) {
			f := new(discard)
			w, err := segment.NewWriter(f, meta, segment.Options{})
			if err != nil {
				t.Fatal(err)
			}
			h, c, rows := testkit.NewHost(1), new(event.Columns), 0
			for rows < 200_000 {
				c.Reset()
				h.Fill(c, x.batch)
				if err := w.Write(c); err != nil {
					t.Fatal(err)
				}
				rows += c.N
			}
			data, digests := f.n, int64(64*len(w.Entries()))
			if err := w.Seal(); err != nil {
				t.Fatal(err)
			}
			per, tail := float64(f.n)/float64(rows), float64(f.n-data+digests)/float64(f.n)
			t.Logf("%.2f bytes per row, %.2f %% of them hashes and index", per, 100*tail)
			if per > x.most {
				t.Errorf("%.2f bytes per row, at most %.2f: when there is a reason, change the bound with it", per, x.most)
			}
			if tail > 0.01 {
				t.Errorf("hashes and index are %.2f %% of the segment, at most 1", 100*tail)
			}
		})
	}
}
