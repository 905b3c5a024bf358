package lang

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"hindcast/format/event"
	"hindcast/query/lang/sym"
)

// Value returns the field of a row as text, in a form that the field's tests read back; ok is
// false when the row does not have it. The text is what was recorded, not escaped. seg and n
// are the row's place.
func (f *Field) Value(r *event.Row, seg, n uint32, env Env) (text string, ok bool) {
	switch {
	case f.Type == Evid:
		return strconv.FormatUint(uint64(seg), 10) + ":" + strconv.FormatUint(uint64(n), 10), true
	case f.Type == Bool:
		return strconv.FormatBool(r.Flags&f.mask != 0), true
	case f.Name == "evt.type":
		return r.Type.String(), true
	case f.Name == "evt.family":
		if e := event.ByID(r.Type); e != nil {
			return e.Family, true
		}
		return "", false
	case f.Actor:
		return f.actorValue(r, env)
	}
	var parts []string
	for _, s := range f.slots {
		if s.types>>r.Type&1 == 0 {
			continue
		}
		if v, ok := showSlot(f, s, r, env); ok {
			parts = append(parts, v)
		}
	}
	return strings.Join(parts, " "), len(parts) > 0
}

func showSlot(f *Field, s slot, r *event.Row, env Env) (string, bool) {
	if event.ColumnTable[s.col].Kind == event.Dict {
		b := r.Bytes(s.col)
		if s.meaning == event.Args {
			return strings.ReplaceAll(strings.TrimRight(string(b), "\x00"), "\x00", " "), len(b) > 0
		}
		return string(b), len(b) > 0
	}
	return Number(s.meaning, s.col, r.Int(s.col), s.unsigned, env)
}

// Number renders a recorded integer by its meaning; ok is false for a zero that means unknown.
func Number(m event.Meaning, col event.Column, v int64, unsigned bool, env Env) (string, bool) {
	loc := env.Anchor.Loc
	if loc == nil {
		loc = time.UTC
	}
	switch m {
	case event.BootNS:
		if v == 0 && col != event.ColTS {
			return "", false
		}
		return time.Unix(0, v+int64(env.Offset)).In(loc).Format(time.RFC3339Nano), true
	case event.WallNS:
		if v == 0 {
			return "", false
		}
		return time.Unix(0, v).In(loc).Format(time.RFC3339Nano), true
	case event.Errno:
		if v < 0 && v > -4096 {
			return sym.Errno(int(-v)), true
		}
		if v > 0 && col != event.ColRet {
			return sym.Errno(int(v)), true
		}
	case event.Signal:
		if v > 0 {
			return sym.Signal(int(v)), true
		}
	case event.OpenFlags, event.CloneFlag, event.Prot:
		return sym.Flags(flagsOf(m, env.Arch), uint64(v)), true
	case event.CapSet:
		return fmt.Sprintf("0x%x", uint64(v)), true
	case event.Mode:
		return fmt.Sprintf("0%o", uint64(v)), true
	case event.InodePart:
		if col == event.ColDev || col == event.ColDev2 {
			d := uint64(v)
			return fmt.Sprintf("%d:%d", d>>8&0xfff, d&0xff|d>>12&^0xff), true
		}
	case event.Code:
		switch col {
		case event.ColFamily:
			return sym.Family(int(v)), true
		case event.ColProto:
			return sym.Protocol(int(v)), true
		}
	}
	if unsigned {
		return strconv.FormatUint(uint64(v), 10), true
	}
	return strconv.FormatInt(v, 10), true
}

func (f *Field) actorValue(r *event.Row, env Env) (string, bool) {
	if env.Actors == nil || r.PID == 0 {
		return "", false
	}
	c := rowCtx{row: r, actors: env.Actors}
	l := actorLeaf{attr: f.attr}
	switch f.attr {
	case attrPName, attrPExe:
		p, ok := c.parent()
		if !ok {
			return "", false
		}
		b := l.bytes(&p.actor)
		return string(b), len(b) > 0
	case attrAName, attrAExe:
		var out []string
		p, ok := c.parent()
		for i := 0; ok && i < maxAncestors; i++ {
			out = append(out, string(l.bytes(&p.actor)))
			p, ok = p.parent()
		}
		return strings.Join(out, " "), len(out) > 0
	}
	a, ok := c.act()
	if !ok {
		return "", false
	}
	switch f.attr {
	case attrPID:
		return strconv.FormatUint(uint64(a.PID), 10), true
	case attrPPID:
		return strconv.FormatUint(uint64(a.PPID), 10), a.PPID != 0
	case attrUID:
		return strconv.FormatUint(uint64(a.UID), 10), a.HasUID
	}
	b := l.bytes(a)
	return string(b), len(b) > 0
}
