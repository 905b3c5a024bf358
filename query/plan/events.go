package plan

import (
	"errors"
	"strings"

	"hindcast/format/clock"
	"hindcast/format/event"
	"hindcast/query/lang"
	"hindcast/replay"
	"hindcast/replay/index"
	"hindcast/replay/load"
	"hindcast/replay/state"
)

// EventsOptions chooses rows. The zero value is every row.
type EventsOptions struct {
	Filter *lang.Filter // nil: all
	Since  clock.Boot   // first instant wanted, 0 none
	Until  clock.Boot   // first instant no longer wanted, 0 none
	First  int          // stop after so many, 0 none
	Last   int          // only the last so many, 0 none; excludes First
	// HideSnapshot leaves out rows that describe the state found at the start of the recording or of a segment, and
	// those that the recorder made about itself. Losses are never left out.
	HideSnapshot bool
	Cols         uint64 // columns the caller looks at, as bits; 0 all
}

// EventsResult says what a selection came to.
type EventsResult struct {
	Shown   uint64 // rows given to the caller
	Matched uint64 // rows that matched; with First only those up to the stop
	Stopped bool   // First ended the scan before its end
}

// columnar is a source that lets a filter look at whole batches.
type columnar interface {
	ScanWhere(cols, types uint64, where func(b *event.Columns, sel []uint32) []uint32, f func(r *event.Row, id load.RowID) error) error
}

// Events gives f the chosen rows in time order. The row is valid during the call; load.Stop from
// f ends the selection without an error.
func Events(src load.Source, o EventsOptions, f func(r *event.Row, id load.RowID) error) (EventsResult, error) {
	var res EventsResult
	var types uint64
	exact := true
	flt := o.Filter
	cols := o.Cols
	if flt != nil {
		types = flt.Types
		exact = flt.Exact
		if cols != 0 {
			cols |= flt.Cols
		}
	}
	if cols != 0 {
		cols |= 1<<event.ColTS | 1<<event.ColType | 1<<event.ColFlags
	}
	wanted := func(ts clock.Boot, t event.Type, flags uint32) bool {
		return (o.Since == 0 || ts >= o.Since) && (o.Until == 0 || ts < o.Until) &&
			(!o.HideSnapshot || flags&event.FlagSnapshot == 0 && t != event.Coverage && t != event.Recorder && t != event.Clock)
	}
	last := newTail(o.Last)
	give := func(r *event.Row, id load.RowID) error {
		res.Matched++
		if o.Last > 0 {
			last.add(r, id)
			return nil
		}
		res.Shown++
		if err := f(r, id); err != nil {
			return err
		}
		if o.First > 0 && res.Shown >= uint64(o.First) {
			res.Stopped = true
			return load.Stop
		}
		return nil
	}
	row := func(r *event.Row, id load.RowID) error {
		if !wanted(r.TS, r.Type, r.Flags) || flt != nil && !flt.Match(r, id.Segment, id.Row) {
			return nil
		}
		return give(r, id)
	}
	var err error
	if c, ok := src.(columnar); ok {
		err = c.ScanWhere(cols, types, func(b *event.Columns, sel []uint32) []uint32 {
			if o.Since != 0 || o.Until != 0 || o.HideSnapshot {
				out := sel[:0]
				for _, i := range sel {
					if wanted(b.TS[i], b.Type[i], b.Flags[i]) {
						out = append(out, i)
					}
				}
				sel = out
			}
			if flt != nil {
				sel = flt.Select(b, sel)
			}
			return sel
		}, func(r *event.Row, id load.RowID) error {
			if !exact && !flt.Match(r, id.Segment, id.Row) {
				return nil
			}
			return give(r, id)
		})
	} else {
		err = src.Scan(cols, types, row)
	}
	if err != nil {
		return res, err
	}
	if o.Last > 0 {
		res.Shown = uint64(len(last.rows))
		err = last.each(f)
	}
	return res, err
}

// tail keeps copies of the last n rows.
type tail struct {
	n    int
	next int
	rows []kept
}

type kept struct {
	row event.Row
	id  load.RowID
}

func newTail(n int) *tail { return &tail{n: n} }

func (t *tail) add(r *event.Row, id load.RowID) {
	k := kept{clone(r), id}
	if len(t.rows) < t.n {
		t.rows = append(t.rows, k)
		return
	}
	t.rows[t.next] = k
	t.next = (t.next + 1) % t.n
}

func (t *tail) each(f func(r *event.Row, id load.RowID) error) error {
	for i := range t.rows {
		k := &t.rows[(t.next+i)%len(t.rows)]
		if err := f(&k.row, k.id); err != nil {
			if errors.Is(err, load.Stop) {
				return nil
			}
			return err
		}
	}
	return nil
}

// clone copies a row with its byte slices.
func clone(r *event.Row) event.Row {
	c := *r
	for col := event.Column(0); col < event.NumColumns; col++ {
		if event.ColumnTable[col].Kind == event.Dict {
			c.SetBytes(col, append([]byte(nil), r.Bytes(col)...))
		}
	}
	return c
}

// Actors lets filters ask a model about the acting process of a row.
type Actors struct {
	m     *replay.Model
	bytes map[index.Name][]byte
	args  map[argKey][]byte
}

type argKey struct {
	proc  state.ProcID
	image int
}

// NewActors returns the processes of m as the filter language sees them.
func NewActors(m *replay.Model) *Actors {
	return &Actors{m: m, bytes: map[index.Name][]byte{}, args: map[argKey][]byte{}}
}

// Actor implements lang.Actors.
func (a *Actors) Actor(pid uint32, pstart uint64, at clock.Boot) (lang.Actor, bool) {
	t := a.m.State
	id, ok := t.Proc(state.ProcKey{PID: pid, Start: pstart})
	if !ok {
		return lang.Actor{}, false
	}
	p := &t.Procs[id]
	out := lang.Actor{ID: a.m.ID(replay.KindProcess, uint32(id)), PID: p.PID, PStart: p.Start}
	if up := p.ParentAt(at); up != nil && up.Proc >= 0 {
		q := &t.Procs[up.Proc]
		out.PPID, out.PPStart = q.PID, q.Start
	}
	if i := p.ImageAt(at); i >= 0 {
		m := &p.Images[i]
		out.Name, out.Exe, out.Cwd = a.name(m.Comm), a.name(m.Exe), a.name(m.Cwd)
		k := argKey{id, i}
		args, ok := a.args[k]
		if !ok {
			args = []byte(strings.ReplaceAll(strings.TrimRight(m.Argv, "\x00"), "\x00", " "))
			a.args[k] = args
		}
		out.Args = args
	}
	if c := p.CredAt(at); c != 0 {
		out.UID, out.HasUID = t.Creds[c].EUID, true
	}
	return out, true
}

func (a *Actors) name(n index.Name) []byte {
	if n == 0 {
		return nil
	}
	b, ok := a.bytes[n]
	if !ok {
		b = []byte(a.m.State.Names.String(n))
		a.bytes[n] = b
	}
	return b
}
