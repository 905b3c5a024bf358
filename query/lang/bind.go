package lang

import (
	"errors"
	"fmt"
	"net/netip"
	"sort"
	"strings"

	"hindcast/format/clock"
	"hindcast/format/event"
)

// Actor is the acting process of a row as replay knows it at that moment. Byte slices stay
// valid as long as the Actors they came from.
type Actor struct {
	ID      string // short id, p:...
	PID     uint32
	PStart  uint64
	PPID    uint32 // 0 unknown
	PPStart uint64
	Name    []byte
	Exe     []byte // empty: unknown
	Args    []byte // joined by spaces
	Cwd     []byte
	UID     uint32 // effective
	HasUID  bool
}

// Actors finds processes in replayed state.
type Actors interface {
	// Actor returns the process with that key as it was at that time.
	Actor(pid uint32, pstart uint64, at clock.Boot) (Actor, bool)
}

// Env is what values are read against. The zero value reads absolute times only and knows no actors.
type Env struct {
	Anchor Anchor
	Offset clock.Offset // of the capture, to compare wall times with event time
	Arch   string       // of the capture: "arm64", else amd64
	Actors Actors       // nil: a filter that NeedsActors must not be run
	// Live binds for rows that are just being recorded: what asks for replayed state then lets every
	// row pass, negated too, except for the user, which Actors must know.
	Live bool
}

// Filter is a bound expression. It keeps scratch space and is for one goroutine at a time.
type Filter struct {
	// Types is the set of event types that can match, as bits; 0 means all.
	Types uint64
	// Cols is the set of columns that Match and Select look at, as bits.
	Cols uint64
	// Exact reports that Select alone decides; otherwise Match must be asked about each row it leaves.
	Exact bool
	// NeedsActors reports that the expression asks about replayed state.
	NeedsActors bool

	root    node
	origins map[node]origin
	actors  Actors
	ctx     rowCtx
}

type binder struct {
	src     string
	env     Env
	inAnc   bool
	need    bool
	users   bool // asks for the user of the actor
	origins map[node]origin
}

// Compile parses and binds in one step.
func Compile(src string, env Env) (*Filter, error) {
	e, err := Parse(src)
	if err != nil {
		return nil, err
	}
	return Bind(src, e, env)
}

// Bind resolves the names and values of an expression. src is the text it was parsed from, for
// the carets of errors. A nil expression matches every row.
func Bind(src string, e Expr, env Env) (*Filter, error) {
	f := &Filter{Exact: true, actors: env.Actors}
	if e == nil {
		return f, nil
	}
	b := &binder{src: src, env: env, origins: map[node]origin{}}
	f.origins = b.origins
	n, err := b.bind(e, false)
	if err != nil {
		return nil, err
	}
	f.root = n
	f.Cols = n.cols() | 1<<event.ColType | 1<<event.ColTS
	f.Exact = n.exact()
	f.NeedsActors = b.need
	if env.Live {
		f.NeedsActors = b.users
	}
	if b.need {
		f.Cols |= 1<<event.ColPID | 1<<event.ColPStart
	}
	f.Types = n.types()
	if f.Types == allTypes {
		f.Types = 0
	} else if f.Types == 0 {
		f.Types = 1 // id 0 is no event: nothing can match, which is not the same as all
	}
	return f, nil
}

func (b *binder) fail(code string, at, n int, msg, hint string) error {
	return &Error{Code: code, Msg: msg, Src: b.src, At: at, Len: n, Hint: hint}
}

// bind turns an expression into nodes, moving negation down to the tests: under the
// three values of the language De Morgan holds, and a test knows what its own negation means.
func (b *binder) bind(e Expr, neg bool) (node, error) {
	switch e := e.(type) {
	case *Not:
		return b.bind(e.X, !neg)
	case *And:
		return b.list(e.X, neg, neg)
	case *Or:
		return b.list(e.X, neg, !neg)
	}
	n, err := b.leaf(e, neg)
	if err != nil {
		return nil, err
	}
	if b.env.Live && !b.inAnc {
		n = b.live(n)
	}
	b.origins[n] = origin{e, neg}
	return n, nil
}

