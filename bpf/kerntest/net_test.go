//go:build linux

package kerntest

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"hindcast/bpf"
	"hindcast/format/event"
)

// What the TCP helper says of itself, and what it sends and receives.
type tcpReport struct {
	Cookie uint64
	Local  netip.AddrPort
	Ino    uint64
}

const tcpUp, tcpDown = 1_000_003, 50_021

func init() {
	// tcp-client ADDR: connects, sends tcpUp bytes, ends its direction, reads to the end, reports.
	helpers["tcp-client"] = func(args []string) int {
		to := netip.MustParseAddrPort(args[0])
		fd, err := dial(to)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		report := tcpReport{Cookie: cookie(fd), Local: local(fd), Ino: inode(fd)}
		sendAll(fd, tcpUp)
		unix.Shutdown(fd, unix.SHUT_WR)
		if n := readAll(fd); n != tcpDown {
			fmt.Fprintln(os.Stderr, "received", n)
			return 2
		}
		unix.Close(fd)
		json.NewEncoder(os.Stdout).Encode(report)
		return 0
	}
	// use-socket BYTES: sends that many bytes through descriptor 3.
	helpers["use-socket"] = func(args []string) int {
		var n int
		fmt.Sscan(args[0], &n)
		sendAll(3, n)
		return 0
	}
}

// The sockets here are bare system calls: Go's own make calls of their own at times of their own.

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Addr: a.Addr().As4(), Port: int(a.Port())}
	}
	return &unix.SockaddrInet6{Addr: a.Addr().As16(), Port: int(a.Port())}
}

func addrPort(sa unix.Sockaddr) netip.AddrPort {
	switch a := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr), uint16(a.Port))
	}
	return netip.AddrPort{}
}

