//go:build linux

package kerntest

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"hindcast/format/event"
)

// clean returns a mapped file whose pages are clean, its path, and what makes them so again. Only
// file systems that write back can have a witness.
func clean(t *testing.T, pages int) (mem []byte, path string, sync func()) {
	t.Helper()
	programs(t)
	fd, path := sized(t, 4096*pages, unix.O_RDWR)
	var fs unix.Statfs_t
	unix.Statfs(path, &fs)
	if fs.Type == unix.TMPFS_MAGIC || fs.Type == unix.RAMFS_MAGIC {
		t.Skip("the temporary directory is on a file system that writes nothing back: no page of it is ever dirty")
	}
	sync = func() {
		if err := unix.Fsync(fd); err != nil {
			t.Fatal(err)
		}
	}
	sync()
	a := mapped(t, fd, uintptr(4096*pages), rw, unix.MAP_SHARED, 0)
	mem = unsafe.Slice((*byte)(*(*unsafe.Pointer)(unsafe.Pointer(&a))), 4096*pages)
	t.Cleanup(func() { syscall.RawSyscall(unix.SYS_MUNMAP, a, uintptr(4096*pages), 0) })
	return mem, path, sync
}

func TestStoresToAMappingAreWitnessed(t *testing.T) {
	mem, path, sync := clean(t, 8)
	var before, after unix.Timespec
	stores := func(pages ...int) func() {
		return func() {
			for _, p := range pages {
				mem[4096*p]++
			}
		}
	}
	var rows []event.Row
	ownThread(func() {
		unix.ClockGettime(unix.CLOCK_BOOTTIME, &before)
		first := locked(t, stores(0))
		unix.ClockGettime(unix.CLOCK_BOOTTIME, &after)
		r := one(t, first, typ(event.Dirty))
		sameObject(t, r, statOf(t, path))
		eq(t, "pages", r.OpsOut, 1)
		if int64(r.T0) < before.Nano() || int64(r.T0) > after.Nano() || r.TS < r.T0 {
			t.Errorf("since %d, told %d, done %d..%d", r.T0, r.TS, before.Nano(), after.Nano())
		}
		if len(r.Path) == 0 || !strings.HasSuffix(path, string(r.Path)) {
			t.Errorf("name %q is no tail of %q", r.Path, path)
		}
		eq(t, "rows of a call", len(only(first, typ(event.FirstWrite))), 0)

		// Within a second no more is told, but counted: the next row has them all. Each page is clean
		// again before the next store, for the kernel may keep several as one.
		for _, p := range []int{1, 2} {
			sync()
			rows = append(rows, locked(t, stores(p))...)
		}
		sync()
		time.Sleep(1100 * time.Millisecond)
		rows = append(rows, locked(t, stores(4))...)
		got := only(rows, typ(event.Dirty))
		if len(got) == 0 {
			t.Fatal("the later stores left no row")
		}
		eq(t, "pages in all", got[len(got)-1].OpsOut, 4)
		eq(t, "since", got[len(got)-1].T0, r.T0)

		// A page that is dirty stays so; after it was written back a store is seen again.
		time.Sleep(1100 * time.Millisecond)
		eq(t, "rows of a store to a dirty page", len(only(locked(t, stores(4)), typ(event.Dirty))), 0)
		sync()
		got = only(locked(t, stores(4)), typ(event.Dirty))
		eq(t, "rows after it was written back", len(got), 1)
	})
	// Another thread has its own count.
	sync()
	ownThread(func() {
		r := one(t, locked(t, stores(6)), typ(event.Dirty))
		eq(t, "pages of the other thread", r.OpsOut, 1)
		eq(t, "pid", r.PID, uint32(os.Getpid()))
	})
}

func TestStoresOutliveTheDescriptor(t *testing.T) {
	mem, path, _ := clean(t, 1)
	st := statOf(t, path)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	r := one(t, locked(t, func() { mem[0] = 1 }), typ(event.Dirty))
	eq(t, "inode", r.Ino, st.Ino)
}

// A read into a mapping changes the mapped file, and its row names another one.
func TestReadIntoAMappingIsWitnessed(t *testing.T) {
	mem, path, _ := clean(t, 1)
	src, srcPath := sized(t, 100, unix.O_RDONLY)
	rows := locked(t, func() {
		if n, err := unix.Read(src, mem[:100]); n != 100 {
			t.Errorf("%d %v", n, err)
		}
	})
	sameObject(t, one(t, rows, typ(event.FirstRead)), statOf(t, srcPath))
	sameObject(t, one(t, rows, typ(event.Dirty)), statOf(t, path))
}

// What a write row tells needs no witness; what no call of ours tells has one.
func TestWritesExplainThemselves(t *testing.T) {
	_, path, sync := clean(t, 4)
	fd, err := unix.Open(path, unix.O_RDWR, 0)
	must(t, err)
	defer unix.Close(fd)
	src, _ := sized(t, 4096, unix.O_RDONLY)
	buf := make([]byte, 4096)
	var p [2]int
	must(t, unix.Pipe(p[:]))
	defer unix.Close(p[0])
	defer unix.Close(p[1])
	for name, write := range map[string]func() (int, error){
		"write":           func() (int, error) { return unix.Write(fd, buf) },
		"pwrite":          func() (int, error) { return unix.Pwrite(fd, buf, 0) },
		"writev":          func() (int, error) { return unix.Writev(fd, [][]byte{buf}) },
		"pwritev":         func() (int, error) { return unix.Pwritev(fd, [][]byte{buf}, 0) },
		"pwritev2":        func() (int, error) { return unix.Pwritev2(fd, [][]byte{buf}, 0, 0) },
		"sendfile":        func() (int, error) { return unix.Sendfile(fd, src, new(int64), 4096) },
		"copy_file_range": func() (int, error) { return unix.CopyFileRange(src, new(int64), fd, new(int64), 4096, 0) },
		"splice": func() (int, error) {
			unix.Write(p[1], buf)
			n, err := unix.Splice(p[0], nil, fd, new(int64), 4096, 0)
			return int(n), err
		},
	} {
		t.Run(name, func(t *testing.T) {
			sync()
			unix.Seek(fd, 0, 0)
			var n int
			var err error
			var rows []event.Row
			ownThread(func() { rows = locked(t, func() { n, err = write() }) })
			if n != 4096 {
				t.Fatalf("%d %v", n, err)
			}
			st := statOf(t, path)
			one(t, rows, typ(event.FirstWrite), func(r *event.Row) bool { return r.Ino == st.Ino })
			eq(t, "witness rows", len(only(rows, typ(event.Dirty))), 0)
		})
	}
	// a change of the size is told by name; that it made part of a page anew is seen below
	sync()
	rows := locked(t, func() { must(t, unix.Truncate(path, 4096*3+1)) })
	one(t, rows, typ(event.Truncate))
	for _, r := range only(rows, typ(event.Dirty)) {
		eq(t, "inode", r.Ino, statOf(t, path).Ino)
	}
}
