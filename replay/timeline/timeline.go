package timeline

import (
	"cmp"
	"container/heap"
	"slices"

	"hindcast/format/clock"
	"hindcast/replay/index"
	"hindcast/replay/state"
)

// Timeline answers questions about lives.
type Timeline struct {
	t        *state.Table
	pids     *index.Spans[uint32, state.ProcID]
	inits    map[uint32]state.ProcID // by pid namespace; 0 for the initial one
	Inferred int                     // exits that were inferred
	Cycles   []state.ProcID          // processes whose parent chain led back to themselves
}

// Build completes the table's processes: inferred exits, parents after re-parenting.
func Build(t *state.Table) *Timeline {
	tl := &Timeline{t: t, pids: index.NewSpans[uint32, state.ProcID](), inits: map[uint32]state.ProcID{}}
	order := make([]state.ProcID, len(t.Procs))
	for i := range order {
		order[i] = state.ProcID(i)
	}
	slices.SortFunc(order, func(a, b state.ProcID) int {
		p, q := &t.Procs[a], &t.Procs[b]
		return cmp.Or(cmp.Compare(p.PID, q.PID), cmp.Compare(p.Start, q.Start))
	})
	for i, id := range order {
		p := &t.Procs[id]
		if i+1 < len(order) {
			if next := &t.Procs[order[i+1]]; next.PID == p.PID && !p.Exited {
				p.Exited, p.ExitInferred, p.ExitAt = true, true, max(next.Begin(), p.Begin())
				tl.Inferred++
			}
		}
		to := index.Forever
		if p.Exited {
			to = p.ExitAt
		}
		tl.pids.Add(p.PID, p.Begin(), to, id)
		if p.PID == 1 || p.NSPID == 1 {
			ns := p.PidNS
			if p.PID == 1 {
				ns = 0
			}
			if _, ok := tl.inits[ns]; !ok {
				tl.inits[ns] = id
			}
		}
	}
	tl.reparent(order)
	tl.findCycles()
	return tl
}

// Pid returns the lives of a pid, oldest first.
func (tl *Timeline) Pid(pid uint32) []state.ProcID {
	var out []state.ProcID
	tl.pids.Each(pid, func(s index.Span[uint32, state.ProcID]) bool {
		out = append(out, s.Value)
		return true
	})
	return out
}

// PidAt returns the process that a pid meant at an instant, None when none is known.
func (tl *Timeline) PidAt(pid uint32, at clock.Boot) state.ProcID {
	s, ok := tl.pids.At(pid, at)
	if !ok {
		return state.None
	}
	return s.Value
}

// init returns the process that adopts orphans of p, None when it is not known.
func (tl *Timeline) init(p *state.Process) state.ProcID {
	if p.PidNS != 0 {
		if id, ok := tl.inits[p.PidNS]; ok && tl.t.Procs[id].PID != p.PID {
			return id
		}
	}
	if id, ok := tl.inits[0]; ok {
		return id
	}
	return state.None
}

// exits is a queue of ends in time order.
type exits struct {
	t  *state.Table
	id []state.ProcID
}

func (h *exits) Len() int { return len(h.id) }
func (h *exits) Less(i, j int) bool {
	p, q := &h.t.Procs[h.id[i]], &h.t.Procs[h.id[j]]
	return cmp.Or(cmp.Compare(p.ExitAt, q.ExitAt), cmp.Compare(h.id[i], h.id[j])) < 0
}
func (h *exits) Swap(i, j int) { h.id[i], h.id[j] = h.id[j], h.id[i] }
func (h *exits) Push(x any)    { h.id = append(h.id, x.(state.ProcID)) }
func (h *exits) Pop() any {
	x := h.id[len(h.id)-1]
	h.id = h.id[:len(h.id)-1]
	return x
}

// reparent walks the ends in time order and hands each one's living children on.
func (tl *Timeline) reparent(order []state.ProcID) {
	t := tl.t
	children := make([][]state.ProcID, len(t.Procs))
	ends := &exits{t: t}
	for _, id := range order {
		p := &t.Procs[id]
		for _, par := range p.Parents {
			children[par.Proc] = append(children[par.Proc], id)
		}
		if p.Exited {
			ends.id = append(ends.id, id)
		}
	}
	heap.Init(ends)
	for ends.Len() > 0 {
		x := heap.Pop(ends).(state.ProcID)
		at := t.Procs[x].ExitAt
		kids := children[x]
		// The orphans of one process all go to the same heir, so one that a row names speaks for all.
		known := state.ProcID(state.None)
		for _, k := range kids {
			c := &t.Procs[k]
			if cur := current(c, at); cur >= 0 && c.Parents[cur].Proc == x && cur+1 < len(c.Parents) && c.Begin() <= at {
				if h := c.Parents[cur+1].Proc; t.Procs[h].Alive(at) && t.Procs[h].PidNS == t.Procs[x].PidNS {
					known = h
					break
				}
			}
		}
		for i := 0; i < len(kids); i++ {
			c := &t.Procs[kids[i]]
			cur := current(c, at)
			if cur < 0 || c.Parents[cur].Proc != x || c.Exited && c.ExitAt <= at || c.Begin() > at {
				continue
			}
			// A later row that names another parent says who took it over; it did so now.
			if cur+1 < len(c.Parents) {
				next := &c.Parents[cur+1]
				if np := &t.Procs[next.Proc]; next.Proc != x && np.Begin() <= at && (!np.Exited || np.ExitAt > at) {
					next.From = at
				}
				continue
			}
			heir := known
			if heir == state.None {
				heir = tl.init(c)
			}
			if heir == state.None || heir == x || heir == kids[i] || t.Procs[heir].Exited && t.Procs[heir].ExitAt <= at {
				continue
			}
			c.Parents = append(c.Parents, state.Parent{From: at, Proc: heir, Inferred: true})
			children[heir] = append(children[heir], kids[i])
		}
	}
}

