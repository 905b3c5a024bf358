// Command hindcast records what a Linux host does and answers questions about it later,
// anywhere.
//
// One file holds one subcommand. Around them: argv.go puts arguments in the order the
// flag parser needs, app.go declares the command tree, capture.go finds what is to be read,
// output.go decides how to print, errors.go turns failures into one line and an exit code.
package main

import (
	"io"
	"os"
)

// version is set when a release is built: -ldflags "-X main.version=...".
var version = "devel"

// hold, as the only argument, makes the program keep what it inherited until its standard input
// ends. The recorder starts it at its end, see recorder.Options.Holder.
const hold = "__hold"

func main() {
	if len(os.Args) == 2 && os.Args[1] == hold {
		io.Copy(io.Discard, os.Stdin)
		return
	}
	os.Exit(run(os.Args[1:], world{out: os.Stdout, err: os.Stderr, outFile: os.Stdout, getenv: os.Getenv}))
}

// world is what a command may know of its surroundings.
type world struct {
	out     io.Writer
	err     io.Writer
	outFile *os.File // the file behind out, to ask whether it is a terminal; nil in tests
	getenv  func(string) string
}
