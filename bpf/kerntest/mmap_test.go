//go:build linux

package kerntest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"hindcast/bpf"
	"hindcast/format/event"
)

// mapped calls mmap and hands back the address.
func mapped(t testing.TB, fd int, length, prot, flags, offset uintptr) uintptr {
	t.Helper()
	addr, _, errno := syscall.RawSyscall6(unix.SYS_MMAP, 0, length, prot, flags, uintptr(fd), offset)
	if errno != 0 {
		t.Fatalf("mmap: %v", errno)
	}
	return addr
}

// sized returns a descriptor of a new file of so many zero bytes, and its path.
func sized(t testing.TB, bytes int, flags int) (int, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "mapped")
	fd, err := unix.Open(path, unix.O_CREAT|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	must(t, err)
	must(t, unix.Ftruncate(fd, int64(bytes))) // not written: a thread that writes has a first row behind it
	unix.Close(fd)
	fd, err = unix.Open(path, flags|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd, path
}

// mapping asserts a row that describes a mapping.
func mapping(t testing.TB, r *event.Row, path string, prot, flags, addr, length, offset uintptr) {
	t.Helper()
	if path != "" {
		sameObject(t, r, statOf(t, path))
	} else {
		eq(t, "object of no file", [4]uint64{uint64(r.Dev), r.Ino, uint64(r.Gen), uint64(r.Mode)}, [4]uint64{})
	}
	eq(t, "path", string(r.Path), path)
	eq(t, "prot", uintptr(r.Op), prot)
	eq(t, "flags", uintptr(r.N1), flags)
	eq(t, "address", uintptr(r.N2), addr)
	eq(t, "length", uintptr(r.N3), length)
	eq(t, "offset", uintptr(r.N4), offset)
	eq(t, "marks", r.Marks, 0)
}

// starting chooses mappings by their addresses: of a process with many, which this one is when other
// tests have their rings, whatever its own runtime does with memory is told too.
func starting(at ...uintptr) func(*event.Row) bool {
	return func(r *event.Row) bool { return slices.Contains(at, uintptr(r.N2)) }
}

const rw, rx = unix.PROT_READ | unix.PROT_WRITE, unix.PROT_READ | unix.PROT_EXEC

func TestWritableMappingIsAnInterval(t *testing.T) {
	fd, path := sized(t, 16384, unix.O_RDWR)
	for _, flags := range []uintptr{unix.MAP_SHARED, unix.MAP_SHARED_VALIDATE} {
		var a uintptr
		rows := locked(t, func() {
			a = mapped(t, fd, 8192, rw, flags, 4096)
			syscall.RawSyscall(unix.SYS_MUNMAP, a, 8192, 0)
		})
		mapping(t, one(t, rows, typ(event.MmapWrite)), path, rw, flags, a, 8192, 4096)
		u := one(t, rows, typ(event.Unmap), starting(a))
		eq(t, "length unmapped", u.N3, 8192)
	}
	// executable as well: two rows
	var a uintptr
	rows := locked(t, func() {
		a = mapped(t, fd, 4096, rw|unix.PROT_EXEC, unix.MAP_SHARED, 0)
		syscall.RawSyscall(unix.SYS_MUNMAP, a, 4096, 0)
	})
	mapping(t, one(t, rows, typ(event.MmapWrite)), path, rw|unix.PROT_EXEC, unix.MAP_SHARED, a, 4096, 0)
	mapping(t, one(t, rows, typ(event.MmapExec)), path, rw|unix.PROT_EXEC, unix.MAP_SHARED, a, 4096, 0)
}

func init() {
	// private FILE: maps it and other memory so that no store reaches the file, and unmaps it all.
	helpers["private"] = func(args []string) int {
		fd, _ := unix.Open(args[0], unix.O_RDWR, 0)
		ro, _ := unix.Open(args[0], unix.O_RDONLY, 0)
		for _, m := range [][3]uintptr{
			{uintptr(fd), rw, unix.MAP_PRIVATE},
			{uintptr(ro), unix.PROT_READ, unix.MAP_SHARED},
			{^uintptr(0), rw, unix.MAP_SHARED | unix.MAP_ANONYMOUS},
			{^uintptr(0), rw, unix.MAP_PRIVATE | unix.MAP_ANONYMOUS},
		} {
			a, _, errno := syscall.RawSyscall6(unix.SYS_MMAP, 0, 4096, m[1], m[2], m[0], 0)
			if errno != 0 {
				return 1
			}
			syscall.RawSyscall(unix.SYS_MPROTECT, a, 4096, unix.PROT_READ)
			syscall.RawSyscall(unix.SYS_MUNMAP, a, 4096, 0)
		}
		// a call that fails maps nothing
		if _, _, errno := syscall.RawSyscall6(unix.SYS_MMAP, 0, 4096, rw, unix.MAP_SHARED, uintptr(ro), 0); errno == 0 {
			return 2
		}
		return 0
	}
	// many FILE: maps it 40 times and unmaps what was mapped.
	helpers["many"] = func(args []string) int {
		fd, _ := unix.Open(args[0], unix.O_RDWR, 0)
		var at [40]uintptr
		for i := range at {
			at[i], _, _ = syscall.RawSyscall6(unix.SYS_MMAP, 0, 4096, rw, unix.MAP_SHARED, uintptr(fd), 0)
		}
		for _, a := range at {
			syscall.RawSyscall(unix.SYS_MUNMAP, a, 4096, 0)
		}
		return 0
	}
}

func TestMappingsThatStoresDoNotReachAreLeftOut(t *testing.T) {
	_, path := sized(t, 8192, unix.O_RDWR)
	cmd := helper("private", path)
	rows := record(t, func() { must(t, cmd.Run()) })
	one(t, rows, typ(event.Exec), by(cmd.Process.Pid))
	for _, ty := range []event.Type{event.MmapWrite, event.Mprotect, event.Unmap} {
		eq(t, ty.String()+" rows", len(only(rows, typ(ty), by(cmd.Process.Pid))), 0)
	}
}

func TestPartsAreUnmapped(t *testing.T) {
	fd, _ := sized(t, 16384, unix.O_RDWR)
	var a, b uintptr
	rows := locked(t, func() {
		a = mapped(t, fd, 16384, rw, unix.MAP_SHARED, 0)
		b = mapped(t, -1, 8192, rw, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS, 0)
		syscall.RawSyscall(unix.SYS_MUNMAP, b, 8192, 0) // another's
		syscall.RawSyscall(unix.SYS_MUNMAP, a+4096, 100, 0)
		syscall.RawSyscall(unix.SYS_MUNMAP, a+8192, 8192, 0)
		// a mapping put over it ends it
		syscall.RawSyscall6(unix.SYS_MMAP, a, 4096, rw, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_FIXED, ^uintptr(0), 0)
		syscall.RawSyscall(unix.SYS_MUNMAP, a, 16384, 0)
	})
	got := only(rows, typ(event.Unmap), func(r *event.Row) bool { return uintptr(r.N2) != b })
	want := [][2]uintptr{{a + 4096, 4096}, {a + 8192, 8192}, {a, 4096}, {a, 16384}}
	if len(got) != len(want) {
		t.Fatalf("%d unmap rows, want %d", len(got), len(want))
	}
	for i, w := range want {
		eq(t, "unmapped", [2]uintptr{uintptr(got[i].N2), uintptr(got[i].N3)}, w)
	}
}

// More ranges than the kernel half remembers: none may end unseen.
func TestManyMappingsEndOneByOne(t *testing.T) {
	_, path := sized(t, 4096, unix.O_RDWR)
	cmd := helper("many", path)
	rows := record(t, func() { must(t, cmd.Run()) })
	begun := only(rows, typ(event.MmapWrite), by(cmd.Process.Pid))
	eq(t, "mappings", len(begun), 40)
	for _, m := range begun {
		one(t, rows, typ(event.Unmap), by(cmd.Process.Pid), func(r *event.Row) bool { return r.N2 == m.N2 })
	}
}

func TestMappingMadeWritableLater(t *testing.T) {
	fd, path := sized(t, 16384, unix.O_RDWR)
	for name, nr := range map[string]uintptr{"mprotect": unix.SYS_MPROTECT, "pkey_mprotect": unix.SYS_PKEY_MPROTECT} {
		t.Run(name, func(t *testing.T) {
			var a uintptr
			rows := locked(t, func() {
				a = mapped(t, fd, 12288, unix.PROT_READ, unix.MAP_SHARED, 4096)
				if _, _, errno := syscall.RawSyscall6(nr, a+4096, 4096, rw, ^uintptr(0), 0, 0); errno != 0 {
					t.Error(errno)
				}
				syscall.RawSyscall(unix.SYS_MUNMAP, a, 12288, 0)
			})
			if olderThan(t, "5.17") {
				t.Skip("bpf_find_vma, which names the object, came with 5.17")
			}
			mapping(t, one(t, rows, typ(event.MmapWrite)), path, rw, unix.MAP_SHARED, a+4096, 4096, 8192)
			one(t, rows, typ(event.Unmap))
		})
	}
}

func TestWritableMappingMoves(t *testing.T) {
	fd, path := sized(t, 32768, unix.O_RDWR)
	var a, b uintptr
	rows := locked(t, func() {
		a = mapped(t, fd, 4096, rw, unix.MAP_SHARED, 4096)
		var errno syscall.Errno
		b, _, errno = syscall.RawSyscall6(unix.SYS_MREMAP, a, 4096, 16384, unix.MREMAP_MAYMOVE, 0, 0)
		if errno != 0 {
			t.Error(errno)
		}
		syscall.RawSyscall(unix.SYS_MUNMAP, b, 16384, 0)
	})
	if olderThan(t, "5.17") {
		t.Skip("bpf_find_vma, which names the object, came with 5.17")
	}
	w := only(rows, typ(event.MmapWrite))
	eq(t, "mappings", len(w), 2)
	mapping(t, &w[1], path, rw, unix.MAP_SHARED, b, 16384, 4096)
	u := only(rows, typ(event.Unmap), starting(a, b))
	eq(t, "ends", len(u), 2)
	eq(t, "first end", [2]uintptr{uintptr(u[0].N2), uintptr(u[0].N3)}, [2]uintptr{a, 4096})
	eq(t, "second end", [2]uintptr{uintptr(u[1].N2), uintptr(u[1].N3)}, [2]uintptr{b, 16384})
}

// With an old length of 0 a shared mapping is not moved: there is a second one, which ends by itself.
func TestWritableMappingIsDoubled(t *testing.T) {
	fd, path := sized(t, 32768, unix.O_RDWR)
	var a, b uintptr
	rows := locked(t, func() {
		a = mapped(t, fd, 8192, rw, unix.MAP_SHARED, 4096)
		var errno syscall.Errno
		b, _, errno = syscall.RawSyscall6(unix.SYS_MREMAP, a, 0, 4096, unix.MREMAP_MAYMOVE, 0, 0)
		if errno != 0 {
			t.Error(errno)
		}
		syscall.RawSyscall(unix.SYS_MUNMAP, b, 4096, 0)
		syscall.RawSyscall(unix.SYS_MUNMAP, a, 8192, 0)
	})
	w := only(rows, typ(event.MmapWrite))
	u := only(rows, typ(event.Unmap), starting(a, b))
	if len(w) != 2 || len(u) != 2 {
		t.Fatalf("%d mappings and %d ends, want 2 of each", len(w), len(u))
	}
	eq(t, "first end", [2]uintptr{uintptr(u[0].N2), uintptr(u[0].N3)}, [2]uintptr{b, 4096})
	eq(t, "second end", [2]uintptr{uintptr(u[1].N2), uintptr(u[1].N3)}, [2]uintptr{a, 8192})
	if olderThan(t, "5.17") {
		t.Skip("bpf_find_vma, which names the object, came with 5.17")
	}
	mapping(t, &w[1], path, rw, unix.MAP_SHARED, b, 4096, 4096)
}

func init() {
	// attach: attaches a segment to read and to write, says its id and where, and detaches both.
	helpers["attach"] = func([]string) int {
		id, err := unix.SysvShmGet(unix.IPC_PRIVATE, 8192, unix.IPC_CREAT|0o600)
		if err != nil {
			return 1
		}
		defer unix.SysvShmCtl(id, unix.IPC_RMID, nil)
		ro, _, errno := syscall.RawSyscall(unix.SYS_SHMAT, uintptr(id), 0, unix.SHM_RDONLY)
		if errno != 0 {
			return 2
		}
		a, _, errno := syscall.RawSyscall(unix.SYS_SHMAT, uintptr(id), 0, 0)
		if errno != 0 {
			return 3
		}
		syscall.RawSyscall(unix.SYS_SHMDT, ro, 0, 0)
		syscall.RawSyscall(unix.SYS_SHMDT, a, 0, 0)
		fmt.Println(id, a)
		return 0
	}
}

func TestSystemVMemory(t *testing.T) {
	cmd := helper("attach")
	var id, a uint64
	rows := record(t, func() {
		out, err := cmd.Output()
		must(t, err)
		fmt.Sscan(string(out), &id, &a)
	})
	if olderThan(t, "5.17") {
		t.Skip("bpf_find_vma, which names the object, came with 5.17")
	}
	r := one(t, rows, typ(event.MmapWrite), by(cmd.Process.Pid))
	eq(t, "inode: the id of the segment", r.Ino, id)
	eq(t, "mode", r.Mode, unix.S_IFREG|0o777)
	eq(t, "path", string(r.Path), "SYSV00000000")
	eq(t, "prot", r.Op, rw)
	eq(t, "flags", r.N1, unix.MAP_SHARED)
	eq(t, "address", uint64(r.N2), a)
	eq(t, "length", r.N3, 8192)
	eq(t, "marks", r.Marks, 0)
	u := one(t, rows, typ(event.Unmap), by(cmd.Process.Pid))
	eq(t, "end", [2]uint64{uint64(u.N2), uint64(u.N3)}, [2]uint64{a, 8192})
}

func TestMemoryMadeExecutable(t *testing.T) {
	fd, path := sized(t, 16384, unix.O_RDWR)
	programs(t)
	found := !olderThan(t, "5.17") // bpf_find_vma
	check := func(t *testing.T, r *event.Row, path string, prot, flags, addr, length, offset uintptr) {
		t.Helper()
		if found {
			mapping(t, r, path, prot, flags, addr, length, offset)
			return
		}
		eq(t, "mark: unknown", r.Marks&3, 2)
		eq(t, "address", uintptr(r.N2), addr)
		eq(t, "length", uintptr(r.N3), length)
	}
	for name, nr := range map[string]uintptr{"mprotect": unix.SYS_MPROTECT, "pkey_mprotect": unix.SYS_PKEY_MPROTECT} {
		t.Run(name+" of a file", func(t *testing.T) {
			var a uintptr
			rows := locked(t, func() {
				a = mapped(t, fd, 8192, unix.PROT_READ, unix.MAP_PRIVATE, 4096)
				syscall.RawSyscall6(nr, a+4096, 4096, rx, ^uintptr(0), 0, 0)
				syscall.RawSyscall(unix.SYS_MUNMAP, a, 8192, 0)
			})
			r := one(t, rows, typ(event.Mprotect))
			check(t, r, path, rx, unix.MAP_PRIVATE, a+4096, 4096, 8192)
			eq(t, "call", uintptr(r.N5), nr)
			eq(t, "rows of the file", len(only(rows, typ(event.MmapExec))), 0)
		})
		t.Run(name+" of no file", func(t *testing.T) {
			var a uintptr
			rows := locked(t, func() {
				a = mapped(t, -1, 4096, rw, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS, 0)
				syscall.RawSyscall6(nr, a, 4096, rx, ^uintptr(0), 0, 0)
				syscall.RawSyscall(unix.SYS_MUNMAP, a, 4096, 0)
			})
			r := one(t, rows, typ(event.Mprotect))
			check(t, r, "", rx, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS, a, 4096, 0)
			eq(t, "call", uintptr(r.N5), nr)
		})
	}
	t.Run("mmap of no file", func(t *testing.T) {
		var a uintptr
		rows := locked(t, func() {
			a = mapped(t, -1, 4096, rw|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS, 0)
			syscall.RawSyscall(unix.SYS_MUNMAP, a, 4096, 0)
		})
		r := one(t, rows, typ(event.Mprotect))
		check(t, r, "", rw|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS, a, 4096, 0)
		eq(t, "call", r.N5, unix.SYS_MMAP)
	})
	t.Run("shared, written and then run", func(t *testing.T) {
		var a uintptr
		rows := locked(t, func() {
			a = mapped(t, fd, 4096, rw, unix.MAP_SHARED, 0)
			syscall.RawSyscall(unix.SYS_MPROTECT, a, 4096, rx)
			syscall.RawSyscall(unix.SYS_MUNMAP, a, 4096, 0)
		})
		one(t, rows, typ(event.MmapWrite))
		check(t, one(t, rows, typ(event.Mprotect)), path, rx, unix.MAP_SHARED, a, 4096, 0)
	})
}

func init() {
	// mapper FILE: maps it, has a child that fork made unmap it, waits for the end of its input and
	// unmaps it itself.
	helpers["mapper"] = func(args []string) int {
		fd, err := unix.Open(args[0], unix.O_RDWR, 0)
		if err != nil {
			return 1
		}
		a, _, _ := syscall.RawSyscall6(unix.SYS_MMAP, 0, 4096, rw, unix.MAP_SHARED, uintptr(fd), 0)
		syscall.ForkLock.Lock()
		child, _, errno := syscall.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
		if errno != 0 {
			return 2
		}
		if child == 0 { // nothing of the runtime works here
			syscall.RawSyscall(unix.SYS_MUNMAP, a, 4096, 0)
			syscall.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
		}
		var ws syscall.WaitStatus
		syscall.Wait4(int(child), &ws, 0, nil)
		os.Stdout.WriteString("mapped\n")
		os.Stdin.Read(make([]byte, 1))
		syscall.RawSyscall(unix.SYS_MUNMAP, a, 4096, 0)
		return 0
	}
}

func TestMappingIsInherited(t *testing.T) {
	_, path := sized(t, 4096, unix.O_RDWR)
	cmd := helper("mapper", path)
	rows := record(t, func() {
		if out, err := cmd.Output(); err != nil || string(out) != "mapped\n" {
			t.Fatalf("%q %v", out, err)
		}
	})
	w := one(t, rows, typ(event.MmapWrite), by(cmd.Process.Pid))
	sameObject(t, w, statOf(t, path))
	f := one(t, rows, typ(event.Fork), by(cmd.Process.Pid), func(r *event.Row) bool { return r.N1&unix.CLONE_VM == 0 })
	u := one(t, rows, typ(event.Unmap), by(int(f.OPID)))
	eq(t, "unmapped by the child", u.N2, w.N2)
}

// The iterator names what was mapped before; what the process then unmaps is known to matter.
func TestMappingsThatWereThere(t *testing.T) {
	programs(t)
	_, path := sized(t, 4096, unix.O_RDWR)
	cmd := helper("mapper", path)
	in, _ := cmd.StdinPipe()
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	out.Read(make([]byte, 10))
	set := loadHooks(t, bpf.Options{Self: bpf.NoSelf, Leave: allBut("hc_iter_vma", "hc_munmap")}, "hc_iter_vma", "hc_munmap")
	rows := rowsOf(t, set.Hook("hc_iter_vma"))
	snapshot := func(r *event.Row) bool { return r.Flags&event.FlagSnapshot != 0 }
	w := one(t, rows, typ(event.MmapWrite), by(cmd.Process.Pid), snapshot)
	mapping(t, w, path, rw, unix.MAP_SHARED, uintptr(w.N2), 4096, 0)
	eq(t, "start", w.PStart/10e6, startTicks(t, cmd.Process.Pid))
	exe, _ := os.Readlink("/proc/self/exe")
	x := only(rows, typ(event.MmapExec), by(cmd.Process.Pid), snapshot, func(r *event.Row) bool { return string(r.Path) == exe })
	if len(x) == 0 {
		t.Fatal("the program's own text is not among the mappings")
	}
	sameObject(t, &x[0], statOf(t, exe))
	eq(t, "prot", x[0].Op, rx)
	eq(t, "flags", x[0].N1, unix.MAP_PRIVATE)
	// in every process that the walk shows, a mapping stands once
	type key struct {
		pid  uint32
		ty   event.Type
		addr int64
	}
	seen := map[key]bool{}
	for i := range rows {
		k := key{rows[i].PID, rows[i].Type, rows[i].N2}
		if seen[k] {
			t.Fatalf("%+v stands twice", k)
		}
		seen[k] = true
	}
	in.Close() // the process unmaps it
	must(t, cmd.Wait())
	u := settleSet(t, set, nil, func(rows []event.Row) bool { return len(only(rows, typ(event.Unmap), by(cmd.Process.Pid))) > 0 })
	eq(t, "unmapped", one(t, u, typ(event.Unmap), by(cmd.Process.Pid)).N2, w.N2)
}

// allBut leaves every program out but those named.
func allBut(names ...string) func(string) bool {
	return func(n string) bool { return !slices.Contains(names, n) }
}
