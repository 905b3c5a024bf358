//go:build linux

package kerntest

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"hindcast/format/event"
)

// Operations, flags of submissions and of rings.
const (
	opNop, opReadv, opReadFixed                                             = 0, 1, 4
	opAccept, opConnect, opFallocate, opOpenat, opClose, opStatx            = 13, 16, 17, 18, 19, 21
	opRead, opWrite, opSend, opRecv, opOpenat2, opSplice                    = 22, 23, 26, 27, 28, 30
	opRenameat, opUnlinkat, opMkdirat, opSymlinkat, opLinkat, opFtruncate   = 35, 36, 37, 38, 39, 55
	sqeFixedFile, sqeAsync, sqeSkip                                         = 1, 16, 64
	setupSQPoll, setupCQSize                                                = 2, 8
	uringPoller, uringWorker, uringNotSeen, uringQuiet, uringFull, uringFix = 1, 2, 4, 8, 16, 32
)

type sqe struct {
	op, flags uint8
	ioprio    uint16
	fd        int32
	off, addr uint64
	len, opFl uint32
	data      uint64
	buf, pers uint16
	file      int32 // or the descriptor a splice reads from
	_         [2]uint64
}

type cqe struct {
	data  uint64
	res   int32
	flags uint32
}

type uringParams struct {
	sqEntries, cqEntries, flags, cpu, idle, features, wq uint32
	_                                                    [3]uint32
	sq                                                   struct {
		head, tail, mask, entries, flags, dropped, array, _ uint32
		_                                                   uint64
	}
	cq struct {
		head, tail, mask, entries, overflow, cqes, flags, _ uint32
		_                                                   uint64
	}
}

// uring is a ring of this process, made by the calls alone.
type uring struct {
	fd           int
	p            uringParams
	sq, cq, sqes []byte
	data         uint64
	tid          uint32 // of the thread that made the last request
}

// newRing skips only where the kernel says that nobody may have one.
func newRing(t *testing.T, entries, flags uint32) *uring {
	t.Helper()
	r := &uring{}
	r.p.flags, r.p.idle = flags, 50
	fd, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, uintptr(entries), uintptr(unsafe.Pointer(&r.p)), 0)
	if errno != 0 {
		off, err := os.ReadFile("/proc/sys/kernel/io_uring_disabled")
		if err == nil && strings.TrimSpace(string(off)) == "2" {
			t.Skip("io_uring_disabled is 2: nobody may use io_uring on this host")
		}
		if errno == unix.ENOSYS {
			t.Skip("the kernel has no io_uring (CONFIG_IO_URING)")
		}
		t.Fatalf("io_uring_setup: %v", errno)
	}
	r.fd = int(fd)
	m := func(off int64, n uint32) []byte {
		b, err := unix.Mmap(r.fd, off, int(n), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Munmap(b) })
		return b
	}
	r.sq = m(0, r.p.sq.array+r.p.sqEntries*4)
	r.cq = m(0x8000000, r.p.cq.cqes+r.p.cqEntries*16)
	r.sqes = m(0x10000000, r.p.sqEntries*64)
	t.Cleanup(func() { unix.Close(r.fd) })
	return r
}

func at(b []byte, off uint32) *uint32 { return (*uint32)(unsafe.Pointer(&b[off])) }

// queue puts requests into the ring and gives each a number of its own.
func (r *uring) queue(sqes ...sqe) (first uint64) {
	tail := *at(r.sq, r.p.sq.tail)
	first = r.data + 1
	for i := range sqes {
		r.data++
		if sqes[i].data == 0 {
			sqes[i].data = 0xABC000000 + r.data
		}
		slot := tail & *at(r.sq, r.p.sq.mask)
		*(*sqe)(unsafe.Pointer(&r.sqes[slot*64])) = sqes[i]
		*at(r.sq, r.p.sq.array+slot*4) = slot
		tail++
	}
	atomic.StoreUint32(at(r.sq, r.p.sq.tail), tail)
	return first
}

// enter submits n requests, and lets the kernel do what waits for this thread. It never blocks: a
// completion that does not come must fail a test, not hang it.
func (r *uring) enter(t testing.TB, n int) {
	t.Helper()
	for {
		_, _, errno := unix.Syscall6(unix.SYS_IO_URING_ENTER, uintptr(r.fd), uintptr(n), 0, 1|2, 0, 0)
		if errno == unix.EINTR {
			n = 0 // submitted by now
			continue
		}
		if errno != 0 && errno != unix.EBUSY {
			t.Errorf("io_uring_enter: %v", errno)
		}
		return
	}
}

func (r *uring) reap() (out []cqe) {
	head := *at(r.cq, r.p.cq.head)
	for head != atomic.LoadUint32(at(r.cq, r.p.cq.tail)) {
		out = append(out, *(*cqe)(unsafe.Pointer(&r.cq[r.p.cq.cqes+head&*at(r.cq, r.p.cq.mask)*16])))
		head++
	}
	atomic.StoreUint32(at(r.cq, r.p.cq.head), head)
	return out
}

// await returns the next completion.
func (r *uring) await(t testing.TB) cqe {
	t.Helper()
	for range 5000 {
		if c := r.reap(); len(c) == 1 {
			return c[0]
		} else if len(c) > 1 {
			t.Fatalf("%d completions", len(c))
		}
		time.Sleep(time.Millisecond)
		r.enter(t, 0)
	}
	t.Fatal("no completion")
	return cqe{}
}

// do makes one request and returns its result.
func (r *uring) do(t testing.TB, s sqe) int {
	t.Helper()
	r.queue(s)
	r.enter(t, 1)
	return int(r.await(t).res)
}

// knows asks the kernel which operations it has.
func (r *uring) knows(op int) bool {
	var p struct {
		last, n uint8
		_       uint16
		_       [3]uint32
		ops     [256]struct {
			op, _ uint8
			flags uint16
			_     uint32
		}
	}
	_, _, errno := unix.Syscall6(unix.SYS_IO_URING_REGISTER, uintptr(r.fd), 8, uintptr(unsafe.Pointer(&p)), 256, 0, 0)
	return errno == 0 && op <= int(p.last) && p.ops[op].flags&1 != 0
}

