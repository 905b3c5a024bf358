//go:build linux && (amd64 || arm64)

package kerntest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"hindcast/format/event"
)

// apart runs f in a mount namespace of its own, in a fresh directory, on a thread that ends with
// it; nothing it mounts is seen outside.
func apart(t *testing.T, f func(dir string)) {
	t.Helper()
	programs(t)
	dir := t.TempDir()
	ownThread(func() {
		for _, err := range []error{
			unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS),
			unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
			unix.Mount("tmpfs", dir, "tmpfs", 0, ""),
			unix.Chdir(dir),
		} {
			if err != nil {
				t.Error(err)
				return
			}
		}
		var ns syscall.Stat_t
		syscall.Stat("/proc/thread-self/ns/mnt", &ns)
		apartNS = ns.Ino
		f(dir)
	})
}

var apartNS uint64 // the mount namespace of apart

// listed is a line of the kernel's own list of mounts.
type listed struct {
	id, parent     int64
	dev            uint32
	fstype, source string
}

// mountAt returns the topmost mount at a place, as this thread's namespace has it.
func mountAt(t *testing.T, at string) (m listed) {
	t.Helper()
	b, err := os.ReadFile("/proc/thread-self/mountinfo")
	if err != nil {
		t.Error(err)
		return
	}
	for line := range strings.Lines(string(b)) {
		left, right, _ := strings.Cut(strings.TrimSpace(line), " - ")
		f, r := strings.Fields(left), strings.Fields(right)
		if f[4] != at {
			continue
		}
		var major, minor uint32
		fmt.Sscanf(f[2], "%d:%d", &major, &minor)
		m = listed{dev: uint32(unix.Mkdev(major, minor)), fstype: r[0], source: r[1]}
		fmt.Sscan(f[0], &m.id)
		fmt.Sscan(f[1], &m.parent)
	}
	if m.id == 0 {
		t.Errorf("nothing is mounted at %s", at)
	}
	return m
}

type mountWant struct {
	op                         uint32
	path, source, fstype, data string
	flags                      int64
	id, parent                 int64
	dev                        uint32
	set, clear, propagation    int64
	err                        error
	kernel                     bool
	descriptor                 bool
}

// mountRow runs one call on this thread and asserts every field of its row.
func mountRow(t *testing.T, w mountWant, call func() (int, error)) int {
	t.Helper()
	var ret int
	var err error
	rows := locked(t, func() { ret, err = call() })
	got := only(rows, typ(event.Mount))
	if len(got) != 1 {
		t.Errorf("%d rows of op %d, want 1", len(got), w.op)
		return ret
	}
	r := &got[0]
	flags := uint32(event.FlagCritical)
	switch {
	case !errors.Is(err, w.err):
		t.Errorf("op %d: %v, want %v", w.op, err, w.err)
	case err != nil:
		flags |= event.FlagFailed
		var errno syscall.Errno
		errors.As(err, &errno)
		ret = -int(errno)
	case w.descriptor && ret < 0:
		t.Errorf("op %d: no descriptor", w.op)
	}
	if w.kernel {
		flags |= event.FlagKernelNames
	}
	what := fmt.Sprintf("op %d: ", w.op)
	eq(t, what+"ret", r.Ret, int64(ret))
	eq(t, what+"flags of the row", r.Flags, flags)
	eq(t, what+"op", r.Op, w.op)
	eq(t, what+"path", string(r.Path), w.path)
	eq(t, what+"source", string(r.Path2), w.source)
	eq(t, what+"type", string(r.Text), w.fstype)
	eq(t, what+"data", string(r.Text2), w.data)
	eq(t, what+"flags", r.N1, w.flags)
	eq(t, what+"mount", r.N2, w.id)
	eq(t, what+"parent", r.N3, w.parent)
	eq(t, what+"dev", r.Dev, w.dev)
	eq(t, what+"attributes set", r.N5, w.set)
	eq(t, what+"attributes cleared", r.N6, w.clear)
	eq(t, what+"propagation", r.N7, w.propagation)
	eq(t, what+"marks", r.Marks, 0)
	eq(t, what+"namespace", uint64(r.N4), apartNS)
	return ret
}

