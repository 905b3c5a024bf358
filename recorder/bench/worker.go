//go:build linux

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// worker is the process that does the work, see serve.
type worker struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// startWorker starts this program again, pinned to the processor.
func startWorker(dir string, cpu int) (*worker, error) {
	w := &worker{cmd: exec.Command("/proc/self/exe", "-serve", dir)}
	w.cmd.Stderr = os.Stderr
	w.cmd.Env = append(os.Environ(), "GOGC=off", "GOMAXPROCS=1")
	var err error
	if w.in, err = w.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	w.out = bufio.NewReader(out)

	// The child inherits the affinity of the thread that makes it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, pin unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return nil, err
	}
	pin.Set(cpu)
	if err := unix.SchedSetaffinity(0, &pin); err != nil {
		return nil, err
	}
	err = w.cmd.Start()
	return w, errors.Join(err, unix.SchedSetaffinity(0, &before))
}

// run repeats a piece of work for a window and returns how often, and ns of
// processor time for each.
func (w *worker) run(name string, window time.Duration) (ops int, ns float64, err error) {
	if _, err := fmt.Fprintf(w.in, "%s %d\n", name, window.Microseconds()); err != nil {
		return 0, 0, err
	}
	var total int64
	if _, err := fmt.Fscanln(w.out, &ops, &total); err != nil {
		return 0, 0, fmt.Errorf("%s: worker ended: %w", name, err)
	}
	return ops, float64(total) / float64(ops), nil
}

func (w *worker) stop() error {
	w.in.Close()
	return w.cmd.Wait()
}
