package main

import (
	"strings"

	"hindcast/format/event"
	"hindcast/query/lang"
	"hindcast/query/render/json"
	"hindcast/query/render/text"

	"github.com/urfave/cli/v2"
)

func fieldsCommand(w world) *cli.Command {
	return &cli.Command{
		Name:      "fields",
		Usage:     "list the fields and operators of the filter language",
		ArgsUsage: "[PREFIX]",
		Description: `PREFIX limits the list: evt, proc, file, net, exec.args. The list comes from the event catalogue.
operators: = != < <= > >= contains icontains startswith endswith glob iglob in has exists, and or not ( )
  also && || ! ==; in takes a list (a, b) and, for addresses, prefixes: net.raddr in (10.0.0.0/8, ::1)
values: numbers 10 0x1f 64k 1.5MiB (k is 1024), flags O_CREAT|O_TRUNC, errors EACCES, signals SIGKILL,
  times and lengths of time, text bare or in quotes with \xNN
functions: anc(proc.exe = /usr/sbin/sshd) an ancestor is such; desc(p:7k3q) descends from, or is
exit codes: 0 ok, 2 usage`,
		Flags: []cli.Flag{&cli.BoolFlag{Name: "events", Usage: "list the events and the fields of each instead"}},
		Action: func(c *cli.Context) error {
			o, err := newOutput(c, w, "text", "json", "ndjson", "csv")
			if err != nil {
				return err
			}
			if c.Args().Len() > 1 {
				return noMore(c, c.Args().Slice()[1:])
			}
			if c.Bool("events") {
				err = listEvents(o, c.Args().First())
			} else {
				err = listFields(o, c.Args().First())
			}
			if err != nil {
				return err
			}
			return o.w.Flush()
		},
	}
}

// fieldInfo is a field as JSON shows it.
type fieldInfo struct {
	Name      string   `json:"name"`
	Aliases   []string `json:"aliases"`
	Type      string   `json:"type"`
	Operators []string `json:"operators"`
	Events    []string `json:"events"` // empty: all
	Replayed  bool     `json:"replayed"`
	Doc       string   `json:"doc"`
}

func listFields(o *output, prefix string) error {
	var fs []*lang.Field
	for _, f := range lang.Fields {
		match := strings.HasPrefix(f.Name, prefix)
		for _, a := range f.Aliases {
			match = match || strings.HasPrefix(a, prefix)
		}
		if match {
			fs = append(fs, f)
		}
	}
	if len(fs) == 0 {
		hint := "hindcast fields lists them all"
		if s := lang.Suggest(prefix, lang.Names()); s != "" {
			hint = "did you mean " + s + "?"
		}
		return usage(lang.CodeField, "no field begins with `"+prefix+"`", hint)
	}
	if o.format == "text" {
		return text.Fields(o.w, fs, o.text)
	}
	var out []fieldInfo
	for _, f := range fs {
		i := fieldInfo{f.Name, f.Aliases, f.Type.String(), f.Type.Ops(), f.EventNames(), f.Actor, f.Doc}
		if f.Has() {
			i.Operators = append(i.Operators, "has")
		}
		out = append(out, i)
	}
	switch o.format {
	case "json":
		return json.Write(o.w, out, true)
	case "csv":
		if _, err := o.w.WriteString(text.CSV([]string{"name", "aliases", "type", "events", "doc"})); err != nil {
			return err
		}
		for _, i := range out {
			if _, err := o.w.WriteString(text.CSV([]string{i.Name, strings.Join(i.Aliases, " "), i.Type, strings.Join(i.Events, " "), i.Doc})); err != nil {
				return err
			}
		}
		return nil
	}
	for _, i := range out {
		if err := json.Write(o.w, i, false); err != nil {
			return err
		}
	}
	return nil
}

// eventInfo is an event of the catalogue as JSON shows it.
type eventInfo struct {
	ID     int          `json:"id"`
	Name   string       `json:"name"`
	Family string       `json:"family"`
	Since  int          `json:"since"`
	Doc    string       `json:"doc"`
	Fields []eventField `json:"fields"`
}

type eventField struct {
	Name  string `json:"name"`
	Query string `json:"query"`
	Trust string `json:"trust"`
	Doc   string `json:"doc"`
}

func listEvents(o *output, prefix string) error {
	var out []eventInfo
	for _, e := range event.Catalog {
		if !strings.HasPrefix(e.Name, prefix) && e.Family != prefix {
			continue
		}
		i := eventInfo{ID: int(e.ID), Name: e.Name, Family: e.Family, Since: e.Since, Doc: e.Doc}
		for _, f := range e.Fields {
			i.Fields = append(i.Fields, eventField{f.Name, f.Query, f.Trust.String(), f.Doc})
		}
		out = append(out, i)
	}
	if len(out) == 0 {
		return usage("E_VALUE", "no event begins with `"+prefix+"`", "hindcast fields --events lists them all")
	}
	switch o.format {
	case "json":
		return json.Write(o.w, out, true)
	case "ndjson":
		for _, i := range out {
			if err := json.Write(o.w, i, false); err != nil {
				return err
			}
		}
		return nil
	}
	var rows [][]string
	for _, e := range out {
		rows = append(rows, []string{e.Name, e.Family, "", e.Doc})
		for _, f := range e.Fields {
			rows = append(rows, []string{"  " + f.Name, f.Query, f.Trust, f.Doc})
		}
	}
	if o.format == "csv" {
		for _, r := range append([][]string{{"name", "field", "trust", "doc"}}, rows...) {
			if _, err := o.w.WriteString(text.CSV(r)); err != nil {
				return err
			}
		}
		return nil
	}
	return text.Table(o.w, []string{"event", "family/field", "trust", "meaning"}, rows, o.text)
}
