package plan

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"hindcast/format/clock"
	"hindcast/format/event"
	"hindcast/query/answer"
	"hindcast/query/lang/sym"
	"hindcast/replay"
	"hindcast/replay/cause"
	"hindcast/replay/gap"
	"hindcast/replay/graph"
	"hindcast/replay/load"
	"hindcast/replay/state"
)

// BlastOptions limit a radius. The zero value is all that the seed led to by the end of the
// recording, hubs and long-lived bystanders listed and not walked through.
type BlastOptions struct {
	// Since counts only what the seed did after it; 0: from its beginning.
	Since clock.Boot
	// Until counts only what began by then; 0: the end of the recording.
	Until clock.Boot
	// MaxDepth is the longest path from the seed, in edges; 0: no limit.
	MaxDepth int
	// Raw walks through hubs and bystanders, follows weak edges and lists every member.
	Raw bool
	// Secrets are more sensitive files, before the built-in list.
	Secrets cause.List
	// Persistence are more places that run again, before the built-in list.
	Persistence cause.List
	// Loc is the zone of times in the entity's name; nil is UTC.
	Loc *time.Location
}

// Blast answers what an entity led to: its actual radius, the forward closure in groups.
//
// The walk follows everything that carries control, and data into processes that began
// after the seed or read it from a pipe. A process that was already running, and was
// reached only by data it read or received, is a bystander: it is listed as influenced with
// its witness, and what it did afterwards is not put down to the seed. So is an ancestor
// that reads the seed's output. Raw walks through them.
func Blast(m *replay.Model, entity string, o BlastOptions) (*answer.Radius, error) {
	e, err := Resolve(m, entity, o.Loc)
	if err != nil {
		return nil, err
	}
	_, end := m.Bounds()
	if o.Until == 0 {
		o.Until = max(end, m.State.End)
	}
	b := &blast{view: view{m}, o: o, seeds: map[graph.Node]bool{}, owner: map[state.ProcID]bool{}, above: map[state.ProcID]bool{}}
	return b.answer(e), nil
}

type blast struct {
	view
	o     BlastOptions
	from  clock.Boot
	seeds map[graph.Node]bool
	set   *cause.Set
	procs []state.ProcID // reached, in order
	owner map[state.ProcID]bool
	above map[state.ProcID]bool // ancestors of seeds
	out   *answer.Radius
}

func (b *blast) answer(e Entity) *answer.Radius {
	g, t := b.m.Graph, b.m.State
	b.out = &answer.Radius{Seed: e.Ref, MaxDepth: b.o.MaxDepth,
		Processes: []answer.ReachedProcess{}, Files: []answer.FileEffect{}, Secrets: []answer.Secret{}, Peers: []answer.Peer{},
		Crossed: []answer.Crossing{}, Persistence: []answer.Persistence{}, Privilege: []answer.Privilege{}, Influenced: []answer.Influence{},
		Evasion: []answer.Evasion{}, Remaining: []answer.Remaining{}, Attempts: []answer.Attempt{}, Hubs: []answer.Ref{},
		Counts: []answer.Count{}, Nodes: []answer.Node{}, NotSeen: []answer.Gap{}}
	var seeds []cause.Seed
	b.from = clock.Boot(lastInstant)
	for _, n := range e.Nodes {
		at := b.begin(n)
		if b.o.Since != 0 {
			at = max(at, b.o.Since-1)
		}
		if e.At != 0 && b.o.Since == 0 && e.proc == state.None {
			at = max(at, e.At-1)
		}
		b.from = min(b.from, at+1)
		seeds = append(seeds, cause.Seed{Node: n, At: at})
		b.seeds[n] = true
	}
	if e.proc != state.None {
		for p, n := e.proc, 0; n < mostAncestors; n++ {
			up, _ := b.m.Time.Up(p)
			if up == state.None || b.above[up] {
				break
			}
			b.above[up] = true
			p = up
		}
	}
	opt := cause.Options{Tolerance: 1, Until: b.o.Until, MaxDepth: b.o.MaxDepth}
	whole := cause.Forward(g, seeds, cause.Options{Tolerance: 1, Until: b.o.Until, Weak: b.o.Raw, MaxDepth: b.o.MaxDepth})
	opt.Stop = b.m.Classes.Hub
	hubs := cause.Forward(g, seeds, opt)
	opt.Follow = b.follow
	b.set = cause.Forward(g, seeds, opt)
	n0, n1, n2 := b.entities(whole.Order), b.entities(hubs.Order), b.entities(b.set.Order)
	count := func(step string, x0, x1, e0, e1 int, text string) {
		b.out.Counts = append(b.out.Counts, answer.Count{Step: step, NodesBefore: x0, NodesAfter: x1, EdgesBefore: e0, EdgesAfter: e1, Text: text})
	}
	count("forward closure", g.Nodes(), n0, len(g.Edges), whole.Edges, "everything that it could have influenced by time")
	count("hubs stop the walk", n0, n1, whole.Edges, hubs.Edges, "walked into, not through")
	count("bystanders not followed", n1, n2, hubs.Edges, b.set.Edges,
		fmt.Sprintf("%d processes already ran and were reached by data only: listed as influenced", len(b.set.Listed)))
	if b.o.Raw {
		b.set = whole
	}
	for _, n := range b.set.Order {
		b.out.Depth = max(b.out.Depth, b.set.Depth(n))
		if p := g.Proc(n); p != state.None {
			b.procs = append(b.procs, p)
			b.owner[p] = true
		}
		if b.m.Classes.Hub(n) && len(g.Out(n)) > 0 && len(b.out.Hubs) < mostHubs {
			if k, _ := g.Kind(n); k == graph.File || k == graph.Process || k == graph.SockIn {
				b.out.Hubs = append(b.out.Hubs, b.node(n, b.set.Reach(n)))
			}
		}
		if b.o.Raw {
			b.out.Nodes = append(b.out.Nodes, b.member(b.set, n, true))
		}
	}
	b.out.From, b.out.Until = b.time(max(b.from, t.Begin)), b.time(b.o.Until)
	b.processes()
	b.files()
	b.secrets()
	b.peers()
	b.crossed()
	b.privilege()
	b.influenced()
	b.remaining()
	b.attempts()
	b.evasion()
	for _, q := range radiusQuestions {
		b.out.NotSeen = append(b.out.NotSeen, b.notObservable(q.title, b.out.From.Boot, b.o.Until, q.events)...)
	}
	b.out.NotSeen = append(b.out.NotSeen, b.notSeen(b.out.From.Boot, b.o.Until, radiusEvents)...)
	b.unknownOwners()
	return b.out
}

