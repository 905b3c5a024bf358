//go:build linux

package ring

import (
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Levels is how many lanes each cpu has: its own, and those above it for programs that run while
// another one of the cpu is writing.
const Levels = 4

// How a cpu's lanes lie in a value of the map; bpf/include/maps.h has the same.
const (
	laneHead = 256
	laneData = 1024
)

// lane is the kernel's struct hc_lane.
type lane struct {
	head                         uint64
	busy                         uint32
	base, mask, most, wake, kept uint32
	_                            [12]uint64
	tail, read, stored           uint64
}

// Lane is a ring that one cpu writes without a lock. What has come to its head is complete. It is
// used by one goroutine at a time.
//
// A lane that is held can keep a window of what is stored: so much of it is not given back, and
// whoever reads the lane after us finds, before the first record that is not stored, what that and
// later ones may refer to. The kernel half says how much; with records that refer to nothing, none.
type Lane struct {
	h     *lane
	data  []byte
	mask  uint64
	most  uint64
	kept  uint64
	read  uint64 // how far records were handed out
	hold  bool
	marks []uint64 // ends of records, a sixty-fourth of the size apart, from the tail on
}

// Mark is how far a ring has come.
type Mark struct {
	Stored uint64 // what is before is in the store
	Tail   uint64 // what is before may be written over
}

// Lanes are those of all cpus.
type Lanes struct {
	all []*Lane
	mem []byte
}

// OpenLanes maps the array of lanes with the given descriptor, size of a value and number of cpus.
// The descriptor stays the caller's.
func OpenLanes(fd, value, cpus int) (*Lanes, error) {
	page := os.Getpagesize()
	mem, err := unix.Mmap(fd, 0, (value*cpus+page-1)&^(page-1), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map lanes: %w", err)
	}
	l := &Lanes{mem: mem}
	for cpu := range cpus {
		if err := l.add(mem[cpu*value : (cpu+1)*value]); err != nil {
			unix.Munmap(mem)
			return nil, fmt.Errorf("map lanes of cpu %d: %w", cpu, err)
		}
	}
	return l, nil
}

// add finds the lanes of a cpu in their value.
func (l *Lanes) add(value []byte) error {
	for level := range Levels {
		h := (*lane)(unsafe.Pointer(&value[level*laneHead]))
		begin, end := laneData+int(h.base), len(value)
		if level > 0 { // those above lie before the cpu's own, one after the other
			next := (*lane)(unsafe.Pointer(&value[(level+1)%Levels*laneHead]))
			end = laneData + int(next.base)
		}
		size := int(h.mask) + 1
		if size < 8 || size&(size-1) != 0 || begin+size+int(h.most) > end || end > len(value) || int(h.kept) > size/2 {
			return fmt.Errorf("level %d: %w: %d bytes at %d", level, ErrCorrupt, size, h.base)
		}
		l.all = append(l.all, newLane(h, value[begin:end:end]))
	}
	return nil
}

func newLane(h *lane, data []byte) *Lane {
	l := &Lane{h: h, data: data, mask: uint64(h.mask), most: uint64(h.most), kept: uint64(h.kept)}
	l.read = atomic.LoadUint64(&h.tail)
	return l
}

// All returns the lanes: those of a cpu, its own first, then those of the next.
func (l *Lanes) All() []*Lane { return l.all }

// Close unmaps the lanes. Slices handed out must not be used any more.
func (l *Lanes) Close() error {
	if l.mem == nil {
		return nil
	}
	err := unix.Munmap(l.mem)
	l.mem, l.all = nil, nil
	return err
}

// Hold keeps what is read in the lane until Keep: whoever opens it after us finds it. from is where
// an earlier reader noted that it was; what it had read before, as far as that is still there, is
// given to learn (nil: nobody), in order.
func (l *Lane) Hold(from uint64, learn func(rec []byte)) error {
	l.hold = true
	from = min(max(from, atomic.LoadUint64(&l.h.stored)), l.End())
	l.marks = append(l.marks[:0], l.read)
	if learn == nil {
		learn = func([]byte) {}
	}
	_, err := l.Drain(from, learn)
	return err
}

// Mark returns what may be done once all that was read is stored.
func (l *Lane) Mark() Mark {
	m := Mark{Stored: l.read, Tail: l.marks[0]}
	// The last mark that leaves the window.
	i := 0
	for i+1 < len(l.marks) && l.marks[i+1]+l.kept <= l.read {
		i++
	}
	l.marks = append(l.marks[:0], l.marks[i:]...)
	m.Tail = l.marks[0]
	return m
}

// Keep gives room back to the kernel: all before the mark is stored. It may be called by another
// goroutine than the reader's.
func (l *Lane) Keep(m Mark) {
	atomic.StoreUint64(&l.h.stored, m.Stored)
	atomic.StoreUint64(&l.h.tail, m.Tail)
}

// Stored returns how far the last reader has given room back.
func (l *Lane) Stored() uint64 { return atomic.LoadUint64(&l.h.stored) }

// Fill returns the bytes that the kernel has no room for: what was not given back, read or not.
func (l *Lane) Fill() int { return int(l.End() - atomic.LoadUint64(&l.h.tail)) }

// Position returns how far the lane was read: bytes since its creation. During a call of Drain's
// function it is the end of the record handed out.
func (l *Lane) Position() uint64 { return l.read }

// End returns the end of what is complete.
func (l *Lane) End() uint64 { return atomic.LoadUint64(&l.h.head) }

// Size returns the bytes the lane holds.
func (l *Lane) Size() int { return int(l.mask + 1) }

// Waiting returns the bytes not read yet, headers included.
func (l *Lane) Waiting() int { return int(l.End() - l.read) }

// Drain hands out waiting records in the order they were made, up to the given position, which is
// an earlier End. The slice given to f is the kernel's memory: valid during the call only, or until
// the record is given back when the lane is held. It always returns true: what has not come to the
// head is not seen.
func (l *Lane) Drain(goal uint64, f func(rec []byte)) (clear bool, err error) {
	pos := l.read
	if pos >= goal {
		return true, nil
	}
	for pos < goal {
		at := pos & l.mask
		n := uint64(*(*uint32)(unsafe.Pointer(&l.data[at])))
		step := (n + headerSize + 7) &^ 7
		next := pos + step
		if at+step > l.mask {
			next = (pos | l.mask) + 1
		}
		if step > l.most || next > goal {
			err = fmt.Errorf("%w: record of %d bytes at %d, %d are there", ErrCorrupt, n, pos, goal-pos)
			break
		}
		pos = next
		l.read = pos
		if l.hold && pos-l.marks[len(l.marks)-1] > l.mask>>6 {
			l.marks = append(l.marks, pos)
		}
		f(l.data[at+headerSize : at+headerSize+n : at+headerSize+n])
	}
	atomic.StoreUint64(&l.h.read, l.read)
	if !l.hold {
		l.Keep(Mark{l.read, l.read})
	}
	return true, err
}
