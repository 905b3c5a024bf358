package baseline

import "hindcast/format/event"

// Lineage picks, of all processes of a host, one process and its ancestors.
type Lineage struct {
	recs  [][]byte
	procs map[key]parent
	self  *key
}

type key struct {
	pid   uint32
	start uint64
}

type parent struct {
	of  key
	rec int
}

// Add notes a record of the process iterator and copies it. pid and ns are the number of the
// process sought in its own pid namespace, and the inode of that namespace: how a process knows
// itself where it does not know its number on the host.
func (l *Lineage) Add(rec []byte, pid uint32, ns uint64) {
	var r event.Row
	if _, err := event.Decode(rec, &r); err != nil || r.Type != event.Process {
		return
	}
	if l.procs == nil {
		l.procs = map[key]parent{}
	}
	k := key{r.PID, r.PStart}
	l.procs[k] = parent{key{r.OPID, r.OStart}, len(l.recs)}
	l.recs = append(l.recs, append([]byte(nil), rec...))
	if uint32(r.N9) == pid && uint64(r.N7) == ns {
		l.self = &k
	}
}

// Self returns the number of the process in the initial pid namespace, 0 when it was not found.
func (l *Lineage) Self() uint32 {
	if l.self == nil {
		return 0
	}
	return l.self.pid
}

// Chain returns the records of the process and its ancestors, the process first.
func (l *Lineage) Chain() (out [][]byte) {
	if l.self == nil {
		return nil
	}
	seen := map[key]bool{}
	for k := *l.self; !seen[k]; {
		seen[k] = true
		p, ok := l.procs[k]
		if !ok {
			break
		}
		out = append(out, l.recs[p.rec])
		k = p.of
	}
	return out
}
