//go:build linux && (amd64 || arm64)

package bpf

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"hindcast/bpf/internal/obj"
)

// Pinned, the programs, their links and the rings stay in the kernel when the recorder is killed,
// and go on recording until the rings are full. A folder of bpffs holds, in this order of making:
//
//	map_NAME prog_NAME link_NAME
//	books       what the recorder has stored; Set.Books
//	manifest    what all of it is: without it the rest is refuse of a start or an end that was cut short
//
// The folder is locked by the recorder that lives.

// pinVersion changes when a recorder cannot go on with the pins of another.
const pinVersion = 2

// Manifest says what is pinned.
type Manifest struct {
	Version  int
	Digest   string // of programs and options: a recorder with the same one can go on
	Boot     string // id of the boot
	Store    string // where the rows go
	PID      int    // of the recorder, in its own pid namespace
	Bulk     int    // bytes of the rings, of the lanes together
	Critical int
	Hooks    []PinnedHook

	CgroupRoot string
}

// PinnedHook is a hook in the manifest.
type PinnedHook struct {
	Name    string
	Section string
	Attach  uint32 `json:",omitempty"`
	Loaded  bool   `json:",omitempty"`
	Linked  bool   `json:",omitempty"` // attached through a link that is pinned
	Err     string `json:",omitempty"`
	LeftOut bool   `json:",omitempty"`
}

// Errors of pinning that callers branch on.
var (
	ErrPinned = errors.New("a recorder that lives holds the pins")
	ErrNoPins = errors.New("nothing is pinned")
	ErrNoFS   = errors.New("no bpf file system")
)

// Digest stands for all programs and for the options that they are loaded with, and so for what a
// set can be taken over for.
func Digest(o Options) (string, error) {
	h := sha256.New()
	for _, name := range obj.Names() {
		b, err := obj.Read(name)
		if err != nil {
			return "", fmt.Errorf("read object %s: %w", name, err)
		}
		fmt.Fprintf(h, "%s %d\n", name, len(b))
		h.Write(b)
	}
	if o.Select != nil {
		fmt.Fprintf(h, "select %v\n", *o.Select)
	}
	fmt.Fprintf(h, "bulk %d critical %d scoped %v cgroup %s forensic %v quota %d\n", o.BulkBytes, o.CriticalBytes, o.Scoped, o.CgroupRoot, o.Forensic, o.Quota)
	return hex.EncodeToString(h.Sum(nil)[:16]), nil
}

// pins is what a Set holds of its pins.
type pins struct {
	dir  string
	lock int               // descriptor of the folder
	ino  map[string]uint64 // of every pin, as it was made
}

// lockFolder makes the folder and locks it.
func lockFolder(dir string) (int, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return -1, fmt.Errorf("make folder of pins: %w", err)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil || st.Type != unix.BPF_FS_MAGIC {
		os.Remove(dir)
		return -1, fmt.Errorf("%s: %w", dir, ErrNoFS)
	}
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return -1, fmt.Errorf("open folder of pins: %w", err)
	}
	err = unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
	for try := 0; errors.Is(err, unix.EWOULDBLOCK) && try < 50; try++ { // somebody may only be reading the manifest
		time.Sleep(time.Millisecond)
		err = unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
	}
	if err != nil {
		unix.Close(fd)
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = ErrPinned
		}
		return -1, fmt.Errorf("lock folder of pins: %w", err)
	}
	return fd, nil
}

// MountFS sees to it that the root of the folder is a bpf file system.
func MountFS(root string) error {
	var st unix.Statfs_t
	if unix.Statfs(root, &st) == nil && st.Type == unix.BPF_FS_MAGIC {
		return nil
	}
	if err := unix.Mount("bpf", root, "bpf", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=0700"); err != nil {
		return fmt.Errorf("%w at %s, and it cannot be mounted: %w", ErrNoFS, root, err)
	}
	return nil
}

func pinName(name string) string {
	if name == live {
		name = "live"
	}
	return "map_" + name
}

// Pin pins everything into the folder, under what m says; the hooks and the digest are filled in.
// books is the size of what Books can hold. What was pinned in the folder before is removed. A
// link that cannot be pinned, which is so before 5.15 for tracepoints of perf events, ends with
// the recorder; its hook's Pinned says so.
func (s *Set) Pin(dir string, m Manifest, books int) (err error) {
	p := &pins{dir: dir, ino: map[string]uint64{}}
	if p.lock, err = lockFolder(dir); err != nil {
		return err
	}
	s.pins = p
	defer func() {
		if err != nil {
			s.Unpin()
		}
	}()
	if err := empty(dir); err != nil {
		return err
	}
	for name, mp := range s.maps {
		if strings.HasPrefix(strings.TrimLeft(name, "abcdefghijklmnopqrstuvwxyz0123456789_"), ".") && name != live {
			continue // settings that only the programs hold
		}
		if err := p.put(pinName(name), mp.FD()); err != nil {
			return err
		}
	}
	for _, h := range s.hooks {
		if h.prog == nil {
			continue
		}
		if err := p.put("prog_"+h.Name, h.prog.FD()); err != nil {
			return err
		}
		s.pinLink(h)
	}
	if s.Books, err = ebpf.NewMap(&ebpf.MapSpec{Name: "hc_books", Type: ebpf.Array, KeySize: 4, ValueSize: uint32(books), MaxEntries: 2, Flags: unix.BPF_F_MMAPABLE}); err != nil {
		return fmt.Errorf("create books: %w", err)
	}
	if err := p.put("books", s.Books.FD()); err != nil {
		return err
	}
	return s.writeManifest(m)
}

