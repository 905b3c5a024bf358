package text

import (
	"fmt"
	"io"
	"strings"

	"hindcast/query/answer"
	"hindcast/query/lang"
	"hindcast/query/plan"
)

// Info prints what a capture is and holds.
func Info(w io.Writer, x *plan.Info, o Options) error {
	p := newPrinter(w, o)
	p.bounds(x.Begin, x.End)
	head := p.color(bold, p.val(x.Host))
	if x.Host == "" {
		head = "(host unknown)"
	}
	p.put(head + "  ")
	if x.Begin.Wall != 0 {
		p.put(p.span(x.Begin.Wall, x.End.Wall))
	} else {
		p.put("no live rows")
	}
	p.line()
	boot := "?"
	if len(x.Boots) > 0 {
		boot = p.val(x.Boots[0])
		if len(x.Boots) > 1 {
			boot += fmt.Sprintf(" and %d more", len(x.Boots)-1)
		}
	}
	p.row("system", "kernel "+p.val(x.Kernel)+"  "+p.val(x.Arch)+fmt.Sprintf("  %d cpus  boot ", x.CPUs)+boot)
	p.row("recorder", "hindcast "+p.val(x.Recorder)+fmt.Sprintf("  format %d  catalogue %d", x.Format, x.Catalog))
	if len(x.Command) > 0 {
		p.row("command", p.val(strings.Join(x.Command, " ")))
	} else {
		p.row("command", "none: the whole host")
	}
	if x.Filter != "" {
		p.row("filter", p.val(x.Filter))
		p.row("", p.val(x.FilterParts))
		left := "nothing"
		if x.LeftOut > 0 {
			left = Number(x.LeftOut) + " events: " + p.val(x.LeftOutBy)
		}
		p.row("left out", left)
	}
	p.row("segments", fmt.Sprintf("%d (%d sealed), %s", x.Segments, x.Sealed, Size(uint64(max(x.Bytes, 0))))+perRow(x))
	p.row("rows", fmt.Sprintf("%s: %s live, %s describe the start, %s of the recorder", Number(x.Rows), Number(x.Rows-x.Snapshot-x.Recording), Number(x.Snapshot), Number(x.Recording)))
	p.row("seen", fmt.Sprintf("%s, %s, %s", count(x.Processes, "process", "processes"), count(x.Files, "file object", "file objects"), count(x.Peers, "remote end", "remote ends")))
	var ev []string
	for _, e := range x.Events {
		if e.Family != "recorder" {
			ev = append(ev, p.val(e.Event)+" "+Number(e.Rows))
		}
	}
	p.wrapped("events", ev)
	snap, end := "incomplete or missing", "no orderly end: the recorder was stopped hard, or is still running"
	if x.Snapshotted {
		snap = "complete"
	}
	if x.Stopped {
		end = "orderly"
	}
	p.row("state", "snapshot at start "+snap+"  end "+end)
	if x.LostTotal == 0 {
		p.row("lost", "0 counted")
	} else {
		p.row("lost", p.color(red, Number(x.LostTotal))+fmt.Sprintf(" (%s)", percent(x.LostTotal, x.LostTotal+x.Rows))+"  hindcast drops says of what")
	}
	if len(x.Findings) == 0 {
		p.row("damage", "none found by reading (hindcast verify checks every byte)")
	}
	for i, f := range x.Findings {
		title := ""
		if i == 0 {
			title = "damage"
		}
		if i == groupLimit && !o.Verbose {
			p.row("", fmt.Sprintf("… %d more (-v)", len(x.Findings)-i))
			break
		}
		p.row(title, p.val(f.Error()))
	}
	off := 0
	for _, h := range x.Coverage {
		if !h.Attached {
			off++
		}
	}
	p.row("coverage", fmt.Sprintf("%d hooks attached, %d not", len(x.Coverage)-off, off))
	if o.Verbose {
		for _, h := range x.Coverage {
			word := p.color(green, "attached    ")
			if !h.Attached {
				word = p.color(yellow, "not attached")
			}
			p.put("           " + word + "  " + p.val(h.Hook) + "  " + p.val(h.Detail))
			p.line()
		}
	}
	p.notSeen(x.NotSeen)
	p.row("next", "hindcast ps   hindcast why ENTITY   hindcast blast ENTITY   hindcast events FILTER")
	return p.err
}

func perRow(x *plan.Info) string {
	if x.Rows == 0 || x.Bytes <= 0 {
		return ""
	}
	return fmt.Sprintf(", %.1f bytes a row", float64(x.Bytes)/float64(x.Rows))
}

func percent(a, b uint64) string {
	if b == 0 {
		return "0 %"
	}
	v := 100 * float64(a) / float64(b)
	switch {
	case v >= 1:
		return fmt.Sprintf("%.1f %%", v)
	case v >= 0.001:
		return fmt.Sprintf("%.3f %%", v)
	}
	return "< 0.001 %"
}

// row prints a titled line; body is already safe.
func (p *printer) row(title, body string) {
	p.put(pad(title, 9) + "  ")
	p.put(body)
	p.line()
}

// wrapped prints a list of words under a title in lines of the wanted width.
func (p *printer) wrapped(title string, words []string) {
	line := ""
	for _, s := range words {
		if line != "" && width(line)+2+width(s) > p.o.Width-11 {
			p.row(title, line)
			title, line = "", ""
		}
		if line != "" {
			line += "  "
		}
		line += s
	}
	if line == "" {
		line = "none"
	}
	p.row(title, line)
}