// begin is the instant just before which a seed could first have influenced anything.
func (b *blast) begin(n graph.Node) clock.Boot {
	t := b.m.State
	k, i := b.m.Graph.Kind(n)
	switch k {
	case graph.Process:
		return t.Procs[i].Begin() - 1
	case graph.File:
		o := &t.Files[i]
		if o.Created {
			return o.CreatedAt - 1
		}
		for _, x := range b.m.Graph.In(n) {
			if e := &b.m.Graph.Edges[x]; e.Verb == graph.Write || e.Verb == graph.Truncate || e.Verb == graph.Rename {
				return e.T0 - 1
			}
		}
		return t.Begin - 1
	case graph.SockIn, graph.SockOut:
		return t.Socks[i].Opened - graph.StreamSlack - 1
	}
	return t.Begin - 1
}

// follow says whether the walk goes on from the process that an edge reaches.
func (b *blast) follow(e *graph.Edge, near, far graph.Node) bool {
	p := b.m.Graph.Proc(far)
	if p == state.None || b.seeds[far] {
		return true
	}
	switch e.Verb {
	case graph.Fork, graph.Exec, graph.Map, graph.Inject:
		return true
	}
	if b.above[p] {
		return false // the seed's output, read by who started it
	}
	if b.seeds[near] {
		return true
	}
	if b.m.State.Procs[p].Begin() >= b.from {
		return !b.returns(near, p)
	}
	f := b.m.Graph.Object(near)
	return e.Verb == graph.Read && f != state.None && b.m.State.Files[f].Pipe() && !b.returns(near, p)
}

// returns reports whether a pipe carries the output of p's own descendants back to it.
func (b *blast) returns(pipe graph.Node, p state.ProcID) bool {
	if f := b.m.Graph.Object(pipe); f == state.None || !b.m.State.Files[f].Pipe() {
		return false
	}
	for _, i := range b.m.Graph.In(pipe) {
		if e := &b.m.Graph.Edges[i]; e.Verb == graph.Write {
			if q := b.m.Graph.Proc(e.From); q != state.None && q != p && !b.descends(q, p) {
				return false
			}
		}
	}
	return true
}

// after reports whether an edge of a reached process counts: it ended after the process was reached.
func (b *blast) after(e *graph.Edge, p state.ProcID) bool {
	return e.T1 > b.set.Reach(graph.Node(p))-1 && e.T0 <= b.o.Until
}

func (b *blast) witness(n graph.Node, last ...uint32) answer.Witness {
	edges := append(slices.Clip(b.set.Witness(n, 0)), last...)
	w := answer.Witness{Steps: b.path(edges, b.from-1), Strength: answer.Control}
	w.Depth = len(w.Steps)
	for _, i := range edges {
		e := &b.m.Graph.Edges[i]
		if e.Verb == graph.Join {
			continue
		}
		switch s := strength(e); {
		case s == answer.Weak:
			w.Strength = s
		case s == answer.Data && w.Strength == answer.Control:
			w.Strength = s
		}
	}
	w.Certainty = worst(w.Steps)
	return w
}

