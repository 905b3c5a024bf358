package json

import (
	"bytes"
	"io"
	"time"

	"hindcast/format/clock"
	"hindcast/format/event"
	"hindcast/query/lang/sym"
)

// Row writes one recorded row as a line. Keys that every row has come first, under their column
// names, then the event's own fields under the catalogue's names. Integers are written in full: readers
// that keep numbers as doubles lose the low digits of inode numbers and cookies.
func Row(w io.Writer, r *event.Row, id string, offset clock.Offset) error {
	_, err := w.Write(append(AppendRow(nil, r, id, offset), '\n'))
	return err
}

// AppendRow appends the object that Row writes, without the newline.
func AppendRow(b []byte, r *event.Row, id string, offset clock.Offset) []byte {
	b = append(b, '{')
	str := func(k, v string) { b = appendTwin(appendString(appendKey(b, k, b[len(b)-1] != '{'), v), k, v) }
	num := func(k string, v int64) { b = appendInt(appendKey(b, k, b[len(b)-1] != '{'), v, false) }
	unum := func(k string, v uint64) { b = appendInt(appendKey(b, k, b[len(b)-1] != '{'), int64(v), true) }
	str("id", id)
	str("time", r.TS.Wall(offset).Time().Format(time.RFC3339Nano))
	num("ts", int64(r.TS))
	str("event", r.Type.String())
	b = append(appendKey(b, "flags", true), '[')
	first := true
	for i, n := range event.FlagNames {
		if r.Flags>>i&1 == 0 {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		b = appendString(b, n)
		first = false
	}
	b = append(b, ']')
	unum("cpu", uint64(r.CPU))
	unum("pid", uint64(r.PID))
	unum("pstart", r.PStart)
	unum("tid", uint64(r.TID))
	unum("image", uint64(r.Image))
	unum("cred", uint64(r.Cred))
	unum("cgroup", r.Cgroup)
	num("ret", r.Ret)
	if r.Flags&event.FlagFailed != 0 && r.Ret < 0 && r.Ret > -4096 {
		str("error", sym.Errno(int(-r.Ret)))
	}
	str("comm", string(r.Comm))
	e := event.ByID(r.Type)
	if e == nil {
		return append(b, '}')
	}
	marks := Marks(r)
	for i := range e.Fields {
		f := &e.Fields[i]
		if event.ColumnTable[f.Col].Kind != event.Dict {
			v := r.Int(f.Col)
			unsigned := f.C == event.CU64 || event.ColumnTable[f.Col].Kind != event.I64 && event.ColumnTable[f.Col].Kind != event.I32 && event.ColumnTable[f.Col].Kind != event.Time
			b = appendInt(appendKey(b, f.Name, true), v, unsigned)
			continue
		}
		v := r.Bytes(f.Col)
		if f.Meaning == event.Args {
			b = appendArgs(b, f.Name, v)
		} else {
			str(f.Name, string(v))
		}
		if m := marks[f.Name]; m != "" {
			str(f.Name+"_mark", m)
		}
	}
	return append(b, '}')
}

func appendInt(b []byte, v int64, unsigned bool) []byte {
	var tmp [20]byte
	i := len(tmp)
	u, neg := uint64(v), false
	if !unsigned && v < 0 {
		u, neg = -u, true
	}
	for {
		i--
		tmp[i] = byte('0' + u%10)
		if u /= 10; u == 0 {
			break
		}
	}
	if neg {
		b = append(b, '-')
	}
	return append(b, tmp[i:]...)
}

// appendArgs writes NUL separated arguments as a list.
func appendArgs(b []byte, name string, v []byte) []byte {
	args := Args(v)
	b = append(appendKey(b, name, true), '[')
	for i, a := range args {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, a)
	}
	b = append(b, ']')
	return twinList(b, name, args)
}

// Args splits recorded arguments; the NUL after the last one ends it.
func Args(v []byte) []string {
	if len(v) == 0 {
		return nil
	}
	var out []string
	for _, a := range bytes.Split(bytes.TrimSuffix(v, []byte{0}), []byte{0}) {
		out = append(out, string(a))
	}
	return out
}

// Marks returns, for the byte fields of a row that are not whole, what is wrong with them:
// "truncated" or "unreadable".
func Marks(r *event.Row) map[string]string {
	e := event.ByID(r.Type)
	if r.Marks == 0 || e == nil {
		return nil
	}
	out := map[string]string{}
	k := 0
	for i := range e.Fields {
		switch e.Fields[i].C {
		case event.CBytes, event.CPath, event.CClaimed:
			switch r.Marks >> (2 * k) & 3 {
			case 1:
				out[e.Fields[i].Name] = "truncated"
			case 2, 3:
				out[e.Fields[i].Name] = "unreadable"
			}
			k++
		}
	}
	return out
}

// AppendStrings appends an object of named strings, null where ok is false.
func AppendStrings(b []byte, names, vals []string, ok []bool) []byte {
	b = append(b, '{')
	for i, n := range names {
		b = appendKey(b, n, i > 0)
		if !ok[i] {
			b = append(b, "null"...)
			continue
		}
		b = appendTwin(appendString(b, vals[i]), n, vals[i])
	}
	return append(b, '}')
}
