//go:build linux && (amd64 || arm64)

package recorder

import (
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"hindcast/bpf"
	"hindcast/format/clock"
	"hindcast/format/event"
	"hindcast/format/store"
	"hindcast/recorder/baseline"
	"hindcast/recorder/batch"
	"hindcast/recorder/health"
	"hindcast/recorder/probe"
	"hindcast/recorder/ring"
)

// How often the rings are looked at, and the books are kept.
const (
	busyWait = 10 * time.Millisecond
	idleWait = 100 * time.Millisecond
	longWait = 50 * time.Millisecond // busy, with little of the processor to use
	tickTime = time.Second
)

// session is a running recording.
type session struct {
	o     Options
	set   *bpf.Set
	probe *probe.Probe
	store *store.Store
	state *batch.State

	critical *ring.Ring
	lanes    *ring.Lanes
	poll     *ring.Poller
	writer   *batch.Writer
	child    *child
	started  clock.Boot

	taken   *takeover // what another recorder left, nil when there was nothing
	keeper  *keeper   // nil when nothing is pinned
	remarks []remark  // for the first rows
	witness witness
	old     *session   // with other programs, to be replaced; nil when there is none
	without clock.Boot // since when no hooks were in place, because those of another recorder were replaced

	// Of the draining goroutine, and of the caller before start and after it has ended.
	collector *batch.Collector
	ledger    health.Ledger
	counts    []health.Counts
	told      uint64 // lineage losses that a snapshot was asked for
	segments  int
	users     map[uint32]uint32 // effective user by credential set, where a filter wants it
	leftAt    clock.Boot        // when it was told how much the filter left out
	leftTotal uint64
	throttle  *throttle
	diskErr   error
	broken    error // why the rings cannot be read any more

	mu      sync.Mutex
	todo    []func() // for the draining goroutine
	status  atomic.Pointer[Status]
	news    chan struct{} // a new status is there
	again   chan struct{} // a snapshot is wanted
	quit    chan struct{} // ends the draining goroutine
	drained chan struct{} // it has ended
	halt    chan struct{} // ends the walking goroutine
	walked  chan struct{} // it has ended
	guarded chan struct{} // the guarding one has
}

// remark is a recorder row to come.
type remark struct{ action, detail string }

func (s *session) scoped() bool { return len(s.o.Command) > 0 }

// start begins to drain. The snapshot is taken by the caller, then walk takes over.
func (s *session) start() {
	s.news, s.again = make(chan struct{}, 1), make(chan struct{}, 1)
	s.quit, s.drained = make(chan struct{}), make(chan struct{})
	s.halt, s.walked, s.guarded = make(chan struct{}), make(chan struct{}), make(chan struct{})
	s.witness.begin()
	s.collector.Saw = s.witness.saw
	go s.drain()
	go s.guard()
	go s.attest()
}

// do has the draining goroutine run f.
func (s *session) do(f func()) {
	s.mu.Lock()
	s.todo = append(s.todo, f)
	s.mu.Unlock()
	s.poll.Wake()
}

func (s *session) doAll() {
	s.mu.Lock()
	todo := s.todo
	s.todo = nil
	s.mu.Unlock()
	for _, f := range todo {
		f()
	}
}

// drain looks at the rings every few milliseconds while they carry many records, less often when
// they do not; the kernel wakes it when one is filling, and for what is rare.
func (s *session) drain() {
	defer close(s.drained)
	wait := busyWait
	last := boot()
	next := last.Add(tickTime)
	for {
		now := boot()
		s.stalled(last, now)
		last = now
		s.doAll() // before the rings, which have the credentials of what iterators gave
		n, err := s.collector.Drain(now)
		s.collector.Long = s.throttle.read(now)
		s.collector.Emit(now)
		if now >= next {
			s.tick(now)
			next = now.Add(tickTime)
		}
		if err != nil {
			s.broken = err
			return
		}
		select {
		case <-s.quit:
			return
		default:
		}
		if wait = nextWait(wait, n); n > 0 && s.collector.Long {
			wait = max(wait, longWait)
		}
		if _, err := s.poll.Wait(wait); err != nil {
			s.broken = err
			return
		}
	}
}

// longStall is how long the draining goroutine may be away before a row says so.
const longStall = time.Second

// stalled tells when nobody looked at the rings for long: this process was stopped, frozen or
// starved, the host slept, or the disk did. What the rings had no room for is in the ledger.
func (s *session) stalled(since, now clock.Boot) {
	if d := now.Sub(since); d >= longStall {
		s.collector.Row(event.Row{TS: now, T0: since, Type: event.Recorder, Flags: event.FlagRecorder, Text: []byte("stalled"), N1: d.Milliseconds(),
			Text2: fmt.Appendf(nil, "the rings were not read from %s to %s", seconds(since), seconds(now))})
	}
}

