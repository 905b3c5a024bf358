package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"hindcast/format/bundle"
	"hindcast/format/seal"
	"hindcast/format/segment"
)

// Report is what Verify and Repair found.
type Report struct {
	Path     string            `json:"path"`
	Kind     string            `json:"kind"` // store, bundle or segment
	Segments []SegmentReport   `json:"segments"`
	Rows     uint64            `json:"rows"`
	Lost     uint64            `json:"lost"` // events the ledger rows account for
	Head     string            `json:"head"` // root of the last segment: the head of the chain
	Findings []segment.Finding `json:"findings"`
	Mended   []Mended          `json:"mended,omitempty"` // by Repair
	// Broken names the first place at which the chain of digests does not hold, empty when it does.
	Broken string `json:"broken,omitempty"`
}

// SegmentReport is a line of a Report.
type SegmentReport struct {
	Name      string `json:"name"`
	Sealed    bool   `json:"sealed"`
	Recovered bool   `json:"recovered,omitempty"`
	Batches   int    `json:"batches"`
	Rows      uint64 `json:"rows"`
	Bytes     int64  `json:"bytes"`
	Root      string `json:"root"`
	Findings  int    `json:"findings"`
}

// OK says that nothing is damaged: every finding is harmless.
func (r *Report) OK() bool {
	for _, f := range r.Findings {
		if !f.Harmless() {
			return false
		}
	}
	return true
}

// Link is what the chain needs to know of a segment. One that cannot be read has a Name
// only: it is there, and nothing is said of what it follows.
type Link struct {
	Name segment.Name
	Meta segment.Meta
	Root seal.Digest
}

func (l *Link) number() uint64 {
	if l.Meta.Format == 0 {
		return l.Name.Number
	}
	return l.Meta.Number
}

// Verify reads everything at path, a store, a bundle or a single segment: every digest,
// every value, and the chain from segment to segment. The error says that path could not
// be examined at all; damage is in the report.
func Verify(path string) (Report, error) {
	rep := Report{Path: path, Segments: []SegmentReport{}, Findings: []segment.Finding{}}
	st, err := os.Stat(path)
	if err != nil {
		return rep, fmt.Errorf("verify: %w", err)
	}
	switch {
	case st.IsDir():
		rep.Kind = "store"
		err = rep.folder(path)
	case strings.HasSuffix(path, bundle.Ext):
		rep.Kind = "bundle"
		err = rep.bundle(path)
	default:
		rep.Kind = "segment"
		err = rep.single(path)
	}
	if err != nil {
		return rep, fmt.Errorf("verify %s: %w", path, err)
	}
	return rep, nil
}

