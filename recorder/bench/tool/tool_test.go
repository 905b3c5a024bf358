//go:build linux

package tool

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestLinesOfEachTool(t *testing.T) {
	for _, c := range []struct {
		tool string
		read func(string) record
		line string
		want record
	}{
		{"strace", straceLine, `3865  openat(AT_FDCWD, "/etc/ld.so.cache", O_RDONLY|O_CLOEXEC) = 3`, record{true, true, 3865}},
		{"strace", straceLine, `3865  execve("/usr/bin/sh", ["sh"], 0x7ff /* 35 vars */ <unfinished ...>`, record{true, false, 3865}},
		{"strace", straceLine, `3865  <... execve resumed>) = 0`, record{}},
		{"strace", straceLine, `3866  +++ exited with 0 +++`, record{}},
		{"strace", straceLine, `3866  --- SIGCHLD {si_signo=SIGCHLD} ---`, record{}},
		{"perf", perfLine, `     0.062 ( 0.021 ms): grep/31276 openat(dfd: CWD, filename: 0x35d673e0, flags: RDONLY|CLOEXEC)         = 3`, record{true, true, 31276}},
		{"perf", perfLine, `     0.062 (         ): sleep/77 exit_group(error_code: 0)         = ?`, record{true, false, 77}},
		{"perf", perfLine, `     9.1 ( 0.021 ms): grep/31276  ... [continued]: connect())                = 0`, record{}},
		{"perf", perfLine, `LOST 240 events!`, record{}},
		{"bpftrace", bpftraceLine, `openat 412 redis server /tmp/x`, record{true, true, 412}},
		{"bpftrace", bpftraceLine, `exit 412 true`, record{true, false, 412}},
		{"bpftrace", bpftraceLine, `Attaching 44 probes...`, record{}},
		{"bpftrace", bpftraceLine, `Lost 17 events`, record{}},
		{"auditd", auditLine, `type=SYSCALL msg=audit(1700000000.123:45): arch=c000003e syscall=257 success=yes exit=3 a0=ffffff9c items=1 ppid=1 pid=42 auid=0 comm="x"`, record{true, true, 42}},
		{"auditd", auditLine, `type=SYSCALL msg=audit(1700000000.123:46): arch=c000003e syscall=59 success=yes exit=0 items=2 ppid=1 pid=43 auid=0`, record{true, false, 43}},
		{"auditd", auditLine, `type=PATH msg=audit(1700000000.123:45): item=0 name="/x" inode=1`, record{}},
	} {
		if got := c.read(c.line); got != c.want {
			t.Errorf("%s: %q is %+v, want %+v", c.tool, c.line, got, c.want)
		}
	}
}

func TestLossesThatToolsTell(t *testing.T) {
	if n := perfLostIn("LOST 1240 events!\nLOST 3 events!"); n != 1243 {
		t.Errorf("perf trace lost %d, want 1243", n)
	}
	if n := perfLostIn("0.1 ( 0.0 ms): x/1 openat(filename: LOST) = 3"); n != 0 {
		t.Errorf("perf trace lost %d, want 0", n)
	}
	if n := bpftraceLostIn("Lost 99 events"); n != 99 {
		t.Errorf("bpftrace lost %d, want 99", n)
	}
	s := auditStatus("enabled 1\nfailure 1\npid 77\nrate_limit 0\nbacklog_limit 8192\nlost 4711\nbacklog 3\nloginuid_immutable 0 unlocked\n")
	if s["lost"] != 4711 || s["pid"] != 77 || s["backlog_limit"] != 8192 || s["backlog"] != 3 {
		t.Errorf("audit's status %v", s)
	}
	counters, calls := scapTotals("Seen by driver (kernel side events): 100\n[1] n_evts: 100\n[1] n_drops_buffer_total: 7\n[1] n_drops: 9\nSyscall stats (userspace-side):\n- [openat__exit]: 96\n- [execve__exit]: 3\n")
	if counters["n_drops"] != 9 || counters["n_evts"] != 100 || calls["openat__exit"] != 96 || calls["execve__exit"] != 3 {
		t.Errorf("scap-open's totals %v, %v", counters, calls)
	}
	codes := scapCodes("- PPM_SC > openat                    system_code: (257) ppm_code: (197)\n- PPM_SC > sched_process_exit        ppm_code: (396)\n")
	if codes["openat"] != "197" || codes["sched_process_exit"] != "396" {
		t.Errorf("scap-open's codes %v", codes)
	}
}

