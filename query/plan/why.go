package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"hindcast/format/clock"
	"hindcast/format/event"
	"hindcast/query/answer"
	"hindcast/replay"
	"hindcast/replay/cause"
	"hindcast/replay/gap"
	"hindcast/replay/graph"
	"hindcast/replay/state"
)

// WhyOptions limit a chain. The zero value is the main chain with its alternatives.
type WhyOptions struct {
	// At counts only what happened before it. 0: for a process the start of its last
	// program, for everything else the end of the recording.
	At clock.Boot
	// Depth is the longest main chain, in steps; 0 means 256.
	Depth int
	// All lists the members of the closure after hubs and context were left out; Raw lists
	// all of them, hubs walked through and weak edges followed.
	All, Raw bool
	// Loc is the zone of times in the entity's name; nil is UTC.
	Loc *time.Location
}

const (
	defaultDepth     = 256
	mostAlternatives = 16
	mostHubs         = 64
)

// Why answers what led to an entity.
//
// The main chain is built by rule, not by search: what brought the entity's content (the
// write, and the input of the writer that could have carried it), then the descent of the
// process that did it, up to the ancestor that had just heard from the network before it
// forked. Where no ancestor had, a file or pipe that one of them read, and that another
// process had written while the recording ran, is followed instead. Everything in the
// chain is in the backward closure; what is not in the chain is counted, and listed on
// demand.
func Why(m *replay.Model, entity string, o WhyOptions) (*answer.Chain, error) {
	e, err := Resolve(m, entity, o.Loc)
	if err != nil {
		return nil, err
	}
	if o.Depth <= 0 {
		o.Depth = defaultDepth
	}
	w := &why{view: view{m}, o: o, seenProc: map[state.ProcID]bool{}, seenFile: map[state.FileID]bool{}, used: map[uint32]bool{}}
	return w.answer(e), nil
}

// why builds one chain.
type why struct {
	view
	o        WhyOptions
	out      *answer.Chain
	main     []answer.Step
	stop     string
	seenProc map[state.ProcID]bool
	seenFile map[state.FileID]bool
	used     map[uint32]bool // edges in the chain
	files    []state.FileID  // on the chain, for attributes
	line     []link          // descent walked, for diversions
}

// link is one fork on the way up: the ancestor and when it forked.
type link struct {
	proc state.ProcID
	at   clock.Boot
	step int // index of the fork step in main
}

func (w *why) answer(e Entity) *answer.Chain {
	_, end := w.m.Bounds()
	w.out = &answer.Chain{Entity: e.Ref, Steps: []answer.Step{}, Alternatives: []answer.Alternative{}, Attributes: []answer.Step{},
		Counts: []answer.Count{}, Hubs: []answer.Ref{}, Nodes: []answer.Node{}, NotSeen: []answer.Gap{}}
	at := max(end, w.m.State.End) + 1
	if e.At != 0 {
		at = e.At + 1
	}
	if w.o.At != 0 {
		at = w.o.At + 1
	}
	switch {
	case e.proc != state.None:
		at = w.process(e.proc, at)
	case e.file != state.None:
		w.out.State = w.fileState(e.file, at)
		w.file(e.file, at)
	case len(e.socks) > 0:
		w.sockets(e.socks, at)
	}
	w.out.At = w.time(at - 1)
	w.out.Steps = append(w.out.Steps, w.main...)
	w.out.Stop = w.stop
	w.attributes()
	w.closure(e, at)
	w.limits(at)
	return w.out
}

func (w *why) full() bool { return len(w.main) >= w.o.Depth }

func (w *why) push(i uint32) *answer.Step {
	w.used[i] = true
	w.main = append(w.main, w.step(i))
	return &w.main[len(w.main)-1]
}

func (w *why) alternative(of int, text string, edges ...uint32) {
	if len(w.out.Alternatives) >= mostAlternatives {
		return
	}
	a := answer.Alternative{Text: text, Of: max(of, 0)}
	for _, i := range edges {
		a.Steps = append(a.Steps, w.step(i))
	}
	w.out.Alternatives = append(w.out.Alternatives, a)
}

// fresh reports whether something changed the object while the recording ran.
func (w *why) fresh(f state.FileID) bool {
	n := w.m.Graph.Node(graph.File, uint32(f))
	return !w.m.Classes.Context(n) && !w.m.Classes.Hub(n)
}

