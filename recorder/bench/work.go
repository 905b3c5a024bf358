//go:build linux

package main

import (
	"context"
	"fmt"
	"math"
	"time"

	"hindcast/recorder/bench/load"
	"hindcast/recorder/bench/report"
	"hindcast/recorder/bench/tool"
)

// cell is what one tool did to one piece of work.
type cell struct {
	off, on         []float64 // processor ns of an operation, by window
	wallOff, wallOn []float64

	counted  int     // operations of the census
	recorder float64 // processor ns of the tool for an operation
	seen     float64 // records for an operation
	lost     int64
	bytes    float64 // for a record; NaN when the tool keeps nothing
	peak     int64   // resident

	why string // it has no figures
}

// ratio is what the work itself costs, with over without.
func (c *cell) ratio() (m, half float64) { return report.Mean(report.Ratios(c.off, c.on)) }

func (c *cell) wall() (m, half float64) { return report.Mean(report.Ratios(c.wallOff, c.wallOn)) }

// alone is ns of an operation without the tool.
func (c *cell) alone() float64 { m, _ := report.Mean(c.off); return m }

// total is what work and recorder cost together, over the work alone.
func (c *cell) total() float64 {
	m, _ := c.ratio()
	return m + c.recorder/c.alone()
}

func (c *cell) ok() bool {
	return c != nil && c.why == "" && len(c.on) > 0 && len(c.off) > 1
}

// figures is everything that was measured.
type figures struct {
	cells   map[string]map[string]*cell // by tool, by work
	missing map[string]string           // tool: why it did not run
	programs
	rates   []rated
	cores   []loaded
	idle    *idleness
	engine  *engine
	trouble []string
}

func (f *figures) init() {
	f.cells, f.missing = map[string]map[string]*cell{}, map[string]string{}
}

func (f *figures) cell(t tool.Tool, w *load.Work) *cell {
	if f.cells[t.Name()] == nil {
		f.cells[t.Name()] = map[string]*cell{}
	}
	c := f.cells[t.Name()][w.Name]
	if c == nil {
		c = &cell{}
		f.cells[t.Name()][w.Name] = c
	}
	return c
}

// able says whether a tool can run here, and keeps why not.
func (b *bench) able(t tool.Tool) bool {
	if b.figures.missing[t.Name()] != "" {
		return false
	}
	// The rule of this run, which keeps audit's mark off processes, is no hindrance.
	if err := t.Check(); err != nil {
		b.figures.missing[t.Name()] = err.Error()
		return false
	}
	return true
}

func (b *bench) measureWork(ctx context.Context) error {
	for _, t := range b.tools {
		if !b.able(t) {
			continue
		}
		if err := b.workUnder(ctx, t); err != nil {
			if ctx.Err() != nil {
				return err
			}
			b.figures.missing[t.Name()] = err.Error()
			b.progress("%s: %v\n", t.Name(), err)
		}
	}
	return nil
}

func (b *bench) workUnder(ctx context.Context, t tool.Tool) error {
	c, release, err := b.newCrew(t)
	defer release()
	if err != nil {
		return err
	}
	for _, w := range b.works { // and once before anything is timed
		if _, err := c.run(ctx, w, load.Order{For: time.Millisecond}); err != nil {
			b.figures.cell(t, w).why = err.Error()
		}
	}
	if err := b.windows(ctx, t, c); err != nil {
		return err
	}
	return b.counts(ctx, t, c)
}

// windows fills the pairs.
func (b *bench) windows(ctx context.Context, t tool.Tool, c *crew) error {
	all := func(with bool) error {
		for _, w := range b.works {
			cell := b.figures.cell(t, w)
			if cell.why != "" {
				continue
			}
			s, wall, err := b.window(ctx, c, w)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				cell.why = err.Error()
				continue
			}
			if with {
				cell.on, cell.wallOn = append(cell.on, s), append(cell.wallOn, wall)
			} else {
				cell.off, cell.wallOff = append(cell.off, s), append(cell.wallOff, wall)
			}
		}
		return nil
	}
	if err := all(false); err != nil {
		return err
	}
	n := b.pairs(t)
	for i := range n {
		b.progress("%s: pair %d of %d\n", t.Name(), i+1, n)
		if err := b.with(ctx, t, c, func(tool.Run) error { return all(true) }, nil); err != nil {
			return err
		}
		if err := all(false); err != nil {
			return err
		}
	}
	return nil
}

