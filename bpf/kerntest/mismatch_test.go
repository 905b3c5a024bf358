//go:build linux

package kerntest

import (
	"fmt"
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

// openCall is one way to open.
type openCall struct {
	name string
	nr   uintptr
	open func(dir int, path unsafe.Pointer, flags int) (uintptr, unix.Errno)
}

func openCalls() []openCall {
	calls := []openCall{
		{"openat", unix.SYS_OPENAT, func(dir int, p unsafe.Pointer, flags int) (uintptr, unix.Errno) {
			fd, _, e := unix.Syscall6(unix.SYS_OPENAT, uintptr(dir), uintptr(p), uintptr(flags|unix.O_CLOEXEC), 0o600, 0, 0)
			return fd, e
		}},
		{"openat2", unix.SYS_OPENAT2, func(dir int, p unsafe.Pointer, flags int) (uintptr, unix.Errno) {
			how := unix.OpenHow{Flags: uint64(flags | unix.O_CLOEXEC)}
			fd, _, e := unix.Syscall6(unix.SYS_OPENAT2, uintptr(dir), uintptr(p), uintptr(unsafe.Pointer(&how)), unix.SizeofOpenHow, 0, 0)
			return fd, e
		}},
	}
	if runtime.GOARCH == "amd64" {
		calls = append(calls,
			openCall{"open", 2, func(_ int, p unsafe.Pointer, flags int) (uintptr, unix.Errno) {
				fd, _, e := unix.Syscall(2, uintptr(p), uintptr(flags|unix.O_CLOEXEC), 0o600)
				return fd, e
			}},
			openCall{"creat", 85, func(_ int, p unsafe.Pointer, _ int) (uintptr, unix.Errno) {
				fd, _, e := unix.Syscall(85, uintptr(p), 0o600, 0)
				return fd, e
			}})
	}
	return calls
}

func mine(r *event.Row) bool { return r.Type == event.Mismatch && r.PID == uint32(os.Getpid()) }

func TestNameThatLedElsewhere(t *testing.T) {
	dir := t.TempDir()
	target, link := filepath.Join(dir, "target"), filepath.Join(dir, "a link")
	must(t, os.WriteFile(target, nil, 0o600))
	must(t, os.Symlink("target", link))
	must(t, os.Mkdir(filepath.Join(dir, "sub"), 0o755))
	d, err := os.Open(dir)
	must(t, err)
	defer d.Close()
	st := statOf(t, target)
	for _, c := range openCalls() {
		for _, relative := range []bool{false, true} {
			t.Run(fmt.Sprint(c.name, " relative ", relative), func(t *testing.T) {
				dirfd, path := unix.AT_FDCWD, link
				if relative {
					dirfd, path = int(d.Fd()), "./sub/../a link"
					t.Chdir(dir)
				}
				var fd uintptr
				rows := record(t, func() {
					var e unix.Errno
					fd, e = c.open(dirfd, strPtr(path), unix.O_RDONLY)
					eq(t, "errno", e, 0)
					unix.Close(int(fd))
				})
				r := one(t, rows, mine)
				eq(t, "kind", r.Op, 1)
				eq(t, "call", r.N1, int64(c.nr))
				eq(t, "ret", r.Ret, int64(fd))
				eq(t, "used", string(r.Path), target)
				sameObject(t, r, st)
				want := link
				if relative {
					want = dir + "/./sub/../a link"
				}
				eq(t, "claimed", string(r.Path2), want)
				eq(t, "before", len(r.Text), 0)
				eq(t, "marks", r.Marks, 0)
				eq(t, "flags", r.Flags, 0)
			})
		}
	}
	t.Run("what is no mismatch", func(t *testing.T) {
		t.Chdir(dir)
		rows := record(t, func() {
			for _, p := range []string{target, "target", "./target", "sub/../target", "/" + target, "sub", "sub/", "sub/.", "sub/..", ".", "..", "/", "/proc", "/proc/", "/sys", "/dev/null", "/none", strings.Repeat("./", 2000) + "target"} {
				if fd, err := unix.Open(p, unix.O_RDONLY|unix.O_CLOEXEC, 0); err == nil {
					unix.Close(fd)
				}
			}
			fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
			must(t, err)
			unix.Close(fd)
		})
		for _, r := range only(rows, mine) {
			t.Errorf("kind %d: %q is %q", r.Op, r.Path2, r.Path)
		}
	})
	t.Run("one byte differs", func(t *testing.T) {
		name := strings.Repeat("n", 255)
		must(t, os.WriteFile(name[:9], nil, 0o600))
		defer os.Remove(name[:9])
		for i, l := range []string{"nnnnnnnnN", "nnnnnnnn", "nnnnnnnnnn", "x/nnnnnnnnn"[2:10] + "m"} {
			must(t, os.Symlink("nnnnnnnnn", l))
			defer os.Remove(l)
			rows := record(t, func() {
				fd, err := unix.Open(l, unix.O_RDONLY|unix.O_CLOEXEC, 0)
				must(t, err)
				unix.Close(fd)
			})
			eq(t, fmt.Sprint("rows of ", i), len(only(rows, mine)), 1)
		}
	})
}

// A fifo holds the open until the other end comes: meanwhile the string is another one.
func TestStringThatChangedDuringTheCall(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	must(t, unix.Mkfifo(fifo, 0o600))
	st := statOf(t, fifo)
	long := dir + "/" + strings.Repeat("./", 200) + "fifo"
	swapped := func(s string) string { return strings.Replace(s, "fifo", "LIES", 1) }
	run := func(t *testing.T, c openCall, path string, change func(m []byte)) *event.Row {
		t.Helper()
		m, err := unix.Mmap(-1, 0, 2*os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
		must(t, err)
		defer unix.Munmap(m)
		copy(m, path)
		var tid atomic.Int32
		var fd uintptr
		var e unix.Errno
		done := make(chan struct{})
		rows := record(t, func() {
			go func() {
				defer close(done)
				runtime.LockOSThread()
				defer runtime.UnlockOSThread()
				tid.Store(int32(unix.Gettid()))
				fd, e = c.open(unix.AT_FDCWD, unsafe.Pointer(&m[0]), unix.O_RDONLY)
			}()
			asleep(t, &tid, c.nr)
			change(m)
			mode := unix.O_WRONLY
			if c.name == "creat" {
				mode = unix.O_RDONLY
			}
			other, err := unix.Open(fifo, mode|unix.O_CLOEXEC, 0)
			must(t, err)
			defer unix.Close(other)
			<-done
		})
		eq(t, "errno", e, 0)
		unix.Close(int(fd))
		r := one(t, rows, mine)
		eq(t, "kind", r.Op, 2)
		eq(t, "call", r.N1, int64(c.nr))
		eq(t, "tid", r.TID, uint32(tid.Load()))
		eq(t, "ret", r.Ret, int64(fd))
		eq(t, "used", string(r.Path), fifo)
		sameObject(t, r, st)
		return r
	}
	for _, c := range openCalls() {
		t.Run(c.name, func(t *testing.T) {
			r := run(t, c, fifo, func(m []byte) { copy(m, swapped(fifo)) })
			eq(t, "before", string(r.Text), fifo)
			eq(t, "claimed", string(r.Path2), swapped(fifo))
			eq(t, "marks", r.Marks, 0)
		})
	}
	c := openCalls()[0]
	t.Run("longer", func(t *testing.T) {
		r := run(t, c, fifo, func(m []byte) { copy(m, fifo+"/more") })
		eq(t, "before", string(r.Text), fifo)
		eq(t, "claimed", string(r.Path2), fifo+"/more")
	})
	t.Run("last byte of a long string", func(t *testing.T) {
		r := run(t, c, long, func(m []byte) { m[len(long)-1] = 'x' })
		eq(t, "head of what was before", string(r.Text), long[:256])
		eq(t, "mark", mark(t, r, "claimed_before"), 1)
		eq(t, "claimed", string(r.Path2), long[:len(long)-1]+"x")
		eq(t, "mark", mark(t, r, "claimed"), 0)
	})
	t.Run("not readable any more", func(t *testing.T) {
		r := run(t, c, fifo, func(m []byte) { must(t, unix.Mprotect(m, unix.PROT_NONE)) })
		eq(t, "before", string(r.Text), fifo)
		eq(t, "claimed", string(r.Path2), "")
		eq(t, "mark", mark(t, r, "claimed"), 2)
	})
	t.Run("an open that fails", func(t *testing.T) {
		m := make([]byte, len(fifo)+1)
		copy(m, fifo)
		var tid atomic.Int32
		var e unix.Errno
		done := make(chan struct{})
		rows := record(t, func() {
			go func() {
				defer close(done)
				runtime.LockOSThread()
				defer runtime.UnlockOSThread()
				tid.Store(int32(unix.Gettid()))
				_, e = c.open(unix.AT_FDCWD, unsafe.Pointer(&m[0]), unix.O_RDONLY)
			}()
			asleep(t, &tid, c.nr)
			copy(m, swapped(fifo))
			// the signal takes the thread out of the call, which is then made again
			must(t, unix.Tgkill(os.Getpid(), int(tid.Load()), unix.SIGURG))
			<-done
		})
		eq(t, "errno", e, unix.ENOENT)
		r := one(t, rows, mine)
		eq(t, "kind", r.Op, 2)
		eq(t, "interrupted", r.Ret, -512)
		eq(t, "failed", r.Flags, uint32(event.FlagFailed))
		eq(t, "used", len(r.Path), 0)
		eq(t, "object", r.Ino, 0)
		eq(t, "before", string(r.Text), fifo)
		eq(t, "claimed", string(r.Path2), swapped(fifo))
	})
}

// asleep waits until the thread sleeps in a system call.
func asleep(t testing.TB, tid *atomic.Int32, nr uintptr) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/syscall", tid.Load()))
		if strings.HasPrefix(string(b), fmt.Sprintf("%d 0x", nr)) {
			return
		}
		if time.Now().After(end) {
			t.Fatal("the call does not wait")
		}
	}
}

