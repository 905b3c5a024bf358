//go:build linux && (amd64 || arm64)

package kerntest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"hindcast/bpf"
	"hindcast/format/event"
	"hindcast/recorder/probe"
)

// attached tells whether a hook runs on this kernel.
func attached(t testing.TB, name string) bool {
	t.Helper()
	programs(t)
	for _, o := range shared.probe.Outcomes() {
		if o.Entry.Name == name {
			return o.Attached
		}
	}
	return false
}

// needs skips a test whose hook does not run on a kernel older than the version, and fails where it
// should run.
func needs(t testing.TB, hook, version string) {
	t.Helper()
	programs(t)
	for _, o := range shared.probe.Outcomes() {
		if o.Entry.Name != hook || o.Attached {
			continue
		}
		if olderThan(t, version) {
			t.Skipf("before %s %s does not run: %s", version, hook, o.Reason)
		}
		t.Fatalf("%s does not run: %s", hook, o.Reason)
	}
}

// eqPath asserts the path of a row. Before 6.1 no fentry program fits a function that takes a struct
// by value, as the security hook of chown does: then the mount is not known, and the path, marked
// as cut, ends at the root of its file system.
func eqPath(t testing.TB, r *event.Row, want string) {
	t.Helper()
	if r.Type == event.Chown && fromInside(t, event.Chown) && !attached(t, "hc_l_in_security_path_chown") && olderThan(t, "6.1") {
		eq(t, "mark: cut", r.Marks&3, 1)
		if len(r.Path) == 0 || r.Path[0] == '/' || !strings.HasSuffix(want, string(r.Path)) {
			t.Errorf("path %q is no tail of %q", r.Path, want)
		}
		return
	}
	eq(t, "path", string(r.Path), want)
}

