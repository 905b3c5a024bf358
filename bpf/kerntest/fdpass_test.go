//go:build linux

package kerntest

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"hindcast/format/event"
)

func inoOf(t testing.TB, fd int) uint64 {
	t.Helper()
	var st unix.Stat_t
	must(t, unix.Fstat(fd, &st))
	return st.Ino
}

// pair returns two connected unix sockets.
func pair(t testing.TB, kind int) [2]int {
	t.Helper()
	p, err := unix.Socketpair(unix.AF_UNIX, kind, 0)
	must(t, err)
	t.Cleanup(func() { unix.Close(p[0]); unix.Close(p[1]) })
	return p
}

// passedRow asserts a row of a passed descriptor of this process.
func passedRow(t testing.TB, r *event.Row, fd int, path string, how uint32, via, peer uint64, source int64) {
	t.Helper()
	var st syscall.Stat_t
	must(t, syscall.Fstat(fd, &st))
	sameObject(t, r, &st)
	eq(t, "path", string(r.Path), path)
	eq(t, "descriptor", r.FD, int32(fd))
	eq(t, "how", r.Op, how)
	eq(t, "by which socket", r.Ino2, via)
	eq(t, "its other end", uint64(r.N1), peer)
	eq(t, "descriptor there", r.N2, source)
}

func TestDescriptorsOverAUnixSocket(t *testing.T) {
	needs(t, "hc_recvmsg", "5.17")
	fd, path := sized(t, 1, unix.O_RDONLY)
	var pipe [2]int
	must(t, unix.Pipe(pipe[:]))
	defer unix.Close(pipe[0])
	defer unix.Close(pipe[1])
	for name, kind := range map[string]int{"stream": unix.SOCK_STREAM, "datagram": unix.SOCK_DGRAM, "packets": unix.SOCK_SEQPACKET} {
		t.Run(name, func(t *testing.T) {
			p := pair(t, kind)
			a, b := inoOf(t, p[0]), inoOf(t, p[1])
			rows := locked(t, func() { must(t, unix.Sendmsg(p[0], []byte("x"), unix.UnixRights(fd, pipe[0], p[0]), nil, 0)) })
			sent := only(rows, typ(event.FDPassed))
			eq(t, "rows of three", len(sent), 3)
			passedRow(t, &sent[0], fd, path, 2, a, b, -1)
			eq(t, "bytes", sent[0].Ret, 1)
			passedRow(t, &sent[1], pipe[0], "", 2, a, b, -1)
			passedRow(t, &sent[2], p[0], "", 2, a, b, -1)
			// one who made both ends does not tell who has the other
			eq(t, "target", sent[0].OPID, 0)

			oob := make([]byte, 128)
			var n int
			rows = locked(t, func() { _, n, _, _, _ = unix.Recvmsg(p[1], make([]byte, 10), oob, 0) })
			got := rights(t, oob[:n])
			eq(t, "received", len(got), 3)
			defer closeAll(got)
			recv := only(rows, typ(event.FDPassed))
			eq(t, "rows of three received", len(recv), 3)
			passedRow(t, &recv[0], got[0], path, 1, b, a, -1)
			passedRow(t, &recv[1], got[1], "", 1, b, a, -1)
			passedRow(t, &recv[2], got[2], "", 1, b, a, -1)
			if c, err := unix.GetsockoptUint64(got[2], unix.SOL_SOCKET, unix.SO_COOKIE); err == nil && recv[2].Cookie != 0 {
				eq(t, "cookie", recv[2].Cookie, c)
			}
		})
	}
}

func rights(t testing.TB, oob []byte) (fds []int) {
	t.Helper()
	msgs, err := unix.ParseSocketControlMessage(oob)
	must(t, err)
	for i := range msgs {
		if got, err := unix.ParseUnixRights(&msgs[i]); err == nil {
			fds = append(fds, got...)
		}
	}
	return fds
}

func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}

// mmsg is struct mmsghdr.
type mmsg struct {
	hdr unix.Msghdr
	n   uint32
	_   uint32
}

