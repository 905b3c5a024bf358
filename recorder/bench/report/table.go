package report

import (
	"fmt"
	"strings"
)

// Table is a table in Markdown: the first column is text, the others are numbers.
type Table struct{ b strings.Builder }

// NewTable begins a table with these headings.
func NewTable(head ...string) *Table {
	t := &Table{}
	t.Row(head...)
	t.b.WriteString("|---" + strings.Repeat("|---:", len(head)-1) + "|\n")
	return t
}

// Row adds a line; an empty cell shows as a dash.
func (t *Table) Row(cells ...string) {
	for _, c := range cells {
		if c == "" {
			c = "-"
		}
		t.b.WriteString("| " + strings.NewReplacer("|", "\\|", "\n", " ").Replace(c) + " ")
	}
	t.b.WriteString("|\n")
}

func (t *Table) String() string { return t.b.String() }

// Thousands prints n with a comma every three digits.
func Thousands(n int64) string {
	sign := ""
	if n < 0 {
		sign, n = "-", -n
	}
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

// MiB prints bytes in MiB.
func MiB(n int64) string { return fmt.Sprintf("%.0f", float64(n)/(1<<20)) }
