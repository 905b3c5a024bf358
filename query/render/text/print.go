package text

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"hindcast/format/clock"
	"hindcast/query/answer"
)

// Options says how to print. The zero value prints UTF-8 without colour, in UTC.
type Options struct {
	ASCII    bool           // nothing above 0x7e
	Color    bool           // SGR colours
	Verbose  bool           // long lists in full, evidence rows under every item
	Width    int            // columns to aim for; 0 means 120. Only long arguments are cut to it, and marked
	Loc      *time.Location // zone of times; nil means UTC
	Collapse bool           // trees: like siblings without children on one line
}

// printer assembles output. Program text goes through put and f, values through val.
type printer struct {
	o     Options
	w     io.Writer
	b     strings.Builder
	err   error
	begin clock.Wall // bounds of the view, to know whether times need a date
	end   clock.Wall
}

func newPrinter(w io.Writer, o Options) *printer {
	if o.Width <= 0 {
		o.Width = 120
	}
	if o.Loc == nil {
		o.Loc = time.UTC
	}
	return &printer{o: o, w: w}
}

// line ends a line and writes it out.
func (p *printer) line() {
	s := strings.TrimRight(p.b.String(), " ") + "\n"
	p.b.Reset()
	if p.err == nil {
		_, p.err = io.WriteString(p.w, s)
	}
}

// put adds text of ours.
func (p *printer) put(s string) { p.b.WriteString(p.ours(s)) }

func (p *printer) f(format string, a ...any) { p.put(fmt.Sprintf(format, a...)) }

// ours replaces our own symbols in ASCII mode.
func (p *printer) ours(s string) string {
	if !p.o.ASCII {
		return s
	}
	return asciiSymbols.Replace(s)
}

var asciiSymbols = strings.NewReplacer("├─", "|-", "└─", "`-", "│", "|", "→", "->", "▲", "^", "×", "x", "…", "...", "·", "-", "–", "-", "▼", "v")

// val escapes an untrusted value.
func (p *printer) val(s string) string { return escape(s, p.o.ASCII) }

// short escapes a value and cuts it to n characters of output, marking the cut.
func (p *printer) short(s string, n int) string {
	if p.o.Verbose {
		return p.val(s)
	}
	if len(s) > 8*n {
		s = s[:8*n]
	}
	e := p.val(s)
	if utf8.RuneCountInString(e) <= n {
		return e
	}
	rs := []rune(e)[:n-1]
	cut := string(rs)
	// Do not cut inside an escape.
	if i := strings.LastIndexByte(cut, '\\'); i >= 0 && i > len(cut)-4 && !strings.HasSuffix(cut, `\\`) {
		cut = cut[:i]
	}
	return cut + p.ours("…")
}

// Colours by role.
const (
	bold   = "1"
	red    = "31"
	green  = "32"
	yellow = "33"
	dim    = "2"
)

func (p *printer) color(role, s string) string {
	if !p.o.Color || s == "" || role == "" {
		return s
	}
	return "\x1b[" + role + "m" + s + "\x1b[0m"
}

// pad adds spaces up to n columns; colours must come after padding.
func pad(s string, n int) string {
	if k := n - utf8.RuneCountInString(s); k > 0 {
		return s + strings.Repeat(" ", k)
	}
	return s
}

// bounds sets what the view covers.
func (p *printer) bounds(from, to answer.Time) { p.begin, p.end = from.Wall, to.Wall }

// multiDay reports whether a time of day alone would be ambiguous in this view.
func (p *printer) multiDay() bool {
	a, b := p.begin.Time().In(p.o.Loc), p.end.Time().In(p.o.Loc)
	return a.YearDay() != b.YearDay() || a.Year() != b.Year()
}

func (p *printer) at(t answer.Time, layout string) string {
	if t.Wall == 0 && t.Boot == 0 {
		return "?"
	}
	if p.multiDay() {
		layout = "01-02 " + layout
	}
	return t.Wall.Time().In(p.o.Loc).Format(layout)
}

// clock prints a time of day to the second, or finer where the view covers less than a minute; ms to
// the millisecond.
func (p *printer) clock(t answer.Time) string { return p.at(t, p.layout()) }
func (p *printer) ms(t answer.Time) string    { return p.at(t, "15:04:05.000") }

func (p *printer) layout() string {
	if d := p.end - p.begin; d >= 0 && d < clock.Wall(time.Minute) {
		return "15:04:05.000"
	}
	return "15:04:05"
}

// zone names the zone that times are in.
func (p *printer) zone() string {
	n, _ := p.begin.Time().In(p.o.Loc).Zone()
	return p.val(n)
}

// span prints "2026-11-02 03:10:00 → 03:22:14 UTC (12m14s)".
func (p *printer) span(from, to clock.Wall) string {
	a, b := from.Time().In(p.o.Loc), to.Time().In(p.o.Loc)
	end := b.Format(p.layout())
	if p.multiDay() {
		end = b.Format("2006-01-02 15:04:05")
	}
	return p.ours(fmt.Sprintf("%s → %s %s (%s)", a.Format("2006-01-02 "+p.layout()), end, p.zone(), Duration(b.Sub(a))))
}

