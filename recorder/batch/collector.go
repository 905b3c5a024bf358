//go:build linux

package batch

import (
	"math"
	"slices"
	"time"

	"hindcast/format/clock"
	"hindcast/format/event"
	"hindcast/recorder/ring"
)

// When a batch is written: when it is full, when enough rows have waited a while, or when any
// row has waited long.
const (
	fullRows  = 16384
	someRows  = 512
	someAfter = time.Second
	anyAfter  = 5 * time.Second
	idleRows  = 256
	idleAfter = 30 * time.Second // fewer rows than that, if the rings still hold them all and none is critical
	longer    = 3                // times, where the processor is to be used little
)

// slack is how late a record may come out of its ring, compared with its time stamp: the time
// an interrupt or a descheduled virtual cpu may hold up a program between reading the clock and
// reserving its place. Within a batch rows are in order of time; those of the last moments before
// it is cut may be younger than the first ones of the next.
const slack = clock.Boot(10 * time.Millisecond)

// fullBytes bounds what waits for its order.
const fullBytes = 16 << 20

// Ring is what is drained: a *ring.Ring or a *ring.Lane, and held, so that its records stay where
// they are until the batch that has them is stored.
type Ring interface {
	Drain(goal uint64, f func(rec []byte)) (clear bool, err error)
	Position() uint64
	End() uint64
	Size() int
	Waiting() int
	Mark() ring.Mark
	Keep(ring.Mark)
}

// source is a ring, and how far it was read.
type source struct {
	Ring
	n    int // place among all
	seq  *ring.Sequence
	cut  uint64 // up to where batches have it
	mark clock.Boot
	one  func(rec []byte)
}

// waits returns how many bytes were read and are in no batch yet.
func (s *source) waits() int { return int(s.Position() - s.cut) }

// Keeper notes how far the rings are stored, so that whoever reads them after us neither misses
// nor repeats a record: a batch holds exactly the records between two positions of each ring.
type Keeper interface {
	// Note is called as a batch is cut: the rings, the critical one first, are in batches up to
	// the marks. What it returns goes with the batch.
	Note(c *event.Columns, rings []ring.Mark) []byte
	// Intend is called by the writer's goroutine before the batch is written. After it the rings
	// are given their room back.
	Intend(note []byte)
}

// Collector drains rings into batches. It is used by one goroutine.
type Collector struct {
	Received [event.MaxType]uint64 // records out of the rings, by type; 0 and unknown ones under 0
	Streamed uint64                // records out of iterators
	Bad      [event.MaxType]uint64 // records that could not be decoded, of rings and iterators
	Values   bool                  // keep the values of environments, not the names only; default: names only
	Until    clock.Boot            // records made then or later are left out: other programs make them too; 0: none
	Keeper   Keeper                // nil: nobody reads the rings after us
	MaxRows  int                   // of a batch; default and most: 16384
	Long     bool                  // batches that are not full may wait longer
	// Keep decides whether a row is stored; it is asked about every row, before it is added. Default:
	// all are. What it refuses is counted in Unselected, by type.
	Keep       func(*event.Row) bool
	Unselected [event.MaxType]uint64
	// Saw is given every record of a change of mounts or clocks as it is read, valid during the
	// call. Default: nobody is.
	Saw func(rec []byte)
	// Learn is given every bulk record as it is read, in the order in which its lane has them,
	// with the lane's number. Default: nobody is.
	Learn func(lane int, rec []byte)
	// Fence is called when the ends of the lanes have been read, before their records are. Default:
	// none is needed.
	Fence func()
	// Critical and Bulk are the numbers of the records of both kinds.
	Critical, Bulk ring.Sequence

	creds   creds
	sources []*source // the critical ring, then the lanes
	goals   []uint64
	env     []byte
	drained int        // records of the present Drain
	last    clock.Boot // the youngest of them
	order   Order
	row     event.Row
	cols    *event.Columns
	since   clock.Boot // when the first row of the batch was noticed
	prompt  bool       // a row waits that is critical, or of the recorder
	soon    bool       // a row of the recorder itself waits: no ring has it, so nobody could tell it again
	quiet   bool       // nothing came at the last look
	w       *Writer
	one     func([]byte)
	own     func(*event.Row)
}

// NewCollector drains the critical ring and the lanes of bulk records into w. All are held.
func NewCollector(critical Ring, lanes []*ring.Lane, w *Writer) *Collector {
	c := &Collector{w: w}
	add := func(r Ring, seq *ring.Sequence) {
		s := &source{Ring: r, n: len(c.sources), seq: seq, cut: r.Position()}
		s.one = func(rec []byte) { c.take(s, rec) }
		c.sources = append(c.sources, s)
	}
	if critical != nil {
		add(critical, &c.Critical)
	}
	for _, l := range lanes {
		add(l, &c.Bulk)
	}
	c.goals = make([]uint64, len(c.sources))
	c.one, c.own = c.store, c.append
	c.creds.missing = func() (n uint64) {
		for cpu := range c.Critical.CPUs() {
			n += c.Critical.Missing(cpu)
		}
		return n
	}
	return c
}

// Blind names calls that change credentials and that no hook watches, for rows of changes that
// no call is known to have made.
func (c *Collector) Blind(calls string) { c.creds.blind = calls }

// Drain reads what waits in the rings and returns how many records it was.
//
// Each lane is read up to where it was before the critical ring was read, and only when that was
// read to its end: so the credential set of a record, which is described in the critical ring
// before the record is made, is in the same batch or an earlier one. now is the time before the
// call.
func (c *Collector) Drain(now clock.Boot) (n int, err error) {
	for i, s := range c.sources {
		c.goals[i] = s.End()
	}
	if c.Fence != nil {
		c.Fence()
	}
	c.drained = 0
	crit, lanes := c.sources[0], c.sources[1:]
	c.goals[0] = crit.End() // later than those of the lanes
	clear, err := c.drain(crit, now)
	for _, s := range lanes {
		if err == nil && (clear || s.Waiting() > s.Size()/4) {
			_, err = c.drain(s, now)
		}
	}
	c.quiet = c.drained == 0
	return c.drained, err
}

