//go:build linux

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
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
	busy  float64  // share of all processors that the host used meanwhile
	who   []string // made the most rows, with their number
}

// measureIdle records a host on which only the benchmark waits, for a short and for a long
// time: the difference is what time costs, without the snapshot of the start. Few rows wait
// half a minute to be written, so the difference is whole half minutes.
func (b *bench) measureIdle(ctx context.Context) error {
	h := b.standard()
	if h == nil || !b.able(h) {
		return nil
	}
	const short = 5 * time.Second
	var idle idleness
	watch := func(d time.Duration) (res tool.Result, err error) {
		dir, done, err := b.folder()
		if err != nil {
			return res, err
		}
		defer done()
		r, err := h.Record(ctx, tool.Target{Dir: dir})
		if err != nil {
			return res, err
		}
		used, rest := processorsUsed()
		before, err := r.CPU()
		select {
		case <-time.After(d):
		case <-ctx.Done():
			err = ctx.Err()
		}
		after, err2 := r.CPU()
		usedAfter, restAfter := processorsUsed()
		now, _, err3 := r.Resident()
		res, err4 := r.Stop()
		if err := errors.Join(err, err2, err3, err4); err != nil {
			return res, err
		}
		idle.share, idle.rss = (after-before).Seconds()/d.Seconds(), now
		idle.busy = float64(usedAfter-used) / float64(max(1, usedAfter-used+restAfter-rest))
		idle.who, err = makers(r.Dir)
		return res, err
	}
	b.progress("idle for %v and %v\n", short, b.plan.idle)
	few, err := watch(short)
	if err != nil {
		return err
	}
	many, err := watch(b.plan.idle)
	if err != nil {
		return err
	}
	idle.over, idle.bytes, idle.rows = b.plan.idle-short, max(0, many.Bytes-few.Bytes), max(0, many.Seen-few.Seen)
	b.figures.idle = &idle
	return nil
}

// makers names the programs that made the most rows: whether the host was idle is seen by them.
func makers(dir string) (who []string, err error) {
	c, err := captured.Open(dir, captured.Options{})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	rows := map[string]int{}
	err = c.Scan(0, 0, func(r *event.Row, _ captured.RowID) error {
		if r.Flags&uint32(event.FlagSnapshot) == 0 {
			rows[string(r.Comm)]++
		}
		return nil
	})
	names := slices.SortedFunc(maps.Keys(rows), func(a, b string) int {
		return cmp.Or(cmp.Compare(rows[b], rows[a]), cmp.Compare(a, b))
	})
	for _, n := range names[:min(5, len(names))] {
		shown := n
		if shown == "" {
			shown = "the recorder itself"
		}
		who = append(who, fmt.Sprintf("%s %d", shown, rows[n]))
	}
	return who, err
}

// processorsUsed returns ticks of all processors that something ran in, and the others.
func processorsUsed() (used, rest int64) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0
	}
	line, _, _ := strings.Cut(string(b), "\n")
	for i, f := range strings.Fields(line) {
		n, _ := strconv.ParseInt(f, 10, 64)
		switch {
		case i == 4 || i == 5: // idle, waiting for a disk
			rest += n
		case i >= 1 && i <= 8:
			used += n
		}
	}
	return used, rest
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