func (b *blast) processes() {
	for _, p := range b.procs {
		n := graph.Node(p)
		r := answer.ReachedProcess{Process: b.process(p, lastInstant), Reached: b.time(max(b.set.Reach(n), b.m.State.Procs[p].Begin())), Witness: b.witness(n)}
		r.Depth, r.Parent = 0, -1
		r.Certainty = worse(r.Certainty, r.Witness.Certainty)
		b.out.Processes = append(b.out.Processes, r)
	}
	// Tree order: below the nearest reached ancestor.
	at := map[state.ProcID]int{}
	for i, p := range b.procs {
		at[p] = i
	}
	order := b.m.Time.Tree(func(p state.ProcID) bool { return b.owner[p] }, func(p state.ProcID) state.ProcID {
		up, _ := b.m.Time.Up(p)
		return up
	})
	sorted := make([]answer.ReachedProcess, 0, len(order))
	for _, r := range order {
		x := b.out.Processes[at[r.Proc]]
		x.Depth, x.Parent = r.Depth, r.Parent
		sorted = append(sorted, x)
	}
	b.out.Processes = sorted
}

// radiusQuestions are the groups of a radius and the events without which an empty group means
// nothing. The titles are those that the groups are shown under.
var radiusQuestions = []struct {
	title  string
	events uint64
}{
	{"processes", gap.Events(event.Fork, event.Exec)},
	{"secrets read", gap.Events(event.Open, event.FirstRead)},
	{"persistence points written", gap.Events(event.Open, event.FirstWrite, event.Rename)},
	{"files changed", gap.Events(event.Open, event.FirstWrite, event.Rename, event.Link, event.Unlink, event.Chmod, event.Truncate, event.Mkdir)},
	{"peers", gap.Events(event.Connect, event.Accept, event.SockFirst)},
	{"privilege changes", gap.Events(event.CredChange, event.Exec)},
	{"boundaries crossed", gap.Events(event.Exec, event.Namespace)},
	{"influenced without descending from it", gap.Events(event.FirstRead, event.SockFirst, event.SignalSent, event.MmapExec, event.Access)},
	{"signs of hiding", gap.Events(event.Unlink, event.Exec)},
	{"tried and failed", gap.Events(event.OpenFailed, event.Connect)},
}

var effects = map[graph.Verb]string{graph.Write: "written", graph.Create: "created", graph.Truncate: "truncated", graph.Rename: "renamed",
	graph.Link: "linked", graph.Chmod: "chmod", graph.Chown: "chown", graph.Unlink: "deleted", graph.Mkdir: "mkdir", graph.Symlink: "symlink", graph.Store: "mapped writable"}

// files collects what reached processes changed, and who used it afterwards.
func (b *blast) files() {
	g, t := b.m.Graph, b.m.State
	persistence := append(slices.Clip(b.o.Persistence), cause.Persistence()...)
	type effect struct {
		file  state.FileID
		edges []uint32
	}
	byFile := map[state.FileID]*effect{}
	var order []*effect
	for _, p := range b.procs {
		for _, i := range g.Out(graph.Node(p)) {
			e := &g.Edges[i]
			f := g.Object(e.To)
			if effects[e.Verb] == "" || f == state.None || !b.after(e, p) || t.Files[f].Pipe() || b.m.Classes.Hub(e.To) {
				continue
			}
			x := byFile[f]
			if x == nil {
				x = &effect{file: f}
				byFile[f] = x
				order = append(order, x)
			}
			x.edges = append(x.edges, i)
		}
	}
	for _, x := range order {
		slices.Sort(x.edges) // by start
		o := &t.Files[x.file]
		first := &g.Edges[x.edges[0]]
		fe := answer.FileEffect{Ref: b.file(x.file, lastInstant), Path: b.fileLabel(x.file, lastInstant), What: []string{}, By: []answer.Ref{},
			First: b.time(first.Start()), Last: b.time(first.T1), Exists: "yes", Dir: o.Dir, Later: []answer.Use{}, Certainty: answer.Possible,
			Evidence: []string{}}
		fe.Witness = b.witness(first.From, x.edges[0])
		if o.Deleted {
			fe.Exists = "deleted"
		} else if !o.Keyed {
			fe.Exists = "unknown"
		}
		changed := clock.Boot(lastInstant)
		for _, i := range x.edges {
			e := &g.Edges[i]
			what := effects[e.Verb]
			if e.Flags&graph.Replaced != 0 {
				what = "replaced"
			}
			if !slices.Contains(fe.What, what) {
				fe.What = append(fe.What, what)
			}
			if r := b.proc(g.Proc(e.From), e.Start()); !slices.ContainsFunc(fe.By, func(q answer.Ref) bool { return q.ID == r.ID }) {
				fe.By = append(fe.By, r)
			}
			if e.Verb == graph.Write {
				fe.Bytes += e.Bytes
			}
			if e.Verb == graph.Rename && fe.Old == "" {
				fe.Old = b.name(e.Name)
			}
			if e.T1 > fe.Last.Boot {
				fe.Last = b.time(e.T1)
			}
			if c := certainty(e); c == answer.Certain || fe.Certainty == answer.Possible {
				fe.Certainty = c
			}
			if e.Verb != graph.Chmod && e.Verb != graph.Chown && e.Verb != graph.Unlink {
				changed = min(changed, e.T0)
			}
			fe.Evidence = append(fe.Evidence, b.evidence(e)...)
		}
		fe.Certainty = worse(fe.Certainty, fe.Witness.Certainty)
		for _, i := range g.Out(g.Node(graph.File, uint32(x.file))) {
			e := &g.Edges[i]
			q := g.Proc(e.To)
			if q == state.None || e.T1 <= changed || e.T0 > b.o.Until || e.Verb == graph.Opened {
				continue
			}
			fe.Later = append(fe.Later, answer.Use{Process: b.proc(q, e.Start()), What: e.Verb.String(), At: b.time(max(e.Start(), changed)), Reached: b.owner[q],
				Evidence: b.evidence(e)})
		}
		b.out.Files = append(b.out.Files, fe)
		b.persistence(persistence, x.file, x.edges, &fe)
	}
}