// pinLink pins the link of a hook where the kernel allows it.
func (s *Set) pinLink(h *Hook) {
	l, ok := h.link.(interface{ FD() int })
	h.Pinned = ok && s.pins.put("link_"+h.Name, l.FD()) == nil
}

// writeManifest puts the manifest in place; in a folder that has one only the value changes.
func (s *Set) writeManifest(m Manifest) error {
	m.Version, m.CgroupRoot = pinVersion, s.CgroupRoot
	m.Hooks = m.Hooks[:0:0]
	for _, h := range s.hooks {
		ph := PinnedHook{Name: h.Name, Section: h.Section, Loaded: h.prog != nil, Linked: h.Pinned, LeftOut: errors.Is(h.Err, ErrLeftOut), Attach: uint32(h.to)}
		if h.Err != nil {
			ph.Err, _, _ = strings.Cut(h.Err.Error(), "\n")
		}
		m.Hooks = append(m.Hooks, ph)
	}
	text, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}
	if s.manifest == nil {
		spec := ebpf.MapSpec{Name: "hc_manifest", Type: ebpf.Array, KeySize: 4, ValueSize: uint32(len(text)+4+8191) &^ 4095, MaxEntries: 1}
		if s.manifest, err = ebpf.NewMap(&spec); err != nil {
			return fmt.Errorf("create manifest: %w", err)
		}
	}
	size := int(s.manifest.ValueSize())
	if len(text)+4 > size {
		return fmt.Errorf("write manifest: %d bytes do not fit into %d", len(text), size)
	}
	value := append(binary.LittleEndian.AppendUint32(make([]byte, 0, size), uint32(len(text))), text...)
	if err := s.manifest.Put(uint32(0), value[:size]); err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}
	if _, ok := s.pins.ino["manifest"]; ok {
		return nil
	}
	return s.pins.put("manifest", s.manifest.FD())
}

// put pins a descriptor and remembers the pin.
func (p *pins) put(name string, fd int) error {
	path := filepath.Join(p.dir, name)
	b, err := unix.BytePtrFromString(path)
	if err != nil {
		return fmt.Errorf("pin %s: %w", path, err)
	}
	attr := struct {
		path  uint64
		fd    uint32
		flags uint32
	}{uint64(uintptr(unsafe.Pointer(b))), uint32(fd), 0}
	const objPin = 6
	_, _, e := unix.Syscall(unix.SYS_BPF, objPin, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	if e != 0 {
		return fmt.Errorf("pin %s: %w", path, e)
	}
	if err := p.note(name); err != nil {
		return err
	}
	return nil
}

func (p *pins) note(name string) error {
	ino, err := p.stat(name)
	if err != nil {
		return fmt.Errorf("look at pin: %w", err)
	}
	p.ino[name] = ino
	return nil
}

func (p *pins) stat(name string) (uint64, error) {
	var st unix.Stat_t
	if err := unix.Lstat(filepath.Join(p.dir, name), &st); err != nil {
		return 0, err
	}
	return st.Ino, nil
}

// ReadManifest reads what is pinned in a folder. live tells whether its recorder lives.
func ReadManifest(dir string) (m Manifest, live bool, err error) {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return m, false, fmt.Errorf("%s: %w", dir, ErrNoPins)
	}
	defer unix.Close(fd)
	live = errors.Is(unix.Flock(fd, unix.LOCK_SH|unix.LOCK_NB), unix.EWOULDBLOCK)
	mp, err := ebpf.LoadPinnedMap(filepath.Join(dir, "manifest"), nil)
	if err != nil {
		return m, live, fmt.Errorf("%s: %w: %w", dir, ErrNoPins, err)
	}
	defer mp.Close()
	m, err = parseManifest(mp)
	return m, live, err
}