func family(a netip.Addr) int {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

func dial(to netip.AddrPort) (int, error) {
	fd, err := unix.Socket(family(to.Addr()), unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	return fd, unix.Connect(fd, sockaddr(to))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// listenTCP returns a listener on a free port of the address.
func listenTCP(t testing.TB, a netip.Addr, backlog int) (int, netip.AddrPort) {
	t.Helper()
	fd, err := unix.Socket(family(a), unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	must(t, unix.Bind(fd, sockaddr(netip.AddrPortFrom(a, 0))))
	must(t, unix.Listen(fd, backlog))
	return fd, local(fd)
}

func udp(t testing.TB, a netip.Addr) (int, netip.AddrPort) {
	t.Helper()
	fd, err := unix.Socket(family(a), unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	must(t, unix.Bind(fd, sockaddr(netip.AddrPortFrom(a, 0))))
	return fd, local(fd)
}

func local(fd int) netip.AddrPort {
	sa, _ := unix.Getsockname(fd)
	return addrPort(sa)
}

func cookie(fd int) uint64 {
	c, _ := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_COOKIE)
	return c
}

func inode(fd int) uint64 {
	var st unix.Stat_t
	unix.Fstat(fd, &st)
	return st.Ino
}

func sendAll(fd, n int) {
	b := make([]byte, 8192)
	for n > 0 {
		w, err := unix.Write(fd, b[:min(n, len(b))])
		if err != nil {
			panic(err)
		}
		n -= w
	}
}

func readAll(fd int) (n int) {
	b := make([]byte, 65536)
	for {
		r, err := unix.Read(fd, b)
		if r <= 0 || err != nil {
			return n
		}
		n += r
	}
}

func helper(name string, args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), "HC_HELPER="+name)
	cmd.Stderr = os.Stderr
	return cmd
}

// settle drains until the rows hold what is asked for: a connection may end after the call that
// ends it has returned.
func settle(t testing.TB, rows []event.Row, done func([]event.Row) bool) []event.Row {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !done(rows); {
		if time.Now().After(end) {
			dump(t, rows)
			t.Fatal("the rows asked for did not come")
		}
		time.Sleep(time.Millisecond)
		rows = append(rows, drain(t)...)
	}
	return rows
}

func dump(t testing.TB, rows []event.Row) {
	for i := range rows {
		r := &rows[i]
		if r.Type >= event.Listen && r.Type <= event.Socket {
			t.Logf("%s pid=%d ret=%d cookie=%d %s:%d -> %s:%d op=%d in=%d out=%d flags=%#x isn=%x", r.Type, r.PID, r.Ret, r.Cookie, r.LAddr, r.LPort, r.RAddr, r.RPort, r.Op, r.BytesIn, r.BytesOut, r.Flags, r.ISN)
		}
	}
}

func onCookie(c uint64) func(*event.Row) bool {
	return func(r *event.Row) bool { return r.Cookie == c }
}

func ends(t testing.TB, r *event.Row, l, p netip.AddrPort, proto uint8) {
	t.Helper()
	what := r.Type.String()
	eq(t, what+" local address", string(r.LAddr), l.Addr().Unmap().String())
	eq(t, what+" local port", r.LPort, l.Port())
	eq(t, what+" remote address", string(r.RAddr), p.Addr().Unmap().String())
	eq(t, what+" remote port", r.RPort, p.Port())
	want := uint8(unix.AF_INET)
	if l.Addr().Unmap().Is6() {
		want = unix.AF_INET6
	}
	eq(t, what+" family", r.Family, want)
	eq(t, what+" protocol", r.Proto, proto)
	eq(t, what+" network namespace", uint64(r.NetNS), nsInode(t, "net"))
}

// owned asserts the actor of a row made for this process or for another whose start is known.
func owned(t testing.TB, r *event.Row, pid int, ticks uint64) {
	t.Helper()
	eq(t, r.Type.String()+" pid", r.PID, uint32(pid))
	eq(t, r.Type.String()+" start", r.PStart/10e6, ticks)
	if r.Cred == 0 || r.Image == 0 && r.Cgroup == 0 {
		t.Errorf("%s has cred %d, image %d, cgroup %d", r.Type, r.Cred, r.Image, r.Cgroup)
	}
}

// lengths tells whether sends and receives are seen: by tracepoints from 6.3 on, before by the ends
// of functions. Where the kernel can, the hooks must be attached.
func lengths(t testing.TB) bool {
	t.Helper()
	set := programs(t)
	kernel, err := btf.LoadKernelSpec()
	must(t, err)
	var def *btf.Typedef
	if errors.Is(kernel.TypeByName("btf_trace_sock_send_length", &def), btf.ErrNotFound) {
		for _, n := range []string{"hc_inet_sendmsg", "hc_inet_recvmsg", "hc_inet6_sendmsg", "hc_inet6_recvmsg",
			"hc_unix_stream_sendmsg", "hc_unix_stream_recvmsg", "hc_unix_dgram_sendmsg", "hc_unix_dgram_recvmsg",
			"hc_unix_seqpacket_sendmsg", "hc_unix_seqpacket_recvmsg"} {
			if h := set.Hook(n); !h.Attached() {
				if trampolines() != nil {
					return false // no trampolines here
				}
				t.Fatalf("%s is not attached: %+v", n, h.Err)
			}
		}
		return true
	}
	for _, n := range []string{"hc_sock_send", "hc_sock_recv"} {
		if h := set.Hook(n); !h.Attached() {
			t.Fatalf("%s is not attached: %v", n, h.Err)
		}
	}
	return true
}

// sends is the hook that sees what is sent over IPv4.
func sends(set *bpf.Set) *bpf.Hook {
	if h := set.Hook("hc_sock_send"); h != nil {
		return h
	}
	return set.Hook("hc_inet_sendmsg")
}

func needLengths(t testing.TB) {
	t.Helper()
	if !lengths(t) {
		t.Skip("needs tracepoints sock_send_length and sock_recv_length (kernel 6.3), or fexit programs")
	}
}

func mirror(isn uint64) uint64 { return isn<<32 | isn>>32 }

func TestTCP(t *testing.T) {
	for _, c := range []struct{ name, listen, dial string }{
		{"v4", "127.0.0.1", "127.0.0.1"},
		{"v6", "::1", "::1"},
		{"v4 client of a v6 listener", "::", "127.0.0.1"},
		{"v6 sockets with v4 addresses", "::", "::ffff:127.0.0.1"},
	} {
		t.Run(c.name, func(t *testing.T) { testTCP(t, netip.MustParseAddr(c.listen), netip.MustParseAddr(c.dial)) })
	}
}

func testTCP(t *testing.T, on, to netip.Addr) {
	var (
		lfd, fd         int
		laddr           netip.AddrPort
		serverCookie    uint64
		serverIno       uint64
		listenCookie    uint64
		received        int
		report          tcpReport
		ticks           uint64
		cmd             *exec.Cmd
		out             strings.Builder
		rttLow, rttHigh = int64(1), int64(1_000_000)
	)
	rows := record(t, func() {
		lfd, laddr = listenTCP(t, on, 7)
		listenCookie = cookie(lfd)
		cmd = helper("tcp-client", netip.AddrPortFrom(to, laddr.Port()).String())
		cmd.Stdout = &out
		must(t, cmd.Start())
		ticks = startTicks(t, cmd.Process.Pid)
		var err error
		fd, _, err = unix.Accept4(lfd, unix.SOCK_CLOEXEC)
		must(t, err)
		serverCookie, serverIno = cookie(fd), inode(fd)
		received = readAll(fd)
		sendAll(fd, tcpDown)
		unix.Close(fd)
		unix.Close(lfd)
		must(t, cmd.Wait())
	})
	must(t, json.Unmarshal([]byte(out.String()), &report))
	eq(t, "bytes the server read", received, tcpUp)
	rows = settle(t, rows, func(rows []event.Row) bool {
		return len(only(rows, typ(event.ConnClose), onCookie(report.Cookie))) > 0 && len(only(rows, typ(event.ConnClose), onCookie(serverCookie))) > 0
	})
	self, child := os.Getpid(), cmd.Process.Pid
	selfTicks := startTicks(t, self)
	client := report.Local
	server := netip.AddrPortFrom(to, laddr.Port())

	l := one(t, rows, typ(event.Listen), onCookie(listenCookie))
	owned(t, l, self, selfTicks)
	ends(t, l, laddr, netip.AddrPortFrom(map[bool]netip.Addr{true: netip.IPv4Unspecified(), false: netip.IPv6Unspecified()}[on.Is4()], 0), unix.IPPROTO_TCP)
	eq(t, "backlog", l.N1, 7)

	con := one(t, rows, typ(event.Connect), by(child))
	owned(t, con, child, ticks)
	ends(t, con, client, server, unix.IPPROTO_TCP)
	eq(t, "connect cookie", con.Cookie, report.Cookie)
	eq(t, "connect ret", con.Ret, 0)
	eq(t, "connect flags", con.Flags, uint32(event.FlagCritical|event.FlagOwnerSock))
	if con.T0 <= l.TS || con.T0 >= con.TS {
		t.Errorf("connection began at %d, listener at %d, established at %d", con.T0, l.TS, con.TS)
	}

	acc := one(t, rows, typ(event.Accept), onCookie(serverCookie))
	owned(t, acc, self, selfTicks)
	ends(t, acc, server, client, unix.IPPROTO_TCP)
	eq(t, "accept ret", acc.Ret, int64(fd))
	eq(t, "accept inode", acc.Ino, serverIno)
	eq(t, "accept flags", acc.Flags, uint32(event.FlagCritical))
	eq(t, "ISN pair at accept", acc.ISN, mirror(con.ISN))
	if con.ISN == 0 || uint32(con.ISN) == 0 || con.ISN>>32 == 0 {
		t.Errorf("ISN pair %x", con.ISN)
	}

	for _, s := range []struct {
		pid        int
		ticks      uint64
		cookie     uint64
		ino        uint64
		from, peer netip.AddrPort
		dir        uint32
	}{
		{child, ticks, report.Cookie, report.Ino, client, server, 1},
		{child, ticks, report.Cookie, report.Ino, client, server, 2},
		{self, selfTicks, serverCookie, serverIno, server, client, 1},
		{self, selfTicks, serverCookie, serverIno, server, client, 2},
	} {
		if !lengths(t) {
			break
		}
		r := one(t, rows, typ(event.SockFirst), onCookie(s.cookie), func(r *event.Row) bool { return r.Op == s.dir })
		owned(t, r, s.pid, s.ticks)
		ends(t, r, s.from, s.peer, unix.IPPROTO_TCP)
		eq(t, "socket inode", r.Ino, s.ino)
		if r.Ret <= 0 || r.Ret > 65536 {
			t.Errorf("first bytes %d", r.Ret)
		}
	}

	cc := one(t, rows, typ(event.ConnClose), onCookie(report.Cookie))
	sc := one(t, rows, typ(event.ConnClose), onCookie(serverCookie))
	owned(t, cc, child, ticks)
	owned(t, sc, self, selfTicks)
	ends(t, cc, client, server, unix.IPPROTO_TCP)
	ends(t, sc, server, client, unix.IPPROTO_TCP)
	eq(t, "client close ISN", cc.ISN, con.ISN)
	eq(t, "server close ISN", sc.ISN, mirror(con.ISN))
	eq(t, "client bytes out", cc.BytesOut, tcpUp)
	eq(t, "client bytes in", cc.BytesIn, tcpDown)
	eq(t, "server bytes out", sc.BytesOut, tcpDown)
	eq(t, "server bytes in", sc.BytesIn, tcpUp)
	eq(t, "client role", cc.Op, 1)
	eq(t, "server role", sc.Op, 2)
	eq(t, "client t0", cc.T0, con.T0)
	if sc.T0 <= con.T0 || sc.T0 > acc.TS {
		t.Errorf("server side began at %d, SYN at %d, accepted at %d", sc.T0, con.T0, acc.TS)
	}
	// the client ended its direction first, then the server closed: FIN_WAIT2 and LAST_ACK
	eq(t, "client old state", cc.N4, 5)
	eq(t, "server old state", sc.N4, 9)
	for _, r := range []*event.Row{cc, sc} {
		eq(t, "close flags", r.Flags, uint32(event.FlagCritical|event.FlagOwnerSock))
		eq(t, "close error", r.N5, 0)
		if r.N1 < rttLow || r.N1 > rttHigh {
			t.Errorf("round trip %d us", r.N1)
		}
		if r.OpsIn == 0 || r.OpsOut == 0 || r.N3 < int64(r.BytesOut) || (r.N2 == 0 && r.N3 != int64(r.BytesOut)) {
			t.Errorf("segments %d in %d out, sent %d, payload %d, retransmitted %d", r.OpsIn, r.OpsOut, r.N3, r.BytesOut, r.N2)
		}
	}
}

func TestConnectRefused(t *testing.T) {
	var c uint64
	var to netip.AddrPort
	var from netip.AddrPort
	rows := record(t, func() {
		lfd, a := listenTCP(t, netip.MustParseAddr("127.0.0.1"), 1)
		unix.Close(lfd)
		to = a
		fd, err := dial(to)
		if err != unix.ECONNREFUSED {
			t.Fatalf("connect to a closed port: %v", err)
		}
		c = cookie(fd)
		unix.Close(fd)
	})
	r := one(t, rows, typ(event.Connect), by(os.Getpid()))
	owned(t, r, os.Getpid(), startTicks(t, os.Getpid()))
	eq(t, "ret", r.Ret, -int64(unix.ECONNREFUSED))
	eq(t, "flags", r.Flags, uint32(event.FlagCritical|event.FlagOwnerSock|event.FlagFailed))
	eq(t, "cookie", r.Cookie, c)
	eq(t, "ISN", r.ISN, 0)
	from = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), r.LPort)
	ends(t, r, from, to, unix.IPPROTO_TCP)
	if r.LPort == 0 || r.T0 == 0 || r.T0 >= r.TS {
		t.Errorf("local port %d, t0 %d, ts %d", r.LPort, r.T0, r.TS)
	}
	eq(t, "closed connections", len(only(rows, typ(event.ConnClose), onCookie(c))), 0)
}

