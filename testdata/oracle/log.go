//go:build linux && amd64

package oracle

import (
	"encoding/binary"
	"fmt"
)

// Note is one entry of the log.
type Note struct {
	What  int
	Node  int
	Other int // child, exec number
	// Value is what the kernel answered: see the Note constants.
	Value [6]int64
}

// Before and After bound a fork, nanoseconds since boot.
func (n *Note) Before() int64 { return n.Value[1]*1e9 + n.Value[2] }
func (n *Note) After() int64  { return n.Value[3]*1e9 + n.Value[4] }

// Read returns the notes of a log, in the order in which they were begun.
func Read(b []byte) ([]Note, error) {
	le := binary.LittleEndian
	if len(b) < 64 {
		return nil, fmt.Errorf("log of %d bytes", len(b))
	}
	count := le.Uint64(b)
	if count > uint64(len(b)/64-1) {
		return nil, fmt.Errorf("%d notes in a log of %d bytes", count, len(b))
	}
	out := make([]Note, count)
	for i := range out {
		at := b[64+64*i:]
		w := le.Uint64(at)
		out[i] = Note{What: int(w & 0xff), Node: int(w >> 8 & 0xffffff), Other: int(w >> 32)}
		for k := range out[i].Value {
			out[i].Value[k] = int64(le.Uint64(at[8+8*k:]))
		}
	}
	return out, nil
}