func ptr(p *byte) uint64 { return uint64(uintptr(unsafe.Pointer(p))) }

// heap returns memory that does not move with a stack.
func heap(n int) []byte {
	held = append(held, make([]byte, n))
	return held[len(held)-1]
}

// fileOf makes a file of n bytes without writing to it, which would be told of this thread.
func fileOf(t *testing.T, path string, n int64) {
	t.Helper()
	fd, err := unix.Open(path, unix.O_CREAT|unix.O_RDWR, 0o600)
	if err == nil {
		err = unix.Ftruncate(fd, n)
	}
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(fd)
}

// uringModes are the ways in which a request can be carried out.
var uringModes = []struct {
	name         string
	setup        uint32
	flags        uint8
	bits         int64 // of uring.flags that must be set
	noworker     bool
	alwaysWorker bool
}{
	{name: "inline"},
	{name: "worker", flags: sqeAsync, alwaysWorker: true},
	{name: "poller", setup: setupSQPoll, bits: uringPoller},
}

// taskComm reads the name of one of our threads.
func taskComm(tid uint32) string {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/comm", tid))
	return strings.TrimSpace(string(b))
}

// checkActor asserts who a row says made a request: this process, through the thread that entered
// the ring or the one that polls it.
func checkActor(t *testing.T, r *event.Row, ring *uring) {
	t.Helper()
	eq(t, "pid", r.PID, uint32(os.Getpid()))
	eq(t, "start", r.PStart/10e6, startTicks(t, os.Getpid()))
	eq(t, "io_uring flag", r.Flags&event.FlagIOUring != 0, true)
	eq(t, "cgroup", r.Cgroup != 0, true)
	if ring.p.flags&setupSQPoll != 0 {
		if c := taskComm(r.TID); !strings.HasPrefix(c, "iou-sqp-") {
			t.Errorf("submitted by thread %d (%q), not by the one that polls", r.TID, c)
		}
	} else {
		eq(t, "thread", r.TID, ring.tid)
	}
	c := shared.creds[r.Cred]
	if c == nil {
		t.Errorf("credentials %d are not described", r.Cred)
	}
}

// checkRequest asserts the row of a request itself.
func checkRequest(t *testing.T, rows []event.Row, ring *uring, s sqe, res int, mode int) *event.Row {
	t.Helper()
	m := uringModes[mode]
	r := one(t, rows, typ(event.IOUring), by(os.Getpid()), func(r *event.Row) bool { return uint64(r.N1) == 0xABC000000+ring.data })
	checkActor(t, r, ring)
	eq(t, "opcode", r.Op, uint32(s.op))
	eq(t, "result", r.Ret, int64(res))
	eq(t, "failed", r.Flags&event.FlagFailed != 0, res < 0)
	if r.N2 == 0 {
		t.Error("the row names no ring")
	}
	eq(t, "poller", r.N3&uringPoller, m.bits&uringPoller)
	eq(t, "submission not seen", r.N3&uringNotSeen, 0)
	if m.alwaysWorker && !olderThan(t, "5.19") && r.N3&uringWorker == 0 && s.op != opNop {
		// kernels may hand the completion back to the thread that asked
		t.Logf("a request forced onto a worker was completed elsewhere: flags %#x", r.N3)
	}
	eq(t, "fixed", r.N3&uringFix != 0, s.flags&sqeFixedFile != 0)
	eq(t, "submitter", r.OPID, uint32(os.Getpid()))
	eq(t, "submitter thread", r.OTID, r.TID)
	eq(t, "submitter start", uint64(r.OStart), uint64(r.PStart))
	if r.T0 == 0 || int64(r.T0) > int64(r.TS) {
		t.Errorf("submitted at %d, completed at %d", r.T0, r.TS)
	}
	return r
}

// recorded makes one request on a locked thread and returns its result and the rows of this process.
func recorded(t *testing.T, ring *uring, s sqe) (int, []event.Row) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	ring.tid = uint32(unix.Gettid())
	var res int
	rows := record(t, func() { res = ring.do(t, s) })
	return res, only(rows, by(os.Getpid()))
}

func eachMode(t *testing.T, f func(t *testing.T, ring *uring, mode int)) {
	for i, m := range uringModes {
		t.Run(m.name, func(t *testing.T) {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			f(t, newRing(t, 64, m.setup), i)
		})
	}
}

