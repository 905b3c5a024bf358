//go:build linux

package batch

import (
	"encoding/binary"

	"hindcast/format/event"
)

// asRow are events that the recorder reads before it stores them, or completes.
const asRow = 1<<event.Fork | 1<<event.Exec | 1<<event.Exit | 1<<event.Process | 1<<event.CredChange

// store puts a record into the batch. Most go into the columns as they are; what credentials are
// compared with, and what is completed here, becomes a row first.
func (c *Collector) store(rec []byte) {
	if c.Keep != nil || len(rec) < event.HeaderSize || 1<<event.Type(binary.LittleEndian.Uint16(rec))&uint64(asRow) != 0 || !c.creds.same(rec) {
		c.decode(rec)
		return
	}
	if c.Until != 0 && wireTime(rec) >= c.Until {
		return
	}
	if c.cols == nil {
		c.cols = c.w.Free()
	}
	if err := c.cols.Record(rec); err != nil {
		t := event.Type(binary.LittleEndian.Uint16(rec))
		if t >= event.MaxType {
			t = 0
		}
		c.Bad[t]++
	}
}

// same is see for a record that shows nothing new, which is nearly every one. It returns false, and
// has noted nothing, when the record must be looked at as a row.
func (c *creds) same(rec []byte) bool {
	le32 := binary.LittleEndian.Uint32
	cred := le32(rec[44:])
	if le32(rec[4:])&elsewhere != 0 || cred == 0 || 1<<event.Type(binary.LittleEndian.Uint16(rec))&uint64(delayed) != 0 {
		return true
	}
	h := c.holder(le32(rec[24:]))
	if h == nil || h.start != binary.LittleEndian.Uint64(rec[32:]) || h.pid != le32(rec[28:]) {
		return false
	}
	if ts := wireTime(rec); h.ts <= ts {
		if h.cred != cred {
			return false
		}
		h.ts = ts
	}
	return true
}
