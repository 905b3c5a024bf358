//go:build linux

package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// facts describe the machine and the code: what a reader needs to judge the numbers,
// and nothing that names the host.
type facts struct {
	commit, kernel, cpu string
	cpus                int
	memory              uint64
	virtual             bool
}

func machine() (facts, error) {
	var f facts
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return f, err
	}
	var s unix.Sysinfo_t
	if err := unix.Sysinfo(&s); err != nil {
		return f, err
	}
	f.kernel, _, _ = strings.Cut(unix.ByteSliceToString(u.Release[:]), "-")
	f.cpus, f.memory = runtime.NumCPU(), s.Totalram*uint64(s.Unit)
	f.cpu = runtime.GOARCH
	if file, err := os.Open("/proc/cpuinfo"); err == nil {
		defer file.Close()
		for lines := bufio.NewScanner(file); lines.Scan(); {
			name, value, _ := strings.Cut(lines.Text(), ":")
			switch strings.TrimSpace(name) {
			case "model name":
				f.cpu = strings.TrimSpace(value)
			case "flags":
				f.virtual = strings.Contains(value, " hypervisor")
			}
		}
	}
	f.commit = "unknown"
	if out, err := exec.Command("git", "describe", "--always", "--dirty", "--exclude", "*").Output(); err == nil {
		f.commit = strings.TrimSpace(string(out))
	}
	return f, nil
}

func (f facts) String() string {
	kind := "a machine of its own"
	if f.virtual {
		kind = "a virtual machine: read the ratios"
	}
	return fmt.Sprintf("Commit %s, %s, Linux %s, %d x %s, %d GiB, %s.",
		f.commit, runtime.Version(), f.kernel, f.cpus, f.cpu, f.memory>>30, kind)
}