// window does a piece of work for one window. Cheap calls are cut into rounds whose median
// stands for the window, so that a processor taken away for a moment does not.
func (b *bench) window(ctx context.Context, c *crew, w *load.Work) (ns, wall float64, err error) {
	rounds, each := 1, b.plan.long
	if w.Pinned {
		rounds, each = 5, b.plan.window/5
	}
	var cpus, walls []float64
	for range rounds {
		s, err := c.run(ctx, w, load.Order{For: each})
		if err != nil {
			return 0, 0, err
		}
		cpus, walls = append(cpus, s.NS()), append(walls, s.WallNS())
	}
	return report.Median(cpus), report.Median(walls), nil
}

// with runs a tool around f.
func (b *bench) with(ctx context.Context, t tool.Tool, c *crew, f func(tool.Run) error, result *tool.Result) error {
	dir, done, err := b.folder()
	if err != nil {
		return err
	}
	defer done()
	pids, err := c.pids()
	if err != nil {
		return err
	}
	r, err := t.Start(ctx, tool.Target{Dir: dir, PIDs: pids})
	if err != nil {
		return fmt.Errorf("start: %w", err)
	}
	err = f(r)
	res, stopErr := r.Stop()
	if result != nil {
		*result = res
	}
	time.Sleep(200 * time.Millisecond) // freeing programs and maps is over
	if err == nil && stopErr != nil {
		err = fmt.Errorf("stop: %w", stopErr)
	}
	return err
}

// census is what a tool saw and used during a piece of work.
type census struct {
	sample load.Sample
	cpu    time.Duration
	seen   int64
	lost   int64
	bytes  int64
	peak   int64
}

func (b *bench) censusOf(ctx context.Context, t tool.Tool, c *crew, do func() (load.Sample, error)) (n census, err error) {
	var before time.Duration
	var res tool.Result
	err = b.with(ctx, t, c, func(r tool.Run) error {
		var err error
		if before, err = r.CPU(); err != nil {
			return err
		}
		if n.sample, err = do(); err != nil {
			return err
		}
		_, n.peak, err = r.Resident()
		return err
	}, &res)
	n.cpu, n.seen, n.lost, n.bytes = res.CPU-before, res.Seen, res.Lost, res.Bytes
	return n, err
}

// counts fills what the tool used and saw.
func (b *bench) counts(ctx context.Context, t tool.Tool, c *crew) error {
	nothing, err := b.censusOf(ctx, t, c, func() (load.Sample, error) {
		time.Sleep(b.plan.census)
		return load.Sample{}, nil
	})
	if err != nil {
		return err
	}
	repeats := 1
	if b.standard() == t {
		repeats = b.repeats
	}
	for _, w := range b.works {
		cell := b.figures.cell(t, w)
		if cell.why != "" {
			continue
		}
		b.progress("%s: count of %s\n", t.Name(), w.Name)
		var used []float64
		for range repeats {
			n, err := b.censusOf(ctx, t, c, func() (load.Sample, error) { return c.run(ctx, w, load.Order{For: b.plan.census}) })
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				cell.why = err.Error()
				break
			}
			ops := float64(n.sample.Ops)
			used = append(used, max(0, float64(n.cpu-nothing.cpu))/ops)
			cell.counted, cell.lost, cell.peak = n.sample.Ops, n.lost, n.peak
			cell.seen = max(0, float64(n.seen-nothing.seen)) / ops
			cell.bytes = math.NaN()
			if n.bytes != tool.Unknown && n.seen-nothing.seen > n.seen/2 {
				cell.bytes = float64(n.bytes-nothing.bytes) / float64(n.seen-nothing.seen)
			}
		}
		if len(used) > 0 {
			cell.recorder = report.Median(used)
		}
	}
	return nil
}
