package lang

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"hindcast/format/clock"
)

// strip removes positions, which printing changes.
func strip(e Expr) Expr {
	switch e := e.(type) {
	case *And:
		out := &And{}
		for _, x := range e.X {
			out.X = append(out.X, strip(x))
		}
		return out
	case *Or:
		out := &Or{}
		for _, x := range e.X {
			out.X = append(out.X, strip(x))
		}
		return out
	case *Not:
		return &Not{X: strip(e.X)}
	case *Anc:
		return &Anc{X: strip(e.X)}
	case *Desc:
		return &Desc{Value: Value{Text: e.Value.Text}}
	case *Exists:
		return &Exists{Field: e.Field}
	case *Word:
		return &Word{Text: e.Text, Quoted: e.Quoted}
	case *Compare:
		out := &Compare{Field: e.Field, Op: e.Op}
		for _, v := range e.Values {
			out.Values = append(out.Values, Value{Text: v.Text})
		}
		return out
	}
	return e
}

func TestParsePrint(t *testing.T) {
	for _, c := range [][2]string{
		{`proc.name = sh`, `proc.name = sh`},
		{`proc.name==sh&&net.rport!=443`, `proc.name = sh and net.rport != 443`},
		{`a.b = 1 || c.d = 2 && e.f = 3`, `a.b = 1 or c.d = 2 and e.f = 3`},
		{`(a.b = 1 or c.d = 2) and e.f = 3`, `(a.b = 1 or c.d = 2) and e.f = 3`},
		{`! (x or y)`, `not (x or y)`},
		{`!x`, `not x`},
		{`NOT x AND y OR z`, `not x and y or z`},
		{`((x))`, `x`},
		{`a and (b and c)`, `a and b and c`},
		{`net.raddr in 10.0.0.0/8`, `net.raddr in (10.0.0.0/8)`},
		{`net.raddr in (10.0.0.0/8,::1 , "a b")`, `net.raddr in (10.0.0.0/8, ::1, "a b")`},
		{`file.path CONTAINS '/tmp/.x'`, `file.path contains /tmp/.x`},
		{`file.path = "a\"b\\c\n\x1b"`, `file.path = "a\"b\\c\x0a\x1b"`},
		{`file.path glob "/tmp/*.[ch]"`, `file.path glob /tmp/*.[ch]`},
		{`file.path = "and"`, `file.path = "and"`},
		{`file.path = ""`, `file.path = ""`},
		{`file.path exists`, `file.path exists`},
		{`"two words" or 'x'`, `"two words" or "x"`},
		{`anc(proc.exe = /usr/sbin/sshd)`, `anc(proc.exe = /usr/sbin/sshd)`},
		{`not desc(p:2c9a) and evt.num = 3:17`, `not desc(p:2c9a) and evt.num = 3:17`},
		{`file.flags has O_CREAT|O_TRUNC`, `file.flags has O_CREAT|O_TRUNC`},
		{"file.path = \"\xff\"", `file.path = "\xff"`},
		{`  `, ``},
	} {
		e, err := Parse(c[0])
		if err != nil {
			t.Errorf("%s: %v", c[0], err)
			continue
		}
		got := ""
		if e != nil {
			got = e.String()
		}
		if got != c[1] {
			t.Errorf("%s: printed %s, want %s", c[0], got, c[1])
		}
	}
}

