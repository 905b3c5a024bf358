//go:build linux

package kerntest

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"hindcast/format/event"
)

// locked runs f on one thread and records it; rows of other threads of this process are left out.
func locked(t testing.TB, f func()) []event.Row {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	tid := uint32(unix.Gettid())
	return only(record(t, f), func(r *event.Row) bool { return r.TID == tid })
}

// cstring returns a NUL terminated copy that does not move.
func cstring(s string) *byte {
	held = append(held, append([]byte(s), 0))
	return &held[len(held)-1][0]
}

var held [][]byte // keeps what cstring made on the heap

func TestOpenInEveryWay(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a file\xff")
	cpath, rel := cstring(path), cstring("a file\xff")
	p, pr := uintptr(unsafe.Pointer(cpath)), uintptr(unsafe.Pointer(rel))
	defer runtime.KeepAlive([]*byte{cpath, rel})
	how := unix.OpenHow{Flags: unix.O_RDWR | unix.O_CLOEXEC}
	d, err := unix.Open(dir, unix.O_DIRECTORY|unix.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(d)
	const large = unix.O_LARGEFILE | 0x8000 // set by the kernel on 64-bit
	for _, c := range []struct {
		name    string
		call    func() (uintptr, uintptr, syscall.Errno)
		flags   uint32
		created int64
	}{
		{"open creates", func() (uintptr, uintptr, syscall.Errno) {
			return syscall.RawSyscall(unix.SYS_OPEN, p, unix.O_CREAT|unix.O_WRONLY, 0o640)
		}, unix.O_WRONLY | large, 1},
		{"open again", func() (uintptr, uintptr, syscall.Errno) {
			return syscall.RawSyscall(unix.SYS_OPEN, p, unix.O_CREAT|unix.O_RDONLY|unix.O_APPEND, 0o640)
		}, unix.O_APPEND | large, 0},
		{"openat", func() (uintptr, uintptr, syscall.Errno) {
			return syscall.RawSyscall6(unix.SYS_OPENAT, uintptr(d), pr, unix.O_RDONLY, 0, 0, 0)
		}, large, 0},
		{"openat2", func() (uintptr, uintptr, syscall.Errno) {
			return syscall.RawSyscall6(unix.SYS_OPENAT2, uintptr(d), pr, uintptr(unsafe.Pointer(&how)), unsafe.Sizeof(how), 0, 0)
		}, unix.O_RDWR, 0}, // close-on-exec belongs to the descriptor, not to the file
		{"creat", func() (uintptr, uintptr, syscall.Errno) {
			return syscall.RawSyscall(unix.SYS_CREAT, p, 0o640, 0)
		}, unix.O_WRONLY | large, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var fd uintptr
			var errno syscall.Errno
			rows := locked(t, func() { fd, _, errno = c.call() })
			if errno != 0 {
				t.Fatal(errno)
			}
			defer unix.Close(int(fd))
			r := one(t, rows, typ(event.Open))
			var st syscall.Stat_t
			syscall.Fstat(int(fd), &st)
			sameObject(t, r, &st)
			eq(t, "descriptor", r.Ret, int64(fd))
			eq(t, "path", string(r.Path), path)
			eq(t, "created", r.N1, c.created)
			eq(t, "flags", r.Op&^large, c.flags&^large)
			eq(t, "pid", r.PID, uint32(os.Getpid()))
			eq(t, "start", r.PStart/10e6, startTicks(t, os.Getpid()))
			if r.Gen == 0 {
				t.Log("inode generation is 0: this file system has none")
			}
		})
	}
}

func TestOpenThroughLinkIsTheObject(t *testing.T) {
	dir := t.TempDir()
	target, link := filepath.Join(dir, "target"), filepath.Join(dir, "link")
	os.WriteFile(target, []byte("x"), 0o600)
	os.Symlink("target", link)
	rows := locked(t, func() {
		fd, _ := unix.Open(link, unix.O_RDONLY, 0)
		unix.Close(fd)
	})
	r := one(t, rows, typ(event.Open))
	eq(t, "path", string(r.Path), target)
	sameObject(t, r, statOf(t, target))
}

