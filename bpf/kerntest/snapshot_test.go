//go:build linux

package kerntest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hindcast/bpf"
	"hindcast/format/event"
)

// stillLife is what the helper of that name set up before anything was loaded.
type stillLife struct {
	File, Pipe, Listener, Conn, UDP int // descriptors
	PipeIno                         uint64
	Cookies                         map[int]uint64
	Inodes                          map[int]uint64
	Locals                          map[int]netip.AddrPort
	Remote                          netip.AddrPort
}

func init() {
	// still-life FILE SERVER ...: opens things, reports, waits for a line, sends 111 bytes over its
	// connection, closes it, and waits for the end of its input.
	helpers["still-life"] = func(args []string) int {
		to := netip.MustParseAddrPort(args[1])
		s := stillLife{Cookies: map[int]uint64{}, Inodes: map[int]uint64{}, Locals: map[int]netip.AddrPort{}, Remote: to}
		s.File, _ = unix.Open(args[0], unix.O_RDWR|unix.O_APPEND|unix.O_CLOEXEC, 0)
		unix.Seek(s.File, 3, io.SeekStart)
		var p [2]int
		unix.Pipe2(p[:], unix.O_CLOEXEC)
		s.Pipe, s.PipeIno = p[0], inode(p[0])
		lo := netip.MustParseAddr("127.0.0.1")
		s.Listener, _ = unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		unix.Bind(s.Listener, sockaddr(netip.AddrPortFrom(lo, 0)))
		unix.Listen(s.Listener, 3)
		s.UDP, _ = unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM, 0)
		unix.Bind(s.UDP, sockaddr(netip.AddrPortFrom(netip.MustParseAddr("::1"), 0)))
		var err error
		if s.Conn, err = dial(to); err != nil {
			return 1
		}
		sendAll(s.Conn, 4321)
		if n, _ := unix.Read(s.Conn, make([]byte, 100)); n != 9 {
			return 2
		}
		for _, fd := range []int{s.Listener, s.Conn, s.UDP} {
			s.Inodes[fd], s.Locals[fd] = inode(fd), local(fd)
		}
		json.NewEncoder(os.Stdout).Encode(s)
		in := bufio.NewReader(os.Stdin)
		in.ReadString('\n')
		for _, fd := range []int{s.Listener, s.Conn, s.UDP} {
			s.Cookies[fd] = cookie(fd) // asked for only now: asking makes it
		}
		sendAll(s.Conn, 111)
		unix.Close(s.Conn)
		json.NewEncoder(os.Stdout).Encode(s)
		in.ReadString('\n')
		return 0
	}
	// dial-twice A B: waits for a line, connects to A, then to B, sends a byte to each, closes.
	helpers["dial-twice"] = func(args []string) int {
		bufio.NewReader(os.Stdin).ReadString('\n')
		for _, a := range args {
			fd, err := dial(netip.MustParseAddrPort(a))
			if err != nil {
				return 1
			}
			sendAll(fd, 1)
			unix.Close(fd)
		}
		return 0
	}
}

// loadHooks loads a set of its own and attaches the named hooks; it shares nothing with the one of
// the other tests. The rings are read through the shared helpers.
func loadHooks(t *testing.T, o bpf.Options, names ...string) *bpf.Set {
	t.Helper()
	programs(t) // for its checks of what the machine needs
	s, err := bpf.Load(o)
	must(t, err)
	t.Cleanup(s.Close)
	for _, n := range names {
		h := s.Hook(n)
		if h == nil && n == "hc_sock_send" { // before 6.3
			h = s.Hook("hc_inet_sendmsg")
		} else if h == nil && n == "hc_sock_recv" {
			h = s.Hook("hc_inet_recvmsg")
		}
		if h == nil {
			t.Fatalf("no hook %s", n)
		}
		must(t, h.Attach())
	}
	return s
}

// drainSet takes everything that lies in the rings of a set. A reader leaves its place in the map.
func drainSet(t testing.TB, set *bpf.Set) (rows []event.Row) {
	t.Helper()
	rs, err := openRings(set)
	must(t, err)
	defer rs.close()
	must(t, rs.each(func(rec []byte) {
		var r event.Row
		if _, err := event.Decode(bytes.Clone(rec), &r); err != nil {
			t.Errorf("decode: %v", err)
			return
		}
		if r.Type != event.Cred {
			rows = append(rows, r)
		}
	}))
	sort.SliceStable(rows, func(i, j int) bool { return rows[i].TS < rows[j].TS })
	return rows
}

