//go:build linux && (amd64 || arm64)

package kerntest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"hindcast/format/event"
)

// madeCgroup makes a cgroup below a mounted hierarchy and removes it at the end.
func madeCgroup(t testing.TB, root, name string) string {
	t.Helper()
	if root == "" {
		t.Fatal("no cgroup hierarchy is mounted")
	}
	dir := filepath.Join(root, fmt.Sprintf("hc-%s-%d", name, os.Getpid()))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(dir) })
	return dir
}

// below is the path of a cgroup within its hierarchy.
func below(root, dir string) string { return strings.TrimPrefix(dir, root) }

func sameCgroup(t testing.TB, r *event.Row, op uint32, path string, id uint64, level, hierarchy int64) {
	t.Helper()
	eq(t, "op", r.Op, op)
	eq(t, "path", string(r.Path), path)
	eq(t, "id", uint64(r.N1), id)
	eq(t, "level", r.N2, level)
	eq(t, "hierarchy", r.N3, hierarchy)
	eq(t, "ret", r.Ret, 0)
	eq(t, "marks", r.Marks, 0)
	eq(t, "pid", r.PID, uint32(os.Getpid()))
}

func TestCgroupLife(t *testing.T) {
	programs(t)
	root := cgroup2()
	var rows []event.Row
	var dir string
	rows = locked(t, func() { dir = madeCgroup(t, root, "life") })
	id := statOf(t, dir).Ino
	r := one(t, rows, typ(event.Cgroup))
	sameCgroup(t, r, 1, below(root, dir), id, 1, 0)
	eq(t, "no process", r.OPID, 0)
	eq(t, "flags", r.Flags, 0)

	inner := dir + "/inner one"
	rows = locked(t, func() { os.Mkdir(inner, 0o755) })
	innerID := statOf(t, inner).Ino
	sameCgroup(t, one(t, rows, typ(event.Cgroup)), 1, below(root, inner), innerID, 2, 0)

	// a whole process moves in, and its later rows carry the cgroup
	cmd := exec.Command("/bin/sh", "-c", "read x; exec sleep 0")
	in, _ := cmd.StdinPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	start := startTicks(t, pid)
	rows = locked(t, func() {
		if err := os.WriteFile(inner+"/cgroup.procs", []byte(fmt.Sprint(pid)), 0); err != nil {
			t.Error(err)
		}
	})
	r = one(t, rows, typ(event.Cgroup))
	sameCgroup(t, r, 4, below(root, inner), innerID, 2, 0)
	eq(t, "process", r.OPID, uint32(pid))
	eq(t, "thread", r.OTID, uint32(pid))
	eq(t, "start", r.OStart/10e6, start)
	eq(t, "flags", r.Flags, 0)

	// stopped and let run again: the cgroup itself and what is below
	rows = locked(t, func() {
		os.WriteFile(dir+"/cgroup.freeze", []byte("1"), 0)
		os.WriteFile(dir+"/cgroup.freeze", []byte("0"), 0)
	})
	got := only(rows, typ(event.Cgroup))
	if len(got) != 4 {
		t.Fatalf("%d rows of freezing, want 4", len(got))
	}
	for i, op := range []uint32{5, 5, 6, 6} {
		want, wantID, level := dir, id, int64(1)
		if string(got[i].Path) != below(root, dir) {
			want, wantID, level = inner, innerID, 2
		}
		sameCgroup(t, &got[i], op, below(root, want), wantID, level, 0)
	}
	if string(got[0].Path) == string(got[1].Path) || string(got[2].Path) == string(got[3].Path) {
		t.Error("a cgroup was told twice")
	}

	rows = record(t, func() {
		in.Close()
		cmd.Wait()
	})
	ex := only(rows, typ(event.Exit), by(pid))
	if len(ex) == 0 {
		t.Fatal("no exit")
	}
	// an exiting process has left its cgroup by the time of the last row on no kernel we know
	if e := only(rows, typ(event.Exec), by(pid)); len(e) > 0 {
		eq(t, "cgroup on later rows", e[0].Cgroup, innerID)
	}
	for _, d := range []struct {
		path  string
		id    uint64
		level int64
	}{{inner, innerID, 2}, {dir, id, 1}} {
		rows = locked(t, func() {
			if err := os.Remove(d.path); err != nil {
				t.Error(err)
			}
		})
		sameCgroup(t, one(t, rows, typ(event.Cgroup)), 2, below(root, d.path), d.id, d.level, 0)
	}
}

