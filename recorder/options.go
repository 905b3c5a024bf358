//go:build linux && (amd64 || arm64)

package recorder

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"math"
	"os"
	"time"

	"hindcast/format/event"
	"hindcast/recorder/health"
	"hindcast/recorder/limit"
	"hindcast/recorder/probe"
)

// Status is how a recording is doing, see Options.Notify.
type Status = health.Status

// Options of a recording. The zero value records the whole host into ./hindcast-store until
// the context ends.
type Options struct {
	// Dir is the store; it is made when it is missing. Default: hindcast-store.
	Dir string
	// Profile is minimal, standard or forensic. Default: standard.
	Profile string
	// Without is events that are not wanted; hooks that tell nothing else are not attached, and
	// coverage says so. Default: none.
	Without []event.Type
	// Filter is what is wanted of the rest, besides lineage. Default: all of it.
	Filter *Filter
	// Duration ends the recording. Default: until the context ends or the command has ended.
	Duration time.Duration
	// Env keeps the values of environments. Default: their names only, and a digest of all.
	Env bool
	// Command is run and recorded, with everything it starts, and nothing else; default: the
	// whole host. It gets our input and outputs and runs as our user. When the recording must
	// end before it, it gets SIGTERM, and SIGKILL when it has not ended Grace later.
	Command []string
	// Grace is how long a command may take to end when it is told to. Default: 5 s.
	Grace time.Duration
	// Linger is how long to wait, when the command has ended, for what it started in the
	// background. Default: 500 ms.
	Linger time.Duration
	// RingBytes and CriticalBytes are the sizes of the two rings, rounded up to a power of two
	// of at least a page. Default: 32 MiB, divided among the cpus, and 8 MiB.
	RingBytes, CriticalBytes int
	// Pin is the folder of a bpf file system below which the programs of a recording of the whole
	// host are pinned, so that they go on recording when the recorder is killed and the next
	// recorder of the same store finds what it missed. Default: /sys/fs/bpf/hindcast.
	Pin string
	// NoPin lets everything end with the recorder.
	NoPin bool
	// Quota is how many records a second a cgroup may send through the bulk ring, always; what is
	// above is counted. Default: only while the ring is three quarters full. Negative: no quotas.
	Quota int
	// CPULimit is how much of one processor the recorder may use, in percent; its programs in the
	// kernel are not counted. Above it batches get longer, then bulk events of each cgroup are
	// refused, and counted. Default: no limit.
	CPULimit float64
	// MemoryLimit bounds rings, batches and heap together, in bytes, once the recording runs. Sizes
	// of rings that are not given follow from it. Default: none.
	MemoryLimit int64
	// SpillBytes is how large the file may get that takes what cannot be encoded in time; it takes a
	// tenth of the free space at most. Default: 1 GiB. Negative: there is none.
	SpillBytes int64
	// Sweep is the time between two collections of totals that idle threads hold. Default: 1 s.
	Sweep time.Duration
	// SegmentBytes and SegmentAge end a segment. Default: 64 MiB and 10 minutes.
	SegmentBytes int64
	SegmentAge   time.Duration
	// Holder is a program that keeps the files it inherits until its standard input ends. With
	// it, Run need not wait for the kernel to take tracepoints down. Default: none, Run waits.
	Holder []string
	// Version names the recorder in every segment. Default: devel.
	Version string
	// Logger gets what operators should know. Default: none.
	Logger *slog.Logger
	// Notify is told how it goes: once in each phase and every second. It runs on the goroutine
	// of Run; while it runs, recording goes on, but neither signals nor the end are seen.
	Notify func(Status)

	sizes limit.Sizes
}

// complete checks the options and fills in the defaults.
func (o Options) complete() (Options, error) {
	bad := func(format string, args ...any) (Options, error) {
		return o, &Error{Cause: ErrOptions, Text: fmt.Sprintf(format, args...)}
	}
	if o.Dir == "" {
		o.Dir = "hindcast-store"
	}
	if o.Profile == "" {
		o.Profile = string(probe.Standard)
	}
	if !probe.Profile(o.Profile).Known() {
		return bad("profile %q is unknown: use minimal, standard or forensic", o.Profile)
	}
	if t, e := o.choice().Idle(); e != nil {
		return bad("no hook can be left out for %s alone: %s tells %s; name them all", t, e.Name, e.Tells())
	}
	if err := o.Filter.check(); err != nil {
		return bad("%v", err)
	}
	if o.Duration < 0 || o.Grace < 0 || o.Linger < 0 || o.Sweep < 0 {
		return bad("a duration must not be negative")
	}
	for _, d := range []struct {
		at    *time.Duration
		value time.Duration
	}{{&o.Grace, 5 * time.Second}, {&o.Linger, 500 * time.Millisecond}, {&o.Sweep, time.Second}} {
		if *d.at == 0 {
			*d.at = d.value
		}
	}
	if o.CPULimit < 0 || o.CPULimit > 0 && o.CPULimit < 0.5 || math.IsNaN(o.CPULimit) || math.IsInf(o.CPULimit, 0) {
		return bad("a cpu limit of %g %% of one processor is too small: at least 0.5 is needed to read the rings", o.CPULimit)
	}
	if o.MemoryLimit < 0 {
		return bad("a memory limit must not be negative")
	}
	var err error
	if o.sizes, err = limit.Memory(o.MemoryLimit, o.RingBytes, o.CriticalBytes); err != nil {
		return bad("%v", err)
	}
	o.RingBytes, o.CriticalBytes = o.sizes.Ring, o.sizes.Critical
	if o.RingBytes, err = ringSize(o.RingBytes, 32<<20); err != nil {
		return bad("bulk ring: %v", err)
	}
	if o.CriticalBytes, err = ringSize(o.CriticalBytes, 8<<20); err != nil {
		return bad("critical ring: %v", err)
	}
	if len(o.Command) > 0 && o.Command[0] == "" {
		return bad("the command has no name")
	}
	if o.Version == "" {
		o.Version = "devel"
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Notify == nil {
		o.Notify = func(Status) {}
	}
	return o, nil
}

// choice is what hooks are wanted.
func (o *Options) choice() probe.Choice {
	c := probe.Choice{Profile: probe.Profile(o.Profile)}
	for _, t := range o.Without {
		c.Without |= 1 << t
	}
	c.Unasked = o.Filter.unasked()
	return c
}

func ringSize(n, standard int) (int, error) {
	if n == 0 {
		return standard, nil
	}
	if n < 0 || n > 1<<30 {
		return 0, fmt.Errorf("size %d is not between a page and 1 GiB", n)
	}
	size := os.Getpagesize()
	for size < n {
		size *= 2
	}
	return size, nil
}

// config is the hash of what decides which rows are recorded.
func (o *Options) config() string {
	d := sha256.Sum256(fmt.Appendf(nil, "profile %s\nring %d\ncritical %d\nsweep %d\nscoped %v\nquota %d\nwithout %d\nfilter %s\n",
		o.Profile, o.RingBytes, o.CriticalBytes, o.Sweep, len(o.Command) > 0, o.Quota, o.Without, o.Filter.text()))
	return hex.EncodeToString(d[:8])
}
