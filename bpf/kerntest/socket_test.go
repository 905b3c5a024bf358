//go:build linux

package kerntest

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"hindcast/bpf"
	"hindcast/format/event"
)

// TestSocketNew: sockets of rare kinds are told, common ones are not.
func TestSocketNew(t *testing.T) {
	const mptcp = 262
	for _, c := range []struct {
		what                string
		family, kind, proto int
		told                bool
	}{
		{"tcp", unix.AF_INET, unix.SOCK_STREAM, 0, false},
		{"tcp6", unix.AF_INET6, unix.SOCK_STREAM, unix.IPPROTO_TCP, false},
		{"udp", unix.AF_INET, unix.SOCK_DGRAM, 0, false},
		{"udp6", unix.AF_INET6, unix.SOCK_DGRAM, unix.IPPROTO_UDP, false},
		{"unix", unix.AF_UNIX, unix.SOCK_STREAM, 0, false},
		{"route", unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE, false},
		{"raw", unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP, true},
		{"raw6", unix.AF_INET6, unix.SOCK_RAW, unix.IPPROTO_RAW, true},
		{"packet", unix.AF_PACKET, unix.SOCK_RAW, 0x0300, true}, // ETH_P_ALL
		{"packet, datagrams", unix.AF_PACKET, unix.SOCK_DGRAM, 0, true},
		{"audit", unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_AUDIT, true},
		{"connector", unix.AF_NETLINK, unix.SOCK_DGRAM, unix.NETLINK_CONNECTOR, true},
		{"netfilter", unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_NETFILTER, true},
		{"generic", unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_GENERIC, true},
		{"mptcp", unix.AF_INET, unix.SOCK_STREAM, mptcp, true},
		{"sctp", unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_SCTP, true},
		{"vsock", unix.AF_VSOCK, unix.SOCK_STREAM, 0, true},
		{"xdp", unix.AF_XDP, unix.SOCK_RAW, 0, true},
		{"crypto", unix.AF_ALG, unix.SOCK_SEQPACKET, 0, true},
		{"key", unix.AF_KEY, unix.SOCK_RAW, 2, true},
		{"bluetooth", unix.AF_BLUETOOTH, unix.SOCK_RAW, 1, true},
	} {
		t.Run(c.what, func(t *testing.T) {
			var fd int
			var err error
			var ino uint64
			var got int
			rows := record(t, func() {
				fd, err = unix.Socket(c.family, c.kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, c.proto)
				if err == nil {
					ino = inode(fd)
					got, _ = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PROTOCOL)
					unix.Close(fd)
				}
			})
			if err != nil {
				eq(t, "rows of a call that failed for want of the protocol", len(only(rows, typ(event.SocketNew), by(os.Getpid()))), 0)
				if !slices.Contains(noSocket, err) {
					t.Fatal(err)
				}
				t.Skipf("the kernel has no such socket: %v", err)
			}
			if !c.told {
				eq(t, "rows", len(only(rows, typ(event.SocketNew), by(os.Getpid()))), 0)
				return
			}
			r := one(t, rows, typ(event.SocketNew), by(os.Getpid()))
			newSocket(t, r, fd, c.family, c.kind, c.proto)
			eq(t, "inode", r.Ino, ino)
			if c.family != unix.AF_PACKET { // keeps its protocol elsewhere
				eq(t, "protocol by SO_PROTOCOL", uint8(got), r.Proto)
			}
		})
	}
}

func newSocket(t testing.TB, r *event.Row, fd, family, kind, proto int) {
	t.Helper()
	owned(t, r, os.Getpid(), startTicks(t, os.Getpid()))
	eq(t, "ret", r.Ret, int64(fd))
	eq(t, "flags", r.Flags, 0)
	eq(t, "family", int(r.Family), family)
	eq(t, "type", r.N2, int64(kind))
	eq(t, "protocol asked for", r.N3, int64(proto))
	eq(t, "namespace", uint64(r.NetNS), nsInode(t, "net"))
}

