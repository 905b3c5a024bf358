package text

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"hindcast/format/clock"
	"hindcast/format/event"
	"hindcast/query/lang"
	"hindcast/query/lang/sym"
)

// Events prints rows as lines: time, who, what, with what.
type Events struct {
	p     *printer
	env   lang.Env
	ids   bool
	lines int
}

// NewEvents prints to w. env gives the clock offset, the zone and the architecture.
func NewEvents(w io.Writer, env lang.Env, o Options) *Events {
	p := newPrinter(w, o)
	p.begin, p.end = env.Anchor.Begin, env.Anchor.End
	return &Events{p: p, env: env, ids: o.Verbose}
}

// Row prints one row. offset is that of its segment.
func (e *Events) Row(r *event.Row, id string, offset clock.Offset) error {
	p := e.p
	layout := "15:04:05.000000"
	if p.multiDay() {
		layout = "01-02 " + layout
	}
	p.put(p.color(dim, r.TS.Wall(offset).Time().In(p.o.Loc).Format(layout)) + "  ")
	if e.ids {
		p.put(pad(id, 8) + "  ")
	}
	who := "-"
	switch {
	case r.Flags&event.FlagRecorder != 0 && r.PID == 0:
		who = "recorder"
	case r.Flags&event.FlagNoOwner != 0:
		who = "owner unknown"
	case r.PID != 0 || len(r.Comm) > 0:
		who = p.val(string(r.Comm)) + "(" + strconv.FormatUint(uint64(r.PID), 10) + ")"
	}
	if r.TID != r.PID && r.TID != 0 && r.PID != 0 {
		who += "/" + strconv.FormatUint(uint64(r.TID), 10)
	}
	p.put(pad(who, 20) + "  " + p.color(bold, pad(r.Type.String(), 11)) + "  ")
	p.put(p.detail(r, e.env))
	if r.Flags&event.FlagSnapshot != 0 {
		p.put("  " + p.color(dim, "[found at start]"))
	}
	if r.Flags&event.FlagFailed != 0 {
		word := "failed"
		if r.Ret < 0 && r.Ret > -4096 {
			word = sym.Errno(int(-r.Ret))
		}
		p.put("  " + p.color(red, word))
	}
	for _, f := range []struct {
		bit  uint32
		word string
	}{{event.FlagCompat, "32-bit"}, {event.FlagIOUring, "io_uring"}, {event.FlagOverride, "with other credentials"}} {
		if r.Flags&f.bit != 0 && r.Type != event.IOUring {
			p.put("  [" + f.word + "]")
		}
	}
	p.line()
	e.lines++
	return p.err
}

