package main

import (
	"errors"

	"hindcast/format/store"

	"github.com/urfave/cli/v2"
)

func repairCommand(w world) *cli.Command {
	return &cli.Command{
		Name:      "repair",
		Usage:     "seal what a killed recorder left, keeping everything that can be proven",
		ArgsUsage: "[CAP]",
		Description: `Segments that were being written are sealed with all their whole batches; what is left over goes to
damaged/ beside them, nothing is thrown away. Sealed segments are never changed.
exit codes: 0 ok, 1 failed (also: it is being written now), 2 usage, 3 damage remains`,
		Flags: []cli.Flag{captureFlag()},
		Action: func(c *cli.Context) error {
			o, path, err := reportOn(c, w)
			if err != nil {
				return err
			}
			rep, err := store.Repair(path)
			if errors.Is(err, store.ErrLocked) {
				return failed(exitFailed, "E_LOCKED", path+" is being written by a recorder", "stop it first; reading needs no repair")
			}
			if err != nil {
				return err
			}
			return printReport(o, &rep)
		},
	}
}
