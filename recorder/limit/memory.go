package limit

import "fmt"

// Sizes are what a recorder takes, in bytes where nothing else is said.
type Sizes struct {
	Ring, Critical int   // of the kernel's rings
	Rows           int   // of a batch
	Depth          int   // batches that may wait for the disk
	Heap           int64 // for everything else of the recorder's own, batches among it
}

const (
	mib = 1 << 20

	wholeRing, wholeCritical = 32 * mib, 8 * mib
	leastRing                = mib

	// restHeap is what a running recorder holds besides its batches: what it knows of the host,
	// encoders, the runtime.
	restHeap = 16 * mib
	// rowBytes is what a row of a batch takes at most that fills every column, names aside.
	rowBytes = 440
)

// shapes are batches and how many of them may wait, from what is best to what takes least. Besides
// those that wait one is being filled and one is being written.
var shapes = []struct{ rows, depth int }{{16384, 3}, {16384, 2}, {16384, 1}, {8192, 1}, {4096, 1}}

// Memory divides a ceiling for rings, batches and heap. Ring and critical are sizes of rings that
// were asked for, 0 where the ceiling decides. A ceiling of 0 is none.
func Memory(ceiling int64, ring, critical int) (Sizes, error) {
	s := Sizes{Ring: ring, Critical: critical, Rows: shapes[0].rows, Depth: shapes[0].depth}
	if ceiling <= 0 {
		if s.Ring == 0 {
			s.Ring = wholeRing
		}
		if s.Critical == 0 {
			s.Critical = wholeCritical
		}
		return s, nil
	}
	if s.Ring == 0 {
		s.Ring = power(ceiling/6, wholeRing)
	}
	if s.Critical == 0 {
		s.Critical = power(ceiling/12, wholeCritical)
	}
	s.Heap = ceiling - int64(s.Ring) - int64(s.Critical)
	for _, x := range shapes {
		s.Rows, s.Depth = x.rows, x.depth
		if s.Heap >= restHeap+s.batches() {
			return s, nil
		}
	}
	least := int64(s.Ring) + int64(s.Critical) + restHeap + s.batches()
	return Sizes{}, fmt.Errorf("a memory limit of %d MiB is too small: rings of %d and %d KiB, batches and heap take at least %d MiB",
		ceiling/mib, s.Ring>>10, s.Critical>>10, (least+mib-1)/mib)
}

func (s *Sizes) batches() int64 { return int64(s.Rows) * int64(s.Depth+2) * rowBytes }

// power returns the largest power of two up to n, between leastRing and most.
func power(n int64, most int) int {
	p := leastRing
	for p < most && int64(2*p) <= n {
		p *= 2
	}
	return p
}
