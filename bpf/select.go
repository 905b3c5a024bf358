//go:build linux && (amd64 || arm64)

package bpf

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/cilium/ebpf"
)

// Selection is what the programs are to tell, besides lineage: events that one of the clauses lets
// pass. The zero value selects nothing; nil, where it is an option, everything.
type Selection struct {
	Clauses []Clause // at most MaxClauses
}

// Clause holds for events of some types of which all predicates hold.
type Clause struct {
	Types uint64 // as bits
	Preds []Pred
}

// Pred is a test that the programs can make. One that an event has no answer to holds.
type Pred struct {
	Kind Kind
	Not  bool
	// Ranges are closed; at most MaxRanges. Of PID, TID, EUID, Cgroup, Port, Family and Proto.
	Ranges [][2]uint64
	// Prefixes of addresses; at most MaxPrefixes.
	Prefixes []netip.Prefix
	// Ends are which ends of a socket Port and Addr ask: Local, Remote or both, of which one must do.
	Ends uint32
	// Path is absolute and at most MaxPath bytes long; Exact tells that it is not only how it begins.
	Path  string
	Exact bool
	// Tree is a process: it and its descendants.
	Tree uint32
}

// Kind is what a predicate asks.
type Kind uint32

// The kinds, as in include/select.h.
const (
	PID    Kind = 1 + iota // of the acting process
	TID                    // of the acting thread
	EUID                   // its effective user
	Cgroup                 // its cgroup, in version 2
	Tree                   // whether it descends from a process
	Path                   // of the object
	Port
	Addr
	Family
	Proto
)

// Ends of a socket.
const (
	Local = 1 << iota
	Remote
)

// How much a selection may hold. Preds and paths are counted over all clauses.
const (
	MaxClauses  = 8
	MaxPreds    = 16
	MaxRanges   = 4
	MaxPrefixes = 2
	MaxPaths    = 4
	MaxPath     = 48
)

// The wire form: struct hc_selection.
type (
	wirePred struct {
		Kind, Negate, N, Ends uint32
		Lo, Hi                [MaxRanges]uint64
	}
	wireClause struct {
		Types    uint64
		First, N uint32
	}
	wireText struct {
		Len, Whole, Part, Exact uint32
		Fore, Back, Next        [MaxPath / 8]uint64
	}
	wireSelection struct {
		Types, Paths, Ends uint64
		N, Trees           uint32
		Clause             [MaxClauses]wireClause
		Pred               [MaxPreds]wirePred
		Text               [MaxPaths]wireText
	}
)

// Roots returns the processes whose descendants are asked for, in the order of their bits in the
// map of trees.
func (s *Selection) Roots() (pids []uint32) {
	seen := map[uint32]bool{}
	for _, c := range s.Clauses {
		for _, p := range c.Preds {
			if p.Kind == Tree && !seen[p.Tree] {
				seen[p.Tree] = true
				pids = append(pids, p.Tree)
			}
		}
	}
	return pids
}

