//go:build linux

package ring

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"hindcast/format/clock"
)

// fake is a ring in our own memory, and the kernel's half of it.
type fake struct {
	*Ring
	prod []byte
}

func newFake(size int) *fake {
	page := make([]byte, 16)
	return &fake{over(page[:8], page[8:], make([]byte, 2*size)), page[8:]}
}

func (f *fake) reserve(n int, flags uint32) (at uint64) {
	at = atomic.LoadUint64(f.producer)
	f.word(at, uint32(n)|flags)
	atomic.StoreUint64(f.producer, at+uint64(n+headerSize+7)&^7)
	return at
}

func (f *fake) word(at uint64, v uint32) {
	size := uint64(f.Size())
	for _, p := range []uint64{at & f.mask, at&f.mask + size} {
		atomic.StoreUint32((*uint32)(unsafe.Pointer(&f.data[p])), v)
	}
}

func (f *fake) put(b []byte) {
	at := f.reserve(len(b), busyBit)
	for i, v := range b {
		p := (at + headerSize + uint64(i)) & f.mask
		f.data[p], f.data[p+uint64(f.Size())] = v, v
	}
	f.word(at, uint32(len(b)))
}

func collect(t *testing.T, r *Ring, goal uint64) (got []string, clear bool) {
	t.Helper()
	clear, err := r.Drain(goal, func(b []byte) { got = append(got, string(b)) })
	if err != nil {
		t.Fatal(err)
	}
	return got, clear
}

func TestDrainGivesRecordsInOrderAroundTheEnd(t *testing.T) {
	f := newFake(4096)
	want := 0
	for round := range 200 {
		for i := range 7 {
			f.put(fmt.Appendf(nil, "record %d %d %0*d", round, i, i*31, 0))
		}
		got, clear := collect(t, f.Ring, f.End())
		if len(got) != 7 || !clear {
			t.Fatalf("round %d: %d records, clear %v", round, len(got), clear)
		}
		for i, s := range got {
			if w := fmt.Sprintf("record %d %d %0*d", round, i, i*31, 0); s != w {
				t.Fatalf("round %d: got %q, want %q", round, s, w)
			}
			want++
		}
		if f.Waiting() != 0 {
			t.Fatalf("%d bytes left", f.Waiting())
		}
	}
}

func TestDrainStopsAtARecordBeingWritten(t *testing.T) {
	f := newFake(4096)
	f.put([]byte("first"))
	at := f.reserve(6, busyBit)
	f.put([]byte("third"))
	got, clear := collect(t, f.Ring, f.End())
	if fmt.Sprint(got) != "[first]" || clear {
		t.Fatalf("got %v, clear %v", got, clear)
	}
	copy(f.data[at+headerSize:], "second")
	f.word(at, 6)
	if got, clear = collect(t, f.Ring, f.End()); fmt.Sprint(got) != "[second third]" || !clear {
		t.Fatalf("got %v, clear %v", got, clear)
	}
}

func TestDrainSkipsDiscardedAndKeepsToTheGoal(t *testing.T) {
	f := newFake(4096)
	f.put([]byte("kept"))
	first := f.End()
	f.reserve(16, discardBit)
	f.put([]byte("kept too"))
	got, clear := collect(t, f.Ring, first)
	if fmt.Sprint(got) != "[kept]" || !clear || f.Position() != first {
		t.Fatalf("got %v, clear %v", got, clear)
	}
	if got, clear = collect(t, f.Ring, f.End()); fmt.Sprint(got) != "[kept too]" || !clear {
		t.Fatalf("got %v, clear %v", got, clear)
	}
}

// What was read and not released is still there for the next reader, from wherever it begins.
func TestHeldRecordsStayUntilReleased(t *testing.T) {
	f := newFake(4096)
	f.Hold(0)
	f.put([]byte("stored"))
	stored := f.End()
	f.put([]byte("read"))
	if got, _ := collect(t, f.Ring, f.End()); fmt.Sprint(got) != "[stored read]" {
		t.Fatalf("got %v", got)
	}
	if f.Waiting() != 0 || *f.consumer != 0 {
		t.Fatalf("%d wait, released up to %d", f.Waiting(), *f.consumer)
	}
	f.Release(stored)
	next := &Ring{consumer: f.consumer, producer: f.producer, data: f.data, mask: f.mask, read: *f.consumer}
	next.Hold(0)
	if got, _ := collect(t, next, next.End()); fmt.Sprint(got) != "[read]" {
		t.Fatalf("the next reader got %v", got)
	}
	// the one before had noted that it stored more than it released
	late := &Ring{consumer: f.consumer, producer: f.producer, data: f.data, mask: f.mask, read: *f.consumer}
	late.Hold(f.End())
	if got, clear := collect(t, late, late.End()); len(got) != 0 || !clear || *f.consumer != f.End() {
		t.Fatalf("got %v", got)
	}
}