func TestMountCalls(t *testing.T) {
	apart(t, func(dir string) {
		at, bound, moved := dir+"/a place", dir+"/bound", dir+"/moved"
		for _, d := range []string{at, bound, moved, dir + "/none"} {
			os.Mkdir(d, 0o755)
		}
		mount := func(source, target, fstype string, flags uintptr, data string) func() (int, error) {
			return func() (int, error) { return 0, unix.Mount(source, target, fstype, flags, data) }
		}
		// a relative target, and a source that is no name of the tree
		mountRow(t, mountWant{op: 1, path: at, source: "some source", fstype: "tmpfs", data: "size=64k,mode=700", flags: unix.MS_NOSUID | unix.MS_NODEV},
			mount("some source", "a place", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "size=64k,mode=700"))
		eq(t, "source listed", mountAt(t, strings.ReplaceAll(at, " ", `\040`)).source, `some\040source`)
		mountRow(t, mountWant{op: 1, path: bound, source: at, flags: unix.MS_BIND}, mount("a place", bound, "", unix.MS_BIND, ""))
		mountRow(t, mountWant{op: 1, path: bound, flags: unix.MS_BIND | unix.MS_REMOUNT | unix.MS_RDONLY}, func() (int, error) {
			p := cstring(bound) // null pointers: no source, no type, no options
			_, _, e := syscall.RawSyscall6(unix.SYS_MOUNT, 0, addr(p), 0, unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, 0, 0)
			if e != 0 {
				return -1, e
			}
			return 0, nil
		})
		mountRow(t, mountWant{op: 1, path: bound, flags: unix.MS_PRIVATE, source: "none"}, mount("none", bound, "", unix.MS_PRIVATE, ""))
		mountRow(t, mountWant{op: 1, path: moved, source: bound, flags: unix.MS_MOVE}, mount(bound, moved, "", unix.MS_MOVE, ""))
		mountRow(t, mountWant{op: 1, path: dir + "/none", source: "x", fstype: "hc_nofs", err: unix.ENODEV}, mount("x", "none", "hc_nofs", 0, ""))
		mountRow(t, mountWant{op: 2, path: moved, flags: unix.MNT_DETACH}, func() (int, error) { return 0, unix.Unmount("moved", unix.MNT_DETACH) })
		mountRow(t, mountWant{op: 2, path: dir + "/none", err: unix.EINVAL}, func() (int, error) { return 0, unix.Unmount(dir+"/none", 0) })
		mountRow(t, mountWant{op: 2, path: at}, func() (int, error) { return 0, unix.Unmount(at, 0) })

		// who may not: the kernel refuses before it looks
		refused := func(w mountWant, call func() (int, error)) {
			w.err = unix.EPERM
			mountRow(t, w, func() (int, error) {
				withoutAdmin(t, true)
				defer withoutAdmin(t, false)
				return call()
			})
		}
		refused(mountWant{op: 1, path: at, source: "x", fstype: "tmpfs"}, mount("x", at, "tmpfs", 0, ""))
		refused(mountWant{op: 2, path: at}, func() (int, error) { return 0, unix.Unmount(at, 0) })
		refused(mountWant{op: 4, path: dir, source: at}, func() (int, error) { return 0, unix.PivotRoot(dir, at) })
		refused(mountWant{op: 6, fstype: "tmpfs"}, func() (int, error) { return unix.Fsopen("tmpfs", 0) })
	})
}

// withoutAdmin takes CAP_SYS_ADMIN out of this thread's effective set, or puts it back.
func withoutAdmin(t *testing.T, out bool) {
	h := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var d [2]unix.CapUserData
	err := unix.Capget(&h, &d[0])
	const admin = 1 << unix.CAP_SYS_ADMIN
	if out {
		d[0].Effective &^= admin
	} else {
		d[0].Effective |= d[0].Permitted & admin
	}
	if err == nil {
		err = unix.Capset(&h, &d[0])
	}
	if err != nil {
		t.Error(err)
	}
}