// flip changes a byte back and forth, as fast as it can, until the returned function is called.
func flip(at *byte, a, b byte) (stop func()) {
	var end atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		w := (*uint32)(unsafe.Pointer(uintptr(unsafe.Pointer(at)) &^ 3))
		shift := 8 * (uintptr(unsafe.Pointer(at)) & 3)
		for !end.Load() {
			for range 100 {
				atomic.StoreUint32(w, atomic.LoadUint32(w)&^(0xff<<shift)|uint32(a)<<shift)
				atomic.StoreUint32(w, atomic.LoadUint32(w)&^(0xff<<shift)|uint32(b)<<shift)
			}
		}
	}()
	return func() { end.Store(true); <-done }
}

func init() {
	// exec-shared: runs the program whose path lies at the start of the memory file 3.
	helpers["exec-shared"] = func([]string) int {
		m, err := unix.Mmap(3, 0, os.Getpagesize(), unix.PROT_READ, unix.MAP_SHARED)
		if err != nil {
			return 98
		}
		if m[0] == 0 { // brought in, too: what is not there yet as the call begins cannot be compared
			return 97
		}
		unix.Syscall(unix.SYS_EXECVE, uintptr(unsafe.Pointer(&m[0])), uintptr(strPtrs("name")), uintptr(strPtrs()))
		return 99
	}
}

