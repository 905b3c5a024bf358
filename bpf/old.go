//go:build linux && (amd64 || arm64)

package bpf

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/features"
)

// What a kernel can do decides a few things in the programs themselves. All are found by trying.
type abilities struct {
	loop  bool // bpf_loop, 5.17
	cast  bool // bpf_rdonly_cast, 6.2
	regs  bool // bpf_task_pt_regs, 5.15
	fetch bool // atomics that return what was there, 5.12
	// lengths: tracepoints at the end of sends and receives, 6.3
	lengths bool
	old     bool // not all of: storage of tasks and sockets for tracing, typed current task (5.11), socket cookies for tracing, pointers handed to global functions (5.12)
}

var able = sync.OnceValue(func() abilities {
	add := asm.FetchAdd.Mem(asm.R10, asm.R0, asm.DWord, -8)
	add.Constant = int64(asm.FetchAdd >> 8) // the library does not say it of an instruction made here
	fetch, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SocketFilter, License: "GPL", Instructions: asm.Instructions{
		asm.Mov.Imm(asm.R0, 0),
		asm.StoreMem(asm.R10, -8, asm.R0, asm.DWord),
		add,
		asm.Mov.Imm(asm.R0, 0),
		asm.Return(),
	}})
	if err == nil {
		fetch.Close()
	}
	have := func(f asm.BuiltinFunc) bool { return features.HaveProgramHelper(ebpf.TracePoint, f) == nil }
	return abilities{
		loop:    have(asm.FnLoop),
		cast:    cast(),
		regs:    have(asm.FnTaskPtRegs),
		fetch:   err == nil,
		lengths: lengths(),
		old:     err != nil || !have(asm.FnGetCurrentTaskBtf),
	}
})

// Old tells whether the kernel is served by tables in place of task and socket storage (before 5.12).
func Old() bool { return able().old }

// known is the kernel's description of its types while programs are being loaded.
var known struct {
	sync.Mutex
	types *btf.Spec
}

// kernelTypes returns the kernel's description of its types. It is a copy of megabytes, so it is read
// once for all programs, and forgetTypes lets go of it when they are loaded.
func kernelTypes() (*btf.Spec, error) {
	known.Lock()
	defer known.Unlock()
	if known.types != nil {
		return known.types, nil
	}
	s, err := btf.LoadKernelSpec()
	if err == nil {
		known.types = s
	}
	return s, err
}

func forgetTypes() {
	known.Lock()
	defer known.Unlock()
	known.types = nil
}

func cast() bool {
	kernel, err := kernelTypes()
	if err != nil {
		return false
	}
	var f *btf.Func
	return kernel.TypeByName("bpf_rdonly_cast", &f) == nil
}

// Places in the tables that stand for storage on old kernels.
const (
	oldThreads = 8192
	oldSockets = 16384
)

// instead lists the programs that stand for those tracepoints where there are none.
var instead = map[string]bool{
	"hc_inet_sendmsg": true, "hc_inet_recvmsg": true, "hc_inet6_sendmsg": true, "hc_inet6_recvmsg": true,
	"hc_unix_stream_sendmsg": true, "hc_unix_stream_recvmsg": true, "hc_unix_dgram_sendmsg": true, "hc_unix_dgram_recvmsg": true,
	"hc_unix_seqpacket_sendmsg": true, "hc_unix_seqpacket_recvmsg": true,
}

func lengths() bool {
	kernel, err := kernelTypes()
	if err != nil {
		return true
	}
	var t *btf.Typedef
	return !errors.Is(kernel.TypeByName("btf_trace_sock_send_length", &t), btf.ErrNotFound)
}

// beyond lists programs whose loops the verifier can follow only as callbacks of bpf_loop (5.17).
// Before, it would take minutes to find out that they are too much.
var beyond = map[string]bool{
	"hc_recvmsg": true, "hc_recvmmsg": true, "hc_sendmsg": true, "hc_sendmmsg": true,
}

// tooMuch tells whether the program, or the one for 32-bit calls made from it, is one of them.
func tooMuch(name string) bool {
	return !able().loop && beyond[strings.Replace(name, "hc32_exit_", "hc_", 1)]
}

// adapt fits the programs and maps of an object to the running kernel.
func adapt(cs *ebpf.CollectionSpec) error {
	a := able()
	for k, on := range map[string]bool{"hc_has_loop": a.loop, "hc_has_cast": a.cast && !a.old, "hc_has_regs": a.regs, "hc_old": a.old} {
		if v := cs.Variables[k]; v != nil {
			if err := v.Set(b2u(on)); err != nil {
				return fmt.Errorf("set %s: %w", k, err)
			}
		}
	}
	for name, p := range cs.Programs {
		length := p.SectionName == "tp_btf/sock_send_length" || p.SectionName == "tp_btf/sock_recv_length"
		if a.lengths && instead[name] || !a.lengths && length {
			delete(cs.Programs, name)
		}
	}
	if err := setPlaces(cs); err != nil {
		return err
	}
	if !a.loop {
		for _, p := range cs.Programs {
			p.Instructions = withoutCallbacks(p.Instructions)
		}
	}
	if !a.old {
		return nil
	}
	for name, m := range cs.Maps {
		switch {
		case m.Type == ebpf.TaskStorage: // by thread; the program removes it as the thread ends
			m.Type, m.Flags, m.MaxEntries = ebpf.Hash, 0, oldThreads
			if name == "hc_io_told" { // forgetting it costs a row told twice
				m.Type = ebpf.LRUHash
			}
		case name == "hc_sk": // by the address of the socket; removed as the socket closes
			m.Type, m.Flags, m.MaxEntries, m.KeySize = ebpf.Hash, 0, oldSockets, 8
			m.Key = &btf.Int{Name: "unsigned long long", Size: 8}
		}
	}
	for _, p := range cs.Programs {
		if !a.fetch {
			p.Instructions = withoutFetch(p.Instructions)
		}
		for i := range p.Instructions[1:] {
			ins := &p.Instructions[i+1]
			if fn := btf.FuncMetadata(ins); fn != nil && fn.Linkage == btf.GlobalFunc && takesPointer(fn) {
				local := *fn
				local.Linkage = btf.StaticFunc
				*ins = btf.WithFuncMetadata(*ins, &local)
			}
		}
	}
	return nil
}