// TestSocketNewForensic: there every socket is told.
func TestSocketNewForensic(t *testing.T) {
	set := loadHooks(t, bpf.Options{Self: bpf.NoSelf, Forensic: true}, "hc_socket")
	for _, c := range [][3]int{{unix.AF_INET, unix.SOCK_STREAM, 0}, {unix.AF_INET6, unix.SOCK_DGRAM, 0}, {unix.AF_UNIX, unix.SOCK_SEQPACKET, 0}, {unix.AF_NETLINK, unix.SOCK_RAW, 0}} {
		drainSet(t, set)
		fd, err := unix.Socket(c[0], c[1], c[2])
		must(t, err)
		r := one(t, drainSet(t, set), typ(event.SocketNew), by(os.Getpid()))
		newSocket(t, r, fd, c[0], c[1], c[2])
		eq(t, "inode", r.Ino, inode(fd))
		unix.Close(fd)
	}
}

// unprivileged runs f on a thread of its own without any capability.
func unprivileged(t testing.TB, f func()) {
	ownThread(func() {
		if _, _, e := unix.RawSyscall(unix.SYS_SETRESUID, 65534, 65534, 65534); e != 0 {
			t.Error(e)
			return
		}
		f()
	})
}

func TestSocketRefused(t *testing.T) {
	rows := record(t, func() {
		unprivileged(t, func() {
			if _, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0x0300); err != unix.EPERM {
				t.Errorf("packet socket without privilege: %v", err)
			}
		})
	})
	r := one(t, rows, typ(event.SocketNew), by(os.Getpid()))
	eq(t, "ret", r.Ret, -int64(unix.EPERM))
	eq(t, "flags", r.Flags, uint32(event.FlagFailed))
	eq(t, "family", r.Family, unix.AF_PACKET)
	eq(t, "type", r.N2, unix.SOCK_RAW)
	eq(t, "protocol", r.N3, 0x0300)
	eq(t, "inode", r.Ino, 0)
}

// rewriter attaches a cgroup program that answers connects to IPv4 port deny with EPERM, and
// sends those to port from to port to instead.
func rewriter(t testing.TB, attach ebpf.AttachType, deny, from, to uint16) {
	t.Helper()
	net := func(p uint16) int32 { return int32(p>>8 | p<<8) }
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.CGroupSockAddr, AttachType: attach, License: "GPL",
		Instructions: asm.Instructions{
			asm.LoadMem(asm.R2, asm.R1, 24, asm.Word), // user_port
			asm.Mov.Imm(asm.R0, 0),
			asm.JEq.Imm(asm.R2, net(deny), "out"),
			asm.Mov.Imm(asm.R0, 1),
			asm.JNE.Imm(asm.R2, net(from), "out"),
			asm.Mov.Imm(asm.R2, net(to)),
			asm.StoreMem(asm.R1, 24, asm.R2, asm.Word),
			asm.Return().WithSymbol("out"),
		},
	})
	must(t, err)
	t.Cleanup(func() { prog.Close() })
	l, err := link.AttachCgroup(link.CgroupOptions{Path: cgroup2(), Attach: attach, Program: prog})
	must(t, err)
	t.Cleanup(func() { l.Close() })
}

