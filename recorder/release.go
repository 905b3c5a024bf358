//go:build linux && (amd64 || arm64)

package recorder

import (
	"os/exec"
	"syscall"

	"hindcast/bpf"
)

// closeSet frees the programs. The kernel waits out its readers for each tracepoint that loses its
// last descriptor, one after the other, some two seconds in all, although nothing is attached any
// more. A holder, when there is one, gets the descriptors and keeps them a moment longer than we
// do, so that whoever waits for us need not wait for that.
func closeSet(set *bpf.Set, holder []string) {
	events := set.Events()
	if len(holder) == 0 || len(events) == 0 {
		set.Close()
		return
	}
	cmd := exec.Command(holder[0], holder[1:]...)
	cmd.ExtraFiles = events
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	ours, err := cmd.StdinPipe() // its end of file tells the holder that we are done
	if err == nil {
		err = cmd.Start()
	}
	set.Close() // slow when there is no holder, else not the last
	if err == nil {
		ours.Close()
		cmd.Process.Release()
	}
}