// persistence reports a changed file that lies where things are run again.
func (b *blast) persistence(list cause.List, f state.FileID, edges []uint32, fe *answer.FileEffect) {
	g := b.m.Graph
	seen := map[string]bool{}
	for _, i := range edges {
		e := &g.Edges[i]
		switch e.Verb {
		case graph.Write, graph.Create, graph.Truncate, graph.Rename, graph.Link, graph.Symlink:
		default:
			continue
		}
		name := e.Name
		if e.Name2 != 0 {
			name = e.Name2
		}
		p := b.name(name)
		r, whole := list.Match(p)
		if r == nil || seen[p] {
			continue
		}
		seen[p] = true
		x := answer.Persistence{Ref: fe.Ref, Path: p, What: strings.Join(fe.What, ", "), Kind: r.Kind, Technique: r.Technique, Rule: r.Glob,
			By: b.proc(g.Proc(e.From), e.Start()), Bytes: fe.Bytes, At: b.time(e.Start()), Certainty: worse(certainty(e), fe.Witness.Certainty),
			Witness: b.witness(e.From, i), Evidence: fe.Evidence}
		if !whole { // below another root: a container's, or a look-alike
			x.Certainty = worse(x.Certainty, answer.Likely)
		}
		b.out.Persistence = append(b.out.Persistence, x)
	}
}

// mostEgress bounds the closures that look for what left after a secret was read.
const mostEgress = 64

// secrets collects sensitive files that reached processes read, and what left afterwards.
func (b *blast) secrets() {
	g, t := b.m.Graph, b.m.State
	list := append(slices.Clip(b.o.Secrets), cause.Secrets()...)
	type key struct {
		p state.ProcID
		f state.FileID
	}
	at := map[key]int{}
	rules := map[state.FileID]struct {
		r     *cause.Rule
		path  string
		whole bool
	}{}
	egress := 0
	for _, p := range b.procs {
		for _, i := range g.In(graph.Node(p)) {
			e := &g.Edges[i]
			f := g.Object(e.From)
			if e.Verb != graph.Read && e.Verb != graph.Opened || f == state.None || !b.after(e, p) {
				continue
			}
			hit, ok := rules[f]
			if !ok {
				for _, n := range t.Files[f].Names {
					if hit.r, hit.whole = list.Match(b.name(n.Name)); hit.r != nil {
						hit.path = b.name(n.Name)
						break
					}
				}
				rules[f] = hit
			}
			if hit.r == nil {
				continue
			}
			k := key{p, f}
			if j, ok := at[k]; ok {
				s := &b.out.Secrets[j]
				s.Bytes += e.Bytes
				s.Evidence = append(s.Evidence, b.evidence(e)...)
				if s.Opened && e.Verb == graph.Read {
					s.Opened = false
				}
				continue
			}
			at[k] = len(b.out.Secrets)
			s := answer.Secret{Ref: b.file(f, e.Start()), Path: hit.path, Rule: hit.r.Glob, What: hit.r.Kind, By: b.proc(p, e.Start()), Bytes: e.Bytes,
				Opened: e.Verb == graph.Opened, At: b.time(e.Start()), Egress: []answer.Egress{}, Certainty: certainty(e),
				Witness: b.witness(graph.Node(p)), Evidence: b.evidence(e)}
			if s.Opened {
				s.Certainty = answer.Possible
			}
			s.Certainty = worse(s.Certainty, s.Witness.Certainty)
			if egress < mostEgress {
				egress++
				s.Egress = b.egress(p, e.Start())
			}
			b.out.Secrets = append(b.out.Secrets, s)
		}
	}
}

