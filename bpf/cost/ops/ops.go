//go:build linux

package ops

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Op is something to do again and again, from one thread.
type Op struct {
	Name string
	// Some is how often it is done between two readings of the clock: few, so that most rounds
	// pass without the timer of the kernel.
	Some int
	Do   func() error
}

// Ops prepares everything in the folder and returns the operations, cheapest first. The first
// call of each makes the rows that come once per object; those after it make what is repeated.
func Ops(dir string) ([]Op, error) {
	var p prepared
	file := p.file(dir, "file", 0o600, []byte("a"))
	spare := p.file(dir, "other", 0o600, []byte("a"))
	exe := p.file(dir, "exe", 0o700, program())
	fd := p.fd(unix.Open(file, unix.O_RDWR|unix.O_CLOEXEC, 0))
	buf := make([]byte, 64)
	var pipe [2]int
	p.err = errors.Join(p.err, unix.Pipe2(pipe[:], unix.O_CLOEXEC))
	udp := p.fd(unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0))
	if p.err == nil {
		p.err = p.loop(udp)
	}
	tcp := p.listener()
	to := filepath.Join(dir, "to")
	fresh := filepath.Join(dir, "fresh")
	moved := filepath.Join(dir, "moved")
	if p.err != nil {
		return nil, fmt.Errorf("prepare operations: %w", p.err)
	}
	raw := func(nr, a, b, c, d uintptr) error {
		if _, _, e := syscall.RawSyscall6(nr, a, b, c, d, 0, 0); e != 0 {
			return e
		}
		return nil
	}
	at := uintptr(unsafe.Pointer(&buf[0]))
	return []Op{
		{"getppid", 500, func() error { return raw(unix.SYS_GETPPID, 0, 0, 0, 0) }},
		{"pread of 1 byte", 200, func() error { return raw(unix.SYS_PREAD64, uintptr(fd), at, 1, 0) }},
		{"pwrite of 1 byte", 100, func() error { return raw(unix.SYS_PWRITE64, uintptr(fd), at, 1, 0) }},
		{"write and read of a pipe", 100, func() error {
			return errors.Join(raw(unix.SYS_WRITE, uintptr(pipe[1]), at, 1, 0), raw(unix.SYS_READ, uintptr(pipe[0]), at, 1, 0))
		}},
		{"open and close", 50, func() error {
			f, err := unix.Open(file, unix.O_RDONLY|unix.O_CLOEXEC, 0)
			return errors.Join(err, unix.Close(f))
		}},
		{"open that fails", 50, func() error {
			if f, err := unix.Open(moved, unix.O_RDONLY, 0); err == nil {
				return fmt.Errorf("%s is there, descriptor %d", moved, f)
			}
			return nil
		}},
		{"map a file and unmap", 50, func() error {
			a, _, e := syscall.RawSyscall6(unix.SYS_MMAP, 0, 4096, unix.PROT_READ, unix.MAP_PRIVATE, uintptr(fd), 0)
			if e != 0 {
				return e
			}
			return raw(unix.SYS_MUNMAP, a, 4096, 0, 0)
		}},
		{"send and receive by UDP", 20, func() error {
			return errors.Join(raw(unix.SYS_WRITE, uintptr(udp), at, 1, 0), raw(unix.SYS_READ, uintptr(udp), at, 64, 0))
		}},
		{"two renames", 20, func() error { return errors.Join(unix.Rename(spare, to), unix.Rename(to, spare)) }},
		{"chmod", 20, func() error { return unix.Chmod(spare, 0o600) }},
		{"create, rename, unlink", 10, func() error {
			f, err := unix.Open(fresh, unix.O_CREAT|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
			return errors.Join(err, unix.Close(f), unix.Rename(fresh, moved), unix.Unlink(moved))
		}},
		{"TCP connect, accept, close", 5, tcp.connect},
		{"fork, exec, exit", 2, func() error {
			pid, err := spawn(exe)
			if err != nil {
				return err
			}
			var status syscall.WaitStatus
			if _, err = syscall.Wait4(pid, &status, 0, nil); err == nil && status != 0 {
				err = fmt.Errorf("status %#x", status)
			}
			return err
		}},
	}, nil
}

// prepared keeps the first failure of preparing.
type prepared struct{ err error }

func (p *prepared) fd(fd int, err error) int {
	p.err = errors.Join(p.err, err)
	return fd
}

func (p *prepared) file(dir, name string, mode os.FileMode, content []byte) string {
	path := filepath.Join(dir, name)
	p.err = errors.Join(p.err, os.WriteFile(path, content, mode))
	return path
}

// loop connects a socket to itself.
func (p *prepared) loop(fd int) error {
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return err
	}
	own, err := unix.Getsockname(fd)
	if err != nil {
		return err
	}
	return unix.Connect(fd, own)
}

// listeners is sockets that take connections, on several addresses: the pairs of ports of one
// would be used up.
type listeners struct {
	fds  [16]int
	at   [16]unix.Sockaddr
	next int
}

func (p *prepared) listener() *listeners {
	l := &listeners{}
	for i := range l.fds {
		fd := p.fd(unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0))
		if p.err == nil {
			p.err = unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 2, byte(i + 1)}})
		}
		if p.err == nil {
			p.err = unix.Listen(fd, 16)
		}
		if p.err == nil {
			l.at[i], p.err = unix.Getsockname(fd)
		}
		l.fds[i] = fd
	}
	return l
}

// connect makes a connection to itself and closes both ends.
func (l *listeners) connect() error {
	i := l.next % len(l.fds)
	l.next++
	c, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err := unix.Connect(c, l.at[i]); err != nil {
		return errors.Join(err, unix.Close(c))
	}
	s, _, err := unix.Accept4(l.fds[i], unix.SOCK_CLOEXEC)
	return errors.Join(err, unix.Close(c), unix.Close(s))
}

// program returns an executable that ends at once: no loader, no library, the same instructions
// every time.
func program() []byte {
	const base, head = 0x400000, 64 + 56
	code, machine := []byte{0xb8, 60, 0, 0, 0, 0x31, 0xff, 0x0f, 0x05}, uint16(62) // exit(0)
	if runtime.GOARCH == "arm64" {
		code, machine = []byte{0xa8, 0x0b, 0x80, 0xd2, 0, 0, 0x80, 0xd2, 1, 0, 0, 0xd4}, 183
	}
	le := binary.LittleEndian
	b := append([]byte("\x7fELF\x02\x01\x01"), make([]byte, 9)...)
	b = le.AppendUint16(b, 2)
	b = le.AppendUint16(b, machine)
	b = le.AppendUint32(b, 1)
	for _, v := range []uint64{base + head, 64, 0} { // entry, program headers, sections
		b = le.AppendUint64(b, v)
	}
	b = le.AppendUint32(b, 0)
	for _, v := range []uint16{64, 56, 1, 64, 0, 0} {
		b = le.AppendUint16(b, v)
	}
	size := uint64(head + len(code))
	b = le.AppendUint32(b, 1) // to be loaded
	b = le.AppendUint32(b, 5) // readable, executable
	for _, v := range []uint64{0, base, base, size, size, 4096} {
		b = le.AppendUint64(b, v)
	}
	return append(b, code...)
}
