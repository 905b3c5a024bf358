//go:build linux

package kerntest

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"hindcast/bpf"
	"hindcast/format/event"
)

func TestTotalsAreToldAtClose(t *testing.T) {
	programs(t)
	path := filepath.Join(t.TempDir(), "data")
	buf := make([]byte, 100)
	ownThread(func() { // whose table is empty
		fd, err := unix.Open(path, unix.O_CREAT|unix.O_RDWR, 0o600)
		must(t, err)
		var st syscall.Stat_t
		syscall.Fstat(fd, &st)
		one_, err := unix.Open(path, unix.O_RDWR, 0)
		must(t, err)
		rows := locked(t, func() {
			unix.Write(fd, buf)
			unix.Close(one_) // nothing but what the first row told
		})
		eq(t, "totals of one write", len(only(rows, typ(event.IO))), 0)
		rows = locked(t, func() {
			unix.Write(fd, buf)
			unix.Pread(fd, buf[:30], 0)
			unix.Pread(fd, buf[:30], 0)
			unix.Close(fd)
			unix.Close(-1) // no descriptor
		})
		r := one(t, rows, typ(event.IO))
		sameObject(t, r, &st)
		eq(t, "reason: close", r.Op, 6)
		eq(t, "bytes", [2]uint64{r.BytesIn, r.BytesOut}, [2]uint64{60, 200})
		eq(t, "operations", [2]uint32{r.OpsIn, r.OpsOut}, [2]uint32{2, 2})
		eq(t, "rows of close", len(only(rows, typ(event.Close))), 0) // those are forensic
	})
}

func TestForensicProfileTellsEveryOperation(t *testing.T) {
	set := loadHooks(t, bpf.Options{Self: bpf.NoSelf, Forensic: true, Leave: allBut(every...)}, every...)
	path := filepath.Join(t.TempDir(), "data")
	buf := make([]byte, 100)
	ownThread(func() {
		tid := uint32(unix.Gettid())
		mine := func() []event.Row {
			return only(drainSet(t, set), func(r *event.Row) bool { return r.TID == tid })
		}
		fd, err := unix.Open(path, unix.O_CREAT|unix.O_RDWR, 0o600)
		must(t, err)
		var st syscall.Stat_t
		syscall.Fstat(fd, &st)
		mine()
		for i := range 5 {
			unix.Write(fd, buf[:10+i])
		}
		for i := range 3 {
			unix.Pread(fd, buf[:20+i], 0)
		}
		rows := mine()
		file := func(r *event.Row) bool { return r.Ino == st.Ino }
		w, rd := only(rows, typ(event.FirstWrite)), only(rows, typ(event.FirstRead), file)
		eq(t, "writes", len(w), 5)
		eq(t, "reads", len(rd), 3)
		for i := range w {
			sameObject(t, &w[i], &st)
			eq(t, "bytes written", w[i].Ret, int64(10+i))
			eq(t, "path", string(w[i].Path), path)
			eq(t, "period", w[i].N3, w[0].N3)
		}
		for i := range rd {
			eq(t, "bytes read", rd[i].Ret, int64(20+i))
			eq(t, "period", rd[i].N3, w[0].N3)
		}
		closed := func(what string, fd int, f func()) []event.Row {
			t.Helper()
			mine()
			f()
			rows := mine()
			r := one(t, rows, typ(event.Close), file) // readers of rings are closed too
			sameObject(t, r, &st)
			eq(t, what+" closed", r.FD, int32(fd))
			eq(t, what+": last", r.Op, uint32(fd))
			return rows
		}
		two, _ := unix.Dup(fd)
		three, _ := unix.Dup(fd)
		null, _ := unix.Open("/dev/null", unix.O_RDONLY, 0)
		rows = closed("close", two, func() { unix.Close(two); unix.Close(99999) })
		io := one(t, rows, typ(event.IO)) // the totals stay what they are in the other profiles
		eq(t, "bytes", [2]uint64{io.BytesIn, io.BytesOut}, [2]uint64{63, 60})
		eq(t, "period", uint64(io.T0), uint64(w[0].N3))
		closed("dup2", three, func() { unix.Dup2(null, three); unix.Dup2(null, null); unix.Dup2(9999, three) })
		unix.Dup2(fd, three)
		closed("dup3", three, func() { unix.Dup3(null, three, unix.O_CLOEXEC) })
		unix.Close(null)
		unix.Close(three)
		unix.Close(fd)
		mine()
		if err := unix.CloseRange(900000, 900050, 0); err != nil {
			if err == unix.ENOSYS && olderThan(t, "5.9") {
				return
			}
			t.Error(err)
		}
		unix.CloseRange(900000, 900050, unix.CLOSE_RANGE_CLOEXEC) // closes nothing yet
		r := one(t, mine(), typ(event.Close), func(r *event.Row) bool { return r.FD >= 900000 })
		eq(t, "range", [2]int64{int64(r.FD), int64(r.Op)}, [2]int64{900000, 900050})
		eq(t, "object of a range", r.Ino, 0)
	})
}