// egress lists what reached processes sent to the network after p had read something at t.
func (b *blast) egress(p state.ProcID, at clock.Boot) []answer.Egress {
	g := b.m.Graph
	set := cause.Forward(g, []cause.Seed{{Node: graph.Node(p), At: at - 1}},
		cause.Options{Tolerance: 1, Until: b.o.Until, Stop: b.m.Classes.Hub, Follow: b.follow})
	out := []answer.Egress{}
	for _, n := range set.Order {
		q := g.Proc(n)
		if q == state.None {
			continue
		}
		for _, i := range g.Out(n) {
			e := &g.Edges[i]
			if e.Verb != graph.Send || e.T1 < set.Reach(n) || e.T0 > b.o.Until {
				continue
			}
			s := g.Sock(e.To)
			if b.m.State.Socks[s].Family == state.FamilyUnix {
				continue
			}
			c := certainty(e)
			if e.Start() < set.Reach(n) {
				c = worse(c, answer.Likely)
			}
			out = append(out, answer.Egress{Process: b.proc(q, e.Start()), Peer: b.remote(s), Bytes: e.Bytes, At: b.time(max(e.Start(), at)), Certainty: c,
				Evidence: b.evidence(e)})
		}
	}
	return out
}

// peers collects the remote ends that reached processes spoke to.
func (b *blast) peers() {
	g, t := b.m.Graph, b.m.State
	type key struct {
		addr string
		dir  string
		port uint16 // local port of an accepted connection: the service
	}
	at := map[key]int{}
	use := func(p state.ProcID, i uint32, s state.SockID) {
		e := &g.Edges[i]
		x := &t.Socks[s]
		if x.Family == state.FamilyUnix || !b.after(e, p) {
			return
		}
		k := key{addr: b.remote(s), dir: b.direction(s)}
		if k.dir == "in" {
			k.port = x.LPort
		}
		j, ok := at[k]
		if !ok {
			j = len(b.out.Peers)
			at[k] = j
			pr := answer.Peer{Address: k.addr, Direction: k.dir, Proto: proto(x.Proto), Internal: internal(b.name(x.RAddr)), By: []answer.Ref{}, Sockets: []answer.Ref{},
				ByteKnown: true, First: b.time(e.Start()), Last: b.time(e.T1), Errors: []string{}, Certainty: certainty(e), Evidence: []string{},
				Witness: b.witness(graph.Node(p), i)}
			if o := g.Pairs[s].Sock; o != state.None && t.Socks[o].Owner != state.None {
				pr.Local = b.procPtr(t.Socks[o].Owner, e.Start())
			}
			pr.Certainty = worse(pr.Certainty, pr.Witness.Certainty)
			b.out.Peers = append(b.out.Peers, pr)
		}
		pr := &b.out.Peers[j]
		if e.Start() < pr.First.Boot {
			pr.First = b.time(e.Start())
		}
		if e.T1 > pr.Last.Boot {
			pr.Last = b.time(e.T1)
		}
		switch e.Verb {
		case graph.Send:
			pr.Sent += e.Bytes
		case graph.Recv:
			pr.Received += e.Bytes
		}
		if e.Flags&graph.Partial != 0 {
			pr.ByteKnown = false
		}
		if x.Proto == state.ProtoTCP && x.Closed == 0 {
			pr.Open = true
		}
		if r := b.proc(p, e.Start()); !slices.ContainsFunc(pr.By, func(q answer.Ref) bool { return q.ID == r.ID }) {
			pr.By = append(pr.By, r)
		}
		if r := b.sock(s); !slices.ContainsFunc(pr.Sockets, func(q answer.Ref) bool { return q.ID == r.ID }) {
			pr.Sockets = append(pr.Sockets, r)
		}
		pr.Evidence = append(pr.Evidence, b.evidence(e)...)
	}
	for _, p := range b.procs {
		n := graph.Node(p)
		for _, i := range g.Out(n) {
			if s := g.Sock(g.Edges[i].To); s != state.None {
				use(p, i, s)
			}
		}
		for _, i := range g.In(n) {
			if s := g.Sock(g.Edges[i].From); s != state.None {
				use(p, i, s)
			}
		}
	}
	slices.SortStableFunc(b.out.Peers, func(x, y answer.Peer) int {
		return cmp.Or(cmp.Compare(x.First.Boot, y.First.Boot), cmp.Compare(x.Address, y.Address))
	})
	for i := range b.out.Peers {
		p := &b.out.Peers[i]
		slices.Sort(p.Evidence)
		p.Evidence = slices.Compact(p.Evidence)
	}
}

func proto(p uint8) string {
	switch p {
	case state.ProtoTCP:
		return "tcp"
	case state.ProtoUDP:
		return "udp"
	}
	return fmt.Sprintf("ip %d", p)
}

func internal(addr string) bool {
	a, err := netip.ParseAddr(addr)
	return err == nil && (a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast() || a.IsUnspecified())
}

