package main

import (
	"hindcast/query/answer"
	"hindcast/query/plan"
	"hindcast/query/render/json"
	"hindcast/query/render/text"

	"github.com/urfave/cli/v2"
)

func psCommand(w world) *cli.Command {
	return &cli.Command{
		Name:      "ps",
		Aliases:   []string{"tree"},
		Usage:     "print the processes of a capture as a tree",
		ArgsUsage: "[CAP]",
		Description: `Every process that ran, below the one that created it; with --at those alive at that time, below their
parents of then. "before" means that it was there when the recording began; "?" that only its acts or
its children were seen.
exit codes: 0 ok, 1 failed, 2 usage, 3 damaged (--strict), 4 incomplete (--strict)`,
		Flags: []cli.Flag{
			captureFlag(),
			&cli.StringFlag{Name: "at", Usage: "`TIME` at which they were alive"},
			&cli.BoolFlag{Name: "by-creator", Usage: "with --at: nest by who created them, not by parent"},
			&cli.BoolFlag{Name: "flat", Usage: "no nesting"},
			&cli.BoolFlag{Name: "collapse", Usage: "like siblings without children on one line"},
			&cli.BoolFlag{Name: "files", Usage: "files that each process wrote and read"},
			&cli.BoolFlag{Name: "net", Usage: "remote ends that each process spoke to"},
			&cli.BoolFlag{Name: "all", Aliases: []string{"a"}, Usage: "kernel threads too"},
		},
		Action: func(c *cli.Context) error { return ps(c, w) },
	}
}

func ps(c *cli.Context, w world) error {
	o, caps, err := oneCapture(c, w)
	if err != nil {
		return err
	}
	defer caps.Close()
	at, err := caps.at(c.String("at"))
	if err != nil {
		return err
	}
	m, err := caps.model()
	if err != nil {
		return err
	}
	files, net := c.Bool("files"), c.Bool("net")
	t, err := plan.Tree(m, plan.TreeOptions{At: at, ByCreator: c.Bool("by-creator"), Touched: files || net, KThreads: c.Bool("all")})
	if err != nil {
		return err
	}
	trim(t, c.Bool("flat"), files, net)
	o.text.Collapse = c.Bool("collapse")
	if o.format == "json" {
		err = json.Write(o.w, t, true)
	} else {
		err = text.Tree(o.w, t, o.text)
	}
	if err == nil {
		err = o.w.Flush()
	}
	if err != nil {
		return err
	}
	return o.incomplete(t.NotSeen)
}

// trim leaves of a tree what was asked for.
func trim(t *answer.Tree, flat, files, net bool) {
	for i := range t.Processes {
		p := &t.Processes[i]
		if flat {
			p.Depth, p.Parent = 0, -1
		}
		if p.Touched == nil {
			continue
		}
		if !files {
			p.Touched.Written, p.Touched.Read = nil, nil
		}
		if !net {
			p.Touched.Peers = nil
		}
	}
}
