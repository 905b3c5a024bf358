//go:build linux

package kerntest

import (
	"net/netip"
	"os"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"hindcast/format/event"
)

func addressOf[T any](p *T) unsafe.Pointer { return unsafe.Pointer(p) }

func bound(t *testing.T, rows []event.Row, kind int, ino uint64) *event.Row {
	t.Helper()
	r := one(t, rows, typ(event.Bind), by(os.Getpid()))
	owned(t, r, os.Getpid(), startTicks(t, os.Getpid()))
	eq(t, "type", r.N2, int64(kind))
	eq(t, "inode", r.Ino, ino)
	eq(t, "namespace", uint64(r.NetNS), nsInode(t, "net"))
	return r
}

func TestBindInternet(t *testing.T) {
	for _, c := range []struct {
		addr string
		kind int
		port bool // asked for by number
	}{
		{"127.0.0.1", unix.SOCK_STREAM, false},
		{"0.0.0.0", unix.SOCK_DGRAM, false},
		{"127.0.0.1", unix.SOCK_DGRAM, true},
		{"::1", unix.SOCK_STREAM, true},
		{"::", unix.SOCK_DGRAM, false},
		{"::ffff:127.0.0.1", unix.SOCK_STREAM, false},
	} {
		a := netip.MustParseAddr(c.addr)
		t.Run(c.addr, func(t *testing.T) {
			var port uint16
			if c.port { // one that was free a moment ago
				fd, at := listenTCP(t, a, 1)
				port = at.Port()
				unix.Close(fd)
			}
			var fd int
			var at netip.AddrPort
			var ino, ck uint64
			rows := record(t, func() {
				var err error
				fd, err = unix.Socket(family(a), c.kind, 0)
				must(t, err)
				ck = cookie(fd)
				must(t, unix.Bind(fd, sockaddr(netip.AddrPortFrom(a, port))))
				at, ino = local(fd), inode(fd)
				unix.Close(fd)
			})
			r := bound(t, rows, c.kind, ino)
			eq(t, "ret", r.Ret, 0)
			eq(t, "flags", r.Flags, uint32(event.FlagCritical))
			eq(t, "cookie", r.Cookie, ck)
			eq(t, "address", string(r.LAddr), at.Addr().Unmap().String())
			eq(t, "port", r.LPort, at.Port())
			eq(t, "asked port", r.N3, int64(port))
			eq(t, "protocol", r.Proto, map[int]uint8{unix.SOCK_STREAM: unix.IPPROTO_TCP, unix.SOCK_DGRAM: unix.IPPROTO_UDP}[c.kind])
			eq(t, "path", len(r.Path), 0)
			if r.LPort == 0 {
				t.Error("no port")
			}
		})
	}
}

func TestBindRefused(t *testing.T) {
	lfd, taken := listenTCP(t, netip.MustParseAddr("127.0.0.1"), 1)
	defer unix.Close(lfd)
	for _, c := range []struct {
		what  string
		to    netip.AddrPort
		plain bool
		err   unix.Errno
	}{
		{"taken", taken, false, unix.EADDRINUSE},
		{"not ours", netip.MustParseAddrPort("192.0.2.77:0"), false, unix.EADDRNOTAVAIL},
		{"privileged", netip.MustParseAddrPort("[::1]:81"), true, unix.EACCES},
	} {
		t.Run(c.what, func(t *testing.T) {
			var ino uint64
			rows := record(t, func() {
				try := func() {
					fd, err := unix.Socket(family(c.to.Addr()), unix.SOCK_STREAM, 0)
					if err != nil {
						t.Error(err)
						return
					}
					ino = inode(fd)
					if err := unix.Bind(fd, sockaddr(c.to)); err != c.err {
						t.Errorf("bind: %v, want %v", err, c.err)
					}
					unix.Close(fd)
				}
				if c.plain {
					unprivileged(t, try)
				} else {
					try()
				}
			})
			r := bound(t, rows, unix.SOCK_STREAM, ino)
			eq(t, "ret", r.Ret, -int64(c.err))
			eq(t, "flags", r.Flags, uint32(event.FlagCritical|event.FlagFailed))
			eq(t, "address asked for", string(r.LAddr), c.to.Addr().String())
			eq(t, "port asked for", r.LPort, c.to.Port())
			eq(t, "asked port", r.N3, int64(c.to.Port()))
		})
	}
}

func TestBindUnix(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		what, name, want string
		kind             int
		err              error
	}{
		{"path", dir + "/a", dir + "/a", unix.SOCK_STREAM, nil},
		{"abstract", "@hindcast\x00bind", "@hindcast\x00bind", unix.SOCK_DGRAM, nil},
		{"taken", dir + "/a", dir + "/a", unix.SOCK_SEQPACKET, unix.EADDRINUSE},
		{"chosen by the kernel", "", "", unix.SOCK_DGRAM, nil},
	} {
		t.Run(c.what, func(t *testing.T) {
			var ino uint64
			rows := record(t, func() {
				fd, err := unix.Socket(unix.AF_UNIX, c.kind, 0)
				must(t, err)
				ino = inode(fd)
				if err := unix.Bind(fd, &unix.SockaddrUnix{Name: c.name}); err != c.err {
					t.Errorf("bind: %v, want %v", err, c.err)
				}
				if c.name == "" {
					sa, err := unix.Getsockname(fd)
					must(t, err)
					c.want = sa.(*unix.SockaddrUnix).Name
				}
				unix.Close(fd)
			})
			r := bound(t, rows, c.kind, ino)
			eq(t, "path", string(r.Path), c.want)
			eq(t, "family", r.Family, unix.AF_UNIX)
			if len(c.want) == 0 {
				t.Error("no name")
			}
			if c.err != nil {
				eq(t, "ret", r.Ret, -int64(c.err.(unix.Errno)))
				eq(t, "flags", r.Flags, uint32(event.FlagCritical|event.FlagFailed))
			} else {
				eq(t, "ret", r.Ret, 0)
				eq(t, "flags", r.Flags, uint32(event.FlagCritical))
			}
		})
	}
}

func TestBindOthers(t *testing.T) {
	for _, c := range []struct {
		what                string
		family, kind, proto int
		at                  unix.Sockaddr
	}{
		{"packet", unix.AF_PACKET, unix.SOCK_RAW, 0, &unix.SockaddrLinklayer{Protocol: 0x0300, Ifindex: 1}},
		{"netlink", unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_KOBJECT_UEVENT, &unix.SockaddrNetlink{Groups: 1}},
	} {
		t.Run(c.what, func(t *testing.T) {
			var ino uint64
			rows := record(t, func() {
				fd, err := unix.Socket(c.family, c.kind, c.proto)
				must(t, err)
				ino = inode(fd)
				must(t, unix.Bind(fd, c.at))
				unix.Close(fd)
			})
			r := bound(t, rows, c.kind, ino)
			eq(t, "family", int(r.Family), c.family)
			eq(t, "protocol", int(r.Proto), c.proto)
			eq(t, "ports", r.LPort+r.RPort, 0)
			eq(t, "address", string(r.LAddr), "")
		})
	}
}