// crossed collects namespace changes of reached processes against what they came from.
func (b *blast) crossed() {
	t := b.m.State
	for _, p := range b.procs {
		q := &t.Procs[p]
		var prev *state.Image
		if q.Creator != state.None {
			if i := t.Procs[q.Creator].ImageAt(q.ForkAt); i >= 0 {
				prev = &t.Procs[q.Creator].Images[i]
			}
			if c := t.Procs[q.Creator].Cgroup; c != 0 && q.Cgroup != 0 && c != q.Cgroup {
				b.out.Crossed = append(b.out.Crossed, answer.Crossing{Process: b.proc(p, q.ForkAt), What: "cgroup", From: c, To: q.Cgroup, At: b.time(q.ForkAt), Evidence: rows(q.ForkRow)})
			}
		}
		for i := range q.Images {
			m := &q.Images[i]
			if m.Inherited || !m.Known {
				continue
			}
			if prev != nil && m.From >= b.set.Reach(graph.Node(p)) {
				for _, ns := range []struct {
					what     string
					from, to uint32
				}{{"pidns", prev.PidNS, m.PidNS}, {"mntns", prev.MntNS, m.MntNS}, {"netns", prev.NetNS, m.NetNS}} {
					if ns.from != ns.to && ns.from != 0 && ns.to != 0 {
						b.out.Crossed = append(b.out.Crossed, answer.Crossing{Process: b.proc(p, m.From), What: ns.what, From: uint64(ns.from), To: uint64(ns.to),
							At: b.time(m.From), Evidence: rows(m.Row)})
					}
				}
			}
			prev = m
		}
	}
	for i := range t.Deeds {
		d := &t.Deeds[i]
		if d.Type != event.Namespace || !b.did(d) {
			continue
		}
		what := "namespace"
		if names := event.Codes["ns.type"]; int(d.Op) < len(names) && names[d.Op] != "" {
			what = names[d.Op] + "ns"
		}
		b.out.Crossed = append(b.out.Crossed, answer.Crossing{Process: b.proc(d.Proc, d.At), What: what, From: d.From, To: d.To, At: b.time(d.At), Evidence: rows(d.Row)})
	}
}

// did reports whether a deed is of a reached process, at or after it was reached.
func (b *blast) did(d *state.Deed) bool {
	return d.Proc != state.None && b.owner[d.Proc] && d.At >= b.set.Reach(graph.Node(d.Proc)) && d.At <= b.o.Until
}

// privilege collects changes of credentials of reached processes.
func (b *blast) privilege() {
	t := b.m.State
	for _, p := range b.procs {
		q := &t.Procs[p]
		for i := 1; i < len(q.Creds); i++ {
			c := q.Creds[i]
			if c.From < b.set.Reach(graph.Node(p)) || c.From > b.o.Until {
				continue
			}
			was, is := &t.Creds[q.Creds[i-1].Cred], &t.Creds[c.Cred]
			x := answer.Privilege{Process: b.proc(p, c.From), Before: b.cred(q.Creds[i-1].Cred), After: b.cred(c.Cred), At: b.time(c.From), Certainty: answer.Certain,
				Gained:   is.EUID == 0 && was.EUID != 0 || is.CapEff&^was.CapEff != 0,
				Evidence: rows(c.Row, is.Evidence)}
			switch c.How {
			case state.CredNoCall:
				x.How = "no call: the kernel did it, or somebody who controls it"
			case state.CredExec:
				x.How = "exec of " + b.exeAt(q, c.From)
			case state.CredSetID:
				x.How = "exec of set-id or capable " + b.exeAt(q, c.From)
			case state.CredCall:
				x.How = "system call"
			default:
				x.How, x.Certainty = "seen with them; the change was not recorded", answer.Likely
			}
			b.out.Privilege = append(b.out.Privilege, x)
		}
	}
	slices.SortStableFunc(b.out.Privilege, func(x, y answer.Privilege) int { return cmp.Compare(x.At.Boot, y.At.Boot) })
}

func (b *blast) exeAt(q *state.Process, at clock.Boot) string {
	if i := q.ImageAt(at); i >= 0 && q.Images[i].Exe != 0 {
		return b.name(q.Images[i].Exe)
	}
	return "an unknown program"
}

// influenced collects processes that were reached without descending from the seed, and
// those that a reached process signalled.
func (b *blast) influenced() {
	g := b.m.Graph
	add := func(p state.ProcID, edges []uint32, at clock.Boot) {
		if len(edges) == 0 {
			return
		}
		e := &g.Edges[edges[len(edges)-1]]
		how := map[graph.Verb]string{graph.Read: "read", graph.Exec: "ran", graph.Map: "mapped", graph.Recv: "received", graph.Accept: "accepted",
			graph.Inject: "injected into", graph.Peek: "was read by", graph.Pass: "handed over",
			graph.Signal: fmt.Sprintf("signal %d", e.Num)}[e.Verb]
		if how == "" {
			how = e.Verb.String()
		}
		w := answer.Witness{Steps: b.path(edges, b.from-1), Strength: answer.Control}
		w.Depth, w.Certainty = len(w.Steps), worst(w.Steps)
		x := answer.Influence{Process: b.proc(p, at), How: how, Object: b.node(e.From, e.Start()), At: b.time(max(at, e.Start())), Strength: strength(e),
			Certainty: w.Certainty, Witness: w, Evidence: b.evidence(e)}
		for _, i := range edges {
			switch strength(&g.Edges[i]) {
			case answer.Weak:
				w.Strength = answer.Weak
			case answer.Data:
				if w.Strength == answer.Control {
					w.Strength = answer.Data
				}
			}
		}
		x.Witness.Strength = w.Strength
		b.out.Influenced = append(b.out.Influenced, x)
	}
	for _, p := range b.procs {
		n := graph.Node(p)
		if via := b.set.Via(n); via != cause.NoEdge && g.Edges[via].Verb != graph.Fork {
			add(p, b.set.Witness(n, 0), b.set.Reach(n))
		}
	}
	listed := map[state.ProcID]bool{}
	for _, l := range b.set.Listed {
		if p := g.Proc(l.Node); p != state.None {
			listed[p] = true
			add(p, b.set.WitnessListed(l, 0), l.Reach)
		}
	}
	for _, p := range b.procs {
		for _, i := range g.Out(graph.Node(p)) {
			e := &g.Edges[i]
			q := g.Proc(e.To)
			if e.Verb == graph.Signal && b.after(e, p) && !b.owner[q] && !listed[q] {
				add(q, append(slices.Clip(b.set.Witness(graph.Node(p), 0)), i), e.T0)
			}
		}
	}
	slices.SortStableFunc(b.out.Influenced, func(x, y answer.Influence) int { return cmp.Compare(x.At.Boot, y.At.Boot) })
}

