package lang

import (
	"encoding/binary"

	"hindcast/format/event"
	"hindcast/query/lang/sym"
)

// node is a bound expression. It must be asked with match for the truth; sel works on a
// batch and may let rows through that match refuses unless exact.
type node interface {
	match(c *rowCtx) bool
	// sel keeps of in (row numbers, ascending) those that may match. It may overwrite in.
	sel(b *event.Columns, in []uint32) []uint32
	types() uint64
	cols() uint64
	exact() bool
	cost() int
}

// rowCtx is one row under test, with its actor looked up once.
type rowCtx struct {
	row    *event.Row
	seg, n uint32
	actors Actors
	actor  Actor
	known  bool
	looked bool
}

func (c *rowCtx) act() (*Actor, bool) {
	if !c.looked {
		c.looked = true
		c.known = false
		if c.actors != nil && c.row.PID != 0 {
			c.actor, c.known = c.actors.Actor(c.row.PID, c.row.PStart, c.row.TS)
		}
	}
	return &c.actor, c.known
}

// parent returns the context of the parent of this context's process.
func (c *rowCtx) parent() (rowCtx, bool) {
	a, ok := c.act()
	if !ok || a.PPID == 0 {
		return rowCtx{}, false
	}
	p, ok := c.actors.Actor(a.PPID, a.PPStart, c.row.TS)
	return rowCtx{row: c.row, actors: c.actors, actor: p, known: ok, looked: true}, ok
}

// maxAncestors bounds walks up the tree: a damaged capture may hold a loop.
const maxAncestors = 1024

// Match reports whether the row matches. seg and n are its place in the capture, for evt.num.
func (f *Filter) Match(r *event.Row, seg, n uint32) bool {
	if f.root == nil {
		return true
	}
	f.ctx = rowCtx{row: r, seg: seg, n: n, actors: f.actors}
	return f.root.match(&f.ctx)
}

// Select keeps of sel, which are row numbers of the batch in ascending order, those that may match;
// exactly those that do when f.Exact. It reuses sel's array. Columns in f.Cols must be loaded.
func (f *Filter) Select(b *event.Columns, sel []uint32) []uint32 {
	if f.root == nil || len(b.Type) < b.N {
		return sel
	}
	return f.root.sel(b, sel)
}

type andNode struct{ x []node }

func (n *andNode) match(c *rowCtx) bool {
	for _, x := range n.x {
		if !x.match(c) {
			return false
		}
	}
	return true
}

func (n *andNode) sel(b *event.Columns, in []uint32) []uint32 {
	for _, x := range n.x {
		if len(in) == 0 {
			break
		}
		in = x.sel(b, in)
	}
	return in
}

func (n *andNode) types() uint64 {
	t := allTypes
	for _, x := range n.x {
		t &= x.types()
	}
	return t
}

type orNode struct {
	x                   []node
	rest, work, got, to []uint32
}

func (n *orNode) match(c *rowCtx) bool {
	for _, x := range n.x {
		if x.match(c) {
			return true
		}
	}
	return false
}

// sel asks each part only about the rows that no earlier part took.
func (n *orNode) sel(b *event.Columns, in []uint32) []uint32 {
	n.rest = append(n.rest[:0], in...)
	n.got = n.got[:0]
	for _, x := range n.x {
		if len(n.rest) == 0 {
			break
		}
		n.work = append(n.work[:0], n.rest...)
		hit := x.sel(b, n.work)
		if len(hit) == 0 {
			continue
		}
		n.to = merge(n.to[:0], n.got, hit)
		n.got, n.to = n.to, n.got
		n.rest = minus(n.rest, hit)
	}
	return append(in[:0], n.got...)
}

func (n *orNode) types() (t uint64) {
	for _, x := range n.x {
		t |= x.types()
	}
	return t
}

func merge(out, a, b []uint32) []uint32 {
	for len(a) > 0 && len(b) > 0 {
		if a[0] < b[0] {
			out, a = append(out, a[0]), a[1:]
		} else {
			out, b = append(out, b[0]), b[1:]
		}
	}
	return append(append(out, a...), b...)
}

// minus removes from a the members of b, a subset of it.
func minus(a, b []uint32) []uint32 {
	out := a[:0]
	for _, v := range a {
		if len(b) > 0 && b[0] == v {
			b = b[1:]
			continue
		}
		out = append(out, v)
	}
	return out
}

func allCols(xs []node) (c uint64) {
	for _, x := range xs {
		c |= x.cols()
	}
	return c
}

func allExact(xs []node) bool {
	for _, x := range xs {
		if !x.exact() {
			return false
		}
	}
	return true
}

func sumCost(xs []node) (c int) {
	for _, x := range xs {
		c += x.cost()
	}
	return c
}

