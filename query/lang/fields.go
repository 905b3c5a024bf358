package lang

import (
	"math/bits"
	"sort"
	"strings"

	"hindcast/format/event"
)

// Type is what kind of value a field holds; it decides the operators and how values are read.
type Type uint8

const (
	Text   Type = iota // bytes compared as they are: names, paths, arguments
	Addr               // an IP address, or the path of a unix socket
	Num                // a number, perhaps with a unit or a symbolic name
	Time               // an instant
	Bool               // yes or no
	Event              // the name of an event
	Family             // the name of an event family
	Evid               // a row id, segment:row
	ProcID             // a short process id, p:...
)

func (t Type) String() string {
	return [...]string{"text", "address", "number", "time", "yes/no", "event", "family", "row id", "process id"}[t]
}

// Ops returns the operators the type takes.
func (t Type) Ops() []string {
	switch t {
	case Text:
		return []string{"=", "!=", "contains", "icontains", "startswith", "endswith", "glob", "iglob", "in", "exists"}
	case Addr:
		return []string{"=", "!=", "in", "contains", "startswith", "endswith", "glob", "exists"}
	case Num, Time:
		return []string{"=", "!=", "<", "<=", ">", ">=", "in", "exists"}
	}
	return []string{"=", "!=", "in", "exists"}
}

// slot is where a field lies for a set of event types.
type slot struct {
	types    uint64
	col      event.Column
	meaning  event.Meaning
	unsigned bool
	flags    bool // also takes has
}

// actorAttr says which attribute of the acting process a field reads.
type actorAttr uint8

const (
	attrNone actorAttr = iota
	attrID
	attrPID
	attrName
	attrExe
	attrArgs
	attrCwd
	attrPPID
	attrPName
	attrPExe
	attrAName
	attrAExe
	attrUID
)

// Field is a name of the language.
type Field struct {
	Name    string
	Type    Type
	Aliases []string // the same field under sysdig's or another name
	Doc     string
	Events  uint64 // bit set of the event types that have it; 0 for all
	Actor   bool   // comes from the replayed state of the acting process, not from the row

	slots []slot
	attr  actorAttr
	mask  uint32 // Bool: flag bit of the row
}

// EventNames returns the names of the events that have the field, in id order; nil for all.
func (f *Field) EventNames() []string {
	var out []string
	for m := f.Events; m != 0; m &= m - 1 {
		out = append(out, event.Type(bits.TrailingZeros64(m)).String())
	}
	return out
}

// Has reports whether the operator has is understood.
func (f *Field) Has() bool {
	for _, s := range f.slots {
		if s.flags {
			return true
		}
	}
	return false
}

const allTypes = ^uint64(0)

// row makes a field that every row has, in one column.
func row(name string, t Type, col event.Column, m event.Meaning, doc string, aliases ...string) *Field {
	return &Field{Name: name, Type: t, Aliases: aliases, Doc: doc, slots: []slot{newSlot(allTypes, col, m, false)}}
}

func actor(name string, t Type, a actorAttr, doc string, aliases ...string) *Field {
	return &Field{Name: name, Type: t, Aliases: aliases, Doc: doc, Actor: true, attr: a, slots: []slot{{types: allTypes}}}
}

func flag(name string, bit uint32, doc string) *Field {
	return &Field{Name: name, Type: Bool, Doc: doc, mask: bit, slots: []slot{{types: allTypes, col: event.ColFlags}}}
}

func newSlot(types uint64, col event.Column, m event.Meaning, unsigned bool) slot {
	switch event.ColumnTable[col].Kind {
	case event.U8, event.U16, event.U32, event.U64:
		unsigned = true
	}
	s := slot{types: types, col: col, meaning: m, unsigned: unsigned}
	switch m {
	case event.OpenFlags, event.CloneFlag, event.Prot, event.CapSet, event.Mode, event.Code, event.Method:
		s.flags = event.ColumnTable[col].Kind != event.Dict
	}
	return s
}

// Fields is every field of the language, sorted by name.
var Fields = buildFields()

