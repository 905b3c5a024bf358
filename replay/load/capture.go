package load

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"

	"hindcast/format/bundle"
	"hindcast/format/clock"
	"hindcast/format/event"
	"hindcast/format/segment"
	"hindcast/format/store"
)

// Options of Open; the zero value works.
type Options struct {
	// Workers is how many batches are decoded at once. Default: one per core.
	Workers int
}

// ErrEmpty says that a folder holds no segment.
var ErrEmpty = errors.New("no segments")

// Capture is an open capture. Its methods may be called from several goroutines.
type Capture struct {
	path    string
	kind    string
	opt     Options
	segs    []loaded
	closers []io.Closer
	absent  []store.Link // segments that could not be opened

	mu       sync.Mutex
	findings []segment.Finding
	known    map[place]bool
}

// loaded is a segment of the capture.
type loaded struct {
	*segment.Segment
	name   string // file name
	parsed segment.Name
}

// place tells findings apart.
type place struct {
	segment string
	class   segment.Class
	offset  int64
}

// Open opens a store, a folder of segments (a snapshot), a bundle, or a single segment,
// sealed or not. A damaged capture opens, with findings; the error says that there is
// nothing to ask questions of.
func Open(name string, o Options) (*Capture, error) {
	c := &Capture{path: name, opt: o, known: make(map[place]bool)}
	if err := c.open(name); err != nil {
		c.Close()
		return nil, fmt.Errorf("open capture %s: %w", name, err)
	}
	for i := range c.segs {
		for _, f := range c.segs[i].Findings() {
			c.find(&c.segs[i], f)
		}
	}
	var links []store.Link
	for i := range c.segs {
		if s := &c.segs[i]; s.parsed.Boot != "" {
			links = append(links, store.Link{Name: s.parsed, Meta: s.Meta(), Root: s.Root()})
		}
	}
	links = append(links, c.absent...)
	sort.SliceStable(links, func(i, j int) bool { return links[i].Name.String() < links[j].Name.String() })
	for _, f := range store.Chain(links) {
		c.find(nil, f)
	}
	return c, nil
}

func (c *Capture) open(name string) error {
	st, err := os.Stat(name)
	if err != nil {
		return err
	}
	switch {
	case st.IsDir():
		c.kind = "folder"
		if store.IsStore(name) {
			c.kind = "store"
		}
		d, err := store.OpenDir(name)
		if err != nil {
			return err
		}
		c.closers = append(c.closers, d)
		if len(d.Entries) == 0 {
			return ErrEmpty
		}
		for _, n := range d.Aside {
			c.absent = append(c.absent, store.Link{Name: n})
		}
		for i := range d.Entries {
			s, f, err := d.Open(i)
			e := &d.Entries[i]
			if err != nil {
				c.find(nil, segment.Finding{Class: segment.Unreadable, Segment: path.Base(e.Path), Detail: err.Error()})
				c.absent = append(c.absent, store.Link{Name: e.Name})
				continue
			}
			c.closers = append(c.closers, f)
			c.segs = append(c.segs, loaded{s, path.Base(e.Path), e.Name})
		}
	case strings.HasSuffix(name, bundle.Ext):
		c.kind = "bundle"
		b, err := bundle.Open(name)
		if err != nil {
			return err
		}
		c.closers = append(c.closers, b)
		for i := range b.Segments {
			c.segs = append(c.segs, loaded{b.Segments[i].Segment, b.Segments[i].Name.String() + segment.Ext, b.Segments[i].Name})
		}
		for _, f := range b.Findings() {
			if f.Segment == "" {
				c.find(nil, f)
			}
		}
	default:
		c.kind = "segment"
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		c.closers = append(c.closers, f)
		var index []byte
		if base, ok := strings.CutSuffix(name, segment.ExtOpen); ok {
			if st, err := os.Stat(base + segment.ExtIndex); err == nil && st.Size() <= segment.MaxEntries*segment.IndexEntrySize {
				index, _ = os.ReadFile(base + segment.ExtIndex)
			}
		}
		s, err := segment.OpenIndexed(f, st.Size(), index)
		if err != nil {
			return err
		}
		base := filepath.Base(name)
		n, _, _ := segment.ParseName(base)
		c.segs = append(c.segs, loaded{s, base, n})
		if s.Meta().Format == 0 && st.Size() > 0 {
			fs := s.Findings()
			return &fs[0]
		}
	}
	return nil
}

// find lists a finding once.
func (c *Capture) find(s *loaded, f segment.Finding) {
	if s != nil {
		f.Segment = s.name
		if f.Class == segment.Unsealed && strings.HasSuffix(s.name, segment.Ext) {
			f.Class = segment.TornTail // what is named sealed must be
		}
	}
	k := place{f.Segment, f.Class, f.Offset}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.known[k] {
		c.known[k] = true
		c.findings = append(c.findings, f)
	}
}

// Close closes the files of the capture.
func (c *Capture) Close() error {
	var err error
	for i := len(c.closers) - 1; i >= 0; i-- {
		if e := c.closers[i].Close(); err == nil {
			err = e
		}
	}
	c.closers = nil
	return err
}

