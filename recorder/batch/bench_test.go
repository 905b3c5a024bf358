//go:build linux

package batch

import (
	"fmt"
	"math/rand"
	"testing"
	"time"

	"hindcast/format/clock"
	"hindcast/format/event"
	"hindcast/format/segment"
	"hindcast/format/store"
)

// mix is wire records as a busy build host makes them: by far most are opens, first reads and
// writes and totals, a tenth is processes coming and going.
func mix(n int) [][]byte {
	rng := rand.New(rand.NewSource(1))
	var out [][]byte
	ts := clock.Boot(time.Hour)
	for i := range n {
		ts += clock.Boot(rng.Intn(20_000))
		pid := uint32(1000 + i/40)
		r := event.Row{TS: ts, CPU: uint16(i & 1), PID: pid, TID: pid, PStart: uint64(pid) * 1e6, Image: 3, Cred: 2, Cgroup: 77,
			Comm: []byte("cc1"), Dev: 0x801}
		file := rng.Intn(2000)
		path := fmt.Appendf(nil, "/usr/src/linux/include/dir%d/header_%d.h", file%60, file)
		r.Gen = uint32(file) * 2654435761
		switch k := rng.Intn(20); {
		case k == 0:
			r.Type, r.OPID, r.OStart, r.OTID, r.N3 = event.Fork, pid+1, uint64(pid+1)*1e6, pid+1, int64(pid)
		case k == 1:
			r.Type, r.Path, r.Path3 = event.Exec, []byte("/usr/libexec/gcc/x86_64-linux-gnu/12/cc1"), []byte("/usr/src/linux")
			r.Argv = fmt.Appendf(nil, "cc1\x00-quiet\x00-nostdinc\x00-I./include\x00-o\x00obj%d.o\x00file%d.c\x00", i, i)
			r.Path2, r.Text = r.Path, r.Path
		case k == 2:
			r.Type, r.Op = event.Exit, 2
		case k < 9:
			r.Type, r.Path, r.Ino, r.Ret = event.Open, path, uint64(131072+file), 3
		case k < 14:
			r.Type, r.Path, r.Ino, r.Ret, r.FD = event.FirstRead, path, uint64(131072+file), 4096, 3
		default:
			r.Type, r.Ino, r.T0, r.N2, r.BytesIn, r.OpsIn = event.IO, uint64(131072+file), ts-1e6, int64(ts), uint64(rng.Intn(1<<20)), 9
		}
		out = append(out, r.Wire(uint64(i)))
	}
	return out
}

func BenchmarkDecode(b *testing.B) {
	recs := mix(16384)
	var row event.Row
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := event.Decode(recs[i%len(recs)], &row); err != nil {
			b.Fatal(err)
		}
	}
}

// Order, decode and put into columns: everything the draining goroutine does but the ring itself.
func BenchmarkCollect(b *testing.B) {
	recs := mix(16384)
	w := NewWriter(nothing{}, nil)
	defer w.Close()
	bench(b, recs, w)
}

type nothing struct{}

func (nothing) Append(*event.Columns) error { return nil }
func (nothing) Sync() error                 { return nil }
func (nothing) Stats() store.Stats          { return store.Stats{} }

// The same and onto disk, with the state of the host kept: the two goroutines' work, on one core
// when run with -cpu 1.
func BenchmarkRingToDisk(b *testing.B) {
	recs := mix(16384)
	state := &State{}
	p := clock.Pair{Boot: clock.Boot(time.Hour), Wall: clock.FromTime(time.Now())}
	s, err := store.Create(b.TempDir(), store.Options{Meta: segment.Meta{BootID: "3f9c12ab", Clock: p}, Begin: state.Begin})
	if err != nil {
		b.Fatal(err)
	}
	w := NewWriter(s, state)
	rows := bench(b, recs, w)
	w.Close()
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	if p := w.Progress(); p.Rows != rows || p.Err != nil {
		b.Fatalf("%d of %d rows, %v", p.Rows, rows, p.Err)
	}
	b.ReportMetric(float64(s.Stats().Bytes)/float64(rows), "bytes/event")
}

func bench(b *testing.B, recs [][]byte, w *Writer) (rows uint64) {
	c := NewCollector(nil, nil, w)
	b.ReportAllocs()
	const round = 1024 // what a look at the rings finds
	i := 0
	for b.Loop() {
		c.Stream(recs[i%len(recs)])
		if i++; i%round == 0 {
			c.Emit(0)
		}
	}
	c.Finish()
	w.Settle()
	b.ReportMetric(float64(i)/b.Elapsed().Seconds(), "events/s")
	return uint64(i)
}
