package lang

import (
	"strconv"
	"strings"
	"time"

	"hindcast/format/clock"
)

// Anchor is what times are read against: the bounds of the capture and the zone of
// clock times without one. A capture is history, so "now" is its end.
type Anchor struct {
	Begin, End clock.Wall
	Loc        *time.Location // nil: UTC
}

const timeHint = "examples: 03:20, 2026-11-02 03:20:05, -5s, 11min ago, start+30s, end-1m, @1793589600"

// ParseTime reads an instant:
//
//	03:20  03:20:05.114              that time on a day of the capture, the last one it covers
//	2026-11-02  2026-11-02 03:20:05  a day or instant; RFC 3339 and a final UTC or Z are understood
//	-5s  11min ago                   before the capture's end
//	start+30s  end-1m  start  end    from its bounds (begin is start)
//	today  yesterday                 midnight, counted from the capture's end
//	@1793589600.5                    seconds since the epoch
func ParseTime(s string, a Anchor) (clock.Wall, error) {
	loc := a.Loc
	if loc == nil {
		loc = time.UTC
	}
	t := strings.TrimSpace(s)
	bad := &Error{Code: CodeTime, Msg: "`" + s + "` is not a time", Src: s, Len: len(s), Hint: timeHint}
	low := strings.ToLower(t)
	for _, b := range []struct {
		word string
		at   clock.Wall
	}{{"start", a.Begin}, {"begin", a.Begin}, {"end", a.End}, {"now", a.End}} {
		rest, ok := strings.CutPrefix(low, b.word)
		if !ok {
			continue
		}
		rest = strings.TrimSpace(rest)
		if rest == "" {
			return b.at, nil
		}
		d, err := ParseSpan(strings.TrimSpace(rest[1:]))
		switch {
		case err != nil:
			return 0, bad
		case rest[0] == '+':
			return b.at + clock.Wall(d), nil
		case rest[0] == '-':
			return b.at - clock.Wall(d), nil
		}
		return 0, bad
	}
	switch {
	case t == "":
		return 0, bad
	case low == "today" || low == "yesterday":
		e := a.End.Time().In(loc)
		day := e.Day()
		if low == "yesterday" {
			day--
		}
		return clock.FromTime(time.Date(e.Year(), e.Month(), day, 0, 0, 0, 0, loc)), nil
	case t[0] == '@':
		return epoch(t[1:], bad)
	case t[0] == '-':
		d, err := ParseSpan(strings.TrimSpace(t[1:]))
		if err != nil {
			return 0, bad
		}
		return a.End - clock.Wall(d), nil
	case strings.HasSuffix(low, " ago"):
		d, err := ParseSpan(strings.TrimSpace(low[:len(low)-4]))
		if err != nil {
			return 0, bad
		}
		return a.End - clock.Wall(d), nil
	}
	if r, ok := strings.CutSuffix(low, " utc"); ok {
		t, loc = t[:len(r)], time.UTC
	} else if r, ok := strings.CutSuffix(t, "Z"); ok && !strings.Contains(t, "T") {
		t, loc = strings.TrimSpace(r), time.UTC
	}
	if x, err := time.Parse(time.RFC3339Nano, strings.Replace(t, " ", "T", 1)); err == nil {
		return wall(x, bad)
	}
	for _, l := range []string{"2006-01-02 15:04:05.999999999", "2006-01-02T15:04:05.999999999", "2006-01-02 15:04", "2006-01-02T15:04", "2006-01-02"} {
		if x, err := time.ParseInLocation(l, t, loc); err == nil {
			return wall(x, bad)
		}
	}
	for _, l := range []string{"15:04:05.999999999", "15:04"} {
		if x, err := time.ParseInLocation(l, t, loc); err == nil {
			return clockTime(x, a, loc), nil
		}
	}
	return 0, bad
}

func wall(t time.Time, bad error) (clock.Wall, error) {
	if y := t.Year(); y < 1970 || y > 2261 {
		return 0, bad
	}
	return clock.FromTime(t), nil
}

