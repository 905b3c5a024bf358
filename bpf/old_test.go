//go:build linux && (amd64 || arm64)

package bpf

import (
	"os"
	"testing"
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
		if h.Err != nil {
			if !h.Absent() { // a kernel built without modules has no place for their hooks
				t.Errorf("%s: %v", h.Name, h.Err)
			}
			continue
		}
		if in, err := h.Program().Info(); err == nil {
			if n, ok := in.VerifiedInstructions(); ok && n > 100_000 {
				t.Logf("%s: %d instructions verified", h.Name, n)
			}
		}
	}
}
