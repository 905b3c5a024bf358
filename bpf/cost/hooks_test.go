//go:build linux && (amd64 || arm64)

package cost

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"hindcast/bpf/cost/ops"
)

var measure = flag.Bool("measure", false, "time what empty programs cost, in nanoseconds; wants an idle machine")

// An attachment is one way to be called. Its program does nothing, or just enough to find out that
// the call is not wanted.
type attachment struct {
	name   string
	called bool // the measured call is the one that is hooked
	attach func() (io.Closer, error)
}

// TestEmptyHooks finds what an attachment costs before its program does anything: in instructions
// where the clock counts them, or, when -measure asks for it, in nanoseconds between windows without.
func TestEmptyHooks(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: BPF programs cannot be loaded without CAP_BPF and CAP_PERFMON")
	}
	exact := ops.CountsInstructions()
	if !exact && !*measure {
		t.Skip("needs a clock that counts instructions, as a guest of QEMU has with -icount shift=0, or -measure")
	}
	defer quiet()()
	list, err := ops.Ops(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	byName := func(name string) *ops.Op {
		return &list[slices.IndexFunc(list, func(o ops.Op) bool { return o.Name == name })]
	}
	unit := "ns"
	if exact {
		unit = "instructions"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "kernel %s\n| attached | to | added %s |\n|---|---|---|\n", version(t), unit)
	for _, of := range []struct {
		op  *ops.Op
		how []attachment
	}{
		{byName("getppid"), calls()},
		{byName("pread of 1 byte"), reads()},
		{byName("open and close"), opens()},
	} {
		for _, a := range of.how {
			added, err := paired(t, of.op, a.attach, exact)
			to := of.op.Name
			if !a.called {
				to += ", which is not the one"
			}
			if err != nil {
				line, _, _ := strings.Cut(err.Error(), "\n")
				fmt.Fprintf(&b, "| %s | %s | refused: %.60s |\n", a.name, to, line)
				continue
			}
			fmt.Fprintf(&b, "| %s | %s | %s |\n", a.name, to, added)
		}
	}
	t.Log(b.String())
}

// paired compares windows with and without in turns.
func paired(t *testing.T, o *ops.Op, attach func() (io.Closer, error), exact bool) (string, error) {
	rounds, turns := 20, 2
	if !exact {
		rounds, turns = 400, 9
	}
	var diffs []float64
	off := window(t, o, rounds, exact)
	for range turns {
		l, err := attach()
		if err != nil {
			return "", err
		}
		on := window(t, o, rounds, exact)
		l.Close()
		after := window(t, o, rounds, exact)
		diffs = append(diffs, on-(off+after)/2)
		off = after
	}
	slices.Sort(diffs)
	if exact {
		return fmt.Sprintf("%+.0f", diffs[0]), nil
	}
	// The middle, and how far a quarter of the turns lie from it.
	n := len(diffs)
	return fmt.Sprintf("%+.1f (%.1f to %.1f)", diffs[n/2], diffs[n/4], diffs[n-1-n/4]), nil
}

// window returns what an operation takes: exactly, or the nanoseconds that the middle round took.
func window(t *testing.T, o *ops.Op, rounds int, exact bool) float64 {
	if exact {
		return float64(least(t, o, rounds))
	}
	took := make([]float64, rounds)
	for i := range took {
		from := time.Now()
		for range o.Some {
			if err := o.Do(); err != nil {
				t.Fatal(err)
			}
		}
		took[i] = float64(time.Since(from)) / float64(o.Some)
	}
	slices.Sort(took)
	return took[rounds/2]
}

func calls() []attachment {
	const call, other = "getppid", "getpgid"
	nr := uint64(unix.SYS_GETPPID)
	var all = ^uint64(0)
	return []attachment{
		{"tracepoint of the exit", false, tracepoints("sys_exit_" + other)},
		{"24 tracepoints of exits", false, tracepoints(dozens()...)},
		{"tracepoints of entry and exit", false, tracepoints("sys_enter_"+other, "sys_exit_"+other)},
		{"tracepoint of the exit", true, tracepoints("sys_exit_" + call)},
		{"tracepoint of the exit, and of those of 24 others", true, tracepoints(append(dozens(), "sys_exit_"+call)...)},
		{"tracepoint of the entry", true, tracepoints("sys_enter_" + call)},
		{"tracepoints of entry and exit", true, tracepoints("sys_enter_"+call, "sys_exit_"+call)},
		{"two programs on tracepoints of the exit", true, tracepoints("sys_exit_"+call, "sys_exit_"+call)},
		{"raw_tp sys_exit, empty", true, raw("sys_exit", nothing())},
		{"raw_tp sys_exit, asks a bitmap", false, rawBitmap("sys_exit", 0)},
		{"raw_tp sys_exit, asks a bitmap", true, rawBitmap("sys_exit", 1<<(nr%64))},
		{"tp_btf sys_exit, empty", true, typed("sys_exit", nothing())},
		{"tp_btf sys_exit, asks a bitmap", false, typedBitmap("sys_exit", 0)},
		{"tp_btf sys_exit, asks a bitmap", true, typedBitmap("sys_exit", 1<<(nr%64))},
		{"tp_btf sys_enter and sys_exit, ask a bitmap", false, both(typedBitmap("sys_enter", 0), typedBitmap("sys_exit", 0))},
		{"tp_btf sys_exit asks a bitmap, and tracepoint of the exit", true, both(typedBitmap("sys_exit", all), tracepoints("sys_exit_"+call))},
	}
}

