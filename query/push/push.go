package push

import (
	"fmt"
	"math/bits"
	"net/netip"
	"path"
	"slices"
	"strings"

	"hindcast/format/event"
	"hindcast/query/lang"
)

// Kind is what a predicate asks.
type Kind uint8

const (
	PID    Kind = 1 + iota // of the acting process
	TID                    // of the acting thread
	EUID                   // its effective user
	Cgroup                 // its cgroup, in version 2
	Tree                   // whether it is a process or descends from it
	Path                   // file.path
	Port
	Addr
	Family
	Proto
)

// Ends of a socket.
const (
	Local = 1 << iota
	Remote
)

// Limits of what the kernel takes. Predicates and paths are counted over all clauses.
const (
	MaxClauses  = 8
	MaxPreds    = 16
	MaxRanges   = 4
	MaxPrefixes = 2
	MaxPaths    = 4
	MaxPath     = 47
)

// Pred is a predicate.
type Pred struct {
	Kind     Kind
	Not      bool
	Ranges   [][2]uint64    // closed; of the numbers
	Prefixes []netip.Prefix // of Addr
	Ends     uint32         // of Port and Addr: Local, Remote or both, of which one must do
	Path     string         // absolute
	Exact    bool           // Path is all of it, not only how it begins
	Tree     uint32         // a pid
}

func (p Pred) equal(o Pred) bool {
	return p.Kind == o.Kind && p.Not == o.Not && slices.Equal(p.Ranges, o.Ranges) && slices.Equal(p.Prefixes, o.Prefixes) &&
		p.Ends == o.Ends && p.Path == o.Path && p.Exact == o.Exact && p.Tree == o.Tree
}

// Clause holds for rows of some types of which all predicates hold.
type Clause struct {
	Types uint64
	Preds []Pred
}

// Plan is a filter, taken apart.
type Plan struct {
	Source  string
	Clauses []Clause
	Types   uint64 // that any clause can hold for
	// Keep decides about rows that were recorded. Its NeedsActors tells that the Actors it was
	// bound with are asked for the effective user of the actor.
	Keep *lang.Filter
	// Which tests of the filter are decided where: by the kernel, before a record is made; by the
	// recorder, before a row is stored; and by queries only.
	Kernel, Recorder, Later []string
	// Eased tells that there were too many clauses for the kernel, which was given weaker ones: the
	// recorder decides more.
	Eased bool
}

// Env is what a filter is read against.
type Env struct {
	lang.Env
	// Cgroup finds the id of a cgroup by its path below the root. Nil: proc.cgroup takes numbers.
	Cgroup func(path string) (id uint64, err error)
}

// Compile takes a filter apart. Its errors are those of package lang, and of a filter of which
// nothing can be decided before it is too late.
func Compile(src string, env Env) (*Plan, error) {
	e, err := lang.Parse(src)
	if err != nil {
		return nil, err
	}
	if e == nil {
		return nil, &lang.Error{Code: lang.CodeSyntax, Msg: "a filter that asks nothing", Src: src}
	}
	if env.Cgroup != nil {
		if err := cgroups(src, e, env.Cgroup); err != nil {
			return nil, err
		}
	}
	whole := env.Env
	whole.Live = false
	f, err := lang.Bind(src, e, whole)
	if err != nil {
		return nil, err
	}
	p := &Plan{Source: src}
	live := env.Env
	live.Live = true
	if p.Keep, err = lang.Bind(src, e, live); err != nil {
		return nil, err
	}
	t := f.Term()
	if err := p.sort(src, t); err != nil {
		return nil, err
	}
	p.Clauses = p.lower(t)
	for _, c := range p.Clauses {
		p.Types |= c.Types
	}
	if len(p.Kernel)+len(p.Recorder) == 0 {
		return nil, &lang.Error{Code: lang.CodeOp, Msg: "nothing of this filter can be decided while recording: " + strings.Join(p.Later, ", "), Src: src, Len: len(src),
			Hint: "what it asks for is known in a replay only; record without it and ask hindcast events"}
	}
	return p, nil
}

// cgroups puts ids in the place of paths.
func cgroups(src string, e lang.Expr, find func(string) (uint64, error)) error {
	all := func(xs []lang.Expr) error {
		for _, x := range xs {
			if err := cgroups(src, x, find); err != nil {
				return err
			}
		}
		return nil
	}
	switch e := e.(type) {
	case *lang.And:
		return all(e.X)
	case *lang.Or:
		return all(e.X)
	case *lang.Not:
		return cgroups(src, e.X, find)
	case *lang.Compare:
		if f := lang.Lookup(e.Field); f == nil || f.Name != "proc.cgroup" {
			return nil
		}
		for i := range e.Values {
			v := &e.Values[i]
			if !strings.HasPrefix(v.Text, "/") {
				continue
			}
			id, err := find(v.Text)
			if err != nil {
				return &lang.Error{Code: lang.CodeValue, Msg: "`" + v.Text + "` is no cgroup of this host", Src: src, At: v.At, Len: v.Len, Hint: "paths are below the root of cgroup2, as /proc/PID/cgroup has them"}
			}
			v.Text = fmt.Sprint(id)
		}
	}
	return nil
}

