//go:build linux

package main

import (
	"context"
	"errors"
	"path/filepath"

	"hindcast/recorder/bench/load"
	"hindcast/recorder/bench/tool"
)

// crew is the two workers that all work is shared between, made anew when one dies.
type crew struct {
	dir    string
	pinned *load.Worker // on processor 0
	free   *load.Worker
	ready  map[string]bool
}

// newCrew starts workers whose processes carry audit's mark if audit is what is measured.
func (b *bench) newCrew(t tool.Tool) (c *crew, release func(), err error) {
	restore := func() {}
	if _, ok := t.(tool.Audit); ok {
		b.marks.Mark()
		restore = b.marks.Unmark
	}
	c = &crew{dir: b.dir, ready: map[string]bool{}}
	err = c.fill()
	return c, func() { c.stop(); restore() }, err
}

func (c *crew) fill() (err error) {
	if c.pinned == nil {
		if c.pinned, err = load.Start(filepath.Join(c.dir, "pinned"), 0); err != nil {
			return err
		}
	}
	if c.free == nil {
		c.free, err = load.Start(filepath.Join(c.dir, "free"), -1)
	}
	return err
}

func (c *crew) stop() {
	for _, w := range []*load.Worker{c.pinned, c.free} {
		if w != nil {
			w.Stop()
		}
	}
}

func (c *crew) worker(w *load.Work) *load.Worker {
	if w.Pinned {
		return c.pinned
	}
	return c.free
}

// setup prepares a piece of work; an error is one for its row.
func (c *crew) setup(ctx context.Context, w *load.Work) error {
	if why := w.Missing(); why != "" {
		return errors.New(why)
	}
	if c.ready[w.Name] {
		return nil
	}
	err := c.worker(w).Setup(ctx, w.Name)
	c.ready[w.Name] = err == nil
	return c.mend(err)
}

func (c *crew) run(ctx context.Context, w *load.Work, o load.Order) (load.Sample, error) {
	if err := c.setup(ctx, w); err != nil {
		return load.Sample{}, err
	}
	o.Work = w.Name
	s, err := c.worker(w).Run(ctx, o)
	return s, c.mend(err)
}

// mend replaces a worker that died, and returns the error that it got.
func (c *crew) mend(err error) error {
	if err == nil {
		return nil
	}
	for _, w := range []**load.Worker{&c.pinned, &c.free} {
		if *w != nil && (*w).Dead() {
			(*w).Stop()
			*w, c.ready = nil, map[string]bool{}
		}
	}
	return errors.Join(err, c.fill())
}

// pids returns the processes of both workers.
func (c *crew) pids() ([]int, error) {
	a, err := c.pinned.PIDs()
	if err != nil {
		return nil, c.mend(err)
	}
	b, err := c.free.PIDs()
	return append(a, b...), c.mend(err)
}