// Names changed on a kernel whose functions can be watched from inside: every name is the
// kernel's, and every object is there. Elsewhere the rows say that names are claimed.
func TestNamesFromInside(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	d, err := unix.Open(dir, unix.O_DIRECTORY|unix.O_RDONLY, 0)
	must(t, err)
	defer unix.Close(d)
	j := func(s string) string { return filepath.Join(dir, s) }
	file := func(name string, n int) *syscall.Stat_t {
		must(t, os.WriteFile(name, make([]byte, n), 0o640))
		return statOf(t, name)
	}
	object := func(t *testing.T, r *event.Row, st *syscall.Stat_t) {
		t.Helper()
		eq(t, "dev", uint64(r.Dev), st.Dev)
		eq(t, "ino", r.Ino, st.Ino)
	}
	// do acts and returns the object that the row must name
	for _, c := range []struct {
		name        string
		do          func(t *testing.T) (*syscall.Stat_t, error)
		prepare     func()
		typ         event.Type
		path, path2 string
		more        func(t *testing.T, r *event.Row, st *syscall.Stat_t)
	}{
		{"unlink", func(t *testing.T) (*syscall.Stat_t, error) { st := statOf(t, "f"); return st, unix.Unlink("f") },
			func() { file("f", 1) }, event.Unlink, j("f"), "",
			func(t *testing.T, r *event.Row, st *syscall.Stat_t) {
				eq(t, "links left", r.N1, 0)
				eq(t, "mode", r.Mode, st.Mode)
			}},
		{"unlink one of two", func(t *testing.T) (*syscall.Stat_t, error) { st := statOf(t, "f"); return st, unix.Unlinkat(d, "f", 0) },
			func() { file("f", 1); must(t, os.Link("f", "two")) }, event.Unlink, j("f"), "",
			func(t *testing.T, r *event.Row, st *syscall.Stat_t) { eq(t, "links left", r.N1, 1) }},
		{"rmdir", func(t *testing.T) (*syscall.Stat_t, error) { st := statOf(t, "dir"); return st, unix.Rmdir("dir") },
			func() { must(t, os.Mkdir("dir", 0o700)) }, event.Unlink, j("dir"), "",
			func(t *testing.T, r *event.Row, st *syscall.Stat_t) { eq(t, "flags", r.Op, unix.AT_REMOVEDIR) }},
		{"rename", func(t *testing.T) (*syscall.Stat_t, error) {
			st := statOf(t, "old")
			return st, unix.Rename("old", "new")
		},
			func() { file("old", 1) }, event.Rename, j("old"), j("new"),
			func(t *testing.T, r *event.Row, st *syscall.Stat_t) { eq(t, "object that lost the name", r.Ino2, 0) }},
		{"mkdir", func(t *testing.T) (*syscall.Stat_t, error) {
			err := unix.Mkdirat(d, "made", 0o751)
			return statOf(t, "made"), err
		},
			nil, event.Mkdir, j("made"), "",
			func(t *testing.T, r *event.Row, st *syscall.Stat_t) { eq(t, "mode", r.Mode, st.Mode) }},
		{"mknod", func(t *testing.T) (*syscall.Stat_t, error) {
			err := unix.Mknod("pipe", unix.S_IFIFO|0o600, 0)
			return statOf(t, "pipe"), err
		},
			nil, event.Mkdir, j("pipe"), "",
			func(t *testing.T, r *event.Row, st *syscall.Stat_t) { eq(t, "mode", r.Mode, st.Mode) }},
		{"mknod of a plain file", func(t *testing.T) (*syscall.Stat_t, error) {
			err := unix.Mknod("plain", unix.S_IFREG|0o600, 0)
			return statOf(t, "plain"), err
		},
			nil, event.Mkdir, j("plain"), "",
			func(t *testing.T, r *event.Row, st *syscall.Stat_t) { eq(t, "mode", r.Mode, st.Mode) }},
		{"symlink", func(t *testing.T) (*syscall.Stat_t, error) {
			err := unix.Symlink("some/target", "sl")
			return statOf(t, "sl"), err
		},
			nil, event.Symlink, "", j("sl"),
			func(t *testing.T, r *event.Row, st *syscall.Stat_t) { eq(t, "target", string(r.Text), "some/target") }},
		{"link", func(t *testing.T) (*syscall.Stat_t, error) {
			err := unix.Link("of", "hard")
			return statOf(t, "of"), err
		},
			func() { file("of", 1) }, event.Link, j("of"), j("hard"), nil},
		{"chmod", func(t *testing.T) (*syscall.Stat_t, error) {
			err := unix.Chmod("c", 0o4711)
			return statOf(t, "c"), err
		},
			func() { file("c", 1) }, event.Chmod, j("c"), "",
			func(t *testing.T, r *event.Row, st *syscall.Stat_t) {
				eq(t, "mode before", r.N2, 0o640)
				eq(t, "mode asked for", r.N1, 0o4711)
				eq(t, "mode", r.Mode, st.Mode)
			}},
		{"chown", func(t *testing.T) (*syscall.Stat_t, error) { err := unix.Chown("o", 3, -1); return statOf(t, "o"), err },
			func() { file("o", 1) }, event.Chown, j("o"), "",
			func(t *testing.T, r *event.Row, st *syscall.Stat_t) {
				eq(t, "owner", r.N1, 3)
				eq(t, "owner before", r.N3, 0)
				eq(t, "group before", r.N4, 0)
			}},
		{"truncate", func(t *testing.T) (*syscall.Stat_t, error) { err := unix.Truncate("t", 77); return statOf(t, "t"), err },
			func() { file("t", 5) }, event.Truncate, j("t"), "",
			func(t *testing.T, r *event.Row, st *syscall.Stat_t) {
				eq(t, "size", r.N1, 77)
				eq(t, "size before", r.N2, 5)
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.prepare != nil {
				c.prepare()
			}
			var st *syscall.Stat_t
			var err error
			rows := locked(t, func() { st, err = c.do(t) })
			must(t, err)
			r := one(t, rows, typ(c.typ)) // one row, whichever tiers have a hook
			eqPath(t, r, c.path)
			eq(t, "new path", string(r.Path2), c.path2)
			inside := fromInside(t, c.typ)
			eq(t, "kernel's names", r.Flags&event.FlagKernelNames != 0, inside)
			if !inside {
				return
			}
			object(t, r, st)
			if c.more != nil {
				c.more(t, r, st)
			}
		})
	}

	t.Run("rename over another", func(t *testing.T) {
		from, over := file("from", 1), file("over", 2)
		rows := locked(t, func() { must(t, unix.Rename("from", "over")) })
		r := one(t, rows, typ(event.Rename))
		eq(t, "path", string(r.Path), j("from"))
		eq(t, "new path", string(r.Path2), j("over"))
		if fromInside(t, event.Rename) {
			object(t, r, from)
			eq(t, "object that lost the name", r.Ino2, over.Ino)
			eq(t, "its device", uint64(r.Dev2), over.Dev)
		}
	})

	t.Run("refused", func(t *testing.T) {
		must(t, os.Mkdir("locked", 0o755))
		st := file("locked/f", 1)
		rows := locked(t, func() {
			unix.Setfsuid(65534)
			eq(t, "unlink", unix.Unlink("locked/f"), error(unix.EACCES))
			unix.Setfsuid(0)
		})
		r := one(t, rows, typ(event.Unlink)) // the tracepoint tier does not tell it a second time
		eq(t, "result", r.Ret, -int64(unix.EACCES))
		eq(t, "path", string(r.Path), j("locked/f"))
		eq(t, "failed", r.Flags&event.FlagFailed != 0, true)
		if fromInside(t, event.Unlink) {
			object(t, r, st)
			eq(t, "links left", r.N1, 1)
		}
	})

	t.Run("refused on the way", func(t *testing.T) {
		must(t, os.Mkdir("closed", 0o700))
		file("closed/f", 1)
		rows := locked(t, func() {
			unix.Setfsuid(65534)
			eq(t, "unlink", unix.Unlink("closed/f"), error(unix.EACCES))
			unix.Setfsuid(0)
		})
		r := one(t, rows, typ(event.Unlink)) // never reached the file system: told by the tracepoint
		eq(t, "result", r.Ret, -int64(unix.EACCES))
		eq(t, "path", string(r.Path), j("closed/f"))
		eq(t, "kernel's names", r.Flags&event.FlagKernelNames != 0, false)
	})

	t.Run("through another mount", func(t *testing.T) {
		must(t, os.Mkdir("mount", 0o700))
		must(t, unix.Mount("tmpfs", "mount", "tmpfs", 0, ""))
		defer unix.Unmount("mount", unix.MNT_DETACH)
		must(t, os.MkdirAll("mount/a/b", 0o700))
		file("mount/a/b/f", 1)
		rows := locked(t, func() { must(t, unix.Unlink("mount/a/b/f")) })
		r := one(t, rows, typ(event.Unlink))
		if fromInside(t, event.Unlink) && !attached(t, "hc_l_in_security_path_unlink") && !attached(t, "hc_k_in_security_path_unlink") {
			eq(t, "marked as cut", r.Marks&3, 1)
			if !strings.HasSuffix(j("mount/a/b/f"), string(r.Path)) || string(r.Path) != "a/b/f" {
				t.Errorf("path %q does not end at the root of its file system", r.Path)
			}
			return
		}
		eq(t, "path", string(r.Path), j("mount/a/b/f"))
	})
}

