//go:build linux

package main

import (
	"fmt"
	"strings"

	"hindcast/recorder/bench/report"
)

// budgetTable holds the measured figures against what the design allows (DESIGN.md §10).
// A budget that this run did not measure says so.
func (b *bench) budgetTable(s *strings.Builder) {
	s.WriteString("## Budgets\n\n")
	t := report.NewTable("budget", "measured", "met")
	add := func(what string, measured string, met bool) {
		verdict := "no"
		if met {
			verdict = "yes"
		}
		if measured == "" {
			measured, verdict = "not in this run", ""
		}
		t.Row(what, measured, verdict)
	}
	added := func(profile string, most float64) (string, bool) {
		c := b.by(profile, "getppid")
		if c == nil {
			return "", false
		}
		m, half := c.ratio()
		return fmt.Sprintf("%+.0f%s ns", (m-1)*c.alone(), strings.Replace(fmt.Sprintf(" ± %.0f", half*c.alone()), " ± +Inf", "", 1)), (m-1)*c.alone() <= most
	}
	m, ok := added("standard", 15)
	add("a call that is not recorded, standard: at most +15 ns", m, ok)
	m, ok = added("forensic", 80)
	add("a call that is not recorded, forensic: at most +80 ns", m, ok)
	for _, w := range []struct {
		name, what string
		most       float64
	}{
		{"go-build", "go build", 0.03}, {"nginx", "nginx, keep-alive", 0.03}, {"redis", "redis", 0.03},
		{"nginx-conn", "nginx, a connection per request", 0.08}, {"spawn", "exec storm (posix_spawn of true)", 0.10},
	} {
		measured, met := "", false
		if c := b.by("standard", w.name); c != nil {
			m, half := c.ratio()
			measured = fmt.Sprintf("%+.1f %%: work %+.1f%s %%, recorder %+.1f %%", 100*(c.total()-1), 100*(m-1), strings.Replace(fmt.Sprintf(" ± %.1f", 100*half), " ± +Inf", "", 1), 100*c.recorder/c.alone())
			met = c.total()-1 <= w.most
		}
		add(fmt.Sprintf("%s, standard: at most %.0f %%", w.what, 100*w.most), measured, met)
	}
	m, ok = b.against("auditd", 0.1)
	add("added cost at most a tenth of auditd's, on all work that auditd tells of", m, ok)
	m, ok = b.against("scap-open", 1)
	add("added cost below that of Falco's modern probe, on all work", m, ok)
	if e := b.figures.engine; e != nil {
		speed := perSecond(e.rows, e.cpu)
		add("ring to disk: at least 2.5 M events/s/core", fmt.Sprintf("%.2f M", float64(speed)/1e6), speed >= 2_500_000)
	} else {
		add("ring to disk: at least 2.5 M events/s/core", "", false)
	}
	rss, size, lost, known := "", "", "", true
	var rssMet, sizeMet bool
	var missing int64
	for _, r := range b.figures.rates {
		if r.tool != "standard" || r.why != "" {
			continue
		}
		if r.attempted == 100_000 {
			rss, rssMet = report.MiB(r.peak)+" MiB", r.peak <= 100<<20
			size, sizeMet = fmt.Sprintf("%.1f bytes", r.bytes), r.bytes <= 9
		}
		lost = "yes"
		if m := int64(r.made) - r.opens; m > r.lost {
			missing += m - r.lost
		}
		known = known && r.made > 0
	}
	add("resident at 100 k events/s: at most 100 MiB", rss, rssMet)
	add("disk: at most 9 bytes an event", size, sizeMet)
	if lost != "" {
		lost = fmt.Sprintf("%s events neither recorded nor in the ledger", report.Thousands(missing))
	}
	add("loss: none unaccounted, up to the highest rate made", lost, known && missing == 0)
	if i := b.figures.idle; i != nil {
		add("an idle host: less than 50 MB a day", fmt.Sprintf("%.1f MB", perDay(i)/1e6), perDay(i) < 50e6)
	} else {
		add("an idle host: less than 50 MB a day", "", false)
	}
	if e := b.figures.engine; e != nil {
		speed := perSecond(e.rows, e.scanned)
		add("load: at least 3 M events/s/core", fmt.Sprintf("%.1f M/s, all cores", float64(speed)/1e6), speed >= 3_000_000)
		add("info: less than 100 ms", fmt.Sprintf("%.1f ms to open %.1f M events", e.opened.Seconds()*1000, float64(e.rows)/1e6), e.opened.Milliseconds() < 100)
	} else {
		add("load: at least 3 M events/s/core", "", false)
		add("info: less than 100 ms", "", false)
	}
	add("durability; closures, trees and filters at 100 M events", "", false)
	fmt.Fprintf(s, "%s\n", t)
}

// by returns the cell of a profile or rival, or nil when it has no figures.
func (b *bench) by(name, work string) *cell {
	c := b.figures.cells[name][work]
	if !c.ok() || c.counted == 0 {
		return nil
	}
	return c
}

// against compares what the standard profile adds with what a rival adds, on each piece of
// work that both were measured on and that the rival has records of. It names the work
// where hindcast comes off worst.
func (b *bench) against(rival string, most float64) (string, bool) {
	worst, where, n, over := 0.0, "", 0, []string{}
	for _, w := range b.works {
		ours, theirs := b.by("standard", w.Name), b.by(rival, w.Name)
		if ours == nil || theirs == nil || theirs.seen < 0.5 {
			continue
		}
		n++
		share := max(0, ours.total()-1) / max(theirs.total()-1, 1e-3)
		if share > worst || where == "" {
			worst, where = share, w.Name
		}
		if share > most {
			over = append(over, fmt.Sprintf("%s %.2f", w.Name, share))
		}
	}
	if n == 0 {
		return "", false
	}
	text := fmt.Sprintf("at most %.2f of it (%s), %d kinds of work", worst, where, n)
	if len(over) > 0 {
		text = fmt.Sprintf("more on %d of %d: %s", len(over), n, strings.Join(over, ", "))
	}
	return text, len(over) == 0
}