func settleSet(t testing.TB, set *bpf.Set, rows []event.Row, done func([]event.Row) bool) []event.Row {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !done(rows); {
		if time.Now().After(end) {
			dump(t, rows)
			t.Fatal("the rows asked for did not come")
		}
		time.Sleep(time.Millisecond)
		rows = append(rows, drainSet(t, set)...)
	}
	return rows
}

func TestSnapshot(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "da ta")
	must(t, os.WriteFile(file, []byte("0123456789"), 0o640))
	programs(t)

	// Everything is there before the second set is loaded; no hook of that set saw it begin.
	lfd, laddr := listenTCP(t, netip.MustParseAddr("127.0.0.1"), 1)
	defer unix.Close(lfd)
	cmd := helper("still-life", file, laddr.String(), "", "a\xffrg")
	cmd.Dir = dir
	in, _ := cmd.StdinPipe()
	out, _ := cmd.StdoutPipe()
	must(t, cmd.Start())
	defer cmd.Process.Kill()
	server, _, err := unix.Accept4(lfd, unix.SOCK_CLOEXEC)
	must(t, err)
	defer unix.Close(server)
	sendAll(server, 9)
	var life stillLife
	dec := json.NewDecoder(out)
	must(t, dec.Decode(&life))
	for n := 0; n < 4321; {
		r, err := unix.Read(server, make([]byte, 8192))
		must(t, err)
		n += r
	}
	zombie := exec.Command("/bin/true")
	must(t, zombie.Start())
	defer zombie.Wait()

	set := loadHooks(t, bpf.Options{Self: bpf.NoSelf}, "hc_tcp_state")
	pid, ticks := cmd.Process.Pid, startTicks(t, cmd.Process.Pid)

	t.Run("processes", func(t *testing.T) {
		rows := rowsOf(t, set.Hook("hc_iter_task"))
		r := one(t, rows, by(pid))
		owned(t, r, pid, ticks)
		eq(t, "type", r.Type, event.Process)
		eq(t, "flags", r.Flags, uint32(event.FlagSnapshot))
		eq(t, "tid", r.TID, uint32(pid))
		exe, _ := os.Readlink("/proc/self/exe")
		eq(t, "exe", string(r.Path), exe)
		sameObject(t, r, statOf(t, exe))
		st := statOf(t, exe)
		eq(t, "ctime", r.N1, st.Ctim.Nano())
		eq(t, "mtime", r.N2, st.Mtim.Nano())
		eq(t, "links", uint64(r.N3), st.Nlink)
		args := strings.Join([]string{"/proc/self/exe", file, laddr.String(), "", "a\xffrg", ""}, "\x00")
		eq(t, "argv", string(r.Argv), args)
		eq(t, "argv length", r.N4, int64(len(args)))
		eq(t, "cwd", string(r.Path3), dir)
		sid, _ := unix.Getsid(pid)
		eq(t, "session", r.N5, int64(sid))
		eq(t, "pid namespace", uint64(r.N7), nsInode(t, "pid"))
		eq(t, "mount namespace", uint64(r.N8), nsInode(t, "mnt"))
		eq(t, "network namespace", uint64(r.NetNS), nsInode(t, "net"))
		eq(t, "parent", r.OPID, uint32(os.Getpid()))
		eq(t, "parent start", r.OStart/10e6, startTicks(t, os.Getpid()))
		eq(t, "pid in its namespace", r.N9, int64(pid))
		eq(t, "comm", string(r.Comm), "exe")
		eq(t, "marks", r.Marks, 0)
		if r.Cgroup == 0 || r.Image == 0 {
			t.Errorf("cgroup %d, image %d", r.Cgroup, r.Image)
		}

		k := one(t, rows, func(r *event.Row) bool { return r.PID == 2 && string(r.Comm) == "kthreadd" })
		eq(t, "kernel thread", k.Flags, uint32(event.FlagSnapshot|event.FlagKThread))
		eq(t, "its program", len(k.Path)+len(k.Argv), 0)
		eq(t, "dead processes", len(only(rows, by(zombie.Process.Pid))), 0)

		// the same processes that /proc lists, apart from those that come and go
		seen := map[int]int{}
		for i := range rows {
			seen[int(rows[i].PID)]++
		}
		dirs, _ := filepath.Glob("/proc/[0-9]*")
		missing := 0
		for _, d := range dirs {
			var n int
			fmt.Sscan(filepath.Base(d), &n)
			b, err := os.ReadFile(d + "/stat")
			if err != nil || strings.Contains(string(b), ") Z ") {
				continue
			}
			if seen[n] > 1 {
				t.Errorf("process %d has %d rows", n, seen[n])
			}
			if seen[n] == 0 {
				missing++
			}
		}
		if missing > len(dirs)/4 {
			t.Errorf("%d of %d processes have no row", missing, len(dirs))
		}
	})

	t.Run("processes without arguments", func(t *testing.T) {
		r := one(t, rowsOf(t, set.Hook("hc_iter_task_noargs")), by(pid))
		owned(t, r, pid, ticks)
		eq(t, "argv", len(r.Argv), 0)
		eq(t, "marks", r.Marks, 2<<2|2<<8) // the second byte field, argv, and the fifth, env, are unreadable
		eq(t, "cwd", string(r.Path3), dir)
	})

	var files []event.Row
	t.Run("files", func(t *testing.T) {
		files = rowsOf(t, set.Hook("hc_iter_file"))
		onFD := func(fd int) func(*event.Row) bool { return func(r *event.Row) bool { return r.FD == int32(fd) } }
		r := one(t, files, typ(event.File), by(pid), onFD(life.File))
		owned(t, r, pid, ticks)
		sameObject(t, r, statOf(t, file))
		eq(t, "path", string(r.Path), file)
		eq(t, "position", r.N1, 3)
		eq(t, "flags", r.Op&(unix.O_ACCMODE|unix.O_APPEND), unix.O_RDWR|unix.O_APPEND)
		eq(t, "row flags", r.Flags, uint32(event.FlagSnapshot))
		eq(t, "marks", r.Marks, 0)
		r = one(t, files, typ(event.File), by(pid), onFD(life.Pipe))
		eq(t, "pipe inode", r.Ino, life.PipeIno)
		eq(t, "pipe mode", r.Mode&unix.S_IFMT, unix.S_IFIFO)
		eq(t, "pipe path", string(r.Path), "")
		eq(t, "pipe marks", r.Marks, 0)
		for fd, ino := range life.Inodes {
			r := one(t, files, typ(event.File), by(pid), onFD(fd))
			eq(t, "socket inode", r.Ino, ino)
			if r.Cookie == 0 {
				t.Errorf("socket %d has no cookie", fd)
			}
		}
	})

	var conn, peer *event.Row
	t.Run("sockets", func(t *testing.T) {
		tcp := rowsOf(t, set.Hook("hc_iter_tcp"))
		at := func(fd int) *event.Row {
			return one(t, tcp, typ(event.Socket), func(r *event.Row) bool { return r.Ino == life.Inodes[fd] })
		}
		l := at(life.Listener)
		owned(t, l, pid, ticks)
		ends(t, l, life.Locals[life.Listener], netip.AddrPortFrom(netip.IPv4Unspecified(), 0), unix.IPPROTO_TCP)
		eq(t, "state", l.Op, 10)
		eq(t, "listener ISN", l.ISN, 0)
		conn = at(life.Conn)
		owned(t, conn, pid, ticks)
		ends(t, conn, life.Locals[life.Conn], life.Remote, unix.IPPROTO_TCP)
		eq(t, "state", conn.Op, 1)
		eq(t, "bytes out", conn.BytesOut, 4321)
		eq(t, "bytes in", conn.BytesIn, 9)
		eq(t, "flags", conn.Flags, uint32(event.FlagSnapshot|event.FlagOwnerSock))
		peer = one(t, tcp, func(r *event.Row) bool { return r.Ino == inode(server) })
		owned(t, peer, os.Getpid(), startTicks(t, os.Getpid()))
		eq(t, "peer out", peer.BytesOut, 9)
		eq(t, "peer in", peer.BytesIn, 4321)
		eq(t, "ISN", peer.ISN, mirror(conn.ISN))
		if conn.ISN == 0 {
			t.Error("no ISN pair")
		}
		u := one(t, rowsOf(t, set.Hook("hc_iter_udp")), func(r *event.Row) bool { return r.Ino == life.Inodes[life.UDP] })
		ends(t, u, life.Locals[life.UDP], netip.AddrPortFrom(netip.IPv6Unspecified(), 0), unix.IPPROTO_UDP)
		eq(t, "state", u.Op, 7)
		for _, r := range []*event.Row{l, conn, u} {
			f := one(t, files, by(pid), func(f *event.Row) bool { return f.Ino == r.Ino })
			eq(t, "cookie in the row of the descriptor", f.Cookie, r.Cookie)
		}
	})

	t.Run("a connection older than the recording ends", func(t *testing.T) {
		drainSet(t, set)
		io.WriteString(in, "\n")
		must(t, dec.Decode(&life))
		eq(t, "rest", readAll(server), 111)
		unix.Shutdown(server, unix.SHUT_WR)
		var rows []event.Row
		rows = settleSet(t, set, rows, func(rows []event.Row) bool { return len(only(rows, typ(event.ConnClose), onCookie(conn.Cookie))) > 0 })
		eq(t, "cookie", conn.Cookie, life.Cookies[life.Conn])
		r := one(t, rows, typ(event.ConnClose), onCookie(conn.Cookie))
		owned(t, r, pid, ticks)
		eq(t, "role nobody saw", r.Op, 1)
		eq(t, "ISN", r.ISN, conn.ISN)
		eq(t, "bytes out", r.BytesOut, 4321+111)
		eq(t, "bytes in", r.BytesIn, 9)
		eq(t, "t0", r.T0, 0)
		unix.Close(server)
		rows = settleSet(t, set, rows, func(rows []event.Row) bool { return len(only(rows, typ(event.ConnClose), onCookie(peer.Cookie))) > 0 })
		r = one(t, rows, typ(event.ConnClose), onCookie(peer.Cookie))
		eq(t, "pid", r.PID, uint32(os.Getpid()))
		eq(t, "role", r.Op, 2)
		eq(t, "ISN", r.ISN, peer.ISN)
		eq(t, "bytes out", r.BytesOut, 9)
		eq(t, "bytes in", r.BytesIn, 4321+111)
	})
}

