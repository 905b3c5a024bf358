//go:build linux && (amd64 || arm64)

package recorder

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"hindcast/bpf"
	"hindcast/format/clock"
	"hindcast/format/event"
	"hindcast/format/store"
	"hindcast/recorder/batch"
	"hindcast/recorder/health"
	"hindcast/recorder/probe"
)

// Result is what a recording came to.
type Result struct {
	Events      uint64 // rows in the store, without the state that segments open with
	Lost        uint64 // records known to be lost; their ledger rows are in the store
	Unaccounted uint64 // records that neither came nor were counted as lost: 0, or something is wrong
	LostBy      map[string]uint64
	Segments    int
	Bytes       int64
	ExitCode    int // of the command, 128 + signal when one ended it
	// ChildStarted tells that ExitCode is the command's.
	ChildStarted bool
	Dir          string        // the store, absolute
	Duration     time.Duration // from the hooks attached to the hooks taken out
	Missing      int           // hooks that could not be attached
}

// Run records until the context ends, the duration is over or the command has ended, then seals
// what there is. An end that was asked for is no error. The Result speaks of what was recorded
// even when an error is returned.
func Run(ctx context.Context, o Options) (res Result, err error) {
	o, err = o.complete()
	if err != nil {
		return res, err
	}
	res.Dir = o.Dir
	if abs, err := filepath.Abs(o.Dir); err == nil {
		res.Dir = abs
	}
	path := ""
	if len(o.Command) > 0 {
		if path, err = findCommand(o.Command[0]); err != nil {
			return res, err
		}
	}
	for _, check := range []func() error{requirePrivilege, requireBTF, func() error { return requireSpace(o.Dir) }} {
		if err := check(); err != nil {
			return res, err
		}
	}

	if n := o.sizes.Heap; n > 0 {
		defer debug.SetMemoryLimit(debug.SetMemoryLimit(n))
	}
	if err := takeInSpilled(&o); err != nil {
		return res, outputError(o.Dir, err)
	}
	begun := readClocks()
	state := &batch.State{Clock: readClocks}
	st, err := store.Create(o.Dir, store.Options{
		Meta: meta(&o, begun), Clock: readClocks, SegmentBytes: o.SegmentBytes, SegmentAge: o.SegmentAge, Begin: state.Begin,
	})
	if err != nil {
		return res, outputError(o.Dir, err)
	}
	for _, m := range st.Mended() {
		o.Logger.Warn("mended what an earlier recording left", "segment", fmt.Sprint(m))
	}
	s := &session{o: o, store: st, state: state}
	if err := s.open(); err != nil {
		return res, errors.Join(err, st.Close())
	}
	return s.record(ctx, path, res)
}

// open loads the programs and maps the rings; on failure nothing stays behind.
func (s *session) open() (err error) {
	if err := s.inherit(); err != nil {
		s.close()
		return err
	}
	if s.set == nil {
		if err := s.load(); err != nil {
			return err
		}
	}
	if s.collector == nil {
		err := s.openRings(s.o.CriticalBytes)
		if err == nil {
			err = s.holdRings()
		}
		if err != nil {
			s.close()
			return &Error{Cause: ErrKernel, Err: err, Text: "cannot read the kernel's rings: " + rootCause(err)}
		}
		s.openWriter()
	}
	if s.o.Filter != nil { // not for what another recorder left, who was asked for something else
		s.collector.Keep = s.wants
	}
	s.probe = probe.New(s.set, s.o.choice())
	return nil
}

func (s *session) load() (err error) {
	if s.set, err = bpf.Load(s.o.loadOptions()); err != nil {
		return loadError(err)
	}
	return nil
}

// close frees what open made. The store is closed by itself.
func (s *session) close() {
	if s.old != nil {
		s.old.close()
	}
	if s.poll != nil {
		s.poll.Close()
	}
	if s.lanes != nil {
		s.lanes.Close()
	}
	if s.critical != nil {
		s.critical.Close()
	}
	if s.set != nil {
		closeSet(s.set, s.o.Holder)
	}
}

