//go:build linux && (amd64 || arm64)

package recorder

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hindcast/format/clock"
	"hindcast/format/event"
	"hindcast/recorder/health"
)

// asMounter makes the test binary mount a file system, in a namespace of its own when told so,
// and stay until its input ends: the recorder's own mounts make no rows.
const asMounter = "HINDCAST_TEST_MOUNT"

func init() {
	dir := os.Getenv(asMounter)
	if dir == "" {
		return
	}
	err := error(nil)
	if os.Getenv("APART") != "" {
		runtime.LockOSThread()
		if err = unix.Unshare(unix.CLONE_NEWNS); err == nil {
			err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
		}
	}
	if err == nil && os.Getenv("UMOUNT") != "" {
		err = unix.Unmount(dir, 0)
	} else if err == nil {
		err = unix.Mount("hc source", dir, "tmpfs", unix.MS_NOEXEC, "size=64k")
	}
	ns, _ := os.Readlink("/proc/thread-self/ns/mnt")
	fmt.Println(ns, err)
	io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

// mounter starts such a process and returns its namespace; it ends with the test.
func mounter(t *testing.T, dir string, env ...string) (pid int, ns int64) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(append(os.Environ(), asMounter+"="+dir), env...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	if n, err := fmt.Sscanf(line, "mnt:[%d] <nil>", &ns); n != 1 || err != nil {
		t.Fatalf("the mounter says %q", line)
	}
	return cmd.Process.Pid, ns
}

func TestMountsAreWitnessed(t *testing.T) {
	needKernel(t)
	dir := t.TempDir()
	sub := func(name string) string {
		d := filepath.Join(dir, name)
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Unmount(d, unix.MNT_DETACH) })
		return d
	}
	before, come, apart := sub("before"), sub("a come"), sub("apart")
	if err := unix.Mount("hc before", before, "tmpfs", 0, "size=64k"); err != nil {
		t.Fatal(err)
	}
	var st syscall.Stat_t
	if err := syscall.Stat(before, &st); err != nil {
		t.Fatal(err)
	}
	was := st.Dev

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	recording := make(chan struct{}, 1)
	done := make(chan error, 1)
	store := filepath.Join(t.TempDir(), "store")
	go func() {
		_, err := Run(ctx, Options{Dir: store, Notify: func(s Status) {
			if s.Phase == health.Recording {
				select {
				case recording <- struct{}{}:
				default:
				}
			}
		}})
		done <- err
	}()
	select {
	case <-recording:
	case err := <-done:
		t.Fatal(err)
	}
	pid, ns := mounter(t, come)
	gone, _ := mounter(t, before, "UMOUNT=1")
	inside, apartNS := mounter(t, apart, "APART=1")
	if apartNS == ns {
		t.Fatal("the namespace is not another")
	}
	if err := syscall.Stat(come, &st); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}

	rows := read(t, store)
	mounts := func(op uint32, path string) func(*event.Row) bool {
		return func(r *event.Row) bool { return r.Op == op && string(r.Path) == path }
	}
	claimed := only(t, rows, event.Mount, "the call", mounts(1, come))
	if claimed.PID != uint32(pid) || string(claimed.Path2) != "hc source" || claimed.N4 != ns {
		t.Errorf("call: pid %d, source %q, namespace %d", claimed.PID, claimed.Path2, claimed.N4)
	}
	const flags = event.FlagRecorder | event.FlagNoOwner | event.FlagKernelNames
	r := only(t, rows, event.Mount, "what appeared", mounts(11, come))
	if string(r.Path2) != "hc source" || string(r.Text) != "tmpfs" || !strings.HasPrefix(string(r.Text2), "rw,noexec") || !strings.Contains(string(r.Text2), "; rw,size=64k") {
		t.Errorf("appeared: %q %q %q", r.Path2, r.Text, r.Text2)
	}
	if r.Dev != uint32(st.Dev) || r.N2 == 0 || r.N3 == 0 || r.N4 != ns || r.Flags != flags || r.T0 == 0 || !(r.T0 < claimed.TS && claimed.TS < r.TS) {
		t.Errorf("appeared: dev %d (%d) id %d parent %d namespace %d (%d) flags %#x, between %d and %d, called at %d", r.Dev, st.Dev, r.N2, r.N3, r.N4, ns, r.Flags, r.T0, r.TS, claimed.TS)
	}
	// one that was there is found, and is told to be gone
	found := only(t, rows, event.Mount, "what was there", func(r *event.Row) bool { return mounts(0, before)(r) && r.N4 == ns })
	if found.Flags != flags|event.FlagSnapshot || uint64(found.Dev) != was || string(found.Path2) != "hc before" {
		t.Errorf("found: flags %#x dev %d source %q", found.Flags, found.Dev, found.Path2)
	}
	off := only(t, rows, event.Mount, "the end of it", mounts(12, before))
	call := only(t, rows, event.Mount, "the umount", mounts(2, before))
	if off.N2 != found.N2 || off.Dev != found.Dev || off.Flags != flags || call.PID != uint32(gone) || !(off.T0 < call.TS && call.TS < off.TS) {
		t.Errorf("gone: id %d (%d) dev %d flags %#x pid %d (%d)", off.N2, found.N2, off.Dev, off.Flags, call.PID, gone)
	}
	// a namespace made meanwhile is read through the process whose row spoke of it
	there := only(t, rows, event.Mount, "the mount apart", func(r *event.Row) bool { return string(r.Path) == apart && r.Flags&event.FlagRecorder != 0 })
	if there.N4 != apartNS || string(there.Path2) != "hc source" {
		t.Errorf("apart: namespace %d (%d), source %q", there.N4, apartNS, there.Path2)
	}
	only(t, rows, event.Mount, "the call apart", func(r *event.Row) bool {
		return mounts(1, apart)(r) && r.PID == uint32(inside) && r.N4 == apartNS
	})

	// every cgroup id on a row has a path
	paths := map[uint64]string{}
	for _, r := range pick(rows, event.Cgroup, nil) {
		paths[uint64(r.N1)] = string(r.Path)
	}
	ex := only(t, rows, event.Exec, "the mounter", func(r *event.Row) bool { return r.PID == uint32(pid) })
	if got := paths[ex.Cgroup]; got != ownCgroup() {
		t.Errorf("cgroup %d of the mounter is %q, want %q", ex.Cgroup, got, ownCgroup())
	}
	for _, r := range rows {
		if r.Cgroup != 0 && r.Type == event.Fork && paths[r.Cgroup] == "" {
			t.Errorf("cgroup %d has no path", r.Cgroup)
		}
	}
}

