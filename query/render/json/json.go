// Package json writes answers and rows for programs.
//
// Field names come from the answers' tags and from the event catalogue. Names of the
// recorded host are bytes; where they are not valid UTF-8 the string holds them with each
// invalid byte as U+FFFD, and a field of the same name with _b64 after it holds the bytes
// themselves in base64 (in a list: a list of the same length, null where the string is
// exact). Nothing else is changed: what is escaped is what JSON itself asks for.
package json

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Write writes v and a newline: indented when indent is true, else on one line. Struct fields go by
// their json tags in declaration order, embedded structs inline, maps by sorted key, nil slices as [].
func Write(w io.Writer, v any, indent bool) error {
	var b []byte
	b, err := appendValue(b, reflect.ValueOf(v))
	if err != nil {
		return err
	}
	if indent {
		b, err = indented(b)
		if err != nil {
			return err
		}
	}
	_, err = w.Write(append(b, '\n'))
	return err
}

func indented(b []byte) ([]byte, error) {
	var out strings.Builder
	depth, inString, escaped := 0, false, false
	nl := func() {
		out.WriteByte('\n')
		for i := 0; i < depth; i++ {
			out.WriteString("  ")
		}
	}
	for i := 0; i < len(b); i++ {
		c := b[i]
		if inString {
			out.WriteByte(c)
			switch {
			case escaped:
				escaped = false
			case c == '\\':
				escaped = true
			case c == '"':
				inString = false
			}
			continue
		}
		switch c {
		case '"':
			inString = true
			out.WriteByte(c)
		case '{', '[':
			out.WriteByte(c)
			if i+1 < len(b) && (b[i+1] == '}' || b[i+1] == ']') {
				continue
			}
			depth++
			nl()
		case '}', ']':
			if b[i-1] != '{' && b[i-1] != '[' {
				depth--
				nl()
			}
			out.WriteByte(c)
		case ',':
			out.WriteByte(c)
			nl()
		case ':':
			out.WriteString(": ")
		default:
			out.WriteByte(c)
		}
	}
	return []byte(out.String()), nil
}

func appendValue(b []byte, v reflect.Value) ([]byte, error) {
	if !v.IsValid() {
		return append(b, "null"...), nil
	}
	if v.CanInterface() {
		if m, ok := v.Interface().(json.Marshaler); ok && !(v.Kind() == reflect.Pointer && v.IsNil()) {
			j, err := m.MarshalJSON()
			return append(b, j...), err
		}
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return append(b, "null"...), nil
		}
		return appendValue(b, v.Elem())
	case reflect.Bool:
		return strconv.AppendBool(b, v.Bool()), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return strconv.AppendInt(b, v.Int(), 10), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return strconv.AppendUint(b, v.Uint(), 10), nil
	case reflect.Float32, reflect.Float64:
		j, err := json.Marshal(v.Interface())
		return append(b, j...), err
	case reflect.String:
		return appendString(b, v.String()), nil
	case reflect.Slice, reflect.Array:
		b = append(b, '[')
		for i := 0; i < v.Len(); i++ {
			if i > 0 {
				b = append(b, ',')
			}
			var err error
			if b, err = appendValue(b, v.Index(i)); err != nil {
				return nil, err
			}
		}
		return append(b, ']'), nil
	case reflect.Map:
		j, err := json.Marshal(v.Interface())
		return append(b, j...), err
	case reflect.Struct:
		b = append(b, '{')
		n := len(b)
		b, err := appendFields(b, v, n)
		if err != nil {
			return nil, err
		}
		return append(b, '}'), nil
	}
	return nil, fmt.Errorf("write json: kind %v", v.Kind())
}

// appendFields writes the fields of a struct; start is where its object began, to know when a
// comma is due.
func appendFields(b []byte, v reflect.Value, start int) ([]byte, error) {
	t := v.Type()
	for i := 0; i < t.NumField(); i++ {
		f := t.Field(i)
		if !f.IsExported() {
			continue
		}
		tag, opts, _ := strings.Cut(f.Tag.Get("json"), ",")
		fv := v.Field(i)
		switch {
		case tag == "-":
			continue
		case f.Anonymous && tag == "" && fv.Kind() == reflect.Struct:
			var err error
			if b, err = appendFields(b, fv, start); err != nil {
				return nil, err
			}
			continue
		case tag == "":
			tag = f.Name
		}
		if strings.Contains(opts, "omitempty") && fv.IsZero() {
			continue
		}
		var err error
		b = appendKey(b, tag, len(b) > start)
		if b, err = appendValue(b, fv); err != nil {
			return nil, err
		}
		switch {
		case fv.Kind() == reflect.String:
			b = appendTwin(b, tag, fv.String())
		case fv.Kind() == reflect.Slice && fv.Type().Elem().Kind() == reflect.String:
			b = appendTwins(b, tag, fv)
		}
	}
	return b, nil
}

func appendKey(b []byte, name string, comma bool) []byte {
	if comma {
		b = append(b, ',')
	}
	return append(appendString(b, name), ':')
}

func appendTwin(b []byte, name, s string) []byte {
	if utf8.ValidString(s) {
		return b
	}
	b = appendKey(b, name+"_b64", true)
	return appendString(b, base64.StdEncoding.EncodeToString([]byte(s)))
}

func appendTwins(b []byte, name string, list reflect.Value) []byte {
	var ss []string
	for i := 0; i < list.Len(); i++ {
		ss = append(ss, list.Index(i).String())
	}
	return twinList(b, name, ss)
}

// twinList writes the bytes of those strings of a list that are not valid UTF-8.
func twinList(b []byte, name string, ss []string) []byte {
	all := true
	for _, s := range ss {
		all = all && utf8.ValidString(s)
	}
	if all {
		return b
	}
	b = append(appendKey(b, name+"_b64", true), '[')
	for i, s := range ss {
		if i > 0 {
			b = append(b, ',')
		}
		if utf8.ValidString(s) {
			b = append(b, "null"...)
		} else {
			b = appendString(b, base64.StdEncoding.EncodeToString([]byte(s)))
		}
	}
	return append(b, ']')
}

const hexDigits = "0123456789abcdef"

// appendString writes a JSON string. Control characters are escaped, also those above 0x7f and the
// line separators, so that a raw JSON line on a terminal does no harm either; all of that JSON
// decodes to the same text.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			switch {
			case c == '"' || c == '\\':
				b = append(b, '\\', c)
			case c == '\n':
				b = append(b, `\n`...)
			case c == '\r':
				b = append(b, `\r`...)
			case c == '\t':
				b = append(b, `\t`...)
			case c < ' ' || c == 0x7f:
				b = append(b, `\u00`...)
				b = append(b, hexDigits[c>>4], hexDigits[c&15])
			default:
				b = append(b, c)
			}
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			b = append(b, `\ufffd`...)
		case r < 0xa0 || r == 0x61c || r >= 0x200b && r <= 0x200f || r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == 0xfeff:
			b = append(b, '\\', 'u', hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
		default:
			b = append(b, s[i:i+n]...)
		}
		i += n
	}
	return append(b, '"')
}
