//go:build linux

package batch

import (
	"bytes"

	"github.com/cespare/xxhash/v2"

	"hindcast/format/event"
)

// The marks of the arguments and of the environment of rows that describe a program.
var (
	execArgv, execTail, execEnv          = markOf(event.Exec, "argv"), markOf(event.Exec, "argv_tail"), markOf(event.Exec, "env")
	processArgv, processTail, processEnv = markOf(event.Process, "argv"), markOf(event.Process, "argv_tail"), markOf(event.Process, "env")
)

// markOf returns where the mark of a byte field stands in Row.Marks.
func markOf(t event.Type, field string) (shift int) {
	for _, f := range event.ByID(t).Fields {
		if f.Name == field {
			return shift
		}
		switch f.C {
		case event.CBytes, event.CPath, event.CClaimed:
			shift += 2
		}
	}
	panic("no byte field " + field)
}

// finishImage completes a row that describes a program: what it holds whole is hashed here, the
// kernel did so with what it cut; then the values of the environment are taken out, unless they
// were asked for. The bytes that r points to are changed.
func finishImage(r *event.Row, values bool) {
	argv, env := execArgv, execEnv
	switch r.Type {
	case event.Exec:
	case event.Process:
		argv, env = processArgv, processEnv
	default:
		return
	}
	if r.N10 == 0 && len(r.Argv) > 0 && r.Marks>>argv&3 == 0 {
		r.N10 = int64(xxhash.Sum64(r.Argv))
	}
	if r.N12 == 0 && len(r.Env) > 0 && r.Marks>>env&3 == 0 {
		r.N12 = int64(xxhash.Sum64(r.Env))
	}
	if !values {
		r.Env = envNames(r.Env)
	}
}

// envNames takes everything but the names out of an environment, in place: A=1 NUL B=2 NUL
// becomes A NUL B NUL. What has no = sign is no name: a string of another form, or the part
// of one that the record had room for, and is taken out whole.
func envNames(env []byte) []byte {
	out := env[:0]
	for len(env) > 0 {
		s, rest, _ := bytes.Cut(env, []byte{0})
		env = rest
		if i := bytes.IndexByte(s, '='); i > 0 {
			out = append(append(out, s[:i]...), 0)
		}
	}
	return out
}

// Withhold takes arguments and environment out of a process row, with what tells of them, and
// marks them unreadable.
func Withhold(r *event.Row) {
	r.Argv, r.ArgvTail, r.Env, r.N10, r.N12 = nil, nil, nil, 0, 0
	r.Marks &^= 3<<processArgv | 3<<processTail | 3<<processEnv
	r.Marks |= 2<<processArgv | 2<<processEnv
}