// tick keeps the books and tells how it goes.
func (s *session) tick(now clock.Boot) {
	p := s.books(now)
	st := Status{Elapsed: now.Sub(s.started), Events: p.Rows, Segments: p.Segments, Bytes: p.Bytes, DiskErr: p.Err,
		Lost: s.ledger.Lost, LostBy: maps.Clone(s.ledger.By),
		Critical: float64(s.critical.Waiting()) / float64(s.critical.Size())}
	for _, l := range s.lanes.All() {
		st.Bulk = max(st.Bulk, float64(l.Waiting())/float64(l.Size()))
	}
	s.status.Store(&st)
	select {
	case s.news <- struct{}{}:
	default:
	}
}

// read takes all counters.
func (s *session) read(now clock.Boot) (health.Reading, batch.Progress) {
	var zero uint32
	var counts []health.Counts
	if err := s.set.Counters.Lookup(&zero, &counts); err != nil {
		s.o.Logger.Error("cannot read the kernel's counters", "error", err)
		counts = s.counts
	}
	s.counts = counts
	p := s.writer.Progress()
	r := health.Reading{At: now, Until: boot(), CPU: counts, Missed: s.probe.Missed(nil), Decode: s.collector.Bad, Disk: p.Lost}
	refused, err := s.set.Refused()
	if err != nil {
		s.o.Logger.Error("cannot read the kernel's quotas", "error", err)
	}
	if len(refused) > 0 {
		r.Refused = make(map[health.Refusal]uint64, len(refused))
		for k, n := range refused {
			r.Refused[health.Refusal{Cgroup: k.Cgroup, Class: event.Type(k.Type)}] = n
		}
	}
	return r, p
}

// books writes down what was lost since the last call.
func (s *session) books(now clock.Boot) batch.Progress {
	r, p := s.read(now)
	r.Cause = s.throttle.cause()
	r.Bulk, r.Critical = s.collector.Bulk.Holes(), s.collector.Critical.Holes()
	s.collector.Room(4096 + len(r.Refused)) // what the ledger takes for told is in the same batch as the rows
	for _, row := range s.ledger.Update(r) {
		s.collector.Row(row)
	}
	s.spilled()
	for _, row := range s.writer.Lost() {
		s.collector.Row(row)
	}
	s.leftOut(now, &r, false)
	if p.Err != nil {
		if s.diskErr == nil {
			s.o.Logger.Error("cannot write", "error", p.Err)
		}
		s.diskErr = p.Err
	}
	// A new segment wants the files and sockets that are open; a lost birth or death wants the
	// processes corrected.
	var lineage uint64
	for _, t := range []event.Type{event.Fork, event.Exec, event.Exit} {
		lineage += r.Sum(health.RingFull, t) + r.Sum(health.Nested, t)
	}
	if lineage > s.told || p.Segments > max(s.segments, 1) {
		select {
		case s.again <- struct{}{}:
		default:
		}
	}
	s.told, s.segments = lineage, p.Segments
	return p
}

// walk runs the iterators: the totals of idle threads every so often, and the whole snapshot
// when it is asked for. One goroutine, because an iterator must not run twice at once.
func (s *session) walk() {
	defer close(s.walked)
	t := time.NewTicker(s.o.Sweep)
	defer t.Stop()
	for {
		select {
		case <-s.halt:
			return
		case <-s.again:
			s.describe()
		case <-t.C:
			s.sweep()
		}
	}
}

// snapshot describes the host for the first time and starts the walking.
func (s *session) snapshot() {
	s.describe()
	go s.walk()
}

// chunk is how many bytes of records are handed to the draining goroutine at a time.
const chunk = 256 << 10

// describe runs the iterators that tell what is there.
func (s *session) describe() {
	begun := boot()
	s.do(func() { s.row(batch.SnapshotBegin, "", 0, begun) })
	total, whole := 0, false
	for _, h := range s.probe.Snapshot() {
		e := probe.Lookup(h.Name)
		task := e != nil && e.Bits()&(1<<event.Process) != 0
		var n int
		var err error
		if task && s.scoped() {
			n, err = s.ancestors(h)
		} else {
			n, err = s.stream(h)
		}
		total += n
		if err != nil {
			s.incomplete(h, err)
		} else if task && !s.scoped() {
			whole = true
		}
	}
	total += s.found()
	detail := "some processes"
	switch {
	case whole:
		detail = batch.Whole
	case s.scoped():
		detail = "command and its ancestors"
	}
	now := boot()
	s.do(func() { s.row(batch.SnapshotEnd, detail, int64(total), now) })
}

func (s *session) sweep() {
	for _, h := range s.probe.Sweeps() {
		if _, err := s.stream(h); err != nil {
			s.incomplete(h, err)
		}
	}
}