// TestScope records two of three processes: what the third does on the same sockets makes no row,
// neither in its own context nor in softirq.
func TestScope(t *testing.T) {
	needLengths(t)
	set := loadHooks(t, bpf.Options{Scoped: true}, "hc_tcp_state", "hc_sock_send", "hc_sock_recv", "hc_accept4")
	lfd, laddr := listenTCP(t, netip.MustParseAddr("127.0.0.1"), 4)
	defer unix.Close(lfd)
	run := func(scoped bool) int {
		cmd := helper("dial-twice", laddr.String(), laddr.String())
		in, _ := cmd.StdinPipe()
		must(t, cmd.Start())
		if scoped {
			must(t, set.Scope.Put(uint32(cmd.Process.Pid), uint32(1)))
		}
		io.WriteString(in, "\n")
		for range 2 {
			s, _, err := unix.Accept4(lfd, unix.SOCK_CLOEXEC)
			must(t, err)
			readAll(s)
			unix.Close(s)
		}
		must(t, cmd.Wait())
		return cmd.Process.Pid
	}
	run(false)
	eq(t, "rows of a process out of scope", len(drainSet(t, set)), 0)
	pid := run(true)
	rows := settleSet(t, set, nil, func(rows []event.Row) bool { return len(only(rows, typ(event.ConnClose))) >= 2 })
	for _, typ := range []event.Type{event.Connect, event.SockFirst, event.ConnClose} {
		got := only(rows, func(r *event.Row) bool { return r.Type == typ })
		eq(t, typ.String()+" rows", len(got), 2)
		for i := range got {
			eq(t, typ.String()+" pid", got[i].PID, uint32(pid))
		}
	}
	eq(t, "rows", len(only(rows, func(r *event.Row) bool { return r.Type >= event.Listen && r.Type <= event.Socket })), 6)
}

