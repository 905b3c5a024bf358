//go:build linux

package kerntest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"hindcast/format/event"
)

// startTicks returns field 22 of a process's stat file, in ticks of 10 ms of boot time.
func startTicks(t testing.TB, pid int) uint64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+2:]))
	var n uint64
	fmt.Sscan(f[19], &n)
	return n
}

func nsInode(t testing.TB, ns string) uint64 {
	t.Helper()
	var st syscall.Stat_t
	if err := syscall.Stat("/proc/self/ns/"+ns, &st); err != nil {
		t.Fatal(err)
	}
	return st.Ino
}

func TestForkExecExit(t *testing.T) {
	dir := t.TempDir()
	exe := filepath.Join(dir, "prog ram")
	b, err := os.ReadFile("/bin/sh")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(exe, b, 0o755); err != nil {
		t.Fatal(err)
	}
	statOf(t, exe) // from 6.13 a stat leaves a mark in the change time
	var cmd *exec.Cmd
	rows := record(t, func() {
		cmd = exec.Command(exe, "-c", "exit 37", "a\xffb", "")
		cmd.Dir = dir
		cmd.Run()
	})
	pid := cmd.Process.Pid
	self := os.Getpid()

	fork := one(t, rows, typ(event.Fork), func(r *event.Row) bool { return r.OPID == uint32(pid) })
	eq(t, "fork creator", fork.PID, uint32(self))
	eq(t, "creator start", fork.PStart/10e6, startTicks(t, self))
	eq(t, "fork child tid", fork.OTID, uint32(pid))
	eq(t, "fork ret", fork.Ret, int64(pid))
	eq(t, "real parent", fork.N3, int64(self))
	eq(t, "real parent start", fork.N4, int64(fork.PStart))
	eq(t, "ns pid", fork.N5, int64(pid))
	eq(t, "thread start", uint64(fork.N6), fork.OStart)
	eq(t, "pid namespace", uint64(fork.N7), nsInode(t, "pid"))
	if fork.N1&unix.CLONE_VM == 0 || fork.N1&unix.CLONE_THREAD != 0 {
		t.Errorf("clone flags %#x: Go starts processes with CLONE_VM and without CLONE_THREAD", fork.N1)
	}

	ex := one(t, rows, typ(event.Exec), by(pid))
	sameObject(t, ex, statOf(t, exe))
	st := statOf(t, exe)
	eq(t, "exe", string(ex.Path), exe)
	eq(t, "argv", string(ex.Argv), exe+"\x00-c\x00exit 37\x00a\xffb\x00\x00")
	eq(t, "argv length", ex.N4, int64(len(ex.Argv)))
	eq(t, "filename", string(ex.Path2), exe)
	eq(t, "interp", string(ex.Text), exe)
	eq(t, "cwd", string(ex.Path3), dir)
	eq(t, "ctime", ex.N1, st.Ctim.Nano())
	eq(t, "mtime", ex.N2, st.Mtim.Nano())
	eq(t, "nlink", ex.N3, int64(st.Nlink))
	eq(t, "start", ex.PStart, fork.OStart)
	eq(t, "exec number", ex.Image, fork.Image+1)
	eq(t, "flags", ex.Op, 0)
	eq(t, "old tid", ex.OTID, uint32(pid))
	eq(t, "mount namespace", uint64(ex.N8), nsInode(t, "mnt"))
	eq(t, "net namespace", uint64(ex.NetNS), nsInode(t, "net"))
	eq(t, "marks", ex.Marks, 0)
	eq(t, "comm", string(ex.Comm), "prog ram")
	sid, _ := unix.Getsid(0)
	eq(t, "session", ex.N5, int64(sid))

	exit := one(t, rows, typ(event.Exit), by(pid), func(r *event.Row) bool { return r.Op&2 != 0 })
	eq(t, "exit code", exit.N1, 37)
	eq(t, "exit signal", exit.N2, 0)
	eq(t, "exit key", exit.PStart, fork.OStart)
	eq(t, "exit parent", exit.OPID, uint32(self))
	eq(t, "exit parent start", exit.OStart, fork.PStart)
	if exit.N5 <= 0 {
		t.Errorf("maxrss = %d", exit.N5)
	}
	if !(fork.TS < ex.TS && ex.TS < exit.TS) {
		t.Errorf("order: fork %d exec %d exit %d", fork.TS, ex.TS, exit.TS)
	}
	ru := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	eq(t, "maxrss", exit.N5, ru.Maxrss*1024)
}

func TestExitBySignal(t *testing.T) {
	var cmd *exec.Cmd
	rows := record(t, func() {
		cmd = exec.Command("/bin/sh", "-c", "kill -SEGV $$; sleep 5")
		cmd.Run()
	})
	exit := one(t, rows, typ(event.Exit), by(cmd.Process.Pid), func(r *event.Row) bool { return r.Op&2 != 0 })
	eq(t, "signal", exit.N2, int64(syscall.SIGSEGV))
	eq(t, "code", exit.N1, 0)
	ws := cmd.ProcessState.Sys().(syscall.WaitStatus)
	eq(t, "core dumped", exit.Op&1 != 0, ws.CoreDump())

	sig := one(t, rows, typ(event.SignalSent), by(cmd.Process.Pid), func(r *event.Row) bool { return r.N1 == int64(syscall.SIGSEGV) })
	eq(t, "target", sig.OPID, uint32(cmd.Process.Pid))
	eq(t, "target start", sig.OStart, sig.PStart)
	eq(t, "code", sig.N2, 0)
	eq(t, "to the group", sig.Op, 1)
	eq(t, "result", sig.Ret, 0)
}

