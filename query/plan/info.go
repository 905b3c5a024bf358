package plan

import (
	"cmp"
	"slices"
	"strings"

	"hindcast/format/clock"
	"hindcast/format/event"
	"hindcast/format/segment"
	"hindcast/query/answer"
	"hindcast/replay/gap"
	"hindcast/replay/load"
)

// Facts is what a capture knows about itself without its rows.
type Facts struct {
	Path     string
	Meta     segment.Meta // of the first segment
	Boots    []string     // distinct boot ids, in order
	Segments int
	Sealed   int
	Bytes    int64
	Findings []segment.Finding
	Offset   func(segment uint32) clock.Offset
}

// Info answers "what is in this capture".
type Info struct {
	Path      string       `json:"path"`
	Host      string       `json:"host"`
	Kernel    string       `json:"kernel"`
	Arch      string       `json:"arch"`
	CPUs      int          `json:"cpus"`
	Boots     []string     `json:"boots"`
	Recorder  string       `json:"recorder"` // version that wrote it
	Format    int          `json:"format"`
	Catalog   int          `json:"catalog"`
	Command   []string     `json:"command"` // empty: the whole host
	Begin     answer.Time  `json:"begin"`   // first and last instant of live rows
	End       answer.Time  `json:"end"`
	Segments  int          `json:"segments"`
	Sealed    int          `json:"sealed"`
	Bytes     int64        `json:"bytes"`
	Rows      uint64       `json:"rows"`
	Snapshot  uint64       `json:"snapshot_rows"` // describe the state found
	Recording uint64       `json:"recorder_rows"` // the recorder's own
	Events    []EventCount `json:"events"`        // by id
	Processes int          `json:"processes"`     // distinct, threads collapsed
	Files     int          `json:"files"`         // distinct objects with an identity
	Peers     int          `json:"peers"`         // distinct remote address and port
	LostTotal uint64       `json:"lost"`          // rows known to be lost
	Lost      []Loss       `json:"lost_by_class"` // by event and cause
	Coverage  []Hook       `json:"coverage"`      // by hook
	// Filter is what was asked for when it was recorded, empty for everything; FilterParts what of it
	// was decided where, and LeftOut how many events it left out, as far as that was told.
	Filter      string   `json:"filter"`
	FilterParts string   `json:"filter_parts"`
	LeftOut     uint64   `json:"left_out"`
	LeftOutBy   string   `json:"left_out_by"`
	Actions     []Action `json:"recorder_notes"` // what the recorder said of itself
	// Snapshotted: a whole description of the state at the start was written.
	Snapshotted bool              `json:"snapshot_complete"`
	Stopped     bool              `json:"orderly_end"`
	Findings    []segment.Finding `json:"findings"`
	NotSeen     []answer.Gap      `json:"not_seen"`
}

// EventCount is the number of rows of one event.
type EventCount struct {
	Event  string `json:"event"`
	Family string `json:"family"`
	Rows   uint64 `json:"rows"`
}

// Loss is what the ledger says about one event and cause.
type Loss struct {
	Event  string      `json:"event"` // "any" when the class is unknown
	Cause  string      `json:"cause"`
	Detail []string    `json:"detail"`
	Lost   uint64      `json:"lost"`
	Seen   uint64      `json:"seen"` // rows of that event that were recorded
	From   answer.Time `json:"from"`
	To     answer.Time `json:"to"`
	CPUs   []int       `json:"cpus"`
	Rows   []string    `json:"evidence"`
}

// Hook is one line of coverage.
type Hook struct {
	Hook     string   `json:"hook"`
	Attached bool     `json:"attached"`
	Tier     int      `json:"tier"` // 1 tracepoint, 2 LSM or fentry, 3 kprobe
	Detail   string   `json:"detail"`
	Events   []string `json:"events"` // that depend on it
}

// Action is one thing the recorder noted.
type Action struct {
	At     answer.Time `json:"at"`
	Action string      `json:"action"`
	Detail string      `json:"detail"`
	Number int64       `json:"number"`
	Row    string      `json:"evidence"`
}

// mostActions bounds the recorder's notes that are kept, for stores that went through many starts.
const mostActions = 1000

const infoCols = 1<<event.ColTS | 1<<event.ColType | 1<<event.ColFlags | 1<<event.ColCPU | 1<<event.ColPID | 1<<event.ColPStart |
	1<<event.ColOPID | 1<<event.ColOStart | 1<<event.ColDev | 1<<event.ColIno | 1<<event.ColGen | 1<<event.ColRAddr | 1<<event.ColRPort |
	1<<event.ColT0 | 1<<event.ColText | 1<<event.ColText2 | 1<<event.ColOp | 1<<event.ColN1 | 1<<event.ColN2

