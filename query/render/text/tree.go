package text

import (
	"fmt"
	"io"
	"strings"

	"hindcast/query/answer"
	"hindcast/query/lang/sym"
)

// maxIndent is the deepest level that is drawn; deeper ones say their depth, so that a chain of
// thousands stays readable and printing stays linear.
const maxIndent = 40

// Tree prints a process tree.
func Tree(w io.Writer, t *answer.Tree, o Options) error {
	p := newPrinter(w, o)
	p.bounds(t.Begin, t.End)
	p.put(p.span(t.Begin.Wall, t.End.Wall))
	if t.At != nil {
		p.f("  at %s", p.ms(*t.At))
	}
	p.line()
	hidden, times := 0, map[int]int{}
	skip := make([]bool, len(t.Processes))
	kids := make([]int, len(t.Processes))
	for _, x := range t.Processes {
		if x.Parent >= 0 && x.Parent < len(kids) {
			kids[x.Parent]++
		}
	}
	if o.Collapse {
		first := map[string]int{}
		for i, x := range t.Processes {
			if kids[i] > 0 {
				continue
			}
			k := fmt.Sprintf("%d\x00%s\x00%s\x00%s", x.Parent, x.Image.Comm, x.Image.Exe, strings.Join(x.Image.Argv, "\x00"))
			if f, ok := first[k]; ok {
				times[f]++
				skip[i] = true
				hidden++
				continue
			}
			first[k] = i
		}
	}
	// last[i]: no later sibling is printed, so the branch ends here.
	last := make([]bool, len(t.Processes))
	seen := map[int]bool{}
	for i := len(t.Processes) - 1; i >= 0; i-- {
		if skip[i] {
			continue
		}
		last[i] = !seen[t.Processes[i].Parent]
		seen[t.Processes[i].Parent] = true
	}
	var open []bool // for each level above, whether its branch goes on
	for i := range t.Processes {
		if skip[i] {
			continue
		}
		x := &t.Processes[i]
		d := x.Depth
		for len(open) <= d {
			open = append(open, false)
		}
		open[d] = !last[i]
		var stem strings.Builder
		for k := 1; k < d && k < maxIndent; k++ {
			if open[k] {
				stem.WriteString("│  ")
			} else {
				stem.WriteString("   ")
			}
		}
		p.put(stem.String())
		if d > maxIndent {
			p.f("…%d ", d)
		}
		if d > 0 {
			if last[i] {
				p.put("└─ ")
			} else {
				p.put("├─ ")
			}
		}
		p.process(x, times[i])
		p.line()
		below := stem.String()
		if d > 0 && !last[i] {
			below += "│  "
		} else if d > 0 {
			below += "   "
		}
		if i+1 < len(t.Processes) && t.Processes[i+1].Depth > d {
			below += "│  "
		} else {
			below += "   "
		}
		if p.o.Verbose {
			p.images(below, x)
			p.footprint(below, x.Touched)
			for _, n := range x.Notes {
				p.put(p.ours(below) + p.val(n))
				p.line()
			}
			p.evidence(p.ours(below), x.Evidence)
		} else if x.Touched != nil {
			p.footprint(below, x.Touched)
		}
	}
	p.f("%s", count(t.Total, "process", "processes"))
	if n := len(t.Processes) - hidden; n != t.Total {
		p.f(", %d shown", n)
	}
	if hidden > 0 {
		p.f("; %d like siblings collapsed", hidden)
	}
	p.line()
	p.notSeen(t.NotSeen)
	return p.err
}