func TestUringOpens(t *testing.T) {
	eachMode(t, func(t *testing.T, ring *uring, mode int) {
		dir := t.TempDir()
		path := filepath.Join(dir, "f")
		d, _ := unix.Open(dir, unix.O_DIRECTORY|unix.O_RDONLY, 0)
		defer unix.Close(d)
		name, rel, missing := cstring(path), cstring("f"), cstring(filepath.Join(dir, "missing"))
		how := (*unix.OpenHow)(unsafe.Pointer(&heap(int(unsafe.Sizeof(unix.OpenHow{})))[0])) // all zero: O_RDONLY
		flags := uringModes[mode].flags
		for _, c := range []struct {
			name    string
			s       sqe
			path    string
			flags   uint32
			created int64
		}{
			{"openat creates", sqe{op: opOpenat, fd: unix.AT_FDCWD, addr: ptr(name), len: 0o640, opFl: unix.O_CREAT | unix.O_RDWR}, path, unix.O_RDWR, 1},
			{"openat", sqe{op: opOpenat, fd: int32(d), addr: ptr(rel), opFl: unix.O_WRONLY | unix.O_APPEND}, "f", unix.O_WRONLY | unix.O_APPEND, 0},
			{"openat2", sqe{op: opOpenat2, fd: int32(d), addr: ptr(rel), len: uint32(unsafe.Sizeof(*how)), off: uint64(uintptr(unsafe.Pointer(how)))}, "f", unix.O_RDONLY, 0},
		} {
			t.Run(c.name, func(t *testing.T) {
				c.s.flags = flags
				fd, rows := recorded(t, ring, c.s)
				if fd < 0 {
					t.Fatal(syscall.Errno(-fd))
				}
				defer unix.Close(fd)
				o := one(t, rows, typ(event.Open))
				checkActor(t, o, ring)
				var st syscall.Stat_t
				syscall.Fstat(fd, &st)
				sameObject(t, o, &st)
				eq(t, "path", string(o.Path), path)
				eq(t, "descriptor", o.Ret, int64(fd))
				eq(t, "created", o.N1, c.created)
				eq(t, "flags", o.Op&(unix.O_ACCMODE|unix.O_APPEND), c.flags)
				r := checkRequest(t, rows, ring, c.s, fd, mode)
				eq(t, "name", string(r.Path), c.path)
				eq(t, "kernel's name", r.Flags&event.FlagKernelNames != 0, true)
			})
		}
		t.Run("missing", func(t *testing.T) {
			s := sqe{op: opOpenat, flags: flags, fd: unix.AT_FDCWD, addr: ptr(missing)}
			res, rows := recorded(t, ring, s)
			eq(t, "result", res, -int(unix.ENOENT))
			eq(t, "open rows", len(only(rows, typ(event.Open)))+len(only(rows, typ(event.OpenFailed))), 0)
			r := checkRequest(t, rows, ring, s, res, mode)
			eq(t, "name", string(r.Path), filepath.Join(dir, "missing"))
		})
		t.Run("refused", func(t *testing.T) {
			if uringModes[mode].setup != 0 {
				return // the thread that polls has the credentials the ring was made with
			}
			s := sqe{op: opOpenat, flags: flags, fd: unix.AT_FDCWD, addr: ptr(cstring("/proc/1/environ"))}
			var res int
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			ring.tid = uint32(unix.Gettid())
			rows := only(record(t, func() {
				unix.Setfsuid(65534)
				res = ring.do(t, s)
				unix.Setfsuid(0)
			}), by(os.Getpid()))
			eq(t, "result", res, -int(unix.EACCES))
			o := one(t, rows, typ(event.OpenFailed))
			eq(t, "name", string(o.Path), "/proc/1/environ")
			eq(t, "ret", o.Ret, -int64(unix.EACCES))
			eq(t, "kernel's name", o.Flags&event.FlagKernelNames != 0, true)
			eq(t, "failed", o.Flags&event.FlagFailed != 0, true)
			checkActor(t, o, ring)
			if c := shared.creds[o.Cred]; c != nil {
				eq(t, "fsuid", c.N4&0xffffffff, 65534)
			}
		})
	})
}

func TestUringNames(t *testing.T) {
	eachMode(t, func(t *testing.T, ring *uring, mode int) {
		dir := t.TempDir()
		d, _ := unix.Open(dir, unix.O_DIRECTORY|unix.O_RDONLY, 0)
		defer unix.Close(d)
		j := func(s string) string { return filepath.Join(dir, s) }
		c := func(s string) uint64 { return ptr(cstring(s)) }
		file := func(name string) func() { return func() { os.WriteFile(j(name), []byte("x"), 0o600) } }
		long := strings.Repeat("./", 800) + "long"
		for _, k := range []struct {
			name                string
			prepare             func()
			s                   sqe
			typ                 event.Type
			path, path2         string // resolved
			name1, name2        string // as given
			op                  uint32
			res                 int
			more                func(t *testing.T, r *event.Row)
			truncated, unlinked bool
		}{
			{name: "mkdirat", s: sqe{op: opMkdirat, fd: int32(d), addr: c("m"), len: 0o751}, typ: event.Mkdir, path: j("m"), name1: "m",
				more: func(t *testing.T, r *event.Row) { eq(t, "mode", r.Mode, unix.S_IFDIR|0o751) }},
			{name: "renameat", prepare: file("a"), s: sqe{op: opRenameat, fd: int32(d), addr: c("a"), len: uint32(0xffffff9c), off: c(j("b"))}, typ: event.Rename,
				path: j("a"), path2: j("b"), name1: "a", name2: j("b")},
			{name: "renameat2", prepare: file("a"), s: sqe{op: opRenameat, fd: int32(d), addr: c("a"), len: uint32(d), off: c("n"), opFl: unix.RENAME_NOREPLACE}, typ: event.Rename,
				path: j("a"), path2: j("n"), name1: "a", name2: "n", op: unix.RENAME_NOREPLACE},
			{name: "linkat", prepare: file("a"), s: sqe{op: opLinkat, fd: int32(d), addr: c("a"), len: uint32(d), off: c("l")}, typ: event.Link,
				path: j("a"), path2: j("l"), name1: "a", name2: "l"},
			{name: "symlinkat", s: sqe{op: opSymlinkat, fd: int32(d), addr: c("to/what"), off: c("s")}, typ: event.Symlink,
				path2: j("s"), name1: "to/what", name2: "s", more: func(t *testing.T, r *event.Row) { eq(t, "target", string(r.Text), "to/what") }},
			{name: "unlinkat", prepare: file("a"), s: sqe{op: opUnlinkat, fd: int32(d), addr: c("a")}, typ: event.Unlink, path: j("a"), name1: "a", unlinked: true},
			{name: "rmdir", s: sqe{op: opUnlinkat, fd: unix.AT_FDCWD, addr: c(j("m")), opFl: unix.AT_REMOVEDIR}, typ: event.Unlink, path: j("m"), name1: j("m"), op: unix.AT_REMOVEDIR},
			{name: "a long name", prepare: file("long"), s: sqe{op: opUnlinkat, fd: int32(d), addr: c(long)}, typ: event.Unlink, name1: long, truncated: true},
		} {
			t.Run(k.name, func(t *testing.T) {
				if !ring.knows(int(k.s.op)) {
					if !olderThan(t, "5.15") {
						t.Fatalf("the kernel has no operation %d", k.s.op)
					}
					t.Skipf("operation %d needs 5.15", k.s.op)
				}
				if k.prepare != nil {
					k.prepare()
				}
				var st *syscall.Stat_t
				if k.unlinked {
					st = statOf(t, j(k.name1))
				}
				k.s.flags = uringModes[mode].flags
				res, rows := recorded(t, ring, k.s)
				eq(t, "result", res, 0)
				e := one(t, rows, typ(k.typ))
				checkActor(t, e, ring)
				eq(t, "kernel's name", e.Flags&event.FlagKernelNames != 0, true)
				eq(t, "flags", e.Op, k.op)
				r := checkRequest(t, rows, ring, k.s, 0, mode)
				if k.truncated {
					if len(r.Path) < 256 || !strings.HasPrefix(k.name1, string(r.Path)) {
						t.Errorf("%d bytes of the name", len(r.Path))
					}
					eq(t, "mark", r.Marks&3, 1)
					return
				}
				eq(t, "path", string(e.Path), k.path)
				eq(t, "new path", string(e.Path2), k.path2)
				eq(t, "first name", string(r.Path), k.name1)
				eq(t, "second name", string(r.Path2), k.name2)
				if k.more != nil {
					k.more(t, e)
				}
				var fs unix.Statfs_t
				if unix.Statfs(dir, &fs); k.unlinked && fs.Type == unix.EXT4_SUPER_MAGIC {
					w := one(t, rows, typ(event.InodeUnlink))
					sameObject(t, w, st)
				}
			})
		}
		t.Run("failed", func(t *testing.T) {
			k := sqe{op: opUnlinkat, flags: uringModes[mode].flags, fd: int32(d), addr: c("nothing")}
			res, rows := recorded(t, ring, k)
			eq(t, "result", res, -int(unix.ENOENT))
			eq(t, "rows of names", len(only(rows, typ(event.Unlink))), 0)
			r := checkRequest(t, rows, ring, k, res, mode)
			eq(t, "name", string(r.Path), "nothing")
		})
	})
}