// current returns the number of the parent span in force at an instant, -1 for none.
func current(p *state.Process, at clock.Boot) int {
	cur := -1
	for j := range p.Parents {
		if p.Parents[j].From <= at {
			cur = j
		}
	}
	return cur
}

// Up returns the process above p for ancestry: its creator, else the first parent seen,
// else None. seen is false when that is not the recorded creator.
func (tl *Timeline) Up(p state.ProcID) (up state.ProcID, created bool) {
	q := &tl.t.Procs[p]
	if q.Creator != state.None {
		return q.Creator, true
	}
	if len(q.Parents) > 0 {
		return q.Parents[0].Proc, false
	}
	return state.None, false
}

// findCycles colours the creator graph once; it is a forest unless rows are damaged.
func (tl *Timeline) findCycles() {
	n := len(tl.t.Procs)
	mark := make([]int32, n) // 0 new, k: seen in walk k, -1 done
	for i := 0; i < n; i++ {
		walk := int32(i + 1)
		p := state.ProcID(i)
		for p != state.None && mark[p] == 0 {
			mark[p] = walk
			p, _ = tl.Up(p)
		}
		if p != state.None && mark[p] == walk {
			oldest := p
			for q, _ := tl.Up(p); q != p; q, _ = tl.Up(q) {
				if a, b := &tl.t.Procs[q], &tl.t.Procs[oldest]; a.Start < b.Start || a.Start == b.Start && q < oldest {
					oldest = q
				}
			}
			tl.Cycles = append(tl.Cycles, oldest)
		}
		for p = state.ProcID(i); p != state.None && mark[p] == walk; {
			mark[p] = -1
			p, _ = tl.Up(p)
		}
	}
}

// Row is one process of a tree, in printing order.
type Row struct {
	Proc   state.ProcID
	Depth  int
	Parent int // row of the process above, -1 for a root
}

// Tree lays out processes as a forest in printing order: children by start, below the
// process that above gives. keep says which processes belong to it; a process whose above
// does not belong is a root. Cycles are cut at the oldest member. No recursion.
func (tl *Timeline) Tree(keep func(state.ProcID) bool, above func(state.ProcID) state.ProcID) []Row {
	t := tl.t
	n := len(t.Procs)
	in := make([]bool, n)
	var members []state.ProcID
	for i := range n {
		if keep(state.ProcID(i)) {
			in[i] = true
			members = append(members, state.ProcID(i))
		}
	}
	slices.SortFunc(members, func(a, b state.ProcID) int {
		p, q := &t.Procs[a], &t.Procs[b]
		return cmp.Or(cmp.Compare(p.Start, q.Start), cmp.Compare(p.PID, q.PID))
	})
	kids := make(map[state.ProcID][]state.ProcID)
	var roots []state.ProcID
	for _, p := range members {
		if up := above(p); up != state.None && up != p && in[up] {
			kids[up] = append(kids[up], p)
		} else {
			roots = append(roots, p)
		}
	}
	rows := make([]Row, 0, len(members))
	placed := make([]bool, n)
	type item struct {
		p      state.ProcID
		depth  int
		parent int
	}
	var stack []item
	emit := func(root state.ProcID) {
		stack = append(stack[:0], item{root, 0, -1})
		for len(stack) > 0 {
			x := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			if placed[x.p] {
				continue
			}
			placed[x.p] = true
			row := len(rows)
			rows = append(rows, Row{x.p, x.depth, x.parent})
			ks := kids[x.p]
			for i := len(ks) - 1; i >= 0; i-- {
				stack = append(stack, item{ks[i], x.depth + 1, row})
			}
		}
	}
	for _, r := range roots {
		emit(r)
	}
	for _, p := range members { // only members of cycles are left; the oldest comes first
		if !placed[p] {
			emit(p)
		}
	}
	return rows
}