func (n *andNode) cols() uint64 { return allCols(n.x) }
func (n *andNode) exact() bool  { return allExact(n.x) }
func (n *andNode) cost() int    { return sumCost(n.x) }
func (n *orNode) cols() uint64  { return allCols(n.x) }
func (n *orNode) exact() bool   { return allExact(n.x) }
func (n *orNode) cost() int     { return sumCost(n.x) + 2 }

// constNode is true or false for every row.
type constNode struct{ v bool }

func (n *constNode) match(*rowCtx) bool { return n.v }
func (n *constNode) sel(_ *event.Columns, in []uint32) []uint32 {
	if n.v {
		return in
	}
	return in[:0]
}
func (n *constNode) types() uint64 {
	if n.v {
		return allTypes
	}
	return 0
}
func (n *constNode) cols() uint64 { return 0 }
func (n *constNode) exact() bool  { return true }
func (n *constNode) cost() int    { return 0 }

// typeLeaf tests the event type against a set.
type typeLeaf struct{ set uint64 }

func (n *typeLeaf) match(c *rowCtx) bool { return n.set>>c.row.Type&1 != 0 }
func (n *typeLeaf) sel(b *event.Columns, in []uint32) []uint32 {
	out := in[:0]
	for _, i := range in {
		if n.set>>b.Type[i]&1 != 0 {
			out = append(out, i)
		}
	}
	return out
}
func (n *typeLeaf) types() uint64 { return n.set }
func (n *typeLeaf) cols() uint64  { return 1 << event.ColType }
func (n *typeLeaf) exact() bool   { return true }
func (n *typeLeaf) cost() int     { return 0 }

// slotTest is a test on one slot: text or num is set.
type slotTest struct {
	slot
	text        func([]byte) bool
	num         *numTest
	zeroUnknown bool // 0 is no value

	memo []uint8 // per distinct value: 0 not asked, 1 no, 2 yes
	dict *event.DictColumn
	raw  []byte
}

// applies reports whether rows of the type have the slot.
func (s *slotTest) applies(t event.Type) bool { return s.types>>t&1 != 0 }

// key turns a stored integer into its place in the order of spans.
func (s *slotTest) key(v uint64) uint64 {
	if s.unsigned {
		return v
	}
	return v ^ top
}

func (s *slotTest) matchRow(r *event.Row) (hit, known bool) {
	if s.text != nil {
		return s.text(r.Bytes(s.col)), true
	}
	v := uint64(r.Int(s.col))
	if v == 0 && s.zeroUnknown {
		return false, false
	}
	return s.num.match(s.key(v), v), true
}

// begin prepares the slot for a batch; false when the batch lacks the column.
func (s *slotTest) begin(b *event.Columns) bool {
	if event.ColumnTable[s.col].Kind == event.Dict {
		s.dict = b.Dict(s.col)
		n := s.dict.Len()
		if cap(s.memo) < n {
			s.memo = make([]uint8, n)
		}
		s.memo = s.memo[:n]
		clear(s.memo)
		return true
	}
	s.raw = b.Fixed(s.col)
	return true
}

// at tests row i of the batch that begin was given.
func (s *slotTest) at(i uint32) (hit, known bool) {
	if s.text != nil {
		return s.textAt(i), true
	}
	v, ok := s.intAt(i)
	if !ok || v == 0 && s.zeroUnknown {
		return false, false
	}
	return s.num.match(s.key(v), v), true
}

func (s *slotTest) textAt(i uint32) bool {
	if int(i) >= len(s.dict.Index) || len(s.memo) == 0 {
		return s.text(nil)
	}
	v := s.dict.Index[i]
	if int(v) >= len(s.memo) {
		return false
	}
	m := s.memo[v]
	if m == 0 {
		m = 1
		if s.text(s.dict.Value(v)) {
			m = 2
		}
		s.memo[v] = m
	}
	return m == 2
}

// intAt returns the integer of row i as Row.Int would: sign-extended when the column is signed.
func (s *slotTest) intAt(i uint32) (uint64, bool) {
	k := event.ColumnTable[s.col].Kind
	w := k.Width()
	at := int(i) * w
	if at+w > len(s.raw) {
		return 0, false
	}
	switch k {
	case event.U8:
		return uint64(s.raw[at]), true
	case event.U16:
		return uint64(binary.LittleEndian.Uint16(s.raw[at:])), true
	case event.U32:
		return uint64(binary.LittleEndian.Uint32(s.raw[at:])), true
	case event.I32:
		return uint64(int32(binary.LittleEndian.Uint32(s.raw[at:]))), true
	}
	return binary.LittleEndian.Uint64(s.raw[at:]), true
}

// slotLeaf holds when one of its slots does; negated, when some slot is known and none holds.
type slotLeaf struct {
	slots  []slotTest
	neg    bool
	weight int
}