func reads() []attachment {
	const call, other = "pread64", "getpgid"
	return []attachment{
		{"tracepoint of the exit", true, tracepoints("sys_exit_" + call)},
		{"fentry of the call", true, trampoline(prefix()+call, ebpf.AttachTraceFEntry)},
		{"fexit of the call", true, trampoline(prefix()+call, ebpf.AttachTraceFExit)},
		{"fexit of the call", false, trampoline(prefix()+other, ebpf.AttachTraceFExit)},
		{"fexit vfs_read", true, trampoline("vfs_read", ebpf.AttachTraceFExit)},
		{"LSM file_permission", true, lsm("bpf_lsm_file_permission")},
		{"kprobe of the call", true, kprobe(prefix()+call, false)},
		{"kretprobe of the call", true, kprobe(prefix()+call, true)},
		{"kprobe of the call", false, kprobe(prefix()+other, false)},
	}
}

func opens() []attachment {
	return []attachment{
		{"tracepoint of the exit of openat", true, tracepoints("sys_exit_openat")},
		{"LSM file_open", true, lsm("bpf_lsm_file_open")},
		{"fentry security_file_open", true, trampoline("security_file_open", ebpf.AttachTraceFEntry)},
		{"fexit security_file_open", true, trampoline("security_file_open", ebpf.AttachTraceFExit)},
		{"fexit do_dentry_open", true, trampoline("do_dentry_open", ebpf.AttachTraceFExit)},
		{"kprobe security_file_open", true, kprobe("security_file_open", false)},
		{"LSM inode_rename", false, lsm("bpf_lsm_inode_rename")},
		{"fexit vfs_rename", false, trampoline("vfs_rename", ebpf.AttachTraceFExit)},
	}
}

func prefix() string {
	if runtime.GOARCH == "arm64" {
		return "__arm64_sys_"
	}
	return "__x64_sys_"
}

func nothing() asm.Instructions {
	return asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()}
}

func load1(spec *ebpf.ProgramSpec) (*ebpf.Program, error) {
	spec.License = "GPL"
	return ebpf.NewProgramWithOptions(spec, ebpf.ProgramOptions{LogDisabled: true})
}

type closers []io.Closer

func (c closers) Close() (err error) {
	for _, x := range c {
		err = errors.Join(err, x.Close())
	}
	return err
}

func both(a, b func() (io.Closer, error)) func() (io.Closer, error) {
	return func() (io.Closer, error) {
		x, err := a()
		if err != nil {
			return nil, err
		}
		y, err := b()
		if err != nil {
			x.Close()
			return nil, err
		}
		return closers{x, y}, nil
	}
}

// tracepoints puts an empty program of its own on each.
func tracepoints(names ...string) func() (io.Closer, error) {
	return func() (io.Closer, error) {
		var all closers
		for _, n := range names {
			p, err := load1(&ebpf.ProgramSpec{Type: ebpf.TracePoint, Instructions: nothing()})
			if err == nil {
				all = append(all, p)
				var l link.Link
				if l, err = link.Tracepoint("syscalls", n, p, nil); err == nil {
					all = append(all, l)
				}
			}
			if err != nil {
				all.Close()
				return nil, err
			}
		}
		return all, nil
	}
}

// two dozen calls that no measured operation makes.
func dozens() (names []string) {
	for _, c := range strings.Fields(`getpgid getsid getpriority setpriority sched_getparam sched_setparam getrlimit setrlimit
		mlock munlock mlockall munlockall msync mincore statfs fstatfs sync syncfs flock getdents64 truncate acct personality sysinfo`) {
		names = append(names, "sys_exit_"+c)
	}
	return names
}

func raw(name string, body asm.Instructions) func() (io.Closer, error) {
	return func() (io.Closer, error) {
		p, err := load1(&ebpf.ProgramSpec{Type: ebpf.RawTracepoint, Instructions: body})
		if err != nil {
			return nil, err
		}
		l, err := link.AttachRawTracepoint(link.RawTracepointOptions{Name: name, Program: p})
		if err != nil {
			p.Close()
			return nil, err
		}
		return closers{l, p}, nil
	}
}