func TestDrainRefusesImpossibleLength(t *testing.T) {
	for _, n := range []uint32{4096, 1 << 29, 64} {
		f := newFake(4096)
		f.put([]byte("whole"))
		at := f.reserve(8, 0)
		f.word(at, n)
		n := 0
		_, err := f.Drain(f.End(), func([]byte) { n++ })
		if !errors.Is(err, ErrCorrupt) || n != 1 {
			t.Errorf("got %v after %d records", err, n)
		}
	}
}

func TestDrainAllocatesNothing(t *testing.T) {
	f := newFake(1 << 16)
	b := make([]byte, 200)
	sum := 0
	count := func(r []byte) { sum += len(r) }
	if n := testing.AllocsPerRun(100, func() {
		for range 100 {
			f.put(b)
		}
		f.Drain(f.End(), count)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestSequenceCountsHolesOnce(t *testing.T) {
	var s Sequence
	for _, n := range []uint64{0, 1, 4, 3, 7} { // 3 came late; 2, 5, 6 never
		s.Add(1, n, clock.Boot(100+n))
	}
	s.Add(0, 0, 5)
	if h := s.Holes(); h[0] != (Hole{Last: 5}) || h[1] != (Hole{From: 101, To: 107, Missing: 3, Last: 107}) {
		t.Errorf("holes %+v", h)
	}
	if h := s.Holes(); h[1] != (Hole{Last: 107}) {
		t.Errorf("told twice: %+v", h)
	}
	if s.CPUs() != 2 || s.Missing(0) != 0 || s.Missing(1) != 3 || s.Missing(9) != 0 {
		t.Errorf("%d cpus, missing %d and %d", s.CPUs(), s.Missing(0), s.Missing(1))
	}
	s.Add(1, 5, 108)
	if s.Missing(1) != 2 {
		t.Errorf("missing %d after one arrived late", s.Missing(1))
	}
}

// The kernel's own ring, filled by a program that sends 16 bytes per test run.
func TestKernelRing(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs CAP_BPF")
	}
	const size = 4096
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.RingBuf, MaxEntries: size})
	if err != nil {
		t.Fatalf("create ring buffer map: %v", err)
	}
	defer m.Close()
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SocketFilter, License: "GPL", Instructions: asm.Instructions{
		asm.Mov.Imm(asm.R1, 0x1234),
		asm.StoreMem(asm.RFP, -16, asm.R1, asm.DWord),
		asm.Mov.Imm(asm.R1, 0x5678),
		asm.StoreMem(asm.RFP, -8, asm.R1, asm.DWord),
		asm.LoadMapPtr(asm.R1, m.FD()),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, -16),
		asm.Mov.Imm(asm.R3, 16),
		asm.Mov.Imm(asm.R4, 2), // BPF_RB_FORCE_WAKEUP
		asm.FnRingbufOutput.Call(),
		asm.Mov.Imm(asm.R0, 0),
		asm.Return(),
	}})
	if err != nil {
		t.Fatalf("load program: %v", err)
	}
	defer p.Close()
	r, err := Open(m.FD(), size)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	poll, err := NewPoller(r)
	if err != nil {
		t.Fatal(err)
	}
	defer poll.Close()
	send := func(n int) {
		t.Helper()
		for range n {
			if _, err := p.Run(&ebpf.RunOptions{Data: make([]byte, 64)}); err != nil {
				t.Fatalf("run program: %v", err)
			}
		}
	}
	for round := range 5 { // 5 rounds of 100 records of 24 bytes wrap 4096 bytes twice
		send(100)
		if woken, err := poll.Wait(time.Second); err != nil || !woken {
			t.Fatalf("round %d: woken %v, %v", round, woken, err)
		}
		n := 0
		clear, err := r.Drain(r.End(), func(b []byte) {
			n++
			if len(b) != 16 || binary.LittleEndian.Uint64(b) != 0x1234 || binary.LittleEndian.Uint64(b[8:]) != 0x5678 {
				t.Errorf("record % x", b)
			}
		})
		if err != nil || !clear || n != 100 {
			t.Fatalf("round %d: %d records, clear %v, %v", round, n, clear, err)
		}
	}
	send(200) // more than fit: the ring must be readable after overflow
	n := 0
	if _, err := r.Drain(r.End(), func([]byte) { n++ }); err != nil || n != size/24 {
		t.Fatalf("%d records of a full ring, %v", n, err)
	}
	poll.Wait(0) // the wake-ups of what was read
	poll.Wake()
	if woken, err := poll.Wait(time.Second); err != nil || !woken {
		t.Errorf("Wake: woken %v, %v", woken, err)
	}
	if woken, _ := poll.Wait(0); woken {
		t.Error("woken again without a reason")
	}
}

func TestOpenRefusesOddSize(t *testing.T) {
	if _, err := Open(0, 5000); err == nil {
		t.Error("no error")
	}
}
