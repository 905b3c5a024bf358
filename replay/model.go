package replay

import (
	"fmt"
	"slices"

	"hindcast/format/clock"
	"hindcast/format/event"
	"hindcast/replay/cause"
	"hindcast/replay/gap"
	"hindcast/replay/graph"
	"hindcast/replay/index"
	"hindcast/replay/load"
	"hindcast/replay/state"
	"hindcast/replay/timeline"
)

// Options are what Build cannot learn from the rows.
type Options struct {
	// BootID goes into short ids, so that entities of two boots never share one. Empty is allowed.
	BootID string
	// Offset gives a segment's distance from boot time to wall time. Nil: the source's own
	// Offset method if it has one, else 0.
	Offset func(segment uint32) clock.Offset
	// Findings are sentences about damage of the capture; each becomes a hole of every answer.
	Findings []string
	// Hubs is where walks stop. Nil: the built-in list.
	Hubs cause.List
}

// Model is everything that the rows of a capture say.
type Model struct {
	State   *state.Table
	Time    *timeline.Timeline
	Graph   *graph.Graph
	Gaps    *gap.Set
	Classes *cause.Classes

	ids     [3]index.IDs // process, file, socket
	listens map[uint64]bool
	offsets []offsetSpan
}

type offsetSpan struct {
	from   clock.Boot
	offset clock.Offset
}

// Kinds of entities that have short ids.
const (
	KindProcess = 'p'
	KindFile    = 'f'
	KindSocket  = 's'
)

// Build reads the whole source once.
func Build(src load.Source, o Options) (*Model, error) {
	t := state.NewTable()
	b := graph.NewBuilder(t)
	m := &Model{State: t, Gaps: gap.NewSet()}
	if o.Offset == nil {
		if s, ok := src.(interface {
			Offset(segment uint32) clock.Offset
		}); ok {
			o.Offset = s.Offset
		}
	}
	seen := map[uint32]bool{}
	last := uint32(1<<32 - 1)
	err := src.Scan(0, 0, func(r *event.Row, id load.RowID) error {
		if id.Segment != last {
			last = id.Segment
			if !seen[last] {
				seen[last] = true
				if o.Offset != nil {
					m.offsets = append(m.offsets, offsetSpan{r.TS, o.Offset(last)})
				}
			}
		}
		m.Gaps.Apply(r, id)
		b.Apply(r, id, t.Apply(r, id))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("replay: %w", err)
	}
	slices.SortStableFunc(m.offsets, func(a, b offsetSpan) int {
		if a.from < b.from {
			return -1
		}
		if a.from > b.from {
			return 1
		}
		return 0
	})
	m.Gaps.Finish(&t.Truncated, o.Findings)
	m.Time = timeline.Build(t)
	m.Graph = b.Finish()
	hubs := o.Hubs
	if hubs == nil {
		hubs = cause.Hubs()
	}
	m.Classes = cause.Classify(m.Graph, hubs)
	m.listens = make(map[uint64]bool)
	for i := range t.Socks {
		if s := &t.Socks[i]; s.Role == state.RoleListening && s.Proto == state.ProtoTCP {
			m.listens[uint64(s.NetNS)<<16|uint64(s.LPort)] = true
		}
	}
	m.number(o.BootID)
	return m, nil
}

// Listened reports whether some TCP socket was seen to listen on the port.
func (m *Model) Listened(netns uint32, port uint16) bool {
	return m.listens[uint64(netns)<<16|uint64(port)]
}

// number gives every entity its short id.
func (m *Model) number(boot string) {
	t := m.State
	for i := range t.Procs {
		p := &t.Procs[i]
		m.ids[0].Add(index.Hash(boot, KindProcess, uint64(p.PID), p.Start))
	}
	for i := range t.Files {
		o := &t.Files[i]
		if o.Keyed {
			m.ids[1].Add(index.Hash(boot, KindFile, uint64(o.Dev), o.Ino, uint64(o.Gen), uint64(o.Again)))
			continue
		}
		name := t.Names.String(o.LastName())
		m.ids[1].Add(index.Hash(boot+"\x00"+name, KindFile, uint64(o.First)))
	}
	for i := range t.Socks {
		s := &t.Socks[i]
		switch {
		case s.Cookie != 0 && s.Proto != state.ProtoUDP:
			m.ids[2].Add(index.Hash(boot, KindSocket, s.Cookie))
		default:
			ends := t.Names.String(s.LAddr) + "\x00" + t.Names.String(s.RAddr)
			m.ids[2].Add(index.Hash(boot+"\x00"+ends, KindSocket, s.Cookie, s.Ino, uint64(s.NetNS), uint64(s.Proto),
				uint64(s.LPort), uint64(s.RPort), uint64(s.Opened)))
		}
	}
	for i := range m.ids {
		m.ids[i].Freeze()
	}
}

// ID returns the short id of the i-th entity of a kind: "p:7k3q".
func (m *Model) ID(kind byte, i uint32) string {
	return string([]byte{kind, ':'}) + m.ids[kindIndex(kind)].ID(i)
}

// FindID returns the entities of a kind whose id begins so, at most limit.
func (m *Model) FindID(kind byte, id string, limit int) []uint32 {
	return m.ids[kindIndex(kind)].Find(id, limit)
}

func kindIndex(kind byte) int {
	switch kind {
	case KindFile:
		return 1
	case KindSocket:
		return 2
	}
	return 0
}

// Wall converts an instant with the offset of the segment that was being written then.
func (m *Model) Wall(b clock.Boot) clock.Wall {
	return b.Wall(m.offset(func(s offsetSpan) bool { return s.from <= b }))
}

// Boot converts a wall instant back.
func (m *Model) Boot(w clock.Wall) clock.Boot {
	return w.Boot(m.offset(func(s offsetSpan) bool { return s.from.Wall(s.offset) <= w }))
}

func (m *Model) offset(began func(offsetSpan) bool) clock.Offset {
	var o clock.Offset
	for i, s := range m.offsets {
		if i == 0 || began(s) {
			o = s.offset
		}
	}
	return o
}

// Bounds returns the first and last instants that were observed live.
func (m *Model) Bounds() (begin, end clock.Boot) { return m.Gaps.Bounds() }
