//go:build linux

package ring

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"
	"unsafe"
)

// fakeLane is a lane in our own memory, and the kernel's half of it as bpf/include/emit.h has it.
type fakeLane struct {
	*Lane
	mem []byte
}

func newFakeLane(size, slack int) *fakeLane {
	h := &lane{mask: uint32(size - 1), most: uint32(min(size/8*3, slack)), wake: uint32(size / 8), kept: uint32(size / 4)}
	data := make([]byte, size+slack)
	return &fakeLane{newLane(h, data), data}
}

// again is what the next recorder opens.
func (f *fakeLane) again() *fakeLane { return &fakeLane{newLane(f.h, f.mem), f.mem} }

// put makes a record, when there is room.
func (f *fakeLane) put(b []byte) bool {
	h := f.h
	step := uint64(len(b)+15) &^ 7
	at, next := h.head&uint64(h.mask), h.head+step
	if at+step > uint64(h.mask) {
		next = (h.head | uint64(h.mask)) + 1
	}
	if len(b)+15 > int(h.most) || next-h.tail > uint64(h.mask)+1 {
		return false
	}
	binary.NativeEndian.PutUint32(f.mem[at:], uint32(len(b)))
	copy(f.mem[at+headerSize:], b)
	h.head = next
	return true
}

func read(t *testing.T, l *Lane) (got []string) {
	t.Helper()
	if clear, err := l.Drain(l.End(), func(b []byte) { got = append(got, string(b)) }); err != nil || !clear {
		t.Fatalf("clear %v, %v", clear, err)
	}
	return got
}

// Whatever the lengths, records come out as they went in, around the end and beyond it.
func TestLaneGivesRecordsInOrderAroundTheEnd(t *testing.T) {
	for _, hold := range []bool{false, true} {
		f := newFakeLane(4096, 512)
		if hold {
			if err := f.Hold(0, nil); err != nil {
				t.Fatal(err)
			}
		}
		beyond := false
		for round := range 500 {
			var want []string
			for i := range 5 {
				s := fmt.Sprintf("record %d %d %0*d", round, i, (round*7+i*31)%400, 0)
				if !f.put([]byte(s)) {
					t.Fatalf("round %d: no room", round)
				}
				want = append(want, s)
				beyond = beyond || f.h.head&uint64(f.h.mask) == 0
			}
			if got := read(t, f.Lane); !slices.Equal(got, want) {
				t.Fatalf("round %d: got %q, want %q", round, got, want)
			}
			if hold {
				f.Keep(f.Mark())
			}
			if f.Waiting() != 0 || f.h.read != f.h.head {
				t.Fatalf("%d bytes left", f.Waiting())
			}
		}
		if !beyond {
			t.Error("no record ended at the end: this proves nothing")
		}
	}
}

// A lane that is full takes nothing more, and what is in it can be read.
func TestFullLaneKeepsWhatItHas(t *testing.T) {
	f := newFakeLane(4096, 1024)
	var want []string
	for {
		s := fmt.Sprintf("%0*d", 20+len(want)%50, len(want))
		if !f.put([]byte(s)) {
			break
		}
		want = append(want, s)
	}
	if f.put(make([]byte, 4096/8*3)) {
		t.Error("a record of more than the largest was taken")
	}
	if got := read(t, f.Lane); !slices.Equal(got, want) {
		t.Errorf("%d records of %d", len(got), len(want))
	}
	if !f.put([]byte("again")) {
		t.Error("no room in a lane that was read")
	}
}

// A quarter of the lane stays behind what is stored, from the beginning of a record on: the next
// reader is shown it, and begins where this one had stored.
func TestHeldLaneKeepsAWindowForTheNextReader(t *testing.T) {
	f := newFakeLane(4096, 512)
	if err := f.Hold(0, nil); err != nil {
		t.Fatal(err)
	}
	var all []string
	var stored uint64
	for n := range 300 {
		s := fmt.Sprintf("%0*d", 10+n%90, n)
		if !f.put([]byte(s)) {
			t.Fatalf("no room for record %d", n)
		}
		all = append(all, s)
		read(t, f.Lane)
		if n < 290 {
			m := f.Mark()
			if m.Tail > m.Stored || m.Stored > 2048 && m.Stored-m.Tail < 1024 || m.Stored-m.Tail > 1024+64+512 {
				t.Fatalf("stored up to %d, given back up to %d", m.Stored, m.Tail)
			}
			f.Keep(m)
			stored = m.Stored
		}
	}
	next := f.again()
	var learned []string
	if err := next.Hold(stored, func(b []byte) { learned = append(learned, string(b)) }); err != nil {
		t.Fatal(err)
	}
	if next.Position() != stored {
		t.Errorf("begins at %d, %d is stored", next.Position(), stored)
	}
	if got := read(t, next.Lane); !slices.Equal(got, all[290:]) {
		t.Errorf("the next reader got %q", got)
	}
	size := 0
	for _, s := range learned {
		size += (len(s) + 15) &^ 7
	}
	if len(learned) == 0 || size < 1024 || !slices.Equal(learned, all[290-len(learned):290]) {
		t.Errorf("the next reader was shown %q", learned)
	}
	// One whose books do not say how far: the lane does.
	late := f.again()
	if late.Hold(0, nil); late.Position() != stored {
		t.Errorf("begins at %d, %d is stored", late.Position(), stored)
	}
}

func TestLaneRefusesImpossibleLength(t *testing.T) {
	for _, n := range []uint32{4096, 1 << 31, 4096 / 8 * 3, 64} {
		f := newFakeLane(4096, 2048)
		f.put([]byte("whole"))
		at := f.h.head
		f.put([]byte("not"))
		binary.NativeEndian.PutUint32(f.mem[at:], n)
		read := 0
		if _, err := f.Drain(f.End(), func([]byte) { read++ }); !errors.Is(err, ErrCorrupt) || read != 1 {
			t.Errorf("%d bytes: got %v after %d records", n, err, read)
		}
	}
}

func TestLaneDrainAllocatesNothing(t *testing.T) {
	f := newFakeLane(1<<16, 512)
	if err := f.Hold(0, nil); err != nil {
		t.Fatal(err)
	}
	b := bytes.Repeat([]byte{1}, 200)
	sum := 0
	count := func(r []byte) { sum += len(r) }
	if n := testing.AllocsPerRun(100, func() {
		for range 100 {
			f.put(b)
		}
		f.Drain(f.End(), count)
		f.Keep(f.Mark())
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestLanesAreFoundInTheirValue(t *testing.T) {
	value := make([]byte, laneData+3*64+128+32)
	for level := range Levels {
		h := (*lane)(unsafe.Pointer(&value[level*laneHead]))
		if *h = (lane{mask: 31, most: 32, base: uint32(level-1) * 64}); level == 0 {
			h.mask, h.base = 127, 3*64
		}
	}
	var l Lanes
	if err := l.add(value); err != nil {
		t.Fatal(err)
	}
	var sizes []int
	for _, one := range l.All() {
		sizes = append(sizes, one.Size())
	}
	if want := []int{128, 32, 32, 32}; !slices.Equal(sizes, want) {
		t.Errorf("sizes %v, want %v", sizes, want)
	}
	(*lane)(unsafe.Pointer(&value[0])).mask = 1023
	if err := new(Lanes).add(value); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a lane beyond its value: %v", err)
	}
}
