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
type Order struct {
	held  []byte // records, one after the other
	spare []byte
	index []place
	rows  []event.Row // made by the recorder
}

type place struct {
	ts    clock.Boot
	at, n uint32
}

// Add copies a wire record. One too short to carry a time counts as the oldest.
func (o *Order) Add(rec []byte) {
	o.index = append(o.index, place{wireTime(rec), uint32(len(o.held)), uint32(len(rec))})
	o.held = append(o.held, rec...)
}

// AddRow adds a row; its byte slices are kept.
func (o *Order) AddRow(r event.Row) { o.rows = append(o.rows, r) }

// Held returns the bytes of the records held.
func (o *Order) Held() int { return len(o.held) }

// Len returns how many records and rows are held.
func (o *Order) Len() int { return len(o.index) + len(o.rows) }

// Take gives out what is older than before, in order of time; what has the same time comes in
// the order in which it was added, rows before records. The record is valid during the call only.
func (o *Order) Take(before clock.Boot, rec func([]byte), row func(*event.Row)) {
	slices.SortFunc(o.index, func(a, b place) int {
		if c := cmp.Compare(a.ts, b.ts); c != 0 {
			return c
		}
		return cmp.Compare(a.at, b.at)
	})
	slices.SortStableFunc(o.rows, func(a, b event.Row) int { return cmp.Compare(a.TS, b.TS) })
	i, k := 0, 0
	for i < len(o.index) || k < len(o.rows) {
		if k < len(o.rows) && (i == len(o.index) || o.rows[k].TS <= o.index[i].ts) {
			if o.rows[k].TS >= before {
				break
			}
			row(&o.rows[k])
			k++
			continue
		}
		p := o.index[i]
		if p.ts >= before {
			break
		}
		rec(o.held[p.at : p.at+p.n])
		i++
	}
	// What stays moves together into the other buffer.
	o.spare = o.spare[:0]
	rest := o.index[:0]
	for _, p := range o.index[i:] {
		rest = append(rest, place{p.ts, uint32(len(o.spare)), p.n})
		o.spare = append(o.spare, o.held[p.at:p.at+p.n]...)
	}
	o.index, o.held, o.spare = rest, o.spare, o.held
	o.rows = append(o.rows[:0], o.rows[k:]...)
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