func (n *slotLeaf) match(c *rowCtx) bool {
	known := false
	for k := range n.slots {
		s := &n.slots[k]
		if !s.applies(c.row.Type) {
			continue
		}
		hit, ok := s.matchRow(c.row)
		if hit {
			return !n.neg
		}
		known = known || ok
	}
	return n.neg && known
}

func (n *slotLeaf) sel(b *event.Columns, in []uint32) []uint32 {
	for k := range n.slots {
		n.slots[k].begin(b)
	}
	if len(n.slots) == 1 {
		return n.sel1(b, in)
	}
	out := in[:0]
	for _, i := range in {
		t := b.Type[i]
		known, got := false, false
		for k := range n.slots {
			s := &n.slots[k]
			if !s.applies(t) {
				continue
			}
			hit, ok := s.at(i)
			if hit {
				got = true
				break
			}
			known = known || ok
		}
		if got != n.neg && (got || known) {
			out = append(out, i)
		}
	}
	return out
}

// sel1 is sel for the usual case of one slot, with the loops that matter written out.
func (n *slotLeaf) sel1(b *event.Columns, in []uint32) []uint32 {
	s := &n.slots[0]
	out := in[:0]
	types, neg := s.types, n.neg
	all := types == allTypes
	switch {
	case s.text != nil && len(s.memo) > 0 && len(s.dict.Index) >= b.N:
		index, memo := s.dict.Index, s.memo
		for _, i := range in {
			if !all && types>>b.Type[i]&1 == 0 {
				continue
			}
			v := index[i]
			if int(v) >= len(memo) {
				continue
			}
			m := memo[v]
			if m == 0 {
				m = 1
				if s.text(s.dict.Value(v)) {
					m = 2
				}
				memo[v] = m
			}
			if (m == 2) != neg {
				out = append(out, i)
			}
		}
		return out
	case s.num != nil && !s.num.bits && len(s.num.spans) == 1 && !s.zeroUnknown && event.ColumnTable[s.col].Kind == event.U32 && len(s.raw) >= 4*b.N:
		lo, width, raw := s.num.spans[0].lo, s.num.spans[0].hi-s.num.spans[0].lo, s.raw
		for _, i := range in {
			if !all && types>>b.Type[i]&1 == 0 {
				continue
			}
			if (uint64(binary.LittleEndian.Uint32(raw[4*i:]))-lo <= width) != neg {
				out = append(out, i)
			}
		}
		return out
	}
	for _, i := range in {
		if !all && types>>b.Type[i]&1 == 0 {
			continue
		}
		if hit, ok := s.at(i); ok && hit != neg {
			out = append(out, i)
		}
	}
	return out
}

func (n *slotLeaf) types() (t uint64) {
	for _, s := range n.slots {
		t |= s.slot.types
	}
	return t
}

func (n *slotLeaf) cols() (c uint64) {
	for _, s := range n.slots {
		c |= 1 << s.col
	}
	return c
}
func (n *slotLeaf) exact() bool { return true }
func (n *slotLeaf) cost() int   { return n.weight }

// existsLeaf holds when the row has the field, and for text when it is not empty.
type existsLeaf struct {
	slots []slotTest
	neg   bool
}

func (n *existsLeaf) match(c *rowCtx) bool {
	got := false
	for k := range n.slots {
		s := &n.slots[k]
		if s.applies(c.row.Type) && (event.ColumnTable[s.col].Kind != event.Dict || len(c.row.Bytes(s.col)) > 0) {
			got = true
		}
	}
	return got != n.neg
}

func (n *existsLeaf) sel(b *event.Columns, in []uint32) []uint32 {
	out := in[:0]
	for _, i := range in {
		got := false
		for k := range n.slots {
			s := &n.slots[k]
			if !s.applies(b.Type[i]) {
				continue
			}
			if event.ColumnTable[s.col].Kind != event.Dict {
				got = true
				continue
			}
			d := b.Dict(s.col)
			got = got || int(i) < len(d.Index) && len(d.At(int(i))) > 0
		}
		if got != n.neg {
			out = append(out, i)
		}
	}
	return out
}

func (n *existsLeaf) types() (t uint64) {
	if n.neg {
		return allTypes
	}
	for _, s := range n.slots {
		t |= s.slot.types
	}
	return t
}

func (n *existsLeaf) cols() (c uint64) {
	for _, s := range n.slots {
		c |= 1 << s.col
	}
	return c
}
func (n *existsLeaf) exact() bool { return true }
func (n *existsLeaf) cost() int   { return 2 }

// rowwise is what nodes share that columns cannot decide.
type rowwise struct{}

