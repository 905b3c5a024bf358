//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"time"

	"hindcast/recorder/bench/load"
	"hindcast/recorder/bench/report"
	"hindcast/recorder/bench/tool"
)

// squad is workers on a processor each that make opens, the one event that every tool can
// be counted by.
type squad []*load.Worker

func (b *bench) newSquad(t tool.Tool, n int) (s squad, release func(), err error) {
	restore := func() {}
	if _, ok := t.(tool.Audit); ok {
		b.marks.Mark()
		restore = b.marks.Unmark
	}
	release = func() {
		for _, w := range s {
			w.Stop()
		}
		restore()
	}
	for cpu := range n {
		w, err := load.Start(filepath.Join(b.dir, fmt.Sprint("squad", cpu)), cpu)
		if err != nil {
			return s, release, err
		}
		s = append(s, w)
	}
	return s, release, nil
}

func (s squad) setup(ctx context.Context, work string) (err error) {
	for _, w := range s {
		err = errors.Join(err, w.Setup(ctx, work))
	}
	return err
}

func (s squad) pids() (pids []int) {
	for _, w := range s {
		pids = append(pids, w.PID())
	}
	return pids
}

// run has all do the same at the same time; a rate is shared. Wall is the longest.
func (s squad) run(ctx context.Context, o load.Order) (sum load.Sample, err error) {
	type answer struct {
		load.Sample
		err error
	}
	answers := make(chan answer)
	o.Rate /= len(s)
	for _, w := range s {
		go func() {
			a, err := w.Run(ctx, o)
			answers <- answer{a, err}
		}()
	}
	for range s {
		a := <-answers
		sum.Ops, sum.CPU, sum.Wall, err = sum.Ops+a.Ops, sum.CPU+a.CPU, max(sum.Wall, a.Wall), errors.Join(err, a.err)
	}
	return sum, err
}

// processors returns how many of one and two processors this machine has.
func processors() []int {
	if runtime.NumCPU() < 2 {
		return []int{1}
	}
	return []int{1, 2}
}

// rated is a tool at a rate.
type rated struct {
	tool      string
	attempted int
	made      int     // opens
	attained  float64 // a second, with the tool
	alone     float64 // and without
	off, on   float64 // processor ns of an open
	opens     int64   // recorded
	lost      int64
	share     float64 // of one processor that the tool's processes take
	bytes     float64 // for a record
	idle      int64   // resident, before
	peak      int64
	why       string
}

// ending returns what it costs a tool to stop when nothing happened: a share of short runs
// that is none of the work's.
func (b *bench) ending(ctx context.Context, t tool.Tool) (time.Duration, error) {
	if d, ok := b.endings[t.Name()]; ok {
		return d, nil
	}
	s, release, err := b.newSquad(t, 1)
	defer release()
	if err != nil {
		return 0, err
	}
	dir, done, err := b.folder()
	if err != nil {
		return 0, err
	}
	defer done()
	r, err := t.Start(ctx, tool.Target{Dir: dir, PIDs: s.pids()})
	if err != nil {
		return 0, fmt.Errorf("start: %w", err)
	}
	time.Sleep(b.plan.rate)
	until, err := r.CPU()
	res, stopErr := r.Stop()
	if err := errors.Join(err, stopErr); err != nil {
		return 0, err
	}
	b.endings[t.Name()] = res.CPU - until
	return res.CPU - until, nil
}

func (b *bench) measureRates(ctx context.Context) error {
	for _, t := range b.tools {
		if h, ok := t.(*tool.Hindcast); !b.able(t) || ok && h != b.standard() {
			continue
		}
		for _, rate := range b.plan.rates {
			b.progress("rate %d under %s\n", rate, t.Name())
			r, err := b.atRate(ctx, t, rate)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				r.why = err.Error()
			}
			b.figures.rates = append(b.figures.rates, r)
		}
	}
	return nil
}

