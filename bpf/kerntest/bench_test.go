//go:build linux

package kerntest

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
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
	page, at := make([]byte, 4096), int64(0)
	udp, _ := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	defer unix.Close(udp)
	unix.Bind(udp, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	own, _ := unix.Getsockname(udp)
	unix.Connect(udp, own)
	local, _ := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
	defer unix.Close(local[0])
	defer unix.Close(local[1])
	for _, c := range []struct {
		name  string
		progs []string
		call  func()
	}{
		{"getppid", nil, func() { unix.Getppid() }},
		{"pread", []string{"hc_pread64"}, func() { unix.Pread(fd, buf, 0) }},
		{"open+close", []string{"hc_openat", "hc_enter_openat", "hc_openat_claim", "hc_enter_close"}, func() { f, _ := unix.Open(path, unix.O_RDONLY, 0); unix.Close(f) }},
		{"mmap+munmap", []string{"hc_mmap", "hc_munmap"}, func() {
			a, _, _ := syscall.RawSyscall6(unix.SYS_MMAP, 0, 4096, rw, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS, ^uintptr(0), 0)
			syscall.RawSyscall(unix.SYS_MUNMAP, a, 4096, 0)
		}},
		{"map file shared+munmap", []string{"hc_mmap", "hc_munmap"}, func() {
			a, _, _ := syscall.RawSyscall6(unix.SYS_MMAP, 0, 4096, rw, unix.MAP_SHARED, uintptr(fd), 0)
			syscall.RawSyscall(unix.SYS_MUNMAP, a, 4096, 0)
		}},
		{"ioctl", []string{"hc_ioctl"}, func() { unix.IoctlGetInt(udp, unix.TIOCINQ) }},
		{"sendmsg+recvmsg udp", []string{"hc_sendmsg", "hc_recvmsg"}, func() {
			unix.SendmsgBuffers(udp, [][]byte{buf}, nil, nil, 0)
			unix.RecvmsgBuffers(udp, [][]byte{buf}, nil, 0)
		}},
		{"sendmsg+recvmsg unix", []string{"hc_sendmsg", "hc_recvmsg"}, func() {
			unix.SendmsgBuffers(local[0], [][]byte{buf}, nil, nil, 0)
			unix.RecvmsgBuffers(local[1], [][]byte{buf}, nil, 0)
		}},
		{"write a clean page", []string{"hc_dirty", "hc_pwrite64"}, func() {
			if at += 4096; at > 16<<20 {
				unix.Ftruncate(fd, 0)
				at = 0
			}
			unix.Pwrite(fd, page, at)
		}},
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
