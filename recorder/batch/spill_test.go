//go:build linux

package batch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"hindcast/format/clock"
	"hindcast/format/event"
	"hindcast/format/segment"
	"hindcast/format/spill"
	"hindcast/format/store"
	"hindcast/recorder/ring"
)

// slow is a sink that takes a batch when it is told to, or as many as come once it is let go.
type slow struct {
	turn chan struct{}
	busy chan struct{} // one per batch begun
	got  []uint32
	rows []int
}

func newSlow() *slow { return &slow{turn: make(chan struct{}), busy: make(chan struct{}, 1000)} }

func (s *slow) Append(c *event.Columns) error {
	s.busy <- struct{}{}
	<-s.turn
	s.got = append(s.got, c.PID...)
	s.rows = append(s.rows, c.N)
	return nil
}
func (s *slow) Sync() error        { return nil }
func (s *slow) Stats() store.Stats { return store.Stats{} }
func (s *slow) letGo()             { close(s.turn) }

// log is a keeper and a ring that notes what it is told.
type log struct {
	Ring
	said []string
}

func (l *log) Note(*event.Columns, []ring.Mark) []byte { return nil }
func (l *log) Intend(note []byte)                      { l.said = append(l.said, "intend "+string(note)) }
func (l *log) Keep(m ring.Mark)                        { l.said = append(l.said, fmt.Sprint("stored ", m.Stored)) }

// entrust is a batch that the keeper and the ring are told of.
func (l *log) entrust(c *event.Columns, i int) job {
	return job{cols: c, keeper: l, note: fmt.Append(nil, i), rings: []*source{{Ring: l}}, marks: []ring.Mark{{Stored: uint64(i)}}}
}

// numbered is a batch of rows whose process ids go on from the batch before.
func numbered(w *Writer, first, rows int) *event.Columns {
	c := w.Free()
	for i := range rows {
		n := first + i
		c.Append(&event.Row{TS: clock.Boot(1000 + n), Type: event.Fork, PID: uint32(n), Path: fmt.Appendf(nil, "/file/%d", n), Comm: []byte("test")})
	}
	c.Finish()
	return c
}

func pair() clock.Pair {
	return clock.Pair{Boot: clock.Boot(time.Hour), Wall: clock.FromTime(time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC))}
}

var spillMeta = segment.Meta{BootID: "3f9c12ab", Clock: pair(), Started: 1}

// through puts batches through a writer whose sink falls behind: the queue is full when the sink takes
// its second batch, so at least one is spilled. damage is called when there is a file.
func through(t *testing.T, o spill.Options, k *log, batches, rows int, damage func(file string)) (*Writer, *slow, string) {
	t.Helper()
	sink, dir := newSlow(), t.TempDir()
	w := OpenWriter(sink, nil, WriterOptions{Spill: spill.New(dir, spillMeta, o), Clock: pair})
	put := func(i int) {
		w.put(k.entrust(numbered(w, i*rows, rows), i))
	}
	put(0)
	<-sink.busy
	for i := 1; i <= depth; i++ {
		put(i)
	}
	sink.turn <- struct{}{}
	<-sink.busy // of a spilled batch, when nothing waits any more
	if damage != nil {
		damage(filepath.Join(dir, spill.Name))
	}
	go func() {
		for range batches {
			sink.turn <- struct{}{}
		}
	}()
	for i := depth + 1; i < batches; i++ {
		put(i)
	}
	w.Settle()
	return w, sink, dir
}

func inOrder(t *testing.T, got []uint32, n int) {
	t.Helper()
	if len(got) != n {
		t.Errorf("%d rows, want %d", len(got), n)
	}
	for i, v := range got {
		if int(v) != i {
			t.Fatalf("row %d came in place %d", v, i)
		}
	}
}

func TestSlowSinkSpillsInOrder(t *testing.T) {
	k := &log{}
	const batches, rows = 40, 100
	w, sink, dir := through(t, spill.Options{}, k, batches, rows, nil)
	inOrder(t, sink.got, batches*rows)
	if p := w.Progress(); p.Rows != batches*rows || p.Err != nil {
		t.Errorf("%d rows, %v", p.Rows, p.Err)
	}
	w.Close()
	if _, err := os.Stat(filepath.Join(dir, spill.Name)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file is still there: %v", err)
	}
	var want []string
	for i := range batches {
		want = append(want, fmt.Sprint("intend ", i), fmt.Sprint("stored ", i))
	}
	if !slices.Equal(k.said, want) {
		t.Errorf("the keeper was told %v", k.said)
	}
	began, done, told := 0, 0, uint64(0)
	for _, s := range w.Spills() {
		if s.To == 0 {
			began++
		} else {
			done++
			told += s.Rows
		}
	}
	if began == 0 || began != done || told == 0 || told > batches*rows {
		t.Errorf("%d times began, %d ended, %d rows", began, done, told)
	}
}