// live replaces what only a replay can answer.
func (b *binder) live(n node) node {
	switch n := n.(type) {
	case *actorLeaf:
		if n.attr == attrUID {
			b.users = true
			return n
		}
	case *ancLeaf, *descLeaf:
	default:
		return n
	}
	return &constNode{true}
}

func (b *binder) leaf(e Expr, neg bool) (node, error) {
	switch e := e.(type) {
	case *Word:
		return b.word(e, neg)
	case *Exists:
		f, err := b.field(e.Field, e.At)
		if err != nil {
			return nil, err
		}
		return b.exists(f, neg), nil
	case *Compare:
		return b.compare(e, neg)
	case *Anc:
		b.need = true
		inner := *b
		inner.inAnc = true
		n, err := inner.bind(e.X, false)
		if err != nil {
			return nil, err
		}
		return &ancLeaf{x: n, neg: neg}, nil
	case *Desc:
		b.need = true
		return b.desc(e, neg)
	}
	return nil, fmt.Errorf("bind: unknown node %T", e)
}

func (b *binder) list(xs []Expr, neg, or bool) (node, error) {
	var ns []node
	for _, x := range xs {
		n, err := b.bind(x, neg)
		if err != nil {
			return nil, err
		}
		ns = append(ns, n)
	}
	if or {
		return &orNode{x: ns}, nil
	}
	sort.SliceStable(ns, func(i, j int) bool { return ns[i].cost() < ns[j].cost() })
	return &andNode{x: ns}, nil
}

func (b *binder) field(name string, at int) (*Field, error) {
	f := Lookup(name)
	if f == nil {
		h := "`hindcast fields` lists them"
		if s := Suggest(name, Names()); s != "" {
			h = "did you mean " + s + "?"
		}
		return nil, b.fail(CodeField, at, len(name), "unknown field `"+name+"`", h)
	}
	if b.inAnc && !f.Actor && ancAttr(f.Name) == attrNone {
		return nil, b.fail(CodeField, at, len(name), "`"+name+"` belongs to a row, not to a process", "inside anc() use proc.exe, proc.name, proc.args, proc.pid, proc.id, proc.cwd, proc.uid")
	}
	if f.Actor {
		b.need = true
	}
	return f, nil
}

// ancAttr returns the process attribute that a row field stands for inside anc().
func ancAttr(name string) actorAttr {
	switch name {
	case "proc.pid":
		return attrPID
	case "proc.name":
		return attrName
	}
	return attrNone
}

func (b *binder) word(e *Word, neg bool) (node, error) {
	if !e.Quoted {
		f := Lookup(e.Text)
		switch {
		case f != nil && f.Type == Bool && !b.inAnc:
			return b.boolean(f, true, neg), nil
		case f != nil:
			return nil, b.fail(CodeOp, e.At, e.Len, "`"+e.Text+"` needs a test", "for example `"+e.Text+" "+f.Type.Ops()[0]+" VALUE` or `"+e.Text+" exists`")
		case fieldLike(e.Text):
			_, err := b.field(e.Text, e.At)
			return nil, err
		}
	}
	if b.inAnc {
		return nil, b.fail(CodeSyntax, e.At, e.Len, "anc() takes tests on processes, not a word", "for example anc(proc.name = sshd)")
	}
	if ap, err := netip.ParseAddrPort(e.Text); err == nil {
		return b.endpoint(ap, neg), nil
	}
	l := &slotLeaf{neg: neg, weight: 4}
	test := textTest("contains", []string{e.Text})
	for _, s := range words {
		l.slots = append(l.slots, slotTest{slot: s, text: textFor(s, test)})
	}
	return l, nil
}

// fieldLike reports whether a bare word looks like a mistyped field: its part before the first dot
// is a class of fields.
func fieldLike(s string) bool {
	class, rest, ok := strings.Cut(strings.ToLower(s), ".")
	if !ok || rest == "" || strings.ContainsAny(rest, "/.:") {
		return false
	}
	for _, f := range Fields {
		if c, _, _ := strings.Cut(f.Name, "."); c == class {
			return true
		}
	}
	return class == "fd" || class == "thread" || class == "user"
}