func TestMountByDescriptor(t *testing.T) {
	apart(t, func(dir string) {
		at, other, cloned := dir+"/at", dir+"/other", dir+"/cloned"
		for _, d := range []string{at, other, cloned} {
			os.Mkdir(d, 0o755)
		}
		d, err := unix.Open(dir, unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Error(err)
			return
		}
		defer unix.Close(d)

		fs := mountRow(t, mountWant{op: 6, fstype: "tmpfs", flags: unix.FSOPEN_CLOEXEC, kernel: true, descriptor: true},
			func() (int, error) { return unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC) })
		defer unix.Close(fs)
		mountRow(t, mountWant{op: 6, fstype: "hc_nofs", err: unix.ENODEV}, func() (int, error) { return unix.Fsopen("hc_nofs", 0) })
		const setFlag, setString, setPath, setFD, create = 0, 1, 3, 5, 6
		mountRow(t, mountWant{op: 10, fstype: "tmpfs", source: "my source", data: "source=my source", flags: setString},
			func() (int, error) { return 0, unix.FsconfigSetString(fs, "source", "my source") })
		mountRow(t, mountWant{op: 10, fstype: "tmpfs", source: "my source", data: "size=64k", flags: setString},
			func() (int, error) { return 0, unix.FsconfigSetString(fs, "size", "64k") })
		mountRow(t, mountWant{op: 10, fstype: "tmpfs", source: "my source", data: "ro", flags: setFlag},
			func() (int, error) { return 0, unix.FsconfigSetFlag(fs, "ro") })
		mountRow(t, mountWant{op: 10, fstype: "tmpfs", source: "my source", data: "hc_nokey=/a/file", flags: setPath | int64(d)<<32, err: unix.EINVAL},
			func() (int, error) { return 0, unix.FsconfigSetPath(fs, "hc_nokey", "/a/file", d) })
		mountRow(t, mountWant{op: 10, fstype: "tmpfs", source: "my source", data: "hc_nokey", flags: setFD | int64(fs)<<32, err: unix.EINVAL},
			func() (int, error) { return 0, unix.FsconfigSetFd(fs, "hc_nokey", fs) })
		mountRow(t, mountWant{op: 10, data: "ro", flags: setFlag, err: unix.EBADF}, // no context at all
			func() (int, error) { return 0, unix.FsconfigSetFlag(d, "ro") })

		// the device is made by this command, so the row can only be compared afterwards
		var r event.Row
		rows := locked(t, func() { err = unix.FsconfigCreate(fs) })
		if got := only(rows, typ(event.Mount)); err == nil && len(got) == 1 {
			r = got[0]
		} else {
			t.Errorf("create: %v, %d rows", err, len(got))
			return
		}
		eq(t, "command", r.N1, create)
		eq(t, "type", string(r.Text), "tmpfs")

		var m int
		rows = locked(t, func() {
			m, err = unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV)
		})
		got := only(rows, typ(event.Mount))
		if err != nil || len(got) != 1 {
			t.Errorf("fsmount: %v, %d rows", err, len(got))
			return
		}
		defer unix.Close(m)
		var st syscall.Stat_t
		syscall.Fstat(m, &st)
		eq(t, "device of the new file system", uint64(r.Dev), st.Dev)
		mr := got[0]
		eq(t, "fsmount", mr.Op, 7)
		eq(t, "descriptor", mr.Ret, int64(m))
		eq(t, "device", uint64(mr.Dev), st.Dev)
		eq(t, "flags", mr.N1, unix.FSMOUNT_CLOEXEC)
		eq(t, "attributes", mr.N5, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV)
		eq(t, "source", string(mr.Path2), "my source")
		eq(t, "type", string(mr.Text), "tmpfs")
		eq(t, "not yet in a place", string(mr.Path), "")
		eq(t, "flags of the row", mr.Flags, event.FlagCritical|event.FlagKernelNames)

		// the mount gets its place by descriptor, then by name
		var first listed
		rows = locked(t, func() { err = unix.MoveMount(m, "", d, "at", unix.MOVE_MOUNT_F_EMPTY_PATH) })
		if err != nil {
			t.Error(err)
			return
		}
		first = mountAt(t, at)
		eq(t, "id at fsmount", mr.N2, first.id)
		eq(t, "source listed", first.source, `my\040source`)
		if got = only(rows, typ(event.Mount)); len(got) != 1 {
			t.Errorf("%d rows of move_mount", len(got))
			return
		}
		mv := got[0]
		eq(t, "move_mount", mv.Op, 3)
		eq(t, "path", string(mv.Path), at)
		eq(t, "source", string(mv.Path2), "my source")
		eq(t, "type", string(mv.Text), "tmpfs")
		eq(t, "mount", mv.N2, first.id)
		eq(t, "parent", mv.N3, first.parent)
		eq(t, "device", mv.Dev, first.dev)
		eq(t, "flags", mv.N1, unix.MOVE_MOUNT_F_EMPTY_PATH)
		eq(t, "flags of the row", mv.Flags, event.FlagCritical|event.FlagKernelNames)
		mountRow(t, mountWant{op: 3, path: other, source: at}, func() (int, error) { return 0, unix.MoveMount(d, "at", unix.AT_FDCWD, "other", 0) })
		mountRow(t, mountWant{op: 3, path: at, source: dir + "/none", err: unix.ENOENT}, func() (int, error) { return 0, unix.MoveMount(d, "none", d, "at", 0) })

		// opened as it is, cloned, changed
		now := mountAt(t, other)
		tree := mountRow(t, mountWant{op: 8, source: other, flags: unix.OPEN_TREE_CLOEXEC, kernel: true, descriptor: true, id: now.id, parent: now.parent, dev: now.dev},
			func() (int, error) { return unix.OpenTree(d, "other", unix.OPEN_TREE_CLOEXEC) })
		defer unix.Close(tree)
		mountRow(t, mountWant{op: 8, source: dir + "/none", err: unix.ENOENT}, func() (int, error) { return unix.OpenTree(d, "none", 0) })
		var clone int
		rows = locked(t, func() { clone, err = unix.OpenTree(d, "other", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC) })
		if got = only(rows, typ(event.Mount)); err != nil || len(got) != 1 {
			t.Errorf("clone: %v, %d rows", err, len(got))
			return
		}
		defer unix.Close(clone)
		cl := got[0]
		eq(t, "cloned", string(cl.Path2), other)
		eq(t, "device", cl.Dev, now.dev)
		eq(t, "claimed", cl.Flags, event.FlagCritical)
		if cl.N2 == now.id || cl.N2 == 0 {
			t.Errorf("the clone's id is %d, that of the original %d", cl.N2, now.id)
		}

		if !programs(t).Hook("hc_mount_setattr").Absent() {
			set := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOEXEC, Attr_clr: unix.MOUNT_ATTR_NOSUID, Propagation: unix.MS_PRIVATE}
			mountRow(t, mountWant{op: 9, path: other, set: int64(set.Attr_set), clear: int64(set.Attr_clr), propagation: unix.MS_PRIVATE},
				func() (int, error) { return 0, unix.MountSetattr(d, "other", 0, &set) })
			mountRow(t, mountWant{op: 9, path: "/", flags: unix.AT_EMPTY_PATH, set: int64(set.Attr_set), clear: int64(set.Attr_clr), propagation: unix.MS_PRIVATE, id: cl.N2, dev: now.dev},
				func() (int, error) { return 0, unix.MountSetattr(clone, "", unix.AT_EMPTY_PATH, &set) })
			bad := unix.MountAttr{Attr_set: 1 << 40}
			mountRow(t, mountWant{op: 9, path: other, set: 1 << 40, err: unix.EINVAL}, func() (int, error) { return 0, unix.MountSetattr(d, "other", 0, &bad) })
		}
		pick := mountRow(t, mountWant{op: 13, path: other, fstype: "tmpfs", flags: unix.FSPICK_CLOEXEC, dev: now.dev, descriptor: true},
			func() (int, error) { return unix.Fspick(d, "other", unix.FSPICK_CLOEXEC) })
		defer unix.Close(pick)
		mountRow(t, mountWant{op: 13, path: dir + "/none", err: unix.ENOENT}, func() (int, error) { return unix.Fspick(d, "none", 0) })
	})
}