var every = []string{"hc_write", "hc_pread64", "hc_enter_close", "hc_enter_dup2", "hc_enter_dup3", "hc_close_range"}

func TestSpecialFiles(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	d, _ := unix.Open(dir, unix.O_DIRECTORY|unix.O_RDONLY, 0)
	defer unix.Close(d)
	for _, c := range []struct {
		name string
		mode uint32
		dev  uint64
		at   bool
	}{
		{"fifo", unix.S_IFIFO | 0o640, 0, false},
		{"fifo at", unix.S_IFIFO | 0o600, 0, true},
		{"socket", unix.S_IFSOCK | 0o600, 0, false},
		{"plain", unix.S_IFREG | 0o600, 0, true},
		{"plain without a type", 0o600, 0, false},
		{"character device", unix.S_IFCHR | 0o600, unix.Mkdev(1, 3), false},
		{"block device", unix.S_IFBLK | 0o600, unix.Mkdev(259, 123456), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var err error
			rows := locked(t, func() {
				if c.at {
					err = unix.Mknodat(d, c.name, c.mode, int(c.dev))
				} else {
					err = unix.Mknod(c.name, c.mode, int(c.dev))
				}
			})
			must(t, err)
			r := one(t, rows, typ(event.Mkdir))
			st := statOf(t, c.name)
			eq(t, "path", string(r.Path), filepath.Join(dir, c.name))
			eq(t, "type", r.Mode&unix.S_IFMT, st.Mode&unix.S_IFMT)
			eq(t, "permissions asked for", r.Mode&0o7777, c.mode&0o7777)
			eq(t, "device", uint64(r.N1), st.Rdev)
		})
	}
}

