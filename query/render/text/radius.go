package text

import (
	"fmt"
	"io"
	"strings"

	"hindcast/query/answer"
)

// groupLimit is how many members of a group are printed without Verbose.
const groupLimit = 20

// Radius prints what an entity touched, in groups with their counts; empty groups are named
// once, at the end, as not observed.
func Radius(w io.Writer, r *answer.Radius, o Options) error {
	p := newPrinter(w, o)
	p.bounds(r.From, r.Until)
	p.put(p.color(bold, p.val(r.Seed.ID)))
	if r.Seed.Label != r.Seed.ID {
		p.put(" " + p.val(r.Seed.Label))
	}
	p.put("  " + p.span(r.From.Wall, r.Until.Wall))
	p.line()
	p.f("depth %d · %s · %s changed · %s · %s read", r.Depth, count(len(r.Processes), "process", "processes"), count(len(r.Files), "file", "files"),
		count(len(r.Peers), "peer", "peers"), count(len(r.Secrets), "secret", "secrets"))
	if len(r.Persistence) > 0 {
		p.f(" · %s", count(len(r.Persistence), "persistence point", "persistence points"))
	}
	if r.MaxDepth > 0 {
		p.f("  (walk limited to depth %d)", r.MaxDepth)
	}
	p.line()

	var none []string
	dark := map[string]bool{} // groups of which nothing can be said
	for _, g := range r.NotSeen {
		if g.Kind == "not_observable" {
			dark[g.Cause] = true
		}
	}
	group := func(title string, n int, item func(i int)) {
		if n == 0 {
			if !dark[title] {
				none = append(none, title)
			}
			return
		}
		p.line()
		p.put(p.color(bold, title))
		p.f(" %d", n)
		p.line()
		for i := 0; i < n; i++ {
			if i == groupLimit && !o.Verbose && n > groupLimit+1 {
				p.f("  … %d more (-v lists them)", n-i)
				p.line()
				return
			}
			item(i)
		}
	}
	group("processes", len(r.Processes), func(i int) { p.reached(&r.Processes[i]) })
	group("secrets read", len(r.Secrets), func(i int) { p.secret(&r.Secrets[i]) })
	group("persistence points written", len(r.Persistence), func(i int) {
		x := &r.Persistence[i]
		p.item(x.Path, fmt.Sprintf("%s %s", p.val(x.Kind), p.val(x.What)), x.By, x.At, x.Certainty, p.val(x.Technique))
		p.witness(x.Witness, x.Evidence)
	})
	group("files changed", len(r.Files), func(i int) { p.file(&r.Files[i]) })
	group("peers", len(r.Peers), func(i int) { p.peer(&r.Peers[i]) })
	group("privilege changes", len(r.Privilege), func(i int) {
		x := &r.Privilege[i]
		p.put("  " + p.ref(x.Process))
		p.f("  uid %d→%d", x.Before.EUID, x.After.EUID)
		if x.Before.CapEff != x.After.CapEff {
			p.f("  caps %x→%x", x.Before.CapEff, x.After.CapEff)
		}
		p.put("  " + p.val(x.How) + "  " + p.clock(x.At))
		if x.Gained {
			p.put("  " + p.color(red, "gained"))
		}
		p.put("  " + p.certainty(x.Certainty))
		p.line()
		p.evidence("      ", x.Evidence)
	})
	group("boundaries crossed", len(r.Crossed), func(i int) {
		x := &r.Crossed[i]
		p.put("  " + p.ref(x.Process) + "  " + p.val(x.What))
		p.f(" %d→%d  %s", x.From, x.To, p.clock(x.At))
		p.line()
		p.evidence("      ", x.Evidence)
	})
	group("influenced without descending from it", len(r.Influenced), func(i int) {
		x := &r.Influenced[i]
		p.put("  " + p.ref(x.Process) + "  " + p.val(x.How) + "  " + p.ref(x.Object) + "  " + p.clock(x.At) + "  " + p.certainty(x.Certainty))
		p.line()
		p.witness(x.Witness, x.Evidence)
	})
	group("signs of hiding", len(r.Evasion), func(i int) {
		x := &r.Evasion[i]
		p.put("  " + p.val(x.What))
		if x.Object != nil {
			p.put("  " + p.ref(*x.Object))
		}
		if x.Process != nil {
			p.put("  by " + p.ref(*x.Process))
		}
		p.put("  " + p.clock(x.At) + "  " + p.certainty(x.Certainty) + "  " + p.val(x.Technique))
		p.line()
		p.evidence("      ", x.Evidence)
	})
	group("not seen to end", len(r.Remaining), func(i int) {
		x := &r.Remaining[i]
		p.put("  " + pad(p.val(x.Kind), 10) + " " + p.ref(x.Ref))
		if x.By != nil {
			p.put("  of " + p.ref(*x.By))
		}
		p.f("  since %s", p.clock(x.Since))
		if x.Text != "" {
			p.put("  " + p.val(x.Text))
		}
		p.line()
		p.evidence("      ", x.Evidence)
	})
	group("tried and failed", len(r.Attempts), func(i int) {
		x := &r.Attempts[i]
		p.put("  " + p.val(x.What) + " " + p.val(x.Target) + "  " + p.val(x.Error))
		if x.Count > 1 {
			p.f("  ×%d", x.Count)
		}
		p.put("  by " + p.ref(x.Process) + "  " + p.clock(x.At))
		p.line()
		p.evidence("      ", x.Evidence)
	})
	p.line()
	if len(none) > 0 {
		p.put("none observed: " + strings.Join(none, ", "))
		p.line()
	}
	p.hubs(r.Hubs)
	p.counts(r.Counts)
	p.nodes(r.Nodes)
	p.notSeen(r.NotSeen)
	return p.err
}

