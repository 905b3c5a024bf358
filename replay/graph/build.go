package graph

import (
	"cmp"
	"slices"

	"hindcast/format/clock"
	"hindcast/format/event"
	"hindcast/replay/load"
	"hindcast/replay/state"
)

// Builder collects edges while rows are applied to a table.
type Builder struct {
	t        *state.Table
	edges    []Edge
	attempts []Attempt
	open     map[flowKey]*flow // running reads and writes of threads
	stream   map[streamKey]uint32
	opened   map[pairKey]bool // opened for reading; true until a read is seen
	stores   map[state.ProcID][]mapping

	totalsLost bool // the ledger counts totals among the lost
	orderly    bool // the recording ended by itself, after telling all totals
	unswept    bool // but what idle threads held could not be asked for
}

// sweepHook is the iterator that tells the totals of threads that neither end nor go on.
const sweepHook = "hc_iter_io"

// During collection the top bits of a node are its kind, the rest its number.
const kindShift = 29

func tag(k Kind, i int32) Node { return Node(uint32(k)<<kindShift | uint32(i)) }

type flowKey struct {
	proc   state.ProcID
	object state.FileID
	tid    uint32
	out    bool
}

type flow struct {
	edge   uint32
	period clock.Boot // T0 of the totals that speak of it, 0 until one came
}

type pairKey struct {
	proc   state.ProcID
	object state.FileID
}

// mapping is a running Store edge and where it lies in its process.
type mapping struct {
	edge       uint32
	object     state.FileID
	addr, size uint64
}

type streamKey struct {
	proc state.ProcID
	sock state.SockID
	out  bool
}

// NewBuilder returns a builder over a table.
func NewBuilder(t *state.Table) *Builder {
	return &Builder{t: t, open: make(map[flowKey]*flow), stream: make(map[streamKey]uint32), opened: make(map[pairKey]bool), stores: make(map[state.ProcID][]mapping)}
}

func (b *Builder) add(e Edge, id load.RowID) uint32 {
	e.Ev[0], e.N = id, 1
	b.edges = append(b.edges, e)
	return uint32(len(b.edges) - 1)
}

