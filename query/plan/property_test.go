package plan

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hindcast/format/clock"
	"hindcast/format/event"
	"hindcast/replay"
	"hindcast/replay/graph"
	"hindcast/replay/load"
	"hindcast/replay/state"
)

// facts lists a model's certain edges by identity: what the rows state, without numbers
// that depend on how many entities there are.
func facts(m *replay.Model) map[string]bool {
	g, t := m.Graph, m.State
	key := func(n graph.Node) string {
		k, i := g.Kind(n)
		switch k {
		case graph.Process:
			p := &t.Procs[i]
			return fmt.Sprintf("process %d/%d", p.PID, p.Start)
		case graph.File:
			o := &t.Files[i]
			if !o.Keyed {
				return "named " + t.Names.String(o.LastName())
			}
			return fmt.Sprintf("file %v", o.ObjectKey)
		case graph.Remote:
			return fmt.Sprintf("remote %s:%d", t.Names.String(g.Remotes[i].Addr), g.Remotes[i].Port)
		}
		s := &t.Socks[i]
		if s.Family == state.FamilyUnix && s.Ino != 0 {
			return fmt.Sprintf("socket %d %d", k, s.Ino) // by inode: what else is known of it may be missing
		}
		return fmt.Sprintf("socket %d %d %d %s:%d", k, s.Cookie, s.Ino, t.Names.String(s.RAddr), s.RPort)
	}
	out := map[string]bool{}
	for i := range g.Edges {
		e := &g.Edges[i]
		if certainty(e) != "certain" || e.Verb == graph.Opened { // opened says that no read was recorded
			continue
		}
		if k, _ := g.Kind(e.To); e.Verb == graph.Join && k == graph.Remote {
			continue // that the far end is outside this host is not a statement of a row
		}
		if k, _ := g.Kind(e.From); e.Verb == graph.Join && k == graph.Remote {
			continue
		}
		out[fmt.Sprintf("%s: %s -> %s", e.Verb, key(e.From), key(e.To))] = true
	}
	return out
}

// TestMissingRowsAddNoFacts takes every row of every scenario away in turn: what is left may
// say less, and may guess, but states nothing that the whole did not.
func TestMissingRowsAddNoFacts(t *testing.T) {
	files, _ := filepath.Glob("../../testdata/scenario/*.txt")
	if len(files) == 0 {
		t.Fatal("no scenarios")
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		s := &scenario{images: map[uint32]uint32{}, starts: map[uint32]uint64{}, comms: map[uint32]string{}}
		for _, line := range strings.Split(string(b), "\n") {
			if !strings.HasPrefix(line, "ask ") && !strings.HasPrefix(line, "|") {
				if err := s.line(line); err != nil {
					t.Fatal(name, err)
				}
			}
		}
		whole, err := replay.Build(s.rows, replay.Options{})
		if err != nil {
			t.Fatal(err)
		}
		all := facts(whole)
		for i := range s.rows {
			m, err := replay.Build(slices.Delete(slices.Clone(s.rows), i, i+1), replay.Options{})
			if err != nil {
				t.Fatal(err)
			}
			for f := range facts(m) {
				if !all[f] {
					t.Errorf("%s: without row %d (%s at %v) it is certain that %s", filepath.Base(name), i, s.rows[i].Type, s.rows[i].TS, f)
				}
			}
		}
	}
}

