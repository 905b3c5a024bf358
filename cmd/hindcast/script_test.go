package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write what commands print into the scripts")

// A script reads like a session:
//
//	# comment
//	$ [NAME=value ...] hindcast ARGS
//	what it prints to standard output
//	2| what it prints to standard error
//	~ regular expression that some line of the output must match, instead of the lines above
//	!~ regular expression that no line may match
//	exit 2
//
// Roots of segments, which hang on every byte written, are printed as ROOT, and sizes of captures as SIZE.
type command struct {
	line   string
	env    map[string]string
	args   []string
	want   []string // as written, comments in front included
	before []string
}

func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/script/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	// NAME_linux.txt runs on Linux only.
	files = slices.DeleteFunc(files, func(f string) bool { return strings.HasSuffix(f, "_linux.txt") && runtime.GOOS != "linux" })
	for i, f := range files {
		if files[i], err = filepath.Abs(f); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	t.Chdir(dir)
	writeIncident(t, dir)
	damaged(t, dir)
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) { script(t, f) })
	}
}

// damaged makes a second capture in which one byte of a batch was changed.
func damaged(t *testing.T, dir string) {
	sub := filepath.Join(dir, "sub")
	if err := os.Mkdir(sub, 0o700); err != nil {
		t.Fatal(err)
	}
	segs, err := filepath.Glob(filepath.Join(writeIncident(t, sub), "dt=*", "*.arrows"))
	if err != nil || len(segs) != 1 {
		t.Fatal(segs, err)
	}
	b, err := os.ReadFile(segs[0])
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.Chmod(segs[0], 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(segs[0], b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(sub, "web-3"), filepath.Join(dir, "damaged")); err != nil {
		t.Fatal(err)
	}
}

func script(t *testing.T, file string) {
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	cmds, tail := parseScript(t, string(b))
	var out strings.Builder
	for _, c := range cmds {
		for _, l := range c.before {
			out.WriteString(l + "\n")
		}
		got := c.run()
		out.WriteString(c.line + "\n")
		exact := true
		for _, w := range c.want {
			re, must := strings.CutPrefix(w, "~ ")
			not, mustNot := strings.CutPrefix(w, "!~ ")
			if !must && !mustNot {
				continue
			}
			exact = false
			if mustNot {
				re = not
			}
			if hit := matchLine(t, re, got); hit != must {
				t.Errorf("%s\n%s: matched: %v; printed:\n%s", c.line, w, hit, strings.Join(got, "\n"))
			}
			out.WriteString(w + "\n")
		}
		if !exact {
			last := got[len(got)-1]
			if strings.HasPrefix(last, "exit ") {
				out.WriteString(last + "\n")
			}
			if want := c.want[len(c.want)-1]; strings.HasPrefix(want, "exit ") != strings.HasPrefix(last, "exit ") || strings.HasPrefix(last, "exit ") && want != last {
				t.Errorf("%s: %s, want %s", c.line, last, want)
			}
			continue
		}
		for _, l := range got {
			out.WriteString(l + "\n")
		}
		if !*update && strings.Join(got, "\n") != strings.Join(c.want, "\n") {
			t.Errorf("%s\ngot:\n%s\nwant:\n%s", c.line, strings.Join(got, "\n"), strings.Join(c.want, "\n"))
		}
	}
	for _, l := range tail {
		out.WriteString(l + "\n")
	}
	if *update {
		if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func matchLine(t *testing.T, re string, lines []string) bool {
	t.Helper()
	x, err := regexp.Compile(re)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range lines {
		if x.MatchString(l) {
			return true
		}
	}
	return false
}

func parseScript(t *testing.T, s string) (cmds []command, tail []string) {
	var before []string
	for _, l := range strings.Split(strings.TrimSuffix(s, "\n"), "\n") {
		switch {
		case strings.HasPrefix(l, "$ "):
			c := command{line: l, before: before, env: map[string]string{"LANG": "C.UTF-8"}}
			before = nil
			words := shellWords(t, l[2:])
			for len(words) > 0 && words[0] != "hindcast" {
				k, v, ok := strings.Cut(words[0], "=")
				if !ok {
					t.Fatalf("%s: not a hindcast command", l)
				}
				c.env[k] = v
				words = words[1:]
			}
			c.args = words[1:]
			cmds = append(cmds, c)
		case strings.HasPrefix(l, "#"):
			before = append(before, l)
		case len(cmds) == 0 || before != nil:
			if l != "" {
				t.Fatalf("%q belongs to no command", l)
			}
			before = append(before, l)
		default:
			c := &cmds[len(cmds)-1]
			c.want = append(c.want, l)
		}
	}
	return cmds, before
}

// shellWords splits a line as a shell would, with single and double quotes.
func shellWords(t *testing.T, s string) (out []string) {
	cur, in, quote := "", false, byte(0)
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			cur += string(c)
		case c == '\'' || c == '"':
			quote, in = c, true
		case c == ' ':
			if in {
				out = append(out, cur)
			}
			cur, in = "", false
		default:
			cur += string(c)
			in = true
		}
	}
	if quote != 0 {
		t.Fatalf("open quote: %s", s)
	}
	if in {
		out = append(out, cur)
	}
	return out
}

var (
	root = regexp.MustCompile(`\b[0-9a-f]{64}\b`)
	size = regexp.MustCompile(`[0-9.]+ KiB(, [0-9.]+ bytes a row)?`)
	// sized are the lines that tell the size of a capture.
	sized = regexp.MustCompile(`^segments  |  store  |  whole host$|  not redacted: `)
)

// run executes the command and returns its output as the script writes it.
func (c *command) run() []string {
	var stdout, stderr bytes.Buffer
	code := run(c.args, world{out: &stdout, err: &stderr, getenv: func(k string) string { return c.env[k] }})
	var out []string
	lines := func(b, prefix string) {
		if b == "" {
			return
		}
		for _, l := range strings.Split(strings.TrimSuffix(b, "\n"), "\n") {
			l = root.ReplaceAllString(l, "ROOT")
			if sized.MatchString(l) {
				l = size.ReplaceAllString(l, "SIZE")
			}
			out = append(out, prefix+strings.TrimSuffix(l, "\r"))
		}
	}
	lines(stdout.String(), "")
	lines(stderr.String(), "2| ")
	if code != 0 {
		out = append(out, "exit "+strconv.Itoa(code))
	}
	if len(out) == 0 {
		out = []string{""}
	}
	return out
}

// TestNoRawControls prints names that an attacker chose and looks for bytes that may not reach a terminal.
func TestNoRawControls(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	writeIncident(t, dir)
	for _, args := range [][]string{
		{"ps", "web-3", "-v"}, {"ps", "web-3", "--files", "--net"}, {"blast", "web-3", "2411", "-v"}, {"why", "web-3", "2416", "-v"}, {"events", "web-3"},
		{"events", "web-3", "-o", "csv"}, {"events", "web-3", "-o", "json"}, {"events", "web-3", "-o", "ndjson"}, {"events", "web-3", "-F", "proc.name,file.path,exec.args,exec.exe"},
		{"why", "web-3", "\x1b[2J\u202e\n"}, {"events", "web-3", "\x1b = 3"}, {"\x1b[31m"}, {"ps", "--\x9b31m"}, {"info", "/\x1b\n"}, {"blast", "web-3", "sh"},
	} {
		var out, errs bytes.Buffer
		run(args, world{out: &out, err: &errs, getenv: func(string) string { return "C.UTF-8" }})
		for _, s := range []string{out.String(), errs.String()} {
			for _, r := range s {
				if r != '\n' && r != '\t' && r != '\r' && (r < ' ' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e || r == 0xfffd) {
					t.Errorf("%q prints %s", args, fmt.Sprintf("%U: %.200q", r, s))
					break
				}
			}
		}
		if bytes.Contains(bytes.ReplaceAll(out.Bytes(), []byte("\r\n"), nil), []byte("\r")) {
			t.Errorf("%q prints a carriage return", args)
		}
	}
}
