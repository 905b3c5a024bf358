//go:build linux

package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A piece of work that can be repeated. do repeats it n times.
type work struct {
	name string
	what string // for the table
	step int    // repetitions between two looks at the clock
	make func(dir string) (do func(n int) error, err error)
}

var works = []work{
	{"getppid", "getppid: a call that is not recorded", 5000, func(string) (func(int) error, error) {
		return func(n int) error {
			for range n {
				syscall.RawSyscall(syscall.SYS_GETPPID, 0, 0, 0)
			}
			return nil
		}, nil
	}},
	{"read", "read of 1 byte from a file already reported", 2000, func(dir string) (func(int) error, error) {
		path := filepath.Join(dir, "byte")
		if err := os.WriteFile(path, []byte{1}, 0o600); err != nil {
			return nil, err
		}
		fd, err := syscall.Open(path, syscall.O_RDONLY, 0)
		if err != nil {
			return nil, err
		}
		buf := make([]byte, 1)
		return func(n int) error {
			for range n {
				if _, err := unix.Pread(fd, buf, 0); err != nil {
					return err
				}
			}
			return nil
		}, nil
	}},
	{"open", "open and close of one file", 500, func(dir string) (func(int) error, error) {
		path := filepath.Join(dir, "opened")
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			return nil, err
		}
		return func(n int) error {
			for range n {
				fd, err := syscall.Open(path, syscall.O_RDONLY, 0)
				if err != nil {
					return err
				}
				if err := syscall.Close(fd); err != nil {
					return err
				}
			}
			return nil
		}, nil
	}},
	{"exec", "fork, exec and exit of true", 5, func(string) (func(int) error, error) {
		return func(n int) error {
			for range n {
				pid, err := syscall.ForkExec("/bin/true", []string{"true"}, &syscall.ProcAttr{})
				if err != nil {
					return err
				}
				if _, err := syscall.Wait4(pid, nil, 0, nil); err != nil {
					return err
				}
			}
			return nil
		}, nil
	}},
	{"connect", "connect, accept, 1 byte and close on loopback", 50, connections},
}

// connections makes one TCP connection after the other, both ends in one thread. Many
// listening addresses keep the pairs of ports from running out.
func connections(string) (func(int) error, error) {
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
	return func(n int) error {
		for range n {
			next = (next + 1) % addrs
			c, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			if err := unix.Connect(c, at[next]); err != nil {
				return fmt.Errorf("connect: %w", err)
			}
			s, _, err := unix.Accept4(ln[next], unix.SOCK_CLOEXEC)
			if err != nil {
				return err
			}
			if _, err := unix.Write(c, buf); err != nil {
				return err
			}
			if _, err := unix.Read(s, buf); err != nil {
				return err
			}
			unix.Close(c)
			unix.Close(s)
		}
		return nil
	}, nil
}

// flood opens, writes and closes many files as fast as it can: every round is an open
// and a first write on an object of its own.
func flood(dir string) (func(int) error, error) {
	const files = 2000
	var names [files]string
	for i := range names {
		names[i] = filepath.Join(dir, fmt.Sprintf("f%04d", i))
	}
	next := 0
	return func(n int) error {
		for range n {
			next = (next + 1) % files
			fd, err := syscall.Open(names[next], syscall.O_WRONLY|syscall.O_CREAT, 0o600)
			if err != nil {
				return err
			}
			if _, err := syscall.Write(fd, []byte{1}); err != nil {
				return err
			}
			if err := syscall.Close(fd); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

// paced is the same at 50,000 rounds a second, about 100,000 events.
func paced(dir string) (func(n int) error, error) {
	const rate = 50_000
	do, err := flood(dir)
	if err != nil {
		return nil, err
	}
	var due time.Time
	return func(n int) error {
		if now := time.Now(); due.Before(now.Add(-time.Second)) {
			due = now // the first call, or one after a pause
		}
		due = due.Add(time.Duration(n) * time.Second / rate)
		if err := do(n); err != nil {
			return err
		}
		time.Sleep(time.Until(due))
		return nil
	}, nil
}

// serve is the worker: it reads "NAME MICROSECONDS" lines and answers each with
// "OPERATIONS NANOSECONDS", the latter of processor time.
func serve(dir string) error {
	runtime.LockOSThread()
	do := map[string]func(int) error{}
	step := map[string]int{}
	for _, w := range append(works, work{name: "flood", step: 100, make: flood}, work{name: "paced", step: 500, make: paced}) {
		f, err := w.make(dir)
		if err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
		do[w.name], step[w.name] = f, w.step
	}
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		var name string
		var us int
		if _, err := fmt.Sscan(in.Text(), &name, &us); err != nil {
			return err
		}
		begin, ops := time.Now(), 0
		used, err := processorTime()
		if err != nil {
			return err
		}
		for time.Since(begin) < time.Duration(us)*time.Microsecond {
			if err := do[name](step[name]); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			ops += step[name]
		}
		now, err := processorTime()
		if err != nil {
			return err
		}
		if _, err := fmt.Println(ops, int64(now-used)); err != nil {
			return err
		}
	}
	return in.Err()
}

// processorTime returns what this process and its ended children have used.
func processorTime() (time.Duration, error) {
	var own unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &own); err != nil {
		return 0, err
	}
	var children unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_CHILDREN, &children); err != nil {
		return 0, err
	}
	return time.Duration(own.Nano() + children.Utime.Nano() + children.Stime.Nano()), nil
}
