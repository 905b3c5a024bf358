package lang

import (
	"fmt"
	"strings"
)

// maxDepth bounds nesting, so that a hostile filter cannot exhaust the stack.
const maxDepth = 200

type parser struct {
	src   string
	toks  []token
	i     int
	depth int
}

// Parse reads a filter. An empty one is nil: everything matches. Names and values are checked by
// Bind, which knows the fields.
func Parse(src string) (Expr, error) {
	toks, err := lex(src)
	if err != nil {
		return nil, err
	}
	p := &parser{src: src, toks: toks}
	if p.peek().kind == tEOF {
		return nil, nil
	}
	e, err := p.or()
	if err != nil {
		return nil, err
	}
	switch t := p.peek(); t.kind {
	case tEOF:
		return e, nil
	case tRParen:
		return nil, p.fail(t, "this parenthesis closes nothing", "")
	default:
		return nil, p.fail(t, "expected `and` or `or` before "+show(t), "several words as one text go in quotes")
	}
}

func (p *parser) peek() token { return p.toks[p.i] }

func (p *parser) next() token {
	t := p.toks[p.i]
	if t.kind != tEOF {
		p.i++
	}
	return t
}

func (p *parser) fail(t token, msg, hint string) error {
	return &Error{Code: CodeSyntax, Msg: msg, Src: p.src, At: t.at, Len: t.end - t.at, Hint: hint}
}

func show(t token) string {
	switch t.kind {
	case tEOF:
		return "the end"
	case tString:
		return quote(t.text)
	}
	return "`" + t.text + "`"
}

func (p *parser) or() (Expr, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, p.fail(p.peek(), fmt.Sprintf("nested deeper than %d", maxDepth), "")
	}
	defer func() { p.depth-- }()
	var xs []Expr
	for {
		x, err := p.and()
		if err != nil {
			return nil, err
		}
		if o, ok := x.(*Or); ok {
			xs = append(xs, o.X...)
		} else {
			xs = append(xs, x)
		}
		if p.peek().kind != tOr {
			break
		}
		p.next()
	}
	if len(xs) == 1 {
		return xs[0], nil
	}
	return &Or{xs}, nil
}

func (p *parser) and() (Expr, error) {
	var xs []Expr
	for {
		x, err := p.unary()
		if err != nil {
			return nil, err
		}
		if a, ok := x.(*And); ok {
			xs = append(xs, a.X...)
		} else {
			xs = append(xs, x)
		}
		if p.peek().kind != tAnd {
			break
		}
		p.next()
	}
	if len(xs) == 1 {
		return xs[0], nil
	}
	return &And{xs}, nil
}

func (p *parser) unary() (Expr, error) {
	switch t := p.next(); t.kind {
	case tNot:
		if p.depth++; p.depth > maxDepth {
			return nil, p.fail(t, fmt.Sprintf("nested deeper than %d", maxDepth), "")
		}
		defer func() { p.depth-- }()
		x, err := p.unary()
		if err != nil {
			return nil, err
		}
		return &Not{x, t.at}, nil
	case tLParen:
		x, err := p.or()
		if err != nil {
			return nil, err
		}
		return x, p.close(t)
	case tString:
		if n := p.peek(); n.kind == tOp || n.kind == tWord && (operator(n.text) != "" || strings.EqualFold(n.text, "exists")) {
			return nil, p.fail(t, "a field name stands before "+show(n)+", not quoted text", "")
		}
		return &Word{t.text, true, t.at, t.end - t.at}, nil
	case tWord:
		return p.term(t)
	default:
		return nil, p.fail(t, "expected a test or a word, found "+show(t), "")
	}
}

func (p *parser) close(open token) error {
	if t := p.next(); t.kind != tRParen {
		if t.kind == tEOF {
			return p.fail(open, "the parenthesis is not closed", "")
		}
		return p.fail(t, "expected `)`, `and` or `or`, found "+show(t), "")
	}
	return nil
}

// term reads what begins with a bare word: a test, a function or a word to search for.
func (p *parser) term(t token) (Expr, error) {
	n := p.peek()
	switch {
	case operator(t.text) != "" || strings.EqualFold(t.text, "exists"):
		return nil, p.fail(t, "a field name is missing before `"+t.text+"`", "to search for the word, put it in quotes")
	case n.kind == tLParen && n.at == t.end:
		return p.function(t)
	case n.kind == tOp:
		p.next()
		v, err := p.value(n)
		if err != nil {
			return nil, err
		}
		return &Compare{t.text, n.text, []Value{v}, t.at, n.at}, nil
	case n.kind == tWord && strings.EqualFold(n.text, "exists"):
		p.next()
		return &Exists{t.text, t.at}, nil
	case n.kind == tWord && operator(n.text) != "":
		p.next()
		op := operator(n.text)
		var vs []Value
		open := p.peek()
		if op != "in" || open.kind != tLParen {
			v, err := p.value(n)
			if err != nil {
				return nil, err
			}
			return &Compare{t.text, op, []Value{v}, t.at, n.at}, nil
		}
		p.next()
		for {
			v, err := p.value(open)
			if err != nil {
				return nil, err
			}
			vs = append(vs, v)
			if p.peek().kind != tComma {
				break
			}
			p.next()
		}
		if err := p.close(open); err != nil {
			return nil, err
		}
		return &Compare{t.text, op, vs, t.at, n.at}, nil
	}
	return &Word{t.text, false, t.at, t.end - t.at}, nil
}

func (p *parser) function(t token) (Expr, error) {
	open := p.next()
	switch strings.ToLower(t.text) {
	case "anc":
		x, err := p.or()
		if err != nil {
			return nil, err
		}
		return &Anc{x, t.at}, p.close(open)
	case "desc":
		v, err := p.value(open)
		if err != nil {
			return nil, err
		}
		return &Desc{v, t.at}, p.close(open)
	}
	hint := "functions are anc(...) and desc(...)"
	if s := Suggest(t.text, []string{"anc", "desc"}); s != "" {
		hint = "did you mean " + s + "?"
	}
	return nil, p.fail(t, "unknown function `"+t.text+"`", hint)
}

func (p *parser) value(after token) (Value, error) {
	switch t := p.next(); t.kind {
	case tString, tWord:
		if t.kind == tWord && keyword(t.text) {
			return Value{}, p.fail(t, "a value is missing after "+show(after), "a value that is a word of the language goes in quotes")
		}
		return Value{t.text, t.at, t.end - t.at}, nil
	default:
		return Value{}, p.fail(t, "a value is missing after "+show(after), "")
	}
}
