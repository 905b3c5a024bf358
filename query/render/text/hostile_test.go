package text

import (
	"bytes"
	stdjson "encoding/json"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"hindcast/format/event"
	"hindcast/format/store"
	"hindcast/query/answer"
	"hindcast/query/lang"
	"hindcast/query/plan"
	rjson "hindcast/query/render/json"
)

// hostile are names an attacker may choose.
var hostile = func() []string {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	return []string{
		string(all),
		"\x1b[2J\x1b]0;owned\x07\x1b]8;;http://x\x1b\\click",
		"a\nb\r\nc\rd\x0be\x0cf\u0085g\u2028h\u2029i",
		"\u202egpj.exe\u202c \u2066x\u2069 \u200e\u200f\u061c \ufeff\u200b\u200c\u200d\u00ad",
		"\x9b31m\u009b31m \xc0\xaf \xed\xa0\x80 \xff\xfe \xf4\x90\x80\x80",
		"=cmd|'/c calc'!A1", "+1+1", "-2+3", "@SUM(A1)", "\t=1", `"quoted", and`, `back\slash \x41`,
		"\U000e0041\U000e0042 \u3164\u115f\u2800 \ufe0f",
		strings.Repeat("\x1b", 300),
		"", " ", "not seen: nothing",
	}
}()

// fill sets every string, slice and pointer of an answer.
func fill(v reflect.Value, s string, depth int) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(s)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(1)
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(7)
	case reflect.Struct:
		for i := 0; i < v.NumField(); i++ {
			if v.Type().Field(i).IsExported() {
				fill(v.Field(i), s, depth)
			}
		}
	case reflect.Pointer:
		if depth > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(v.Elem(), s, depth-1)
		}
	case reflect.Slice:
		if depth > 0 {
			v.Set(reflect.MakeSlice(v.Type(), 2, 2))
			for i := 0; i < 2; i++ {
				fill(v.Index(i), s, depth-1)
			}
		}
	}
}

var sgr = regexp.MustCompile("\x1b\\[[0-9]+m")

// clean fails when out holds anything that is not printable text and line ends.
func clean(t *testing.T, what, out string, ascii, color bool) {
	t.Helper()
	if color {
		out = sgr.ReplaceAllString(out, "")
	}
	for i, r := range out {
		if r == '\n' {
			continue
		}
		if r == utf8.RuneError {
			if _, n := utf8.DecodeRuneInString(out[i:]); n == 1 {
				t.Fatalf("%s: invalid UTF-8 at %d: %q", what, i, out[max(0, i-20):i+5])
			}
		}
		if !unicode.IsPrint(r) || ascii && r > 0x7e {
			t.Fatalf("%s: %U at %d: %q", what, r, i, out[max(0, i-20):min(len(out), i+10)])
		}
	}
}

type textView struct {
	name  string
	value func() any
	print func(w io.Writer, v any, o Options) error
}

var views = []textView{
	{"tree", func() any { return &answer.Tree{} }, func(w io.Writer, v any, o Options) error { return Tree(w, v.(*answer.Tree), o) }},
	{"chain", func() any { return &answer.Chain{} }, func(w io.Writer, v any, o Options) error { return Chain(w, v.(*answer.Chain), o) }},
	{"radius", func() any { return &answer.Radius{} }, func(w io.Writer, v any, o Options) error { return Radius(w, v.(*answer.Radius), o) }},
	{"info", func() any { return &plan.Info{} }, func(w io.Writer, v any, o Options) error { return Info(w, v.(*plan.Info), o) }},
	{"drops", func() any { return &plan.Info{} }, func(w io.Writer, v any, o Options) error { return Drops(w, v.(*plan.Info), o) }},
	{"report", func() any { return &store.Report{} }, func(w io.Writer, v any, o Options) error { return Report(w, v.(*store.Report), o) }},
	{"doctor", func() any { return &[]Check{} }, func(w io.Writer, v any, o Options) error { return Doctor(w, *v.(*[]Check), o) }},
	{"candidates", func() any { return &[]answer.Candidate{} }, func(w io.Writer, v any, o Options) error { return Candidates(w, *v.(*[]answer.Candidate), 1, o) }},
}