// TestConnectionReset closes with unread data and lingering off: no FIN on either side.
func TestConnectionReset(t *testing.T) {
	var client, server uint64
	rows := record(t, func() {
		lfd, a := listenTCP(t, netip.MustParseAddr("127.0.0.1"), 1)
		defer unix.Close(lfd)
		c, err := dial(a)
		must(t, err)
		s, _, err := unix.Accept(lfd)
		must(t, err)
		client, server = cookie(c), cookie(s)
		sendAll(c, 1234)
		sendAll(s, 77)
		unix.SetsockoptLinger(c, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
		unix.Close(c)
		unix.Close(s)
	})
	rows = settle(t, rows, func(rows []event.Row) bool { return len(only(rows, typ(event.ConnClose), onCookie(server))) > 0 })
	cc := one(t, rows, typ(event.ConnClose), onCookie(client))
	sc := one(t, rows, typ(event.ConnClose), onCookie(server))
	for _, r := range []*event.Row{cc, sc} {
		eq(t, "pid", r.PID, uint32(os.Getpid()))
		eq(t, "old state", r.N4, 1)
	}
	eq(t, "client out", cc.BytesOut, 1234)
	eq(t, "client in", cc.BytesIn, 77)
	eq(t, "server out", sc.BytesOut, 77)
	eq(t, "server in", sc.BytesIn, 1234)
	eq(t, "server error", sc.N5, -int64(unix.ECONNRESET))
	eq(t, "ISN", sc.ISN, mirror(cc.ISN))
}

// TestNeverAccepted: a connection that dies in the queue belongs, as a guess, to its listener;
// one that was accepted and only closed belongs to who closed it.
func TestNeverAccepted(t *testing.T) {
	var queued, taken uint64
	rows := record(t, func() {
		lfd, a := listenTCP(t, netip.MustParseAddr("127.0.0.1"), 2)
		c, err := dial(a)
		must(t, err)
		s, _, err := unix.Accept(lfd)
		must(t, err)
		taken = cookie(s)
		unix.Close(s)
		unix.Close(c)
		c, err = dial(a)
		must(t, err)
		queued = uint64(local(c).Port())
		unix.Close(lfd)
		unix.Close(c)
	})
	fromQueue := func(r *event.Row) bool { return uint64(r.RPort) == queued }
	rows = settle(t, rows, func(rows []event.Row) bool {
		return len(only(rows, typ(event.ConnClose), fromQueue)) > 0 && len(only(rows, typ(event.ConnClose), onCookie(taken))) > 0
	})
	r := one(t, rows, typ(event.ConnClose), onCookie(taken))
	eq(t, "pid", r.PID, uint32(os.Getpid()))
	eq(t, "flags", r.Flags, uint32(event.FlagCritical|event.FlagOwnerSock))
	eq(t, "role", r.Op, 2)
	r = one(t, rows, typ(event.ConnClose), fromQueue)
	eq(t, "pid", r.PID, uint32(os.Getpid()))
	eq(t, "flags", r.Flags, uint32(event.FlagCritical|event.FlagOwnerSock|event.FlagOwnerGuess))
	eq(t, "role", r.Op, 2)
}

// TestSocketOfTwo: a child that inherits a connection and uses it gets a row of its own.
func TestSocketOfTwo(t *testing.T) {
	needLengths(t)
	var client uint64
	var pids []uint32
	rows := record(t, func() {
		lfd, a := listenTCP(t, netip.MustParseAddr("127.0.0.1"), 2)
		defer unix.Close(lfd)
		c, err := dial(a)
		must(t, err)
		client = cookie(c)
		s, _, err := unix.Accept(lfd)
		must(t, err)
		sendAll(c, 1)
		f := os.NewFile(uintptr(c), "c")
		for n := 0; n < 6; n++ { // more than there are places
			cmd := helper("use-socket", "10")
			cmd.ExtraFiles = []*os.File{f}
			must(t, cmd.Run())
			pids = append(pids, uint32(cmd.Process.Pid))
		}
		f.Close()
		eq(t, "received", readAll(s), 61)
		unix.Close(s)
	})
	rows = settle(t, rows, func(rows []event.Row) bool { return len(only(rows, typ(event.ConnClose), onCookie(client))) > 0 })
	for _, pid := range append(pids, uint32(os.Getpid())) {
		r := one(t, rows, typ(event.SockFirst), onCookie(client), by(int(pid)))
		eq(t, "direction", r.Op, 1)
	}
	r := one(t, rows, typ(event.ConnClose), onCookie(client))
	eq(t, "owner: who connected", r.PID, uint32(os.Getpid()))
	eq(t, "bytes out", r.BytesOut, 61)
}

// totals returns the last row of every flow of a socket, by peer.
func totals(rows []event.Row, c uint64) map[netip.AddrPort][]event.Row {
	type key struct {
		pid  uint32
		peer netip.AddrPort
		t0   int64
	}
	last := map[key]event.Row{}
	for _, r := range only(rows, typ(event.SockTotal), onCookie(c)) {
		p, _ := netip.ParseAddr(string(r.RAddr))
		k := key{r.PID, netip.AddrPortFrom(p, r.RPort), int64(r.T0)}
		if o, ok := last[k]; !ok || o.OpsIn+o.OpsOut <= r.OpsIn+r.OpsOut {
			last[k] = r
		}
	}
	out := map[netip.AddrPort][]event.Row{}
	for k, r := range last {
		out[k.peer] = append(out[k.peer], r)
	}
	return out
}

func TestUDP(t *testing.T) {
	needLengths(t)
	for _, c := range []struct {
		name, bind, to string
		connect        bool
	}{
		{"connected v4", "127.0.0.1", "127.0.0.1", true},
		{"connected v6", "::1", "::1", true},
		{"unconnected v4", "127.0.0.1", "127.0.0.1", false},
		{"unconnected v6", "::1", "::1", false},
		{"unconnected v4 in v6", "::", "::ffff:127.0.0.1", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var a, b int
			var aa, ba netip.AddrPort
			var ac, bc, ai uint64
			rows := record(t, func() {
				a, aa = udp(t, netip.MustParseAddr(c.bind))
				b, ba = udp(t, netip.MustParseAddr(c.bind))
				ac, bc, ai = cookie(a), cookie(b), inode(a)
				to := func(p netip.AddrPort) netip.AddrPort {
					return netip.AddrPortFrom(netip.MustParseAddr(c.to), p.Port())
				}
				if c.connect {
					must(t, unix.Connect(a, sockaddr(ba)))
					must(t, unix.Connect(b, sockaddr(aa)))
				}
				send := func(fd int, p netip.AddrPort, n int) {
					if c.connect {
						_, err := unix.Write(fd, make([]byte, n))
						must(t, err)
					} else {
						must(t, unix.Sendto(fd, make([]byte, n), 0, sockaddr(to(p))))
					}
				}
				recv := func(fd, want int) {
					buf := make([]byte, 4096)
					var n int
					var err error
					if c.connect {
						n, err = unix.Read(fd, buf)
					} else {
						n, _, err = unix.Recvfrom(fd, buf, unix.MSG_PEEK) // seen, not taken
						must(t, err)
						eq(t, "peeked", n, want)
						n, _, err = unix.Recvfrom(fd, buf, 0)
					}
					must(t, err)
					eq(t, "received", n, want)
				}
				send(a, ba, 100)
				send(a, ba, 11)
				send(a, ba, 0)
				recv(b, 100)
				recv(b, 11)
				recv(b, 0)
				send(b, aa, 1000)
				recv(a, 1000)
				unix.Close(a)
				unix.Close(b)
			})
			aw, bw := aa, ba // as the rows show them: a wildcard stays one
			ap, bp := aa, ba
			if c.bind == "::" {
				ap = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), aa.Port())
				bp = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), ba.Port())
				aw = netip.AddrPortFrom(netip.IPv4Unspecified(), aa.Port())
				bw = netip.AddrPortFrom(netip.IPv4Unspecified(), ba.Port())
			}
			ticks := startTicks(t, os.Getpid())
			for _, s := range []struct {
				cookie      uint64
				dir         uint32
				local, peer netip.AddrPort
				ret         int64
			}{{ac, 1, aw, bp, 100}, {ac, 2, aw, bp, 1000}, {bc, 1, bw, ap, 1000}, {bc, 2, bw, ap, 100}} {
				r := one(t, rows, typ(event.SockFirst), onCookie(s.cookie), func(r *event.Row) bool { return r.Op == s.dir })
				owned(t, r, os.Getpid(), ticks)
				ends(t, r, s.local, s.peer, unix.IPPROTO_UDP)
				eq(t, "ret", r.Ret, s.ret)
				if s.cookie == ac {
					eq(t, "inode", r.Ino, ai)
				}
			}
			for _, s := range []struct {
				cookie        uint64
				local, peer   netip.AddrPort
				in, out       uint64
				opsIn, opsOut uint32
			}{{ac, aw, bp, 1000, 111, 1, 3}, {bc, bw, ap, 111, 1000, 3, 1}} {
				r := one(t, rows, typ(event.SockTotal), onCookie(s.cookie))
				owned(t, r, os.Getpid(), ticks)
				ends(t, r, s.local, s.peer, unix.IPPROTO_UDP)
				eq(t, "bytes in", r.BytesIn, s.in)
				eq(t, "bytes out", r.BytesOut, s.out)
				eq(t, "datagrams in", r.OpsIn, s.opsIn)
				eq(t, "datagrams out", r.OpsOut, s.opsOut)
				eq(t, "reason", r.Op, 3)
				eq(t, "flags", r.Flags, uint32(event.FlagOwnerSock))
				if r.T0 == 0 || r.N2 <= int64(r.T0) || int64(r.TS) < r.N2 {
					t.Errorf("from %d to %d, told at %d", r.T0, r.N2, r.TS)
				}
			}
		})
	}
}

