package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync"
	"time"

	"hindcast/format/clock"
	"hindcast/format/event"
	"hindcast/format/segment"
)

// Options of a store that is written. Meta.BootID and a clock are needed for names that
// sort; every other field has a default.
type Options struct {
	// Meta is what every segment says about itself. Clock, Number and Prev are filled in
	// by the store; Clock only when the Clock function below is set.
	Meta segment.Meta
	// Clock reads both clocks. Default: Meta.Clock, as if the wall clock never stepped.
	Clock func() clock.Pair
	// SegmentBytes is the size at which a segment is closed. Default 64 MiB.
	SegmentBytes int64
	// SegmentAge is the time between first and last row at which one is closed. Default 10 minutes.
	SegmentAge time.Duration
	// Begin is called when a segment is begun, before its first batch is written: the rows
	// it adds (state snapshot, coverage, credentials) come first. It must not call the
	// store, and runs on the goroutine of the Append or, after a failed sync, the Sync that
	// began the segment. When it fails, the rows it had added and the batch are written all
	// the same and Append returns a *BeginError. Default: none.
	Begin func(add func(*event.Row)) error
	// Writer holds the options of each segment's writer.
	Writer segment.Options
	// LockWait is how long to wait for a store that another process is writing. A recorder
	// that was killed keeps its lock for the seconds in which the kernel takes its programs
	// down. Default 3 s; negative: do not wait.
	LockWait time.Duration
	// FS replaces the file system, for tests. Default: the folder given to Create.
	FS FS
}

func (o *Options) defaults() {
	if o.SegmentBytes <= 0 {
		o.SegmentBytes = 64 << 20
	}
	if o.SegmentAge <= 0 {
		o.SegmentAge = 10 * time.Minute
	}
	if o.LockWait == 0 {
		o.LockWait = lockWait
	}
	if o.Clock == nil {
		p := o.Meta.Clock
		o.Clock = func() clock.Pair { return p }
	}
}

const (
	formatName = "FORMAT"
	formatLine = "hindcast 1\n"
	hostName   = "host.json"
	damagedDir = "damaged"
	pinsDir    = "snapshots"

	footerReserve = 4 << 20 // kept free for the footer of the open segment
	lockWait      = 3 * time.Second
	maxClockStep  = time.Second // a larger step of the wall clock closes the segment
)

// HostInfo is host.json.
type HostInfo struct {
	HostID    string   `json:"host_id"` // hash of the machine id
	Host      string   `json:"host"`
	MachineID string   `json:"machine_id"` // as in the segments: a hash
	Keys      []string `json:"keys"`       // public keys of the seals; none in this version
}

// Stats counts what a Store did.
type Stats struct {
	Segments    int // begun
	Rows        uint64
	Bytes       int64
	WriteErrors int
	RowsLost    uint64
	RowsSaved   uint64 // written again after a failed sync
}

// Store writes segments. Append, Sync, Stats and Close may be called from different
// goroutines; a Sync that waits for the disk does not hold up an Append.
type Store struct {
	fs     FS
	opt    Options
	lock   io.Closer
	mended []Mended

	syncing sync.Mutex // one Sync at a time
	mu      sync.Mutex
	closed  bool
	next    uint64 // number of the next segment
	prev    string // root of the segment sealed last, for the chain
	last    time.Time
	stats   Stats

	cur *open // nil between segments
}

// open is the open segment.
type open struct {
	name   string // path without extension
	f      File
	w      *segment.Writer
	idx    File // nil when it could not be made or written: it is never required
	idxOff int64
	listed int        // entries that are in the side index
	from   clock.Boot // of the first row
	synced int        // entries known to be durable
	begun  bool       // rows of Begin are in
}

