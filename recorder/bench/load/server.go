//go:build linux

package load

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// serveOn starts a server on processor 0 and returns when it takes connections on the port.
// The kernel kills it when the worker dies.
func serveOn(port int, name string, args ...string) (*exec.Cmd, error) {
	cmd := exec.Command(name, args...)
	cmd.Env = environ()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	if err := on(0, cmd.Start); err != nil {
		return nil, err
	}
	for until := time.Now().Add(10 * time.Second); time.Now().Before(until); time.Sleep(20 * time.Millisecond) {
		c, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			return cmd, c.Close()
		}
	}
	end(cmd)
	return nil, errors.New(name + " does not answer: " + complaint.String())
}

func end(cmd *exec.Cmd) {
	cmd.Process.Signal(syscall.SIGTERM)
	done := time.AfterFunc(5*time.Second, func() { cmd.Process.Kill() })
	cmd.Wait()
	done.Stop()
}

// freePort returns a port of 127.0.0.1 that nobody listens on.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// on runs f, which starts a process, on one processor: the child inherits that. Client and
// server stay on one each, so that where the scheduler puts them is not what is measured.
func on(cpu int, f func() error) error {
	if runtime.NumCPU() < 2 {
		return f()
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, pin unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return err
	}
	if before.Count() < 2 {
		return f()
	}
	pin.Set(cpu)
	if err := unix.SchedSetaffinity(0, &pin); err != nil {
		return err
	}
	return errors.Join(f(), unix.SchedSetaffinity(0, &before))
}

// Clock returns the processor time that a running process, with all its threads, has used.
func Clock(pid int) (time.Duration, error) {
	// The kernel's number of a process's clock, as clock_getcpuclockid makes it.
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|2), &t); err != nil {
		return 0, fmt.Errorf("clock of process %d: %w", pid, err)
	}
	return time.Duration(t.Nano()), nil
}
