package main

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "hindcast"

// A rule keeps the packages below some folders from reaching others.
type rule struct {
	of    []string // folders it holds for
	but   string   // a folder below that is exempt
	never []string // folders or foreign modules that must not be imported
	deep  bool     // not through other packages either
}

var importRules = []rule{
	// What is right of the disk builds and runs without a kernel half.
	{of: []string{"format", "replay", "query"}, deep: true,
		never: []string{"hindcast/bpf", "hindcast/recorder", "hindcast/cmd", "github.com/cilium/ebpf"}},
	// Leaves.
	{of: []string{"format"}, deep: true, never: []string{"hindcast/replay", "hindcast/query"}},
	{of: []string{"bpf"}, deep: true, never: []string{"hindcast/format", "hindcast/recorder", "hindcast/replay", "hindcast/query", "hindcast/cmd"}},
	// The data goes one way.
	{of: []string{"replay"}, deep: true, never: []string{"hindcast/query"}},
	{of: []string{"recorder"}, but: "hindcast/recorder/bench", deep: true, never: []string{"hindcast/replay", "hindcast/query", "hindcast/cmd"}},
}

// arrowModule is imported by one package at most: its reader panics on bad input, ours must not.
const arrowModule = "github.com/apache/arrow"

func TestImportsFollowTheData(t *testing.T) {
	var arrow []string
	for _, p := range packages(t) {
		for _, r := range importRules {
			if !slices.ContainsFunc(r.of, func(f string) bool { return below(p.ImportPath, module+"/"+f) }) {
				continue
			}
			if r.but != "" && below(p.ImportPath, r.but) {
				continue // a program of its own that nothing imports
			}
			list, how := p.Imports, "imports"
			if r.deep {
				list, how = p.Deps, "depends on"
			}
			for _, i := range list {
				if slices.ContainsFunc(r.never, func(n string) bool { return below(i, n) }) {
					t.Errorf("%s %s %s", p.ImportPath, how, i)
				}
			}
		}
		if slices.ContainsFunc(p.Imports, func(i string) bool { return below(i, arrowModule) }) {
			arrow = append(arrow, p.ImportPath)
		}
	}
	if len(arrow) > 1 {
		t.Errorf("more than one package imports %s: %v", arrowModule, arrow)
	}
}

// The check itself: one known import of each sort must be found by it.
func TestImportsOfTheTopAreSeen(t *testing.T) {
	i := slices.IndexFunc(packages(t), func(p pkg) bool { return p.ImportPath == "hindcast/cmd/hindcast" })
	if i < 0 {
		t.Fatal("go list does not name cmd/hindcast")
	}
	for _, want := range []string{"hindcast/format/event", "hindcast/recorder", "github.com/cilium/ebpf"} {
		if p := packages(t)[i]; !slices.Contains(p.Deps, want) {
			t.Errorf("go list does not say that cmd/hindcast depends on %s", want)
		}
	}
}

type pkg struct {
	ImportPath    string
	Imports, Deps []string
}

// packages asks for linux, where all files of all halves take part.
func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,Deps", module+"/...")
	cmd.Env = append(os.Environ(), "GOOS=linux", "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if errors.Is(err, exec.ErrNotFound) {
		t.Skip("no go command")
	}
	if err != nil {
		t.Fatal(err)
	}
	var all []pkg
	d := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p pkg
		err := d.Decode(&p)
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func below(path, folder string) bool {
	return path == folder || strings.HasPrefix(path, folder+"/")
}
