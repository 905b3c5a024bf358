package segment_test

import (
	"bytes"
	"runtime"
	"testing"
	"time"

	"hindcast/format/event"
	"hindcast/format/segment"
	"hindcast/format/testkit"
)

// discard is a segment.File that keeps nothing.
type discard struct{ n int64 }

func (d *discard) WriteAt(p []byte, off int64) (int, error) {
	d.n = off + int64(len(p))
	return len(p), nil
}
func (d *discard) Truncate(int64) error { return nil }
func (d *discard) Sync() error          { return nil }

// perSecond reports rows per second of wall and of processor time.
func perSecond(b *testing.B, rows float64, start time.Duration) {
	b.ReportMetric(rows/b.Elapsed().Seconds()/1e6, "Mrows/s")
	if cpu := cpuTime() - start; cpu > 0 {
		b.ReportMetric(rows/cpu.Seconds()/1e6, "Mrows/cpu-s")
	}
}

func hostBatches(rows, n int) []*event.Columns {
	h := testkit.NewHost(1)
	out := make([]*event.Columns, n)
	for i := range out {
		out[i] = new(event.Columns)
		h.Fill(out[i], rows)
	}
	return out
}

// BenchmarkWrite reports rows/s and bytes/row for batches as a busy and as an idle host
// writes them.
func BenchmarkWrite(b *testing.B) {
	for _, x := range []struct {
		name string
		rows int
	}{{"16384", 16384}, {"4096", 4096}, {"512", 512}} {
		b.Run(x.name, func(b *testing.B) {
			batches := hostBatches(x.rows, 8)
			f := new(discard)
			w, err := segment.NewWriter(f, meta, segment.Options{})
			if err != nil {
				b.Fatal(err)
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := cpuTime()
			b.ResetTimer()
			for i := range b.N {
				if err := w.Write(batches[i%len(batches)]); err != nil {
					b.Fatal(err)
				}
				w.Synced(len(w.Entries()))
			}
			b.StopTimer()
			runtime.ReadMemStats(&after)
			rows := float64(b.N) * float64(x.rows)
			perSecond(b, rows, start)
			b.ReportMetric(float64(f.n)/rows, "bytes/row")
			b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/rows, "alloc/row")
		})
	}
}

// BenchmarkAppend measures making the columns from rows, which comes before Write.
func BenchmarkAppend(b *testing.B) {
	h := testkit.NewHost(1)
	rows := make([]event.Row, 16384)
	for i := range rows {
		h.Next(&rows[i])
	}
	var c event.Columns
	start := cpuTime()
	b.ResetTimer()
	for range b.N {
		c.Reset()
		for i := range rows {
			c.Append(&rows[i])
		}
		c.Finish()
	}
	perSecond(b, float64(b.N)*float64(len(rows)), start)
}

// BenchmarkRead decodes all columns, then three.
func BenchmarkRead(b *testing.B) {
	f := new(testkit.MemFile)
	w, err := segment.NewWriter(f, meta, segment.Options{})
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range hostBatches(16384, 16) {
		if err := w.Write(c); err != nil {
			b.Fatal(err)
		}
	}
	if err := w.Seal(); err != nil {
		b.Fatal(err)
	}
	s, err := segment.Open(bytes.NewReader(f.B), int64(len(f.B)))
	if err != nil {
		b.Fatal(err)
	}
	for _, x := range []struct {
		name string
		cols uint64
	}{{"all", 0}, {"ts,type,pid", 1<<event.ColTS | 1<<event.ColType | 1<<event.ColPID}} {
		b.Run(x.name, func(b *testing.B) {
			var c event.Columns
			start := cpuTime()
			for i := range b.N {
				if err := s.Read(i%16, x.cols, &c); err != nil {
					b.Fatal(err)
				}
			}
			perSecond(b, float64(b.N)*16384, start)
		})
	}
}

// BenchmarkVerify checks digests, values and chain of a segment.
func BenchmarkVerify(b *testing.B) {
	f := new(testkit.MemFile)
	w, err := segment.NewWriter(f, meta, segment.Options{})
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range hostBatches(16384, 16) {
		if err := w.Write(c); err != nil {
			b.Fatal(err)
		}
	}
	if err := w.Seal(); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(f.B)))
	start := cpuTime()
	b.ResetTimer()
	for range b.N {
		s, err := segment.Open(bytes.NewReader(f.B), int64(len(f.B)))
		if err != nil {
			b.Fatal(err)
		}
		if fs, err := s.Verify(); err != nil || len(fs) != 0 {
			b.Fatal(fs, err)
		}
	}
	perSecond(b, float64(b.N)*16*16384, start)
}
