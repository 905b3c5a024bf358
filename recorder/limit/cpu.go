// Package limit keeps a recorder within a share of one processor.
//
// It decides, from readings of a clock and of the processor time used, how much the recorder has
// to do without. It reads neither itself, so what it decides can be told from the readings alone.
//
// Words: a step is what is done about a load above the limit; a bite is the time in which any is.
package limit

import "time"

// Step is what is done, each with what comes before it.
type Step uint8

const (
	Free   Step = iota // nothing
	Long               // batches and looks at the rings are further apart
	Refuse             // the kernel half refuses bulk events above a rate for each cgroup
)

func (s Step) String() string {
	return [...]string{"no limit", "longer batches", "bulk events refused"}[s]
}

// Rates of bulk events a second and cgroup: where refusing begins, below which it does not go, and
// above which it ends. It is taken back by raising the rate: at once would let in again all that the
// limit keeps out, only to find that it is still there.
const (
	firstRate = 8192
	leastRate = 32
	allRate   = 512 // below it, events that change something are held to the rate too
	endRate   = 1 << 20
)

// How long a step is given to show in the load before the next one is taken, and how long the load
// must have been well below the limit before one is taken back.
const (
	upAfter   = 300 * time.Millisecond
	downAfter = 2 * time.Second
	wellBelow = 0.75
)

// CPU keeps to a limit. The zero value has none. It is used by one goroutine.
type CPU struct {
	// Limit is the share of one processor that may be used: 0.05 is 5 %. 0: no limit.
	Limit float64

	step  Step
	rate  int
	begun bool
	at    time.Duration // of the reading that the load is measured from
	used  time.Duration
	load  float64
	low   time.Duration // since when the load is well below the limit; 0: it is not
}

// Step returns what is to be done now.
func (c *CPU) Step() Step { return c.step }

// Load returns the share of one processor at the last reading that was long enough after the one
// before.
func (c *CPU) Load() float64 { return c.load }

// Share returns the time between two bulk events of a cgroup, 0 when none are refused.
func (c *CPU) Share() time.Duration {
	if c.step < Refuse {
		return 0
	}
	return time.Second / time.Duration(c.rate)
}

// All tells whether bulk events that change something are refused as well: the others alone were not
// enough.
func (c *CPU) All() bool { return c.step == Refuse && c.rate < allRate }

// Read takes a reading, which comes some ten times a second: a moment of any clock that does not
// step, and the processor time used until then. It returns whether something else is to be done
// from now on.
func (c *CPU) Read(at, used time.Duration) (changed bool) {
	if c.Limit <= 0 {
		return false
	}
	if !c.begun {
		c.begun, c.at, c.used = true, at, used
		return false
	}
	d := at - c.at
	if d < upAfter {
		return false
	}
	c.load = float64(used-c.used) / float64(d)
	c.at, c.used = at, used
	if c.load > c.Limit {
		c.low = 0
		return c.up()
	}
	if c.load > wellBelow*c.Limit || c.step == Free {
		c.low = 0
		return false
	}
	if c.low == 0 {
		c.low = at - d
	}
	if at-c.low < downAfter {
		return false
	}
	c.low = at // each step back has to prove itself
	return c.down()
}

func (c *CPU) up() bool {
	switch {
	case c.step < Refuse:
		c.step++
		c.rate = firstRate
	case c.rate > leastRate:
		c.rate /= 2
	default:
		return false
	}
	return true
}

func (c *CPU) down() bool {
	if c.step == Refuse && c.rate < endRate {
		c.rate *= 2
		return true
	}
	c.step--
	return true
}
