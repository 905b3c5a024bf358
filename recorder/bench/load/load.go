//go:build linux

// Package load makes the work that the benchmark measures tools with: a worker process that
// repeats one piece of work at a time on command, and tells what that took.
//
// A piece of work (Work) is small, bounded, and touches nothing but a folder of its own and
// 127.0.0.0/8. Operations are its unit: a call, a program run, a request. The worker counts
// the processor time of itself, the programs it started and the servers it keeps.
package load

import (
	"fmt"
	"os/exec"
	"time"
)

// Work is a piece of work that can be repeated.
type Work struct {
	Name string
	What string // for the table
	// Pinned work runs on one processor in the worker itself; other work starts programs,
	// on any processor.
	Pinned bool
	// Calls is how many events of the kinds that every tool was told to watch one
	// operation makes, as far as the work knows; 0 when it does not.
	Calls float64

	step  int // operations between two looks at the clock
	needs []string
	make  func(dir string) (*job, error)
}

// job is a piece of work that was set up.
type job struct {
	do   func(n int) (ops int, err error) // about n operations
	pids []int                            // servers whose time counts
	stop func()
}

// loop is a job of n equal operations.
func loop(do func() error) *job {
	return &job{do: func(n int) (int, error) {
		for range n {
			if err := do(); err != nil {
				return 0, err
			}
		}
		return n, nil
	}}
}

// Missing says which program the work needs and this machine has not, or "".
func (w *Work) Missing() string {
	for _, n := range w.needs {
		if _, err := exec.LookPath(n); err != nil {
			return n + " is not installed"
		}
	}
	return ""
}

// Works lists all work, cheap calls first.
func Works() []*Work { return append(append([]*Work{}, micro...), macro...) }

// Find returns the work of that name, or nil.
func Find(name string) *Work {
	for _, w := range append(Works(), objects) {
		if w.Name == name {
			return w
		}
	}
	return nil
}

// Sample is what some operations took.
type Sample struct {
	Ops  int
	CPU  time.Duration // of the worker, its children and its servers
	Wall time.Duration
}

// NS returns processor nanoseconds of one operation.
func (s Sample) NS() float64 { return float64(s.CPU) / float64(s.Ops) }

// WallNS returns nanoseconds of one operation by the clock on the wall.
func (s Sample) WallNS() float64 { return float64(s.Wall) / float64(s.Ops) }

func (s Sample) String() string { return fmt.Sprintf("%d ops, %v cpu, %v", s.Ops, s.CPU, s.Wall) }
