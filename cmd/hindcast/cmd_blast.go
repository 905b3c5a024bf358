package main

import (
	"hindcast/query/plan"
	"hindcast/query/render/json"
	"hindcast/query/render/text"

	"github.com/urfave/cli/v2"
)

func blastCommand(w world) *cli.Command {
	return &cli.Command{
		Name:      "blast",
		Usage:     "say what a process, file or connection led to and touched",
		ArgsUsage: "[CAP] ENTITY",
		Description: `Everything that was reached from it, in groups: processes, secrets read, persistence points written, files
changed and who used them later, peers, privilege changes, what is still there. -v shows the path to each.
exit codes: 0 ok, 1 failed or no such entity, 2 usage or ambiguous entity, 3 damaged (--strict), 4 incomplete (--strict)`,
		Flags:  blastFlags(),
		Action: func(c *cli.Context) error { return blast(c, w) },
	}
}

func blastFlags() []cli.Flag {
	return []cli.Flag{
		captureFlag(),
		&cli.StringFlag{Name: "since", Aliases: []string{"S"}, Usage: "`TIME` from which things count"},
		&cli.StringFlag{Name: "until", Aliases: []string{"U"}, Usage: "`TIME` after which nothing that begins counts"},
		&cli.IntFlag{Name: "max-depth", Usage: "`N` steps from it at most"},
		&cli.BoolFlag{Name: "raw", Usage: "walk through hubs and weak edges too, and list everything reached"},
	}
}

func blast(c *cli.Context, w world) error {
	if c.Int("max-depth") < 0 {
		return usage("E_FLAG_VALUE", "a depth is not negative", "")
	}
	q, err := ask(c, w)
	if err != nil {
		return err
	}
	defer q.caps.Close()
	po := plan.BlastOptions{MaxDepth: c.Int("max-depth"), Raw: c.Bool("raw"), Loc: q.o.text.Loc}
	if po.Since, err = q.caps.at(c.String("since")); err != nil {
		return err
	}
	if po.Until, err = q.caps.at(c.String("until")); err != nil {
		return err
	}
	m, err := q.caps.model()
	if err != nil {
		return err
	}
	a, err := plan.Blast(m, q.entity, po)
	if err != nil {
		return q.explain(err)
	}
	if q.o.format == "json" {
		err = json.Write(q.o.w, a, true)
	} else {
		err = text.Radius(q.o.w, a, q.o.text)
	}
	if err == nil {
		err = q.o.w.Flush()
	}
	if err != nil {
		return err
	}
	return q.o.incomplete(a.NotSeen)
}
