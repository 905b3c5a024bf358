//go:build linux && (amd64 || arm64)

package recorder

import (
	"testing"
	"time"
)

// A look that finds little is followed by a longer wait, one that finds much by a shorter one, and at
// a steady rate the wait settles where a look finds enough.
func TestWaitFollowsTheRate(t *testing.T) {
	for _, c := range []struct {
		perSecond int
		want      time.Duration
	}{
		{0, idleWait},
		{500, idleWait},
		{5_000, 51 * time.Millisecond},
		{10_000, 26 * time.Millisecond},
		{1_000_000, busyWait},
	} {
		for _, start := range []time.Duration{busyWait, idleWait} {
			wait := start
			for range 20 {
				wait = nextWait(wait, int(float64(c.perSecond)*wait.Seconds()))
			}
			if wait < c.want*8/10 || wait > c.want*12/10 {
				t.Errorf("%d records a second, from %v: looked at every %v, want about %v", c.perSecond, start, wait, c.want)
			}
		}
	}
}