// TestRecorderLeavesItselfOut: a recorder's own connections make no rows and are counted.
func TestRecorderLeavesItselfOut(t *testing.T) {
	needLengths(t)
	set := loadHooks(t, bpf.Options{}, "hc_tcp_state", "hc_sock_send", "hc_sock_recv", "hc_accept4")
	lfd, laddr := listenTCP(t, netip.MustParseAddr("127.0.0.1"), 4)
	c, err := dial(laddr)
	must(t, err)
	s, _, err := unix.Accept4(lfd, unix.SOCK_CLOEXEC)
	must(t, err)
	sendAll(c, 1)
	port := local(c).Port()
	unix.Close(c)
	eq(t, "received", readAll(s), 1)
	unix.Close(s)
	unix.Close(lfd)
	rows := only(drainSet(t, set), func(r *event.Row) bool { return r.LPort == port || r.RPort == port || r.LPort == laddr.Port() })
	dump(t, rows)
	eq(t, "rows", len(rows), 0)
	var perCPU [][bpf.Causes * bpf.Types]uint64
	must(t, set.Counters.Lookup(uint32(0), &perCPU))
	for _, typ := range []event.Type{event.Listen, event.Connect, event.Accept, event.SockFirst} {
		var n uint64
		for _, c := range perCPU {
			n += c[5*bpf.Types+int(typ)] // cause 5: done by the recorder itself
		}
		if n == 0 {
			t.Errorf("%s of the recorder is not counted", typ)
		}
	}
}

