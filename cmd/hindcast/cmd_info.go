package main

import (
	"io"
	"strings"

	"hindcast/query/plan"
	"hindcast/query/render/json"
	"hindcast/query/render/text"

	"github.com/urfave/cli/v2"
)

func infoCommand(w world) *cli.Command {
	return &cli.Command{
		Name:      "info",
		Usage:     "say what a capture is and holds",
		ArgsUsage: "[CAP]",
		Description: `Host, time span, rows of each event, what was lost, what was not observable, what is damaged.
exit codes: 0 ok, 1 failed, 2 usage, 3 damaged (--strict), 4 incomplete (--strict)`,
		Flags:  []cli.Flag{captureFlag()},
		Action: func(c *cli.Context) error { return describe(c, w, text.Info) },
	}
}

// describe runs one of the views on a capture's own description.
func describe(c *cli.Context, w world, view func(io.Writer, *plan.Info, text.Options) error) error {
	o, caps, err := oneCapture(c, w)
	if err != nil {
		return err
	}
	defer caps.Close()
	x, err := plan.Describe(caps, caps.facts)
	if err != nil {
		return err
	}
	before := caps.bad
	if err := caps.damage(); err != nil {
		return err
	}
	if caps.bad != before {
		// Reading found more: say it in the answer as well.
		if x, err = plan.Describe(caps, caps.facts); err != nil {
			return err
		}
	}
	if o.format == "text" {
		err = view(o.w, x, o.text)
	} else {
		err = json.Write(o.w, x, o.indent)
	}
	if err == nil {
		err = o.w.Flush()
	}
	if err != nil {
		return err
	}
	return o.incomplete(x.NotSeen)
}

// oneCapture opens the only argument of a command, or the newest capture.
func oneCapture(c *cli.Context, w world) (*output, *capture, error) {
	o, err := newOutput(c, w, "text", "json")
	if err != nil {
		return nil, nil, err
	}
	path, err := onlyCapture(c)
	if err != nil {
		return nil, nil, err
	}
	caps, err := openCapture(path, w, o)
	return o, caps, err
}

// onlyCapture returns the capture where a command takes nothing else; anything given is one.
func onlyCapture(c *cli.Context) (string, error) {
	rest := c.Args().Slice()
	path := c.String("read")
	if path == "" && len(rest) > 0 {
		path, rest = rest[0], rest[1:]
	}
	return path, noMore(c, rest)
}

// noMore refuses arguments that a command has no use for.
func noMore(c *cli.Context, rest []string) error {
	if len(rest) == 0 {
		return nil
	}
	return usage("E_USAGE", "unexpected argument `"+strings.Join(rest, " ")+"`", "usage: hindcast "+c.Command.Name+" "+c.Command.ArgsUsage)
}