func TestErrors(t *testing.T) {
	for _, c := range []struct {
		src, code string
		at        int
		msg, hint string
	}{
		{`proc.exee = /bin/sh`, CodeField, 0, "unknown field `proc.exee`", "did you mean proc.exe?"},
		{`x and fd.raddr = 1.2.3.4`, CodeField, 6, "unknown field `fd.raddr`", "did you mean net.raddr?"},
		{`file.pth`, CodeField, 0, "unknown field `file.pth`", "did you mean file.path?"},
		{`zzz.qqq = 1`, CodeField, 0, "unknown field `zzz.qqq`", "`hindcast fields` lists them"},
		{`file.path`, CodeOp, 0, "`file.path` needs a test", "for example `file.path = VALUE` or `file.path exists`"},
		{`file.path < 3`, CodeOp, 10, "`<` does not fit `file.path`, which is a field of type text", "it takes = != contains icontains startswith endswith glob iglob in exists"},
		{`net.rport contains 4`, CodeOp, 10, "`contains` does not fit `net.rport`, which is a field of type number", "it takes = != < <= > >= in exists"},
		{`net.rport = http`, CodeValue, 12, "`http` is not a number", ""},
		{`evt.type = exce`, CodeValue, 11, "`exce` is not the name of a known event", "did you mean exec?"},
		{`evt.res = EACESS`, CodeValue, 10, "`EACESS` is not the name of a known error", "did you mean EACCES?"},
		{`net.raddr = example.com`, CodeValue, 12, "`example.com` is not an address or a prefix such as 10.0.0.0/8", "a capture holds no host names; `contains` tests the text"},
		{`file.flags has O_CRAET`, CodeValue, 15, "`O_CRAET` is not the name of a known flag", "did you mean O_CREAT?"},
		{`evt.time > soon`, CodeTime, 11, "`soon` is not a time", timeHint},
		{`evt.num = 12`, CodeValue, 10, "`12` is not a row id", "row ids look like 3:1742"},
		{`evt.failed = maybe`, CodeValue, 13, "`maybe` is neither true nor false", ""},
		{`proc.id = 12`, CodeValue, 10, "`12` is not a process id", "short ids look like p:7k3q; a number goes with proc.pid"},
		{`anc(file.path = x)`, CodeField, 4, "`file.path` belongs to a row, not to a process", "inside anc() use proc.exe, proc.name, proc.args, proc.pid, proc.id, proc.cwd, proc.uid"},
		{`ancc(x)`, CodeSyntax, 0, "unknown function `ancc`", "did you mean anc?"},
		{`a b`, CodeSyntax, 2, "expected `and` or `or` before `b`", "several words as one text go in quotes"},
		{`(a`, CodeSyntax, 0, "the parenthesis is not closed", ""},
		{`a)`, CodeSyntax, 1, "this parenthesis closes nothing", ""},
		{`a and`, CodeSyntax, 5, "expected a test or a word, found the end", ""},
		{`proc.name =`, CodeSyntax, 11, "a value is missing after `=`", ""},
		{`proc.name = and`, CodeSyntax, 12, "a value is missing after `=`", ""},
		{`contains x`, CodeSyntax, 0, "a field name is missing before `contains`", "to search for the word, put it in quotes"},
		{`"x" = 3`, CodeSyntax, 0, "a field name stands before `=`, not quoted text", ""},
		{`"open`, CodeSyntax, 0, "the quote is not closed", ""},
		{`net.raddr in (1.1.1.1`, CodeSyntax, 13, "the parenthesis is not closed", ""},
		{`a & b`, CodeSyntax, 2, `unexpected '&'`, "put text with special characters in quotes"},
	} {
		_, err := Compile(c.src, Env{})
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%s: got %v", c.src, err)
			continue
		}
		if e.Code != c.code || e.At != c.at || e.Msg != c.msg || e.Hint != c.hint {
			t.Errorf("%s:\n got %s at %d: %s | %s\nwant %s at %d: %s | %s", c.src, e.Code, e.At, e.Msg, e.Hint, c.code, c.at, c.msg, c.hint)
		}
	}
}

func TestCaret(t *testing.T) {
	_, err := Compile("x and \"\u00e9\x1b\" or nope.f = 1", Env{})
	var e *Error
	if !errors.As(err, &e) {
		t.Fatal(err)
	}
	text, mark := e.Caret()
	if want := `x and "??" or nope.f = 1`; text != want {
		t.Errorf("text %q, want %q", text, want)
	}
	if want := `              ^^^^^^`; mark != want {
		t.Errorf("mark %q, want %q", mark, want)
	}
}

func TestDepth(t *testing.T) {
	for _, s := range []string{"(", "not ", "anc("} {
		src := ""
		for i := 0; i < 5000; i++ {
			src += s
		}
		if _, err := Parse(src + "x"); err == nil {
			t.Errorf("%q repeated was accepted", s)
		}
	}
}

