//go:build linux

package kerntest

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// BenchmarkPrograms reports the nanoseconds that programs take in the kernel (its own run
// statistics) for calls that are selected, and the time of the whole call.
func BenchmarkPrograms(b *testing.B) {
	set := programs(b)
	stats, err := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME)
	if err != nil {
		b.Skipf("needs run statistics of the kernel: %v", err)
	}
	defer stats.Close()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	path := filepath.Join(b.TempDir(), "file")
	fd, _ := unix.Open(path, unix.O_CREAT|unix.O_RDWR, 0o600)
	defer unix.Close(fd)
	buf := make([]byte, 1)
	unix.Write(fd, buf)
	mebibyte, refused := words(1<<20, 1), []string{"one", "two", "three"}
	for _, c := range []struct {
		name  string
		progs []string
		call  func()
	}{
		{"getppid", nil, func() { unix.Getppid() }},
		{"pread", []string{"hc_pread64"}, func() { unix.Pread(fd, buf, 0) }},
		{"open+close", []string{"hc_openat", "hc_enter_openat", "hc_openat_claim"}, func() { f, _ := unix.Open(path, unix.O_RDONLY, 0); unix.Close(f) }},
		{"chmod", []string{"hc_fchmodat"}, func() { unix.Chmod(path, 0o600) }},
		{"fork+exec+exit", []string{"hc_fork", "hc_exec", "hc_exit"}, func() { exec.Command("/bin/true").Run() }},
		{"exec with 1 MiB of arguments", []string{"hc_exec"}, func() { (&exec.Cmd{Path: "/bin/true", Args: mebibyte, Env: []string{"A=1"}}).Run() }},
		{"refused exec", []string{"hc_execve"}, func() { unix.Exec(path, refused, nil) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			before := map[string]*ebpf.ProgramStats{}
			for _, p := range c.progs {
				before[p], _ = set.Hook(p).Program().Stats()
			}
			for i := 0; b.Loop(); i++ {
				c.call()
				if i%1000 == 999 {
					b.StopTimer()
					drain(b)
					b.StartTimer()
				}
			}
			for _, p := range c.progs {
				s, _ := set.Hook(p).Program().Stats()
				if n := s.RunCount - before[p].RunCount; n > 0 {
					b.ReportMetric(float64(s.Runtime-before[p].Runtime)/float64(n), "ns/"+p)
				}
			}
			b.StopTimer()
			drain(b)
		})
	}
	_ = os.Remove(path)
}