// Duration prints a length of time in two units at most.
func Duration(d time.Duration) string {
	switch {
	case d < 0:
		return "-" + Duration(-d)
	case d < time.Microsecond:
		return strconv.FormatInt(int64(d), 10) + "ns"
	case d < time.Millisecond:
		return strconv.FormatInt(d.Microseconds(), 10) + "us"
	case d < time.Second:
		return strconv.FormatInt(d.Milliseconds(), 10) + "ms"
	case d < 10*time.Second:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + "s"
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd%02dh", int(d.Hours())/24, int(d.Hours())%24)
}

// Size prints a byte count in binary units.
func Size(n uint64) string {
	if n < 1024 {
		return strconv.FormatUint(n, 10) + " B"
	}
	f, u := float64(n)/1024, 0
	for f >= 1023.95 && u < 5 {
		f /= 1024
		u++
	}
	s := strconv.FormatFloat(f, 'f', 1, 64)
	return strings.TrimSuffix(s, ".0") + " " + []string{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}[u]
}

// Number prints a count with thousands separated.
func Number(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// count prints "1 file" or "3 files".
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return Number(uint64(n)) + " " + many
}

// ref prints a label with its id.
func (p *printer) ref(r answer.Ref) string {
	l := p.val(r.Label)
	if r.ID == "" || r.ID == r.Label || r.Kind == "remote" {
		return l
	}
	if l == "" {
		return p.val(r.ID)
	}
	return l + " " + p.color(dim, p.val(r.ID))
}

func (p *printer) refs(rs []answer.Ref, most int) string {
	var out []string
	for i, r := range rs {
		if i == most && !p.o.Verbose && len(rs) > most+1 {
			out = append(out, fmt.Sprintf("and %d more", len(rs)-i))
			break
		}
		out = append(out, p.ref(r))
	}
	return strings.Join(out, ", ")
}

func (p *printer) certainty(c answer.Certainty) string {
	role := green
	switch c {
	case answer.Likely:
		role = yellow
	case answer.Possible:
		role = red
	}
	return p.color(role, p.val(string(c)))
}

// evidence prints the row ids of an item on a line of its own, when asked for.
func (p *printer) evidence(indent string, rows []string) {
	if !p.o.Verbose || len(rows) == 0 {
		return
	}
	p.put(indent + "rows ")
	p.put(p.color(dim, p.val(strings.Join(rows, " "))))
	p.line()
}

// notSeen ends a view with what limits it.
func (p *printer) notSeen(gs []answer.Gap) {
	if len(gs) == 0 {
		p.put("not seen: no loss was counted and no hook was missing in this view")
		p.line()
		return
	}
	p.put(p.color(bold, "not seen:"))
	p.line()
	var missing []string // hooks missing from beginning to end, told in one line
	if !p.o.Verbose {
		for _, g := range gs {
			if wholeHook(g) {
				missing = append(missing, g.Cause)
			}
		}
	}
	for _, g := range gs {
		if len(missing) > 1 && wholeHook(g) {
			if g.Cause == missing[0] {
				p.put("  " + p.color(yellow, pad("not attached", 14)) + " " + p.hooks(missing))
				p.line()
			}
			continue
		}
		p.put("  ")
		p.put(p.gap(g))
		p.line()
		p.evidence("      ", g.Evidence)
	}
}

// wholeHook tells whether a gap is a hook that was missing during the whole recording.
func wholeHook(g answer.Gap) bool { return g.Kind == "not_attached" && g.Whole && g.Cause != "" }

// mostHooks is how many missing hooks are named without -v.
const mostHooks = 8

func (p *printer) hooks(names []string) string {
	more := ""
	if n := len(names) - mostHooks; n > 0 {
		names, more = names[:mostHooks], fmt.Sprintf(" and %d more", n)
	}
	return p.val(strings.Join(names, ", ")) + more + ": what passes there is not in here (-v says what that is)"
}

func (p *printer) gap(g answer.Gap) string {
	var b strings.Builder
	role := yellow
	if g.Kind == "lost" || g.Kind == "damaged" {
		role = red
	}
	b.WriteString(p.color(role, pad(p.val(strings.ReplaceAll(g.Kind, "_", " ")), 14)))
	b.WriteString(" ")
	b.WriteString(p.val(g.Text))
	if !g.Whole && g.Kind != "before_start" && g.Kind != "after_end" && (g.From.Wall != 0 || g.To.Wall != 0) && g.To.Wall != g.From.Wall {
		b.WriteString(p.ours("  " + p.ms(g.From) + "–" + p.ms(g.To)))
	}
	return b.String()
}

// width is the number of columns that escaped text takes, one for each character.
func width(s string) int { return utf8.RuneCountInString(s) }
