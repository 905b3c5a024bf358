package main

import (
	"errors"
	"io"

	"hindcast/query/plan"
	"hindcast/query/render/json"
	"hindcast/query/render/text"

	"github.com/urfave/cli/v2"
)

func whyCommand(w world) *cli.Command {
	return &cli.Command{
		Name:      "why",
		Usage:     "say what led to a process, a file or a connection",
		ArgsUsage: "[CAP] ENTITY",
		Description: `The chain of what explains it, newest first: who ran it, who wrote it, whose bytes those were, back to
where the recording cannot see further. Each step says how certain it is; -v adds alternatives and
the rows that carry it.
exit codes: 0 ok, 1 failed or no such entity, 2 usage or ambiguous entity, 3 damaged (--strict), 4 incomplete (--strict)`,
		Flags:  whyFlags(),
		Action: func(c *cli.Context) error { return why(c, w) },
	}
}

func whyFlags() []cli.Flag {
	return []cli.Flag{
		captureFlag(),
		&cli.StringFlag{Name: "at", Usage: "`TIME` before which things count"},
		&cli.IntFlag{Name: "depth", Usage: "`N` steps at most"},
		&cli.BoolFlag{Name: "all", Aliases: []string{"a"}, Usage: "list everything that could have contributed"},
		&cli.BoolFlag{Name: "raw", Usage: "the same without leaving out hubs, inputs never written and weak edges"},
	}
}

func why(c *cli.Context, w world) error {
	q, err := ask(c, w)
	if err != nil {
		return err
	}
	defer q.caps.Close()
	at, err := q.caps.at(c.String("at"))
	if err != nil {
		return err
	}
	m, err := q.caps.model()
	if err != nil {
		return err
	}
	a, err := plan.Why(m, q.entity, plan.WhyOptions{At: at, Depth: c.Int("depth"), All: c.Bool("all"), Raw: c.Bool("raw"), Loc: q.o.text.Loc})
	if err != nil {
		return q.explain(err)
	}
	if q.o.format == "json" {
		err = json.Write(q.o.w, a, true)
	} else {
		err = text.Chain(q.o.w, a, q.o.text)
	}
	if err == nil {
		err = q.o.w.Flush()
	}
	if err != nil {
		return err
	}
	return q.o.incomplete(a.NotSeen)
}

// question is an entity asked about in a capture.
type question struct {
	o      *output
	caps   *capture
	entity string
}

// ask reads "[CAP] ENTITY".
func ask(c *cli.Context, w world) (*question, error) {
	o, err := newOutput(c, w, "text", "json")
	if err != nil {
		return nil, err
	}
	args := c.Args().Slice()
	path := c.String("read")
	switch {
	case path != "" || len(args) < 2:
	case len(args) == 2 && looksLikeCapture(args[1]) && !looksLikeCapture(args[0]):
		path, args = args[1], args[:1]
	default:
		path, args = args[0], args[1:]
	}
	switch {
	case len(args) == 0 || len(args) == 1 && path == "" && looksLikeCapture(args[0]):
		return nil, usage("E_USAGE", "no entity given", "a pid, a short id such as p:7k3q, a /path or ip:port; hindcast ps shows ids")
	case len(args) > 1:
		return nil, noMore(c, args[1:])
	case c.Int("depth") < 0:
		return nil, usage("E_FLAG_VALUE", "a depth is not negative", "")
	}
	caps, err := openCapture(path, w, o)
	if err != nil {
		return nil, err
	}
	return &question{o: o, caps: caps, entity: args[0]}, nil
}

// explain turns the errors of resolving an entity into what to do about them.
func (q *question) explain(err error) error {
	var amb *plan.AmbiguousError
	switch {
	case errors.As(err, &amb):
		f := usage("E_ENTITY_AMBIGUOUS", amb.Error(), "")
		for i, c := range amb.Candidates {
			if i > 0 {
				f.Hint += " "
			}
			f.Hint += c.ID
		}
		f.after = func(w io.Writer) { _ = text.Candidates(w, amb.Candidates, amb.More, q.o.text) }
		return f
	case errors.Is(err, plan.ErrNoEntity):
		return failed(exitFailed, "E_ENTITY_UNKNOWN", err.Error(), "hindcast ps and hindcast events show what there is")
	}
	return err
}
