//go:build linux && (amd64 || arm64)

// Package bpf loads the in-kernel programs and hands out their maps and hooks. It knows how
// programs are attached, not what their events mean: that is the recorder's business.
//
// A hook is one program and the place in the kernel where it runs. Each is loaded on its own, so
// a kernel that refuses one still gives all the others; the refusal stays in the Hook.
package bpf

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"sort"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"

	"hindcast/bpf/internal/obj"
)

// ErrNoBTF means that the kernel does not describe its types (CONFIG_DEBUG_INFO_BTF).
var ErrNoBTF = errors.New("kernel has no BTF")

// Options are what the programs are told before they are loaded. The zero value works.
type Options struct {
	BulkBytes     int    // size of the lanes of bulk records together, divided among the cpus; default 32 MiB
	CriticalBytes int    // size of the reserved ring, a power of two; default 8 MiB
	Scoped        bool   // only processes in the scope map make events
	Self          uint32 // thread group whose bulk events are left out and counted; default this process, NoSelf for none
	CgroupRoot    string // root of cgroup2, where cgroup programs attach; empty: they do not
	Forensic      bool   // programs tell every operation, whatever it costs
	// Quota is how many bulk records a second a cgroup may make, always; 0: only while its
	// cpu's lane is three quarters full, and then 16384. Negative: no quotas.
	Quota int
	// Select is what is wanted of what the programs tell. Default: all of it.
	Select *Selection
	// Leave tells which programs are not wanted; they are not loaded. Default: none.
	Leave func(name string) bool
}

// ErrLeftOut is the error of a hook that Options.Leave did not want.
var ErrLeftOut = errors.New("left out")

var errTooLarge = errors.New("more than this kernel's verifier can follow")

// NoSelf as Options.Self leaves nobody out.
const NoSelf = ^uint32(0)

// Set is the loaded programs and the maps they share.
type Set struct {
	Lanes      *ebpf.Map // rings of bulk records: see ring.OpenLanes
	Critical   *ebpf.Map // ring
	Counters   *ebpf.Map // per cpu: [Causes][Types]uint64
	Scope      *ebpf.Map // uint32 pid -> uint32 1
	CgroupRoot string    // where cgroup programs attach: the root of cgroup2
	Self       uint32    // thread group left out, as the initial pid namespace numbers it

	// Books is where the recorder notes what it has stored, once the set is pinned.
	Books *ebpf.Map

	// Compat is the programs for calls of the 32-bit table that the kernel refused. They are no
	// hooks, and are loaded only where every call is seen.
	Compat []*Hook

	maps     map[string]*ebpf.Map
	hooks    []*Hook
	pins     *pins // nil when nothing is pinned
	manifest *ebpf.Map
	lane     int // bytes of each cpu's lane
	squeeze  atomic.Uint32
	types    *btf.Cache // of the kernel, parsed once for all objects
}

// Shape of a Counters value.
const (
	Causes = 11
	Types  = 64
)

// Hook is one program and where it attaches.
type Hook struct {
	Name    string // C name of the program
	Section string // ELF section: tp_btf/x, tp/syscalls/x, iter/x, cgroup/x
	Err     error  // why it could not be loaded or attached, nil otherwise
	Pinned  bool   // its place outlives the recorder

	set   *Set
	to    ebpf.AttachType // of a cgroup program
	prog  *ebpf.Program
	link  io.Closer
	event *os.File // perf event of a tracepoint; outlives the link
	id    ebpf.ProgramID
	away  string // in which way it was found out of its place, until it is back
}

// Load creates the maps and loads every program. It fails only when nothing can work: no BTF, no
// permission, no memory for the rings. A single refused program is in its Hook.
func Load(o Options) (*Set, error) {
	if _, err := kernelTypes(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoBTF, err)
	}
	// Before 5.11 maps are charged to the locked-memory limit. Lifting it needs a capability that
	// newer kernels do without, so failure shows later, where it matters, or not at all.
	_ = rlimit.RemoveMemlock()
	s := &Set{maps: map[string]*ebpf.Map{}, CgroupRoot: o.CgroupRoot, types: btf.NewCache()}
	self := o.Self
	who, err := s.whoami()
	if err != nil {
		return nil, err
	}
	if self == 0 {
		self = who
	}
	s.Self = self
	bulk, crit := max(o.BulkBytes, 0), max(o.CriticalBytes, 0)
	if bulk == 0 {
		bulk = bulkBytes
	}
	if crit == 0 {
		crit = 8 << 20
	}
	if err := s.newLanes(bulk); err != nil {
		s.Close()
		return nil, err
	}
	load := func(name string, o *Options) error { return s.loadObject(name, self, crit, o) }
	for _, name := range obj.Names() {
		if compat(name) || name == kprobes || name == standIns && !Old() {
			continue
		}
		if err := load(name, &o); err != nil {
			s.Close()
			return nil, err
		}
	}
	// The same programs as kprobes, where they do not load as fentry. Most kernels without the one
	// are without the other.
	if s.wantsKprobes(&o) && haveKprobes() {
		if err := load(kprobes, &o); err != nil {
			s.Close()
			return nil, err
		}
	}
	if err := s.loadCompat(load, o); err != nil {
		s.Close()
		return nil, err
	}
	s.dropAlternatives()
	// What was parsed for loading, the kernel's own types among it, is not needed any more.
	s.types = nil
	forgetTypes()
	s.Lanes, s.Critical, s.Counters, s.Scope = s.maps["hc_lanes"], s.maps["hc_crit"], s.maps["hc_counters"], s.maps["hc_scope"]
	return s, nil
}

