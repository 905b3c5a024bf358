package cause

import (
	_ "embed"
	"fmt"
	"strings"
)

//go:embed lists/hubs.txt
var hubsText string

//go:embed lists/secrets.txt
var secretsText string

//go:embed lists/persistence.txt
var persistenceText string

//go:embed lists/logs.txt
var logsText string

// Rule is one line of a list: a glob and what it marks.
type Rule struct {
	Glob      string
	Kind      string // hubs: file, socket or process; else what such a file is
	Technique string // ATT&CK id, if the list has them
	Not       bool   // written with a leading !: what it matches is left out
}

// List is rules in order; the first that matches speaks.
type List []Rule

// Hubs is the list of nodes that stop a walk.
func Hubs() List {
	return parse(hubsText, func(f []string) Rule { return Rule{Glob: f[1], Kind: f[0]} })
}

// Secrets is the list of sensitive files.
func Secrets() List {
	return parse(secretsText, func(f []string) Rule { return Rule{Glob: f[0], Kind: strings.Join(f[1:], " ")} })
}

// Persistence is the list of places that run again later.
func Persistence() List { return parse(persistenceText, technique) }

// Logs is the list of files that record what others did.
func Logs() List { return parse(logsText, technique) }

func technique(f []string) Rule {
	return Rule{Glob: f[0], Technique: f[1], Kind: strings.Join(f[2:], " ")}
}

// parse reads a list: fields separated by blanks. A blank in a glob is written as ?.
func parse(text string, rule func([]string) Rule) List {
	var out List
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) == 0 || f[0][0] == '#' {
			continue
		}
		r := rule(f)
		r.Glob, r.Not = strings.CutPrefix(r.Glob, "!")
		out = append(out, r)
	}
	return out
}

// ParseSecrets reads a user's list in the form of the built-in one. A line with a glob only
// marks a secret of no particular kind.
func ParseSecrets(text string) (List, error) {
	out := parse(text, func(f []string) Rule { return Rule{Glob: f[0], Kind: strings.Join(f[1:], " ")} })
	for i := range out {
		if g := out[i].Glob; !strings.HasPrefix(g, "/") && !strings.HasPrefix(g, "*") {
			return nil, fmt.Errorf("parse secrets: glob %q must begin with / or *", g)
		}
	}
	return out, nil
}

// Match returns the first rule whose glob matches the path or its end from some component
// on. whole is true when it matched the whole path.
func (l List) Match(path string) (r *Rule, whole bool) {
	for i := range l {
		if Glob(l[i].Glob, path) {
			return l[i].rule(), true
		}
	}
	for i := range l {
		if Glob("**"+l[i].Glob, path) {
			return l[i].rule(), false
		}
	}
	return nil, false
}

func (r *Rule) rule() *Rule {
	if r.Not {
		return nil
	}
	return r
}

// MatchWhole is Match for whole paths only, among the rules of a kind.
func (l List) MatchWhole(kind, path string) bool {
	for i := range l {
		if l[i].Kind == kind && Glob(l[i].Glob, path) {
			return true
		}
	}
	return false
}

// Glob reports whether a path matches a pattern: ? is one byte and * any bytes but not /,
// ** any bytes. Nothing else is special. It takes time linear in the product of the lengths.
func Glob(pattern, path string) bool {
	type state struct{ p, s int }
	var star, deep state // where to go on after the last * and the last **
	haveStar, haveDeep := false, false
	p, s := 0, 0
	for s < len(path) || p < len(pattern) {
		if p < len(pattern) {
			switch c := pattern[p]; {
			case c == '*' && p+1 < len(pattern) && pattern[p+1] == '*':
				haveDeep, haveStar = true, false
				deep = state{p + 2, s}
				p += 2
				continue
			case c == '*':
				haveStar = true
				star = state{p + 1, s}
				p++
				continue
			case s < len(path) && (c == path[s] || c == '?' && path[s] != '/'):
				p++
				s++
				continue
			}
		}
		if haveStar && star.s < len(path) && path[star.s] != '/' {
			star.s++
			p, s = star.p, star.s
			continue
		}
		if haveDeep && deep.s < len(path) {
			haveStar = false
			deep.s++
			p, s = deep.p, deep.s
			continue
		}
		return false
	}
	return true
}
