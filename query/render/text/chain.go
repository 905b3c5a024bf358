package text

import (
	"fmt"
	"io"
	"strings"

	"hindcast/query/answer"
)

// Chain prints what led to an entity: newest first, each step explaining the line above it.
func Chain(w io.Writer, c *answer.Chain, o Options) error {
	p := newPrinter(w, o)
	p.begin, p.end = c.At.Wall, c.At.Wall
	for _, s := range c.Steps {
		p.begin = min(p.begin, s.T0.Wall)
		p.end = max(p.end, s.T0.Wall)
	}
	p.put(p.color(bold, p.val(c.Entity.ID)))
	if c.Entity.Label != c.Entity.ID {
		p.put(" " + p.val(c.Entity.Label))
	}
	if c.State != "" {
		p.put(" " + p.val(c.State))
	}
	p.f("  (%s, times in %s)", p.end.Time().In(p.o.Loc).Format("2006-01-02"), p.zone())
	p.line()
	p.steps(" ▲ ", c.Steps)
	if len(c.Steps) == 0 {
		p.put(" nothing recorded led to it")
		p.line()
	}
	p.put(" stop: " + p.val(c.Stop))
	p.f(" · %s", count(len(c.Steps), "step", "steps"))
	if n := len(c.Alternatives); n > 0 {
		p.f(", %s", count(n, "alternative", "alternatives"))
		if !o.Verbose {
			p.put(" (-v)")
		}
	}
	if c.Hidden > 0 {
		p.f(" · %s never written in the recording left out", count(c.Hidden, "input", "inputs"))
	}
	p.line()
	if len(c.Attributes) > 0 {
		p.put(" also happened to it and to files on the way:")
		p.line()
		p.steps("   ", c.Attributes)
	}
	if o.Verbose {
		for _, a := range c.Alternatives {
			p.f(" or, for step %d: ", a.Of+1)
			p.put(p.val(a.Text))
			p.line()
			p.steps("   ▲ ", a.Steps)
		}
	}
	p.hubs(c.Hubs)
	p.counts(c.Counts)
	p.nodes(c.Nodes)
	p.notSeen(c.NotSeen)
	return p.err
}

// steps prints edges as aligned columns: verb, title, time, who, certainty.
func (p *printer) steps(mark string, ss []answer.Step) {
	type cells struct{ verb, title, at, who string }
	var cs []cells
	var wv, wt, wa, ww int
	for _, s := range ss {
		c := cells{verb: p.val(s.Verb), title: p.short(s.Title, 56), at: p.ms(s.T0)}
		if s.Attempt {
			c.verb += "?"
		}
		if s.Bytes > 0 {
			c.title += " " + Size(s.Bytes)
		}
		if s.Actor != nil {
			c.who = "by " + p.plainRef(*s.Actor)
		}
		cs = append(cs, c)
		wv, wt, wa, ww = max(wv, width(c.verb)), max(wt, width(c.title)), max(wa, width(c.at)), max(ww, width(c.who))
	}
	for i, c := range cs {
		s := &ss[i]
		p.put(mark)
		p.put(pad(c.verb, wv) + "  " + pad(c.title, min(wt, 60)) + "  " + pad(c.at, wa) + "  " + pad(c.who, min(ww, 40)) + "  ")
		p.put(p.certainty(s.Certainty))
		if s.Reason != "" {
			p.put(" (" + p.val(s.Reason) + ")")
		}
		if s.Attempt {
			p.put(" (tried, failed)")
		}
		p.line()
		for _, n := range s.Notes {
			p.put(strings.Repeat(" ", width(mark)) + "  " + p.short(n, noteWidth))
			p.line()
		}
		p.evidence(strings.Repeat(" ", width(mark))+"  ", s.Evidence)
	}
}

// noteWidth is how much of a note, often a whole command line, is printed without -v.
const noteWidth = 320

func (p *printer) plainRef(r answer.Ref) string {
	if r.ID == "" || r.ID == r.Label || r.Kind == "remote" {
		return p.val(r.Label)
	}
	return p.val(r.Label) + " " + p.val(r.ID)
}

func (p *printer) hubs(hs []answer.Ref) {
	if len(hs) == 0 {
		return
	}
	p.put("hubs left out (too many lead through them): " + p.refs(hs, 6))
	p.line()
}

func (p *printer) counts(cs []answer.Count) {
	if !p.o.Verbose {
		return
	}
	for _, c := range cs {
		p.f("reduced  %s: %d→%d nodes, %d→%d edges", p.val(c.Step), c.NodesBefore, c.NodesAfter, c.EdgesBefore, c.EdgesAfter)
		if c.Text != "" {
			p.put("  " + p.val(c.Text))
		}
		p.line()
	}
}

func (p *printer) nodes(ns []answer.Node) {
	if len(ns) == 0 {
		return
	}
	p.f("all %s of the closure:", count(len(ns), "node", "nodes"))
	p.line()
	for _, n := range ns {
		p.f("  %3d  %s  ", n.Depth, p.ms(n.Reach))
		p.put(p.ref(n.Ref) + "  " + p.certainty(n.Certainty))
		if n.Hub {
			p.put("  hub")
		}
		if n.Context {
			p.put("  never written here")
		}
		if n.Via != nil {
			p.put(fmt.Sprintf("  %s %s", p.val(n.Via.Verb), p.val(n.Via.From.Label)) + p.ours("→") + p.val(n.Via.To.Label))
		}
		p.line()
	}
}
