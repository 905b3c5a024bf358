//go:build linux && (amd64 || arm64)

package recorder

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"hindcast/bpf"
	"hindcast/format/clock"
	"hindcast/format/event"
	"hindcast/recorder/batch"
	"hindcast/recorder/health"
	"hindcast/recorder/probe"
	"hindcast/recorder/ring"
)

// PinRoot is where pins go: one folder for each store.
const PinRoot = "/sys/fs/bpf/hindcast"

const bpffs = "/sys/fs/bpf"

// takeover is what a recorder found that goes on where another ended.
type takeover struct {
	m        bpf.Manifest
	books    *books
	critical uint64 // ends of the rings when they were found
	lanes    []uint64
	found    clock.Boot
	away     []*bpf.Hook // not in their places then
}

// pinFolder names the folder of this store's pins.
func (o *Options) pinFolder() string {
	dir, err := filepath.Abs(o.Dir)
	if err == nil {
		if real, e := filepath.EvalSymlinks(dir); e == nil {
			dir = real
		}
	}
	d := sha256.Sum256([]byte(dir))
	root := o.Pin
	if root == "" {
		root = PinRoot
	}
	return filepath.Join(root, hex.EncodeToString(d[:8]))
}

// loadOptions says how the programs are to be loaded.
func (o *Options) loadOptions() bpf.Options {
	return bpf.Options{
		BulkBytes: o.RingBytes, CriticalBytes: o.CriticalBytes, Scoped: len(o.Command) > 0, CgroupRoot: probe.CgroupRoot(),
		Forensic: probe.Profile(o.Profile) == probe.Forensic, Leave: o.choice().Leaves, Quota: o.Quota, Select: o.Filter.selects(),
	}
}

// digest stands for programs and options that a successor must share.
func (o *Options) digest() (string, error) {
	d, err := bpf.Digest(o.loadOptions())
	return fmt.Sprintf("%s %+v %s", d, o.choice(), o.Filter.text()), err
}

// inherit looks for what a recorder of this store left running in the kernel. With the same
// programs and options it is taken over; with others, what waits is stored and the hooks are
// taken out, and s goes on as if there had been nothing.
func (s *session) inherit() error {
	if s.scoped() {
		return nil // a command's recording ends with it; what the host's left is none of its business
	}
	dir := s.o.pinFolder()
	folders, _ := os.ReadDir(filepath.Dir(dir))
	for _, f := range folders {
		if f.Name() == filepath.Base(dir) {
			continue
		}
		if m, live, err := bpf.ReadManifest(filepath.Join(filepath.Dir(dir), f.Name())); err == nil && !live {
			s.o.Logger.Warn("hooks of a recorder that ended without a word are still in place: hindcast record -w STORE stores what waits, hindcast doctor --release ends them",
				"store", m.Store, "process", m.PID)
		}
	}
	m, live, err := bpf.ReadManifest(dir)
	if live {
		return &Error{Cause: ErrOutput, Err: bpf.ErrPinned, Text: fmt.Sprintf("process %d records into %s already", m.PID, s.o.Dir)}
	}
	if err != nil {
		if !errors.Is(err, bpf.ErrNoPins) {
			s.lostPins(dir, err)
		}
		return nil
	}
	digest, err := s.o.digest()
	if err != nil {
		return loadError(err)
	}
	same := m.Digest == digest && m.Boot == line("/proc/sys/kernel/random/boot_id") && !s.o.NoPin
	old := s
	if !same {
		old = &session{o: s.o, store: s.store, state: s.state}
	}
	if err := old.takeOver(dir); err != nil {
		if old.writer != nil {
			old.writer.Close()
		}
		old.close()
		*old = session{o: s.o, store: s.store, state: s.state, remarks: s.remarks}
		s.state.Reset()
		s.lostPins(dir, err)
		return nil
	}
	if same {
		return nil
	}
	return s.replace(old)
}