func typed(name string, body asm.Instructions) func() (io.Closer, error) {
	return func() (io.Closer, error) {
		p, err := load1(&ebpf.ProgramSpec{Type: ebpf.Tracing, AttachType: ebpf.AttachTraceRawTp, AttachTo: name, Instructions: body})
		return traced(p, err)
	}
}

func trampoline(function string, at ebpf.AttachType) func() (io.Closer, error) {
	return func() (io.Closer, error) {
		p, err := load1(&ebpf.ProgramSpec{Type: ebpf.Tracing, AttachType: at, AttachTo: function, Instructions: nothing()})
		return traced(p, err)
	}
}

func traced(p *ebpf.Program, err error) (io.Closer, error) {
	if err != nil {
		return nil, err
	}
	l, err := link.AttachTracing(link.TracingOptions{Program: p})
	if err != nil {
		p.Close()
		return nil, err
	}
	return closers{l, p}, nil
}

func lsm(function string) func() (io.Closer, error) {
	return func() (io.Closer, error) {
		p, err := load1(&ebpf.ProgramSpec{Type: ebpf.LSM, AttachType: ebpf.AttachLSMMac, AttachTo: strings.TrimPrefix(function, "bpf_lsm_"), Instructions: nothing()})
		if err != nil {
			return nil, err
		}
		l, err := link.AttachLSM(link.LSMOptions{Program: p})
		if err != nil {
			p.Close()
			return nil, err
		}
		return closers{l, p}, nil
	}
}

func kprobe(function string, ret bool) func() (io.Closer, error) {
	return func() (io.Closer, error) {
		p, err := load1(&ebpf.ProgramSpec{Type: ebpf.Kprobe, Instructions: nothing()})
		if err != nil {
			return nil, err
		}
		attach := link.Kprobe
		if ret {
			attach = link.Kretprobe
		}
		l, err := attach(function, p, nil)
		if err != nil {
			p.Close()
			return nil, err
		}
		return closers{l, p}, nil
	}
}

// bitmap is a map of 1024 bits with one word set for all: whether a call is wanted.
func bitmap(word uint64) (*ebpf.Map, error) {
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 128, MaxEntries: 1})
	if err != nil {
		return nil, err
	}
	return m, m.Put(uint32(0), slices.Repeat([]uint64{word}, 16))
}

// ask is the end of a dispatcher: the number of the call is in R3.
func ask(m *ebpf.Map) asm.Instructions {
	return asm.Instructions{
		asm.LoadMapValue(asm.R1, m.FD(), 0),
		asm.Mov.Reg(asm.R4, asm.R3),
		asm.RSh.Imm(asm.R4, 6),
		asm.And.Imm(asm.R4, 15),
		asm.LSh.Imm(asm.R4, 3),
		asm.Add.Reg(asm.R1, asm.R4),
		asm.LoadMem(asm.R1, asm.R1, 0, asm.DWord),
		asm.RSh.Reg(asm.R1, asm.R3),
		asm.And.Imm(asm.R1, 1),
		asm.JEq.Imm(asm.R1, 0, "no"),
		asm.Mov.Imm(asm.R0, 0),
		asm.Return(),
		asm.Mov.Imm(asm.R0, 0).WithSymbol("no"),
		asm.Return(),
	}
}

// offset of the number of the call in struct pt_regs.
func origAX() int16 {
	if runtime.GOARCH == "arm64" {
		return 280 // syscallno
	}
	return 120
}

func typedBitmap(name string, word uint64) func() (io.Closer, error) {
	return func() (io.Closer, error) {
		m, err := bitmap(word)
		if err != nil {
			return nil, err
		}
		defer m.Close()
		return typed(name, append(asm.Instructions{
			asm.LoadMem(asm.R2, asm.R1, 0, asm.DWord),
			asm.LoadMem(asm.R3, asm.R2, origAX(), asm.DWord),
			asm.And.Imm(asm.R3, math.MaxInt16),
		}, ask(m)...))()
	}
}

func rawBitmap(name string, word uint64) func() (io.Closer, error) {
	return func() (io.Closer, error) {
		m, err := bitmap(word)
		if err != nil {
			return nil, err
		}
		defer m.Close()
		return raw(name, append(asm.Instructions{
			asm.LoadMem(asm.R3, asm.R1, 0, asm.DWord),
			asm.Add.Imm(asm.R3, int32(origAX())),
			asm.Mov.Reg(asm.R1, asm.R10),
			asm.Add.Imm(asm.R1, -8),
			asm.Mov.Imm(asm.R2, 8),
			asm.FnProbeReadKernel.Call(),
			asm.LoadMem(asm.R3, asm.R10, -8, asm.DWord),
			asm.And.Imm(asm.R3, math.MaxInt16),
		}, ask(m)...))()
	}
}
