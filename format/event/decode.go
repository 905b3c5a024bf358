package event

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"hindcast/format/clock"
)

// Errors of Decode. Both mean that the record is not what the catalogue says it is.
var (
	ErrType  = errors.New("unknown event id")
	ErrShort = errors.New("record too short")
)

var (
	le16 = binary.LittleEndian.Uint16
	le32 = binary.LittleEndian.Uint32
	le64 = binary.LittleEndian.Uint64
)

func short(t Type, want, have int) error {
	return fmt.Errorf("%s: %w: %d bytes, want %d", t, ErrShort, have, want)
}

// Decode fills r from a kernel record. Byte slices of r point into b or into memory
// of r and are valid until the next Decode into r, or until b changes.
// Seq, the record's number within its cpu and ring, is not a column and is returned.
func Decode(b []byte, r *Row) (seq uint64, err error) {
	if len(b) < HeaderSize {
		return 0, shortHeader(len(b))
	}
	s := r.scratch[:0]
	*r = Row{scratch: s}
	r.Type = Type(le16(b))
	r.CPU = le16(b[2:])
	r.Flags = le32(b[4:])
	r.TS = clock.Boot(le64(b[16:]))
	r.TID = le32(b[24:])
	r.PID = le32(b[28:])
	r.PStart = le64(b[32:])
	r.Image = le32(b[40:])
	r.Cred = le32(b[44:])
	r.Cgroup = le64(b[48:])
	r.Ret = int64(le64(b[56:]))
	r.Comm = comm(b)
	return le64(b[8:]), decodeBody(b, r)
}

func shortHeader(n int) error {
	return fmt.Errorf("header: %w: %d bytes, want %d", ErrShort, n, HeaderSize)
}

// comm returns the name of the acting thread in a record.
func comm(b []byte) []byte {
	c := b[64:80]
	if i := bytes.IndexByte(c, 0); i >= 0 {
		c = c[:i]
	}
	return c
}

// statDev turns the kernel's device number into the encoding of stat(2).
func statDev(d uint32) uint32 {
	major, minor := d>>20, d&(1<<20-1)
	return minor&0xff | major<<8 | (minor&^0xff)<<12
}

// vars walks the variable fields of a record.
type vars struct {
	rec   []byte
	at    int
	marks uint32
	bad   bool
}

// next returns the bytes of the variable field whose descriptor is at off; k is its
// number among the event's variable fields, for the marks.
func (v *vars) next(off, k int) []byte {
	n := int(le16(v.rec[off:]))
	mark := uint32(le16(v.rec[off+2:]))
	if old := v.marks >> (2 * k) & 3; mark&3 > old {
		v.marks = v.marks&^(3<<(2*k)) | mark&3<<(2*k)
	}
	if n > len(v.rec)-v.at {
		v.bad = true
		return nil
	}
	b := v.rec[v.at : v.at+n : v.at+n]
	v.at += n
	return b
}

func (v *vars) err(t Type) error {
	if v.bad {
		return fmt.Errorf("%s: %w: variable field runs past %d bytes", t, ErrShort, len(v.rec))
	}
	return nil
}

// path turns components into a path, see appendPath. Empty stays empty.
func (r *Row) path(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	start := len(r.scratch)
	r.scratch = appendPath(r.scratch, b)
	return r.scratch[start:len(r.scratch):len(r.scratch)]
}

// appendPath appends to dst the path of components, leaf first and NUL terminated. The outermost
// component "/" is the root of the walk; without it the walk was cut, or the object has
// a bare name (memfd:x), and no leading slash is invented. b is not empty.
func appendPath(dst, b []byte) []byte {
	if b[len(b)-1] == 0 {
		b = b[:len(b)-1]
	}
	sep := false // write a slash before the next component
	if n := len(b); n > 0 && b[n-1] == '/' && (n == 1 || b[n-2] == 0) {
		if n == 1 {
			return append(dst, b...)
		}
		b, sep = b[:n-2], true
	}
	for {
		i := bytes.LastIndexByte(b, 0)
		if sep {
			dst = append(dst, '/')
		}
		dst = append(dst, b[i+1:]...)
		sep = true
		if i < 0 {
			return dst
		}
		b = b[:i]
	}
}

// under joins a directory and the name a program passed, lexically and without cleaning:
// "..", links and doubled slashes stay as they were claimed.
func (r *Row) under(dir, name []byte) []byte {
	if len(name) == 0 {
		return dir
	}
	if name[0] == '/' || len(dir) == 0 {
		return name
	}
	start := len(r.scratch)
	r.scratch = append(r.scratch, dir...)
	if dir[len(dir)-1] != '/' {
		r.scratch = append(r.scratch, '/')
	}
	r.scratch = append(r.scratch, name...)
	return r.scratch[start:len(r.scratch):len(r.scratch)]
}

// addr renders an address of the row's family as text; an unspecified address of an
// unknown family is empty.
func (r *Row) addr(b []byte) []byte {
	start := len(r.scratch)
	r.scratch = appendAddr(r.scratch, r.Family, b)
	if len(r.scratch) == start {
		return nil
	}
	return r.scratch[start:len(r.scratch):len(r.scratch)]
}

func appendAddr(dst []byte, family uint8, b []byte) []byte {
	switch family {
	case 2:
		return netip.AddrFrom4([4]byte(b[:4])).AppendTo(dst)
	case 10:
		return netip.AddrFrom16([16]byte(b[:16])).Unmap().AppendTo(dst)
	}
	return dst
}
