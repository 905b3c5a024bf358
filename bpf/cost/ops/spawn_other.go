//go:build linux && !amd64

package ops

import "syscall"

func spawn(path string) (pid int, err error) {
	return syscall.ForkExec(path, []string{path}, &syscall.ProcAttr{})
}
