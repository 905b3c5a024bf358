package ring

// Sequence finds records that are missing from one ring, by the numbers they carry. Each cpu
// counts its own from 0. Records of one cpu can arrive out of order (an interrupt made one while
// another was being filled), so a hole that is filled later is no loss.
type Sequence struct {
	cpus []span
}

type span struct {
	end  uint64 // one more than the largest number seen
	seen uint64 // how many were seen
}

// Add notes the number of a record.
func (s *Sequence) Add(cpu uint16, seq uint64) {
	for int(cpu) >= len(s.cpus) {
		s.cpus = append(s.cpus, span{})
	}
	c := &s.cpus[cpu]
	c.seen++
	if seq >= c.end {
		c.end = seq + 1
	}
}

// CPUs returns one more than the largest cpu seen.
func (s *Sequence) CPUs() int { return len(s.cpus) }

// Missing returns how many records of the cpu with numbers below the largest seen have not
// arrived. What was lost after the last arrival is not known here.
func (s *Sequence) Missing(cpu int) uint64 {
	if cpu >= len(s.cpus) || s.cpus[cpu].seen >= s.cpus[cpu].end {
		return 0
	}
	return s.cpus[cpu].end - s.cpus[cpu].seen
}
