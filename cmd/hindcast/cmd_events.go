package main

import (
	"fmt"
	"strings"

	"hindcast/format/clock"
	"hindcast/format/event"
	"hindcast/query/answer"
	"hindcast/query/lang"
	"hindcast/query/plan"
	"hindcast/query/render/json"
	"hindcast/query/render/text"
	"hindcast/replay/load"

	"github.com/urfave/cli/v2"
)

func eventsCommand(w world) *cli.Command {
	return &cli.Command{
		Name:      "events",
		Aliases:   []string{"query"},
		Usage:     "print recorded rows that a filter chooses",
		ArgsUsage: "[CAP] [FILTER]",
		Description: `FILTER is in the dialect of sysdig and Falco; hindcast fields lists the fields.
  hindcast events 'file.path startswith /etc and evt.type = open'
  hindcast events 'proc.aname = nginx and net.rport in (443, 8443)'
  hindcast events 'not net.raddr in 10.0.0.0/8' -S -5min -n 20
  hindcast events shadow                      (a bare word: substring of names, paths, arguments, addresses)
A field that only some events have restricts to those events, under not as well.
With -F the values of the fields are printed instead, each different line once.
Without a FILTER the text view leaves out what was found at the start and what the recorder says
of itself; -a shows those rows too.
exit codes: 0 ok, 1 failed, 2 usage, 3 damaged (--strict), 4 incomplete (--strict), 6 no match (--exit-status)`,
		Flags: []cli.Flag{
			captureFlag(),
			&cli.StringFlag{Name: "since", Aliases: []string{"S"}, Usage: "`TIME` of the first row wanted"},
			&cli.StringFlag{Name: "until", Aliases: []string{"U"}, Usage: "`TIME` of the first row no longer wanted"},
			&cli.IntFlag{Name: "lines", Aliases: []string{"n"}, Usage: "`N` rows at most, the first ones"},
			&cli.IntFlag{Name: "last", Usage: "`N` rows at most, the last ones"},
			&cli.StringFlag{Name: "field", Aliases: []string{"F"}, Usage: "`FIELDS` to print, separated by commas, each different line once"},
			&cli.BoolFlag{Name: "all", Aliases: []string{"a"}, Usage: "every row, the start and the recorder's own included"},
			&cli.BoolFlag{Name: "no-snapshot", Usage: "leave out rows that describe what was found at the start and the recorder's own"},
			&cli.BoolFlag{Name: "count", Usage: "print only how many rows match"},
			&cli.BoolFlag{Name: "exit-status", Usage: "exit 6 when no row matches"},
		},
		Action: func(c *cli.Context) error { return events(c, w) },
	}
}