// sort notes who decides which test.
func (p *Plan) sort(src string, t *lang.Term) error {
	for _, x := range append(slices.Clone(t.All), t.Any...) {
		if err := p.sort(src, x); err != nil {
			return err
		}
	}
	if t.Test == nil {
		return nil
	}
	s := t.Test.Source
	if t.Test.Not && t.Test.Op != "type" {
		s = "not " + s
	}
	_, pushed := preds(t)
	switch {
	case t.Test.RowID:
		return &lang.Error{Code: lang.CodeField, Msg: "rows have no numbers before they are recorded: " + s, Src: src, Len: len(src)}
	case pushed || t.Test.Op == "type":
		p.Kernel = add(p.Kernel, s)
	case t.Test.Replay:
		p.Later = add(p.Later, s)
	default:
		p.Recorder = add(p.Recorder, s)
	}
	return nil
}

func add(to []string, s string) []string {
	if slices.Contains(to, s) {
		return to
	}
	return append(to, s)
}

// lower brings a term to clauses that hold whenever it does.
func (p *Plan) lower(t *lang.Term) (out []Clause) {
	switch {
	case t.All != nil:
		out = []Clause{{Types: t.Types}}
		for _, x := range t.All {
			var next []Clause
			for _, c := range p.lower(x) {
				for _, o := range out {
					if types := o.Types & c.Types; types != 0 {
						next = append(next, Clause{types, both(o.Preds, c.Preds)})
					}
				}
			}
			out = p.fit(next)
		}
		return out
	case t.Any != nil:
		for _, x := range t.Any {
			out = append(out, p.lower(x)...)
		}
		return p.fit(out)
	}
	out, _ = preds(t)
	return p.fit(out)
}

// both are the predicates of two lists, each once.
func both(a, b []Pred) []Pred {
	out := slices.Clone(a)
	for _, x := range b {
		if !slices.ContainsFunc(out, x.equal) {
			out = append(out, x)
		}
	}
	return out
}

// fit joins clauses until there is room for them in the kernel. Two that are joined hold for the
// types of both, when what both ask holds.
func (p *Plan) fit(cs []Clause) []Clause {
	cs = slices.DeleteFunc(cs, func(c Clause) bool { return c.Types == 0 })
	// the same predicates for other types are one clause
	for i := 0; i < len(cs); i++ {
		for k := len(cs) - 1; k > i; k-- {
			if len(cs[i].Preds) == len(cs[k].Preds) && len(both(cs[i].Preds, cs[k].Preds)) == len(cs[i].Preds) {
				cs[i].Types |= cs[k].Types
				cs = slices.Delete(cs, k, k+1)
			}
		}
	}
	// nothing passes a clause that does not pass a weaker one
	for i := 0; i < len(cs); i++ {
		for k := len(cs) - 1; k >= 0; k-- {
			if k != i && cs[k].Types&^cs[i].Types == 0 && len(both(cs[k].Preds, cs[i].Preds)) == len(cs[k].Preds) {
				cs = slices.Delete(cs, k, k+1)
				if k < i {
					i--
				}
			}
		}
	}
	for !fits(cs) {
		p.Eased = true
		if len(cs) == 1 {
			cs[0].Preds = cs[0].Preds[:len(cs[0].Preds)-1]
			continue
		}
		a, b := cs[len(cs)-2], cs[len(cs)-1]
		j := Clause{Types: a.Types | b.Types}
		for _, x := range a.Preds {
			if slices.ContainsFunc(b.Preds, x.equal) {
				j.Preds = append(j.Preds, x)
			}
		}
		cs = append(cs[:len(cs)-2], j)
	}
	return cs
}

func fits(cs []Clause) bool {
	n := 0
	var paths []Pred
	for _, c := range cs {
		n += len(c.Preds)
		for _, x := range c.Preds {
			x.Not = false
			if x.Kind == Path && !slices.ContainsFunc(paths, x.equal) {
				paths = append(paths, x)
			}
		}
	}
	return len(cs) <= MaxClauses && n <= MaxPreds && len(paths) <= MaxPaths
}

