//go:build linux && (amd64 || arm64)

package probe

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"hindcast/bpf"
	"hindcast/format/clock"
	"hindcast/format/event"
	"hindcast/recorder/health"
)

// Profile is a choice of hooks.
type Profile string

const (
	Minimal  Profile = "minimal"  // processes, credentials, connections
	Standard Profile = "standard" // everything that costs little
	Forensic Profile = "forensic" // every operation and every table of calls, whatever it costs
)

// Known tells whether there is such a profile.
func (p Profile) Known() bool { return p == Minimal || p == Standard || p == Forensic }

// Leaves tells whether the profile does without the program.
func (p Profile) Leaves(name string) bool {
	e := Lookup(name)
	return e != nil && (p == Minimal && !e.Minimal || p != Forensic && e.Forensic)
}

// Choice is a profile less some events.
type Choice struct {
	Profile Profile
	Without uint64 // events that are not wanted, as bits: hooks that tell nothing else are left out
	Unasked uint64 // the same, because a filter matches none of them
}

// Leaves tells whether the choice does without the program.
func (c Choice) Leaves(name string) bool { return c.Profile.Leaves(name) || c.unwanted(Lookup(name)) }

// Idle returns an event of Without that leaves no hook out, and a hook that tells others too, nil
// when each of them leaves some out.
func (c Choice) Idle() (event.Type, *Entry) {
next:
	for t := range event.Type(event.MaxType) {
		if c.Without>>t&1 == 0 {
			continue
		}
		var kept *Entry
		for i := range Table {
			e := &Table[i]
			if e.Bits()>>t&1 == 0 {
				continue
			}
			if c.unwanted(e) {
				continue next
			}
			if kept == nil {
				kept = e
			}
		}
		if kept != nil {
			return t, kept
		}
	}
	return 0, nil
}

func (c Choice) unwanted(e *Entry) bool { return e != nil && e.Bits()&^(c.Without|c.Unasked) == 0 }

// Probe is the hooks of a recording.
type Probe struct {
	set    *bpf.Set
	places []place // in the order of attaching
	lower  uint64  // events that hooks below the tracepoint tier tell
}

// place is a hook, or an entry of the table for which there is none.
type place struct {
	hook    *bpf.Hook // nil when the object has no such program or an alternative stands in
	entry   *Entry
	left    string // why it was left out on purpose
	reason  string // why it is not attached
	by      string // the hook of another tier that tells what this one would
	on      bool
	stopped bool
}

// New chooses the hooks of a profile. Nothing is attached yet.
func New(set *bpf.Set, choice Choice) *Probe {
	p := &Probe{set: set}
	rank := map[string]int{}
	for i := range Table {
		rank[Table[i].Name] = i
	}
	for _, h := range set.Hooks() {
		e := Lookup(h.Name)
		if e == nil {
			// A test keeps this from happening; a hook that works is not thrown away for it.
			e = &Entry{Name: h.Name, Group: names, Without: "what this hook sees: it is not described"}
			rank[h.Name] = len(Table)
		}
		p.places = append(p.places, place{hook: h, entry: e})
	}
	slices.SortStableFunc(p.places, func(a, b place) int { return rank[a.entry.Name] - rank[b.entry.Name] })
	loaded := map[string]bool{}
	for i := range p.places {
		pl := &p.places[i]
		name := pl.entry.Name
		if in := pl.entry.InsteadOf; in != "" {
			name = in
		}
		switch {
		case choice.Profile.Leaves(pl.entry.Name):
			pl.left = "left out by profile " + string(choice.Profile)
		case choice.unwanted(pl.entry):
			pl.left = unwantedHere
			if pl.entry.Bits()&^choice.Without != 0 {
				pl.left = unaskedHere
			}
		case loaded[name]:
			pl.hook = nil // its better half is there
		case pl.hook.Loaded():
			loaded[name] = true
		}
	}
	// The refused half of a pair is not missed when the other is there.
	p.places = slices.DeleteFunc(p.places, func(pl place) bool {
		name := pl.entry.Name
		if in := pl.entry.InsteadOf; in != "" {
			name = in
		}
		return pl.left == "" && (pl.hook == nil || !pl.hook.Loaded()) && loaded[name]
	})
	return p
}

// Attach puts every chosen hook in its place. What cannot be attached is left to Coverage.
func (p *Probe) Attach() {
	withTracefs(func() {
		p.attachLower()
		for i := range p.places {
			pl := &p.places[i]
			switch {
			case pl.left != "", pl.by != "", pl.on:
			case !pl.hook.Loaded():
				pl.refused(pl.hook.Err)
			case pl.hook.Iterator():
				pl.on = true
			default:
				if err := pl.hook.Attach(); err != nil {
					pl.refused(err)
				} else {
					pl.on = true
				}
			}
		}
		p.tellLower()
	})
}

// refused notes why a hook is not attached. Where the kernel has nothing that the hook could see,
// it is not missed.
func (pl *place) refused(err error) {
	pl.reason = short(err)
	if pl.entry.Optional && pl.hook.Absent() {
		pl.left = notInKernel
	}
}

// Detach takes every hook out, in the opposite order. Iterators can still be run.
func (p *Probe) Detach() {
	// Taking one out waits until no cpu can be in it any more, which takes as long for one as
	// for many at once. Only lineage must be in order, and it is first in the table.
	var wg sync.WaitGroup
	for i := len(p.places) - 1; i >= 0; i-- {
		pl := &p.places[i]
		if pl.hook == nil || !pl.hook.Attached() {
			continue
		}
		pl.stopped = true
		if pl.entry.Group == lineage {
			wg.Wait()
			pl.hook.Detach()
			continue
		}
		wg.Go(func() { pl.hook.Detach() })
	}
	wg.Wait()
}

