package main

import "github.com/urfave/cli/v2"

// traceCommand is why and blast under one name, for those who think in directions.
func traceCommand(w world) *cli.Command {
	fs := []cli.Flag{
		&cli.BoolFlag{Name: "back", Usage: "what led to it: the same as why"},
		&cli.BoolFlag{Name: "forward", Usage: "what it led to: the same as blast"},
	}
	seen := map[string]bool{}
	for _, f := range append(whyFlags(), blastFlags()...) {
		if !seen[f.Names()[0]] {
			seen[f.Names()[0]] = true
			fs = append(fs, f)
		}
	}
	return &cli.Command{
		Name:        "trace",
		Usage:       "why (--back) or blast (--forward) by direction",
		ArgsUsage:   "[CAP] ENTITY --back|--forward",
		Description: "exit codes: those of why and blast",
		Flags:       fs,
		Action: func(c *cli.Context) error {
			switch back, forward := c.Bool("back"), c.Bool("forward"); {
			case back && !forward:
				return why(c, w)
			case forward && !back:
				return blast(c, w)
			}
			return usage("E_USAGE", "a direction is needed", "--back for what led to it, --forward for what it led to")
		},
	}
}
