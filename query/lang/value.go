package lang

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"hindcast/format/event"
	"hindcast/query/lang/sym"
)

// span is a closed range of numbers in key order: unsigned values as they are, signed ones with
// the top bit turned, so that one unsigned comparison serves both.
type span struct{ lo, hi uint64 }

const top = 1 << 63

// numTest is a test on a number: in one of the spans, or masked bits equal.
type numTest struct {
	spans     []span
	mask, bit uint64
	bits      bool
}

func (t *numTest) match(key, v uint64) bool {
	if t.bits {
		return v&t.mask == t.bit
	}
	for _, s := range t.spans {
		if key-s.lo <= s.hi-s.lo {
			return true
		}
	}
	return false
}

// number is a parsed integer operand: its sign and magnitude, wide enough for u64 and i64.
type number struct {
	neg bool
	mag uint64
}

func (n number) key(unsigned bool) (key uint64, below, above bool) {
	switch {
	case unsigned && n.neg && n.mag != 0:
		return 0, true, false
	case unsigned:
		return n.mag, false, false
	case n.neg && n.mag > top:
		return 0, true, false
	case n.neg:
		return uint64(-int64(n.mag)) ^ top, false, false
	case n.mag > math.MaxInt64:
		return 0, false, true
	}
	return n.mag ^ top, false, false
}

// spans returns the keys that stand in the relation op to n.
func (n number) spans(op string, unsigned bool) []span {
	k, below, above := n.key(unsigned)
	all := []span{{0, math.MaxUint64}}
	switch op {
	case "=", "in":
		if below || above {
			return nil
		}
		return []span{{k, k}}
	case "<", "<=":
		switch {
		case below:
			return nil
		case above:
			return all
		case op == "<=":
			return []span{{0, k}}
		case k == 0:
			return nil
		}
		return []span{{0, k - 1}}
	case ">", ">=":
		switch {
		case above:
			return nil
		case below:
			return all
		case op == ">=":
			return []span{{k, math.MaxUint64}}
		case k == math.MaxUint64:
			return nil
		}
		return []span{{k + 1, math.MaxUint64}}
	}
	return nil
}

// numberFor reads an operand for a slot of a field. The error names what would be understood.
func numberFor(f *Field, s slot, v string, arch string) (number, error) {
	if n, ok := parseInt(v, s.meaning == event.Mode); ok {
		return n, nil
	}
	switch s.meaning {
	case event.Errno:
		if v == "SUCCESS" {
			return number{}, nil
		}
		if n, ok := sym.ErrnoByName(strings.ToUpper(v)); ok {
			return number{neg: s.col == event.ColRet, mag: uint64(n)}, nil
		}
		return number{}, unknownName(v, "error", sym.ErrnoNames())
	case event.Signal:
		if n, ok := sym.SignalByName(v); ok {
			return number{mag: uint64(n)}, nil
		}
		return number{}, unknownName(v, "signal", sym.SignalNames())
	case event.UserID, event.GroupID:
		if v == "root" {
			return number{}, nil
		}
		return number{}, fmt.Errorf("`%s` is not a number: captures hold ids, not names", v)
	case event.OpenFlags, event.CloneFlag, event.Prot, event.CapSet:
		fs := flagsOf(s.meaning, arch)
		var all uint64
		for _, part := range strings.Split(v, "|") {
			fl, ok := sym.FlagByName(fs, part)
			if !ok {
				return number{}, unknownName(part, "flag", flagNames(fs))
			}
			all |= fl.Bit
		}
		return number{mag: all}, nil
	case event.Method:
		for i, n := range event.MethodNames {
			if strings.EqualFold(n, v) {
				return number{mag: uint64(i)}, nil
			}
		}
		return number{}, unknownName(v, "method", event.MethodNames)
	case event.Bytes, event.Count:
		if n, ok := parseSize(v); ok {
			return n, nil
		}
		return number{}, fmt.Errorf("`%s` is not a size such as 4096, 64k or 1.5MiB", v)
	case event.InodePart:
		if s.col == event.ColDev || s.col == event.ColDev2 {
			if a, b, ok := strings.Cut(v, ":"); ok {
				maj, err1 := strconv.ParseUint(a, 10, 12)
				min, err2 := strconv.ParseUint(b, 10, 20)
				if err1 == nil && err2 == nil {
					return number{mag: min&0xff | maj<<8 | min&^0xff<<12}, nil
				}
			}
			return number{}, fmt.Errorf("`%s` is not a device such as 8:1", v)
		}
	}
	switch {
	case s.col == event.ColFamily:
		if n, ok := sym.FamilyByName(v); ok {
			return number{mag: uint64(n)}, nil
		}
	case s.col == event.ColProto:
		if n, ok := sym.ProtocolByName(v); ok {
			return number{mag: uint64(n)}, nil
		}
	case f.Name == "ledger.class" || f.Name == "coverage.events":
		if e := event.ByName(v); e != nil {
			return number{mag: uint64(e.ID)}, nil
		}
		return number{}, unknownName(v, "event", eventNames())
	}
	if names := event.Codes[f.Name]; names != nil {
		for i, n := range names {
			if n != "" && strings.EqualFold(n, v) {
				return number{mag: uint64(i)}, nil
			}
		}
		return number{}, unknownName(v, "value", slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == "" }))
	}
	if unit, ok := durationUnit[f.Name]; ok {
		if d, err := ParseSpan(v); err == nil {
			return number{mag: uint64(d / unit)}, nil
		}
		return number{}, fmt.Errorf("`%s` is not a duration such as 250ms or 1h30m", v)
	}
	return number{}, fmt.Errorf("`%s` is not a number", v)
}