// TestUDPManyPeersAndThreads sends from several threads through one socket to more peers than a
// socket has places, and asks that every datagram is in some total with the right peer.
func TestUDPManyPeersAndThreads(t *testing.T) {
	needLengths(t)
	const peers, threads, each = 9, 4, 400
	var c uint64
	var to [peers]netip.AddrPort
	var fds [peers]int
	set := programs(t)
	before, had := sends(set).Missed(), counted(t, set, causeRingFull, event.SockTotal)
	rows := record(t, func() {
		fd, _ := udp(t, netip.MustParseAddr("127.0.0.1"))
		c = cookie(fd)
		for i := range to {
			fds[i], to[i] = udp(t, netip.MustParseAddr("127.0.0.1"))
		}
		var wg sync.WaitGroup
		for n := 0; n < threads; n++ {
			wg.Go(func() {
				runtime.LockOSThread()
				defer runtime.UnlockOSThread()
				b := make([]byte, 64)
				for i := 0; i < each; i++ {
					for p := range to {
						if err := unix.Sendto(fd, b[:p+1], 0, sockaddr(to[p])); err != nil {
							t.Error(err)
						}
					}
				}
			})
		}
		wg.Wait()
		unix.Close(fd)
		for _, fd := range fds {
			unix.Close(fd)
		}
	})
	// From 7.0 the kernel may preempt a program, and before 6.3 it may preempt the ones at the ends
	// of functions; it then skips them for everybody else on that cpu: those are known by number.
	missed := sends(set).Missed() - before
	if missed > 0 {
		t.Logf("the kernel skipped %d runs", missed)
	}
	got := totals(rows, c)
	var short uint64
	for p, a := range to {
		var ops, bytes uint64
		for _, r := range got[a] {
			ops += uint64(r.OpsOut)
			bytes += r.BytesOut
		}
		eq(t, fmt.Sprint("bytes to ", a), bytes, ops*uint64(p+1))
		short += threads*each - ops
	}
	eq(t, "datagrams in no total", short, missed)
	eq(t, "totals lost", counted(t, set, causeRingFull, event.SockTotal)-had, 0)
	eq(t, "peers", len(got), peers)
}

