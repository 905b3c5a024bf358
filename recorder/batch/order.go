//go:build linux

package batch

import (
	"cmp"
	"encoding/binary"
	"slices"

	"hindcast/format/clock"
	"hindcast/format/event"
)

// Order holds records and rows until their time has come. The zero value is empty and ready.
//
// Records come in runs, one for each ring, that are nearly in order of time already: each is put
// in its place as it comes, and runs are merged as they are taken.
type Order struct {
	runs  []run
	heap  []int // runs that have records, the one with the oldest on top
	copy  run   // of records that do not stay where they are
	held  []byte
	spare []byte
	bytes int // in all runs
	n     int
	rows  []event.Row // made by the recorder
}

// run is records in order of time.
type run struct {
	p    []place
	next int // the first that was not taken; 0 but during Take
	wild bool
}

type place struct {
	ts  clock.Boot
	rec []byte
}

// near is how far back a record is put in its place at once; a run with a worse one is sorted.
const near = 64

func (r *run) add(ts clock.Boot, rec []byte) {
	r.p = append(r.p, place{ts, rec})
	i := len(r.p) - 1
	if i == 0 || r.wild || r.p[i-1].ts <= ts {
		return
	}
	for k := i; ; k-- {
		if k == 0 || r.p[k-1].ts <= ts {
			copy(r.p[k+1:], r.p[k:i])
			r.p[k] = place{ts, rec}
			return
		}
		if i-k >= near {
			r.wild = true
			return
		}
	}
}

// Add copies a wire record. One too short to carry a time counts as the oldest.
func (o *Order) Add(rec []byte) {
	at := len(o.held)
	o.held = append(o.held, rec...)
	o.copy.add(wireTime(rec), o.held[at:len(o.held):len(o.held)])
	o.bytes += len(rec)
	o.n++
}

// Ref adds a wire record of one of the rings, numbered from 0, that stays where it is until it is
// taken.
func (o *Order) Ref(ring int, ts clock.Boot, rec []byte) {
	for ring >= len(o.runs) {
		o.runs = append(o.runs, run{})
	}
	o.runs[ring].add(ts, rec)
	o.bytes += len(rec)
	o.n++
}

// AddRow adds a row; its byte slices are kept.
func (o *Order) AddRow(r event.Row) { o.rows = append(o.rows, r) }

// Held returns the bytes of the records held.
func (o *Order) Held() int { return o.bytes }

// Len returns how many records and rows are held.
func (o *Order) Len() int { return o.n + len(o.rows) }

// run returns a run by its number: that of the copied records is the last.
func (o *Order) run(i int) *run {
	if i == len(o.runs) {
		return &o.copy
	}
	return &o.runs[i]
}

// less tells whether the oldest record of run a comes before that of run b.
func (o *Order) less(a, b int) bool {
	ra, rb := o.run(a), o.run(b)
	ta, tb := ra.p[ra.next].ts, rb.p[rb.next].ts
	return ta < tb || ta == tb && a < b
}

// sink restores the heap below i.
func (o *Order) sink(i int) {
	h := o.heap
	for {
		least := 2*i + 1
		if least >= len(h) {
			return
		}
		if least+1 < len(h) && o.less(h[least+1], h[least]) {
			least++
		}
		if !o.less(h[least], h[i]) {
			return
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
}

// Take gives out what is older than before, in order of time; what has the same time comes in
// order of its ring and there as it was added, rows first and copied records last. The record is
// valid during the call only.
func (o *Order) Take(before clock.Boot, rec func([]byte), row func(*event.Row)) {
	slices.SortStableFunc(o.rows, func(a, b event.Row) int { return cmp.Compare(a.TS, b.TS) })
	o.heap = o.heap[:0]
	for i := range len(o.runs) + 1 {
		r := o.run(i)
		if r.wild {
			slices.SortStableFunc(r.p, func(a, b place) int { return cmp.Compare(a.ts, b.ts) })
			r.wild = false
		}
		if len(r.p) > 0 && r.p[0].ts < before {
			o.heap = append(o.heap, i)
		}
	}
	for i := len(o.heap)/2 - 1; i >= 0; i-- {
		o.sink(i)
	}
	k := 0
	for len(o.heap) > 0 {
		// The records of the run on top that come before those of all others.
		top := o.heap[0]
		r := o.run(top)
		until, limit := before, -1
		for c := 1; c < min(3, len(o.heap)); c++ {
			if s := o.run(o.heap[c]); s.p[s.next].ts < until || s.p[s.next].ts == until && limit >= 0 && o.heap[c] < limit {
				until, limit = s.p[s.next].ts, o.heap[c]
			}
		}
		for r.next < len(r.p) {
			p := &r.p[r.next]
			if p.ts > until || p.ts == until && top > limit {
				break
			}
			for k < len(o.rows) && o.rows[k].TS <= p.ts {
				row(&o.rows[k])
				k++
			}
			rec(p.rec)
			o.bytes -= len(p.rec)
			o.n--
			r.next++
		}
		if r.next == len(r.p) || r.p[r.next].ts >= before {
			last := len(o.heap) - 1
			o.heap[0] = o.heap[last]
			o.heap = o.heap[:last]
		}
		o.sink(0)
	}
	for k < len(o.rows) && o.rows[k].TS < before {
		row(&o.rows[k])
		k++
	}
	o.rows = append(o.rows[:0], o.rows[k:]...)
	for i := range o.runs {
		o.runs[i].rest()
	}
	o.copy.rest()
	// What stays moves together into the other buffer.
	o.spare = o.spare[:0]
	for i := range o.copy.p {
		p := &o.copy.p[i]
		at := len(o.spare)
		o.spare = append(o.spare, p.rec...)
		p.rec = o.spare[at:len(o.spare):len(o.spare)]
	}
	o.held, o.spare = o.spare, o.held
}

// rest keeps what was not taken.
func (r *run) rest() {
	if r.next > 0 {
		r.p = append(r.p[:0], r.p[r.next:]...)
		r.next = 0
	}
}

// wireTime reads the time stamp of a wire record.
func wireTime(rec []byte) clock.Boot {
	if len(rec) < event.HeaderSize {
		return 0
	}
	return clock.Boot(binary.LittleEndian.Uint64(rec[16:]))
}

// wireHead reads what Sequence and the counts need.
func wireHead(rec []byte) (t event.Type, cpu uint16, seq uint64) {
	if len(rec) < event.HeaderSize {
		return 0, 0, 0
	}
	return event.Type(binary.LittleEndian.Uint16(rec)), binary.LittleEndian.Uint16(rec[2:]), binary.LittleEndian.Uint64(rec[8:])
}