// The kernel copies the string once; what was there a moment before may name another program.
func TestProgramThatIsNotTheOneNamed(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "prog.a"), filepath.Join(dir, "prog.b")
	truth, err := os.ReadFile("/bin/true")
	must(t, err)
	must(t, os.WriteFile(a, truth, 0o755))
	must(t, os.WriteFile(b, truth, 0o755))
	fd, err := unix.MemfdCreate("path", unix.MFD_CLOEXEC)
	must(t, err)
	f := os.NewFile(uintptr(fd), "path")
	defer f.Close()
	must(t, f.Truncate(int64(os.Getpagesize())))
	m, err := unix.Mmap(fd, 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	must(t, err)
	defer unix.Munmap(m)
	copy(m, a)
	run := func() (pid int, rows []event.Row) {
		cmd := helper("exec-shared")
		cmd.ExtraFiles = []*os.File{f}
		rows = record(t, func() { must(t, cmd.Run()) })
		return cmd.Process.Pid, rows
	}

	pid, rows := run() // nobody changes anything
	for _, r := range only(rows, typ(event.Mismatch), by(pid), func(r *event.Row) bool { return r.Op == 4 }) {
		t.Errorf("%q is said to be %q", r.Text, r.Path2)
	}

	stop := flip(&m[len(a)-1], 'a', 'b')
	defer stop()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); {
		pid, rows := run()
		got := only(rows, typ(event.Mismatch), by(pid), func(r *event.Row) bool { return r.Op == 4 })
		if len(got) == 0 {
			continue
		}
		r := &got[0]
		execs := only(rows, typ(event.Exec), by(pid))
		ex := &execs[len(execs)-1]
		eq(t, "program", string(r.Path), string(ex.Path))
		eq(t, "the kernel's copy", string(r.Path2), string(ex.Path))
		eq(t, "call", r.N1, int64(unix.SYS_EXECVE))
		was := a
		if string(ex.Path) == a {
			was = b
		}
		eq(t, "string as the call began", string(r.Text), was)
		var st syscall.Stat_t
		must(t, syscall.Stat(string(ex.Path), &st))
		sameObject(t, r, &st)
		eq(t, "marks", r.Marks, 0)
		return
	}
	// An emulator that takes turns between its processors changes no byte within a call.
	changes, last := 0, m[len(a)-1]
	for end := time.Now().Add(3 * time.Second); changes < 1000 && time.Now().Before(end); {
		for range 100_000 {
			if now := *(*byte)(unsafe.Pointer(&m[len(a)-1])); now != last {
				changes, last = changes+1, now
			}
		}
	}
	if changes < 1000 {
		t.Skipf("needs two processors that run at once: a byte that another thread flips was seen to change %d times", changes)
	}
	t.Fatal("no row in 30 s")
}
