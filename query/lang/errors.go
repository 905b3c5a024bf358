package lang

import "strings"

// Error codes, part of the interface of every command that takes a filter.
const (
	CodeSyntax = "E_SYNTAX"
	CodeField  = "E_FIELD_UNKNOWN"
	CodeOp     = "E_OPERATOR"
	CodeValue  = "E_VALUE"
	CodeTime   = "E_TIME"
)

// Error is a mistake in a filter or a time, with its place.
type Error struct {
	Code string
	Msg  string // what is wrong, one line
	Src  string // the text
	At   int    // byte position in Src
	Len  int    // bytes it covers, at least 1 for the caret
	Hint string // what to do, may be empty
}

func (e *Error) Error() string {
	if e.Hint != "" {
		return e.Msg + " (" + e.Hint + ")"
	}
	return e.Msg
}

// Caret returns the text and, under it, a line that marks the place. Bytes that would not
// keep to their column are shown as a question mark.
func (e *Error) Caret() (text, mark string) {
	var a, b strings.Builder
	end := e.At + max(e.Len, 1)
	i := 0
	for i < len(e.Src) {
		n := 1
		for i+n < len(e.Src) && e.Src[i+n]&0xc0 == 0x80 {
			n++
		}
		ch := e.Src[i : i+n]
		if n == 1 && (ch[0] < 0x20 || ch[0] >= 0x7f) || n > 1 {
			ch = "?"
		}
		a.WriteString(ch)
		if i >= e.At && i < end {
			b.WriteByte('^')
		} else if i < e.At {
			b.WriteByte(' ')
		}
		i += n
	}
	if e.At >= len(e.Src) {
		b.WriteByte('^')
	}
	return a.String(), b.String()
}