func (b *bench) atRate(ctx context.Context, t tool.Tool, rate int) (r rated, err error) {
	r.tool, r.attempted = t.Name(), rate
	ending, err := b.ending(ctx, t)
	if err != nil {
		return r, err
	}
	n := 1
	if rate > 100_000 {
		n = len(processors())
	}
	s, release, err := b.newSquad(t, n)
	defer release()
	if err != nil {
		return r, err
	}
	if err := s.setup(ctx, "objects"); err != nil {
		return r, err
	}
	o := load.Order{Work: "objects", For: b.plan.rate, Rate: rate}
	off, err := s.run(ctx, o)
	if err != nil {
		return r, err
	}
	dir, done, err := b.folder()
	if err != nil {
		return r, err
	}
	defer done()
	run, err := t.Start(ctx, tool.Target{Dir: dir, PIDs: s.pids()})
	if err != nil {
		return r, fmt.Errorf("start: %w", err)
	}
	var before time.Duration
	on, err := func() (on load.Sample, err error) {
		if before, err = run.CPU(); err != nil {
			return on, err
		}
		if r.idle, _, err = run.Resident(); err != nil {
			return on, err
		}
		if on, err = s.run(ctx, o); err != nil {
			return on, err
		}
		_, r.peak, err = run.Resident()
		return on, err
	}()
	res, stopErr := run.Stop()
	if err = errors.Join(err, stopErr); err != nil {
		return r, err
	}
	r.made, r.attained = on.Ops, float64(on.Ops)/on.Wall.Seconds()
	r.alone = float64(off.Ops) / off.Wall.Seconds()
	r.off, r.on = off.NS(), on.NS()
	r.opens, r.lost = res.Opens, res.Lost
	r.share = max(0, res.CPU-before-ending).Seconds() / on.Wall.Seconds()
	if res.Bytes != tool.Unknown && res.Seen > 0 {
		r.bytes = float64(res.Bytes) / float64(res.Seen)
	}
	return r, nil
}

// loaded is a tool with some processors full of work.
type loaded struct {
	tool, work string
	processors int
	cpu, wall  [2]float64 // ratio and half width
	share      float64    // of one processor
	lost       int64
	why        string
}

// measureCores fills one and then all processors: with the last one taken, the recorder
// competes with what it records.
func (b *bench) measureCores(ctx context.Context) error {
	for _, t := range b.tools {
		_, ptrace := t.(tool.Strace)
		_, perf := t.(tool.PerfTrace)
		if h, ok := t.(*tool.Hindcast); !b.able(t) || ok && h != b.standard() || ptrace || perf {
			continue // their cost is known from the tables above, and large
		}
		for _, work := range []string{"objects", "spawn"} {
			for _, n := range processors() {
				b.progress("%d processors of %s under %s\n", n, work, t.Name())
				l, err := b.onProcessors(ctx, t, work, n)
				if ctx.Err() != nil {
					return ctx.Err()
				}
				if err != nil {
					l.why = err.Error()
				}
				b.figures.cores = append(b.figures.cores, l)
			}
		}
	}
	return nil
}

func (b *bench) onProcessors(ctx context.Context, t tool.Tool, work string, n int) (l loaded, err error) {
	l.tool, l.work, l.processors = t.Name(), work, n
	ending, err := b.ending(ctx, t)
	if err != nil {
		return l, err
	}
	s, release, err := b.newSquad(t, n)
	defer release()
	if err != nil {
		return l, err
	}
	if err := s.setup(ctx, work); err != nil {
		return l, err
	}
	o := load.Order{Work: work, For: 2 * b.plan.long}
	var off, on, wallOff, wallOn, share []float64
	window := func(cpu, wall *[]float64) (load.Sample, error) {
		got, err := s.run(ctx, o)
		if err == nil {
			*cpu, *wall = append(*cpu, got.NS()), append(*wall, got.WallNS())
		}
		return got, err
	}
	if _, err := window(&off, &wallOff); err != nil {
		return l, err
	}
	pairs := b.plan.cores
	if b.standard() != t {
		pairs = max(1, pairs/3)
	}
	for range pairs {
		dir, done, err := b.folder()
		if err != nil {
			return l, err
		}
		r, err := t.Start(ctx, tool.Target{Dir: dir, PIDs: s.pids()})
		if err != nil {
			done()
			return l, fmt.Errorf("start: %w", err)
		}
		before, err := r.CPU()
		got, err2 := window(&on, &wallOn)
		res, err3 := r.Stop()
		done()
		if err := errors.Join(err, err2, err3); err != nil {
			return l, err
		}
		share = append(share, max(0, res.CPU-before-ending).Seconds()/got.Wall.Seconds())
		l.lost += res.Lost
		time.Sleep(200 * time.Millisecond)
		if _, err := window(&off, &wallOff); err != nil {
			return l, err
		}
	}
	l.cpu[0], l.cpu[1] = report.Mean(report.Ratios(off, on))
	l.wall[0], l.wall[1] = report.Mean(report.Ratios(wallOff, wallOn))
	l.share, _ = report.Mean(share)
	return l, nil
}