// remaining collects what was not seen to end.
func (b *blast) remaining() {
	t := b.m.State
	for _, p := range b.procs {
		q := &t.Procs[p]
		if !q.Exited || q.ExitAt > b.o.Until {
			ev := []string{}
			if q.Origin != state.Mention {
				ev = rows(q.Born)
			}
			b.out.Remaining = append(b.out.Remaining, answer.Remaining{Kind: "process", Ref: b.proc(p, b.o.Until), Since: b.time(q.Begin()),
				Text: "no end was recorded", Evidence: ev})
		}
	}
	for i := range t.Socks {
		s := &t.Socks[i]
		if s.Owner == state.None || !b.owner[s.Owner] || s.Failed || s.Closed != 0 && s.Closed <= b.o.Until || s.Family == state.FamilyUnix || s.Proto == state.ProtoUDP {
			continue
		}
		if q := &t.Procs[s.Owner]; q.Exited && q.ExitAt <= b.o.Until && s.Role == state.RoleListening {
			continue // a listener ends with its last owner; no row says so
		}
		if s.Last < b.set.Reach(graph.Node(s.Owner)) || s.Opened > b.o.Until {
			continue
		}
		kind := "connection"
		if s.Role == state.RoleListening {
			kind = "listener"
		}
		b.out.Remaining = append(b.out.Remaining, answer.Remaining{Kind: kind, Ref: b.sock(state.SockID(i)), By: b.procPtr(s.Owner, s.Opened), Since: b.time(s.Opened),
			Text: "no end was recorded", Evidence: rows(s.OpenRow)})
	}
}

// attempts collects what reached processes tried and failed at.
func (b *blast) attempts() {
	type key struct {
		p      state.ProcID
		verb   string
		target string
		errno  int64
	}
	at := map[key]int{}
	for _, a := range b.m.Graph.Attempts {
		if !b.owner[a.Proc] || a.At < b.set.Reach(graph.Node(a.Proc)) || a.At > b.o.Until {
			continue
		}
		target := b.name(a.Name)
		if a.Sock != state.None {
			target = b.remote(a.Sock)
		}
		k := key{a.Proc, a.Verb, target, a.Errno}
		i, ok := at[k]
		if !ok {
			i = len(b.out.Attempts)
			at[k] = i
			b.out.Attempts = append(b.out.Attempts, answer.Attempt{Process: b.proc(a.Proc, a.At), What: a.Verb, Target: target, Error: errno(a.Errno), At: b.time(a.At), Evidence: []string{}})
		}
		x := &b.out.Attempts[i]
		x.Count++
		if len(x.Evidence) < 8 {
			x.Evidence = append(x.Evidence, a.Row.String())
		}
		if a.Sock == state.None {
			continue
		}
		for j := range b.out.Peers {
			if p := &b.out.Peers[j]; p.Address == target {
				p.Tried++
				if !slices.Contains(p.Errors, x.Error) {
					p.Errors = append(p.Errors, x.Error)
				}
			}
		}
	}
}