// ioOf sums what rows say of transfers on one object through io_uring.
func uringIO(rows []event.Row, typ event.Type, st *syscall.Stat_t) (n int, bytes int64) {
	for _, r := range rows {
		if r.Type == typ && r.Ino == st.Ino && uint64(r.Dev) == st.Dev && r.Flags&event.FlagIOUring != 0 && r.N1 == 6 {
			n++
			bytes += r.Ret
		}
	}
	return n, bytes
}

func TestUringReadsAndWrites(t *testing.T) {
	eachMode(t, func(t *testing.T, ring *uring, mode int) {
		dir := t.TempDir()
		flags := uringModes[mode].flags
		buf := heap(100)
		iov := (*unix.Iovec)(unsafe.Pointer(&heap(16)[0]))
		*iov = unix.Iovec{Base: &buf[0], Len: 100}
		for _, c := range []struct {
			name  string
			fixed bool
			s     sqe
			in    bool
		}{
			{"write", false, sqe{op: opWrite, addr: ptr(&buf[0]), len: 100}, false},
			{"read", false, sqe{op: opRead, addr: ptr(&buf[0]), len: 100}, true},
			{"readv", false, sqe{op: opReadv, addr: uint64(uintptr(unsafe.Pointer(iov))), len: 1}, true},
			{"write to a registered file", true, sqe{op: opWrite, flags: sqeFixedFile, addr: ptr(&buf[0]), len: 100}, false},
			{"read of a registered file", true, sqe{op: opRead, flags: sqeFixedFile, addr: ptr(&buf[0]), len: 100}, true},
		} {
			t.Run(c.name, func(t *testing.T) {
				path := filepath.Join(dir, c.name)
				fileOf(t, path, 100)
				fd, _ := unix.Open(path, unix.O_RDWR, 0)
				st := statOf(t, path)
				c.s.fd = int32(fd)
				if c.fixed {
					files := []int32{-1, -1, int32(fd)}
					if _, _, errno := unix.Syscall6(unix.SYS_IO_URING_REGISTER, uintptr(ring.fd), 2, uintptr(unsafe.Pointer(&files[0])), 3, 0, 0); errno != 0 {
						t.Fatal(errno)
					}
					defer unix.Syscall6(unix.SYS_IO_URING_REGISTER, uintptr(ring.fd), 3, 0, 0, 0, 0)
					unix.Close(fd) // the ring alone holds it
					c.s.fd = 2
				} else {
					defer unix.Close(fd)
				}
				c.s.flags |= flags
				res, rows := recorded(t, ring, c.s)
				eq(t, "result", res, 100)
				kind := event.FirstWrite
				if c.in {
					kind = event.FirstRead
				}
				r := one(t, rows, typ(kind), func(r *event.Row) bool { return r.Ino == st.Ino })
				sameObject(t, r, st)
				eq(t, "bytes", r.Ret, 100)
				eq(t, "method", r.N1, 6)
				eq(t, "path", string(r.Path), path)
				eq(t, "io_uring flag", r.Flags&event.FlagIOUring != 0, true)
				eq(t, "pid", r.PID, uint32(os.Getpid()))
				eq(t, "rows of the request", len(only(rows, typ(event.IOUring))), 0) // frequent: told by totals
			})
		}
		t.Run("splice", func(t *testing.T) {
			path := filepath.Join(dir, "spliced")
			fileOf(t, path, 100)
			fd, _ := unix.Open(path, unix.O_RDWR, 0)
			defer unix.Close(fd)
			var p [2]int
			unix.Pipe2(p[:], 0)
			defer unix.Close(p[0])
			defer unix.Close(p[1])
			var pst syscall.Stat_t
			syscall.Fstat(p[0], &pst)
			s := sqe{op: opSplice, flags: flags, fd: int32(p[1]), off: ^uint64(0), addr: 0, len: 60, file: int32(fd)}
			res, rows := recorded(t, ring, s)
			eq(t, "result", res, 60)
			n, bytes := uringIO(rows, event.FirstRead, statOf(t, path))
			eq(t, "reads of the file", n, 1)
			eq(t, "bytes read", bytes, 60)
			n, bytes = uringIO(rows, event.FirstWrite, &pst)
			eq(t, "writes of the pipe", n, 1)
			eq(t, "bytes written", bytes, 60)
		})
		t.Run("failed", func(t *testing.T) {
			fd, _ := unix.Open(filepath.Join(dir, "write"), unix.O_RDONLY, 0)
			defer unix.Close(fd)
			res, rows := recorded(t, ring, sqe{op: opWrite, flags: flags, fd: int32(fd), addr: ptr(&buf[0]), len: 10})
			eq(t, "result", res, -int(unix.EBADF))
			eq(t, "writes", len(only(rows, typ(event.FirstWrite))), 0)
		})
	})
}

