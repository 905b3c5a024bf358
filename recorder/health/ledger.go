package health

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"hindcast/format/clock"
	"hindcast/format/event"
	"hindcast/recorder/ring"
)

// What the kernel half counts: the rows of a Counts, as in bpf/include/maps.h.
const (
	Seen       = iota // records made: each is received, or in RingFull or Nested
	RingFull          // no room in the ring
	ReadFault         // user memory could not be read; the record was sent, marked
	MapFull           // no room in a table; the record was sent with less in it
	Busy              // storage busy: the operation was not counted
	Self              // left out: done by the recorder itself
	Truncated         // sent, but cut
	Nested            // the scratch buffer was in use by an interrupted program
	Quota             // refused: the cgroup is over its quota; a table says whose
	Unselected        // left out before it was made: the filter does not want it
	Deselected        // made, and not sent: the same
	Causes            // how many there are
)

// Counts is the counters of one cpu.
type Counts [Causes][event.MaxType]uint64

// kinds says what growth of a counter becomes. Loss means that there will be no row for what
// happened; the others are rows that say less than they should.
var kinds = [Causes]struct {
	cause string
	loss  bool
}{
	RingFull:  {"ring_full", true},
	ReadFault: {"read_fault", false},
	MapFull:   {"map_full", false},
	Busy:      {"busy", true},
	Nested:    {"nested", true},
	Truncated: {"truncated", false},
}

// Miss is how often the kernel skipped one program because a program was already running on
// that cpu. Class is the event it feeds, 0 when it feeds several.
type Miss struct {
	Hook  string
	Class event.Type
	Count uint64
}

// Refusal is whose records of which event were refused by a quota. Cgroup 0 is all that found no
// room in the kernel's table.
type Refusal struct {
	Cgroup uint64
	Class  event.Type
}

// Reading is all counters at one moment. Every count is a total since the programs were loaded,
// whoever recorded since.
type Reading struct {
	At      clock.Boot
	Until   clock.Boot // when the counters had been read; they may hold what was lost since At. Default: At
	CPU     []Counts
	Missed  []Miss
	Decode  [event.MaxType]uint64 // records that are not what the catalogue says, by claimed type
	Disk    [event.MaxType]uint64 // rows that could not be written
	Refused map[Refusal]uint64    // sums up to Quota of CPU

	// Cause is why events were refused. Default: quota.
	Cause string

	// What is missing in the numbers of the rings since the last reading, by cpu: it bounds the
	// time of what found no room. May be nil.
	Bulk, Critical []ring.Hole
}

// Sum adds a counter up over all cpus.
func (r *Reading) Sum(cause int, t event.Type) (n uint64) {
	for i := range r.CPU {
		n += r.CPU[i][cause][t]
	}
	return n
}

// Total adds a counter up over all cpus and types.
func (r *Reading) Total(cause int) (n uint64) {
	for t := range event.Type(event.MaxType) {
		n += r.Sum(cause, t)
	}
	return n
}

// Ledger remembers what was already written down. The zero value counts from zero; Start
// must tell it when that was.
type Ledger struct {
	Start clock.Boot
	Lost  uint64            // records lost so far, by the readings given
	By    map[string]uint64 // the same by cause, and causes that lose no row

	last   Reading
	missed map[string]uint64
}

// Told is what ledger rows were made of already.
type Told struct {
	Last   Reading
	Missed map[string]uint64
}

// Told returns what a recorder needs to know that goes on with the same programs.
func (l *Ledger) Told() Told {
	t := Told{l.last, maps.Clone(l.missed)}
	t.Last.Missed, t.Last.Bulk, t.Last.Critical = nil, nil, nil
	return t
}

// Resume goes on where another recorder ended.
func (l *Ledger) Resume(t Told) { l.last, l.missed = t.Last, t.Missed }

// Update returns ledger rows for what has grown since the last call.
func (l *Ledger) Update(now Reading) []event.Row {
	var rows []event.Row
	since := l.last.At
	if since == 0 {
		since = l.Start
	}
	add := func(cpu int, class event.Type, n uint64, cause, detail string, loss bool) {
		if n == 0 {
			return
		}
		if l.By == nil {
			l.By = map[string]uint64{}
		}
		l.By[cause] += n
		if loss {
			l.Lost += n
		}
		if cause == "truncated" { // every row that was cut says so, and none is missing
			n, detail = 0, fmt.Sprintf("%d cut", n)
		}
		rows = append(rows, Row(since, max(now.At, now.Until), cpu, class, n, cause, detail))
	}
	for cpu := range now.CPU {
		var old Counts
		if cpu < len(l.last.CPU) {
			old = l.last.CPU[cpu]
		}
		for c, kind := range kinds {
			if kind.cause == "" {
				continue
			}
			for t := range event.Type(event.MaxType) {
				n := len(rows)
				add(cpu, t, now.CPU[cpu][c][t]-old[c][t], kind.cause, "", kind.loss)
				if c == RingFull && len(rows) > n {
					bound(&rows[n], &now, &old, cpu, event.ByID(t))
				}
			}
		}
	}
	whose := slices.SortedFunc(maps.Keys(now.Refused), func(a, b Refusal) int {
		return cmp.Or(cmp.Compare(a.Cgroup, b.Cgroup), cmp.Compare(a.Class, b.Class))
	})
	for _, who := range whose {
		n := len(rows)
		add(0, who.Class, now.Refused[who]-l.last.Refused[who], cmp.Or(now.Cause, "quota"), "any cpu", true)
		if len(rows) > n {
			rows[n].Cgroup = who.Cgroup
		}
	}
	for t := range event.Type(event.MaxType) {
		add(0, t, now.Decode[t]-l.last.Decode[t], "decode", "any cpu", true)
		add(0, t, now.Disk[t]-l.last.Disk[t], "disk", "any cpu", true)
	}
	if l.missed == nil {
		l.missed = map[string]uint64{}
	}
	for _, m := range now.Missed {
		if m.Count > l.missed[m.Hook] {
			add(0, m.Class, m.Count-l.missed[m.Hook], "recursion", m.Hook+", any cpu", true)
			l.missed[m.Hook] = m.Count
		}
	}
	l.last = now
	return rows
}