// TestConnectMismatch: a cgroup program sends a connection elsewhere; both addresses are told.
func TestConnectMismatch(t *testing.T) {
	programs(t)
	for _, c := range []struct {
		ip     string
		attach ebpf.AttachType
		kind   int
		nonblk int
	}{
		{"127.0.0.1", ebpf.AttachCGroupInet4Connect, unix.SOCK_STREAM, 0},
		{"127.0.0.1", ebpf.AttachCGroupInet4Connect, unix.SOCK_STREAM, unix.SOCK_NONBLOCK},
		{"127.0.0.1", ebpf.AttachCGroupInet4Connect, unix.SOCK_DGRAM, 0},
		{"::1", ebpf.AttachCGroupInet6Connect, unix.SOCK_STREAM, 0},
		{"::1", ebpf.AttachCGroupInet6Connect, unix.SOCK_DGRAM, 0},
	} {
		t.Run(fmt.Sprint(c.ip, c.kind, c.nonblk), func(t *testing.T) {
			ip := netip.MustParseAddr(c.ip)
			lfd, at := listenTCP(t, ip, 5)
			defer unix.Close(lfd)
			ufd, uat := udp(t, ip)
			defer unix.Close(ufd)
			if c.kind == unix.SOCK_DGRAM {
				at = uat
			}
			asked := netip.AddrPortFrom(ip, at.Port()^0x1000)
			rewriter(t, c.attach, 0, asked.Port(), at.Port())
			var ino uint64
			var ret error
			rows := record(t, func() {
				fd, err := unix.Socket(family(ip), c.kind|c.nonblk, 0)
				must(t, err)
				ret = unix.Connect(fd, sockaddr(asked))
				ino = inode(fd)
				sa, err := unix.Getpeername(fd)
				if err == nil {
					eq(t, "address used", addrPort(sa), at)
				}
				unix.Close(fd)
			})
			r := one(t, rows, typ(event.Mismatch), by(os.Getpid()))
			owned(t, r, os.Getpid(), startTicks(t, os.Getpid()))
			eq(t, "kind", r.Op, 3)
			eq(t, "call", r.N1, unix.SYS_CONNECT)
			eq(t, "inode", r.Ino, ino)
			eq(t, "flags", r.Flags, 0)
			if e, ok := ret.(unix.Errno); ok {
				eq(t, "ret", r.Ret, -int64(e))
			} else {
				eq(t, "ret", r.Ret, 0)
			}
			used, err := netip.ParseAddrPort(string(r.Path))
			must(t, err)
			eq(t, "used", used, at)
			claimed, err := netip.ParseAddrPort(string(r.Path2))
			must(t, err)
			eq(t, "asked", claimed, asked)
		})
	}
}

// TestConnectNoMismatch: what the kernel itself takes an address for is no difference.
func TestConnectNoMismatch(t *testing.T) {
	rows := record(t, func() {
		for _, c := range []struct{ listen, dial, bind string }{
			{"127.0.0.1", "127.0.0.1", ""},
			{"127.0.0.1", "0.0.0.0", ""},
			{"127.0.0.2", "0.0.0.0", "127.0.0.2"},
			{"::", "::ffff:127.0.0.1", ""},
			{"::1", "::1", ""},
			{"::1", "::", ""},
		} {
			lfd, a := listenTCP(t, netip.MustParseAddr(c.listen), 1)
			to := netip.MustParseAddr(c.dial)
			for _, kind := range []int{unix.SOCK_STREAM, unix.SOCK_DGRAM} {
				fd, err := unix.Socket(family(to), kind, 0)
				must(t, err)
				if c.bind != "" {
					must(t, unix.Bind(fd, sockaddr(netip.AddrPortFrom(netip.MustParseAddr(c.bind), 0))))
				}
				if err := unix.Connect(fd, sockaddr(netip.AddrPortFrom(to, a.Port()))); err != nil {
					t.Errorf("%v: %v", c, err)
				}
				unix.Close(fd)
			}
			unix.Close(lfd)
		}
		fd, _ := udp(t, netip.MustParseAddr("127.0.0.1"))
		var none [16]byte // AF_UNSPEC dissolves
		must(t, unix.Connect(fd, sockaddr(local(fd))))
		unix.RawSyscall(unix.SYS_CONNECT, uintptr(fd), uintptr(addressOf(&none)), 16)
		unix.Close(fd)
	})
	for _, r := range only(rows, typ(event.Mismatch), by(os.Getpid())) {
		t.Errorf("asked %s, used %s", r.Path2, r.Path)
	}
	for _, r := range only(rows, typ(event.ConnectDenied), by(os.Getpid())) {
		t.Errorf("denied %s:%d: %d", r.RAddr, r.RPort, r.Ret)
	}
}

