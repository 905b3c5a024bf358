package testkit

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"sort"
	"time"

	"hindcast/format/store"
)

// ErrCrashed is what every operation returns once a MemFS has died.
var ErrCrashed = errors.New("the machine is gone")

// MemFS is a file system in memory that can die or fail at any operation, and tells what
// would be left: after the end of the process everything that was written, after a power
// cut only what was synced, file by file and folder by folder.
type MemFS struct {
	Ops      int // operations so far that change something
	CrashAt  int // the operation at which everything stops, half done when it is a write; 0 never
	FailAt   int // the operation that fails, once; 0 never
	FailErr  error
	FailMany bool     // from FailAt on, every operation of the same kind fails
	Log      []string // kinds of the operations
	failing  string

	files   map[string]*inode
	durable map[string]*inode // names that survive a power cut
	dirs    map[string]bool
	dead    bool
	locked  map[string]bool
}

type inode struct {
	data   []byte
	synced []byte
	mode   fs.FileMode
}

// NewMemFS returns an empty file system.
func NewMemFS() *MemFS {
	return &MemFS{files: map[string]*inode{}, durable: map[string]*inode{}, dirs: map[string]bool{".": true}, locked: map[string]bool{}}
}

// After returns what is left for the next process. power says that the machine lost power;
// then half of what a file has beyond its last sync is there as well when torn is set.
func (m *MemFS) After(power, torn bool) *MemFS {
	out := NewMemFS()
	for d := range m.dirs {
		out.dirs[d] = true // an empty folder more or less makes no difference
	}
	names := m.files
	if power {
		names = m.durable
	}
	for name, n := range names {
		b := n.data
		if power {
			b = n.synced
			if torn && len(n.data) > len(b) {
				b = n.data[:len(b)+(len(n.data)-len(b))/2]
			}
		}
		c := &inode{data: append([]byte(nil), b...), mode: n.mode}
		c.synced = append([]byte(nil), c.data...)
		out.files[name], out.durable[name] = c, c
	}
	return out
}

// Names lists the files.
func (m *MemFS) Names() []string {
	var out []string
	for n := range m.files {
		out = append(out, n)
	}
	sort.Strings(out)
	return out
}

// Put places a file as if it had always been there.
func (m *MemFS) Put(name string, b []byte) {
	n := &inode{data: b, synced: append([]byte(nil), b...), mode: 0o600}
	m.files[name], m.durable[name] = n, n
	m.dirs[path.Dir(name)] = true
}

// Data returns the bytes of a file, nil when it is not there.
func (m *MemFS) Data(name string) []byte {
	if n := m.files[name]; n != nil {
		return n.data
	}
	return nil
}

// Mode returns the mode of a file.
func (m *MemFS) Mode(name string) fs.FileMode {
	if n := m.files[name]; n != nil {
		return n.mode
	}
	return 0
}

// op counts an operation; half says that it is the one to be done by half.
func (m *MemFS) op(kind string) (half bool, err error) {
	if m.dead {
		return false, ErrCrashed
	}
	m.Ops++
	m.Log = append(m.Log, kind)
	if m.CrashAt != 0 && m.Ops == m.CrashAt {
		m.dead = true
		return true, ErrCrashed
	}
	if m.FailAt != 0 && m.Ops == m.FailAt {
		m.failing = kind
	} else if !m.FailMany || m.failing != kind {
		return false, nil
	}
	if err = m.FailErr; err == nil {
		err = ErrInjected
	}
	return true, err
}

// Mkdir implements store.FS.
func (m *MemFS) Mkdir(name string) error {
	if m.dirs[name] {
		return nil
	}
	if _, err := m.op("mkdir"); err != nil {
		return err
	}
	m.dirs[name] = true
	return nil
}

// Create implements store.FS.
func (m *MemFS) Create(name string) (store.File, error) {
	if _, err := m.op("create"); err != nil {
		return nil, err
	}
	if m.files[name] != nil {
		return nil, fmt.Errorf("create %s: %w", name, fs.ErrExist)
	}
	if !m.dirs[path.Dir(name)] {
		return nil, fmt.Errorf("create %s: %w", name, fs.ErrNotExist)
	}
	n := &inode{mode: 0o600}
	m.files[name] = n
	return &handle{m, n, false}, nil
}

// Open implements store.FS.
func (m *MemFS) Open(name string) (store.ReadFile, error) {
	if m.dead {
		return nil, ErrCrashed
	}
	n := m.files[name]
	if n == nil {
		return nil, fmt.Errorf("open %s: %w", name, fs.ErrNotExist)
	}
	return &handle{m, n, false}, nil
}