// Version 1 knows threads apart and names that change.
func TestCgroupVersion1(t *testing.T) {
	programs(t)
	root, hierarchy := "", int64(0)
	b, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if f[1] == "" {
			continue
		}
		for m := range strings.Lines(string(info)) {
			left, right, _ := strings.Cut(m, " - ")
			if fields := strings.Fields(left); strings.HasPrefix(right, "cgroup ") && strings.HasSuffix(strings.TrimSpace(right), ","+f[1]) {
				root = fields[4]
				fmt.Sscan(f[0], &hierarchy)
			}
		}
		if strings.HasPrefix(f[1], "name=") || f[1] == "pids" {
			break // these need no setting up before a process moves in
		}
	}
	if root == "" {
		// Any kernel with version 1 has named hierarchies, and takes a new one.
		root = t.TempDir()
		if err := unix.Mount("hc", root, "cgroup", 0, "none,name=hctest"); err != nil {
			if cmdline, _ := os.ReadFile("/proc/cmdline"); hasFileSystem(t, "cgroup") && !strings.Contains(string(cmdline), "cgroup_no_v1=") {
				t.Fatal(err)
			}
			t.Skipf("no cgroups of version 1: %v", err)
		}
		t.Cleanup(func() { unix.Unmount(root, 0) })
		b, _ := os.ReadFile("/proc/self/cgroup")
		_, rest, ok := strings.Cut("\n"+string(b), ":name=hctest:")
		if !ok {
			t.Fatalf("no hierarchy in %s (%s)", b, rest)
		}
		before, _, _ := strings.Cut("\n"+string(b), ":name=hctest:")
		fmt.Sscan(before[strings.LastIndexByte(before, '\n')+1:], &hierarchy)
	}
	dir := madeCgroup(t, root, "one")
	id := statOf(t, dir).Ino
	moved := dir + "-b"
	defer os.Remove(moved)
	rows := locked(t, func() {
		if err := os.Rename(dir, moved); err != nil {
			t.Error(err)
		}
	})
	sameCgroup(t, one(t, rows, typ(event.Cgroup)), 3, below(root, moved), id, 1, hierarchy)

	// one thread of this process moves in and out again
	tid := 0
	rows = record(t, func() {
		ownThread(func() {
			tid = unix.Gettid()
			for _, to := range []string{moved, root} {
				if err := os.WriteFile(to+"/tasks", []byte(fmt.Sprint(tid)), 0); err != nil {
					t.Error(err)
				}
			}
		})
	})
	r := one(t, rows, typ(event.Cgroup), func(r *event.Row) bool { return uint64(r.N1) == id })
	sameCgroup(t, r, 4, below(root, moved), id, 1, hierarchy)
	eq(t, "thread", r.OTID, uint32(tid))
	eq(t, "process", r.OPID, uint32(os.Getpid()))
	eq(t, "one thread only", r.Flags, event.FlagThread)
}

// A process born into another cgroup moves without being moved: its own rows say where it is.
func TestCloneIntoCgroup(t *testing.T) {
	programs(t)
	root := cgroup2()
	dir := madeCgroup(t, root, "clone")
	d, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	id := statOf(t, dir).Ino
	var cmd *exec.Cmd
	rows := record(t, func() {
		cmd = exec.Command("/bin/true")
		cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(d.Fd())}
		if err := cmd.Run(); err != nil {
			t.Error(err)
		}
	})
	pid := cmd.Process.Pid
	eq(t, "cgroup of the exec", one(t, rows, typ(event.Exec), by(pid)).Cgroup, id)
	if got := only(rows, typ(event.Cgroup)); len(got) != 0 {
		t.Errorf("%d rows of a move: the kernel now tells it", len(got))
	}
	fork := one(t, rows, typ(event.Fork), func(r *event.Row) bool { return r.OPID == uint32(pid) })
	eq(t, "flag", fork.N1&unix.CLONE_INTO_CGROUP != 0, true)
	if fork.Cgroup == id {
		t.Error("the creator is in the child's cgroup")
	}
}
