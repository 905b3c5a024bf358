//go:build linux

package kerntest

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"hindcast/bpf"
	"hindcast/format/event"
)

// Causes of the counters, as in bpf/include/maps.h.
const (
	causeSeen       = 0
	causeRingFull   = 1
	causeUnselected = 9
	causeDeselected = 10
)

// counted adds a counter up over all cpus.
func counted(t testing.TB, set *bpf.Set, cause int, typ event.Type) (n uint64) {
	t.Helper()
	var cpus [][bpf.Causes][bpf.Types]uint64
	must(t, set.Counters.Lookup(uint32(0), &cpus))
	for i := range cpus {
		n += cpus[i][cause][typ]
	}
	return n
}

func bit(types ...event.Type) (set uint64) {
	for _, t := range types {
		set |= 1 << t
	}
	return set
}

func equals(n int) [][2]uint64 { return [][2]uint64{{uint64(n), uint64(n)}} }

// selecting loads some hooks with a selection, for this process and what it starts.
func selecting(t *testing.T, clauses []bpf.Clause, names ...string) *bpf.Set {
	t.Helper()
	programs(t)
	names = slices.Clone(names)
	if i := slices.Index(names, "hc_exit"); i >= 0 && shared.set.Hook("hc_exit") == nil { // before 6.16
		names[i] = "hc_exit_old"
	}
	set := loadHooks(t, bpf.Options{Self: bpf.NoSelf, Scoped: true, BulkBytes: 1 << 20, CriticalBytes: 1 << 20,
		Select: &bpf.Selection{Clauses: clauses}, Leave: allBut(append(names, "hc_exit", "hc_exit_old")...)}, names...)
	must(t, set.Scope.Put(uint32(os.Getpid()), uint32(1)))
	return set
}

func openNull() {
	if fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0); err == nil {
		unix.Close(fd)
	}
}

// What is asked of the actor is decided before a record is made, and what is left out is counted.
func TestSelectionByActor(t *testing.T) {
	var cgroup unix.Stat_t
	own := cgroup2()
	if b, err := os.ReadFile("/proc/self/cgroup"); err == nil {
		for l := range strings.Lines(string(b)) {
			if p, ok := strings.CutPrefix(strings.TrimSpace(l), "0::"); ok {
				own = filepath.Join(own, p)
			}
		}
	}
	must(t, unix.Stat(own, &cgroup))
	pid, open := os.Getpid(), bit(event.Open)
	clause := func(p ...bpf.Pred) []bpf.Clause { return []bpf.Clause{{Types: open, Preds: p}} }
	for _, c := range []struct {
		name    string
		clauses []bpf.Clause
		uid     int
		want    int
	}{
		{"event", clause(), 0, 1},
		{"other event", []bpf.Clause{{Types: bit(event.Unlink)}}, 0, 0},
		{"nothing", nil, 0, 0},
		{"pid", clause(bpf.Pred{Kind: bpf.PID, Ranges: equals(pid)}), 0, 1},
		{"not pid", clause(bpf.Pred{Kind: bpf.PID, Not: true, Ranges: equals(pid)}), 0, 0},
		{"other pid", clause(bpf.Pred{Kind: bpf.PID, Ranges: [][2]uint64{{0, 1}, {uint64(pid) + 1, 1 << 40}}}), 0, 0},
		{"thread", clause(bpf.Pred{Kind: bpf.TID, Ranges: equals(pid)}), 0, 0}, // the first thread does not open it
		{"not thread", clause(bpf.Pred{Kind: bpf.TID, Not: true, Ranges: equals(pid)}), 0, 1},
		{"user", clause(bpf.Pred{Kind: bpf.EUID, Ranges: equals(65534)}), 65534, 1},
		{"other user", clause(bpf.Pred{Kind: bpf.EUID, Ranges: equals(65534)}), 0, 0},
		{"not user", clause(bpf.Pred{Kind: bpf.EUID, Not: true, Ranges: equals(0)}), 0, 0},
		{"cgroup", clause(bpf.Pred{Kind: bpf.Cgroup, Ranges: equals(int(cgroup.Ino))}), 0, 1},
		{"other cgroup", clause(bpf.Pred{Kind: bpf.Cgroup, Ranges: equals(int(cgroup.Ino) + 1)}), 0, 0},
		{"two must hold", clause(bpf.Pred{Kind: bpf.PID, Ranges: equals(pid)}, bpf.Pred{Kind: bpf.EUID, Ranges: equals(7)}), 0, 0},
		{"one of two", append(clause(bpf.Pred{Kind: bpf.EUID, Ranges: equals(7)}), clause(bpf.Pred{Kind: bpf.PID, Ranges: equals(pid)})...), 0, 1},
		{"socket ends say nothing of a file", clause(bpf.Pred{Kind: bpf.Port, Ends: 3, Ranges: equals(1)}), 0, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			set := selecting(t, c.clauses, "hc_openat")
			ownThread(func() {
				if c.uid != 0 {
					unix.RawSyscall(unix.SYS_SETRESUID, ^uintptr(0), uintptr(c.uid), ^uintptr(0)) // of this thread alone
				}
				drainSet(t, set)
				before := counted(t, set, causeUnselected, event.Open)
				openNull()
				tid := unix.Gettid()
				got := only(drainSet(t, set), typ(event.Open), thread(tid))
				eq(t, "rows", len(got), c.want)
				if n := counted(t, set, causeUnselected, event.Open) - before; c.want == 0 && n == 0 || c.want == 1 && c.name == "event" && n != 0 {
					t.Errorf("%d opens counted as left out", n)
				}
			})
		})
	}
}

