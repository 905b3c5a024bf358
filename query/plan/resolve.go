package plan

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"hindcast/format/clock"
	"hindcast/query/answer"
	"hindcast/query/lang"
	"hindcast/replay"
	"hindcast/replay/graph"
	"hindcast/replay/state"
)

// ErrNoEntity is returned when nothing in the recording has the name.
var ErrNoEntity = errors.New("nothing in the recording has that name")

// AmbiguousError is returned when a name has several meanings; each candidate's id says which.
type AmbiguousError struct {
	Name       string
	Candidates []answer.Candidate
	More       int // candidates left out
}

func (e *AmbiguousError) Error() string {
	return fmt.Sprintf("%q means %d things: name one by its id", e.Name, len(e.Candidates)+e.More)
}

// mostCandidates bounds a list of candidates.
const mostCandidates = 20

// Entity is what a name means.
type Entity struct {
	Ref   answer.Ref
	Nodes []graph.Node // of a socket both halves; of a remote end also its sockets'
	// At is the instant that the name gave (pid@TIME), 0 when it gave none.
	At clock.Boot

	proc  state.ProcID
	file  state.FileID
	socks []state.SockID
}

// Resolve finds what a name means:
//
//	1234  1234@TIME     a pid, at an instant
//	p:7k3q f:… s:…      an id, or the beginning of one
//	/path  /path@TIME   an object under any name it ever had
//	10.0.0.5:443        a remote end, or a local one
//	comm:sh  sh         processes by name
//
// Times without a zone are read in loc; nil is UTC. The error is ErrNoEntity, wrapped, or
// an *AmbiguousError.
func Resolve(m *replay.Model, name string, loc *time.Location) (Entity, error) {
	v := view{m}
	none := fmt.Errorf("%q: %w", name, ErrNoEntity)
	if name == "" {
		return Entity{}, none
	}
	if len(name) > 2 && name[1] == ':' && strings.IndexByte("pfs", name[0]) >= 0 {
		if e, err := v.byID(name); err == nil || errors.As(err, new(*AmbiguousError)) {
			return e, err
		}
	}
	if strings.HasPrefix(name, "/") {
		if e, err := v.byPath(name, 0); !errors.Is(err, ErrNoEntity) {
			return e, err
		}
	}
	if what, when, ok := cutLast(name, '@'); ok && what != "" {
		if w, ok := strings.CutSuffix(what, "@"); ok { // pid@@EPOCH
			what, when = w, "@"+when
		}
		begin, end := m.Bounds()
		w, err := lang.ParseTime(when, lang.Anchor{Begin: m.Wall(begin), End: m.Wall(end), Loc: loc})
		if err != nil {
			return Entity{}, fmt.Errorf("%q: %w", name, err)
		}
		at := m.Boot(w)
		e, err := v.byPath(what, at)
		if pid, perr := strconv.ParseUint(what, 10, 32); perr == nil {
			e, err = v.byPidAt(uint32(pid), at)
		}
		if err != nil {
			return e, fmt.Errorf("%q: %w", name, err)
		}
		e.At = at
		return e, nil
	}
	if pid, err := strconv.ParseUint(name, 10, 32); err == nil {
		return v.oneOf(name, m.Time.Pid(uint32(pid)))
	}
	if a, err := netip.ParseAddrPort(name); err == nil {
		if e, ok := v.byAddress(a); ok {
			return e, nil
		}
		return Entity{}, none
	}
	comm := strings.TrimPrefix(name, "comm:")
	if e, err := v.byPath(comm, 0); comm == name && !errors.Is(err, ErrNoEntity) {
		return e, err // a nameless object's bare name: memfd:x
	}
	var procs []state.ProcID
	for i := range m.State.Procs {
		p := &m.State.Procs[i]
		for j := range p.Images {
			if p.Images[j].Label(&m.State.Names) == comm {
				procs = append(procs, state.ProcID(i))
				break
			}
		}
	}
	return v.oneOf(name, procs)
}

func cutLast(s string, c byte) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, c)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

func (v view) byID(name string) (Entity, error) {
	found := v.m.FindID(name[0], name[2:], mostCandidates+1)
	var es []Entity
	for _, i := range found {
		switch name[0] {
		case replay.KindProcess:
			es = append(es, v.procEntity(state.ProcID(i)))
		case replay.KindFile:
			if f := v.m.State.Real(state.FileID(i)); len(found) == 1 || f == state.FileID(i) {
				es = append(es, v.fileEntity(f))
			}
		case replay.KindSocket:
			es = append(es, v.sockEntity(state.SockID(i)))
		}
	}
	return v.one(name, es)
}

func (v view) oneOf(name string, procs []state.ProcID) (Entity, error) {
	var es []Entity
	for _, p := range procs {
		es = append(es, v.procEntity(p))
	}
	return v.one(name, es)
}

