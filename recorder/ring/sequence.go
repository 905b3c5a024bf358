package ring

import "hindcast/format/clock"

// Sequence finds records that are missing from one ring, by the numbers they carry. Each cpu
// counts its own from 0. Records of one cpu can arrive out of order (an interrupt made one while
// another was being filled), so a hole that is filled later is no loss.
type Sequence struct {
	cpus  []Span
	holes []Hole
}

// Hole is what is known of the records of one cpu that did not arrive lately: they were made
// between two that did.
type Hole struct {
	From, To clock.Boot // times of the last record before the first missing one, and of the first after the last; 0 when none is missing
	Missing  uint64
	Last     clock.Boot // time of the last record: what is missing after it is not known here
}

// Span is how far the numbers of one cpu went.
type Span struct {
	End  uint64 // one more than the largest number seen
	Seen uint64 // how many were seen
}

// Spans returns a copy of how far each cpu went; Resume goes on from there.
func (s *Sequence) Spans() []Span { return append([]Span(nil), s.cpus...) }

// Resume goes on where another reader of the ring ended.
func (s *Sequence) Resume(cpus []Span) { s.cpus = append([]Span(nil), cpus...) }

// Add notes the number of a record, and when it was made.
func (s *Sequence) Add(cpu uint16, seq uint64, at clock.Boot) {
	for int(cpu) >= len(s.cpus) {
		s.cpus = append(s.cpus, Span{})
	}
	for int(cpu) >= len(s.holes) {
		s.holes = append(s.holes, Hole{})
	}
	c, h := &s.cpus[cpu], &s.holes[cpu]
	c.Seen++
	switch {
	case seq == c.End:
		c.End++
	case seq > c.End:
		if h.Missing == 0 {
			h.From = h.Last
		}
		h.Missing += seq - c.End
		h.To = at
		c.End = seq + 1
	case h.Missing > 0: // it came late
		h.Missing--
	}
	h.Last = max(h.Last, at)
}

// Holes returns what is missing of each cpu since the last call.
func (s *Sequence) Holes() []Hole {
	out := append([]Hole(nil), s.holes...)
	for i := range s.holes {
		s.holes[i] = Hole{Last: s.holes[i].Last}
	}
	return out
}

// CPUs returns one more than the largest cpu seen.
func (s *Sequence) CPUs() int { return len(s.cpus) }

// Missing returns how many records of the cpu with numbers below the largest seen have not
// arrived. What was lost after the last arrival is not known here.
func (s *Sequence) Missing(cpu int) uint64 {
	if cpu >= len(s.cpus) || s.cpus[cpu].Seen >= s.cpus[cpu].End {
		return 0
	}
	return s.cpus[cpu].End - s.cpus[cpu].Seen
}