func TestDescriptorsInManyMessages(t *testing.T) {
	needs(t, "hc_recvmsg", "5.17")
	fd, path := sized(t, 1, unix.O_RDONLY)
	p := pair(t, unix.SOCK_DGRAM)
	const many = 3
	out, in := make([]mmsg, many), make([]mmsg, many)
	keep := [][]byte{}
	fill := func(m *mmsg, oob []byte) {
		data := make([]byte, 1)
		keep = append(keep, data, oob)
		iov := &unix.Iovec{Base: &data[0], Len: 1}
		held = append(held, unsafe.Slice((*byte)(unsafe.Pointer(iov)), unsafe.Sizeof(*iov)))
		m.hdr.Iov, m.hdr.Iovlen = iov, 1
		if len(oob) > 0 {
			m.hdr.Control, m.hdr.Controllen = &oob[0], uint64(len(oob))
		}
	}
	fill(&out[0], unix.UnixRights(fd))
	fill(&out[1], nil)
	fill(&out[2], unix.UnixRights(p[0], fd))
	for i := range in {
		fill(&in[i], make([]byte, 64))
	}
	a, b := inoOf(t, p[0]), inoOf(t, p[1])
	rows := locked(t, func() {
		n, _, errno := syscall.RawSyscall6(unix.SYS_SENDMMSG, uintptr(p[0]), uintptr(unsafe.Pointer(&out[0])), many, 0, 0, 0)
		if n != many {
			t.Error(n, errno)
		}
	})
	sent := only(rows, typ(event.FDPassed))
	eq(t, "sent", len(sent), 3)
	passedRow(t, &sent[0], fd, path, 2, a, b, -1)
	passedRow(t, &sent[1], p[0], "", 2, a, b, -1)
	passedRow(t, &sent[2], fd, path, 2, a, b, -1)
	rows = locked(t, func() {
		n, _, errno := syscall.RawSyscall6(unix.SYS_RECVMMSG, uintptr(p[1]), uintptr(unsafe.Pointer(&in[0])), many, unix.MSG_DONTWAIT, 0, 0)
		if n != many {
			t.Error(n, errno)
		}
	})
	var got []int
	for i := range in {
		got = append(got, rights(t, keep[2*(many+i)+1][:in[i].hdr.Controllen])...)
	}
	defer closeAll(got)
	recv := only(rows, typ(event.FDPassed))
	eq(t, "received", len(recv), 3)
	passedRow(t, &recv[0], got[0], path, 1, b, a, -1)
	passedRow(t, &recv[1], got[1], "", 1, b, a, -1)
	passedRow(t, &recv[2], got[2], path, 1, b, a, -1)
	runtime.KeepAlive(keep)
}

// As many as one message can hold, behind another kind of control message.
func TestManyDescriptorsInOneMessage(t *testing.T) {
	needs(t, "hc_recvmsg", "5.17")
	fd, _ := sized(t, 1, unix.O_RDONLY)
	p := pair(t, unix.SOCK_STREAM)
	fds := make([]int, 253)
	for i := range fds {
		fds[i] = fd
	}
	oob := append(unix.UnixCredentials(&unix.Ucred{Pid: int32(os.Getpid())}), unix.UnixRights(fds...)...)
	rows := locked(t, func() { must(t, unix.Sendmsg(p[0], []byte("x"), oob, nil, 0)) })
	ino := inoOf(t, fd)
	eq(t, "rows", len(only(rows, typ(event.FDPassed), func(r *event.Row) bool { return r.Ino == ino && r.Op == 2 })), 253)
}

// A message may hold many lists. Eight are followed; that there were more is counted.
func TestManyListsInOneMessage(t *testing.T) {
	needs(t, "hc_sendmsg", "5.17")
	set := programs(t)
	fd, path := sized(t, 1, unix.O_RDONLY)
	p := pair(t, unix.SOCK_STREAM)
	a, b := inoOf(t, p[0]), inoOf(t, p[1])
	const truncated = 6 // HC_TRUNCATED
	for lists, cut := range map[int]uint64{8: 0, 9: 1} {
		var oob []byte
		for range lists {
			oob = append(oob, unix.UnixRights(fd)...)
		}
		before := counted(t, set, truncated, event.FDPassed)
		rows := locked(t, func() { must(t, unix.Sendmsg(p[0], []byte("x"), oob, nil, 0)) })
		sent := only(rows, typ(event.FDPassed))
		eq(t, "rows", len(sent), 8)
		for i := range sent {
			passedRow(t, &sent[i], fd, path, 2, a, b, -1)
		}
		eq(t, "messages cut", counted(t, set, truncated, event.FDPassed)-before, cut)
	}
}