// evasion collects acts that hide others.
func (b *blast) evasion() {
	g, t := b.m.Graph, b.m.State
	logs := cause.Logs()
	program := map[state.FileID]bool{}
	for _, p := range b.procs {
		for i := range t.Procs[p].Images {
			if m := &t.Procs[p].Images[i]; !m.Inherited && m.From >= b.set.Reach(graph.Node(p)) {
				for _, f := range [2]state.FileID{m.File, m.Script} {
					if f != state.None {
						program[t.Real(f)] = true
					}
				}
			}
		}
	}
	add := func(what, technique string, e *graph.Edge, c answer.Certainty) {
		obj := b.node(e.To, e.Start())
		b.out.Evasion = append(b.out.Evasion, answer.Evasion{What: what, Process: b.procPtr(g.Proc(e.From), e.Start()), Object: &obj, At: b.time(e.Start()),
			Technique: technique, Certainty: c, Evidence: b.evidence(e)})
	}
	for _, p := range b.procs {
		for _, i := range g.Out(graph.Node(p)) {
			e := &g.Edges[i]
			f := g.Object(e.To)
			if e.Verb == graph.Inject && b.after(e, p) {
				add("wrote into another process", "T1055", e, certainty(e))
				continue
			}
			if f == state.None || !b.after(e, p) {
				continue
			}
			if e.Verb == graph.Unlink && program[f] {
				add("deleted a program that it had run", "T1070.004", e, certainty(e))
				continue
			}
			what := map[graph.Verb]string{graph.Truncate: "cut a log", graph.Unlink: "removed a log", graph.Rename: "moved a log"}[e.Verb]
			if what == "" {
				continue
			}
			if r, whole := logs.Match(b.name(e.Name)); r != nil {
				c := certainty(e)
				if !whole {
					c = worse(c, answer.Likely)
				}
				add(strings.Replace(what, "log", r.Kind, 1), r.Technique, e, c)
			}
		}
		q := &t.Procs[p]
		for i := range q.Images {
			if m := &q.Images[i]; m.Known && !m.Inherited && m.Flags&(state.ExecMemory|state.ExecNoLink) != 0 && m.From >= b.set.Reach(graph.Node(p)) {
				what := "ran a program without a name in the file system"
				if m.Flags&state.ExecMemory != 0 {
					what = "ran a program from memory"
				}
				b.out.Evasion = append(b.out.Evasion, answer.Evasion{What: what, Process: b.procPtr(p, m.From), At: b.time(m.From), Technique: "T1620",
					Certainty: answer.Certain, Evidence: rows(m.Row)})
			}
		}
	}
	for i := range t.Deeds {
		d := &t.Deeds[i]
		what, technique := "", ""
		switch d.Type {
		case event.SetName:
			if n := b.name(d.Name); kernelName(n) {
				what, technique = "took the name of a kernel thread, "+n, "T1036.004"
			}
		case event.Mismatch:
			if d.Op == 2 {
				what, technique = "changed an argument while the kernel used it", "T1036"
			}
		case event.Module:
			if d.Op == 1 || d.Op == 2 {
				what, technique = "loaded a kernel module", "T1547.006"
			}
		case event.ClockSet:
			what, technique = "set the clock", "T1070.006"
		case event.BPF:
			what, technique = "reached for the recorder's own programs", "T1562.001"
		}
		if what != "" && b.did(d) {
			b.out.Evasion = append(b.out.Evasion, answer.Evasion{What: what, Process: b.procPtr(d.Proc, d.At), At: b.time(d.At), Technique: technique,
				Certainty: answer.Certain, Evidence: rows(d.Row)})
		}
	}
	slices.SortStableFunc(b.out.Evasion, func(x, y answer.Evasion) int { return cmp.Compare(x.At.Boot, y.At.Boot) })
	lost, first := uint64(0), (*gap.Hole)(nil)
	var ev []load.RowID
	for _, h := range b.m.Gaps.For(b.out.From.Boot, b.o.Until, radiusEvents) {
		if h.Kind == gap.Lost {
			lost += h.Count
			if first == nil {
				first = &h
			}
			ev = append(ev, h.Rows...)
		}
	}
	if first != nil {
		b.out.Evasion = append(b.out.Evasion, answer.Evasion{What: fmt.Sprintf("%d rows were lost meanwhile, which could hide more", lost), At: b.time(max(first.From, b.out.From.Boot)),
			Certainty: answer.Possible, Evidence: rows(ev...)})
	}
}

// kernelName reports whether a name is one that kernel threads have. Those never name themselves.
func kernelName(n string) bool {
	if strings.HasPrefix(n, "[") {
		return true
	}
	for _, p := range []string{"kworker", "ksoftirqd", "kthreadd", "migration/", "rcu_", "kswapd", "jbd2/", "irq/"} {
		if strings.HasPrefix(n, p) {
			return true
		}
	}
	return false
}

// unknownOwners notes connections whose owner no row names: they may belong in here.
func (b *blast) unknownOwners() {
	n := 0
	for i := range b.m.State.Socks {
		s := &b.m.State.Socks[i]
		if s.Owner == state.None && s.Family != state.FamilyUnix && s.Last >= b.out.From.Boot && s.Opened <= b.o.Until {
			n++
		}
	}
	if n > 0 {
		b.out.NotSeen = append(b.out.NotSeen, answer.Gap{Kind: "unknown_owner", Events: []string{}, Count: uint64(n), CPU: -1, From: b.out.From, To: b.out.Until,
			Text: fmt.Sprintf("%d sockets have no recorded owner and are in no group", n), Evidence: []string{}})
	}
}

// errno names the errors that people know by name.
func errno(ret int64) string {
	if ret < 0 && ret > -4096 {
		return sym.Errno(int(-ret))
	}
	return fmt.Sprintf("error %d", -ret)
}
