//go:build linux

package kerntest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"hindcast/bpf"
	"hindcast/format/event"
)

// What the unix helper says of its socket.
type unixReport struct{ Cookie, Ino uint64 }

func init() {
	// unix-client TYPE NAME: connects, reports, sends 5 bytes, receives 7, waits for the end of its input.
	helpers["unix-client"] = func(args []string) int {
		var kind int
		fmt.Sscan(args[0], &kind)
		fd, err := unix.Socket(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
		if err == nil {
			err = unix.Connect(fd, &unix.SockaddrUnix{Name: args[1]})
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		unix.Write(fd, make([]byte, 5))
		if n, _ := unix.Read(fd, make([]byte, 100)); n != 7 {
			return 2
		}
		json.NewEncoder(os.Stdout).Encode(unixReport{cookie(fd), inode(fd)})
		bufio.NewReader(os.Stdin).ReadString('\n')
		return 0
	}
}

// cookies tells whether a unix socket has a cookie from the moment it is connected (6.7 on).
// Where the kernel can, the hook must be attached.
func cookies(t testing.TB) bool {
	t.Helper()
	h := programs(t).Hook("hc_unix_cookie")
	if h.Attached() {
		return true
	}
	if !olderThan(t.(*testing.T), "6.7") {
		t.Fatalf("hc_unix_cookie is not attached: %v", h.Err)
	}
	return false
}

func unixListener(t testing.TB, kind int, name string) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	must(t, unix.Bind(fd, &unix.SockaddrUnix{Name: name}))
	must(t, unix.Listen(fd, 5))
	return fd
}

func unixRow(op uint32) func(*event.Row) bool {
	return func(r *event.Row) bool { return r.Type == event.UnixConn && r.Op == op }
}

// A connection between two processes: the rows of connect and of accept, and of the first bytes
// each way, against what both ends know of themselves.
func TestUnixConnection(t *testing.T) {
	dir := t.TempDir()
	here, err := os.Getwd()
	must(t, err)
	must(t, os.Chdir(dir))
	defer os.Chdir(here)
	long := filepath.Join(dir, "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789")[:107]
	for _, c := range []struct {
		what       string
		kind       int
		name, want string
		four       bool
	}{
		{"stream, path", unix.SOCK_STREAM, dir + "/s", dir + "/s", true},
		{"stream, path of all there is room for", unix.SOCK_STREAM, long, long, true},
		{"stream, relative path", unix.SOCK_STREAM, "rel", "rel", false},
		{"stream, path that looks abstract", unix.SOCK_STREAM, "./@no", "./@no", true},
		{"stream, abstract", unix.SOCK_STREAM, "@hindcast-test", "@hindcast-test", true},
		{"stream, abstract with zeros", unix.SOCK_STREAM, "@a\x00b\x00", "@a\x00b\x00", false},
		{"seqpacket, abstract", unix.SOCK_SEQPACKET, "@hindcast-seq", "@hindcast-seq", true},
	} {
		t.Run(c.what, func(t *testing.T) {
			var fd, lfd int
			var own, child unixReport
			var pid int
			var ticks uint64
			var cred *unix.Ucred
			rows := record(t, func() {
				lfd = unixListener(t, c.kind, c.name)
				defer unix.Close(lfd)
				arg := c.name
				if c.what == "stream, abstract with zeros" {
					arg = "" // an argument holds no zero: the test connects itself
				}
				var cmd *exec.Cmd
				var in io.WriteCloser
				var out io.ReadCloser
				var cfd int
				if arg != "" {
					cmd = helper("unix-client", fmt.Sprint(c.kind), arg)
					in, _ = cmd.StdinPipe()
					out, _ = cmd.StdoutPipe()
					must(t, cmd.Start())
					pid = cmd.Process.Pid
				} else {
					pid = os.Getpid()
					cfd, err = unix.Socket(unix.AF_UNIX, c.kind, 0)
					must(t, err)
					must(t, unix.Connect(cfd, &unix.SockaddrUnix{Name: c.name}))
					unix.Write(cfd, make([]byte, 5))
				}
				if c.four {
					fd, _, err = unix.Accept4(lfd, unix.SOCK_CLOEXEC)
				} else {
					fd, _, err = unix.Accept(lfd)
				}
				must(t, err)
				ticks = startTicks(t, pid)
				unix.Read(fd, make([]byte, 100))
				unix.Write(fd, make([]byte, 7))
				own = unixReport{cookie(fd), inode(fd)}
				cred, err = unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
				must(t, err)
				if cmd != nil {
					must(t, json.NewDecoder(out).Decode(&child))
					in.Close()
					must(t, cmd.Wait())
				} else {
					unix.Read(cfd, make([]byte, 100))
					child = unixReport{cookie(cfd), inode(cfd)}
					unix.Close(cfd)
				}
				unix.Close(fd)
			})
			self := os.Getpid()
			selfTicks := startTicks(t, self)
			eq(t, "SO_PEERCRED", int(cred.Pid), pid)
			kinds := map[int]int64{unix.SOCK_STREAM: 1, unix.SOCK_SEQPACKET: 5}
			at := func(r *event.Row) bool { return string(r.Path) == c.want }

			con := one(t, rows, unixRow(1), by(pid), at)
			owned(t, con, pid, ticks)
			eq(t, "connect ret", con.Ret, 0)
			eq(t, "connect flags", con.Flags, 0)
			eq(t, "connect family", con.Family, unix.AF_UNIX)
			eq(t, "connect type", con.N2, kinds[c.kind])
			eq(t, "connect namespace", uint64(con.NetNS), nsInode(t, "net"))
			eq(t, "connect inode", con.Ino, child.Ino)
			eq(t, "listener pid", con.OPID, uint32(self))
			eq(t, "listener start", con.OStart/10e6, selfTicks)
			if con.Ino2 != 0 && con.Ino2 != own.Ino { // it may have been accepted already
				t.Errorf("connect names inode %d as its other end, want %d or 0", con.Ino2, own.Ino)
			}

			acc := one(t, rows, unixRow(2), by(self), at)
			owned(t, acc, self, selfTicks)
			eq(t, "accept ret", acc.Ret, int64(fd))
			eq(t, "accept flags", acc.Flags, 0)
			eq(t, "accept family", acc.Family, unix.AF_UNIX)
			eq(t, "accept type", acc.N2, kinds[c.kind])
			eq(t, "accept namespace", uint64(acc.NetNS), nsInode(t, "net"))
			eq(t, "accept inode", acc.Ino, own.Ino)
			eq(t, "accept peer inode", acc.Ino2, child.Ino)
			eq(t, "client pid", acc.OPID, uint32(pid))
			eq(t, "client start", acc.OStart/10e6, ticks)
			eq(t, "client thread", acc.OTID, 0)
			if cookies(t) {
				eq(t, "connect cookie", con.Cookie, child.Cookie)
				eq(t, "accept peer cookie", acc.N1, int64(child.Cookie))
			}

			if !lengths(t) {
				return
			}
			for _, s := range []struct {
				what      string
				pid       int
				ticks     uint64
				own, peer unixReport
				dir       uint32
				bytes     int64
				other     int
				oticks    uint64
			}{
				{"client sends", pid, ticks, child, own, 1, 5, self, selfTicks},
				{"client receives", pid, ticks, child, own, 2, 7, self, selfTicks},
				{"server receives", self, selfTicks, own, child, 2, 5, pid, ticks},
				{"server sends", self, selfTicks, own, child, 1, 7, pid, ticks},
			} {
				r := one(t, rows, typ(event.SockFirst), by(s.pid), func(r *event.Row) bool { return r.Op == s.dir && r.Ino == s.own.Ino })
				owned(t, r, s.pid, s.ticks)
				eq(t, s.what+": bytes", r.Ret, s.bytes)
				eq(t, s.what+": family", r.Family, unix.AF_UNIX)
				eq(t, s.what+": cookie", r.Cookie, s.own.Cookie)
				eq(t, s.what+": path", string(r.Path), c.want)
				eq(t, s.what+": other pid", r.OPID, uint32(s.other))
				eq(t, s.what+": other start", r.OStart/10e6, s.oticks)
				if s.what != "client sends" { // by then the other end may not be accepted
					eq(t, s.what+": peer inode", r.Ino2, s.peer.Ino)
					eq(t, s.what+": peer cookie seen", r.N1 == int64(s.peer.Cookie) || r.N1 == 0, true)
				}
				if cookies(t) && s.what[:6] == "server" {
					eq(t, s.what+": peer cookie", r.N1, int64(s.peer.Cookie))
				}
			}
		})
	}
}

// TestUnixClosedBeforeAccept: the client is gone when the server takes the connection. Its inode
// went with it; its cookie and its process are still named.
func TestUnixClosedBeforeAccept(t *testing.T) {
	var c, ino uint64
	var fd int
	rows := record(t, func() {
		lfd := unixListener(t, unix.SOCK_STREAM, "@hindcast-gone")
		defer unix.Close(lfd)
		cfd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
		must(t, err)
		must(t, unix.Connect(cfd, &unix.SockaddrUnix{Name: "@hindcast-gone"}))
		c, ino = cookie(cfd), inode(cfd)
		unix.Write(cfd, make([]byte, 3))
		unix.Close(cfd)
		fd, _, err = unix.Accept(lfd)
		must(t, err)
		unix.Close(fd)
	})
	con := one(t, rows, unixRow(1), by(os.Getpid()))
	acc := one(t, rows, unixRow(2), by(os.Getpid()))
	eq(t, "connect inode", con.Ino, ino)
	eq(t, "connect peer inode", con.Ino2, 0)
	eq(t, "accept ret", acc.Ret, int64(fd))
	eq(t, "accept peer inode", acc.Ino2, 0)
	eq(t, "accept peer cookie", acc.N1, int64(c))
	eq(t, "accept other process", acc.OPID, uint32(os.Getpid()))
	if cookies(t) {
		eq(t, "connect cookie", con.Cookie, c)
	}
}

// TestUnixPeerEnded: the process that connected has ended; its number stays, its start is unknown.
func TestUnixPeerEnded(t *testing.T) {
	var pid int
	rows := record(t, func() {
		lfd := unixListener(t, unix.SOCK_STREAM, "@hindcast-ended")
		defer unix.Close(lfd)
		cmd := helper("unix-client", fmt.Sprint(unix.SOCK_STREAM), "@hindcast-ended")
		must(t, cmd.Start())
		pid = cmd.Process.Pid
		unix.Poll([]unix.PollFd{{Fd: int32(lfd), Events: unix.POLLIN}}, -1)
		cmd.Process.Kill()
		cmd.Wait()
		fd, _, err := unix.Accept(lfd)
		must(t, err)
		unix.Close(fd)
	})
	acc := one(t, rows, unixRow(2), by(os.Getpid()))
	eq(t, "other pid", acc.OPID, uint32(pid))
	eq(t, "other start", acc.OStart, 0)
}

// TestUnixDatagram: a connected datagram socket names the receiver; the receiver, which is not
// connected, names only itself.
func TestUnixDatagram(t *testing.T) {
	name := t.TempDir() + "/d"
	var ri, ci, rc, cc uint64
	rows := record(t, func() {
		r, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
		must(t, err)
		must(t, unix.Bind(r, &unix.SockaddrUnix{Name: name}))
		c, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
		must(t, err)
		rc = cookie(r)
		must(t, unix.Connect(c, &unix.SockaddrUnix{Name: name}))
		unix.Write(c, make([]byte, 9))
		unix.Read(r, make([]byte, 100))
		ri, ci, cc = inode(r), inode(c), cookie(c)
		unix.Close(c)
		unix.Close(r)
	})
	con := one(t, rows, unixRow(1), by(os.Getpid()))
	eq(t, "inode", con.Ino, ci)
	eq(t, "peer inode", con.Ino2, ri)
	eq(t, "peer cookie", con.N1, int64(rc))
	eq(t, "type", con.N2, 2)
	eq(t, "path", string(con.Path), name)
	eq(t, "process", con.OPID, 0) // the kernel notes none for datagrams
	if !lengths(t) {
		return
	}
	send := one(t, rows, typ(event.SockFirst), onCookie(cc))
	eq(t, "sender: direction", send.Op, 1)
	eq(t, "sender: peer inode", send.Ino2, ri)
	eq(t, "sender: path", string(send.Path), name)
	recv := one(t, rows, typ(event.SockFirst), onCookie(rc))
	eq(t, "receiver: direction", recv.Op, 2)
	eq(t, "receiver: peer inode", recv.Ino2, 0)
	eq(t, "receiver: path", string(recv.Path), name)
}

// TestUnixInherited: a child that uses a connection it inherited has rows of its own, with the
// same two ends.
func TestUnixInherited(t *testing.T) {
	needLengths(t)
	var ino, peer uint64
	var pid int
	rows := record(t, func() {
		p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		must(t, err)
		ino, peer = inode(p[0]), inode(p[1])
		f := os.NewFile(uintptr(p[0]), "pair")
		cmd := helper("use-socket", "11")
		cmd.ExtraFiles = []*os.File{f}
		must(t, cmd.Run())
		pid = cmd.Process.Pid
		f.Close()
		unix.Close(p[1])
	})
	r := one(t, rows, typ(event.SockFirst), by(pid), func(r *event.Row) bool { return r.Ino == ino })
	eq(t, "peer inode", r.Ino2, peer)
	eq(t, "bytes", r.Ret, 11)
	eq(t, "who made the pair", r.OPID, uint32(os.Getpid()))
	eq(t, "path", len(r.Path), 0)
}

// TestUnixRefused: connects that fail, by reason.
func TestUnixRefused(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Chmod(dir, 0o755))
	must(t, os.Chmod(filepath.Dir(dir), 0o755))
	lfd := unixListener(t, unix.SOCK_STREAM, dir+"/closed")
	unix.Close(lfd)
	lfd = unixListener(t, unix.SOCK_STREAM, dir+"/private")
	defer unix.Close(lfd)
	must(t, os.Chmod(dir+"/private", 0o600))
	for _, c := range []struct {
		name, want string
		kind       int
		uid        int
		err        unix.Errno
		told       bool
	}{
		{dir + "/closed", dir + "/closed", unix.SOCK_STREAM, 0, unix.ECONNREFUSED, true},
		{"@hindcast-nobody", "@hindcast-nobody", unix.SOCK_STREAM, 0, unix.ECONNREFUSED, true},
		{dir + "/private", dir + "/private", unix.SOCK_STREAM, 65534, unix.EACCES, true},
		{dir + "/private", dir + "/private", unix.SOCK_DGRAM, 0, unix.EPROTOTYPE, true},
		{dir + "/missing", "", unix.SOCK_STREAM, 0, unix.ENOENT, false},
	} {
		t.Run(fmt.Sprint(c.err, c.kind), func(t *testing.T) {
			rows := record(t, func() {
				ownThread(func() {
					fd, err := unix.Socket(unix.AF_UNIX, c.kind, 0)
					if err != nil {
						t.Error(err)
						return
					}
					defer unix.Close(fd)
					if c.uid != 0 {
						unix.RawSyscall(unix.SYS_SETFSUID, uintptr(c.uid), 0, 0)
					}
					if err := unix.Connect(fd, &unix.SockaddrUnix{Name: c.name}); err != c.err {
						t.Errorf("connect: %v, want %v", err, c.err)
					}
				})
			})
			if !c.told {
				eq(t, "rows", len(only(rows, typ(event.ConnectDenied), by(os.Getpid()))), 0)
				return
			}
			r := one(t, rows, typ(event.ConnectDenied), by(os.Getpid()))
			owned(t, r, os.Getpid(), startTicks(t, os.Getpid()))
			eq(t, "ret", r.Ret, -int64(c.err))
			eq(t, "flags", r.Flags, uint32(event.FlagCritical|event.FlagFailed))
			eq(t, "path", string(r.Path), c.want)
			eq(t, "family", r.Family, unix.AF_UNIX)
			eq(t, "type", r.N2, int64(c.kind))
			eq(t, "namespace", uint64(r.NetNS), nsInode(t, "net"))
			eq(t, "connections", len(only(rows, typ(event.UnixConn), by(os.Getpid()))), 0)
		})
	}
}