func TestMessagesWithoutDescriptorsMakeNoRows(t *testing.T) {
	needs(t, "hc_recvmsg", "5.17")
	p := pair(t, unix.SOCK_DGRAM)
	l, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	must(t, err)
	defer l.Close()
	u, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	must(t, err)
	defer unix.Close(u)
	to := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: l.LocalAddr().(*net.UDPAddr).Port}
	rows := locked(t, func() {
		must(t, unix.Sendmsg(p[0], []byte("x"), nil, nil, 0))
		must(t, unix.Sendmsg(p[0], []byte("x"), unix.UnixCredentials(&unix.Ucred{Pid: int32(os.Getpid())}), nil, 0))
		unix.Recvmsg(p[1], make([]byte, 1), make([]byte, 64), 0)
		unix.Recvmsg(p[1], make([]byte, 1), nil, 0)
		unix.Recvmsg(p[1], make([]byte, 1), make([]byte, 64), unix.MSG_DONTWAIT) // nothing there
		must(t, unix.Sendmsg(u, []byte("x"), nil, to, 0))
		// what would be a list of descriptors on a unix socket is refused on others
		unix.Sendmsg(u, []byte("x"), unix.UnixRights(u), to, 0)
	})
	eq(t, "rows", len(only(rows, typ(event.FDPassed))), 0)
}

func init() {
	// receive SOCKET: connects, takes a descriptor and holds it until its input ends.
	helpers["receive"] = func(args []string) int {
		c, err := net.Dial("unix", args[0])
		if err != nil {
			return 1
		}
		oob := make([]byte, 64)
		_, n, _, _, err := c.(*net.UnixConn).ReadMsgUnix(make([]byte, 1), oob)
		if err != nil {
			return 2
		}
		msgs, _ := unix.ParseSocketControlMessage(oob[:n])
		fds, _ := unix.ParseUnixRights(&msgs[0])
		fmt.Println(fds[0])
		os.Stdin.Read(make([]byte, 1))
		return 0
	}
}

// Between processes that met by a listener each end knows the other, and a descriptor that is held
// can be fetched back.
func TestDescriptorsBetweenProcesses(t *testing.T) {
	needs(t, "hc_recvmsg", "5.17")
	fd, path := sized(t, 1, unix.O_RDONLY)
	name := t.TempDir() + "/listener"
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: name})
	must(t, err)
	defer l.Close()
	cmd := helper("receive", name)
	in, _ := cmd.StdinPipe()
	out, _ := cmd.StdoutPipe()
	var theirs int
	var via uint64
	var rows []event.Row
	rows = record(t, func() {
		must(t, cmd.Start())
		c, err := l.AcceptUnix()
		must(t, err)
		raw, _ := c.SyscallConn()
		raw.Control(func(f uintptr) { via = inoOf(t, int(f)) })
		if _, _, err := c.WriteMsgUnix([]byte("x"), unix.UnixRights(fd), nil); err != nil {
			t.Error(err)
		}
		fmt.Fscan(out, &theirs)
		c.Close()
	})
	defer cmd.Process.Kill()
	pid := cmd.Process.Pid
	sent := one(t, rows, typ(event.FDPassed), by(os.Getpid()))
	passedRow(t, sent, fd, path, 2, via, uint64(sent.N1), -1)
	eq(t, "sent to", sent.OPID, uint32(pid))
	eq(t, "its start", sent.OStart/10e6, startTicks(t, pid))
	recv := one(t, rows, typ(event.FDPassed), by(pid))
	sameObject(t, recv, statOf(t, path))
	eq(t, "path", string(recv.Path), path)
	eq(t, "descriptor", recv.FD, int32(theirs))
	eq(t, "how", recv.Op, 1)
	eq(t, "ends", [2]uint64{recv.Ino2, uint64(recv.N1)}, [2]uint64{uint64(sent.N1), sent.Ino2})
	eq(t, "received from", recv.OPID, uint32(os.Getpid()))
	eq(t, "its start", recv.OStart/10e6, startTicks(t, os.Getpid()))

	pfd, err := unix.PidfdOpen(pid, 0)
	must(t, err)
	defer unix.Close(pfd)
	var mine int
	rows = locked(t, func() { mine, err = unix.PidfdGetfd(pfd, theirs, 0) })
	must(t, err)
	defer unix.Close(mine)
	r := one(t, rows, typ(event.FDPassed))
	passedRow(t, r, mine, path, 3, 0, 0, int64(theirs))
	eq(t, "result", r.Ret, int64(mine))
	eq(t, "fetched from", r.OPID, uint32(pid))
	eq(t, "its start", r.OStart/10e6, startTicks(t, pid))
	rows = locked(t, func() { _, err = unix.PidfdGetfd(pfd, 9999, 0) })
	eq(t, "rows of a failure", len(only(rows, typ(event.FDPassed))), 0)
	in.Close()
	must(t, cmd.Wait())
}