// Create opens a store for writing and makes it when the folder is empty or missing.
// Leftovers of a writer that was killed are mended first; see Mended.
func Create(dir string, o Options) (*Store, error) {
	o.defaults()
	fsys := o.FS
	if fsys == nil {
		r, err := prepare(dir)
		if err != nil {
			return nil, fmt.Errorf("create store %s: %w", dir, err)
		}
		fsys = r
	}
	s := &Store{fs: fsys, opt: o, prev: segment.Genesis}
	if err := s.begin(); err != nil {
		if s.lock != nil {
			s.lock.Close()
		}
		fsys.Close()
		return nil, fmt.Errorf("create store %s: %w", dir, err)
	}
	return s, nil
}

// prepare makes the folder, or checks one that exists.
func prepare(dir string) (FS, error) {
	st, err := os.Lstat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, err
	case !st.IsDir():
		return nil, fmt.Errorf("%w: not a folder", fs.ErrExist)
	case !ours(st):
		return nil, ErrForeign
	}
	r, err := openRoot(dir)
	if err != nil {
		return nil, err
	}
	list, err := r.ReadDir(".")
	if err == nil && len(list) == 0 {
		err = r.Chmod(".", 0o700)
	} else if err == nil && st != nil && st.Mode().Perm()&0o022 != 0 {
		err = ErrWritable
	}
	if err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

func (s *Store) begin() error {
	top, err := s.fs.ReadDir(".")
	if err != nil {
		return err
	}
	known, foreign := false, false
	for _, e := range top {
		known = known || e.Name() == formatName
		foreign = foreign || e.Name() != formatName+".new"
	}
	if !known {
		if foreign {
			return ErrNotAStore
		}
		if err := s.writeSmall(formatName, []byte(formatLine)); err != nil {
			return err
		}
	}
	if err := checkFormat(s.fs); err != nil {
		return err
	}
	if s.lock, err = lock(s.fs, s.opt.LockWait); err != nil {
		return err
	}
	host, _ := json.MarshalIndent(HostInfo{hostID(&s.opt.Meta), s.opt.Meta.Host, s.opt.Meta.MachineID, []string{}}, "", "  ")
	if err := s.writeSmall(hostName, append(host, '\n')); err != nil {
		return err
	}
	if s.mended, err = mendAll(s.fs); err != nil {
		return err
	}
	entries, err := list(s.fs)
	if err != nil {
		return err
	}
	for i := range entries {
		s.next = max(s.next, entries[i].Name.Number)
	}
	aside, err := s.fs.ReadDir(damagedDir)
	if err != nil {
		return err
	}
	for _, e := range aside {
		base, _, _ := strings.Cut(e.Name(), ".")
		if n, _, ok := segment.ParseName(base + segment.Ext); ok {
			s.next = max(s.next, n.Number)
		}
	}
	s.next++
	if n := len(entries); n > 0 {
		s.last = entries[n-1].Name.Second
		if seg, f, err := openEntry(s.fs, &entries[n-1]); err == nil {
			if m := seg.Meta(); m.BootID == s.opt.Meta.BootID {
				s.prev = seg.Root().String()
			}
			f.Close()
		}
	}
	return nil
}

// lock takes the lock, waiting for another holder for a while.
func lock(fsys FS, wait time.Duration) (io.Closer, error) {
	for {
		l, err := fsys.Lock(formatName)
		if !errors.Is(err, ErrLocked) || wait <= 0 {
			return l, err
		}
		step := min(wait, 50*time.Millisecond)
		time.Sleep(step)
		wait -= step
	}
}

func hostID(m *segment.Meta) string {
	d := sha256.Sum256([]byte("hindcast host\x00" + m.MachineID + "\x00" + m.Host))
	return hex.EncodeToString(d[:8])
}

func checkFormat(fsys FS) error {
	b, err := readSmall(fsys, formatName)
	switch {
	case err != nil:
		return err
	case bytes.Equal(b, []byte(formatLine)):
		return nil
	case bytes.HasPrefix(b, []byte("hindcast ")):
		return fmt.Errorf("%s: %w", formatName, ErrVersion)
	}
	return fmt.Errorf("%s: %w", formatName, ErrNotAStore)
}

const maxSmall = 1 << 20