// Totals that sends and closes make are held to the quota of their cgroup as other bulk rows are, and
// all of them are accounted for.
func TestTotalsAreHeldToTheQuota(t *testing.T) {
	needLengths(t)
	hooks := []string{"hc_sock_send", "hc_sendmsg4", "hc_sock_release"}
	leave := func(n string) bool { return !slices.Contains(append(hooks, "hc_inet_sendmsg"), n) }
	set := loadHooks(t, bpf.Options{Self: bpf.NoSelf, CgroupRoot: cgroup2(), CriticalBytes: 1 << 20, BulkBytes: 1 << 20, Quota: 4, Leave: leave}, hooks...)
	const peers = 9
	var to [peers]netip.AddrPort
	for i := range to {
		var fd int
		fd, to[i] = udp(t, netip.MustParseAddr("127.0.0.1"))
		defer unix.Close(fd)
	}
	for range 40 {
		fd, _ := udp(t, netip.MustParseAddr("127.0.0.1"))
		for p := range to {
			must(t, unix.Sendto(fd, []byte("x"), 0, sockaddr(to[p])))
		}
		unix.Close(fd)
	}
	const seen, full, quota = 0, 1, 8
	refused := counted(t, set, quota, event.SockTotal)
	if refused == 0 {
		t.Error("no total was refused: a socket with more peers than flows passes by the quota")
	}
	var of uint64
	groups, err := set.Refused()
	must(t, err)
	for k, n := range groups {
		if k.Type == uint64(event.SockTotal) {
			of += n
		}
	}
	eq(t, "refused, by cgroup", of, refused)
	got := uint64(len(only(drainSet(t, set), typ(event.SockTotal))))
	eq(t, "totals made", counted(t, set, seen, event.SockTotal), got+refused+counted(t, set, full, event.SockTotal))
	eq(t, "totals for which the ring had no room", counted(t, set, full, event.SockTotal), 0)
}