// A seccomp supervisor answers a call of another thread by giving it a descriptor.
func TestDescriptorFromASupervisor(t *testing.T) {
	programs(t)
	fd, path := sized(t, 1, unix.O_RDONLY)
	listener, result := make(chan int), make(chan int, 1)
	go ownThread(func() {
		must(t, unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		filter := []unix.SockFilter{ // getppid asks the supervisor, all else is allowed
			{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0},
			{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: unix.SYS_GETPPID},
			{Code: unix.BPF_RET | unix.BPF_K, K: 0x7fc00000},
			{Code: unix.BPF_RET | unix.BPF_K, K: 0x7fff0000},
		}
		prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
		l, _, errno := syscall.RawSyscall(unix.SYS_SECCOMP, 1, 8 /* new listener */, uintptr(unsafe.Pointer(&prog)))
		if errno != 0 {
			listener <- -1
			return
		}
		listener <- int(l)
		n, _, _ := syscall.Syscall(unix.SYS_GETPPID, 0, 0, 0)
		result <- int(n)
	})
	l := <-listener
	if l < 0 {
		t.Fatal("no listener: kernels since 5.5 have one")
	}
	defer unix.Close(l)
	const recv, send, addfd = 0xc0502100, 0xc0182101, 0x40182103
	var notif [80]byte
	ioctl := func(cmd uintptr, p unsafe.Pointer) (uintptr, syscall.Errno) {
		n, _, errno := syscall.Syscall(unix.SYS_IOCTL, uintptr(l), cmd, uintptr(p))
		return n, errno
	}
	if _, errno := ioctl(recv, unsafe.Pointer(&notif)); errno != 0 {
		t.Fatal(errno)
	}
	id := *(*uint64)(unsafe.Pointer(&notif))
	add := struct {
		id                     uint64
		flags, src, new, fdflg uint32
	}{id: id, src: uint32(fd)}
	var given uintptr
	var errno syscall.Errno
	rows := locked(t, func() { given, errno = ioctl(addfd, unsafe.Pointer(&add)) })
	answer := struct {
		id         uint64
		val        int64
		err, flags int32
	}{id: id, val: int64(given)}
	ioctl(send, unsafe.Pointer(&answer))
	theirs := <-result
	if errno != 0 {
		t.Fatalf("give a descriptor: %v: kernels since 5.9 can", errno)
	}
	defer unix.Close(theirs)
	r := one(t, rows, typ(event.FDPassed))
	passedRow(t, r, fd, path, 4, 0, 0, int64(theirs))
	eq(t, "inode there", r.Ino, inoOf(t, theirs))
}

func TestNamelessObjects(t *testing.T) {
	programs(t)
	var p [2]int32
	ptr := uintptr(unsafe.Pointer(&p))
	var fds [2]int
	sigs := make([]byte, 8)
	memName := cstring("a name")
	type call func() (uintptr, uintptr, syscall.Errno)
	raw := func(nr uintptr, a ...uintptr) call {
		for len(a) < 6 {
			a = append(a, 0)
		}
		return func() (uintptr, uintptr, syscall.Errno) {
			return syscall.RawSyscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5])
		}
	}
	for _, c := range []struct {
		name  string
		call  call
		kind  uint32
		flags int64
		path  string
	}{
		{"pipe", raw(unix.SYS_PIPE, ptr), 1, 0, ""},
		{"pipe2", raw(unix.SYS_PIPE2, ptr, unix.O_CLOEXEC|unix.O_NONBLOCK), 1, unix.O_CLOEXEC | unix.O_NONBLOCK, ""},
		{"socketpair", raw(unix.SYS_SOCKETPAIR, unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0, ptr), 2, unix.SOCK_SEQPACKET | unix.SOCK_CLOEXEC, ""},
		{"memfd_create", raw(unix.SYS_MEMFD_CREATE, uintptr(unsafe.Pointer(memName)), unix.MFD_CLOEXEC), 3, unix.MFD_CLOEXEC, "memfd:a name"},
		{"memfd_secret", raw(unix.SYS_MEMFD_SECRET, 0), 4, 0, "secretmem"},
		{"userfaultfd", raw(unix.SYS_USERFAULTFD, unix.O_CLOEXEC), 5, unix.O_CLOEXEC, ""},
		{"inotify_init", raw(unix.SYS_INOTIFY_INIT), 6, 0, ""},
		{"inotify_init1", raw(unix.SYS_INOTIFY_INIT1, unix.IN_NONBLOCK), 6, unix.IN_NONBLOCK, ""},
		{"fanotify_init", raw(unix.SYS_FANOTIFY_INIT, unix.FAN_CLOEXEC, unix.O_RDONLY), 7, unix.FAN_CLOEXEC, ""},
		{"pidfd_open", raw(unix.SYS_PIDFD_OPEN, uintptr(os.Getpid()), unix.PIDFD_NONBLOCK), 8, unix.PIDFD_NONBLOCK, ""},
		{"eventfd", raw(unix.SYS_EVENTFD, 0), 9, 0, ""},
		{"eventfd2", raw(unix.SYS_EVENTFD2, 0, unix.EFD_SEMAPHORE), 9, unix.EFD_SEMAPHORE, ""},
		{"signalfd", raw(unix.SYS_SIGNALFD, ^uintptr(0), uintptr(unsafe.Pointer(&sigs[0])), 8), 10, 0, ""},
		{"signalfd4", raw(unix.SYS_SIGNALFD4, ^uintptr(0), uintptr(unsafe.Pointer(&sigs[0])), 8, unix.SFD_NONBLOCK), 10, unix.SFD_NONBLOCK, ""},
		{"timerfd_create", raw(unix.SYS_TIMERFD_CREATE, unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK), 11, unix.TFD_NONBLOCK, ""},
		{"epoll_create", raw(unix.SYS_EPOLL_CREATE, 1), 12, 0, ""},
		{"epoll_create1", raw(unix.SYS_EPOLL_CREATE1, unix.EPOLL_CLOEXEC), 12, unix.EPOLL_CLOEXEC, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var n uintptr
			var errno syscall.Errno
			p = [2]int32{-1, -1}
			rows := locked(t, func() { n, _, errno = c.call() })
			if errno == unix.ENOSYS {
				t.Skipf("this kernel is built without %s", c.name)
			}
			if errno == unix.EINVAL && c.name == "pidfd_open" && olderThan(t, "5.10") {
				t.Skip("flags of pidfd_open came with 5.10")
			}
			if errno != 0 {
				t.Fatal(errno)
			}
			r := one(t, rows, typ(event.FDNew))
			eq(t, "kind", r.Op, c.kind)
			eq(t, "flags", r.N2, c.flags)
			eq(t, "path", string(r.Path), c.path)
			eq(t, "result", r.Ret, int64(n))
			if c.kind > 2 {
				fds = [2]int{int(n), -1}
			} else {
				fds = [2]int{int(p[0]), int(p[1])}
			}
			defer closeAll(fds[:])
			eq(t, "descriptors", [2]int64{int64(r.FD), r.N1}, [2]int64{int64(fds[0]), int64(fds[1])})
			var st syscall.Stat_t
			must(t, syscall.Fstat(fds[0], &st))
			eq(t, "dev", uint64(r.Dev), st.Dev)
			eq(t, "ino", r.Ino, st.Ino)
			if st.Mode&unix.S_IFMT != 0 { // stat hides the type that some of the others have inside
				eq(t, "mode", r.Mode, st.Mode)
			}
			if c.kind == 2 {
				must(t, syscall.Fstat(fds[1], &st))
				eq(t, "other end", [2]uint64{uint64(r.Dev2), r.Ino2}, [2]uint64{st.Dev, st.Ino})
			} else {
				eq(t, "other end", [2]uint64{uint64(r.Dev2), r.Ino2}, [2]uint64{})
			}
		})
	}
	t.Run("one that is given", func(t *testing.T) { // signalfd of an existing descriptor makes nothing
		fd, _, errno := syscall.RawSyscall6(unix.SYS_SIGNALFD4, ^uintptr(0), uintptr(unsafe.Pointer(&sigs[0])), 8, 0, 0, 0)
		if errno != 0 {
			t.Fatal(errno)
		}
		defer unix.Close(int(fd))
		rows := locked(t, func() { syscall.RawSyscall6(unix.SYS_SIGNALFD4, fd, uintptr(unsafe.Pointer(&sigs[0])), 8, 0, 0, 0) })
		eq(t, "rows", len(only(rows, typ(event.FDNew))), 0)
	})
	t.Run("failures", func(t *testing.T) {
		rows := locked(t, func() {
			syscall.RawSyscall(unix.SYS_PIPE2, ptr, 1<<30, 0)
			syscall.RawSyscall(unix.SYS_EPOLL_CREATE1, 1, 0, 0)
		})
		eq(t, "rows", len(only(rows, typ(event.FDNew))), 0)
	})
}

