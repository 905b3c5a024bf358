package main

import (
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/urfave/cli/v2"
)

// run executes one command line and returns the exit code.
func run(args []string, w world) int {
	app := newApp(w)
	asJSON := wantsJSON(args)
	norm, err := normalise(app, args)
	if err == nil {
		err = app.Run(append([]string{app.Name}, norm...))
	}
	if err == nil {
		return exitOK
	}
	if closedPipe(err) {
		return exitOK
	}
	return report(w.err, err, asJSON)
}

// wantsJSON looks for the output format before anything is parsed, so that errors of parsing
// take that form too.
func wantsJSON(args []string) bool {
	for i, a := range args {
		if a == "--" {
			return false
		}
		for _, p := range []string{"-o=", "--output=", "-o"} {
			if v, ok := strings.CutPrefix(a, p); ok && (v == "json" || v == "ndjson") {
				return true
			}
		}
		if (a == "-o" || a == "--output") && i+1 < len(args) && (args[i+1] == "json" || args[i+1] == "ndjson") {
			return true
		}
	}
	return false
}

// badValue is how the flag parser says that a value does not fit.
var badValue = regexp.MustCompile(`^invalid (?:boolean )?value "(.*)" for (?:flag )?-+([a-z-]+):`)

func newApp(w world) *cli.App {
	app := &cli.App{
		Name:                      "hindcast",
		Usage:                     "record what a Linux host does; later, anywhere, ask what happened",
		Writer:                    w.out,
		ErrWriter:                 w.err,
		HideVersion:               true,
		HideHelp:                  true,
		HideHelpCommand:           true,
		DisableSliceFlagSeparator: true,
		Flags:                     globalFlags(),
		ExitErrHandler:            func(*cli.Context, error) {},
		OnUsageError: func(_ *cli.Context, err error, _ bool) error {
			if m := badValue.FindStringSubmatch(err.Error()); m != nil {
				return usage("E_FLAG_VALUE", "`"+m[1]+"` is not a value of --"+m[2], "")
			}
			return usage("E_USAGE", err.Error(), "")
		},
	}
	app.Commands = []*cli.Command{
		recordCommand(w), infoCommand(w), psCommand(w), whyCommand(w), blastCommand(w), traceCommand(w), eventsCommand(w), fieldsCommand(w),
		dropsCommand(w), lsCommand(w), verifyCommand(w), repairCommand(w), bundleCommand(w), doctorCommand(w), versionCommand(w),
	}
	app.Commands = append(app.Commands, helpCommand(w, app))
	for _, c := range app.Commands {
		c.HideHelp = true
		c.HideHelpCommand = true
		c.OnUsageError = app.OnUsageError
		c.Flags = append(c.Flags, globalFlags()...)
	}
	return app
}

func helpCommand(w world, app *cli.App) *cli.Command {
	return &cli.Command{
		Name:      "help",
		Usage:     "show help about a command",
		ArgsUsage: "[COMMAND]",
		Action: func(c *cli.Context) error {
			if c.Args().Len() > 0 {
				return helpFor(w.out, app, c.Args().First())
			}
			return helpAll(w.out, app)
		},
	}
}

func helpAll(w io.Writer, app *cli.App) error {
	fmt.Fprintf(w, "hindcast: %s\n\nusage: hindcast COMMAND [FLAGS] [ARGUMENTS]\n       hindcast FILE.hind          (the same as hindcast info FILE.hind)\n\ncommands:\n", app.Usage)
	for _, c := range app.Commands {
		name := c.Name
		if len(c.Aliases) > 0 {
			name += ", " + strings.Join(c.Aliases, ", ")
		}
		fmt.Fprintf(w, "  %-14s %s\n", name, c.Usage)
	}
	fmt.Fprintf(w, "\nflags of every command, before or after it:\n%s%s", flagHelp(globalFlags()), captureHelp)
	_, err := fmt.Fprint(w, "\nexit codes: 0 ok, 1 failed, 2 usage, 3 capture damaged, 4 answer incomplete (with --strict),\n  5 this host cannot record, 6 no match (with --exit-status); record -- CMD passes CMD's code through,\n  125 is its own failure, 126 CMD cannot be executed, 127 CMD was not found\n\nhindcast help COMMAND says more.\n")
	return err
}

const captureHelp = `
CAP is a directory that record wrote, a .hind bundle or a segment file. Without it, and as "latest", it is
the newest capture in $HINDCAST_DIR; if that is not set, in ./hindcast-data; if that does not exist,
in /var/lib/hindcast.
TIME is 03:20, 2026-11-02 03:20:05, -5s, 11min ago, start+30s, end-1m or @EPOCH; relative times count
back from the end of the capture.
ENTITY is a pid (1234, 1234@TIME), a short id (p:7k3q, f:..., s:...), a /path or an address ip:port.
`

func helpFor(w io.Writer, app *cli.App, name string) error {
	c := app.Command(name)
	if c == nil {
		return unknownCommand(app, name)
	}
	usage := "hindcast " + c.Name
	if c.ArgsUsage != "" {
		usage += " " + c.ArgsUsage
	}
	fmt.Fprintf(w, "hindcast %s: %s\n\nusage: %s\n", c.Name, c.Usage, usage)
	if len(c.Aliases) > 0 {
		fmt.Fprintf(w, "also:  hindcast %s\n", strings.Join(c.Aliases, ", hindcast "))
	}
	if c.Description != "" {
		fmt.Fprintf(w, "\n%s\n", c.Description)
	}
	own := c.Flags[:max(0, len(c.Flags)-len(globalFlags()))]
	if len(own) > 0 {
		fmt.Fprintf(w, "\nflags:\n%s", flagHelp(own))
	}
	_, err := fmt.Fprintf(w, "\nflags of every command:\n%s", flagHelp(globalFlags()))
	return err
}

// flagHelp prints flags as "  -o, --output FORMAT   what it does".
func flagHelp(fs []cli.Flag) string {
	var b strings.Builder
	for _, f := range fs {
		d, ok := f.(cli.DocGenerationFlag)
		if !ok {
			continue
		}
		var short, long []string
		for _, n := range f.Names() {
			if len(n) == 1 {
				short = append(short, "-"+n)
			} else {
				long = append(long, "--"+n)
			}
		}
		text := d.GetUsage()
		value := ""
		if i := strings.IndexByte(text, '`'); i >= 0 {
			if j := strings.IndexByte(text[i+1:], '`'); j >= 0 {
				value = " " + text[i+1:i+1+j]
				text = strings.TrimLeft(text[:i]+text[i+j+2:], ": ")
			}
		}
		left := strings.Join(append(short, long...), ", ") + value
		if len(short) == 0 {
			left = "    " + left
		}
		fmt.Fprintf(&b, "  %-26s %s\n", left, text)
	}
	return b.String()
}
