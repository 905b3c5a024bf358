//go:build linux

package batch

import (
	"errors"
	"sync"
	"time"

	"hindcast/format/clock"
	"hindcast/format/event"
	"hindcast/format/spill"
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

// depth is how many batches may wait for the disk when nothing else is said.
const depth = 3

// Writer gives batches to a sink from a goroutine of its own and keeps the state of the host as
// written so far. Free and Put are for one goroutine.
//
// A batch that the sink refuses is lost and counted by type; the next one is tried again. The
// ledger rows in it are not lost: they are added up and handed back by Lost, to be written when
// the disk takes rows again.
//
// When encoding falls behind, batches go to a spill file as they are, if there is one, and come
// from there into the sink in the same order when there is time: see WriterOptions.
type Writer struct {
	sink  Sink
	state *State
	opt   WriterOptions
	in    chan job
	done  chan struct{}

	busy   sync.WaitGroup // batches put and not written
	mu     sync.Mutex
	some   sync.Cond // batches are free; of mu
	free   []*event.Columns
	made   int // batches there are
	now    Progress
	ledger map[entry]*event.Row
	spills []Spilled

	// Of the goroutine.
	spill *Spilled // what is going on, nil when nothing waits in the file
	back  event.Columns
	notes bool // an unsynced frame
}

// WriterOptions of a Writer; the zero value works.
type WriterOptions struct {
	// Depth is how many batches may wait for the sink. Default: 3.
	Depth int
	// Spill takes batches when Depth of them wait and Pressed says so. A batch counts as stored when it
	// is in the file: its Keeper is told so then. Default: there is none, Put waits.
	Spill *spill.File
	// Pressed tells whether what is not drained now will soon be lost. It is called by the writer's
	// goroutine. Default: it will.
	Pressed func() bool
	// Clock is read as a batch is spilled. Needed with Spill.
	Clock func() clock.Pair
}

// Spilled is a time in which batches went through the spill file.
type Spilled struct {
	From, To clock.Boot // To is 0 while it goes on
	Rows     uint64     // so far
	Bytes    int64      // so far
	Waiting  int        // batches in the file
	Err      error      // why the file took no more, nil when it took all: then Put waited
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
func NewWriter(sink Sink, state *State) *Writer { return OpenWriter(sink, state, WriterOptions{}) }

// OpenWriter is NewWriter with options.
func OpenWriter(sink Sink, state *State, o WriterOptions) *Writer {
	if o.Depth <= 0 {
		o.Depth = depth
	}
	w := &Writer{sink: sink, state: state, opt: o, in: make(chan job, o.Depth), done: make(chan struct{})}
	w.some.L = &w.mu
	go w.run()
	return w
}

// Free returns empty columns, waiting for the disk when all are in use. The ones used last come
// first: their memory is in use anyway.
func (w *Writer) Free() *event.Columns {
	w.mu.Lock()
	defer w.mu.Unlock()
	// One is being filled, one written.
	for len(w.free) == 0 && w.made == w.opt.Depth+2 {
		w.some.Wait()
	}
	if n := len(w.free); n > 0 {
		c := w.free[n-1]
		w.free = w.free[:n-1]
		return c
	}
	w.made++
	return new(event.Columns)
}

func (w *Writer) giveBack(c *event.Columns) {
	c.Reset()
	w.mu.Lock()
	w.free = append(w.free, c)
	w.mu.Unlock()
	w.some.Signal()
}

// job is a batch, and what it holds of the rings when somebody keeps books of that.
type job struct {
	cols     *event.Columns
	rings    []*source
	marks    []ring.Mark // of each ring when the batch was cut
	keeper   Keeper
	note     []byte
	intended bool
}

// intend announces the batch to the keeper, once.
func (j *job) intend() {
	if j.keeper != nil && !j.intended {
		j.keeper.Intend(j.note)
	}
	j.intended = true
}

// stored gives the rings their room back.
func (j *job) stored() {
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

// Close writes what was put, what was spilled too, and ends the goroutine. The sink stays open.
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

// Spills returns, once, the times that have begun or ended since the last call: a time is returned
// as it begins, with To 0, and as it ends.
func (w *Writer) Spills() []Spilled {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := w.spills
	w.spills = nil
	return out
}

func (w *Writer) run() {
	defer close(w.done)
	tick := time.NewTicker(syncEvery)
	defer tick.Stop()
	dirty := false
	for {
		if w.spill != nil {
			// There is time as long as nothing waits.
			select {
			case j, ok := <-w.in:
				if !ok {
					w.drainSpill()
					return
				}
				dirty = w.put1(j) || dirty
			case <-tick.C:
				w.sync(&dirty)
			default:
				dirty = w.unspill() || dirty
			}
			continue
		}
		select {
		case j, ok := <-w.in:
			if !ok {
				return
			}
			dirty = w.put1(j) || dirty
		case <-tick.C:
			w.sync(&dirty)
		}
	}
}

// put1 brings one batch on its way, and returns whether the sink has more to sync.
func (w *Writer) put1(j job) (dirty bool) {
	if w.spill == nil && (w.opt.Spill == nil || len(w.in) < max(w.opt.Depth-1, 1) || w.opt.Pressed != nil && !w.opt.Pressed()) {
		return w.write(j)
	}
	for {
		err := w.toSpill(&j)
		if err == nil {
			return dirty
		}
		if w.spill == nil { // there is no file to keep the order of
			return w.write(j) || dirty
		}
		w.spill.Err = err
		dirty = w.unspill() || dirty
	}
}

func (w *Writer) sync(dirty *bool) {
	if w.notes {
		w.notes = false
		if err := w.opt.Spill.Sync(); err != nil {
			w.mu.Lock()
			w.now.Err = err
			w.mu.Unlock()
		}
	}
	if !*dirty {
		return
	}
	*dirty = false
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

// toSpill puts a batch into the file; it is stored then.
func (w *Writer) toSpill(j *job) error {
	j.intend()
	now := w.opt.Clock()
	size := w.opt.Spill.Size()
	if err := w.opt.Spill.Add(j.cols, now); err != nil {
		return err
	}
	j.stored()
	w.notes = true
	begun := w.spill == nil
	if begun {
		w.spill = &Spilled{From: now.Boot}
	}
	w.spill.Rows += uint64(j.cols.N)
	w.spill.Bytes += w.opt.Spill.Size() - size
	w.spill.Waiting = w.opt.Spill.Len()
	if begun {
		w.tell()
	}
	w.giveBack(j.cols)
	return nil
}

// tell hands the present time of spilling to Spills.
func (w *Writer) tell() {
	w.mu.Lock()
	w.spills = append(w.spills, *w.spill)
	w.mu.Unlock()
}

// unspill gives the oldest spilled batch to the sink, and returns whether that has more to sync.
func (w *Writer) unspill() (dirty bool) {
	f := w.opt.Spill
	fr, err := f.Next(&w.back)
	var de *spill.DamagedError
	switch {
	case err == nil:
		dirty = w.append(&w.back)
		w.busy.Done()
		err = f.Done(fr)
	case errors.As(err, &de) && de.Rows > 0:
		w.broken(de)
		w.busy.Done()
		err = f.Done(fr)
	default:
		// The file cannot be read any more. What is in it is for repair.
		w.broken(err)
		for range f.Len() {
			w.busy.Done()
		}
		_ = f.Close()
		w.ended()
		return dirty
	}
	if err != nil {
		w.mu.Lock()
		w.now.Err = err
		w.mu.Unlock()
	}
	if w.spill.Waiting = f.Len(); w.spill.Waiting == 0 {
		w.ended()
	}
	return dirty
}

// broken says that spilled rows cannot be read back.
func (w *Writer) broken(err error) {
	rows := uint64(0)
	if de := (*spill.DamagedError)(nil); errors.As(err, &de) {
		rows = uint64(de.Rows)
	}
	now := w.opt.Clock().Boot
	r := health.Row(w.spill.From, now, 0, 0, rows, spill.Cause, err.Error())
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now.Err = err
	w.keep(&r)
}

func (w *Writer) ended() {
	w.spill.To = w.opt.Clock().Boot
	w.tell()
	w.spill = nil
}

// drainSpill empties the file.
func (w *Writer) drainSpill() {
	for w.spill != nil {
		w.unspill()
	}
}

func (w *Writer) write(j job) bool {
	defer w.busy.Done()
	j.intend()
	defer j.stored()
	defer w.giveBack(j.cols)
	return w.append(j.cols)
}

func (w *Writer) append(c *event.Columns) bool {
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
