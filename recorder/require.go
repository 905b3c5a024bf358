//go:build linux && (amd64 || arm64)

package recorder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"hindcast/bpf"
	"hindcast/format/store"
)

// minFree is the least free space that is worth beginning with.
const minFree = 16 << 20

const btfPath = "/sys/kernel/btf/vmlinux"

// capabilities returns the effective set.
func capabilities() (uint64, error) {
	b, err := os.ReadFile("/proc/thread-self/status")
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(b), "CapEff:")
	hex, _, _ := strings.Cut(strings.TrimSpace(rest), "\n")
	return strconv.ParseUint(hex, 16, 64)
}

func has(set uint64, c int) bool { return set>>c&1 != 0 }

// requirePrivilege checks for CAP_SYS_ADMIN, or CAP_BPF and CAP_PERFMON.
func requirePrivilege() error {
	set, err := capabilities()
	if err != nil {
		return nil // no procfs: loading will tell
	}
	if has(set, unix.CAP_SYS_ADMIN) || has(set, unix.CAP_BPF) && has(set, unix.CAP_PERFMON) {
		return nil
	}
	if uid := os.Geteuid(); uid != 0 && set == 0 {
		return &Error{Cause: ErrNotRoot, Text: fmt.Sprintf("recording needs root, and this is user %d: run it with sudo", uid)}
	}
	var missing []string
	for c, name := range map[int]string{unix.CAP_BPF: "CAP_BPF", unix.CAP_PERFMON: "CAP_PERFMON"} {
		if !has(set, c) {
			missing = append(missing, name)
		}
	}
	what := "CAP_BPF and CAP_PERFMON are"
	if len(missing) == 1 {
		what = missing[0] + " is"
	}
	return &Error{Cause: ErrCapability, Text: what + " missing: give the container or service CAP_BPF and CAP_PERFMON, or CAP_SYS_ADMIN before Linux 5.8"}
}

func requireBTF() error {
	if _, err := os.Stat(btfPath); err != nil {
		return &Error{Cause: ErrNoBTF, Err: err, Text: "the kernel does not describe its types (" + btfPath + " is missing): use a kernel built with CONFIG_DEBUG_INFO_BTF"}
	}
	return nil
}

// requireSpace checks that there is room below the nearest folder that exists.
func requireSpace(dir string) error {
	free, at, err := freeSpace(dir)
	if err == nil && free < minFree {
		return &Error{Cause: ErrOutput, Err: unix.ENOSPC, Text: fmt.Sprintf("only %d MiB are free below %s and %d are needed to begin: free some, or choose another folder with -w", free>>20, at, minFree>>20)}
	}
	return nil
}

func freeSpace(dir string) (free uint64, at string, err error) {
	at, err = filepath.Abs(dir)
	if err != nil {
		return 0, dir, err
	}
	for {
		var st unix.Statfs_t
		err = unix.Statfs(at, &st)
		if err == nil {
			return st.Bavail * uint64(st.Bsize), at, nil
		}
		up := filepath.Dir(at)
		if up == at || !errors.Is(err, unix.ENOENT) {
			return 0, at, err
		}
		at = up
	}
}

// outputError says why a store cannot be written to begin with.
func outputError(dir string, err error) error {
	do := "choose another folder with -w"
	why := rootCause(err)
	switch {
	case errors.Is(err, store.ErrLocked):
		why, do = "another recording is writing it", "stop that one, or choose another folder with -w"
	case errors.Is(err, store.ErrNotAStore):
		why = "it is neither empty nor a store"
	case errors.Is(err, store.ErrForeign):
		why = "it belongs to another user"
	case errors.Is(err, store.ErrWritable):
		why, do = "others may write there", "take that right away (chmod go-w), or choose another folder with -w"
	case errors.Is(err, store.ErrVersion):
		why = "a newer hindcast wrote it"
	case errors.Is(err, fs.ErrExist):
		why = "it is not a folder"
	}
	return &Error{Cause: ErrOutput, Err: err, Text: fmt.Sprintf("cannot write to %s: %s: %s", dir, why, do)}
}

// rootCause is the text of the innermost error: what the system said.
func rootCause(err error) string {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err.Error()
		}
		err = next
	}
}

// loadError says why nothing can be loaded.
func loadError(err error) error {
	switch {
	case errors.Is(err, bpf.ErrNoBTF):
		return &Error{Cause: ErrNoBTF, Err: err, Text: "the kernel does not describe its types: use a kernel built with CONFIG_DEBUG_INFO_BTF"}
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return &Error{Cause: ErrCapability, Err: err, Text: "the kernel does not let this process load programs: a container, a user namespace or lockdown=confidentiality forbids it; see hindcast doctor"}
	case errors.Is(err, unix.ENOMEM):
		return &Error{Cause: ErrKernel, Err: err, Text: "no memory for the rings: make them smaller, or raise the limit of locked memory (ulimit -l)"}
	}
	return &Error{Cause: ErrKernel, Err: err, Text: fmt.Sprintf("the kernel refuses the programs: %s; see hindcast doctor", rootCause(err))}
}

// findCommand resolves the name of a command as a shell would.
func findCommand(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil && !errors.Is(err, exec.ErrDot) {
		return "", commandError(name, err)
	}
	return path, nil
}

// commandError says why a command cannot be run.
func commandError(name string, err error) error {
	switch {
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		return &Error{Cause: ErrCommandNotFound, Err: err, Text: name + ": no such command"}
	case errors.Is(err, unix.ENOEXEC):
		return &Error{Cause: ErrCommandNotExecutable, Err: err, Text: name + ": not a program, and its first line names no interpreter: run it with sh " + name}
	}
	return &Error{Cause: ErrCommandNotExecutable, Err: err, Text: fmt.Sprintf("%s: cannot be run: %s", name, rootCause(err))}
}