func TestRefusedOpen(t *testing.T) {
	t.Chdir("/proc")
	rows := locked(t, func() {
		unix.Open("/nowhere/at/all", unix.O_RDONLY, 0)
		unix.Setfsuid(65534)
		unix.Open("1/environ", unix.O_RDONLY, 0)
		unix.Setfsuid(0)
	})
	r := one(t, rows, typ(event.OpenFailed)) // the name that does not exist makes none
	eq(t, "name", string(r.Path), "/proc/1/environ")
	eq(t, "errno", r.Ret, -int64(unix.EACCES))
	eq(t, "failed", r.Flags&event.FlagFailed != 0, true)
	eq(t, "flags", r.Op&unix.O_ACCMODE, unix.O_RDONLY)
}

func TestReadsAndWrites(t *testing.T) {
	programs(t)
	path := filepath.Join(t.TempDir(), "data")
	fd, err := unix.Open(path, unix.O_CREAT|unix.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	buf := make([]byte, 1000)
	var before, after unix.Timespec
	unix.ClockGettime(unix.CLOCK_BOOTTIME, &before)
	var rows []event.Row
	ownThread(func() { // its totals must come when it ends, at the latest
		rows = record(t, func() {
			unix.Write(fd, buf)                     // first write
			unix.Pwrite(fd, buf[:10], 5)            // counted
			unix.Writev(fd, [][]byte{buf, buf[:7]}) // counted
			unix.Read(fd, buf)                      // end of file: moves nothing, no event
			unix.Pread(fd, buf[:100], 0)            // first read
			unix.Preadv(fd, [][]byte{buf[:50], buf[:50]}, 0)
		})
		unix.ClockGettime(unix.CLOCK_BOOTTIME, &after)
	})
	var st syscall.Stat_t
	syscall.Fstat(fd, &st)
	w := one(t, rows, typ(event.FirstWrite), by(os.Getpid()), func(r *event.Row) bool { return r.Ino == st.Ino })
	sameObject(t, w, &st)
	eq(t, "write bytes", w.Ret, 1000)
	eq(t, "write fd", w.FD, int32(fd))
	eq(t, "write path", string(w.Path), path)
	eq(t, "write method", w.N1, 0)
	eq(t, "position", w.N2, 1000)
	r := one(t, rows, typ(event.FirstRead), func(r *event.Row) bool { return r.Ino == st.Ino })
	eq(t, "read bytes", r.Ret, 100)
	eq(t, "read method", r.N1, 2)

	// The thread is gone or reused by the runtime; force its totals out by waiting for its end.
	var totals []event.Row
	for i := 0; i < 300 && len(totals) == 0; i++ {
		time.Sleep(10 * time.Millisecond)
		totals = only(drain(t), typ(event.IO), func(r *event.Row) bool { return r.Ino == st.Ino })
	}
	if len(totals) != 1 {
		t.Fatalf("%d io rows, want 1", len(totals))
	}
	io := &totals[0]
	eq(t, "reason: exit", io.Op, 3)
	eq(t, "bytes in", io.BytesIn, 200)
	eq(t, "bytes out", io.BytesOut, 2017)
	eq(t, "reads", io.OpsIn, 2)
	eq(t, "writes", io.OpsOut, 3)
	eq(t, "methods", io.N1, 1<<0|1<<1|1<<2)
	if int64(io.T0) < before.Nano() || io.N2 > after.Nano() || int64(io.T0) > io.N2 {
		t.Errorf("interval %d..%d outside %d..%d", io.T0, io.N2, before.Nano(), after.Nano())
	}
	if io.N4 > io.N3 {
		t.Errorf("last write %d after last read %d", io.N4, io.N3)
	}
}

func TestCopiesBetweenDescriptors(t *testing.T) {
	programs(t)
	dir := t.TempDir()
	src, dst := filepath.Join(dir, "src"), filepath.Join(dir, "dst")
	os.WriteFile(src, make([]byte, 5000), 0o600)
	in, _ := unix.Open(src, unix.O_RDONLY, 0)
	defer unix.Close(in)
	for _, c := range []struct {
		name   string
		method int64
		copy   func(in, out int) int
	}{
		{"sendfile", 3, func(in, out int) int { n, _ := unix.Sendfile(out, in, new(int64), 5000); return n }},
		{"copy_file_range", 5, func(in, out int) int { n, _ := unix.CopyFileRange(in, new(int64), out, nil, 5000, 0); return n }},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, _ := unix.Open(dst+c.name, unix.O_CREAT|unix.O_WRONLY, 0o600)
			defer unix.Close(out)
			// a thread of its own has an empty table
			var rows []event.Row
			var n int
			ownThread(func() { rows = locked(t, func() { n = c.copy(in, out) }) })
			if n <= 0 {
				t.Fatalf("copied %d", n)
			}
			var si, so syscall.Stat_t
			syscall.Fstat(in, &si)
			syscall.Fstat(out, &so)
			w := one(t, rows, typ(event.FirstWrite))
			sameObject(t, w, &so)
			eq(t, "written", w.Ret, int64(n))
			eq(t, "method", w.N1, c.method)
			r := one(t, rows, typ(event.FirstRead))
			sameObject(t, r, &si)
			eq(t, "read", r.Ret, int64(n))
		})
	}
}

