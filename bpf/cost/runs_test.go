//go:build linux && (amd64 || arm64)

package cost

import (
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"hindcast/bpf"
	"hindcast/bpf/cost/ops"
	"hindcast/bpf/kerntest/turn"
	"hindcast/recorder/probe"
)

func TestMain(m *testing.M) {
	release := turn.Take()
	code := m.Run()
	release()
	os.Exit(code)
}

// TestOperationsRunNoMorePrograms counts how many programs the kernel runs for an operation. What
// other processes do meanwhile can only add to it: the least of some rounds counts, and whole runs
// of it.
func TestOperationsRunNoMorePrograms(t *testing.T) {
	if !here(t, "runs.txt") {
		t.Skip("testdata/runs.txt is of another kernel, where other programs run")
	}
	got := table{}
	for _, profile := range []probe.Profile{probe.Minimal, probe.Standard, probe.Forensic} {
		t.Run(string(profile), func(t *testing.T) { countRuns(t, profile, got) })
	}
	if !t.Failed() && len(got) > 0 {
		got.check(t, "runs.txt", "How often each program runs for one operation, by profile, tier T alone, on kernel "+version(t)+".", false, func(int) int { return 0 })
	}
}

func countRuns(t *testing.T, profile probe.Profile, got table) {
	set := load(t, profile, nil)
	defer set.Close()
	stats, err := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME)
	if err != nil {
		t.Skipf("this kernel does not count runs of programs: %v", err)
	}
	defer stats.Close()
	p := probe.New(set, probe.Choice{Profile: profile})
	p.Attach()
	for _, o := range p.Outcomes() {
		if o.Attached && o.Tier != bpf.Tracepoints {
			t.Skip("hooks below tracepoints load here: the table is of tracepoints")
		}
	}
	list, err := ops.Ops(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	want := table{}
	want.read(t, "runs.txt")
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for _, o := range list {
		least := map[string]int{}
		// Rounds end when nothing is above what is expected; at most these are tried.
		for range 40 {
			for name, n := range round(t, set, &o) {
				if was, ok := least[name]; !ok || n < was {
					least[name] = n
				}
			}
			if !*update && !slices.ContainsFunc(set.Hooks(), func(h *bpf.Hook) bool {
				return least[h.Name] > want[string(profile)+", "+o.Name+": "+h.Name]
			}) {
				break
			}
		}
		total := 0
		var names []string
		for name, n := range least {
			if n > 0 {
				got[string(profile)+", "+o.Name+": "+name] = n
				names = append(names, name)
				total += n
			}
		}
		slices.Sort(names)
		t.Logf("%s: %d runs: %s", o.Name, total, strings.Join(names, " "))
	}
}

// round does an operation many times and returns how often each program ran for one.
func round(t *testing.T, set *bpf.Set, o *ops.Op) map[string]int {
	t.Helper()
	n := 10 * o.Some
	// Reading makes calls: the programs that see those are read last before, and first after.
	hooks := slices.Clone(set.Hooks())
	slices.SortStableFunc(hooks, func(a, b *bpf.Hook) int { return sees(a) - sees(b) })
	before := map[string]uint64{}
	for _, h := range hooks {
		before[h.Name] = runCount(t, h)
	}
	for range n {
		if err := o.Do(); err != nil {
			t.Fatalf("%s: %v", o.Name, err)
		}
	}
	runs := map[string]int{}
	slices.Reverse(hooks)
	for _, h := range hooks {
		runs[h.Name] = int(runCount(t, h)-before[h.Name]) / n
	}
	return runs
}

func sees(h *bpf.Hook) int {
	switch h.Name {
	case "hc_bpf", "hc_calls", "hc_calls_enter":
		return 1
	}
	return 0
}

func runCount(t *testing.T, h *bpf.Hook) uint64 {
	if !h.Attached() {
		return 0
	}
	s, err := h.Program().Stats()
	if err != nil {
		t.Fatalf("%s: %v", h.Name, err)
	}
	return s.RunCount
}