// one returns the only entity, or says why there is none.
func (v view) one(name string, es []Entity) (Entity, error) {
	switch len(es) {
	case 0:
		return Entity{}, fmt.Errorf("%q: %w", name, ErrNoEntity)
	case 1:
		return es[0], nil
	}
	amb := &AmbiguousError{Name: name}
	for i := len(es) - 1; i >= 0; i-- { // newest first
		if len(amb.Candidates) == mostCandidates {
			amb.More = i + 1
			break
		}
		amb.Candidates = append(amb.Candidates, v.candidate(es[i]))
	}
	return Entity{}, amb
}

func (v view) candidate(e Entity) answer.Candidate {
	t := v.m.State
	c := answer.Candidate{Ref: e.Ref}
	switch {
	case e.proc != state.None:
		p := &t.Procs[e.proc]
		c.From = v.time(p.Begin())
		if p.Exited {
			c.To = v.timePtr(p.ExitAt)
		}
		if i := len(p.Images) - 1; i >= 0 {
			c.Text = quoteArgs(p.Images[i].Args())
		}
	case e.file != state.None:
		o := &t.Files[e.file]
		c.From = v.time(o.First)
		switch {
		case o.Deleted:
			c.To = v.timePtr(o.DeletedAt)
			c.Text = "deleted"
		case v.m.Classes.Context(e.Nodes[0]):
			c.Text = "not changed in the recording"
			if _, dark := darkness(v.m.Gaps, writeEvents); dark != "" {
				c.Text = "changes were not observable"
			}
		}
		if o.Created {
			c.Text = strings.TrimSuffix("created, "+c.Text, ", ")
		}
	case len(e.socks) > 0:
		s := &t.Socks[e.socks[0]]
		c.From = v.time(s.Opened)
		if s.Closed != 0 {
			c.To = v.timePtr(s.Closed)
		}
		if s.Owner != state.None {
			c.Text = v.procLabel(s.Owner, s.Opened)
		}
	}
	return c
}

func (v view) byPidAt(pid uint32, at clock.Boot) (Entity, error) {
	if p := v.m.Time.PidAt(pid, at); p != state.None {
		return v.procEntity(p), nil
	}
	return Entity{}, ErrNoEntity
}

// byPath finds an object by a name it had, at an instant or (0) ever. Of several, one that
// alone was changed, run or removed while the recording ran is meant: the others only lay there.
func (v view) byPath(path string, at clock.Boot) (Entity, error) {
	t := v.m.State
	if at != 0 {
		if f := t.NamedAt(path, at); f != state.None {
			return v.fileEntity(f), nil
		}
		return Entity{}, ErrNoEntity
	}
	files := t.Named(path)
	if len(files) > 1 {
		var live []state.FileID
		for _, f := range files {
			o := &t.Files[f]
			if !v.m.Classes.Context(v.m.Graph.Node(graph.File, uint32(f))) || o.Deleted {
				live = append(live, f)
			}
		}
		if len(live) == 1 {
			files = live
		}
	}
	var es []Entity
	for _, f := range files {
		es = append(es, v.fileEntity(f))
	}
	return v.one(path, es)
}

func (v view) byAddress(a netip.AddrPort) (Entity, bool) {
	t := v.m.State
	addr, ok := t.Names.Lookup(a.Addr().Unmap().String())
	if !ok {
		return Entity{}, false
	}
	label := netip.AddrPortFrom(a.Addr().Unmap(), a.Port()).String()
	e := Entity{Ref: answer.Ref{Kind: "remote", ID: label, Label: label}, proc: state.None, file: state.None}
	for i, r := range v.m.Graph.Remotes {
		if r.Addr == addr && r.Port == a.Port() {
			e.Nodes = append(e.Nodes, v.m.Graph.Node(graph.Remote, uint32(i)))
		}
	}
	for _, local := range [2]bool{false, true} {
		for i := range t.Socks {
			s := &t.Socks[i]
			if !local && s.RAddr == addr && s.RPort == a.Port() || local && s.LAddr == addr && s.LPort == a.Port() && s.Role != state.RoleListening {
				e.socks = append(e.socks, state.SockID(i))
			}
		}
		if len(e.socks) > 0 {
			break
		}
	}
	for _, s := range e.socks {
		e.Nodes = append(e.Nodes, v.m.Graph.Node(graph.SockIn, uint32(s)), v.m.Graph.Node(graph.SockOut, uint32(s)))
	}
	return e, len(e.socks) > 0
}

func (v view) procEntity(p state.ProcID) Entity {
	return Entity{Ref: v.proc(p, lastInstant), Nodes: []graph.Node{v.m.Graph.Node(graph.Process, uint32(p))}, proc: p, file: state.None}
}

func (v view) fileEntity(f state.FileID) Entity {
	return Entity{Ref: v.file(f, lastInstant), Nodes: []graph.Node{v.m.Graph.Node(graph.File, uint32(f))}, proc: state.None, file: f}
}

func (v view) sockEntity(s state.SockID) Entity {
	g := v.m.Graph
	return Entity{Ref: v.sock(s), proc: state.None, file: state.None, socks: []state.SockID{s},
		Nodes: []graph.Node{g.Node(graph.SockIn, uint32(s)), g.Node(graph.SockOut, uint32(s))}}
}