// The same programs as kprobes, for kernels that refuse fentry.
func TestKprobes(t *testing.T) {
	if _, err := os.Stat("/sys/bus/event_source/devices/kprobe"); err != nil {
		t.Skip("this kernel has no kprobes (CONFIG_KPROBES)")
	}
	programs(t)
	set, err := bpf.Load(bpf.Options{Self: bpf.NoSelf, BulkBytes: 1 << 20, CriticalBytes: 1 << 20,
		Leave: func(n string) bool {
			return !strings.HasPrefix(n, "hc_k_") && n != "hc_unlinkat" && n != "hc_rename" && n != "hc_setresgid" && n != "hc_enter_setresgid" && n != "hc_exec"
		}})
	must(t, err)
	defer set.Close()
	p := probe.New(set, probe.Choice{Profile: probe.Forensic})
	p.Attach()
	defer p.Detach()
	for _, o := range p.Outcomes() {
		if o.Tier == bpf.Kprobes && !o.Attached && o.Why != probe.NotHere && !strings.Contains(o.Reason, "has split") {
			t.Errorf("%s: %s", o.Entry.Name, o.Reason)
		}
		if o.Entry.Name == "hc_setresgid" && o.Attached {
			t.Error("hc_setresgid is attached beside commit_creds")
		}
	}
	eqTier := func(e event.Type) {
		t.Helper()
		tier, _ := p.Tier(1 << e)
		eq(t, e.String(), tier, bpf.Kprobes)
	}
	for _, e := range []event.Type{event.Rename, event.Link, event.Symlink, event.Mkdir, event.Chmod, event.CredChange} {
		eqTier(e)
	}
	dir := t.TempDir()
	t.Chdir(dir)
	j := func(s string) string { return filepath.Join(dir, s) }
	ownThread(func() {
		tid := uint32(unix.Gettid())
		do := func(f func()) []event.Row {
			drainSet(t, set)
			f()
			return only(drainSet(t, set), func(r *event.Row) bool { return r.TID == tid })
		}
		os.WriteFile("a", []byte("a"), 0o640)
		os.WriteFile("b", []byte("b"), 0o640)
		a, b := statOf(t, "a"), statOf(t, "b")
		r := one(t, do(func() { unix.Rename("a", "b") }), typ(event.Rename))
		eq(t, "path", string(r.Path), j("a"))
		eq(t, "new path", string(r.Path2), j("b"))
		eq(t, "object", r.Ino, a.Ino)
		eq(t, "object that lost the name", r.Ino2, b.Ino)
		eq(t, "kernel's names", r.Flags&event.FlagKernelNames != 0, true)
		r = one(t, do(func() { unix.Chmod("b", 0o600) }), typ(event.Chmod))
		eq(t, "mode before", r.N2, 0o640)
		eq(t, "mode", r.Mode, unix.S_IFREG|0o600)
		eq(t, "object", r.Ino, a.Ino)
		r = one(t, do(func() { unix.Unlink("b") }), typ(event.Unlink))
		eq(t, "path", string(r.Path), j("b"))
		if tier, _ := p.Tier(1 << event.Unlink); tier == bpf.Kprobes { // the compiler may have split the function
			eq(t, "object", r.Ino, a.Ino)
		}
		eq(t, "result", r.Ret, 0)
		r = one(t, do(func() { unix.Mkdir("d", 0o750) }), typ(event.Mkdir))
		eq(t, "object", r.Ino, statOf(t, "d").Ino)
		r = one(t, do(func() { syscall.RawSyscall(unix.SYS_SETFSGID, 7, 0, 0) }), typ(event.CredChange))
		eq(t, "call", r.N2, unix.SYS_SETFSGID)
		if r.N1 == int64(r.Cred) || r.N1 == 0 {
			t.Errorf("from set %d to %d", r.N1, r.Cred)
		}
	})
}

// The script that an interpreter runs is known where the kernel can be watched as it reads it.
func TestScriptInode(t *testing.T) {
	script := filepath.Join(t.TempDir(), "s.sh")
	must(t, os.WriteFile(script, []byte("#!/bin/sh\nexit 0\n"), 0o755))
	st := statOf(t, script)
	var cmd *exec.Cmd
	rows := record(t, func() { cmd = exec.Command(script); cmd.Run() })
	r := one(t, rows, typ(event.Exec), by(cmd.Process.Pid))
	if !attached(t, "hc_l_in_security_bprm_check") && !attached(t, "hc_k_in_security_bprm_check") {
		eq(t, "script", r.Ino2, 0)
		return
	}
	eq(t, "script's device", uint64(r.Dev2), st.Dev)
	eq(t, "script's inode", r.Ino2, st.Ino)
	// and the next program of the same thread is no script
	rows = record(t, func() { cmd = exec.Command("/bin/true"); cmd.Run() })
	r = one(t, rows, typ(event.Exec), by(cmd.Process.Pid))
	eq(t, "script of a program", r.Ino2, 0)
}
