package plan

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"hindcast/format/clock"
	"hindcast/format/event"
	"hindcast/query/answer"
	"hindcast/replay"
	"hindcast/replay/gap"
	"hindcast/replay/graph"
	"hindcast/replay/index"
	"hindcast/replay/load"
	"hindcast/replay/state"
)

// lastInstant stands for "after everything" where a label depends on the time.
const lastInstant = index.Forever

// view turns the model's numbers into the answer's names.
type view struct{ m *replay.Model }

func (v view) time(b clock.Boot) answer.Time { return answer.Time{Boot: b, Wall: v.m.Wall(b)} }

func (v view) timePtr(b clock.Boot) *answer.Time {
	t := v.time(b)
	return &t
}

func (v view) name(n index.Name) string { return v.m.State.Names.String(n) }

// procLabel is what a process was called at an instant, with its pid.
func (v view) procLabel(p state.ProcID, at clock.Boot) string {
	q := &v.m.State.Procs[p]
	label := "?"
	if i := q.ImageAt(at); i >= 0 {
		label = q.Images[i].Label(&v.m.State.Names)
	}
	return label + "(" + strconv.FormatUint(uint64(q.PID), 10) + ")"
}

func (v view) proc(p state.ProcID, at clock.Boot) answer.Ref {
	return answer.Ref{Kind: "process", ID: v.m.ID(replay.KindProcess, uint32(p)), Label: v.procLabel(p, at)}
}

func (v view) procPtr(p state.ProcID, at clock.Boot) *answer.Ref {
	if p == state.None {
		return nil
	}
	r := v.proc(p, at)
	return &r
}

// fileLabel is the name an object had at an instant, else what it is.
func (v view) fileLabel(f state.FileID, at clock.Boot) string {
	o := &v.m.State.Files[f]
	if n := o.NameAt(at); n != 0 {
		return v.name(n)
	}
	if o.Pipe() {
		return fmt.Sprintf("pipe:[%d]", o.Ino)
	}
	return fmt.Sprintf("object %d:%d of device %d:%d", o.Ino, o.Gen, o.Dev>>8&0xfff, o.Dev&0xff|o.Dev>>12&^0xff)
}

func (v view) file(f state.FileID, at clock.Boot) answer.Ref {
	kind := "file"
	if v.m.State.Files[f].Pipe() {
		kind = "pipe"
	}
	return answer.Ref{Kind: kind, ID: v.m.ID(replay.KindFile, uint32(f)), Label: v.fileLabel(f, at)}
}

func (v view) endpoint(addr index.Name, port uint16) string {
	s := v.name(addr)
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.AddrPortFrom(a, port).String()
	}
	if port == 0 {
		return s
	}
	return s + ":" + strconv.Itoa(int(port))
}

// remote is the far end of a socket as text.
func (v view) remote(s state.SockID) string {
	x := &v.m.State.Socks[s]
	switch {
	case x.Family == state.FamilyUnix:
		for _, n := range []index.Name{x.RAddr, x.LAddr} {
			if n != 0 {
				return "unix:" + v.name(n)
			}
		}
		if x.Peer != 0 {
			return fmt.Sprintf("unix:[%d]", x.Peer)
		}
		return fmt.Sprintf("unix:[%d]", x.Ino)
	case x.RPort == 0 && x.RAddr == 0:
		return "?"
	}
	return v.endpoint(x.RAddr, x.RPort)
}

func (v view) sock(s state.SockID) answer.Ref {
	x := &v.m.State.Socks[s]
	label := v.remote(s)
	if x.Family != state.FamilyUnix {
		local := v.endpoint(x.LAddr, x.LPort)
		switch {
		case x.Role == state.RoleListening:
			label = "listen " + local
		case x.Role == state.RoleAccepted:
			label = local + "←" + label
		default:
			label = local + "→" + label
		}
	}
	return answer.Ref{Kind: "socket", ID: v.m.ID(replay.KindSocket, uint32(s)), Label: label}
}

// node names any node at an instant.
func (v view) node(n graph.Node, at clock.Boot) answer.Ref {
	k, i := v.m.Graph.Kind(n)
	switch k {
	case graph.Process:
		return v.proc(state.ProcID(i), at)
	case graph.File:
		return v.file(state.FileID(i), at)
	case graph.Remote:
		r := v.m.Graph.Remotes[i]
		s := v.endpoint(r.Addr, r.Port)
		return answer.Ref{Kind: "remote", ID: s, Label: s}
	}
	return v.sock(state.SockID(i))
}

// rows renders evidence.
func rows(ids ...load.RowID) []string {
	out := make([]string, 0, len(ids))
	for _, id := range ids {
		out = append(out, id.String())
	}
	return out
}

func (v view) evidence(e *graph.Edge) []string { return rows(e.Ev[:e.N]...) }

// certainty of an edge by itself.
func certainty(e *graph.Edge) answer.Certainty {
	switch {
	case e.Flags&graph.Several != 0:
		return answer.Possible
	case e.Flags&(graph.Inferred|graph.ByName) != 0 || e.Verb == graph.Store:
		return answer.Likely
	}
	return answer.Certain
}

