//go:build linux

package tool

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Strace traces the target with ptrace.
type Strace struct{}

func (Strace) Name() string { return "strace" }
func (Strace) What() string { return "strace -f -e trace=..., the processes that do the work alone" }
func (Strace) Check() error { return installed("strace") }

func (Strace) Start(ctx context.Context, t Target) (Run, error) {
	out := filepath.Join(t.Dir, "out")
	args := []string{"-f", "-e", "signal=none", "-e", "trace=" + strings.Join(allCalls(), ","), "-o", out}
	for _, pid := range t.PIDs {
		args = append(args, "-p", fmt.Sprint(pid))
	}
	p, err := start(filepath.Join(t.Dir, "log"), "strace", args...)
	if err != nil {
		return nil, err
	}
	err = p.until(ctx, func() bool {
		for _, pid := range t.PIDs {
			if !p.says(fmt.Sprintf("Process %d attached", pid)) {
				return false
			}
		}
		return true
	})
	// ptrace waits for nobody: nothing is lost, it is slow instead.
	return &texts{process: p, target: t, out: out, line: straceLine, lost: func(string) int64 { return 0 }}, err
}

// PerfTrace is perf's strace, on the whole host.
type PerfTrace struct{}

func (PerfTrace) Name() string { return "perf trace" }
func (PerfTrace) What() string { return "perf trace -a -e ..., the whole host" }
func (PerfTrace) Check() error { return installed("perf") }

func (PerfTrace) Start(ctx context.Context, t Target) (Run, error) {
	out := filepath.Join(t.Dir, "out")
	// A recorded end of a process would be a call that never returns: it is told all the same.
	p, err := start(filepath.Join(t.Dir, "log"), "perf", "trace", "-a", "-e", strings.Join(allCalls(), ","), "-o", out)
	if err != nil {
		return nil, err
	}
	// What it says about losses is among its lines.
	return &texts{process: p, target: t, out: out, line: perfLine, lost: perfLostIn}, p.until(ctx, p.probing())
}

// Bpftrace prints a line for each of the same events.
type Bpftrace struct{}

func (Bpftrace) Name() string { return "bpftrace" }
func (Bpftrace) What() string {
	return "bpftrace with a script that prints a line for each of the same events, the whole host"
}

func (Bpftrace) Check() error {
	if os.Geteuid() != 0 {
		return errors.New("needs root")
	}
	return installed("bpftrace")
}

// Script returns the script for a kernel that has these system calls' tracepoints.
func (Bpftrace) Script(has func(call string) bool) string {
	name := map[string]string{"open": "filename", "openat": "filename", "openat2": "filename", "creat": "pathname",
		"rename": "oldname", "renameat": "oldname", "renameat2": "oldname", "link": "oldname", "linkat": "oldname", "symlink": "oldname", "symlinkat": "oldname",
		"unlink": "pathname", "unlinkat": "pathname", "mkdir": "pathname", "mkdirat": "pathname", "rmdir": "pathname",
		"chmod": "filename", "fchmodat": "filename", "chown": "filename", "lchown": "filename", "fchownat": "filename"}
	b := "tracepoint:sched:sched_process_fork { printf(\"fork %d %s %d\\n\", pid, comm, args->child_pid); }\n" +
		"tracepoint:sched:sched_process_exec { printf(\"exec %d %s %s\\n\", pid, comm, str(args->filename)); }\n" +
		"tracepoint:sched:sched_process_exit { printf(\"exit %d %s\\n\", pid, comm); }\n"
	for _, calls := range [][]string{fileCalls, netCalls, credCalls, moreCalls} {
		for _, c := range calls {
			if !has(c) {
				continue
			}
			if f := name[c]; f != "" {
				b += fmt.Sprintf("tracepoint:syscalls:sys_enter_%s { printf(\"%s %%d %%s %%s\\n\", pid, comm, str(args->%s)); }\n", c, c, f)
			} else {
				b += fmt.Sprintf("tracepoint:syscalls:sys_enter_%s { printf(\"%s %%d %%s\\n\", pid, comm); }\n", c, c)
			}
		}
	}
	return b
}