func (w *why) fileState(f state.FileID, at clock.Boot) string {
	o := &w.m.State.Files[f]
	var parts []string
	if o.Created && o.CreatedAt < at {
		parts = append(parts, "created")
	}
	if o.Deleted && o.DeletedAt < at {
		parts = append(parts, "deleted")
	}
	if !o.Created && w.fresh(f) {
		parts = append([]string{"changed"}, parts...)
	}
	if len(parts) == 0 {
		if _, dark := darkness(w.m.Gaps, writeEvents); dark != "" {
			return "changes were not observable"
		}
		return "not seen to change"
	}
	return strings.Join(parts, ", ")
}

// process answers why a process ran, and returns the instant that the answer is about.
func (w *why) process(p state.ProcID, limit clock.Boot) clock.Boot {
	q := &w.m.State.Procs[p]
	at := min(limit, q.Begin()+1)
	if i := q.ImageAt(limit - 1); i >= 0 && !q.Images[i].Inherited && q.Images[i].From < limit && q.Images[i].Known {
		at = max(at, q.Images[i].From+1)
	}
	w.out.State = "ran"
	if w.o.At == 0 && q.Exited {
		w.out.State = "ran, ended"
		if q.ExitInferred {
			w.out.State = "ran, end inferred"
		}
	}
	g := w.m.Graph
	// The program: the script where there is one that was written here, else the file.
	exec, script := cause.NoEdge, cause.NoEdge
	for _, i := range g.In(g.Node(graph.Process, uint32(p))) {
		if e := &g.Edges[i]; e.Verb == graph.Exec && e.T0 < at && e.T0+1 >= at {
			if e.Flags&graph.Script != 0 {
				script = i
			} else {
				exec = i
			}
		}
	}
	for _, i := range []uint32{script, exec} {
		if i == cause.NoEdge {
			continue
		}
		s := w.push(i)
		if j := q.ImageAt(at - 1); j >= 0 && len(w.main) == 1 {
			s.Notes = append(s.Notes, "ran "+w.command(&q.Images[j]))
		}
	}
	followed := false
	for _, i := range []uint32{script, exec} {
		if i == cause.NoEdge || followed {
			continue
		}
		if f := g.Object(g.Edges[i].From); w.fresh(f) {
			w.content(f, g.Edges[i].T0)
			followed = true
		}
	}
	if !followed {
		w.readProgram(p, at)
	}
	w.descent(p, at)
	return at
}

// readProgram handles an interpreter that was given a file by name: sh x, python x.
func (w *why) readProgram(p state.ProcID, at clock.Boot) {
	g := w.m.Graph
	q := &w.m.State.Procs[p]
	i := q.ImageAt(at - 1)
	if i < 0 {
		return
	}
	args := q.Images[i].Args()
	for _, x := range g.In(g.Node(graph.Process, uint32(p))) {
		e := &g.Edges[x]
		f := g.Object(e.From)
		if e.Verb != graph.Read || e.T1 < at || f == state.None || !w.fresh(f) || w.m.State.Files[f].Pipe() {
			continue
		}
		name := w.name(e.Name)
		for _, a := range args[min(1, len(args)):] {
			if a != "" && (a == name || strings.HasSuffix(name, "/"+strings.TrimPrefix(a, "./"))) {
				s := w.push(x)
				s.Certainty, s.Reason = worse(s.Certainty, answer.Likely), "an argument of the program"
				w.content(f, e.Start())
				return
			}
		}
	}
}

// file answers why an object is as it is: its content, then the descent of its writer.
func (w *why) file(f state.FileID, at clock.Boot) {
	writer, when, inbound := w.content(f, at)
	switch {
	case writer == state.None:
		if w.stop == "" {
			w.stop = "nothing that was recorded wrote it"
			w.dark("who wrote it", writeEvents)
		}
	case !inbound:
		w.descent(writer, when+1)
	}
}

// command is what a program was started with.
func (v view) command(m *state.Image) string {
	if m.Argv == "" {
		return v.name(m.Exe)
	}
	s := quoteArgs(m.Args())
	if m.ArgvCut {
		s += " … (cut)"
	}
	return s
}