// Apply adds the edges of one row, which the table has just resolved to s.
func (b *Builder) Apply(r *event.Row, id load.RowID, s state.Seen) {
	switch {
	case r.Type == event.Ledger:
		switch event.Type(r.N1) {
		case 0, event.IO, event.FirstRead, event.FirstWrite: // the latter: operations that were not counted
			b.totalsLost = true
		}
	case r.Type == event.Recorder && string(r.Text) == "snapshot-incomplete",
		r.Type == event.Coverage && r.N1 == 0 && string(r.Text) == sweepHook:
		b.unswept = true
	case r.Type == event.Recorder && string(r.Text) == "end": // after the last sweep
		b.orderly = true
	}
	if r.Flags&event.FlagSnapshot != 0 {
		if r.Type == event.MmapWrite && s.Actor != state.None && s.Object != state.None {
			b.store(Edge{T0: r.TS, T1: r.TS, Name: s.Path, TID: r.TID}, s.Actor, s.Object, uint64(r.N2), uint64(r.N3), id)
		}
		return
	}
	if r.Flags&event.FlagFailed != 0 || r.Type == event.OpenFailed || r.Type == event.ExecFailed || r.Type == event.ConnectDenied ||
		r.Type == event.Connect && r.Ret < 0 {
		if s.Actor != state.None {
			name := s.Path
			if name == 0 {
				name = s.Path2
			}
			b.attempts = append(b.attempts, Attempt{s.Actor, attemptVerb(r.Type), name, s.Sock, r.Ret, r.TS, id})
		}
		return
	}
	if s.Actor == state.None {
		return
	}
	p := tag(Process, int32(s.Actor))
	var flags uint16
	if s.ByName {
		flags |= ByName
	}
	if s.Several {
		flags |= Several
	}
	point := Edge{From: p, T0: r.TS, T1: r.TS, Name: s.Path, TID: r.TID, Flags: flags}
	to := func(v Verb, f state.FileID) *Edge {
		if f == state.None {
			return nil
		}
		e := point
		e.Verb, e.To = v, tag(File, int32(f))
		return &b.edges[b.add(e, id)]
	}
	from := func(v Verb, f state.FileID) *Edge {
		if f == state.None {
			return nil
		}
		e := point
		e.Verb, e.From, e.To = v, tag(File, int32(f)), p
		return &b.edges[b.add(e, id)]
	}
	switch r.Type {
	case event.Fork:
		if s.Other != state.None && s.Other != s.Actor && b.t.Procs[s.Other].ForkRow == id {
			e := point
			e.Verb, e.To = Fork, tag(Process, int32(s.Other))
			b.add(e, id)
			for _, m := range b.stores[s.Actor] { // a child has its creator's mappings
				b.store(Edge{T0: r.TS, T1: r.TS, Name: b.edges[m.edge].Name, TID: r.OTID, Flags: Inferred}, s.Other, m.object, m.addr, m.size, id)
			}
		}
	case event.Exec:
		b.unmap(s.Actor, 0, 1<<63, r.TS, id)
		if e := from(Exec, s.Object); e != nil {
			e.Num, e.Flags = int32(r.Image), 0
		}
		if e := from(Exec, s.Second); e != nil {
			e.Num, e.Name = int32(r.Image), s.Path2
			e.Flags |= ByName | Script
		}
	case event.SignalSent:
		if s.Other != state.None && s.Other != s.Actor {
			e := point
			e.Verb, e.To, e.Num = Signal, tag(Process, int32(s.Other)), int32(r.N1)
			b.add(e, id)
		}
	case event.Open:
		if r.N1 == 1 {
			to(Create, s.Object)
		} else if r.Op&openTrunc != 0 && r.Op&openAccess != 0 {
			to(Truncate, s.Object)
		}
		if r.Op&openAccess != openWriteOnly && r.Op&openPath == 0 && s.Object != state.None && !b.t.Files[s.Object].Dir {
			k := pairKey{s.Actor, s.Object}
			if _, ok := b.opened[k]; !ok {
				b.opened[k] = true
				from(Opened, s.Object)
			}
		}
	case event.FirstRead, event.FirstWrite:
		b.firstIO(r, id, s, p)
	case event.IO:
		b.totals(r, id, s, p)
	case event.MmapExec:
		from(Map, s.Object)
	case event.MmapWrite:
		if s.Object != state.None {
			b.store(point, s.Actor, s.Object, uint64(r.N2), uint64(r.N3), id)
		}
	case event.Unmap:
		b.unmap(s.Actor, uint64(r.N2), uint64(r.N3), r.TS, id)
	case event.Dirty:
		if e := to(Write, s.Object); e != nil {
			if r.T0 != 0 {
				e.T0 = min(r.T0, r.TS)
			}
			e.Name = b.t.Files[s.Object].NameAt(r.TS)
		}
	case event.Access:
		if s.Other == state.None || s.Other == s.Actor {
			break
		}
		e := point
		e.Num = int32(r.Op)
		switch e.To = tag(Process, int32(s.Other)); reach(r) {
		case Inject:
			e.Verb = Inject
		case Peek:
			e.Verb, e.From, e.To = Peek, e.To, p
		default:
			return
		}
		b.add(e, id)
	case event.FDPassed:
		if s.Other != state.None && s.Other != s.Actor && r.Op != fdSent {
			e := point
			e.Verb, e.From, e.To = Pass, tag(Process, int32(s.Other)), p
			b.add(e, id)
		}
	case event.Rename:
		if e := to(Rename, s.Object); e != nil {
			e.Name2 = s.Path2
		}
		if r.Op&2 == 0 {
			if e := to(Unlink, s.Second); e != nil {
				e.Name, e.Flags = s.Path2, e.Flags|Replaced
			}
		}
	case event.Link:
		if e := to(Link, s.Object); e != nil {
			e.Name2 = s.Path2
		}
	case event.Unlink:
		if e := to(Unlink, s.Object); e != nil {
			e.Num = int32(r.Op)
		}
	case event.Chmod:
		if e := to(Chmod, s.Object); e != nil {
			e.Num = int32(r.N1)
		}
	case event.Chown:
		if e := to(Chown, s.Object); e != nil {
			e.Num = int32(r.N1)
		}
	case event.Truncate:
		to(Truncate, s.Object)
	case event.Mkdir:
		to(Mkdir, s.Object)
	case event.Symlink:
		to(Symlink, s.Object)
	case event.Connect:
		e := point
		e.Verb, e.To = Connect, tag(SockOut, int32(s.Sock))
		if r.T0 != 0 {
			e.T0 = min(r.T0, r.TS)
		}
		b.add(e, id)
	case event.Accept:
		e := point
		e.Verb, e.From, e.To = Accept, tag(SockIn, int32(s.Sock)), p
		b.add(e, id)
	case event.SockFirst:
		if r.Ret > 0 {
			b.firstSock(r, id, s)
		}
	case event.SockTotal:
		b.sockTotals(r, id, s)
	}
}