// randomRows makes rows of every kind over few keys, as damage or an attacker might: cycles,
// reused keys, times out of order, sizes that overflow.
func randomRows(r *rand.Rand, n int) load.Mem {
	names := []string{"", "/", "/a", "/a/b", "/tmp/x", "/etc/shadow", "/dev/null", "rel", "/a/../b", "//", "memfd:x", "/etc/cron.d/j"}
	name := func() []byte { return []byte(names[r.IntN(len(names))]) }
	types := []event.Type{}
	for i := range event.Catalog {
		types = append(types, event.Catalog[i].ID)
	}
	rows := make(load.Mem, n)
	for i := range rows {
		x := &rows[i]
		x.TS = clock.Boot(r.IntN(1000))
		x.Type = types[r.IntN(len(types))]
		x.PID, x.PStart = uint32(r.IntN(6)), uint64(r.IntN(3))
		x.TID = x.PID + uint32(r.IntN(2))
		x.OPID, x.OStart = uint32(r.IntN(6)), uint64(r.IntN(3))
		x.Image, x.Cred = uint32(r.IntN(3)), uint32(r.IntN(3))
		x.Dev, x.Ino, x.Gen = uint32(r.IntN(2)), uint64(r.IntN(5)), uint32(r.IntN(2))
		x.Mode = []uint32{0, 0o100644, 0o10600, 0o20666, 0o40755, 0o140777, 0o600}[r.IntN(7)]
		x.Path, x.Path2, x.Path3, x.Text, x.Text2 = name(), name(), name(), name(), name()
		x.Ret = int64(r.IntN(5)) - 2
		x.Op = r.Uint32() >> r.IntN(32)
		x.Cookie = uint64(r.IntN(5))
		x.Family = []uint8{0, 1, 2, 10}[r.IntN(4)]
		x.Proto = []uint8{0, 6, 17}[r.IntN(3)]
		x.LAddr, x.RAddr = []byte("10.0.0.1"), []byte([]string{"", "10.0.0.1", "junk", "::1"}[r.IntN(4)])
		x.LPort, x.RPort = uint16(r.IntN(3)), uint16(r.IntN(3))
		x.ISN = uint64(r.IntN(3))<<32 | uint64(r.IntN(3))
		x.T0 = clock.Boot(r.IntN(1000)) - 10
		x.BytesIn, x.BytesOut = r.Uint64()>>r.IntN(64), r.Uint64()>>r.IntN(64)
		for _, c := range []event.Column{event.ColN1, event.ColN2, event.ColN3, event.ColN4, event.ColN5, event.ColN7, event.ColN9} {
			x.SetInt(c, int64(r.Uint64()>>r.IntN(64)))
		}
		if r.IntN(3) == 0 {
			x.N1 = 1
		}
		if r.IntN(4) == 0 {
			x.Flags = r.Uint32() & 0x7ff
		}
		x.Argv = name()
		x.Marks = r.Uint32() >> r.IntN(40)
		if r.IntN(50) == 0 {
			x.TS = clock.Boot(r.Int64()) - 1<<62
		}
	}
	return rows
}

// TestHostileRows asks everything of rows that make no sense: every question ends, none
// panics, and the same rows give the same bytes.
func TestHostileRows(t *testing.T) {
	rounds := 50
	if testing.Short() {
		rounds = 20
	}
	for seed := range rounds {
		r := rand.New(rand.NewPCG(uint64(seed), 9))
		rows := randomRows(r, 20+r.IntN(200))
		var first []byte
		for pass := range 2 {
			m, err := replay.Build(rows, replay.Options{BootID: "x"})
			if err != nil {
				t.Fatal(err)
			}
			var answers []any
			for _, at := range []clock.Boot{0, 1, 500, 999} {
				tree, err := Tree(m, TreeOptions{At: at, Touched: true, KThreads: true})
				if err != nil {
					t.Fatal(err)
				}
				checkTree(t, m, tree.Processes, func(i int) (int, int) { return tree.Processes[i].Depth, tree.Processes[i].Parent })
				answers = append(answers, tree)
			}
			var ids []string
			for i := range min(len(m.State.Procs), 12) {
				ids = append(ids, m.ID('p', uint32(i)))
			}
			for i := range min(len(m.State.Files), 12) {
				ids = append(ids, m.ID('f', uint32(i)))
			}
			for i := range min(len(m.State.Socks), 12) {
				ids = append(ids, m.ID('s', uint32(i)))
			}
			for _, id := range append(ids, "1", "/tmp/x", "10.0.0.1:1", "junk", "", "@", "1@start", "p:", "f:zzzz", "comm:x") {
				for _, raw := range []bool{false, true} {
					why, err := Why(m, id, WhyOptions{Raw: raw})
					answers = append(answers, why, fmt.Sprint(err))
					blast, err := Blast(m, id, BlastOptions{Raw: raw, MaxDepth: seed % 3})
					answers = append(answers, blast, fmt.Sprint(err))
				}
			}
			b, err := json.Marshal(answers)
			if err != nil {
				t.Fatal(err)
			}
			if pass == 0 {
				first = b
			} else if string(b) != string(first) {
				t.Fatalf("seed %d: two answers differ", seed)
			}
		}
	}
}

func checkTree[P any](t *testing.T, m *replay.Model, rows []P, at func(int) (depth, parent int)) {
	t.Helper()
	for i := range rows {
		d, p := at(i)
		if p >= i || p < 0 && d != 0 {
			t.Fatalf("row %d: depth %d, parent %d", i, d, p)
		}
		if p >= 0 {
			if pd, _ := at(p); pd != d-1 {
				t.Fatalf("row %d: depth %d below one of depth %d", i, d, pd)
			}
		}
	}
}