// content adds the step that gave an object its content and the inputs of the writer that
// could have carried it. It returns the writer, when it wrote, and whether the content came
// over a connection that the writer had accepted, which explains it by itself.
func (w *why) content(f state.FileID, at clock.Boot) (writer state.ProcID, when clock.Boot, inbound bool) {
	writer = state.None
	if w.full() || w.seenFile[f] {
		return writer, when, inbound
	}
	w.seenFile[f] = true
	w.files = append(w.files, f)
	i, others := w.maker(f, at)
	if i == cause.NoEdge {
		return writer, when, inbound
	}
	e := &w.m.Graph.Edges[i]
	s := w.push(i)
	of := len(w.main) - 1
	if e.Verb == graph.Write {
		w.wholeFlow(s, i, at)
	}
	for _, x := range others {
		w.alternative(of, "also wrote it", x)
	}
	writer, when = w.m.Graph.Proc(e.From), max(e.T1, e.Start())
	if when >= at {
		when = at - 1
	}
	if writer == state.None || e.Verb != graph.Write {
		return writer, when, inbound
	}
	next, nextAt := w.input(writer, when+1, e, of)
	if next == cause.NoEdge {
		return writer, when, inbound
	}
	ne := &w.m.Graph.Edges[next]
	if ne.Verb != graph.Recv {
		// Through a file or pipe: go on with its content. The descent stays that of the first writer.
		_, _, inbound = w.content(w.m.Graph.Object(ne.From), nextAt)
		return writer, when, inbound
	}
	sock := w.m.Graph.Sock(ne.From)
	if inbound = w.inboundSock(sock); inbound {
		w.stop = "remote end " + w.remote(sock) + w.whose(sock)
	}
	return writer, when, inbound
}

// maker chooses the edge that made an object what it was: of the writers the one that wrote
// most; without a write, whoever gave it its name.
func (w *why) maker(f state.FileID, at clock.Boot) (best uint32, others []uint32) {
	g := w.m.Graph
	type by struct {
		edge  uint32
		bytes uint64
		last  clock.Boot
	}
	sum := map[graph.Node]*by{}
	var order []graph.Node
	best = cause.NoEdge
	name := cause.NoEdge
	for _, i := range g.In(g.Node(graph.File, uint32(f))) {
		e := &g.Edges[i]
		if e.T0 >= at {
			break
		}
		switch e.Verb {
		case graph.Write:
			x := sum[e.From]
			if x == nil {
				x = &by{edge: i}
				sum[e.From] = x
				order = append(order, e.From)
			}
			x.bytes += e.Bytes
			x.last = max(x.last, min(e.T1, at))
			if e.Bytes > g.Edges[x.edge].Bytes {
				x.edge = i
			}
		case graph.Rename, graph.Link, graph.Symlink, graph.Mkdir, graph.Create:
			name = i
		}
	}
	if len(order) == 0 {
		return name, nil
	}
	slices.SortStableFunc(order, func(a, b graph.Node) int {
		x, y := sum[a], sum[b]
		return cmp.Or(cmp.Compare(y.bytes, x.bytes), cmp.Compare(y.last, x.last))
	})
	for _, n := range order[1:] {
		others = append(others, sum[n].edge)
	}
	return sum[order[0]].edge, others
}

// mostFlowRows bounds the evidence of a step that stands for many transfers.
const mostFlowRows = 32

// wholeFlow lets a step of one edge speak for all that went the same way between the same two
// before the given instant: rows count per thread and per stretch of activity, people do not.
func (v view) wholeFlow(s *answer.Step, i uint32, at clock.Boot) {
	g := v.m.Graph
	e := &g.Edges[i]
	more := 0
	for _, j := range g.In(e.To) {
		x := &g.Edges[j]
		if x.T0 >= at {
			break
		}
		if j == i || x.From != e.From || x.Verb != e.Verb {
			continue
		}
		s.Bytes += x.Bytes
		if x.Start() < s.T0.Boot {
			s.T0 = v.time(x.Start())
		}
		if x.T1 > s.T1.Boot {
			s.T1 = v.time(x.T1)
		}
		s.Certainty = worse(s.Certainty, certainty(x))
		if len(s.Evidence) < mostFlowRows {
			s.Evidence = append(s.Evidence, v.evidence(x)...)
		} else {
			more++
		}
	}
	if more > 0 {
		s.Notes = append(s.Notes, fmt.Sprintf("the rows of %d further transfers are not listed", more))
	}
}

