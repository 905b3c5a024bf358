//go:build linux

package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"hindcast/format/event"
	"hindcast/query/plan"
	"hindcast/replay"
	"hindcast/replay/load"
)

// Ten thousand short processes while a flooder opens and writes: the recorded tree is
// the processes' own log, but for those that the ledger says were lost.
func TestStormTreeEqualsTheLog(t *testing.T) {
	needRecording(t)
	t.Run("default rings", func(t *testing.T) { storm(t, false) })
	// Rings so small that processes are lost: then the ledger must cover each.
	t.Run("small rings", func(t *testing.T) { storm(t, true, "--ring-size", "4k", "--critical-ring-size", "4k") })
}

func storm(t *testing.T, loses bool, flags ...string) {
	const workers, nodes, leaves = 4, 250, 9 // 1 + 4 + 4·250 + 4·250·9 = 10,005
	const total = 1 + workers + workers*nodes + workers*nodes*leaves

	dir := t.TempDir()
	bin, prog := buildHindcast(t), filepath.Join(dir, "storm")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", prog, "hindcast/testdata/storm")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	log, store := filepath.Join(dir, "log"), filepath.Join(dir, "store")
	if err := os.WriteFile(log, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"record", "-w", store}, flags...)
	cmd := exec.Command(bin, append(args, "--", "/bin/sh", "-c", fmt.Sprintf(
		`"$0" flood "$1.flood" & f=$!; "$0" root "$1" %d %d %d; rc=$?; kill $f; wait $f; exit $rc`, workers, nodes, leaves), prog, log)...)
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("record: %v\n%s", err, out)
	}
	t.Logf("record (first the flooder's rounds): %s", out)

	type proc struct {
		ppid int
		role string
	}
	truth := map[key]proc{}
	f, err := os.Open(log)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var k key
		var p proc
		if _, err := fmt.Sscan(lines.Text(), &k.pid, &p.ppid, &k.ticks, &p.role); err != nil {
			t.Fatalf("log line %q: %v", lines.Text(), err)
		}
		truth[k] = p
	}
	if len(truth) != total {
		t.Fatalf("the log has %d processes, %d were started", len(truth), total)
	}
	exe, err := os.Stat(prog)
	if err != nil {
		t.Fatal(err)
	}

	c, err := load.Open(store, load.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	// Lost rows that could explain a missing process, by what the ledger says of them.
	lost, unaccounted, rows := int64(0), int64(0), 0
	exec := map[key]bool{} // by the program's inode, whatever the tree makes of it
	err = c.Scan(0, 0, func(r *event.Row, _ load.RowID) error {
		rows++
		switch r.Type {
		case event.Ledger:
			t.Logf("ledger: class %v, %d lost, %s %s", event.Type(r.N1), r.N2, r.Text, r.Text2)
			if string(r.Text) == "unaccounted" {
				unaccounted += r.N2
			}
			switch event.Type(r.N1) {
			case 0, event.Fork, event.Exec, event.Exit:
				lost += r.N2
			}
		case event.Exec:
			if (inode{uint64(r.Dev), r.Ino}) == inodeOf(exe) {
				exec[key{int(r.PID), r.PStart / tick}] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if unaccounted != 0 {
		t.Errorf("%d events lost without account", unaccounted)
	}

	m, err := replay.Build(c, replay.Options{})
	if err != nil {
		t.Fatal(err)
	}
	tree, err := plan.Tree(m, plan.TreeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	missing, wrong, seen := 0, 0, map[key]bool{}
	for _, p := range tree.Processes {
		k := key{int(p.PID), uint64(p.Start) / tick}
		want, ok := truth[k]
		if !ok {
			if exec[k] && p.Image.Exe == prog && !hasFlood(p.Image.Argv) {
				t.Errorf("%v is in the tree but not in the log: %v", k, p.Image.Argv)
			}
			continue
		}
		seen[k] = true
		bad := ""
		switch {
		case int(p.PPID) != want.ppid:
			bad = fmt.Sprintf("parent %d, logged %d", p.PPID, want.ppid)
		case p.Image.Exe != prog || !exec[k]:
			bad = fmt.Sprintf("program %q", p.Image.Exe)
		case len(p.Image.Argv) < 2 || p.Image.Argv[1] != want.role:
			bad = fmt.Sprintf("arguments %q, logged role %s", p.Image.Argv, want.role)
		case !p.ExitKnown || p.ExitCode != 0 || p.ExitSignal != 0 || p.To == nil:
			bad = "no clean exit"
		case p.Parent < 0 || int(tree.Processes[p.Parent].PID) != want.ppid:
			bad = "hangs elsewhere in the tree"
		}
		if bad != "" {
			if wrong++; wrong <= 10 {
				t.Logf("%v: %s", k, bad)
			}
		}
	}
	for k := range truth {
		if !seen[k] {
			if missing++; missing <= 10 {
				t.Logf("%v is not in the tree", k)
			}
		}
	}
	if loses && lost == 0 {
		t.Error("nothing that concerns processes was lost: the test tests nothing")
	}
	if n := int64(missing + wrong); n > lost {
		t.Errorf("%d processes missing, %d incomplete, the ledger covers %d lost rows", missing, wrong, lost)
	}
	t.Logf("%d processes, %d missing, %d incomplete, %d rows recorded, %d rows lost by the ledger that concern processes", total, missing, wrong, rows, lost)
}

func hasFlood(argv []string) bool { return len(argv) > 1 && argv[1] == "flood" }