// TestUnixMissingForensic: the forensic profile tells names that do not exist, too.
func TestUnixMissingForensic(t *testing.T) {
	set := loadHooks(t, bpf.Options{Self: bpf.NoSelf, Forensic: true}, "hc_connect")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	must(t, err)
	defer unix.Close(fd)
	for _, name := range []string{"/nowhere/to/be found", "@" + "x\x00y"} {
		drainSet(t, set)
		err := unix.Connect(fd, &unix.SockaddrUnix{Name: name})
		r := one(t, drainSet(t, set), typ(event.ConnectDenied), by(os.Getpid()))
		eq(t, "ret", r.Ret, -int64(err.(unix.Errno)))
		eq(t, "path", string(r.Path), name)
	}
}

// TestUnixSnapshot: sockets that were there before, here and in another network namespace.
func TestUnixSnapshot(t *testing.T) {
	dir := t.TempDir()
	type end struct {
		ino, peer uint64
		path      string
		state     uint32
		kind      int64
		netns     uint64
	}
	var ends []end
	var fds []int
	make := func() {
		var st unix.Stat_t
		must(t, unix.Stat("/proc/thread-self/ns/net", &st))
		ns := st.Ino
		lfd := unixListener(t, unix.SOCK_STREAM, fmt.Sprintf("%s/l%d", dir, ns))
		c, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
		must(t, err)
		must(t, unix.Connect(c, &unix.SockaddrUnix{Name: fmt.Sprintf("%s/l%d", dir, ns)}))
		a, _, err := unix.Accept(lfd)
		must(t, err)
		d, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
		must(t, err)
		must(t, unix.Bind(d, &unix.SockaddrUnix{Name: "@hindcast-still"}))
		p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET, 0)
		must(t, err)
		fds = append(fds, lfd, c, a, d, p[0], p[1])
		l := fmt.Sprintf("%s/l%d", dir, ns)
		ends = append(ends,
			end{inode(lfd), 0, l, 10, 1, ns},
			end{inode(c), inode(a), "", 1, 1, ns},
			end{inode(a), inode(c), l, 1, 1, ns},
			end{inode(d), 0, "@hindcast-still", 7, 2, ns},
			end{inode(p[0]), inode(p[1]), "", 1, 5, ns},
			end{inode(p[1]), inode(p[0]), "", 1, 5, ns})
	}
	make()
	here := len(ends)
	ownThread(func() {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			t.Error(err)
			return
		}
		make()
	})
	packet, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
	must(t, err)
	fds = append(fds, packet)
	defer func() {
		for _, fd := range fds {
			unix.Close(fd)
		}
	}()
	set := loadHooks(t, bpf.Options{Self: bpf.NoSelf})
	near, far := set.Hook("hc_iter_unix"), set.Hook("hc_iter_socket")
	if near.Program() == nil && olderThan(t, "5.15") {
		t.Skip("needs the iterator of unix sockets (kernel 5.15)")
	}
	runtime.LockOSThread() // the iterator shows the namespace of the thread that opens it
	defer runtime.UnlockOSThread()
	rows, others := rowsOf(t, near), rowsOf(t, far)
	for i, e := range ends {
		from, not := rows, others
		if i >= here {
			from, not = others, rows
		}
		is := func(r *event.Row) bool { return r.Type == event.Socket && r.Ino == e.ino }
		r := one(t, from, is)
		eq(t, "rows of the other walk", len(only(not, is)), 0)
		eq(t, "family", r.Family, unix.AF_UNIX)
		eq(t, "peer inode", r.Ino2, e.peer)
		eq(t, "path", string(r.Path), e.path)
		eq(t, "state", r.Op, e.state)
		eq(t, "type", r.N2, e.kind)
		eq(t, "namespace", uint64(r.NetNS), e.netns)
		eq(t, "cookie", r.Cookie, cookie(fds[i]))
		eq(t, "flags", r.Flags&event.FlagSnapshot, event.FlagSnapshot)
	}
	r := one(t, others, func(r *event.Row) bool { return r.Ino == inode(packet) })
	eq(t, "packet: family", r.Family, unix.AF_PACKET)
	eq(t, "packet: type", r.N2, unix.SOCK_RAW)
	eq(t, "packet: cookie", r.Cookie, cookie(packet))
}