// input chooses what a writer had read that could have carried what it wrote, adds the step
// and returns the edge and the instant up to which its content counts.
func (w *why) input(p state.ProcID, at clock.Boot, out *graph.Edge, of int) (uint32, clock.Boot) {
	g := w.m.Graph
	type cand struct {
		edge  uint32
		carry bool
		rank  int
		size  uint64
	}
	var cs []cand
	for _, i := range g.In(g.Node(graph.Process, uint32(p))) {
		e := &g.Edges[i]
		if e.T0 >= at {
			break
		}
		if e.Bytes == 0 || w.m.Classes.Hub(e.From) || e.From == out.To {
			continue
		}
		c := cand{edge: i, size: e.Bytes, carry: e.Bytes*2 >= out.Bytes || e.Flags&(graph.Partial|graph.OpenEnd) != 0}
		switch e.Verb {
		case graph.Recv:
			c.rank = 3
			if w.m.State.Socks[g.Sock(e.From)].Family == state.FamilyUnix {
				c.rank = 1
			} else if w.m.State.Socks[g.Sock(e.From)].Proto == state.ProtoUDP {
				c.carry = e.Bytes*2 >= out.Bytes
			}
		case graph.Read:
			f := g.Object(e.From)
			if !w.fresh(f) {
				continue
			}
			c.rank = 1
			if w.m.State.Files[f].Pipe() {
				if !w.otherWriter(e.From, p, at) {
					continue
				}
				c.rank = 2
			}
		default:
			continue
		}
		cs = append(cs, c)
	}
	if len(cs) == 0 {
		return cause.NoEdge, 0
	}
	slices.SortStableFunc(cs, func(a, b cand) int {
		if a.carry != b.carry {
			if a.carry {
				return -1
			}
			return 1
		}
		x, y := &g.Edges[a.edge], &g.Edges[b.edge]
		return cmp.Or(cmp.Compare(b.rank, a.rank), cmp.Compare(b.size, a.size), cmp.Compare(y.T0, x.T0), cmp.Compare(a.edge, b.edge))
	})
	e := &g.Edges[cs[0].edge]
	s := w.push(cs[0].edge)
	s.Distance = max(0, out.Start()-e.Start())
	if !cs[0].carry {
		s.Certainty, s.Reason = worse(s.Certainty, answer.Possible), joinReason(s.Reason, "too few bytes to be all of it")
	} else if len(cs) > 1 && cs[1].carry && cs[1].rank == cs[0].rank {
		s.Certainty, s.Reason = worse(s.Certainty, answer.Likely), joinReason(s.Reason, "one of several inputs that could have carried it")
	}
	if e.Verb == graph.Recv {
		w.sender(s, g.Sock(e.From), at, len(w.main)-1)
	}
	for _, c := range cs[1:min(len(cs), 5)] {
		w.alternative(of, "another input of the writer", c.edge)
	}
	return cs[0].edge, min(at, max(e.T1, e.Start())+1)
}

// otherWriter reports whether a process other than p wrote into a pipe before at.
func (w *why) otherWriter(pipe graph.Node, p state.ProcID, at clock.Boot) bool {
	for _, i := range w.m.Graph.In(pipe) {
		if e := &w.m.Graph.Edges[i]; e.Verb == graph.Write && e.T0 < at && w.m.Graph.Proc(e.From) != p {
			return true
		}
	}
	return false
}

// peerSends finds who sent at the other end of a connection on this host.
func (w *why) peerSends(s state.SockID, at clock.Boot) (uint32, bool) {
	g := w.m.Graph
	x := g.Pairs[s].Sock
	if x == state.None {
		return 0, false
	}
	best, ok := uint32(0), false
	for _, i := range g.In(g.Node(graph.SockOut, uint32(x))) {
		if e := &g.Edges[i]; e.Verb == graph.Send && e.T0 < at && (!ok || e.Bytes > g.Edges[best].Bytes) {
			best, ok = i, true
		}
	}
	return best, ok
}

// sender notes on a receive step which process of this host sent, and what it had that from.
func (w *why) sender(s *answer.Step, sock state.SockID, at clock.Boot, of int) {
	i, ok := w.peerSends(sock, at)
	if !ok {
		return
	}
	e := &w.m.Graph.Edges[i]
	q := w.m.Graph.Proc(e.From)
	r := w.proc(q, e.Start())
	s.Notes = append(s.Notes, "the other end is on this host: "+r.Label+" "+r.ID)
	s.Evidence = append(s.Evidence, w.evidence(e)...)
	if !w.m.Graph.Pairs[sock].Sure {
		s.Certainty = worse(s.Certainty, answer.Likely)
	}
	w.alternative(of, "sent by a process of this host", i)
}

// whose names the process at the other end, if it is on this host.
func (w *why) whose(s state.SockID) string {
	x := w.m.Graph.Pairs[s].Sock
	if x == state.None {
		return ", outside this host"
	}
	if p := w.m.State.Socks[x].Owner; p != state.None {
		r := w.proc(p, w.m.State.Socks[x].Opened)
		return ", on this host: " + r.Label + " " + r.ID
	}
	return ", on this host"
}

