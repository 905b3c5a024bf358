//go:build linux

package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"hindcast/recorder/bench/load"
	"hindcast/recorder/bench/tool"
)

// programs is what the kernel says that hindcast's programs cost.
type programs struct {
	perOp map[string]map[string]runs // by profile, by work
	top   map[string][]program       // standard profile, by work: dearest first
}

// runs is time in the kernel's programs, and how often they ran, for one operation.
type runs struct{ ns, n float64 }

type program struct {
	name string
	runs
}

func (b *bench) measurePrograms(ctx context.Context) error {
	f := &b.figures.programs
	f.perOp, f.top = map[string]map[string]runs{}, map[string][]program{}
	for _, t := range b.tools {
		h, ok := t.(*tool.Hindcast)
		if !ok || !b.able(t) {
			continue
		}
		b.progress("programs of %s\n", h.Profile)
		if err := b.programsOf(ctx, h); err != nil {
			return fmt.Errorf("%s: %w", h.Profile, err)
		}
	}
	return nil
}

func (b *bench) programsOf(ctx context.Context, h *tool.Hindcast) error {
	c, release, err := b.newCrew(h)
	defer release()
	if err != nil {
		return err
	}
	able := []*load.Work{}
	for _, w := range b.works {
		if _, err := c.run(ctx, w, load.Order{For: time.Millisecond}); err != nil {
			b.figures.trouble = append(b.figures.trouble, fmt.Sprintf("programs of %s, %s: %v", h.Profile, w.Name, err))
			continue
		}
		able = append(able, w)
	}
	dir, done, err := b.folder()
	if err != nil {
		return err
	}
	defer done()
	r, err := h.Record(ctx, tool.Target{Dir: dir})
	if err != nil {
		return err
	}
	err = b.programsDuring(ctx, c, h.Profile, r, able)
	if stopErr := r.End(); err == nil {
		err = stopErr
	}
	return err
}

func (b *bench) programsDuring(ctx context.Context, c *crew, profile string, r *tool.Recording, works []*load.Work) error {
	stats, err := ebpf.EnableStats(uint32(unix.BPF_STATS_RUN_TIME))
	if err != nil {
		return fmt.Errorf("enable statistics: %w", err)
	}
	defer stats.Close()
	during := func(f func() error) (map[string]tool.Spent, error) {
		before, err := r.Spent()
		if err != nil {
			return nil, err
		}
		if err := f(); err != nil {
			return nil, err
		}
		after, err := r.Spent()
		for name, a := range after {
			after[name] = tool.Spent{Time: a.Time - before[name].Time, Runs: a.Runs - before[name].Runs}
		}
		return after, err
	}
	// What programs cost when nothing is done, for each nanosecond.
	const rest = 500 * time.Millisecond
	idle, err := during(func() error { time.Sleep(rest); return nil })
	if err != nil {
		return err
	}
	f := &b.figures.programs
	f.perOp[profile] = map[string]runs{}
	for _, w := range works {
		var s load.Sample
		spent, err := during(func() (err error) { s, err = c.run(ctx, w, load.Order{For: 2 * b.plan.long}); return err })
		if err != nil {
			return err
		}
		var sum runs
		var all []program
		for _, name := range slices.Sorted(maps.Keys(spent)) {
			share := float64(s.Wall) / float64(rest)
			p := program{name, runs{
				max(0, float64(spent[name].Time)-share*float64(idle[name].Time)) / float64(s.Ops),
				max(0, float64(spent[name].Runs)-share*float64(idle[name].Runs)) / float64(s.Ops)}}
			if p.n == 0 {
				continue // it runs no more often than when nothing is done
			}
			sum.ns, sum.n = sum.ns+p.ns, sum.n+p.n
			all = append(all, p)
		}
		f.perOp[profile][w.Name] = sum
		if profile == "standard" {
			slices.SortStableFunc(all, func(a, b program) int { return cmp.Compare(b.ns, a.ns) })
			f.top[w.Name] = all[:min(15, len(all))]
		}
	}
	return nil
}