// bound narrows the interval of a row of what found no room to the time between two records of
// that cpu that did, as far as these are known.
func bound(row *event.Row, now *Reading, old *Counts, cpu int, e *event.Event) {
	if e == nil || e.Ring == event.NoRing {
		return
	}
	holes := now.Bulk
	if e.Ring == event.Critical {
		holes = now.Critical
	}
	if cpu >= len(holes) {
		return
	}
	h := holes[cpu]
	var lost uint64
	for t := range event.Type(event.MaxType) {
		if other := event.ByID(t); other != nil && other.Ring == e.Ring {
			lost += now.CPU[cpu][RingFull][t] - old[RingFull][t] + now.CPU[cpu][Quota][t] - old[Quota][t] + now.CPU[cpu][Deselected][t] - old[Deselected][t]
		}
	}
	from := h.Last // what no later record brackets was lost after the last one
	if h.Missing > 0 {
		from = h.From
	}
	row.T0 = max(row.T0, min(from, row.TS))
	if h.Missing == lost && h.To > row.T0 {
		row.TS = min(row.TS, h.To)
	}
}

// Gaps are the holes in the numbers of one ring: missing records by cpu.
type Gaps struct {
	Ring event.Ring
	CPU  []uint64
}

// Reconcile compares, at the end, what the kernel says it made with what was received, per type,
// and the holes in the rings' numbers with the losses that the kernel owned up to, per cpu. Both
// must agree exactly; ledger rows say where they do not, and the count of them is returned.
func (l *Ledger) Reconcile(now Reading, received *[event.MaxType]uint64, gaps ...Gaps) (rows []event.Row, unaccounted uint64) {
	for t := range event.Type(event.MaxType) {
		seen := now.Sum(Seen, t)
		told := received[t] + now.Sum(RingFull, t) + now.Sum(Nested, t) + now.Sum(Quota, t) + now.Sum(Deselected, t)
		switch {
		case seen > told:
			rows = append(rows, Row(l.Start, now.At, 0, t, seen-told, "unaccounted", fmt.Sprintf("%d made, %d received or known lost", seen, told)))
			unaccounted += seen - told
		case told > seen:
			rows = append(rows, Row(l.Start, now.At, 0, t, told-seen, "unaccounted", fmt.Sprintf("only %d made, but %d received or known lost", seen, told)))
			unaccounted += told - seen
		}
	}
	refused := [event.MaxType]uint64{}
	for who, n := range now.Refused {
		refused[who.Class%event.MaxType] += n
	}
	for t, n := range refused {
		if all := now.Sum(Quota, event.Type(t)); n != all {
			d := max(n, all) - min(n, all)
			rows = append(rows, Row(l.Start, now.At, 0, event.Type(t), d, "unaccounted", fmt.Sprintf("%d refused by quotas, %d of known cgroups", all, n)))
			unaccounted += d
		}
	}
	var holes uint64
	for _, g := range gaps {
		for cpu, missing := range g.CPU {
			var known uint64
			if cpu < len(now.CPU) {
				for t := range event.Type(event.MaxType) {
					if e := event.ByID(t); e != nil && e.Ring == g.Ring {
						known += now.CPU[cpu][RingFull][t] + now.CPU[cpu][Quota][t] + now.CPU[cpu][Deselected][t]
					}
				}
			}
			if missing > known {
				ring := "bulk"
				if g.Ring == event.Critical {
					ring = "critical"
				}
				rows = append(rows, Row(l.Start, now.At, cpu, 0, missing-known, "unaccounted", fmt.Sprintf("numbers missing in the %s ring", ring)))
				holes += missing - known
			}
		}
	}
	// The two witnesses speak of the same records.
	return rows, max(unaccounted, holes)
}

// Row is a ledger row: n events of a class (0 for any) lost between two moments.
func Row(since, now clock.Boot, cpu int, class event.Type, n uint64, cause, detail string) event.Row {
	return event.Row{
		TS: now, T0: since, Type: event.Ledger, Flags: event.FlagRecorder, CPU: uint16(cpu),
		N1: int64(class), N2: int64(n), Text: []byte(cause), Text2: []byte(detail),
	}
}