func epoch(s string, bad error) (clock.Wall, error) {
	whole, frac, _ := strings.Cut(s, ".")
	sec, err := strconv.ParseUint(whole, 10, 33)
	if err != nil || len(frac) > 9 {
		return 0, bad
	}
	ns, err := strconv.ParseUint((frac + "000000000")[:9], 10, 32)
	if err != nil {
		return 0, bad
	}
	return clock.Wall(sec*1e9 + ns), nil
}

// clockTime gives a time of day its date: the last day of the capture on which it falls
// inside, else the day on which it is nearest to it.
func clockTime(x time.Time, a Anchor, loc *time.Location) clock.Wall {
	first, last := a.Begin.Time().In(loc), a.End.Time().In(loc)
	var best clock.Wall
	var dist clock.Wall = -1
	// Bounds of a damaged capture may be far apart: the days that matter are those at its ends.
	for _, base := range []time.Time{last.AddDate(0, 0, 1), last, last.AddDate(0, 0, -1), first.AddDate(0, 0, 1), first, first.AddDate(0, 0, -1)} {
		w := clock.FromTime(time.Date(base.Year(), base.Month(), base.Day(), x.Hour(), x.Minute(), x.Second(), x.Nanosecond(), loc))
		var d clock.Wall
		switch {
		case w < a.Begin:
			d = a.Begin - w
		case w > a.End:
			d = w - a.End
		}
		if dist < 0 || d < dist {
			best, dist = w, d
		}
	}
	return best
}

var units = map[string]time.Duration{
	"ns": time.Nanosecond, "us": time.Microsecond, "µs": time.Microsecond, "ms": time.Millisecond,
	"s": time.Second, "sec": time.Second, "second": time.Second, "seconds": time.Second,
	"m": time.Minute, "min": time.Minute, "minute": time.Minute, "minutes": time.Minute,
	"h": time.Hour, "hr": time.Hour, "hour": time.Hour, "hours": time.Hour,
	"d": 24 * time.Hour, "day": 24 * time.Hour, "days": 24 * time.Hour,
	"w": 7 * 24 * time.Hour, "week": 7 * 24 * time.Hour, "weeks": 7 * 24 * time.Hour,
}

// ParseBytes reads a number of bytes: 4096, 64k, 16MiB; k, M, G, T and KiB are powers of 1024, kB of 1000.
func ParseBytes(s string) (int64, error) {
	n, ok := parseSize(s)
	if !ok {
		n, ok = parseInt(s, false)
	}
	if !ok || n.neg || n.mag >= 1<<63 {
		return 0, &Error{Code: CodeValue, Msg: "`" + s + "` is not a number of bytes", Src: s, Len: len(s), Hint: "examples: 4096, 64k, 16MiB"}
	}
	return int64(n.mag), nil
}

// ParseSpan reads a length of time: 5s, 250ms, 1h30m, 2 days, 11min. A bare number is an error,
// not seconds: what it would mean depends on whom one asks.
func ParseSpan(s string) (time.Duration, error) {
	bad := &Error{Code: CodeTime, Msg: "`" + s + "` is not a length of time", Src: s, Len: len(s), Hint: "examples: 5s, 250ms, 1h30m, 2d"}
	var sum time.Duration
	rest := strings.TrimSpace(s)
	if rest == "" {
		return 0, bad
	}
	for rest != "" {
		i := 0
		for i < len(rest) && (rest[i] >= '0' && rest[i] <= '9' || rest[i] == '.') {
			i++
		}
		x, err := strconv.ParseFloat(rest[:i], 64)
		if err != nil {
			return 0, bad
		}
		rest = strings.TrimLeft(rest[i:], " ")
		i = 0
		for i < len(rest) && rest[i] != ' ' && (rest[i] < '0' || rest[i] > '9') {
			i++
		}
		u, ok := units[rest[:i]]
		if !ok {
			return 0, bad
		}
		d := x * float64(u)
		if d >= 1<<62 || float64(sum)+d >= 1<<62 {
			return 0, bad
		}
		sum += time.Duration(d)
		rest = strings.TrimLeft(rest[i:], " ")
	}
	return sum, nil
}
