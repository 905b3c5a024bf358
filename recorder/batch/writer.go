//go:build linux

package batch

import (
	"errors"
	"sync"
	"time"

	"hindcast/format/clock"
	"hindcast/format/event"
	"hindcast/format/store"
	"hindcast/recorder/health"
	"hindcast/recorder/ring"
)

// Sink is where batches go: a *store.Store.
type Sink interface {
	Append(*event.Columns) error
	Sync() error
	Stats() store.Stats
}

// syncEvery is how often what was written is made durable.
const syncEvery = time.Second

// depth is how many batches may wait for the disk.
const depth = 3

// Writer gives batches to a sink from a goroutine of its own and keeps the state of the host as
// written so far. Free and Put are for one goroutine.
//
// A batch that the sink refuses is lost and counted by type; the next one is tried again. The
// ledger rows in it are not lost: they are added up and handed back by Lost, to be written when
// the disk takes rows again.
type Writer struct {
	sink  Sink
	state *State
	in    chan job
	free  chan *event.Columns
	done  chan struct{}

	busy   sync.WaitGroup // batches put and not written
	mu     sync.Mutex
	now    Progress
	ledger map[entry]*event.Row
}

// Progress is what became of the batches so far.
type Progress struct {
	Rows     uint64                // taken by the sink, without those a segment opens with
	Lost     [event.MaxType]uint64 // refused, by type; 0 where the type is not known
	Segments int
	Bytes    int64
	Err      error // of the last write, nil when it went well
}

// entry is what ledger rows are added up by.
type entry struct {
	cpu    uint16
	class  int64
	cause  string
	detail string
}

// NewWriter starts the goroutine; Close ends it. state may be nil.
func NewWriter(sink Sink, state *State) *Writer {
	w := &Writer{sink: sink, state: state, in: make(chan job, depth), free: make(chan *event.Columns, depth+2), done: make(chan struct{})}
	for range cap(w.free) {
		w.free <- &event.Columns{}
	}
	go w.run()
	return w
}

// Free returns empty columns, waiting for the disk when all are in use.
func (w *Writer) Free() *event.Columns { return <-w.free }

// job is a batch, and what it holds of the rings when somebody keeps books of that.
type job struct {
	cols   *event.Columns
	rings  []*source
	marks  []ring.Mark // of each ring when the batch was cut
	keeper Keeper
	note   []byte
}

// keep gives the rings their room back.
func (j *job) keep() {
	for i, s := range j.rings {
		s.Keep(j.marks[i])
	}
}

// Put gives finished columns to the writer, which returns them to Free.
func (w *Writer) Put(c *event.Columns) { w.put(job{cols: c}) }

func (w *Writer) put(j job) {
	w.busy.Add(1)
	w.in <- j
}

// Settle waits until everything that was put was written or refused.
func (w *Writer) Settle() { w.busy.Wait() }

// Close writes what was put and ends the goroutine. The sink stays open.
func (w *Writer) Close() {
	close(w.in)
	<-w.done
}

// Progress tells what became of the batches so far. It never waits for the disk.
func (w *Writer) Progress() Progress {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

// Resume goes on counting where another recorder ended: what it could not write.
func (w *Writer) Resume(lost [event.MaxType]uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now.Lost = lost
}

// Lost returns, once, the ledger rows of batches that were refused, added up.
func (w *Writer) Lost() []event.Row {
	w.mu.Lock()
	defer w.mu.Unlock()
	var rows []event.Row
	for _, r := range w.ledger {
		rows = append(rows, *r)
	}
	w.ledger = nil
	return rows
}

func (w *Writer) run() {
	defer close(w.done)
	tick := time.NewTicker(syncEvery)
	defer tick.Stop()
	dirty := false
	for {
		select {
		case j, ok := <-w.in:
			if !ok {
				return
			}
			dirty = w.write(j) || dirty
			j.cols.Reset()
			w.free <- j.cols
		case <-tick.C:
			if !dirty {
				continue
			}
			dirty = false
			if err := w.sink.Sync(); err != nil {
				w.mu.Lock()
				w.now.Err = err
				var le *store.LostError
				if errors.As(err, &le) {
					w.now.Lost[0] += uint64(le.Rows) // of batches long gone: of which type is not known
				}
				w.mu.Unlock()
			}
		}
	}
}

func (w *Writer) write(j job) bool {
	defer w.busy.Done()
	c := j.cols
	if j.keeper != nil {
		j.keeper.Intend(j.note)
	}
	defer j.keep()
	err := w.sink.Append(c)
	stats := w.sink.Stats()
	if w.state != nil {
		w.state.Apply(c) // it happened, written or not
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now.Err, w.now.Segments, w.now.Bytes = err, stats.Segments, stats.Bytes
	lost := 0
	var le *store.LostError
	switch {
	case err == nil || errors.As(err, new(*store.BeginError)):
	case errors.As(err, &le):
		lost = min(le.Rows, c.N) // the first ones may have been written before
	default:
		lost = c.N
	}
	w.now.Rows += uint64(c.N - lost)
	var r event.Row
	for i := c.N - lost; i < c.N; i++ {
		t := c.Type[i]
		if t != event.Ledger {
			if t < event.MaxType {
				w.now.Lost[t]++
			}
			continue
		}
		c.Row(i, &r)
		w.keep(&r)
	}
	return lost < c.N
}

// keep adds up a ledger row that could not be written.
func (w *Writer) keep(r *event.Row) {
	k := entry{r.CPU, r.N1, string(r.Text), string(r.Text2)}
	if old := w.ledger[k]; old != nil {
		old.N2 += r.N2
		old.T0, old.TS = min(old.T0, r.T0), max(old.TS, r.TS)
		return
	}
	row := health.Row(r.T0, r.TS, int(r.CPU), event.Type(r.N1), uint64(r.N2), k.cause, k.detail)
	if w.ledger == nil {
		w.ledger = map[entry]*event.Row{}
	}
	w.ledger[k] = &row
}

// ClockRow is a reading of both clocks as a row.
func ClockRow(p clock.Pair) event.Row {
	return event.Row{TS: p.Boot, Type: event.Clock, Flags: event.FlagRecorder, N1: int64(p.Wall)}
}
