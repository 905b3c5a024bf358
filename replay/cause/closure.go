package cause

import (
	"cmp"
	"slices"

	"hindcast/format/clock"
	"hindcast/replay/graph"
)

// NoEdge is the number of no edge.
const NoEdge uint32 = 1<<32 - 1

// Seed is where a closure begins.
type Seed struct {
	Node graph.Node
	At   clock.Boot
}

// Options limit a closure. The zero value is the whole closure over control and data edges.
type Options struct {
	// Weak follows attribute and signal edges too.
	Weak bool
	// Tolerance counts stamps that are closer than this as unordered: the edge propagates.
	Tolerance clock.Boot
	// MaxDepth limits the number of edges of a path; 0 means no limit.
	MaxDepth int
	// Until (forward) or Since (backward) ignores edges that begin later or end earlier; 0 means no limit.
	Until, Since clock.Boot
	// Stop says that a node is reached but not walked through. Seeds are always walked through.
	Stop func(graph.Node) bool
	// Skip leaves an edge out.
	Skip func(*graph.Edge) bool
	// Follow, when it returns false, lists the far node of an edge without walking on from it.
	// A node that another edge leads to may still be walked.
	Follow func(e *graph.Edge, near, far graph.Node) bool
}

// Set is a closure.
type Set struct {
	g       *graph.Graph
	forward bool
	reached []bool
	reach   []clock.Boot
	via     []uint32 // edge that settled the node, NoEdge for a seed
	depth   []uint32
	parent  []int32 // label before, only with MaxDepth
	labels  []label
	// Order is the reached nodes in the order in which they were settled.
	Order []graph.Node
	// Listed is the nodes that were only listed.
	Listed []Listed
	// Edges counts the edges that propagated.
	Edges int
}

// Listed is a node that was reached and not walked.
type Listed struct {
	Node  graph.Node
	Reach clock.Boot
	Via   uint32
	Depth int
}

type label struct {
	node  graph.Node
	reach clock.Boot
	via   uint32
	prev  int32
}

// Has reports whether the node was reached and walked, or is a seed.
func (s *Set) Has(n graph.Node) bool { return s.reached[n] }

// Reach returns the node's cell.
func (s *Set) Reach(n graph.Node) clock.Boot { return s.reach[n] }

// Depth returns the length of the node's witness path.
func (s *Set) Depth(n graph.Node) int { return int(s.depth[n]) }

// Via returns the last edge of the witness path, NoEdge for a seed.
func (s *Set) Via(n graph.Node) uint32 { return s.via[n] }

// Witness returns the edges that lead from a seed to n (forward) or from n to a seed
// (backward), in the order of influence. It ends after limit edges; 0 means no limit.
func (s *Set) Witness(n graph.Node, limit int) []uint32 {
	var out []uint32
	if s.parent != nil {
		for l := s.parent[n]; l >= 0 && s.labels[l].via != NoEdge; l = s.labels[l].prev {
			out = append(out, s.labels[l].via)
		}
	} else {
		for s.reached[n] && s.via[n] != NoEdge {
			e := s.via[n]
			out = append(out, e)
			n = s.near(e)
		}
	}
	if s.forward {
		slices.Reverse(out)
	}
	if limit > 0 && len(out) > limit {
		out = out[:limit]
	}
	return out
}

// WitnessListed is Witness for a node that was only listed.
func (s *Set) WitnessListed(l Listed, limit int) []uint32 {
	w := s.Witness(s.near(l.Via), 0)
	if s.forward {
		w = append(w, l.Via)
	} else {
		w = append([]uint32{l.Via}, w...)
	}
	if limit > 0 && len(w) > limit {
		w = w[:limit]
	}
	return w
}

// near returns the end of an edge that the walk came from.
func (s *Set) near(e uint32) graph.Node {
	if s.forward {
		return s.g.Edges[e].From
	}
	return s.g.Edges[e].To
}

func (s *Set) far(e *graph.Edge) graph.Node {
	if s.forward {
		return e.To
	}
	return e.From
}