// fdSent in an fd_passed row: told by the sender; the receiver's row makes the edge.
const fdSent = 2

// store begins a Store edge of a process, unless that mapping is known: the state that a segment
// opens with tells it again.
func (b *Builder) store(e Edge, p state.ProcID, f state.FileID, addr, size uint64, id load.RowID) {
	for _, m := range b.stores[p] {
		if m.object == f && m.addr == addr && m.size == size {
			return
		}
	}
	e.Verb, e.From, e.To = Store, tag(Process, int32(p)), tag(File, int32(f))
	e.Flags |= OpenEnd
	b.stores[p] = append(b.stores[p], mapping{b.add(e, id), f, addr, size})
}

// unmap ends the mappings that lie wholly in a range; of one that is cut the rest goes on.
func (b *Builder) unmap(p state.ProcID, addr, size uint64, at clock.Boot, id load.RowID) {
	kept := b.stores[p][:0]
	for _, m := range b.stores[p] {
		if m.addr < addr || m.addr+m.size > addr+size && (size != 0 || m.addr != addr) { // no length: all that begins there
			kept = append(kept, m)
			continue
		}
		e := &b.edges[m.edge]
		e.T1, e.Flags = max(e.T0, at), e.Flags&^OpenEnd
		e.Ev[1], e.N = id, 2
	}
	b.stores[p] = kept
}

// reach says which way an access row goes: Inject into the target, Peek out of it. Other verbs
// mean neither. Numbers are those of the catalogue and of ptrace(2).
func reach(r *event.Row) Verb {
	switch r.Op {
	case 3, 5:
		return Inject
	case 2, 4, 6:
		return Peek
	case 1:
		switch r.N1 {
		case 4, 5, 6, 13, 15, 16, 0x4205, 0x4206: // POKE*, SET*REGS, ATTACH, SETREGSET, SEIZE
			return Inject
		case 1, 2, 3, 12, 14, 0x4202, 0x4204: // PEEK*, GET*REGS, GETSIGINFO, GETREGSET
			return Peek
		}
	}
	return Signal
}

const (
	openAccess    = 3
	openWriteOnly = 1
	openTrunc     = 0x200
	openPath      = 0x200000
)

func attemptVerb(t event.Type) string {
	switch t {
	case event.OpenFailed:
		return "open"
	case event.ExecFailed:
		return "exec"
	case event.ConnectDenied, event.UnixConn:
		return "connect"
	}
	return t.String()
}

// ioEdge begins an edge between a process and an object.
func (b *Builder) ioEdge(r *event.Row, id load.RowID, s state.Seen, p Node, out bool, t0, t1 clock.Boot, n uint64) uint32 {
	o := tag(File, int32(s.Object))
	e := Edge{From: o, To: p, Verb: Read, T0: t0, T1: t1, Bytes: n, Name: s.Path, TID: r.TID}
	if out {
		e.From, e.To, e.Verb = p, o, Write
		if b.t.Files[s.Object].Pipe() {
			b.early(&e, b.t.Procs[s.Actor].Begin())
		}
	}
	if e.Name == 0 {
		e.Name = b.t.Files[s.Object].NameAt(t0)
	}
	if k := (pairKey{s.Actor, s.Object}); !out && b.opened[k] {
		b.opened[k] = false
	}
	return b.add(e, id)
}

