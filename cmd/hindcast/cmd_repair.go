package main

import (
	"errors"
	"os"

	"hindcast/format/spill"
	"hindcast/format/store"

	"github.com/urfave/cli/v2"
)

func repairCommand(w world) *cli.Command {
	return &cli.Command{
		Name:      "repair",
		Usage:     "seal what a killed recorder left, keeping everything that can be proven",
		ArgsUsage: "[CAP]",
		Description: `Segments that were being written are sealed with all their whole batches; what is left over goes to
damaged/ beside them, nothing is thrown away. What the recorder had no time to encode, the file spill, is stored.
Sealed segments are never changed.
exit codes: 0 ok, 1 failed (also: it is being written now), 2 usage, 3 damage remains`,
		Flags: []cli.Flag{captureFlag()},
		Action: func(c *cli.Context) error {
			o, path, err := reportOn(c, w)
			if err != nil {
				return err
			}
			var rep store.Report
			taken, err := takeIn(path)
			if err == nil {
				rep, err = store.Repair(path)
			}
			if errors.Is(err, store.ErrLocked) {
				return failed(exitFailed, "E_LOCKED", path+" is being written by a recorder", "stop it first; reading needs no repair")
			}
			if err != nil {
				return err
			}
			if taken != nil {
				rep.Mended = append(taken.Mended, rep.Mended...)
				note(w.err, "%d rows that the killed recorder had no time to encode are stored now, %d could not be read back", taken.Rows, taken.Lost)
			}
			return printReport(o, &rep)
		},
	}
}

// takeIn stores what a killed recorder spilled into a store; a segment alone has nothing of the kind.
func takeIn(path string) (*spill.Taken, error) {
	if st, err := os.Stat(path); err != nil || !st.IsDir() {
		return nil, nil
	}
	return spill.TakeIn(path)
}
