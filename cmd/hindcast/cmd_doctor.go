package main

import "github.com/urfave/cli/v2"

func doctorCommand(w world) *cli.Command {
	return &cli.Command{
		Name:        "doctor",
		Usage:       "say whether this host can record, and what it cannot see",
		ArgsUsage:   "[-w DIR] [--release]",
		Description: "exit codes: 0 it can record, 1 failed, 2 usage, 5 it cannot",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "write", Aliases: []string{"w"}, Usage: "`DIR` that a recording would go to"},
			&cli.StringFlag{Name: "pin", Usage: "`DIR` where recordings are pinned, as for record"},
			&cli.BoolFlag{Name: "release", Usage: "end what killed recorders left running in the kernel; record -w with their DIR would store what waits there"},
		},
		Action: func(c *cli.Context) error { return doctor(c, w) },
	}
}
