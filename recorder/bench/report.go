//go:build linux

package main

import (
	"cmp"
	"fmt"
	"math"
	"strings"
	"time"

	"hindcast/recorder/bench/report"
	"hindcast/recorder/bench/tool"
)

// report prints everything, budgets first.
func (b *bench) report(f facts) string {
	var s strings.Builder
	kind := ""
	if b.quick {
		kind = " A quick run: few windows, wide intervals."
	}
	fmt.Fprintf(&s, "# What recording costs\n\n%s %s, %.0f minutes.%s\n\n", f, time.Now().UTC().Format("2006-01-02 15:04 UTC"), time.Since(b.begin).Minutes(), kind)
	b.budgetTable(&s)
	b.toolList(&s)
	b.overview(&s)
	b.details(&s)
	b.rateTable(&s)
	b.coreTable(&s)
	b.idleTable(&s)
	b.engineTable(&s)
	b.programTables(&s)
	if len(b.figures.trouble) > 0 {
		fmt.Fprintf(&s, "## What did not work\n\n- %s\n\n", strings.Join(b.figures.trouble, "\n- "))
	}
	return strings.TrimRight(s.String(), "\n") + "\n"
}

func (b *bench) toolList(s *strings.Builder) {
	s.WriteString("## Tools\n\n")
	t := report.NewTable("tool", "how it runs")
	for _, o := range b.tools {
		what := o.What()
		if why := b.figures.missing[o.Name()]; why != "" {
			what = "not run: " + why
		}
		t.Row(o.Name(), what)
	}
	fmt.Fprintf(s, "%s\n", t)
}

func (b *bench) cell(t tool.Tool, work string) *cell {
	c := b.figures.cells[t.Name()][work]
	if !c.ok() {
		return nil
	}
	return c
}

// overview is the one table of ratios: processor time of work and recorder, over the work alone.
func (b *bench) overview(s *strings.Builder) {
	if len(b.figures.cells) == 0 {
		return
	}
	s.WriteString("## Work and recorder, over the work alone\n\nProcessor time with the tool over that without: what the work takes (mean of the pairs, 95 % interval) plus what the\ntool's own processes take. 1 is free.\n\n")
	head := []string{"work", "alone"}
	var run []tool.Tool
	for _, t := range b.tools {
		if b.figures.cells[t.Name()] != nil {
			run = append(run, t)
			head = append(head, t.Name())
		}
	}
	t := report.NewTable(head...)
	for _, w := range b.works {
		row := []string{w.What, ""}
		for _, tl := range run {
			c := b.cell(tl, w.Name)
			if c == nil {
				row = append(row, "")
				continue
			}
			if row[1] == "" {
				row[1] = duration(c.alone())
			}
			_, half := c.ratio()
			row = append(row, fmt.Sprintf("%.3f%s", c.total(), within(half)))
		}
		t.Row(row...)
	}
	fmt.Fprintf(s, "%s\n", t)
}

func (b *bench) details(s *strings.Builder) {
	if len(b.figures.cells) == 0 {
		return
	}
	s.WriteString("## Each in detail\n\n\"work\" is the processor time of the work alone with the tool over that without; \"recorder\" what the tool's processes add,\nin the same unit (0.1 is a tenth of what the work takes); \"wall\" the same by the clock on the wall. \"made\" are events of the\nwatched kinds that an operation makes as far as it knows (a program that is run opens more), \"seen\" the tool's records for an\noperation, \"lost\" what the tool itself says it lost in that run, \"bytes\" on disk for a record, \"RSS\" the tool's peak, MiB.\n\n")
	for _, w := range b.works {
		fmt.Fprintf(s, "### %s\n\n", w.What)
		t := report.NewTable("tool", "alone", "work", "recorder", "total", "wall", "made", "seen", "lost", "bytes", "RSS")
		for _, tl := range b.tools {
			c := b.figures.cells[tl.Name()][w.Name]
			if c == nil {
				continue
			}
			if !c.ok() {
				t.Row(tl.Name(), "no figures: "+cmp.Or(c.why, "interrupted"))
				continue
			}
			m, half := c.ratio()
			wall, wallHalf := c.wall()
			made := ""
			if w.Calls > 0 {
				made = fmt.Sprintf("%.0f", w.Calls)
			}
			row := []string{tl.Name(), duration(c.alone()), fmt.Sprintf("%.3f%s", m, within(half)), fmt.Sprintf("%.4f", c.recorder/c.alone()),
				fmt.Sprintf("%.3f", c.total()), fmt.Sprintf("%.3f%s", wall, within(wallHalf)), made, fmt.Sprintf("%.2f", c.seen), count(c.lost)}
			if c.counted == 0 {
				row = append(row[:3], "", "", row[5], made, "", "")
			}
			size := ""
			if !math.IsNaN(c.bytes) && c.bytes > 0 {
				size = fmt.Sprintf("%.1f", c.bytes)
			}
			t.Row(append(row, size, report.MiB(c.peak))...)
		}
		fmt.Fprintf(s, "%s\n", t)
	}
}

