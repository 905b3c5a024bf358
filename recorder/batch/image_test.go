//go:build linux

package batch

import (
	"bytes"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"

	"hindcast/format/event"
)

func TestEnvNames(t *testing.T) {
	for _, c := range []struct{ env, want string }{
		{"", ""},
		{"A=1\x00", "A\x00"},
		{"A=1\x00B=2\x00", "A\x00B\x00"},
		{"A=\x00B=x=y\x00", "A\x00B\x00"},
		{"PATH=/bin\x00TOKEN=secr", "PATH\x00TOKEN\x00"}, // cut within a value
		{"PATH=/bin\x00TOKE", "PATH\x00"},                // cut within a name
		{"PATH=/bin\x00secret without a name\x00B=2\x00", "PATH\x00B\x00"},
		{"secret", ""},
		{"=secret\x00=\x00", ""},
		{"\x00\x00A=1\x00", "A\x00"},
		{"BASH_FUNC_f%%=() { echo secret=1\n}\x00", "BASH_FUNC_f%%\x00"},
		{"\xff\xfe=\xff\x00", "\xff\xfe\x00"},
	} {
		if got := string(envNames([]byte(c.env))); got != c.want {
			t.Errorf("names of %q are %q, want %q", c.env, got, c.want)
		}
	}
	// Wherever an environment is cut, no byte of a value comes through.
	env := []byte("ONE=!!!!!\x00TWO=!!\x00!!!!!!\x00THREE=!=!\x00")
	for i := range env {
		if got := envNames(bytes.Clone(env[:i])); bytes.ContainsAny(got, "!=") {
			t.Errorf("cut after %d bytes: %q", i, got)
		}
	}
}

func FuzzEnvNames(f *testing.F) {
	f.Add([]byte("A=1\x00B=2\x00"))
	f.Fuzz(func(t *testing.T, env []byte) {
		var want []string
		for s := range bytes.SplitSeq(env, []byte{0}) {
			if i := bytes.IndexByte(s, '='); i > 0 {
				want = append(want, string(s[:i])+"\x00")
			}
		}
		if got := envNames(bytes.Clone(env)); string(got) != strings.Join(want, "") {
			t.Errorf("names of %q are %q, want %q", env, got, want)
		}
	})
}

func TestFinishImage(t *testing.T) {
	const argv, env = "prog\x00-x\x00", "HOME=/root\x00TOKEN=secret\x00"
	for _, typ := range []event.Type{event.Exec, event.Process} {
		row := func() event.Row { return event.Row{Type: typ, Argv: []byte(argv), Env: []byte(env)} }

		r := row()
		finishImage(&r, false)
		if string(r.Env) != "HOME\x00TOKEN\x00" || string(r.Argv) != argv {
			t.Errorf("%s: env %q, argv %q", typ, r.Env, r.Argv)
		}
		if uint64(r.N10) != xxhash.Sum64String(argv) || uint64(r.N12) != xxhash.Sum64String(env) {
			t.Errorf("%s: the digests are not those of all bytes, values included", typ)
		}
		r = row()
		finishImage(&r, true)
		if string(r.Env) != env {
			t.Errorf("%s: values were asked for, env is %q", typ, r.Env)
		}

		// What was cut has the kernel's digest or none; what was read has its own.
		marks := uint32(0)
		for i, b := range [][]byte{[]byte("argv"), []byte("env")} {
			m := markOf(typ, string(b))
			if (i == 0) != (m == 2) {
				t.Errorf("%s: the mark of %s stands at %d", typ, b, m)
			}
			marks |= 1 << m
		}
		r = row()
		r.Marks, r.N10 = marks, 7
		finishImage(&r, false)
		if r.N10 != 7 || r.N12 != 0 {
			t.Errorf("%s: digests of what was cut: %d %d", typ, r.N10, r.N12)
		}
	}
	r := event.Row{Type: event.Open, Env: []byte("A=1")}
	finishImage(&r, false)
	if r.N10 != 0 || r.N12 != 0 || string(r.Env) != "A=1" {
		t.Error("another event was changed")
	}
}

// Values must not pass by any way that a row takes to the disk.
func TestCollectorTakesValuesOut(t *testing.T) {
	const env = "HOME=/root\x00TOKEN=secret\x00"
	for _, typ := range []event.Type{event.Exec, event.Process} {
		for _, values := range []bool{false, true} {
			s := &sink{}
			w := NewWriter(s, &State{})
			c := NewCollector(nil, nil, w)
			c.Values = values
			r := event.Row{Type: typ, TS: 1, Env: []byte(env)}
			c.Stream(r.Wire(0))
			r.TS = 2
			r.Env = []byte(env)
			c.Row(r)
			c.Finish()
			w.Close()
			if len(s.rows) != 2 {
				t.Fatalf("%s: %d rows came", typ, len(s.rows))
			}
			for _, r := range s.rows {
				if e := string(r.Env); strings.Contains(e, "secret") != values || !strings.Contains(e, "TOKEN") {
					t.Errorf("%s, values %v: env %q", typ, values, e)
				}
			}
		}
	}
}

func TestWithhold(t *testing.T) {
	r := event.Row{Type: event.Process, Path: []byte("/bin/x"), Argv: []byte("secret"), ArgvTail: []byte("secret"), Env: []byte("A=secret"), N10: 1, N12: 2, Marks: 1<<0 | 1<<processArgv}
	Withhold(&r)
	if len(r.Argv)+len(r.ArgvTail)+len(r.Env) != 0 || r.N10 != 0 || r.N12 != 0 || string(r.Path) != "/bin/x" {
		t.Errorf("%+v", r)
	}
	if r.Marks != 1|2<<processArgv|2<<processEnv {
		t.Errorf("marks %#x", r.Marks)
	}
}

func TestStateKeepsImages(t *testing.T) {
	r := event.Row{Type: event.Exec, TS: 1, PID: 7, PStart: 9, Argv: []byte("a"), ArgvTail: []byte("z"), Env: []byte("A\x00"), N10: 1, N11: 2, N12: 3,
		Path2: []byte("script"), Ino2: 4, Marks: 1<<execArgv | 2<<(2*3) | 1<<execTail | 2<<execEnv}
	var s State
	s.Apply(columns(r))
	p := s.procs[key{7, 9}]
	if p == nil || p.Type != event.Process || string(p.ArgvTail) != "z" || string(p.Env) != "A\x00" || p.N10 != 1 || p.N11 != 2 || p.N12 != 3 || p.Ino2 != 0 || len(p.Path2) != 0 {
		t.Fatalf("%+v", p)
	}
	if p.Marks != 1<<processArgv|1<<processTail|2<<processEnv {
		t.Errorf("marks %#x", p.Marks)
	}
}