// Rename implements store.FS.
func (m *MemFS) Rename(old, new string) error {
	if _, err := m.op("rename"); err != nil {
		return err
	}
	n := m.files[old]
	if n == nil {
		return fmt.Errorf("rename %s: %w", old, fs.ErrNotExist)
	}
	delete(m.files, old)
	m.files[new] = n
	return nil
}

// Remove implements store.FS.
func (m *MemFS) Remove(name string) error {
	if m.files[name] == nil {
		return fmt.Errorf("remove %s: %w", name, fs.ErrNotExist)
	}
	if _, err := m.op("remove"); err != nil {
		return err
	}
	delete(m.files, name)
	return nil
}

// Chmod implements store.FS.
func (m *MemFS) Chmod(name string, mode fs.FileMode) error {
	if _, err := m.op("chmod"); err != nil {
		return err
	}
	if n := m.files[name]; n != nil {
		n.mode = mode
	}
	return nil
}

// ReadDir implements store.FS.
func (m *MemFS) ReadDir(name string) ([]fs.DirEntry, error) {
	if m.dead {
		return nil, ErrCrashed
	}
	var out []fs.DirEntry
	for d := range m.dirs {
		if d != "." && path.Dir(d) == name {
			out = append(out, entry{path.Base(d), true})
		}
	}
	for f := range m.files {
		if path.Dir(f) == name {
			out = append(out, entry{path.Base(f), false})
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name() < out[j].Name() })
	return out, nil
}

// SyncDir implements store.FS.
func (m *MemFS) SyncDir(name string) error {
	if _, err := m.op("syncdir"); err != nil {
		return err
	}
	for f := range m.durable {
		if path.Dir(f) == name {
			delete(m.durable, f)
		}
	}
	for f, n := range m.files {
		if path.Dir(f) == name {
			m.durable[f] = n
		}
	}
	return nil
}

// Lock implements store.FS.
func (m *MemFS) Lock(name string) (io.Closer, error) {
	if m.dead {
		return nil, ErrCrashed
	}
	if m.locked[name] {
		return nil, store.ErrLocked
	}
	m.locked[name] = true
	return unlock{m, name}, nil
}

// Close implements store.FS.
func (m *MemFS) Close() error { return nil }

type unlock struct {
	m    *MemFS
	name string
}

func (u unlock) Close() error {
	delete(u.m.locked, u.name)
	return nil
}

// handle is an open file.
type handle struct {
	m      *MemFS
	n      *inode
	closed bool
}

func (h *handle) WriteAt(p []byte, off int64) (int, error) {
	half, err := h.m.op("write")
	if err != nil && !half {
		return 0, err
	}
	if half {
		p = p[:len(p)/2]
	}
	if end := int(off) + len(p); end > len(h.n.data) {
		h.n.data = append(h.n.data, make([]byte, end-len(h.n.data))...)
	}
	return copy(h.n.data[off:], p), err
}

func (h *handle) ReadAt(p []byte, off int64) (int, error) {
	if off >= int64(len(h.n.data)) {
		return 0, io.EOF
	}
	n := copy(p, h.n.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (h *handle) Size() int64 { return int64(len(h.n.data)) }

func (h *handle) Truncate(size int64) error {
	if _, err := h.m.op("truncate"); err != nil {
		return err
	}
	if int(size) < len(h.n.data) {
		h.n.data = h.n.data[:size]
	}
	if int(size) < len(h.n.synced) {
		h.n.synced = h.n.synced[:size]
	}
	return nil
}

func (h *handle) Sync() error {
	if _, err := h.m.op("sync"); err != nil {
		return err
	}
	h.n.synced = append([]byte(nil), h.n.data...)
	return nil
}

func (h *handle) Reserve(int64) error {
	_, err := h.m.op("reserve")
	return err
}

func (h *handle) Close() error {
	h.closed = true
	return nil
}

type entry struct {
	name string
	dir  bool
}

func (e entry) Name() string { return e.name }
func (e entry) IsDir() bool  { return e.dir }
func (e entry) Type() fs.FileMode {
	if e.dir {
		return fs.ModeDir
	}
	return 0
}
func (e entry) Info() (fs.FileInfo, error) { return info{e}, nil }

type info struct{ entry }

func (i info) Size() int64        { return 0 }
func (i info) Mode() fs.FileMode  { return i.Type() }
func (i info) ModTime() time.Time { return time.Time{} }
func (i info) Sys() any           { return nil }

var _ store.FS = (*MemFS)(nil)
