package kerntest

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"hindcast/bpf"
	"hindcast/bpf/kerntest/int80"
	"hindcast/format/event"
)

// callSet is a second set of programs: those that see every call, of which each system call of this
// machine pays. One program of the ordinary kind is loaded too, so that its call counts as told.
var callSet struct {
	once  sync.Once
	set   *bpf.Set
	err   error
	rings *rings
}

// low is memory that 32-bit pointers reach.
var low struct {
	once sync.Once
	mem  []byte
	used int
}

func low32(b []byte) uint32 {
	low.once.Do(func() {
		low.mem, _ = unix.Mmap(-1, 0, 1<<16, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_32BIT)
	})
	p := low.used
	low.used += (len(b) + 16) &^ 15
	copy(low.mem[p:], b)
	return uint32(uintptr(unsafe.Pointer(&low.mem[p])))
}

func str32(s string) uint32 { return low32(append([]byte(s), 0)) }

// everyCall runs f on one thread and returns what the programs that see every call told of it.
func everyCall(t *testing.T, f func()) []event.Row {
	t.Helper()
	programs(t)
	callSet.once.Do(func() {
		callSet.set, callSet.err = bpf.Load(bpf.Options{Self: bpf.NoSelf, Forensic: true, BulkBytes: 1 << 24, CriticalBytes: 1 << 20, Quota: -1,
			Leave: func(name string) bool { return name != "hc_calls" && name != "hc_calls_enter" && name != "hc_mkdirat" }})
		if callSet.err != nil {
			return
		}
		for _, h := range callSet.set.Compat {
			callSet.err = errors.Join(callSet.err, fmt.Errorf("%s: %w", h.Name, h.Err))
		}
		r, err := openRings(callSet.set)
		if err != nil {
			callSet.err = err
			return
		}
		callSet.rings = r
	})
	if callSet.err != nil {
		t.Fatalf("load programs for every call: %v", callSet.err)
	}
	for _, name := range []string{"hc_calls", "hc_calls_enter"} {
		h := callSet.set.Hook(name)
		if h == nil {
			t.Fatalf("no program %s", name)
		}
		if err := h.Attach(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		defer h.Detach()
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	was := shared.rings
	shared.rings = callSet.rings
	defer func() { shared.rings = was }()
	tid := uint32(unix.Gettid())
	return only(record(t, f), func(r *event.Row) bool { return r.TID == tid || r.Type == event.Cred })
}

func init() {
	helpers["getpid32"] = func([]string) int {
		if int(int80.Call(20, 0, 0, 0, 0, 0, 0)) == os.Getpid() {
			return 0
		}
		return 1
	}
}

// need32 skips where the kernel takes no 32-bit calls.
func need32(t *testing.T) {
	t.Helper()
	c := helper("getpid32")
	c.Stderr = nil // the trace of the signal that ends it where they are off
	if err := c.Run(); err != nil {
		t.Skipf("the kernel takes no 32-bit calls (CONFIG_IA32_EMULATION, ia32_emulation=): %v", err)
	}
}

func row32(t *testing.T, rows []event.Row, e event.Type) *event.Row {
	t.Helper()
	r := one(t, rows, typ(e))
	eq(t, "compat flag", r.Flags&event.FlagCompat != 0, true)
	eq(t, "pid", r.PID, uint32(os.Getpid()))
	eq(t, "syscall rows", len(only(rows, typ(event.Syscall))), 0)
	return r
}

func Test32BitFiles(t *testing.T) {
	need32(t)
	dir := t.TempDir()
	t.Chdir(dir)
	j := func(s string) string { return filepath.Join(dir, s) }
	file := func() { os.WriteFile("f", []byte("0123456789"), 0o600) }
	cwd := uint32(0xffffff9c) // AT_FDCWD
	var fd int
	open := func() { fd, _ = unix.Open("f", unix.O_RDWR, 0) }
	buf := low32(make([]byte, 64))
	iov := low32(append(append([]byte{}, le32(buf)...), le32(4)...))
	times := low32(slices.Concat(le32(1000), le32(5), le32(2000), le32(7)))
	for _, c := range []struct {
		name    string
		prepare func()
		call    [7]uint32
		fd      bool // the first argument is the descriptor of f
		typ     event.Type
		path    string
		check   func(t *testing.T, r *event.Row, ret int32)
	}{
		{"open", nil, [7]uint32{5, str32("new"), unix.O_CREAT | unix.O_RDWR, 0o640}, false, event.Open, j("new"), func(t *testing.T, r *event.Row, ret int32) {
			eq(t, "descriptor", r.Ret, int64(ret))
			sameObject(t, r, statOf(t, "new"))
			eq(t, "created", r.N1, 1)
		}},
		{"creat", nil, [7]uint32{8, str32("creat"), 0o600}, false, event.Open, j("creat"), func(t *testing.T, r *event.Row, ret int32) { eq(t, "created", r.N1, 1) }},
		{"openat", file, [7]uint32{295, cwd, str32("f"), 0}, false, event.Open, j("f"), func(t *testing.T, r *event.Row, ret int32) { sameObject(t, r, statOf(t, "f")) }},
		{"openat2", file, [7]uint32{437, cwd, str32("f"), low32(make([]byte, 24)), 24}, false, event.Open, j("f"), nil},
		{"write", func() { file(); open() }, [7]uint32{4, 0, buf, 7}, true, event.FirstWrite, j("f"), func(t *testing.T, r *event.Row, ret int32) {
			eq(t, "bytes", r.Ret, 7)
			eq(t, "descriptor", int(r.FD), fd)
			sameObject(t, r, statOf(t, "f"))
		}},
		{"read", func() { file(); open() }, [7]uint32{3, 0, buf, 5}, true, event.FirstRead, j("f"), func(t *testing.T, r *event.Row, ret int32) { eq(t, "bytes", r.Ret, 5) }},
		{"readv", func() { file(); open() }, [7]uint32{145, 0, iov, 1}, true, event.FirstRead, j("f"), func(t *testing.T, r *event.Row, ret int32) { eq(t, "bytes", r.Ret, 4) }},
		{"pwrite64", func() { file(); open() }, [7]uint32{181, 0, buf, 3, 100, 0}, true, event.FirstWrite, j("f"), func(t *testing.T, r *event.Row, ret int32) { eq(t, "bytes", r.Ret, 3) }},
		{"rename", file, [7]uint32{38, str32("f"), str32("g")}, false, event.Rename, j("f"), func(t *testing.T, r *event.Row, ret int32) { eq(t, "new path", string(r.Path2), j("g")) }},
		{"renameat", file, [7]uint32{302, cwd, str32("f"), cwd, str32("h")}, false, event.Rename, j("f"), nil},
		{"link", file, [7]uint32{9, str32("f"), str32("l")}, false, event.Link, j("f"), nil},
		{"symlink", nil, [7]uint32{83, str32("to"), str32("s")}, false, event.Symlink, "", func(t *testing.T, r *event.Row, ret int32) { eq(t, "new path", string(r.Path2), j("s")) }},
		{"unlink", file, [7]uint32{10, str32("f")}, false, event.Unlink, j("f"), nil},
		{"unlinkat", file, [7]uint32{301, cwd, str32("f"), 0}, false, event.Unlink, j("f"), nil},
		{"mkdir", nil, [7]uint32{39, str32("d"), 0o751}, false, event.Mkdir, j("d"), func(t *testing.T, r *event.Row, ret int32) { eq(t, "mode", r.Mode, unix.S_IFDIR|0o751) }},
		{"rmdir", nil, [7]uint32{40, str32("d")}, false, event.Unlink, j("d"), func(t *testing.T, r *event.Row, ret int32) { eq(t, "flags", r.Op, unix.AT_REMOVEDIR) }},
		{"chmod", file, [7]uint32{15, str32("f"), 0o711}, false, event.Chmod, j("f"), func(t *testing.T, r *event.Row, ret int32) { eq(t, "perm", r.N1, 0o711) }},
		{"fchmod", func() { file(); open() }, [7]uint32{94, 0, 0o700}, true, event.Chmod, j("f"), func(t *testing.T, r *event.Row, ret int32) { eq(t, "ino", r.Ino, statOf(t, "f").Ino) }},
		{"chown32", file, [7]uint32{212, str32("f"), 100000, 7}, false, event.Chown, j("f"), func(t *testing.T, r *event.Row, ret int32) { eq(t, "owner", r.N1, 100000) }},
		{"truncate", file, [7]uint32{92, str32("f"), 77}, false, event.Truncate, j("f"), func(t *testing.T, r *event.Row, ret int32) { eq(t, "size", r.N1, 77) }},
		{"truncate64", file, [7]uint32{193, str32("f"), 5, 1}, false, event.Truncate, j("f"), func(t *testing.T, r *event.Row, ret int32) {
			eq(t, "size", r.N1, 1<<32+5)
			eq(t, "true size", statOf(t, "f").Size, 1<<32+5)
		}},
		{"ftruncate", func() { file(); open() }, [7]uint32{93, 0, 12}, true, event.Truncate, j("f"), func(t *testing.T, r *event.Row, ret int32) { eq(t, "size", r.N1, 12) }},
		{"ftruncate64", func() { file(); open() }, [7]uint32{194, 0, 3, 0}, true, event.Truncate, j("f"), func(t *testing.T, r *event.Row, ret int32) { eq(t, "size", r.N1, 3) }},
		{"utimensat", file, [7]uint32{320, cwd, str32("f"), times, 0}, false, event.Attr, j("f"), nil},
		{"mmap2", func() { os.WriteFile("f", make([]byte, 8192), 0o600); open() }, [7]uint32{192, 0, 4096, unix.PROT_READ | unix.PROT_EXEC, unix.MAP_PRIVATE, 0, 1}, false, event.MmapExec, j("f"), func(t *testing.T, r *event.Row, ret int32) {
			eq(t, "address", uint64(r.N2), uint64(uint32(ret)))
			eq(t, "offset", r.N4, 4096)
			sameObject(t, r, statOf(t, "f"))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.prepare != nil {
				// on a thread of its own: what it does to the object must not be told of ours
				ownThread(c.prepare)
			}
			if c.fd {
				c.call[1] = uint32(fd)
			}
			if c.name == "mmap2" {
				c.call[5] = uint32(fd)
			}
			var ret int32
			rows := everyCall(t, func() { ret = int80.Call(c.call[0], c.call[1], c.call[2], c.call[3], c.call[4], c.call[5], c.call[6]) })
			if ret < 0 && ret > -4096 {
				t.Fatal(syscall.Errno(-ret))
			}
			r := row32(t, rows, c.typ)
			eq(t, "path", string(r.Path), c.path)
			if c.check != nil {
				c.check(t, r, ret)
			}
			if c.typ == event.Open {
				unix.Close(int(ret))
			}
			if fd != 0 {
				unix.Close(fd)
				fd = 0
			}
		})
	}
	t.Run("refused", func(t *testing.T) {
		var ret int32
		name := str32("/proc/1/environ")
		rows := everyCall(t, func() {
			unix.Setfsuid(65534)
			ret = int80.Call(5, name, 0, 0, 0, 0, 0)
			unix.Setfsuid(0)
		})
		eq(t, "result", ret, -int32(unix.EACCES))
		r := one(t, rows, typ(event.OpenFailed))
		eq(t, "compat flag", r.Flags&event.FlagCompat != 0, true)
		eq(t, "path", string(r.Path), "/proc/1/environ")
		eq(t, "errno", r.Ret, -int64(unix.EACCES))
	})
}

func le32(v uint32) []byte { return []byte{byte(v), byte(v >> 8), byte(v >> 16), byte(v >> 24)} }

func Test32BitCredentials(t *testing.T) {
	need32(t)
	for _, c := range []struct {
		name string
		call [7]uint32
		uid  int64
	}{
		{"setuid", [7]uint32{23, 1001}, 1001},        // 16-bit ids
		{"setuid32", [7]uint32{213, 100001}, 100001}, // 32-bit
		{"setresuid32", [7]uint32{208, 7, 8, 9}, 7},
		{"setresuid", [7]uint32{164, 17, 18, 19}, 17},
	} {
		t.Run(c.name, func(t *testing.T) {
			var tid uint32
			var ret int32
			// Credentials belong to threads: one that ends afterwards takes them with it.
			all := everyAll(t, func() {
				ownThread(func() {
					tid = uint32(unix.Gettid())
					ret = int80.Call(c.call[0], c.call[1], c.call[2], c.call[3], 0, 0, 0)
				})
			})
			eq(t, "result", ret, 0)
			r := one(t, all, typ(event.CredChange), func(r *event.Row) bool { return r.TID == tid })
			eq(t, "compat flag", r.Flags&event.FlagCompat != 0, true)
			eq(t, "call", r.N2, int64(c.call[0]))
			d := shared.creds[r.Cred]
			if d == nil {
				t.Fatal("credentials are not described")
			}
			eq(t, "uid", d.N1, c.uid)
			if r.Cred == uint32(r.N1) {
				t.Error("old and new are the same")
			}
		})
	}
}

// everyAll is everyCall for what other threads do as well.
func everyAll(t *testing.T, f func()) []event.Row {
	t.Helper()
	everyCall(t, func() {}) // loads
	for _, name := range []string{"hc_calls", "hc_calls_enter"} {
		h := callSet.set.Hook(name)
		if err := h.Attach(); err != nil {
			t.Fatal(err)
		}
		defer h.Detach()
	}
	was := shared.rings
	shared.rings = callSet.rings
	defer func() { shared.rings = was }()
	return record(t, f)
}

func Test32BitAccept(t *testing.T) {
	need32(t)
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	lf, _ := l.File()
	defer lf.Close()
	lfd := int(lf.Fd())
	for _, c := range []struct {
		name string
		call [7]uint32
	}{
		{"socketcall", [7]uint32{102, 5, low32(slices.Concat(le32(uint32(lfd)), le32(0), le32(0)))}},
		{"socketcall accept4", [7]uint32{102, 18, low32(slices.Concat(le32(uint32(lfd)), le32(0), le32(0), le32(unix.SOCK_CLOEXEC)))}},
		{"accept4", [7]uint32{364, uint32(lfd), 0, 0, unix.SOCK_CLOEXEC}},
	} {
		t.Run(c.name, func(t *testing.T) {
			k, err := net.Dial("tcp4", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer k.Close()
			var fd int32
			rows := everyCall(t, func() { fd = int80.Call(c.call[0], c.call[1], c.call[2], c.call[3], c.call[4], 0, 0) })
			if fd < 0 {
				t.Fatal(syscall.Errno(-fd))
			}
			defer unix.Close(int(fd))
			r := row32(t, rows, event.Accept)
			eq(t, "descriptor", r.Ret, int64(fd))
			var st syscall.Stat_t
			syscall.Fstat(int(fd), &st)
			eq(t, "inode", r.Ino, st.Ino)
			eq(t, "port", int(r.LPort), l.Addr().(*net.TCPAddr).Port)
			eq(t, "peer", int(r.RPort), k.LocalAddr().(*net.TCPAddr).Port)
		})
	}
}

func init() {
	// exec32 PROGRAM ARG runs it by the 32-bit execve.
	helpers["exec32"] = func(args []string) int {
		argv := low32(slices.Concat(le32(str32(args[0])), le32(str32(args[1])), le32(0)))
		env := low32(le32(0))
		runtime.LockOSThread()
		return int(-int80.Call(11, str32(args[0]), argv, env, 0, 0, 0))
	}
}

// Exec is seen below the table, in every profile.
func Test32BitExec(t *testing.T) {
	need32(t)
	programs(t)
	var cmd *exec.Cmd
	rows := record(t, func() {
		cmd = exec.Command(os.Args[0], "/bin/true", "an argument")
		cmd.Env = append(os.Environ(), "HC_HELPER=exec32")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	})
	execs := only(rows, typ(event.Exec), by(cmd.Process.Pid))
	if len(execs) != 2 {
		t.Fatalf("%d execs, want the helper and what it became", len(execs))
	}
	last := execs[1]
	if !strings.Contains(string(last.Text), "an argument") && !strings.Contains(string(last.Path), "true") && !strings.Contains(string(last.Path), "busybox") {
		t.Errorf("exec of %q %q", last.Path, last.Text)
	}
}

// A call that no other program tells makes a row of its own; one that another tells does not, and
// one that changes nothing is counted.
func TestEveryCall(t *testing.T) {
	rows := everyCall(t, func() {
		unix.Getpriority(unix.PRIO_PROCESS, 0)
		syscall.RawSyscall6(unix.SYS_SYNC_FILE_RANGE, ^uintptr(0), 2, 3, 4, 5, 6)
	})
	r := one(t, rows, typ(event.Syscall), func(r *event.Row) bool { return r.Op == unix.SYS_SYNC_FILE_RANGE })
	eq(t, "result", r.Ret, -int64(unix.EBADF))
	eq(t, "failed", r.Flags&event.FlagFailed != 0, true)
	eq(t, "compat flag", r.Flags&event.FlagCompat, 0)
	for i, n := range []int64{r.N1, r.N2, r.N3, r.N4, r.N5, r.N6} {
		want := int64(i + 1)
		if i == 0 {
			want = -1
		}
		eq(t, "argument "+strconv.Itoa(i+1), n, want)
	}
	r = one(t, rows, typ(event.Syscall), func(r *event.Row) bool { return r.Op == unix.SYS_GETPRIORITY })
	eq(t, "pid", r.PID, uint32(os.Getpid()))
	eq(t, "not failed", r.Flags&event.FlagFailed, 0)

	before := callSet.set.Counted()[unix.SYS_GETPPID]
	dir := t.TempDir()
	rows = everyCall(t, func() {
		unix.Mkdirat(unix.AT_FDCWD, filepath.Join(dir, "d"), 0o700)
		for range 10 {
			unix.Getppid()
		}
	})
	eq(t, "rows of a call that is told", len(only(rows, func(r *event.Row) bool { return r.Type == event.Syscall && r.Op == unix.SYS_MKDIRAT })), 0)
	eq(t, "rows of a call that is counted", len(only(rows, func(r *event.Row) bool { return r.Type == event.Syscall && r.Op == unix.SYS_GETPPID })), 0)
	if n := callSet.set.Counted()[unix.SYS_GETPPID] - before; n < 10 {
		t.Errorf("%d calls counted, want 10", n)
	}
	if _, err := os.Stat("/sys/kernel/btf/vmlinux"); err == nil {
		need32(t)
		rows = everyCall(t, func() { int80.Call(96, 0, 0, 3, 4, 5, 6) }) // getpriority
		r = one(t, rows, typ(event.Syscall), func(r *event.Row) bool { return r.Flags&event.FlagCompat != 0 })
		eq(t, "number", r.Op, 96)
		eq(t, "third argument", r.N3, 3)
		eq(t, "sixth argument", r.N6, 6)
	}
}

// What the programs that see every call cost a call that has nothing to do with them.
func BenchmarkEveryCall(b *testing.B) {
	set, err := bpf.Load(bpf.Options{Self: bpf.NoSelf, Forensic: true, BulkBytes: 1 << 20, CriticalBytes: 1 << 20,
		Leave: func(name string) bool { return name != "hc_calls" && name != "hc_calls_enter" }})
	if err != nil {
		b.Skip(err)
	}
	defer set.Close()
	loop := func(b *testing.B) {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		var t0, t1 unix.Timespec
		unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t0)
		for b.Loop() {
			syscall.RawSyscall(unix.SYS_GETPPID, 0, 0, 0)
		}
		unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t1)
		b.ReportMetric(float64(t1.Nano()-t0.Nano())/float64(b.N), "cpu-ns/op")
	}
	b.Run("without", loop)
	set.Hook("hc_calls").Attach()
	b.Run("exit", loop)
	set.Hook("hc_calls_enter").Attach()
	b.Run("both", loop)
}