func rowsOf(t testing.TB, h *bpf.Hook) (rows []event.Row) {
	t.Helper()
	if h.Program() == nil {
		t.Fatalf("%s did not load: %v", h.Name, h.Err)
	}
	rc, err := h.Run()
	must(t, err)
	defer rc.Close()
	in := bufio.NewReaderSize(rc, 1<<16)
	for {
		var n [4]byte
		if _, err := io.ReadFull(in, n[:]); err == io.EOF {
			return rows
		} else if err != nil {
			t.Fatalf("%s: %v", h.Name, err)
		}
		b := make([]byte, int(n[0])|int(n[1])<<8|int(n[2])<<16|int(n[3])<<24)
		if _, err := io.ReadFull(in, b); err != nil {
			t.Fatalf("%s: record of %d bytes: %v", h.Name, len(b), err)
		}
		var r event.Row
		seq, err := event.Decode(b, &r)
		if err != nil {
			t.Fatalf("%s: %v", h.Name, err)
		}
		eq(t, "sequence number of an iterator's row", seq, 0)
		rows = append(rows, r)
	}
}

// TestUDPSweep: what an idle socket holds is told once by the walk, and at the close only what
// came after it. The walk is of sockets in every network namespace.
func TestUDPSweep(t *testing.T) {
	needLengths(t)
	set := programs(t)
	sweep := set.Hook("hc_iter_udp_total")
	check := func(t *testing.T) {
		var a int
		var c uint64
		record(t, func() {
			var aa netip.AddrPort
			a, aa = udp(t, netip.MustParseAddr("127.0.0.1"))
			c = cookie(a)
			must(t, unix.Sendto(a, make([]byte, 10), 0, sockaddr(aa)))
			must(t, unix.Sendto(a, make([]byte, 20), 0, sockaddr(aa)))
		})
		r := one(t, rowsOf(t, sweep), typ(event.SockTotal), onCookie(c))
		eq(t, "pid", r.PID, uint32(os.Getpid()))
		eq(t, "bytes out", r.BytesOut, 30)
		eq(t, "datagrams out", r.OpsOut, 2)
		eq(t, "reason", r.Op, 5)
		eq(t, "told again", len(only(rowsOf(t, sweep), onCookie(c))), 0)
		rows := record(t, func() { unix.Read(a, make([]byte, 100)) })
		rows = append(rows, record(t, func() { unix.Close(a) })...)
		var in uint64
		for _, r := range only(rows, typ(event.SockTotal), onCookie(c)) {
			in = r.BytesIn
			eq(t, "sender nobody asked for", r.RPort, 0)
		}
		eq(t, "bytes in, told at the close", in, 10)
	}
	t.Run("here", check)
	t.Run("another network namespace", func(t *testing.T) {
		ownThread(func() {
			if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
				t.Errorf("unshare: %v", err)
				return
			}
			s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
			if err != nil {
				t.Error(err)
				return
			}
			ifr, _ := unix.NewIfreq("lo")
			ifr.SetUint16(unix.IFF_UP)
			if err := unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, ifr); err != nil {
				t.Error(err)
				return
			}
			unix.Close(s)
			check(t)
		})
	})
}

