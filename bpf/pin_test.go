//go:build linux && (amd64 || arm64)

package bpf

import (
	"os"
	"testing"

	"github.com/cilium/ebpf/link"
)

// A hook that cannot be put back is not forgotten: each look finds it, until it is in its place.
func TestInspectTriesAgain(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs CAP_BPF and CAP_PERFMON")
	}
	root := ""
	for _, dir := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		if _, err := os.Stat(dir + "/cgroup.procs"); err == nil && root == "" {
			if _, err := os.Stat(dir + "/cgroup.controllers"); err == nil {
				root = dir
			}
		}
	}
	if root == "" {
		t.Skip("no cgroup2")
	}
	s, err := Load(Options{BulkBytes: 1 << 16, CriticalBytes: 1 << 16, CgroupRoot: root, Leave: func(n string) bool { return n != "hc_sendmsg4" }})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	h := s.Hook("hc_sendmsg4")
	if err := h.Attach(); err != nil {
		t.Skipf("attach: %v", err)
	}
	if found := s.Inspect(); len(found) != 0 {
		t.Fatalf("found %+v", found)
	}
	l, ok := h.link.(interface{ Detach() error })
	if !ok {
		t.Skipf("a %T cannot be detached from under us", h.link)
	}
	if err := l.Detach(); err != nil {
		t.Skipf("detach: %v", err)
	}
	s.CgroupRoot = t.TempDir() // no place to go back to
	for i := range 3 {
		found := s.Inspect()
		if len(found) != 1 || found[0].Hook != h || found[0].Mended || found[0].Err == nil || found[0].Still != (i > 0) {
			t.Fatalf("look %d: found %+v", i, found)
		}
	}
	s.CgroupRoot = root
	if found := s.Inspect(); len(found) != 1 || !found[0].Mended || !found[0].Still {
		t.Fatalf("found %+v", found)
	}
	if _, ok := h.link.(link.Link); !ok || !h.Attached() {
		t.Error("not attached")
	}
	if found := s.Inspect(); len(found) != 0 {
		t.Errorf("found %+v", found)
	}
}