func parseManifest(mp *ebpf.Map) (m Manifest, err error) {
	b, err := mp.LookupBytes(uint32(0))
	if err != nil {
		return m, fmt.Errorf("read manifest: %w", err)
	}
	if len(b) < 4 || uint64(binary.LittleEndian.Uint32(b)) > uint64(len(b)-4) {
		return m, errors.New("read manifest: it has no length")
	}
	if err := json.Unmarshal(b[4:4+binary.LittleEndian.Uint32(b)], &m); err != nil {
		return m, fmt.Errorf("read manifest: %w", err)
	}
	if m.Version != pinVersion {
		return m, fmt.Errorf("read manifest: version %d, this is %d", m.Version, pinVersion)
	}
	return m, nil
}

// Adopt takes over what is pinned in a folder. Nothing is loaded and nothing is attached: the
// programs have been running all the time. From now on they leave this process out.
func Adopt(dir string) (s *Set, m Manifest, err error) {
	if _, err := os.Lstat(filepath.Join(dir, "manifest")); err != nil {
		return nil, m, fmt.Errorf("%s: %w", dir, ErrNoPins)
	}
	p := &pins{dir: dir, ino: map[string]uint64{}}
	if p.lock, err = lockFolder(dir); err != nil {
		return nil, m, err
	}
	s = &Set{maps: map[string]*ebpf.Map{}, pins: p}
	defer func() {
		if err != nil {
			s.Close()
			s = nil
		}
	}()
	if s.manifest, err = ebpf.LoadPinnedMap(filepath.Join(dir, "manifest"), nil); err != nil {
		return s, m, fmt.Errorf("open manifest: %w", err)
	}
	if m, err = parseManifest(s.manifest); err != nil {
		return s, m, err
	}
	s.CgroupRoot = m.CgroupRoot
	names, err := list(dir)
	if err != nil {
		return s, m, err
	}
	for _, name := range names {
		if err := p.note(name); err != nil {
			return s, m, err
		}
		mapName, ok := strings.CutPrefix(name, "map_")
		if !ok {
			continue
		}
		if mapName == "live" {
			mapName = live
		}
		if s.maps[mapName], err = ebpf.LoadPinnedMap(filepath.Join(dir, name), nil); err != nil {
			return s, m, fmt.Errorf("open pinned %s: %w", name, err)
		}
	}
	if s.Books, err = ebpf.LoadPinnedMap(filepath.Join(dir, "books"), nil); err != nil {
		return s, m, fmt.Errorf("open books: %w", err)
	}
	for _, need := range []string{"hc_lanes", "hc_crit", "hc_counters", "hc_scope", "hc_creds", "hc_quota_lost", live} {
		if s.maps[need] == nil {
			return s, m, fmt.Errorf("take over pins: %s is not there", need)
		}
	}
	s.Lanes, s.Critical, s.Counters, s.Scope = s.maps["hc_lanes"], s.maps["hc_crit"], s.maps["hc_counters"], s.maps["hc_scope"]
	for _, ph := range m.Hooks {
		h := &Hook{Name: ph.Name, Section: ph.Section, set: s, to: ebpf.AttachType(ph.Attach)}
		s.hooks = append(s.hooks, h)
		switch {
		case ph.LeftOut:
			h.Err = ErrLeftOut
		case ph.Err != "":
			h.Err = errors.New(ph.Err)
		}
		if !ph.Loaded {
			continue
		}
		if h.prog, err = ebpf.LoadPinnedProgram(filepath.Join(dir, "prog_"+h.Name), nil); err != nil {
			h.Err, err = fmt.Errorf("open pinned program: %w", err), nil
			continue
		}
		if ph.Linked {
			// A link that is gone is attached anew by whoever looks at the hooks next.
			if l, e := link.LoadPinnedLink(filepath.Join(dir, "link_"+h.Name), nil); e == nil {
				h.link, h.Pinned = l, true
			}
		}
	}
	self, err := s.whoami()
	if err != nil {
		return s, m, err
	}
	return s, m, s.SetSelf(self)
}

// Renew says in the manifest who records now.
func (s *Set) Renew(m Manifest) error {
	for _, h := range s.hooks {
		if h.link != nil && !h.Pinned {
			s.pinLink(h)
		}
	}
	return s.writeManifest(m)
}

// Creds returns the credential sets that the programs have described so far, by id: the bytes of
// a struct hc_cred_key.
func (s *Set) Creds() (map[uint32][]byte, error) {
	out := map[uint32][]byte{}
	var k []byte
	var id uint32
	it := s.maps["hc_creds"].Iterate()
	for it.Next(&k, &id) {
		out[id] = append([]byte(nil), k...)
	}
	if err := it.Err(); err != nil && !errors.Is(err, ebpf.ErrIterationAborted) {
		return nil, fmt.Errorf("read credentials: %w", err)
	}
	return out, nil
}

