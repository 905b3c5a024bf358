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
// reserving its place.
const slack = clock.Boot(10 * time.Millisecond)

// maxHeld bounds what waits for its order. Beyond it order is given up: readers sort anyway.
const maxHeld = 32 << 20

// Source is a ring, and how far it was read.
type Source struct {
	ring *ring.Ring
	Seq  ring.Sequence
	mark clock.Boot
}

// Collector drains rings into batches. It is used by one goroutine.
type Collector struct {
	Received [event.MaxType]uint64 // records out of the rings, by type; 0 and unknown ones under 0
	Streamed uint64                // records out of iterators
	Bad      [event.MaxType]uint64 // records that could not be decoded, of rings and iterators
	Values   bool                  // keep the values of environments, not the names only; default: names only

	critical, bulk *Source
	order          Order
	row            event.Row
	cols           *event.Columns
	oldest         clock.Boot // when the first row of cols was put there
	now            clock.Boot
	w              *Writer
	one            func([]byte)
	own            func(*event.Row)
}

// NewCollector drains the two rings into w.
func NewCollector(critical, bulk *ring.Ring, w *Writer) *Collector {
	c := &Collector{critical: &Source{ring: critical}, bulk: &Source{ring: bulk}, w: w}
	c.one, c.own = c.decode, c.append
	return c
}

// Critical and Bulk return the two sources.
func (c *Collector) Critical() *Source { return c.critical }
func (c *Collector) Bulk() *Source     { return c.bulk }

// Drain reads what waits in both rings, critical first, and returns how many records it was.
// now is the time before the call.
func (c *Collector) Drain(now clock.Boot) (n int, err error) {
	for _, s := range []*Source{c.critical, c.bulk} {
		var last clock.Boot
		clear, e := s.ring.Drain(s.ring.Size(), func(rec []byte) {
			t, cpu, seq := wireHead(rec)
			if t >= event.MaxType {
				t = 0
			}
			s.Seq.Add(cpu, seq)
			c.Received[t]++
			last = max(last, wireTime(rec))
			c.order.Add(rec)
			n++
		})
		if e != nil && err == nil {
			err = e
		}
		// A ring gives its records in order of reservation: what comes after the last one
		// cannot be much older.
		if clear {
			s.mark = max(s.mark, now)
		} else {
			s.mark = max(s.mark, last)
		}
	}
	return n, err
}

// Stream adds a record of an iterator. The record is copied.
func (c *Collector) Stream(rec []byte) {
	c.Streamed++
	c.order.Add(rec)
}

// Row adds a row made by the recorder; its byte slices are kept.
func (c *Collector) Row(r event.Row) { c.order.AddRow(r) }

// Emit decodes what is in order by now, and gives batches that are due to the writer.
func (c *Collector) Emit(now clock.Boot) {
	before := min(c.critical.mark, c.bulk.mark) - slack
	if c.order.Held() > maxHeld {
		before = math.MaxInt64
	}
	c.emit(now, before)
	if c.cols == nil || c.cols.N == 0 {
		return
	}
	age := now.Sub(c.oldest)
	if age >= anyAfter || age >= someAfter && c.cols.N >= someRows {
		c.flush()
	}
}

// Finish decodes and gives to the writer everything that is held.
func (c *Collector) Finish(now clock.Boot) {
	c.emit(now, math.MaxInt64)
	c.flush()
}

func (c *Collector) emit(now, before clock.Boot) {
	c.now = now
	c.order.Take(before, c.one, c.own)
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
	c.append(&c.row)
}

func (c *Collector) append(r *event.Row) {
	finishImage(r, c.Values)
	if c.cols == nil {
		c.cols = c.w.Free()
	}
	if c.cols.N == 0 {
		c.oldest = c.now
	}
	c.cols.Append(r)
	if c.cols.N >= fullRows {
		c.flush()
	}
}

func (c *Collector) flush() {
	if c.cols == nil || c.cols.N == 0 {
		return
	}
	c.cols.Finish()
	c.w.Put(c.cols)
	c.cols = nil
}