// Drops prints what the recording lost and what it could not observe.
func Drops(w io.Writer, x *plan.Info, o Options) error {
	p := newPrinter(w, o)
	p.bounds(x.Begin, x.End)
	if len(x.Lost) == 0 {
		p.put("no loss was counted")
		p.line()
	} else {
		rows := [][]string{{"class", "cause", "window", "lost", "of that class", "affects"}}
		for _, l := range x.Lost {
			rows = append(rows, []string{p.val(l.Event), p.val(l.Cause), p.ours(p.ms(l.From) + "–" + p.ms(l.To)), Number(l.Lost), percent(l.Lost, l.Lost+l.Seen), p.val(affects(l.Event))})
		}
		p.table(rows)
		for _, l := range x.Lost {
			for _, d := range l.Detail {
				p.put("  " + p.val(l.Event) + ": " + p.val(d))
				p.line()
			}
			p.evidence("  ", l.Rows)
		}
	}
	if !hasLoss(x, "fork") && !hasLoss(x, "exec") && !hasLoss(x, "exit") && !hasLoss(x, "any") {
		p.put("no fork, exec or exit was lost: the process tree is as complete as the hooks allow")
		p.line()
	}
	for _, l := range x.Lost {
		if l.Cause == "ring_full" {
			p.put("hint   rings that hold more lose less: record --ring-size, --critical-ring-size for processes and connections")
			p.line()
			break
		}
	}
	p.notSeen(x.NotSeen)
	return p.err
}

func hasLoss(x *plan.Info, name string) bool {
	for _, l := range x.Lost {
		if l.Event == name {
			return true
		}
	}
	return false
}

// affects says which answers a loss of the event weakens.
func affects(name string) string {
	switch name {
	case "fork", "exec", "exit", "process":
		return "the process tree, every chain"
	case "cred", "cred_change":
		return "who a process acted as"
	case "read", "write", "io", "open", "mmap_exec":
		return "data flow through files"
	case "rename", "link", "symlink", "unlink", "mkdir", "chmod", "chown", "truncate", "inode_unlink":
		return "which file a name meant"
	case "connect", "accept", "listen", "conn_close", "sock", "sock_total", "socket":
		return "peers and data flow between hosts"
	case "any":
		return "anything in that window"
	}
	return "answers about " + name
}

// table prints aligned columns; cells are already safe.
func (p *printer) table(rows [][]string) {
	var ws []int
	for _, r := range rows {
		for i, c := range r {
			if i == len(ws) {
				ws = append(ws, 0)
			}
			ws[i] = max(ws[i], width(c))
		}
	}
	for n, r := range rows {
		for i, c := range r {
			if i < len(r)-1 {
				c = pad(c, ws[i]) + "  "
			}
			if n == 0 {
				c = p.color(bold, c)
			}
			p.put(c)
		}
		p.line()
	}
}

// Table prints rows of untrusted cells under a heading.
func Table(w io.Writer, head []string, rows [][]string, o Options) error {
	p := newPrinter(w, o)
	safe := [][]string{head}
	for _, r := range rows {
		var s []string
		for _, c := range r {
			s = append(s, p.val(c))
		}
		safe = append(safe, s)
	}
	p.table(safe)
	return p.err
}

// Fields prints the fields of the filter language.
func Fields(w io.Writer, fs []*lang.Field, o Options) error {
	p := newPrinter(w, o)
	class := ""
	for _, f := range fs {
		c, _, _ := strings.Cut(f.Name, ".")
		if c != class && class != "" {
			p.line()
		}
		class = c
		p.put(p.color(bold, pad(f.Name, 18)) + " " + pad(f.Type.String(), 10) + " " + p.val(f.Doc))
		p.line()
		var more []string
		if len(f.Aliases) > 0 {
			more = append(more, "also "+strings.Join(f.Aliases, ", "))
		}
		if f.Actor {
			more = append(more, "from replayed state")
		}
		if n := f.EventNames(); n != nil {
			more = append(more, "on "+strings.Join(n, " "))
		}
		if f.Has() {
			more = append(more, "takes has")
		}
		if len(more) > 0 {
			p.put(strings.Repeat(" ", 30) + p.color(dim, strings.Join(more, "; ")))
			p.line()
		}
	}
	return p.err
}

// Check is one line of a doctor's report.
type Check struct {
	Name   string `json:"name"`
	Status string `json:"status"` // ok, warn, fail
	Detail string `json:"detail"`
	Fix    string `json:"fix"`
}

// Doctor prints checks and what to do about those that are not ok.
func Doctor(w io.Writer, cs []Check, o Options) error {
	p := newPrinter(w, o)
	wide := 0
	for _, c := range cs {
		wide = max(wide, width(p.val(c.Name)))
	}
	for _, c := range cs {
		role := map[string]string{"ok": green, "warn": yellow, "fail": red}[c.Status]
		p.put(p.color(role, pad(p.val(c.Status), 4)) + "  " + pad(p.val(c.Name), wide) + "  " + p.val(c.Detail))
		p.line()
		if c.Fix != "" && c.Status != "ok" {
			p.put(strings.Repeat(" ", 6+wide+2) + "fix: " + p.val(c.Fix))
			p.line()
		}
	}
	return p.err
}

// NotSeen prints only the closing part of a view.
func NotSeen(w io.Writer, gs []answer.Gap, begin, end answer.Time, o Options) error {
	p := newPrinter(w, o)
	p.bounds(begin, end)
	p.notSeen(gs)
	return p.err
}
