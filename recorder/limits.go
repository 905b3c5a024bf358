//go:build linux && (amd64 || arm64)

package recorder

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"hindcast/format/clock"
	"hindcast/format/event"
	"hindcast/format/spill"
	"hindcast/recorder/batch"
	"hindcast/recorder/limit"
)

// CPULimit is the cause in ledger rows of events that were refused to keep to the limit.
const CPULimit = "cpu limit"

// cpuTime is how often the processor time used is read.
const cpuTime = 100 * time.Millisecond

// throttle keeps to a limit of processor time: it asks what is to be done and sees to it. It is used
// by the draining goroutine.
type throttle struct {
	cpu     limit.CPU
	used    func() time.Duration                      // processor time so far
	squeeze func(share time.Duration, all bool) error // has the kernel half refuse, see bpf.Set.Squeeze
	refused func() uint64                             // events refused so far
	row     func(event.Row)

	next    clock.Boot
	step    limit.Step
	from    clock.Boot // when something began to be done
	before  uint64     // refused until then
	refuses bool       // events were refused since the ledger was written
}

// read takes a reading when it is time for one, and returns whether looks and batches are to be
// further apart.
func (t *throttle) read(now clock.Boot) (long bool) {
	if t.cpu.Limit > 0 && now >= t.next {
		t.next = now.Add(cpuTime)
		if t.cpu.Read(time.Duration(now), t.used()) {
			t.change(now)
		}
	}
	return t.cpu.Step() >= limit.Long
}

func (t *throttle) change(now clock.Boot) {
	step := t.cpu.Step()
	action := step.String()
	if step == limit.Refuse || t.step == limit.Refuse {
		if err := t.squeeze(t.cpu.Share(), t.cpu.All()); err != nil {
			action += ", but that failed: " + err.Error()
		}
		t.refuses = true
	}
	if t.from == 0 {
		t.from, t.before = now, t.refused()
	}
	r := event.Row{TS: now, T0: t.from, Type: event.Recorder, Flags: event.FlagRecorder, Text: []byte("cpu-limit"), N1: int64(t.refused() - t.before)}
	load := fmt.Sprintf("%.1f %% of a processor used, limit %.1f %%", 100*t.cpu.Load(), 100*t.cpu.Limit)
	switch {
	case step == limit.Free:
		r.Text2 = fmt.Appendf(nil, "over: held from %s to %s, %d events refused; %s", seconds(t.from), seconds(now), r.N1, load)
		t.from = 0
	case step == limit.Refuse:
		if t.cpu.All() {
			action += ", those that change something too,"
		}
		r.Text2 = fmt.Appendf(nil, "%s above %d a second of each cgroup: %s", action, time.Second/t.cpu.Share(), load)
	default:
		r.Text2 = fmt.Appendf(nil, "%s: %s", action, load)
	}
	t.step = step
	t.row(r)
}

// cause tells what events were refused for since the last call, as a ledger row has it; "" is their
// quota.
func (t *throttle) cause() string {
	if !t.refuses {
		return ""
	}
	t.refuses = t.cpu.Step() == limit.Refuse
	return CPULimit
}

// newThrottle is the session's.
func (s *session) newThrottle() *throttle {
	return &throttle{
		cpu: limit.CPU{Limit: s.o.CPULimit / 100}, used: processorTime, squeeze: s.set.Squeeze, row: s.collector.Row,
		refused: func() (n uint64) {
			refused, err := s.set.Refused()
			if err != nil {
				s.o.Logger.Error("cannot read the kernel's quotas", "error", err)
			}
			for _, v := range refused {
				n += v
			}
			return n
		},
	}
}

// processorTime is what this process has used, user and system.
func processorTime() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// pressedFrom is how full a ring is, of its size, when batches that cannot be encoded at once go to
// the spill file.
const pressedFrom = 2

// writerOptions says how batches go to the disk.
func (s *session) writerOptions() batch.WriterOptions {
	o := batch.WriterOptions{Depth: s.o.sizes.Depth, Clock: readClocks}
	if s.o.SpillBytes < 0 {
		return o
	}
	o.Spill = spill.New(s.o.Dir, meta(&s.o, readClocks()), spill.Options{Max: s.o.SpillBytes, Free: func() (int64, error) {
		free, _, err := freeSpace(s.o.Dir)
		return int64(free), err
	}})
	critical, lanes := s.critical, s.lanes.All()
	o.Pressed = func() bool {
		if critical.Fill() > critical.Size()/pressedFrom {
			return true
		}
		for _, l := range lanes {
			if l.Fill() > l.Size()/8*5 { // a quarter is never given back
				return true
			}
		}
		return false
	}
	return o
}

// spilled tells of the times in which batches went through the spill file.
func (s *session) spilled() {
	for _, p := range s.writer.Spills() {
		r := event.Row{TS: p.To, T0: p.From, Type: event.Recorder, Flags: event.FlagRecorder, Text: []byte("spill"), N1: int64(p.Rows)}
		if p.To == 0 {
			r.TS = p.From
			r.Text2 = fmt.Appendf(nil, "began at %s: batches are written as they are until there is time to encode them", seconds(p.From))
		} else {
			r.Text2 = fmt.Appendf(nil, "from %s to %s: %d rows in %d bytes went through the file", seconds(p.From), seconds(p.To), p.Rows, p.Bytes)
		}
		if p.Err != nil {
			r.Text2 = fmt.Appendf(r.Text2, "; it could not take all, the rings waited: %v", p.Err)
		}
		s.collector.Row(r)
	}
}

// takeInSpilled stores what a killed recorder of this store had spilled.
func takeInSpilled(o *Options) error {
	t, err := spill.TakeIn(o.Dir)
	if t != nil {
		for _, m := range t.Mended {
			o.Logger.Warn("mended what an earlier recording left", "segment", fmt.Sprint(m))
		}
		o.Logger.Warn("stored what an earlier recorder had no time to encode", "rows", t.Rows, "lost", t.Lost)
	}
	return err
}