// lostPins says that what was left could not be used; it is removed.
func (s *session) lostPins(dir string, err error) {
	s.o.Logger.Error("what an earlier recorder left running cannot be taken over and is removed", "pins", dir, "error", err)
	s.remarks = append(s.remarks, remark{"pins-lost", fmt.Sprintf("what an earlier recorder left running could not be taken over: %v", err)})
	if err := bpf.RemovePins(dir); err != nil {
		s.o.Logger.Error("cannot remove pins", "pins", dir, "error", err)
	}
}

// takeOver opens the pinned programs and goes on with the books.
func (s *session) takeOver(dir string) error {
	set, m, err := bpf.Adopt(dir)
	if err != nil {
		return err
	}
	s.set = set
	if err := s.openRings(int(set.Critical.MaxEntries())); err != nil {
		return err
	}
	newer, older, err := readBooks(set.Books)
	if err != nil {
		return err
	}
	given := &books{Critical: s.critical.Position()}
	for _, l := range s.lanes.All() {
		given.Lanes = append(given.Lanes, l.Stored())
	}
	b, err := settle(s.o.Dir, newer, older, given)
	if err != nil {
		return err
	}
	s.taken = &takeover{m: m, books: b, critical: s.critical.End(), found: boot()}
	s.critical.Hold(b.Critical)
	for i, l := range s.lanes.All() {
		var from uint64
		if i < len(b.Lanes) {
			from = b.Lanes[i]
		}
		if err := l.Hold(from, s.learned(i)); err != nil {
			return err
		}
		s.taken.lanes = append(s.taken.lanes, l.End())
	}
	for _, h := range set.Hooks() {
		if h.Loaded() && h.Err == nil && !h.Iterator() && !h.Attached() {
			s.taken.away = append(s.taken.away, h)
		}
	}
	s.openWriter()
	s.collector.Received, s.collector.Bad = b.Received, b.Bad
	s.collector.Critical.Resume(b.CritSeq)
	s.collector.Bulk.Resume(b.BulkSeq)
	s.ledger.Start = b.Started
	s.ledger.Resume(b.Told)
	s.writer.Resume(b.Disk)
	creds, err := set.Creds()
	if err != nil {
		return err
	}
	rows := make([]event.Row, 0, len(creds))
	for id, k := range creds {
		if r, ok := credRow(id, k); ok {
			rows = append(rows, r)
			s.users[id] = uint32(r.N2)
		}
	}
	at := b.At
	if at == 0 {
		at = s.taken.found
	}
	s.state.Restore(rows, at)
	s.keep()
	if newer != nil {
		s.keeper.ordinal = newer.Ordinal
		s.keeper.turn = b.slot // the first note goes into the other entry
	}
	s.beginBooks(b.At)
	m.PID = os.Getpid()
	if err := set.Renew(m); err != nil {
		s.o.Logger.Warn("cannot renew the manifest of the pins", "error", err)
	}
	return nil
}

// keep starts the books.
func (s *session) keep() {
	s.keeper = newKeeper(s.set.Books, s.o.Logger, func(b *books) {
		b.Received, b.Bad, b.Disk = s.collector.Received, s.collector.Bad, s.writer.Progress().Lost
		b.CritSeq, b.BulkSeq = s.collector.Critical.Spans(), s.collector.Bulk.Spans()
		b.Started, b.Told = s.ledger.Start, s.ledger.Told()
	})
	s.collector.Keeper = s.keeper
}

// beginBooks writes books that hold without a batch.
func (s *session) beginBooks(at clock.Boot) {
	var lanes []uint64
	for _, l := range s.lanes.All() {
		lanes = append(lanes, l.Position())
	}
	s.keeper.begin(at, s.critical.Position(), lanes)
}