func (c *Collector) drain(s *source, now clock.Boot) (clear bool, err error) {
	c.last = 0
	clear, err = s.Drain(c.goals[s.n], s.one)
	// A ring gives its records in order of reservation: what comes after the last one cannot be
	// much older.
	if clear {
		s.mark = max(s.mark, now)
	} else {
		s.mark = max(s.mark, c.last)
	}
	return clear, err
}

// take takes one record of a ring.
func (c *Collector) take(s *source, rec []byte) {
	t, cpu, seq := wireHead(rec)
	if t >= event.MaxType {
		t = 0
	}
	at := wireTime(rec)
	s.seq.Add(cpu, seq, at)
	c.Received[t]++
	c.last = max(c.last, at)
	c.prompt = c.prompt || s.seq == &c.Critical
	if c.Learn != nil && s.n > 0 {
		c.Learn(s.n-1, rec)
	}
	c.order.Ref(s.n, at, rec)
	c.drained++
	if c.Saw != nil && (t == event.Mount || t == event.ClockSet) {
		c.Saw(rec)
	}
	// A quarter of a ring that is read and not given back is a quarter less for bursts.
	if c.full() || s.waits() > s.Size()/4 {
		c.cut()
	}
}

// mark is the time before which all rings were read.
func (c *Collector) mark() clock.Boot {
	m := clock.Boot(math.MaxInt64)
	for _, s := range c.sources {
		m = min(m, s.mark)
	}
	return m
}

// rows returns how many rows the batch has so far.
func (c *Collector) rows() int {
	n := c.order.Len()
	if c.cols != nil {
		n += c.cols.N
	}
	return n
}

func (c *Collector) full() bool {
	n := c.rows()
	return n >= fullRows || c.MaxRows > 0 && n >= c.MaxRows || c.order.Held() >= fullBytes
}

// Stream adds a record of an iterator. The record is copied.
func (c *Collector) Stream(rec []byte) {
	c.Streamed++
	c.order.Add(rec)
	if c.full() {
		c.cut()
	}
}

// Room sees to it that the batch has room for n more rows.
func (c *Collector) Room(n int) {
	if c.rows()+n > fullRows {
		c.cut()
	}
}

// Row adds a row made by the recorder; its byte slices are kept.
func (c *Collector) Row(r event.Row) {
	c.soon, c.prompt = c.soon || r.Type == event.Recorder, true
	c.order.AddRow(r)
	if c.full() {
		c.cut()
	}
}

// Emit decodes what is in order by now, and gives the batch to the writer when it is due.
func (c *Collector) Emit(now clock.Boot) {
	for _, r := range c.creds.take(now) {
		c.Row(r)
	}
	c.order.Take(c.mark()-slack, c.one, c.own)
	n := c.rows()
	if n == 0 {
		c.since = 0
		return
	}
	if c.since == 0 {
		c.since = now
	}
	age := now.Sub(c.since)
	if c.Long {
		age /= longer
	}
	// When it is quiet the ring should be empty for the next burst: the kernel wakes us as it
	// fills, and takes what is not released for what was not read.
	room := c.quiet && slices.ContainsFunc(c.sources, func(s *source) bool { return s.waits() > s.Size()/16 })
	due := anyAfter
	if c.Keeper != nil && !c.prompt && n < idleRows {
		// A batch of a few rows is some 5 KB whatever is in it: each five seconds that is 90 MB a day
		// of a host that does nothing.
		due = idleAfter
	}
	if age >= due || age >= someAfter && n >= someRows || room || c.soon {
		c.cut()
	}
}

// Finish gives to the writer everything that is held.
func (c *Collector) Finish() {
	c.cut()
	for _, r := range c.creds.take(math.MaxInt64) {
		c.Row(r)
	}
	c.cut()
}

// cut decodes everything that was read and gives it to the writer as one batch.
func (c *Collector) cut() {
	c.since, c.soon, c.prompt = 0, false, false
	c.order.Take(math.MaxInt64, c.one, c.own)
	cols := c.cols
	if cols == nil || cols.N == 0 {
		return
	}
	c.cols = nil
	cols.Finish()
	j := job{cols: cols, rings: c.sources, marks: make([]ring.Mark, len(c.sources)), keeper: c.Keeper}
	for i, s := range c.sources {
		j.marks[i] = s.Mark()
		s.cut = s.Position()
	}
	if c.Keeper != nil {
		j.note = c.Keeper.Note(cols, j.marks)
	}
	c.w.put(j)
}

func (c *Collector) decode(rec []byte) {
	if _, err := event.Decode(rec, &c.row); err != nil {
		t := c.row.Type
		if len(rec) < event.HeaderSize || t >= event.MaxType {
			t = 0
		}
		c.Bad[t]++
		return
	}
	if c.Until != 0 && c.row.TS >= c.Until {
		return
	}
	c.append(&c.row)
}

func (c *Collector) append(r *event.Row) {
	if c.cols == nil {
		c.cols = c.w.Free()
	}
	if !c.Values && len(r.Env) > 0 { // it is changed, and records are not ours to change
		c.env = append(c.env[:0], r.Env...)
		r.Env = c.env
	}
	finishImage(r, c.Values)
	c.creds.see(r)
	if c.Keep != nil && !c.Keep(r) {
		c.Unselected[r.Type%event.MaxType]++
		return
	}
	c.cols.Append(r)
}