// Numbers of a pipe that were changed in memory are not believed.
func TestForgedPipe(t *testing.T) {
	programs(t)
	var p [2]int32
	stop, stopped := make(chan struct{}), make(chan struct{})
	null, err := unix.Open("/dev/null", unix.O_RDWR, 0)
	must(t, err)
	defer unix.Close(null)
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				for range 1000 {
					p[0] = int32(null) // races with the kernel's store, on purpose
				}
			}
		}
	}()
	believed, refused := 0, 0
	for range 100 {
		rows := locked(t, func() {
			for range 100 {
				if _, _, errno := syscall.RawSyscall(unix.SYS_PIPE2, uintptr(unsafe.Pointer(&p)), 0, 0); errno != 0 {
					t.Error(errno)
					return
				}
				unix.Close(int(p[1]))
			}
		})
		for _, r := range only(rows, typ(event.FDNew)) {
			switch {
			case r.FD == -1 && r.Ino == 0:
				refused++
			case r.Mode&unix.S_IFMT == unix.S_IFIFO && int(r.FD) != null:
				believed++
			default:
				t.Fatalf("a pipe of descriptor %d, inode %d, mode %o", r.FD, r.Ino, r.Mode)
			}
		}
		closeStrayPipes(null)
	}
	close(stop)
	<-stopped
	if refused == 0 {
		t.Error("no number was ever changed: the race did not happen")
	}
	t.Logf("%d believed, %d refused", believed, refused)
}

// closeStrayPipes closes the reading ends whose numbers were lost.
func closeStrayPipes(above int) {
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, e := range entries {
		var fd int
		fmt.Sscan(e.Name(), &fd)
		if to, _ := os.Readlink("/proc/self/fd/" + e.Name()); fd > above && len(to) > 5 && to[:5] == "pipe:" {
			unix.Close(fd)
		}
	}
}
