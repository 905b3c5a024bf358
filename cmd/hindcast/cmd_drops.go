package main

import (
	"hindcast/query/render/text"

	"github.com/urfave/cli/v2"
)

func dropsCommand(w world) *cli.Command {
	return &cli.Command{
		Name:      "drops",
		Usage:     "say what was lost while recording, when and why, and what that weakens",
		ArgsUsage: "[CAP]",
		Description: `Losses are rows of the recording itself; this sums them by class and cause, and lists the hooks that
were not attached.
exit codes: 0 ok, 1 failed, 2 usage, 3 damaged (--strict), 4 something was lost or not attached (--strict)`,
		Flags:  []cli.Flag{captureFlag()},
		Action: func(c *cli.Context) error { return describe(c, w, text.Drops) },
	}
}
