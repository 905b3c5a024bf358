//go:build linux && (amd64 || arm64)

package probe

import (
	"bufio"
	"io"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

const tracefs = "/sys/kernel/tracing"

// withTracefs runs f where the kernel's list of tracepoints can be read. On a host that has not
// mounted tracefs, f runs on a thread in a mount namespace of its own, where it is: nothing
// outside of this process sees the mount, and nothing is left to clean up, because the thread
// ends with f. When even that fails f runs anyway, and the hooks that need it say why they do not attach.
func withTracefs(f func()) {
	if mounted() {
		f()
	} else {
		privately(tracefs, f)
	}
}

func privately(at string, f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread must not be used by others
		if unix.Gettid() == os.Getpid() {
			// The first thread stands for the process in /proc and cannot end: keep off it.
			privately(at, f)
			runtime.UnlockOSThread()
			return
		}
		if unix.Unshare(unix.CLONE_NEWNS) == nil && unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "") == nil {
			_ = unix.Mount("tracefs", at, "tracefs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
		}
		f()
	}()
	<-done
}

func mounted() bool {
	for _, p := range []string{tracefs, "/sys/kernel/debug/tracing"} {
		var st unix.Statfs_t
		if unix.Statfs(p, &st) == nil && st.Type == unix.TRACEFS_MAGIC {
			return true
		}
	}
	return false
}

// Tracefs tells whether the list of tracepoints is mounted on this host.
func Tracefs() bool { return mounted() }

// CgroupRoot returns where the cgroup2 hierarchy is mounted, empty when it is not. Hosts that
// use both versions have it below the others.
func CgroupRoot() string {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return ""
	}
	defer f.Close()
	return cgroupRoot(f)
}

// cgroupRoot finds the cgroup2 mount whose root is the root of the hierarchy, or else any.
func cgroupRoot(mountinfo io.Reader) string {
	any := ""
	for s := bufio.NewScanner(mountinfo); s.Scan(); {
		left, right, ok := strings.Cut(s.Text(), " - ")
		fields := strings.Fields(left)
		if !ok || len(fields) < 5 || !strings.HasPrefix(right, "cgroup2 ") {
			continue
		}
		point := unescape(fields[4])
		if fields[3] == "/" {
			return point
		}
		if any == "" {
			any = point
		}
	}
	return any
}

// unescape undoes the octal escapes of mountinfo.
func unescape(s string) string {
	for _, c := range []struct{ code, char string }{{`\040`, " "}, {`\011`, "\t"}, {`\012`, "\n"}, {`\134`, `\`}} {
		s = strings.ReplaceAll(s, c.code, c.char)
	}
	return s
}