var byName = func() map[string]*Field {
	m := map[string]*Field{}
	for _, f := range Fields {
		m[f.Name] = f
		for _, a := range f.Aliases {
			m[a] = f
		}
	}
	return m
}()

// Lookup returns the field with that name or alias, or nil.
func Lookup(name string) *Field { return byName[strings.ToLower(name)] }

// Names returns every name and alias, sorted.
func Names() []string {
	out := make([]string, 0, len(byName))
	for n := range byName {
		out = append(out, n)
	}
	sort.Strings(out)
	return out
}

// aliases of catalogue fields, under sysdig's names.
var aliases = map[string][]string{
	"file.path":    {"fd.name"},
	"file.newpath": {"fd.newname"},
	"file.ino":     {"fd.ino"},
	"file.dev":     {"fd.dev"},
	"file.fd":      {"fd.num"},
	"net.raddr":    {"fd.rip"},
	"net.laddr":    {"fd.lip"},
	"net.rport":    {"fd.rport"},
	"net.lport":    {"fd.lport"},
	"net.proto":    {"fd.l4proto"},
}

func buildFields() []*Field {
	fs := []*Field{
		{Name: "evt.type", Type: Event, Doc: "name of the event", slots: []slot{newSlot(allTypes, event.ColType, event.Number, true)}},
		{Name: "evt.family", Type: Family, Aliases: []string{"evt.category"}, Doc: "family of the event: process, file, net, recorder", slots: []slot{newSlot(allTypes, event.ColType, event.Number, true)}},
		row("evt.time", Time, event.ColTS, event.BootNS, "when the kernel saw it"),
		row("evt.cpu", Num, event.ColCPU, event.Number, "cpu it was seen on"),
		row("evt.res", Num, event.ColRet, event.Errno, "result of the call: a number, or the name of an error such as EACCES", "evt.rawres"),
		row("proc.cgroup", Num, event.ColCgroup, event.Number, "cgroup v2 id of the acting thread", "evt.cgroup"),
		flag("evt.failed", event.FlagFailed, "the call failed"),
		flag("evt.snapshot", event.FlagSnapshot, "describes a state found at the start, not something that happened then"),
		flag("evt.compat", event.FlagCompat, "made through the 32-bit system call table"),
		flag("evt.kthread", event.FlagKThread, "the actor is a kernel thread"),
		flag("evt.noowner", event.FlagNoOwner, "the acting process is unknown"),
		{Name: "evt.num", Type: Evid, Doc: "row id as evidence lists print it: segment:row", slots: []slot{{types: allTypes}}},
		row("proc.pid", Num, event.ColPID, event.ProcID, "acting process"),
		row("proc.tid", Num, event.ColTID, event.ProcID, "acting thread", "thread.tid"),
		row("proc.name", Text, event.ColComm, event.Name, "name of the acting thread, a label a program can change", "proc.comm"),
		row("proc.start", Time, event.ColPStart, event.BootNS, "start of the acting process"),
		row("proc.cred", Num, event.ColCred, event.Number, "id of the credential set"),
		row("proc.image", Num, event.ColImage, event.Number, "exec number: changes with every exec of the process"),
		actor("proc.id", ProcID, attrID, "short id of the acting process, p:..."),
		actor("proc.exe", Text, attrExe, "program file the acting process ran", "proc.exepath"),
		actor("proc.args", Text, attrArgs, "its arguments, joined by spaces", "proc.cmdline"),
		actor("proc.cwd", Text, attrCwd, "its working directory when the program began"),
		actor("proc.ppid", Num, attrPPID, "its parent"),
		actor("proc.pname", Text, attrPName, "name of its parent"),
		actor("proc.pexe", Text, attrPExe, "program file of its parent"),
		actor("proc.aname", Text, attrAName, "name of any of its ancestors"),
		actor("proc.aexe", Text, attrAExe, "program file of any of its ancestors", "proc.aexepath"),
		actor("proc.uid", Num, attrUID, "effective user of the acting process", "user.uid"),
	}
	// Either end of a connection, and the end that serves where the event says which it is.
	net := func(name string, t Type, doc, alias string, cols ...event.Column) {
		f := &Field{Name: name, Type: t, Doc: doc, Aliases: []string{alias}}
		m := event.Port
		if t == Addr {
			m = event.Address
		}
		for _, c := range cols {
			s := newSlot(typesOf(c, m), c, m, true)
			f.slots = append(f.slots, s)
		}
		fs = append(fs, f)
	}
	net("net.addr", Addr, "local or remote address", "fd.ip", event.ColLAddr, event.ColRAddr)
	net("net.port", Num, "local or remote port", "fd.port", event.ColLPort, event.ColRPort)
	serve := func(name string, t Type, m event.Meaning, local, remote event.Column, doc, alias string) {
		fs = append(fs, &Field{Name: name, Type: t, Doc: doc, Aliases: []string{alias}, slots: []slot{
			newSlot(1<<event.Connect, remote, m, true), newSlot(1<<event.Accept|1<<event.Listen, local, m, true)}})
	}
	serve("net.saddr", Addr, event.Address, event.ColLAddr, event.ColRAddr, "address of the end that was connected to", "fd.sip")
	serve("net.sport", Num, event.Port, event.ColLPort, event.ColRPort, "port of the end that was connected to", "fd.sport")

	fs = append(fs, catalogueFields()...)
	for _, f := range fs {
		if f.Events == 0 && len(f.slots) > 0 {
			for _, s := range f.slots {
				f.Events |= s.types
			}
			if f.Events == allTypes {
				f.Events = 0
			}
		}
		f.Aliases = append(f.Aliases, aliases[f.Name]...)
		sort.Strings(f.Aliases)
	}
	sort.Slice(fs, func(i, j int) bool { return fs[i].Name < fs[j].Name })
	return fs
}