func TestHostileViews(t *testing.T) {
	for _, view := range views {
		for k, s := range hostile {
			v := view.value()
			fill(reflect.ValueOf(v).Elem(), s, 5)
			plainV := view.value()
			fill(reflect.ValueOf(plainV).Elem(), strings.Repeat("x", len(s)), 5)
			if tree, ok := v.(*answer.Tree); ok {
				tree.Processes[0].Parent, tree.Processes[0].Depth = -1, 0
				tree.Processes[1].Parent = 0
			}
			for flags := 0; flags < 16; flags++ {
				o := Options{ASCII: flags&1 != 0, Color: flags&2 != 0, Verbose: flags&4 != 0, Collapse: flags&8 != 0}
				var b, p bytes.Buffer
				what := fmt.Sprintf("%s, string %d, %+v", view.name, k, o)
				if err := view.print(&b, v, o); err != nil {
					t.Fatalf("%s: %v", what, err)
				}
				clean(t, what, b.String(), o.ASCII, o.Color)
				if s == "" || s == " " || strings.HasPrefix(s, "not seen") || view.name == "tree" || view.name == "info" { // these wrap or nest by what they hold
					continue
				}
				if err := view.print(&p, plainV, o); err != nil {
					t.Fatal(err)
				}
				if got, want := strings.Count(b.String(), "\n"), strings.Count(p.String(), "\n"); got != want {
					t.Fatalf("%s: %d lines, %d with harmless names", what, got, want)
				}
			}
			hostileJSON(t, view.name, v)
		}
	}
}

// hostileJSON checks that JSON is valid, raw control bytes are gone and every string can be had back.
func hostileJSON(t *testing.T, what string, v any) {
	t.Helper()
	for _, indent := range []bool{false, true} {
		var b bytes.Buffer
		if err := rjson.Write(&b, v, indent); err != nil {
			t.Fatal(err)
		}
		noControls(t, what, b.Bytes())
		if !indent && bytes.Count(b.Bytes(), []byte("\n")) != 1 {
			t.Fatalf("%s: json on more than one line", what)
		}
		if r, ok := v.(*answer.Radius); ok {
			var back struct {
				Seed struct {
					Label string  `json:"label"`
					B64   *[]byte `json:"label_b64"`
				} `json:"seed"`
				Processes []struct {
					Image struct {
						Argv []string  `json:"argv"`
						B64  []*[]byte `json:"argv_b64"`
					} `json:"image"`
				} `json:"processes"`
			}
			if err := stdjson.Unmarshal(b.Bytes(), &back); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			got := back.Seed.Label
			if back.Seed.B64 != nil {
				got = string(*back.Seed.B64)
			}
			if got != r.Seed.Label {
				t.Fatalf("%s: label %q came back as %q", what, r.Seed.Label, got)
			}
			for i, want := range r.Processes[0].Image.Argv {
				got := back.Processes[0].Image.Argv[i]
				if x := back.Processes[0].Image.B64; x != nil && x[i] != nil {
					got = string(*x[i])
				}
				if got != want {
					t.Fatalf("%s: argument %q came back as %q", what, want, got)
				}
			}
		}
		if !stdjson.Valid(b.Bytes()) {
			t.Fatalf("%s: not JSON: %.200s", what, b.Bytes())
		}
	}
}

func noControls(t *testing.T, what string, b []byte) {
	t.Helper()
	for _, r := range string(b) {
		if r != '\n' && (r < ' ' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069) {
			t.Fatalf("%s: json holds %U", what, r)
		}
	}
	if !utf8.Valid(b) {
		t.Fatalf("%s: json is not UTF-8", what)
	}
}

