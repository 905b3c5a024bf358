// Package bundle packs segments into one portable file and reads them in place.
//
// A bundle, NAME.hind, is a tar archive whose members are stored as they are, in a fixed
// order under fixed names, so that it can be opened by hand:
//
//	manifest.json            what is in it
//	checkpoint               root over all of it
//	ledger.json              losses and coverage, added up
//	segments/NAME.arrows     sealed segments, in order of their names
//
// The same segments and manifest give the same bytes. A reader takes headers only in the
// exact form that a writer makes, so a member can be nothing but one of these: no links, no
// folders, no paths, no second member of a name. Words: a member is a file of the archive.
package bundle

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strings"

	"hindcast/format/clock"
	"hindcast/format/seal"
	"hindcast/format/segment"
)

// Version of the layout.
const Version = 1

// Ext is the extension of a bundle.
const Ext = ".hind"

// Errors of Open and Write that callers branch on.
var (
	ErrNotABundle = errors.New("not a hindcast bundle")
	ErrVersion    = errors.New("bundle of a newer hindcast")
	ErrEmpty      = errors.New("no segment to put into a bundle")
)

// Manifest is manifest.json. The writer fills in Hindcast, Segments and what it can tell
// from the segments when a field is empty.
type Manifest struct {
	Hindcast int        `json:"hindcast"` // layout version
	Name     string     `json:"name,omitempty"`
	Host     string     `json:"host,omitempty"`
	Recorder string     `json:"recorder,omitempty"`
	Command  []string   `json:"command,omitempty"` // what was recorded; bytes that are not UTF-8 replaced
	Created  string     `json:"created,omitempty"` // when, as the caller says; no clock is read here
	Note     string     `json:"note,omitempty"`
	Redacted bool       `json:"redacted"`
	Segments []Contents `json:"segments"`
}

// Contents is what the manifest says about a segment.
type Contents struct {
	Name string     `json:"name"` // member name
	Size int64      `json:"size"`
	Rows uint64     `json:"rows"`
	Root string     `json:"root"`
	From clock.Wall `json:"from"` // wall time of the first and last row
	To   clock.Wall `json:"to"`
}

// Ledger is ledger.json: losses and coverage of all segments.
type Ledger struct {
	Losses   []segment.Loss `json:"losses"`
	Coverage []segment.Hook `json:"coverage"`
}

// Source is a segment to be packed.
type Source struct {
	Name segment.Name
	R    io.ReaderAt
	Size int64
	// Index is the side index of an open segment, nil when there is none.
	Index []byte
}

const (
	manifestName   = "manifest.json"
	checkpointName = "checkpoint"
	ledgerName     = "ledger.json"
	segmentsDir    = "segments/"

	maxManifest = 16 << 20
	maxMembers  = 1 << 16
	maxSegment  = 4 << 30
)

// Write packs the segments. One that is not sealed is mended in memory first, so that what
// a bundle holds is always whole; its findings travel in its footer. One of which nothing
// can be read is an error.
func Write(dst io.Writer, sources []Source, m Manifest) error {
	if len(sources) == 0 {
		return fmt.Errorf("write bundle: %w", ErrEmpty)
	}
	sources = append([]Source(nil), sources...)
	sort.SliceStable(sources, func(i, j int) bool { return sources[i].Name.String() < sources[j].Name.String() })
	m.Hindcast, m.Segments = Version, nil
	led := ledgerSum{losses: make(map[segment.Loss]uint64), hooks: make(map[string]segment.Hook)}
	var roots []seal.Digest
	for i := range sources {
		src := &sources[i]
		if i > 0 && sources[i-1].Name == src.Name {
			return fmt.Errorf("write bundle: segment %s twice", src.Name)
		}
		s, err := segment.OpenIndexed(src.R, src.Size, src.Index)
		if err == nil && !s.Sealed() {
			var b memory
			if _, err = s.Mend(&b); err == nil {
				src.R, src.Size = &b, int64(len(b.b))
				s, err = segment.Open(src.R, src.Size)
			}
		}
		if err != nil {
			return fmt.Errorf("write bundle: segment %s: %w", src.Name, err)
		}
		c := Contents{Name: segmentsDir + src.Name.String() + segment.Ext, Size: src.Size, Rows: s.Rows(), Root: s.Root().String()}
		c.From, c.To = wallSpan(s)
		m.Segments = append(m.Segments, c)
		led.add(s)
		roots = append(roots, s.Root())
		if meta := s.Meta(); m.Host == "" && m.Recorder == "" {
			m.Host, m.Recorder, m.Command = meta.Host, meta.Recorder, meta.Command
		}
	}
	manifest, err := encode(m)
	if err != nil {
		return fmt.Errorf("write bundle: %w", err)
	}
	ledger, err := encode(led.ledger())
	if err != nil {
		return fmt.Errorf("write bundle: %w", err)
	}
	if len(manifest) > maxManifest || len(ledger) > maxManifest || len(sources) > maxMembers {
		return fmt.Errorf("write bundle: too many segments: %d", len(sources))
	}
	w := tarWriter{w: dst}
	w.bytes(manifestName, manifest)
	w.bytes(checkpointName, checkpoint(manifest, ledger, roots))
	w.bytes(ledgerName, ledger)
	for i := range sources {
		w.member(m.Segments[i].Name, io.NewSectionReader(sources[i].R, 0, sources[i].Size), sources[i].Size)
	}
	if err := w.end(); err != nil {
		return fmt.Errorf("write bundle: %w", err)
	}
	return nil
}

