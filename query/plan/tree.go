package plan

import (
	"fmt"
	"slices"

	"hindcast/format/clock"
	"hindcast/query/answer"
	"hindcast/replay"
	"hindcast/replay/graph"
	"hindcast/replay/state"
)

// TreeOptions choose a tree. The zero value is every process of the recording, below its creator.
type TreeOptions struct {
	// At asks for the processes that lived at that instant, below their parents of then. 0: all.
	At clock.Boot
	// ByCreator nests by who forked, also with At.
	ByCreator bool
	// Touched adds each process's own files and peers.
	Touched bool
	// KThreads keeps kernel threads.
	KThreads bool
}

// Tree answers what ran.
func Tree(m *replay.Model, o TreeOptions) (*answer.Tree, error) {
	v := view{m}
	t := m.State
	begin, end := m.Bounds()
	out := &answer.Tree{Begin: v.time(begin), End: v.time(end), Total: len(t.Procs), Processes: []answer.Process{}}
	at := clock.Boot(lastInstant)
	if o.At != 0 {
		at = o.At
		out.At = v.timePtr(at)
	}
	keep := func(p state.ProcID) bool {
		q := &t.Procs[p]
		return (o.At == 0 || q.Alive(at)) && (o.KThreads || !q.KThread)
	}
	above := func(p state.ProcID) state.ProcID {
		q := &t.Procs[p]
		if o.At == 0 || o.ByCreator {
			up, _ := m.Time.Up(p)
			return up
		}
		if par := q.ParentAt(at); par != nil {
			return par.Proc
		}
		return state.None
	}
	unknown, inferred, hidden := 0, 0, 0
	for _, r := range m.Time.Tree(keep, above) {
		p := v.process(r.Proc, at)
		p.Depth, p.Parent = r.Depth, r.Parent
		if o.Touched {
			p.Touched = v.footprint(r.Proc)
		}
		switch t.Procs[r.Proc].Origin {
		case state.Actor, state.Mention:
			unknown++
		}
		if p.ExitInferred {
			inferred++
		}
		out.Processes = append(out.Processes, p)
	}
	for i := range t.Procs {
		if t.Procs[i].KThread && !o.KThreads && (o.At == 0 || t.Procs[i].Alive(at)) {
			hidden++
		}
	}
	to := end
	if o.At != 0 {
		to = o.At
	}
	out.NotSeen = v.notSeen(begin, to, lifeEvents)
	add := func(kind string, n int, text string) {
		if n > 0 {
			out.NotSeen = append(out.NotSeen, answer.Gap{Kind: kind, Events: []string{}, Count: uint64(n), CPU: -1, From: v.time(begin), To: v.time(to),
				Text: fmt.Sprintf(text, n), Evidence: []string{}, Whole: true})
		}
	}
	add("unknown_origin", unknown, "%d processes acted or were named without a row that tells their beginning")
	add("inferred", inferred, "%d exits were not recorded and are inferred from the pid being used again")
	add("inferred", len(m.Time.Cycles), "%d processes descend from themselves by the rows: damage, cut at the oldest")
	add("hidden", hidden, "%d kernel threads are left out")
	return out, nil
}

// process describes a process as it was at an instant.
func (v view) process(id state.ProcID, at clock.Boot) answer.Process {
	t := v.m.State
	q := &t.Procs[id]
	p := answer.Process{
		Ref: v.proc(id, at), PID: q.PID, Start: clock.Boot(q.Start), Parent: -1, Origin: q.Origin.String(), Threads: int(q.Threads),
		From: v.time(q.Begin()), KThread: q.KThread, Certainty: answer.Certain, Notes: []string{}, Images: []answer.Image{}, Evidence: []string{},
	}
	if q.Origin != state.Mention {
		p.Evidence = append(p.Evidence, q.Born.String())
	}
	switch q.Origin {
	case state.Actor, state.Mention:
		p.Certainty = answer.Likely
		p.Notes = append(p.Notes, "origin not recorded")
	}
	p.ForkedBy = v.procPtr(q.Creator, q.ForkAt)
	first := state.ProcID(state.None)
	if len(q.Parents) > 0 {
		first = q.Parents[0].Proc
	}
	if par := q.ParentAt(at); par != nil {
		p.PPID = t.Procs[par.Proc].PID
		p.ParentRef = v.procPtr(par.Proc, at)
		p.Reparented = par.Proc != first || q.Creator != state.None && par.Proc != q.Creator
		p.ParentInferred = par.Inferred
		if par.Inferred {
			p.Notes = append(p.Notes, "new parent inferred: its former one ended")
		} else if par.Proc != q.Creator && q.Origin == state.Forked {
			p.Evidence = append(p.Evidence, par.Row.String())
		}
	}
	for i := range q.Images {
		m := v.image(q, i)
		if len(m.Evidence) > 0 && !m.Inherited {
			p.Evidence = append(p.Evidence, m.Evidence...)
		}
		p.Images = append(p.Images, m)
	}
	if i := q.ImageAt(at); i >= 0 {
		p.Image = p.Images[i]
		if !q.Images[i].Known && !q.Images[i].Inherited && q.Origin != state.Mention {
			p.Notes = append(p.Notes, "its program was not recorded")
		}
	}
	if q.Exited && (at == lastInstant || q.ExitAt <= at) {
		p.To = v.timePtr(q.ExitAt)
		p.ExitKnown, p.ExitInferred = !q.ExitInferred, q.ExitInferred
		p.ExitCode, p.ExitSignal = int(q.ExitCode), int(q.ExitSignal)
		if q.ExitInferred {
			p.Notes = append(p.Notes, "exit not recorded: its pid was used again")
		} else {
			p.Evidence = append(p.Evidence, q.ExitRow.String())
		}
	}
	slices.Sort(p.Evidence)
	p.Evidence = slices.Compact(p.Evidence)
	return p
}