func (s *Selection) wire() (w wireSelection, err error) {
	if s == nil {
		return w, nil
	}
	if len(s.Clauses) > MaxClauses {
		return w, fmt.Errorf("selection of %d clauses, at most %d", len(s.Clauses), MaxClauses)
	}
	bit := map[uint32]uint32{}
	for i, pid := range s.Roots() {
		bit[pid] = uint32(i)
	}
	preds := 0
	texts := []Pred{}
	for i, c := range s.Clauses {
		if preds+len(c.Preds) > MaxPreds || len(bit) > 32 {
			return w, fmt.Errorf("selection of more than %d predicates", MaxPreds)
		}
		w.Clause[i] = wireClause{c.Types, uint32(preds), uint32(len(c.Preds))}
		w.Types |= c.Types
		for _, p := range c.Preds {
			o := &w.Pred[preds]
			preds++
			*o = wirePred{Kind: uint32(p.Kind), Negate: b2u(p.Not), Ends: p.Ends}
			switch p.Kind {
			case Path:
				w.Paths |= c.Types
				t, err := text(p)
				if err != nil {
					return w, err
				}
				at := 0
				for at < len(texts) && (texts[at].Path != p.Path || texts[at].Exact != p.Exact) {
					at++
				}
				if at == MaxPaths {
					return w, fmt.Errorf("selection of more than %d paths", MaxPaths)
				}
				if at == len(texts) {
					texts = append(texts, p)
				}
				w.Text[at], o.N = t, uint32(at)
			case Addr:
				w.Ends |= c.Types
				if len(p.Prefixes) == 0 || len(p.Prefixes) > MaxPrefixes {
					return w, fmt.Errorf("predicate with %d prefixes, at most %d", len(p.Prefixes), MaxPrefixes)
				}
				o.N = uint32(len(p.Prefixes))
				for k, pre := range p.Prefixes {
					o.prefix(k, pre.Masked())
				}
			case Tree:
				w.Trees, o.N = uint32(len(bit)), bit[p.Tree]
			default:
				if p.Kind >= Port {
					w.Ends |= c.Types
				}
				if len(p.Ranges) > MaxRanges {
					return w, fmt.Errorf("predicate with %d ranges, at most %d", len(p.Ranges), MaxRanges)
				}
				o.N = uint32(len(p.Ranges))
				for k, r := range p.Ranges {
					o.Lo[k], o.Hi[k] = r[0], r[1]
				}
			}
		}
	}
	w.N = uint32(len(s.Clauses))
	return w, nil
}

// prefix writes prefix k: two words as the address lies in a record, and their masks.
func (o *wirePred) prefix(k int, p netip.Prefix) {
	var a, m [16]byte
	family := uint32(10)
	if p.Addr().Is4() {
		v := p.Addr().As4()
		copy(a[:], v[:])
		family = 2
	} else {
		a = p.Addr().As16()
	}
	for i := range p.Bits() {
		m[i/8] |= 0x80 >> (i % 8)
	}
	o.Ends |= family << (8 + 8*k)
	for i := range 2 {
		o.Lo[2*k+i] = binary.LittleEndian.Uint64(a[8*i:])
		o.Hi[2*k+i] = binary.LittleEndian.Uint64(m[8*i:])
	}
}

// text makes both forms of a path: as programs give it, and as it is walked.
func text(p Pred) (t wireText, err error) {
	s := p.Path
	if len(s) == 0 || len(s) > MaxPath || s[0] != '/' {
		return t, fmt.Errorf("path %q is not absolute, or longer than %d bytes", s, MaxPath)
	}
	t.Len, t.Exact = uint32(len(s)), b2u(p.Exact)
	words(t.Fore[:], []byte(s))
	var parts []string // components that are whole, and the beginning of one
	at := 1
	for i := 1; i < len(s); i++ {
		if s[i] == '/' {
			parts = append(parts, s[at:i])
			at = i + 1
		}
	}
	part := s[at:]
	if p.Exact && part != "" {
		parts, part = append(parts, part), ""
	}
	var back []byte
	for i := len(parts) - 1; i >= 0; i-- {
		back = append(append(back, parts[i]...), 0)
	}
	back = append(back, '/', 0)
	if len(back) > MaxPath {
		return t, fmt.Errorf("path %q is longer than %d bytes", s, MaxPath)
	}
	t.Whole, t.Part = uint32(len(back)), uint32(len(part))
	words(t.Back[:], back)
	words(t.Next[:], []byte(part))
	return t, nil
}

func words(out []uint64, b []byte) {
	var buf [MaxPath]byte
	copy(buf[:], b)
	for i := range out {
		out[i] = binary.LittleEndian.Uint64(buf[8*i:])
	}
}

// Trees returns the map of processes that are below those whose descendants are selected:
// uint32 pid -> a bit for each of Roots.
func (s *Set) Trees() *ebpf.Map { return s.maps["hc_sel_tree"] }
