package cause

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"hindcast/format/clock"
	"hindcast/replay/graph"
)

// oracle applies the rule of the package doc to every edge until nothing changes.
func oracle(n int, edges []graph.Edge, seeds []Seed, forward bool, tol clock.Boot, depth int) map[graph.Node]clock.Boot {
	reach := map[graph.Node]clock.Boot{}
	for _, s := range seeds {
		if r, ok := reach[s.Node]; !ok || better(forward, s.At, r) {
			reach[s.Node] = s.At
		}
	}
	for round := 0; depth == 0 || round < depth; round++ {
		next := map[graph.Node]clock.Boot{}
		for k, v := range reach {
			next[k] = v
		}
		changed := false
		for i := range edges {
			e := &edges[i]
			near, far := e.To, e.From
			if forward {
				near, far = e.From, e.To
			}
			r, ok := reach[near]
			if !ok {
				continue
			}
			var cell clock.Boot
			if forward {
				if !(e.T1 > r-tol) {
					continue
				}
				cell = max(r, e.T0)
			} else {
				if !(e.T0 < r+tol) {
					continue
				}
				cell = min(r, e.T1)
			}
			if old, ok := next[far]; !ok || better(forward, cell, old) {
				next[far] = cell
				changed = true
			}
		}
		reach = next
		if !changed {
			break
		}
	}
	return reach
}

func TestClosureAgainstOracle(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for try := range 4000 {
		n := 2 + r.IntN(9)
		edges := make([]graph.Edge, r.IntN(30))
		for i := range edges {
			t0 := clock.Boot(r.IntN(40))
			t1 := t0
			if r.IntN(2) == 0 {
				t1 += clock.Boot(r.IntN(20))
			}
			edges[i] = graph.Edge{From: graph.Node(r.IntN(n)), To: graph.Node(r.IntN(n)), T0: t0, T1: t1, Verb: graph.Write}
		}
		sortEdges(edges)
		g := graph.Index(n, edges)
		seeds := []Seed{{graph.Node(r.IntN(n)), clock.Boot(r.IntN(50))}}
		if r.IntN(3) == 0 {
			seeds = append(seeds, Seed{graph.Node(r.IntN(n)), clock.Boot(r.IntN(50))})
		}
		tol := clock.Boot(r.IntN(3))
		depth := 0
		if r.IntN(2) == 0 {
			depth = 1 + r.IntN(5)
		}
		for _, forward := range []bool{false, true} {
			want := oracle(n, edges, seeds, forward, tol, depth)
			s := closure(g, seeds, Options{Tolerance: tol, MaxDepth: depth}, forward)
			what := fmt.Sprintf("try %d forward %v seeds %v tol %d depth %d", try, forward, seeds, tol, depth)
			for v := range graph.Node(n) {
				at, ok := want[v]
				if ok != s.Has(v) || ok && at != s.Reach(v) {
					t.Fatalf("%s node %d: want %v %v, have %v %v\n%v", what, v, ok, at, s.Has(v), s.Reach(v), show(edges))
				}
				if ok {
					checkWitness(t, what, g, s, seeds, v, forward, tol, depth)
				}
			}
		}
	}
}

// checkWitness walks a witness and finds every edge of it fired.
func checkWitness(t *testing.T, what string, g *graph.Graph, s *Set, seeds []Seed, v graph.Node, forward bool, tol clock.Boot, depth int) {
	t.Helper()
	w := s.Witness(v, 0)
	if depth > 0 && len(w) > depth {
		t.Fatalf("%s: witness of %d has %d edges", what, v, len(w))
	}
	if depth == 0 && len(w) != s.Depth(v) {
		t.Fatalf("%s: witness of %d has %d edges, depth says %d", what, v, len(w), s.Depth(v))
	}
	if !forward {
		for i, j := 0, len(w)-1; i < j; i, j = i+1, j-1 {
			w[i], w[j] = w[j], w[i]
		}
	}
	ok := false
	for _, seed := range seeds { // some seed must explain it
		at, cell, good := seed.Node, seed.At, true
		for _, i := range w {
			e := &g.Edges[i]
			near, far := e.To, e.From
			if forward {
				near, far = e.From, e.To
			}
			c, fired := fires(forward, e, cell, tol)
			if near != at || !fired {
				good = false
				break
			}
			at, cell = far, c
		}
		if good && at == v {
			ok = true
		}
	}
	if !ok {
		t.Fatalf("%s: witness %v of %d does not hold", what, w, v)
	}
}

