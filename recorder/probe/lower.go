//go:build linux && (amd64 || arm64)

package probe

import (
	"errors"
	"slices"
	"strings"

	"hindcast/bpf"
	"hindcast/format/event"
)

// attachLower attaches what can be had of the tiers below tracepoints, unit by unit, by trying. A
// hook that is refused there is not missed: the tracepoint tier tells its events, and the
// reason stays with it.
func (p *Probe) attachLower() {
	at := map[string]*place{}
	for i := range p.places {
		at[p.places[i].entry.Name] = &p.places[i]
	}
	var lower uint64
	byName := "" // the tier that tells names, and so needs the mounts
	for i := range units {
		u := &units[i]
		on := false
		for _, tier := range []string{"l", "k"} {
			var of []*place
			for _, name := range u.programs(tier) {
				if pl := at[name]; pl != nil {
					of = append(of, pl)
				}
			}
			if len(of) == 0 {
				continue
			}
			if on {
				instead(of, "tier L")
				continue
			}
			if err := together(of); err != nil {
				for _, pl := range of {
					pl.by, pl.reason = "tracepoints", short(err)
				}
				continue
			}
			if of[0].left != "" {
				continue
			}
			on = true
			if u.lower && u.group == names {
				byName = tier
			}
			for _, name := range u.replaces {
				if pl := at[name]; pl != nil && pl.left == "" {
					pl.by = of[0].entry.Name
				}
			}
			if u.lower {
				lower |= of[0].entry.Bits()
			}
		}
	}
	for i := range p.places {
		pl := &p.places[i]
		if !pl.entry.mount || pl.left != "" {
			continue
		}
		switch tier := pl.entry.Name[3:4]; {
		case byName == "":
			pl.by, pl.reason = "tracepoints", "names are told by tracepoints"
		case tier != byName:
			pl.by, pl.reason = "another tier", "names are told by another tier"
		default: // as any other hook, but beside the point where the kernel has no such function
			if err := attach(pl); err != nil {
				pl.refused(err)
			}
		}
	}
	p.lower = lower
	p.tellLower()
}

// tellLower tells the programs which events are told below the tracepoints. Requests of io_uring
// have hooks of their own, which know who submitted them: where those run the lower tiers leave
// them alone. Without the message both tiers tell, which is more than is wanted, and nothing is lost.
func (p *Probe) tellLower() {
	set := p.lower
	for i := range p.places {
		if pl := &p.places[i]; pl.on && strings.HasPrefix(pl.entry.Name, "hc_uring_complete") {
			set |= 1 << event.IOUring
		}
	}
	_ = p.set.Lower(set)
}

func instead(of []*place, by string) {
	for _, pl := range of {
		pl.by = by
	}
}

var errNotLoaded = errors.New("not loaded")

func attach(pl *place) error {
	if !pl.hook.Loaded() {
		if pl.hook.Err != nil {
			return pl.hook.Err
		}
		return errNotLoaded
	}
	if err := pl.hook.Attach(); err != nil {
		return err
	}
	pl.on = true
	return nil
}

// together attaches all or none.
func together(of []*place) error {
	for i, pl := range of {
		if pl.left != "" {
			return nil
		}
		if err := attach(pl); err != nil {
			for _, done := range of[:i] {
				done.hook.Detach()
				done.on = false
			}
			return err
		}
	}
	return nil
}

// worth says what the hook means for the trust of what it feeds.
func (p *Probe) worth(o Outcome) string {
	if o.Entry.Trust != "" || o.Tier != bpf.Tracepoints {
		return o.Entry.Trust
	}
	bits := o.Entry.Bits()
	for i := range units {
		u := &units[i]
		if !u.lower || u.bits()&bits == 0 || bits&^u.bits() != 0 {
			continue
		}
		if p.lower&bits == bits {
			return "only what is refused before the kernel's function is reached; the rest is told from inside it"
		}
		return u.claimed
	}
	return ""
}

func (u *unit) bits() (set uint64) {
	for _, t := range u.feeds {
		set |= 1 << t
	}
	return set
}

// Trust says, for a group of hooks, which tier runs and what that means for the trust of what they
// tell; empty when the group has one tier only.
func (p *Probe) Trust(group string) string {
	var said []string
	say := func(s string) {
		if !slices.Contains(said, s) {
			said = append(said, s)
		}
	}
	at := map[string]*place{}
	for i := range p.places {
		at[p.places[i].entry.Name] = &p.places[i]
	}
	for i := range units {
		u := &units[i]
		if u.group != group {
			continue
		}
		l, k := at[u.programs("l")[0]], at[u.programs("k")[0]]
		switch {
		case l != nil && l.on:
			say("tier L (inside kernel functions): " + u.trust)
		case k != nil && k.on:
			say("tier K (kprobes in kernel functions): " + u.trust)
		case l != nil && l.left != "":
		case l != nil:
			say("tier T (tracepoints), since tier L is refused: " + u.claimed)
		}
	}
	return strings.Join(said, "; ")
}

// Tier returns the lowest tier that tells the event, and how the hook that does is named.
func (p *Probe) Tier(set uint64) (tier bpf.Tier, by *Entry) {
	for _, o := range p.Outcomes() {
		if o.Attached && o.Entry.Bits()&set != 0 && (by == nil || o.Tier > tier) && (o.Tier == bpf.Tracepoints || o.Entry.unit != nil && o.Entry.unit.lower) {
			tier, by = o.Tier, o.Entry
		}
	}
	return tier, by
}
