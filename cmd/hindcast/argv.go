package main

import (
	"strings"

	"hindcast/query/lang"

	"github.com/urfave/cli/v2"
)

// flagSpec is what normalising needs to know of a flag.
type flagSpec struct {
	name  string // canonical, as --name
	value bool   // takes one
}

// flagTable indexes flags by every name they have, without dashes.
func flagTable(fs []cli.Flag) map[string]flagSpec {
	m := map[string]flagSpec{}
	for _, f := range fs {
		_, isBool := f.(*cli.BoolFlag)
		for _, n := range f.Names() {
			m[n] = flagSpec{f.Names()[0], !isBool}
		}
	}
	return m
}

// normalise rewrites the arguments so that the flag parser cannot misread them: the
// parser stops at the first positional argument and silently takes every later flag for one.
// The result is the verb, then every flag as --name=value, then "--" and the positional
// arguments. Flags may stand before the verb, and before and after positional arguments; after
// "--" nothing is a flag. Where the command runs another (record), its own flags end
// at the first positional argument.
func normalise(app *cli.App, args []string) ([]string, error) {
	globals := flagTable(app.Flags)
	verbAt := -1
	for i := 0; i < len(args) && verbAt < 0; i++ {
		a := args[i]
		if a == "--" {
			break
		}
		if !strings.HasPrefix(a, "-") || a == "-" {
			verbAt = i
			break
		}
		// A flag before the verb may belong to the verb: skip its value if any command knows it.
		name, _, has := strings.Cut(strings.TrimLeft(a, "-"), "=")
		spec, ok := globals[name]
		for _, c := range app.Commands {
			if ok {
				break
			}
			spec, ok = flagTable(c.Flags)[name]
		}
		if ok && spec.value && !has {
			i++
		}
	}
	if verbAt < 0 {
		for _, a := range args {
			switch a {
			case "-h", "--help":
				return []string{"help"}, nil
			case "--version", "-V":
				return []string{"version"}, nil
			}
		}
		if len(args) == 0 {
			return []string{"help"}, nil
		}
		if args[0] == "--" {
			return nil, usage("E_USAGE", "no command before `--`", "for example hindcast record -- make test")
		}
		_, _, err := take(args, 0, globals, app.Name)
		if err == nil {
			err = usage("E_USAGE", "no command given", "hindcast help lists them")
		}
		return nil, err
	}
	verb := args[verbAt]
	rest := append(append([]string(nil), args[:verbAt]...), args[verbAt+1:]...)
	before := verbAt
	cmd := app.Command(verb)
	if cmd == nil {
		if looksLikeCapture(verb) {
			cmd = app.Command("info")
			rest = append(rest, "")
			copy(rest[verbAt+1:], rest[verbAt:])
			rest[verbAt] = verb
			verb = "info"
		} else {
			return nil, unknownCommand(app, verb)
		}
	}
	table := flagTable(cmd.Flags)
	for n, s := range globals {
		if _, ok := table[n]; !ok {
			table[n] = s
		}
	}
	flags, pos := []string{}, []string{}
	for i := 0; i < len(rest); i++ {
		a := rest[i]
		if a == "--" {
			pos = append(pos, rest[i+1:]...)
			break
		}
		if !strings.HasPrefix(a, "-") || a == "-" || numeric(a) {
			if runsCommand(cmd) && i >= before {
				pos = append(pos, rest[i:]...)
				break
			}
			pos = append(pos, a)
			continue
		}
		flag, n, err := take(rest, i, table, verb)
		if err != nil {
			return nil, err
		}
		flags = append(flags, flag)
		i += n
	}
	for _, f := range flags {
		if f == "--help" {
			return []string{"help", "--", cmd.Name}, nil
		}
	}
	out := append([]string{cmd.Name}, flags...)
	return append(append(out, "--"), pos...), nil
}

// take reads the flag at args[i] and returns it as --name or --name=value, and how many
// arguments after it it used.
func take(args []string, i int, table map[string]flagSpec, verb string) (string, int, error) {
	a := args[i]
	name, val, has := strings.Cut(strings.TrimLeft(a, "-"), "=")
	spec, ok := table[name]
	if !ok && !strings.HasPrefix(a, "--") && len(a) > 2 {
		// -n5: a one-letter flag with its value attached.
		if s, known := table[a[1:2]]; known && s.value {
			return "--" + s.name + "=" + a[2:], 0, nil
		}
	}
	if !ok {
		var names []string
		for n := range table {
			if len(n) > 1 {
				names = append(names, "--"+n)
			}
		}
		hint := "hindcast help " + verb + " lists its flags"
		if verb == "hindcast" {
			hint = "hindcast help lists commands and flags"
		}
		if s := lang.Suggest("--"+name, names); s != "" {
			hint = "did you mean " + s + "?"
		}
		if old, ok := renamed[a]; ok {
			hint = old
		}
		return "", 0, usage("E_FLAG_UNKNOWN", "unknown flag "+strings.SplitN(a, "=", 2)[0], hint)
	}
	switch {
	case !spec.value && has:
		return "--" + spec.name + "=" + val, 0, nil
	case !spec.value:
		return "--" + spec.name, 0, nil
	case has:
		return "--" + spec.name + "=" + val, 0, nil
	case i+1 >= len(args) || args[i+1] == "--":
		return "", 0, usage("E_FLAG_VALUE", "flag "+a+" needs a value", "")
	}
	return "--" + spec.name + "=" + args[i+1], 1, nil
}

// renamed answers flags that other tools would have here.
var renamed = map[string]string{
	"-C": "segments roll over by size and age on their own",
	"-G": "segments roll over by size and age on their own",
	"-W": "segments roll over by size and age on their own",
	"-i": "hindcast records the whole host, not an interface",
	"-c": "-n N stops after N rows",
}

func numeric(a string) bool {
	if len(a) < 2 {
		return false
	}
	for i := 1; i < len(a); i++ {
		if a[i] < '0' || a[i] > '9' {
			return false
		}
	}
	return true
}

func runsCommand(c *cli.Command) bool { return c.Name == "record" }

func unknownCommand(app *cli.App, verb string) error {
	var names []string
	for _, c := range app.Commands {
		names = append(names, c.Names()...)
	}
	hint := "hindcast help lists them"
	if s := lang.Suggest(verb, names); s != "" {
		hint = "did you mean " + s + "?"
	}
	return usage("E_COMMAND_UNKNOWN", "unknown command `"+verb+"`", hint)
}