func readSmall(fsys FS, name string) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if f.Size() > maxSmall {
		return nil, fmt.Errorf("%s: %d bytes", name, f.Size())
	}
	b := make([]byte, f.Size())
	if n, err := f.ReadAt(b, 0); n != len(b) {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return b, nil
}

// writeSmall puts a whole file in place at once: a new one, synced, renamed over the old.
func (s *Store) writeSmall(name string, b []byte) error {
	if old, err := readSmall(s.fs, name); err == nil && bytes.Equal(old, b) {
		return nil
	}
	tmp := name + ".new"
	if err := s.fs.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := s.fs.Create(tmp)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, 0)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = s.fs.Rename(tmp, name)
	}
	if err == nil {
		err = s.fs.SyncDir(".")
	}
	return err
}

// Mended returns what Create found of earlier writers and made of it.
func (s *Store) Mended() []Mended { return s.mended }

// Stats returns the counters so far.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

// Append writes one batch; c.Finish must have been called, c is not kept, and it has at
// most segment.MaxRows rows. The rows survive the end of this process when Append returns,
// and a power cut after the next Sync. A *LostError means that the rows are not in the
// store; the next Append tries a new segment. After any other error but ErrRows and ErrType
// of the segment, which refuse the batch, they are.
func (s *Store) Append(c *event.Columns) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	if c.N == 0 {
		return nil
	}
	first, last := span(c)
	now := s.opt.Clock()
	if o := s.cur; o != nil {
		step := time.Duration(now.Offset() - o.w.Meta().Clock.Offset()).Abs()
		full := o.w.Size() >= s.opt.SegmentBytes || last.Sub(o.from) >= s.opt.SegmentAge
		if step > maxClockStep {
			o.w.Flag(segment.FlagClockStep)
		}
		if full || step > maxClockStep {
			// A segment that cannot be sealed stays behind as a leftover: its rows are there.
			if err := s.roll(); err != nil {
				s.stats.WriteErrors++
			}
		}
	}
	err := s.put(c, first, now)
	if we := (*segment.WriteError)(nil); errors.As(err, &we) && we.Rows > 0 || errors.Is(err, segment.ErrFailed) {
		// Seal what there is and try once more in a new segment.
		s.stats.WriteErrors++
		rest := c
		if we != nil && we.Rows < c.N {
			rest = tail(c, c.N-we.Rows)
		}
		_ = s.roll()
		if err = s.put(rest, first, now); err == nil {
			return nil
		}
		s.stats.WriteErrors++
		lost := rest.N
		if errors.As(err, &we) && we.Rows > 0 {
			lost = min(lost, we.Rows)
		}
		_ = s.roll()
		s.stats.RowsLost += uint64(lost)
		return fmt.Errorf("append batch: %w", &LostError{lost, err})
	}
	if err != nil {
		if be := (*BeginError)(nil); errors.Is(err, segment.ErrRows) || errors.Is(err, segment.ErrType) || errors.As(err, &be) {
			return fmt.Errorf("append batch: %w", err)
		}
		s.stats.WriteErrors++
		s.stats.RowsLost += uint64(c.N)
		return fmt.Errorf("append batch: %w", &LostError{c.N, err})
	}
	return nil
}

// tail copies the rows from i on.
func tail(c *event.Columns, i int) *event.Columns {
	out := new(event.Columns)
	var r event.Row
	for ; i < c.N; i++ {
		c.Row(i, &r)
		out.Append(&r)
	}
	out.Finish()
	return out
}

func span(c *event.Columns) (first, last clock.Boot) {
	first, last = c.TS[0], c.TS[0]
	for _, t := range c.TS[:c.N] {
		first, last = min(first, t), max(last, t)
	}
	return first, last
}

// put writes c into the open segment, which it begins when there is none.
func (s *Store) put(c *event.Columns, first clock.Boot, now clock.Pair) error {
	if s.cur == nil {
		if err := s.start(first, now); err != nil {
			return err
		}
	}
	o := s.cur
	var state error
	if !o.begun {
		state = s.state(o)
		if be := (*BeginError)(nil); state != nil && !errors.As(state, &be) {
			return state
		}
		o.begun = true
	}
	if err := s.write(o, c); err != nil {
		return err
	}
	return state
}