func TestAttributes(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	d, _ := unix.Open(dir, unix.O_DIRECTORY|unix.O_RDONLY, 0)
	defer unix.Close(d)
	path := filepath.Join(dir, "f")
	must(t, os.WriteFile(path, []byte("x"), 0o600))
	must(t, os.Symlink("f", "link"))
	fd, err := unix.Open(path, unix.O_RDWR, 0)
	must(t, err)
	defer unix.Close(fd)
	if err := unix.Fsetxattr(fd, "trusted.try", []byte("x"), 0); err != nil {
		if err != unix.EOPNOTSUPP {
			t.Fatal(err)
		}
		t.Skipf("the file system of the temporary directory has no extended attributes: %v", err)
	}
	rel, empty, name := cstring("f"), cstring(""), cstring("trusted.at")
	value := []byte("12345")
	held = append(held, value)
	xargs := &struct {
		value       uint64
		size, flags uint32
	}{uint64(uintptr(unsafe.Pointer(&value[0]))), 5, unix.XATTR_CREATE}
	type times struct{ a, b, c, d int64 }
	ts, us, sec := &times{5, 6, 7, 8}, &times{5, 6, 7, 8}, &times{5, 7, 0, 0}
	some := &times{0, unix.UTIME_NOW, 0, unix.UTIME_OMIT}
	type fsxattr struct {
		xflags uint32
		rest   [24]byte
	}
	type fileattr struct {
		flags uint64
		rest  [16]byte
	}
	noflags, nox, noattr := new(uint32), new(fsxattr), new(fileattr)
	raw := func(nr uintptr, a ...uintptr) func() error {
		for len(a) < 6 {
			a = append(a, 0)
		}
		return func() error {
			if _, _, errno := syscall.RawSyscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5]); errno != 0 {
				return errno
			}
			return nil
		}
	}
	p := func(v unsafe.Pointer) uintptr { return uintptr(v) }
	const byName, byFD = false, true
	type want struct {
		op           uint32
		name         string
		size, offset int64
		flags        int64
		atime, mtime int64
	}
	for _, c := range []struct {
		name  string
		since string
		do    func() error
		fd    bool
		want  want
	}{
		{"setxattr", "", func() error { return unix.Setxattr("link", "trusted.a", value, unix.XATTR_CREATE) }, byName, want{1, "trusted.a", 5, 0, unix.XATTR_CREATE, -1, -1}},
		{"lsetxattr", "", func() error { return unix.Lsetxattr("f", "trusted.b", value, 0) }, byName, want{1, "trusted.b", 5, 0, 0, -1, -1}},
		{"fsetxattr", "", func() error { return unix.Fsetxattr(fd, "trusted.c", value, 0) }, byFD, want{1, "trusted.c", 5, 0, 0, -1, -1}},
		{"setxattrat", "6.13", raw(463, uintptr(d), p(unsafe.Pointer(rel)), 0, p(unsafe.Pointer(name)), p(unsafe.Pointer(xargs)), 16), byName, want{1, "trusted.at", 5, 0, unix.XATTR_CREATE, -1, -1}},
		{"removexattr", "", func() error { return unix.Removexattr("link", "trusted.a") }, byName, want{2, "trusted.a", 0, 0, 0, -1, -1}},
		{"lremovexattr", "", func() error { return unix.Lremovexattr("f", "trusted.b") }, byName, want{2, "trusted.b", 0, 0, 0, -1, -1}},
		{"fremovexattr", "", func() error { return unix.Fremovexattr(fd, "trusted.c") }, byFD, want{2, "trusted.c", 0, 0, 0, -1, -1}},
		{"removexattrat", "6.13", raw(466, uintptr(fd), p(unsafe.Pointer(empty)), unix.AT_EMPTY_PATH, p(unsafe.Pointer(name))), byFD, want{2, "trusted.at", 0, 0, 0, -1, -1}},
		{"utimensat", "", raw(unix.SYS_UTIMENSAT, uintptr(d), p(unsafe.Pointer(rel)), p(unsafe.Pointer(ts))), byName, want{3, "", 0, 0, 0, 5e9 + 6, 7e9 + 8}},
		{"utimensat now and none", "", raw(unix.SYS_UTIMENSAT, uintptr(d), p(unsafe.Pointer(rel)), p(unsafe.Pointer(some))), byName, want{3, "", 0, 0, 0, 0, -1}},
		{"futimens", "", raw(unix.SYS_UTIMENSAT, uintptr(fd), 0, p(unsafe.Pointer(ts))), byFD, want{3, "", 0, 0, 0, 5e9 + 6, 7e9 + 8}},
		{"futimens, now", "", raw(unix.SYS_UTIMENSAT, uintptr(fd), 0, 0), byFD, want{3, "", 0, 0, 0, 0, 0}},
		{"futimesat", "", raw(unix.SYS_FUTIMESAT, uintptr(d), p(unsafe.Pointer(rel)), p(unsafe.Pointer(us))), byName, want{3, "", 0, 0, 0, 5e9 + 6e3, 7e9 + 8e3}},
		{"utimes", "", raw(unix.SYS_UTIMES, p(unsafe.Pointer(rel)), p(unsafe.Pointer(us))), byName, want{3, "", 0, 0, 0, 5e9 + 6e3, 7e9 + 8e3}},
		{"utime", "", raw(unix.SYS_UTIME, p(unsafe.Pointer(rel)), p(unsafe.Pointer(sec))), byName, want{3, "", 0, 0, 0, 5e9, 7e9}},
		{"utime, now", "", raw(unix.SYS_UTIME, p(unsafe.Pointer(rel)), 0), byName, want{3, "", 0, 0, 0, 0, 0}},
		{"fallocate", "", func() error { return unix.Fallocate(fd, unix.FALLOC_FL_KEEP_SIZE, 4096, 8192) }, byFD, want{4, "", 8192, 4096, unix.FALLOC_FL_KEEP_SIZE, -1, -1}},
		{"set inode flags", "", func() error {
			v, err := unix.IoctlGetUint32(fd, unix.FS_IOC_GETFLAGS)
			if err != nil {
				return err
			}
			*noflags = v | 0x40 /* no dump */
			return raw(unix.SYS_IOCTL, uintptr(fd), unix.FS_IOC_SETFLAGS, p(unsafe.Pointer(noflags)))()
		}, byFD, want{5, "", 0, 0, -2, -1, -1}},
		{"set inode xflags", "", func() error {
			if err := raw(unix.SYS_IOCTL, uintptr(fd), 0x801c581f, p(unsafe.Pointer(nox)))(); err != nil {
				return err
			}
			return raw(unix.SYS_IOCTL, uintptr(fd), 0x401c5820, p(unsafe.Pointer(nox)))()
		}, byFD, want{6, "", 0, 0, -3, -1, -1}},
		{"file_setattr", "6.17", raw(469, uintptr(d), p(unsafe.Pointer(rel)), p(unsafe.Pointer(noattr)), 24, 0), byName, want{6, "", 0, 0, 0, -1, -1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.since != "" && olderThan(t, c.since) {
				t.Skip("came with " + c.since)
			}
			var err error
			rows := locked(t, func() { err = c.do() })
			must(t, err)
			r := one(t, rows, typ(event.Attr))
			switch c.want.flags {
			case -2:
				c.want.flags = int64(*noflags)
			case -3:
				c.want.flags = int64(nox.xflags)
			}
			got := want{r.Op, string(r.Text), r.N1, r.N3, r.N2, r.N4, r.N5}
			eq(t, "row", got, c.want)
			eq(t, "result", r.Ret, 0)
			if c.fd {
				eq(t, "path", string(r.Path), path)
				sameObject(t, r, statOf(t, path))
			} else {
				eq(t, "object of a name", r.Ino, 0)
				if n := filepath.Base(string(r.Path)); filepath.Dir(string(r.Path)) != dir || n != "f" && n != "link" {
					t.Errorf("path %q", r.Path)
				}
			}
		})
	}
	t.Run("refused", func(t *testing.T) {
		rows := locked(t, func() {
			unix.Setfsuid(65534)
			err = unix.Fsetxattr(fd, "user.x", value, 0)
			unix.Setfsuid(0)
		})
		if err != unix.EPERM && err != unix.EACCES {
			t.Fatalf("it was not refused: %v", err)
		}
		r := one(t, rows, typ(event.Attr))
		eq(t, "failed", r.Flags&event.FlagFailed != 0, true)
		eq(t, "errno", r.Ret, -int64(err.(syscall.Errno)))
	})
	t.Run("no attribute of the sort", func(t *testing.T) {
		rows := locked(t, func() { unix.Fremovexattr(fd, "trusted.none") })
		eq(t, "rows", len(only(rows, typ(event.Attr))), 0)
	})
}