// credRow makes the row of a credential set from its key in the kernel's table.
func credRow(id uint32, k []byte) (event.Row, bool) {
	if len(k) != 80 {
		return event.Row{}, false
	}
	u32 := func(at int) int64 { return int64(binary.NativeEndian.Uint32(k[at:])) }
	u64 := func(at int) int64 { return int64(binary.NativeEndian.Uint64(k[at:])) }
	return event.Row{
		Type: event.Cred, Flags: event.FlagCritical | event.FlagSnapshot | event.FlagRecorder, Cred: id,
		N1: u32(0), N5: u32(4), N3: u32(8), N7: u32(12), N2: u32(16), N6: u32(20), N4: u32(24), N8: u32(28),
		N10: u64(40), N9: u64(48), N11: u64(56), Op: uint32(u32(72)), N12: u32(76),
	}, true
}

// catchUp stores what waited in the rings when they were found, and tells what is known of the
// time without a recorder.
func (s *session) catchUp() {
	t := s.taken
	before := total(&s.collector.Received)
	for end := time.Now().Add(2 * time.Second); s.broken == nil; {
		now := boot()
		_, err := s.collector.Drain(now)
		if err != nil {
			s.broken = err
		}
		s.collector.Emit(now)
		done := s.critical.Position() >= t.critical
		for i, l := range s.lanes.All() {
			done = done && l.Position() >= t.lanes[i]
		}
		if done || time.Now().After(end) {
			break
		}
		time.Sleep(time.Millisecond) // a record is still being written
	}
	waited := total(&s.collector.Received) - before
	lost := s.ledger.Lost
	s.books(boot())
	lost = s.ledger.Lost - lost
	since := t.books.At
	if since == 0 {
		since = t.books.Started
	}
	// A link that could not be pinned has ended with its recorder, one whose pin was removed then.
	for _, h := range t.away {
		if h.Attached() {
			s.downtime(h, since, s.started, "ended with the recorder before")
		}
	}
	now := boot()
	s.collector.Row(event.Row{TS: now, T0: since, Type: event.Recorder, Flags: event.FlagRecorder, Text: []byte("resumed"), N1: int64(waited),
		Text2: fmt.Appendf(nil, "recorder %d ended without a word after %s of boot time; %d records waited, %d were lost until %s", t.m.PID, seconds(since), waited, lost, seconds(now))})
	s.collector.Finish() // should we be killed too, the next one tells of us only
}

// downtime says that a hook told nothing for a while.
func (s *session) downtime(h *bpf.Hook, since, until clock.Boot, why string) {
	e := probe.Lookup(h.Name)
	if e == nil {
		return
	}
	for _, t := range e.Feeds {
		s.collector.Row(health.Row(since, until, 0, t, 0, "downtime", h.Name+" "+why+", any cpu"))
	}
}

func seconds(t clock.Boot) string { return fmt.Sprintf("%d.%06d s", t/1e9, t%1e9/1e3) }

func total(n *[event.MaxType]uint64) (sum uint64) {
	for _, v := range n {
		sum += v
	}
	return sum
}

// replace makes ready to put other programs in the place of those that were left: what waits in
// their rings is stored, and the new ones are loaded.
func (s *session) replace(old *session) error {
	s.old = old
	if err := s.load(); err != nil {
		old.writer.Close()
		return err
	}
	old.probe = probe.New(old.set, s.o.choice())
	old.probe.Attach() // they are
	old.started = boot()
	old.catchUp()
	return nil
}

// cut ends the time of the old programs: what they see from now on is not stored. The new ones are
// attached next. Only then are the old ones taken out, which takes seconds.
func (s *session) cut() {
	s.without = boot()
	s.old.sweep()
	s.old.doAll()
	s.old.collector.Until = boot()
}

// retire takes the old programs out and closes their books. The rings of the new ones hold what
// happens meanwhile.
func (s *session) retire() {
	old := s.old
	if err := old.set.Unpin(); err != nil {
		s.o.Logger.Warn("cannot remove pins", "error", err)
	}
	old.set.Detach()
	old.balance("replaced by a recorder with other options")
	old.close()
	s.old = nil
	s.state.Reset()
	if err := s.store.Roll(); err != nil {
		s.o.Logger.Warn("cannot seal the segment of the recorder before", "error", err)
	}
}