// write appends a batch and its side-index entries.
func (s *Store) write(o *open, c *event.Columns) error {
	size, rows := o.w.Size(), o.w.Rows()
	err := o.w.Write(c)
	s.stats.Bytes += o.w.Size() - size
	s.stats.Rows += o.w.Rows() - rows
	o.index()
	return err
}

// index appends the entries that are not in the side index yet. When that fails the index
// is given up: a reader finds batches without it.
func (o *open) index() {
	entries := o.w.Entries()
	for ; o.idx != nil && o.listed < len(entries); o.listed++ {
		b := entries[o.listed].IndexEntry()
		if n, err := o.idx.WriteAt(b, o.idxOff); err != nil || n != len(b) {
			o.idx.Close()
			o.idx = nil
			return
		}
		o.idxOff += int64(len(b))
	}
}

// start begins a segment whose first row is at the instant.
func (s *Store) start(first clock.Boot, now clock.Pair) error {
	m := s.opt.Meta
	m.Clock, m.Number, m.Prev = now, s.next, s.prev
	n := segment.NameOf(first.Wall(now.Offset()), &m)
	if n.Second.Before(s.last) { // names keep the order of the numbers
		n.Second = s.last
	}
	day := n.Day()
	if err := s.fs.Mkdir(day); err != nil {
		return fmt.Errorf("begin segment: %w", err)
	}
	name := path.Join(day, n.String())
	f, err := s.fs.Create(name + segment.ExtOpen)
	if err != nil {
		return fmt.Errorf("begin segment: %w", err)
	}
	s.next++
	fail := func(err error) error {
		f.Close()
		s.forget(name)
		return fmt.Errorf("begin segment: %w", err)
	}
	// Room for all of it if there is, else for the footer and something to put before it.
	if f.Reserve(s.opt.SegmentBytes+footerReserve) != nil {
		if err := f.Reserve(2 * footerReserve); err != nil {
			return fail(err)
		}
	}
	w, err := segment.NewWriter(f, m, s.opt.Writer)
	if err != nil {
		return fail(err)
	}
	if err := s.fs.SyncDir(day); err != nil {
		return fail(err)
	}
	if err := s.fs.SyncDir("."); err != nil {
		return fail(err)
	}
	o := &open{name: name, f: f, w: w, from: first}
	if o.idx, err = s.fs.Create(name + segment.ExtIndex); err != nil {
		o.idx = nil
	}
	o.index()
	s.cur, s.last = o, n.Second
	s.stats.Segments++
	s.stats.Bytes += w.Size()
	return nil
}

// state writes the rows of Begin.
func (s *Store) state(o *open) error {
	if s.opt.Begin == nil {
		return nil
	}
	var c event.Columns
	var failed error
	flush := func() {
		if c.N > 0 && failed == nil {
			c.Finish()
			failed = s.write(o, &c)
		}
		c.Reset()
	}
	err := s.opt.Begin(func(r *event.Row) {
		c.Append(r)
		if c.N == segment.MaxRows {
			flush()
		}
	})
	flush()
	if failed != nil {
		var we *segment.WriteError
		if errors.As(failed, &we) {
			// The rows of the caller's batch are lost with it, not those of the state.
			return fmt.Errorf("write state rows: %w", &segment.WriteError{Rows: 0, Err: we.Err, Cut: we.Cut})
		}
		return failed
	}
	if err != nil {
		return &BeginError{err}
	}
	return nil
}

// roll seals the open segment. When that fails the segment is left as a leftover.
func (s *Store) roll() error {
	o := s.cur
	if o == nil {
		return nil
	}
	s.cur = nil
	if o.idx != nil {
		o.idx.Close()
	}
	if o.w.Rows() == 0 {
		// Nothing but a schema, or not even that: as if it had never been.
		o.f.Close()
		s.forget(o.name)
		return nil
	}
	size := o.w.Size()
	err := o.w.Seal()
	s.stats.Bytes += o.w.Size() - size
	s.prev = o.w.Root().String()
	if e := o.f.Close(); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	return finish(s.fs, o.name, segment.ExtOpen)
}

