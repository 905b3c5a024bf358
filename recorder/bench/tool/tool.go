//go:build linux

// Package tool runs what records a host, hindcast and its rivals, all in the same way: start
// it, let work be done, stop it, and tell what it saw, what it says it lost, what it wrote
// and what it used. Every tool watches the same things: processes made, replaced and ended;
// files opened, made, renamed, removed and changed in mode; connections made, taken and
// bound; and changes of user.
//
// A tool that was started is a Run; what is left of it on the host is undone by Stop, which
// may be called once, at any time.
package tool

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"hindcast/recorder/bench/load"
)

// Tool is something that records.
type Tool interface {
	Name() string
	What() string // how it is run, in a sentence
	// Check returns why it cannot run here, or nil.
	Check() error
	// Start returns when the tool watches. It may write below the target's folder alone.
	Start(ctx context.Context, t Target) (Run, error)
}

// Target is what a tool is pointed at.
type Target struct {
	Dir  string // exists and is empty
	PIDs []int  // the processes that do the work, for tools that cannot watch a whole host
}

// Run is a tool that runs.
type Run interface {
	// CPU returns what its processes have used so far.
	CPU() (time.Duration, error)
	// Resident returns the bytes of its processes in memory, now and at the peak.
	Resident() (now, peak int64, err error)
	// Stop ends it, after it has dealt with what was done until now.
	Stop() (Result, error)
}

// Unknown is a count that a tool does not tell.
const Unknown = -1

// Result is what a tool has to show.
type Result struct {
	Seen  int64         // records it made
	Opens int64         // of these, opens by the target's processes
	Lost  int64         // records it says it lost, or Unknown
	Bytes int64         // on disk, or Unknown when it keeps nothing
	CPU   time.Duration // of its whole life, what the kernel's threads did for it included
	Note  string        // what else it said, for the reader
}

// mostOutput is the bytes of a file that a tool may write: one that wants more is ended by
// the kernel, and its row says so.
const mostOutput = 4 << 30

// process is a program that was started, with its output in a file.
type process struct {
	cmd  *exec.Cmd
	log  string // file with what it prints
	done chan struct{}
	err  error // of Wait, once done is closed
}

// start runs a program whose output goes to a file. It is in a process group of its own, so
// that an interrupt from a terminal is the benchmark's to handle, and dies with it.
func start(log string, name string, args ...string) (*process, error) {
	p := &process{cmd: exec.Command(name, args...), log: log, done: make(chan struct{})}
	f, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	p.cmd.Stdout, p.cmd.Stderr = f, f
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	// A tool that tells of its own output, or of a busy host, must not fill the disk.
	most := unix.Rlimit{Cur: mostOutput, Max: mostOutput}
	if err := unix.Prlimit(p.cmd.Process.Pid, unix.RLIMIT_FSIZE, &most, nil); err != nil {
		p.cmd.Process.Kill()
		p.cmd.Wait()
		return nil, fmt.Errorf("bound its output: %w", err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// until waits for a tool to be ready. When it does not get ready, or ends, it is killed.
func (p *process) until(ctx context.Context, ready func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ready() {
		select {
		case <-tick.C:
			continue
		case <-p.done:
			return fmt.Errorf("ended at once: %s", p.complaint())
		case <-ctx.Done():
			p.kill()
			return fmt.Errorf("not ready: %w: %s", ctx.Err(), p.complaint())
		}
	}
	return nil
}

func (p *process) kill() {
	p.cmd.Process.Kill()
	<-p.done
}

// end sends a signal and waits; a program that does not end is killed.
func (p *process) end(sig syscall.Signal, limit time.Duration) error {
	select {
	case <-p.done:
		return fmt.Errorf("ended before it was told to: %v: %s", p.err, p.complaint())
	default:
	}
	if err := p.cmd.Process.Signal(sig); err != nil {
		return err
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(limit):
		p.kill()
		return fmt.Errorf("did not end in %v", limit)
	}
}

// used is what an ended program used.
func (p *process) used() time.Duration {
	return p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
}

func (p *process) CPU() (time.Duration, error) { return load.Clock(p.cmd.Process.Pid) }

func (p *process) Resident() (now, peak int64, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(b)) {
		var kb int64
		if n, _ := fmt.Sscanf(line, "VmRSS: %d kB", &kb); n == 1 {
			now = kb << 10
		}
		if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &kb); n == 1 {
			peak = kb << 10
		}
	}
	return now, peak, nil
}

// complaint returns the end of what the program printed, in one line.
func (p *process) complaint() string {
	b, _ := os.ReadFile(p.log)
	s := strings.Join(strings.Fields(string(b)), " ")
	return s[max(0, len(s)-300):]
}

func (p *process) says(text string) bool {
	b, _ := os.ReadFile(p.log)
	return strings.Contains(string(b), text)
}

func installed(names ...string) error {
	for _, n := range names {
		if _, err := exec.LookPath(n); err != nil {
			return errors.New(n + " is not installed")
		}
	}
	return nil
}

// lines calls f with every line of a file that may be large.
func lines(file string, f func(line string)) error {
	r, err := os.Open(file)
	if err != nil {
		return err
	}
	defer r.Close()
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 1<<16), 1<<24)
	for s.Scan() {
		f(s.Text())
	}
	return s.Err()
}

// size returns the bytes of all files below a folder.
func size(dir string) (n int64, err error) {
	err = filepath.Walk(dir, func(_ string, i os.FileInfo, err error) error {
		if err == nil && i.Mode().IsRegular() {
			n += i.Size()
		}
		return err
	})
	return n, err
}

// ours says whether a thread or process is one of the target's. Targets of counted work have
// one thread that opens files, whose number need not be the process's.
func (t Target) ours(id int) bool {
	for _, pid := range t.PIDs {
		if id == pid {
			return true
		}
		if _, err := os.Stat(fmt.Sprintf("/proc/%d/task/%d", pid, id)); err == nil {
			return true
		}
	}
	return false
}

// memo remembers the answers of ours, which asks the kernel.
func (t Target) memo() func(id int) bool {
	known := map[int]bool{}
	return func(id int) bool {
		is, ok := known[id]
		if !ok {
			is = t.ours(id)
			known[id] = is
		}
		return is
	}
}