func TestUnixPair(t *testing.T) {
	needLengths(t)
	var fds [2]int
	var c, ino [2]uint64
	rows := record(t, func() {
		var err error
		fds, err = unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		must(t, err)
		for i := range fds {
			c[i], ino[i] = cookie(fds[i]), inode(fds[i])
		}
		b := make([]byte, 100)
		for i := 0; i < 3; i++ {
			unix.Write(fds[0], b[:5])
			unix.Read(fds[1], b)
			unix.Write(fds[1], b[:7])
			unix.Read(fds[0], b)
		}
		unix.Close(fds[0])
		unix.Close(fds[1])
	})
	for i, bytes := range []int64{5, 7} {
		for dir := uint32(1); dir <= 2; dir++ {
			r := one(t, rows, typ(event.SockFirst), onCookie(c[i]), func(r *event.Row) bool { return r.Op == dir })
			owned(t, r, os.Getpid(), startTicks(t, os.Getpid()))
			eq(t, "family", r.Family, unix.AF_UNIX)
			eq(t, "inode", r.Ino, ino[i])
			eq(t, "peer inode", r.Ino2, ino[1-i])
			eq(t, "network namespace", uint64(r.NetNS), nsInode(t, "net"))
			if dir == 2 {
				bytes = 12 - bytes
			}
			eq(t, "bytes", r.Ret, bytes)
		}
	}
}

