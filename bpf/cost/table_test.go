//go:build linux && (amd64 || arm64)

// Package cost holds what the kernel half costs to numbers that do not depend on how busy or how
// fast the machine is: instructions of the programs, how many programs run for an operation, and,
// in a guest of QEMU that counts instructions, how many an operation takes more.
package cost

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

var update = flag.Bool("update", false, "write what was found to testdata instead of comparing with it")

const howToUpdate = "to keep what is now: go test ./bpf/cost -update (as root), and say in the commit why"

// table is numbers with a name, as kept in testdata: one per line, the number first.
type table map[string]int

func (want table) read(t *testing.T, name string) {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil && !*update {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		n, what, ok := strings.Cut(line, " ")
		v, err := strconv.Atoi(n)
		if !ok || err != nil {
			t.Fatalf("testdata/%s: %q is no number with a name", name, line)
		}
		want[what] = v
	}
}

// here tells whether the table was made on a kernel of this version. Others have other places for
// hooks, and verify otherwise.
func here(t *testing.T, name string) bool {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	return *update || err == nil && bytes.Contains(b, []byte(" on kernel "+version(t)+"."))
}

// version returns the major and minor version of the kernel.
func version(t *testing.T) string {
	t.Helper()
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		t.Fatal(err)
	}
	v := strings.SplitN(unix.ByteSliceToString(u.Release[:]), ".", 3)
	return strings.Join(v[:min(len(v), 2)], ".")
}

// check compares with the table: what grew beyond the allowance, and what the table does not
// have. A table says what is, so what shrank by more than that fails as well: or the
// room would be filled again unseen. What is in the table alone is wrong where all is known.
func (got table) check(t *testing.T, name, head string, all bool, allowed func(was int) int) {
	t.Helper()
	if *update {
		got.write(t, name, head)
		return
	}
	want := table{}
	want.read(t, name)
	if wrong := compare(got, want, all, allowed); len(wrong) > 0 {
		t.Errorf("testdata/%s:\n\t%s\n%s", name, strings.Join(wrong, "\n\t"), howToUpdate)
	}
}

func compare(got, want table, all bool, allowed func(was int) int) (wrong []string) {
	for what, n := range got {
		was, ok := want[what]
		switch {
		case !ok:
			wrong = append(wrong, fmt.Sprintf("%s: %d, not in the table", what, n))
		case n > was+allowed(was):
			wrong = append(wrong, fmt.Sprintf("%s: %d, was %d", what, n, was))
		case all && n < was-allowed(was):
			wrong = append(wrong, fmt.Sprintf("%s: %d, was %d: better, keep it so", what, n, was))
		}
	}
	for what := range want {
		if _, ok := got[what]; !ok && all {
			wrong = append(wrong, what+": in the table, but gone")
		}
	}
	slices.Sort(wrong)
	return wrong
}

func (got table) write(t *testing.T, name, head string) {
	t.Helper()
	var names []string
	for what := range got {
		names = append(names, what)
	}
	slices.Sort(names)
	var b bytes.Buffer
	for line := range strings.Lines(head) {
		b.WriteString("# " + strings.TrimSpace(line) + "\n")
	}
	for _, what := range names {
		fmt.Fprintf(&b, "%d %s\n", got[what], what)
	}
	if err := os.MkdirAll("testdata", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("testdata/"+name, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestCompare(t *testing.T) {
	none := func(int) int { return 0 }
	tenth := func(was int) int { return was / 10 }
	for _, c := range []struct {
		name      string
		got, want table
		all       bool
		allowed   func(int) int
		wrong     int
	}{
		{"same", table{"a": 5}, table{"a": 5}, true, none, 0},
		{"more", table{"a": 6}, table{"a": 5}, false, none, 1},
		{"more, allowed", table{"a": 110}, table{"a": 100}, true, tenth, 0},
		{"more than allowed", table{"a": 111}, table{"a": 100}, true, tenth, 1},
		{"less", table{"a": 89}, table{"a": 100}, true, tenth, 1},
		{"less, where that may be", table{"a": 89}, table{"a": 100}, false, tenth, 0},
		{"unknown", table{"a": 1}, table{}, false, none, 1},
		{"gone", table{}, table{"a": 1}, true, none, 1},
		{"not found here", table{}, table{"a": 1}, false, none, 0},
	} {
		if wrong := compare(c.got, c.want, c.all, c.allowed); len(wrong) != c.wrong {
			t.Errorf("%s: %q, want %d", c.name, wrong, c.wrong)
		}
	}
}
