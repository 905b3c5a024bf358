//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/cilium/ebpf"
)

// recording is a running recorder.
type recording struct {
	cmd      *exec.Cmd
	dir      string
	programs map[ebpf.ProgramID]*ebpf.Program // those it loaded
	stderr   bytes.Buffer
}

// record starts the recorder on the whole host and returns when its programs are
// attached and its first segment is being written.
func record(hindcast, dir string) (*recording, error) {
	before, err := programs()
	if err != nil {
		return nil, err
	}
	r := &recording{dir: dir, cmd: exec.Command(hindcast, "record", "-w", dir), programs: map[ebpf.ProgramID]*ebpf.Program{}}
	r.cmd.Stderr = &r.stderr
	if err := r.cmd.Start(); err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if open, _ := filepath.Glob(filepath.Join(dir, "dt=*", "*.arrows.open")); len(open) > 0 {
			if st, err := os.Stat(open[0]); err == nil && st.Size() > 0 {
				break
			}
		}
		if time.Now().After(deadline) {
			err := r.stop()
			return nil, errors.Join(fmt.Errorf("the recorder does not start: %s", r.stderr.String()), err)
		}
	}
	time.Sleep(400 * time.Millisecond) // the snapshot of what was there is over by then
	after, err := programs()
	if err != nil {
		return nil, err
	}
	for id := range after {
		if !before[id] {
			p, err := ebpf.NewProgramFromID(id)
			if err != nil {
				continue // an iterator of the snapshot, already gone
			}
			r.programs[id] = p
		}
	}
	if len(r.programs) == 0 {
		err := r.stop()
		return nil, errors.Join(errors.New("the recorder has loaded no program"), err)
	}
	return r, nil
}

// stop ends the recorder as a user would, and waits until it has sealed and the kernel
// has let go of its programs, which can take longer than the process lives.
func (r *recording) stop() error {
	for _, p := range r.programs {
		p.Close()
	}
	if err := r.cmd.Process.Signal(syscall.SIGINT); err != nil {
		return err
	}
	if err := r.cmd.Wait(); err != nil {
		return fmt.Errorf("record: %w: %s", err, r.stderr.String())
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		all, err := programs()
		if err != nil {
			return err
		}
		left := 0
		for id := range r.programs {
			if all[id] {
				left++
			}
		}
		if left == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d programs of the recorder outlive it", left)
		}
	}
}

func programs() (map[ebpf.ProgramID]bool, error) {
	all := map[ebpf.ProgramID]bool{}
	for id := ebpf.ProgramID(0); ; {
		next, err := ebpf.ProgramGetNextID(id)
		if errors.Is(err, os.ErrNotExist) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		id, all[next] = next, true
	}
}

// spent is time and runs of kernel programs.
type spent struct {
	time time.Duration
	runs uint64
}

// spent returns the totals of each program, by name. The kernel counts only while
// statistics are enabled.
func (r *recording) spent() (map[string]spent, error) {
	all := map[string]spent{}
	for _, p := range r.programs {
		s, err := p.Stats()
		if err != nil {
			return nil, err
		}
		i, err := p.Info()
		if err != nil {
			return nil, err
		}
		t := all[i.Name]
		all[i.Name] = spent{t.time + s.Runtime, t.runs + s.RunCount}
	}
	return all, nil
}

// cpu returns the processor time that the recorder has used so far, user and system.
func (r *recording) cpu() (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", r.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	w := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	user, err1 := strconv.ParseInt(w[11], 10, 64)
	system, err2 := strconv.ParseInt(w[12], 10, 64)
	return time.Duration(user+system) * time.Second / 100, errors.Join(err1, err2)
}

// rss returns the resident size now and at its peak, in bytes.
func (r *recording) rss() (now, peak int64, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.cmd.Process.Pid))
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

// size returns the bytes of all files below the recording's folder.
func (r *recording) size() (int64, error) {
	var n int64
	err := filepath.Walk(r.dir, func(_ string, i os.FileInfo, err error) error {
		if err == nil && i.Mode().IsRegular() {
			n += i.Size()
		}
		return err
	})
	return n, err
}
