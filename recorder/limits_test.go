//go:build linux && (amd64 || arm64)

package recorder

import (
	"errors"
	"strings"
	"testing"
	"time"

	"hindcast/format/clock"
	"hindcast/format/event"
	"hindcast/recorder/limit"
)

// throttled is a throttle whose clock, load and kernel are the test's.
type throttled struct {
	throttle
	at      clock.Boot
	spent   time.Duration
	share   time.Duration
	total   uint64
	rows    []event.Row
	refuses error
	all     bool
}

func newThrottled(percent float64) *throttled {
	h := &throttled{at: clock.Boot(time.Hour)}
	h.throttle = throttle{
		cpu: limit.CPU{Limit: percent / 100}, used: func() time.Duration { return h.spent }, refused: func() uint64 { return h.total },
		squeeze: func(d time.Duration, all bool) error { h.share, h.all = d, all; return h.refuses }, row: func(r event.Row) { h.rows = append(h.rows, r) },
	}
	return h
}

// run lets time go by at a load.
func (h *throttled) run(d time.Duration, load float64) (long bool) {
	for range d / (10 * time.Millisecond) {
		h.at = h.at.Add(10 * time.Millisecond)
		h.spent += time.Duration(load * float64(10*time.Millisecond))
		long = h.read(h.at)
	}
	return long
}

func TestThrottleStepsAndTells(t *testing.T) {
	h := newThrottled(5)
	if h.run(10*time.Second, 0.04) || len(h.rows) != 0 || h.cause() != "" {
		t.Fatalf("below the limit: %+v", h.rows)
	}
	if !h.run(400*time.Millisecond, 0.5) || h.share != 0 || h.cause() != "" {
		t.Errorf("the first step: one event in %v", h.share)
	}
	h.run(400*time.Millisecond, 0.5)
	if h.share == 0 || h.all || h.cause() != CPULimit {
		t.Errorf("the second step: one event in %v", h.share)
	}
	h.run(3*time.Second, 0.5)
	if !h.all {
		t.Error("a rate without effect is not extended to all bulk events")
	}
	h.total = 1234
	if h.run(2*time.Minute, 0.001) || h.share != 0 || h.all {
		t.Errorf("long after: one event in %v", h.share)
	}
	if h.cause() != CPULimit {
		t.Error("what was refused before the end is told after it, and has another cause")
	}
	if h.cause() != "" {
		t.Error("the cause stays")
	}
	first, last := h.rows[0], h.rows[len(h.rows)-1]
	for _, r := range h.rows {
		if string(r.Text) != "cpu-limit" || r.T0 != first.TS || r.Type != event.Recorder {
			t.Errorf("%+v", r)
		}
	}
	if !strings.Contains(string(first.Text2), "longer batches") || !strings.Contains(string(h.rows[1].Text2), "above 8192 a second of each cgroup: 50.0 % of a processor used, limit 5.0 %") {
		t.Errorf("%s; %s", first.Text2, h.rows[1].Text2)
	}
	if last.N1 != 1234 || !strings.HasPrefix(string(last.Text2), "over: held from "+seconds(first.TS)+" to "+seconds(last.TS)+", 1234 events refused") {
		t.Errorf("%d: %s", last.N1, last.Text2)
	}
}

func TestThrottleTellsThatTheKernelDidNot(t *testing.T) {
	h := newThrottled(5)
	h.refuses = errors.New("no such map")
	h.run(time.Second, 0.5)
	if got := string(h.rows[len(h.rows)-1].Text2); !strings.Contains(got, "but that failed: no such map") {
		t.Error(got)
	}
}

func TestLimitsThatCannotBeKept(t *testing.T) {
	for _, o := range []Options{{CPULimit: -1}, {CPULimit: 0.1}, {MemoryLimit: 5 << 20}, {MemoryLimit: -1}} {
		_, err := o.complete()
		if err == nil || !errors.Is(err, ErrOptions) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%+v: %v", o, err)
		}
	}
	o, err := (Options{MemoryLimit: 64 << 20}).complete()
	if err != nil || o.RingBytes != 8<<20 || o.CriticalBytes != 4<<20 {
		t.Errorf("rings of %d and %d, %v", o.RingBytes, o.CriticalBytes, err)
	}
}