func TestPipe(t *testing.T) {
	var p [2]int
	if err := unix.Pipe2(p[:], 0); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(p[0])
	defer unix.Close(p[1])
	rows := locked(t, func() {
		unix.Write(p[1], []byte("hello"))
		unix.Read(p[0], make([]byte, 10))
	})
	var st syscall.Stat_t
	syscall.Fstat(p[0], &st)
	for _, ty := range []event.Type{event.FirstWrite, event.FirstRead} {
		r := one(t, rows, typ(ty))
		sameObject(t, r, &st)
		eq(t, "bytes", r.Ret, 5)
		eq(t, "path", string(r.Path), "")
	}
}

// Counters and timers are read and written as files are, but carry no data.
func TestEventDescriptorsAreNoFiles(t *testing.T) {
	programs(t)
	fd, err := unix.Eventfd(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	ownThread(func() {
		rows := locked(t, func() {
			unix.Write(fd, []byte{1, 0, 0, 0, 0, 0, 0, 0})
			unix.Read(fd, make([]byte, 8))
		})
		eq(t, "rows", len(only(rows, typ(event.FirstWrite)))+len(only(rows, typ(event.FirstRead))), 0)
	})
}

func TestSlotIsReusedWithoutLoss(t *testing.T) {
	programs(t)
	dir := t.TempDir()
	const files = 30 // more than a thread's table holds
	var rows []event.Row
	var start unix.Timespec
	unix.ClockGettime(unix.CLOCK_BOOTTIME, &start)
	ownThread(func() {
		rows = record(t, func() {
			for range 3 {
				for i := range files {
					fd, _ := unix.Open(filepath.Join(dir, "f"+string(rune('A'+i))), unix.O_CREAT|unix.O_WRONLY|unix.O_APPEND, 0o600)
					unix.Write(fd, make([]byte, 10))
					unix.Write(fd, make([]byte, 100))
					unix.Close(fd)
				}
			}
		})
	})
	time.Sleep(200 * time.Millisecond)
	rows = append(rows, drain(t)...)
	// Totals are cumulative within (object, t0): the last row of each speaks.
	type key struct{ ino, t0 uint64 }
	last := map[key]uint64{}
	// Inode numbers of deleted files come back, so older totals are left out by time.
	for _, r := range only(rows, typ(event.IO), by(os.Getpid()), func(r *event.Row) bool { return int64(r.T0) > start.Nano() }) {
		last[key{r.Ino, uint64(r.T0)}] = r.BytesOut
	}
	per := map[uint64]uint64{}
	for k, n := range last {
		per[k.ino] += n
	}
	for i := range files {
		st := statOf(t, filepath.Join(dir, "f"+string(rune('A'+i))))
		eq(t, "bytes written to file "+string(rune('A'+i)), per[st.Ino], uint64(st.Size))
	}
}

func TestNames(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	d, _ := unix.Open(dir, unix.O_DIRECTORY|unix.O_RDONLY, 0)
	defer unix.Close(d)
	file := func() { os.WriteFile("f", []byte("x"), 0o600) }
	j := func(s string) string { return filepath.Join(dir, s) }
	for _, c := range []struct {
		name        string
		prepare     func()
		do          func() error
		typ         event.Type
		path, path2 string
		op          uint32
		more        func(t *testing.T, r *event.Row)
	}{
		{"rename", file, func() error { return unix.Rename("f", "g") }, event.Rename, j("f"), j("g"), 0, nil},
		{"renameat", file, func() error { return unix.Renameat(d, "f", unix.AT_FDCWD, j("g")) }, event.Rename, j("f"), j("g"), 0, nil},
		{"renameat2", file, func() error { return unix.Renameat2(d, "f", d, "h", unix.RENAME_NOREPLACE) }, event.Rename, j("f"), j("h"), unix.RENAME_NOREPLACE, nil},
		{"link", file, func() error { return unix.Link("f", "l1") }, event.Link, j("f"), j("l1"), 0, nil},
		{"linkat", file, func() error { return unix.Linkat(d, "f", d, "l2", unix.AT_SYMLINK_FOLLOW) }, event.Link, j("f"), j("l2"), unix.AT_SYMLINK_FOLLOW, nil},
		{"symlink", nil, func() error { return unix.Symlink("some/target", "s1") }, event.Symlink, "", j("s1"), 0, func(t *testing.T, r *event.Row) { eq(t, "target", string(r.Text), "some/target") }},
		{"symlinkat", nil, func() error { return unix.Symlinkat("x", d, "s2") }, event.Symlink, "", j("s2"), 0, func(t *testing.T, r *event.Row) { eq(t, "target", string(r.Text), "x") }},
		{"unlink", file, func() error { return unix.Unlink("f") }, event.Unlink, j("f"), "", 0, nil},
		{"unlinkat", file, func() error { return unix.Unlinkat(d, "f", 0) }, event.Unlink, j("f"), "", 0, nil},
		{"mkdir", nil, func() error { return unix.Mkdir("m1", 0o751) }, event.Mkdir, j("m1"), "", 0, func(t *testing.T, r *event.Row) { eq(t, "mode", r.Mode, unix.S_IFDIR|0o751) }},
		{"mkdirat", nil, func() error { return unix.Mkdirat(d, "m2", 0o700) }, event.Mkdir, j("m2"), "", 0, nil},
		{"rmdir", nil, func() error { return unix.Rmdir("m2") }, event.Unlink, j("m2"), "", unix.AT_REMOVEDIR, nil},
		{"chmod", file, func() error { return unix.Chmod("f", 0o4755) }, event.Chmod, j("f"), "", 0, func(t *testing.T, r *event.Row) {
			eq(t, "perm", r.N1, 0o4755)
			eq(t, "object known", r.Ino != 0, fromInside(t, event.Chmod))
		}},
		{"fchmodat", file, func() error { return unix.Fchmodat(d, "f", 0o700, 0) }, event.Chmod, j("f"), "", 0, func(t *testing.T, r *event.Row) { eq(t, "perm", r.N1, 0o700) }},
		{"fchmod", file, func() error {
			f, err := os.Open("f")
			if err != nil {
				return err
			}
			defer f.Close()
			return unix.Fchmod(int(f.Fd()), 0o711)
		}, event.Chmod, j("f"), "", 0, func(t *testing.T, r *event.Row) {
			eq(t, "perm", r.N1, 0o711)
			sameObject(t, &event.Row{Dev: r.Dev, Ino: r.Ino, Mode: r.Mode}, statOf(t, "f"))
		}},
		{"chown", file, func() error { return unix.Chown("f", 1, 2) }, event.Chown, j("f"), "", 0, func(t *testing.T, r *event.Row) { eq(t, "user", r.N1, 1); eq(t, "group", r.N2, 2) }},
		{"lchown", file, func() error { return unix.Lchown("f", 3, 4) }, event.Chown, j("f"), "", 0, func(t *testing.T, r *event.Row) { eq(t, "user", r.N1, 3) }},
		{"fchownat", file, func() error { return unix.Fchownat(d, "f", 5, 6, 0) }, event.Chown, j("f"), "", 0, func(t *testing.T, r *event.Row) { eq(t, "group", r.N2, 6) }},
		{"truncate", file, func() error { return unix.Truncate("f", 77) }, event.Truncate, j("f"), "", 0, func(t *testing.T, r *event.Row) { eq(t, "size", r.N1, 77) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.prepare != nil {
				c.prepare()
			}
			var err error
			rows := locked(t, func() { err = c.do() })
			if err != nil {
				t.Fatal(err)
			}
			r := one(t, rows, typ(c.typ))
			eqPath(t, r, c.path)
			eq(t, "new path", string(r.Path2), c.path2)
			eq(t, "flags", r.Op, c.op)
			eq(t, "ret", r.Ret, 0)
			if c.more != nil {
				c.more(t, r)
			}
		})
	}
}

func TestUnlinkWitness(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gone")
	os.WriteFile(path, []byte("x"), 0o600)
	var fs unix.Statfs_t
	unix.Statfs(path, &fs)
	if fs.Type != unix.EXT4_SUPER_MAGIC {
		t.Skip("the temporary directory is not on ext4, the file system with the witness")
	}
	st := statOf(t, path)
	dir := statOf(t, filepath.Dir(path))
	rows := locked(t, func() { unix.Unlink(path) })
	w := one(t, rows, typ(event.InodeUnlink))
	sameObject(t, w, st)
	eq(t, "directory", w.Ino2, dir.Ino)
	eq(t, "links", w.N1, 1)
	if !strings.HasSuffix(path, string(w.Path)) {
		t.Errorf("name %q is no tail of %q", w.Path, path)
	}
	u := one(t, rows, typ(event.Unlink))
	if u.TS < w.TS {
		t.Error("the call's row came before the witness")
	}
}

func TestExecutableMapping(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lib.so")
	os.WriteFile(path, make([]byte, 8192), 0o700)
	fd, _ := unix.Open(path, unix.O_RDONLY, 0)
	defer unix.Close(fd)
	var m []byte
	rows := locked(t, func() {
		b, err := unix.Mmap(fd, 4096, 4096, unix.PROT_READ, unix.MAP_PRIVATE) // not executable: no row
		if err == nil {
			defer unix.Munmap(b)
		}
		m, err = unix.Mmap(fd, 4096, 4096, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE)
		if err != nil {
			t.Error(err)
		}
	})
	defer unix.Munmap(m)
	r := one(t, rows, typ(event.MmapExec))
	sameObject(t, r, statOf(t, path))
	eq(t, "path", string(r.Path), path)
	eq(t, "prot", r.Op, unix.PROT_READ|unix.PROT_EXEC)
	eq(t, "flags", r.N1, unix.MAP_PRIVATE)
	eq(t, "address", uintptr(r.N2), uintptr(unsafe.Pointer(&m[0])))
	eq(t, "length", r.N3, 4096)
	eq(t, "offset", r.N4, 4096)
}

// TestArgumentRace opens a path while another thread rewrites it: what the program passed is not
// what the kernel opened. Rows must count per object exactly what the descriptors say.
func TestArgumentRace(t *testing.T) {
	programs(t)
	dir := t.TempDir()
	paths := []string{filepath.Join(dir, "a"), filepath.Join(dir, "b")}
	inos, byPath := map[uint64]int{}, map[string]uint64{}
	for _, p := range paths {
		if err := os.WriteFile(p, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		byPath[p] = statOf(t, p).Ino
		inos[byPath[p]] = 0
	}
	name := cstring(paths[0])
	last := unsafe.Slice(name, len(paths[0]))[len(paths[0])-1:]
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				for range 1000 {
					last[0] ^= 'a' ^ 'b' // races with the kernel's copy, on purpose
				}
			}
		}
	}()
	rounds, opens := 20, 10_000
	if testing.Short() { // in emulation
		rounds = 2
	}
	seen := map[uint64]int{}
	for range rounds {
		rows := locked(t, func() {
			for range opens {
				fd, _, errno := syscall.RawSyscall(unix.SYS_OPEN, uintptr(unsafe.Pointer(name)), unix.O_RDONLY, 0)
				if errno != 0 {
					t.Errorf("open: %v", errno)
					continue
				}
				var st unix.Stat_t
				unix.Fstat(int(fd), &st)
				inos[st.Ino]++
				unix.Close(int(fd))
			}
		})
		for _, r := range only(rows, typ(event.Open)) {
			if _, ours := inos[r.Ino]; !ours {
				t.Fatalf("a row of inode %d, %q", r.Ino, r.Path)
			}
			seen[r.Ino]++
			if string(r.Path) != paths[0] && string(r.Path) != paths[1] {
				t.Fatalf("path %q", r.Path)
			}
			if want := byPath[string(r.Path)]; r.Ino != want {
				t.Fatalf("row of inode %d names %q, which is %d", r.Ino, r.Path, want)
			}
		}
	}
	close(stop)
	<-stopped
	for ino, n := range inos {
		eq(t, "opens of one object", seen[ino], n)
		if n == 0 {
			t.Error("one of the two was never opened: the race did not happen")
		}
	}
}