// BenchmarkNet reports what the programs take per run, by the kernel's own statistics.
func BenchmarkNet(b *testing.B) {
	set := programs(b)
	stats, err := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME)
	if err != nil {
		b.Skipf("needs run statistics of the kernel: %v", err)
	}
	defer stats.Close()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	lo := netip.MustParseAddr("127.0.0.1")
	lfd, laddr := listenTCP(b, lo, 16)
	ufd, uaddr := udp(b, lo)
	xfd := unixListener(b, unix.SOCK_STREAM, "@hindcast-bench")
	pair, _ := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	tc, _ := dial(laddr)
	ts, _, _ := unix.Accept(lfd)
	one := make([]byte, 1)
	for _, c := range []struct {
		name  string
		progs []string
		call  func()
	}{
		{"tcp connection", []string{"hc_tcp_state", "hc_accept4", "hc_sock_send", "hc_sock_recv", "hc_connect", "hc_socket"}, func() {
			c, _ := dial(laddr)
			s, _, _ := unix.Accept4(lfd, 0)
			unix.Write(c, one)
			unix.Read(s, one)
			unix.SetsockoptLinger(c, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
			unix.Close(c)
			unix.Close(s)
		}},
		{"unix connection", []string{"hc_connect", "hc_accept4", "hc_unix_cookie", "hc_socket", "hc_sock_send", "hc_sock_recv"}, func() {
			c, _ := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
			unix.Connect(c, &unix.SockaddrUnix{Name: "@hindcast-bench"})
			s, _, _ := unix.Accept4(xfd, 0)
			unix.Write(c, one)
			unix.Read(s, one)
			unix.Close(c)
			unix.Close(s)
		}},
		{"tcp send+recv", []string{"hc_sock_send", "hc_sock_recv"}, func() { unix.Write(tc, one); unix.Read(ts, one) }},
		{"udp sendto+recvfrom", []string{"hc_sock_send", "hc_sock_recv", "hc_sendmsg4", "hc_recvmsg4"}, func() {
			unix.Sendto(ufd, one, 0, sockaddr(uaddr))
			unix.Recvfrom(ufd, one, 0)
		}},
		{"unix send+recv", []string{"hc_sock_send", "hc_sock_recv"}, func() { unix.Write(pair[0], one); unix.Read(pair[1], one) }},
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
		})
	}
}