// descent follows who started a process, up to the ancestor that had just heard from the
// network when it forked.
func (w *why) descent(p state.ProcID, at clock.Boot) {
	w.line = w.line[:0]
	cur := p
	for {
		if w.seenProc[cur] {
			w.stop = "its descent was already told"
			break
		}
		w.seenProc[cur] = true
		if i := w.injected(cur, at); i != cause.NoEdge && !w.full() {
			// who wrote into its memory decides what it does, whoever made it
			e := &w.m.Graph.Edges[i]
			w.push(i)
			cur, at = w.m.Graph.Proc(e.From), e.T0
			continue
		}
		i := w.forkOf(cur)
		if i == cause.NoEdge {
			w.stop = w.noCreator(cur)
			break
		}
		if w.full() {
			w.stop = "longer than the limit asked for"
			return
		}
		e := &w.m.Graph.Edges[i]
		up := w.m.Graph.Proc(e.From)
		s := w.push(i)
		w.describeChild(s, cur, at)
		w.line = append(w.line, link{up, e.T0, len(w.main) - 1})
		if w.trigger(up, e.T0, e.TID) {
			return
		}
		if w.m.Classes.Hub(e.From) {
			w.stop = "started by " + w.procLabel(up, e.T0)
			break
		}
		cur, at = up, e.T0
	}
	w.divert()
}

// forkOf returns the edge that made a process, NoEdge when none is known.
func (w *why) forkOf(p state.ProcID) uint32 {
	g := w.m.Graph
	for _, i := range g.In(g.Node(graph.Process, uint32(p))) {
		if g.Edges[i].Verb == graph.Fork {
			return i
		}
	}
	return cause.NoEdge
}

// injected returns the newest edge by which another process took hold of this one before an
// instant, NoEdge when there is none.
func (w *why) injected(p state.ProcID, at clock.Boot) uint32 {
	g := w.m.Graph
	last := uint32(cause.NoEdge)
	for _, i := range g.In(g.Node(graph.Process, uint32(p))) {
		if e := &g.Edges[i]; e.T0 >= at {
			break
		} else if e.Verb == graph.Inject && !w.seenProc[g.Proc(e.From)] {
			last = i
		}
	}
	return last
}

func (w *why) noCreator(p state.ProcID) string {
	q := &w.m.State.Procs[p]
	label := w.procLabel(p, q.Begin())
	switch q.Origin {
	case state.Snapshot:
		return label + " was there when the recording began"
	case state.Forked:
		return "the creator of " + label + " is not known"
	}
	return "the origin of " + label + " was not recorded"
}

// describeChild says in a fork step what the child became before it did what the chain tells.
func (w *why) describeChild(s *answer.Step, child state.ProcID, at clock.Boot) {
	q := &w.m.State.Procs[child]
	s.Title = w.procLabel(child, at-1)
	s.To = w.proc(child, at-1)
	i := q.ImageAt(at - 1)
	if i < 0 {
		return
	}
	m := &q.Images[i]
	if !m.Inherited && m.Known {
		if row := m.Row.String(); !slices.Contains(s.Evidence, row) {
			s.Evidence = append(s.Evidence, row)
		}
		if len(w.main) < 2 || w.main[0].Verb != "exec" || w.main[0].Evidence[0] != m.Row.String() {
			s.Notes = append(s.Notes, "ran "+w.command(m))
		}
	} else if !m.Known {
		s.Notes = append(s.Notes, "its program was not recorded")
	}
}

// heard is a connection that a process had heard from before an instant.
type heard struct {
	edge uint32
	sock state.SockID
	open bool // still open then
	same bool // heard by the thread that acted
}

// lately is how long before a fork a connection may have closed and still have led to it.
const lately = clock.Boot(time.Second)

// inbound lists what a process had heard from connections that others began, likeliest first.
func (w *why) inbound(p state.ProcID, at clock.Boot, tid uint32, unix bool) []heard {
	g := w.m.Graph
	bySock := map[state.SockID]heard{}
	var order []state.SockID
	for _, i := range g.In(g.Node(graph.Process, uint32(p))) {
		e := &g.Edges[i]
		if e.Start() > at {
			break
		}
		if e.Verb != graph.Recv && e.Verb != graph.Accept {
			continue
		}
		s := g.Sock(e.From)
		x := &w.m.State.Socks[s]
		if unix != (x.Family == state.FamilyUnix) || !unix && !w.inboundSock(s) || w.m.Classes.Hub(e.From) {
			continue
		}
		if x.Closed != 0 && x.Closed+lately < at {
			continue
		}
		old, ok := bySock[s]
		if !ok {
			order = append(order, s)
		}
		if !ok || e.Verb == graph.Recv && g.Edges[old.edge].Verb == graph.Accept {
			bySock[s] = heard{i, s, x.Closed == 0 || x.Closed >= at, tid != 0 && e.TID == tid}
		}
	}
	out := make([]heard, 0, len(order))
	for _, s := range order {
		out = append(out, bySock[s])
	}
	slices.SortStableFunc(out, func(a, b heard) int {
		for _, d := range [2][2]bool{{a.open, b.open}, {a.same, b.same}} {
			if d[0] != d[1] {
				if d[0] {
					return -1
				}
				return 1
			}
		}
		return cmp.Compare(g.Edges[b.edge].Start(), g.Edges[a.edge].Start())
	})
	return out
}