// dropAlternatives keeps one of two programs for the same thing: NAME_old serves kernels that
// refuse NAME, and is not a hook of its own.
func (s *Set) dropAlternatives() {
	kept := s.hooks[:0]
	for _, h := range s.hooks {
		first, old := strings.CutSuffix(h.Name, "_old")
		switch {
		case old && s.Hook(first) != nil && s.Hook(first).Loaded():
			if h.prog != nil {
				h.prog.Close()
			}
		case !old && h.Err != nil && s.Hook(h.Name+"_old") != nil && s.Hook(h.Name+"_old").Loaded():
		default:
			kept = append(kept, h)
		}
	}
	s.hooks = kept
}

func spec(name string) (*ebpf.CollectionSpec, error) {
	b, err := obj.Read(name)
	if err != nil {
		return nil, err
	}
	cs, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	return cs, adapt(cs)
}

// whoami returns this process's thread group as the initial pid namespace numbers it.
func (s *Set) whoami() (uint32, error) {
	cs, err := spec("process")
	if err != nil {
		return 0, err
	}
	for name := range cs.Programs {
		if name != "hc_whoami" {
			delete(cs.Programs, name)
		}
	}
	c, err := ebpf.NewCollectionWithOptions(cs, ebpf.CollectionOptions{Cache: s.types})
	if err != nil {
		return 0, fmt.Errorf("load a first program: %w", err)
	}
	defer c.Close()
	ret, err := c.Programs["hc_whoami"].Run(&ebpf.RunOptions{})
	if err != nil {
		return uint32(os.Getpid()), nil // raw_tp test runs need 5.10; in the initial namespace this is the same
	}
	return ret, nil
}