// A path decides when the record is made: what is not wanted is given back and counted, with the
// number it took.
func TestSelectionByPath(t *testing.T) {
	base, err := os.MkdirTemp("/tmp", "hs")
	must(t, err)
	defer os.RemoveAll(base)
	must(t, os.MkdirAll(base+"/in/sub", 0o755))
	files := []string{"/in/f", "/in/sub/g", "/inner", "/out", "/in"}
	for _, f := range files[:4] {
		must(t, os.WriteFile(base+f, nil, 0o644))
	}
	for _, c := range []struct {
		p    bpf.Pred
		want string
	}{
		{bpf.Pred{Path: base + "/in"}, "/in/f /in/sub/g /inner /in"},
		{bpf.Pred{Path: base + "/in/"}, "/in/f /in/sub/g"},
		{bpf.Pred{Path: base + "/in/sub/g"}, "/in/sub/g"},
		{bpf.Pred{Path: base + "/in/su"}, "/in/sub/g"},
		{bpf.Pred{Path: base + "/in/f", Exact: true}, "/in/f"},
		{bpf.Pred{Path: base + "/in", Exact: true}, "/in"},
		{bpf.Pred{Path: base + "/in", Not: true}, "/out"},
		{bpf.Pred{Path: base + "/in/", Not: true}, "/inner /out /in"},
		{bpf.Pred{Path: base + "/in/f", Exact: true, Not: true}, "/in/sub/g /inner /out /in"},
		{bpf.Pred{Path: "/"}, "/in/f /in/sub/g /inner /out /in"},
		{bpf.Pred{Path: "/etc"}, ""},
		{bpf.Pred{Path: base[1:2] + "/"}, "!"},
	} {
		c.p.Kind = bpf.Path
		name := fmt.Sprintf("%v %v %s", c.p.Not, c.p.Exact, strings.TrimPrefix(c.p.Path, base))
		t.Run(name, func(t *testing.T) {
			if c.want == "!" {
				if _, err := bpf.Load(bpf.Options{Select: &bpf.Selection{Clauses: []bpf.Clause{{Types: 1 << event.Open, Preds: []bpf.Pred{c.p}}}}}); err == nil {
					t.Error("a relative path was taken")
				}
				return
			}
			set := selecting(t, []bpf.Clause{{Types: bit(event.Open), Preds: []bpf.Pred{c.p}}}, "hc_openat")
			ownThread(func() {
				drainSet(t, set)
				seen, left := counted(t, set, causeSeen, event.Open), counted(t, set, causeDeselected, event.Open)
				for _, f := range files {
					fd, err := unix.Open(base+f, unix.O_RDONLY|unix.O_CLOEXEC, 0)
					if err != nil {
						t.Error(err)
						return
					}
					unix.Close(fd)
				}
				var got []string
				rows := drainSet(t, set)
				for _, r := range only(rows, typ(event.Open), thread(unix.Gettid())) {
					got = append(got, strings.TrimPrefix(string(r.Path), base))
				}
				eq(t, "opened", strings.Join(got, " "), c.want)
				seen, left = counted(t, set, causeSeen, event.Open)-seen, counted(t, set, causeDeselected, event.Open)-left
				if seen-left != uint64(len(only(rows, typ(event.Open)))) || left < uint64(len(files)-len(got)) {
					t.Errorf("%d made, %d of them not sent, %d rows", seen, left, len(rows))
				}
			})
		})
	}
}

