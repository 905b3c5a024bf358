// Package gap knows where a recording limits an answer: rows that were lost, hooks that
// were not attached, values that were cut, and where the recording begins and ends.
//
// Words: a hole is one such limit, with the events it affects and the time it lasted.
package gap

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"hindcast/format/clock"
	"hindcast/format/event"
	"hindcast/replay/load"
)

// Kind is why something could not be seen.
type Kind string

const (
	Lost        Kind = "lost"
	NotAttached Kind = "not_attached"
	Truncated   Kind = "truncated"
	BeforeStart Kind = "before_start"
	AfterEnd    Kind = "after_end"
	Damaged     Kind = "damaged"
	Scope       Kind = "scope"    // the recording was asked for less than the host
	Snapshot    Kind = "snapshot" // what was there at the start is not fully known
)

// Hole is one limit.
type Hole struct {
	Kind   Kind
	Events uint64 // set of event ids; 0 means any
	Count  uint64
	CPU    int // -1 for none in particular
	From   clock.Boot
	To     clock.Boot
	Cause  string
	Text   string
	Rows   []load.RowID
	Whole  bool // holds for the whole recording
}

// Set is every hole of a recording.
type Set struct {
	holes []Hole
	begin clock.Boot
	end   clock.Boot
	seen  bool
	hooks map[string]int // coverage by hook and detail
	start clock.Boot     // of live events: the first start action
	begun bool
	stop  bool

	scoped  bool
	shot    bool // a snapshot began and has not ended
	shotRow load.RowID

	unasked    uint64            // events that the filter of the recording left out as a whole
	fed, unfed uint64            // events that hooks tell: attached ones, and ones that were not
	refused    map[string]uint64 // hooks that should have run, and what they tell
}

// NewSet returns an empty set.
func NewSet() *Set { return &Set{hooks: map[string]int{}} }

// mostRows bounds the evidence kept for one hole.
const mostRows = 8

// live reports whether a row tells when the recording was on: events do, and the
// recorder's own start and stop.
func live(r *event.Row) bool {
	if r.Type == event.Recorder {
		return string(r.Text) == "start" || string(r.Text) == "stop"
	}
	return r.Type < event.Ledger && r.Flags&event.FlagSnapshot == 0
}

// Apply takes one row; rows that are not of the recorder only move the bounds.
func (s *Set) Apply(r *event.Row, id load.RowID) {
	if live(r) {
		if !s.seen || r.TS < s.begin {
			s.begin = r.TS
		}
		s.end, s.seen = max(s.end, r.TS), true
	}
	switch r.Type {
	case event.Ledger:
		downtime := string(r.Text) == "downtime" // of a hook: how much was missed nobody knows
		if r.N2 <= 0 && !downtime {
			return
		}
		h := Hole{Kind: Lost, Count: uint64(r.N2), CPU: int(r.CPU), From: r.T0, To: r.TS, Cause: string(r.Text), Rows: []load.RowID{id}}
		what := "events of any kind"
		if r.N1 > 0 && r.N1 < event.MaxType {
			h.Events = 1 << r.N1
			what = event.Type(r.N1).String()
		}
		h.Text = fmt.Sprintf("%s: %d lost on cpu %d (%s)", what, r.N2, r.CPU, r.Text)
		if downtime && r.N2 <= 0 {
			h.Text = fmt.Sprintf("%s: not observed for %v (%s)", what, r.TS.Sub(r.T0), r.Text)
		}
		if len(r.Text2) > 0 {
			h.Text += " in " + string(r.Text2)
		}
		s.holes = append(s.holes, h)
	case event.Coverage:
		if string(r.Text) == event.FilterHook {
			s.filtered(r, id)
			return
		}
		if r.N1 != 0 {
			s.fed |= uint64(r.N2)
			return
		}
		if r.N3 == event.WhyNothing || r.N3 == event.WhyTier {
			return // nothing is hidden by that
		}
		s.unfed |= uint64(r.N2)
		if r.N3 == event.WhyRefused || r.N3 == event.WhyAsked {
			if s.refused == nil {
				s.refused = map[string]uint64{}
			}
			s.refused[string(r.Text)] |= uint64(r.N2)
		}
		k := string(r.Text) + "\x00" + string(r.Text2)
		if i, ok := s.hooks[k]; ok {
			h := &s.holes[i]
			h.To = max(h.To, r.TS)
			if len(h.Rows) < mostRows {
				h.Rows = append(h.Rows, id)
			}
			return
		}
		s.hooks[k] = len(s.holes)
		h := Hole{Kind: NotAttached, Events: uint64(r.N2), CPU: -1, From: r.TS, To: r.TS, Cause: string(r.Text), Whole: true, Rows: []load.RowID{id}}
		h.Text = "hook " + string(r.Text) + " not attached"
		if len(r.Text2) > 0 {
			h.Text += ": " + string(r.Text2)
		}
		s.holes = append(s.holes, h)
	case event.Recorder:
		switch string(r.Text) {
		case "start":
			if !s.begun {
				s.start, s.begun = r.TS, true
			}
		case "stop":
			s.stop = true
		case "scope":
			if !s.scoped && string(r.Text2) != "whole host" {
				s.scoped = true
				s.holes = append(s.holes, Hole{Kind: Scope, CPU: -1, From: -1 << 62, To: 1 << 62, Whole: true, Rows: []load.RowID{id},
					Text: "recorded was " + string(r.Text2) + ": what the rest of the host did is not in here"})
			}
		case "snapshot-begin":
			s.shot, s.shotRow = true, id
		case "snapshot-end":
			s.shot = false
		}
	}
}