func (v view) image(q *state.Process, i int) answer.Image {
	t := v.m.State
	m := &q.Images[i]
	a := answer.Image{Number: m.Number, From: v.time(m.From), Exe: v.name(m.Exe), Argv: m.Args(), ArgvCut: m.ArgvCut, Cwd: v.name(m.Cwd),
		Comm: m.Label(&t.Names), Deleted: m.NLinkZero, Inherited: m.Inherited, Evidence: []string{}}
	if a.Argv == nil {
		a.Argv = []string{}
	}
	if m.Flags&state.ExecScript != 0 {
		a.Script = v.name(m.Filename)
	}
	end := clock.Boot(lastInstant)
	if i+1 < len(q.Images) {
		end = q.Images[i+1].From
		a.To = v.timePtr(end)
	} else if q.Exited {
		a.To = v.timePtr(q.ExitAt)
	}
	if m.File != state.None {
		f := t.Real(m.File)
		r := v.file(f, m.From)
		a.File = &r
		if t.Files[f].Deleted {
			a.Deleted = true
		}
	}
	if m.Known || m.Inherited {
		a.Evidence = rows(m.Row)
	}
	last := m.From
	if end != lastInstant {
		last = end - 1
	}
	a.Cred = v.cred(q.CredAt(last))
	return a
}

// footprint lists what a process itself wrote, read and spoke to, hubs and context left out.
func (v view) footprint(p state.ProcID) *answer.Footprint {
	g := v.m.Graph
	n := g.Node(graph.Process, uint32(p))
	f := &answer.Footprint{Written: []answer.Touch{}, Read: []answer.Touch{}, Peers: []answer.Touch{}}
	at := map[answer.Ref]int{}
	touch := func(list *[]answer.Touch, r answer.Ref, e *graph.Edge, in bool) {
		i, ok := at[r]
		if !ok {
			i = len(*list)
			at[r] = i
			*list = append(*list, answer.Touch{Ref: r, First: v.time(e.Start()), Last: v.time(e.T1), Evidence: []string{}})
		}
		x := &(*list)[i]
		x.Bytes += e.Bytes
		if in {
			x.In += e.Bytes
		} else {
			x.Out += e.Bytes
		}
		if e.Start() < x.First.Boot {
			x.First = v.time(e.Start())
		}
		if e.T1 > x.Last.Boot {
			x.Last = v.time(e.T1)
		}
		x.Evidence = append(x.Evidence, v.evidence(e)...)
	}
	for _, i := range g.Out(n) {
		e := &g.Edges[i]
		switch e.Verb {
		case graph.Write, graph.Create, graph.Truncate, graph.Rename, graph.Link, graph.Unlink, graph.Mkdir, graph.Symlink:
			if !v.m.Classes.Hub(e.To) {
				touch(&f.Written, v.node(e.To, e.T1), e, false)
			}
		}
	}
	clear(at)
	for _, i := range g.In(n) {
		e := &g.Edges[i]
		if e.Verb == graph.Read && !v.m.Classes.Hub(e.From) && (!v.m.Classes.Context(e.From) || v.m.State.Files[g.Object(e.From)].Pipe()) {
			touch(&f.Read, v.node(e.From, e.T1), e, true)
		}
	}
	clear(at)
	for _, i := range g.Out(n) {
		if e := &g.Edges[i]; e.Verb == graph.Send || e.Verb == graph.Connect {
			touch(&f.Peers, answer.Ref{Kind: "socket", ID: v.sock(g.Sock(e.To)).ID, Label: v.remote(g.Sock(e.To))}, e, false)
		}
	}
	for _, i := range g.In(n) {
		if e := &g.Edges[i]; e.Verb == graph.Recv || e.Verb == graph.Accept {
			touch(&f.Peers, answer.Ref{Kind: "socket", ID: v.sock(g.Sock(e.From)).ID, Label: v.remote(g.Sock(e.From))}, e, true)
		}
	}
	return f
}
