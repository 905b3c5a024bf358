//go:build linux

package load

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

var micro = []*Work{
	{Name: "getppid", What: "null call (getppid)", Pinned: true, step: 5000, make: func(string) (*job, error) {
		return loop(func() error { syscall.RawSyscall(syscall.SYS_GETPPID, 0, 0, 0); return nil }), nil
	}},
	{Name: "read", What: "read of 1 byte, same file", Pinned: true, step: 2000, make: func(dir string) (*job, error) {
		fd, err := byteFile(dir, "read")
		if err != nil {
			return nil, err
		}
		buf := make([]byte, 1)
		return loop(func() error { _, err := unix.Pread(fd, buf, 0); return err }), nil
	}},
	{Name: "write", What: "write of 1 byte, same file", Pinned: true, step: 2000, make: func(dir string) (*job, error) {
		fd, err := byteFile(dir, "write")
		if err != nil {
			return nil, err
		}
		buf := make([]byte, 1)
		return loop(func() error { _, err := unix.Pwrite(fd, buf, 0); return err }), nil
	}},
	{Name: "open", What: "open and close of one file", Pinned: true, Calls: 1, step: 500, make: func(dir string) (*job, error) {
		path := filepath.Join(dir, "opened")
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			return nil, err
		}
		return loop(func() error {
			fd, err := syscall.Open(path, syscall.O_RDONLY, 0)
			if err != nil {
				return err
			}
			return syscall.Close(fd)
		}), nil
	}},
	{Name: "rename", What: "create, rename, unlink in memory", Pinned: true, Calls: 3, step: 100, make: func(dir string) (*job, error) {
		// On a disk's file system the journal takes from 10 to 70 µs and drowns all tools.
		stop := func() {}
		if memory, err := os.MkdirTemp("/dev/shm", "hindcast-bench-"); err == nil {
			dir, stop = memory, func() { os.RemoveAll(memory) }
		}
		from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
		j := loop(func() error {
			fd, err := syscall.Open(from, syscall.O_CREAT|syscall.O_WRONLY, 0o600)
			if err != nil {
				return err
			}
			syscall.Close(fd)
			if err := syscall.Rename(from, to); err != nil {
				return err
			}
			return syscall.Unlink(to)
		})
		j.stop = stop
		return j, nil
	}},
	{Name: "connect", What: "TCP connection on loopback, 1 byte", Pinned: true, Calls: 2, step: 50, make: connections},
	{Name: "spawn", What: "posix_spawn of true, wait", Pinned: true, Calls: 3, step: 5, make: func(string) (*job, error) {
		// As posix_spawn does: clone(CLONE_VM|CLONE_VFORK), then execve.
		return loop(func() error {
			pid, err := syscall.ForkExec("/bin/true", []string{"true"}, &syscall.ProcAttr{})
			if err != nil {
				return err
			}
			_, err = syscall.Wait4(pid, nil, 0, nil)
			return err
		}), nil
	}},
}

func byteFile(dir, name string) (fd int, err error) {
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte{1}, 0o600); err != nil {
		return 0, err
	}
	return syscall.Open(path, syscall.O_RDWR, 0)
}

// objects opens (creating it at first) and closes 2,000 files in turn: each is one open. It
// is the generator of the tables of rates, not a line of the table of work.
var objects = &Work{Name: "objects", What: "open and close of 2,000 files in turn", Pinned: true, Calls: 1, step: 100, make: func(dir string) (*job, error) {
	next, names := 0, [2000]string{}
	for i := range names {
		names[i] = filepath.Join(dir, fmt.Sprintf("f%04d", i))
		if err := os.WriteFile(names[i], nil, 0o600); err != nil {
			return nil, err
		}
	}
	return loop(func() error {
		next = (next + 1) % len(names)
		fd, err := syscall.Open(names[next], syscall.O_WRONLY, 0)
		if err != nil {
			return err
		}
		return syscall.Close(fd)
	}), nil
}}

// connections makes one TCP connection after the other, both ends in one thread. Many
// listening addresses keep the pairs of ports from running out.
func connections(string) (*job, error) {
	const addrs = 100
	var at [addrs]*unix.SockaddrInet4
	var ln [addrs]int
	for i := range at {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return nil, err
		}
		if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte(net.IPv4(127, 0, 1, byte(i+1)).To4())}); err != nil {
			return nil, err
		}
		if err := unix.Listen(fd, 16); err != nil {
			return nil, err
		}
		sa, err := unix.Getsockname(fd)
		if err != nil {
			return nil, err
		}
		at[i], ln[i] = sa.(*unix.SockaddrInet4), fd
	}
	buf := []byte{1}
	next := 0
	return loop(func() error {
		next = (next + 1) % addrs
		c, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(c)
		if err := unix.Connect(c, at[next]); err != nil {
			return fmt.Errorf("connect: %w", err)
		}
		s, _, err := unix.Accept4(ln[next], unix.SOCK_CLOEXEC)
		if err != nil {
			return err
		}
		if _, err = unix.Write(c, buf); err == nil {
			_, err = unix.Read(s, buf)
		}
		// The connecting end closes first: its port waits, not the listener's.
		unix.Shutdown(c, unix.SHUT_WR)
		unix.Close(s)
		return err
	}), nil
}