// filtered takes the row that speaks of the filter of a recording; segments repeat it.
func (s *Set) filtered(r *event.Row, id load.RowID) {
	s.unasked |= uint64(r.N2)
	k := string(r.Text) + "\x00" + string(r.Text2)
	if _, ok := s.hooks[k]; ok {
		return
	}
	s.hooks[k] = len(s.holes)
	filter, _, _ := strings.Cut(string(r.Text2), "\n")
	s.holes = append(s.holes, Hole{Kind: Scope, CPU: -1, From: -1 << 62, To: 1 << 62, Cause: event.FilterHook, Whole: true, Rows: []load.RowID{id},
		Text: "recorded was, besides lineage, only what matches " + filter + ": what else happened is not in here"})
}

// Finish adds the bounds of the recording and what was cut; truncated counts byte fields by
// event, findings are sentences about damage.
func (s *Set) Finish(truncated *[event.MaxType]uint64, findings []string) {
	if s.begun && s.start > s.begin {
		s.begin = s.start
	}
	s.holes = append(s.holes, Hole{Kind: BeforeStart, CPU: -1, From: -1 << 62, To: s.begin, Whole: false,
		Text: "nothing before the recording began was observed; what was there then is known from the snapshot only"})
	if !s.stop {
		s.holes = append(s.holes, Hole{Kind: AfterEnd, CPU: -1, From: s.end, To: 1 << 62,
			Text: "the recording has no orderly end: what the recorder held then is missing"})
	} else {
		s.holes = append(s.holes, Hole{Kind: AfterEnd, CPU: -1, From: s.end + 1, To: 1 << 62, Text: "nothing after the recording ended was observed"})
	}
	if s.shot {
		s.holes = append(s.holes, Hole{Kind: Snapshot, CPU: -1, From: -1 << 62, To: 1 << 62, Whole: true, Rows: []load.RowID{s.shotRow},
			Text: "the snapshot at the start was not finished: processes, files and sockets that were there may be missing"})
	}
	for t, n := range truncated {
		if n > 0 {
			s.holes = append(s.holes, Hole{Kind: Truncated, Events: 1 << t, Count: n, CPU: -1, From: s.begin, To: s.end, Whole: true,
				Text: fmt.Sprintf("%s: %d values were cut or unreadable", event.Type(t), n)})
		}
	}
	for _, f := range findings {
		s.holes = append(s.holes, Hole{Kind: Damaged, CPU: -1, From: s.begin, To: s.end, Whole: true, Text: f})
	}
	for i := range s.holes {
		if h := &s.holes[i]; h.Kind == NotAttached {
			h.From, h.To = s.begin, s.end
		}
	}
}

// Bounds returns the first and last instants that were observed live.
func (s *Set) Bounds() (begin, end clock.Boot) { return s.begin, s.end }

// For returns the holes that overlap [from, to] and affect one of the events (a set of ids;
// 0 means any). Losses of the same class and cause are added up.
func (s *Set) For(from, to clock.Boot, events uint64) []Hole {
	var out []Hole
	type class struct {
		events uint64
		cpu    int
		cause  string
	}
	sum := map[class]int{}
	for _, h := range s.holes {
		if h.To < from || h.From > to || events != 0 && h.Events != 0 && h.Events&events == 0 {
			continue
		}
		if h.Kind == Lost {
			k := class{h.Events, h.CPU, h.Cause}
			if i, ok := sum[k]; ok {
				o := &out[i]
				o.Count += h.Count
				o.From, o.To = min(o.From, h.From), max(o.To, h.To)
				if len(o.Rows) < mostRows {
					o.Rows = append(slices.Clip(o.Rows), h.Rows...)
				}
				what := "events of any kind"
				if o.Events != 0 {
					what = strings.Join(Names(o.Events), ", ")
				}
				o.Text = fmt.Sprintf("%s: %d lost on cpu %d (%s)", what, o.Count, o.CPU, o.Cause)
				continue
			}
			sum[k] = len(out)
		}
		out = append(out, h)
	}
	rank := map[Kind]int{Damaged: 0, Lost: 1, Snapshot: 2, Scope: 3, NotAttached: 4, Truncated: 5, BeforeStart: 6, AfterEnd: 7}
	slices.SortStableFunc(out, func(a, b Hole) int {
		return cmp.Or(cmp.Compare(rank[a.Kind], rank[b.Kind]), cmp.Compare(a.From, b.From), cmp.Compare(a.Text, b.Text))
	})
	return out
}

// Unobservable returns those of the events that nothing could have told: every hook that tells
// them was refused or left out, or the filter of the recording matches none of them. That no row
// speaks of them says nothing.
func (s *Set) Unobservable(events uint64) uint64 { return events & (s.unfed&^s.fed | s.unasked) }

// Refused returns the hooks, sorted, that would have told one of the events and were refused or
// left out when asked: an answer drawn from the others is not whole.
func (s *Set) Refused(events uint64) (hooks []string) {
	for h, e := range s.refused {
		if e&events != 0 {
			hooks = append(hooks, h)
		}
	}
	slices.Sort(hooks)
	return hooks
}

// Lossy reports whether rows of the events were lost in [from, to].
func (s *Set) Lossy(from, to clock.Boot, events uint64) bool {
	for i := range s.holes {
		h := &s.holes[i]
		if (h.Kind == Lost || h.Kind == Damaged) && h.To >= from && h.From <= to && (h.Events == 0 || h.Events&events != 0) {
			return true
		}
	}
	return false
}

// Names returns the names of a set of events.
func Names(events uint64) []string {
	var out []string
	for t := event.Type(0); t < event.MaxType; t++ {
		if events>>t&1 != 0 && event.ByID(t) != nil {
			out = append(out, t.String())
		}
	}
	return out
}

// Events makes a set of ids.
func Events(types ...event.Type) uint64 {
	var s uint64
	for _, t := range types {
		s |= 1 << t
	}
	return s
}