func (s *Set) loadObject(name string, self uint32, crit int, o *Options) error {
	cs, err := spec(name)
	if err != nil {
		return fmt.Errorf("object %s: %w", name, err)
	}
	if m := cs.Maps["hc_lanes"]; m != nil {
		m.MaxEntries, m.ValueSize = s.maps["hc_lanes"].MaxEntries(), s.maps["hc_lanes"].ValueSize()
	}
	for _, n := range []string{"hc_sel_tree", "hc_sel_gone"} { // megabytes that only descendants of processes need
		if m := cs.Maps[n]; m != nil && (o.Select == nil || len(o.Select.Roots()) == 0) {
			m.MaxEntries = 64
		}
	}
	if m := cs.Maps["hc_crit"]; m != nil {
		m.MaxEntries = uint32(crit)
	}
	for m, spare := range map[string]uint32{"hc_scratch": 0, "hc_own_scratch": 3} { // HC_SPARE
		if m := cs.Maps[m]; m != nil {
			cpus, err := ebpf.PossibleCPU()
			if err != nil {
				return fmt.Errorf("count cpus: %w", err)
			}
			m.MaxEntries = uint32(cpus) + spare
		}
	}
	normal, important, share := o.quota(s.lane)
	sel, err := o.Select.wire()
	if err != nil {
		return err
	}
	for k, v := range map[string]any{"hc_selecting": b2u(o.Select != nil), "hc_sel": sel, "hc_quota_normal": normal, "hc_quota_important": important, "hc_quota_ns": share, "hc_live": [2]uint32{self}, "hc_scoped": b2u(o.Scoped), "hc_forensic": b2u(o.Forensic), "hc_lane_last": uint32(laneBase + s.lane - 8), "hc_crit_wake": uint32(crit / 8), "hc_page_size": uint32(os.Getpagesize())} {
		if vs := cs.Variables[k]; vs != nil {
			if err := vs.Set(v); err != nil {
				return fmt.Errorf("object %s: set %s: %w", name, k, err)
			}
		}
	}
	delete(cs.Programs, "hc_whoami")
	delete(cs.Programs, "hc_layout")
	names := make([]string, 0, len(cs.Programs))
	for n := range cs.Programs {
		names = append(names, n)
	}
	sort.Strings(names)
	left := names[:0:0]
	if o.Leave != nil {
		wanted := names[:0]
		for _, n := range names {
			if !o.Leave(n) {
				wanted = append(wanted, n)
				continue
			}
			left = append(left, n)
			s.hooks = append(s.hooks, &Hook{Name: n, Section: cs.Programs[n].SectionName, Err: ErrLeftOut, set: s})
		}
		for _, n := range left {
			delete(cs.Programs, n)
		}
		if names = wanted; len(names) == 0 {
			return nil
		}
	}
	// What the kernel does not have would cost the whole object its quick way in, and a search
	// through the types of everything that is loaded.
	here := names[:0]
	for _, n := range names {
		if p := cs.Programs[n]; absent(p.SectionName) {
			s.hooks = append(s.hooks, &Hook{Name: n, Section: p.SectionName, Err: fmt.Errorf("load: %w", ErrAbsent), set: s})
			delete(cs.Programs, n)
			continue
		}
		here = append(here, n)
	}
	if names = here; len(names) == 0 {
		return nil
	}
	// Maps first, once for all objects; the read-only settings are the object's own.
	own := map[string]*ebpf.Map{}
	for mname, ms := range cs.Maps {
		key := mname
		if strings.HasPrefix(mname, ".") && mname != live {
			key = name + mname
		}
		m := s.maps[key]
		if m == nil {
			if m, err = newMap(cs, mname, ms); err != nil {
				return fmt.Errorf("create map %s: %w", mname, err)
			}
			s.maps[key] = m
			if mname == "hc_quota_lost" {
				if err := openQuotas(m); err != nil {
					return err
				}
			}
		}
		own[mname] = m
	}
	// All at once is several times faster, since types are handed to the kernel once; only when
	// the kernel refuses something is each tried alone.
	opts := ebpf.CollectionOptions{MapReplacements: own, Cache: s.types}
	quiet := opts
	quiet.Programs.LogDisabled = true // the verifier's log costs a second verification, and more as it grows
	whole := cs.Copy()
	for n := range whole.Programs {
		if tooMuch(n) {
			delete(whole.Programs, n)
		}
	}
	all, err := ebpf.NewCollectionWithOptions(whole, quiet)
	if err == nil {
		defer all.Close()
	}
	for _, n := range names {
		h := &Hook{Name: n, Section: cs.Programs[n].SectionName, set: s, to: cs.Programs[n].AttachType}
		switch {
		case tooMuch(n):
			h.Err = fmt.Errorf("load: %w", errTooLarge)
		case all != nil:
			h.prog = all.DetachProgram(n)
		default:
			one := cs.Copy()
			for _, other := range names {
				if other != n {
					delete(one.Programs, other)
				}
			}
			c, err := ebpf.NewCollectionWithOptions(one, quiet)
			switch {
			case err == nil, errors.Is(err, unix.EPERM): // a policy: the verifier was not asked
			case errors.Is(err, unix.E2BIG):
				err = errTooLarge
			default:
				c, err = ebpf.NewCollectionWithOptions(one, opts)
			}
			if err != nil {
				h.Err = fmt.Errorf("load: %w", err)
			} else {
				h.prog = c.DetachProgram(n)
				c.Close()
			}
		}
		s.hooks = append(s.hooks, h)
	}
	return nil
}

// newMap creates one map of a collection, with its initial contents.
func newMap(cs *ebpf.CollectionSpec, name string, ms *ebpf.MapSpec) (*ebpf.Map, error) {
	one := cs.Copy()
	one.Programs = nil
	for n := range one.Maps {
		if n != name {
			delete(one.Maps, n)
		}
	}
	for n, v := range one.Variables {
		if v.SectionName != name {
			delete(one.Variables, n)
		}
	}
	c, err := ebpf.NewCollection(one)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.DetachMap(name), nil
}

func b2u(b bool) uint32 {
	if b {
		return 1
	}
	return 0
}

// Hooks returns every hook, iterators included, sorted by object and name.
func (s *Set) Hooks() []*Hook { return s.hooks }

// Hook returns the hook of a program, or nil.
func (s *Set) Hook(name string) *Hook {
	for _, h := range s.hooks {
		if h.Name == name {
			return h
		}
	}
	return nil
}