// typesOf returns the event types with a field of that column and meaning.
func typesOf(c event.Column, m event.Meaning) (types uint64) {
	for _, e := range event.Catalog {
		for _, f := range e.Fields {
			if f.Col == c && f.Meaning == m {
				types |= 1 << e.ID
			}
		}
	}
	return types
}

// catalogueFields returns one field for each query name of the catalogue.
func catalogueFields() []*Field {
	var fs []*Field
	at := map[string]*Field{}
	for _, e := range event.Catalog {
		for i := range e.Fields {
			cf := &e.Fields[i]
			f := at[cf.Query]
			if f == nil {
				f = &Field{Name: cf.Query, Type: typeOf(cf), Doc: cf.Doc}
				at[cf.Query] = f
				fs = append(fs, f)
			}
			s := newSlot(1<<e.ID, cf.Col, cf.Meaning, cf.C == event.CU64)
			merged := false
			for k := range f.slots {
				o := &f.slots[k]
				if o.col == s.col && o.meaning == s.meaning && o.unsigned == s.unsigned {
					o.types |= s.types
					merged = true
				}
			}
			if !merged {
				f.slots = append(f.slots, s)
			}
		}
	}
	return fs
}

func typeOf(f *event.Field) Type {
	if event.ColumnTable[f.Col].Kind == event.Dict {
		if f.Meaning == event.Address {
			return Addr
		}
		return Text
	}
	if f.Meaning == event.BootNS || f.Meaning == event.WallNS {
		return Time
	}
	return Num
}

// words are the slots that a bare word searches.
var words = func() []slot {
	at := map[event.Column]*slot{}
	out := []slot{{types: allTypes, col: event.ColComm, meaning: event.Name}}
	for _, e := range event.Catalog {
		for _, f := range e.Fields {
			if event.ColumnTable[f.Col].Kind != event.Dict || f.Col == event.ColComm {
				continue
			}
			if s := at[f.Col]; s != nil {
				s.types |= 1 << e.ID
				continue
			}
			at[f.Col] = &slot{types: 1 << e.ID, col: f.Col, meaning: f.Meaning}
		}
	}
	for c := event.Column(0); c < event.NumColumns; c++ {
		if s := at[c]; s != nil {
			out = append(out, *s)
		}
	}
	return out
}()
