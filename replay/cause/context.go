package cause

import (
	"hindcast/replay/graph"
	"hindcast/replay/state"
)

// Classes says, per node, where a walk stops and what is mere context.
type Classes struct {
	hub     []bool
	context []bool
}

// Hub reports whether a walk stops at the node.
func (c *Classes) Hub(n graph.Node) bool { return c.hub[n] }

// Context reports whether the node is a file that nothing changed while the recording ran.
func (c *Classes) Context(n graph.Node) bool { return c.context[n] }

// Classify applies the hub list to a graph and finds its context.
func Classify(g *graph.Graph, hubs List) *Classes {
	t := g.T
	c := &Classes{hub: make([]bool, g.Nodes()), context: make([]bool, g.Nodes())}
	for i := range t.Files {
		o := &t.Files[i]
		n := g.Node(graph.File, uint32(i))
		switch {
		case o.Pipe():
			continue
		case o.Device() || o.Anonymous():
			c.hub[n] = true
			continue
		}
		for _, name := range o.Names {
			if hubs.MatchWhole("file", t.Names.String(name.Name)) {
				c.hub[n] = true
				break
			}
		}
		changed := false
		for _, e := range g.In(n) {
			switch g.Edges[e].Verb {
			case graph.Write, graph.Store, graph.Create, graph.Truncate, graph.Rename, graph.Link, graph.Mkdir, graph.Symlink:
				changed = true
			}
		}
		c.context[n] = !changed
	}
	for i := range t.Socks {
		s := &t.Socks[i]
		if s.Family != state.FamilyUnix {
			continue
		}
		for _, a := range [2]string{t.Names.String(s.LAddr), t.Names.String(s.RAddr)} {
			if a != "" && hubs.MatchWhole("socket", a) {
				c.hub[g.Node(graph.SockIn, uint32(i))] = true
				c.hub[g.Node(graph.SockOut, uint32(i))] = true
			}
		}
	}
	for i := range t.Procs {
		for j := range t.Procs[i].Images {
			if exe := t.Names.String(t.Procs[i].Images[j].Exe); exe != "" && hubs.MatchWhole("process", exe) {
				c.hub[g.Node(graph.Process, uint32(i))] = true
			}
		}
		if t.Procs[i].PID == 1 {
			c.hub[g.Node(graph.Process, uint32(i))] = true
		}
	}
	for i := range g.Remotes {
		c.hub[g.Node(graph.Remote, uint32(i))] = true
	}
	return c
}