func sortEdges(edges []graph.Edge) {
	for i := 1; i < len(edges); i++ {
		for j := i; j > 0 && edges[j].T0 < edges[j-1].T0; j-- {
			edges[j], edges[j-1] = edges[j-1], edges[j]
		}
	}
}

func show(edges []graph.Edge) string {
	s := ""
	for i := range edges {
		e := &edges[i]
		s += fmt.Sprintf("%d->%d [%d,%d] ", e.From, e.To, e.T0, e.T1)
	}
	return s
}

// A stopped node is reached and not walked through; an unfollowed one is only listed.
func TestStopAndFollow(t *testing.T) {
	edges := []graph.Edge{
		{From: 0, To: 1, T0: 1, T1: 1, Verb: graph.Write},
		{From: 1, To: 2, T0: 2, T1: 2, Verb: graph.Write},
		{From: 0, To: 3, T0: 3, T1: 3, Verb: graph.Write},
		{From: 3, To: 4, T0: 4, T1: 4, Verb: graph.Write},
		{From: 0, To: 5, T0: 5, T1: 5, Verb: graph.Signal},
	}
	g := graph.Index(6, edges)
	s := Forward(g, []Seed{{0, 0}}, Options{
		Stop:   func(n graph.Node) bool { return n == 1 },
		Follow: func(e *graph.Edge, near, far graph.Node) bool { return far != 3 },
	})
	for n, want := range []bool{true, true, false, false, false, false} {
		if s.Has(graph.Node(n)) != want {
			t.Errorf("node %d reached: %v", n, !want)
		}
	}
	if len(s.Listed) != 1 || s.Listed[0].Node != 3 || s.Listed[0].Reach != 3 {
		t.Errorf("listed %v", s.Listed)
	}
	if w := s.WitnessListed(s.Listed[0], 0); len(w) != 1 || w[0] != 2 {
		t.Errorf("witness of the listed node: %v", w)
	}
	if s := Forward(g, []Seed{{0, 0}}, Options{Weak: true}); !s.Has(5) || !s.Has(4) {
		t.Error("weak edges are followed when asked for")
	}
	if s := Forward(g, []Seed{{0, 0}}, Options{Until: 2}); s.Has(3) || !s.Has(2) {
		t.Error("until cuts at 2")
	}
	if s := Backward(g, []Seed{{4, 9}}, Options{Since: 4}); !s.Has(3) || s.Has(0) {
		t.Error("since cuts at 4")
	}
}

// A chain of a million edges, and a cycle, end.
func TestDeepChain(t *testing.T) {
	const n = 1_000_000
	edges := make([]graph.Edge, 0, n+1)
	for i := range n - 1 {
		edges = append(edges, graph.Edge{From: graph.Node(i), To: graph.Node(i + 1), T0: clock.Boot(i), T1: clock.Boot(i), Verb: graph.Fork})
	}
	edges = append(edges, graph.Edge{From: n - 1, To: 0, T0: n, T1: n, Verb: graph.Fork})
	g := graph.Index(n, edges)
	s := Backward(g, []Seed{{n - 1, n}}, Options{})
	if len(s.Order) != n || s.Depth(0) != n-1 {
		t.Fatalf("reached %d, depth %d", len(s.Order), s.Depth(0))
	}
	if w := s.Witness(0, 0); len(w) != n-1 {
		t.Fatalf("witness of %d edges", len(w))
	}
	if s = Forward(g, []Seed{{0, -1}}, Options{}); len(s.Order) != n {
		t.Fatalf("forward reached %d", len(s.Order))
	}
}

func TestGlob(t *testing.T) {
	for _, c := range []struct {
		pattern, path string
		want          bool
	}{
		{"/etc/shadow", "/etc/shadow", true},
		{"/etc/shadow", "/etc/shadow-", false},
		{"/etc/cron.d/*", "/etc/cron.d/x", true},
		{"/etc/cron.d/*", "/etc/cron.d/x/y", false},
		{"/etc/cron.d/*", "/etc/cron.d/", true},
		{"/var/**", "/var/a/b", true},
		{"/var/**/k", "/var/a/b/k", true},
		{"/var/**/k", "/var/k", false},
		{"**/.ssh/id_*", "/home/u/.ssh/id_rsa", true},
		{"**/.ssh/id_*", "/home/u/.ssh/x/id_rsa", false},
		{"**/.env", "/a/.envx", false},
		{"/a/*b*c", "/a/xbybzc", true},
		{"/a/*b*c", "/a/xb/c", false},
		{"/lib/**.ko*", "/lib/m/x.ko.xz", true},
		{"/a?b", "/a b", true},
		{"/a?b", "/a/b", false},
		{"", "", true},
		{"**", "", true},
		{"*", "/", false},
	} {
		if got := Glob(c.pattern, c.path); got != c.want {
			t.Errorf("Glob(%q, %q) = %v", c.pattern, c.path, got)
		}
	}
}