// A file that never had a name, and gets one by its descriptor.
func TestFileWithoutANameGetsOne(t *testing.T) {
	dir := t.TempDir()
	create := func(t *testing.T) (fd int, st syscall.Stat_t) {
		var err error
		rows := locked(t, func() { fd, err = unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR, 0o600) })
		if err == unix.EOPNOTSUPP {
			t.Skip("the file system of the temporary directory has no O_TMPFILE")
		}
		must(t, err)
		t.Cleanup(func() { unix.Close(fd) })
		must(t, syscall.Fstat(fd, &st))
		r := one(t, rows, typ(event.Open))
		sameObject(t, r, &st)
		eq(t, "flags", r.Op&unix.O_TMPFILE, unix.O_TMPFILE)
		if filepath.Dir(string(r.Path)) != dir {
			t.Errorf("path %q", r.Path)
		}
		return fd, st
	}
	linked := func(t *testing.T, r *event.Row, st *syscall.Stat_t, to string) {
		sameObject(t, r, st)
		eq(t, "new name", string(r.Path2), to)
		eq(t, "result", r.Ret, 0)
		eq(t, "inode of the name", statOf(t, to).Ino, r.Ino)
	}
	t.Run("empty path", func(t *testing.T) {
		fd, st := create(t)
		to := filepath.Join(dir, "one")
		var err error
		rows := locked(t, func() { err = unix.Linkat(fd, "", unix.AT_FDCWD, to, unix.AT_EMPTY_PATH) })
		must(t, err)
		r := one(t, rows, typ(event.Link))
		linked(t, r, &st, to)
		eq(t, "flags", r.Op, unix.AT_EMPTY_PATH)
	})
	t.Run("procfs", func(t *testing.T) { // by a program of one thread, whose string nobody could change
		ln, err := exec.LookPath("ln")
		if err != nil {
			t.Skip("needs ln")
		}
		fd, st := create(t)
		to := filepath.Join(dir, "two")
		cmd := exec.Command(ln, "-L", "/proc/self/fd/3", to)
		same, err := unix.Dup(fd)
		must(t, err)
		f := os.NewFile(uintptr(same), "")
		defer f.Close()
		cmd.ExtraFiles = []*os.File{f}
		rows := record(t, func() {
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
		})
		r := one(t, rows, typ(event.Link), by(cmd.Process.Pid))
		linked(t, r, &st, to)
		if !fromInside(t, event.Link) { // where the file's own path, #inode, is told
			eq(t, "old name", string(r.Path), "/proc/self/fd/3")
		}
		eq(t, "flags", r.Op, unix.AT_SYMLINK_FOLLOW)
	})
	t.Run("procfs, several threads", func(t *testing.T) {
		fd, st := create(t)
		to := filepath.Join(dir, "three")
		var err error
		from := "/proc/self/fd/" + itoa(fd)
		rows := locked(t, func() { err = unix.Linkat(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.AT_SYMLINK_FOLLOW) })
		must(t, err)
		r := one(t, rows, typ(event.Link))
		if fromInside(t, event.Link) {
			linked(t, r, &st, to)
			return
		}
		eq(t, "object that another thread may have put there", r.Ino, 0)
		eq(t, "old name", string(r.Path), from)
	})
}