func TestScriptExec(t *testing.T) {
	script := filepath.Join(t.TempDir(), "s.sh")
	if err := os.WriteFile(script, []byte("#!/bin/sh\nexit 3\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	var cmd *exec.Cmd
	rows := record(t, func() { cmd = exec.Command(script, "x"); cmd.Run() })
	ex := one(t, rows, typ(event.Exec), by(cmd.Process.Pid))
	eq(t, "script", string(ex.Path2), script)
	eq(t, "interp", string(ex.Text), "/bin/sh")
	eq(t, "flags", ex.Op, 4)
	real, _ := filepath.EvalSymlinks("/bin/sh")
	eq(t, "exe", string(ex.Path), real)
	sameObject(t, ex, statOf(t, real))
	eq(t, "argv", string(ex.Argv), "/bin/sh\x00"+script+"\x00x\x00")
}

func TestMemoryFileExec(t *testing.T) {
	b, err := os.ReadFile("/bin/sh")
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.MemfdCreate("ghost", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "ghost")
	defer f.Close()
	f.Write(b)
	var st syscall.Stat_t
	syscall.Fstat(fd, &st)
	var cmd *exec.Cmd
	rows := record(t, func() {
		cmd = exec.Command(fmt.Sprintf("/proc/self/fd/%d", fd), "-c", "exit 0")
		cmd.Run()
	})
	ex := one(t, rows, typ(event.Exec), by(cmd.Process.Pid))
	sameObject(t, ex, &st)
	eq(t, "name", string(ex.Path), "memfd:ghost")
	eq(t, "memory file and no link", ex.Op&3, 3)
	eq(t, "nlink", ex.N3, 0)
}

func TestLongArguments(t *testing.T) {
	long := strings.Repeat("0123456789abcdef", 4096) // 64 KiB, several pages
	var cmd *exec.Cmd
	rows := record(t, func() { cmd = exec.Command("/bin/true", long); cmd.Run() })
	ex := one(t, rows, typ(event.Exec), by(cmd.Process.Pid))
	whole := "/bin/true\x00" + long + "\x00"
	eq(t, "true length", ex.N4, int64(len(whole)))
	eq(t, "kept", string(ex.Argv), whole[:8192])
	eq(t, "mark of argv: truncated", ex.Marks>>2&3, 1)
}

func TestThreads(t *testing.T) {
	var tid int
	rows := record(t, func() {
		ownThread(func() { tid = unix.Gettid() })
		for i := 0; i < 1000 && unix.Tgkill(os.Getpid(), tid, 0) == nil; i++ {
			unix.Nanosleep(&unix.Timespec{Nsec: 1e6}, nil)
		}
	})
	exit := one(t, rows, typ(event.Exit), func(r *event.Row) bool { return r.TID == uint32(tid) })
	eq(t, "thread flag", exit.Flags&event.FlagThread != 0, true)
	eq(t, "whole process", exit.Op&2, 0)
	eq(t, "process", exit.PID, uint32(os.Getpid()))
	eq(t, "process start", exit.PStart/10e6, startTicks(t, os.Getpid()))
}

func init() {
	// setuid changes to user 65534 by every call that can, one after the other.
	helpers["creds"] = func([]string) int {
		runtime.LockOSThread()
		for _, c := range [][4]uintptr{
			{unix.SYS_SETGROUPS, 0, 0, 0}, // no groups before either: changes nothing we keep
			{unix.SYS_SETRESGID, 11, 12, 13},
			{unix.SYS_SETFSUID, 21, 0, 0},
			{unix.SYS_SETREUID, 0, 31, 0},
			{unix.SYS_SETUID, 41, 0, 0}, // fails: effective user is not root any more
		} {
			syscall.RawSyscall(c[0], c[1], c[2], c[3])
		}
		return 0
	}
}

func TestCredentialChanges(t *testing.T) {
	var cmd *exec.Cmd
	rows := record(t, func() {
		cmd = exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), "HC_HELPER=creds")
		if err := cmd.Run(); err != nil {
			t.Error(err)
		}
	})
	defs := shared.creds
	got := only(rows, typ(event.CredChange), by(cmd.Process.Pid))
	want := []struct {
		call                          int64
		uid, euid, fsuid, gid, eg, sg int64
	}{
		{unix.SYS_SETRESGID, 0, 0, 0, 11, 12, 13},
		{unix.SYS_SETFSUID, 0, 0, 21, 11, 12, 13},
		{unix.SYS_SETREUID, 0, 31, 31, 11, 12, 13},
	}
	if len(got) != len(want) {
		t.Fatalf("%d changes, want %d: %+v", len(got), len(want), got)
	}
	for i, w := range want {
		r := got[i]
		eq(t, "call", r.N2, w.call)
		if i > 0 {
			eq(t, "old set", r.N1, int64(got[i-1].Cred))
		}
		d := defs[r.Cred]
		if d == nil {
			t.Fatalf("set %d is not defined", r.Cred)
		}
		if d.TS > r.TS {
			t.Errorf("set %d is defined after it is used", r.Cred)
		}
		eq(t, "uid", d.N1, w.uid)
		eq(t, "euid", d.N2, w.euid)
		eq(t, "fsuid", d.N4, w.fsuid)
		eq(t, "gid", d.N5, w.gid)
		eq(t, "egid", d.N6, w.eg)
		eq(t, "sgid", d.N7, w.sg)
		eq(t, "user namespace", uint64(d.N12), nsInode(t, "user"))
	}
	// Becoming another user drops the effective capabilities, and the record says so.
	eq(t, "effective capabilities after setreuid", defs[got[2].Cred].N9, 0)
	if defs[got[0].Cred].N9 == 0 {
		t.Error("no effective capabilities while root")
	}
}
