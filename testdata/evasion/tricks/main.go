//go:build linux

// Command tricks does things in the ways that hide them from recorders, each on a marked file or
// port of its own. It harms nothing: everything happens in the directory it is given, on
// loopback, and to its own processes.
//
//	tricks -prepare DIR	makes what they need, before anybody watches
//	tricks DIR		all, each in a process of its own; prints NAME, result
//	tricks -one NAME DIR	one
package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

type trick struct {
	name string
	prep func(path string) error // nil: nothing to prepare
	do   func(path, name string) error
}

func tricks() []trick {
	file := func(f func(string) error) func(string, string) error {
		return func(path, _ string) error { return f(path) }
	}
	t := []trick{
		{"open-int80", present, file(open32)},
		{"write-int80", nil, file(write32)},
		{"unlink-int80", present, file(unlink32)},
	}
	for _, m := range []struct {
		name  string
		flags uint32
	}{{"uring", 0}, {"sqpoll", sqpoll}} {
		t = append(t,
			trick{"open-" + m.name, present, file(func(p string) error { return uringOpen(m.flags, p) })},
			trick{"write-" + m.name, nil, file(func(p string) error { return uringWrite(m.flags, p) })},
			trick{"unlink-" + m.name, present, file(func(p string) error { return uringUnlink(m.flags, p) })},
			trick{"connect-" + m.name, nil, listening(47200+int(m.flags), func(port int) error { return uringConnect(m.flags, port) })})
	}
	return append(t,
		trick{"write-mmap", present, file(mapped)},
		trick{"write-sendfile", nil, file(copied("sendfile"))},
		trick{"write-copy_file_range", func(p string) error { return present(p + ".from") }, file(copied("copy_file_range"))},
		trick{"write-splice", nil, file(copied("splice"))},
		trick{"exec-memfd", nil, execMemfd},
		trick{"exec-fd", program, execFD},
		trick{"exec-loader", program, execLoader},
		trick{"exec-thread", program, execThread},
		trick{"exec-padding", program, execPadding},
		trick{"mem-self", nil, memSelf},
		trick{"process_vm_writev", nil, vmWrite},
		trick{"scm-rights", nil, passed},
		trick{"open-race", pair, raced},
		trick{"open-deep", nil, deep},
		trick{"connect-unix-abstract", nil, abstract},
		trick{"socket-raw", nil, raw},
		trick{"prctl-name", nil, renamed},
		trick{"setns", nil, entered},
		trick{"tmpfile-link", nil, linked},
		trick{"ptrace", nil, traced},
	)
}

func main() {
	if len(os.Args) == 4 && os.Args[1] == "-one" {
		for _, t := range tricks() {
			if t.name == os.Args[2] {
				if err := t.do(filepath.Join(os.Args[3], t.name), t.name); err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
			}
		}
		return
	}
	if len(os.Args) == 3 && os.Args[1] == "-prepare" {
		for _, t := range tricks() {
			if t.prep == nil {
				continue
			}
			if err := t.prep(filepath.Join(os.Args[2], t.name)); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
		}
		return
	}
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: tricks [-prepare] DIR")
		os.Exit(2)
	}
	for _, t := range tricks() {
		var why bytes.Buffer
		cmd := exec.Command("/proc/self/exe", "-one", t.name, os.Args[1])
		cmd.Stderr = &why
		result := "done"
		if err := cmd.Run(); err != nil {
			result = strings.TrimSpace(why.String() + " (" + err.Error() + ")")
		}
		fmt.Printf("%s\t%s\n", t.name, result)
	}
}

func present(p string) error { return os.WriteFile(p, make([]byte, 4096), 0o600) }

// listening gives a listener on a marked port.
func listening(port int, f func(int) error) func(string, string) error {
	return func(string, string) error {
		l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err != nil {
			return err
		}
		defer l.Close()
		return f(port)
	}
}

