//go:build linux && (amd64 || arm64)

package recorder

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/cilium/ebpf"
)

// child is the recorded command.
type child struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	code int           // exit code, 128 + signal; valid when done is closed
}

// start runs the command so that the kernel half has it in scope before its first instruction.
//
// The fork hook puts the children of whoever is in scope in scope too. So we step in ourselves
// for the moment of the fork: there is no helper process, no ptrace and no stopped child, and the
// kernel's own numbers are used, whatever pid namespace we run in. Nothing else of ours can slip
// in: our own bulk events are left out by thread group, and we start no other process.
func start(command []string, path string, scope *ebpf.Map, self uint32) (*child, error) {
	cmd := exec.Command(path)
	cmd.Args = command
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Err = nil // a program in the current folder was asked for by name
	// The first time, the Go runtime forks a process of its own to see whether pidfds work. Let
	// it do so now, out of scope.
	if p, err := os.FindProcess(os.Getpid()); err == nil {
		p.Release()
	}
	if err := scope.Put(self, uint32(1)); err != nil {
		return nil, &Error{Cause: ErrKernel, Err: err, Text: "cannot set the scope of the recording: " + rootCause(err)}
	}
	err := cmd.Start()
	if e := scope.Delete(self); err == nil && e != nil && !errors.Is(e, ebpf.ErrKeyNotExist) {
		cmd.Process.Kill()
		cmd.Wait()
		return nil, &Error{Cause: ErrKernel, Err: e, Text: "cannot set the scope of the recording: " + rootCause(e)}
	}
	if err != nil {
		return nil, commandError(command[0], err)
	}
	c := &child{cmd: cmd, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		cmd.Wait() // its exit state says more than the error
		st, _ := cmd.ProcessState.Sys().(syscall.WaitStatus)
		if c.code = st.ExitStatus(); st.Signaled() {
			c.code = 128 + int(st.Signal())
		}
	}()
	return c, nil
}

// stop ends the command, first kindly.
func (c *child) stop(grace time.Duration) {
	c.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-c.done:
	case <-time.After(grace):
		c.cmd.Process.Kill()
		<-c.done
	}
}

// empty tells whether no process is in scope any more.
func empty(scope *ebpf.Map) bool {
	var pid, one uint32
	return !scope.Iterate().Next(&pid, &one)
}