// trigger adds the connection that a process had just heard from when it forked, and
// follows it through services of this host. It reports whether there was one.
func (w *why) trigger(p state.ProcID, at clock.Boot, tid uint32) bool {
	found := false
	for range 16 { // services one behind the other
		hs := w.inbound(p, at, tid, false)
		next, nextAt := state.ProcID(state.None), clock.Boot(0)
		if len(hs) == 0 {
			// A unix socket counts when its other end had heard from the network.
			for _, h := range w.inbound(p, at, tid, true) {
				if i, ok := w.peerSends(h.sock, at); ok {
					q := w.m.Graph.Proc(w.m.Graph.Edges[i].From)
					if q != p && len(w.inbound(q, at, 0, false)) > 0 {
						hs = []heard{h}
						break
					}
				}
			}
		}
		if len(hs) == 0 {
			return found
		}
		h := hs[0]
		e := &w.m.Graph.Edges[h.edge]
		s := w.push(h.edge)
		s.Distance = at - e.Start()
		s.Certainty = worse(s.Certainty, answer.Likely)
		s.Reason = joinReason(s.Reason, before(s.Distance))
		if !h.open {
			s.Certainty, s.Reason = answer.Possible, s.Reason+", closed by then"
		}
		if w.m.Gaps.Lossy(e.Start(), at, flowEvents) {
			s.Certainty, s.Reason = answer.Possible, s.Reason+", rows were lost in between"
		}
		of := len(w.main) - 1
		for _, x := range hs[1:min(len(hs), 4)] {
			w.alternative(of, "another connection it had heard from, "+before(at-w.m.Graph.Edges[x.edge].Start()), x.edge)
		}
		w.stop = "remote end " + w.remote(h.sock) + w.whose(h.sock)
		found = true
		if i, ok := w.peerSends(h.sock, at); ok {
			se := &w.m.Graph.Edges[i]
			q := w.m.Graph.Proc(se.From)
			r := w.proc(q, se.Start())
			s.Notes = append(s.Notes, "the other end is on this host: "+r.Label+" "+r.ID)
			s.Evidence = append(s.Evidence, w.evidence(se)...)
			if !w.seenProc[q] {
				next, nextAt = q, e.Start()
			}
		}
		if next == state.None || w.full() {
			return found
		}
		w.seenProc[next] = true
		p, at, tid = next, nextAt+graph.StreamSlack, 0
	}
	return found
}

func before(d clock.Boot) string {
	switch {
	case d < 0:
		return "at the same time"
	case d < clock.Boot(time.Millisecond):
		return fmt.Sprintf("%d µs before", d/1000)
	case d < clock.Boot(10*time.Second):
		return fmt.Sprintf("%d ms before", d/1e6)
	}
	return fmt.Sprintf("%d s before", d/1e9)
}

// divert is for a descent without a connection: of what the ancestors had read before they
// forked, it follows what somebody else had written while the recording ran. The nearest
// ancestor speaks, of its inputs the latest.
func (w *why) divert() {
	g := w.m.Graph
	for n, l := range w.line {
		best := cause.NoEdge
		var alts []uint32
		for _, i := range g.In(g.Node(graph.Process, uint32(l.proc))) {
			e := &g.Edges[i]
			if e.Start() >= l.at {
				break
			}
			f := g.Object(e.From)
			if e.Verb != graph.Read || f == state.None || !w.fresh(f) || w.seenFile[f] || !w.foreign(e.From, l.proc, e.T1) {
				continue
			}
			if best != cause.NoEdge {
				alts = append(alts, best)
			}
			best = i
		}
		if best == cause.NoEdge {
			continue
		}
		// The chain goes on from here instead of further up.
		stop := w.stop
		w.main = w.main[:l.step+1]
		for _, up := range w.line[n:] {
			delete(w.seenProc, up.proc)
		}
		e := &g.Edges[best]
		s := w.push(best)
		s.Distance = l.at - e.Start()
		s.Certainty = worse(s.Certainty, answer.Likely)
		s.Reason = joinReason(s.Reason, before(s.Distance))
		of := len(w.main) - 1
		for _, x := range alts[max(0, len(alts)-3):] {
			w.alternative(of, "read as well", x)
		}
		writer, when, inbound := w.content(g.Object(e.From), max(e.T1, e.Start())+1)
		w.alternative(of, "or only its descent: "+stop)
		if writer != state.None && !inbound {
			w.descent(writer, when+1)
		}
		return
	}
}