func TestCgroupsFound(t *testing.T) {
	root := t.TempDir()
	os.MkdirAll(root+"/a b/c", 0o755)
	os.MkdirAll(root+"/d", 0o755)
	os.WriteFile(root+"/a b/cgroup.procs", nil, 0o644)
	ino := func(p string) int64 {
		var st syscall.Stat_t
		if err := syscall.Stat(root+p, &st); err != nil {
			t.Fatal(err)
		}
		return int64(st.Ino)
	}
	check := func(rows []event.Row, want ...string) {
		t.Helper()
		if len(rows) != len(want) {
			t.Fatalf("%d rows, want %d", len(rows), len(want))
		}
		for i, p := range want {
			r := &rows[i]
			level := int64(strings.Count(p, "/"))
			if p == "/" {
				level = 0
			}
			if string(r.Path) != p || r.N1 != ino(p) || r.N2 != level || r.N3 != 0 || r.Op != 0 || r.TS != 7 || r.Type != event.Cgroup ||
				r.Flags != event.FlagSnapshot|event.FlagRecorder|event.FlagNoOwner {
				t.Errorf("row %d: %q id %d level %d flags %#x, want %q", i, r.Path, r.N1, r.N2, r.Flags, p)
			}
		}
	}
	for _, r := range []string{root, root + "/"} {
		rows, left := cgroupsFound(r, 7)
		check(rows, "/", "/a b", "/a b/c", "/d")
		if left {
			t.Error("some were left out")
		}
	}
	rows, _ := cgroupsFound(root, 7, "/a b/c", "/d", "/gone")
	check(rows, "/a b/c", "/a b", "/", "/d")
}

func TestClockRowsAroundAStep(t *testing.T) {
	at := func(boot, wall int64) clock.Pair { return clock.Pair{Boot: clock.Boot(boot), Wall: clock.Wall(wall)} }
	const second = int64(time.Second)
	w := witness{last: at(0, 1000), told: at(0, 1000)}
	if rows := w.clocks(at(second, 1000+second)); len(rows) != 0 {
		t.Errorf("%d rows of a clock that runs", len(rows))
	}
	// stepped back by two milliseconds: the last reading before, and the first after
	rows := w.clocks(at(2*second, 1000+2*second-2e6))
	if len(rows) != 2 || rows[0].TS != clock.Boot(second) || rows[0].N1 != 1000+second || rows[1].TS != clock.Boot(2*second) || rows[1].N1 != 1000+2*second-2e6 {
		t.Errorf("rows %+v", rows)
	}
	for _, r := range rows {
		if r.Type != event.Clock || r.Flags != event.FlagRecorder {
			t.Errorf("type %v flags %#x", r.Type, r.Flags)
		}
	}
	// steered by 0.4 ms a second: told when it comes to one, with the reading before
	n := 0
	for i := int64(3); i <= 5; i++ {
		rows = w.clocks(at(i*second, 1000+i*second-2e6+(i-2)*4e5))
		if n += len(rows); i < 5 && n != 0 {
			t.Errorf("%d rows after %d s", n, i)
		}
	}
	if n != 2 || rows[0].TS != clock.Boot(4*second) || rows[1].TS != clock.Boot(5*second) {
		t.Errorf("%d rows, the last %+v", n, rows)
	}
	if d := shift(at(0, 0), at(5, 2)); d != 3 {
		t.Errorf("shift %d", d)
	}
}