func (b *Builder) firstIO(r *event.Row, id load.RowID, s state.Seen, p Node) {
	if s.Object == state.None || r.Ret <= 0 {
		return
	}
	out := r.Type == event.FirstWrite
	k := flowKey{s.Actor, s.Object, r.TID, out}
	period := clock.Boot(r.N3)
	if f := b.open[k]; f != nil && period != 0 && f.period == period {
		// where every operation is told, those of one period are one edge, as with totals
		e := &b.edges[f.edge]
		e.Bytes += uint64(r.Ret)
		e.T1 = max(e.T1, r.TS)
		e.Ev[1], e.N = id, 2
		return
	}
	i := b.ioEdge(r, id, s, p, out, r.TS, r.TS, uint64(r.Ret))
	b.edges[i].Flags |= Partial
	b.open[k] = &flow{edge: i, period: period}
}

// earlier allows for the first row of a period being stamped a little before its totals.
const earlier clock.Boot = 1e6

// totals merges running totals into the edges of their period: the last row of a period speaks.
func (b *Builder) totals(r *event.Row, id load.RowID, s state.Seen, p Node) {
	if s.Object == state.None {
		return
	}
	for _, d := range [2]struct {
		out   bool
		bytes uint64
		last  clock.Boot
	}{{false, r.BytesIn, clock.Boot(r.N3)}, {true, r.BytesOut, clock.Boot(r.N4)}} {
		if d.bytes == 0 {
			continue
		}
		if d.last < r.T0 {
			d.last = max(r.T0, clock.Boot(r.N2))
		}
		k := flowKey{s.Actor, s.Object, r.TID, d.out}
		f := b.open[k]
		if f != nil && (f.period == r.T0 || f.period == 0 && b.start(f.edge)+earlier >= r.T0) {
			e := &b.edges[f.edge]
			f.period = r.T0
			if d.bytes >= e.Bytes { // totals only grow: an older row that came late says nothing new
				e.Bytes, e.T1 = d.bytes, max(e.T1, d.last)
				if e.Ev[0] != id {
					e.Ev[1], e.N = id, 2
				}
			}
			e.Flags &^= Partial
			continue
		}
		i := b.ioEdge(r, id, s, p, d.out, r.T0, d.last, d.bytes)
		b.open[k] = &flow{edge: i, period: r.T0}
	}
}

// early lets a write to a stream begin before its stamp, but not before bound.
func (b *Builder) early(e *Edge, bound clock.Boot) {
	at := min(e.T0, max(e.T0-StreamSlack, bound))
	e.Early, e.T0 = int32(e.T0-at), at
}

// start returns when an edge really began.
func (b *Builder) start(i uint32) clock.Boot { return b.edges[i].Start() }

// Start returns when the first operation was stamped.
func (e *Edge) Start() clock.Boot { return e.T0 + clock.Boot(e.Early) }

func (b *Builder) firstSock(r *event.Row, id load.RowID, s state.Seen) {
	out := r.Op == 1
	k := streamKey{s.Actor, s.Sock, out}
	if i, ok := b.stream[k]; ok {
		e := &b.edges[i]
		e.Bytes += uint64(r.Ret)
		e.T1 = max(e.T1, r.TS)
		if e.Ev[0] != id {
			e.Ev[1], e.N = id, 2
		}
		return
	}
	b.stream[k] = b.sockEdge(s, out, r.TS, r.TS, uint64(r.Ret), OpenEnd|Partial, r.TID, id)
}

