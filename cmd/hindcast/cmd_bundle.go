package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"hindcast/format/bundle"
	"hindcast/query/render/text"

	"github.com/urfave/cli/v2"
)

func bundleCommand(w world) *cli.Command {
	return &cli.Command{
		Name:      "bundle",
		Usage:     "pack a capture into one portable file",
		ArgsUsage: "[CAP] -w FILE.hind --no-redact",
		Description: `A bundle holds everything that was recorded: host, user and program names, paths, arguments, addresses.
This version cannot redact, so it packs nothing unless --no-redact says that this is understood.
exit codes: 0 ok, 1 failed, 2 usage`,
		Flags: []cli.Flag{
			captureFlag(),
			&cli.StringFlag{Name: "write", Aliases: []string{"w"}, Usage: "`FILE.hind` to make; an existing file is not replaced"},
			&cli.StringFlag{Name: "message", Aliases: []string{"m"}, Usage: "`TEXT` that goes with it"},
			&cli.BoolFlag{Name: "no-redact", Usage: "pack everything as it was recorded"},
			&cli.BoolFlag{Name: "force", Usage: "replace an existing file"},
		},
		Action: func(c *cli.Context) error { return pack(c, w) },
	}
}

func pack(c *cli.Context, w world) error {
	o, err := newOutput(c, w, "text", "json")
	if err != nil {
		return err
	}
	path, err := onlyCapture(c)
	if err != nil {
		return err
	}
	dst := c.String("write")
	switch {
	case dst == "":
		return usage("E_USAGE", "no output file given", "-w FILE.hind")
	case !strings.HasSuffix(dst, bundle.Ext):
		return usage("E_USAGE", "`"+dst+"` does not end in "+bundle.Ext, "")
	case !c.Bool("no-redact"):
		return usage("E_NOT_REDACTED", "redaction is not part of this version: a bundle would hold every recorded name, path, argument and address", "--no-redact packs it all the same")
	}
	if path, err = resolveCapture(path, w); err != nil {
		return err
	}
	if _, err := os.Lstat(dst); err == nil && !c.Bool("force") {
		return failed(exitFailed, "E_EXISTS", dst+" exists", "--force replaces it")
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if st, err := os.Stat(path); err != nil {
		return err
	} else if !st.IsDir() {
		return failed(exitFailed, "E_NOT_A_STORE", path+" is not a directory of segments", "bundle packs what record wrote")
	}
	if err := bundle.WriteDir(dst, path, bundle.Manifest{Note: c.String("message"), Recorder: version}); err != nil {
		return err
	}
	st, err := os.Stat(dst)
	if err != nil {
		return err
	}
	if o.format == "json" {
		_, err = fmt.Fprintf(w.out, "{\"bytes\": %d, \"redacted\": false}\n", st.Size())
		return err
	}
	_, err = fmt.Fprintf(w.out, "%s  %s  not redacted: it holds every recorded name, path, argument and address\nnext  hindcast %s\n", text.Escape(dst), text.Size(uint64(st.Size())), text.Escape(dst))
	return err
}