// Attributes given to open_tree itself, from 6.15.
func TestOpenTreeAttr(t *testing.T) {
	placed(t, "hc_open_tree_attr")
	const sysOpenTreeAttr = 467
	apart(t, func(dir string) {
		now := mountAt(t, dir)
		name := cstring(dir)
		fd := mountRow(t, mountWant{op: 8, source: dir, flags: unix.OPEN_TREE_CLOEXEC, kernel: true, descriptor: true, id: now.id, parent: now.parent, dev: now.dev}, func() (int, error) {
			r, _, e := syscall.RawSyscall6(sysOpenTreeAttr, ^uintptr(99), addr(name), unix.OPEN_TREE_CLOEXEC, 0, 0, 0)
			if e != 0 {
				return -1, e
			}
			return int(r), nil
		})
		unix.Close(fd)
	})
}

// Where a process sees its root is the kernel's word.
func TestRootChanges(t *testing.T) {
	apart(t, func(dir string) {
		os.MkdirAll(dir+"/jail/inner", 0o755)
		os.Symlink("jail", dir+"/link")
		root := mountAt(t, dir)
		mountRow(t, mountWant{op: 5, path: dir + "/none", err: unix.ENOENT}, func() (int, error) { return 0, unix.Chroot("none") })
		// by a link, by a relative name: the row has what it led to
		mountRow(t, mountWant{op: 5, path: dir + "/jail", kernel: true, id: root.id, parent: root.parent, dev: root.dev},
			func() (int, error) { return 0, unix.Chroot("link") })
		mountRow(t, mountWant{op: 5, path: dir + "/jail/inner", kernel: true, id: root.id, parent: root.parent, dev: root.dev},
			func() (int, error) { return 0, unix.Chroot("/inner") })
	})
	apart(t, func(dir string) {
		// a root that is a mount on another, as the first root of a machine may not be
		for _, err := range []error{
			unix.Chroot(dir),
			os.Mkdir("/new", 0o755),
			unix.Mount("new", "/new", "tmpfs", 0, ""),
			os.MkdirAll("/new/old", 0o755),
			os.MkdirAll("/new/proc", 0o755),
			unix.Mount("proc", "/new/proc", "proc", 0, ""),
			unix.Chdir("/new"),
		} {
			if err != nil {
				t.Error(err)
				return
			}
		}
		var err error
		rows := locked(t, func() { err = unix.PivotRoot(".", "old") })
		got := only(rows, typ(event.Mount))
		if err != nil || len(got) != 1 {
			t.Errorf("pivot_root: %v, %d rows", err, len(got))
			return
		}
		r := got[0]
		now := mountAt(t, "/")
		eq(t, "op", r.Op, 4)
		eq(t, "ret", r.Ret, 0)
		eq(t, "the new root's source", now.source, "new")
		eq(t, "the root now", r.N2, now.id)
		eq(t, "parent", r.N3, now.parent)
		eq(t, "device", r.Dev, now.dev)
		// the directory is walked after the call: this one is where the old root was
		eq(t, "new root", string(r.Path), dir+"/.")
		eq(t, "old root", string(r.Path2), dir+"/old")
		eq(t, "claimed", r.Flags, event.FlagCritical)
	})
	if _, err := os.Stat(filepath.Join("/", "proc", "self")); err != nil {
		t.Fatal("this process lost its root: ", err)
	}
}