// incomplete says that an iterator did not come to its end.
func (s *session) incomplete(h *bpf.Hook, err error) {
	s.o.Logger.Warn("iterator failed", "hook", h.Name, "error", err)
	now := boot()
	s.do(func() { s.row("snapshot-incomplete", fmt.Sprintf("%s: %v", h.Name, err), 0, now) })
}

// stream hands everything an iterator tells to the draining goroutine.
func (s *session) stream(h *bpf.Hook) (int, error) {
	var buf []byte
	var ends []int
	send := func() {
		b, e := buf, ends
		s.do(func() {
			at := 0
			for _, end := range e {
				s.collector.Stream(b[at:end])
				at = end
			}
		})
		buf, ends = nil, nil
	}
	n, err := baseline.Read(h, func(rec []byte) {
		buf = append(buf, rec...)
		ends = append(ends, len(buf))
		if len(buf) >= chunk {
			send()
		}
	})
	if len(ends) > 0 {
		send()
	}
	return n, err
}

// ancestors hands over, of all processes, the recorder's own line, and those in scope. What is
// above the recorder is not what was asked for: it is named, so that the line has a beginning,
// but its arguments and environment, which may hold anything, are not kept.
func (s *session) ancestors(h *bpf.Hook) (int, error) {
	var l baseline.Lineage
	var keep [][]byte
	var r event.Row
	_, err := baseline.Read(h, func(rec []byte) {
		l.Add(rec)
		var one uint32
		if _, e := event.Decode(rec, &r); e == nil && s.set.Scope.Lookup(&r.PID, &one) == nil {
			keep = append(keep, append([]byte(nil), rec...))
		}
	})
	chain := l.Chain(s.set.Self)
	if len(chain) > 0 {
		keep, chain = append(keep, chain[0]), chain[1:]
	}
	rows := make([]event.Row, len(chain))
	for i, rec := range chain {
		if _, e := event.Decode(rec, &rows[i]); e == nil {
			batch.Withhold(&rows[i])
		}
	}
	s.do(func() {
		for _, rec := range keep {
			s.collector.Stream(rec)
		}
		for _, row := range rows {
			s.collector.Row(row)
		}
	})
	return len(keep) + len(rows), err
}

// stop takes the hooks out, reads what is left, closes the books and ends all goroutines. It
// returns how many records are unaccounted for.
func (s *session) stop(why string) (unaccounted uint64) {
	close(s.halt)
	<-s.walked
	<-s.guarded
	<-s.witness.ended
	at := boot()
	s.do(func() { s.row("stop", why, 0, at) })
	if err := s.set.Unpin(); err != nil {
		s.o.Logger.Warn("cannot remove pins", "error", err)
	}
	s.probe.Detach() // the rings are drained meanwhile
	s.sweep()
	s.look()
	s.witness.mounts.Close()
	close(s.quit)
	s.poll.Wake()
	<-s.drained
	s.doAll()
	return s.balance("")
}

// balance reads what is left when the hooks are out, closes the books and ends the way to the
// disk. It returns how many records are unaccounted for.
func (s *session) balance(note string) (unaccounted uint64) {
	// A hook may still have been running when it was taken out: the sum tells when all is in.
	for try := 0; s.broken == nil; try++ {
		now := boot()
		if _, err := s.collector.Drain(now); err != nil {
			s.broken = err
		}
		s.collector.Emit(now)
		var r health.Reading
		r, _ = s.read(now)
		if _, left := s.ledger.Reconcile(r, &s.collector.Received, s.gaps()...); left == 0 || try >= 50 {
			break
		}
		time.Sleep(busyWait)
	}
	now := boot()
	s.collector.Finish() // all that will be decoded is
	s.writer.Settle()
	s.books(now)
	r, _ := s.read(now)
	rows, unaccounted := s.ledger.Reconcile(r, &s.collector.Received, s.gaps()...)
	for _, row := range rows {
		s.collector.Row(row)
	}
	s.leftOut(boot(), &r, true)
	s.collector.Row(batch.ClockRow(readClocks()))
	sum := fmt.Sprintf("lost %d, own left out %d, cut %d", s.ledger.Lost, r.Total(health.Self), r.Total(health.Truncated))
	if note != "" {
		sum = note + ": " + sum
	}
	s.row("end", sum, int64(unaccounted), boot())
	s.collector.Finish()
	s.writer.Close()
	s.books(boot()) // for the result: what the disk refused at last has no row
	return unaccounted
}

func (s *session) gaps() []health.Gaps {
	of := func(seq *ring.Sequence, kind event.Ring) health.Gaps {
		g := health.Gaps{Ring: kind}
		for cpu := range seq.CPUs() {
			g.CPU = append(g.CPU, seq.Missing(cpu))
		}
		return g
	}
	return []health.Gaps{of(&s.collector.Critical, event.Critical), of(&s.collector.Bulk, event.Bulk)}
}