func itoa(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + itoa(n%10)
}

func TestObjectOfAnEmptyName(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	must(t, os.WriteFile(path, nil, 0o600))
	fd, err := unix.Open(path, unix.O_PATH, 0)
	must(t, err)
	defer unix.Close(fd)
	rows := locked(t, func() { err = unix.Fchownat(fd, "", 7, 8, unix.AT_EMPTY_PATH) })
	must(t, err)
	r := one(t, rows, typ(event.Chown))
	sameObject(t, r, statOf(t, path))
	eq(t, "path", string(r.Path), path)
	if olderThan(t, "6.6") {
		return
	}
	empty := cstring("")
	rows = locked(t, func() {
		_, _, errno := syscall.RawSyscall6(unix.SYS_FCHMODAT2, uintptr(fd), uintptr(unsafe.Pointer(empty)), 0o640, unix.AT_EMPTY_PATH, 0, 0)
		if errno != 0 {
			t.Error(errno)
		}
	})
	r = one(t, rows, typ(event.Chmod))
	sameObject(t, r, statOf(t, path))
	eq(t, "path", string(r.Path), path)
}

func TestNamesChangePlaces(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	must(t, os.WriteFile(a, nil, 0o600))
	must(t, os.WriteFile(b, nil, 0o600))
	ino := statOf(t, a).Ino
	var err error
	rows := locked(t, func() { err = unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE) })
	must(t, err)
	r := one(t, rows, typ(event.Rename))
	eq(t, "names", [2]string{string(r.Path), string(r.Path2)}, [2]string{a, b})
	eq(t, "flags", r.Op, unix.RENAME_EXCHANGE)
	eq(t, "who is b now", statOf(t, b).Ino, ino)
	// what is opened by either name is what it is now
	rows = locked(t, func() {
		fd, _ := unix.Open(b, unix.O_RDONLY, 0)
		unix.Close(fd)
	})
	eq(t, "opened as b", one(t, rows, typ(event.Open)).Ino, ino)
}

func TestWriteAfterUnlink(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gone")
	ownThread(func() {
		fd, err := unix.Open(path, unix.O_CREAT|unix.O_RDWR, 0o600)
		must(t, err)
		defer unix.Close(fd)
		var st syscall.Stat_t
		must(t, syscall.Fstat(fd, &st))
		must(t, unix.Unlink(path))
		rows := locked(t, func() { unix.Write(fd, []byte("late")) })
		r := one(t, rows, typ(event.FirstWrite))
		sameObject(t, r, &st)
		eq(t, "bytes", r.Ret, 4)
		eq(t, "the name it had", string(r.Path), path)
	})
}
