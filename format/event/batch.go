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

	slots []uint32 // open addressing over values, value+1; a power of two long
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
	if len(d.Offsets) == 0 {
		d.Offsets = append(d.Offsets, 0)
	}
	if len(d.slots) < 2*len(d.Offsets) {
		d.rehash(max(64, 4*len(d.Offsets)))
	}
	mask := uint64(len(d.slots) - 1)
	for h := xxh3.Hash(b) & mask; ; h = (h + 1) & mask {
		v := d.slots[h]
		if v == 0 {
			n := uint32(len(d.Offsets) - 1)
			d.Data = append(d.Data, b...)
			d.Offsets = append(d.Offsets, int32(len(d.Data)))
			d.slots[h] = n + 1
			return n
		}
		if bytes.Equal(d.Value(v-1), b) {
			return v - 1
		}
	}
}

func (d *DictColumn) rehash(n int) {
	size := 64
	for size < n {
		size *= 2
	}
	d.slots = make([]uint32, size)
	mask := uint64(size - 1)
	for i := 0; i < d.Len(); i++ {
		h := xxh3.Hash(d.Value(uint32(i))) & mask
		for d.slots[h] != 0 {
			h = (h + 1) & mask
		}
		d.slots[h] = uint32(i) + 1
	}
}

func (d *DictColumn) put(row int, b []byte) {
	d.Index = put(d.Index, row, d.Intern(b))
}

func (d *DictColumn) reset() {
	d.Index, d.Offsets, d.Data = d.Index[:0], d.Offsets[:0], d.Data[:0]
	clear(d.slots)
}

// put writes v at position n, filling what lies between with zeros.
func put[T any](s []T, n int, v T) []T {
	s = pad(s, n)
	return append(s, v)
}

// pad extends s with zeros to length n.
func pad[T any](s []T, n int) []T {
	if len(s) >= n {
		return s
	}
	if cap(s) < n {
		t := make([]T, n, max(n, 2*cap(s)))
		copy(t, s)
		return t
	}
	old := len(s)
	s = s[:n]
	clear(s[old:])
	return s
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
