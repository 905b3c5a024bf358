package main

import (
	"strings"
	"time"

	"hindcast/query/render/json"
	"hindcast/query/render/text"
	"hindcast/replay/load"

	"github.com/urfave/cli/v2"
)

func lsCommand(w world) *cli.Command {
	return &cli.Command{
		Name:        "ls",
		Usage:       "list the captures of a folder, oldest first",
		ArgsUsage:   "[DIR]",
		Description: "Without DIR: the folder in which the newest capture is looked for.\nexit codes: 0 ok, 1 failed, 2 usage",
		Action:      func(c *cli.Context) error { return ls(c, w) },
	}
}

// listed is a capture in a list.
type listed struct {
	Path    string   `json:"path"`
	Host    string   `json:"host"`
	Begin   string   `json:"begin"`
	End     string   `json:"end"`
	Rows    uint64   `json:"rows"`
	Bytes   int64    `json:"bytes"`
	Command []string `json:"command"`
	Problem string   `json:"problem"` // why it could not be opened
}

func ls(c *cli.Context, w world) error {
	o, err := newOutput(c, w, "text", "json")
	if err != nil {
		return err
	}
	dir := c.Args().First()
	if c.Args().Len() > 1 {
		return noMore(c, c.Args().Slice()[1:])
	}
	if dir == "" {
		dir = captureDir(w)
	}
	found, err := findCaptures(dir)
	if err != nil {
		return err
	}
	out := []listed{}
	for _, f := range found {
		l := listed{Path: f.path, Bytes: f.bytes}
		if cap, err := load.Open(f.path, load.Options{}); err != nil {
			l.Problem = err.Error()
		} else {
			i := cap.Info()
			m := cap.Meta(0)
			l.Host, l.Rows, l.Command = m.Host, i.Rows, m.Command
			l.Begin, l.End = i.From.Time().In(o.text.Loc).Format(time.RFC3339), i.To.Time().In(o.text.Loc).Format(time.RFC3339)
			cap.Close()
		}
		out = append(out, l)
	}
	if o.format == "json" {
		if err := json.Write(o.w, out, true); err != nil {
			return err
		}
		return o.w.Flush()
	}
	var rows [][]string
	for _, l := range out {
		what := strings.Join(l.Command, " ")
		switch {
		case l.Problem != "":
			what = "cannot be read: " + l.Problem
		case what == "":
			what = "whole host"
		}
		rows = append(rows, []string{l.Path, l.Begin, l.End, text.Number(l.Rows), text.Size(uint64(max(l.Bytes, 0))), what})
	}
	if len(rows) == 0 {
		note(w.err, "no capture in %s", dir)
		return nil
	}
	if err := text.Table(o.w, []string{"capture", "from", "to", "rows", "size", "recorded"}, rows, o.text); err != nil {
		return err
	}
	return o.w.Flush()
}
