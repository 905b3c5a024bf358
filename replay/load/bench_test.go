package load_test

import (
	"path/filepath"
	"testing"

	"hindcast/format/event"
	"hindcast/format/store"
	"hindcast/format/testkit"
	"hindcast/replay/load"
)

// BenchmarkScan merges a store of a million rows: everything, what a process tree needs,
// and a predicate on two columns that keeps little.
func BenchmarkScan(b *testing.B) {
	dir := filepath.Join(b.TempDir(), "store")
	s, err := store.Create(dir, store.Options{Meta: meta})
	if err != nil {
		b.Fatal(err)
	}
	h := testkit.NewHost(1)
	var c event.Columns
	rows := 0
	for range 64 {
		h.Fill(&c, 16384)
		rows += c.N
		if err := s.Append(&c); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	capture, err := load.Open(dir, load.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer capture.Close()
	keep := func(c *event.Columns, sel []uint32) []uint32 {
		out := sel[:0]
		for _, i := range sel {
			if c.PID[i] == 1100 {
				out = append(out, i)
			}
		}
		return out
	}
	for _, x := range []struct {
		name        string
		cols, types uint64
		where       func(*event.Columns, []uint32) []uint32
	}{
		{"all", 0, 0, nil},
		{"tree", 0, 1<<event.Fork | 1<<event.Exec | 1<<event.Exit, nil},
		{"pid", 1<<event.ColPID | 1<<event.ColPath, 0, keep},
	} {
		b.Run(x.name, func(b *testing.B) {
			for range b.N {
				if err := capture.ScanWhere(x.cols, x.types, x.where, func(*event.Row, load.RowID) error { return nil }); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)*float64(rows)/b.Elapsed().Seconds()/1e6, "Mrows/s")
		})
	}
}
