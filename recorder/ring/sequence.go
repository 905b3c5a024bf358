package ring

// Sequence finds records that are missing from one ring, by the numbers they carry. Each cpu
// counts its own from 0. Records of one cpu can arrive out of order (an interrupt made one while
// another was being filled), so a hole that is filled later is no loss.
type Sequence struct {
	cpus []Span
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

// Add notes the number of a record.
func (s *Sequence) Add(cpu uint16, seq uint64) {
	for int(cpu) >= len(s.cpus) {
		s.cpus = append(s.cpus, Span{})
	}
	c := &s.cpus[cpu]
	c.Seen++
	if seq >= c.End {
		c.End = seq + 1
	}
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
