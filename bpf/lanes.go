//go:build linux && (amd64 || arm64)

package bpf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// Lanes are the rings of bulk records: see maps.h, which has the same numbers, and the ring
// package, which reads them.
const (
	laneLevels = 4
	laneHead   = 256
	laneData   = 1024
	upperSize  = 32 << 10
	upperSlack = 8 << 10
	laneSlack  = 57344 + 8192 + 256 + 8 // the largest record, HC_BUF_SIZE, and its header
	laneBase   = (laneLevels - 1) * (upperSize + upperSlack)
	laneLeast  = 4 << 10
	laneKept   = 0 // bytes behind what is stored that a successor finds: records refer to nothing
)

// bulkBytes is the total size of the lanes when nothing else is asked for; each has floorBytes then
// at least.
const (
	bulkBytes  = 32 << 20
	floorBytes = 512 << 10
)

// laneSize returns the bytes of each cpu's lane, of a total for all.
func laneSize(total, cpus int) int {
	size := laneLeast
	for size*cpus < total {
		size *= 2
	}
	if total >= bulkBytes {
		size = max(size, floorBytes)
	}
	return size
}

// LaneBytes returns the bytes of the lane that each cpu has, of a total for all of them.
func LaneBytes(total int) int {
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return total
	}
	return laneSize(total, cpus)
}

// laneValue returns the size of a value of the map: the data end in room for a record that begins
// at the end of the ring.
func laneValue(size int) int { return (laneData + laneBase + size + laneSlack + 4095) &^ 4095 }

// newLanes makes the map of the lanes and says in each where its data lie. Kernels that do not
// take values so large (some end at 4 MiB) get smaller lanes.
func (s *Set) newLanes(total int) error {
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return fmt.Errorf("count cpus: %w", err)
	}
	var m *ebpf.Map
	size := laneSize(total, cpus)
	for ; ; size /= 2 {
		m, err = ebpf.NewMap(&ebpf.MapSpec{Name: "hc_lanes", Type: ebpf.Array, KeySize: 4, ValueSize: uint32(laneValue(size)), MaxEntries: uint32(cpus), Flags: unix.BPF_F_MMAPABLE})
		if err == nil {
			break
		}
		if size <= laneLeast || !errors.Is(err, unix.E2BIG) {
			return fmt.Errorf("create lanes of %d bytes for %d cpus: %w", size, cpus, err)
		}
	}
	s.maps["hc_lanes"], s.lane = m, size
	page := os.Getpagesize()
	mem, err := unix.Mmap(m.FD(), 0, (laneValue(size)*cpus+page-1)&^(page-1), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("map lanes: %w", err)
	}
	defer unix.Munmap(mem)
	for cpu := range cpus {
		for level := range laneLevels {
			n, base, slack := size, laneBase, laneSlack
			if level > 0 {
				n, base, slack = upperSize, (level-1)*(upperSize+upperSlack), upperSlack
			}
			// What is given back lags up to the length of a record behind what is stored, and
			// must leave room for another.
			most := min(n/8*3, slack)
			h := mem[cpu*laneValue(size)+level*laneHead:]
			for at, v := range map[int]int{12: base, 16: n - 1, 20: most, 24: n / 8, 28: laneKept} {
				binary.NativeEndian.PutUint32(h[at:], uint32(v))
			}
		}
	}
	return nil
}
