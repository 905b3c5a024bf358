package limit

import (
	"strings"
	"testing"
)

func TestMemoryIsDivided(t *testing.T) {
	for _, x := range []struct {
		ceiling        int64
		ring, critical int
		want           Sizes
	}{
		{0, 0, 0, Sizes{32 * mib, 8 * mib, 16384, 3, 0}},
		{0, 4 * mib, 0, Sizes{4 * mib, 8 * mib, 16384, 3, 0}},
		{100 * mib, 0, 0, Sizes{16 * mib, 8 * mib, 16384, 3, 76 * mib}},
		{64 * mib, 0, 0, Sizes{8 * mib, 4 * mib, 16384, 3, 52 * mib}},
		{32 * mib, 0, 0, Sizes{4 * mib, 2 * mib, 4096, 1, 26 * mib}},
		{64 * mib, 32 * mib, 0, Sizes{32 * mib, 4 * mib, 8192, 1, 28 * mib}},
	} {
		got, err := Memory(x.ceiling, x.ring, x.critical)
		if err != nil || got != x.want {
			t.Errorf("%d MiB, rings %d and %d: %+v, %v; want %+v", x.ceiling/mib, x.ring, x.critical, got, err, x.want)
		}
	}
}

// Whatever is given, the parts never come to more than the whole.
func TestPartsStayBelowTheCeiling(t *testing.T) {
	for ceiling := int64(mib); ceiling < 300*mib; ceiling += mib / 2 {
		s, err := Memory(ceiling, 0, 0)
		if err != nil {
			if ceiling >= 32*mib {
				t.Fatalf("%d MiB refused: %v", ceiling/mib, err)
			}
			continue
		}
		if sum := int64(s.Ring) + int64(s.Critical) + s.Heap; sum > ceiling || s.batches()+restHeap > s.Heap {
			t.Fatalf("%d bytes: %+v", ceiling, s)
		}
	}
}

func TestTooLittleIsRefusedInOneLine(t *testing.T) {
	_, err := Memory(10*mib, 0, 0)
	if err == nil || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "at least 24 MiB") {
		t.Errorf("%v", err)
	}
	if _, err := Memory(64*mib, 64*mib, 0); err == nil {
		t.Error("a ring as large as the limit")
	}
}
