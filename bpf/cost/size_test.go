//go:build linux && (amd64 || arm64)

package cost

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cilium/ebpf"

	"hindcast/bpf"
	"hindcast/recorder/probe"
)

// TestProgramsKeepTheirSize counts the instructions of each committed program, with the functions
// it calls: no kernel takes part, so the numbers are exact.
func TestProgramsKeepTheirSize(t *testing.T) {
	got := table{}
	for _, arch := range []string{"amd64", "arm64"} {
		files, err := filepath.Glob("../internal/obj/" + arch + "/*.o")
		if err != nil || len(files) == 0 {
			t.Fatalf("objects of %s: %d, %v", arch, len(files), err)
		}
		for _, f := range files {
			cs, err := ebpf.LoadCollectionSpec(f)
			if err != nil {
				t.Fatalf("%s: %v", f, err)
			}
			for name, p := range cs.Programs {
				n := 0
				for _, ins := range p.Instructions {
					n += int(ins.Width())
				}
				got[arch+" "+strings.TrimSuffix(filepath.Base(f), ".o")+" "+name] = n
			}
		}
	}
	got.check(t, "size.txt", "Instructions of each program, with the functions it calls.", true,
		func(was int) int { return was/20 + 4 })
}

// TestProgramsKeepTheirPaths bounds how many instructions the verifier followed in each program:
// that grows with branches and loops where the size does not, and it is what a start costs.
// Kernels differ in how they prune, hence the wide allowance, and what one has no place for is not
// compared.
func TestProgramsKeepTheirPaths(t *testing.T) {
	set := load(t, probe.Standard, nil)
	defer set.Close()
	got := table{}
	for _, h := range set.Hooks() {
		if !h.Loaded() || h.Tier() != bpf.Tracepoints {
			continue
		}
		info, err := h.Program().Info()
		if err != nil {
			t.Fatal(err)
		}
		n, ok := info.VerifiedInstructions()
		if !ok {
			t.Skip("this kernel does not tell how many instructions it verified: it needs 5.16")
		}
		got[h.Name] = int(n)
	}
	if !here(t, "verified.txt") {
		for name, n := range got {
			if n > 500_000 {
				t.Errorf("%s: %d instructions verified, half of what any kernel allows", name, n)
			}
		}
		t.Skip("compared only with half of what any kernel allows: testdata/verified.txt is of another kernel")
	}
	got.check(t, "verified.txt", "Instructions that the verifier followed in each program of the standard profile, on kernel "+version(t)+".", false,
		func(was int) int { return was/3 + 200 })
}

// load loads the programs of a profile as a recording does, less some, but takes nobody for the
// recorder.
func load(t *testing.T, p probe.Profile, less func(string) bool) *bpf.Set {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: BPF programs cannot be loaded without CAP_BPF and CAP_PERFMON")
	}
	leave := func(name string) bool { return p.Leaves(name) || less != nil && less(name) }
	set, err := bpf.Load(bpf.Options{Self: bpf.NoSelf, CgroupRoot: probe.CgroupRoot(), Forensic: p == probe.Forensic, Leave: leave})
	if err != nil {
		t.Fatal(err)
	}
	return set
}
