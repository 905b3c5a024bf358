package lang

import (
	"fmt"
	"strings"
)

type kind uint8

const (
	tEOF kind = iota
	tWord
	tString
	tOp // = != < <= > >=
	tAnd
	tOr
	tNot
	tLParen
	tRParen
	tComma
)

type token struct {
	kind kind
	text string // decoded for tString, canonical for tOp
	at   int
	end  int
}

// MaxLen is the longest filter that is parsed, in bytes.
const MaxLen = 64 << 10

func lex(src string) ([]token, error) {
	if len(src) > MaxLen {
		return nil, &Error{Code: CodeSyntax, Msg: fmt.Sprintf("the filter is longer than %d bytes", MaxLen)}
	}
	var out []token
	for i := 0; i < len(src); {
		at := i
		add := func(k kind, text string, n int) {
			i += n
			out = append(out, token{k, text, at, i})
		}
		rest := src[i:]
		switch c := src[i]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			i++
		case c == '(':
			add(tLParen, "(", 1)
		case c == ')':
			add(tRParen, ")", 1)
		case c == ',':
			add(tComma, ",", 1)
		case strings.HasPrefix(rest, "&&"):
			add(tAnd, "and", 2)
		case strings.HasPrefix(rest, "||"):
			add(tOr, "or", 2)
		case strings.HasPrefix(rest, "=="):
			add(tOp, "=", 2)
		case strings.HasPrefix(rest, "!="), strings.HasPrefix(rest, "<="), strings.HasPrefix(rest, ">="):
			add(tOp, rest[:2], 2)
		case c == '=' || c == '<' || c == '>':
			add(tOp, rest[:1], 1)
		case c == '!':
			add(tNot, "not", 1)
		case c == '"' || c == '\'':
			s, n, err := unquote(src, i)
			if err != nil {
				return nil, err
			}
			add(tString, s, n)
		default:
			n := wordLen(rest)
			if n == 0 {
				return nil, &Error{Code: CodeSyntax, Msg: fmt.Sprintf("unexpected %q", c), Src: src, At: at, Len: 1, Hint: "put text with special characters in quotes"}
			}
			w := rest[:n]
			switch strings.ToLower(w) {
			case "and":
				add(tAnd, "and", n)
			case "or":
				add(tOr, "or", n)
			case "not":
				add(tNot, "not", n)
			default:
				add(tWord, w, n)
			}
		}
	}
	return append(out, token{tEOF, "", len(src), len(src)}), nil
}

// wordLen returns how many bytes of s belong to one bare word.
func wordLen(s string) int {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c <= ' ' || c == 0x7f || strings.IndexByte(`(),"'=<>`, c) >= 0:
			return i
		case c == '!' && i+1 < len(s) && s[i+1] == '=':
			return i
		case (c == '&' || c == '|') && i+1 < len(s) && s[i+1] == c:
			return i
		case (c == '&' || c == '|') && i == 0:
			return 0
		}
	}
	return len(s)
}

// unquote decodes the quoted string that starts at src[i] and returns it with its length in src.
// Escapes: \\ \" \' \n \r \t \xNN; a backslash before anything else is itself.
func unquote(src string, i int) (string, int, error) {
	q := src[i]
	var b strings.Builder
	for j := i + 1; j < len(src); j++ {
		c := src[j]
		if c == q {
			return b.String(), j + 1 - i, nil
		}
		if c != '\\' || j+1 >= len(src) {
			b.WriteByte(c)
			continue
		}
		switch e := src[j+1]; e {
		case '\\', '"', '\'':
			b.WriteByte(e)
			j++
		case 'n':
			b.WriteByte('\n')
			j++
		case 'r':
			b.WriteByte('\r')
			j++
		case 't':
			b.WriteByte('\t')
			j++
		case 'x':
			if j+3 < len(src) && hex(src[j+2]) >= 0 && hex(src[j+3]) >= 0 {
				b.WriteByte(byte(hex(src[j+2])<<4 | hex(src[j+3])))
				j += 3
				break
			}
			b.WriteByte(c)
		default:
			b.WriteByte(c)
		}
	}
	return "", 0, &Error{Code: CodeSyntax, Msg: "the quote is not closed", Src: src, At: i, Len: 1}
}

func hex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// quote writes s so that unquote gives it back, in printable ASCII and UTF-8 letters.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c >= 0x7f:
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
