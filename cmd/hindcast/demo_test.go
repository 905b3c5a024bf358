//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"hindcast/bpf/kerntest/turn"
	"hindcast/format/event"
	"hindcast/query/answer"
	"hindcast/replay/load"
	"hindcast/testdata/demo/truth"
)

// An incident is recorded on this kernel and asked about through the program; what it
// answers is compared with what the incident's programs logged about themselves:
// processes by pid and start, files by device and inode, bytes by count.
func TestDemoAnswersMatchTheTruth(t *testing.T) {
	needRecording(t)
	d := recordDemo(t)
	t.Run("tree", d.tree)
	t.Run("why", d.why)
	t.Run("blast", d.blast)
}

// needRecording skips where nothing can be recorded and says what is missing.
func needRecording(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("short: records the live kernel")
	}
	if os.Geteuid() != 0 {
		t.Skip("not root: recording the kernel needs it")
	}
	if _, err := os.Stat("/sys/kernel/btf/vmlinux"); err != nil {
		t.Skipf("no kernel type information: %v", err)
	}
	t.Cleanup(turn.Take())
}

// buildHindcast returns the program under test, built as users build it.
func buildHindcast(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "hindcast")
	cmd := exec.Command("go", "build", "-o", bin, "hindcast/cmd/hindcast")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return bin
}

type demo struct {
	hindcast string
	store    string
	run      string // folder of the incident
	log      string // the truth log, itself a file that the incident writes
	facts    []truth.Fact
	rows     map[string]row // by row id
	all      *answer.Tree
	byKey    map[key]answer.Process
	byID     map[string]answer.Process
}

// key is a process as /proc names it: its start in clock ticks, of which 100 make a second.
type key struct {
	pid   int
	ticks uint64
}

const tick = uint64(time.Second / 100)

func (k key) String() string { return fmt.Sprintf("%d@%d", k.pid, k.ticks) }

func keyOf(f truth.Fact) key { return key{f.PID, f.Start} }

// inode is a file as stat(2) names it.
type inode struct{ dev, ino uint64 }

func inodeOf(i os.FileInfo) inode {
	st := i.Sys().(*syscall.Stat_t)
	return inode{uint64(st.Dev), st.Ino}
}

// row is what the test looks at of a recorded row.
type row struct {
	typ          event.Type
	actor        key
	file         inode
	laddr, raddr string
	in, out      uint64
}

func recordDemo(t *testing.T) *demo {
	t.Helper()
	dir, err := os.MkdirTemp("", "hindcast-demo-test-") // short names; t.TempDir nests the test's
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	d := &demo{hindcast: buildHindcast(t), store: filepath.Join(dir, "store"), run: filepath.Join(dir, "run"), log: filepath.Join(dir, "truth.jsonl")}
	if out, err := exec.Command("../../testdata/demo/build.sh", filepath.Join(d.run, "bin")).CombinedOutput(); err != nil {
		t.Fatalf("build the incident: %v\n%s", err, out)
	}
	cmd := exec.Command(d.hindcast, "record", "-w", d.store, "--", "../../testdata/demo/run.sh", d.run)
	cmd.Env = append(os.Environ(), truth.Env+"="+d.log)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("record: %v\n%s", err, out)
	} else {
		t.Logf("record: %s", out)
	}
	if d.facts, err = truth.Load(d.log); err != nil {
		t.Fatal(err)
	}
	d.readRows(t)
	d.all = new(answer.Tree)
	d.ask(t, d.all, "ps")
	d.byKey, d.byID = map[key]answer.Process{}, map[string]answer.Process{}
	for _, p := range d.all.Processes {
		d.byKey[key{int(p.PID), uint64(p.Start) / tick}] = p
		d.byID[p.ID] = p
	}
	return d
}

