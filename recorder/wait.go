//go:build linux && (amd64 || arm64)

package recorder

import "time"

// worthwhile is how many records a look at the rings should find: with the threads of the runtime
// that it wakes, a look costs about as much as it takes to store a hundred records.
const worthwhile = 256

// nextWait returns how long to wait after a look that found n records: about as long as it takes
// until there are enough of them. A flood does not wait for it, nor does what is rare: the
// kernel wakes us for both.
func nextWait(wait time.Duration, n int) time.Duration {
	if n*2 < worthwhile {
		return min(2*wait, idleWait)
	}
	return min(max(wait*worthwhile/time.Duration(n), busyWait), idleWait)
}
