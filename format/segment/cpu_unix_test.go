//go:build unix

package segment_test

import (
	"syscall"
	"time"
)

// cpuTime is what this process has used of the processors: on a shared machine the only
// time that says something.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
