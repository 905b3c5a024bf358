package baseline

import "hindcast/format/event"

// Lineage picks, of all processes of a host, one process and its ancestors.
type Lineage struct {
	recs  [][]byte
	procs map[key]parent
}

type key struct {
	pid   uint32
	start uint64
}

type parent struct {
	of  key
	rec int
}

// Add notes a record of the process iterator and copies it.
func (l *Lineage) Add(rec []byte) {
	var r event.Row
	if _, err := event.Decode(rec, &r); err != nil || r.Type != event.Process {
		return
	}
	if l.procs == nil {
		l.procs = map[key]parent{}
	}
	l.procs[key{r.PID, r.PStart}] = parent{key{r.OPID, r.OStart}, len(l.recs)}
	l.recs = append(l.recs, append([]byte(nil), rec...))
}

// Chain returns the records of a living process and its ancestors, the process first.
func (l *Lineage) Chain(pid uint32) (out [][]byte) {
	at, ok := key{}, false
	for k := range l.procs {
		if k.pid == pid { // of the living only one has the number
			at, ok = k, true
		}
	}
	for seen := map[key]bool{}; ok && !seen[at]; {
		seen[at] = true
		var p parent
		if p, ok = l.procs[at]; ok {
			out = append(out, l.recs[p.rec])
			at = p.of
		}
	}
	return out
}
