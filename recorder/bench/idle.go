//go:build linux

package main

import (
	"context"
	"errors"
	"time"

	"hindcast/format/event"
	"hindcast/recorder/bench/load"
	"hindcast/recorder/bench/tool"
	"hindcast/replay"
	captured "hindcast/replay/load"
)

// idleness is what recording a host costs that does nothing.
type idleness struct {
	over  time.Duration // that was watched
	bytes int64         // more than a short recording has
	rows  int64
	share float64 // of one processor
	rss   int64
}

// measureIdle records a host on which only the benchmark waits, for a short and for a long
// time: the difference is what time costs, without the snapshot of the start.
func (b *bench) measureIdle(ctx context.Context) error {
	h := b.standard()
	if h == nil || !b.able(h) {
		return nil
	}
	const short = 5 * time.Second
	watch := func(d time.Duration) (res tool.Result, cpu time.Duration, rss int64, err error) {
		dir, done, err := b.folder()
		if err != nil {
			return res, 0, 0, err
		}
		defer done()
		r, err := h.Start(ctx, tool.Target{Dir: dir})
		if err != nil {
			return res, 0, 0, err
		}
		before, err := r.CPU()
		select {
		case <-time.After(d):
		case <-ctx.Done():
			err = ctx.Err()
		}
		after, err2 := r.CPU()
		rss, _, err3 := r.Resident()
		res, err4 := r.Stop()
		return res, after - before, rss, errors.Join(err, err2, err3, err4)
	}
	b.progress("idle for %v and %v\n", short, b.plan.idle)
	few, _, _, err := watch(short)
	if err != nil {
		return err
	}
	many, cpu, rss, err := watch(b.plan.idle)
	if err != nil {
		return err
	}
	b.figures.idle = &idleness{over: b.plan.idle - short, bytes: max(0, many.Bytes-few.Bytes), rows: max(0, many.Seen-few.Seen),
		share: cpu.Seconds() / b.plan.idle.Seconds(), rss: rss}
	return nil
}

// engine is the recorder at full speed, and what loading its recording takes.
type engine struct {
	made, rows, lost       int64
	took, cpu              time.Duration
	idle, peak, size       int64
	opened, scanned, built time.Duration
}

func (b *bench) measureEngine(ctx context.Context) error {
	h := b.standard()
	if h == nil || !b.able(h) {
		return nil
	}
	b.progress("flood for %v\n", b.plan.flood)
	s, release, err := b.newSquad(h, 1)
	defer release()
	if err != nil {
		return err
	}
	if err := s.setup(ctx, "objects"); err != nil {
		return err
	}
	dir, done, err := b.folder()
	if err != nil {
		return err
	}
	defer done()
	r, err := h.Record(ctx, tool.Target{Dir: dir, PIDs: s.pids()})
	if err != nil {
		return err
	}
	e := &engine{}
	before, err := r.CPU()
	e.idle, _, _ = r.Resident()
	begin := time.Now()
	made, err2 := s.run(ctx, load.Order{Work: "objects", For: b.plan.flood})
	e.took = time.Since(begin)
	_, e.peak, _ = r.Resident()
	res, err3 := r.Stop()
	if err := errors.Join(err, err2, err3); err != nil {
		return err
	}
	e.made, e.rows, e.lost, e.cpu, e.size = int64(made.Ops), res.Seen, res.Lost, res.CPU-before, res.Bytes

	b.progress("reading that again\n")
	begin = time.Now()
	c, err := captured.Open(r.Dir, captured.Options{})
	if err != nil {
		return err
	}
	defer c.Close()
	e.opened = time.Since(begin)
	begin = time.Now()
	if err := c.Scan(0, 0, func(*event.Row, captured.RowID) error { return nil }); err != nil {
		return err
	}
	e.scanned = time.Since(begin)
	begin = time.Now()
	if _, err = replay.Build(c, replay.Options{}); err != nil {
		return err
	}
	e.built = time.Since(begin)
	b.figures.engine = e
	return nil
}
