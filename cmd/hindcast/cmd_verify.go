package main

import (
	"hindcast/format/store"
	"hindcast/query/render/json"
	"hindcast/query/render/text"

	"github.com/urfave/cli/v2"
)

func verifyCommand(w world) *cli.Command {
	return &cli.Command{
		Name:      "verify",
		Usage:     "check every digest and value of a capture, and its chain",
		ArgsUsage: "[CAP]",
		Description: `exit codes: 0 nothing is damaged, 1 it could not be examined, 2 usage, 3 damaged
A segment that is still being written, or whose recorder was killed, is not damage; hindcast repair seals it.`,
		Flags: []cli.Flag{captureFlag()},
		Action: func(c *cli.Context) error {
			o, path, err := reportOn(c, w)
			if err != nil {
				return err
			}
			rep, err := store.Verify(path)
			if err != nil {
				return err
			}
			return printReport(o, &rep)
		},
	}
}

// reportOn finds the capture that verify and repair are to work on.
func reportOn(c *cli.Context, w world) (*output, string, error) {
	o, err := newOutput(c, w, "text", "json")
	if err != nil {
		return nil, "", err
	}
	path, err := onlyCapture(c)
	if err != nil {
		return nil, "", err
	}
	path, err = resolveCapture(path, w)
	return o, path, err
}

func printReport(o *output, rep *store.Report) error {
	var err error
	if o.format == "json" {
		err = json.Write(o.w, rep, true)
	} else {
		err = text.Report(o.w, rep, o.text)
	}
	if err == nil {
		err = o.w.Flush()
	}
	if err != nil {
		return err
	}
	if !rep.OK() {
		return silent(exitDamaged)
	}
	return nil
}