// endpoint binds a bare ip:port: one end of a connection, not any text.
func (b *binder) endpoint(ap netip.AddrPort, neg bool) node {
	end := func(addr, port string) node {
		at, _ := addrTest("=", []string{ap.Addr().String()})
		fa, fp := Lookup(addr), Lookup(port)
		a := &slotLeaf{neg: neg, weight: 3, slots: []slotTest{{slot: fa.slots[0], text: at}}}
		p := &slotLeaf{neg: neg, weight: 1, slots: []slotTest{{slot: fp.slots[0], num: &numTest{spans: number{mag: uint64(ap.Port())}.spans("=", true)}}}}
		if neg {
			return &orNode{x: []node{p, a}}
		}
		return &andNode{x: []node{p, a}}
	}
	x := []node{end("net.raddr", "net.rport"), end("net.laddr", "net.lport")}
	if neg {
		return &andNode{x: x}
	}
	return &orNode{x: x}
}

// textFor adapts a test to how the column stores text: arguments are NUL separated and read as
// joined by spaces.
func textFor(s slot, test func([]byte) bool) func([]byte) bool {
	if s.meaning != event.Args {
		return test
	}
	return func(v []byte) bool {
		out := make([]byte, 0, 256)
		for len(v) > 0 && v[len(v)-1] == 0 {
			v = v[:len(v)-1]
		}
		for _, c := range v {
			if c == 0 {
				c = ' '
			}
			out = append(out, c)
		}
		return test(out)
	}
}

func (b *binder) boolean(f *Field, want, neg bool) node {
	bit := uint64(f.mask)
	t := &numTest{bits: true, mask: bit, bit: bit}
	s := f.slots[0]
	s.unsigned = true
	return &slotLeaf{neg: neg == want, weight: 1, slots: []slotTest{{slot: s, num: t}}}
}

func (b *binder) exists(f *Field, neg bool) node {
	if a := b.attr(f); a != attrNone {
		return &actorLeaf{attr: a, exists: true, neg: neg}
	}
	if f.Type == Evid || f.Type == Bool {
		return &constNode{!neg}
	}
	l := &existsLeaf{neg: neg}
	for _, s := range f.slots {
		l.slots = append(l.slots, slotTest{slot: s})
	}
	return l
}

// attr returns the actor attribute that the field reads here, attrNone for a row field.
func (b *binder) attr(f *Field) actorAttr {
	if f.Actor {
		return f.attr
	}
	if b.inAnc {
		return ancAttr(f.Name)
	}
	return attrNone
}

func (b *binder) compare(e *Compare, neg bool) (node, error) {
	f, err := b.field(e.Field, e.At)
	if err != nil {
		return nil, err
	}
	op := e.Op
	if op == "!=" {
		op, neg = "=", !neg
	}
	if !allowed(f, e.Op) {
		h := "it takes " + strings.Join(f.Type.Ops(), " ")
		if f.Has() {
			h += " has"
		}
		return nil, b.fail(CodeOp, e.OpAt, len(e.Op), fmt.Sprintf("`%s` does not fit `%s`, which is a field of type %s", e.Op, f.Name, f.Type), h)
	}
	if a := b.attr(f); a != attrNone {
		return b.actorTest(f, a, op, e, neg)
	}
	switch f.Type {
	case Text, Addr:
		return b.text(f, op, e, neg)
	case Num:
		return b.num(f, op, e, neg)
	case Time:
		return b.time(f, op, e, neg)
	case Event, Family:
		return b.events(f, e, neg)
	case Bool:
		var ns []node
		for _, v := range e.Values {
			want, ok := map[string]bool{"true": true, "yes": true, "1": true, "false": false, "no": false, "0": false}[strings.ToLower(v.Text)]
			if !ok {
				return nil, b.fail(CodeValue, v.At, v.Len, "`"+v.Text+"` is neither true nor false", "")
			}
			ns = append(ns, b.boolean(f, want, neg))
		}
		if neg {
			return &andNode{x: ns}, nil
		}
		return &orNode{x: ns}, nil
	case Evid:
		l := &evidLeaf{neg: neg, ids: map[[2]uint32]bool{}}
		for _, v := range e.Values {
			id, ok := parseEvid(v.Text)
			if !ok {
				return nil, b.fail(CodeValue, v.At, v.Len, "`"+v.Text+"` is not a row id", "row ids look like 3:1742")
			}
			l.ids[id] = true
		}
		return l, nil
	}
	return nil, fmt.Errorf("bind: field type %v", f.Type)
}

