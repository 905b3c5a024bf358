package text

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

const hexDigits = "0123456789abcdef"

// Escape makes untrusted text safe for one line of a terminal: every byte that is not part
// of a printable UTF-8 character becomes \xNN, and a backslash \\, so that Unescape gives
// the bytes back. Not printable are control characters of both sets, line and paragraph
// separators, direction marks and other invisible formatting, private and unassigned
// code points, and every kind of space but the plain one.
func Escape(s string) string { return escape(s, false) }

// EscapeASCII is Escape that keeps no byte above 0x7e.
func EscapeASCII(s string) string { return escape(s, true) }

func escape(s string, ascii bool) string {
	clean := true
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' || c > '~' || c == '\\' {
			clean = false
			break
		}
	}
	if clean {
		return s
	}
	var b strings.Builder
	b.Grow(len(s) + 16)
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			switch {
			case c == '\\':
				b.WriteString(`\\`)
			case c < ' ' || c == 0x7f:
				hexByte(&b, c)
			default:
				b.WriteByte(c)
			}
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if !ascii && (r != utf8.RuneError || n > 1) && printable(r) {
			b.WriteString(s[i : i+n])
		} else {
			for k := i; k < i+n; k++ {
				hexByte(&b, s[k])
			}
		}
		i += n
	}
	return b.String()
}

// printable leaves out what unicode.IsPrint lets through but cannot be seen.
func printable(r rune) bool {
	switch r {
	case 0x034f, 0x115f, 0x1160, 0x17b4, 0x17b5, 0x2800, 0x3164, 0xffa0:
		return false // blank letters and joiners
	}
	if r >= 0xfe00 && r <= 0xfe0f || r >= 0xe0100 && r <= 0xe01ef || r >= 0x180b && r <= 0x180f {
		return false // variation selectors
	}
	return unicode.IsPrint(r)
}

func hexByte(b *strings.Builder, c byte) {
	b.WriteString(`\x`)
	b.WriteByte(hexDigits[c>>4])
	b.WriteByte(hexDigits[c&15])
}

// Unescape is the inverse of Escape; ok is false for text that Escape cannot have written.
func Unescape(s string) (raw string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			b.WriteByte(s[i])
			continue
		}
		switch {
		case i+1 < len(s) && s[i+1] == '\\':
			b.WriteByte('\\')
			i++
		case i+3 < len(s) && s[i+1] == 'x':
			h, l := strings.IndexByte(hexDigits, s[i+2]), strings.IndexByte(hexDigits, s[i+3])
			if h < 0 || l < 0 {
				return "", false
			}
			b.WriteByte(byte(h<<4 | l))
			i += 3
		default:
			return "", false
		}
	}
	return b.String(), true
}

// Cell prepares a value for a CSV cell: escaped, and with a leading apostrophe where a
// spreadsheet would take it for a formula.
func Cell(s string) string {
	s = Escape(s)
	if t := strings.TrimLeft(s, " "); t != "" && strings.IndexByte("=+-@|%", t[0]) >= 0 || strings.HasPrefix(s, `\x09`) || strings.HasPrefix(s, `\x0d`) {
		if !plainNumber(s) {
			s = "'" + s
		}
	}
	return s
}

// plainNumber lets -13 stay a number.
func plainNumber(s string) bool {
	d := strings.TrimPrefix(s, "-")
	if d == "" {
		return false
	}
	for i := 0; i < len(d); i++ {
		if d[i] < '0' || d[i] > '9' {
			return false
		}
	}
	return true
}

// CSV joins values into one line of RFC 4180.
func CSV(cells []string) string {
	var b strings.Builder
	for i, c := range cells {
		if i > 0 {
			b.WriteByte(',')
		}
		c = Cell(c)
		if strings.ContainsAny(c, `",`) || strings.HasPrefix(c, " ") || strings.HasSuffix(c, " ") {
			c = `"` + strings.ReplaceAll(c, `"`, `""`) + `"`
		}
		b.WriteString(c)
	}
	b.WriteString("\r\n")
	return b.String()
}