// preds returns clauses that hold whenever the test does, and whether they ask more than the type.
func preds(t *lang.Term) (out []Clause, pushed bool) {
	x := t.Test
	whole := []Clause{{Types: t.Types}}
	switch {
	case x == nil:
		return whole, false
	case len(x.User) > 0:
		return ranged(t.Types, Pred{Kind: EUID, Not: x.Not}, x.User), true
	case x.Tree != 0:
		return []Clause{{t.Types, []Pred{{Kind: Tree, Not: x.Not, Tree: x.Tree}}}}, true
	case len(x.Slots) == 0:
		return whole, false
	}
	// Types that are asked of the same columns go together.
	byCols := map[uint64]uint64{}
	var order []uint64
	for m := t.Types; m != 0; m &= m - 1 {
		ty := bits.TrailingZeros64(m)
		var cols uint64
		for _, s := range x.Slots {
			if s.Types>>ty&1 != 0 {
				cols |= 1 << s.Col
			}
		}
		if byCols[cols] == 0 {
			order = append(order, cols)
		}
		byCols[cols] |= 1 << ty
	}
	for _, cols := range order {
		types := byCols[cols]
		cs := ofColumns(x, types, cols)
		if cs == nil {
			cs = []Clause{{Types: types}}
		} else {
			pushed = true
		}
		out = append(out, cs...)
	}
	return out, pushed
}

// ofColumns returns the clauses of a test on some columns, nil when the kernel cannot make it.
func ofColumns(x *lang.Test, types, cols uint64) []Clause {
	p := Pred{Not: x.Not}
	const (
		ports = 1<<event.ColLPort | 1<<event.ColRPort
		addrs = 1<<event.ColLAddr | 1<<event.ColRAddr
	)
	switch {
	case len(x.Numbers) > 0:
		switch {
		case cols == 1<<event.ColPID:
			p.Kind = PID
		case cols == 1<<event.ColTID:
			p.Kind = TID
		case cols == 1<<event.ColCgroup:
			p.Kind = Cgroup
		case cols == 1<<event.ColFamily:
			p.Kind = Family
		case cols == 1<<event.ColProto:
			p.Kind = Proto
		case cols != 0 && cols&^ports == 0:
			p.Kind, p.Ends = Port, ends(cols, event.ColLPort, event.ColRPort)
		default:
			return nil
		}
		return ranged(types, p, x.Numbers)
	case len(x.Prefixes) > 0:
		if cols == 0 || cols&^addrs != 0 {
			return nil
		}
		p.Kind, p.Ends = Addr, ends(cols, event.ColLAddr, event.ColRAddr)
		var parts []Pred
		for c := range slices.Chunk(x.Prefixes, MaxPrefixes) {
			p.Prefixes = c
			parts = append(parts, p)
		}
		return spread(types, x.Not, parts)
	case cols == 1<<event.ColPath && x.Field == "file.path":
		p.Kind = Path
		return paths(x, types, p)
	}
	return nil
}

func ends(cols uint64, local, remote event.Column) (e uint32) {
	if cols>>local&1 != 0 {
		e |= Local
	}
	if cols>>remote&1 != 0 {
		e |= Remote
	}
	return e
}

// ranged divides ranges among as many predicates as they need.
func ranged(types uint64, p Pred, r [][2]uint64) []Clause {
	var parts []Pred
	for c := range slices.Chunk(r, MaxRanges) {
		p.Ranges = c
		parts = append(parts, p)
	}
	return spread(types, p.Not, parts)
}

// spread makes clauses of parts of which one must hold, or none when they are negated.
func spread(types uint64, not bool, parts []Pred) (out []Clause) {
	if not {
		return []Clause{{types, parts}}
	}
	for _, p := range parts {
		out = append(out, Clause{types, []Pred{p}})
	}
	return out
}

// paths are the clauses of a test on a path. The kernel holds the beginning of an absolute path, or
// all of one; negated, only what says exactly the same.
func paths(x *lang.Test, types uint64, p Pred) []Clause {
	var parts []Pred
	for _, s := range x.Text {
		q := p
		exact := true
		switch x.Op {
		case "=", "in":
			q.Path, q.Exact = s, true
			exact = path.Clean(s) == s
		case "startswith":
			q.Path = s
		case "glob":
			at := strings.IndexAny(s, `*?[\`)
			if at < 0 {
				at = len(s)
			}
			q.Path, exact = s[:at], false
		default:
			return nil
		}
		if !strings.HasPrefix(q.Path, "/") || strings.IndexByte(q.Path, 0) >= 0 {
			return nil
		}
		if len(q.Path) > MaxPath {
			q.Path, q.Exact, exact = q.Path[:MaxPath], false, false
		}
		if strings.Contains(q.Path, "//") {
			exact = false
		}
		if q.Not && !exact {
			return nil
		}
		parts = append(parts, q)
	}
	return spread(types, x.Not, parts)
}