// TestConnectDenied: refusals before a packet, each told once; what TCP's own rows tell is not
// told again.
func TestConnectDenied(t *testing.T) {
	programs(t)
	lo := netip.MustParseAddr("127.0.0.1")
	deny := uint16(47113)
	rewriter(t, ebpf.AttachCGroupInet4Connect, deny, 1, 1)
	closed := func() netip.AddrPort {
		fd, a := listenTCP(t, lo, 1)
		unix.Close(fd)
		return a
	}()
	for _, c := range []struct {
		what  string
		to    netip.AddrPort
		kind  int
		alone bool // in a network namespace with nothing in it
		other bool // an IPv6 address for an IPv4 socket
		err   unix.Errno
		told  bool
	}{
		{"policy", netip.AddrPortFrom(lo, deny), unix.SOCK_STREAM, false, false, unix.EPERM, true},
		{"policy, udp", netip.AddrPortFrom(lo, deny), unix.SOCK_DGRAM, false, false, unix.EPERM, true},
		{"no route", netip.MustParseAddrPort("192.0.2.1:80"), unix.SOCK_STREAM, true, false, unix.ENETUNREACH, true},
		{"no route, udp", netip.MustParseAddrPort("192.0.2.1:80"), unix.SOCK_DGRAM, true, false, unix.ENETUNREACH, true},
		{"no address to call from, v6", netip.MustParseAddrPort("[2001:db8::1]:80"), unix.SOCK_STREAM, true, false, unix.EADDRNOTAVAIL, true},
		{"no route, mapped", netip.MustParseAddrPort("[::ffff:192.0.2.1]:80"), unix.SOCK_STREAM, true, false, unix.ENETUNREACH, true},
		{"broadcast, udp", netip.MustParseAddrPort("127.255.255.255:80"), unix.SOCK_DGRAM, false, false, unix.EACCES, true},
		{"other family", netip.MustParseAddrPort("[2001:db8::1]:80"), unix.SOCK_STREAM, false, true, unix.EAFNOSUPPORT, true},
		{"refused by the other end", closed, unix.SOCK_STREAM, false, false, unix.ECONNREFUSED, false},
	} {
		t.Run(c.what, func(t *testing.T) {
			var ns, seen uint64
			rows := record(t, func() {
				ownThread(func() {
					if c.alone {
						if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
							t.Error(err)
							return
						}
					}
					var st unix.Stat_t
					unix.Stat("/proc/thread-self/ns/net", &st)
					ns = st.Ino
					fam := family(c.to.Addr())
					if c.other {
						fam = unix.AF_INET
					}
					fd, err := unix.Socket(fam, c.kind, 0)
					if err != nil {
						t.Error(err)
						return
					}
					if err := unix.Connect(fd, sockaddr(c.to)); err != c.err {
						t.Errorf("connect: %v, want %v", err, c.err)
					}
					seen = cookie(fd)
					unix.Close(fd)
				})
			})
			if !c.told {
				eq(t, "denials", len(only(rows, typ(event.ConnectDenied), by(os.Getpid()))), 0)
				eq(t, "connect rows", len(only(rows, typ(event.Connect), onCookie(seen))), 1)
				return
			}
			r := one(t, rows, typ(event.ConnectDenied), by(os.Getpid()))
			owned(t, r, os.Getpid(), startTicks(t, os.Getpid()))
			eq(t, "connect rows", len(only(rows, typ(event.Connect), by(os.Getpid()))), 0)
			eq(t, "ret", r.Ret, -int64(c.err))
			eq(t, "flags", r.Flags, uint32(event.FlagCritical|event.FlagFailed))
			eq(t, "remote address", string(r.RAddr), c.to.Addr().Unmap().String())
			eq(t, "remote port", r.RPort, c.to.Port())
			want := uint8(unix.AF_INET)
			if c.to.Addr().Unmap().Is6() {
				want = unix.AF_INET6
			}
			eq(t, "family", r.Family, want)
			eq(t, "protocol", r.Proto, map[int]uint8{unix.SOCK_STREAM: unix.IPPROTO_TCP, unix.SOCK_DGRAM: unix.IPPROTO_UDP}[c.kind])
			eq(t, "type", r.N2, int64(c.kind))
			eq(t, "namespace", uint64(r.NetNS), ns)
			eq(t, "path", len(r.Path), 0)
		})
	}
}