// detail says what the row is about in a few words; what it has no words for follows as name=value.
func (p *printer) detail(r *event.Row, env lang.Env) string {
	var b strings.Builder
	path := func(s []byte) string {
		if len(s) == 0 {
			return "(no name)"
		}
		return p.val(string(s))
	}
	object := func() string {
		if len(r.Path) > 0 {
			return p.val(string(r.Path))
		}
		if t := sym.FileType(r.Mode); t != "" && r.Ino != 0 {
			return fmt.Sprintf("%s:[%d]", t, r.Ino)
		}
		return fmt.Sprintf("inode %d", r.Ino)
	}
	args := func() string {
		if len(r.Argv) == 0 {
			return ""
		}
		return `  "` + p.short(strings.ReplaceAll(strings.TrimRight(string(r.Argv), "\x00"), "\x00", " "), 64) + `"`
	}
	tuple := func() string {
		s := p.val(endpoint(r.LAddr, r.LPort)) + p.ours(" → ") + p.val(endpoint(r.RAddr, r.RPort))
		if r.Proto != 6 && r.Proto != 0 {
			s += " " + sym.Protocol(int(r.Proto))
		}
		return s
	}
	switch r.Type {
	case event.Fork:
		if r.N1&0x10000 != 0 {
			fmt.Fprintf(&b, "thread %d", r.OTID)
		} else {
			b.WriteString(p.ours("→ "))
			fmt.Fprintf(&b, "%d", r.OPID)
		}
	case event.Exec, event.Process:
		b.WriteString(path(r.Path) + args())
		if r.Type == event.Exec && r.Op&4 != 0 {
			b.WriteString("  script " + path(r.Path2))
		}
		if r.N3 == 0 && (r.Type == event.Exec || len(r.Path) > 0 && r.Ino != 0) {
			b.WriteString("  deleted or nameless")
		}
	case event.Exit:
		if r.N2 != 0 {
			b.WriteString(sym.Signal(int(r.N2)))
		} else {
			fmt.Fprintf(&b, "code %d", r.N1)
		}
		if r.Op&2 == 0 {
			b.WriteString("  thread only")
		}
	case event.Cred:
		fmt.Fprintf(&b, "set %d: uid %d euid %d gid %d egid %d caps 0x%x", r.Cred, r.N1, r.N2, r.N5, r.N6, uint64(r.N9))
	case event.CredChange:
		fmt.Fprintf(&b, "set %d -> %d", r.N1, r.Cred)
		return p.ours(strings.Replace(b.String(), "->", "→", 1))
	case event.SignalSent:
		b.WriteString(sym.Signal(int(r.N1)) + p.ours(" → "))
		fmt.Fprintf(&b, "%d", r.OPID)
	case event.Open, event.OpenFailed, event.File:
		b.WriteString(object() + "  " + sym.Flags(sym.OpenFlags(env.Arch), uint64(r.Op)))
		if r.Type == event.Open && r.N1 == 1 {
			b.WriteString("  created")
		}
	case event.FirstRead, event.FirstWrite:
		b.WriteString(object())
		if r.Ret >= 0 {
			b.WriteString("  " + Size(uint64(r.Ret)))
		}
	case event.IO:
		fmt.Fprintf(&b, "%s  in %s out %s", object(), Size(r.BytesIn), Size(r.BytesOut))
	case event.Rename, event.Link:
		b.WriteString(path(r.Path) + p.ours(" → ") + path(r.Path2))
	case event.Symlink:
		b.WriteString(path(r.Path2) + p.ours(" → ") + path(r.Text))
	case event.Unlink, event.InodeUnlink, event.MmapExec:
		b.WriteString(object())
	case event.Mkdir:
		fmt.Fprintf(&b, "%s  0%o", path(r.Path), r.Mode&07777)
		if t := sym.FileType(r.Mode); t != "" && t != "dir" {
			b.WriteString("  " + t)
		}
	case event.Chmod:
		fmt.Fprintf(&b, "%s  0%o", path(r.Path), uint64(r.N1))
		if r.N2 > 0 {
			fmt.Fprintf(&b, ", was 0%o", uint64(r.N2)&07777)
		}
	case event.Chown:
		fmt.Fprintf(&b, "%s  uid %d gid %d", path(r.Path), r.N1, r.N2)
	case event.Truncate:
		fmt.Fprintf(&b, "%s  to %d", path(r.Path), r.N1)
	case event.Listen:
		b.WriteString(p.val(endpoint(r.LAddr, r.LPort)))
	case event.Connect, event.Accept, event.Socket:
		if r.Family == 1 {
			b.WriteString(p.unix(r))
		} else {
			b.WriteString(tuple())
		}
	case event.ConnClose, event.SockTotal:
		fmt.Fprintf(&b, "%s  in %s out %s", tuple(), Size(r.BytesIn), Size(r.BytesOut))
	case event.SockFirst:
		word := "send"
		if r.Op == 2 {
			word = "receive"
		}
		if r.Family == 1 {
			b.WriteString(p.unix(r) + "  " + word)
		} else {
			b.WriteString(tuple() + "  " + word)
		}
		if r.Ret >= 0 {
			b.WriteString(" " + Size(uint64(r.Ret)))
		}
	case event.Ledger:
		what := "any event"
		if r.N1 != 0 {
			what = event.Type(r.N1 & 0xffff).String()
		}
		fmt.Fprintf(&b, "%s lost of %s: %s %s", Number(uint64(r.N2)), what, p.val(string(r.Text)), p.val(string(r.Text2)))
	case event.Coverage:
		word := "not attached"
		if r.N1 == 1 {
			word = "attached"
		}
		fmt.Fprintf(&b, "%s %s  %s", p.val(string(r.Text)), word, p.val(string(r.Text2)))
	case event.Recorder:
		fmt.Fprintf(&b, "%s  %s", p.val(string(r.Text)), p.val(string(r.Text2)))
		if r.N1 != 0 {
			fmt.Fprintf(&b, "  %d", r.N1)
		}
	case event.Clock:
		b.WriteString(clock.Wall(r.N1).Time().Format("2006-01-02 15:04:05.000000000") + " UTC")
	default:
		if !p.more(&b, r, env) {
			p.fields(&b, r, env)
		}
	}
	return b.String()
}

// fields writes name=value for what is not zero.
func (p *printer) fields(b *strings.Builder, r *event.Row, env lang.Env) {
	e := event.ByID(r.Type)
	if e == nil {
		fmt.Fprintf(b, "event %d is not in this version's catalogue", r.Type)
		return
	}
	for i := range e.Fields {
		f := &e.Fields[i]
		if event.ColumnTable[f.Col].Kind == event.Dict {
			if v := r.Bytes(f.Col); len(v) > 0 {
				b.WriteString(f.Name + "=" + p.short(string(v), 64) + " ")
			}
			continue
		}
		v := r.Int(f.Col)
		if v == 0 {
			continue
		}
		s, _ := lang.Number(f.Meaning, f.Col, v, f.C == event.CU64, env)
		b.WriteString(f.Name + "=" + p.val(s) + " ")
	}
}

func endpoint(addr []byte, port uint16) string {
	a := string(addr)
	if a == "" {
		a = "?"
	}
	if strings.Contains(a, ":") {
		a = "[" + a + "]"
	}
	return a + ":" + strconv.Itoa(int(port))
}

// Values prints chosen fields of a row separated by tabs; a field the row does not have is a
// single "-".
func (e *Events) Values(vals []string, ok []bool) error {
	for i, v := range vals {
		if i > 0 {
			e.p.b.WriteByte('\t')
		}
		if !ok[i] {
			v = "-"
		}
		e.p.put(e.p.val(v))
	}
	e.p.line()
	e.lines++
	return e.p.err
}
