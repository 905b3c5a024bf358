//go:build linux

package kerntest

import (
	"bytes"
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/cespare/xxhash/v2"
	"golang.org/x/sys/unix"

	"hindcast/bpf"
	"hindcast/format/event"
)

// mark returns the mark of a byte field of a row.
func mark(t testing.TB, r *event.Row, field string) uint32 {
	t.Helper()
	k := 0
	for _, f := range event.ByID(r.Type).Fields {
		if f.Name == field {
			return r.Marks >> (2 * k) & 3
		}
		switch f.C {
		case event.CBytes, event.CPath, event.CClaimed:
			k++
		}
	}
	t.Fatalf("%s has no byte field %s", r.Type, field)
	return 0
}

// words returns strings that are n bytes together, each with its NUL, none longer than the kernel takes.
func words(n int, seed byte) (s []string) {
	for n > 0 {
		l := min(n, 100_001)
		if n-l == 1 {
			l--
		}
		b := make([]byte, l-1)
		for i := range b {
			b[i] = 'a' + byte((i*7+i>>8+int(seed)+len(s))%26)
		}
		s = append(s, string(b))
		n -= l
	}
	return s
}

// hasLoop tells whether the kernel has bpf_loop, by which long arguments are hashed and long paths walked.
func hasLoop(t testing.TB) bool {
	t.Helper()
	var u unix.Utsname
	must(t, unix.Uname(&u))
	var major, minor int
	fmt.Sscanf(string(u.Release[:]), "%d.%d", &major, &minor)
	return major > 5 || major == 5 && minor >= 17
}

