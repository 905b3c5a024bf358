package lang

import (
	"net/netip"

	"hindcast/format/event"
)

// Term is a bound expression as somebody else can carry it out in part: negation stands at its
// tests, and each part says for which event types it can hold at all. One of All, Any and Test is
// set; with none of them the term holds for every row of its types.
type Term struct {
	All, Any []*Term
	Test     *Test
	Types    uint64 // as bits
}

// Test is a leaf of a Term. What it asks is in one of Numbers, Text, Prefixes, User and Tree; with
// none of them only Match can tell.
type Test struct {
	Not    bool
	Field  string // canonical name, of tests on columns that others understand
	Source string // as it would be written, without the negation
	// Replay reports that the answer depends on the replayed state of the actor.
	Replay bool

	// RowID reports that it asks for places in a capture, which nothing has before it is recorded.
	RowID bool

	// Slots are the columns that are asked, by event type; it holds when one of them does.
	Slots []Slot
	// Numbers are closed ranges of unsigned values.
	Numbers [][2]uint64
	// Text is what a text operator tests: = in startswith endswith glob and the like.
	Op   string
	Text []string
	// Prefixes are the addresses of = and in, when all operands are addresses.
	Prefixes []netip.Prefix
	// User are ranges of the effective user of the actor.
	User [][2]uint64
	// Tree is a pid, of a process that the actor is or descends from.
	Tree uint32
}

// Slot is a column of rows of some types.
type Slot struct {
	Types uint64
	Col   event.Column
}

// origin is what a node was bound from.
type origin struct {
	expr Expr
	neg  bool
}

// Term returns the expression, nil when every row matches.
func (f *Filter) Term() *Term {
	if f.root == nil {
		return nil
	}
	return f.term(f.root)
}

func (f *Filter) term(n node) *Term {
	t := &Term{Types: n.types()}
	o, leaf := f.origins[n]
	if !leaf {
		switch n := n.(type) {
		case *andNode:
			for _, x := range n.x {
				t.All = append(t.All, f.term(x))
			}
			return t
		case *orNode:
			for _, x := range n.x {
				t.Any = append(t.Any, f.term(x))
			}
			return t
		}
		t.Test = &Test{}
		return t
	}
	t.Test = &Test{Not: o.neg, Source: o.expr.String()}
	c, _ := o.expr.(*Compare)
	if c != nil && c.Op == "!=" {
		t.Test.Not = !o.neg
		eq := *c
		eq.Op = "="
		c, t.Test.Source = &eq, eq.String()
	}
	switch n := n.(type) {
	case *typeLeaf:
		if o.neg {
			t.Test.Source = "not " + t.Test.Source
		}
		t.Test.Op = "type"
	case *slotLeaf:
		f.slotTerm(t.Test, n, c)
	case *actorLeaf:
		t.Test.Replay = true
		if n.attr == attrUID && n.num != nil && !n.num.bits {
			t.Test.User = ranges(n.num.spans)
		}
	case *evidLeaf:
		t.Test.RowID = true
	case *ancLeaf:
		t.Test.Replay = true
	case *descLeaf:
		t.Test.Replay = true
		if n.id == "" {
			t.Test.Tree = n.pid
		}
	}
	return t
}

// slotTerm says what a test on columns asks, where it is one that others understand: the same of
// each column, and answered by every row that has it.
func (f *Filter) slotTerm(t *Test, n *slotLeaf, c *Compare) {
	var nums []span
	for i := range n.slots {
		s := &n.slots[i]
		t.Slots = append(t.Slots, Slot{s.types, s.col})
		if s.zeroUnknown || s.num != nil && (s.num.bits || !s.unsigned) {
			return
		}
		if s.num != nil {
			if nums != nil && !sameSpans(nums, s.num.spans) {
				return
			}
			nums = s.num.spans
		}
	}
	if c == nil {
		return
	}
	fld := Lookup(c.Field)
	t.Field = fld.Name
	if len(nums) > 0 {
		t.Numbers = ranges(nums)
		return
	}
	if n.slots[0].text == nil {
		return
	}
	if fld.Type == Text {
		t.Op, t.Text = c.Op, texts(c.Values)
		return
	}
	if fld.Type != Addr || c.Op != "=" && c.Op != "in" {
		return
	}
	for _, v := range c.Values {
		p, err := netip.ParsePrefix(v.Text)
		if err != nil {
			a, err := netip.ParseAddr(v.Text)
			if err != nil {
				t.Prefixes = nil
				return
			}
			a = a.Unmap().WithZone("")
			p = netip.PrefixFrom(a, a.BitLen())
		}
		t.Prefixes = append(t.Prefixes, p.Masked())
	}
}

func sameSpans(a, b []span) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func ranges(s []span) (out [][2]uint64) {
	for _, x := range s {
		out = append(out, [2]uint64{x.lo, x.hi})
	}
	return out
}