func TestParseTime(t *testing.T) {
	at := func(s string) clock.Wall {
		x, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			t.Fatal(err)
		}
		return clock.FromTime(x)
	}
	a := Anchor{Begin: at("2026-11-02T23:50:00Z"), End: at("2026-11-03T03:22:14.5Z")}
	for in, want := range map[string]string{
		"03:20":                       "2026-11-03T03:20:00Z",
		"23:55":                       "2026-11-02T23:55:00Z",
		"03:20:05.114":                "2026-11-03T03:20:05.114Z",
		"03:30":                       "2026-11-03T03:30:00Z",
		"-5s":                         "2026-11-03T03:22:09.5Z",
		"11min ago":                   "2026-11-03T03:11:14.5Z",
		"start+30s":                   "2026-11-02T23:50:30Z",
		"start":                       "2026-11-02T23:50:00Z",
		"end-1m":                      "2026-11-03T03:21:14.5Z",
		"now":                         "2026-11-03T03:22:14.5Z",
		"today":                       "2026-11-03T00:00:00Z",
		"yesterday":                   "2026-11-02T00:00:00Z",
		"@1793675000.25":              "2026-11-03T03:03:20.25Z",
		"2026-11-03":                  "2026-11-03T00:00:00Z",
		"2026-11-03 01:02":            "2026-11-03T01:02:00Z",
		"2026-11-03 01:02:03.5":       "2026-11-03T01:02:03.5Z",
		"2026-11-03 01:02:03 UTC":     "2026-11-03T01:02:03Z",
		"2026-11-03T01:02:03+02:00":   "2026-11-02T23:02:03Z",
		"2026-11-03T01:02:03.000001Z": "2026-11-03T01:02:03.000001Z",
	} {
		got, err := ParseTime(in, a)
		if err != nil || got != at(want) {
			t.Errorf("%s: %v %v, want %s", in, got.Time().Format(time.RFC3339Nano), err, want)
		}
	}
	for _, in := range []string{"", "soon", "25:00", "-5", "5", "@", "@99999999999999", "start~3s", "-", " ago", "9999-01-01", "start+999999999999h"} {
		if got, err := ParseTime(in, a); err == nil {
			t.Errorf("%q was read as %v", in, got)
		}
	}
	zone := time.FixedZone("x", 3600)
	if got, _ := ParseTime("04:20", Anchor{a.Begin, a.End, zone}); got != at("2026-11-03T03:20:00Z") {
		t.Errorf("zone: %v", got.Time())
	}
}

func TestParseSpan(t *testing.T) {
	for in, want := range map[string]time.Duration{"5s": 5 * time.Second, "1h30m": 90 * time.Minute, "2 days": 48 * time.Hour, "250ms": 250 * time.Millisecond, "1.5m": 90 * time.Second} {
		if got, err := ParseSpan(in); err != nil || got != want {
			t.Errorf("%s: %v %v", in, got, err)
		}
	}
	for _, in := range []string{"", "5", "s", "5x", "-5s", "1..2s", "99999999999999h"} {
		if got, err := ParseSpan(in); err == nil {
			t.Errorf("%q was read as %v", in, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{`proc.name = sh and not (net.raddr in (10.0.0.0/8, ::1) or file.path glob "/tmp/*")`, `anc(proc.exe = /x)`, `a&&b||!c`, `"\x1b\\" or 'x'`, `evt.num in (1:2)`, `file.flags has O_CREAT`, `exit.utime > 5s`, `evt.time > -5s`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, src string) {
		e, err := Parse(src)
		if err != nil {
			var le *Error
			if !errors.As(err, &le) {
				t.Fatalf("untyped error %T", err)
			}
			le.Caret()
			return
		}
		if e == nil {
			return
		}
		again, err := Parse(e.String())
		if err != nil {
			t.Fatalf("%q printed as %q, which does not parse: %v", src, e.String(), err)
		}
		if !reflect.DeepEqual(strip(e), strip(again)) {
			t.Fatalf("%q printed as %q, which is another tree", src, e.String())
		}
		if _, err := Bind(src, e, Env{}); err != nil {
			var le *Error
			if !errors.As(err, &le) {
				t.Fatalf("%q: untyped error %T %v", src, err, err)
			}
			le.Caret()
		}
	})
}
