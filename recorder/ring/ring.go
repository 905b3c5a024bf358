//go:build linux

package ring

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Bits of a record's length word, and the size of its header (length, page offset).
const (
	busyBit    = 1 << 31
	discardBit = 1 << 30
	headerSize = 8
)

// chunk is how many bytes are read before the kernel is told: it looks at the position on
// every reserve, so telling it of every record would bounce a cache line per record.
const chunk = 64 << 10

// ErrCorrupt means that a length in the ring cannot be true. Reading on is not possible.
var ErrCorrupt = errors.New("ring buffer is corrupt")

// Ring is one mapped ring buffer. It is used by one goroutine at a time.
type Ring struct {
	consumer, producer *uint64 // positions: count of bytes since creation
	data               []byte  // the ring twice in a row, so that no record wraps
	mask               uint64
	fd                 int
	read               uint64 // how far records were handed out
	hold               bool

	unmap [][]byte
}

// Open maps the ring buffer map with the given descriptor and size in bytes (its max_entries).
// The descriptor stays the caller's and must outlive the Ring.
func Open(fd int, size int) (*Ring, error) {
	page := os.Getpagesize()
	if size <= 0 || size&(size-1) != 0 || size%page != 0 {
		return nil, fmt.Errorf("map ring buffer: size %d is not a power of two of whole pages", size)
	}
	cons, err := unix.Mmap(fd, 0, page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map consumer page of ring buffer: %w", err)
	}
	prod, err := unix.Mmap(fd, int64(page), page+2*size, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		unix.Munmap(cons)
		return nil, fmt.Errorf("map data of ring buffer: %w", err)
	}
	r := over(cons, prod[:page], prod[page:])
	r.fd, r.unmap = fd, [][]byte{cons, prod}
	return r, nil
}

// over is a Ring over memory laid out as the kernel does.
func over(consumer, producer, data []byte) *Ring {
	r := &Ring{
		consumer: (*uint64)(unsafe.Pointer(&consumer[0])),
		producer: (*uint64)(unsafe.Pointer(&producer[0])),
		data:     data,
		mask:     uint64(len(data)/2 - 1),
		fd:       -1,
	}
	r.read = atomic.LoadUint64(r.consumer)
	return r
}

// Hold keeps what is read in the ring until Release: whoever opens the ring after us finds it.
// From is where to begin, when an earlier reader got further than it released.
func (r *Ring) Hold(from uint64) {
	r.hold = true
	if from > r.read && from <= atomic.LoadUint64(r.producer) {
		r.read = from
		r.Release(from)
	}
}

// Release gives the ring's room up to a position back to the kernel. It may be called by another
// goroutine than the reader's.
func (r *Ring) Release(to uint64) { atomic.StoreUint64(r.consumer, to) }

// Mark returns what may be done once all that was read is stored.
func (r *Ring) Mark() Mark { return Mark{r.read, r.read} }

// Keep gives room back to the kernel: all before the mark is stored. It may be called by another
// goroutine than the reader's.
func (r *Ring) Keep(m Mark) { r.Release(m.Tail) }

// Fill returns the bytes that the kernel has no room for: what was not given back, read or not.
func (r *Ring) Fill() int { return int(r.End() - atomic.LoadUint64(r.consumer)) }

// Position returns how far the ring was read: bytes since its creation. During a call of Drain's
// function it is the end of the record handed out.
func (r *Ring) Position() uint64 { return r.read }

// End returns the end of what was reserved so far.
func (r *Ring) End() uint64 { return atomic.LoadUint64(r.producer) }

// Size returns the bytes the ring holds.
func (r *Ring) Size() int { return int(r.mask + 1) }

// Waiting returns the bytes not read yet, headers included.
func (r *Ring) Waiting() int {
	return int(atomic.LoadUint64(r.producer) - r.read)
}

// Drain hands out waiting records in the order they were reserved, up to the given position,
// which is an earlier End. The slice given to f is the kernel's memory and valid during the call
// only.
//
// It returns true when everything before that has been handed out. False means that an older
// record is still being written: the kernel gives records in order of reservation, so those
// behind it wait for the next call.
func (r *Ring) Drain(goal uint64, f func(rec []byte)) (clear bool, err error) {
	pos, told := r.read, r.read
	for pos < goal {
		at := pos & r.mask
		word := atomic.LoadUint32((*uint32)(unsafe.Pointer(&r.data[at])))
		if word&busyBit != 0 {
			break
		}
		n := uint64(word &^ (busyBit | discardBit))
		step := (n + headerSize + 7) &^ 7
		if step > r.mask+1 || step > goal-pos {
			err = fmt.Errorf("%w: record of %d bytes at %d, %d are there", ErrCorrupt, n, pos, goal-pos)
			break
		}
		pos += step
		r.read = pos
		if word&discardBit == 0 {
			f(r.data[at+headerSize : at+headerSize+n : at+headerSize+n])
		}
		if !r.hold && pos-told >= chunk {
			r.Release(pos)
			told = pos
		}
	}
	if !r.hold && pos != told {
		r.Release(pos)
	}
	return pos >= goal, err
}

// Close unmaps the ring. Slices handed out must not be used any more.
func (r *Ring) Close() error {
	var errs []error
	for _, m := range r.unmap {
		errs = append(errs, unix.Munmap(m))
	}
	r.unmap, r.data = nil, nil
	return errors.Join(errs...)
}