// Snapshot returns the iterators that describe the host, in the order in which they must run:
// processes, what they hold open, sockets.
func (p *Probe) Snapshot() (out []*bpf.Hook) { return p.iterators(false) }

// Sweeps returns the iterators that collect totals.
func (p *Probe) Sweeps() (out []*bpf.Hook) { return p.iterators(true) }

func (p *Probe) iterators(sweep bool) (out []*bpf.Hook) {
	for i := range p.places {
		if pl := &p.places[i]; pl.on && pl.hook.Iterator() && pl.entry.Sweep() == sweep {
			out = append(out, pl.hook)
		}
	}
	return out
}

// Failed marks an iterator that does not work, with the reason.
func (p *Probe) Failed(h *bpf.Hook, err error) {
	for i := range p.places {
		if p.places[i].hook == h {
			p.places[i].on, p.places[i].reason = false, short(err)
		}
	}
}

// Missed returns, for every attached hook, how often the kernel skipped it.
func (p *Probe) Missed(out []health.Miss) []health.Miss {
	for i := range p.places {
		pl := &p.places[i]
		if (pl.on || pl.stopped) && !pl.hook.Iterator() {
			out = append(out, health.Miss{Hook: pl.entry.Name, Class: pl.entry.Class(), Count: pl.hook.Missed()})
		}
	}
	return out
}

// Missing returns how many chosen hooks are not attached.
func (p *Probe) Missing() (n int) {
	for i := range p.places {
		if p.places[i].why() == Refused {
			n++
		}
	}
	return n
}

// Outcome is what became of a hook.
type Outcome struct {
	Entry    *Entry
	Attached bool
	Reason   string // why not; starts with "left out" when that was asked for
	Why      Why
	Tier     bpf.Tier
}

// Why says in a number why a hook is not attached.
type Why int64

const (
	Runs      Why = event.WhyRuns    // it is
	Refused   Why = event.WhyRefused // by the kernel
	ByProfile Why = event.WhyProfile // left out by the profile
	ByChoice  Why = event.WhyAsked   // left out when asked
	NotHere   Why = event.WhyNothing // this kernel has nothing for it to see
	NoHook    Why = event.WhyBlind   // a blind spot
	OtherTier Why = event.WhyTier    // a hook of another tier tells what it would
)

func (pl *place) why() Why {
	switch {
	case pl.on:
		return Runs
	case pl.left == notInKernel:
		return NotHere
	case pl.left == unwantedHere, pl.left == unaskedHere:
		return ByChoice
	case pl.by != "":
		return OtherTier
	case pl.left != "":
		return ByProfile
	}
	return Refused
}

const (
	notInKernel  = "not in this kernel"
	unwantedHere = "left out by --without"
	unaskedHere  = "left out by --filter"
)

// Outcomes tells what became of every hook, in the order of the table.
func (p *Probe) Outcomes() (out []Outcome) {
	for i := range p.places {
		pl := &p.places[i]
		reason := pl.reason
		switch {
		case pl.left != "":
			reason = pl.left
		case pl.by != "" && reason == "":
			reason = "told by " + pl.by
		}
		tier := bpf.Tracepoints
		if pl.hook != nil {
			tier = pl.hook.Tier()
		}
		out = append(out, Outcome{pl.entry, pl.on, reason, pl.why(), tier})
	}
	return out
}

// Lacks names what would feed the event and is not attached though the kernel has something for
// it to see, blind spots included. A hook of a lower tier that the kernel refused lacks nothing:
// those of the tracepoint tier are attached in its stead.
func (p *Probe) Lacks(t event.Type) (names []string) {
	for _, o := range p.Outcomes() {
		if o.Why != Runs && o.Why != NotHere && o.Why != OtherTier && o.Entry.unit == nil && o.Entry.Bits()&(1<<t) != 0 {
			names = append(names, o.Entry.Name)
		}
	}
	for _, b := range p.BlindSpots() {
		if b.Bits()&(1<<t) != 0 {
			names = append(names, b.Name)
		}
	}
	return names
}

// Coverage returns a row per hook and per blind spot.
func (p *Probe) Coverage(at clock.Boot) (rows []event.Row) {
	add := func(e *Entry, why Why, tier uint32, detail string) {
		n := int64(0)
		if why == Runs {
			n = 1
		}
		rows = append(rows, event.Row{
			TS: at, Type: event.Coverage, Flags: event.FlagRecorder, Op: tier, N1: n, N2: int64(e.Bits()), N3: int64(why),
			Text: []byte(e.Name), Text2: []byte(detail),
		})
	}
	for _, o := range p.Outcomes() {
		if o.Attached {
			detail := "feeds " + o.Entry.Tells()
			if w := p.worth(o); w != "" {
				detail += "; " + w
			}
			add(o.Entry, o.Why, uint32(o.Tier), detail)
		} else {
			add(o.Entry, o.Why, uint32(o.Tier), o.Reason+"; not seen: "+o.Entry.Without)
		}
	}
	for _, b := range p.BlindSpots() {
		add(b, NoHook, 0, "no hook in this version; not seen: "+b.Without)
	}
	return rows
}

// short is the first line of an error, of bounded length: the verifier writes pages.
func short(err error) string {
	if err == nil {
		return "not loaded"
	}
	s, _, _ := strings.Cut(fmt.Sprintf("%v", err), "\n")
	if len(s) > 200 {
		s = s[:200] + "..."
	}
	return s
}