// Names that programs give are compared as they are, those that are relative with the directory
// they start from; where that does not say enough, the record is told.
func TestSelectionByClaimedName(t *testing.T) {
	base, err := os.MkdirTemp("/tmp", "hs")
	must(t, err)
	defer os.RemoveAll(base)
	must(t, os.MkdirAll(base+"/x/deep", 0o755))
	must(t, os.MkdirAll(base+"/y", 0o755))
	dir := func(p string) int {
		fd, err := unix.Open(p, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		must(t, err)
		t.Cleanup(func() { unix.Close(fd) })
		return fd
	}
	at := map[string]int{"cwd": unix.AT_FDCWD, "base": dir(base), "x": dir(base + "/x"), "deep": dir(base + "/x/deep"), "y": dir(base + "/y"), "/": dir("/")}
	for _, c := range []struct {
		p     bpf.Pred
		names []string // directory:name; + wanted, - refused, ? may be told
	}{
		{bpf.Pred{Path: base + "/x/"}, []string{"+cwd:" + base + "/x/1", "-cwd:" + base + "/y/1", "+x:2", "+deep:3", "-y:4", "+base:x/5", "?base:y/6", "+/:" + base[1:] + "/x/7", "-cwd:/etc/nothing"}},
		{bpf.Pred{Path: base + "/x/", Not: true}, []string{"-cwd:" + base + "/x/1", "+cwd:" + base + "/y/1", "-x:2", "-deep:3", "+y:4", "+base:y/6", "?base:x/6"}},
		{bpf.Pred{Path: base + "/x/1", Exact: true}, []string{"+cwd:" + base + "/x/1", "-cwd:" + base + "/x/12", "-cwd:" + base + "/x", "+x:1", "?x:2"}},
	} {
		c.p.Kind = bpf.Path
		set := selecting(t, []bpf.Clause{{Types: bit(event.Mkdir), Preds: []bpf.Pred{c.p}}}, "hc_mkdirat")
		ownThread(func() {
			tid := unix.Gettid()
			for _, n := range c.names {
				d, name, _ := strings.Cut(n[1:], ":")
				drainSet(t, set)
				// refused as a directory is missing or is there: the row would tell; made and taken away again otherwise
				err := unix.Mkdirat(at[d], name, 0o700)
				got := only(drainSet(t, set), typ(event.Mkdir), thread(tid))
				if err == nil {
					unix.Unlinkat(at[d], name, unix.AT_REMOVEDIR)
				} else if n[0] == '+' {
					t.Errorf("mkdir %s: %v", n, err)
				}
				if n[0] == '+' && len(got) != 1 || n[0] == '-' && len(got) != 0 {
					t.Errorf("%v %s: %s is told %d times", c.p.Not, c.p.Path, n, len(got))
				}
			}
		})
	}
}

// Ends of sockets are asked where a row about a connection is made, in softirq too.
func TestSelectionByEnds(t *testing.T) {
	l1, a1 := listenTCP(t, netip.MustParseAddr("127.0.0.1"), 4)
	l2, a2 := listenTCP(t, netip.MustParseAddr("127.0.0.2"), 4)
	l6, a6 := listenTCP(t, netip.MustParseAddr("::1"), 4)
	for _, l := range []int{l1, l2, l6} {
		defer unix.Close(l)
	}
	pre := func(s ...string) (out []netip.Prefix) {
		for _, x := range s {
			out = append(out, netip.MustParsePrefix(x))
		}
		return out
	}
	for _, c := range []struct {
		name string
		p    bpf.Pred
		want []netip.AddrPort
	}{
		{"port", bpf.Pred{Kind: bpf.Port, Ends: bpf.Remote, Ranges: equals(int(a2.Port()))}, []netip.AddrPort{a2}},
		{"either port", bpf.Pred{Kind: bpf.Port, Ends: bpf.Local | bpf.Remote, Ranges: equals(int(a1.Port()))}, []netip.AddrPort{a1}},
		{"not port", bpf.Pred{Kind: bpf.Port, Not: true, Ends: bpf.Remote, Ranges: equals(int(a1.Port()))}, []netip.AddrPort{a2, a6}},
		{"address", bpf.Pred{Kind: bpf.Addr, Ends: bpf.Remote, Prefixes: pre("127.0.0.2/32")}, []netip.AddrPort{a2}},
		{"prefixes", bpf.Pred{Kind: bpf.Addr, Ends: bpf.Local | bpf.Remote, Prefixes: pre("10.0.0.0/8", "127.0.0.0/8")}, []netip.AddrPort{a1, a2}},
		{"not prefix", bpf.Pred{Kind: bpf.Addr, Not: true, Ends: bpf.Remote, Prefixes: pre("127.0.0.0/8")}, []netip.AddrPort{a6}},
		{"ipv6", bpf.Pred{Kind: bpf.Addr, Ends: bpf.Remote, Prefixes: pre("::/0")}, []netip.AddrPort{a6}},
		{"family", bpf.Pred{Kind: bpf.Family, Ranges: equals(unix.AF_INET6)}, []netip.AddrPort{a6}},
		{"protocol", bpf.Pred{Kind: bpf.Proto, Ranges: equals(unix.IPPROTO_UDP)}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			set := selecting(t, []bpf.Clause{{Types: bit(event.Connect, event.ConnClose), Preds: []bpf.Pred{c.p}}}, "hc_tcp_state")
			left := counted(t, set, causeUnselected, event.Connect)
			for i, a := range []netip.AddrPort{a1, a2, a6} {
				fd, err := dial(a)
				must(t, err)
				s, _, err := unix.Accept4([]int{l1, l2, l6}[i], unix.SOCK_CLOEXEC)
				must(t, err)
				unix.Close(fd)
				readAll(s)
				unix.Close(s)
			}
			to := func(r *event.Row) netip.AddrPort {
				a, _ := netip.ParseAddr(string(r.RAddr))
				return netip.AddrPortFrom(a, r.RPort)
			}
			ours := func(rows []event.Row, ty event.Type) (out []netip.AddrPort) {
				for _, r := range only(rows, typ(ty)) {
					if slices.Contains([]netip.AddrPort{a1, a2, a6}, to(&r)) {
						out = append(out, to(&r))
					}
				}
				return out
			}
			rows := settleSet(t, set, nil, func(rows []event.Row) bool { return len(ours(rows, event.ConnClose)) >= len(c.want) })
			eq(t, "connected to", fmt.Sprint(ours(rows, event.Connect)), fmt.Sprint(c.want))
			eq(t, "left out", counted(t, set, causeUnselected, event.Connect)-left, uint64(3-len(c.want)))
		})
	}
}