// record is a recording from the first hook to the seal.
func (s *session) record(ctx context.Context, path string, res Result) (Result, error) {
	s.say(health.Starting)
	if s.old != nil {
		s.cut()
	}
	if err := s.plant(); err != nil {
		s.o.Logger.Warn("cannot set the roots of the filter", "error", err)
	}
	s.probe.Attach()
	if err := s.grow(); err != nil {
		s.o.Logger.Warn("cannot find the descendants that the filter asks for: those that were there are missing", "error", err)
	}
	if err := s.set.MarkOwn(); err != nil {
		s.o.Logger.Warn("cannot mark what is our own: who touches it may not be told", "error", err)
	}
	s.started = boot()
	if s.old != nil {
		s.retire()
	}
	if s.taken == nil {
		s.ledger.Start = s.started
		if !s.scoped() {
			s.pin()
		}
	}
	for _, o := range s.probe.Outcomes() {
		if !o.Attached {
			s.o.Logger.Info("hook not attached", "hook", o.Entry.Name, "reason", o.Reason)
		}
	}
	s.opening()
	if s.taken != nil {
		s.catchUp()
	}
	s.start()
	s.snapshot()
	settleMemory()

	var failed error
	if ctx.Err() == nil {
		if len(s.o.Command) > 0 {
			s.child, failed = start(s.o.Command, path, s.set.Scope, s.set.Self)
		}
		s.say(health.Recording)
	}
	why := "command could not be run"
	if failed == nil {
		why = s.wait(ctx)
	}
	if s.child != nil {
		if why != ended {
			s.child.stop(s.o.Grace)
		}
		s.linger()
		res.ChildStarted, res.ExitCode = true, s.child.code
	}
	s.say(health.Stopping)
	res.Duration = boot().Sub(s.started)
	unaccounted := s.stop(why)

	err := s.store.Close()
	p := s.writer.Progress()
	stats := s.store.Stats()
	res.Events, res.Segments, res.Bytes = p.Rows, stats.Segments, stats.Bytes
	res.Lost, res.LostBy, res.Unaccounted = s.ledger.Lost, s.ledger.By, unaccounted
	res.Missing = s.probe.Missing()
	s.close()
	switch {
	case failed != nil:
		return res, failed
	case s.broken != nil:
		return res, &Error{Cause: ErrKernel, Err: s.broken, Text: "the recording ended early: " + s.broken.Error()}
	case res.LostBy["disk"] > 0:
		return res, &Error{Cause: ErrOutput, Err: s.diskErr, Text: fmt.Sprintf("%d rows could not be written to %s: %s; the rest is there, and the ledger names what is not", res.LostBy["disk"], res.Dir, rootCause(s.diskErr))}
	case err != nil:
		return res, &Error{Cause: ErrOutput, Err: err, Text: fmt.Sprintf("cannot seal the last segment in %s: %s; run hindcast repair %s", res.Dir, rootCause(err), res.Dir)}
	}
	return res, nil
}

// opening puts the first rows in place: the start, the clocks, the coverage.
func (s *session) opening() {
	at := s.started
	s.row("start", fmt.Sprintf("profile %s, rings %d and %d bytes", s.o.Profile, s.o.RingBytes, s.o.CriticalBytes), 0, at)
	scope := "whole host"
	if s.scoped() {
		scope = "command only"
	}
	s.row("scope", scope, 0, at)
	if z := s.o.sizes; z.Heap > 0 {
		s.row("memory-limit", fmt.Sprintf("%d bytes: rings %d and %d, heap %d, batches of %d rows, %d may wait", s.o.MemoryLimit, z.Ring, z.Critical, z.Heap, z.Rows, z.Depth), 0, at)
	}
	s.collector.Row(batch.ClockRow(readClocks()))
	coverage := s.probe.Coverage(at)
	if s.o.Filter != nil {
		coverage = append(coverage, s.o.Filter.row(at))
	}
	s.state.SetCoverage(coverage)
	s.collector.Blind(strings.Join(s.probe.Lacks(event.CredChange), ", "))
	for _, r := range coverage {
		s.collector.Row(r)
	}
	for _, r := range s.remarks {
		s.row(r.action, r.detail, 0, at)
	}
	if s.without > 0 {
		s.row("replaced", "the hooks of a recorder with other options were taken out, and these put in", 0, at)
		s.collector.Row(health.Row(s.without, at, 0, 0, 0, "downtime", "hooks were replaced, any cpu"))
	}
}

// row adds a recorder row. Only the goroutine that owns the collector may call it.
func (s *session) row(action, detail string, n int64, at clock.Boot) {
	s.collector.Row(event.Row{TS: at, Type: event.Recorder, Flags: event.FlagRecorder, Text: []byte(action), Text2: []byte(detail), N1: n})
}

const ended = "command ended"

// wait returns why the recording is to end.
func (s *session) wait(ctx context.Context) string {
	var over <-chan time.Time
	if s.o.Duration > 0 {
		t := time.NewTimer(s.o.Duration)
		defer t.Stop()
		over = t.C
	}
	var done <-chan struct{}
	if s.child != nil {
		done = s.child.done
	}
	for {
		select {
		case <-done:
			return ended
		case <-ctx.Done():
			return "asked to stop"
		case <-over:
			return "duration over"
		case <-s.drained:
			return "rings cannot be read"
		case <-s.news:
			s.say(health.Recording)
		}
	}
}

// say tells how it goes.
func (s *session) say(phase health.Phase) {
	var st Status
	if p := s.status.Load(); p != nil {
		st = *p
	}
	st.Phase = phase
	if phase != health.Starting {
		st.Missing = s.probe.Missing()
	}
	if s.child != nil {
		st.Child = s.child.cmd.Process.Pid
	}
	s.o.Notify(st)
}

// linger waits a little for what the command left running.
func (s *session) linger() {
	for end := time.Now().Add(s.o.Linger); time.Now().Before(end) && !empty(s.set.Scope); {
		time.Sleep(10 * time.Millisecond)
	}
}
