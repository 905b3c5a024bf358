//go:build linux && !amd64

package ops

import "golang.org/x/sys/unix"

// Ticks returns nanoseconds: no counter of this architecture that programs may read counts
// instructions.
func Ticks() uint64 {
	var t unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC_RAW, &t)
	return uint64(t.Nano())
}

// CountsInstructions tells whether every instruction takes one tick: no.
func CountsInstructions() bool { return false }
