//go:build linux && (amd64 || arm64)

package cost

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"hindcast/bpf"
	"hindcast/bpf/cost/ops"
	"hindcast/recorder/probe"
)

// TestInstructionsAdded counts the instructions that recording adds to operations: in profiles, and
// by the tier that tells what it sees. It logs a table.
//
//	ICOUNT=1 PACKAGE=./bpf/cost TESTS=TestInstructionsAdded bpf/kerntest/vm/run.sh 6.12
func TestInstructionsAdded(t *testing.T) {
	if !ops.CountsInstructions() {
		t.Skip("needs a clock that counts instructions, as a guest of QEMU has with -icount shift=0")
	}
	list, err := ops.Ops(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	count(t, list) // caches fill
	plain := count(t, list)
	for i, again := range count(t, list) {
		// That two runs agree is what the rest rests on. What makes processes and mappings goes through
		// caches of the kernel that are fuller or emptier each time.
		allowed := 20 + int(plain[i])/100
		if n := list[i].Name; strings.HasPrefix(n, "fork") || strings.HasPrefix(n, "map") {
			allowed = int(plain[i]) / 12
		}
		if d := int(again) - int(plain[i]); d > allowed || -d > allowed {
			t.Errorf("%s: %d instructions and then %d", list[i].Name, plain[i], again)
		}
		plain[i] = min(plain[i], again)
	}
	tiers := func(letters string) func(string) bool {
		return func(name string) bool {
			tier, _, ok := strings.Cut(strings.TrimPrefix(name, "hc_"), "_")
			return ok && (tier == "l" || tier == "k") && !strings.Contains(letters, tier)
		}
	}
	head, rule := "| operation | instructions |", "|---|---|"
	rows := make([]string, len(list))
	for i, o := range list {
		rows[i] = fmt.Sprintf("| %s | %d |", o.Name, plain[i])
	}
	for _, c := range []struct {
		name    string
		profile probe.Profile
		tiers   string
	}{
		{"minimal", probe.Minimal, ""},
		{"standard, T", probe.Standard, ""},
		{"standard, L", probe.Standard, "l"},
		{"standard, K", probe.Standard, "k"},
		{"forensic, T", probe.Forensic, ""},
		{"forensic, L", probe.Forensic, "l"},
	} {
		t.Run(strings.ReplaceAll(c.name, ", ", "-"), func(t *testing.T) {
			leave := tiers(c.tiers)
			set := load(t, c.profile, leave)
			defer set.Close()
			p := probe.New(set, probe.Choice{Profile: c.profile})
			p.Attach()
			n, lower := 0, 0
			for _, o := range p.Outcomes() {
				if o.Attached {
					n++
					if leave := tiers(""); leave(o.Entry.Name) {
						lower++
					}
				}
			}
			t.Logf("%d hooks, %d of them below tracepoints", n, lower)
			if c.tiers != "" && lower == 0 {
				t.Skip("this kernel refuses all hooks of the tier")
			}
			t.Logf("by program, instructions of one run, with those of measuring it:\n%s", breakdown(t, list, set))
			head, rule = head+" "+c.name+" |", rule+"---|"
			for i, with := range count(t, list) {
				rows[i] += fmt.Sprintf(" %+d |", int(with)-int(plain[i]))
			}
		})
	}
	t.Logf("kernel %s\n%s\n%s\n%s", version(t), head, rule, strings.Join(rows, "\n"))
}

// breakdown asks the kernel how long each program ran for each operation. The kernel's clock
// counts instructions as ours does.
func breakdown(t *testing.T, list []ops.Op, set *bpf.Set) string {
	stats, err := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME)
	if err != nil {
		return err.Error()
	}
	defer stats.Close()
	var b strings.Builder
	for i := range list {
		o := &list[i]
		before := map[string]*ebpf.ProgramStats{}
		for _, h := range set.Hooks() {
			if h.Attached() {
				before[h.Name], _ = h.Program().Stats()
			}
		}
		least(t, o, 4)
		fmt.Fprintf(&b, "%s:", o.Name)
		for _, h := range set.Hooks() {
			was := before[h.Name]
			if was == nil {
				continue
			}
			now, err := h.Program().Stats()
			if err != nil {
				t.Fatal(err)
			}
			// What ran less often is of the measuring itself.
			if n := now.RunCount - was.RunCount; n >= uint64(4*o.Some) && h.Name != "hc_bpf" {
				fmt.Fprintf(&b, " %s %d", h.Name, int64(now.Runtime-was.Runtime)/int64(n))
				if per := n / uint64(4*o.Some); per > 1 {
					fmt.Fprintf(&b, " (%d times)", per)
				}
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

// quiet keeps the runtime from doing anything of its own, as far as it lets itself be kept, until
// done is called.
func quiet() (done func()) {
	debug.FreeOSMemory()
	runtime.LockOSThread()
	old := debug.SetGCPercent(-1)
	return func() {
		debug.SetGCPercent(old)
		runtime.UnlockOSThread()
	}
}

// count returns how many ticks each operation takes: the least of many short rounds.
func count(t *testing.T, list []ops.Op) (ticks []uint64) {
	t.Helper()
	defer quiet()()
	for i := range list {
		ticks = append(ticks, least(t, &list[i], 40))
	}
	return ticks
}

func least(t *testing.T, o *ops.Op, rounds int) uint64 {
	t.Helper()
	best := ^uint64(0)
	for range rounds {
		from := ops.Ticks()
		for range o.Some {
			if err := o.Do(); err != nil {
				t.Fatalf("%s: %v", o.Name, err)
			}
		}
		best = min(best, (ops.Ticks()-from)/uint64(o.Some))
	}
	return best
}