// Unpin removes the pins: then everything ends with this process.
func (s *Set) Unpin() error {
	if s.pins == nil {
		return nil
	}
	err := empty(s.pins.dir)
	if e := os.Remove(s.pins.dir); err == nil {
		err = e
	}
	os.Remove(filepath.Dir(s.pins.dir)) // when it was the last
	unix.Close(s.pins.lock)
	s.pins = nil
	for _, h := range s.hooks {
		h.Pinned = false
	}
	return err
}

// RemovePins removes what a recorder left: hooks that nobody else holds are taken out, and what
// waits in the rings is gone. It refuses when the recorder lives.
func RemovePins(dir string) error {
	fd, err := lockFolder(dir)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := empty(dir); err != nil {
		return err
	}
	err = os.Remove(dir)
	os.Remove(filepath.Dir(dir))
	return err
}

func list(dir string) (names []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list pins: %w", err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, nil
}

// empty removes every pin of a folder, the manifest first: from then on nobody takes it over.
func empty(dir string) error {
	names, err := list(dir)
	if err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(dir, "manifest")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove pins: %w", err)
	}
	for _, name := range names {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove pins: %w", err)
		}
	}
	return nil
}

// Damage is something that somebody did to the recording, and what became of it.
type Damage struct {
	What   string // in words
	Hook   *Hook  // nil when no hook was out of its place
	Mended bool
	Err    error // why not
	Still  bool  // it was found before, and could not be mended then
}

// Inspect looks whether every pin is there, every link still holds its program in its place and
// the programs still know who records, and mends what is not. What cannot be mended is found again
// the next time. It must not run while hooks are attached or detached.
func (s *Set) Inspect() (found []Damage) {
	add := func(h *Hook, err error, format string, args ...any) {
		found = append(found, Damage{What: fmt.Sprintf(format, args...), Hook: h, Mended: err == nil, Err: err})
	}
	if self, err := s.LiveSelf(); err == nil && self != s.Self && s.Self != NoSelf {
		add(nil, s.SetSelf(s.Self), "programs were told that process %d records", self)
	}
	for _, h := range s.hooks {
		if h.prog == nil {
			continue
		}
		still, why := h.away, h.away
		if l, ok := h.link.(link.Link); ok && still == "" {
			why = h.out(l)
		}
		if why == "" {
			continue
		}
		if h.link != nil {
			h.link.Close()
			h.link = nil
			if s.pins != nil && h.Pinned {
				os.Remove(filepath.Join(s.pins.dir, "link_"+h.Name))
			}
			h.Pinned = false
		}
		if e := h.event; e != nil {
			h.event = nil
			go e.Close() // takes long: see attachTracepoint
		}
		err := h.Attach()
		h.away = ""
		if err != nil {
			h.away = why
		} else if s.pins != nil {
			s.pinLink(h)
		}
		add(h, err, "%s: %s", h.Name, why)
		found[len(found)-1].Still = still != ""
	}
	p := s.pins
	if p == nil {
		return found
	}
	fds := map[string]int{"books": s.Books.FD(), "manifest": s.manifest.FD()}
	for name, m := range s.maps {
		fds[pinName(name)] = m.FD()
	}
	for _, h := range s.hooks {
		if h.prog != nil {
			fds["prog_"+h.Name] = h.prog.FD()
		}
		if l, ok := h.link.(interface{ FD() int }); ok && h.Pinned {
			fds["link_"+h.Name] = l.FD()
		}
	}
	missing, replaced := 0, 0
	var failed error
	for name, ino := range p.ino {
		got, err := p.stat(name)
		if err == nil && got == ino {
			continue
		}
		if err == nil {
			replaced++
			os.Remove(filepath.Join(p.dir, name))
		} else {
			missing++
		}
		if err := os.MkdirAll(p.dir, 0o700); err != nil {
			failed = err
			continue
		}
		fd, ok := fds[name]
		if !ok {
			delete(p.ino, name)
			continue
		}
		if err := p.put(name, fd); err != nil {
			failed = err
		}
	}
	if missing+replaced > 0 {
		// The lock is on the folder, which may be a new one.
		if fd, err := lockFolder(p.dir); err == nil {
			unix.Close(p.lock)
			p.lock = fd
		}
		add(nil, failed, "%d pins were removed and %d replaced", missing, replaced)
	}
	return found
}

// out says in which way the link does not hold the program in its place any more.
func (h *Hook) out(l link.Link) string {
	info, err := l.Info()
	if err != nil {
		if errors.Is(err, ebpf.ErrNotSupported) {
			return ""
		}
		return "its link cannot be asked: " + err.Error()
	}
	if cg := info.Cgroup(); cg != nil && cg.CgroupId == 0 {
		return "its link was detached"
	}
	if h.id == 0 {
		if pi, err := h.prog.Info(); err == nil {
			h.id, _ = pi.ID()
		}
	}
	if h.id != 0 && h.id != info.Program {
		return "its link runs another program"
	}
	return ""
}
