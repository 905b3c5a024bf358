package index

import (
	"cmp"

	"github.com/google/btree"

	"hindcast/format/clock"
)

// Forever is the end of a span that nothing has closed.
const Forever clock.Boot = 1<<63 - 1

// Span is a value that holds for a key from From until To, To not included.
type Span[K cmp.Ordered, V any] struct {
	Key   K
	From  clock.Boot
	To    clock.Boot
	Value V

	seq uint32 // order of insertion: makes equal starts distinct
}

// Spans keeps spans by key and start. Spans of one key may overlap. The zero value is not
// usable; see NewSpans.
type Spans[K cmp.Ordered, V any] struct {
	t   *btree.BTreeG[Span[K, V]]
	seq uint32
}

// NewSpans returns an empty list.
func NewSpans[K cmp.Ordered, V any]() *Spans[K, V] {
	return &Spans[K, V]{t: btree.NewG(32, func(a, b Span[K, V]) bool {
		if a.Key != b.Key {
			return a.Key < b.Key
		}
		if a.From != b.From {
			return a.From < b.From
		}
		return a.seq < b.seq
	})}
}

// Len returns the number of spans.
func (s *Spans[K, V]) Len() int { return s.t.Len() }

// Add inserts a span and returns it with its place fixed, for Replace.
func (s *Spans[K, V]) Add(key K, from, to clock.Boot, v V) Span[K, V] {
	s.seq++
	sp := Span[K, V]{Key: key, From: from, To: to, Value: v, seq: s.seq}
	s.t.ReplaceOrInsert(sp)
	return sp
}

// Replace stores a span that Add, At or Each returned, after its To or Value was changed.
// Key and From must not have been.
func (s *Spans[K, V]) Replace(sp Span[K, V]) { s.t.ReplaceOrInsert(sp) }

// At returns the span of key that holds at t; of several, the one that began last.
func (s *Spans[K, V]) At(key K, t clock.Boot) (found Span[K, V], ok bool) {
	s.Before(key, t, func(sp Span[K, V]) bool {
		if t < sp.To {
			found, ok = sp, true
			return false
		}
		return true
	})
	return found, ok
}

// Before visits the spans of key that began at or before t, newest first, until f returns false.
func (s *Spans[K, V]) Before(key K, t clock.Boot, f func(Span[K, V]) bool) {
	pivot := Span[K, V]{Key: key, From: t, seq: 1<<32 - 1}
	s.t.DescendLessOrEqual(pivot, func(sp Span[K, V]) bool {
		if sp.Key != key {
			return false
		}
		return f(sp)
	})
}

// Each visits the spans of key, oldest first, until f returns false.
func (s *Spans[K, V]) Each(key K, f func(Span[K, V]) bool) {
	s.t.AscendGreaterOrEqual(Span[K, V]{Key: key, From: -1 << 63}, func(sp Span[K, V]) bool {
		if sp.Key != key {
			return false
		}
		return f(sp)
	})
}

// Range visits the spans with from <= key < to in key order until f returns false.
func (s *Spans[K, V]) Range(from, to K, f func(Span[K, V]) bool) {
	s.t.AscendGreaterOrEqual(Span[K, V]{Key: from, From: -1 << 63}, func(sp Span[K, V]) bool {
		if sp.Key >= to {
			return false
		}
		return f(sp)
	})
}
