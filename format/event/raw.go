package event

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrRaw means that bytes are not what AppendRaw writes.
var ErrRaw = errors.New("not a batch in raw form")

const (
	rawHead = 24
	maxRaw  = 16384 // rows
)

// AppendRaw appends the batch as it lies in memory: much faster than a segment's form and many
// times larger, for what must leave memory at once. Finish must have been called.
//
//	0 u32 rows  4 u32 zero  8 u64 columns loaded  16 u64 those of them that hold only zeros
//	then per loaded column, in order: of a dictionary u32 values, u32 bytes, the offsets behind
//	values as u32, the bytes; of every column that is not all zeros its fixed buffer
func (c *Columns) AppendRaw(dst []byte) []byte {
	le := binary.LittleEndian
	start := len(dst)
	dst = le.AppendUint32(dst, uint32(c.N))
	dst = le.AppendUint32(dst, 0)
	dst = le.AppendUint64(dst, c.Loaded)
	dst = le.AppendUint64(dst, 0)
	zeros := uint64(0)
	for col := range NumColumns {
		if c.Loaded>>col&1 == 0 {
			continue
		}
		if d := c.Dict(col); d != nil {
			dst = le.AppendUint32(dst, uint32(d.Len()))
			dst = le.AppendUint32(dst, uint32(len(d.Data)))
			if n := d.Len(); n > 0 {
				dst = append(dst, raw(d.Offsets[1:n+1])...)
			}
			dst = append(dst, d.Data...)
		}
		b := c.Fixed(col)[:c.N*ColumnTable[col].Kind.Width()]
		if zero(b) {
			zeros |= 1 << col
			continue
		}
		dst = append(dst, b...)
	}
	le.PutUint64(dst[start+16:], zeros)
	return dst
}

func zero(b []byte) bool {
	for ; len(b) >= 8; b = b[8:] {
		if le64(b) != 0 {
			return false
		}
	}
	for _, v := range b {
		if v != 0 {
			return false
		}
	}
	return true
}

// SetRaw makes c the batch that AppendRaw wrote. Nothing of b is trusted or kept.
func (c *Columns) SetRaw(b []byte) error {
	c.Reset()
	if len(b) < rawHead {
		return fmt.Errorf("%w: %d bytes", ErrRaw, len(b))
	}
	n, loaded, zeros := int(le32(b)), le64(b[8:]), le64(b[16:])
	const needed = 1<<ColTS | 1<<ColType
	if n < 1 || n > maxRaw || loaded&needed != needed || loaded>>NumColumns != 0 || zeros&^loaded != 0 {
		return fmt.Errorf("%w: %d rows of columns %x", ErrRaw, n, loaded)
	}
	b = b[rawHead:]
	take := func(k int) (p []byte) {
		if k <= len(b) {
			p, b = b[:k:k], b[k:]
		}
		return p
	}
	for col := range NumColumns {
		if loaded>>col&1 == 0 {
			continue
		}
		bad := func() error {
			c.Reset()
			return fmt.Errorf("%w: column %s", ErrRaw, ColumnTable[col].Name)
		}
		d := c.Dict(col)
		values := 0
		if d != nil {
			head := take(8)
			if head == nil {
				return bad()
			}
			values = int(le32(head))
			size := int(le32(head[4:]))
			if values > len(b)/4 || size > len(b)-4*values {
				return bad()
			}
			if values > 0 {
				d.Offsets = append(d.Offsets[:0], 0)
				for offsets := take(4 * values); len(offsets) > 0; offsets = offsets[4:] {
					o := le32(offsets)
					if o < uint32(d.Offsets[len(d.Offsets)-1]) || o > uint32(size) {
						return bad()
					}
					d.Offsets = append(d.Offsets, int32(o))
				}
				if int(d.Offsets[values]) != size {
					return bad()
				}
			} else if size != 0 {
				return bad()
			}
			d.Data = append(d.Data[:0], take(size)...)
		}
		width := n * ColumnTable[col].Kind.Width()
		if zeros>>col&1 == 0 {
			p := take(width)
			if p == nil {
				return bad()
			}
			c.SetFixed(col, p, n)
		} else {
			c.setZeros(col, n)
		}
		if d != nil {
			for _, v := range d.Index {
				if int(v) >= values && (values > 0 || v > 0) {
					return bad()
				}
			}
		}
	}
	if len(b) != 0 {
		c.Reset()
		return fmt.Errorf("%w: %d bytes too many", ErrRaw, len(b))
	}
	c.N, c.Loaded = n, loaded
	return nil
}

var noBytes [maxRaw * 8]byte

func (c *Columns) setZeros(col Column, n int) {
	c.SetFixed(col, noBytes[:n*ColumnTable[col].Kind.Width()], n)
}