func (b *Builder) sockEdge(s state.Seen, out bool, t0, t1 clock.Boot, n uint64, flags uint16, tid uint32, id load.RowID) uint32 {
	p := tag(Process, int32(s.Actor))
	e := Edge{From: tag(SockIn, int32(s.Sock)), To: p, Verb: Recv, T0: t0, T1: t1, Bytes: n, Flags: flags, TID: tid}
	if out {
		e.From, e.To, e.Verb = p, tag(SockOut, int32(s.Sock)), Send
		b.early(&e, max(b.t.Procs[s.Actor].Begin(), b.t.Socks[s.Sock].Opened))
	}
	return b.add(e, id)
}

// sockTotals bounds the edges of a UDP flow, or makes them when the first rows are missing.
func (b *Builder) sockTotals(r *event.Row, id load.RowID, s state.Seen) {
	last := max(r.T0, clock.Boot(r.N2))
	for _, d := range [2]struct {
		out   bool
		bytes uint64
	}{{false, r.BytesIn}, {true, r.BytesOut}} {
		if d.bytes == 0 {
			continue
		}
		k := streamKey{s.Actor, s.Sock, d.out}
		i, ok := b.stream[k]
		if !ok {
			i = b.sockEdge(s, d.out, r.T0, last, d.bytes, 0, r.TID, id)
			b.stream[k] = i
			continue
		}
		e := &b.edges[i]
		e.T1 = max(e.T1, last)
		e.Bytes = max(e.Bytes, d.bytes)
		e.Flags &^= OpenEnd | Partial
		if e.Ev[0] != id {
			e.Ev[1], e.N = id, 2
		}
	}
}

// Finish joins sockets, bounds open ends, resolves aliases and indexes the edges.
func (b *Builder) Finish() *Graph {
	t := b.t
	g := &Graph{T: t, Attempts: b.attempts}
	b.snapshotParents()
	b.ownedSockets()
	b.join(g)
	b.edges = slices.DeleteFunc(b.edges, func(e Edge) bool {
		return e.Verb == Opened && !b.opened[pairKey{state.ProcID(uint32(e.To) & (1<<kindShift - 1)), state.FileID(uint32(e.From) & (1<<kindShift - 1))}]
	})
	b.open, b.opened = nil, nil
	for i := range b.edges {
		e := &b.edges[i]
		if e.Flags&OpenEnd != 0 {
			b.bound(e)
		} else if e.Flags&Partial != 0 && b.toldAll(e) {
			e.Flags &^= Partial
		}
		if e.T1 < e.T0 {
			e.T1 = e.T0
		}
	}
	counts := [numKinds]int{len(t.Procs), len(t.Files), len(t.Socks), len(t.Socks), len(g.Remotes)}
	for k := Kind(0); k < numKinds; k++ {
		g.base[k+1] = g.base[k] + uint32(counts[k])
	}
	dense := func(n Node) Node {
		k, i := Kind(n>>kindShift), uint32(n)&(1<<kindShift-1)
		if k == File {
			i = uint32(t.Real(state.FileID(i)))
		}
		return g.Node(k, i)
	}
	for i := range b.edges {
		b.edges[i].From, b.edges[i].To = dense(b.edges[i].From), dense(b.edges[i].To)
	}
	slices.SortStableFunc(b.edges, func(x, y Edge) int { return cmp.Compare(x.T0, y.T0) })
	g.Edges = b.edges
	b.edges = nil
	g.index()
	return g
}

// snapshotParents adds the descent of processes whose fork was not recorded, from the
// parent that a snapshot names. A parent younger than its child cannot have made it.
func (b *Builder) snapshotParents() {
	for i := range b.t.Procs {
		p := &b.t.Procs[i]
		if p.Creator != state.None || len(p.Parents) == 0 || !p.Parents[0].Seen {
			continue
		}
		par := p.Parents[0]
		if b.t.Procs[par.Proc].Begin() > p.Begin() {
			continue
		}
		b.add(Edge{From: tag(Process, int32(par.Proc)), To: tag(Process, int32(i)), Verb: Fork, T0: p.Begin(), T1: p.Begin(),
			Flags: Inferred}, par.Row)
	}
}