func (rowwise) sel(_ *event.Columns, in []uint32) []uint32 { return in }
func (rowwise) types() uint64                              { return allTypes }
func (rowwise) cols() uint64                               { return 1<<event.ColPID | 1<<event.ColPStart | 1<<event.ColTS }
func (rowwise) exact() bool                                { return false }
func (rowwise) cost() int                                  { return 100 }

type evidLeaf struct {
	rowwise
	ids map[[2]uint32]bool
	neg bool
}

func (n *evidLeaf) match(c *rowCtx) bool { return n.ids[[2]uint32{c.seg, c.n}] != n.neg }

// actorLeaf tests an attribute of the acting process.
type actorLeaf struct {
	rowwise
	attr   actorAttr
	text   func([]byte) bool
	num    *numTest
	exists bool
	neg    bool
}

func (n *actorLeaf) match(c *rowCtx) bool {
	switch n.attr {
	case attrPName, attrPExe:
		p, ok := c.parent()
		if !ok {
			return n.exists && n.neg
		}
		return n.test(&p.actor)
	case attrAName, attrAExe:
		// Any ancestor: the negation needs all of them to be otherwise.
		known := false
		p, ok := c.parent()
		for i := 0; ok && i < maxAncestors; i++ {
			if v := n.bytes(&p.actor); len(v) > 0 {
				known = true
				if n.exists || n.text(v) {
					return !n.neg
				}
			}
			p, ok = p.parent()
		}
		return n.neg && (known || n.exists)
	}
	a, ok := c.act()
	if !ok {
		return n.exists && n.neg
	}
	return n.test(a)
}

func (n *actorLeaf) test(a *Actor) bool {
	switch n.attr {
	case attrPID, attrPPID, attrUID:
		v, ok := a.PID, true
		switch n.attr {
		case attrPPID:
			v, ok = a.PPID, a.PPID != 0
		case attrUID:
			v, ok = a.UID, a.HasUID
		}
		if n.exists {
			return ok != n.neg
		}
		return ok && n.num.match(uint64(v), uint64(v)) != n.neg
	}
	v := n.bytes(a)
	if n.exists {
		return (len(v) > 0) != n.neg
	}
	return len(v) > 0 && n.text(v) != n.neg
}

func (n *actorLeaf) bytes(a *Actor) []byte {
	switch n.attr {
	case attrID:
		return []byte(a.ID)
	case attrName, attrPName, attrAName:
		return a.Name
	case attrExe, attrPExe, attrAExe:
		return a.Exe
	case attrArgs:
		return a.Args
	case attrCwd:
		return a.Cwd
	}
	return nil
}

// ancLeaf holds when an ancestor satisfies x.
type ancLeaf struct {
	rowwise
	x   node
	neg bool
}

func (n *ancLeaf) match(c *rowCtx) bool {
	if _, ok := c.act(); !ok {
		return false
	}
	p, ok := c.parent()
	for i := 0; ok && i < maxAncestors; i++ {
		if n.x.match(&p) {
			return !n.neg
		}
		p, ok = p.parent()
	}
	return n.neg
}

// descLeaf holds when the actor or one of its ancestors is the process named.
type descLeaf struct {
	rowwise
	id  string
	pid uint32
	neg bool
}

func (n *descLeaf) match(c *rowCtx) bool {
	if _, ok := c.act(); !ok {
		return false
	}
	p, ok := *c, true
	for i := 0; ok && i < maxAncestors; i++ {
		if n.id != "" && sameID(p.actor.ID, n.id) || n.id == "" && p.actor.PID == n.pid {
			return !n.neg
		}
		p, ok = p.parent()
	}
	return n.neg
}

type maskBit struct{ mask, bit uint64 }

// lookupFlag finds a name that has takes for a slot.
func lookupFlag(f *Field, s slot, fs []sym.Flag, name string) (maskBit, bool) {
	if fl, ok := sym.FlagByName(fs, name); ok {
		if fl.Mask != 0 {
			return maskBit{fl.Mask, fl.Bit}, true
		}
		return maskBit{fl.Bit, fl.Bit}, true
	}
	switch s.meaning {
	case event.Mode:
		switch name {
		case "setuid":
			return maskBit{0o4000, 0o4000}, true
		case "setgid":
			return maskBit{0o2000, 0o2000}, true
		case "sticky":
			return maskBit{0o1000, 0o1000}, true
		}
		if v, ok := sym.FileTypeByName(name); ok {
			return maskBit{sym.SIFMT, v}, true
		}
	case event.Method:
		for i, m := range event.MethodNames {
			if m == name {
				if f.Name == "io.methods" {
					return maskBit{1 << i, 1 << i}, true
				}
				return maskBit{^uint64(0), uint64(i)}, true
			}
		}
	}
	if f.Name == "coverage.events" {
		if e := event.ByName(name); e != nil {
			return maskBit{1 << e.ID, 1 << e.ID}, true
		}
	}
	return maskBit{}, false
}
