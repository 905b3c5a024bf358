//go:build linux && (amd64 || arm64)

package kerntest

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"hindcast/bpf"
	"hindcast/format/event"
)

// placed returns the hook, or skips where the kernel has nothing that it could see.
func placed(t testing.TB, name string) {
	t.Helper()
	h := programs(t).Hook(name)
	if h == nil {
		t.Fatalf("no program %s", name)
	}
	if h.Err != nil {
		if h.Absent() {
			if _, err := os.Stat("/proc/modules"); err == nil && strings.HasPrefix(name, "hc_module_") {
				t.Fatalf("the kernel has modules, yet %s: %v", name, h.Err)
			}
			t.Skipf("%s: %v", name, h.Err)
		}
		t.Fatal(h.Err)
	}
}

func addr(p *byte) uintptr { return uintptr(unsafe.Pointer(p)) }

func TestModuleCalls(t *testing.T) {
	path := filepath.Join(t.TempDir(), "no module")
	if err := os.WriteFile(path, []byte("this is no module"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	params, name := cstring("debug=1 x"), cstring("hc_no_such_module")
	image := make([]byte, 99)
	for _, c := range []struct {
		hook string
		call func() syscall.Errno
		op   uint32
		text string
		n1   int64
		n2   int64
		file bool
	}{
		{"hc_init_module", func() syscall.Errno {
			_, _, e := syscall.RawSyscall(unix.SYS_INIT_MODULE, addr(&image[0]), uintptr(len(image)), addr(params))
			return e
		}, 1, "debug=1 x", 0, 99, false},
		{"hc_finit_module", func() syscall.Errno {
			_, _, e := syscall.RawSyscall(unix.SYS_FINIT_MODULE, f.Fd(), addr(params), unix.MODULE_INIT_IGNORE_VERMAGIC)
			return e
		}, 2, "debug=1 x", unix.MODULE_INIT_IGNORE_VERMAGIC, 0, true},
		{"hc_delete_module", func() syscall.Errno {
			_, _, e := syscall.RawSyscall(unix.SYS_DELETE_MODULE, addr(name), unix.O_NONBLOCK, 0)
			return e
		}, 3, "hc_no_such_module", unix.O_NONBLOCK, 0, false},
		{"hc_kexec_load", func() syscall.Errno {
			_, _, e := syscall.RawSyscall6(unix.SYS_KEXEC_LOAD, 0, 99, 0, 0x80000000, 0, 0)
			return e
		}, 5, "", 0x80000000, 0, false},
		{"hc_kexec_file_load", func() syscall.Errno {
			_, _, e := syscall.RawSyscall6(unix.SYS_KEXEC_FILE_LOAD, f.Fd(), 0, 10, addr(params), unix.KEXEC_FILE_NO_INITRAMFS, 0)
			return e
		}, 6, "debug=1 x", unix.KEXEC_FILE_NO_INITRAMFS, 0, true},
	} {
		t.Run(c.hook[3:], func(t *testing.T) {
			var errno syscall.Errno
			h := programs(t).Hook(c.hook)
			rows := locked(t, func() { errno = c.call() })
			if h.Absent() {
				// A kernel that has the call would answer something else.
				eq(t, "result without a hook", errno, syscall.ENOSYS)
				t.Skip(h.Err)
			}
			if h.Err != nil {
				t.Fatal(h.Err)
			}
			if errno == 0 {
				t.Fatal("the call was to fail")
			}
			r := one(t, rows, typ(event.Module))
			eq(t, "ret", r.Ret, -int64(errno))
			eq(t, "flags of the row", r.Flags, event.FlagCritical|event.FlagFailed)
			eq(t, "op", r.Op, c.op)
			eq(t, "name or parameters", string(r.Text), c.text)
			eq(t, "flags", r.N1, c.n1)
			eq(t, "size", r.N2, c.n2)
			eq(t, "marks", r.Marks, 0)
			if c.file {
				sameObject(t, r, statOf(t, path))
				eq(t, "path", string(r.Path), path)
			} else {
				eq(t, "no object", r.Ino, 0)
			}
		})
	}
}

// A module really loaded, where the kernel has any: the loader's own word stands beside the call.
func TestModuleLoaded(t *testing.T) {
	placed(t, "hc_module_load")
	placed(t, "hc_module_free")
	var u unix.Utsname
	unix.Uname(&u)
	release := unix.ByteSliceToString(u.Release[:])
	found, _ := filepath.Glob("/lib/modules/" + release + "/kernel/drivers/net/dummy.ko*")
	if len(found) == 0 {
		t.Skip("no module dummy in /lib/modules/" + release)
	}
	f, err := os.Open(found[0])
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	flags := uintptr(0)
	if !strings.HasSuffix(found[0], ".ko") {
		flags = 4 // MODULE_INIT_COMPRESSED_FILE
	}
	params, name := cstring("numdummies=0"), cstring("dummy")
	var in, out syscall.Errno
	rows := locked(t, func() {
		if _, _, in = syscall.RawSyscall(unix.SYS_FINIT_MODULE, f.Fd(), addr(params), flags); in == 0 {
			_, _, out = syscall.RawSyscall(unix.SYS_DELETE_MODULE, addr(name), unix.O_NONBLOCK, 0)
		}
	})
	if in != 0 || out != 0 {
		t.Fatalf("load: %v, remove: %v", in, out)
	}
	got := only(rows, typ(event.Module))
	if len(got) != 4 {
		t.Fatalf("%d rows, want 4: loaded, load, removed, remove", len(got))
	}
	for i, w := range []struct {
		op    uint32
		flags uint32
		text  string
	}{
		{4, event.FlagCritical | event.FlagKernelNames, "dummy"},
		{2, event.FlagCritical, "numdummies=0"},
		{7, event.FlagCritical | event.FlagKernelNames, "dummy"},
		{3, event.FlagCritical, "dummy"},
	} {
		eq(t, "op", got[i].Op, w.op)
		eq(t, "flags of the row", got[i].Flags, w.flags)
		eq(t, "name", string(got[i].Text), w.text)
		eq(t, "ret", got[i].Ret, 0)
	}
	sameObject(t, &got[1], statOf(t, found[0]))
	eq(t, "path", string(got[1].Path), found[0])
}

// a program that any kernel takes, and its tag and id as the kernel tells them
func small(t testing.TB, typ ebpf.ProgramType, name string, attach ebpf.AttachType) (*ebpf.Program, int64, int64) {
	t.Helper()
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: name, Type: typ, AttachType: attach, License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 1), asm.Return()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	info, err := p.Info()
	if err != nil {
		t.Fatal(err)
	}
	id, _ := info.ID()
	tag, err := hex.DecodeString(info.Tag)
	if err != nil || len(tag) != 8 {
		t.Fatalf("tag %q", info.Tag)
	}
	var n uint64
	for _, b := range tag {
		n = n<<8 | uint64(b)
	}
	return p, int64(id), int64(n)
}

// want is what a bpf row must say.
type bpfWant struct {
	cmd               uint32
	object, id, kind  int64
	attach, tag, prog int64
	name, path        string
	own               int64
	ret               int64 // unless it is a descriptor
	descriptor        bool
}

func sameBPF(t testing.TB, r *event.Row, w bpfWant) {
	t.Helper()
	eq(t, "cmd", r.Op, w.cmd)
	eq(t, "object", r.N1, w.object)
	eq(t, "id", r.N2, w.id)
	eq(t, "kind", r.N3, w.kind)
	eq(t, "attach type", r.N4, w.attach)
	eq(t, "tag", r.N5, w.tag)
	eq(t, "program", r.N6, w.prog)
	eq(t, "own", r.N7, w.own)
	eq(t, "name", string(r.Text), w.name)
	eq(t, "path", string(r.Path), w.path)
	flags := uint32(event.FlagCritical)
	if w.ret < 0 {
		flags |= event.FlagFailed
	}
	eq(t, "flags of the row", r.Flags, flags)
	if w.descriptor {
		if r.Ret < 0 {
			t.Errorf("ret = %d, want a descriptor", r.Ret)
		}
	} else {
		eq(t, "ret", r.Ret, w.ret)
	}
	eq(t, "pid", r.PID, uint32(os.Getpid()))
	eq(t, "marks", r.Marks, 0)
}

// The commands of the bpf call (enum bpf_cmd).
const (
	cmdMapCreate    = 0
	cmdMapUpdate    = 2
	cmdMapDelete    = 3
	cmdProgLoad     = 5
	cmdObjPin       = 6
	cmdObjGet       = 7
	cmdProgAttach   = 8
	cmdProgDetach   = 9
	cmdProgFD       = 13
	cmdMapFD        = 14
	cmdRawTP        = 17
	cmdBTFLoad      = 18
	cmdBTFFD        = 19
	cmdMapFreeze    = 22
	cmdLinkCreate   = 28
	cmdLinkUpdate   = 29
	cmdLinkFD       = 30
	cmdStats        = 32
	cmdIterCreate   = 33
	cmdLinkDetach   = 34
	cmdProgBind     = 35
	cmdMapUpdateAll = 26
)

// attr is the head of union bpf_attr, as words.
type attr [32]uint32

func (a *attr) pointer(word int, p *byte) {
	*(*uint64)(unsafe.Pointer(&a[word])) = uint64(addr(p))
}

func bpfCall(cmd uintptr, a *attr) (int, error) {
	r, _, errno := syscall.RawSyscall(unix.SYS_BPF, cmd, uintptr(unsafe.Pointer(a)), 80)
	runtime.KeepAlive(a)
	if errno != 0 {
		return -1, errno
	}
	return int(r), nil
}

// bpfRow runs one call and returns its row and result.
func bpfRow(t testing.TB, cmd uint32, a *attr) (*event.Row, int) {
	t.Helper()
	var ret int
	var err error
	rows := locked(t, func() { ret, err = bpfCall(uintptr(cmd), a) })
	r := one(t, rows, typ(event.BPF))
	if err != nil {
		var errno syscall.Errno
		errors.As(err, &errno)
		ret = -int(errno)
	}
	eq(t, "ret", r.Ret, int64(ret))
	return r, ret
}

// made asserts that the call succeeded and closes its descriptor at the end.
func made(t testing.TB, what string, fd int) int {
	t.Helper()
	if fd < 0 {
		t.Fatalf("%s: %v", what, syscall.Errno(-fd))
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// idOf asks the kernel for an object's id, by its descriptor.
func idOf(t testing.TB, fd int) int64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", fd))
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"prog_id:", "map_id:", "link_id:", "btf_id:"} {
		// a link's page has its program's id too, after its own
		if _, rest, ok := bytes.Cut(b, []byte("link_id:")); ok {
			key, b = "link_id:", append([]byte("link_id:"), rest...)
		}
		if _, rest, ok := bytes.Cut(b, []byte(key)); ok {
			id, err := strconv.ParseInt(strings.TrimSpace(strings.SplitN(string(rest), "\n", 2)[0]), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return id
		}
	}
	t.Fatalf("no id in %s", b)
	return 0
}

func TestBPFCalls(t *testing.T) {
	programs(t)
	dir := bpffs(t)
	label := func(a *attr, word int, name string) {
		copy(unsafe.Slice((*byte)(unsafe.Pointer(&a[word])), 16), name)
	}

	// a map: made, frozen, found again
	var a attr
	a[0], a[1], a[2], a[3] = uint32(ebpf.Array), 4, 8, 3
	label(&a, 7, "hc_test_map")
	r, fd := bpfRow(t, cmdMapCreate, &a)
	m := made(t, "create map", fd)
	mapID := idOf(t, m)
	sameBPF(t, r, bpfWant{cmd: cmdMapCreate, object: 2, id: mapID, kind: int64(ebpf.Array), name: "hc_test_map", descriptor: true})
	r, fd = bpfRow(t, cmdMapFD, &attr{uint32(mapID)})
	made(t, "map by id", fd)
	sameBPF(t, r, bpfWant{cmd: cmdMapFD, object: 2, id: mapID, kind: int64(ebpf.Array), name: "hc_test_map", descriptor: true})
	r, _ = bpfRow(t, cmdMapFreeze, &attr{uint32(m)})
	sameBPF(t, r, bpfWant{cmd: cmdMapFreeze, object: 2, id: mapID, kind: int64(ebpf.Array), name: "hc_test_map"})

	// a program: loaded, pinned, found again by path and id, and given a map
	code := []uint64{0x00000001_00_00_00_b7, 0x95} // r0 = 1; exit
	license := cstring("GPL")
	load := attr{uint32(ebpf.CGroupSKB), 2}
	load.pointer(2, (*byte)(unsafe.Pointer(&code[0])))
	load.pointer(4, license)
	label(&load, 12, "hc_test_prog")
	load[17] = uint32(ebpf.AttachCGroupInetEgress)
	r, fd = bpfRow(t, cmdProgLoad, &load)
	p := made(t, "load program", fd)
	progID := idOf(t, p)
	prog, err := ebpf.NewProgramFromID(ebpf.ProgramID(progID))
	if err != nil {
		t.Fatal(err)
	}
	defer prog.Close()
	info, err := prog.Info()
	if err != nil {
		t.Fatal(err)
	}
	tag := int64(0)
	for i := 0; i < 16; i += 2 {
		n, err := strconv.ParseUint(info.Tag[i:i+2], 16, 8)
		if err != nil {
			t.Fatal(err)
		}
		tag = tag<<8 | int64(n)
	}
	isProg := bpfWant{object: 1, id: progID, kind: int64(ebpf.CGroupSKB), attach: int64(ebpf.AttachCGroupInetEgress), tag: tag, name: "hc_test_prog"}
	say := func(w bpfWant, change func(*bpfWant)) bpfWant { change(&w); return w }
	sameBPF(t, r, say(isProg, func(w *bpfWant) { w.cmd, w.descriptor = cmdProgLoad, true }))
	pin := dir + "/hc pin"
	os.Remove(pin)
	pinned := attr{2: uint32(p)}
	pinned.pointer(0, cstring(pin))
	r, ret := bpfRow(t, cmdObjPin, &pinned)
	if ret == 0 {
		defer os.Remove(pin)
	}
	sameBPF(t, r, say(isProg, func(w *bpfWant) { w.cmd, w.path, w.ret = cmdObjPin, pin, 0 }))
	get := attr{}
	get.pointer(0, cstring(pin))
	r, fd = bpfRow(t, cmdObjGet, &get)
	made(t, "get pinned", fd)
	sameBPF(t, r, say(isProg, func(w *bpfWant) { w.cmd, w.path, w.descriptor = cmdObjGet, pin, true }))
	r, fd = bpfRow(t, cmdProgFD, &attr{uint32(progID)})
	made(t, "program by id", fd)
	sameBPF(t, r, say(isProg, func(w *bpfWant) { w.cmd, w.descriptor = cmdProgFD, true }))
	r, ret = bpfRow(t, cmdProgBind, &attr{uint32(p), uint32(m)}) // 5.10
	sameBPF(t, r, bpfWant{cmd: cmdProgBind, object: 2, id: mapID, kind: int64(ebpf.Array), prog: progID, name: "hc_test_map", ret: int64(ret)})

	// attached to a cgroup the old way and by a link
	cg := madeCgroup(t, cgroup2(), "bpf")
	c, err := unix.Open(cg, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(c)
	at := attr{uint32(c), uint32(p), uint32(ebpf.AttachCGroupInetEgress)}
	r, ret = bpfRow(t, cmdProgAttach, &at)
	eq(t, "attach", ret, 0)
	sameBPF(t, r, say(isProg, func(w *bpfWant) { w.cmd = cmdProgAttach }))
	r, ret = bpfRow(t, cmdProgDetach, &at)
	eq(t, "detach", ret, 0)
	sameBPF(t, r, say(isProg, func(w *bpfWant) { w.cmd = cmdProgDetach }))
	r, fd = bpfRow(t, cmdLinkCreate, &attr{uint32(p), uint32(c), uint32(ebpf.AttachCGroupInetEgress)})
	l := made(t, "link", fd)
	linkID := idOf(t, l)
	const linkCgroup = 3 // BPF_LINK_TYPE_CGROUP
	isLink := bpfWant{object: 3, id: linkID, kind: linkCgroup, tag: tag, prog: progID, name: "hc_test_prog"}
	sameBPF(t, r, say(isLink, func(w *bpfWant) {
		w.cmd, w.descriptor, w.attach = cmdLinkCreate, true, int64(ebpf.AttachCGroupInetEgress)
	}))
	r, fd = bpfRow(t, cmdLinkFD, &attr{uint32(linkID)})
	made(t, "link by id", fd)
	sameBPF(t, r, say(isLink, func(w *bpfWant) { w.cmd, w.descriptor = cmdLinkFD, true }))
	other, otherID, otherTag := small(t, ebpf.CGroupSKB, "hc_other", ebpf.AttachCGroupInetEgress)
	r, ret = bpfRow(t, cmdLinkUpdate, &attr{uint32(l), uint32(other.FD())})
	eq(t, "update", ret, 0)
	sameBPF(t, r, say(isLink, func(w *bpfWant) { w.cmd, w.prog, w.tag, w.name = cmdLinkUpdate, otherID, otherTag, "hc_other" }))
	r, ret = bpfRow(t, cmdLinkDetach, &attr{uint32(l)})
	eq(t, "detach link", ret, 0)
	sameBPF(t, r, say(isLink, func(w *bpfWant) { w.cmd, w.prog, w.tag, w.name = cmdLinkDetach, otherID, otherTag, "hc_other" }))

	// on a tracepoint
	tp, tpID, tpTag := small(t, ebpf.RawTracepoint, "hc_tp", 0)
	raw := attr{2: uint32(tp.FD())}
	raw.pointer(0, cstring("sched_process_hang"))
	r, fd = bpfRow(t, cmdRawTP, &raw)
	made(t, "raw tracepoint", fd)
	const linkRawTP = 1
	sameBPF(t, r, bpfWant{cmd: cmdRawTP, object: 3, id: idOf(t, fd), kind: linkRawTP, tag: tpTag, prog: tpID, name: "hc_tp", path: "sched_process_hang", descriptor: true})
	raw.pointer(0, cstring("hc_no_such_tracepoint"))
	r, _ = bpfRow(t, cmdRawTP, &raw)
	sameBPF(t, r, bpfWant{cmd: cmdRawTP, prog: tpID, path: "hc_no_such_tracepoint", ret: -int64(unix.ENOENT)})

	// counting of runs, types, refusals
	const runTime = 0
	r, fd = bpfRow(t, cmdStats, &attr{runTime})
	made(t, "stats", fd)
	sameBPF(t, r, bpfWant{cmd: cmdStats, kind: runTime, descriptor: true})
	btf := []byte{0x9f, 0xeb, 1, 0, 24, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0, 16, 0, 0, 0, 5, 0, 0, 0,
		1, 0, 0, 0, 0, 0, 0, 1, 4, 0, 0, 0, 32, 0, 0, 1, 0, 'i', 'n', 't', 0} // int
	types := attr{4: uint32(len(btf))}
	types.pointer(0, &btf[0])
	r, fd = bpfRow(t, cmdBTFLoad, &types)
	made(t, "types", fd)
	btfID := idOf(t, fd)
	sameBPF(t, r, bpfWant{cmd: cmdBTFLoad, object: 4, id: btfID, descriptor: true})
	r, fd = bpfRow(t, cmdBTFFD, &attr{uint32(btfID)})
	made(t, "types by id", fd)
	sameBPF(t, r, bpfWant{cmd: cmdBTFFD, object: 4, id: btfID, descriptor: true})
	load[1] = 0
	r, _ = bpfRow(t, cmdProgLoad, &load)
	sameBPF(t, r, bpfWant{cmd: cmdProgLoad, kind: int64(ebpf.CGroupSKB), attach: int64(ebpf.AttachCGroupInetEgress), name: "hc_test_prog", ret: r.Ret})
	if r.Ret >= 0 {
		t.Error("a program of no instructions was loaded")
	}
	r, _ = bpfRow(t, cmdProgFD, &attr{1<<31 - 1})
	sameBPF(t, r, bpfWant{cmd: cmdProgFD, object: 1, id: 1<<31 - 1, ret: -int64(unix.ENOENT)})
	runtime.KeepAlive([]any{code, btf})
}

func TestBPFIterator(t *testing.T) {
	it := programs(t).Hook("hc_iter_tcp")
	l, err := link.AttachIter(link.IterOptions{Program: it.Program()})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	fd := l.FD()
	r, got := bpfRow(t, cmdIterCreate, &attr{uint32(fd)})
	made(t, "iterator", got)
	eq(t, "object", r.N1, 3)
	eq(t, "link", r.N2, idOf(t, fd))
	eq(t, "link type", r.N3, 4) // BPF_LINK_TYPE_ITER
	eq(t, "program", string(r.Text), "hc_iter_tcp")
}

// Elements of maps are told of the recorder's own maps only, and there always.
func TestBPFTampering(t *testing.T) {
	set := programs(t)
	if err := set.MarkOwn(); err != nil {
		t.Fatal(err)
	}
	m, err := ebpf.NewMap(&ebpf.MapSpec{Name: "other", Type: ebpf.Hash, KeySize: 4, ValueSize: 4, MaxEntries: 8})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	key, val := [4]byte{0xfe, 0xff, 0xff, 0x7f}, [4]byte{1}
	elem := func(cmd uint32, fd int) *attr {
		a := &attr{uint32(fd)}
		a.pointer(2, &key[0])
		if cmd == cmdMapUpdate {
			a.pointer(4, &val[0])
		}
		return a
	}
	rows := locked(t, func() {
		bpfCall(cmdMapUpdate, elem(cmdMapUpdate, m.FD()))
		bpfCall(cmdMapDelete, elem(cmdMapDelete, m.FD()))
	})
	if got := only(rows, typ(event.BPF)); len(got) != 0 {
		t.Errorf("%d rows of somebody's map", len(got))
	}
	scope := set.Scope
	id := idOf(t, scope.FD())
	for _, cmd := range []uint32{cmdMapUpdate, cmdMapDelete} {
		r, ret := bpfRow(t, cmd, elem(cmd, scope.FD()))
		eq(t, "result", ret, 0)
		sameBPF(t, r, bpfWant{cmd: cmd, object: 2, id: id, kind: int64(ebpf.Hash), name: "hc_scope", own: 1})
	}
	many := &attr{8: 1, 9: uint32(scope.FD())}
	many.pointer(4, &key[0])
	many.pointer(6, &val[0])
	r, ret := bpfRow(t, cmdMapUpdateAll, many)
	eq(t, "result", ret, 0)
	sameBPF(t, r, bpfWant{cmd: cmdMapUpdateAll, object: 2, id: id, kind: int64(ebpf.Hash), name: "hc_scope", own: 1})
	bpfCall(cmdMapDelete, elem(cmdMapDelete, scope.FD()))

	// somebody takes a program and a link of ours by their ids
	h := set.Hook("hc_fork")
	info, err := h.Program().Info()
	if err != nil {
		t.Fatal(err)
	}
	pid, _ := info.ID()
	r, fd := bpfRow(t, cmdProgFD, &attr{uint32(pid)})
	made(t, "our program", fd)
	eq(t, "own program", r.N7, 1)
	eq(t, "name", string(r.Text), "hc_fork")
	var it link.Iterator
	found := false
	for it.Next() {
		li, err := it.Link.Info()
		if err == nil && li.Program == pid {
			r, fd := bpfRow(t, cmdLinkFD, &attr{uint32(li.ID)})
			made(t, "our link", fd)
			eq(t, "own link", r.N7, 1)
			eq(t, "link id", r.N2, int64(li.ID))
			eq(t, "link's program", r.N6, int64(pid))
			found = true
		}
	}
	it.Close()
	eq(t, "link found", found, true)
}

// bpffs returns a directory of a bpf file system.
func bpffs(t testing.TB) string {
	t.Helper()
	const at = "/sys/fs/bpf"
	var st unix.Statfs_t
	if unix.Statfs(at, &st) == nil && st.Type == unix.BPF_FS_MAGIC {
		return at
	}
	dir := t.TempDir()
	if err := unix.Mount("bpf", dir, "bpf", 0, ""); err != nil {
		t.Fatalf("mount a bpf file system: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

func TestPerfEventOpen(t *testing.T) {
	programs(t)
	self := os.Getpid()
	var start uint64
	software := func() *unix.PerfEventAttr {
		return &unix.PerfEventAttr{Type: unix.PERF_TYPE_SOFTWARE, Config: unix.PERF_COUNT_SW_TASK_CLOCK, Sample_type: unix.PERF_SAMPLE_TID | unix.PERF_SAMPLE_TIME,
			Size: unix.PERF_ATTR_SIZE_VER0}
	}
	start = startTicks(t, self)
	for _, c := range []struct {
		name   string
		attr   *unix.PerfEventAttr
		pid    func() int
		cpu    int
		flags  int
		fails  syscall.Errno
		target bool
		tid    func() int
	}{
		{name: "itself", attr: software(), pid: func() int { return 0 }, cpu: -1, flags: unix.PERF_FLAG_FD_CLOEXEC, target: true, tid: unix.Gettid},
		{name: "a thread", attr: software(), pid: func() int { return self }, cpu: 0, target: true, tid: func() int { return self }},
		{name: "a cpu", attr: &unix.PerfEventAttr{Type: unix.PERF_TYPE_SOFTWARE, Config: unix.PERF_COUNT_SW_CPU_CLOCK, Size: unix.PERF_ATTR_SIZE_VER0}, pid: func() int { return -1 }, cpu: 0},
		{name: "refused", attr: &unix.PerfEventAttr{Type: 0x7ffffff0, Config: 77, Sample_type: 1, Size: unix.PERF_ATTR_SIZE_VER0}, pid: func() int { return self }, cpu: -1, fails: unix.ENOENT, target: true, tid: func() int { return self }},
	} {
		t.Run(c.name, func(t *testing.T) {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			var fd int
			var err error
			tid := 0
			if c.tid != nil {
				tid = c.tid()
			}
			rows := locked(t, func() { fd, err = unix.PerfEventOpen(c.attr, c.pid(), c.cpu, -1, c.flags) })
			r := one(t, rows, typ(event.PerfEvent))
			flags := uint32(event.FlagCritical)
			if c.fails != 0 {
				if !errors.Is(err, c.fails) {
					t.Fatal(err)
				}
				flags |= event.FlagFailed
				eq(t, "ret", r.Ret, -int64(c.fails))
			} else {
				if err != nil {
					t.Fatal(err)
				}
				defer unix.Close(fd)
				flags |= event.FlagKernelNames
				eq(t, "ret", r.Ret, int64(fd))
			}
			eq(t, "flags of the row", r.Flags, flags)
			eq(t, "type", r.Op, c.attr.Type)
			eq(t, "config", uint64(r.N1), c.attr.Config)
			eq(t, "cpu", r.N2, int64(c.cpu))
			eq(t, "flags", r.N3, int64(c.flags))
			eq(t, "sample type", uint64(r.N4), c.attr.Sample_type)
			if c.target {
				eq(t, "target", r.OPID, uint32(self))
				eq(t, "target thread", r.OTID, uint32(tid))
				eq(t, "target start", r.OStart/10e6, start)
			} else {
				eq(t, "target", r.OPID, 0)
				eq(t, "target start", r.OStart, 0)
			}
		})
	}
}

// A program put on a tracepoint as it was done before there were links for it.
func TestBPFOnPerfEvent(t *testing.T) {
	programs(t)
	b, err := os.ReadFile("/sys/kernel/tracing/events/sched/sched_process_hang/id")
	if err != nil {
		b, err = os.ReadFile("/sys/kernel/tracing/events/sched/sched_process_exec/id")
	}
	if err != nil {
		t.Fatal(err)
	}
	id, _ := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
	p, progID, tag := small(t, ebpf.TracePoint, "hc_on_perf", 0)
	fd, err := unix.PerfEventOpen(&unix.PerfEventAttr{Type: unix.PERF_TYPE_TRACEPOINT, Config: id, Sample: 1, Size: unix.PERF_ATTR_SIZE_VER0}, -1, 0, -1, unix.PERF_FLAG_FD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	self := loadHooks(t, bpf.Options{CriticalBytes: 1 << 20, BulkBytes: 1 << 20, Leave: allBut("hc_ioctl")}, "hc_ioctl") // this process is the recorder
	must(t, self.MarkOwn())
	want := bpfWant{cmd: 1001, object: 1, id: progID, kind: int64(ebpf.TracePoint), tag: tag, name: "hc_on_perf"}
	rows := locked(t, func() { err = unix.IoctlSetInt(fd, unix.PERF_EVENT_IOC_SET_BPF, p.FD()) })
	if err != nil {
		t.Fatal(err)
	}
	sameBPF(t, one(t, rows, typ(event.BPF)), want)
	rows = locked(t, func() { err = unix.IoctlSetInt(fd, unix.PERF_EVENT_IOC_SET_BPF, fd) }) // no program at all
	sameBPF(t, one(t, rows, typ(event.BPF)), bpfWant{cmd: 1001, ret: -int64(unix.EINVAL)})
	if !errors.Is(err, unix.EINVAL) {
		t.Error(err)
	}
	// what the recorder itself puts there, its own programs too, is counted
	unix.IoctlSetInt(fd, unix.PERF_EVENT_IOC_SET_BPF, self.Hook("hc_ioctl").Program().FD())
	eq(t, "rows of what the recorder did", len(only(drainSet(t, self), typ(event.BPF))), 0)
	if n := counted(t, self, 5, event.BPF); n < 3 { // HC_SELF
		t.Errorf("%d calls of the recorder were left out, want 3", n)
	}
}

func TestClockSet(t *testing.T) {
	programs(t)
	now := func() (ts unix.Timespec) { unix.ClockGettime(unix.CLOCK_REALTIME, &ts); return }
	// The clock is set to what it says, or to what is refused: nothing on this machine notices.
	var asked int64
	type step struct {
		name  string
		call  int64
		id    int64
		modes int64
		do    func() int64
	}
	// adjtimex answers with the state of the clock
	result := func(state int, err error) int64 {
		var e syscall.Errno
		if errors.As(err, &e) {
			return -int64(e)
		}
		return int64(state)
	}
	bad := unix.Timespec{Sec: 12345, Nsec: 2e9}
	var same unix.Timex
	if _, err := unix.Adjtimex(&same); err != nil {
		t.Fatal(err)
	}
	for _, c := range []step{
		{"clock_settime to now", unix.SYS_CLOCK_SETTIME, unix.CLOCK_REALTIME, 0, func() int64 {
			ts := now()
			asked = ts.Nano()
			_, _, e := syscall.RawSyscall(unix.SYS_CLOCK_SETTIME, unix.CLOCK_REALTIME, uintptr(unsafe.Pointer(&ts)), 0)
			return -int64(e)
		}},
		{"clock_settime refused", unix.SYS_CLOCK_SETTIME, unix.CLOCK_MONOTONIC, 0, func() int64 {
			asked = bad.Nano()
			_, _, e := syscall.RawSyscall(unix.SYS_CLOCK_SETTIME, unix.CLOCK_MONOTONIC, uintptr(unsafe.Pointer(&bad)), 0)
			return -int64(e)
		}},
		{"settimeofday refused", unix.SYS_SETTIMEOFDAY, 0, 0, func() int64 {
			tv := unix.Timeval{Sec: 4567, Usec: 1000001}
			asked = 4567e9 + 1000001*1000
			_, _, e := syscall.RawSyscall(unix.SYS_SETTIMEOFDAY, uintptr(unsafe.Pointer(&tv)), 0, 0)
			return -int64(e)
		}},
		{"adjtimex of the same tick", unix.SYS_ADJTIMEX, 0, unix.ADJ_TICK, func() int64 {
			x := same
			x.Modes, x.Offset = unix.ADJ_TICK, 77
			asked = 77000
			return result(unix.Adjtimex(&x))
		}},
		{"clock_adjtime by nothing", unix.SYS_CLOCK_ADJTIME, unix.CLOCK_REALTIME, unix.ADJ_SETOFFSET | unix.ADJ_NANO, func() int64 {
			x := unix.Timex{Modes: unix.ADJ_SETOFFSET | unix.ADJ_NANO, Time: unix.Timeval{Usec: 3}} // 3 ns
			asked = 3
			return result(unix.ClockAdjtime(unix.CLOCK_REALTIME, &x))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var ret int64
			rows := locked(t, func() { ret = c.do() })
			r := one(t, rows, typ(event.ClockSet))
			eq(t, "ret", r.Ret, ret)
			flags := uint32(event.FlagCritical)
			if ret < 0 {
				flags |= event.FlagFailed
			}
			eq(t, "flags of the row", r.Flags, flags)
			eq(t, "call", int64(r.Op), c.call)
			eq(t, "clock", r.N1, c.id)
			eq(t, "asked", r.N2, asked)
			eq(t, "modes", r.N3, c.modes)
			if strings.HasSuffix(c.name, "refused") != (ret < 0) && ret != -int64(unix.EPERM) { // no CAP_SYS_TIME
				t.Errorf("result %d", ret)
			}
		})
	}
	rows := locked(t, func() { // a question is no change
		var x unix.Timex
		unix.Adjtimex(&x)
		unix.ClockAdjtime(unix.CLOCK_REALTIME, &unix.Timex{})
	})
	if got := only(rows, typ(event.ClockSet)); len(got) != 0 {
		t.Errorf("%d rows of questions", len(got))
	}
}

func TestForensicProfileTellsElementsOfMaps(t *testing.T) {
	set := loadHooks(t, bpf.Options{Self: bpf.NoSelf, Forensic: true, Leave: allBut("hc_bpf")}, "hc_bpf")
	m, err := ebpf.NewMap(&ebpf.MapSpec{Name: "anyones", Type: ebpf.Hash, KeySize: 4, ValueSize: 4, MaxEntries: 8})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	id := idOf(t, m.FD())
	key, val := new([4]byte), new([4]byte)
	a := &attr{uint32(m.FD())}
	a.pointer(2, &key[0])
	a.pointer(4, &val[0])
	const lookup, update = 1, 2
	ownThread(func() {
		tid := uint32(unix.Gettid())
		drainSet(t, set)
		for _, cmd := range []uint32{update, lookup} {
			if _, err := bpfCall(uintptr(cmd), a); err != nil {
				t.Error(err)
			}
			got := only(drainSet(t, set), typ(event.BPF), func(r *event.Row) bool { return r.TID == tid && r.Op == cmd })
			if len(got) != 1 {
				t.Errorf("%d rows of command %d", len(got), cmd)
				continue
			}
			sameBPF(t, &got[0], bpfWant{cmd: cmd, object: 2, id: id, kind: int64(ebpf.Hash), name: "anyones"})
		}
	})
	runtime.KeepAlive([]any{key, val})
}

// Of a recorded command only that is told, but for what touches the recorder; the recorder's own
// calls are counted and not told.
func TestOwnIsToldInEveryScope(t *testing.T) {
	set := loadHooks(t, bpf.Options{Self: bpf.NoSelf, Scoped: true, Leave: allBut("hc_bpf")}, "hc_bpf")
	if err := set.MarkOwn(); err != nil {
		t.Fatal(err)
	}
	key, val := new([4]byte), new([4]byte)
	key[3] = 0x7f
	elem := func(fd int) *attr {
		a := &attr{uint32(fd)}
		a.pointer(2, &key[0])
		a.pointer(4, &val[0])
		return a
	}
	ownThread(func() {
		tid := uint32(unix.Gettid())
		drainSet(t, set)
		m, err := ebpf.NewMap(&ebpf.MapSpec{Name: "other", Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1})
		if err != nil {
			t.Error(err)
			return
		}
		m.Close()
		bpfCall(cmdMapUpdate, elem(set.Scope.FD()))
		got := only(drainSet(t, set), typ(event.BPF), func(r *event.Row) bool { return r.TID == tid })
		if len(got) != 1 {
			t.Errorf("%d rows, want that of our own map alone", len(got))
			return
		}
		sameBPF(t, &got[0], bpfWant{cmd: cmdMapUpdate, object: 2, id: idOf(t, set.Scope.FD()), kind: int64(ebpf.Hash), name: "hc_scope", own: 1})
	})

	self := loadHooks(t, bpf.Options{Leave: allBut("hc_bpf")}, "hc_bpf") // this process is the recorder
	if err := self.MarkOwn(); err != nil {
		t.Fatal(err)
	}
	count := func() (n uint64) {
		const leftOut = 5 // HC_SELF
		var zero uint32
		var cpus []([bpf.Causes][bpf.Types]uint64)
		if err := self.Counters.Lookup(&zero, &cpus); err != nil {
			t.Fatal(err)
		}
		for i := range cpus {
			n += cpus[i][leftOut][event.BPF]
		}
		return n
	}
	before := count()
	bpfCall(cmdMapUpdate, elem(self.Scope.FD()))
	bpfCall(cmdMapFD, &attr{1<<31 - 1})
	if n := count() - before; n != 2 {
		t.Errorf("%d calls of the recorder were left out, want 2", n)
	}
	if got := only(drainSet(t, self), typ(event.BPF), by(os.Getpid())); len(got) != 0 {
		t.Errorf("%d rows of the recorder itself", len(got))
	}
	runtime.KeepAlive([]any{key, val})
}
