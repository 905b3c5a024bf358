package graph

import (
	"hindcast/format/clock"
	"hindcast/replay/index"
	"hindcast/replay/load"
	"hindcast/replay/state"
)

// Kind is the kind of a node.
type Kind uint8

const (
	Process Kind = iota
	File
	SockIn  // what flows to the processes at a socket
	SockOut // what flows from them
	Remote
	numKinds
)

// Node numbers a node of a graph.
type Node uint32

// NoNode is the number of no node.
const NoNode Node = 1<<32 - 1

// Verb is what an edge is.
type Verb uint8

const (
	Fork Verb = iota
	Exec
	Read
	Write
	Create
	Map
	Rename
	Link
	Truncate
	Send
	Recv
	Connect
	Accept
	Join // between the two ends of a connection, or to the remote end
	Chmod
	Chown
	Unlink
	Mkdir
	Symlink
	Signal
	Opened // opened for reading, and no read of it was recorded
	Inject // into another process: its memory or registers written, or it was attached to
	Peek   // out of another process: its memory, registers or descriptors read
	Pass   // a descriptor handed from one process to another
	Store  // a file mapped so that stores change it: it may be written until the mapping ends
)

var verbNames = [...]string{"fork", "exec", "read", "write", "create", "map", "rename", "link", "truncate", "send", "recv",
	"connect", "accept", "join", "chmod", "chown", "unlink", "mkdir", "symlink", "signal", "open", "inject", "peek", "pass", "store"}

func (v Verb) String() string { return verbNames[v] }

// Strength is how much an edge carries.
type Strength uint8

const (
	Weak Strength = iota
	Data
	Control
)

// Strength returns the verb's strength.
func (v Verb) Strength() Strength {
	switch v {
	case Fork, Exec, Rename, Link, Connect, Accept, Mkdir, Symlink, Create, Inject:
		return Control
	case Chmod, Chown, Unlink, Signal, Opened:
		return Weak
	}
	return Data
}

// Flags of an edge.
const (
	OpenEnd  = 1 << iota // T1 is a bound, not an observation
	ByName               // an end was found by a claimed name
	Several              // more than one object could have had that name
	Inferred             // no row states it; drawn from others
	Script               // exec: the script, not the interpreter
	Partial              // Bytes are those of the first operation only
	Replaced             // rename: this is the object that lost its name
	Loop                 // both ends are the same process
)

// StreamSlack is how much later than its reader's a writer's stamp may be.
const StreamSlack clock.Boot = 5e6

// Edge is one flow. Ev holds N witness rows.
type Edge struct {
	From, To Node
	T0, T1   clock.Boot
	Bytes    uint64
	Ev       [2]load.RowID
	Name     index.Name // name of the object at the time
	Name2    index.Name // new name of a rename or link
	TID      uint32
	Num      int32 // signal number, mode, exec number
	Early    int32 // how much earlier than its stamp T0 was put, at most StreamSlack
	N        uint8
	Verb     Verb
	Flags    uint16
}

// Attempt is a call that failed.
type Attempt struct {
	Proc  state.ProcID
	Verb  string
	Name  index.Name // path; the peer for connect is Sock
	Sock  state.SockID
	Errno int64
	At    clock.Boot
	Row   load.RowID
}

// Endpoint is a remote end.
type Endpoint struct {
	Addr index.Name
	Port uint16
}

// Pair says what a socket is joined to.
type Pair struct {
	Sock   state.SockID // the other end on this host, state.None when it is not
	Remote int32        // number in Remotes, -1 when there is none
	Sure   bool         // by sequence numbers or inode, not by tuple
}

// Graph is nodes and edges with both adjacency indexes.
type Graph struct {
	Edges    []Edge
	Attempts []Attempt
	Remotes  []Endpoint
	Pairs    []Pair // by socket
	base     [numKinds + 1]uint32
	in, out  csr
	T        *state.Table
}

type csr struct {
	start []uint32
	edge  []uint32
}

// Nodes returns the number of nodes.
func (g *Graph) Nodes() int { return int(g.base[numKinds]) }

// Kind returns what a node is and its number among its kind.
func (g *Graph) Kind(n Node) (Kind, uint32) {
	for k := numKinds; k > 0; k-- {
		if uint32(n) >= g.base[k-1] {
			return k - 1, uint32(n) - g.base[k-1]
		}
	}
	return 0, 0
}

// Node returns the node of the i-th entity of a kind.
func (g *Graph) Node(k Kind, i uint32) Node { return Node(g.base[k] + i) }

// Proc returns the process that a node is, None when it is none.
func (g *Graph) Proc(n Node) state.ProcID {
	if uint32(n) < g.base[1] {
		return state.ProcID(n)
	}
	return state.None
}

// Object returns the object that a node is, None when it is none.
func (g *Graph) Object(n Node) state.FileID {
	if uint32(n) >= g.base[File] && uint32(n) < g.base[File+1] {
		return state.FileID(uint32(n) - g.base[File])
	}
	return state.None
}

// Sock returns the socket that a node is half of, None when it is none.
func (g *Graph) Sock(n Node) state.SockID {
	k, i := g.Kind(n)
	if k == SockIn || k == SockOut {
		return state.SockID(i)
	}
	return state.None
}

// Entity returns the same number for both halves of a socket: for counting.
func (g *Graph) Entity(n Node) Node {
	if k, i := g.Kind(n); k == SockOut {
		return g.Node(SockIn, i)
	}
	return n
}

// In returns the edges that end at n, by number in Edges, oldest first.
func (g *Graph) In(n Node) []uint32 { return g.in.edge[g.in.start[n]:g.in.start[n+1]] }

// Out returns the edges that begin at n, oldest first.
func (g *Graph) Out(n Node) []uint32 { return g.out.edge[g.out.start[n]:g.out.start[n+1]] }

// Index builds the adjacency of edges between nodes numbered below n. The edges are
// sorted by start, then by their order. Engines are tested on graphs made this way.
func Index(n int, edges []Edge) *Graph {
	g := &Graph{Edges: edges}
	for k := range g.base {
		g.base[k] = uint32(n)
	}
	g.base[0] = 0
	g.index()
	return g
}

func (g *Graph) index() {
	n := g.Nodes()
	g.in = newCSR(n, g.Edges, func(e *Edge) Node { return e.To })
	g.out = newCSR(n, g.Edges, func(e *Edge) Node { return e.From })
}

func newCSR(n int, edges []Edge, end func(*Edge) Node) csr {
	c := csr{make([]uint32, n+1), make([]uint32, len(edges))}
	for i := range edges {
		c.start[end(&edges[i])+1]++
	}
	for i := 0; i < n; i++ {
		c.start[i+1] += c.start[i]
	}
	at := make([]uint32, n)
	copy(at, c.start)
	for i := range edges {
		v := end(&edges[i])
		c.edge[at[v]] = uint32(i)
		at[v]++
	}
	return c
}