func worse(a, b answer.Certainty) answer.Certainty {
	rank := func(c answer.Certainty) int {
		switch c {
		case answer.Certain:
			return 0
		case answer.Likely:
			return 1
		}
		return 2
	}
	if rank(a) >= rank(b) {
		return a
	}
	return b
}

func strength(e *graph.Edge) answer.Strength {
	switch e.Verb.Strength() {
	case graph.Control:
		return answer.Control
	case graph.Data:
		return answer.Data
	}
	return answer.Weak
}

// actor is the process that did what an edge says.
func (v view) actor(e *graph.Edge) state.ProcID {
	switch e.Verb {
	case graph.Read, graph.Exec, graph.Map, graph.Recv, graph.Accept, graph.Opened, graph.Peek, graph.Pass:
		return v.m.Graph.Proc(e.To)
	}
	return v.m.Graph.Proc(e.From)
}

// step renders an edge.
func (v view) step(i uint32) answer.Step {
	g := v.m.Graph
	e := &g.Edges[i]
	at := e.Start()
	s := answer.Step{Verb: e.Verb.String(), From: v.node(e.From, at), To: v.node(e.To, at), T0: v.time(at), T1: v.time(max(e.T1, at)),
		Bytes: e.Bytes, Strength: strength(e), Certainty: certainty(e), Evidence: v.evidence(e)}
	if p := v.actor(e); p != state.None {
		when := at
		if e.Verb == graph.Exec {
			when-- // who became the program, not the program
		}
		s.Actor = v.procPtr(p, when)
	}
	named := func(n graph.Node, name index.Name) string {
		if name != 0 {
			return v.name(name)
		}
		return v.node(n, at).Label
	}
	switch e.Verb {
	case graph.Fork:
		s.Title = s.To.Label
		if e.Flags&graph.Inferred != 0 {
			s.Reason = "parent when the recording began"
		}
	case graph.Signal:
		s.Title = fmt.Sprintf("signal %d to %s", e.Num, s.To.Label)
	case graph.Inject:
		s.Title = s.To.Label
	case graph.Peek, graph.Pass:
		s.Title = s.From.Label
		if e.Name != 0 {
			s.Title = v.name(e.Name) + " from " + s.Title
		}
	case graph.Store:
		s.Title = named(e.To, e.Name)
		s.Reason = "stores into a mapping are not recorded one by one"
	case graph.Exec, graph.Read, graph.Map, graph.Opened:
		s.Title = named(e.From, e.Name)
		if e.Flags&graph.Script != 0 {
			s.Reason = "script, by name"
		}
	case graph.Recv, graph.Accept:
		s.Title = v.remote(g.Sock(e.From))
	case graph.Send, graph.Connect:
		s.Title = v.remote(g.Sock(e.To))
	case graph.Join:
		s.Title = s.To.Label
	case graph.Rename, graph.Link:
		s.Title = named(e.To, e.Name) + " → " + v.name(e.Name2)
	case graph.Chmod:
		s.Title = fmt.Sprintf("%04o %s", e.Num&0o7777, named(e.To, e.Name))
	default:
		s.Title = named(e.To, e.Name)
	}
	if e.Flags&graph.ByName != 0 && s.Reason == "" {
		s.Reason = "by name"
	}
	if e.Flags&graph.Several != 0 {
		s.Reason = "by name, which several objects had"
	}
	if e.Flags&graph.Inferred != 0 && (e.Verb == graph.Send || e.Verb == graph.Recv) {
		s.Reason = "from the connection's totals"
	}
	if e.Flags&graph.Partial != 0 && e.Bytes > 0 {
		s.Notes = append(s.Notes, "bytes of the first operation only")
	}
	return s
}

// path renders a witness, forward. What an edge needs beyond its rows lowers its certainty.
func (v view) path(edges []uint32, from clock.Boot) []answer.Step {
	out := make([]answer.Step, 0, len(edges))
	cell := from
	for _, i := range edges {
		e := &v.m.Graph.Edges[i]
		if e.Verb == graph.Join && v.m.Graph.Proc(e.To) == state.None && len(out) > 0 {
			if k, _ := v.m.Graph.Kind(e.To); k == graph.SockIn {
				if e.Flags&graph.Inferred != 0 {
					out[len(out)-1].Certainty = worse(out[len(out)-1].Certainty, answer.Likely)
				}
				cell = max(cell, e.T0)
				continue // the two ends of one connection
			}
		}
		s := v.step(i)
		if e.Flags&graph.OpenEnd != 0 && e.Start() < cell {
			s.Certainty = worse(s.Certainty, answer.Likely)
			s.Reason = joinReason(s.Reason, "later operations of a stream are not recorded one by one")
		}
		if e.T1 < cell {
			s.Certainty = worse(s.Certainty, answer.Likely)
			s.Reason = joinReason(s.Reason, "order uncertain")
		}
		cell = max(cell, e.Start())
		out = append(out, s)
	}
	return out
}

func joinReason(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}