func events(c *cli.Context, w world) error {
	o, err := newOutput(c, w, "text", "json", "ndjson", "csv")
	if err != nil {
		return err
	}
	path, words, err := splitCapture(c)
	if err != nil {
		return err
	}
	src := strings.Join(words, " ")
	// Names and values are checked before the capture is looked for: a typo is told at once.
	expr, err := lang.Parse(src)
	if err != nil {
		return err
	}
	fields, err := fieldList(c.String("field"))
	if err != nil {
		return err
	}
	switch {
	case c.Int("lines") < 0 || c.Int("last") < 0:
		return usage("E_FLAG_VALUE", "a number of rows is not negative", "")
	case c.Int("lines") > 0 && c.Int("last") > 0:
		return usage("E_USAGE", "-n and --last exclude each other", "-n gives the first rows, --last the last ones")
	}
	if _, err := lang.Bind(src, expr, lang.Env{}); err != nil {
		return err
	}
	caps, err := openCapture(path, w, o)
	if err != nil {
		return err
	}
	defer caps.Close()
	env := caps.env()
	flt, err := lang.Bind(src, expr, env)
	if err != nil {
		return err
	}
	needs := flt.NeedsActors
	for _, f := range fields {
		needs = needs || f.Actor
	}
	if needs {
		m, err := caps.model()
		if err != nil {
			return err
		}
		env.Actors = plan.NewActors(m)
		if flt, err = lang.Bind(src, expr, env); err != nil {
			return err
		}
	}
	if c.Bool("all") && c.Bool("no-snapshot") {
		return usage("E_USAGE", "-a and --no-snapshot exclude each other", "")
	}
	hidden := src == "" && o.format == "text" && len(fields) == 0 && !c.Bool("count") && !c.Bool("all") && !c.Bool("no-snapshot")
	po := plan.EventsOptions{Filter: flt, First: c.Int("lines"), Last: c.Int("last"), HideSnapshot: hidden || c.Bool("no-snapshot")}
	if po.Since, err = caps.at(c.String("since")); err != nil {
		return err
	}
	if po.Until, err = caps.at(c.String("until")); err != nil {
		return err
	}
	pr := &rowPrinter{o: o, env: env, fields: fields, seen: map[string]bool{}, offset: caps.Offset, counting: c.Bool("count")}
	if pr.counting {
		po.First, po.Last = 0, 0
	}
	res, err := plan.Events(caps, po, pr.row)
	if err == nil {
		err = pr.end(res)
	}
	if err == nil {
		err = caps.damage()
	}
	if err != nil {
		return err
	}
	gaps, err := plan.Limits(caps, caps.facts, flt.Types, po.Since, po.Until)
	if err != nil {
		return err
	}
	view := o.format == "text" && len(fields) == 0 && !pr.counting
	if view {
		if err := eventsFooter(o, res, hidden, gaps, caps); err != nil {
			return err
		}
	}
	if err := o.w.Flush(); err != nil {
		return err
	}
	if !view {
		// Where the output is for a program, what was not seen goes beside it.
		for _, g := range gaps {
			if g.Kind == "lost" || g.Kind == "damaged" || g.Kind == "not_observable" {
				note(w.err, "not seen: %s", g.Text)
			}
		}
	}
	if err := o.incomplete(gaps); err != nil {
		return err
	}
	if res.Matched == 0 && c.Bool("exit-status") {
		return silent(exitNoMatch)
	}
	return nil
}

func fieldList(s string) ([]*lang.Field, error) {
	var out []*lang.Field
	if s == "" {
		return nil, nil
	}
	for _, n := range strings.Split(s, ",") {
		n = strings.TrimSpace(n)
		f := lang.Lookup(n)
		if f == nil {
			hint := "hindcast fields lists them"
			if s := lang.Suggest(n, lang.Names()); s != "" {
				hint = "did you mean " + s + "?"
			}
			return nil, usage(lang.CodeField, "unknown field `"+n+"`", hint)
		}
		out = append(out, f)
	}
	return out, nil
}

// rowPrinter prints rows in the chosen format.
type rowPrinter struct {
	o        *output
	env      lang.Env
	fields   []*lang.Field
	offset   func(uint32) clock.Offset
	text     *text.Events
	seen     map[string]bool
	n        int
	counting bool
	buf      []byte
}

// csvFields are the columns of -o csv when none are chosen.
var csvFields = []string{"evt.time", "evt.num", "evt.type", "proc.pid", "proc.tid", "proc.name", "evt.res", "file.path", "file.newpath", "exec.exe", "exec.args", "net.laddr", "net.lport", "net.raddr", "net.rport"}