func (b Bpftrace) Start(ctx context.Context, t Target) (Run, error) {
	list, err := exec.CommandContext(ctx, "bpftrace", "-l", "tracepoint:syscalls:sys_enter_*").Output()
	if err != nil {
		return nil, fmt.Errorf("bpftrace -l: %w", err)
	}
	have := map[string]bool{}
	for line := range strings.Lines(string(list)) {
		have[strings.TrimPrefix(strings.TrimSpace(line), "tracepoint:syscalls:sys_enter_")] = true
	}
	script, out := filepath.Join(t.Dir, "script.bt"), filepath.Join(t.Dir, "out")
	if err := os.WriteFile(script, []byte(b.Script(func(c string) bool { return have[c] })), 0o600); err != nil {
		return nil, err
	}
	p, err := start(filepath.Join(t.Dir, "log"), "bpftrace", "-o", out, script)
	if err != nil {
		return nil, err
	}
	return &texts{process: p, target: t, out: out, line: bpftraceLine, lost: bpftraceLostIn}, p.until(ctx, p.probing())
}

// probing says whether a program that opens one perf event after the other has opened all:
// more than none, and no new one for a while.
func (p *process) probing() func() bool {
	last, since := 0, time.Now()
	return func() bool {
		n := 0
		fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", p.cmd.Process.Pid))
		for _, fd := range fds {
			if to, _ := os.Readlink(fd); strings.Contains(to, "perf_event") {
				n++
			}
		}
		if n != last {
			last, since = n, time.Now()
		}
		return n > 0 && time.Since(since) > 500*time.Millisecond
	}
}

// texts is a tool that prints a line for each record.
type texts struct {
	*process
	target Target
	out    string
	line   func(string) record
	lost   func(string) int64
}

func (r *texts) Stop() (res Result, err error) {
	time.Sleep(200 * time.Millisecond) // what is in its buffers
	ours := r.target.memo()
	if err := r.end(syscall.SIGINT, time.Minute); err != nil {
		return res, err
	}
	res.CPU = r.used()
	if res.Bytes, err = size(r.target.Dir); err != nil {
		return res, err
	}
	for _, file := range []string{r.out, r.log} {
		err = errors.Join(err, lines(file, func(line string) {
			res.Lost += r.lost(line)
			if file == r.out {
				res.count(r.line(line), ours)
			}
		}))
	}
	return res, err
}

// Scap is Falco's modern probe behind its own measuring program. It writes nothing.
type Scap struct{ File string }

func (Scap) Name() string { return "scap-open" }
func (Scap) What() string {
	return "Falco's scap-open --modern_bpf with the same calls chosen; it counts what it reads and writes nothing, the whole host"
}

func (s Scap) Check() error {
	if s.File == "" {
		return errors.New("HINDCAST_SCAP_OPEN names no program")
	}
	if err := installed("stdbuf"); err != nil {
		return err
	}
	_, err := os.Stat(s.File)
	return err
}

func (s Scap) Start(ctx context.Context, t Target) (Run, error) {
	list, err := exec.CommandContext(ctx, s.File, "--modern_bpf", "--print_syscalls").CombinedOutput()
	codes := scapCodes(string(list))
	if len(codes) == 0 {
		return nil, errors.Join(errors.New("scap-open lists no calls"), err)
	}
	args := []string{"-oL", s.File, "--modern_bpf"}
	for _, c := range append(allCalls(), "sched_process_exit") {
		if code := codes[c]; code != "" {
			args = append(args, "--ppm_sc", code)
		}
	}
	p, err := start(filepath.Join(t.Dir, "log"), "stdbuf", args...)
	if err != nil {
		return nil, err
	}
	return &scapping{p}, p.until(ctx, func() bool { return p.says("Live capture in progress") })
}

type scapping struct{ *process }

func (r *scapping) Stop() (res Result, err error) {
	time.Sleep(200 * time.Millisecond)
	if err := r.end(syscall.SIGINT, time.Minute); err != nil {
		return res, err
	}
	res.CPU, res.Bytes = r.used(), Unknown
	b, err := os.ReadFile(r.log)
	if err != nil {
		return res, err
	}
	counters, calls := scapTotals(string(b))
	drops, ok := counters["n_drops"]
	if !ok {
		return res, errors.New("scap-open tells no drops")
	}
	for _, n := range calls {
		res.Seen += n
	}
	res.Lost = drops
	// Of the whole host: it does not tell whose they are.
	res.Opens = calls["openat__exit"] + calls["open__exit"]
	return res, nil
}