// A batch that the file has no room for waits, and is not lost, nor does it come before its time.
func TestFullSpillFileWaitsAndKeepsOrder(t *testing.T) {
	const batches, rows = 30, 100
	w, sink, _ := through(t, spill.Options{Max: 20 << 10}, &log{}, batches, rows, nil)
	w.Close()
	inOrder(t, sink.got, batches*rows)
	full := false
	for _, s := range w.Spills() {
		full = full || errors.Is(s.Err, spill.ErrFull)
	}
	if !full {
		t.Error("nobody was told that the file was full")
	}
}

// A disk that takes nothing is a file that is always full: it is as if there were none.
func TestNoRoomForASpillFile(t *testing.T) {
	sink := newSlow()
	w := OpenWriter(sink, nil, WriterOptions{Clock: pair,
		Spill: spill.New(t.TempDir(), spillMeta, spill.Options{Free: func() (int64, error) { return 0, nil }})})
	sink.letGo()
	k := &log{}
	for i := range 50 {
		w.put(k.entrust(numbered(w, i*10, 10), i))
	}
	w.Close()
	inOrder(t, sink.got, 500)
	if len(k.said) != 100 {
		t.Errorf("the keeper was told %d times, want once before and once after each of 50 batches", len(k.said))
	}
}

func TestNothingIsSpilledWithoutPressure(t *testing.T) {
	sink := newSlow()
	dir := t.TempDir()
	w := OpenWriter(sink, nil, WriterOptions{Spill: spill.New(dir, spillMeta, spill.Options{}), Clock: pair, Pressed: func() bool { return false }})
	sink.letGo()
	for i := range 50 {
		w.Put(numbered(w, i*10, 10))
	}
	w.Close()
	inOrder(t, sink.got, 500)
	if s := w.Spills(); len(s) != 0 {
		t.Errorf("%+v", s)
	}
}

// A damaged batch in the file is a ledger row with its number of rows, and what is around it is kept.
func TestDamagedSpillIsTold(t *testing.T) {
	const batches, rows = 20, 100
	w, sink, _ := through(t, spill.Options{}, &log{}, batches, rows, func(file string) {
		f, err := os.OpenFile(file, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		st, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		// The end of the last frame; the sink holds the first.
		if _, err := f.WriteAt([]byte{0xaa, 0x55, 0xaa}, st.Size()-8); err != nil {
			t.Fatal(err)
		}
	})
	w.Close()
	if n := len(sink.got); n != (batches-1)*rows {
		t.Errorf("%d rows, want %d", n, (batches-1)*rows)
	}
	lost := w.Lost()
	if len(lost) != 1 || lost[0].N2 != rows || string(lost[0].Text) != spill.Cause {
		t.Errorf("ledger %+v", lost)
	}
}

// What an idle host does waits longer, as long as a killed recorder would lose none of it.
func TestFewBulkRowsWait(t *testing.T) {
	at := func(seconds int) clock.Boot { return clock.Boot(time.Hour).Add(time.Duration(seconds) * time.Second) }
	for _, x := range []struct {
		name   string
		keeper Keeper
		add    func(*Collector)
		want   int // seconds until it is written
	}{
		{"bulk", &log{}, func(c *Collector) { c.Stream(wire(5, 1)) }, 30},
		{"not held by rings", nil, func(c *Collector) { c.Stream(wire(5, 1)) }, 5},
		{"of the recorder", &log{}, func(c *Collector) { c.Row(event.Row{Type: event.Ledger, TS: 5}) }, 5},
		{"many", &log{}, func(c *Collector) {
			for i := range idleRows {
				c.Stream(wire(5, uint32(i)))
			}
		}, 5},
	} {
		t.Run(x.name, func(t *testing.T) {
			sink := newSlow()
			sink.letGo()
			w := NewWriter(sink, nil)
			defer w.Close()
			c := NewCollector(nil, nil, w)
			c.Keeper = x.keeper
			x.add(c)
			for s := range 60 {
				c.Emit(at(s))
				w.Settle()
				if len(sink.got) > 0 {
					if s != x.want {
						t.Errorf("written after %d s, want %d", s, x.want)
					}
					return
				}
			}
			t.Error("not written in a minute")
		})
	}
}