// forget removes a segment that was begun and holds no row. Its number is given to the
// next one: a hole in the numbers means that a segment was removed.
func (s *Store) forget(name string) {
	_ = s.fs.Remove(name + segment.ExtIndex)
	if s.fs.Remove(name+segment.ExtOpen) == nil {
		s.next--
	}
}

// finish gives a sealed file its last name and mode and drops its side index.
func finish(fsys FS, name, from string) error {
	day := path.Dir(name)
	if err := fsys.Rename(name+from, name+segment.Ext); err != nil {
		return fmt.Errorf("seal segment: %w", err)
	}
	if err := fsys.SyncDir(day); err != nil {
		return fmt.Errorf("seal segment: %w", err)
	}
	if err := fsys.Chmod(name+segment.Ext, 0o440); err != nil {
		return fmt.Errorf("seal segment: %w", err)
	}
	for _, ext := range []string{segment.ExtOpen, segment.ExtIndex} {
		if err := fsys.Remove(name + ext); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("seal segment: %w", err)
		}
	}
	return nil
}

// Sync makes everything appended before the call durable.
func (s *Store) Sync() error {
	s.syncing.Lock()
	defer s.syncing.Unlock()
	s.mu.Lock()
	o := s.cur
	if o == nil || s.closed {
		s.mu.Unlock()
		return nil
	}
	entries := len(o.w.Entries())
	if entries == o.synced {
		s.mu.Unlock()
		return nil
	}
	s.mu.Unlock()
	err := o.f.Sync()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cur != o { // rolled meanwhile, and synced by that
		return nil
	}
	if err == nil {
		o.synced = max(o.synced, entries)
		o.w.Synced(o.synced)
		return nil
	}
	return s.afterFailedSync(o, err)
}

// afterFailedSync leaves a segment whose sync failed: what was durable stays and is sealed,
// what was not is written again into a new one. The failed file is never trusted with more.
func (s *Store) afterFailedSync(o *open, cause error) error {
	s.stats.WriteErrors++
	again, whole, err := o.w.Rewind()
	rows := 0
	for _, c := range again {
		rows += c.N
	}
	if err != nil || !whole {
		// The file cannot be cut back: it stays as a leftover, with whatever it holds.
		s.cur = nil
		if o.idx != nil {
			o.idx.Close()
		}
		o.f.Close()
		if err == nil {
			err = cause
		}
		return fmt.Errorf("sync segment: %w", &LostError{rows, err})
	}
	_ = s.roll()
	lost := 0
	now := s.opt.Clock()
	for _, c := range again {
		first, _ := span(c)
		if e := s.put(c, first, now); e != nil {
			lost += c.N
			err = e
			continue
		}
		s.stats.RowsSaved += uint64(c.N)
	}
	if lost > 0 {
		s.stats.RowsLost += uint64(lost)
		return fmt.Errorf("sync segment: %w", &LostError{lost, err})
	}
	if s.cur != nil {
		if err := s.cur.f.Sync(); err != nil {
			return fmt.Errorf("sync segment: %w", err)
		}
		s.cur.synced = len(s.cur.w.Entries())
		s.cur.w.Synced(s.cur.synced)
	}
	return nil
}

// Roll seals the open segment now; the next Append begins another.
func (s *Store) Roll() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	return s.roll()
}

// Head returns the root of the segment sealed last, "genesis" when there is none.
func (s *Store) Head() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.prev
}

// Close seals the open segment and gives the lock back. The store is closed even when it
// returns an error.
func (s *Store) Close() error {
	s.syncing.Lock()
	defer s.syncing.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	s.closed = true
	err := s.roll()
	if e := s.lock.Close(); err == nil {
		err = e
	}
	if e := s.fs.Close(); err == nil {
		err = e
	}
	if err != nil {
		return fmt.Errorf("close store: %w", err)
	}
	return nil
}
