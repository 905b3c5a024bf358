package load

import (
	"container/heap"
	"fmt"
	"runtime"
	"sort"
	"sync"

	"hindcast/format/clock"
	"hindcast/format/event"
)

// maxOverlap is how many batches may cover one instant. A recorder's overlap by a few; a
// capture that goes beyond this was made to exhaust memory.
const maxOverlap = 1024

// job is a batch to be read.
type job struct {
	seg      uint32
	batch    int
	row      uint32
	min, max clock.Boot
	boot     int // boots in the order of the capture: their clocks are not comparable
	out      chan *reading
}

// reading is a decoded batch on its way through the merge.
type reading struct {
	job  *job
	cols *event.Columns
	err  error
	rows []uint32 // row numbers still to come, in order of TS
	at   int
}

func (r *reading) ts() clock.Boot { return r.cols.TS[r.rows[r.at]] }

// merge is a heap of batches by the TS of their next row; equal TS by recorded order.
type merge []*reading

func (m merge) Len() int { return len(m) }
func (m merge) Less(i, j int) bool {
	a, b := m[i], m[j]
	if x, y := a.ts(), b.ts(); x != y {
		return x < y
	}
	if a.job.seg != b.job.seg {
		return a.job.seg < b.job.seg
	}
	return a.job.row < b.job.row
}
func (m merge) Swap(i, j int) { m[i], m[j] = m[j], m[i] }
func (m *merge) Push(x any)   { *m = append(*m, x.(*reading)) }
func (m *merge) Pop() any {
	old := *m
	x := old[len(old)-1]
	*m = old[:len(old)-1]
	return x
}

// Scan implements Source. Rows of different boots are not merged: boots follow each other
// in the order of the capture. A batch that cannot be read is left out and is a finding.
func (c *Capture) Scan(cols, types uint64, f func(r *event.Row, id RowID) error) error {
	return c.ScanWhere(cols, types, nil, f)
}

// ScanWhere is Scan with a predicate on columns. where gets a decoded batch and the numbers
// of the rows that are of the wanted types, ascending, and returns those to keep; it may use
// the slice it got. It runs on the caller's goroutine, one batch at a time; rows then come
// in the same order as those of Scan. A nil where keeps all.
func (c *Capture) ScanWhere(cols, types uint64, where func(b *event.Columns, sel []uint32) []uint32, f func(r *event.Row, id RowID) error) error {
	if cols == 0 {
		cols = 1<<event.NumColumns - 1
	}
	jobs := c.jobs(types)
	p := c.start(jobs, cols)
	defer p.stop()
	var active merge
	var row event.Row
	for next := 0; next < len(jobs) || len(active) > 0; {
		// A row may go when no batch still to come can have an earlier one, or one of the
		// same instant that was recorded before it.
		for next < len(jobs) && (len(active) == 0 || jobs[next].boot == active[0].job.boot && jobs[next].min <= active[0].ts()) {
			r := p.take(&jobs[next])
			next++
			if r.err != nil && !c.damage(&c.segs[r.job.seg], r.err) {
				p.give(r)
				continue
			}
			if r.choose(types, where); len(r.rows) == 0 {
				p.give(r)
				continue
			}
			if len(active) == maxOverlap {
				return fmt.Errorf("scan capture: more than %d batches overlap", maxOverlap)
			}
			heap.Push(&active, r)
		}
		if len(active) == 0 {
			continue
		}
		r := active[0]
		// How far this batch may run before another one has a say.
		limit, bounded := clock.Boot(0), false
		if next < len(jobs) && jobs[next].boot == r.job.boot {
			limit, bounded = jobs[next].min, true
		}
		for i := 1; i < len(active) && i < 3; i++ {
			if t := active[i].ts(); !bounded || t < limit {
				limit, bounded = t, true
			}
		}
		for first := true; r.at < len(r.rows) && (first || !bounded || r.ts() < limit); first = false {
			i := r.rows[r.at]
			r.cols.Row(int(i), &row)
			if err := f(&row, RowID{r.job.seg, r.job.row + i}); err != nil {
				return stopped(err)
			}
			r.at++
		}
		if r.at < len(r.rows) {
			heap.Fix(&active, 0)
			continue
		}
		heap.Pop(&active)
		p.give(r)
	}
	return nil
}

// jobs lists the batches that can hold a wanted row, in the order they are needed.
func (c *Capture) jobs(types uint64) []job {
	var out []job
	boots := make(map[string]int)
	for i := range c.segs {
		s := &c.segs[i]
		id := s.Meta().BootID
		if _, ok := boots[id]; !ok {
			boots[id] = len(boots)
		}
		for j, b := range s.Batches() {
			if types == 0 || b.Types&types != 0 {
				out = append(out, job{uint32(i), j, uint32(b.Row), b.Min, b.Max, boots[id], make(chan *reading, 1)})
			}
		}
	}
	sort.SliceStable(out, func(i, j int) bool {
		a, b := &out[i], &out[j]
		if a.boot != b.boot {
			return a.boot < b.boot
		}
		return a.min < b.min
	})
	return out
}

// choose lists the rows that are wanted, in order of TS, leaving out events that the
// catalogue does not have.
func (r *reading) choose(types uint64, where func(b *event.Columns, sel []uint32) []uint32) {
	r.rows, r.at = r.rows[:0], 0
	for i, t := range r.cols.Type {
		if event.ByID(t) != nil && wanted(types, t) {
			r.rows = append(r.rows, uint32(i))
		}
	}
	if where != nil && len(r.rows) > 0 {
		r.rows = where(r.cols, r.rows)
	}
	ts := r.cols.TS
	for i := 1; i < len(r.rows); i++ {
		if ts[r.rows[i]] < ts[r.rows[i-1]] {
			sort.SliceStable(r.rows, func(a, b int) bool { return ts[r.rows[a]] < ts[r.rows[b]] })
			return
		}
	}
}

// pipeline decodes batches ahead of the merge, in order, on a few goroutines.
type pipeline struct {
	c      *Capture
	cols   uint64
	todo   chan *job
	room   chan struct{} // one token per batch decoded and not yet taken
	done   chan struct{}
	wait   sync.WaitGroup
	spares sync.Pool
}

func (c *Capture) start(jobs []job, cols uint64) *pipeline {
	n := c.opt.Workers
	if n <= 0 {
		n = runtime.GOMAXPROCS(0)
	}
	n = max(1, min(n, len(jobs)))
	p := &pipeline{c: c, cols: cols, todo: make(chan *job), room: make(chan struct{}, 2*n), done: make(chan struct{})}
	p.spares.New = func() any { return &reading{cols: new(event.Columns)} }
	p.wait.Go(func() {
		defer close(p.todo)
		for i := range jobs {
			select {
			case p.room <- struct{}{}:
			case <-p.done:
				return
			}
			select {
			case p.todo <- &jobs[i]:
			case <-p.done:
				return
			}
		}
	})
	for range n {
		p.wait.Go(func() {
			for j := range p.todo {
				r := p.spares.Get().(*reading)
				r.job = j
				r.err = c.segs[j.seg].Read(j.batch, cols, r.cols)
				j.out <- r
			}
		})
	}
	return p
}

// take waits for a batch; batches are taken in the order of the jobs.
func (p *pipeline) take(j *job) *reading {
	r := <-j.out
	<-p.room
	return r
}

// give returns the memory of a batch.
func (p *pipeline) give(r *reading) { p.spares.Put(r) }

// stop ends the goroutines and waits for them.
func (p *pipeline) stop() {
	close(p.done)
	p.wait.Wait()
}