// TestDeepDescent lays out and explains a chain of 200,000 processes.
func TestDeepDescent(t *testing.T) {
	const n = 200_000
	rows := make(load.Mem, 0, n+1)
	for i := range n {
		rows = append(rows, event.Row{TS: clock.Boot(10 + i), Type: event.Fork, PID: uint32(i + 1), TID: uint32(i + 1), PStart: uint64(i + 1),
			OPID: uint32(i + 2), OStart: uint64(i + 2), OTID: uint32(i + 2)})
	}
	m, err := replay.Build(rows, replay.Options{})
	if err != nil {
		t.Fatal(err)
	}
	tree, err := Tree(m, TreeOptions{})
	if err != nil || len(tree.Processes) != n+1 || tree.Processes[n].Depth != n {
		t.Fatalf("%v, %d processes", err, len(tree.Processes))
	}
	c, err := Why(m, fmt.Sprint(n+1), WhyOptions{})
	if err != nil || len(c.Steps) != defaultDepth {
		t.Fatalf("%v, %d steps", err, len(c.Steps))
	}
}

// TestTreeMatchesLog makes a random storm of forks, execs and exits with its own log, and
// compares the tree at random instants.
func TestTreeMatchesLog(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	type life struct {
		pid, ppid  uint32
		start, end clock.Boot
		comm       string
	}
	var rows load.Mem
	var log []life
	live := []int{}
	free := []uint32{}
	next := uint32(2)
	log = append(log, life{pid: 1, start: 1, end: 1 << 60, comm: "init"})
	live = append(live, 0)
	rows = append(rows, event.Row{TS: 2, Type: event.Process, Flags: event.FlagSnapshot, PID: 1, PStart: 1, Comm: []byte("init"), Path: []byte("/init"), Ino: 1})
	now := clock.Boot(10)
	type step struct {
		at   clock.Boot
		live map[uint32]string // pid -> "parent comm"
	}
	var steps []step
	for range 3000 {
		now += clock.Boot(1 + r.IntN(5))
		switch k := r.IntN(3); {
		case k < 2 || len(live) == 1:
			p := log[live[r.IntN(len(live))]]
			pid := next
			if len(free) > 0 && r.IntN(2) == 0 {
				pid = free[len(free)-1]
				free = free[:len(free)-1]
			} else {
				next++
			}
			rows = append(rows, event.Row{TS: now, Type: event.Fork, PID: p.pid, TID: p.pid, PStart: uint64(p.start), Comm: []byte(p.comm), Image: 1, OPID: pid, OStart: uint64(now), OTID: pid})
			l := life{pid: pid, ppid: p.pid, start: now, end: 1 << 60, comm: p.comm}
			if r.IntN(2) == 0 {
				now++
				l.comm = fmt.Sprintf("prog%d", r.IntN(9))
				rows = append(rows, event.Row{TS: now, Type: event.Exec, PID: pid, TID: pid, PStart: uint64(l.start), Image: 2, Comm: []byte(l.comm), Path: []byte("/bin/" + l.comm), Ino: 5})
			}
			live = append(live, len(log))
			log = append(log, l)
		default:
			i := 1 + r.IntN(len(live)-1)
			l := &log[live[i]]
			l.end = now
			rows = append(rows, event.Row{TS: now, Type: event.Exit, PID: l.pid, TID: l.pid, PStart: uint64(l.start), Image: 2, Comm: []byte(l.comm), Op: 2, OPID: l.ppid})
			for _, j := range live {
				if log[j].ppid == l.pid {
					log[j].ppid = 1
				}
			}
			free = append(free, l.pid)
			live = append(live[:i], live[i+1:]...)
		}
		if r.IntN(60) == 0 {
			s := step{now, map[uint32]string{}}
			for _, j := range live {
				s.live[log[j].pid] = fmt.Sprintf("%d %s", log[j].ppid, log[j].comm)
			}
			steps = append(steps, s)
		}
	}
	for i := range rows { // the parent at exit is part of the row's key only with its start
		if rows[i].Type == event.Exit {
			rows[i].OPID = 0
		}
	}
	m, err := replay.Build(rows, replay.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range steps {
		tree, err := Tree(m, TreeOptions{At: s.at})
		if err != nil {
			t.Fatal(err)
		}
		if len(tree.Processes) != len(s.live) {
			t.Fatalf("at %v: %d processes, the log has %d", s.at, len(tree.Processes), len(s.live))
		}
		for i := range tree.Processes {
			p := &tree.Processes[i]
			if got, want := fmt.Sprintf("%d %s", p.PPID, p.Image.Comm), s.live[p.PID]; got != want {
				t.Fatalf("at %v pid %d: %q, the log says %q", s.at, p.PID, got, want)
			}
			if p.Parent >= 0 && tree.Processes[p.Parent].PID != p.PPID {
				t.Fatalf("at %v pid %d lies below %d, its parent is %d", s.at, p.PID, tree.Processes[p.Parent].PID, p.PPID)
			}
		}
	}
}

func TestResolveIDs(t *testing.T) {
	var rows load.Mem
	for i := range 5000 {
		rows = append(rows, event.Row{TS: clock.Boot(i + 10), Type: event.FirstWrite, PID: uint32(i + 2), TID: uint32(i + 2), PStart: uint64(i + 1), Comm: []byte("w"),
			Dev: 1, Ino: uint64(i + 1), Mode: 0o100644, Path: fmt.Appendf(nil, "/f/%d", i), Ret: 1})
	}
	m, err := replay.Build(rows, replay.Options{BootID: "boot"})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for i := range m.State.Procs {
		id := m.ID('p', uint32(i))
		if len(id) < 6 || seen[id] {
			t.Fatalf("id %q of process %d", id, i)
		}
		seen[id] = true
		e, err := Resolve(m, strings.ToUpper(id[:1])+id[1:], nil)
		if err == nil {
			t.Fatalf("%q resolved although kinds are lower case: %v", id, e.Ref)
		}
		for _, name := range []string{id, id[:2] + strings.ToUpper(id[2:])} {
			if e, err = Resolve(m, name, nil); err != nil || e.proc != state.ProcID(i) {
				t.Fatalf("%q: %v %v", name, e.Ref, err)
			}
		}
	}
	if _, err := Resolve(m, "p:"+m.ID('p', 0)[2:3], nil); err == nil {
		t.Error("one digit of 5000 ids was not ambiguous")
	}
	if _, err := Resolve(m, "comm:w", nil); err == nil || !strings.Contains(err.Error(), "5000") {
		t.Errorf("5000 processes of one name: %v", err)
	}
	if e, err := Resolve(m, "/f/17", nil); err != nil || m.State.Files[e.file].Ino != 18 {
		t.Errorf("by path: %v", err)
	}
}

// BenchmarkBuild replays rows of a plausible mix.
func BenchmarkBuild(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	const n = 300_000
	rows := make(load.Mem, 0, n)
	now := clock.Boot(1)
	for len(rows) < n {
		now += 1000
		pid := uint32(2 + r.IntN(3000))
		x := event.Row{TS: now, PID: pid, TID: pid, PStart: uint64(pid), Comm: []byte("worker"), Image: 1, Mode: 0o100644, Dev: 1}
		ino := uint64(r.IntN(20000))
		switch k := r.IntN(20); {
		case k == 0:
			x.Type, x.OPID, x.OStart = event.Fork, uint32(r.IntN(1<<22)+5000), uint64(now)
		case k == 1:
			x.Type, x.Path, x.Ino, x.Argv = event.Exec, []byte("/usr/bin/true"), 77, []byte("true\x00")
			x.Image = 2
		case k < 8:
			x.Type, x.Ino, x.Path = event.Open, ino, fmt.Appendf(nil, "/data/dir%d/file%d", ino%100, ino)
		case k < 12:
			x.Type, x.Ino, x.Path, x.Ret = event.FirstRead, ino, fmt.Appendf(nil, "/data/dir%d/file%d", ino%100, ino), 4096
		case k < 15:
			x.Type, x.Ino, x.Path, x.Ret = event.FirstWrite, ino, fmt.Appendf(nil, "/data/dir%d/file%d", ino%100, ino), 4096
		case k < 18:
			x.Type, x.Ino, x.T0, x.BytesOut, x.N4 = event.IO, ino, now-500, 9000, int64(now)
		default:
			x.Type, x.Cookie, x.Family, x.Proto, x.Op, x.Ret = event.SockFirst, uint64(r.IntN(5000)+1), 2, 6, 1, 100
			x.LAddr, x.RAddr, x.LPort, x.RPort = []byte("10.0.0.1"), []byte("10.0.0.2"), uint16(x.Cookie), 443
		}
		rows = append(rows, x)
	}
	for b.Loop() {
		if _, err := replay.Build(rows, replay.Options{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}
