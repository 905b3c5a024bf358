//go:build linux && (amd64 || arm64)

package kerntest

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"hindcast/bpf"
	"hindcast/format/event"
	"hindcast/recorder/ring"
)

// TestBusyLanes: a program that finds the lane of its cpu busy, because it interrupted the one that
// is writing, takes one above it; with all busy the record is counted. Each has its number.
func TestBusyLanes(t *testing.T) {
	set := loadHooks(t, bpf.Options{Self: bpf.NoSelf, CgroupRoot: cgroup2(), BulkBytes: 1 << 16}, "hc_openat")
	cpus, value := int(set.Lanes.MaxEntries()), int(set.Lanes.ValueSize())
	page := os.Getpagesize()
	mem, err := unix.Mmap(set.Lanes.FD(), 0, (cpus*value+page-1)&^(page-1), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	must(t, err)
	defer unix.Munmap(mem)
	busy := func(levels int, on uint32) {
		for cpu := range cpus {
			for level := range levels {
				atomic.StoreUint32((*uint32)(unsafe.Pointer(&mem[cpu*value+level*256+8])), on)
			}
		}
	}
	rs, err := openRings(set)
	must(t, err)
	defer rs.close()
	count := func(cause int) (n uint64) {
		var per [][bpf.Causes * bpf.Types]uint64
		must(t, set.Counters.Lookup(uint32(0), &per))
		for _, c := range per {
			n += c[cause*bpf.Types+int(event.Open)]
		}
		return n
	}
	name := filepath.Join(t.TempDir(), "file")
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	tid := uint32(unix.Gettid())
	var was, mask unix.CPUSet
	must(t, unix.SchedGetaffinity(0, &was))
	defer unix.SchedSetaffinity(0, &was)
	for cpu := range cpus { // stay on one of those we may use
		if was.IsSet(cpu) {
			mask.Set(cpu)
			break
		}
	}
	must(t, unix.SchedSetaffinity(0, &mask))
	type rec struct {
		lane int
		seq  uint64
	}
	var got []rec
	numbers := map[uint16][]uint64{} // of all threads, by cpu
	read := func() {
		for i, l := range rs.lanes.All() {
			_, err := l.Drain(l.End(), func(b []byte) {
				cpu, seq := binary.NativeEndian.Uint16(b[2:]), binary.NativeEndian.Uint64(b[8:])
				numbers[cpu] = append(numbers[cpu], seq)
				var r event.Row
				_, err := event.Decode(b, &r)
				must(t, err)
				if r.TID == tid && r.Type == event.Open && string(r.Path) == name {
					got = append(got, rec{i % ring.Levels, seq})
				}
			})
			must(t, err)
		}
	}
	open := func() {
		fd, err := unix.Open(name, unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
		must(t, err)
		unix.Close(fd)
	}
	read()
	seen, full := count(0), count(1)
	for levels := range ring.Levels + 1 {
		busy(levels, 1)
		open()
		busy(levels, 0)
		read()
	}
	open()
	read()
	var lanes []int
	for _, r := range got {
		lanes = append(lanes, r.lane)
	}
	if want := []int{0, 1, 2, 3, 0}; !slices.Equal(lanes, want) {
		t.Fatalf("records in lanes %v, want %v", lanes, want)
	}
	lost := count(1) - full
	if lost == 0 {
		t.Error("what found all lanes busy is not counted")
	}
	stored := uint64(0)
	for cpu, n := range numbers {
		slices.Sort(n)
		stored += uint64(len(n))
		if holes := n[len(n)-1] + 1 - uint64(len(n)); holes > lost {
			t.Errorf("cpu %d: %d numbers are missing, %d records are known to be lost", cpu, holes, lost)
		}
		if len(slices.Compact(n)) != len(n) {
			t.Errorf("cpu %d: a number was given twice", cpu)
		}
	}
	if all := count(0) - seen; all < 6 || lost > all-5 {
		t.Errorf("%d seen and %d lost of six opens", all, lost)
	}
	t.Logf("%d records of all lanes, %d lost", stored, lost)
}