// foreign reports whether a process that does not descend from p wrote to the object before at.
func (w *why) foreign(object graph.Node, p state.ProcID, at clock.Boot) bool {
	for _, i := range w.m.Graph.In(object) {
		e := &w.m.Graph.Edges[i]
		if e.T0 >= at {
			break
		}
		if e.Verb != graph.Write && e.Verb != graph.Rename {
			continue
		}
		if q := w.m.Graph.Proc(e.From); q != state.None && q != p && !w.descends(q, p) {
			return true
		}
	}
	return false
}

// mostAncestors bounds walks up a descent that damage has made a cycle.
const mostAncestors = 1 << 20

func (v view) descends(p, from state.ProcID) bool {
	for n := 0; p != state.None && n < mostAncestors; n++ {
		if p == from {
			return true
		}
		up, _ := v.m.Time.Up(p)
		if up == p {
			return false
		}
		p = up
	}
	return false
}

// sockets answers why connections exist.
func (w *why) sockets(socks []state.SockID, at clock.Boot) {
	g := w.m.Graph
	var first []uint32
	for _, s := range socks {
		best := cause.NoEdge
		for _, i := range g.In(g.Node(graph.SockOut, uint32(s))) {
			if e := &g.Edges[i]; e.T0 < at && (e.Verb == graph.Connect || e.Verb == graph.Send && best == cause.NoEdge) {
				best = i
				if e.Verb == graph.Connect {
					break
				}
			}
		}
		if w.inboundSock(s) || best == cause.NoEdge {
			for _, i := range g.Out(g.Node(graph.SockIn, uint32(s))) {
				if e := &g.Edges[i]; e.T0 < at && (e.Verb == graph.Accept || e.Verb == graph.Recv) {
					best = i
					break
				}
			}
		}
		if best != cause.NoEdge {
			first = append(first, best)
		}
	}
	if len(first) == 0 {
		w.stop = "nobody that was recorded used it"
		w.dark("who used it", peerEvents)
		for _, s := range socks {
			if w.m.State.Socks[s].Failed {
				w.stop = "it was tried and failed"
			}
		}
		return
	}
	slices.SortFunc(first, func(a, b uint32) int { return cmp.Compare(a, b) })
	i := first[0]
	e := &g.Edges[i]
	w.push(i)
	for _, x := range first[1:min(len(first), 5)] {
		w.alternative(0, "another connection with the same end", x)
	}
	if e.Verb == graph.Accept || e.Verb == graph.Recv {
		s := g.Sock(e.From)
		w.stop = "remote end " + w.remote(s) + w.whose(s)
		if p, ok := w.peerSends(s, at); ok {
			w.alternative(0, "sent by a process of this host", p)
		}
		return
	}
	w.descent(g.Proc(e.From), e.T1+1)
}

// attributes adds what happened to the chain's objects besides: chmod, rename, removal.
func (w *why) attributes() {
	g := w.m.Graph
	var edges []uint32
	for _, f := range w.files {
		for _, i := range g.In(g.Node(graph.File, uint32(f))) {
			switch g.Edges[i].Verb {
			case graph.Chmod, graph.Chown, graph.Unlink, graph.Rename, graph.Link, graph.Truncate, graph.Create:
				if !w.used[i] {
					edges = append(edges, i)
				}
			}
		}
	}
	slices.Sort(edges)
	for _, i := range slices.Compact(edges) {
		if len(w.out.Attributes) == 64 {
			break
		}
		w.out.Attributes = append(w.out.Attributes, w.step(i))
	}
}