// TestConnectNoPortLeft: TCP finds out late that it has no source address left. One row tells it.
func TestConnectNoPortLeft(t *testing.T) {
	var c uint64
	var to netip.AddrPort
	rows := record(t, func() {
		lfd, a := listenTCP(t, netip.MustParseAddr("127.0.0.1"), 5)
		defer unix.Close(lfd)
		to = a
		from := netip.AddrPortFrom(a.Addr(), 0)
		for i, want := range []error{nil, unix.EADDRNOTAVAIL} { // the same four numbers twice
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
			must(t, err)
			defer unix.Close(fd)
			must(t, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1))
			must(t, unix.Bind(fd, sockaddr(from)))
			from, c = local(fd), cookie(fd)
			if err := unix.Connect(fd, sockaddr(to)); err != want {
				t.Errorf("connect %d: %v, want %v", i, err, want)
			}
		}
	})
	eq(t, "denials", len(only(rows, typ(event.ConnectDenied), by(os.Getpid()))), 0)
	r := one(t, rows, typ(event.Connect), onCookie(c))
	eq(t, "ret", r.Ret, -int64(unix.EADDRNOTAVAIL))
	eq(t, "remote port", r.RPort, to.Port())
}

// noSocket is what a kernel answers that does not know a family, type or protocol.
var noSocket = []error{unix.EAFNOSUPPORT, unix.EPROTONOSUPPORT, unix.ESOCKTNOSUPPORT, unix.ENOPROTOOPT}

// TestMPTCP: the process uses one socket, the kernel speaks TCP below it by others. Accept and the
// first bytes are told of the one, connection and totals of the others; a client that speaks only
// TCP leaves nothing but TCP.
func TestMPTCP(t *testing.T) {
	const mptcp = 262
	lo := netip.MustParseAddr("127.0.0.1")
	for _, proto := range []int{mptcp, unix.IPPROTO_TCP} {
		t.Run(fmt.Sprint(proto), func(t *testing.T) {
			lfd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, mptcp)
			if err != nil {
				if !slices.Contains(noSocket, err) {
					t.Fatal(err)
				}
				t.Skipf("the kernel has no MPTCP, or it is off: %v", err)
			}
			defer unix.Close(lfd)
			var to, from netip.AddrPort
			var sent, got uint64
			var fd int
			rows := record(t, func() {
				must(t, unix.Bind(lfd, sockaddr(netip.AddrPortFrom(lo, 0))))
				must(t, unix.Listen(lfd, 3))
				to = local(lfd)
				c, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, proto)
				must(t, err)
				must(t, unix.Connect(c, sockaddr(to)))
				from = local(c)
				fd, _, err = unix.Accept(lfd)
				must(t, err)
				unix.Write(c, make([]byte, 33))
				unix.Read(fd, make([]byte, 100))
				sent, got = inode(c), inode(fd)
				unix.Close(c)
				unix.Close(fd)
			})
			self := os.Getpid()
			b := one(t, rows, typ(event.Bind), by(self))
			eq(t, "bound port", b.LPort, to.Port())
			ends(t, one(t, rows, typ(event.Connect), by(self)), from, to, unix.IPPROTO_TCP)
			acc := one(t, rows, typ(event.Accept), by(self))
			ends(t, acc, to, from, unix.IPPROTO_TCP)
			eq(t, "accept ret", acc.Ret, int64(fd))
			eq(t, "accept inode", acc.Ino, got)
			eq(t, "numbers of the connection", acc.ISN != 0, proto == unix.IPPROTO_TCP)
			eq(t, "mismatches", len(only(rows, typ(event.Mismatch), by(self))), 0)
			if !lengths(t) {
				return
			}
			s := one(t, rows, typ(event.SockFirst), by(self), func(r *event.Row) bool { return r.Ino == sent })
			ends(t, s, from, to, unix.IPPROTO_TCP)
			eq(t, "bytes", s.Ret, 33)
			r := one(t, rows, typ(event.SockFirst), by(self), func(r *event.Row) bool { return r.Ino == got })
			ends(t, r, to, from, unix.IPPROTO_TCP)
		})
	}
}
