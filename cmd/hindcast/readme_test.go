package main

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

var updateReadme = flag.Bool("update-readme", false, "write the output of the README's console blocks anew")

// The README is run. In blocks marked console, a line "$ COMMAND" is followed by
// exactly what the command prints. Blocks marked sh are run as one script and must
// succeed; those marked "sh root" record, need root and run in a scratch folder. The
// others run in the root of the repository. "hindcast" is the program of this folder.
func TestReadmeCommands(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no sh")
	}
	const file = "../../README.md"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	build := exec.Command("go", "build", "-o", filepath.Join(bin, "hindcast"), ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	sh := func(dir, script string) ([]byte, error) {
		cmd := exec.Command("sh", "-euc", script)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"), "REPO="+root, "COLUMNS=100")
		return cmd.CombinedOutput()
	}

	var fresh bytes.Buffer
	ran := 0
	for _, b := range blocks(string(text)) {
		switch b.kind {
		case "console":
			var now strings.Builder
			for _, c := range b.commands() {
				out, err := sh(root, c)
				var exit *exec.ExitError
				if err != nil && !errors.As(err, &exit) {
					t.Fatal(err)
				}
				if exit != nil {
					t.Errorf("line %d: %s: %v\n%s", b.line, c, err, out)
				}
				now.WriteString("$ " + c + "\n" + string(out))
				ran++
			}
			if now.String() != b.body && !*updateReadme {
				t.Errorf("line %d: the README shows\n%s\nit prints\n%s", b.line, b.body, now.String())
			}
			b.body = now.String()
		case "sh", "sh root":
			if b.kind == "sh root" && (os.Geteuid() != 0 || runtime.GOOS != "linux" || testing.Short()) {
				t.Logf("line %d: not run, it records and needs root", b.line)
				break
			}
			dir := t.TempDir()
			if b.kind == "sh" {
				dir = root
			}
			if out, err := sh(dir, b.body); err != nil {
				t.Errorf("line %d: %v\n%s\n%s", b.line, err, b.body, out)
			}
			ran++
		}
		fresh.WriteString(b.before + b.body + b.after)
	}
	if ran == 0 {
		t.Error("the README has no command that is run")
	}
	if *updateReadme && !t.Failed() {
		if err := os.WriteFile(file, fresh.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// block is a fenced block with the text before it; the last one has no kind.
type block struct {
	before, body, after string
	kind                string
	line                int
}

func blocks(text string) []block {
	var all []block
	var b block
	inside := false
	n := 0
	for line := range strings.Lines(text) {
		n++
		fence := strings.HasPrefix(line, "```")
		switch {
		case fence && !inside:
			b.before += line
			b.kind, b.line, inside = strings.TrimSpace(line[3:]), n, true
		case fence:
			b.after = line
			all = append(all, b)
			b, inside = block{}, false
		case inside:
			b.body += line
		default:
			b.before += line
		}
	}
	return append(all, b)
}

func (b block) commands() []string {
	var all []string
	for line := range strings.Lines(b.body) {
		if c, ok := strings.CutPrefix(line, "$ "); ok {
			all = append(all, strings.TrimSuffix(c, "\n"))
		}
	}
	return all
}