// Every call that is watched is in one rule, under the benchmark's key.
func TestAuditRules(t *testing.T) {
	var calls []string
	for line := range strings.Lines(Audit{}.Rules()) {
		f := strings.Fields(line)
		switch f[0] {
		case "-b", "-f", "-e", "--backlog_wait_time":
			if len(f) != 2 {
				t.Errorf("rule %q", line)
			}
			continue
		}
		if len(f) != 8 || f[0] != "-a" || f[1] != "always,exit" || f[2] != "-F" || f[3] != "arch=b64" || f[4] != "-S" || f[6] != "-k" || f[7] != auditKey {
			t.Errorf("rule %q", line)
			continue
		}
		calls = append(calls, strings.Split(f[5], ",")...)
	}
	if !slices.Equal(calls, allCalls()) {
		t.Errorf("rules watch %v, want %v", calls, allCalls())
	}
	if _, err := exec.LookPath("ausyscall"); err != nil {
		t.Skip("ausyscall is not installed: whether it knows the calls was not asked")
	}
	for _, c := range calls {
		if out, err := exec.Command("ausyscall", "x86_64", c, "--exact").CombinedOutput(); err != nil {
			t.Errorf("auditctl does not know %s: %s", c, out)
		}
	}
}

// The script asks for every call that the kernel has, and for those alone.
func TestBpftraceScript(t *testing.T) {
	all := (Bpftrace{}).Script(func(string) bool { return true })
	few := (Bpftrace{}).Script(func(c string) bool { return c != "open" && c != "ptrace" })
	for _, c := range fileCalls {
		probe := "tracepoint:syscalls:sys_enter_" + c + " {"
		if !strings.Contains(all, probe) || strings.Contains(few, probe) != (c != "open") {
			t.Errorf("%s in the scripts: %v, %v", c, strings.Contains(all, probe), strings.Contains(few, probe))
		}
	}
	if _, err := exec.LookPath("bpftrace"); err != nil || os.Geteuid() != 0 {
		t.Skip("bpftrace is not installed, or not root: whether it takes the script was not asked")
	}
	list, err := exec.Command("bpftrace", "-l", "tracepoint:syscalls:sys_enter_*").Output()
	if err != nil {
		t.Skip("bpftrace cannot list tracepoints here")
	}
	file := filepath.Join(t.TempDir(), "script.bt")
	script := (Bpftrace{}).Script(func(c string) bool { return strings.Contains(string(list), "sys_enter_"+c+"\n") })
	if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("bpftrace", "-d", file).CombinedOutput(); err != nil {
		t.Errorf("bpftrace refuses the script: %v: %.2000s", err, out)
	}
}

// A program that ends at once, or never gets ready, is an error that says what it said.
func TestToolsThatDoNotStart(t *testing.T) {
	p, err := start(filepath.Join(t.TempDir(), "log"), "sh", "-c", "echo no luck; exit 3")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.until(context.Background(), func() bool { return false }); err == nil || !strings.Contains(err.Error(), "no luck") {
		t.Errorf("ended: %v", err)
	}
	p, err = start(filepath.Join(t.TempDir(), "log"), "sleep", "100")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := p.until(ctx, func() bool { return false }); err == nil {
		t.Error("an interrupted start is no error")
	}
	select {
	case <-p.done:
	default:
		t.Error("an interrupted start leaves its process")
	}
}