// durationUnit says what one means in fields that hold a duration.
var durationUnit = map[string]time.Duration{"exit.utime": time.Nanosecond, "exit.stime": time.Nanosecond, "net.srtt": time.Microsecond}

func flagsOf(m event.Meaning, arch string) []sym.Flag {
	switch m {
	case event.OpenFlags:
		return sym.OpenFlags(arch)
	case event.CloneFlag:
		return sym.CloneFlags
	case event.Prot:
		return sym.ProtFlags
	case event.CapSet:
		return sym.Capabilities
	}
	return nil
}

func flagNames(fs []sym.Flag) []string {
	var out []string
	for _, f := range fs {
		out = append(out, f.Name)
	}
	return out
}

// hint is an error of a value with a suggestion beside it.
type hint struct{ msg, hint string }

func (h hint) Error() string { return h.msg }

func unknownName(v, what string, names []string) error {
	h := hint{msg: fmt.Sprintf("`%s` is not the name of a known %s", v, what)}
	if s := Suggest(v, names); s != "" {
		h.hint = "did you mean " + s + "?"
	}
	return h
}

func eventNames() []string {
	var out []string
	for _, e := range event.Catalog {
		out = append(out, e.Name)
	}
	return out
}

// parseInt reads a decimal, 0x, 0b or 0o number; octal says that a leading zero makes it octal.
func parseInt(s string, octal bool) (number, bool) {
	neg := strings.HasPrefix(s, "-")
	d := strings.TrimPrefix(s, "-")
	if d == "" || d[0] < '0' || d[0] > '9' {
		return number{}, false
	}
	base := 10
	switch {
	case len(d) > 2 && d[0] == '0' && (d[1]|0x20 == 'x' || d[1]|0x20 == 'b' || d[1]|0x20 == 'o'):
		base = map[byte]int{'x': 16, 'b': 2, 'o': 8}[d[1]|0x20]
		d = d[2:]
	case octal && d[0] == '0':
		base = 8
	}
	n, err := strconv.ParseUint(d, base, 64)
	return number{neg, n}, err == nil
}

var sizes = []struct {
	suffix string
	factor float64
}{{"kib", 1 << 10}, {"mib", 1 << 20}, {"gib", 1 << 30}, {"tib", 1 << 40}, {"kb", 1e3}, {"mb", 1e6}, {"gb", 1e9}, {"tb", 1e12},
	{"k", 1 << 10}, {"m", 1 << 20}, {"g", 1 << 30}, {"t", 1 << 40}, {"b", 1}}

// parseSize reads 64k, 1.5MiB, 10MB: k, M, G, T and KiB are powers of 1024, kB of 1000.
func parseSize(s string) (number, bool) {
	l := strings.ToLower(s)
	for _, u := range sizes {
		d, ok := strings.CutSuffix(l, u.suffix)
		if !ok {
			continue
		}
		x, err := strconv.ParseFloat(d, 64)
		if err != nil || x < 0 || x*u.factor >= 1<<63 || strings.ContainsAny(d, "xpein_+") {
			return number{}, false
		}
		return number{mag: uint64(math.Round(x * u.factor))}, true
	}
	return number{}, false
}