// closure counts what could have mattered, reduction by reduction, and lists it on demand.
func (w *why) closure(e Entity, at clock.Boot) {
	g := w.m.Graph
	var seeds []cause.Seed
	for _, n := range e.Nodes {
		seeds = append(seeds, cause.Seed{Node: n, At: at})
	}
	whole := cause.Backward(g, seeds, cause.Options{Tolerance: 1, Weak: w.o.Raw})
	stopped := cause.Backward(g, seeds, cause.Options{Tolerance: 1, Stop: w.m.Classes.Hub})
	n0, n1 := w.entities(whole.Order), w.entities(stopped.Order)
	w.count("backward closure", g.Nodes(), n0, len(g.Edges), whole.Edges, "everything that could have influenced it by time")
	w.count("hubs stop the walk", n0, n1, whole.Edges, stopped.Edges, "walked into, not through")
	hidden, edges := 0, 0
	var kept []graph.Node
	for _, n := range stopped.Order {
		if w.m.Classes.Hub(n) && !w.m.Classes.Context(n) && len(g.In(n)) > 0 && len(w.out.Hubs) < mostHubs {
			if k, _ := g.Kind(n); k != graph.Remote && k != graph.SockOut {
				w.out.Hubs = append(w.out.Hubs, w.node(n, stopped.Reach(n)))
			}
		}
		if w.m.Classes.Context(n) && !slices.Contains(e.Nodes, n) {
			hidden++
			continue
		}
		kept = append(kept, n)
	}
	in := map[graph.Node]bool{}
	for _, n := range kept {
		in[n] = true
	}
	for _, n := range kept {
		if w.m.Classes.Hub(n) && !slices.Contains(e.Nodes, n) {
			continue
		}
		for _, i := range g.In(n) {
			if x := &g.Edges[i]; in[x.From] && x.T0 < stopped.Reach(n)+1 && x.Verb.Strength() != graph.Weak {
				edges++
			}
		}
	}
	w.out.Hidden = hidden
	n2 := w.entities(kept)
	w.count("read-only inputs hidden", n1, n2, stopped.Edges, edges, fmt.Sprintf("%d inputs never written in the recording", hidden))
	w.count("main chain", n2, w.chainNodes(), edges, len(w.main), fmt.Sprintf("%d alternatives", len(w.out.Alternatives)))
	set, list := stopped, kept
	if w.o.Raw {
		set, list = whole, whole.Order
	} else if !w.o.All {
		return
	}
	for _, n := range list {
		w.out.Nodes = append(w.out.Nodes, w.member(set, n, false))
	}
}

func (w *why) chainNodes() int {
	seen := map[string]bool{w.out.Entity.ID: true}
	for i := range w.main {
		seen[w.main[i].From.ID], seen[w.main[i].To.ID] = true, true
	}
	return len(seen)
}

func (w *why) count(step string, n0, n1, e0, e1 int, text string) {
	w.out.Counts = append(w.out.Counts, answer.Count{Step: step, NodesBefore: n0, NodesAfter: n1, EdgesBefore: e0, EdgesAfter: e1, Text: text})
}

// entities counts nodes, the two halves of a socket once.
func (v view) entities(nodes []graph.Node) int {
	n := 0
	half := map[graph.Node]bool{}
	for _, x := range nodes {
		if k, _ := v.m.Graph.Kind(x); k == graph.SockIn || k == graph.SockOut {
			half[v.m.Graph.Entity(x)] = true
			continue
		}
		n++
	}
	return n + len(half)
}

// member renders a node of a closure.
func (v view) member(set *cause.Set, n graph.Node, forward bool) answer.Node {
	a := answer.Node{Ref: v.node(n, set.Reach(n)), Reach: v.time(set.Reach(n)), Depth: set.Depth(n), Certainty: answer.Certain,
		Hub: v.m.Classes.Hub(n), Context: v.m.Classes.Context(n)}
	if i := set.Via(n); i != cause.NoEdge {
		s := v.step(i)
		a.Via, a.Certainty = &s, s.Certainty
		if e := &v.m.Graph.Edges[i]; forward && e.Flags&graph.OpenEnd != 0 && e.Start() < set.Reach(e.From) {
			a.Certainty = worse(a.Certainty, answer.Likely)
		}
	}
	return a
}

// What the questions of a chain depend on.
var (
	writeEvents = gap.Events(event.FirstWrite, event.Open, event.Rename, event.Truncate)
	peerEvents  = gap.Events(event.Connect, event.Accept, event.SockFirst)
)

// dark replaces the end of a chain by what is true when no hook could have told more.
func (w *why) dark(question string, events uint64) {
	begin, end := w.m.Bounds()
	if gs := w.notObservable(question, begin, end, events); len(gs) > 0 {
		w.stop = question + " was not observable: " + strings.TrimPrefix(gs[0].Text, question+": ")
		w.out.NotSeen = append(w.out.NotSeen, gs...)
	}
}

// limits attaches what could not be seen over the chain's time.
func (w *why) limits(at clock.Boot) {
	begin, _ := w.m.Bounds()
	from := at
	for i := range w.main {
		from = min(from, w.main[i].T0.Boot)
	}
	if len(w.main) == 0 {
		from = begin
	}
	w.out.NotSeen = append(w.out.NotSeen, w.notSeen(from, at-1, flowEvents)...)
	for i := range w.main {
		if s := &w.main[i]; s.Verb == "recv" && s.Actor == nil {
			w.out.NotSeen = append(w.out.NotSeen, answer.Gap{Kind: "unknown_owner", CPU: -1, From: s.T0, To: s.T1, Text: "the owner of " + s.Title + " was not recorded",
				Events: []string{}, Evidence: s.Evidence})
		}
	}
}
