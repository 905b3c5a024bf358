package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"hindcast/format/segment"
)

// What was done with a leftover.
const (
	ActionSealed   = "sealed"    // everything that could be proven is in a sealed segment now
	ActionFinished = "finished"  // it was sealed already and only had the wrong name
	ActionRemoved  = "removed"   // it held nothing
	ActionAside    = "set aside" // nothing in it could be read: moved to damaged/ whole
	ActionLeft     = "left"      // written by a newer hindcast, or not readable now: not touched
)

// Mended is what became of one leftover.
type Mended struct {
	Segment  string            `json:"segment"` // as it was found
	Action   string            `json:"action"`
	Result   string            `json:"result,omitempty"` // the sealed segment
	Rows     uint64            `json:"rows"`             // in the result
	Damaged  []string          `json:"damaged,omitempty"`
	Findings []segment.Finding `json:"findings,omitempty"`
}

// mendAll mends every leftover of a store that nobody is writing, in the order of names.
// It can be interrupted anywhere and run again.
func mendAll(fsys FS) (out []Mended, err error) {
	top, err := fsys.ReadDir(".")
	if err != nil {
		return nil, err
	}
	for _, d := range top {
		if !d.IsDir() || !strings.HasPrefix(d.Name(), "dt=") {
			continue
		}
		files, err := fsys.ReadDir(d.Name())
		if err != nil {
			return out, err
		}
		have := make(map[string]bool)
		for _, e := range files {
			have[e.Name()] = true
		}
		for _, e := range files {
			n, ext, ok := segment.ParseName(e.Name())
			if !ok || e.IsDir() {
				continue
			}
			base := path.Join(d.Name(), n.String())
			switch {
			case ext == segment.ExtMend || ext == segment.ExtIndex && !have[n.String()+segment.ExtOpen]:
				err = remove(fsys, base+ext)
			case ext == segment.ExtOpen && have[n.String()+segment.Ext]:
				// The rename of a mended copy is what makes it count: the original is done with.
				err = finish(fsys, base, segment.Ext)
			case ext == segment.ExtOpen:
				var m Mended
				if m, err = mend(fsys, base); err == nil {
					out = append(out, m)
				}
			case ext == segment.Ext:
				err = fsys.Chmod(base+ext, 0o440)
			}
			if err != nil {
				return out, fmt.Errorf("mend %s: %w", base+ext, err)
			}
		}
	}
	return out, nil
}

func remove(fsys FS, name string) error {
	if err := fsys.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// mend makes a sealed segment of a leftover. The leftover itself is never written to, and
// is removed only once the sealed copy is durable.
func mend(fsys FS, base string) (Mended, error) {
	m := Mended{Segment: base + segment.ExtOpen}
	s, f, err := openEntry(fsys, &Entry{Path: m.Segment, Open: true})
	if err != nil {
		m.Action = ActionLeft
		m.Findings = []segment.Finding{{Class: segment.Unreadable, Segment: m.Segment, Detail: err.Error()}}
		return m, nil
	}
	defer f.Close()
	m.Findings, err = s.Verify()
	for i := range m.Findings {
		m.Findings[i].Segment = m.Segment
	}
	if err != nil {
		return m, err
	}
	has := func(c segment.Class) bool {
		for i := range m.Findings {
			if m.Findings[i].Class == c {
				return true
			}
		}
		return false
	}
	switch {
	case has(segment.Empty):
		m.Action = ActionRemoved
		f.Close()
		if err := remove(fsys, base+segment.ExtIndex); err != nil {
			return m, err
		}
		return m, remove(fsys, m.Segment)
	case has(segment.UnknownVersion):
		m.Action = ActionLeft
		return m, nil
	case s.Sealed() && len(m.Findings) == 0:
		m.Action, m.Result, m.Rows = ActionFinished, base+segment.Ext, s.Rows()
		f.Close()
		return m, finish(fsys, base, segment.ExtOpen)
	}
	if err := remove(fsys, base+segment.ExtMend); err != nil {
		return m, err
	}
	dst, err := fsys.Create(base + segment.ExtMend)
	if err != nil {
		return m, err
	}
	left, err := s.Mend(dst)
	if e := dst.Close(); err == nil {
		err = e
	}
	if errors.Is(err, segment.ErrNothing) {
		m.Action = ActionAside
		if err := remove(fsys, base+segment.ExtMend); err != nil {
			return m, err
		}
		name := path.Join(damagedDir, path.Base(m.Segment))
		m.Damaged = []string{name}
		f.Close()
		if err := fsys.Mkdir(damagedDir); err != nil {
			return m, err
		}
		if err := fsys.Rename(m.Segment, name); err != nil {
			return m, err
		}
		if err := fsys.SyncDir(damagedDir); err != nil {
			return m, err
		}
		if err := fsys.SyncDir(path.Dir(base)); err != nil {
			return m, err
		}
		return m, remove(fsys, base+segment.ExtIndex)
	}
	if err != nil {
		return m, err
	}
	for _, r := range left {
		name, err := keep(fsys, f, path.Base(base), r)
		if err != nil {
			return m, err
		}
		m.Damaged = append(m.Damaged, name)
	}
	m.Action, m.Result = ActionSealed, base+segment.Ext
	f.Close()
	if err := finish(fsys, base, segment.ExtMend); err != nil {
		return m, err
	}
	again, g, err := openEntry(fsys, &Entry{Path: m.Result})
	if err != nil {
		return m, err
	}
	defer g.Close()
	m.Rows = again.Rows()
	return m, nil
}

// keep copies a stretch of a leftover to damaged/NAME.OFFSET.
func keep(fsys FS, f io.ReaderAt, base string, r segment.Range) (string, error) {
	if err := fsys.Mkdir(damagedDir); err != nil {
		return "", err
	}
	name := path.Join(damagedDir, fmt.Sprintf("%s.%d", base, r.Offset))
	if err := remove(fsys, name); err != nil {
		return "", err
	}
	dst, err := fsys.Create(name)
	if err != nil {
		return "", err
	}
	buf := make([]byte, min(r.Length, 1<<20))
	for at := int64(0); at < r.Length && err == nil; {
		b := buf[:min(int64(len(buf)), r.Length-at)]
		if n, e := f.ReadAt(b, r.Offset+at); n != len(b) {
			err = fmt.Errorf("read: %w", e)
			break
		}
		_, err = dst.WriteAt(b, at)
		at += int64(len(b))
	}
	if err == nil {
		err = dst.Sync()
	}
	if e := dst.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = fsys.SyncDir(damagedDir)
	}
	return name, err
}