// A process of a line opens a file and starts the next one; the first waits for a word.
func init() {
	helpers["line"] = func(args []string) int {
		if args[1] == "3" {
			os.Stdin.Read(make([]byte, 8))
		}
		f, err := os.Open(args[0])
		if err != nil {
			return 1
		}
		f.Close()
		if args[1] == "1" {
			return 0
		}
		next := helper("line", args[0], map[string]string{"3": "2", "2": "1"}[args[1]])
		next.Stdin, next.Stdout = os.Stdin, os.Stdout
		if next.Run() != nil {
			return 1
		}
		return 0
	}
}

// A process asked for with its descendants is followed by the fork hook, whoever its parent is then,
// and nobody else is told.
func TestSelectionByTree(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f")
	must(t, os.WriteFile(file, nil, 0o644))
	run := func(set *bpf.Set, in bool) int {
		cmd := helper("line", file, "3")
		w, err := cmd.StdinPipe()
		must(t, err)
		must(t, cmd.Start())
		if in {
			must(t, set.Trees().Put(uint32(cmd.Process.Pid), uint32(1)))
		}
		fmt.Fprintln(w)
		must(t, cmd.Wait())
		return cmd.Process.Pid
	}
	clauses := []bpf.Clause{{Types: bit(event.Open), Preds: []bpf.Pred{{Kind: bpf.Tree, Tree: 1 << 21}}}}
	set := selecting(t, clauses, "hc_fork", "hc_exit", "hc_openat")
	opens := func(rows []event.Row) int {
		return len(only(rows, typ(event.Open), func(r *event.Row) bool { return string(r.Path) == file }))
	}
	drainSet(t, set)
	run(set, false)
	rows := drainSet(t, set)
	eq(t, "opens of others", opens(rows), 0)
	if n := len(only(rows, typ(event.Fork))); n < 3 {
		t.Errorf("%d forks of others: lineage is told whatever is selected", n)
	}
	run(set, true)
	rows = drainSet(t, set)
	eq(t, "opens of the tree", opens(rows), 3)
	var pid, mask uint32
	if set.Trees().Iterate().Next(&pid, &mask) {
		t.Errorf("process %d is still in the table", pid)
	}
	clauses[0].Preds[0].Not = true
	set = selecting(t, clauses, "hc_fork", "hc_exit", "hc_openat")
	run(set, true)
	eq(t, "opens of the tree, negated", opens(drainSet(t, set)), 0)
	run(set, false)
	eq(t, "opens of others, negated", opens(drainSet(t, set)), 3)
}

