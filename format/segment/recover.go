package segment

import (
	"errors"
	"fmt"
	"sort"

	"hindcast/format/event"
)

// Range is a stretch of a file.
type Range struct {
	Offset, Length int64
}

// ErrNothing says that a file holds nothing that a sealed segment could be made of.
var ErrNothing = errors.New("no schema message that can be read")

// Mend writes to dst, which must be empty, a sealed segment of every batch of s that
// matches its digest, bytes unchanged, and syncs it. The findings of s go into its footer
// and come back marked as recovered whenever it is opened. left lists the stretches of s
// that are not in dst; footer and trailer of s, which are made anew, are not among them.
func (s *Segment) Mend(dst File) (left []Range, err error) {
	if s.columns == 0 || s.schema.Length == 0 {
		return nil, fmt.Errorf("mend segment: %w", ErrNothing)
	}
	d := decoders.Get().(*decoder)
	defer decoders.Put(d)
	p := make([]byte, s.schema.Length)
	if err := s.readAt(p, 0); err != nil {
		return nil, fmt.Errorf("mend segment: %w", err)
	}
	schema := s.schema
	schema.Offset = 0
	entries := []BatchInfo{schema}
	var sum summary
	sum.init()
	sum.meta = s.meta.pairs()
	sum.damage = append(sum.damage, s.findings...)
	var filter filterBuilder
	at := int64(0)
	put := func(b []byte) error {
		n, err := dst.WriteAt(b, at)
		if err == nil && n != len(b) {
			err = fmt.Errorf("wrote %d of %d bytes", n, len(b))
		}
		at += int64(n)
		return err
	}
	if err := put(p); err != nil {
		return nil, fmt.Errorf("mend segment: %w", err)
	}
	var c event.Columns
	end := schema.Length // in s
	for i := range s.batches {
		e := s.batches[i]
		b, f, err := s.verified(i, d)
		if err != nil {
			return nil, fmt.Errorf("mend segment: %w", err)
		}
		if f == nil {
			own := append([]byte(nil), b...)
			x := batchBytes{b: own, at: e.Offset, e: e, columns: s.columns, catalog: s.meta.Catalog, offset: s.meta.Clock.Offset()}
			f = x.decode(d, 1<<event.NumColumns-1, &c)
			if f == nil {
				if e.Offset > end {
					left = append(left, Range{end, e.Offset - end})
				}
				end = e.Offset + e.Length
				e.Offset = at
				if err := put(own); err != nil {
					return nil, fmt.Errorf("mend segment: %w", err)
				}
				entries = append(entries, e)
				sum.add(&c, 1)
				filter.add(&c)
				continue
			}
		}
		sum.damage = append(sum.damage, *f)
	}
	switch {
	case s.footer != nil && end < s.footer.at-8:
		left = append(left, Range{end, s.footer.at - 8 - end})
	case s.footer == nil && end < s.size:
		left = append(left, Range{end, s.size - end})
	}
	sort.SliceStable(sum.damage, func(i, j int) bool { return sum.damage[i].Offset < sum.damage[j].Offset })
	for i := range sum.damage {
		sum.damage[i].Recovered, sum.damage[i].Segment = false, ""
	}
	sum.flags = s.Flags() | FlagRecovered
	if len(left) > 0 {
		sum.flags |= FlagDropped
	}
	tail := append([]byte(nil), endMarker...)
	tail = appendTail(tail, at+int64(len(tail)), entries, &sum, filter.section())
	if err := put(tail); err != nil {
		return nil, fmt.Errorf("mend segment: %w", err)
	}
	if err := dst.Sync(); err != nil {
		return nil, fmt.Errorf("mend segment: %w", err)
	}
	return left, nil
}