func (p *rowPrinter) row(r *event.Row, id load.RowID) error {
	if p.counting {
		return nil
	}
	if p.text == nil && p.o.format == "text" {
		p.text = text.NewEvents(p.o.w, p.env, p.o.text)
	}
	if p.o.format == "csv" && len(p.fields) == 0 {
		p.fields, _ = fieldList(strings.Join(csvFields, ","))
		p.seen = nil
	}
	if p.o.format == "csv" && p.n == 0 {
		var head []string
		for _, f := range p.fields {
			head = append(head, f.Name)
		}
		if _, err := p.o.w.WriteString(text.CSV(head)); err != nil {
			return err
		}
	}
	p.n++
	if len(p.fields) > 0 {
		return p.values(r, id)
	}
	off := p.offset(id.Segment)
	switch p.o.format {
	case "text":
		return p.text.Row(r, id.String(), off)
	case "json":
		sep := ",\n"
		if p.n == 1 {
			sep = "[\n"
		}
		p.buf = append(p.buf[:0], sep...)
		p.buf = json.AppendRow(p.buf, r, id.String(), off)
	default:
		p.buf = append(json.AppendRow(p.buf[:0], r, id.String(), off), '\n')
	}
	_, err := p.o.w.Write(p.buf)
	return err
}

func (p *rowPrinter) values(r *event.Row, id load.RowID) error {
	vals, ok := make([]string, len(p.fields)), make([]bool, len(p.fields))
	any := false
	for i, f := range p.fields {
		vals[i], ok[i] = f.Value(r, id.Segment, id.Row, p.env)
		any = any || ok[i]
	}
	if p.seen != nil {
		k := fmt.Sprintf("%q%v", vals, ok)
		if !any || p.seen[k] {
			return nil
		}
		p.seen[k] = true
	}
	switch p.o.format {
	case "text":
		return p.text.Values(vals, ok)
	case "csv":
		_, err := p.o.w.WriteString(text.CSV(vals))
		return err
	}
	names := make([]string, len(p.fields))
	for i, f := range p.fields {
		names[i] = f.Name
	}
	p.buf = p.buf[:0]
	if p.o.format == "json" {
		if len(p.seen) <= 1 {
			p.buf = append(p.buf, "[\n"...)
		} else {
			p.buf = append(p.buf, ",\n"...)
		}
	}
	p.buf = json.AppendStrings(p.buf, names, vals, ok)
	if p.o.format == "ndjson" {
		p.buf = append(p.buf, '\n')
	}
	_, err := p.o.w.Write(p.buf)
	return err
}

// end closes the output.
func (p *rowPrinter) end(res plan.EventsResult) error {
	if p.counting {
		if p.o.format == "json" || p.o.format == "ndjson" {
			return json.Write(p.o.w, struct {
				Matched uint64 `json:"matched"`
			}{res.Matched}, false)
		}
		_, err := fmt.Fprintln(p.o.w, res.Matched)
		return err
	}
	if p.o.format != "json" {
		return nil
	}
	s := "\n]\n"
	if p.n == 0 || p.seen != nil && len(p.fields) > 0 && len(p.seen) == 0 {
		s = "[]\n"
	}
	_, err := p.o.w.WriteString(s)
	return err
}

func eventsFooter(o *output, res plan.EventsResult, hidden bool, gaps []answer.Gap, c *capture) error {
	s := text.Number(res.Matched) + " rows match"
	if res.Matched == 1 {
		s = "1 row matches"
	}
	switch {
	case res.Stopped:
		s = text.Number(res.Shown) + " rows shown, stopped there"
	case res.Shown < res.Matched:
		s += ", the last " + text.Number(res.Shown) + " shown"
	}
	if hidden {
		s += "; the state at the start and the recorder's own rows are left out (-a)"
	}
	if _, err := fmt.Fprintln(o.w, s); err != nil {
		return err
	}
	b, e := answer.Time{Wall: c.anchor.Begin}, answer.Time{Wall: c.anchor.End}
	return text.NotSeen(o.w, gaps, b, e, o.text)
}

// incomplete ends with exit code 4 under --strict when loss or missing hooks limit an answer. The
// bounds of the recording alone do not: every recording has them.
func (o *output) incomplete(gaps []answer.Gap) error {
	if !o.strict {
		return nil
	}
	for _, g := range gaps {
		switch g.Kind {
		case "before_start", "after_end":
			continue
		}
		return silent(exitIncomplete)
	}
	return nil
}