// TestHostileRows prints every event with hostile bytes in every field.
func TestHostileRows(t *testing.T) {
	for _, e := range append([]event.Event{{ID: 63 - 8, Name: "none"}}, event.Catalog...) {
		for k, s := range hostile {
			r := event.Row{Type: e.ID, PID: 5, Comm: []byte(s), Flags: 1<<11 - 1, Ret: -13, Marks: 0x99999999}
			for c := event.Column(0); c < event.NumColumns; c++ {
				if event.ColumnTable[c].Kind == event.Dict {
					r.SetBytes(c, []byte(s))
				} else if c != event.ColType && c != event.ColFlags {
					r.SetInt(c, -1)
				}
			}
			what := fmt.Sprintf("%s, string %d", e.Name, k)
			var b bytes.Buffer
			for flags := 0; flags < 8; flags++ {
				b.Reset()
				o := Options{ASCII: flags&1 != 0, Color: flags&2 != 0, Verbose: flags&4 != 0}
				ev := NewEvents(&b, lang.Env{}, o)
				if err := ev.Row(&r, "0:1", 0); err != nil {
					t.Fatal(err)
				}
				clean(t, what, b.String(), o.ASCII, o.Color)
				if strings.Count(b.String(), "\n") != 1 {
					t.Fatalf("%s: more than one line", what)
				}
			}
			b.Reset()
			if err := rjson.Row(&b, &r, "0:1", 0); err != nil {
				t.Fatal(err)
			}
			noControls(t, what, b.Bytes())
			var m map[string]any
			if err := stdjson.Unmarshal(b.Bytes(), &m); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			if want := string(r.Comm); m["comm_b64"] == nil && m["comm"] != want {
				t.Fatalf("%s: comm %q is %q", what, want, m["comm"])
			}
			var vals []string
			for _, f := range lang.Fields {
				v, _ := f.Value(&r, 0, 1, lang.Env{})
				vals = append(vals, v)
			}
			line := CSV(vals)
			clean(t, what+" csv", strings.TrimSuffix(line, "\r\n"), false, false)
			for _, v := range vals {
				if c := Cell(v); c != "" && strings.IndexByte("=+@", c[0]) >= 0 {
					t.Fatalf("%s: cell %q is a formula", what, c)
				}
			}
		}
	}
}

func TestRowKeysDiffer(t *testing.T) {
	for _, e := range event.Catalog {
		var b bytes.Buffer
		if err := rjson.Row(&b, &event.Row{Type: e.ID}, "0:0", 0); err != nil {
			t.Fatal(err)
		}
		d := stdjson.NewDecoder(&b)
		seen, depth, key := map[string]bool{}, 0, true
		for {
			tok, err := d.Token()
			if err != nil {
				break
			}
			switch x := tok.(type) {
			case stdjson.Delim:
				if x == '{' || x == '[' {
					depth++
				} else {
					depth--
				}
				key = depth == 1
				continue
			case string:
				if depth == 1 && key {
					if seen[x] {
						t.Errorf("%s: two keys %s", e.Name, x)
					}
					seen[x] = true
				}
			}
			if depth == 1 {
				key = !key
			}
		}
		for _, f := range e.Fields {
			if !seen[f.Name] {
				t.Errorf("%s: no key %s", e.Name, f.Name)
			}
		}
	}
}

func TestEscapeRoundTrip(t *testing.T) {
	for _, s := range append(hostile, "plain", "h\u00e9llo \u65e5\u672c", `a\\b`) {
		for _, e := range []string{Escape(s), EscapeASCII(s)} {
			back, ok := Unescape(e)
			if !ok || back != s {
				t.Errorf("%q escaped as %q, which gives %q %v", s, e, back, ok)
			}
		}
		if e := Escape(s); s != "" {
			// What is printed can be pasted into a filter.
			x, err := lang.Parse(`proc.name = "` + strings.ReplaceAll(e, `"`, `\"`) + `"`)
			if err != nil {
				t.Fatalf("%q: %v", e, err)
			}
			if got := x.(*lang.Compare).Values[0].Text; got != s {
				t.Errorf("%q pasted into a filter is %q", s, got)
			}
		}
	}
	if got := Escape("h\u00e9 \u65e5"); got != "h\u00e9 \u65e5" {
		t.Errorf("letters are escaped: %q", got)
	}
}

func FuzzEscape(f *testing.F) {
	for _, s := range hostile {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e := Escape(s)
		clean(t, "escape", e, false, false)
		if strings.Contains(e, "\n") {
			t.Fatal("line end")
		}
		if back, ok := Unescape(e); !ok || back != s {
			t.Fatalf("%q -> %q -> %q", s, e, back)
		}
		a := EscapeASCII(s)
		clean(t, "ascii", a, true, false)
		c := Cell(s)
		if c != "" && strings.IndexByte("=+@", c[0]) >= 0 {
			t.Fatalf("formula %q", c)
		}
	})
}