// pin lets the programs outlive this process.
func (s *session) pin() {
	why := func() error {
		if s.o.NoPin {
			return errors.New("not wanted")
		}
		if s.o.Pin == "" {
			if err := bpf.MountFS(bpffs); err != nil {
				return err
			}
		}
		digest, err := s.o.digest()
		if err != nil {
			return err
		}
		abs, _ := filepath.Abs(s.o.Dir)
		return s.set.Pin(s.o.pinFolder(), bpf.Manifest{Digest: digest, Boot: line("/proc/sys/kernel/random/boot_id"), Store: abs, PID: os.Getpid(),
			Bulk: s.o.RingBytes, Critical: s.o.CriticalBytes}, booksSize())
	}()
	if why != nil {
		s.remarks = append(s.remarks, remark{"not-pinned", fmt.Sprintf("when this recorder is killed nothing is recorded until the next one starts: %v", why)})
		if !s.o.NoPin {
			s.o.Logger.Warn("cannot pin: when this recorder is killed nothing is recorded until the next one starts", "error", why)
		}
		return
	}
	s.keep()
	s.beginBooks(0)
}

// openRings maps the rings of the set.
func (s *session) openRings(critical int) (err error) {
	if s.critical, err = ring.Open(s.set.Critical.FD(), critical); err != nil {
		return err
	}
	lanes := s.set.Lanes
	if s.lanes, err = ring.OpenLanes(lanes.FD(), int(lanes.ValueSize()), int(lanes.MaxEntries())); err != nil {
		return err
	}
	s.poll, err = ring.NewPoller(s.critical)
	return err
}

// holdRings keeps what is read where it is, from the beginning on.
func (s *session) holdRings() error {
	s.critical.Hold(0)
	for i, l := range s.lanes.All() {
		if err := l.Hold(0, s.learned(i)); err != nil {
			return err
		}
	}
	return nil
}

// learned is who is told of records of a lane that an earlier recorder has stored.
func (s *session) learned(int) func(rec []byte) { return nil }

// openWriter starts the way to the disk.
func (s *session) openWriter() {
	s.writer = batch.OpenWriter(s.store, s.state, s.writerOptions())
	s.collector = batch.NewCollector(s.critical, s.lanes.All(), s.writer)
	s.collector.Values, s.collector.MaxRows = s.o.Env, s.o.sizes.Rows
	s.throttle = s.newThrottle()
	if runtime.GOARCH == "arm64" && bpf.Old() {
		s.collector.Fence = membarrier
	}
	s.users = map[uint32]uint32{}
}

// membarrier waits until every program that runs has ended, as seen from all cpus. On arm64 before
// 5.12 programs have no barrier between a record and the head of its lane.
func membarrier() {
	const global = 1
	unix.Syscall(unix.SYS_MEMBARRIER, global, 0, 0)
}

// guardTime is how often the recording itself is looked after.
const guardTime = time.Second

// guard looks every second whether the hooks are in their places and the pins are there, and
// mends what is not. What the hooks would have told meanwhile has a ledger row without a number.
func (s *session) guard() {
	defer close(s.guarded)
	t := time.NewTicker(guardTime)
	defer t.Stop()
	good := boot()
	for {
		select {
		case <-s.halt:
			return
		case <-t.C:
		}
		begun := boot()
		found := s.set.Inspect()
		if len(found) > 0 {
			_ = s.set.MarkOwn() // what was attached anew has other ids
		}
		for _, d := range found {
			now := boot()
			detail := fmt.Sprintf("%s; last seen in order at %s", d.What, seconds(good))
			if d.Mended {
				detail += ", mended at " + seconds(now)
			} else {
				detail += fmt.Sprintf(", cannot be mended: %v", d.Err)
			}
			told := d.Still && !d.Mended // once is enough
			if !told {
				s.o.Logger.Warn("somebody reached into the recording", "what", d.What, "mended", d.Mended)
			}
			since := good
			s.do(func() {
				if !told {
					s.row("tamper", detail, 0, now)
				}
				if d.Hook != nil {
					s.downtime(d.Hook, since, now, "was out of its place")
				}
			})
		}
		good = begun
	}
}
