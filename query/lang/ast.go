package lang

import "strings"

// Expr is a node of a parsed filter. String prints it so that Parse gives an equal tree.
type Expr interface {
	String() string
	pos() int
}

// And holds when all its parts hold.
type And struct{ X []Expr }

// Or holds when one of its parts holds.
type Or struct{ X []Expr }

// Not holds when its part is known not to hold.
type Not struct {
	X  Expr
	At int
}

// Compare tests a field against values; only the operators in and the like take several.
type Compare struct {
	Field  string
	Op     string // = != < <= > >= contains icontains startswith endswith glob iglob in has
	Values []Value
	At     int // of the field
	OpAt   int
}

// Value is an operand as written.
type Value struct {
	Text string
	At   int
	Len  int // bytes in the source
}

// Exists holds for rows that have the field, and for text where it is not empty.
type Exists struct {
	Field string
	At    int
}

// Word is text to be found in any name, path, argument or address of a row; bare, it may also be a
// yes-or-no field.
type Word struct {
	Text   string
	Quoted bool
	At     int
	Len    int
}

// Anc holds when an ancestor of the acting process satisfies X.
type Anc struct {
	X  Expr
	At int
}

// Desc holds when the acting process is the named one or descends from it.
type Desc struct {
	Value Value
	At    int
}

func (e *And) pos() int     { return e.X[0].pos() }
func (e *Or) pos() int      { return e.X[0].pos() }
func (e *Not) pos() int     { return e.At }
func (e *Compare) pos() int { return e.At }
func (e *Exists) pos() int  { return e.At }
func (e *Word) pos() int    { return e.At }
func (e *Anc) pos() int     { return e.At }
func (e *Desc) pos() int    { return e.At }

func (e *And) String() string { return joined(e.X, " and ") }
func (e *Or) String() string  { return joined(e.X, " or ") }

func (e *Not) String() string {
	switch e.X.(type) {
	case *And, *Or:
		return "not (" + e.X.String() + ")"
	}
	return "not " + e.X.String()
}

func (e *Compare) String() string {
	s := e.Field + " " + e.Op + " "
	if e.Op != "in" {
		return s + e.Values[0].String()
	}
	var vs []string
	for _, v := range e.Values {
		vs = append(vs, v.String())
	}
	return s + "(" + strings.Join(vs, ", ") + ")"
}

func (e *Exists) String() string { return e.Field + " exists" }
func (e *Anc) String() string    { return "anc(" + e.X.String() + ")" }
func (e *Desc) String() string   { return "desc(" + e.Value.String() + ")" }

func (e *Word) String() string {
	if e.Quoted {
		return quote(e.Text)
	}
	return e.Text
}

// String prints the value bare where that reads back the same.
func (v Value) String() string {
	if v.Text == "" || wordLen(v.Text) != len(v.Text) || v.Text[0] == '!' || keyword(v.Text) {
		return quote(v.Text)
	}
	for i := 0; i < len(v.Text); i++ {
		if v.Text[i] >= 0x7f {
			return quote(v.Text)
		}
	}
	return v.Text
}

func keyword(s string) bool {
	switch strings.ToLower(s) {
	case "and", "or", "not":
		return true
	}
	return operator(s) != "" || strings.EqualFold(s, "exists")
}

// operator returns the canonical form of an operator that is a word, or "".
func operator(s string) string {
	switch l := strings.ToLower(s); l {
	case "contains", "icontains", "startswith", "endswith", "glob", "iglob", "in", "has":
		return l
	}
	return ""
}

// joined prints the parts; an Or inside an And needs parentheses, and so does a part of the same
// kind as its parent, which parsing would merge.
func joined(xs []Expr, sep string) string {
	var out []string
	for _, x := range xs {
		s := x.String()
		switch x.(type) {
		case *Or:
			s = "(" + s + ")"
		case *And:
			if sep == " and " {
				s = "(" + s + ")"
			}
		}
		out = append(out, s)
	}
	return strings.Join(out, sep)
}