// ownedSockets adds the flows that a connection's totals prove and no sock row tells.
func (b *Builder) ownedSockets() {
	type dir struct {
		sock state.SockID
		out  bool
	}
	have := map[dir][]uint32{}
	for k, i := range b.stream {
		have[dir{k.sock, k.out}] = append(have[dir{k.sock, k.out}], i)
	}
	for i := range b.t.Socks {
		s := &b.t.Socks[i]
		if s.Role == state.RoleListening || s.Failed {
			continue
		}
		for _, d := range [2]struct {
			out bool
			n   uint64
		}{{false, s.In}, {true, s.Out}} {
			if d.n == 0 {
				continue
			}
			known := have[dir{state.SockID(i), d.out}]
			if len(known) == 1 && s.Totals {
				e := &b.edges[known[0]]
				e.Bytes = max(e.Bytes, d.n)
				e.Flags &^= Partial
			}
			if len(known) > 0 || s.Owner == state.None {
				continue
			}
			row, end := s.OpenRow, s.Closed
			if s.Closed != 0 {
				row = s.CloseRow
			} else {
				end = s.Last
			}
			seen := state.Seen{Actor: s.Owner, Sock: state.SockID(i)}
			b.sockEdge(seen, d.out, s.Opened, end, d.n, Inferred|OpenEnd, 0, row)
		}
	}
}

// toldAll tells whether a first read or write without totals was the only one: totals are sent
// at the latest when the thread ends and when an orderly recording stops.
func (b *Builder) toldAll(e *Edge) bool {
	if b.totalsLost {
		return false
	}
	if b.orderly && !b.unswept {
		return true
	}
	for _, n := range [2]Node{e.From, e.To} {
		if Kind(n>>kindShift) == Process {
			p := &b.t.Procs[uint32(n)&(1<<kindShift-1)]
			return p.Exited && !p.ExitInferred
		}
	}
	return false
}

// bound ends an edge whose last operation is unknown: at the end of the socket, of the
// process, or of the recording.
func (b *Builder) bound(e *Edge) {
	t := b.t
	end := t.End
	for _, n := range [2]Node{e.From, e.To} {
		i := int32(uint32(n) & (1<<kindShift - 1))
		switch Kind(n >> kindShift) {
		case Process:
			if p := &t.Procs[i]; p.Exited {
				end = min(end, p.ExitAt)
			}
		case SockIn, SockOut:
			if s := &t.Socks[i]; s.Closed != 0 {
				end = min(end, s.Closed)
			}
		}
	}
	e.T1 = max(e.T1, end)
}

type tuple struct {
	netns  uint32
	proto  uint8
	l, r   uint32
	lp, rp uint16
}