// TestIOSweep: what an idle thread holds is told by the walk, once, and again when it changed.
func TestIOSweep(t *testing.T) {
	set := programs(t)
	path := filepath.Join(t.TempDir(), "f")
	ownThread(func() {
		fd, err := unix.Open(path, unix.O_CREAT|unix.O_RDWR, 0o600)
		if err != nil {
			t.Error(err)
			return
		}
		defer unix.Close(fd)
		tid := uint32(unix.Gettid())
		unix.Write(fd, make([]byte, 10))
		unix.Write(fd, make([]byte, 5))
		unix.Pread(fd, make([]byte, 4), 0)
		mine := func() []event.Row {
			return only(rowsOf(t, set.Hook("hc_iter_io")), typ(event.IO), func(r *event.Row) bool { return r.TID == tid && r.Ino == inode(fd) })
		}
		got := mine()
		if len(got) != 1 {
			t.Errorf("%d rows of an idle thread, want 1", len(got))
			return
		}
		r := &got[0]
		sameObject(t, r, statOf(t, path))
		eq(t, "pid", r.PID, uint32(os.Getpid()))
		eq(t, "flags", r.Flags, 0)
		eq(t, "bytes out", r.BytesOut, 15)
		eq(t, "bytes in", r.BytesIn, 4)
		eq(t, "writes", r.OpsOut, 2)
		eq(t, "reads", r.OpsIn, 1)
		eq(t, "reason", r.Op, 5)
		eq(t, "told again", len(mine()), 0)
		unix.Write(fd, make([]byte, 1))
		if got = mine(); len(got) != 1 || got[0].BytesOut != 16 || got[0].T0 != r.T0 {
			t.Errorf("after one more write: %d rows", len(got))
		}
	})
}

// TestBooksOfAFullRing: with a ring that holds a dozen rows and nobody reading, every row is
// either in the ring or counted as lost.
func TestBooksOfAFullRing(t *testing.T) {
	needLengths(t)
	set := loadHooks(t, bpf.Options{Self: bpf.NoSelf, CgroupRoot: cgroup2(), BulkBytes: os.Getpagesize()}, "hc_sock_send", "hc_sendmsg4", "hc_sock_release")
	fd, _ := udp(t, netip.MustParseAddr("127.0.0.1"))
	for i := 0; i < 300; i++ {
		unix.Sendto(fd, make([]byte, 10), 0, sockaddr(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(20000+i%7))))
	}
	unix.Close(fd)
	for _, h := range set.Hooks() { // before 6.3 the first has another name
		must(t, h.Detach())
	}
	rows := drainSet(t, set)
	var perCPU [][bpf.Causes * bpf.Types]uint64
	must(t, set.Counters.Lookup(uint32(0), &perCPU))
	for _, typ := range []event.Type{event.SockFirst, event.SockTotal} {
		var seen, full uint64
		for _, c := range perCPU {
			seen += c[int(typ)]
			full += c[1*bpf.Types+int(typ)] // cause 1: no room in the ring
		}
		got := uint64(len(only(rows, func(r *event.Row) bool { return r.Type == typ })))
		eq(t, typ.String()+" rows and losses", got+full, seen)
		if full == 0 {
			t.Errorf("no %s was lost: the test proves nothing", typ)
		}
	}
}