// readRows keeps every row that evidence can name.
func (d *demo) readRows(t *testing.T) {
	t.Helper()
	c, err := load.Open(d.store, load.Options{})
	if err != nil {
		t.Fatal(err)
	}
	d.rows = map[string]row{}
	var unaccounted int64
	err = c.Scan(0, 0, func(r *event.Row, id load.RowID) error {
		d.rows[id.String()] = row{
			typ: r.Type, actor: key{int(r.PID), r.PStart / tick}, file: inode{uint64(r.Dev), r.Ino},
			laddr: fmt.Sprintf("%s:%d", r.LAddr, r.LPort), raddr: fmt.Sprintf("%s:%d", r.RAddr, r.RPort),
			in: r.BytesIn, out: r.BytesOut,
		}
		if r.Type == event.Ledger && string(r.Text) == "unaccounted" {
			unaccounted += r.N2
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if f := c.Findings(); len(f) != 0 {
		t.Errorf("the recording is damaged: %v", f)
	}
	if unaccounted != 0 {
		t.Errorf("%d events lost without account", unaccounted)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// ask runs a question with JSON output and decodes the answer.
func (d *demo) ask(t *testing.T, into any, question string, args ...string) {
	t.Helper()
	argv := append([]string{question, "-o", "json", "-r", d.store}, args...)
	cmd := exec.Command(d.hindcast, argv...)
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, exit.Stderr)
		}
		t.Fatal(err)
	}
	if err := json.Unmarshal(out, into); err != nil {
		t.Fatalf("%s: %v\n%.300s", question, err, out)
	}
}

// facts of one sort, in the order they were logged.
func (d *demo) pick(want truth.Fact) []truth.Fact {
	var out []truth.Fact
	for _, f := range d.facts {
		if f.Kind == want.Kind && (want.Role == "" || f.Role == want.Role) && (want.Note == "" || f.Note == want.Note) &&
			(want.Did == "" || f.Did == want.Did) && (want.PID == 0 || f.PID == want.PID) {
			out = append(out, f)
		}
	}
	return out
}

func (d *demo) one(t *testing.T, want truth.Fact) truth.Fact {
	t.Helper()
	f := d.pick(want)
	if len(f) != 1 {
		t.Fatalf("the truth log has %d facts like %+v, want 1", len(f), want)
	}
	return f[0]
}

// process returns what the recording knows of a process of the incident.
func (d *demo) process(t *testing.T, f truth.Fact) answer.Process {
	t.Helper()
	p, ok := d.byKey[keyOf(f)]
	if !ok {
		t.Fatalf("%s %v is not in the tree", f.Role, keyOf(f))
	}
	return p
}

// keyOfID returns the process an answer names.
func (d *demo) keyOfID(t *testing.T, r answer.Ref) key {
	t.Helper()
	p, ok := d.byID[r.ID]
	if !ok {
		t.Fatalf("%s %s is not in the tree", r.Kind, r.ID)
	}
	return key{int(p.PID), uint64(p.Start) / tick}
}

// inodes returns the files that evidence rows name; the witness of a removal counts.
func (d *demo) inodes(t *testing.T, evidence []string) map[inode]bool {
	t.Helper()
	out := map[inode]bool{}
	for _, id := range evidence {
		r, ok := d.rows[id]
		if !ok {
			t.Fatalf("evidence %s is not a row of the recording", id)
		}
		if r.file.ino != 0 && r.typ < event.Listen {
			out[r.file] = true
		}
	}
	return out
}

func (d *demo) tree(t *testing.T) {
	for _, f := range d.pick(truth.Fact{Kind: truth.Process}) {
		p := d.process(t, f)
		if int(p.PPID) != f.PPID && !p.Reparented {
			t.Errorf("%s %v: parent %d, its own log says %d", f.Role, keyOf(f), p.PPID, f.PPID)
		}
		if p.Origin != "fork" || !p.ExitKnown || p.ExitCode != 0 || p.ExitSignal != 0 {
			t.Errorf("%s %v: origin %s, exit known %v code %d signal %d", f.Role, keyOf(f), p.Origin, p.ExitKnown, p.ExitCode, p.ExitSignal)
		}
		if got := d.inodes(t, p.Image.Evidence); !got[inode{f.Dev, f.Ino}] {
			t.Errorf("%s %v: program %v by rows %v, its own log says %d:%d", f.Role, keyOf(f), got, p.Image.Evidence, f.Dev, f.Ino)
		}
		if p.Image.Exe != f.Path {
			t.Errorf("%s %v: program %q, its own log says %q", f.Role, keyOf(f), p.Image.Exe, f.Path)
		}
	}
}

// The chain of the removed payload: its bytes came over a connection, a process wrote
// them, a shell started that, the web service started the shell, a remote end asked it to.
func (d *demo) why(t *testing.T) {
	planted := d.one(t, truth.Fact{Kind: truth.File, Role: "fetch", Did: "write"})
	download := d.one(t, truth.Fact{Kind: truth.Socket, Role: "fetch"})
	fetch := d.one(t, truth.Fact{Kind: truth.Process, Role: "fetch"})
	shell := d.one(t, truth.Fact{Kind: truth.Process, Role: "shell", Note: "injected"})
	web := d.one(t, truth.Fact{Kind: truth.Process, Role: "web"})
	attack := d.one(t, truth.Fact{Kind: truth.Socket, Role: "attack", Note: "injected"})
	var served truth.Fact // the same connection, seen by the service
	for _, f := range d.pick(truth.Fact{Kind: truth.Socket, Role: "web"}) {
		if f.Remote == attack.Local {
			served = f
		}
	}

	var c answer.Chain
	d.ask(t, &c, "why", filepath.Join(d.run, "tmp", planted.Path))
	isProcess := func(r *answer.Ref, f truth.Fact) bool {
		return r != nil && r.Kind == "process" && d.byID[r.ID].ID != "" && d.keyOfID(t, *r) == keyOf(f)
	}
	// overConn: a row behind the step names both ends of the connection, as this end sees them.
	overConn := func(s answer.Step, f truth.Fact) bool {
		return slices.ContainsFunc(s.Evidence, func(id string) bool {
			r := d.rows[id]
			return r.laddr == f.Local && r.raddr == f.Remote && r.actor == keyOf(f)
		})
	}
	links := []struct {
		name  string
		match func(s answer.Step) bool
	}{
		{"the write of the payload", func(s answer.Step) bool {
			return s.Verb == "write" && isProcess(s.Actor, fetch) && s.Bytes == planted.Bytes &&
				d.inodes(t, s.Evidence)[inode{planted.Dev, planted.Ino}]
		}},
		{"the connection that brought it", func(s answer.Step) bool {
			return isProcess(&s.To, fetch) && overConn(s, download) && s.Bytes == download.In
		}},
		{"the shell that started the writer", func(s answer.Step) bool { return isProcess(&s.From, shell) && isProcess(&s.To, fetch) }},
		{"the service that started the shell", func(s answer.Step) bool { return isProcess(&s.From, web) && isProcess(&s.To, shell) }},
		{"the remote end that asked the service", func(s answer.Step) bool {
			return isProcess(&s.To, web) && overConn(s, served) && strings.Contains(s.Title+" "+s.From.Label, attack.Local)
		}},
	}
	at := 0
	for _, l := range links {
		i := slices.IndexFunc(c.Steps[at:], l.match)
		if i < 0 {
			t.Errorf("the chain does not name %s after step %d\n%s", l.name, at, steps(c.Steps))
			continue
		}
		at += i + 1
	}
}

func steps(all []answer.Step) string {
	var b strings.Builder
	for i, s := range all {
		fmt.Fprintf(&b, "%2d %-8s %s: %s -> %s, %d bytes, %s, rows %v\n", i, s.Verb, s.Title, s.From.Label, s.To.Label, s.Bytes, s.Certainty, s.Evidence)
	}
	return b.String()
}

// The radius of the shell: what it and its children changed, read and spoke to, and nothing else.
func (d *demo) blast(t *testing.T) {
	shell := d.one(t, truth.Fact{Kind: truth.Process, Role: "shell", Note: "injected"})
	fetch := d.one(t, truth.Fact{Kind: truth.Process, Role: "fetch"})
	payload := d.one(t, truth.Fact{Kind: truth.Process, Role: "payload"})
	var r answer.Radius
	d.ask(t, &r, "blast", d.process(t, shell).ID)

	// Processes: two log themselves; chmod is the system's and is known by its inode.
	procs := map[key]answer.ReachedProcess{}
	for _, p := range r.Processes {
		procs[key{int(p.PID), uint64(p.Start) / tick}] = p
	}
	delete(procs, keyOf(shell))
	for _, f := range []truth.Fact{fetch, payload} {
		if _, ok := procs[keyOf(f)]; !ok {
			t.Errorf("%s %v is not in the radius", f.Role, keyOf(f))
		}
		delete(procs, keyOf(f))
	}
	chmod, err := exec.LookPath("chmod")
	if err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(chmod)
	if err != nil {
		t.Fatal(err)
	}
	if len(procs) != 1 {
		t.Errorf("%d processes besides shell, fetch and payload, want chmod alone: %v", len(procs), slices.Collect(maps.Keys(procs)))
	}
	for k, p := range procs {
		if !d.inodes(t, p.Image.Evidence)[inodeOf(st)] || int(p.PPID) != shell.PID {
			t.Errorf("%v runs %s under %d, want chmod under the shell", k, p.Image.Exe, p.PPID)
		}
	}

	// Files: exactly what the two wrote, by inode and byte count, and the log they wrote it into.
	type effect struct {
		bytes   uint64
		deleted bool
	}
	want := map[inode]effect{}
	for _, f := range d.pick(truth.Fact{Kind: truth.File, Did: "write"}) {
		want[inode{f.Dev, f.Ino}] = effect{bytes: f.Bytes}
	}
	for _, f := range d.pick(truth.Fact{Kind: truth.File, Did: "unlink"}) {
		e := want[inode{f.Dev, f.Ino}]
		e.deleted = true
		want[inode{f.Dev, f.Ino}] = e
	}
	lg, err := os.Stat(d.log)
	if err != nil {
		t.Fatal(err)
	}
	got := map[inode]effect{}
	for _, f := range r.Files {
		ids := d.inodes(t, f.Evidence)
		if len(ids) != 1 {
			t.Errorf("%s: evidence names %d files: %v", f.Path, len(ids), ids)
		}
		for id := range ids {
			if id == inodeOf(lg) {
				continue
			}
			if _, ok := want[id]; !ok {
				t.Errorf("%s %v was not planted: %v", f.Path, id, f.What)
			}
			got[id] = effect{f.Bytes, f.Exists == "deleted"}
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("files in the radius %v, planted %v", got, want)
	}

	// Secrets: exactly those that were read, each followed by the bytes that went out.
	wantSecrets := map[inode]uint64{}
	for _, f := range d.pick(truth.Fact{Kind: truth.File, Note: "secret"}) {
		wantSecrets[inode{f.Dev, f.Ino}] = f.Bytes
	}
	gotSecrets := map[inode]uint64{}
	exfil := d.one(t, truth.Fact{Kind: truth.Socket, Role: "payload"})
	for _, s := range r.Secrets {
		for id := range d.inodes(t, s.Evidence) {
			gotSecrets[id] = s.Bytes
		}
		if d.keyOfID(t, s.By) != keyOf(payload) {
			t.Errorf("%s: read by %s, not by the payload", s.Path, s.By.Label)
		}
		if !slices.ContainsFunc(s.Egress, func(e answer.Egress) bool { return e.Peer == exfil.Remote && e.Bytes == exfil.Out }) {
			t.Errorf("%s: no %d bytes to %s after it: %+v", s.Path, exfil.Out, exfil.Remote, s.Egress)
		}
	}
	if !maps.Equal(gotSecrets, wantSecrets) {
		t.Errorf("secrets in the radius %v, read %v", gotSecrets, wantSecrets)
	}

	// Peers: exactly the two that were spoken to, with the bytes each way.
	type traffic struct{ sent, received uint64 }
	wantPeers, gotPeers := map[string]traffic{}, map[string]traffic{}
	for _, role := range []string{"fetch", "payload"} {
		f := d.one(t, truth.Fact{Kind: truth.Socket, Role: role})
		wantPeers[f.Remote] = traffic{f.Out, f.In}
	}
	for _, p := range r.Peers {
		gotPeers[p.Address] = traffic{p.Sent, p.Received}
	}
	if !maps.Equal(gotPeers, wantPeers) {
		t.Errorf("peers in the radius %v, spoken to %v", gotPeers, wantPeers)
	}

	// Persistence: the one file that would be run again.
	cron := d.one(t, truth.Fact{Kind: truth.File, Note: "persistence"})
	if len(r.Persistence) != 1 || !d.inodes(t, r.Persistence[0].Evidence)[inode{cron.Dev, cron.Ino}] {
		t.Errorf("persistence %+v, planted %s", r.Persistence, cron.Path)
	}

	// Influence may reach the service, the attacker's two programs and the script, never the earlier shell.
	benign := d.one(t, truth.Fact{Kind: truth.Process, Role: "shell", Note: "benign"})
	for _, i := range r.Influenced {
		if d.keyOfID(t, i.Process) == keyOf(benign) {
			t.Errorf("the shell of the harmless request is in the radius: %s", i.How)
		}
	}
}
