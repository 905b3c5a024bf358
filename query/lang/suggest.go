package lang

import (
	"sort"
	"strings"
)

// Suggest returns the candidate that a mistyped word most likely meant, or "". Ties go to
// the first in alphabetical order.
func Suggest(word string, candidates []string) string {
	if word == "" || len(word) > 64 {
		return ""
	}
	c := append([]string(nil), candidates...)
	sort.Strings(c)
	w := strings.ToLower(word)
	best, dist := "", max(1, len(w)/3)+1
	for _, s := range c {
		l := strings.ToLower(s)
		d := distance(w, l)
		// The last part alone ("path", "raddr") or the right part of another class ("fd.path").
		if i := strings.LastIndexByte(l, '.'); i >= 0 {
			tail := w[strings.LastIndexByte(w, '.')+1:]
			if tail == l[i+1:] && len(tail) > 2 {
				d = min(d, 1)
			}
		}
		if len(w) >= 3 && strings.HasPrefix(l, w) {
			d = min(d, 1)
		}
		if d < dist {
			best, dist = s, d
		}
	}
	return best
}

// distance is the number of insertions, deletions, replacements and swaps of neighbours.
func distance(a, b string) int {
	if d := len(a) - len(b); d > 8 || d < -8 {
		return 99
	}
	prev2, prev, cur := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], prev2[j-2]+1)
			}
		}
		prev2, prev, cur = prev, cur, prev2
	}
	return prev[len(b)]
}
