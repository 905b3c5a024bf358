//go:build linux

package batch

import (
	"math"
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
)

// slack is how late a record may come out of its ring, compared with its time stamp: the time
// an interrupt or a descheduled virtual cpu may hold up a program between reading the clock and
// reserving its place. Within a batch rows are in order of time; those of the last moments before
// it is cut may be younger than the first ones of the next.
const slack = clock.Boot(10 * time.Millisecond)

// fullBytes bounds what waits for its order.
const fullBytes = 16 << 20

// Source is a ring, and how far it was read.
type Source struct {
	ring *ring.Ring
	Seq  ring.Sequence
	cut  uint64 // up to where batches have it
	mark clock.Boot
}

// waits returns how many bytes were read and are in no batch yet.
func (s *Source) waits() int { return int(s.ring.Position() - s.cut) }

// Keeper notes how far the rings are stored, so that whoever reads them after us neither misses
// nor repeats a record: a batch holds exactly the records between two positions of each ring.
type Keeper interface {
	// Note is called as a batch is cut: the rings are in batches up to the positions. What it
	// returns goes with the batch.
	Note(c *event.Columns, critical, bulk uint64) []byte
	// Intend and Stored are called by the writer's goroutine before and after the batch is
	// written.
	Intend(note []byte)
	Stored(critical, bulk uint64)
}

// Collector drains rings into batches. It is used by one goroutine.
type Collector struct {
	Received [event.MaxType]uint64 // records out of the rings, by type; 0 and unknown ones under 0
	Streamed uint64                // records out of iterators
	Bad      [event.MaxType]uint64 // records that could not be decoded, of rings and iterators
	Values   bool                  // keep the values of environments, not the names only; default: names only
	Until    clock.Boot            // records made then or later are left out: other programs make them too; 0: none
	Keeper   Keeper                // nil: the rings are not held, reading releases them
	// Saw is given every record of a change of mounts or clocks as it is read, valid during the
	// call. Default: nobody is.
	Saw func(rec []byte)

	creds          creds
	critical, bulk *Source
	order          Order
	row            event.Row
	cols           *event.Columns
	since          clock.Boot // when the first row of the batch was noticed
	soon           bool       // a row of the recorder itself waits: no ring has it, so nobody could tell it again
	quiet          bool       // nothing came at the last look
	w              *Writer
	one            func([]byte)
	own            func(*event.Row)
}

// NewCollector drains the two rings into w.
func NewCollector(critical, bulk *ring.Ring, w *Writer) *Collector {
	c := &Collector{critical: &Source{ring: critical}, bulk: &Source{ring: bulk}, w: w}
	for _, s := range []*Source{c.critical, c.bulk} {
		if s.ring != nil {
			s.cut = s.ring.Position()
		}
	}
	c.one, c.own = c.store, c.append
	c.creds.missing = func() (n uint64) {
		for cpu := range c.critical.Seq.CPUs() {
			n += c.critical.Seq.Missing(cpu)
		}
		return n
	}
	return c
}

// Blind names calls that change credentials and that no hook watches, for rows of changes that
// no call is known to have made.
func (c *Collector) Blind(calls string) { c.creds.blind = calls }

// Critical and Bulk return the two sources.
func (c *Collector) Critical() *Source { return c.critical }
func (c *Collector) Bulk() *Source     { return c.bulk }

// Drain reads what waits in both rings and returns how many records it was.
//
// The bulk ring is read up to where it was before the critical one was read, and only when that
// was read to its end: so the credential set of a record, which is described in the critical
// ring before the record is made, is in the same batch or an earlier one. now is the time before
// the call.
func (c *Collector) Drain(now clock.Boot) (n int, err error) {
	goal := c.bulk.ring.End()
	n, clear, err := c.drain(c.critical, c.critical.ring.End(), now)
	if err == nil && (clear || c.bulk.ring.Waiting() > c.bulk.ring.Size()/4) {
		var more int
		more, _, err = c.drain(c.bulk, goal, now)
		n += more
	}
	c.quiet = n == 0
	return n, err
}

func (c *Collector) drain(s *Source, goal uint64, now clock.Boot) (n int, clear bool, err error) {
	var last clock.Boot
	clear, err = s.ring.Drain(goal, func(rec []byte) {
		t, cpu, seq := wireHead(rec)
		if t >= event.MaxType {
			t = 0
		}
		at := wireTime(rec)
		s.Seq.Add(cpu, seq, at)
		c.Received[t]++
		last = max(last, at)
		c.order.Add(rec)
		n++
		if c.Saw != nil && (event.Type(t) == event.Mount || event.Type(t) == event.ClockSet) {
			c.Saw(rec)
		}
		// A quarter of a ring that is read and not released is a quarter less for bursts.
		if c.full() || c.Keeper != nil && s.waits() > s.ring.Size()/4 {
			c.cut()
		}
	})
	// A ring gives its records in order of reservation: what comes after the last one cannot be
	// much older.
	if clear {
		s.mark = max(s.mark, now)
	} else {
		s.mark = max(s.mark, last)
	}
	return n, clear, err
}

// rows returns how many rows the batch has so far.
func (c *Collector) rows() int {
	n := c.order.Len()
	if c.cols != nil {
		n += c.cols.N
	}
	return n
}

func (c *Collector) full() bool { return c.rows() >= fullRows || c.order.Held() >= fullBytes }

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
	c.soon = c.soon || r.Type == event.Recorder
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
	c.order.Take(min(c.critical.mark, c.bulk.mark)-slack, c.one, c.own)
	n := c.rows()
	if n == 0 {
		c.since = 0
		return
	}
	if c.since == 0 {
		c.since = now
	}
	age := now.Sub(c.since)
	// When it is quiet the ring should be empty for the next burst: the kernel wakes us as it
	// fills, and takes what is not released for what was not read.
	room := c.Keeper != nil && c.quiet && (c.critical.waits() > c.critical.ring.Size()/16 || c.bulk.waits() > c.bulk.ring.Size()/16)
	if age >= anyAfter || age >= someAfter && n >= someRows || room || c.soon {
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
	c.since, c.soon = 0, false
	c.order.Take(math.MaxInt64, c.one, c.own)
	cols := c.cols
	if cols == nil || cols.N == 0 {
		return
	}
	c.cols = nil
	cols.Finish()
	if c.Keeper == nil {
		c.w.Put(cols)
		return
	}
	c.critical.cut, c.bulk.cut = c.critical.ring.Position(), c.bulk.ring.Position()
	note := c.Keeper.Note(cols, c.critical.cut, c.bulk.cut)
	c.w.put(job{cols, c.Keeper, note, c.critical.cut, c.bulk.cut})
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
	finishImage(r, c.Values)
	c.creds.see(r)
	c.cols.Append(r)
}