func worst(steps []answer.Step) answer.Certainty {
	c := answer.Certain
	for i := range steps {
		c = worse(c, steps[i].Certainty)
	}
	return c
}

// quoteArgs joins arguments so that their borders stay visible.
func quoteArgs(args []string) string {
	out := make([]string, len(args))
	for i, a := range args {
		out[i] = a
		if a == "" || strings.ContainsAny(a, " \t\n'\"\\$`&|;<>()*?") {
			out[i] = strconv.Quote(a)
		}
	}
	return strings.Join(out, " ")
}

func (v view) cred(c state.CredID) answer.Cred {
	if c == 0 {
		return answer.Cred{}
	}
	x := &v.m.State.Creds[c]
	return answer.Cred{ID: x.ID, Known: true, UID: x.UID, EUID: x.EUID, GID: x.GID, EGID: x.EGID, CapEff: x.CapEff, UserNS: x.UserNS}
}

// direction says who began a conversation: out, in or unknown.
func (v view) direction(s state.SockID) string {
	x := &v.m.State.Socks[s]
	switch {
	case x.Role == state.RoleConnected:
		return "out"
	case v.inboundSock(s):
		return "in"
	case x.Proto != state.ProtoUDP:
		return "unknown"
	}
	// Of datagrams the first one says it.
	g := v.m.Graph
	sent, got := g.In(g.Node(graph.SockOut, uint32(s))), g.Out(g.Node(graph.SockIn, uint32(s)))
	first := func(edges []uint32, verb graph.Verb) clock.Boot {
		for _, i := range edges {
			if g.Edges[i].Verb == verb {
				return g.Edges[i].Start()
			}
		}
		return lastInstant
	}
	if a, b := first(sent, graph.Send), first(got, graph.Recv); a < b {
		return "out"
	} else if b < a {
		return "in"
	}
	return "unknown"
}

// inboundSock reports whether a connection was begun by its remote end.
func (v view) inboundSock(s state.SockID) bool {
	x := &v.m.State.Socks[s]
	switch x.Role {
	case state.RoleAccepted:
		return true
	case state.RoleUnknown:
		return x.Proto == state.ProtoTCP && v.m.Listened(x.NetNS, x.LPort)
	}
	return false
}

// notSeen renders the holes that overlap an interval and affect the events.
func (v view) notSeen(from, to clock.Boot, events uint64) []answer.Gap {
	begin, end := v.m.Bounds()
	out := []answer.Gap{}
	for _, h := range v.m.Gaps.For(from, to, events) {
		g := answer.Gap{Kind: string(h.Kind), Events: gap.Names(h.Events), Count: h.Count, CPU: h.CPU, Cause: h.Cause, Text: h.Text,
			Evidence: rows(h.Rows...), Whole: h.Whole}
		g.From, g.To = v.time(max(h.From, begin)), v.time(min(h.To, end))
		if h.Kind == gap.BeforeStart {
			g.From, g.To = v.time(begin), v.time(begin)
		}
		if h.Kind == gap.AfterEnd {
			g.From, g.To = v.time(end), v.time(end)
		}
		out = append(out, g)
	}
	return out
}

// notObservable says that a question has no answer, as far as it depends on events that no hook
// could tell. Cause is the question.
func (v view) notObservable(question string, from, to clock.Boot, events uint64) []answer.Gap {
	names, text := darkness(v.m.Gaps, events)
	if text == "" {
		return nil
	}
	begin, end := v.m.Bounds()
	return []answer.Gap{{Kind: "not_observable", Events: names, CPU: -1, From: v.time(max(from, begin)), To: v.time(min(to, end)), Cause: question,
		Text: question + ": " + text, Evidence: []string{}}}
}

// darkness says which of the events could not be told, or not all of them; no text when all could.
func darkness(gaps *gap.Set, events uint64) (names []string, text string) {
	if dark := gaps.Unobservable(events); dark != 0 {
		names = gap.Names(dark)
		return names, "no hook that tells " + strings.Join(names, ", ") + " was attached"
	}
	hooks := gaps.Refused(events)
	if len(hooks) == 0 {
		return nil, ""
	}
	more := ""
	if n := len(hooks) - mostHooks; n > 0 {
		hooks, more = hooks[:mostHooks], fmt.Sprintf(" and %d more", n)
	}
	return gap.Names(events), "only in part, without " + strings.Join(hooks, ", ") + more
}

// mostHooks is how many hooks a sentence names.
const mostHooks = 4

// Sets of events that questions depend on.
var (
	lifeEvents = gap.Events(event.Fork, event.Exec, event.Exit, event.Process)
	flowEvents = lifeEvents | gap.Events(event.Open, event.FirstRead, event.FirstWrite, event.IO, event.Rename, event.Link, event.Unlink,
		event.MmapExec, event.Connect, event.Accept, event.ConnClose, event.SockFirst, event.SockTotal, event.Chmod, event.Truncate)
	radiusEvents = flowEvents | gap.Events(event.CredChange, event.Cred, event.SignalSent, event.Listen, event.Socket, event.InodeUnlink,
		event.OpenFailed, event.Mkdir, event.Symlink, event.Chown)
)