func (b *bench) rateTable(s *strings.Builder) {
	if len(b.figures.rates) == 0 {
		return
	}
	fmt.Fprintf(s, "## Growth with the rate\n\nOne worker (above 100,000/s two, a processor each) opens 2,000 files in turn for %v at a rate, with the tool running. Every open\nis one event; \"recorded\" are the worker's opens in what the tool wrote (scap-open: that it read, of the whole host).\n\"processor\" is what the tool's own processes take of one processor, all until it is written counted to that time; \"bytes\" is all\nthat is on disk over the records, the state found at the start too.\n\n", b.plan.rate)
	t := report.NewTable("tool", "asked for, /s", "made alone, /s", "made with, /s", "made", "recorded", "missing", "lost, it says", "an open alone", "with", "processor", "bytes", "RSS")
	for _, r := range b.figures.rates {
		if r.why != "" {
			t.Row(r.tool, report.Thousands(int64(r.attempted)), "no figures: "+r.why)
			continue
		}
		size := ""
		if r.bytes > 0 {
			size = fmt.Sprintf("%.1f", r.bytes)
		}
		t.Row(r.tool, report.Thousands(int64(r.attempted)), report.Thousands(int64(r.alone)), report.Thousands(int64(r.attained)), report.Thousands(int64(r.made)), report.Thousands(r.opens),
			report.Thousands(int64(r.made)-r.opens), count(r.lost), duration(r.off), duration(r.on), percent(r.share), size, report.MiB(r.peak))
	}
	fmt.Fprintf(s, "%s\n", t)
}

func (b *bench) coreTable(s *strings.Builder) {
	if len(b.figures.cores) == 0 {
		return
	}
	s.WriteString("## One and two processors loaded\n\nEach worker has a processor to itself and leaves none of it idle: with the last one taken, the recorder competes with the work.\n\n")
	t := report.NewTable("tool", "work", "processors", "work's processor time", "wall", "recorder, of one processor", "lost, it says")
	for _, l := range b.figures.cores {
		if l.why != "" {
			t.Row(l.tool, l.work, fmt.Sprint(l.processors), "no figures: "+l.why)
			continue
		}
		t.Row(l.tool, l.work, fmt.Sprint(l.processors), fmt.Sprintf("%.3f%s", l.cpu[0], within(l.cpu[1])), fmt.Sprintf("%.3f%s", l.wall[0], within(l.wall[1])), percent(l.share), count(l.lost))
	}
	fmt.Fprintf(s, "%s\n", t)
}

func (b *bench) idleTable(s *strings.Builder) {
	i := b.figures.idle
	if i == nil {
		return
	}
	fmt.Fprintf(s, "## A host that does nothing\n\n%v with the standard profile and nothing but the benchmark waiting, less the first seconds: %s rows, %s bytes. That is\n%.1f MB a day (extrapolated). The recorder takes %.2f %% of one processor and has %s MiB resident. The host's\nprocessors were busy %.1f %% of the time; most rows are of %s.\n\n",
		i.over, report.Thousands(i.rows), report.Thousands(i.bytes), perDay(i)/1e6, 100*i.share, report.MiB(i.rss), 100*i.busy, strings.Join(i.who, ", "))
}

func perDay(i *idleness) float64 { return float64(i.bytes) * 86400 / i.over.Seconds() }