// join finds the two ends of connections inside this host and gives the others a remote end.
func (b *Builder) join(g *Graph) {
	t := b.t
	g.Pairs = make([]Pair, len(t.Socks))
	byISN := map[uint64]int32{}
	byTuple := map[tuple][]int32{}
	remotes := map[Endpoint]int32{}
	for i := range t.Socks {
		g.Pairs[i] = Pair{Sock: state.None, Remote: -1}
		s := &t.Socks[i]
		if s.ISN != 0 {
			byISN[s.ISN] = int32(i)
		}
		if s.Family != state.FamilyUnix && s.Role != state.RoleListening {
			k := tuple{s.NetNS, s.Proto, uint32(s.LAddr), uint32(s.RAddr), s.LPort, s.RPort}
			byTuple[k] = append(byTuple[k], int32(i))
		}
	}
	for i := range t.Socks {
		s := &t.Socks[i]
		if s.Role == state.RoleListening || s.Failed {
			continue
		}
		pair := &g.Pairs[i]
		switch {
		case s.Family == state.FamilyUnix:
			if x, ok := t.UnixByIno(s.Peer); ok && s.Peer != 0 && int(x) != i {
				pair.Sock, pair.Sure = x, true
			}
		case s.ISN != 0 && s.ISN != s.ISN<<32|s.ISN>>32:
			if x, ok := byISN[s.ISN<<32|s.ISN>>32]; ok && int(x) != i {
				pair.Sock, pair.Sure = state.SockID(x), true
			}
		}
		if pair.Sock == state.None && s.Family != state.FamilyUnix && s.RPort != 0 {
			pair.Sock = b.mirror(byTuple, i)
		}
	}
	claims := make(map[state.SockID]int) // unix sockets may have many peers: datagrams
	for i := range t.Socks {
		if x := g.Pairs[i].Sock; x != state.None {
			claims[x]++
		}
	}
	for i := range t.Socks { // what one end found holds for the other, which may not show its address
		if x := g.Pairs[i].Sock; x != state.None && g.Pairs[x].Sock == state.None && !t.Socks[x].Failed && t.Socks[x].Role != state.RoleListening &&
			(t.Socks[i].Family != state.FamilyUnix || claims[x] == 1) {
			g.Pairs[x] = Pair{Sock: state.SockID(i), Remote: -1, Sure: g.Pairs[i].Sure}
		}
	}
	for i := range t.Socks {
		s := &t.Socks[i]
		if s.Role == state.RoleListening || s.Failed {
			continue
		}
		pair := &g.Pairs[i]
		var other Node
		switch {
		case pair.Sock != state.None:
			other = tag(SockIn, int32(pair.Sock))
		case s.RPort != 0:
			at := Endpoint{s.RAddr, s.RPort}
			n, ok := remotes[at]
			if !ok {
				n = int32(len(g.Remotes))
				remotes[at] = n
				g.Remotes = append(g.Remotes, at)
			}
			pair.Remote = n
			other = tag(Remote, n)
		default:
			continue
		}
		to := s.Closed
		if to == 0 {
			to = t.End
		}
		flags := uint16(0)
		if pair.Sock != state.None && !pair.Sure {
			flags = Inferred
		}
		from := s.Opened - StreamSlack
		if pair.Sock != state.None {
			// What one end sent, the other receives; what it sent last may be read after its close.
			o := &t.Socks[pair.Sock]
			from = min(from, o.Opened-StreamSlack)
			if o.Closed == 0 {
				to = t.End
			} else {
				to = max(to, o.Closed)
			}
		}
		b.add(Edge{From: tag(SockOut, int32(i)), To: other, Verb: Join, T0: from, T1: to, Bytes: s.Out, Flags: flags}, s.OpenRow)
		if pair.Remote >= 0 {
			b.add(Edge{From: other, To: tag(SockIn, int32(i)), Verb: Join, T0: from, T1: to, Bytes: s.In, Flags: flags}, s.OpenRow)
		}
	}
}

// mirror finds the socket with the mirrored tuple whose life met that of socket i, in the
// same network namespace. Sequence numbers that are known and differ rule a socket out.
func (b *Builder) mirror(byTuple map[tuple][]int32, i int) state.SockID {
	t := b.t
	s := &t.Socks[i]
	try := func(l, r uint32) state.SockID {
		best := state.SockID(state.None)
		var dist clock.Boot
		for _, x := range byTuple[tuple{s.NetNS, s.Proto, l, r, s.RPort, s.LPort}] {
			o := &t.Socks[x]
			if int(x) == i || o.Failed || s.ISN != 0 && o.ISN != 0 {
				continue
			}
			if o.Closed != 0 && o.Closed+StreamSlack < s.Opened || s.Closed != 0 && s.Closed+StreamSlack < o.Opened {
				continue
			}
			d := o.Opened - s.Opened
			if d < 0 {
				d = -d
			}
			if best == state.None || d < dist {
				best, dist = state.SockID(x), d
			}
		}
		return best
	}
	if x := try(uint32(s.RAddr), uint32(s.LAddr)); x != state.None {
		return x
	}
	if s.Proto != state.ProtoUDP {
		return state.None
	}
	// A UDP socket bound to any address shows no local one.
	for _, any := range []string{"0.0.0.0", "::", ""} {
		n, ok := t.Names.Lookup(any)
		if !ok {
			continue
		}
		if x := try(uint32(n), uint32(s.LAddr)); x != state.None {
			return x
		}
		if x := try(uint32(s.RAddr), uint32(n)); x != state.None {
			return x
		}
	}
	return state.None
}