// writtenTo sums what rows, and the totals that threads still hold, say was written to a file.
func writtenTo(t *testing.T, rows []event.Row, st *syscall.Stat_t) (sum uint64) {
	t.Helper()
	last := map[uint32]uint64{} // by thread
	for _, r := range append(rows, rowsOf(t, shared.set.Hook("hc_iter_io"))...) {
		switch {
		case r.Ino != st.Ino || uint64(r.Dev) != st.Dev:
		case r.Type == event.FirstWrite && last[r.TID] == 0:
			last[r.TID] = uint64(r.Ret)
		case r.Type == event.IO:
			last[r.TID] = r.BytesOut
		}
	}
	for _, n := range last {
		sum += n
	}
	return sum
}

// The totals of an object count what io_uring moved, whichever thread did it.
func TestUringTotals(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	ring := newRing(t, 64, 0)
	path := filepath.Join(t.TempDir(), "f")
	fd, _ := unix.Open(path, unix.O_CREAT|unix.O_RDWR, 0o600)
	defer unix.Close(fd)
	buf := heap(10)
	rows := record(t, func() {
		for i := range 50 {
			s := sqe{op: opWrite, fd: int32(fd), off: uint64(i * 10), addr: ptr(&buf[0]), len: 10}
			if i%2 == 1 {
				s.flags = sqeAsync
			}
			eq(t, "written", ring.do(t, s), 10)
		}
	})
	eq(t, "bytes of all threads", writtenTo(t, rows, statOf(t, path)), 500)
}

func TestUringSockets(t *testing.T) {
	eachMode(t, func(t *testing.T, ring *uring, mode int) {
		flags := uringModes[mode].flags
		l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		lf, _ := l.File()
		defer lf.Close()
		port := l.Addr().(*net.TCPAddr).Port
		fd, _ := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		defer unix.Close(fd)
		sa := (*unix.RawSockaddrInet4)(unsafe.Pointer(&heap(16)[0]))
		*sa = unix.RawSockaddrInet4{Family: unix.AF_INET, Port: uint16(port<<8 | port>>8), Addr: [4]byte{127, 0, 0, 1}}
		s := sqe{op: opConnect, flags: flags, fd: int32(fd), addr: uint64(uintptr(unsafe.Pointer(sa))), off: unix.SizeofSockaddrInet4}
		res, rows := recorded(t, ring, s)
		eq(t, "connect", res, 0)
		var st syscall.Stat_t
		syscall.Fstat(fd, &st)
		cookie, _ := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_COOKIE)
		r := checkRequest(t, rows, ring, s, 0, mode)
		sameObject(t, r, &st)
		eq(t, "cookie", r.Cookie, cookie)
		eq(t, "descriptor", int(r.FD), fd)
		c := one(t, rows, typ(event.Connect))
		eq(t, "owner of the connection", c.PID, uint32(os.Getpid()))
		eq(t, "cookie", c.Cookie, cookie)
		eq(t, "owner is known", c.Flags&(event.FlagNoOwner|event.FlagOwnerGuess), 0)

		s = sqe{op: opAccept, flags: flags, fd: int32(lf.Fd())}
		nfd, rows := recorded(t, ring, s)
		if nfd < 0 {
			t.Fatal(syscall.Errno(-nfd))
		}
		defer unix.Close(nfd)
		checkRequest(t, rows, ring, s, nfd, mode)
		a := one(t, rows, typ(event.Accept))
		checkActor(t, a, ring)
		syscall.Fstat(nfd, &st)
		cookie, _ = unix.GetsockoptUint64(nfd, unix.SOL_SOCKET, unix.SO_COOKIE)
		eq(t, "cookie", a.Cookie, cookie)
		eq(t, "inode", a.Ino, st.Ino)
		eq(t, "descriptor", a.Ret, int64(nfd))
		eq(t, "port", int(a.LPort), port)
		eq(t, "ISN pair", a.ISN != 0, true)

		buf := heap(5)
		for _, d := range []struct {
			op  uint8
			fd  int
			dir uint32
		}{{opSend, fd, 1}, {opRecv, nfd, 2}} {
			res, rows = recorded(t, ring, sqe{op: d.op, flags: flags, fd: int32(d.fd), addr: ptr(&buf[0]), len: 5})
			eq(t, "bytes", res, 5)
			if h := sends(shared.set); h != nil && h.Err == nil {
				u := one(t, rows, typ(event.SockFirst))
				eq(t, "direction", u.Op, d.dir)
				eq(t, "pid", u.PID, uint32(os.Getpid()))
			} else if !olderThan(t, "6.3") {
				t.Error("sends and receives are not seen")
			}
		}
		s = sqe{op: opClose, flags: flags, fd: int32(nfd)}
		res, _ = recorded(t, ring, s)
		eq(t, "close", res, 0)
	})
}

// What a request takes is told as what the calls take: unix sockets too, and MPTCP.
func TestUringAcceptsAsTheCallsDo(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	ring := newRing(t, 8, 0)
	t.Run("unix", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "s")
		l, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
		must(t, err)
		defer unix.Close(l)
		must(t, unix.Bind(l, &unix.SockaddrUnix{Name: path}))
		must(t, unix.Listen(l, 4))
		c, _ := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
		defer unix.Close(c)
		must(t, unix.Connect(c, &unix.SockaddrUnix{Name: path}))
		fd, rows := recorded(t, ring, sqe{op: opAccept, fd: int32(l)})
		if fd < 0 {
			t.Fatal(syscall.Errno(-fd))
		}
		defer unix.Close(fd)
		u := one(t, rows, typ(event.UnixConn))
		checkActor(t, u, ring)
		var st, peer syscall.Stat_t
		syscall.Fstat(fd, &st)
		syscall.Fstat(c, &peer)
		eq(t, "op", u.Op, 2)
		eq(t, "descriptor", u.Ret, int64(fd))
		eq(t, "inode", u.Ino, st.Ino)
		eq(t, "inode of the other end", u.Ino2, peer.Ino)
		eq(t, "name", string(u.Path), path)
	})
	t.Run("mptcp", func(t *testing.T) {
		l, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_MPTCP)
		if err != nil {
			t.Skip("the kernel has no MPTCP: ", err)
		}
		defer unix.Close(l)
		must(t, unix.Bind(l, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
		must(t, unix.Listen(l, 4))
		sa, _ := unix.Getsockname(l)
		c, _ := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		defer unix.Close(c)
		must(t, unix.Connect(c, sa))
		fd, rows := recorded(t, ring, sqe{op: opAccept, fd: int32(l)})
		if fd < 0 {
			t.Fatal(syscall.Errno(-fd))
		}
		defer unix.Close(fd)
		a := one(t, rows, typ(event.Accept))
		checkActor(t, a, ring)
		eq(t, "descriptor", a.Ret, int64(fd))
		eq(t, "port", int(a.LPort), sa.(*unix.SockaddrInet4).Port)
	})
}

