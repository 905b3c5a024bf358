package main

import (
	"bufio"
	"strings"
	"time"

	"hindcast/query/render/text"

	"github.com/mattn/go-isatty"
	"github.com/urfave/cli/v2"
)

// globalFlags are understood by every command, before and after it.
func globalFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Value: "text", Usage: "`FORMAT`: text or json; events and fields also ndjson and csv"},
		&cli.StringFlag{Name: "tz", Value: "utc", Usage: "`ZONE` of printed and given times: utc, local or a name such as Europe/Berlin"},
		&cli.StringFlag{Name: "color", Value: "auto", Usage: "`WHEN`: auto, always or never; NO_COLOR is respected"},
		&cli.BoolFlag{Name: "ascii", Usage: "print nothing above ASCII; the default where the locale is not UTF-8"},
		&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "long lists in full, evidence rows under each item"},
		&cli.BoolFlag{Name: "strict", Usage: "exit 3 when the capture is damaged, 4 when the answer may be incomplete"},
		&cli.BoolFlag{Name: "help", Aliases: []string{"h"}, Usage: "show help"},
	}
}

// output is how a command prints.
type output struct {
	w      *bufio.Writer
	format string
	text   text.Options
	strict bool
	indent bool
}

func newOutput(c *cli.Context, w world, formats ...string) (*output, error) {
	o := &output{w: bufio.NewWriterSize(w.out, 64<<10), format: c.String("output"), strict: c.Bool("strict")}
	ok := false
	for _, f := range formats {
		ok = ok || f == o.format
	}
	if !ok {
		return nil, usage("E_FORMAT", "`"+o.format+"` is not an output format of "+c.Command.Name, "it has "+strings.Join(formats, ", "))
	}
	tty := w.outFile != nil && isatty.IsTerminal(w.outFile.Fd())
	o.indent = o.format == "json"
	switch c.String("color") {
	case "always":
		o.text.Color = true
	case "never":
	case "auto":
		o.text.Color = tty && w.getenv("NO_COLOR") == "" && w.getenv("TERM") != "dumb"
	default:
		return nil, usage("E_FLAG_VALUE", "--color is auto, always or never, not `"+c.String("color")+"`", "")
	}
	o.text.ASCII = c.Bool("ascii") || !utf8Locale(w.getenv)
	o.text.Verbose = c.Bool("verbose")
	loc, err := zone(c.String("tz"))
	if err != nil {
		return nil, err
	}
	o.text.Loc = loc
	return o, nil
}

func zone(name string) (*time.Location, error) {
	switch strings.ToLower(name) {
	case "utc", "":
		return time.UTC, nil
	case "local":
		return time.Local, nil
	}
	loc, err := time.LoadLocation(name)
	if err != nil {
		return nil, usage("E_FLAG_VALUE", "unknown time zone `"+name+"`", "--tz takes utc, local or a name such as Europe/Berlin")
	}
	return loc, nil
}

// utf8Locale follows the order in which libc reads the variables; without any the
// system decides, and only the C locale is known not to be UTF-8.
func utf8Locale(getenv func(string) string) bool {
	for _, k := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := getenv(k); v != "" {
			v = strings.ToLower(v)
			return strings.Contains(v, "utf-8") || strings.Contains(v, "utf8")
		}
	}
	return defaultUTF8
}
