//go:build linux && amd64

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"hindcast/format/event"
	"hindcast/replay"
	"hindcast/replay/load"
	"hindcast/replay/state"
	"hindcast/testdata/oracle"
)

// A random program forks, vforks, clones, threads, execs from threads, makes subreapers and pid
// namespaces, reuses a pid, and notes every answer of the kernel. What the recording says of it
// is exactly that. HINDCAST_ORACLE_STEPS and HINDCAST_ORACLE_SEED make it longer or another one.
func TestRandomProgramEqualsItsLog(t *testing.T) {
	needRecording(t)
	steps, seed := 100_000, uint64(1)
	if s := os.Getenv("HINDCAST_ORACLE_STEPS"); s != "" {
		steps, _ = strconv.Atoi(s)
	}
	if s := os.Getenv("HINDCAST_ORACLE_SEED"); s != "" {
		seed, _ = strconv.ParseUint(s, 10, 64)
	}
	if testing.Short() {
		steps = 5_000
	}
	dir := t.TempDir()
	prog, log, store := filepath.Join(dir, "oracle"), filepath.Join(dir, "log"), filepath.Join(dir, "store")
	p := oracle.Make(seed, steps, prog, freePid(t))
	if err := os.WriteFile(prog, p.File, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(log, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(log, min(int64(steps)*64*4+1<<20, oracle.LogSize)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(buildHindcast(t), "record", "-w", store, "--", "/bin/sh", "-c", `exec 3<>"$1"; exec "$0" "$2"`, prog, log, p.Arg)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("record: %v\n%s", err, out)
	}
	t.Logf("record: %s", out)
	b, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	notes, err := oracle.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	c, err := load.Open(store, load.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	o := match{t: t, p: p, notes: notes, key: make([]state.ProcKey, len(p.Nodes)), forks: map[state.ProcKey][]forkRow{}}
	o.rows(c)
	if o.lost > 0 {
		t.Logf("%d rows were lost by the ledger: what concerns them cannot be compared", o.lost)
	}
	o.identify()
	m, err := replay.Build(c, replay.Options{})
	if err != nil {
		t.Fatal(err)
	}
	o.compare(m)
	t.Logf("%d steps, %d notes, %d processes (%s), %d adopted, %d lives of the reused pid, %d wrong", p.Steps, len(notes), o.found, o.kinds(), o.adopted, o.reused, o.wrong)
	if o.moved > o.adopted/20+1 {
		t.Errorf("%d of %d adopted processes have a last parent other than the one they were told", o.moved, o.adopted)
	}
	if o.found < steps/8 || o.adopted == 0 || o.reused < 2 {
		t.Error("the program did too little: the test tests nothing")
	}
}

// freePid returns a pid that nobody has and that the kernel will not soon give to others.
func freePid(t *testing.T) int {
	b, err := os.ReadFile("/proc/sys/kernel/pid_max")
	if err != nil {
		t.Fatal(err)
	}
	top, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	for p := top - 100; p > top/2; p-- {
		if _, err := os.Stat(fmt.Sprintf("/proc/%d", p)); os.IsNotExist(err) {
			return p
		}
	}
	t.Fatal("no pid is free")
	return 0
}

type forkRow struct {
	ts    int64
	child state.ProcKey
	nspid uint32
	used  bool
}

// match finds the processes of a program in a recording.
type match struct {
	t     *testing.T
	p     *oracle.Program
	notes []oracle.Note
	key   []state.ProcKey
	forks map[state.ProcKey][]forkRow // by creator
	lost  int64

	found, wrong, adopted, reused int
	moved                         int // adopted again after they asked
	how                           map[string]int
}

func (o *match) bad(n int, format string, args ...any) {
	if o.wrong++; o.wrong <= 20 {
		o.t.Errorf("process %d (%s, %v): %s", n, o.p.Nodes[n].How, o.key[n], fmt.Sprintf(format, args...))
	}
}

func (o *match) kinds() string {
	var s []string
	for _, k := range []string{"fork", "vfork", "clone", "clone3", "settid", "parent", "pidns"} {
		s = append(s, fmt.Sprintf("%s %d", k, o.how[k]))
	}
	return strings.Join(s, " ")
}

func (o *match) rows(c load.Source) {
	err := c.Scan(0, 0, func(r *event.Row, _ load.RowID) error {
		switch r.Type {
		case event.Ledger:
			o.t.Logf("ledger: class %v, %d lost, %s %s", event.Type(r.N1), r.N2, r.Text, r.Text2)
			switch event.Type(r.N1) {
			case 0, event.Fork, event.Exec, event.Exit, event.Reparent:
				o.lost += r.N2
			}
		case event.Fork:
			if r.N1&0x10000 == 0 {
				k := state.ProcKey{PID: r.PID, Start: r.PStart}
				o.forks[k] = append(o.forks[k], forkRow{int64(r.TS), state.ProcKey{PID: r.OPID, Start: r.OStart}, uint32(r.N5), false})
			}
		}
		return nil
	})
	if err != nil {
		o.t.Fatal(err)
	}
}

// identify gives every process of the program the key that the recording has for it: by its
// creator and by when the kernel made it, since pids come again.
func (o *match) identify() {
	o.how = map[string]int{}
	byNode := map[int]*oracle.Note{}
	for i := range o.notes {
		n := &o.notes[i]
		switch n.What {
		case oracle.NoteFork:
			byNode[n.Other] = n
		case oracle.NoteStart:
			if n.Node == 0 {
				for k := range o.forks {
					if k.PID == uint32(n.Value[0]) {
						o.key[0] = k
					}
				}
			}
		}
	}
	if o.key[0].PID == 0 {
		o.t.Fatal("the program itself is not in the recording")
	}
	o.found = 1
	for id := 1; id < len(o.p.Nodes); id++ {
		n := byNode[id]
		if n == nil || n.Value[0] < 0 {
			continue // its creator never came to it, or was refused
		}
		up := o.key[n.Node]
		if up.PID == 0 {
			continue // told already
		}
		candidates := 0
		rows := o.forks[up]
		for i := range rows {
			f := &rows[i]
			if f.ts < n.Before() || f.ts > n.After() || f.used {
				continue
			}
			if o.p.Nodes[id].How != "pidns" && f.nspid != uint32(n.Value[0]) && f.child.PID != uint32(n.Value[0]) {
				continue
			}
			candidates++
			f.used = true
			o.key[id] = f.child
		}
		if candidates != 1 {
			o.bad(id, "%d fork rows of %v for the answer %d", candidates, up, n.Value[0])
			continue
		}
		o.found++
		o.how[o.p.Nodes[id].How]++
		if o.p.Nodes[id].How == "settid" {
			o.reused++
		}
	}
	// and none beside them
	for id := range o.p.Nodes {
		for _, f := range o.forks[o.key[id]] {
			if !f.used && o.key[id].PID != 0 {
				o.bad(id, "made %v, which is not in its log", f.child)
			}
		}
	}
}

func (o *match) compare(m *replay.Model) {
	t := m.State
	execs, threads, reapers := make([]int, len(o.key)), make([]int, len(o.key)), make([]bool, len(o.key))
	for i := range o.notes {
		n := &o.notes[i]
		switch n.What {
		case oracle.NoteReplaced:
			execs[n.Node] = max(execs[n.Node], n.Other)
		case oracle.NoteThread:
			threads[n.Node]++
		case oracle.NoteReaper:
			reapers[n.Node] = true
		}
	}
	for id, n := range o.p.Nodes {
		for _, e := range n.Execs[:execs[id]] {
			if e.ByThread {
				threads[id]++
			}
		}
		k := o.key[id]
		if k.PID == 0 {
			continue
		}
		pid, ok := t.Proc(k)
		if !ok {
			o.bad(id, "not in the model")
			continue
		}
		p := &t.Procs[pid]
		if id > 0 {
			if p.Creator == state.None || t.Procs[p.Creator].ProcKey != o.key[n.Creator.ID] {
				o.bad(id, "has another creator")
			}
			if !p.Exited || p.ExitInferred || int(p.ExitCode) != n.Code || int(p.ExitSignal) != n.Sig {
				o.bad(id, "ended %v with %d and signal %d, not %d and %d", p.Exited, p.ExitCode, p.ExitSignal, n.Code, n.Sig)
			}
		}
		if int(p.Threads) != threads[id]+1 {
			o.bad(id, "%d threads, not %d", p.Threads, threads[id]+1)
		}
		var images []*state.Image
		for i := range p.Images {
			if im := &p.Images[i]; im.Known && !im.Inherited && strings.HasPrefix(im.Argv, "o") {
				images = append(images, im)
			}
		}
		if len(images) != execs[id] {
			o.bad(id, "%d programs, not %d", len(images), execs[id])
			continue
		}
		for i, im := range images {
			if im.Args()[0] != n.Execs[i].Name || (im.Flags&state.ExecByOther != 0) != n.Execs[i].ByThread {
				o.bad(id, "program %d is %q, flags %#x, not %+v", i, im.Args()[0], im.Flags, n.Execs[i])
			}
		}
	}
	// What a process was told of its parent is what the replay says of that time.
	for i := range o.notes {
		n := &o.notes[i]
		k := o.key[n.Node]
		if k.PID == 0 || n.Node == 0 {
			continue
		}
		pid, ok := t.Proc(k)
		if !ok {
			continue
		}
		p := &t.Procs[pid]
		node := o.p.Nodes[n.Node]
		var ups []state.Parent // which may have been its parent then
		var told int64
		switch n.What {
		case oracle.NoteStart:
			if p.Begin() == 0 || len(p.Parents) == 0 {
				o.bad(n.Node, "has no parent")
				continue
			}
			ups, told = p.Parents[:1], n.Value[1]
			if node.Creator.Leaves || node.How == "parent" { // which may have ended before it asked
				ups = p.Parents
			}
		case oracle.NoteAdopted:
			// Its end comes at once after it asked, but another adopter may end in between.
			o.adopted++
			ups, told = p.Parents[min(1, len(p.Parents)-1):], n.Value[0]
			if !o.is(t, p, ups[len(ups)-1], told) {
				o.moved++
			}
		default:
			continue
		}
		matches := false
		for _, up := range ups {
			matches = matches || o.is(t, p, up, told)
		}
		if !matches {
			o.bad(n.Node, "it was told that its parent is %d; the replay has %v (note %d)", told, o.parents(t, p), n.What)
		}
	}
}

// is tells whether a parent is what the process was told by getppid: 0 when it is outside.
func (o *match) is(t *state.Table, p *state.Process, up state.Parent, told int64) bool {
	q := &t.Procs[up.Proc]
	if q.PidNS != p.PidNS {
		return told == 0
	}
	return int64(q.NSPID) == told || q.NSPID == 0 && int64(q.PID) == told
}

func (o *match) parents(t *state.Table, p *state.Process) (s []string) {
	for _, up := range p.Parents {
		q := &t.Procs[up.Proc]
		s = append(s, fmt.Sprintf("%d (%d in ns %d, inferred %v)", q.PID, q.NSPID, q.PidNS, up.Inferred))
	}
	return append(s, fmt.Sprintf("itself in ns %d", p.PidNS))
}