// Fires reports whether an edge propagates from a cell, and the cell it gives to its far end.
func fires(forward bool, e *graph.Edge, reach, tol clock.Boot) (clock.Boot, bool) {
	if forward {
		if e.T1 <= reach-tol {
			return 0, false
		}
		return max(e.T0, reach), true
	}
	if e.T0 >= reach+tol {
		return 0, false
	}
	return min(e.T1, reach), true
}

// better reports whether cell a reaches more than cell b.
func better(forward bool, a, b clock.Boot) bool {
	if forward {
		return a < b
	}
	return a > b
}

// Backward returns everything that could have influenced the seeds.
func Backward(g *graph.Graph, seeds []Seed, o Options) *Set { return closure(g, seeds, o, false) }

// Forward returns everything that the seeds could have influenced.
func Forward(g *graph.Graph, seeds []Seed, o Options) *Set { return closure(g, seeds, o, true) }

func closure(g *graph.Graph, seeds []Seed, o Options, forward bool) *Set {
	n := g.Nodes()
	s := &Set{g: g, forward: forward, reached: make([]bool, n), reach: make([]clock.Boot, n), via: make([]uint32, n), depth: make([]uint32, n)}
	for i := range s.via {
		s.via[i] = NoEdge
	}
	listed := map[graph.Node]Listed{}
	if o.MaxDepth > 0 {
		s.layers(seeds, o, listed)
	} else {
		s.settle(seeds, o, listed)
	}
	for v, l := range listed {
		if !s.reached[v] {
			s.Listed = append(s.Listed, l)
		}
	}
	slices.SortFunc(s.Listed, func(a, b Listed) int {
		c := cmp.Compare(a.Reach, b.Reach)
		if !forward {
			c = -c
		}
		return cmp.Or(c, cmp.Compare(a.Node, b.Node))
	})
	return s
}

// usable applies the options that do not depend on the cell.
func (s *Set) usable(e *graph.Edge, o *Options) bool {
	if !o.Weak && e.Verb.Strength() == graph.Weak {
		return false
	}
	if s.forward && o.Until != 0 && e.T0 > o.Until || !s.forward && o.Since != 0 && e.T1 < o.Since {
		return false
	}
	return o.Skip == nil || !o.Skip(e)
}

func (s *Set) list(listed map[graph.Node]Listed, v graph.Node, cell clock.Boot, e uint32, depth int) {
	if l, ok := listed[v]; !ok || better(s.forward, cell, l.Reach) || cell == l.Reach && (depth < l.Depth || depth == l.Depth && e < l.Via) {
		listed[v] = Listed{v, cell, e, depth}
	}
}

func (s *Set) edges(v graph.Node) []uint32 {
	if s.forward {
		return s.g.Out(v)
	}
	return s.g.In(v)
}

// settle visits nodes in order of reach, best first, each once.
func (s *Set) settle(seeds []Seed, o Options, listed map[graph.Node]Listed) {
	q := queue{forward: s.forward}
	done := make([]bool, len(s.reach))
	seed := map[graph.Node]bool{}
	for _, x := range seeds {
		if !s.reached[x.Node] || better(s.forward, x.At, s.reach[x.Node]) {
			s.reached[x.Node], s.reach[x.Node] = true, x.At
			q.push(item{x.At, 0, x.Node})
		}
		seed[x.Node] = true
	}
	for len(q.h) > 0 {
		it := q.pop()
		u := it.node
		if done[u] || it.reach != s.reach[u] || it.depth != s.depth[u] {
			continue
		}
		done[u] = true
		s.Order = append(s.Order, u)
		if o.Stop != nil && !seed[u] && o.Stop(u) {
			continue
		}
		for _, i := range s.edges(u) {
			e := &s.g.Edges[i]
			if !s.forward && e.T0 >= it.reach+o.Tolerance {
				break // sorted by start: the rest begins later still
			}
			cell, ok := fires(s.forward, e, it.reach, o.Tolerance)
			if !ok || !s.usable(e, &o) {
				continue
			}
			s.Edges++
			v := s.far(e)
			if o.Follow != nil && !o.Follow(e, u, v) {
				s.list(listed, v, cell, i, int(it.depth)+1)
				continue
			}
			if done[v] || seed[v] && s.via[v] == NoEdge && !better(s.forward, cell, s.reach[v]) {
				continue
			}
			d := it.depth + 1
			if s.reached[v] && !better(s.forward, cell, s.reach[v]) &&
				!(cell == s.reach[v] && (d < s.depth[v] || d == s.depth[v] && i < s.via[v])) {
				continue
			}
			s.reached[v], s.reach[v], s.via[v], s.depth[v] = true, cell, i, d
			q.push(item{cell, d, v})
		}
	}
}

