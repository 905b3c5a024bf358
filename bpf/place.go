//go:build linux && (amd64 || arm64)

package bpf

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// setPlaces tells programs inside kernel functions where the arguments are that they want. An
// object asks by the names of its settings: hc_at_F is the place of the first parameter of F that
// points to a dentry or to what holds one, hc_args_F the number of parameters, hc_ptr_F whether F
// returns a pointer. They stay 0 for a function that this kernel does not have.
func setPlaces(cs *ebpf.CollectionSpec) error {
	var kernel *btf.Spec
	for name, v := range cs.Variables {
		what, function, ok := cut(name)
		if !ok {
			continue
		}
		if kernel == nil {
			var err error
			if kernel, err = kernelTypes(); err != nil {
				return fmt.Errorf("%w: %w", ErrNoBTF, err)
			}
		}
		var f *btf.Func
		if kernel.TypeByName(function, &f) != nil {
			continue
		}
		proto, ok := f.Type.(*btf.FuncProto)
		if !ok {
			continue
		}
		n := uint32(0)
		switch what {
		case "args":
			n = uint32(len(proto.Params))
		case "ptr":
			_, ptr := btf.UnderlyingType(proto.Return).(*btf.Pointer)
			n = b2u(ptr)
		case "at":
			for i, p := range proto.Params {
				if to := pointsTo(p.Type); to == "dentry" || to == "renamedata" {
					n = uint32(i)
					break
				}
			}
		}
		if err := v.Set(n); err != nil {
			return fmt.Errorf("set %s: %w", name, err)
		}
	}
	return nil
}

func cut(name string) (what, function string, ok bool) {
	for _, what := range []string{"at", "args", "ptr"} {
		if f, ok := strings.CutPrefix(name, "hc_"+what+"_"); ok {
			return what, f, true
		}
	}
	return "", "", false
}

// pointsTo returns the name of the struct that a type points to.
func pointsTo(t btf.Type) string {
	p, ok := btf.UnderlyingType(t).(*btf.Pointer)
	if !ok {
		return ""
	}
	s, ok := btf.UnderlyingType(p.Target).(*btf.Struct)
	if !ok {
		return ""
	}
	return s.Name
}

// Tier is where a hook runs.
type Tier int

// Tiers, as coverage rows number them.
const (
	Tracepoints Tier = 1 // tracepoints, iterators, cgroup and socket hooks
	Functions   Tier = 2 // fentry, fexit, LSM: inside kernel functions
	Kprobes     Tier = 3
)

func (t Tier) String() string {
	switch t {
	case Functions:
		return "L"
	case Kprobes:
		return "K"
	}
	return "T"
}

// Tier tells in which tier the hook runs.
func (h *Hook) Tier() Tier {
	kind, _, _ := strings.Cut(h.Section, "/")
	switch kind {
	case "fentry", "fexit", "lsm", "fmod_ret":
		return Functions
	case "kprobe", "kretprobe":
		return Kprobes
	}
	return Tracepoints
}

// Lower tells the programs at the exit of system calls which events, bit 1<<type, are now told
// from inside the kernel's functions; they then tell only what was refused before it got there.
func (s *Set) Lower(events uint64) error {
	m := s.maps["hc_lower"]
	if m == nil {
		return nil
	}
	if err := m.Put(uint32(0), events); err != nil {
		return fmt.Errorf("tell the programs which tier runs: %w", err)
	}
	return nil
}

// Objects that are not loaded everywhere. Those of the tiers below tracepoints have one source.
const (
	functions = "lower_l"
	kprobes   = "lower_k"
	standIns  = "old" // what only kernels before 5.12 need
)

// splits are the functions of which the compiler has made parts of its own: their callers can go to
// a part and pass by who watches the whole.
var splits = sync.OnceValue(func() map[string]bool {
	out := map[string]bool{}
	f, err := os.Open("/proc/kallsyms")
	if err != nil {
		return out
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if name, _, ok := strings.Cut(s.Text(), ".part."); ok {
			out[name[strings.LastIndexByte(name, ' ')+1:]] = true
		}
	}
	return out
})

// wantsKprobes tells whether a program inside a kernel function did not load as fentry, or is not
// wanted so but as kprobe.
func (s *Set) wantsKprobes(o *Options) bool {
	cs, err := spec(functions)
	if err != nil {
		return false
	}
	for name := range cs.Programs {
		h := s.Hook(name)
		if h != nil && (h.Loaded() || h.Absent()) {
			continue
		}
		if o.Leave == nil || !o.Leave(strings.Replace(name, "hc_l_", "hc_k_", 1)) {
			return true
		}
	}
	return false
}

func haveKprobes() bool {
	_, err := os.Stat("/sys/bus/event_source/devices/kprobe")
	return err == nil
}
