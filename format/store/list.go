package store

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strings"

	"hindcast/format/segment"
)

// Entry is a segment in a folder.
type Entry struct {
	Path string       // relative to the folder, slash separated
	Name segment.Name // what the file name says
	Open bool         // not sealed: being written, or a leftover
}

// List returns the segments of a store, or of a folder that holds segments directly such
// as a snapshot, in the order of their names. Files with other names are not listed.
func List(dir string) ([]Entry, error) {
	r, err := openRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", dir, err)
	}
	defer r.Close()
	out, err := list(r)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", dir, err)
	}
	return out, nil
}

// list is List on a file system. Where both a sealed and an open file of one name exist,
// the sealed one is complete and the open one is left out.
func list(fsys FS) ([]Entry, error) {
	top, err := fsys.ReadDir(".")
	if err != nil {
		return nil, err
	}
	var out []Entry
	add := func(dir string, list []fs.DirEntry) {
		for _, e := range list {
			n, ext, ok := segment.ParseName(e.Name())
			if ok && !e.IsDir() && (ext == segment.Ext || ext == segment.ExtOpen) {
				out = append(out, Entry{path.Join(dir, e.Name()), n, ext == segment.ExtOpen})
			}
		}
	}
	add(".", top)
	for _, d := range top {
		if d.IsDir() && strings.HasPrefix(d.Name(), "dt=") {
			l, err := fsys.ReadDir(d.Name())
			if err != nil {
				return nil, err
			}
			add(d.Name(), l)
		}
	}
	sort.SliceStable(out, func(i, j int) bool {
		a, b := &out[i], &out[j]
		if x, y := a.Name.String(), b.Name.String(); x != y {
			return x < y
		}
		return !a.Open && b.Open
	})
	kept := out[:0]
	for i := range out {
		if n := len(kept); n > 0 && out[i].Open && !kept[n-1].Open && kept[n-1].Name == out[i].Name {
			continue
		}
		kept = append(kept, out[i])
	}
	return kept, nil
}

// IsStore says whether the folder looks like a store: it has a FORMAT, or day folders.
func IsStore(dir string) bool {
	if st, err := os.Lstat(filepath.Join(dir, formatName)); err == nil && st.Mode().IsRegular() {
		return true
	}
	m, err := filepath.Glob(filepath.Join(dir, "dt=*"))
	return err == nil && len(m) > 0
}

// Dir is a folder of segments opened for reading.
type Dir struct {
	fs      FS
	Entries []Entry
	// Aside names the segments that a repair moved to damaged/ whole: nothing of them can
	// be read, but they are not missing.
	Aside []segment.Name
}

// OpenDir opens a store, a snapshot or any folder of segments for reading. It takes no
// lock: a store may be read while it is written.
func OpenDir(dir string) (*Dir, error) {
	r, err := openRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", dir, err)
	}
	d, err := OpenFS(r)
	if err != nil {
		r.Close()
		return nil, fmt.Errorf("open store %s: %w", dir, err)
	}
	return d, nil
}

// OpenFS is OpenDir on a file system, which Close closes.
func OpenFS(fsys FS) (*Dir, error) {
	e, err := list(fsys)
	if err != nil {
		return nil, err
	}
	d := &Dir{fs: fsys, Entries: e}
	aside, err := fsys.ReadDir(damagedDir)
	if err != nil {
		return nil, err
	}
	for _, e := range aside {
		if n, ext, ok := segment.ParseName(e.Name()); ok && ext == segment.ExtOpen {
			d.Aside = append(d.Aside, n)
		}
	}
	return d, nil
}

// Open opens entry i. The reader is valid until Close of the result.
func (d *Dir) Open(i int) (*segment.Segment, ReadFile, error) { return openEntry(d.fs, &d.Entries[i]) }

// Close closes the folder, not the files opened from it.
func (d *Dir) Close() error { return d.fs.Close() }

// openEntry opens a segment, with its side index when it is an open one. An open segment
// may have been sealed since it was listed: then the sealed file is opened.
func openEntry(fsys FS, e *Entry) (*segment.Segment, ReadFile, error) {
	f, err := fsys.Open(e.Path)
	if err != nil && e.Open {
		sealed := strings.TrimSuffix(e.Path, segment.ExtOpen) + segment.Ext
		if g, err2 := fsys.Open(sealed); err2 == nil {
			e.Path, e.Open = sealed, false
			f, err = g, nil
		}
	}
	if err != nil {
		return nil, nil, err
	}
	var index []byte
	if e.Open {
		index, _ = readIndex(fsys, strings.TrimSuffix(e.Path, segment.ExtOpen)+segment.ExtIndex)
	}
	s, err := segment.OpenIndexed(f, f.Size(), index)
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return s, f, nil
}

func readIndex(fsys FS, name string) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b := make([]byte, min(f.Size(), segment.MaxEntries*segment.IndexEntrySize))
	n, err := f.ReadAt(b, 0)
	if n < len(b) {
		return b[:n], err
	}
	return b, nil
}
