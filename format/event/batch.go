package event

import (
	"bytes"
	"net/netip"
	"unsafe"

	"github.com/zeebo/xxh3"
)

// DictColumn is a dictionary column of a batch: an index per row, and the distinct values
// in Arrow's layout (value i is Data[Offsets[i]:Offsets[i+1]]).
type DictColumn struct {
	Index   []uint32
	Offsets []int32
	Data    []byte

	slots []uint64 // open addressing over values: upper half of the hash, value+1; a power of two long
	last  uint32   // value+1 that was asked for last: most rows say what the row before said
	raw   rawPaths
}

// rawPaths finds the value of a path by the form in which the kernel sent it, so that a path that
// many rows of a batch name is put together once.
type rawPaths struct {
	slots   []uint64 // as those of DictColumn, over entries
	offsets []uint32 // entry i is data[offsets[i]:offsets[i+1]]
	data    []byte
	values  []uint32 // of the entries
	last    uint32   // entry+1
	scratch []byte
}

// Len returns the number of distinct values.
func (d *DictColumn) Len() int {
	if len(d.Offsets) == 0 {
		return 0
	}
	return len(d.Offsets) - 1
}

// Value returns distinct value i.
func (d *DictColumn) Value(i uint32) []byte {
	return d.Data[d.Offsets[i]:d.Offsets[i+1]:d.Offsets[i+1]]
}

// At returns the value of row i, nil when the batch has no values at all.
func (d *DictColumn) At(i int) []byte {
	if d.Len() == 0 {
		return nil
	}
	return d.Value(d.Index[i])
}

// Intern returns the number of b among the distinct values, adding it when it is new.
func (d *DictColumn) Intern(b []byte) uint32 {
	if d.last != 0 && int(d.last) < len(d.Offsets) && string(d.Data[d.Offsets[d.last-1]:d.Offsets[d.last]]) == string(b) {
		return d.last - 1
	}
	if len(d.Offsets) == 0 {
		d.Offsets = append(d.Offsets, 0)
	}
	if len(d.slots) < 2*len(d.Offsets) {
		d.rehash(max(64, 4*len(d.Offsets)))
	}
	mask := uint64(len(d.slots) - 1)
	hash := xxh3.Hash(b)
	for h := hash & mask; ; h = (h + 1) & mask {
		s := d.slots[h]
		if s == 0 {
			n := uint32(len(d.Offsets))
			d.Data = append(d.Data, b...)
			d.Offsets = append(d.Offsets, int32(len(d.Data)))
			d.slots[h] = hash>>32<<32 | uint64(n)
			d.last = n
			return n - 1
		}
		if s>>32 != hash>>32 {
			continue
		}
		if v := uint32(s) - 1; bytes.Equal(d.Value(v), b) {
			d.last = v + 1
			return v
		}
	}
}

func (d *DictColumn) rehash(n int) {
	d.slots = table(n)
	mask := uint64(len(d.slots) - 1)
	for i := 0; i < d.Len(); i++ {
		hash := xxh3.Hash(d.Value(uint32(i)))
		h := hash & mask
		for d.slots[h] != 0 {
			h = (h + 1) & mask
		}
		d.slots[h] = hash>>32<<32 | uint64(i+1)
	}
}

// table makes the slots of at least n places.
func table(n int) []uint64 {
	size := 64
	for size < n {
		size *= 2
	}
	return make([]uint64, size)
}

func (d *DictColumn) put(row int, b []byte) { d.set(row, d.Intern(b)) }

func (d *DictColumn) set(row int, value uint32) {
	if row >= len(d.Index) {
		d.Index = grow(d.Index, row)
	}
	d.Index[row] = value
}

// path puts a path in the kernel's form, see appendPath.
func (d *DictColumn) path(row int, b []byte) {
	if len(b) == 0 {
		d.put(row, nil)
		return
	}
	d.set(row, d.internPath(b))
}

func (d *DictColumn) internPath(b []byte) uint32 {
	r := &d.raw
	if r.last != 0 && string(r.data[r.offsets[r.last-1]:r.offsets[r.last]]) == string(b) {
		return r.values[r.last-1]
	}
	if len(r.offsets) == 0 {
		r.offsets = append(r.offsets, 0)
	}
	if len(r.slots) < 2*len(r.offsets) {
		r.rehash(4 * len(r.offsets))
	}
	mask := uint64(len(r.slots) - 1)
	hash := xxh3.Hash(b)
	for h := hash & mask; ; h = (h + 1) & mask {
		s := r.slots[h]
		if s == 0 {
			r.scratch = appendPath(r.scratch[:0], b)
			v := d.Intern(r.scratch)
			r.data = append(r.data, b...)
			r.offsets = append(r.offsets, uint32(len(r.data)))
			r.values = append(r.values, v)
			r.last = uint32(len(r.values))
			r.slots[h] = hash>>32<<32 | uint64(r.last)
			return v
		}
		if s>>32 != hash>>32 {
			continue
		}
		if i := uint32(s); string(r.data[r.offsets[i-1]:r.offsets[i]]) == string(b) {
			r.last = i
			return r.values[i-1]
		}
	}
}

func (r *rawPaths) rehash(n int) {
	r.slots = table(n)
	mask := uint64(len(r.slots) - 1)
	for i := range r.values {
		hash := xxh3.Hash(r.data[r.offsets[i]:r.offsets[i+1]])
		h := hash & mask
		for r.slots[h] != 0 {
			h = (h + 1) & mask
		}
		r.slots[h] = hash>>32<<32 | uint64(i+1)
	}
}