// layers grows paths edge by edge, so that a limit on their length is exact: a node's cell
// is the best that any path of at most MaxDepth edges gives it.
func (s *Set) layers(seeds []Seed, o Options, listed map[graph.Node]Listed) {
	s.parent = make([]int32, len(s.reach))
	for i := range s.parent {
		s.parent[i] = -1
	}
	seed := map[graph.Node]bool{}
	var front []int32
	put := func(l label, depth int) {
		v := l.node
		if s.reached[v] && !better(s.forward, l.reach, s.reach[v]) {
			return
		}
		if !s.reached[v] {
			s.reached[v] = true
			s.depth[v], s.via[v] = uint32(depth), l.via
			s.parent[v] = int32(len(s.labels))
			s.Order = append(s.Order, v)
		}
		s.reach[v] = l.reach
		s.labels = append(s.labels, l)
		front = append(front, int32(len(s.labels)-1))
	}
	for _, x := range seeds {
		put(label{x.Node, x.At, NoEdge, -1}, 0)
		seed[x.Node] = true
	}
	for depth := 1; depth <= o.MaxDepth && len(front) > 0; depth++ {
		// Of the labels of a node only the best goes on. What this layer improves must not
		// silence it: the improvement has one edge less to spend.
		now := slices.DeleteFunc(front, func(at int32) bool { return s.reach[s.labels[at].node] != s.labels[at].reach })
		front = nil
		for _, at := range now {
			l := s.labels[at]
			if o.Stop != nil && !seed[l.node] && o.Stop(l.node) {
				continue
			}
			for _, i := range s.edges(l.node) {
				e := &s.g.Edges[i]
				cell, ok := fires(s.forward, e, l.reach, o.Tolerance)
				if !ok || !s.usable(e, &o) {
					continue
				}
				s.Edges++
				v := s.far(e)
				if o.Follow != nil && !o.Follow(e, l.node, v) {
					s.list(listed, v, cell, i, depth)
					continue
				}
				put(label{v, cell, i, at}, depth)
			}
		}
	}
}

// queue is a heap of cells, best first; of equal cells the shorter path, then the lower node.
type queue struct {
	h       []item
	forward bool
}

type item struct {
	reach clock.Boot
	depth uint32
	node  graph.Node
}

func (q *queue) less(a, b item) bool {
	if a.reach != b.reach {
		return better(q.forward, a.reach, b.reach)
	}
	if a.depth != b.depth {
		return a.depth < b.depth
	}
	return a.node < b.node
}

func (q *queue) push(it item) {
	q.h = append(q.h, it)
	for i := len(q.h) - 1; i > 0; {
		up := (i - 1) / 2
		if !q.less(q.h[i], q.h[up]) {
			return
		}
		q.h[i], q.h[up] = q.h[up], q.h[i]
		i = up
	}
}

func (q *queue) pop() item {
	top := q.h[0]
	n := len(q.h) - 1
	q.h[0] = q.h[n]
	q.h = q.h[:n]
	for i := 0; ; {
		c := 2*i + 1
		if c >= n {
			return top
		}
		if c+1 < n && q.less(q.h[c+1], q.h[c]) {
			c++
		}
		if !q.less(q.h[c], q.h[i]) {
			return top
		}
		q.h[i], q.h[c] = q.h[c], q.h[i]
		i = c
	}
}