func TestUringTruncates(t *testing.T) {
	eachMode(t, func(t *testing.T, ring *uring, mode int) {
		if !ring.knows(opFtruncate) {
			if !olderThan(t, "6.9") {
				t.Fatal("the kernel has no IORING_OP_FTRUNCATE")
			}
			t.Skip("IORING_OP_FTRUNCATE needs 6.9")
		}
		path := filepath.Join(t.TempDir(), "f")
		fd, _ := unix.Open(path, unix.O_CREAT|unix.O_RDWR, 0o600)
		defer unix.Close(fd)
		s := sqe{op: opFtruncate, flags: uringModes[mode].flags, fd: int32(fd), off: 77}
		res, rows := recorded(t, ring, s)
		eq(t, "result", res, 0)
		e := one(t, rows, typ(event.Truncate))
		checkActor(t, e, ring)
		sameObject(t, e, statOf(t, path))
		eq(t, "size", e.N1, 77)
		eq(t, "path", string(e.Path), path)
		r := checkRequest(t, rows, ring, s, 0, mode)
		sameObject(t, r, statOf(t, path))
		eq(t, "length", r.N5, 77)
	})
}

// Files opened into the ring's own table get no descriptor, and are told all the same.
func TestUringDirectDescriptor(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	ring := newRing(t, 8, 0)
	files := []int32{-1, -1, -1, -1}
	if _, _, errno := unix.Syscall6(unix.SYS_IO_URING_REGISTER, uintptr(ring.fd), 2, uintptr(unsafe.Pointer(&files[0])), 4, 0, 0); errno != 0 {
		t.Fatal(errno)
	}
	path := filepath.Join(t.TempDir(), "direct")
	s := sqe{op: opOpenat, fd: unix.AT_FDCWD, addr: ptr(cstring(path)), len: 0o600, opFl: unix.O_CREAT | unix.O_RDWR, file: 3}
	res, rows := recorded(t, ring, s)
	eq(t, "result", res, 0)
	o := one(t, rows, typ(event.Open))
	sameObject(t, o, statOf(t, path))
	eq(t, "path", string(o.Path), path)
	eq(t, "no descriptor", o.Ret, -1)
	eq(t, "not failed", o.Flags&event.FlagFailed, 0)
	buf := heap(4)
	s = sqe{op: opWrite, flags: sqeFixedFile, fd: 2, addr: ptr(&buf[0]), len: 4}
	res, rows = recorded(t, ring, s)
	eq(t, "result", res, 4)
	w := one(t, rows, typ(event.FirstWrite))
	sameObject(t, w, statOf(t, path))
}

// quietRing makes a ring on which requests can ask not to be told of success.
func quietRing(t *testing.T, entries uint32) *uring {
	t.Helper()
	ring := newRing(t, entries, 0)
	if ring.p.features&(1<<11) == 0 {
		if !olderThan(t, "5.17") {
			t.Fatal("the kernel has no IOSQE_CQE_SKIP_SUCCESS")
		}
		t.Skip("IOSQE_CQE_SKIP_SUCCESS needs 5.17")
	}
	ring.tid = uint32(unix.Gettid())
	return ring
}

