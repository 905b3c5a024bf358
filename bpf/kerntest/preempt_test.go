//go:build linux && (amd64 || arm64)

package kerntest

import (
	"os"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"hindcast/bpf"
	"hindcast/format/event"
)

// mapOf returns a map by its name, of the first of the hooks that is loaded.
func mapOf(t testing.TB, name string, hooks ...string) *ebpf.Map {
	t.Helper()
	set := programs(t)
	i := slices.IndexFunc(hooks, func(hook string) bool { h := set.Hook(hook); return h != nil && h.Program() != nil })
	if i < 0 {
		t.Fatalf("none of %v is loaded", hooks)
	}
	h := set.Hook(hooks[i])
	info, err := h.Program().Info()
	must(t, err)
	ids, ok := info.MapIDs()
	if !ok {
		t.Skip("the kernel does not say which maps a program has")
	}
	for _, id := range ids {
		m, err := ebpf.NewMapFromID(id)
		must(t, err)
		if i, err := m.Info(); err == nil && i.Name == name {
			t.Cleanup(func() { m.Close() })
			return m
		}
		m.Close()
	}
	t.Fatalf("%s has no map %s", hooks[i], name)
	return nil
}

// A program inside a function may be preempted, and another of its cpu run meanwhile: neither may
// find the other's buffer busy. Here every buffer of the tracepoints is held.
func TestPreemptedProgramsHaveTheirOwnBuffers(t *testing.T) {
	if tierOf(t, event.Unlink) != bpf.Functions {
		t.Skip("names are not told by programs that can be preempted")
	}
	if bpf.Old() {
		t.Skip("before 5.12 paths are walked in the scratch buffer of the cpu")
	}
	dir := t.TempDir()
	must(t, os.Mkdir(dir+"/d", 0o700))
	m := mapOf(t, "hc_scratch", "hc_unlink")
	hold := func(busy byte) {
		for i := range m.MaxEntries() {
			b := make([]byte, m.ValueSize())
			b[0] = busy
			must(t, m.Put(i, b))
		}
	}
	var err error
	rows := record(t, func() {
		hold(1)
		defer hold(0)
		err = unix.Rmdir(dir + "/d")
	})
	must(t, err)
	one(t, rows, typ(event.Unlink), by(os.Getpid()))
}