// takesPointer tells whether a function has a parameter that is a pointer: as a global function,
// checked once for all its callers, kernels before 5.12 take only numbers.
func takesPointer(fn *btf.Func) bool {
	p, ok := fn.Type.(*btf.FuncProto)
	return !ok || slices.ContainsFunc(p.Params, func(p btf.FuncParam) bool { _, ok := btf.UnderlyingType(p.Type).(*btf.Pointer); return ok })
}

// withoutCallbacks puts a zero where the address of a function would be loaded: what would use it
// is never reached, but kernels before 5.13 refuse the load itself.
func withoutCallbacks(in asm.Instructions) asm.Instructions {
	out := make(asm.Instructions, len(in))
	for i, ins := range in {
		if ins.IsLoadOfFunctionPointer() {
			ins = asm.LoadImm(ins.Dst, 0, asm.DWord).WithMetadata(ins.Metadata).WithReference("")
		}
		out[i] = ins
	}
	return withoutUncalled(out)
}

// withoutUncalled leaves out the functions that nothing calls any more: the verifier wants every
// function to be part of the program.
func withoutUncalled(in asm.Instructions) (out asm.Instructions) {
	type span struct {
		body  asm.Instructions
		calls []string
	}
	var order []string
	funcs := map[string]*span{}
	for i, ins := range in {
		if i == 0 || btf.FuncMetadata(&in[i]) != nil {
			order = append(order, ins.Symbol())
			funcs[ins.Symbol()] = &span{}
		}
		f := funcs[order[len(order)-1]]
		f.body = append(f.body, ins)
		if ins.IsFunctionReference() {
			f.calls = append(f.calls, ins.Reference())
		}
	}
	called := map[string]bool{}
	var visit func(name string)
	visit = func(name string) {
		if f := funcs[name]; f != nil && !called[name] {
			called[name] = true
			for _, c := range f.calls {
				visit(c)
			}
		}
	}
	visit(order[0])
	for _, name := range order {
		if called[name] {
			out = append(out, funcs[name].body...)
		}
	}
	return out
}

// withoutFetch replaces the two atomics that return what was there, which our programs use with the
// operand 1 alone, but for the heads of lanes, by what kernels before 5.12 have. Programs run there with preemption off, so
// only an interrupt can come between: a sequence number may then be given twice, and the flag
// of a buffer cannot go wrong, since whoever interrupts is done with it before we go on.
func withoutFetch(in asm.Instructions) asm.Instructions {
	var out asm.Instructions
	var from []int // place of every instruction of in, counted as the kernel does
	var to []int   // the same in out
	var jumps []int
	at, then := 0, 0
	put := func(ins asm.Instruction) {
		out = append(out, ins)
		then += int(ins.Width())
	}
	start := map[int]int{}
	for _, ins := range in {
		from, to = append(from, at), append(to, then)
		start[at] = then
		size := ins.OpCode.Size()
		switch op := ins.OpCode.AtomicOp(); {
		case op == asm.FetchAdd:
			put(asm.AddAtomic.Mem(ins.Dst, ins.Src, size, ins.Offset).WithMetadata(ins.Metadata))
			put(asm.LoadMem(ins.Src, ins.Dst, ins.Offset, size))
			if size == asm.Word {
				put(asm.Add.Imm32(ins.Src, -1))
			} else {
				put(asm.Add.Imm(ins.Src, -1))
			}
		case op == asm.Xchg:
			if size == asm.DWord { // the head of a lane: what was there is of no interest
				put(asm.StoreMem(ins.Dst, ins.Offset, ins.Src, size).WithMetadata(ins.Metadata))
				break
			}
			put(asm.LoadMem(ins.Src, ins.Dst, ins.Offset, size).WithMetadata(ins.Metadata))
			put(asm.StoreImm(ins.Dst, ins.Offset, 1, size))
		default:
			if jumpsBy(ins) {
				jumps = append(jumps, len(out))
			}
			put(ins)
		}
		at += int(ins.Width())
	}
	if len(out) == len(in) {
		return in
	}
	// A jump stands somewhere else now, and so does where it leads.
	old, j := 0, 0
	place := 0
	for i := range out {
		for old < len(to) && to[old] < place {
			old++
		}
		if j < len(jumps) && jumps[j] == i {
			j++
			out[i].Offset = int16(start[from[old]+1+int(out[i].Offset)] - place - 1)
		}
		place += int(out[i].Width())
	}
	return out
}

// jumpsBy tells whether the instruction jumps by its offset.
func jumpsBy(ins asm.Instruction) bool {
	if !ins.OpCode.Class().IsJump() {
		return false
	}
	op := ins.OpCode.JumpOp()
	return op != asm.Call && op != asm.Exit
}