func encode(v any) ([]byte, error) {
	b, err := json.MarshalIndent(v, "", " ")
	return append(b, '\n'), err
}

func wallSpan(s *segment.Segment) (from, to clock.Wall) {
	off := s.Meta().Clock.Offset()
	for i, b := range s.Batches() {
		lo, hi := b.Min.Wall(off), b.Max.Wall(off)
		if i == 0 || lo < from {
			from = lo
		}
		if i == 0 || hi > to {
			to = hi
		}
	}
	return from, to
}

// checkpoint returns the text of the member: origin, number of leaves, root, in the form
// of a C2SP checkpoint without signatures. The leaves are the manifest, the ledger and the
// root of every segment.
func checkpoint(manifest, ledger []byte, roots []seal.Digest) []byte {
	leaves := append([]seal.Digest{seal.Sum(manifest), seal.Sum(ledger)}, roots...)
	root := seal.Root(leaves)
	return fmt.Appendf(nil, "hindcast/bundle\n%d\n%s\n", len(leaves), base64.StdEncoding.EncodeToString(root[:]))
}

// ledgerSum adds up the summaries of segments.
type ledgerSum struct {
	losses map[segment.Loss]uint64
	hooks  map[string]segment.Hook
}

func (l *ledgerSum) add(s *segment.Segment) {
	hooks, losses, _ := s.Summary()
	for _, x := range losses {
		n := x.Count
		x.Count = 0
		l.losses[x] += n
	}
	for _, h := range hooks {
		l.hooks[h.Hook] = h
	}
}

func (l *ledgerSum) ledger() Ledger {
	out := Ledger{Losses: []segment.Loss{}, Coverage: []segment.Hook{}}
	for x, n := range l.losses {
		x.Count = n
		out.Losses = append(out.Losses, x)
	}
	sort.Slice(out.Losses, func(i, j int) bool {
		a, b := out.Losses[i], out.Losses[j]
		return a.Class < b.Class || a.Class == b.Class && a.Cause < b.Cause
	})
	for _, h := range l.hooks {
		out.Coverage = append(out.Coverage, h)
	}
	sort.Slice(out.Coverage, func(i, j int) bool { return out.Coverage[i].Hook < out.Coverage[j].Hook })
	return out
}

// WriteDir packs every segment of a store, or of a folder of segments, into a new file at
// dst, 0600. The file appears whole or not at all.
func WriteDir(dst, dir string, m Manifest) error {
	sources, closeAll, err := folder(dir)
	defer closeAll()
	if err != nil {
		return fmt.Errorf("write bundle: %w", err)
	}
	return create(dst, func(f io.Writer) error { return Write(f, sources, m) })
}

// create writes a file under a temporary name beside dst and renames it.
func create(dst string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(dst), "."+filepath.Base(dst)+".*")
	if err != nil {
		return fmt.Errorf("write bundle: %w", err)
	}
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), dst)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

// folder opens the segments below dir: in dir itself and in its day folders.
func folder(dir string) (out []Source, closeAll func(), err error) {
	var closers []io.Closer
	closeAll = func() {
		for _, c := range closers {
			c.Close()
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, closeAll, err
	}
	closers = append(closers, root)
	open := func(name string) (*os.File, int64, error) {
		st, err := root.Lstat(name)
		if err != nil {
			return nil, 0, err
		}
		if !st.Mode().IsRegular() {
			return nil, 0, fmt.Errorf("%s: not a regular file", name)
		}
		f, err := root.Open(name)
		if err != nil {
			return nil, 0, err
		}
		closers = append(closers, f)
		if st, err = f.Stat(); err != nil {
			return nil, 0, err
		}
		return f, st.Size(), nil
	}
	for _, pattern := range []string{"*", "dt=*/*"} {
		names, err := fs.Glob(root.FS(), pattern)
		if err != nil {
			return nil, closeAll, err
		}
		sealed := make(map[segment.Name]bool)
		for _, pass := range []string{segment.Ext, segment.ExtOpen} {
			for _, name := range names {
				n, ext, ok := segment.ParseName(path.Base(name))
				if !ok || ext != pass || sealed[n] {
					continue
				}
				sealed[n] = true
				f, size, err := open(name)
				if err != nil {
					return nil, closeAll, err
				}
				src := Source{Name: n, R: f, Size: size}
				if size == 0 {
					continue
				}
				if ext == segment.ExtOpen {
					if x, n, err := open(strings.TrimSuffix(name, ext) + segment.ExtIndex); err == nil && n <= segment.MaxEntries*segment.IndexEntrySize {
						src.Index = make([]byte, n)
						k, _ := x.ReadAt(src.Index, 0)
						src.Index = src.Index[:k]
					}
				}
				out = append(out, src)
			}
		}
	}
	return out, closeAll, nil
}

// memory is a segment.File and io.ReaderAt.
type memory struct{ b []byte }

func (m *memory) WriteAt(p []byte, off int64) (int, error) {
	if need := off + int64(len(p)); need > int64(len(m.b)) {
		m.b = append(m.b, make([]byte, need-int64(len(m.b)))...)
	}
	return copy(m.b[off:], p), nil
}

func (m *memory) ReadAt(p []byte, off int64) (int, error) {
	if off >= int64(len(m.b)) {
		return 0, io.EOF
	}
	n := copy(p, m.b[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (m *memory) Truncate(size int64) error {
	if size < int64(len(m.b)) {
		m.b = m.b[:size]
	}
	return nil
}

func (m *memory) Sync() error { return nil }
