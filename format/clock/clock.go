// Package clock gives event time its two types and the conversion between them.
//
// Every event is stamped by the kernel with nanoseconds since boot, time spent
// suspended included (CLOCK_BOOTTIME). Order and causality use that clock only:
// it never steps. Wall time is a view of it, made with an Offset measured by
// the recorder, fixed for the length of a segment and written into it.
package clock

import "time"

// Boot is an instant in nanoseconds of CLOCK_BOOTTIME, or a distance between two.
type Boot int64

// Wall is an instant in nanoseconds since the Unix epoch, UTC.
type Wall int64

// Offset is Wall minus Boot at one moment, in nanoseconds.
type Offset int64

// Pair is one reading of both clocks, taken as close together as possible.
type Pair struct {
	Boot Boot `json:"boot"`
	Wall Wall `json:"wall"`
}

// Offset returns what must be added to Boot to get Wall at the time of the reading.
func (p Pair) Offset() Offset { return Offset(int64(p.Wall) - int64(p.Boot)) }

// Wall converts an instant of event time with the given offset.
func (b Boot) Wall(o Offset) Wall { return Wall(int64(b) + int64(o)) }

// Boot converts a wall instant back with the given offset.
func (w Wall) Boot(o Offset) Boot { return Boot(int64(w) - int64(o)) }

// Time returns the instant as a time.Time in UTC.
func (w Wall) Time() time.Time { return time.Unix(0, int64(w)).UTC() }

// Sub returns the distance b-a.
func (b Boot) Sub(a Boot) time.Duration { return time.Duration(b - a) }

// Add returns the instant d later.
func (b Boot) Add(d time.Duration) Boot { return b + Boot(d) }

// FromTime converts a time.Time to a wall instant.
func FromTime(t time.Time) Wall { return Wall(t.UnixNano()) }