// Glob against a matcher that is obviously right and slow.
func TestGlobAgainstOracle(t *testing.T) {
	var slow func(p, s string) bool
	slow = func(p, s string) bool {
		switch {
		case p == "":
			return s == ""
		case len(p) > 1 && p[:2] == "**":
			for i := 0; i <= len(s); i++ {
				if slow(p[2:], s[i:]) {
					return true
				}
			}
			return false
		case p[0] == '*':
			for i := 0; i <= len(s); i++ {
				if slow(p[1:], s[i:]) {
					return true
				}
				if i < len(s) && s[i] == '/' {
					return false
				}
			}
			return false
		}
		return s != "" && (p[0] == s[0] || p[0] == '?' && s[0] != '/') && slow(p[1:], s[1:])
	}
	r := rand.New(rand.NewPCG(3, 4))
	for range 200000 {
		p, s := make([]byte, r.IntN(8)), make([]byte, r.IntN(9))
		for i := range p {
			p[i] = "ab/**?"[r.IntN(6)]
		}
		for i := range s {
			s[i] = "ab/"[r.IntN(3)]
		}
		if got, want := Glob(string(p), string(s)), slow(string(p), string(s)); got != want {
			t.Fatalf("Glob(%q, %q) = %v", p, s, got)
		}
	}
}

func TestLists(t *testing.T) {
	for _, l := range []List{Secrets(), Persistence(), Logs()} {
		if len(l) == 0 {
			t.Fatal("a built-in list is empty")
		}
		for _, r := range l {
			if r.Glob[0] != '/' || r.Kind == "" && !r.Not {
				t.Errorf("rule %+v", r)
			}
		}
	}
	for _, r := range append(Persistence(), Logs()...) {
		if len(r.Technique) < 5 || r.Technique[0] != 'T' {
			t.Errorf("rule %+v has no technique", r)
		}
	}
	for _, r := range Hubs() {
		if r.Kind != "file" && r.Kind != "socket" && r.Kind != "process" {
			t.Errorf("hub %+v", r)
		}
	}
	if r, whole := Secrets().Match("/srv/c1/rootfs/etc/shadow"); r == nil || whole || r.Kind != "password hashes" {
		t.Errorf("a secret below another root: %v %v", r, whole)
	}
	if r, _ := Secrets().Match("/root/.ssh/id_rsa.pub"); r != nil {
		t.Errorf("a public key is no secret: %v", r)
	}
	if _, err := ParseSecrets("relative/x\n"); err == nil {
		t.Error("a relative glob was taken")
	}
}

// BenchmarkClosure walks a graph of a million edges in which nearly everything is reached.
func BenchmarkClosure(b *testing.B) {
	const nodes, count = 120_000, 1_000_000
	r := rand.New(rand.NewPCG(5, 6))
	edges := make([]graph.Edge, count)
	for i := range edges {
		e := graph.Edge{From: graph.Node(r.IntN(nodes)), To: graph.Node(r.IntN(nodes)), T0: clock.Boot(i), T1: clock.Boot(i), Verb: graph.Write}
		if r.IntN(4) == 0 {
			e.To = graph.Node(r.IntN(100)) // hubs
		}
		if r.IntN(4) == 0 {
			e.T1 += clock.Boot(r.IntN(1000))
		}
		edges[i] = e
	}
	g := graph.Index(nodes, edges)
	for _, d := range []struct {
		name    string
		forward bool
		at      clock.Boot
	}{{"backward", false, count}, {"forward", true, count / 10}} {
		b.Run(d.name, func(b *testing.B) {
			n := 0
			for b.Loop() {
				s := closure(g, []Seed{{5, d.at}}, Options{}, d.forward)
				n = s.Edges
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "edges/s")
		})
	}
}