// textTest returns the test of a text operator.
func textTest(op string, vs []string) func([]byte) bool {
	v := ""
	if len(vs) > 0 {
		v = vs[0]
	}
	switch op {
	case "=":
		return func(b []byte) bool { return string(b) == v }
	case "in":
		if len(vs) > 8 {
			set := map[string]bool{}
			for _, s := range vs {
				set[s] = true
			}
			return func(b []byte) bool { return set[string(b)] }
		}
		return func(b []byte) bool {
			for _, s := range vs {
				if string(b) == s {
					return true
				}
			}
			return false
		}
	case "contains":
		return func(b []byte) bool { return containsBytes(b, v) }
	case "icontains":
		l := lower([]byte(v))
		return func(b []byte) bool { return containsBytes(lower(b), string(l)) }
	case "startswith":
		return func(b []byte) bool { return len(b) >= len(v) && string(b[:len(v)]) == v }
	case "endswith":
		return func(b []byte) bool { return len(b) >= len(v) && string(b[len(b)-len(v):]) == v }
	case "glob":
		return func(b []byte) bool { return glob(v, b) }
	case "iglob":
		l := string(lower([]byte(v)))
		return func(b []byte) bool { return glob(l, lower(b)) }
	}
	return nil
}

// addrTest returns the test of an address operator; = and in take addresses and prefixes.
func addrTest(op string, vs []string) (func([]byte) bool, error) {
	if op != "=" && op != "in" {
		return textTest(op, vs), nil
	}
	var nets []netip.Prefix
	var names []string
	for _, v := range vs {
		if p, err := netip.ParsePrefix(v); err == nil {
			nets = append(nets, p.Masked())
			continue
		}
		if a, err := netip.ParseAddr(v); err == nil {
			a = a.Unmap().WithZone("")
			nets = append(nets, netip.PrefixFrom(a, a.BitLen()))
			continue
		}
		if v == "" || v[0] == '/' || v[0] == '@' {
			names = append(names, v)
			continue
		}
		return nil, hint{fmt.Sprintf("`%s` is not an address or a prefix such as 10.0.0.0/8", v), "a capture holds no host names; `contains` tests the text"}
	}
	return func(b []byte) bool {
		for _, n := range names {
			if string(b) == n {
				return true
			}
		}
		if len(nets) == 0 || len(b) == 0 || len(b) > 64 {
			return false
		}
		a, err := netip.ParseAddr(string(b))
		if err != nil {
			return false
		}
		a = a.Unmap().WithZone("")
		for _, n := range nets {
			if n.Contains(a) {
				return true
			}
		}
		return false
	}, nil
}

func containsBytes(b []byte, v string) bool {
	if len(v) == 0 {
		return true
	}
	for i := 0; i+len(v) <= len(b); i++ {
		if b[i] == v[0] && string(b[i:i+len(v)]) == v {
			return true
		}
	}
	return false
}

// lower folds ASCII letters only: names are bytes, not text of a known encoding.
func lower(b []byte) []byte {
	out := make([]byte, len(b))
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		out[i] = c
	}
	return out
}

// glob matches b against a pattern: * any bytes, ? one byte, [a-z] and [!a-z] one of a set, a
// backslash before a special character takes it as it is. Slashes are not special.
// The loop goes back only to the last star, so the cost is bounded by len(p)*len(b).
func glob(p string, b []byte) bool {
	pi, bi, star, mark := 0, 0, -1, 0
	for bi < len(b) {
		if pi < len(p) {
			if p[pi] == '*' {
				star, mark = pi, bi
				pi++
				continue
			}
			if n, ok := globOne(p[pi:], b[bi]); ok {
				pi += n
				bi++
				continue
			}
		}
		if star < 0 {
			return false
		}
		mark++
		pi, bi = star+1, mark
	}
	for pi < len(p) && p[pi] == '*' {
		pi++
	}
	return pi == len(p)
}

// globOne matches one pattern element against c and returns the element's length.
func globOne(p string, c byte) (int, bool) {
	switch p[0] {
	case '?':
		return 1, true
	case '\\':
		if len(p) > 1 {
			return 2, p[1] == c
		}
	case '[':
		i, neg, hit := 1, false, false
		if i < len(p) && (p[i] == '!' || p[i] == '^') {
			neg = true
			i++
		}
		for first := true; i < len(p) && (p[i] != ']' || first); first = false {
			lo, hi := p[i], p[i]
			if i+2 < len(p) && p[i+1] == '-' && p[i+2] != ']' {
				hi = p[i+2]
				i += 2
			}
			i++
			hit = hit || lo <= c && c <= hi
		}
		if i < len(p) {
			return i + 1, hit != neg
		}
	}
	return 1, p[0] == c
}