func (p *printer) process(x *answer.Process, more int) {
	p.put(p.color(bold, p.val(name(x))))
	p.f("(%d) ", x.PID)
	p.put(p.color(dim, p.val(x.ID)))
	if more > 0 {
		p.f("  ×%d", more+1)
	}
	if x.Image.Cred.Known {
		p.f("  uid %d", x.Image.Cred.EUID)
		if x.Image.Cred.UID != x.Image.Cred.EUID {
			p.f(" (real %d)", x.Image.Cred.UID)
		}
	}
	switch {
	case len(x.Image.Argv) > 0:
		args := p.short(strings.Join(x.Image.Argv, " "), 48)
		if mark := p.ours("…"); x.Image.ArgvCut && !strings.HasSuffix(args, mark) {
			args += mark
		}
		p.put(`  "` + args + `"`)
	case x.Image.Exe != "" && !x.KThread:
		p.put("  " + p.short(x.Image.Exe, 48))
	}
	if x.Image.Deleted {
		p.put("  " + p.color(yellow, "exe "+p.val(x.Image.Exe)+" (deleted)"))
	}
	if x.KThread {
		p.put("  kernel thread")
		return
	}
	p.put("  ")
	if x.Origin == "snapshot" {
		p.put("before–")
	} else {
		p.put(p.clock(x.From) + "–")
	}
	if x.To != nil {
		p.put(p.clock(*x.To))
	}
	switch {
	case x.To == nil:
	case x.ExitInferred:
		p.put(" end not seen, pid used again")
	case !x.ExitKnown:
		p.put(" exit unknown")
	case x.ExitSignal != 0:
		p.put(" " + p.color(red, sym.Signal(x.ExitSignal)))
	case x.ExitCode != 0:
		p.put(" " + p.color(yellow, fmt.Sprintf("exit %d", x.ExitCode)))
	default:
		p.put(" exit 0")
	}
	switch x.Origin {
	case "actor", "mention":
		p.put("  ? start not recorded")
	}
	if x.Reparented {
		p.put("  re-parented")
		if x.ParentInferred {
			p.put("?")
		}
	}
	if x.Certainty != "" && x.Certainty != answer.Certain {
		p.put("  " + p.certainty(x.Certainty))
	}
}

// name is the program's short name: what it was last called, else its label's text.
func name(x *answer.Process) string {
	if x.Image.Comm != "" {
		return x.Image.Comm
	}
	if i := strings.LastIndexByte(x.Image.Exe, '/'); i >= 0 && i+1 < len(x.Image.Exe) {
		return x.Image.Exe[i+1:]
	}
	if i := strings.LastIndexByte(x.Label, '('); i > 0 {
		return x.Label[:i]
	}
	if x.Label != "" {
		return x.Label
	}
	return "?"
}

func (p *printer) images(indent string, x *answer.Process) {
	for _, m := range x.Images {
		p.put(indent)
		p.f("%s  ", p.ms(m.From))
		if m.Inherited {
			p.put("fork of ")
		} else {
			p.put("exec ")
		}
		p.put(p.val(m.Exe))
		if m.Script != "" {
			p.put("  script " + p.val(m.Script))
		}
		if len(m.Argv) > 0 {
			p.put(`  "` + p.val(strings.Join(m.Argv, " ")) + `"`)
		}
		if m.Cwd != "" {
			p.put("  in " + p.val(m.Cwd))
		}
		p.line()
	}
}

func (p *printer) footprint(indent string, f *answer.Footprint) {
	if f == nil {
		return
	}
	group := func(word string, ts []answer.Touch) {
		for i, t := range ts {
			if i == 8 && !p.o.Verbose && len(ts) > 9 {
				p.put(indent)
				p.f("%s and %d more (-v lists them)", word, len(ts)-i)
				p.line()
				return
			}
			p.put(indent)
			p.put(word + " " + p.val(t.Label))
			switch {
			case t.In > 0 && t.Out > 0:
				p.f(" (in %s, out %s)", Size(t.In), Size(t.Out))
			case t.Bytes > 0:
				p.f(" (%s)", Size(t.Bytes))
			}
			p.line()
		}
	}
	group("→", f.Peers)
	group("wrote", f.Written)
	group("read", f.Read)
}
