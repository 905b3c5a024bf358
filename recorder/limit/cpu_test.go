package limit

import (
	"testing"
	"time"
)

// host is a recorder whose load depends on what it does.
type host struct {
	at, used time.Duration
	cpu      CPU
}

// run gives readings for a while, at a load that may depend on the step.
func (h *host) run(d time.Duration, load func() float64) {
	for end := h.at + d; h.at < end; {
		h.at += 100 * time.Millisecond
		h.used += time.Duration(load() * float64(100*time.Millisecond))
		h.cpu.Read(h.at, h.used)
	}
}

func constant(load float64) func() float64 { return func() float64 { return load } }

func TestNothingIsDoneBelowTheLimit(t *testing.T) {
	h := host{cpu: CPU{Limit: 0.05}}
	h.run(time.Minute, constant(0.049))
	if h.cpu.Step() != Free || h.cpu.Share() != 0 {
		t.Errorf("%v, one event per %v", h.cpu.Step(), h.cpu.Share())
	}
	free := host{}
	free.run(time.Minute, constant(1))
	if free.cpu.Step() != Free {
		t.Error("without a limit something is done")
	}
}

func TestStepsComeOneAfterTheOther(t *testing.T) {
	h := host{cpu: CPU{Limit: 0.05}}
	var seen []Step
	for h.cpu.Step() != Refuse {
		h.run(100*time.Millisecond, constant(0.5))
		if n := len(seen); n == 0 || seen[n-1] != h.cpu.Step() {
			seen = append(seen, h.cpu.Step())
		}
	}
	if len(seen) != 3 || seen[0] != Free || seen[1] != Long || seen[2] != Refuse {
		t.Errorf("steps %v", seen)
	}
	first := h.cpu.Share()
	h.run(time.Minute, constant(0.5))
	if h.cpu.Share() <= first || h.cpu.Share() != time.Second/leastRate {
		t.Errorf("one event per %v, then %v", first, h.cpu.Share())
	}
}

// A load that refusing brings down is held below the limit without going back and forth all the
// time, and all is as before when what caused it has ended.
func TestLoadComesDownAndGoesBack(t *testing.T) {
	h := host{cpu: CPU{Limit: 0.05}}
	perEvent := 2e-6
	flood := func() float64 {
		rate := 400000.0
		if s := h.cpu.Share(); s > 0 {
			rate = float64(time.Second / s)
		}
		return 0.01 + rate*perEvent
	}
	h.run(5*time.Second, flood)
	if h.cpu.Step() != Refuse {
		t.Fatalf("at a load of %.2f: %v", h.cpu.Load(), h.cpu.Step())
	}
	before := h.used
	h.run(20*time.Second, flood)
	if load := float64(h.used-before) / float64(20*time.Second); load > 0.05 {
		t.Errorf("held at %.3f of a processor, limit 0.05", load)
	}
	h.run(60*time.Second, constant(0.01))
	if h.cpu.Step() != Free {
		t.Errorf("a minute after the flood: %v", h.cpu.Step())
	}
}

func TestOneReadingIsNoLoad(t *testing.T) {
	c := CPU{Limit: 0.05}
	c.Read(time.Hour, time.Hour) // what was used before recording began counts for nothing
	c.Read(time.Hour+100*time.Millisecond, time.Hour+100*time.Millisecond)
	if c.Step() != Free {
		t.Error("a tenth of a second was enough")
	}
}