func (p *printer) item(title, what string, by answer.Ref, at answer.Time, c answer.Certainty, tail string) {
	p.put("  " + p.val(title) + "  " + what + "  by " + p.ref(by) + "  " + p.clock(at) + "  " + p.certainty(c))
	if tail != "" {
		p.put("  " + tail)
	}
	p.line()
}

func (p *printer) reached(x *answer.ReachedProcess) {
	p.put("  ")
	p.process(&x.Process, 0)
	p.line()
	p.witness(x.Witness, x.Evidence)
}

func (p *printer) file(x *answer.FileEffect) {
	path := x.Path
	if path == "" {
		path = x.Label
	}
	p.put("  " + p.val(path))
	if x.Dir {
		p.put("/")
	}
	p.put("  " + p.val(strings.Join(x.What, "+")))
	if x.Old != "" {
		p.put(" from " + p.val(x.Old))
	}
	if x.Bytes > 0 {
		p.put("  " + Size(x.Bytes))
	}
	p.put("  by " + p.refs(x.By, 3))
	p.put("  " + p.clock(x.First))
	if x.Exists == "deleted" {
		p.put("  " + p.color(yellow, "deleted"))
	}
	p.put("  " + p.certainty(x.Certainty))
	p.line()
	for i, u := range x.Later {
		if i == 5 && !p.o.Verbose && len(x.Later) > 6 {
			p.f("      → and %d later uses more (-v)", len(x.Later)-i)
			p.line()
			break
		}
		p.put("      → " + p.val(u.What) + " by " + p.ref(u.Process) + "  " + p.clock(u.At))
		if !u.Reached {
			p.put("  " + p.color(yellow, "outside the descent"))
		}
		p.line()
		p.evidence("        ", u.Evidence)
	}
	p.witness(x.Witness, x.Evidence)
}

func (p *printer) secret(x *answer.Secret) {
	path := x.Path
	if path == "" {
		path = x.Label
	}
	verb := "read"
	if x.Opened {
		verb = "opened, no read observed,"
	}
	p.put("  " + p.val(path) + "  " + verb + " by " + p.ref(x.By) + "  " + p.clock(x.At))
	if x.Bytes > 0 {
		p.put("  " + Size(x.Bytes))
	}
	if x.What != "" {
		p.put("  " + p.val(x.What))
	}
	p.put("  " + p.certainty(x.Certainty))
	p.line()
	for _, e := range x.Egress {
		p.put("      then " + p.ref(e.Process) + " sent " + Size(e.Bytes) + " to " + p.val(e.Peer) + "  " + p.clock(e.At) + "  (not proof that the secret was in it)")
		p.line()
		p.evidence("        ", e.Evidence)
	}
	p.witness(x.Witness, x.Evidence)
}

func (p *printer) peer(x *answer.Peer) {
	word := map[string]string{"out": "connected", "in": "accepted from"}[x.Direction]
	if word == "" {
		word = "spoken to"
	}
	p.put("  " + p.val(x.Address) + "  " + word + " by " + p.refs(x.By, 3))
	if x.Proto != "" && x.Proto != "tcp" {
		p.put("  " + p.val(x.Proto))
	}
	switch {
	case x.ByteKnown:
		p.put("  sent " + Size(x.Sent) + " received " + Size(x.Received))
	case x.Tried > 0 && x.Tried >= len(x.Sockets):
	default:
		p.put("  bytes unknown")
	}
	p.put("  " + p.clock(x.First))
	if x.Local != nil {
		p.put("  other end " + p.ref(*x.Local))
	} else if x.Internal {
		p.put("  internal")
	}
	if x.Open {
		p.put("  " + p.color(yellow, "not seen to close"))
	}
	if x.Tried > 0 {
		p.f("  %d failed (%s)", x.Tried, p.val(strings.Join(x.Errors, ", ")))
	}
	p.put("  " + p.certainty(x.Certainty))
	p.line()
	p.witness(x.Witness, x.Evidence)
}

// witness prints the path by which an item was reached, when asked for.
func (p *printer) witness(x answer.Witness, rows []string) {
	if !p.o.Verbose {
		return
	}
	if len(x.Steps) > 0 {
		p.put("      path ")
		for i, s := range x.Steps {
			if i == 0 {
				p.put(p.val(s.From.Label))
			}
			p.put(" " + p.val(s.Verb) + " → " + p.val(s.To.Label))
		}
		p.line()
	}
	p.evidence("      ", rows)
}