// A selection of nothing leaves lineage whole.
func TestLineageSurvivesEverySelection(t *testing.T) {
	hooks := []string{"hc_fork", "hc_exec", "hc_exit", "hc_setresuid", "hc_enter_setresuid", "hc_rename_task", "hc_setsid", "hc_openat"}
	programs(t)
	hooks = slices.DeleteFunc(hooks, func(n string) bool { return n != "hc_exit" && shared.set.Hook(n) == nil })
	set := selecting(t, []bpf.Clause{}, hooks...)
	drainSet(t, set)
	must(t, exec.Command("/bin/true").Run())
	ownThread(func() {
		unix.RawSyscall(unix.SYS_SETRESUID, ^uintptr(0), 65534, ^uintptr(0))
		name := append([]byte("other"), 0)
		unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(&name[0])), 0, 0, 0)
	})
	rows := drainSet(t, set)
	for _, ty := range []event.Type{event.Fork, event.Exec, event.Exit, event.CredChange} {
		if len(only(rows, typ(ty))) == 0 {
			t.Errorf("no %s row", ty)
		}
	}
	if slices.Contains(hooks, "hc_rename_task") && len(only(rows, typ(event.SetName))) == 0 {
		t.Error("no set_name row")
	}
	eq(t, "opens", len(only(rows, typ(event.Open))), 0)
}

// Totals of reads and writes go on when only they are asked for, and the other way round.
func TestSelectionOfTotals(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	for _, c := range []struct {
		ask    event.Type
		writes int
		totals int
	}{{event.IO, 0, 1}, {event.FirstWrite, 1, 0}} {
		set := selecting(t, []bpf.Clause{{Types: bit(c.ask)}}, "hc_write", "hc_exit")
		var tid int
		done := make(chan struct{})
		go func() {
			defer close(done)
			ownThread(func() {
				tid = unix.Gettid()
				fd, err := unix.Open(path, unix.O_CREAT|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
				if err != nil {
					t.Error(err)
					return
				}
				unix.Write(fd, []byte("one"))
				unix.Write(fd, []byte("two"))
				unix.Close(fd)
			})
		}()
		<-done
		rows := settleSet(t, set, nil, func(rows []event.Row) bool { return len(only(rows, typ(event.Exit), thread(tid))) > 0 })
		eq(t, c.ask.String()+": writes", len(only(rows, typ(event.FirstWrite), thread(tid))), c.writes)
		eq(t, c.ask.String()+": totals", len(only(rows, typ(event.IO), thread(tid))), c.totals)
	}
}

// The programs and the recorder agree on what is lineage.
func TestLineageIsTheCatalogues(t *testing.T) {
	b, err := os.ReadFile("../include/select.h")
	must(t, err)
	_, def, _ := strings.Cut(string(b), "#define HC_SEL_ALWAYS")
	def, _, _ = strings.Cut(def, "\n\n")
	var set uint64
	for _, m := range regexp.MustCompile(`1ULL << HC_(\w+)`).FindAllStringSubmatch(def, -1) {
		e := event.ByName(strings.ToLower(m[1]))
		if e == nil {
			t.Fatalf("no event %s", m[1])
		}
		set |= 1 << e.ID
	}
	eq(t, "lineage", set, event.Lineage)
}