// Describe reads a capture once and says what is in it.
func Describe(src load.Source, f Facts) (*Info, error) {
	m := f.Meta
	x := &Info{Path: f.Path, Host: m.Host, Kernel: m.Kernel, Arch: m.Arch, CPUs: m.CPUs, Boots: f.Boots, Recorder: m.Recorder, Format: m.Format,
		Catalog: m.Catalog, Command: m.Command, Segments: f.Segments, Sealed: f.Sealed, Bytes: f.Bytes, Findings: f.Findings}
	if f.Offset == nil {
		f.Offset = func(uint32) clock.Offset { return m.Clock.Offset() }
	}
	at := func(b clock.Boot, seg uint32) answer.Time { return answer.Time{Boot: b, Wall: b.Wall(f.Offset(seg))} }
	type proc struct {
		pid   uint32
		start uint64
	}
	type object struct {
		dev, gen uint32
		ino      uint64
	}
	type peer struct {
		addr string
		port uint16
	}
	procs, files, peers := map[proc]struct{}{}, map[object]struct{}{}, map[peer]struct{}{}
	var rows [event.MaxType]uint64
	var unknown uint64
	losses := map[[2]string]*Loss{}
	hooks := map[string]*Hook{}
	gaps := gap.NewSet()
	seen := false
	err := src.Scan(infoCols, 0, func(r *event.Row, id load.RowID) error {
		gaps.Apply(r, id)
		x.Rows++
		if r.Type < event.MaxType {
			rows[r.Type]++
		} else {
			unknown++
		}
		e := event.ByID(r.Type)
		recorder := e != nil && e.Family == "recorder"
		switch {
		case recorder:
			x.Recording++
		case r.Flags&event.FlagSnapshot != 0:
			x.Snapshot++
		default:
			if t := at(r.TS, id.Segment); !seen || r.TS < x.Begin.Boot {
				x.Begin = t
				if !seen {
					x.End = t
				}
				seen = true
			}
			if r.TS > x.End.Boot {
				x.End = at(r.TS, id.Segment)
			}
		}
		if r.PID != 0 && !recorder {
			procs[proc{r.PID, r.PStart}] = struct{}{}
		}
		switch r.Type {
		case event.Fork:
			if r.N1&cloneThread == 0 && r.OPID != 0 {
				procs[proc{r.OPID, r.OStart}] = struct{}{}
			}
		case event.Ledger:
			if r.N2 <= 0 {
				return nil
			}
			name := "any"
			if r.N1 > 0 && r.N1 < event.MaxType {
				name = event.Type(r.N1).String()
			}
			k := [2]string{name, string(r.Text)}
			l := losses[k]
			if l == nil {
				l = &Loss{Event: name, Cause: k[1], From: at(r.T0, id.Segment), To: at(r.TS, id.Segment)}
				losses[k] = l
			}
			l.Lost += uint64(r.N2)
			x.LostTotal += uint64(r.N2)
			if r.T0 < l.From.Boot {
				l.From = at(r.T0, id.Segment)
			}
			if r.TS > l.To.Boot {
				l.To = at(r.TS, id.Segment)
			}
			if d := string(r.Text2); d != "" && !slices.Contains(l.Detail, d) && len(l.Detail) < 16 {
				l.Detail = append(l.Detail, d)
			}
			if !slices.Contains(l.CPUs, int(r.CPU)) {
				l.CPUs = append(l.CPUs, int(r.CPU))
			}
			if len(l.Rows) < 64 {
				l.Rows = append(l.Rows, id.String())
			}
		case event.Coverage:
			if string(r.Text) == event.FilterHook {
				x.Filter, x.FilterParts, _ = strings.Cut(string(r.Text2), "\n")
				return nil
			}
			k := string(r.Text) + "\x00" + string(r.Text2)
			h := hooks[k]
			if h == nil {
				h = &Hook{Hook: string(r.Text), Detail: string(r.Text2)}
				hooks[k] = h
			}
			h.Attached, h.Tier, h.Events = r.N1 != 0, int(r.Op), gap.Names(uint64(r.N2))
		case event.Recorder:
			a := string(r.Text)
			switch a {
			case "stop":
				x.Stopped = true
			case "snapshot-end":
				x.Snapshotted = true
			case "left-out":
				x.LeftOut, x.LeftOutBy = uint64(r.N1), string(r.Text2)
			}
			if len(x.Actions) < mostActions {
				x.Actions = append(x.Actions, Action{at(r.TS, id.Segment), a, string(r.Text2), r.N1, id.String()})
			}
		}
		if r.Type.Has()>>event.ColIno&1 != 0 && r.Ino != 0 && e != nil && e.Family != "net" {
			files[object{r.Dev, r.Gen, r.Ino}] = struct{}{}
		}
		if r.Type.Has()>>event.ColRAddr&1 != 0 && len(r.RAddr) > 0 && r.RPort != 0 {
			k := peer{string(r.RAddr), r.RPort}
			peers[k] = struct{}{}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	x.Processes, x.Files, x.Peers = len(procs), len(files), len(peers)
	for t, n := range rows {
		if n == 0 {
			continue
		}
		c := EventCount{Event: event.Type(t).String(), Rows: n}
		if e := event.ByID(event.Type(t)); e != nil {
			c.Family = e.Family
		} else {
			unknown += n
			continue
		}
		x.Events = append(x.Events, c)
	}
	if unknown > 0 {
		x.Events = append(x.Events, EventCount{Event: "unknown", Rows: unknown})
	}
	for _, l := range losses {
		if e := event.ByName(l.Event); e != nil {
			l.Seen = rows[e.ID]
		} else {
			l.Seen = x.Rows - x.Recording
		}
		slices.Sort(l.CPUs)
		x.Lost = append(x.Lost, *l)
	}
	slices.SortFunc(x.Lost, func(a, b Loss) int {
		return cmp.Or(cmp.Compare(b.Lost, a.Lost), cmp.Compare(a.Event, b.Event), cmp.Compare(a.Cause, b.Cause))
	})
	for _, h := range hooks {
		x.Coverage = append(x.Coverage, *h)
	}
	slices.SortFunc(x.Coverage, func(a, b Hook) int {
		return cmp.Or(cmp.Compare(a.Hook, b.Hook), cmp.Compare(a.Detail, b.Detail))
	})
	x.NotSeen = limits(gaps, f)
	return x, nil
}

// cloneThread is CLONE_THREAD: the new task is a thread of its creator's process.
const cloneThread = 0x10000

// Limits returns what a capture could not see of the given events (a set of ids as bits, 0 any)
// between two instants (0 none), without building a model.
func Limits(src load.Source, f Facts, events uint64, since, until clock.Boot) ([]answer.Gap, error) {
	gaps := gap.NewSet()
	recorder := gap.Events(event.Ledger, event.Coverage, event.Recorder, event.Clock)
	cols := uint64(infoCols)
	if err := src.Scan(cols, recorder, func(r *event.Row, id load.RowID) error {
		gaps.Apply(r, id)
		return nil
	}); err != nil {
		return nil, err
	}
	return convert(finish(gaps, f), f, events, since, until), nil
}

func limits(gaps *gap.Set, f Facts) []answer.Gap { return convert(finish(gaps, f), f, 0, 0, 0) }

func finish(gaps *gap.Set, f Facts) *gap.Set {
	var damage []string
	for i := range f.Findings {
		if !f.Findings[i].Harmless() {
			damage = append(damage, f.Findings[i].Error())
		}
	}
	var cut [event.MaxType]uint64
	gaps.Finish(&cut, damage)
	return gaps
}

func convert(gaps *gap.Set, f Facts, events uint64, since, until clock.Boot) []answer.Gap {
	begin, end := gaps.Bounds()
	if since == 0 {
		since = -1 << 62
	}
	if until == 0 {
		until = 1 << 62
	}
	off := f.Meta.Clock.Offset()
	if f.Offset != nil {
		off = f.Offset(0)
	}
	at := func(b clock.Boot) answer.Time {
		b = min(max(b, begin), end)
		return answer.Time{Boot: b, Wall: b.Wall(off)}
	}
	var out []answer.Gap
	if names, dark := darkness(gaps, events); dark != "" && events != 0 {
		out = append(out, answer.Gap{Kind: "not_observable", Events: names, CPU: -1, From: at(since), To: at(until), Cause: "events asked for",
			Text: "events asked for: " + dark, Evidence: []string{}})
	}
	for _, h := range gaps.For(since, until, events) {
		g := answer.Gap{Kind: string(h.Kind), Events: gap.Names(h.Events), Count: h.Count, CPU: h.CPU, From: at(h.From), To: at(h.To),
			Cause: h.Cause, Text: h.Text, Whole: h.Whole}
		for _, id := range h.Rows {
			g.Evidence = append(g.Evidence, id.String())
		}
		out = append(out, g)
	}
	return out
}