func (b *bench) engineTable(s *strings.Builder) {
	e := b.figures.engine
	if e == nil {
		return
	}
	fmt.Fprintf(s, "## Recorder and replay\n\nOne worker opens 2,000 files in turn for %v as fast as it can, standard profile.\n\n", b.plan.flood)
	t := report.NewTable("", "")
	t.Row("opens made", fmt.Sprintf("%s (%s/s)", report.Thousands(e.made), report.Thousands(perSecond(e.made, e.took))))
	t.Row("rows recorded", report.Thousands(e.rows))
	t.Row("lost, in the ledger", report.Thousands(e.lost))
	t.Row("ring to disk, for each second of the recorder's processor time", report.Thousands(perSecond(e.rows, e.cpu))+" rows")
	t.Row("the recorder's share of one processor", percent(e.cpu.Seconds()/e.took.Seconds()))
	t.Row("its resident size, before and at the peak", report.MiB(e.idle)+" and "+report.MiB(e.peak)+" MiB")
	t.Row("bytes on disk for a row", fmt.Sprintf("%.1f", float64(e.size)/float64(e.rows)))
	t.Row("open the recording", fmt.Sprintf("%.1f ms", e.opened.Seconds()*1000))
	t.Row("load, every column of every row", report.Thousands(perSecond(e.rows, e.scanned))+" rows/s")
	t.Row("load and build the model for questions", report.Thousands(perSecond(e.rows, e.built))+" rows/s")
	fmt.Fprintf(s, "%s\n", t)
}

func (b *bench) programTables(s *strings.Builder) {
	f := b.figures.programs
	if len(f.perOp) == 0 {
		return
	}
	s.WriteString("## Where the time goes in the kernel\n\nBy the kernel's own count, which itself adds some tens of nanoseconds to every run; ns and runs of hindcast's programs for one\noperation, and of one run.\n\n")
	head := []string{"work"}
	profiles := []string{}
	for _, p := range []string{"minimal", "standard", "forensic"} {
		if f.perOp[p] != nil {
			profiles = append(profiles, p)
			head = append(head, p+", ns", "runs", "ns a run")
		}
	}
	t := report.NewTable(head...)
	for _, w := range b.works {
		row := []string{w.What}
		for _, p := range profiles {
			r, ok := f.perOp[p][w.Name]
			if !ok {
				row = append(row, "", "", "")
				continue
			}
			each := ""
			if r.n > 0.005 {
				each = fmt.Sprintf("%.0f", r.ns/r.n)
			}
			row = append(row, fmt.Sprintf("%.0f", r.ns), fmt.Sprintf("%.2f", r.n), each)
		}
		t.Row(row...)
	}
	fmt.Fprintf(s, "%s\n", t)
	for _, w := range b.works {
		top := f.top[w.Name]
		if len(top) == 0 || top[0].ns < 1 {
			continue
		}
		fmt.Fprintf(s, "### %s: dearest programs of the standard profile\n\n", w.What)
		t := report.NewTable("program", "ns", "runs", "ns a run", "of all")
		for _, p := range top {
			if p.ns < 0.5 {
				continue
			}
			t.Row(p.name, fmt.Sprintf("%.0f", p.ns), fmt.Sprintf("%.2f", p.n), fmt.Sprintf("%.0f", p.ns/max(p.n, 1e-9)), percent(p.ns/f.perOp["standard"][w.Name].ns))
		}
		fmt.Fprintf(s, "%s\n", t)
	}
}

func perSecond(n int64, d time.Duration) int64 { return int64(float64(n) / d.Seconds()) }

func percent(share float64) string { return fmt.Sprintf("%.1f %%", 100*share) }

// within prints the half width of an interval; of one pair there is none.
func within(half float64) string {
	if math.IsInf(half, 0) || math.IsNaN(half) {
		return ""
	}
	return fmt.Sprintf(" ± %.3f", half)
}

func count(n int64) string {
	if n == tool.Unknown {
		return "untold"
	}
	return report.Thousands(n)
}

// duration prints nanoseconds with three digits.
func duration(ns float64) string {
	switch {
	case ns < 1e3:
		return fmt.Sprintf("%.0f ns", ns)
	case ns < 1e6:
		return fmt.Sprintf("%.3g µs", ns/1e3)
	}
	return fmt.Sprintf("%.3g ms", ns/1e6)
}
