package plan

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"hindcast/format/clock"
	"hindcast/format/event"
	"hindcast/query/answer"
	"hindcast/replay"
	"hindcast/replay/cause"
	"hindcast/replay/load"
)

var update = flag.Bool("update", false, "write the answers into the scenario files")

// TestScenarios asks every scenario file its questions. The language is in
// testdata/scenario/README.md.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("../../testdata/scenario/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) { runScenario(t, name) })
	}
}

func runScenario(t *testing.T, name string) {
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	s := &scenario{images: map[uint32]uint32{}, starts: map[uint32]uint64{}, comms: map[uint32]string{}}
	var out, want strings.Builder
	lines := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
	asked := 0
	for n := 0; n < len(lines); n++ {
		line := lines[n]
		switch {
		case strings.HasPrefix(line, "|"):
			t.Fatalf("%s:%d: an answer without a question", name, n+1)
		case strings.HasPrefix(line, "ask "):
			asked++
			want.Reset()
			at := n
			for n+1 < len(lines) && strings.HasPrefix(lines[n+1], "|") {
				n++
				want.WriteString(lines[n] + "\n")
			}
			got := s.ask(t, line[4:])
			fmt.Fprintf(&out, "%s\n%s", line, got)
			if got != want.String() && !*update {
				t.Errorf("%s:%d: %s\ngot:\n%swant:\n%s", name, at+1, line, got, want.String())
			}
			if again := s.ask(t, line[4:]); again != got {
				t.Errorf("%s:%d: the same question has two answers:\n%s%s", name, at+1, got, again)
			}
		default:
			if err := s.line(line); err != nil {
				t.Fatalf("%s:%d: %v", name, n+1, err)
			}
			fmt.Fprintln(&out, line)
		}
	}
	if asked == 0 {
		t.Fatalf("%s asks nothing", name)
	}
	if *update && out.String() != string(b) {
		if err := os.WriteFile(name, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// scenario is the rows of one file, and what the short forms need to remember.
type scenario struct {
	rows    load.Mem
	model   *replay.Model
	images  map[uint32]uint32 // current exec number by pid
	starts  map[uint32]uint64
	comms   map[uint32]string
	options BlastOptions
	now     clock.Boot
}

func (s *scenario) line(line string) error {
	line = strings.TrimSpace(line)
	if line == "" || line[0] == '#' {
		return nil
	}
	w, err := words(line)
	if err != nil {
		return err
	}
	if w[0] == "secret" {
		l, err := cause.ParseSecrets(strings.Join(w[1:], " "))
		s.options.Secrets = append(s.options.Secrets, l...)
		return err
	}
	at, ok := strings.CutPrefix(w[0], "t=")
	if !ok || len(w) < 2 {
		return fmt.Errorf("want t=TIME EVENT ..., have %q", line)
	}
	if s.now, err = duration(at); err != nil {
		return err
	}
	e := event.ByName(w[1])
	if e == nil {
		return fmt.Errorf("no event %q", w[1])
	}
	r := event.Row{TS: s.now, Type: e.ID}
	given := map[string]bool{}
	for _, kv := range w[2:] {
		k, v, ok := strings.Cut(kv, "=")
		if !ok {
			return fmt.Errorf("want KEY=VALUE, have %q", kv)
		}
		given[k] = true
		if err := s.set(&r, e, k, v); err != nil {
			return fmt.Errorf("%s: %w", kv, err)
		}
	}
	s.complete(&r, given)
	s.rows = append(s.rows, r)
	s.model = nil
	return nil
}

// set gives a row one value: a short form, a common column, or a field of the event.
func (s *scenario) set(r *event.Row, e *event.Event, k, v string) error {
	num := func() (int64, error) { return strconv.ParseInt(v, 0, 64) }
	switch k {
	case "obj": // DEV.INO.GEN, INO.GEN or INO: a regular file
		r.Mode = 0o100644
		return object(r, v)
	case "pipe":
		r.Mode = 0o010600
		return object(r, "13."+v+".0")
	case "chr":
		r.Mode = 0o020666
		return object(r, v)
	case "directory":
		r.Mode = 0o040755
		return object(r, v)
	case "tcp", "udp": // LOCAL>REMOTE, or LOCAL alone
		l, rem, _ := strings.Cut(v, ">")
		r.Family, r.Proto, r.NetNS = 2, 6, 4026531840
		if k == "udp" {
			r.Proto = 17
		}
		for i, a := range []string{l, rem} {
			if a == "" {
				continue
			}
			h, p, ok := cutLast(a, ':')
			port, err := strconv.ParseUint(p, 10, 16)
			if !ok || err != nil {
				return fmt.Errorf("want ADDR:PORT, have %q", a)
			}
			if strings.Contains(h, ":") {
				r.Family = 10
			}
			if i == 0 {
				r.LAddr, r.LPort = []byte(h), uint16(port)
			} else {
				r.RAddr, r.RPort = []byte(h), uint16(port)
			}
		}
		return nil
	case "unix": // INO>PEER
		a, b, _ := strings.Cut(v, ">")
		r.Family = 1
		r.Ino, _ = strconv.ParseUint(a, 10, 64)
		r.Ino2, _ = strconv.ParseUint(b, 10, 64)
		return nil
	case "flags":
		for _, f := range strings.Split(v, ",") {
			i := slices.Index(event.FlagNames, f)
			if i < 0 {
				return fmt.Errorf("no flag %q", f)
			}
			r.Flags |= 1 << i
		}
		return nil
	case "class":
		if c := event.ByName(v); c != nil {
			r.N1 = int64(c.ID)
			return nil
		}
	case "events":
		for _, f := range strings.Split(v, ",") {
			c := event.ByName(f)
			if c == nil {
				return fmt.Errorf("no event %q", f)
			}
			r.N2 |= 1 << c.ID
		}
		return nil
	case "args", "argv":
		r.Argv = []byte(strings.Join(strings.Fields(v), "\x00") + "\x00")
		r.N4 = int64(len(r.Argv))
		return nil
	}
	for c := event.Column(0); c < event.NumColumns; c++ {
		info := &event.ColumnTable[c]
		name := info.Name
		if name == "pstart" {
			name = "start"
		}
		f := e.Field(k)
		if f != nil && f.Col != c || f == nil && name != k {
			continue
		}
		if info.Kind == event.Dict {
			r.SetBytes(c, []byte(v))
			return nil
		}
		timed := info.Kind == event.Time || c == event.ColPStart || c == event.ColOStart
		if f != nil && (f.Meaning == event.BootNS || strings.HasSuffix(f.Name, "_start")) {
			timed = true
		}
		if timed {
			d, err := duration(v)
			r.SetInt(c, int64(d))
			return err
		}
		n, err := num()
		r.SetInt(c, n)
		return err
	}
	return fmt.Errorf("no field of %s", e.Name)
}

// complete fills what the short forms leave out: the thread, the start last given for a
// pid, its exec number and its name.
func (s *scenario) complete(r *event.Row, given map[string]bool) {
	if r.Type >= event.Ledger {
		return
	}
	if given["start"] {
		if s.starts[r.PID] != r.PStart {
			s.images[r.PID], s.comms[r.PID] = 1, ""
		}
		s.starts[r.PID] = r.PStart
	} else {
		r.PStart = s.starts[r.PID]
	}
	if !given["tid"] {
		r.TID = r.PID
	}
	if r.Type == event.Exec && !given["image"] {
		s.images[r.PID]++
	}
	if given["image"] {
		s.images[r.PID] = r.Image
	}
	r.Image = s.images[r.PID]
	if r.Type == event.Exec || r.Type == event.Process {
		name := string(r.Path)
		if len(r.Path2) > 0 {
			name = string(r.Path2)
		}
		if len(r.Path2) == 0 && r.Type == event.Exec {
			r.Path2 = r.Path
		}
		s.comms[r.PID] = filepath.Base(name)
		if r.N3 == 0 && !given["nlink"] {
			r.N3 = 1
		}
	}
	if given["comm"] {
		s.comms[r.PID] = string(r.Comm)
	}
	r.Comm = []byte(s.comms[r.PID])
	switch r.Type {
	case event.Fork:
		if !given["child_start"] {
			r.OStart = uint64(r.TS)
		}
		if r.OTID == 0 {
			r.OTID = r.OPID
		}
		if r.N1&0x10000 == 0 {
			s.starts[r.OPID], s.images[r.OPID], s.comms[r.OPID] = r.OStart, r.Image, string(r.Comm)
		}
	case event.Process, event.File, event.Socket:
		r.Flags |= event.FlagSnapshot
		if r.OPID != 0 && !given["parent_start"] {
			r.OStart = s.starts[r.OPID]
		}
	case event.Exit:
		if !given["exit_flags"] && r.Flags&event.FlagThread == 0 {
			r.Op |= 2
		}
		if r.OPID != 0 && !given["parent_start"] {
			r.OStart = s.starts[r.OPID]
		}
	case event.SignalSent, event.Access, event.Session, event.SetName, event.Namespace, event.FDPassed, event.Reparent:
		if !given["target_start"] {
			r.OStart = s.starts[r.OPID]
		}
		if r.Type == event.Reparent && !given["parent_start"] {
			r.N2 = int64(s.starts[uint32(r.N1)])
		}
	case event.IO:
		if r.N2 == 0 {
			r.N2 = int64(r.TS)
		}
		if r.BytesIn > 0 && r.N3 == 0 {
			r.N3 = r.N2
		}
		if r.BytesOut > 0 && r.N4 == 0 {
			r.N4 = r.N2
		}
	case event.Connect, event.OpenFailed:
		if r.Ret < 0 {
			r.Flags |= event.FlagFailed
		}
	}
}

func object(r *event.Row, v string) error {
	p := strings.Split(v, ".")
	n := make([]uint64, len(p))
	for i := range p {
		var err error
		if n[i], err = strconv.ParseUint(p[i], 10, 64); err != nil {
			return err
		}
	}
	r.Dev, r.Gen = 2049, 1
	switch len(n) {
	case 1:
		r.Ino = n[0]
	case 2:
		r.Ino, r.Gen = n[0], uint32(n[1])
	default:
		r.Dev, r.Ino, r.Gen = uint32(n[0]), n[1], uint32(n[2])
	}
	return nil
}

// duration reads a number of milliseconds, or one with a unit.
func duration(v string) (clock.Boot, error) {
	if f, err := strconv.ParseFloat(v, 64); err == nil {
		return clock.Boot(f * 1e6), nil
	}
	d, err := time.ParseDuration(v)
	return clock.Boot(d), err
}

// words splits a line at blanks; double quotes keep a value with blanks whole.
func words(line string) ([]string, error) {
	var out []string
	var b strings.Builder
	quoted, some := false, false
	for _, c := range line {
		switch {
		case c == '"':
			quoted, some = !quoted, true
		case c == ' ' && !quoted:
			if some {
				out = append(out, b.String())
				b.Reset()
				some = false
			}
		default:
			b.WriteRune(c)
			some = true
		}
	}
	if quoted {
		return nil, errors.New("a quote is not closed")
	}
	if some {
		out = append(out, b.String())
	}
	return out, nil
}

func (s *scenario) ask(t *testing.T, q string) string {
	t.Helper()
	if s.model == nil {
		m, err := replay.Build(s.rows, replay.Options{BootID: "scenario"})
		if err != nil {
			t.Fatal(err)
		}
		s.model = m
	}
	w, err := words(q)
	if err != nil {
		t.Fatal(err)
	}
	opt := map[string]string{}
	entity := ""
	for _, x := range w[1:] {
		if k, v, ok := strings.Cut(x, "="); ok {
			opt[k] = v
		} else {
			entity = x
		}
	}
	boot := func(k string) clock.Boot {
		if opt[k] == "" {
			return 0
		}
		d, err := duration(opt[k])
		if err != nil {
			t.Fatalf("%s: %v", q, err)
		}
		return d
	}
	depth, _ := strconv.Atoi(opt["depth"])
	show := strings.Split(opt["show"], ",")
	var p printer
	switch w[0] {
	case "tree":
		a, err := Tree(s.model, TreeOptions{At: boot("at"), ByCreator: opt["by"] == "creator", Touched: slices.Contains(show, "touched")})
		if err != nil {
			t.Fatal(err)
		}
		p.tree(a, show)
	case "why":
		a, err := Why(s.model, entity, WhyOptions{At: boot("at"), Depth: depth, All: slices.Contains(show, "nodes"), Raw: opt["raw"] != ""})
		if err != nil {
			p.fail(err)
			break
		}
		p.chain(a, show)
	case "blast":
		o := s.options
		o.Since, o.Until, o.MaxDepth, o.Raw = boot("since"), boot("until"), depth, opt["raw"] != ""
		a, err := Blast(s.model, entity, o)
		if err != nil {
			p.fail(err)
			break
		}
		p.radius(a, show)
	default:
		t.Fatalf("no question %q", w[0])
	}
	return p.String()
}

// printer writes answers in the scenario's form: everything that a question is about, and
// no ids, so that files stay readable and stay the same when keys change.
type printer struct{ bytes.Buffer }

func (p *printer) f(format string, a ...any) {
	fmt.Fprintln(p, strings.TrimRight("| "+fmt.Sprintf(format, a...), " "))
}

func (p *printer) fail(err error) {
	var amb *AmbiguousError
	if errors.As(err, &amb) {
		p.f("ambiguous: %d candidates", len(amb.Candidates))
		for _, c := range amb.Candidates {
			p.f("  %s from %s %s", c.Label, ms(c.From), c.Text)
		}
		return
	}
	if errors.Is(err, ErrNoEntity) {
		p.f("no such entity")
		return
	}
	p.f("error: %v", err)
}

func ms(t answer.Time) string {
	return strconv.FormatFloat(float64(t.Boot)/1e6, 'f', -1, 64)
}

func refs(rs []answer.Ref) string {
	var out []string
	for _, r := range rs {
		out = append(out, r.Label)
	}
	return strings.Join(out, " ")
}

func (p *printer) tree(a *answer.Tree, show []string) {
	for i := range a.Processes {
		x := &a.Processes[i]
		line := strings.Repeat("  ", x.Depth) + x.Label + " " + ms(x.From) + ".."
		if x.To != nil {
			line += ms(*x.To)
		}
		if x.Image.Exe != "" && !x.Image.Inherited {
			line += " exe=" + x.Image.Exe
		}
		if x.Threads > 1 {
			line += fmt.Sprintf(" threads=%d", x.Threads)
		}
		if len(x.Images) > 1 && slices.Contains(show, "images") {
			for _, m := range x.Images {
				line += fmt.Sprintf(" %s@%s", m.Comm, ms(m.From))
			}
		}
		if x.ExitKnown {
			line += fmt.Sprintf(" exit=%d", x.ExitCode)
			if x.ExitSignal != 0 {
				line += fmt.Sprintf(" signal=%d", x.ExitSignal)
			}
		}
		if x.Origin != "fork" {
			line += " origin=" + x.Origin
		}
		if x.Reparented {
			line += " reparented"
			if x.ForkedBy != nil {
				line += "-from=" + x.ForkedBy.Label
			}
		}
		for _, n := range x.Notes {
			line += " [" + n + "]"
		}
		p.f("%s", line)
		if x.Touched != nil {
			for _, l := range []struct {
				what string
				ts   []answer.Touch
			}{{"wrote", x.Touched.Written}, {"read", x.Touched.Read}, {"peer", x.Touched.Peers}} {
				for _, y := range l.ts {
					p.f("%s. %s %s %d", strings.Repeat("  ", x.Depth), l.what, y.Label, y.Bytes)
				}
			}
		}
	}
	p.gaps(a.NotSeen, show)
}

func (p *printer) gaps(gs []answer.Gap, show []string) {
	if !slices.Contains(show, "gaps") {
		return
	}
	for _, g := range gs {
		p.f("gap: %s: %s", g.Kind, g.Text)
	}
}

func (p *printer) steps(prefix string, ss []answer.Step) {
	for i := range ss {
		s := &ss[i]
		line := prefix + s.Verb + " " + s.Title
		if s.Bytes > 0 {
			line += fmt.Sprintf(" %d bytes", s.Bytes)
		}
		if s.Actor != nil {
			line += " by " + s.Actor.Label
		}
		line += " at " + ms(s.T0) + " " + string(s.Certainty)
		if s.Reason != "" {
			line += " (" + s.Reason + ")"
		}
		p.f("%s %v", line, s.Evidence)
		for _, n := range s.Notes {
			if i := strings.Index(n, " p:"); i > 0 {
				n = n[:i]
			}
			p.f("%s  - %s", prefix, n)
		}
	}
}

func (p *printer) counts(cs []answer.Count, show []string) {
	if !slices.Contains(show, "counts") {
		return
	}
	for _, c := range cs {
		p.f("count: %s: %d to %d nodes, %d to %d edges", c.Step, c.NodesBefore, c.NodesAfter, c.EdgesBefore, c.EdgesAfter)
	}
}

func (p *printer) chain(a *answer.Chain, show []string) {
	p.f("%s %s", a.Entity.Label, a.State)
	p.steps("  ", a.Steps)
	stop, _, _ := strings.Cut(a.Stop, " p:")
	p.f("stop: %s", stop)
	for _, x := range a.Alternatives {
		p.f("or, for %d: %s", x.Of+1, x.Text)
		p.steps("    ", x.Steps)
	}
	if len(a.Attributes) > 0 {
		p.f("also:")
		p.steps("    ", a.Attributes)
	}
	if a.Hidden > 0 {
		p.f("hidden: %d", a.Hidden)
	}
	if len(a.Hubs) > 0 {
		p.f("hubs: %s", refs(a.Hubs))
	}
	p.counts(a.Counts, show)
	p.nodes(a.Nodes)
	p.gaps(a.NotSeen, show)
}

func (p *printer) nodes(ns []answer.Node) {
	for _, n := range ns {
		line := fmt.Sprintf("node: %d %s %s", n.Depth, ms(n.Reach), n.Label)
		if n.Hub {
			line += " hub"
		}
		if n.Context {
			line += " context"
		}
		p.f("%s", line)
	}
}

func witness(w answer.Witness) string {
	var via []string
	for _, s := range w.Steps {
		via = append(via, s.Verb)
	}
	return fmt.Sprintf("%s %s via [%s]", w.Strength, w.Certainty, strings.Join(via, " "))
}

func (p *printer) radius(a *answer.Radius, show []string) {
	p.f("%s from %s depth %d", a.Seed.Label, ms(a.From), a.Depth)
	for i := range a.Processes {
		x := &a.Processes[i]
		line := "process " + strings.Repeat("  ", x.Depth) + x.Label
		if x.Depth == 0 || x.Certainty != answer.Certain {
			line += " " + witness(x.Witness)
		}
		p.f("%s", line)
	}
	for _, x := range a.Files {
		line := fmt.Sprintf("file %s %s by %s", x.Path, strings.Join(x.What, ","), refs(x.By))
		if x.Bytes > 0 {
			line += fmt.Sprintf(" %d bytes", x.Bytes)
		}
		if x.Exists != "yes" {
			line += " " + x.Exists
		}
		if x.Old != "" {
			line += " was " + x.Old
		}
		p.f("%s %s", line, x.Certainty)
		for _, u := range x.Later {
			in := ""
			if u.Reached {
				in = " (in the radius)"
			}
			p.f("  later %s by %s at %s%s", u.What, u.Process.Label, ms(u.At), in)
		}
	}
	for _, x := range a.Secrets {
		line := fmt.Sprintf("secret %s (%s) read by %s %d bytes", x.Path, x.What, x.By.Label, x.Bytes)
		if x.Opened {
			line = fmt.Sprintf("secret %s (%s) opened by %s", x.Path, x.What, x.By.Label)
		}
		p.f("%s %s", line, x.Certainty)
		for _, e := range x.Egress {
			p.f("  then %s sent %d bytes to %s %s", e.Process.Label, e.Bytes, e.Peer, e.Certainty)
		}
	}
	for _, x := range a.Peers {
		line := fmt.Sprintf("peer %s %s %s sent %d received %d by %s", x.Proto, x.Address, x.Direction, x.Sent, x.Received, refs(x.By))
		if x.Internal {
			line += " internal"
		}
		if x.Open {
			line += " open"
		}
		if x.Local != nil {
			line += " local=" + x.Local.Label
		}
		if x.Tried > 0 {
			line += fmt.Sprintf(" tried=%d", x.Tried)
		}
		p.f("%s", line)
	}
	for _, x := range a.Crossed {
		p.f("crossed %s by %s", x.What, x.Process.Label)
	}
	for _, x := range a.Persistence {
		p.f("persistence %s %s %s (%s) by %s %s", x.Technique, x.Path, x.What, x.Kind, x.By.Label, x.Certainty)
	}
	for _, x := range a.Privilege {
		gain := ""
		if x.Gained {
			gain = " gained"
		}
		p.f("privilege %s uid %d to %d%s by %s %s", x.Process.Label, x.Before.EUID, x.After.EUID, gain, x.How, x.Certainty)
	}
	for _, x := range a.Influenced {
		p.f("influenced %s %s %s %s %s", x.Process.Label, x.How, x.Object.Label, x.Strength, x.Certainty)
	}
	for _, x := range a.Evasion {
		line := "evasion " + x.What
		if x.Object != nil {
			line += " " + x.Object.Label
		}
		if x.Process != nil {
			line += " by " + x.Process.Label
		}
		p.f("%s %s", line, x.Certainty)
	}
	for _, x := range a.Remaining {
		p.f("remaining %s %s since %s", x.Kind, x.Ref.Label, ms(x.Since))
	}
	for _, x := range a.Attempts {
		p.f("tried %s %s %s by %s times %d", x.What, x.Target, x.Error, x.Process.Label, x.Count)
	}
	if len(a.Hubs) > 0 {
		p.f("hubs: %s", refs(a.Hubs))
	}
	p.counts(a.Counts, show)
	p.nodes(a.Nodes)
	p.gaps(a.NotSeen, show)
}
