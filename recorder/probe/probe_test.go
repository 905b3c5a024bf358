//go:build linux && (amd64 || arm64)

package probe

import (
	"errors"
	"os"
	"strings"
	"testing"

	"hindcast/bpf"
	"hindcast/bpf/kerntest/turn"
	"hindcast/format/event"
)

func load(t *testing.T) *bpf.Set {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs CAP_BPF and CAP_PERFMON")
	}
	t.Cleanup(turn.Take())
	set, err := bpf.Load(bpf.Options{BulkBytes: 1 << 16, CriticalBytes: 1 << 16, CgroupRoot: CgroupRoot()})
	if errors.Is(err, bpf.ErrNoBTF) {
		t.Skip("kernel has no BTF")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(set.Close)
	return set
}

func TestTableIsSound(t *testing.T) {
	seen := map[string]bool{}
	for _, e := range append(append([]Entry(nil), Table...), Blind...) {
		if seen[e.Name] {
			t.Errorf("%s stands twice", e.Name)
		}
		seen[e.Name] = true
		if len(e.Feeds) == 0 || e.Without == "" {
			t.Errorf("%s: feeds %v, without %q", e.Name, e.Feeds, e.Without)
		}
		for _, f := range e.Feeds {
			if event.ByID(f) == nil {
				t.Errorf("%s feeds event %d, which is not in the catalogue", e.Name, f)
			}
		}
		if e.InsteadOf != "" && !seen[e.InsteadOf] {
			t.Errorf("%s stands before %s, which it replaces", e.Name, e.InsteadOf)
		}
	}
	groups := map[string]bool{}
	for _, g := range Groups {
		groups[g] = true
	}
	for _, e := range Table {
		if !groups[e.Group] {
			t.Errorf("%s: group %q is not listed", e.Name, e.Group)
		}
	}
}

// Every event of the kernel half has a hook that feeds it.
func TestEveryEventIsFed(t *testing.T) {
	var fed uint64
	for i := range Table {
		fed |= Table[i].Bits()
	}
	for _, e := range event.Catalog {
		if e.Ring == event.NoRing || e.ID == event.Cred { // any hook can describe a credential set
			continue
		}
		if fed>>e.ID&1 == 0 {
			t.Errorf("no hook feeds %s", e.Name)
		}
	}
}

func TestEveryHookIsInTheTable(t *testing.T) {
	set := load(t)
	known := map[string]bool{}
	for _, h := range set.Hooks() {
		known[h.Name] = true
		if Lookup(h.Name) == nil {
			t.Errorf("%s (%s) is not in the table: nobody is told what its absence costs", h.Name, h.Section)
		}
	}
	for _, e := range Table {
		if !known[e.Name] && e.InsteadOf == "" && e.Before == "" && !e.old && !strings.HasPrefix(e.Name, "hc_k_") {
			t.Errorf("the table has %s, but there is no such program", e.Name)
		}
	}
}

func TestAttachAndDetach(t *testing.T) {
	set := load(t)
	p := New(set, Choice{Profile: Standard})
	p.Attach()
	if n := p.Missing(); n != 0 {
		for _, o := range p.Outcomes() {
			if !o.Attached {
				t.Errorf("%s: %s", o.Entry.Name, o.Reason)
			}
		}
	}
	rows := p.Coverage(7)
	if len(rows) < len(set.Hooks()) {
		t.Errorf("%d coverage rows of %d hooks", len(rows), len(set.Hooks()))
	}
	for _, r := range rows {
		if strings.HasSuffix(string(r.Text), "_old") || strings.HasSuffix(string(r.Text), "_noargs") {
			t.Errorf("coverage speaks of %s, whose better half is attached", r.Text)
		}
		if r.TS != 7 || r.N2 == 0 || len(r.Text2) == 0 {
			t.Errorf("coverage row %+v", r)
		}
		if string(r.Text) == "hc_fork" && (r.N1 != 1 || r.N2 != 1<<event.Fork || string(r.Text2) != "feeds fork") {
			t.Errorf("hc_fork: %d %#x %q", r.N1, r.N2, r.Text2)
		}
	}
	if len(p.Snapshot()) == 0 || len(p.Sweeps()) == 0 {
		t.Errorf("%d snapshot iterators, %d sweeps", len(p.Snapshot()), len(p.Sweeps()))
	}
	p.Detach()
	for _, h := range set.Hooks() {
		if h.Attached() {
			t.Errorf("%s is still attached", h.Name)
		}
	}
}

func TestMinimalLeavesFilesOutAndSaysSo(t *testing.T) {
	p := New(load(t), Choice{Profile: Minimal})
	p.Attach()
	defer p.Detach()
	if n := p.Missing(); n != 0 {
		t.Errorf("%d hooks count as missing", n)
	}
	found := false
	for _, r := range p.Coverage(1) {
		if string(r.Text) == "hc_openat" {
			found = true
			if r.N1 != 0 || !strings.HasPrefix(string(r.Text2), "left out by profile minimal; not seen: files opened") {
				t.Errorf("hc_openat: %d %q", r.N1, r.Text2)
			}
		}
		if string(r.Text) == "hc_exec" && r.N1 != 1 {
			t.Errorf("hc_exec is not attached: %s", r.Text2)
		}
	}
	if !found {
		t.Error("no coverage row of hc_openat")
	}
}

func TestCgroupRoot(t *testing.T) {
	for _, c := range []struct{ info, want string }{
		{"30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw\n", "/sys/fs/cgroup"},
		{"31 24 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n32 24 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n", "/sys/fs/cgroup/unified"},
		{"32 24 0:28 /box /a rw - cgroup2 cgroup2 rw\n33 24 0:28 / /with\\040space rw - cgroup2 cgroup2 rw\n", "/with space"},
		{"32 24 0:28 /box /a rw - cgroup2 cgroup2 rw\n", "/a"},
		{"32 24 0:28 / /a rw - tmpfs tmpfs rw\nnonsense\n", ""},
	} {
		if got := cgroupRoot(strings.NewReader(c.info)); got != c.want {
			t.Errorf("got %q, want %q, of %q", got, c.want, c.info)
		}
	}
}

// A host without tracefs gets one that only we see.
func TestTracefsIsMountedForUsAlone(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs CAP_SYS_ADMIN")
	}
	count := func() int {
		b, err := os.ReadFile("/proc/self/mountinfo")
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(string(b), " - tracefs ")
	}
	before := count()
	inside := 0
	at := t.TempDir()
	privately(at, func() {
		b, _ := os.ReadFile("/proc/thread-self/mountinfo")
		inside = strings.Count(string(b), " - tracefs ")
		if _, err := os.ReadFile(at + "/events/syscalls/sys_exit_openat/id"); err != nil {
			t.Error(err)
		}
	})
	if inside != before+1 || count() != before {
		t.Errorf("%d mounts before, %d inside, %d after", before, inside, count())
	}
}

// Where tracing programs have no storage on sockets, coverage says that UDP is not told.
func TestUDPOfOldKernelsIsABlindSpot(t *testing.T) {
	for i := range Blind {
		e := &Blind[i]
		if e.Name != oldUDP {
			continue
		}
		if want := uint64(1)<<event.SockFirst | 1<<event.SockTotal; e.Bits() != want {
			t.Errorf("feeds %#x, want %#x", e.Bits(), want)
		}
		if got := (&Probe{}).sighted(e); got == bpf.Old() {
			t.Errorf("sighted: %v, on a kernel before 5.12: %v", got, bpf.Old())
		}
		return
	}
	t.Error("there is no such blind spot")
}