// claimed puts the name a program passed, below the directory it is relative to; see Row.under.
func (d *DictColumn) claimed(row int, dir, name []byte) {
	switch {
	case len(name) == 0:
		d.path(row, dir)
		return
	case name[0] == '/' || len(dir) == 0:
		d.put(row, name)
		return
	}
	s := appendPath(d.raw.scratch[:0], dir)
	if n := len(s); n > 0 && s[n-1] != '/' {
		s = append(s, '/')
	}
	s = append(s, name...)
	d.raw.scratch = s
	d.put(row, s)
}

// addr puts an address of a family as text, see Row.addr.
func (d *DictColumn) addr(row int, family uint8, b []byte) {
	d.raw.scratch = appendAddr(d.raw.scratch[:0], family, b)
	d.put(row, d.raw.scratch)
}

func (d *DictColumn) reset() {
	d.Index, d.Offsets, d.Data, d.last = d.Index[:0], d.Offsets[:0], d.Data[:0], 0
	clear(d.slots)
	r := &d.raw
	r.offsets, r.data, r.values, r.last = r.offsets[:0], r.data[:0], r.values[:0], 0
	clear(r.slots)
}

// growth is how many rows a column grows by when there is room.
const growth = 1024

// grow lengthens s, by zeros, so that it has a place n. It may get longer than that: the length of
// a column that is being filled says where it is known to be zero, not how many rows there are.
func grow[T any](s []T, n int) []T {
	if cap(s) <= n {
		t := make([]T, max(n+1, growth, 2*cap(s)))
		copy(t, s)
		return t
	}
	old := len(s)
	s = s[:min(cap(s), max(n+1, old+growth))]
	clear(s[old:])
	return s
}

// fit makes s n long, or empties it when no row has the column.
func fit[T any](s []T, n int, has uint64) []T {
	if has == 0 {
		return s[:0]
	}
	if len(s) < n {
		s = grow(s, n-1)
	}
	return s[:n]
}

// Record adds a kernel record as the last row: what Decode and Append do, without the row between
// them. Of a record that is not what the catalogue says it is nothing is added.
func (c *Columns) Record(b []byte) error {
	if len(b) < HeaderSize {
		return shortHeader(len(b))
	}
	if err := c.record(b, c.N); err != nil {
		return err
	}
	c.N++
	return nil
}

// family returns the address family of a row that is being filled.
func (c *Columns) family(n int) uint8 {
	if n < len(c.Family) {
		return c.Family[n]
	}
	return 0
}

// raw views a column as bytes. Every system hindcast builds for is little endian;
// a test says so.
func raw[T any](s []T) []byte {
	if len(s) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&s[0])), len(s)*int(unsafe.Sizeof(s[0])))
}

func fill[T any](s []T, b []byte, n int) []T {
	if cap(s) < n {
		s = make([]T, n)
	}
	s = s[:n]
	copy(raw(s), b)
	return s
}

// Wire builds the kernel's record of the row, the inverse of Decode, for tests and for
// generated captures. Paths are split back into components; a CClaimed value is sent whole
// as the claimed string with an empty directory.
func (r *Row) Wire(seq uint64) []byte {
	e := ByID(r.Type)
	if e == nil {
		return nil
	}
	slots, size := e.Layout()
	b := make([]byte, size)
	p16 := func(at int, v uint16) { copy(b[at:], raw([]uint16{v})) }
	p32 := func(at int, v uint32) { copy(b[at:], raw([]uint32{v})) }
	p64 := func(at int, v uint64) { copy(b[at:], raw([]uint64{v})) }
	p16(0, uint16(r.Type))
	p16(2, r.CPU)
	p32(4, r.Flags)
	p64(8, seq)
	p64(16, uint64(r.TS))
	p32(24, r.TID)
	p32(28, r.PID)
	p64(32, r.PStart)
	p32(40, r.Image)
	p32(44, r.Cred)
	p64(48, r.Cgroup)
	p64(56, uint64(r.Ret))
	copy(b[64:79], r.Comm)
	var tail []byte
	k := 0
	for _, s := range slots {
		v := r.Int(s.Field.Col)
		switch s.C {
		case CU8:
			b[s.Offset] = byte(v)
		case CU16, CPort:
			p16(s.Offset, uint16(v))
		case CU32, CS32:
			p32(s.Offset, uint32(v))
		case CDev:
			p32(s.Offset, kernelDev(uint32(v)))
		case CU64, CS64:
			p64(s.Offset, uint64(v))
		case CAddr:
			if a, err := netip.ParseAddr(string(r.Bytes(s.Field.Col))); err == nil {
				copy(b[s.Offset:], a.AsSlice())
			}
		case CBytes, CPath:
			v := r.Bytes(s.Field.Col)
			if s.C == CPath {
				v = components(v)
			}
			if s.Field.C == CClaimed && !s.Second {
				v = nil
			}
			p16(s.Offset, uint16(len(v)))
			p16(s.Offset+2, uint16(r.Marks>>(2*k)&3))
			p32(s.Offset+4, uint32(len(v)))
			tail = append(tail, v...)
			if s.Field.C != CClaimed || s.Second {
				k++
			}
		}
	}
	return append(b, tail...)
}

func kernelDev(d uint32) uint32 {
	return d>>8&0xfff<<20 | d&0xff | d>>12&^0xff&(1<<20-1)
}

// components is the inverse of Row.path.
func components(p []byte) []byte {
	if len(p) == 0 {
		return nil
	}
	rooted := p[0] == '/'
	var out []byte
	for p = bytes.TrimPrefix(p, []byte("/")); len(p) > 0; {
		i := bytes.LastIndexByte(p, '/')
		out = append(append(out, p[i+1:]...), 0)
		p = p[:max(i, 0)]
	}
	if rooted {
		out = append(out, '/', 0)
	}
	return out
}