func TestArgumentsOfAnySize(t *testing.T) {
	var old unix.Rlimit // more room for arguments: a quarter of the stack, 6 MiB at most
	must(t, unix.Getrlimit(unix.RLIMIT_STACK, &old))
	must(t, unix.Setrlimit(unix.RLIMIT_STACK, &unix.Rlimit{Cur: old.Max, Max: old.Max}))
	defer unix.Setrlimit(unix.RLIMIT_STACK, &old)

	check := func(nargs, nenv int) {
		t.Helper()
		args := append([]string{"true"}, words(nargs-5, 3)...)
		env := append([]string{}, words(nenv, 5)...) // never nil, which would mean ours
		for i, e := range env {
			if len(e) > 3 {
				env[i] = fmt.Sprintf("%c%c=", 'A'+i/26%26, 'A'+i%26) + e[3:]
			}
		}
		var pid int
		rows := record(t, func() {
			cmd := &exec.Cmd{Path: "/bin/true", Args: args, Env: env}
			must(t, cmd.Run())
			pid = cmd.Process.Pid
		})
		r := one(t, rows, typ(event.Exec), by(pid))
		whole, wholeEnv := strings.Join(args, "\x00")+"\x00", strings.Join(env, "\x00")+"\x00"
		if nenv == 0 {
			wholeEnv = ""
		}
		eq(t, "length", r.N4, int64(nargs))
		eq(t, "length of the environment", r.N11, int64(nenv))
		eq(t, "head", string(r.Argv), whole[:min(nargs, 8192)])
		tail := ""
		if nargs > 8192 {
			tail = whole[max(8192, nargs-4096):]
		}
		eq(t, "tail", string(r.ArgvTail), tail)
		eq(t, "environment", string(r.Env), wholeEnv[:min(nenv, 8192)])
		eq(t, "mark of the head", mark(t, r, "argv"), uint32(b2i(nargs > 8192)))
		eq(t, "mark of the tail", mark(t, r, "argv_tail"), 0)
		eq(t, "mark of the environment", mark(t, r, "env"), uint32(b2i(nenv > 8192)))
		var hash, envHash uint64 // what is whole is hashed by the recorder
		if nargs > 8192 && hasLoop(t) {
			hash = xxhash.Sum64String(whole)
		}
		if nenv > 8192 && hasLoop(t) {
			envHash = xxhash.Sum64String(wholeEnv)
		}
		eq(t, "digest", uint64(r.N10), hash)
		eq(t, "digest of the environment", uint64(r.N12), envHash)
		if t.Failed() {
			t.Fatalf("%d bytes of arguments, %d of environment", nargs, nenv)
		}
	}
	for _, c := range [][2]int{{7, 0}, {8191, 100}, {8192, 8192}, {8193, 8193}, {12288, 9000}, {12289, 40_000}, {100_000, 8191}, {3_000_000, 1_000_000}, {1000, 4_500_000}, {5_500_000, 300_000}} {
		check(c[0], c[1])
	}
	for n := range 34 { // every length of what is left behind the last stripe of the digest
		check(16384+n, 16384+33-n)
	}
	for _, n := range []int{1023, 1024, 1025, 2047} { // and of the last chunk
		check(20480+n, 20480+2048-n)
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// shell copies a small program to a name of the test's own.
func program(t testing.TB, path string) {
	t.Helper()
	b, err := os.ReadFile("/bin/sh")
	must(t, err)
	must(t, os.WriteFile(path, b, 0o755))
}

func TestInterpreterChain(t *testing.T) {
	dir := t.TempDir()
	sh := filepath.Join(dir, "real interpreter")
	program(t, sh)
	// The kernel cuts the interpreter at white space, so links without it lead there.
	must(t, os.Symlink(sh, filepath.Join(dir, "sh")))
	inner, outer, top := filepath.Join(dir, "inner"), filepath.Join(dir, "outer"), filepath.Join(dir, "top")
	must(t, os.WriteFile(inner, []byte("#!"+dir+"/sh -e\nexit 3\n"), 0o755))
	must(t, os.WriteFile(outer, []byte("#!"+inner+" two\n"), 0o755))
	must(t, os.WriteFile(top, []byte("#! "+outer+"\n"), 0o755))
	var cmd *exec.Cmd
	rows := record(t, func() { cmd = exec.Command(top, "x"); cmd.Run() })
	eq(t, "exit", cmd.ProcessState.ExitCode(), 3)
	r := one(t, rows, typ(event.Exec), by(cmd.Process.Pid))
	eq(t, "what was asked for", string(r.Path2), top)
	eq(t, "last interpreter", string(r.Text), dir+"/sh")
	eq(t, "program", string(r.Path), sh)
	sameObject(t, r, statOf(t, sh))
	eq(t, "flags", r.Op, 4)
	eq(t, "all of the chain", string(r.Argv), strings.Join([]string{dir + "/sh", "-e", inner, "two", outer, top, "x", ""}, "\x00"))
	eq(t, "marks", r.Marks, 0)
}

func init() {
	// execat FD PATH FLAGS NOTLEADER ARG...: becomes what execveat names.
	helpers["execat"] = func(a []string) int {
		fd, _ := strconv.Atoi(a[0])
		flags, _ := strconv.Atoi(a[2])
		path, _ := unix.BytePtrFromString(a[1])
		argv, _ := syscall.SlicePtrFromStrings(a[4:])
		envp, _ := syscall.SlicePtrFromStrings([]string{"ONLY=1"})
		call := func() {
			unix.Syscall6(unix.SYS_EXECVEAT, uintptr(fd), uintptr(unsafe.Pointer(path)), uintptr(unsafe.Pointer(&argv[0])), uintptr(unsafe.Pointer(&envp[0])), uintptr(flags), 0)
		}
		if a[3] == "1" {
			ownThread(call)
		}
		runtime.LockOSThread()
		call()
		return 99
	}
}

// execAt runs the helper with files as descriptors 3, 4, ... and returns its pid and the rows.
func execAt(t testing.TB, files []*os.File, fd int, path string, flags int, notLeader bool, args ...string) (int, *exec.Cmd, []event.Row) {
	t.Helper()
	cmd := helper("execat", append([]string{strconv.Itoa(fd), path, strconv.Itoa(flags), strconv.Itoa(b2i(notLeader))}, args...)...)
	cmd.ExtraFiles = files
	rows := record(t, func() { cmd.Run() })
	return cmd.Process.Pid, cmd, rows
}

func TestExecByDescriptor(t *testing.T) {
	dir := t.TempDir()
	exe := filepath.Join(dir, "prog")
	program(t, exe)
	st := statOf(t, exe)
	// the row of what the helper became, after that of the helper itself
	last := func(rows []event.Row, pid int) *event.Row {
		t.Helper()
		got := only(rows, typ(event.Exec), by(pid))
		if len(got) != 2 {
			t.Fatalf("%d execs, want the helper's and its own", len(got))
		}
		return &got[1]
	}
	path := func(flags int) *os.File {
		t.Helper()
		fd, err := unix.Open(exe, flags|unix.O_CLOEXEC, 0)
		must(t, err)
		f := os.NewFile(uintptr(fd), exe)
		t.Cleanup(func() { f.Close() })
		return f
	}
	t.Run("empty path", func(t *testing.T) {
		for _, flags := range []int{unix.O_RDONLY, unix.O_PATH} {
			pid, cmd, rows := execAt(t, []*os.File{path(flags)}, 3, "", unix.AT_EMPTY_PATH, false, "name", "-c", "exit 5")
			eq(t, "exit", cmd.ProcessState.ExitCode(), 5)
			r := last(rows, pid)
			eq(t, "program", string(r.Path), exe)
			sameObject(t, r, st)
			eq(t, "asked for", string(r.Path2), "/dev/fd/3")
			eq(t, "interpreter", string(r.Text), "/dev/fd/3")
			eq(t, "flags", r.Op, 16)
			eq(t, "argv", string(r.Argv), "name\x00-c\x00exit 5\x00")
			eq(t, "env", string(r.Env), "ONLY=1\x00")
			eq(t, "env length", r.N11, 7)
		}
	})
	t.Run("directory", func(t *testing.T) {
		d, err := os.Open(dir)
		must(t, err)
		defer d.Close()
		pid, _, rows := execAt(t, []*os.File{d}, 3, "prog", 0, false, "name", "-c", "exit 5")
		r := last(rows, pid)
		eq(t, "program", string(r.Path), exe)
		eq(t, "asked for", string(r.Path2), "/dev/fd/3/prog")
		eq(t, "flags", r.Op, 16)
	})
	t.Run("absolute path", func(t *testing.T) {
		pid, _, rows := execAt(t, nil, -1, exe, 0, false, "name", "-c", "exit 5")
		r := last(rows, pid)
		eq(t, "program", string(r.Path), exe)
		eq(t, "asked for", string(r.Path2), exe)
		eq(t, "flags", r.Op, 0)
	})
	t.Run("magic link", func(t *testing.T) {
		pid, _, rows := execAt(t, []*os.File{path(unix.O_PATH)}, unix.AT_FDCWD, "/proc/self/fd/3", 0, false, "name", "-c", "exit 5")
		r := last(rows, pid)
		eq(t, "program", string(r.Path), exe)
		eq(t, "asked for", string(r.Path2), "/proc/self/fd/3")
		eq(t, "flags", r.Op, 0)
	})
	t.Run("memory file", func(t *testing.T) {
		fd, err := unix.MemfdCreate("sp ook", unix.MFD_CLOEXEC)
		must(t, err)
		f := os.NewFile(uintptr(fd), "memfd")
		defer f.Close()
		b, _ := os.ReadFile(exe)
		f.Write(b)
		var st syscall.Stat_t
		must(t, syscall.Fstat(fd, &st))
		pid, _, rows := execAt(t, []*os.File{f}, 3, "", unix.AT_EMPTY_PATH, false, "name", "-c", "exit 5")
		r := last(rows, pid)
		eq(t, "program", string(r.Path), "memfd:sp ook")
		sameObject(t, r, &st)
		eq(t, "asked for", string(r.Path2), "/dev/fd/3")
		eq(t, "memory file, no link, by descriptor", r.Op, 1|2|16)
	})
	t.Run("file without a name", func(t *testing.T) {
		f, err := os.OpenFile(filepath.Join(dir, "gone"), os.O_CREATE|os.O_RDWR, 0o755)
		must(t, err)
		b, _ := os.ReadFile(exe)
		f.Write(b)
		f.Close()
		ro, err := os.Open(filepath.Join(dir, "gone"))
		must(t, err)
		defer ro.Close()
		must(t, os.Remove(ro.Name()))
		pid, _, rows := execAt(t, []*os.File{ro}, 3, "", unix.AT_EMPTY_PATH, false, "name", "-c", "exit 5")
		r := last(rows, pid)
		eq(t, "no link, by descriptor", r.Op, 2|16)
		eq(t, "links", r.N3, 0)
	})
	t.Run("script", func(t *testing.T) {
		script := filepath.Join(dir, "s.sh")
		must(t, os.WriteFile(script, []byte("#!"+exe+"\nexit 5\n"), 0o755))
		f, err := os.Open(script)
		must(t, err)
		defer f.Close()
		pid, cmd, rows := execAt(t, []*os.File{f}, 3, "", unix.AT_EMPTY_PATH, false, "name", "x")
		if _, err := os.Stat("/dev/fd/0"); err == nil { // else the interpreter finds no script
			eq(t, "exit", cmd.ProcessState.ExitCode(), 5)
		}
		r := last(rows, pid)
		eq(t, "program", string(r.Path), exe)
		eq(t, "asked for", string(r.Path2), "/dev/fd/3")
		eq(t, "interpreter", string(r.Text), exe)
		eq(t, "script, by descriptor", r.Op, 4|16)
		eq(t, "argv", string(r.Argv), exe+"\x00/dev/fd/3\x00x\x00")
	})
	t.Run("thread that is not the leader", func(t *testing.T) {
		pid, _, rows := execAt(t, []*os.File{path(unix.O_PATH)}, 3, "", unix.AT_EMPTY_PATH, true, "name", "-c", "exit 5")
		r := last(rows, pid)
		eq(t, "flags", r.Op, 16|32)
		eq(t, "tid", r.TID, uint32(pid))
		if r.OTID == uint32(pid) || r.OTID == 0 {
			t.Errorf("thread that called is %d", r.OTID)
		}
		exits := only(rows, typ(event.Exit), func(e *event.Row) bool { return e.TID == r.OTID })
		eq(t, "ends of the thread under its number, which the leader's took over", len(exits), 0)
	})
}

// A name alone makes no memory file.
func TestProgramNamedLikeAMemoryFile(t *testing.T) {
	exe := filepath.Join(t.TempDir(), "memfd:ghost")
	program(t, exe)
	var cmd *exec.Cmd
	rows := record(t, func() { cmd = exec.Command(exe, "-c", "exit 0"); cmd.Run() })
	r := one(t, rows, typ(event.Exec), by(cmd.Process.Pid))
	eq(t, "path", string(r.Path), exe)
	eq(t, "flags", r.Op, 0)
}

func TestSetIDExec(t *testing.T) {
	dir := t.TempDir()
	var fs unix.Statfs_t
	must(t, unix.Statfs(dir, &fs))
	if fs.Flags&unix.ST_NOSUID != 0 {
		t.Skip("needs a directory for temporary files that is not mounted nosuid")
	}
	exe := filepath.Join(dir, "prog")
	program(t, exe)
	must(t, os.Chown(exe, 12345, -1))
	must(t, unix.Chmod(exe, 0o4755))
	var cmd *exec.Cmd
	rows := record(t, func() { cmd = exec.Command(exe, "-c", "exit 0"); cmd.Run() })
	r := one(t, rows, typ(event.Exec), by(cmd.Process.Pid))
	eq(t, "set-id", r.Op, 8)
	eq(t, "mode", r.Mode, uint32(0o104755))
	d := shared.creds[r.Cred]
	if d == nil {
		t.Fatal("credentials are not defined")
	}
	eq(t, "effective user", d.N2, 12345)
}

// The loader run by hand is what was executed; the program it runs shows as an executable mapping.
func TestLoaderLaunch(t *testing.T) {
	ef, err := elf.Open("/bin/true")
	must(t, err)
	defer ef.Close()
	loader := ""
	for _, p := range ef.Progs {
		if p.Type == elf.PT_INTERP {
			b := make([]byte, p.Filesz)
			p.ReadAt(b, 0)
			loader = string(bytes.TrimRight(b, "\x00"))
		}
	}
	if loader == "" {
		t.Fatal("/bin/true has no loader")
	}
	dir := t.TempDir()
	exe := filepath.Join(dir, "hid den")
	b, _ := os.ReadFile("/bin/true")
	must(t, os.WriteFile(exe, b, 0o644)) // not even executable
	var cmd *exec.Cmd
	rows := record(t, func() { cmd = exec.Command(loader, exe); must(t, cmd.Run()) })
	r := one(t, rows, typ(event.Exec), by(cmd.Process.Pid))
	real, err := filepath.EvalSymlinks(loader)
	must(t, err)
	eq(t, "program", string(r.Path), real)
	eq(t, "asked for", string(r.Path2), loader)
	eq(t, "argv", string(r.Argv), loader+"\x00"+exe+"\x00")
	maps := only(rows, typ(event.MmapExec), by(cmd.Process.Pid), func(r *event.Row) bool { return string(r.Path) == exe })
	if len(maps) == 0 {
		t.Fatal("no executable mapping names the program that really ran")
	}
	sameObject(t, &maps[0], statOf(t, exe))
	if maps[0].TS < r.TS {
		t.Error("the mapping is before the exec")
	}
}

// deep makes directories below dir, one in the other, and returns the last one, open, and its path.
func deep(t testing.TB, dir, component string, levels int) (*os.File, string) {
	t.Helper()
	at, err := unix.Open(dir, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	must(t, err)
	for range levels {
		must(t, unix.Mkdirat(at, component, 0o755))
		next, err := unix.Openat(at, component, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		must(t, err)
		unix.Close(at)
		at = next
	}
	f := os.NewFile(uintptr(at), "deep")
	t.Cleanup(func() { f.Close() })
	return f, dir + strings.Repeat("/"+component, levels)
}

func TestDeepPaths(t *testing.T) {
	const kept = 16 << 10 // bytes of a path that are kept
	for _, c := range []struct {
		name, component string
		levels          int
	}{
		{"6,000 bytes", strings.Repeat("n", 239), 25},
		{"63 components", "d", 55},
		{"1,500 components", "d", 1500},
		{"15,000 bytes", strings.Repeat("n", 249), 60},
		{"40,000 bytes", strings.Repeat("n", 249), 160},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, path := deep(t, t.TempDir(), c.component, c.levels)
			leaf := path + "/leaf"
			whole := func(got, want string, m uint32) {
				t.Helper()
				if hasLoop(t) && len(want) < kept-256 {
					eq(t, "path", got, want)
					eq(t, "mark", m, 0)
					return
				}
				eq(t, "mark", m, 1)
				if !strings.HasSuffix(want, "/"+got) {
					t.Errorf("%d bytes are not the end of the path", len(got))
				}
				if hasLoop(t) && len(got) < kept-512 || strings.Count(got, "/") < 30 {
					t.Errorf("only %d bytes, %d components are kept", len(got), strings.Count(got, "/")+1)
				}
			}
			fd := -1
			rows := record(t, func() {
				var err error
				fd, err = unix.Openat(int(d.Fd()), "leaf", unix.O_CREAT|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
				must(t, err)
			})
			defer unix.Close(fd)
			r := one(t, rows, typ(event.Open), by(os.Getpid()), func(r *event.Row) bool {
				return strings.HasSuffix(string(r.Path), "d/leaf") || strings.HasSuffix(string(r.Path), "n/leaf")
			})
			whole(string(r.Path), leaf, mark(t, r, "path"))
			var st syscall.Stat_t
			must(t, syscall.Fstat(fd, &st))
			sameObject(t, r, &st)

			// the same as a working directory, beside long arguments: all fit one row
			var pid int
			args := append([]string{"true"}, words(50_000, 1)...)
			rows = record(t, func() {
				ownThread(func() {
					must(t, unix.Unshare(unix.CLONE_FS))
					must(t, unix.Fchdir(int(d.Fd())))
					cmd := &exec.Cmd{Path: "/bin/true", Args: args, Env: words(50_000, 2)}
					must(t, cmd.Run())
					pid = cmd.Process.Pid
				})
			})
			r = one(t, rows, typ(event.Exec), by(pid))
			whole(string(r.Path3), path, mark(t, r, "cwd"))
			eq(t, "head of the arguments", len(r.Argv), 8192)
			eq(t, "tail of the arguments", len(r.ArgvTail), 4096)
			eq(t, "environment", len(r.Env), 8192)
		})
	}
}

// tryExec calls execve or, with a flag other than -1, execveat; the call is meant to fail.
func tryExec(t testing.TB, dir int, path, argv unsafe.Pointer, flags int) unix.Errno {
	t.Helper()
	var none uintptr
	var errno unix.Errno
	if flags == -1 {
		_, _, errno = unix.RawSyscall(unix.SYS_EXECVE, uintptr(path), uintptr(argv), uintptr(unsafe.Pointer(&none)))
	} else {
		_, _, errno = unix.RawSyscall6(unix.SYS_EXECVEAT, uintptr(dir), uintptr(path), uintptr(argv), uintptr(unsafe.Pointer(&none)), uintptr(flags), 0)
	}
	return errno
}

func strPtr(s string) unsafe.Pointer { return unsafe.Pointer(unsafe.StringData(s + "\x00")) }

func strPtrs(s ...string) unsafe.Pointer {
	p, _ := syscall.SlicePtrFromStrings(s)
	return unsafe.Pointer(&p[0])
}

// edge returns n bytes of memory that end where a page begins that cannot be read.
func edge(t testing.TB, n int) []byte {
	t.Helper()
	page := os.Getpagesize()
	whole := (n + page - 1) / page * page
	m, err := unix.Mmap(-1, 0, whole+page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	must(t, err)
	t.Cleanup(func() { unix.Munmap(m) })
	must(t, unix.Mprotect(m[whole:], unix.PROT_NONE))
	return m[whole-n : whole]
}

func TestExecRefused(t *testing.T) {
	dir := t.TempDir()
	plain, junk, loop := filepath.Join(dir, "pl ain"), filepath.Join(dir, "junk"), filepath.Join(dir, "loop")
	must(t, os.WriteFile(plain, []byte("#!/bin/sh\n"), 0o644))
	must(t, os.WriteFile(junk, []byte("\x00\x01junk"), 0o755))
	must(t, os.Symlink("loop", loop))
	d, err := os.Open(dir)
	must(t, err)
	defer d.Close()
	n := func(n int) []string { return strings.Fields(strings.Repeat("arg ", n)) }
	long := strings.Repeat("x", 3000)
	for _, c := range []struct {
		name    string
		dir     int
		path    string
		argv    []string
		flags   int // -1 for execve
		errno   unix.Errno
		claimed string
		kept    []string
		cut     string // what is kept of the argument that did not fit
		mark    uint32
	}{
		{"not executable", unix.AT_FDCWD, plain, []string{"a", "", "c\xff"}, -1, unix.EACCES, plain, []string{"a", "", "c\xff"}, "", 0},
		{"format", unix.AT_FDCWD, junk, []string{"a"}, -1, unix.ENOEXEC, junk, []string{"a"}, "", 0},
		{"links", unix.AT_FDCWD, loop, nil, -1, unix.ELOOP, loop, nil, "", 0},
		{"a directory", unix.AT_FDCWD, dir, n(20), -1, unix.EACCES, dir, n(20), "", 0},
		{"more than twenty", unix.AT_FDCWD, plain, n(21), -1, unix.EACCES, plain, n(20), "", 1},
		{"long", unix.AT_FDCWD, plain, []string{"a", long, long}, -1, unix.EACCES, plain, []string{"a", long}, long[:4096-3003], 1},
		{"too long", unix.AT_FDCWD, junk, []string{strings.Repeat("y", 200_000)}, -1, unix.E2BIG, junk, nil, strings.Repeat("y", 4096), 1},
		{"relative", unix.AT_FDCWD, "pl ain", []string{"a"}, -1, unix.EACCES, plain, []string{"a"}, "", 0},
		{"at", int(d.Fd()), "pl ain", []string{"a"}, 0, unix.EACCES, plain, []string{"a"}, "", 0},
		{"at a link", int(d.Fd()), "loop", []string{"a"}, unix.AT_SYMLINK_NOFOLLOW, unix.ELOOP, loop, []string{"a"}, "", 0},
		{"flags", int(d.Fd()), "junk", []string{"a"}, 0x40000000, unix.EINVAL, junk, []string{"a"}, "", 0},
		{"empty path", int(d.Fd()), "", []string{"a"}, unix.AT_EMPTY_PATH, unix.EACCES, dir, []string{"a"}, "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Chdir(dir)
			rows := record(t, func() {
				eq(t, "errno", tryExec(t, c.dir, strPtr(c.path), strPtrs(c.argv...), c.flags), c.errno)
			})
			r := one(t, rows, typ(event.ExecFailed), by(os.Getpid()))
			eq(t, "result", r.Ret, -int64(c.errno))
			eq(t, "failed", r.Flags, uint32(event.FlagFailed))
			eq(t, "claimed", string(r.Path), c.claimed)
			want := c.cut
			if len(c.kept) > 0 {
				want = strings.Join(c.kept, "\x00") + "\x00" + c.cut
			}
			if c.mark == 1 && c.cut != "" { // a string that was cut has its end's place taken by a NUL
				eq(t, "arguments", strings.TrimRight(string(r.Argv), "\x00"), want)
			} else {
				eq(t, "arguments", string(r.Argv), want)
			}
			eq(t, "mark of the path", mark(t, r, "path"), 0)
			eq(t, "mark of the arguments", mark(t, r, "argv"), c.mark)
			eq(t, "flags of the call", r.Op, uint32(max(c.flags, 0)))
			eq(t, "program did not change", len(only(rows, typ(event.Exec), by(os.Getpid()))), 0)
		})
	}

	missing := func() {
		eq(t, "errno", tryExec(t, 0, strPtr(dir+"/none"), nil, -1), unix.ENOENT)
		eq(t, "errno", tryExec(t, 0, strPtr(plain+"/none"), nil, -1), unix.ENOTDIR)
	}
	t.Run("names that do not exist", func(t *testing.T) {
		eq(t, "rows", len(only(record(t, missing), typ(event.ExecFailed), by(os.Getpid()))), 0)
	})
	t.Run("names that do not exist, forensic", func(t *testing.T) {
		set := loadHooks(t, bpf.Options{Self: bpf.NoSelf, Forensic: true, Leave: func(name string) bool { return name != "hc_execve" }}, "hc_execve")
		missing()
		got := only(drainSet(t, set), typ(event.ExecFailed), by(os.Getpid()))
		if len(got) != 2 {
			t.Fatalf("%d rows", len(got))
		}
		eq(t, "claimed", string(got[0].Path), dir+"/none")
		eq(t, "errno", got[0].Ret, -int64(unix.ENOENT))
		eq(t, "errno", got[1].Ret, -int64(unix.ENOTDIR))
	})
}

// Strings that touch a page that cannot be read come back as far as they can be, never empty and
// unmarked.
func TestStringsAtPageEdges(t *testing.T) {
	page := os.Getpagesize()
	plain := filepath.Join(t.TempDir(), "plain")
	must(t, os.WriteFile(plain, nil, 0o644))
	argv := strPtrs("a")
	try := func(path, argv unsafe.Pointer, errno unix.Errno) *event.Row {
		t.Helper()
		rows := record(t, func() {
			// older kernels count the arguments before they look for the program
			if got := tryExec(t, 0, path, argv, -1); got != errno && got != unix.EFAULT {
				t.Errorf("errno = %v, want %v", got, errno)
			}
		})
		return one(t, rows, typ(event.ExecFailed), by(os.Getpid()))
	}
	at := func(s string) unsafe.Pointer {
		m := edge(t, len(s))
		copy(m, s)
		return unsafe.Pointer(&m[0])
	}

	r := try(at(plain+"\x00"), argv, unix.EACCES)
	eq(t, "string that ends with its page", string(r.Path), plain)
	eq(t, "mark", mark(t, r, "path"), 0)

	r = try(at(plain), argv, unix.EFAULT)
	eq(t, "string that its page ends before", string(r.Path), plain)
	eq(t, "mark", mark(t, r, "path"), 1)

	r = try(at("/"), argv, unix.EFAULT)
	eq(t, "one byte of a string", string(r.Path), "/")
	eq(t, "mark", mark(t, r, "path"), 1)

	// a path of nearly a page that starts in one page and ends before the next but one
	body := "/" + strings.Repeat("p/", page/2)[:page-200]
	long := edge(t, page+page/2)
	copy(long[len(long)-len(body):], body)
	r = try(unsafe.Pointer(&long[len(long)-len(body)]), argv, unix.EFAULT)
	if got := string(r.Path); got == "" || !strings.HasPrefix(body, got) || mark(t, r, "path") != 1 {
		t.Errorf("%d bytes of %d kept, mark %d", len(got), len(body), mark(t, r, "path"))
	}

	hole := edge(t, page)
	nowhere := unsafe.Add(unsafe.Pointer(&hole[0]), page+100)
	r = try(nowhere, argv, unix.EFAULT)
	eq(t, "path that cannot be read", string(r.Path), "")
	eq(t, "mark", mark(t, r, "path"), 2)
	r = try(nil, argv, unix.EFAULT)
	eq(t, "mark of no path", mark(t, r, "path"), 2)

	path := strPtr("/proc/self/mounts") // cannot be run, whoever asks
	r = try(path, nowhere, unix.EACCES)
	eq(t, "mark of arguments that cannot be read", mark(t, r, "argv"), 2)
	eq(t, "arguments", len(r.Argv), 0)
	r = try(path, nil, unix.EACCES)
	eq(t, "mark of no arguments", mark(t, r, "argv"), 0)

	ptrs := func(p ...unsafe.Pointer) unsafe.Pointer { return unsafe.Pointer(&append(p, nil)[0]) }
	first := strPtr("first")
	r = try(path, ptrs(first, at("second")), unix.EACCES)
	eq(t, "argument that its page ends before", string(r.Argv), "first\x00second")
	eq(t, "mark", mark(t, r, "argv"), 1)
	r = try(path, ptrs(first, nowhere), unix.EACCES)
	eq(t, "argument that cannot be read", string(r.Argv), "first\x00")
	eq(t, "mark", mark(t, r, "argv"), 1)
	r = try(path, ptrs(nowhere), unix.EACCES)
	eq(t, "only argument cannot be read", mark(t, r, "argv"), 2)

	array := edge(t, 16) // two pointers, and then nothing
	*(*unsafe.Pointer)(unsafe.Pointer(&array[0])) = first
	*(*unsafe.Pointer)(unsafe.Pointer(&array[8])) = first
	r = try(path, unsafe.Pointer(&array[0]), unix.EACCES)
	eq(t, "array without an end", string(r.Argv), "first\x00first\x00")
	eq(t, "mark", mark(t, r, "argv"), 1)
	runtime.KeepAlive(first)
}
