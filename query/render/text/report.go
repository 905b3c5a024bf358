package text

import (
	"fmt"
	"io"
	"strings"

	"hindcast/format/segment"
	"hindcast/format/store"
	"hindcast/query/answer"
)

// Report prints what verifying or repairing a capture found.
func Report(w io.Writer, r *store.Report, o Options) error {
	p := newPrinter(w, o)
	sealed := 0
	var size int64
	for _, s := range r.Segments {
		size += s.Bytes
		if s.Sealed {
			sealed++
		}
	}
	p.put(p.val(r.Path) + fmt.Sprintf("  %s  %s (%d sealed)  %s rows  %s", p.val(r.Kind), count(len(r.Segments), "segment", "segments"), sealed, Number(r.Rows), Size(uint64(max(size, 0)))))
	p.line()
	if o.Verbose {
		for _, s := range r.Segments {
			state := "open  "
			if s.Sealed {
				state = "sealed"
			}
			p.put(fmt.Sprintf("  %s  %s  %s rows  %s  root %s", state, p.val(s.Name), Number(s.Rows), Size(uint64(max(s.Bytes, 0))), p.val(s.Root)))
			if s.Recovered {
				p.put("  recovered")
			}
			p.line()
		}
	}
	for _, m := range r.Mended {
		p.put("mended    " + p.val(m.Segment) + ": " + p.val(m.Action))
		if m.Result != "" {
			p.put(" as " + p.val(m.Result))
		}
		if m.Rows > 0 {
			p.put(", " + Number(m.Rows) + " rows kept")
		}
		if len(m.Damaged) > 0 {
			p.put(", the rest is in " + p.val(strings.Join(m.Damaged, " ")))
		}
		p.line()
	}
	for i, f := range r.Findings {
		if i == groupLimit && !o.Verbose && len(r.Findings) > groupLimit+1 {
			p.f("… %d more findings (-v)", len(r.Findings)-i)
			p.line()
			break
		}
		p.finding(f)
	}
	if r.Lost > 0 {
		p.row("lost", Number(r.Lost)+" events while recording, as the ledger says (hindcast drops)")
	}
	switch {
	case r.Broken != "":
		p.row("chain", p.color(red, "does not hold: ")+p.val(r.Broken))
	case r.Head != "":
		p.row("chain", "holds, head "+p.val(r.Head))
	}
	if r.OK() {
		p.row("result", p.color(green, "ok")+": every digest and every value that is there was checked")
	} else {
		p.row("result", p.color(red, "damaged"))
	}
	return p.err
}

func (p *printer) finding(f segment.Finding) {
	role := red
	if f.Harmless() || f.Recovered {
		role = yellow
	}
	p.put(p.color(role, pad(p.val(string(f.Class)), 15)) + "  " + p.val(f.Segment) + fmt.Sprintf(" at byte %d", f.Offset))
	if f.Length > 0 {
		p.f(", %d bytes", f.Length)
	}
	if f.Rows > 0 {
		p.f(", %s rows lost", Number(f.Rows))
	}
	if f.Detail != "" {
		p.put(": " + p.val(f.Detail))
	}
	if f.Recovered {
		p.put(" (known, repaired)")
	}
	p.line()
}

// Candidates prints what an ambiguous name can mean.
func Candidates(w io.Writer, cs []answer.Candidate, more int, o Options) error {
	p := newPrinter(w, o)
	for i, c := range cs {
		if i == 0 {
			p.begin, p.end = c.From.Wall, c.From.Wall
		}
		p.begin, p.end = min(p.begin, c.From.Wall), max(p.end, c.From.Wall)
	}
	for _, c := range cs {
		p.put("  " + pad(p.val(c.ID), 8) + "  " + p.val(c.Label))
		if c.From.Wall != 0 {
			p.put("  " + p.clock(c.From) + "–")
			if c.To != nil {
				p.put(p.clock(*c.To))
			}
		}
		if c.Text != "" {
			p.put("  " + p.val(c.Text))
		}
		p.line()
	}
	if more > 0 {
		p.f("  and %d more", more)
		p.line()
	}
	return p.err
}
