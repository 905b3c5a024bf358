package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"hindcast/query/lang"
	rjson "hindcast/query/render/json"
	"hindcast/query/render/text"
)

// Exit codes, part of the interface.
const (
	exitOK         = 0
	exitFailed     = 1
	exitUsage      = 2
	exitDamaged    = 3
	exitIncomplete = 4
	exitCannot     = 5
	exitNoMatch    = 6

	// record -- CMD passes the code of CMD through; these are our own failures then.
	exitOwnFailure    = 125
	exitNotExecutable = 126
	exitNotFound      = 127
)

// failure is an error with its exit code and, where one helps, a next step.
type failure struct {
	Code string // E_...
	Exit int
	Msg  string // one line: what, where
	Hint string // what to do
	At   int    // byte position in Src, -1 none
	Src  string // text that the position is in
	mark string
	// after prints more than a line, where there is more to choose from; not with JSON.
	after func(io.Writer)
	err   error
}

func (f *failure) Error() string { return f.Msg }
func (f *failure) Unwrap() error { return f.err }

func usage(code, msg, hint string) *failure {
	return &failure{Code: code, Exit: exitUsage, Msg: msg, Hint: hint, At: -1}
}

func failed(exit int, code, msg, hint string) *failure {
	return &failure{Code: code, Exit: exit, Msg: msg, Hint: hint, At: -1}
}

// silent ends the program with a code after everything has been said.
type silent int

func (s silent) Error() string { return fmt.Sprintf("exit %d", int(s)) }

// classify turns any error into a failure.
func classify(err error) *failure {
	var f *failure
	if errors.As(err, &f) {
		return f
	}
	var le *lang.Error
	if errors.As(err, &le) {
		out := &failure{Code: le.Code, Exit: exitUsage, Msg: le.Msg, Hint: le.Hint, At: le.At, err: err}
		if le.Src != "" && le.Code != lang.CodeTime || le.Src != "" && le.Len < len(le.Src) {
			out.Src, out.mark = le.Caret()
		}
		return out
	}
	out := failed(exitFailed, "E_FAILED", err.Error(), "")
	out.err = err
	var pe *fs.PathError
	if errors.As(err, &pe) {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			out.Code, out.Msg = "E_NOT_FOUND", "no such file or directory: "+pe.Path
		case errors.Is(err, fs.ErrPermission):
			out.Code, out.Msg, out.Hint = "E_PERMISSION", "permission denied: "+pe.Path, "a capture belongs to who recorded it; read it as that user, or as root"
		}
	}
	return out
}

// report prints a failure and returns the exit code.
func report(w io.Writer, err error, asJSON bool) int {
	var s silent
	if errors.As(err, &s) {
		return int(s)
	}
	f := classify(err)
	if asJSON {
		type body struct {
			Code string `json:"code"`
			Exit int    `json:"exit"`
			Msg  string `json:"msg"`
			At   *int   `json:"at"`
			Hint string `json:"hint"`
		}
		b := body{Code: f.Code, Exit: f.Exit, Msg: f.Msg, Hint: f.Hint}
		if f.At >= 0 {
			b.At = &f.At
		}
		_ = rjson.Write(w, struct {
			Error body `json:"error"`
		}{b}, false)
		return f.Exit
	}
	line := "hindcast: " + oneLine(f.Msg)
	if f.Hint != "" && f.after == nil {
		line += "; " + oneLine(f.Hint)
	}
	fmt.Fprintln(w, line)
	if f.Src != "" && f.mark != "" && len(f.Src) <= 200 {
		fmt.Fprintf(w, "  %s\n  %s\n", f.Src, f.mark)
	}
	if f.after != nil {
		f.after(w)
	}
	return f.Exit
}

// oneLine makes a message safe for a terminal. Messages quote names from the command line and from captures.
func oneLine(s string) string { return text.Escape(strings.TrimSuffix(s, "\n")) }

// note prints a remark that is not an error.
func note(w io.Writer, format string, a ...any) {
	fmt.Fprintln(w, "hindcast: "+oneLine(fmt.Sprintf(format, a...)))
}

// closedPipe reports that the reader of our output went away, which is not a failure (head, less).
func closedPipe(err error) bool {
	return errors.Is(err, os.ErrClosed) || brokenPipe(err)
}