func parseEvid(s string) ([2]uint32, bool) {
	a, c, ok := strings.Cut(s, ":")
	x, ok1 := parseInt(a, false)
	y, ok2 := parseInt(c, false)
	if !ok || !ok1 || !ok2 || x.neg || y.neg || x.mag > 1<<32-1 || y.mag > 1<<32-1 {
		return [2]uint32{}, false
	}
	return [2]uint32{uint32(x.mag), uint32(y.mag)}, true
}

func allowed(f *Field, op string) bool {
	if op == "has" {
		return f.Has()
	}
	for _, o := range f.Type.Ops() {
		if o == op {
			return true
		}
	}
	return false
}

func texts(vs []Value) []string {
	var out []string
	for _, v := range vs {
		out = append(out, v.Text)
	}
	return out
}

func (b *binder) text(f *Field, op string, e *Compare, neg bool) (node, error) {
	test, err := b.textOf(f.Type, op, e.Values)
	if err != nil {
		return nil, err
	}
	l := &slotLeaf{neg: neg, weight: 2}
	if f.Type == Addr {
		l.weight = 3
	}
	for _, s := range f.slots {
		l.slots = append(l.slots, slotTest{slot: s, text: textFor(s, test)})
	}
	return l, nil
}

func (b *binder) textOf(t Type, op string, vs []Value) (func([]byte) bool, error) {
	if t != Addr {
		return textTest(op, texts(vs)), nil
	}
	for _, v := range vs {
		if _, err := addrTest(op, []string{v.Text}); err != nil {
			return nil, b.value(v, err)
		}
	}
	return addrTest(op, texts(vs))
}

func (b *binder) value(v Value, err error) error {
	var h hint
	if errors.As(err, &h) {
		return b.fail(CodeValue, v.At, v.Len, h.msg, h.hint)
	}
	return b.fail(CodeValue, v.At, v.Len, err.Error(), "")
}

func (b *binder) num(f *Field, op string, e *Compare, neg bool) (node, error) {
	l := &slotLeaf{neg: neg, weight: 1}
	var first error
	for _, s := range f.slots {
		t, err := b.numTest(f, s, op, e.Values)
		if err != nil {
			if first == nil {
				first = err
			}
			continue
		}
		l.slots = append(l.slots, slotTest{slot: s, num: t})
	}
	if len(l.slots) == 0 {
		return nil, first
	}
	return l, nil
}

func (b *binder) numTest(f *Field, s slot, op string, vs []Value) (*numTest, error) {
	t := &numTest{}
	for _, v := range vs {
		if op == "has" {
			bits, err := b.hasBits(f, s, v)
			if err != nil {
				return nil, err
			}
			return bits, nil
		}
		n, err := numberFor(f, s, v.Text, b.env.Arch)
		if err != nil {
			return nil, b.value(v, err)
		}
		if s.meaning == event.Mode && op == "=" && !n.neg && n.mag <= 0o7777 {
			return &numTest{bits: true, mask: 0o7777, bit: n.mag}, nil
		}
		t.spans = append(t.spans, n.spans(op, s.unsigned)...)
	}
	return t, nil
}

func (b *binder) hasBits(f *Field, s slot, v Value) (*numTest, error) {
	t := &numTest{bits: true}
	for _, part := range strings.Split(v.Text, "|") {
		fs := flagsOf(s.meaning, b.env.Arch)
		if fl, ok := lookupFlag(f, s, fs, part); ok {
			t.mask |= fl.mask
			t.bit |= fl.bit
			continue
		}
		n, err := numberFor(f, s, part, b.env.Arch)
		switch {
		case err != nil:
			return nil, b.value(v, err)
		case n.neg:
			return nil, b.fail(CodeValue, v.At, v.Len, "`has` takes bits, not a negative number", "")
		}
		t.mask |= n.mag
		t.bit |= n.mag
	}
	return t, nil
}