// mapped stores into a shared mapping whose descriptor is closed.
func mapped(p string) error {
	fd, err := unix.Open(p, unix.O_RDWR, 0)
	if err != nil {
		return err
	}
	b, err := unix.Mmap(fd, 0, 4, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	unix.Close(fd)
	copy(b, "evil")
	return unix.Munmap(b)
}

// copied fills a file without a write.
func copied(how string) func(string) error {
	return func(p string) error {
		src, err := os.Open("/proc/self/exe")
		if err != nil {
			return err
		}
		dst, err := unix.Open(p, unix.O_CREAT|unix.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		switch how {
		case "sendfile":
			_, err = unix.Sendfile(dst, int(src.Fd()), nil, 4096)
		case "copy_file_range":
			fd, err := unix.Open(p+".from", unix.O_RDONLY, 0) // of the same file system

			if err != nil {
				return err
			}
			_, err = unix.CopyFileRange(fd, nil, dst, nil, 4096, 0)
			return err
		default:
			var pipe [2]int
			if err := unix.Pipe(pipe[:]); err != nil {
				return err
			}
			if _, err = unix.Splice(int(src.Fd()), nil, pipe[1], nil, 4096, 0); err == nil {
				_, err = unix.Splice(pipe[0], nil, dst, nil, 4096, 0)
			}
		}
		return err
	}
}

// execveat replaces this process by the program behind a descriptor.
func execveat(fd int, path string, argv []string, flags int) error {
	args, err := syscall.SlicePtrFromStrings(argv)
	if err != nil {
		return err
	}
	p, _ := unix.BytePtrFromString(path)
	env := []*byte{nil}
	_, _, e := unix.Syscall6(unix.SYS_EXECVEAT, uintptr(fd), uintptr(unsafe.Pointer(p)), uintptr(unsafe.Pointer(&args[0])), uintptr(unsafe.Pointer(&env[0])), uintptr(flags), 0)
	return e
}

func execMemfd(_, name string) error {
	b, err := os.ReadFile("/bin/true")
	if err != nil {
		return err
	}
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return err
	}
	if _, err := unix.Write(fd, b); err != nil {
		return err
	}
	return execveat(fd, "", []string{"[kworker/0:1]"}, unix.AT_EMPTY_PATH)
}

// program puts a copy of a program that does nothing under a marked name.
func program(p string) error {
	b, err := os.ReadFile("/bin/true")
	if err != nil {
		return err
	}
	return os.WriteFile(p, b, 0o700)
}

func execFD(p, _ string) error {
	fd, err := unix.Open(p, unix.O_PATH, 0)
	if err != nil {
		return err
	}
	return execveat(fd, "", []string{"true"}, unix.AT_EMPTY_PATH)
}

func execLoader(p, _ string) error {
	loader, _ := filepath.Glob("/lib64/ld-linux-*.so.*")
	if len(loader) == 0 {
		if loader, _ = filepath.Glob("/lib/ld-linux-*.so.*"); len(loader) == 0 {
			return errors.New("no loader found")
		}
	}
	return unix.Exec(loader[0], []string{"sshd", p}, nil)
}

func execThread(p, _ string) error {
	failed := make(chan error)
	go func() {
		runtime.LockOSThread()
		for unix.Gettid() == unix.Getpid() { // the leader must stay out of it
			go func() { runtime.LockOSThread(); failed <- unix.Exec(p, []string{"true"}, nil) }()
			select {}
		}
		failed <- unix.Exec(p, []string{"true"}, nil)
	}()
	return <-failed
}

func execPadding(p, name string) error {
	return unix.Exec(p, []string{"true", strings.Repeat("A", 100_000), "hidden-" + name}, nil)
}

var target = []byte("target-of-the-write")

func memSelf(_, _ string) error {
	f, err := os.OpenFile("/proc/self/mem", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte("EVIL"), int64(uintptr(unsafe.Pointer(&target[0]))))
	return err
}

// sleeper starts a harmless process to be reached into.
func sleeper() (*exec.Cmd, error) {
	cmd := exec.Command("/bin/sleep", "20")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd, cmd.Start()
}

func vmWrite(_, _ string) error {
	cmd, err := sleeper()
	if err != nil {
		return err
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	time.Sleep(50 * time.Millisecond)
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", cmd.Process.Pid))
	if err != nil {
		return err
	}
	for _, l := range strings.Split(string(maps), "\n") {
		if strings.Contains(l, "[stack]") {
			from, err := strconv.ParseUint(l[:strings.IndexByte(l, '-')], 16, 64)
			if err != nil {
				return err
			}
			b := []byte{0}
			local := []unix.Iovec{{Base: &b[0], Len: 1}}
			_, err = unix.ProcessVMWritev(cmd.Process.Pid, local, []unix.RemoteIovec{{Base: uintptr(from), Len: 1}}, 0)
			return err
		}
	}
	return errors.New("no stack found")
}

// passed opens a file in one process and writes it in another, which got the descriptor.
func passed(p, name string) error {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	if os.Getenv("TRICK_CHILD") != "" {
		return receive(3)
	}
	cmd := exec.Command("/proc/self/exe", "-one", name, filepath.Dir(p))
	cmd.Env = append(os.Environ(), "TRICK_CHILD=1")
	cmd.ExtraFiles = []*os.File{os.NewFile(uintptr(pair[1]), "")}
	if err := cmd.Start(); err != nil {
		return err
	}
	fd, err := unix.Open(p, unix.O_CREAT|unix.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err := unix.Sendmsg(pair[0], []byte{1}, unix.UnixRights(fd), nil, 0); err != nil {
		return err
	}
	return cmd.Wait()
}

func receive(via int) error {
	b, oob := make([]byte, 1), make([]byte, 100)
	_, n, _, _, err := unix.Recvmsg(via, b, oob, 0)
	if err != nil {
		return err
	}
	msgs, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil || len(msgs) == 0 {
		return fmt.Errorf("no descriptor: %v", err)
	}
	fds, err := unix.ParseUnixRights(&msgs[0])
	if err != nil {
		return err
	}
	_, err = unix.Write(fds[0], []byte("written"))
	return err
}

// pair makes the file that is meant and the one that is shown.
func pair(p string) error {
	if err := present(p + "-HIDE"); err != nil {
		return err
	}
	return present(p + "-SHOW")
}

// raced opens a path that another thread keeps changing, until the file opened is the hidden one.
func raced(p, _ string) error {
	hidden := p + "-HIDE"
	var st unix.Stat_t
	if err := unix.Stat(hidden, &st); err != nil {
		return err
	}
	buf := append([]byte(hidden), 0)
	at := len(hidden) - 4
	h, s := *(*uint32)(unsafe.Pointer(&[]byte("HIDE")[0])), *(*uint32)(unsafe.Pointer(&[]byte("SHOW")[0]))
	word := (*uint32)(unsafe.Pointer(&buf[at]))
	var stop atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		for !stop.Load() {
			*word = s
			*word = h
		}
		*word = s
	}()
	defer func() { stop.Store(true); <-done }()
	for range 20_000 {
		fd, _, e := unix.Syscall(unix.SYS_OPEN, uintptr(unsafe.Pointer(&buf[0])), 0, 0)
		if e == 0 {
			var got unix.Stat_t
			unix.Fstat(int(fd), &got)
			unix.Close(int(fd))
			if got.Ino == st.Ino {
				return nil
			}
		}
	}
	return errors.New("the race was never won")
}

func deep(p, name string) error {
	here, err := os.Getwd()
	if err != nil {
		return err
	}
	defer os.Chdir(here)
	if err := os.Chdir(filepath.Dir(p)); err != nil {
		return err
	}
	part := strings.Repeat("d", 200)
	for range 30 { // 6,000 bytes: no call could name it at once
		if err := os.Mkdir(part, 0o700); err != nil && !os.IsExist(err) {
			return err
		}
		if err := os.Chdir(part); err != nil {
			return err
		}
	}
	fd, err := unix.Open(name, unix.O_CREAT|unix.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

func abstract(_, name string) error {
	l, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	at := &unix.SockaddrUnix{Name: "@" + name}
	if err := unix.Bind(l, at); err != nil {
		return err
	}
	if err := unix.Listen(l, 1); err != nil {
		return err
	}
	c, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	if err := unix.Connect(c, at); err != nil {
		return err
	}
	_, err = unix.Write(c, []byte("hello"))
	return err
}

func raw(_, _ string) error {
	_, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0x0300)
	return err
}

func renamed(_, _ string) error {
	runtime.LockOSThread()
	b, _ := unix.BytePtrFromString("kworker/u8:evil")
	return unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(b)), 0, 0, 0)
}

func entered(_, _ string) error {
	cmd := exec.Command("/bin/sleep", "20")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Cloneflags: syscall.CLONE_NEWUTS}
	if err := cmd.Start(); err != nil {
		return err
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	fd, err := unix.Open(fmt.Sprintf("/proc/%d/ns/uts", cmd.Process.Pid), unix.O_RDONLY, 0)
	if err != nil {
		return err
	}
	runtime.LockOSThread()
	return unix.Setns(fd, unix.CLONE_NEWUTS)
}

func linked(p, _ string) error {
	fd, err := unix.Open(filepath.Dir(p), unix.O_TMPFILE|unix.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err := unix.Write(fd, []byte("written")); err != nil {
		return err
	}
	return unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", fd), unix.AT_FDCWD, p, unix.AT_SYMLINK_FOLLOW)
}

func traced(_, _ string) error {
	runtime.LockOSThread()
	cmd, err := sleeper()
	if err != nil {
		return err
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	if err := unix.PtraceAttach(cmd.Process.Pid); err != nil {
		return err
	}
	var ws unix.WaitStatus
	if _, err := unix.Wait4(cmd.Process.Pid, &ws, unix.WALL, nil); err != nil {
		return err
	}
	return unix.PtraceDetach(cmd.Process.Pid)
}