// Findings returns the damage met so far: by Open, and by every Scan. They are in the
// order of segments and offsets.
func (c *Capture) Findings() []segment.Finding {
	c.mu.Lock()
	out := slices.Clone(c.findings)
	c.mu.Unlock()
	sort.SliceStable(out, func(i, j int) bool {
		a, b := &out[i], &out[j]
		return a.Segment < b.Segment || a.Segment == b.Segment && a.Offset < b.Offset
	})
	return out
}

// Offset returns what turns the boot time of a segment's rows into wall time.
func (c *Capture) Offset(seg uint32) clock.Offset {
	if int(seg) >= len(c.segs) {
		return 0
	}
	return c.segs[seg].Meta().Clock.Offset()
}

// Meta returns what a segment says about itself.
func (c *Capture) Meta(seg uint32) segment.Meta {
	if int(seg) >= len(c.segs) {
		return segment.Meta{}
	}
	return c.segs[seg].Meta()
}

// SegmentInfo describes a segment of a capture.
type SegmentInfo struct {
	Name      string
	Sealed    bool
	Recovered bool
	Rows      uint64
	Bytes     int64
	Batches   int
	From, To  clock.Boot // smallest and largest TS
	Lost      uint64
	Root      string
	Meta      segment.Meta
}

// Info is what can be said about a capture without reading its rows, save those of the
// ledger and of coverage in segments that are not sealed.
type Info struct {
	Path     string
	Kind     string // store, folder, bundle or segment
	Segments []SegmentInfo
	Rows     uint64
	Bytes    int64
	Types    uint64     // event ids present, as bits
	From, To clock.Wall // wall time of the first and last row
	Boots    []string   // boot ids, in order
	Losses   []segment.Loss
	Coverage []segment.Hook // the last word on each hook
}

// Info gathers the description of the capture.
func (c *Capture) Info() Info {
	in := Info{Path: c.path, Kind: c.kind}
	losses := make(map[segment.Loss]uint64)
	hooks := make(map[string]segment.Hook)
	for i := range c.segs {
		s := &c.segs[i]
		si := SegmentInfo{Name: s.name, Sealed: s.Sealed(), Recovered: s.Flags()&segment.FlagRecovered != 0, Rows: s.Rows(), Bytes: s.Size(),
			Batches: len(s.Batches()), Lost: s.Lost(), Root: s.Root().String(), Meta: s.Meta()}
		off := si.Meta.Clock.Offset()
		for j, b := range s.Batches() {
			if j == 0 || b.Min < si.From {
				si.From = b.Min
			}
			if j == 0 || b.Max > si.To {
				si.To = b.Max
			}
			in.Types |= b.Types
		}
		if si.Rows > 0 {
			if in.Rows == 0 || si.From.Wall(off) < in.From {
				in.From = si.From.Wall(off)
			}
			if in.Rows == 0 || si.To.Wall(off) > in.To {
				in.To = si.To.Wall(off)
			}
		}
		in.Rows += si.Rows
		in.Bytes += si.Bytes
		if id := si.Meta.BootID; id != "" && !slices.Contains(in.Boots, id) {
			in.Boots = append(in.Boots, id)
		}
		in.Segments = append(in.Segments, si)
		hs, ls, ok := s.Summary()
		if !ok {
			hs, ls = c.summarise(uint32(i))
		}
		for _, l := range ls {
			n := l.Count
			l.Count = 0
			losses[l] += n
		}
		for _, h := range hs {
			hooks[h.Hook] = h
		}
	}
	for l, n := range losses {
		l.Count = n
		in.Losses = append(in.Losses, l)
	}
	sort.Slice(in.Losses, func(i, j int) bool {
		a, b := in.Losses[i], in.Losses[j]
		return a.Class < b.Class || a.Class == b.Class && a.Cause < b.Cause
	})
	for _, h := range hooks {
		in.Coverage = append(in.Coverage, h)
	}
	sort.Slice(in.Coverage, func(i, j int) bool { return in.Coverage[i].Hook < in.Coverage[j].Hook })
	return in
}

// summarise reads the ledger and coverage rows of one segment that has no footer.
func (c *Capture) summarise(seg uint32) (hooks []segment.Hook, losses []segment.Loss) {
	var b event.Columns
	s := &c.segs[seg]
	for i, e := range s.Batches() {
		if e.Types&(1<<event.Ledger|1<<event.Coverage) == 0 {
			continue
		}
		if err := s.Read(i, 0, &b); err != nil && !c.damage(s, err) {
			continue
		}
		for j, t := range b.Type {
			switch t {
			case event.Ledger:
				losses = append(losses, segment.Loss{Class: event.Type(b.N1[j]), Cause: string(b.Text.At(j)), Count: uint64(max(b.N2[j], 0))})
			case event.Coverage:
				hooks = append(hooks, segment.Hook{Hook: string(b.Text.At(j)), Attached: b.N1[j] != 0, Tier: b.Op[j], Events: uint64(b.N2[j]), Detail: string(b.Text2.At(j))})
			}
		}
	}
	return hooks, losses
}

// damage lists what a Read failed with; usable says that the batch has rows all the same.
func (c *Capture) damage(s *loaded, err error) (usable bool) {
	f := segment.AsFinding(err)
	if f == nil {
		f = &segment.Finding{Class: segment.Unreadable, Detail: err.Error()}
	}
	c.find(s, *f)
	return f.Class == segment.UnknownEvent
}