func (b *binder) time(f *Field, op string, e *Compare, neg bool) (node, error) {
	l := &slotLeaf{neg: neg, weight: 1}
	for _, s := range f.slots {
		t := &numTest{}
		for _, v := range e.Values {
			w, err := ParseTime(v.Text, b.env.Anchor)
			if err != nil {
				var te *Error
				errors.As(err, &te)
				return nil, b.fail(CodeTime, v.At, v.Len, te.Msg, te.Hint)
			}
			ns := int64(w)
			if s.meaning == event.BootNS {
				ns = int64(w.Boot(b.env.Offset))
			}
			n := number{mag: uint64(ns)}
			if ns < 0 {
				n = number{neg: true, mag: uint64(-ns)}
			}
			t.spans = append(t.spans, n.spans(op, s.unsigned)...)
		}
		l.slots = append(l.slots, slotTest{slot: s, num: t, zeroUnknown: s.col != event.ColTS})
	}
	return l, nil
}

// sysdigEvents maps names of system calls that Falco users type to ours.
var sysdigEvents = map[string]string{"execve": "exec", "execveat": "exec", "clone": "fork", "clone3": "fork", "vfork": "fork", "procexit": "exit",
	"openat": "open", "openat2": "open", "creat": "open", "unlinkat": "unlink", "renameat": "rename", "renameat2": "rename", "mkdirat": "mkdir",
	"fchmod": "chmod", "fchmodat": "chmod", "fchown": "chown", "fchownat": "chown", "symlinkat": "symlink", "linkat": "link", "ftruncate": "truncate",
	"accept4": "accept", "kill": "signal"}

func (b *binder) events(f *Field, e *Compare, neg bool) (node, error) {
	var set uint64
	for _, v := range e.Values {
		name := strings.ToLower(v.Text)
		if f.Type == Family {
			found := false
			for _, ev := range event.Catalog {
				if ev.Family == name {
					set |= 1 << ev.ID
					found = true
				}
			}
			if !found {
				return nil, b.value(v, unknownName(v.Text, "event family", []string{"process", "file", "net", "recorder"}))
			}
			continue
		}
		if s, ok := sysdigEvents[name]; ok && event.ByName(name) == nil {
			name = s
		}
		ev := event.ByName(name)
		if ev == nil {
			return nil, b.value(v, unknownName(v.Text, "event", eventNames()))
		}
		set |= 1 << ev.ID
	}
	if neg {
		set = ^set
	}
	return &typeLeaf{set}, nil
}

func (b *binder) desc(e *Desc, neg bool) (node, error) {
	l := &descLeaf{neg: neg}
	if n, ok := parseInt(e.Value.Text, false); ok && !n.neg && n.mag < 1<<32 {
		l.pid = uint32(n.mag)
		return l, nil
	}
	if !strings.HasPrefix(e.Value.Text, "p:") || len(e.Value.Text) < 3 {
		return nil, b.fail(CodeValue, e.Value.At, e.Value.Len, "`"+e.Value.Text+"` names no process", "desc() takes a short id such as p:7k3q, or a pid")
	}
	l.id = e.Value.Text
	return l, nil
}

func (b *binder) actorTest(f *Field, a actorAttr, op string, e *Compare, neg bool) (node, error) {
	l := &actorLeaf{attr: a, neg: neg}
	switch f.Type {
	case Text:
		l.text = textTest(op, texts(e.Values))
	case ProcID:
		for _, v := range e.Values {
			if !strings.HasPrefix(v.Text, "p:") || len(v.Text) < 3 {
				return nil, b.fail(CodeValue, v.At, v.Len, "`"+v.Text+"` is not a process id", "short ids look like p:7k3q; a number goes with proc.pid")
			}
		}
		vs := texts(e.Values)
		l.text = func(id []byte) bool {
			for _, v := range vs {
				if sameID(string(id), v) {
					return true
				}
			}
			return false
		}
	default:
		s := slot{meaning: event.ProcID, unsigned: true}
		if a == attrUID {
			s.meaning = event.UserID
		}
		t, err := b.numTest(f, s, op, e.Values)
		if err != nil {
			return nil, err
		}
		l.num = t
	}
	return l, nil
}

// sameID compares short ids: either may be cut shorter than the other.
func sameID(a, b string) bool {
	return strings.HasPrefix(a, b) || strings.HasPrefix(b, a) && len(a) > 2
}
