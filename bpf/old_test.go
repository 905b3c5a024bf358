//go:build linux && (amd64 || arm64)

package bpf

import (
	"errors"
	"os"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// What is done for old kernels is nothing that a new one refuses, so all of it can be checked here.
func TestProgramsForOldKernelsLoad(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs CAP_BPF and CAP_PERFMON")
	}
	was := able
	able = func() abilities { return abilities{old: true} }
	defer func() { able = was }()
	s, err := Load(Options{BulkBytes: 1 << 16, CriticalBytes: 1 << 16})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, h := range s.Hooks() {
		switch {
		case h.Err == nil:
			if in, err := h.Program().Info(); err == nil {
				if n, ok := in.VerifiedInstructions(); ok && n > 200_000 {
					t.Errorf("%s: %d instructions to verify, which takes an old kernel seconds", h.Name, n)
				}
			}
		case beyond[h.Name], h.Absent():
			t.Logf("%s: %v", h.Name, h.Err)
		case h.Tier() == Functions && errors.Is(h.Err, unix.EPERM):
			// a policy of this kernel: see the kprobes
		default:
			t.Errorf("%s: %v", h.Name, h.Err)
		}
	}
	if s.Hook("hc_old_gone") == nil {
		t.Error("what stands in for storage was not loaded")
	}
}

// The programs inside kernel functions have one source for both tiers, and kernels without a place
// to attach kprobes verify them all the same.
func TestKprobesVerify(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs CAP_BPF and CAP_PERFMON")
	}
	s := &Set{maps: map[string]*ebpf.Map{}}
	defer s.Close()
	if err := s.newLanes(1 << 16); err != nil {
		t.Fatal(err)
	}
	if err := s.loadObject(kprobes, 1, 1<<16, &Options{}); err != nil {
		t.Fatal(err)
	}
	for _, h := range s.Hooks() {
		if h.Err != nil {
			t.Errorf("%s: %+v", h.Name, h.Err)
		}
	}
	if len(s.Hooks()) == 0 {
		t.Error("no program")
	}
}
