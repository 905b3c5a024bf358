package segment

import "encoding/binary"

// This file reads flatbuffers that nobody vouches for. Every access is checked against
// the buffer; the first one that does not fit marks the walk as bad, and everything read
// after that is zero. Nothing here allocates by a length from the buffer.

var (
	le16 = binary.LittleEndian.Uint16
	le32 = binary.LittleEndian.Uint32
	le64 = binary.LittleEndian.Uint64
)

// walk is one pass over a flatbuffer.
type walk struct {
	b   []byte
	bad bool
}

// table is a table inside a walk; the zero table has no fields.
type table struct {
	w     *walk
	pos   int // of the table, 0 for the zero table
	vt    int // of its vtable
	vtLen int
	size  int // of its inline data
}

func (w *walk) root() table {
	if len(w.b) < 8 {
		w.bad = true
		return table{w: w}
	}
	return w.table(int(le32(w.b)))
}

func (w *walk) table(pos int) table {
	if pos < 4 || pos > len(w.b)-4 {
		w.bad = true
		return table{w: w}
	}
	vt := pos - int(int32(le32(w.b[pos:])))
	if vt < 0 || vt > len(w.b)-4 {
		w.bad = true
		return table{w: w}
	}
	t := table{w: w, pos: pos, vt: vt, vtLen: int(le16(w.b[vt:])), size: int(le16(w.b[vt+2:]))}
	if t.vtLen < 4 || t.vtLen > len(w.b)-vt || t.size < 4 || t.size > len(w.b)-pos {
		w.bad = true
		return table{w: w}
	}
	return t
}

// at returns where the n bytes of a field lie, 0 when the field is absent.
func (t table) at(slot, n int) int {
	o := 4 + 2*slot
	if t.pos == 0 || o+2 > t.vtLen {
		return 0
	}
	f := int(le16(t.w.b[t.vt+o:]))
	if f == 0 {
		return 0
	}
	if f < 4 || f+n > t.size {
		t.w.bad = true
		return 0
	}
	return t.pos + f
}

func (t table) u8(slot int) uint8 {
	if p := t.at(slot, 1); p != 0 {
		return t.w.b[p]
	}
	return 0
}

func (t table) i16(slot int) int16 {
	if p := t.at(slot, 2); p != 0 {
		return int16(le16(t.w.b[p:]))
	}
	return 0
}

func (t table) i64(slot int) int64 {
	if p := t.at(slot, 8); p != 0 {
		return int64(le64(t.w.b[p:]))
	}
	return 0
}

// ref follows the offset in a field, 0 when the field is absent.
func (t table) ref(slot int) int {
	p := t.at(slot, 4)
	if p == 0 {
		return 0
	}
	o := int(le32(t.w.b[p:]))
	if o < 4 || o > len(t.w.b)-4-p {
		t.w.bad = true
		return 0
	}
	return p + o
}

func (t table) sub(slot int) table {
	p := t.ref(slot)
	if p == 0 {
		return table{w: t.w}
	}
	return t.w.table(p)
}

// vector returns the bytes of a vector of elements of elem bytes.
func (t table) vector(slot, elem int) []byte {
	p := t.ref(slot)
	if p == 0 {
		return nil
	}
	n := int(le32(t.w.b[p:]))
	if n > (len(t.w.b)-p-4)/elem {
		t.w.bad = true
		return nil
	}
	return t.w.b[p+4 : p+4+n*elem]
}

func (t table) text(slot int) string { return string(t.vector(slot, 1)) }

// pair is a KeyValue of Arrow metadata.
type pair struct{ key, value string }

// maxPairs bounds the metadata of one message; hindcast writes about twenty.
const maxPairs = 64

// keyValues reads a vector of KeyValue tables.
func (t table) keyValues(slot int) []pair {
	p := t.ref(slot)
	v := t.vector(slot, 4)
	n := len(v) / 4
	if n > maxPairs {
		t.w.bad = true
		return nil
	}
	var out []pair
	for i := range n {
		at := p + 4 + 4*i
		o := int(le32(v[4*i:]))
		if o < 4 || o > len(t.w.b)-4-at {
			t.w.bad = true
			return nil
		}
		kv := t.w.table(at + o)
		out = append(out, pair{kv.text(0), kv.text(1)})
	}
	return out
}