// Iterator tells whether the hook is started by us rather than by the kernel.
func (h *Hook) Iterator() bool { return strings.HasPrefix(h.Section, "iter") }

// Loaded and Attached tell how far the hook got.
func (h *Hook) Loaded() bool   { return h.prog != nil }
func (h *Hook) Attached() bool { return h.link != nil }

// Program returns the loaded program, nil when it was refused.
func (h *Hook) Program() *ebpf.Program { return h.prog }

// Attach puts the program in its place. An iterator attaches when it is run.
func (h *Hook) Attach() error {
	if h.link != nil || h.Iterator() {
		return nil
	}
	if h.prog == nil {
		return h.Err
	}
	l, event, err := h.attach()
	if err != nil {
		h.Err = fmt.Errorf("attach: %w", err)
		return h.Err
	}
	h.link, h.event, h.Err = l, event, nil
	return nil
}

func (h *Hook) attach() (l io.Closer, event *os.File, err error) {
	kind, target, _ := strings.Cut(h.Section, "/")
	switch kind {
	case "fentry", "fexit", "kprobe", "kretprobe":
		if splits()[target] {
			return nil, nil, fmt.Errorf("the compiler has split %s: not all of its calls would be seen", target)
		}
	}
	switch kind {
	case "tp_btf", "fentry", "fexit":
		l, err = link.AttachTracing(link.TracingOptions{Program: h.prog})
	case "kprobe":
		l, err = link.Kprobe(target, h.prog, nil)
	case "kretprobe":
		l, err = link.Kretprobe(target, h.prog, &link.KprobeOptions{RetprobeMaxActive: 0})
	case "raw_tp":
		l, err = link.AttachRawTracepoint(link.RawTracepointOptions{Name: target, Program: h.prog})
	case "tp":
		group, name, _ := strings.Cut(target, "/")
		return attachTracepoint(group, name, h.prog)
	case "cgroup", "sockops":
		if h.set.CgroupRoot == "" {
			return nil, nil, errors.New("no cgroup2 hierarchy is mounted")
		}
		l, err = link.AttachCgroup(link.CgroupOptions{Path: h.set.CgroupRoot, Attach: h.to, Program: h.prog})
	default:
		err = fmt.Errorf("section %q is of no known kind", h.Section)
	}
	return l, nil, err
}

// Detach takes the program out of its place; it stays loaded.
func (h *Hook) Detach() error {
	if h.link == nil {
		return nil
	}
	err := h.link.Close()
	h.link = nil
	return err
}

// Run starts an iterator and returns the stream of records it writes. The caller closes it.
func (h *Hook) Run() (io.ReadCloser, error) {
	if h.prog == nil {
		return nil, h.Err
	}
	o := link.IterOptions{Program: h.prog}
	if h.Section == "iter/bpf_sk_storage_map" { // walks the sockets that have an entry in one map
		o.Map = h.set.maps["hc_udp"]
	}
	it, err := link.AttachIter(o)
	if err != nil {
		return nil, fmt.Errorf("attach iterator %s: %w", h.Name, err)
	}
	defer it.Close()
	r, err := it.Open()
	if err != nil {
		return nil, fmt.Errorf("open iterator %s: %w", h.Name, err)
	}
	return r, nil
}

// Missed returns how often the kernel skipped the program because one was already running on
// that cpu; no counter of ours can see those.
func (h *Hook) Missed() uint64 {
	if h.prog == nil {
		return 0
	}
	st, err := h.prog.Stats()
	if err != nil {
		return 0
	}
	return st.RecursionMisses
}

// Events returns the perf events of tracepoints that were attached. They carry no program once
// the hooks are detached, and closing the last descriptor of all takes seconds: a process that
// wants to end sooner leaves them to another one before Close.
func (s *Set) Events() (files []*os.File) {
	for _, h := range s.hooks {
		if h.event != nil {
			files = append(files, h.event)
		}
	}
	return files
}

// Detach takes every program out of its place, all at once.
func (s *Set) Detach() {
	var wg sync.WaitGroup
	for _, h := range s.hooks {
		if h.link != nil {
			wg.Go(func() { h.Detach() })
		}
	}
	wg.Wait()
}

// Close detaches and frees everything.
func (s *Set) Close() {
	s.Detach()
	for _, h := range s.hooks {
		if h.event != nil {
			h.event.Close()
			h.event = nil
		}
		if h.prog != nil {
			h.prog.Close()
			h.prog = nil
		}
	}
	for _, m := range s.maps {
		m.Close()
	}
	s.Books.Close()
	s.manifest.Close()
	if s.pins != nil {
		unix.Close(s.pins.lock)
	}
}