func (r *Report) folder(path string) error {
	d, err := OpenDir(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return r.dir(d)
}

// Verify is Verify of an open folder.
func (d *Dir) Verify() (Report, error) {
	r := Report{Kind: "store", Segments: []SegmentReport{}, Findings: []segment.Finding{}}
	err := r.dir(d)
	return r, err
}

func (r *Report) dir(d *Dir) error {
	if err := checkFormat(d.fs); errors.Is(err, fs.ErrNotExist) {
		if len(d.Entries) == 0 {
			return ErrNotAStore
		}
	} else if err != nil {
		r.find(segment.Finding{Class: segment.BadStore, Segment: formatName, Detail: err.Error()})
	}
	var links []Link
	for i := range d.Entries {
		s, f, err := d.Open(i)
		e := &d.Entries[i]
		if err != nil {
			r.unreadable(e.Path, err)
			links = append(links, Link{Name: e.Name})
			continue
		}
		links = append(links, r.segment(e.Path, e.Name, s))
		f.Close()
	}
	for _, n := range d.Aside {
		links = append(links, Link{Name: n})
	}
	sort.SliceStable(links, func(i, j int) bool { return links[i].Name.String() < links[j].Name.String() })
	r.chain(links)
	return nil
}

func (r *Report) bundle(path string) error {
	b, err := bundle.Open(path)
	if err != nil {
		return err
	}
	defer b.Close()
	var links []Link
	own := len(b.Findings())
	for i := range b.Segments {
		own -= len(b.Segments[i].Findings())
	}
	r.Findings = append(r.Findings, b.Findings()[:own]...)
	for i := range b.Segments {
		links = append(links, r.segment(b.Segments[i].Name.String()+segment.Ext, b.Segments[i].Name, b.Segments[i].Segment))
	}
	r.chain(links)
	return nil
}

func (r *Report) single(path string) error {
	r2, err := openRoot(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer r2.Close()
	base := filepath.Base(path)
	n, ext, named := segment.ParseName(base)
	s, f, err := openEntry(r2, &Entry{Path: base, Open: ext == segment.ExtOpen})
	if err != nil {
		return err
	}
	defer f.Close()
	if !named {
		n = segment.Name{Number: s.Meta().Number}
	}
	r.Head = r.segment(base, n, s).Root.String()
	return nil
}

func (r *Report) find(f segment.Finding) { r.Findings = append(r.Findings, f) }

func (r *Report) unreadable(name string, err error) {
	r.find(segment.Finding{Class: segment.Unreadable, Segment: name, Detail: err.Error()})
	r.Segments = append(r.Segments, SegmentReport{Name: name, Findings: 1})
}

// segment verifies one segment and returns its link of the chain.
func (r *Report) segment(name string, n segment.Name, s *segment.Segment) Link {
	fs, err := s.Verify()
	if err != nil {
		fs = append(fs, segment.Finding{Class: segment.Unreadable, Detail: err.Error()})
	}
	m := s.Meta()
	if m.Format != 0 && n.Boot != "" && segment.NameOf(0, &m).Boot != n.Boot || m.Format != 0 && m.Number != n.Number {
		fs = append(fs, segment.Finding{Class: segment.BadStore, Detail: fmt.Sprintf("the name says boot %s number %x, the segment %s and %x", n.Boot, n.Number, m.BootID, m.Number)})
	}
	if !s.Sealed() && strings.HasSuffix(name, segment.Ext) {
		for i := range fs {
			if fs[i].Class == segment.Unsealed { // what is named sealed must be
				fs[i].Class = segment.TornTail
			}
		}
	}
	for i := range fs {
		fs[i].Segment = name
		if fs[i].Class == segment.BrokenChain {
			r.broken("%s: %s at byte %d", name, fs[i].Detail, fs[i].Offset)
		}
	}
	r.Findings = append(r.Findings, fs...)
	r.Segments = append(r.Segments, SegmentReport{
		Name: name, Sealed: s.Sealed(), Recovered: s.Flags()&segment.FlagRecovered != 0, Batches: len(s.Batches()),
		Rows: s.Rows(), Bytes: s.Size(), Root: s.Root().String(), Findings: len(fs),
	})
	r.Rows += s.Rows()
	r.Lost += s.Lost()
	return Link{n, m, s.Root()}
}

func (r *Report) broken(format string, args ...any) {
	if r.Broken == "" {
		r.Broken = fmt.Sprintf(format, args...)
	}
}

func (r *Report) chain(links []Link) {
	fs := Chain(links)
	if len(fs) > 0 {
		r.broken("%s: %s", fs[0].Segment, fs[0].Detail)
	}
	r.Findings = append(r.Findings, fs...)
	if n := len(links); n > 0 {
		r.Head = links[n-1].Root.String()
	}
}

// Chain follows segments in the order of their names: numbers without a hole, and within a
// boot every segment naming the root of the one before.
func Chain(links []Link) (out []segment.Finding) {
	find := func(c segment.Class, l *Link, format string, args ...any) {
		out = append(out, segment.Finding{Class: c, Segment: l.Name.String(), Detail: fmt.Sprintf(format, args...)})
	}
	for i := 1; i < len(links); i++ {
		a, b := &links[i-1], &links[i]
		x, y := a.number(), b.number()
		switch {
		case y <= x:
			find(segment.BrokenChain, b, "number %x comes after %x", y, x)
		case y != x+1:
			find(segment.Missing, b, "%d segments are missing between number %x and %x", y-x-1, x, y)
		case a.Meta.Format != 0 && b.Meta.Format != 0 && a.Meta.BootID == b.Meta.BootID && b.Meta.Prev != a.Root.String():
			find(segment.BrokenChain, b, "follows root %.16s, but the segment before it has %.16s", b.Meta.Prev, a.Root)
		}
	}
	return out
}

// Repair mends the leftovers of a store, or one leftover segment given by its path, and
// then verifies. A store that is being written is ErrLocked. What is sealed is never
// changed: damage in it stays and is reported.
func Repair(path string) (Report, error) {
	fail := func(err error) (Report, error) { return Report{Path: path}, fmt.Errorf("repair %s: %w", path, err) }
	st, err := os.Stat(path)
	if err != nil {
		return fail(err)
	}
	dir, only := path, ""
	if !st.IsDir() {
		_, ext, ok := segment.ParseName(filepath.Base(path))
		if !ok || ext != segment.ExtOpen {
			return Verify(path)
		}
		day := filepath.Dir(path)
		dir, only = filepath.Dir(day), filepath.Base(day)
		if !strings.HasPrefix(only, "dt=") {
			return fail(ErrNotAStore)
		}
	}
	fsys, err := openRoot(dir)
	if err != nil {
		return fail(err)
	}
	defer fsys.Close()
	if err := checkFormat(fsys); err != nil {
		return fail(err)
	}
	l, err := lock(fsys, lockWait)
	if err != nil {
		return fail(err)
	}
	mended, err := mendAll(fsys)
	l.Close()
	if err != nil {
		return fail(err)
	}
	rep, err := Verify(dir)
	rep.Mended = mended
	return rep, err
}
