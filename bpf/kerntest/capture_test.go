//go:build linux

// Package kerntest runs the programs in the kernel of this machine: each test does one thing and
// asserts every field of the row that comes out against what the test itself saw.
package kerntest

import (
	"bytes"
	"os"
	"runtime"
	"sort"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"hindcast/bpf"
	"hindcast/bpf/kerntest/turn"
	"hindcast/format/event"
	"hindcast/recorder/probe"
)

// helpers are programs that the tests start from their own binary: HC_HELPER names one.
var helpers = map[string]func(args []string) int{}

func TestMain(m *testing.M) {
	if h := os.Getenv("HC_HELPER"); h != "" {
		os.Exit(helpers[h](os.Args[1:]))
	}
	release := turn.Take()
	code := m.Run()
	if shared.set != nil {
		shared.set.Close()
	}
	release()
	os.Exit(code)
}

// shared is the one set of programs all tests use: attaching is quick, detaching waits for the kernel.
var shared struct {
	once  sync.Once
	set   *bpf.Set
	probe *probe.Probe // which of them are in their places, and in which tier
	err   error
	rings *rings
	creds map[uint32]*event.Row // definitions are sent once per set of credentials
}

// programs returns the loaded and attached set. It skips only where no kernel would let us.
func programs(t testing.TB) *bpf.Set {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: BPF programs cannot be loaded without CAP_BPF and CAP_PERFMON")
	}
	shared.once.Do(func() {
		os.MkdirAll("/sys/kernel/tracing", 0o755)
		if _, err := os.Stat("/sys/kernel/tracing/events"); err != nil {
			if err := unix.Mount("tracefs", "/sys/kernel/tracing", "tracefs", 0, ""); err != nil {
				shared.err = err
				return
			}
		}
		// The tests are the actors, so they must not be taken for the recorder.
		o := bpf.Options{Self: bpf.NoSelf, CgroupRoot: cgroup2()}
		if testing.Short() { // in emulation, where every program is long to verify: those for 32-bit calls have tests with a set of their own
			o.Leave = func(name string) bool { return name == "hc_calls" || name == "hc_calls_enter" }
		}
		shared.set, shared.err = bpf.Load(o)
		if shared.err != nil {
			return
		}
		shared.creds = map[uint32]*event.Row{}
		shared.probe = probe.New(shared.set, probe.Choice{Profile: probe.Forensic}) // leaves nothing out
		shared.probe.Attach()
		shared.rings, shared.err = openRings(shared.set)
	})
	if shared.err != nil {
		t.Fatalf("load programs: %v", shared.err)
	}
	return shared.set
}

// cgroup2 returns the root of the unified hierarchy.
func cgroup2() string {
	for _, p := range []string{"/sys/fs/cgroup/unified", "/sys/fs/cgroup"} {
		var st unix.Statfs_t
		if unix.Statfs(p, &st) == nil && st.Type == unix.CGROUP2_SUPER_MAGIC {
			return p
		}
	}
	return ""
}

// drain takes everything that lies in the rings.
func drain(t testing.TB) (rows []event.Row) {
	t.Helper()
	must(t, shared.rings.each(func(rec []byte) {
		var row event.Row
		if _, err := event.Decode(bytes.Clone(rec), &row); err != nil {
			t.Errorf("decode: %v", err)
			return
		}
		if row.Type == event.Cred {
			shared.creds[row.Cred] = &row
		}
		rows = append(rows, row)
	}))
	sort.SliceStable(rows, func(i, j int) bool { return rows[i].TS < rows[j].TS })
	return rows
}

// record runs f and returns the rows that the kernel made meanwhile, in time order. Programs run
// within the call that triggers them, so what f did is in the rings when it returns.
func record(t testing.TB, f func()) []event.Row {
	t.Helper()
	programs(t)
	drain(t)
	f()
	return drain(t)
}

// only returns the rows that satisfy all conditions.
func only(rows []event.Row, conds ...func(*event.Row) bool) (out []event.Row) {
next:
	for i := range rows {
		for _, c := range conds {
			if !c(&rows[i]) {
				continue next
			}
		}
		out = append(out, rows[i])
	}
	return out
}

func typ(t event.Type) func(*event.Row) bool { return func(r *event.Row) bool { return r.Type == t } }
func by(pid int) func(*event.Row) bool {
	return func(r *event.Row) bool { return r.PID == uint32(pid) }
}

// one returns the single row that satisfies the conditions.
func one(t testing.TB, rows []event.Row, conds ...func(*event.Row) bool) *event.Row {
	t.Helper()
	got := only(rows, conds...)
	if len(got) != 1 {
		for i := range rows {
			r := &rows[i]
			t.Logf("%s pid=%d tid=%d ret=%d path=%q path2=%q dev=%d ino=%d flags=%#x comm=%s", r.Type, r.PID, r.TID, r.Ret, r.Path, r.Path2, r.Dev, r.Ino, r.Flags, r.Comm)
		}
		t.Fatalf("%d rows match, want 1", len(got))
	}
	return &got[0]
}

func eq[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s = %v, want %v", what, got, want)
	}
}

// sameObject asserts that the row's object is the one st describes.
func sameObject(t testing.TB, r *event.Row, st *syscall.Stat_t) {
	t.Helper()
	eq(t, "dev", uint64(r.Dev), st.Dev)
	eq(t, "ino", r.Ino, st.Ino)
	eq(t, "mode", r.Mode, st.Mode)
}

func statOf(t testing.TB, path string) *syscall.Stat_t {
	t.Helper()
	var st syscall.Stat_t
	if err := syscall.Lstat(path, &st); err != nil {
		t.Fatal(err)
	}
	return &st
}

// ownThread runs f on a new thread that ends afterwards. It is never the main thread, which Go
// parks for good instead of ending it.
func ownThread(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if unix.Gettid() == os.Getpid() {
			ownThread(f) // cannot get the main thread again: it is ours
			return
		}
		f()
	}()
	<-done
}