// quietly makes a request that asks for no answer, and waits until it is done and the rows are
// there.
func quietly(t *testing.T, ring *uring, s sqe, done func() bool, all func([]event.Row) bool) []event.Row {
	t.Helper()
	s.flags |= sqeSkip
	programs(t)
	drain(t)
	ring.queue(s)
	ring.enter(t, 1)
	for range 500 {
		if done() {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if !done() {
		t.Error("it did not happen")
	}
	rows := settle(t, drain(t), func(rows []event.Row) bool { return all(only(rows, by(os.Getpid()))) })
	eq(t, "completions", len(ring.reap()), 0)
	return only(rows, by(os.Getpid()))
}

// has tells whether there are n rows of a type.
func has(n int, k event.Type) func([]event.Row) bool {
	return func(rows []event.Row) bool { return len(only(rows, typ(k))) == n }
}

// A program may ask not to be told of success: then there is no completion to see. What it asked for
// is told; what it may have read or written is not claimed.
func TestUringAsksForNoAnswer(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	ring := quietRing(t, 8)
	path := filepath.Join(t.TempDir(), "f")
	fileOf(t, path, 1)
	fd, _ := unix.Open(path, unix.O_RDWR, 0)
	defer unix.Close(fd)
	st := statOf(t, path)
	buf := heap(10)
	rows := quietly(t, ring, sqe{op: opWrite, fd: int32(fd), addr: ptr(&buf[0]), len: 10}, func() bool {
		var st unix.Stat_t
		unix.Fstat(fd, &st)
		return st.Size == 10
	}, has(1, event.IOUring))
	eq(t, "writes claimed", len(only(rows, typ(event.FirstWrite))), 0)
	r := one(t, rows, typ(event.IOUring))
	checkActor(t, r, ring)
	eq(t, "flags", r.N3, uringQuiet)
	eq(t, "opcode", r.Op, opWrite)
	eq(t, "bytes asked for", r.N5, 10)
	sameObject(t, r, st)

	// a failed write is answered, and told a second time
	ro, _ := unix.Open("/dev/null", unix.O_RDONLY, 0)
	defer unix.Close(ro)
	s := sqe{op: opWrite, flags: sqeSkip, fd: int32(ro), addr: ptr(&buf[0]), len: 4}
	res, rows := recorded(t, ring, s)
	eq(t, "result", res, -int(unix.EBADF))
	both := only(rows, typ(event.IOUring))
	if len(both) != 2 {
		t.Fatalf("%d rows, want the request and its failure", len(both))
	}
	eq(t, "first", both[0].Ret, 0)
	eq(t, "second", both[1].Ret, -int64(unix.EBADF))
	eq(t, "second is of the same", both[1].N1, both[0].N1)
	for _, k := range []event.Type{event.FirstWrite, event.FirstRead, event.IO} {
		for _, r := range append(rows, rowsOf(t, shared.set.Hook("hc_iter_io"))...) {
			if r.Type == k && r.Ino == st.Ino && uint64(r.Dev) == st.Dev {
				t.Errorf("a row %s of what nobody answered for: %d bytes", r.Type, r.BytesOut)
			}
		}
	}
}

// Names that such a request changes are told once, by the programs inside the kernel's functions
// where those run. Elsewhere nobody says whether it was done: the request is told, the deed is not
// claimed.
func TestUringQuietNames(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	ring := quietRing(t, 8)
	dir := t.TempDir()
	must(t, os.Chmod(dir, 0o755))
	j := func(s string) string { return filepath.Join(dir, s) }
	d, _ := unix.Open(dir, unix.O_DIRECTORY|unix.O_RDONLY, 0)
	defer unix.Close(d)
	there := func(name string) func() bool { return func() bool { return unix.Access(j(name), 0) == nil } }
	gone := func(name string) func() bool { return func() bool { return unix.Access(j(name), 0) != nil } }
	c := func(s string) uint64 { return ptr(cstring(s)) }
	fileOf(t, j("a"), 1)
	for _, k := range []struct {
		name        string
		s           sqe
		typ         event.Type
		done        func() bool
		path, path2 string
	}{
		{"link", sqe{op: opLinkat, fd: int32(d), addr: c("a"), len: uint32(d), off: c("l")}, event.Link, there("l"), "a", "l"},
		{"rename", sqe{op: opRenameat, fd: int32(d), addr: c("l"), len: uint32(d), off: c("n")}, event.Rename, there("n"), "l", "n"},
		{"unlink", sqe{op: opUnlinkat, fd: int32(d), addr: c("n")}, event.Unlink, gone("n"), "n", ""},
		{"mkdir", sqe{op: opMkdirat, fd: int32(d), addr: c("m"), len: 0o700}, event.Mkdir, there("m"), "m", ""},
		{"rmdir", sqe{op: opUnlinkat, fd: int32(d), addr: c("m"), opFl: unix.AT_REMOVEDIR}, event.Unlink, gone("m"), "m", ""},
	} {
		t.Run(k.name, func(t *testing.T) {
			told := 0
			if fromInside(t, k.typ) {
				told = 1
			}
			rows := quietly(t, ring, k.s, k.done, func(rows []event.Row) bool {
				return has(1, event.IOUring)(rows) && (told == 0 || len(only(rows, typ(k.typ))) > 0)
			})
			r := one(t, rows, typ(event.IOUring))
			eq(t, "flags", r.N3, uringQuiet)
			eq(t, "name", string(r.Path), k.path)
			eq(t, "rows of the change", len(only(rows, typ(k.typ))), told)
			for _, e := range only(rows, typ(k.typ)) {
				eq(t, "io_uring flag", e.Flags&event.FlagIOUring != 0, true)
				eq(t, "kernel's name", e.Flags&event.FlagKernelNames != 0, true)
				eq(t, "path", string(e.Path), j(k.path))
				if k.path2 != "" {
					eq(t, "new path", string(e.Path2), j(k.path2))
				}
			}
		})
	}
	// what is refused is told once, if anybody hears of it: from 6.0 on the program does not
	t.Run("refused", func(t *testing.T) {
		told := 0
		if fromInside(t, event.Unlink) || olderThan(t, "6.0") {
			told = 1
		}
		programs(t)
		drain(t)
		unix.Setfsuid(65534)
		ring.queue(sqe{op: opUnlinkat, flags: sqeSkip, fd: int32(d), addr: c("a")})
		ring.enter(t, 1)
		unix.Setfsuid(0)
		rows := only(settle(t, drain(t), func(rows []event.Row) bool {
			rows = only(rows, by(os.Getpid()))
			return len(only(rows, typ(event.IOUring))) > 0 && len(only(rows, typ(event.Unlink))) >= told
		}), by(os.Getpid()))
		eq(t, "rows of the refusal", len(only(rows, typ(event.Unlink))), told)
		for _, u := range only(rows, typ(event.Unlink)) {
			eq(t, "ret", u.Ret, -int64(unix.EACCES))
			eq(t, "failed", u.Flags&event.FlagFailed != 0, true)
		}
		ring.reap()
		if unix.Access(j("a"), 0) != nil {
			t.Error("it was not refused")
		}
	})
	t.Run("refused open", func(t *testing.T) {
		s := sqe{op: opOpenat, flags: sqeSkip, fd: unix.AT_FDCWD, addr: c("/proc/1/environ")}
		var res int
		rows := only(record(t, func() {
			unix.Setfsuid(65534)
			res = ring.do(t, s)
			unix.Setfsuid(0)
		}), by(os.Getpid()))
		eq(t, "result", res, -int(unix.EACCES))
		o := one(t, rows, typ(event.OpenFailed))
		eq(t, "name", string(o.Path), "/proc/1/environ")
		eq(t, "rows of the request", len(only(rows, typ(event.IOUring))), 2)
	})
}

// The memory of a request is used again: what was noted of one that ended without an answer is
// not taken for what comes after it.
func TestUringForgetsQuietRequests(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	ring := quietRing(t, 64)
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	fileOf(t, path, 1)
	fd, _ := unix.Open(path, unix.O_RDWR, 0)
	defer unix.Close(fd)
	buf := heap(10)
	const data = 0xABC0FFEE
	many := func(s sqe) (all []sqe) {
		for range 32 {
			all = append(all, s)
		}
		return all
	}
	named := many(sqe{op: opUnlinkat, flags: sqeSkip, fd: unix.AT_FDCWD, data: data})
	for i := range named {
		p := filepath.Join(dir, fmt.Sprint("gone", i))
		fileOf(t, p, 1)
		named[i].addr = ptr(cstring(p))
	}
	rows := record(t, func() {
		ring.queue(named...)
		ring.enter(t, len(named))
		for range 500 {
			if left, _ := os.ReadDir(dir); len(left) == 1 {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		ring.queue(many(sqe{op: opNop, flags: sqeSkip, data: data})...)
		ring.enter(t, 32)
	})
	for _, r := range only(rows, by(os.Getpid()), typ(event.IOUring)) {
		if r.Op == opNop && len(r.Path) > 0 {
			t.Fatalf("a request without a name has that of an earlier one: %s", r.Path)
		}
	}
	var got []cqe
	rows = record(t, func() {
		ring.queue(many(sqe{op: opWrite, fd: int32(fd), addr: ptr(&buf[0]), len: 10, data: data})...)
		ring.enter(t, 32)
		for range 500 {
			if got = append(got, ring.reap()...); len(got) == 32 {
				break
			}
			time.Sleep(10 * time.Millisecond)
			ring.enter(t, 0)
		}
	})
	eq(t, "answers", len(got), 32)
	eq(t, "writes told by their requests", len(only(rows, by(os.Getpid()), typ(event.IOUring))), 0)
	eq(t, "bytes written", writtenTo(t, rows, statOf(t, path)), 320)
}

// Notes of requests that end without an answer do not add up.
func TestUringKeepsFewQuietRequests(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	ring := quietRing(t, 8192)
	notes := mapOf(t, "hc_uring_reqs", "hc_uring_complete", "hc_uring_complete_old")
	for range 2 {
		var s []sqe
		for range 8192 {
			s = append(s, sqe{op: opNop, flags: sqeSkip})
		}
		record(t, func() {
			ring.queue(s...)
			ring.enter(t, len(s))
		})
	}
	n := 0
	var k, v []byte
	for it := notes.Iterate(); it.Next(&k, &v); {
		n++
	}
	if n > 4096+64 {
		t.Errorf("%d requests are noted, none is under way", n)
	}
	t.Logf("%d notes", n)
}

// Answers for which the program has left no room are not seen where others are.
func TestUringWithoutRoom(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	programs(t)
	if olderThan(t, "5.19") {
		t.Skip("before 5.19 answers without room pass the tracepoint of all others")
	}
	ring := newRing(t, 8, 0)
	dir := t.TempDir()
	var paths []string
	var sqes []sqe
	n := int(ring.p.cqEntries) + 4
	for i := range n {
		paths = append(paths, filepath.Join(dir, fmt.Sprint("d", i)))
		sqes = append(sqes, sqe{op: opMkdirat, fd: unix.AT_FDCWD, addr: ptr(cstring(paths[i])), len: 0o700})
	}
	rows := record(t, func() {
		for len(sqes) > 0 {
			k := min(8, len(sqes))
			ring.queue(sqes[:k]...)
			ring.enter(t, k)
			sqes = sqes[k:]
		}
	})
	rows = only(settle(t, rows, func(rows []event.Row) bool {
		return len(only(rows, by(os.Getpid()), typ(event.IOUring))) >= n
	}), by(os.Getpid()))
	full := 0
	for _, p := range paths {
		if _, err := os.Lstat(p); err != nil {
			t.Fatal(err)
		}
		one(t, rows, typ(event.Mkdir), func(r *event.Row) bool { return string(r.Path) == p })
		r := one(t, rows, typ(event.IOUring), func(r *event.Row) bool { return string(r.Path) == p })
		eq(t, "result", r.Ret, 0)
		if r.N3&uringFull != 0 {
			full++
		}
	}
	eq(t, "answers without room", full, 4)
}

// One accept request can take many connections.
func TestUringMultishotAccept(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if olderThan(t, "5.19") {
		t.Skip("IORING_ACCEPT_MULTISHOT needs 5.19")
	}
	ring := newRing(t, 8, 0)
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	lf, _ := l.File()
	defer lf.Close()
	var fds []int
	ring.tid = uint32(unix.Gettid())
	rows := only(record(t, func() {
		ring.queue(sqe{op: opAccept, ioprio: 1, fd: int32(lf.Fd())})
		ring.enter(t, 1)
		for range 3 {
			c, err := net.Dial("tcp4", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			got := ring.await(t)
			if got.res < 0 {
				t.Fatal(syscall.Errno(-got.res))
			}
			fds = append(fds, int(got.res))
		}
	}), by(os.Getpid()))
	eq(t, "connections", len(fds), 3)
	for _, fd := range fds {
		a := one(t, rows, typ(event.Accept), func(r *event.Row) bool { return r.Ret == int64(fd) })
		checkActor(t, a, ring)
		cookie, _ := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_COOKIE)
		eq(t, "cookie", a.Cookie, cookie)
		r := one(t, rows, typ(event.IOUring), func(r *event.Row) bool { return r.Ret == int64(fd) })
		eq(t, "opcode", r.Op, opAccept)
		eq(t, "submission not seen", r.N3&uringNotSeen, 0)
		unix.Close(fd)
	}
}

// A request the kernel cannot take in has no submission, only an answer.
func TestUringRefusedRequest(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	ring := newRing(t, 8, 0)
	res, rows := recorded(t, ring, sqe{op: opUnlinkat, fd: unix.AT_FDCWD, addr: ptr(cstring("x")), off: 1}) // off must be 0
	eq(t, "result", res, -int(unix.EINVAL))
	// what the rings of other tests left under way is cancelled meanwhile
	r := one(t, rows, typ(event.IOUring), func(r *event.Row) bool { return r.Op == opUnlinkat })
	eq(t, "result", r.Ret, -int64(unix.EINVAL))
	eq(t, "flags", r.N3&uringNotSeen, uringNotSeen)
	eq(t, "opcode", r.Op, opUnlinkat)
	eq(t, "names", len(only(rows, typ(event.Unlink))), 0)
}
