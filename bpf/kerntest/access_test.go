//go:build linux

package kerntest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/cilium/ebpf/ringbuf"
	"golang.org/x/sys/unix"

	"hindcast/bpf"
	"hindcast/format/event"
)

// victim is a process to reach into, and where its stack is.
func victim(t testing.TB) (pid int, stack uintptr) {
	t.Helper()
	cmd := exec.Command("/bin/sleep", "3600") // loading takes an emulated kernel a minute; killed at the end
	must(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	pid = cmd.Process.Pid
	for range 1000 { // until it runs its own program, whose stack is at rest
		if b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/wchan", pid)); strings.Contains(string(b), "nanosleep") {
			break
		}
		unix.Nanosleep(&unix.Timespec{Nsec: 1e6}, nil)
	}
	return pid, stackOf(t, pid)
}

func stackOf(t testing.TB, pid int) uintptr {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	must(t, err)
	for l := range bytes.Lines(b) {
		if bytes.Contains(l, []byte("[stack]")) {
			var from, to uintptr
			fmt.Sscanf(string(l), "%x-%x", &from, &to)
			return to - 64 // end of the last string
		}
	}
	t.Fatal("no stack")
	return 0
}

// access asserts everything about one row.
func access(t testing.TB, r *event.Row, kind uint32, request int64, addr uintptr, size, ret int64, target int) {
	t.Helper()
	eq(t, "op", r.Op, kind)
	eq(t, "request", r.N1, request)
	eq(t, "address", uint64(r.N2), uint64(addr))
	eq(t, "size", r.N3, size)
	eq(t, "ret", r.Ret, ret)
	eq(t, "failed", r.Flags&event.FlagFailed != 0, ret < 0)
	isTarget(t, r, target, target)
}

func TestPtrace(t *testing.T) {
	programs(t)
	for _, seize := range []bool{false, true} {
		name, first := "attach", int64(unix.PTRACE_ATTACH)
		if seize {
			name, first = "seize", unix.PTRACE_SEIZE
		}
		t.Run(name, func(t *testing.T) {
			pid, stack := victim(t)
			ownThread(func() {
				var word [8]byte
				var regs unix.PtraceRegs
				rows := record(t, func() {
					if seize {
						must(t, unix.PtraceSeize(pid))
						must(t, unix.PtraceInterrupt(pid))
					} else {
						must(t, unix.PtraceAttach(pid))
					}
					unix.Wait4(pid, nil, unix.WALL, nil)
					for range 3 {
						_, err := unix.PtracePeekData(pid, stack, word[:])
						must(t, err)
					}
					for range 2 {
						_, err := unix.PtracePokeData(pid, stack, word[:])
						must(t, err)
					}
					must(t, unix.PtraceGetRegs(pid, &regs))
					must(t, unix.PtraceSetRegs(pid, &regs))
					must(t, unix.PtraceDetach(pid))
				})
				got := only(rows, typ(event.Access), thread(unix.Gettid()))
				want := []int64{first}
				if seize {
					want = append(want, unix.PTRACE_INTERRUPT)
				}
				// what looks is told once, what changes every time
				want = append(want, unix.PTRACE_PEEKDATA, unix.PTRACE_POKEDATA, unix.PTRACE_POKEDATA, unix.PTRACE_GETREGSET, unix.PTRACE_SETREGSET, unix.PTRACE_DETACH)
				if len(got) != len(want) {
					t.Fatalf("%d rows, want %d", len(got), len(want))
				}
				for i := range got {
					addr := uintptr(got[i].N2)
					if want[i] == unix.PTRACE_PEEKDATA || want[i] == unix.PTRACE_POKEDATA {
						addr = stack
					}
					access(t, &got[i], 1, want[i], addr, 0, 0, pid)
				}
			})
		})
	}
	t.Run("traceme", func(t *testing.T) {
		var cmd *exec.Cmd
		var rows []event.Row
		ownThread(func() {
			rows = record(t, func() {
				cmd = exec.Command("/bin/true")
				cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true}
				must(t, cmd.Start())
				unix.Wait4(cmd.Process.Pid, nil, 0, nil)
				unix.PtraceDetach(cmd.Process.Pid)
			})
			cmd.Process.Kill()
			unix.Wait4(cmd.Process.Pid, nil, 0, nil)
		})
		r := one(t, rows, typ(event.Access), by(cmd.Process.Pid))
		eq(t, "op", r.Op, 1)
		eq(t, "request", r.N1, unix.PTRACE_TRACEME)
		eq(t, "tracer", r.OPID, uint32(os.Getpid()))
		eq(t, "start of the tracer", r.OStart/10e6, startTicks(t, os.Getpid()))
	})
	t.Run("refused", func(t *testing.T) {
		pid, _ := victim(t)
		var cmd *exec.Cmd
		rows := record(t, func() {
			cmd = nobody("reach", fmt.Sprint(pid))
			must(t, cmd.Run())
		})
		got := only(rows, typ(event.Access), by(cmd.Process.Pid))
		kinds := map[uint32]bool{}
		for i := range got {
			isTarget(t, &got[i], pid, pid)
			if got[i].Op == 8 {
				continue // anyone may have a pidfd
			}
			if got[i].Ret != -int64(unix.EPERM) && got[i].Ret != -int64(unix.EACCES) {
				t.Errorf("kind %d: ret = %d", got[i].Op, got[i].Ret)
			}
			eq(t, "failed", got[i].Flags&event.FlagFailed != 0, true)
			kinds[got[i].Op] = true
		}
		for _, k := range []uint32{1, 2, 3, 6, 7, 9} {
			if !kinds[k] {
				t.Errorf("no row of kind %d", k)
			}
		}
	})
	t.Run("nobody there", func(t *testing.T) {
		rows := record(t, func() { ownThread(func() { unix.PtraceAttach(1 << 21) }) })
		eq(t, "rows of calls that found nobody", len(only(rows, typ(event.Access), by(os.Getpid()))), 0)
	})
	t.Run("in a pid namespace", func(t *testing.T) {
		// the number that is passed means another process outside
		h := startTalker(t, "tracer", &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID})
		var inside int
		rows := record(t, func() { fmt.Sscan(h.do(t, "go"), &inside) })
		r := one(t, rows, typ(event.Access), by(h.Process.Pid), func(r *event.Row) bool { return r.N1 == unix.PTRACE_ATTACH })
		f := one(t, rows, typ(event.Fork), by(h.Process.Pid), func(r *event.Row) bool { return r.N5 == int64(inside) && r.Flags&event.FlagThread == 0 })
		eq(t, "target outside", r.OPID, f.OPID)
		eq(t, "target start", r.OStart, f.OStart)
		if r.OPID == uint32(inside) {
			t.Error("the number of the namespace was taken for one of the host")
		}
	})
}

// nobody is a helper that runs without any right.
func nobody(helper string, args ...string) *exec.Cmd {
	// the test binary lies in a directory that only its owner may enter
	cmd := exec.Command("/proc/self/exe", args...)
	if f, err := os.Open("/proc/self/exe"); err == nil {
		cmd = exec.Command("/proc/self/fd/3", args...)
		cmd.ExtraFiles = []*os.File{f}
	}
	cmd.Env = append(os.Environ(), "HC_HELPER="+helper)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	return cmd
}

func init() {
	helpers["reach"] = func(args []string) int {
		var pid int
		fmt.Sscan(args[0], &pid)
		runtime.LockOSThread()
		unix.PtraceAttach(pid)
		var b [8]byte
		l := []unix.Iovec{{Base: &b[0], Len: 8}}
		r := []unix.RemoteIovec{{Base: 4096, Len: 8}}
		unix.ProcessVMReadv(pid, l, r, 0)
		unix.ProcessVMWritev(pid, l, r, 0)
		if fd, err := unix.PidfdOpen(pid, 0); err == nil {
			unix.PidfdGetfd(fd, 0, 0)
			unix.Syscall6(unix.SYS_PROCESS_MADVISE, uintptr(fd), uintptr(unsafe.Pointer(&r[0])), 1, unix.MADV_COLD, 0, 0)
		}
		unix.Syscall6(unix.SYS_KCMP, uintptr(os.Getpid()), uintptr(pid), 0, 0, 0, 0)
		os.Exit(0)
		return 0
	}
	helpers["tracer"] = func([]string) int {
		runtime.LockOSThread()
		var line string
		fmt.Scanln(&line)
		c := exec.Command("/bin/sleep", "3600") // loading takes an emulated kernel a minute; killed at the end
		if err := c.Start(); err != nil {
			return 1
		}
		unix.PtraceAttach(c.Process.Pid)
		fmt.Println(c.Process.Pid)
		fmt.Scanln(&line)
		return 0
	}
}

// TestAimedAtTheRecorder: what the recorder does is left out, what is done to it is not, even
// when only a command is recorded that neither of the two belongs to.
func TestAimedAtTheRecorder(t *testing.T) {
	programs(t)
	recorder, _ := victim(t)
	other, _ := victim(t)
	set, err := bpf.Load(bpf.Options{Self: uint32(recorder), Scoped: true, CriticalBytes: 1 << 20, BulkBytes: 1 << 20, Leave: func(n string) bool { return n != "hc_ptrace" }})
	must(t, err)
	defer set.Close()
	must(t, set.Hook("hc_ptrace").Attach())
	ring, err := ringbuf.NewReader(set.Critical)
	must(t, err)
	defer ring.Close()
	reach := func(pid int) (rows []event.Row) {
		ownThread(func() {
			must(t, unix.PtraceAttach(pid))
			unix.Wait4(pid, nil, unix.WALL, nil)
			must(t, unix.PtraceDetach(pid))
		})
		for {
			ring.SetDeadline(time.Now())
			rec, err := ring.Read()
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return rows
			}
			must(t, err)
			var r event.Row
			_, err = event.Decode(rec.RawSample, &r)
			must(t, err)
			if r.Type == event.Access {
				rows = append(rows, r)
			}
		}
	}
	got := reach(recorder)
	if len(got) != 2 {
		t.Fatalf("%d rows of what was done to the recorder, want 2", len(got))
	}
	access(t, &got[0], 1, unix.PTRACE_ATTACH, 0, 0, 0, recorder)
	access(t, &got[1], 1, unix.PTRACE_DETACH, 0, 0, 0, recorder)
	eq(t, "rows of what is no part of the command", len(reach(other)), 0)
	must(t, set.Scope.Put(uint32(other), uint32(1)))
	eq(t, "rows of what was done to the command", len(reach(other)), 2)
	must(t, set.SetSelf(uint32(os.Getpid())))
	eq(t, "rows of what the recorder did", len(reach(other)), 0)
}

// What is done to the recorder is told whatever is recorded, and so is what is done to the recorded
// command: its limits, its group, its memory by procfs, counters on it.
func TestAllThatIsAimedAtTheRecorder(t *testing.T) {
	hooks := []string{"hc_prlimit64", "hc_setpgid", "hc_pread64", "hc_pwrite64", "hc_perf_event_open"}
	programs(t)
	recorder, stack := victim(t)
	other, otherStack := victim(t)
	set := loadHooks(t, bpf.Options{Self: uint32(recorder), Scoped: true, CriticalBytes: 1 << 20, BulkBytes: 1 << 20, Leave: allBut(hooks...)}, hooks...)
	reach := func(pid int, at uintptr) (rows []event.Row) {
		ownThread(func() {
			me := thread(unix.Gettid())
			drainSet(t, set)
			must(t, unix.Prlimit(pid, unix.RLIMIT_CORE, &unix.Rlimit{}, nil))
			unix.Setpgid(pid, pid)
			fd, err := unix.PerfEventOpen(&unix.PerfEventAttr{Type: unix.PERF_TYPE_SOFTWARE, Config: unix.PERF_COUNT_SW_TASK_CLOCK, Size: unix.PERF_ATTR_SIZE_VER0}, pid, -1, -1, 0)
			must(t, err)
			unix.Close(fd)
			mem, err := unix.Open(fmt.Sprintf("/proc/%d/mem", pid), unix.O_RDWR, 0)
			must(t, err)
			defer unix.Close(mem)
			b := make([]byte, 8)
			for range 3 {
				_, err = unix.Pread(mem, b, int64(at))
				must(t, err)
			}
			_, err = unix.Pwrite(mem, b, int64(at))
			must(t, err)
			rows = only(drainSet(t, set), me)
		})
		return rows
	}
	told := func(rows []event.Row, pid int, at uintptr) {
		t.Helper()
		for _, k := range []event.Type{event.Control, event.Session, event.PerfEvent} {
			r := one(t, rows, typ(k))
			eq(t, k.String()+" aims at", r.OPID, uint32(pid))
		}
		got := only(rows, typ(event.Access))
		if len(got) != 2 {
			t.Fatalf("%d rows, want 2: the first read and the first write", len(got))
		}
		access(t, &got[0], 4, 0, at, 8, 8, pid)
		access(t, &got[1], 5, 0, at, 8, 8, pid)
		eq(t, "rows of reads and writes", len(only(rows, typ(event.FirstRead)))+len(only(rows, typ(event.FirstWrite))), 0)
	}
	told(reach(recorder, stack), recorder, stack)
	eq(t, "rows of what is no part of the command", len(reach(other, otherStack)), 0)
	must(t, set.Scope.Put(uint32(other), uint32(1)))
	told(reach(other, otherStack), other, otherStack)
	must(t, set.SetSelf(uint32(os.Getpid())))
	for _, r := range reach(other, otherStack) {
		if r.Type != event.Session { // lineage: the recorder's own processes too
			t.Errorf("a row %s of what the recorder did", r.Type)
		}
	}
}

func TestProcessVM(t *testing.T) {
	pid, stack := victim(t)
	buf := make([]byte, 24)
	local := []unix.Iovec{{Base: &buf[0], Len: 24}}
	remote := []unix.RemoteIovec{{Base: stack, Len: 16}, {Base: stack + 16, Len: 8}}
	ownThread(func() {
		rows := record(t, func() {
			for range 3 { // looking is told once
				n, err := unix.ProcessVMReadv(pid, local, remote, 0)
				must(t, err)
				eq(t, "read", n, 24)
			}
		})
		access(t, one(t, rows, typ(event.Access), thread(unix.Gettid())), 2, 0, stack, 24, 24, pid)
		rows = record(t, func() {
			for range 2 { // changing every time
				n, err := unix.ProcessVMWritev(pid, local, remote, 0)
				must(t, err)
				eq(t, "written", n, 24)
			}
		})
		got := only(rows, typ(event.Access), thread(unix.Gettid()))
		eq(t, "writes", len(got), 2)
		for i := range got {
			access(t, &got[i], 3, 0, stack, 24, 24, pid)
		}
	})
}

func TestPidfd(t *testing.T) {
	pid, stack := victim(t)
	ownThread(func() {
		me := thread(unix.Gettid())
		var fd int
		rows := record(t, func() { var err error; fd, err = unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK); must(t, err) })
		defer unix.Close(fd)
		access(t, one(t, rows, typ(event.Access), me), 8, unix.PIDFD_NONBLOCK, 0, 0, int64(fd), pid)
		var got int
		rows = record(t, func() { var err error; got, err = unix.PidfdGetfd(fd, 1, 0); must(t, err) })
		unix.Close(got)
		access(t, one(t, rows, typ(event.Access), me), 6, 1, 0, 0, int64(got), pid)
		page := stack &^ 4095
		vec := []unix.RemoteIovec{{Base: page, Len: 4096}}
		var n uintptr
		rows = record(t, func() {
			var errno syscall.Errno
			n, _, errno = unix.Syscall6(unix.SYS_PROCESS_MADVISE, uintptr(fd), uintptr(unsafe.Pointer(&vec[0])), 1, unix.MADV_COLD, 0, 0)
			if errno != 0 {
				t.Fatal(errno)
			}
		})
		access(t, one(t, rows, typ(event.Access), me), 7, unix.MADV_COLD, page, int64(n), int64(n), pid)
		rows = record(t, func() { n, _, _ = unix.Syscall6(unix.SYS_KCMP, uintptr(os.Getpid()), uintptr(pid), 2, 0, 0, 0) })
		access(t, one(t, rows, typ(event.Access), me), 9, 2, 0, 0, int64(n), pid)
		rows = record(t, func() { n, _, _ = unix.Syscall6(unix.SYS_KCMP, uintptr(pid), uintptr(os.Getpid()), 1, 0, 0, 0) })
		access(t, one(t, rows, typ(event.Access), me), 9, 1, 0, 0, int64(n), pid)
	})
}

func TestProcfsMem(t *testing.T) {
	pid, stack := victim(t)
	own := make([]byte, 64)
	for _, c := range []struct {
		name, path string
		pid        int
		addr       uintptr
	}{
		{"another process", fmt.Sprintf("/proc/%d/mem", pid), pid, stack},
		{"by its thread", fmt.Sprintf("/proc/%d/task/%d/mem", pid, pid), pid, stack},
		{"itself", "/proc/self/mem", os.Getpid(), uintptr(unsafe.Pointer(&own[0]))},
	} {
		t.Run(c.name, func(t *testing.T) {
			ownThread(func() {
				me := thread(unix.Gettid())
				b := make([]byte, 16)
				open := func() int {
					fd, err := unix.Open(c.path, unix.O_RDWR, 0)
					must(t, err)
					return fd
				}
				rows := record(t, func() {
					fd := open()
					defer unix.Close(fd)
					_, err := unix.Pread(fd, b, int64(c.addr))
					must(t, err)
					unix.Pread(fd, b[:8], int64(c.addr))
					_, err = unix.Pwrite(fd, b, int64(c.addr))
					must(t, err)
				})
				got := only(rows, typ(event.Access), me)
				if len(got) != 2 {
					t.Fatalf("%d rows, want 2: the first read and the first write", len(got))
				}
				access(t, &got[0], 4, 0, c.addr, 16, 16, c.pid)
				access(t, &got[1], 5, 0, c.addr, 16, 16, c.pid)
			})
			ownThread(func() { // by position, as dd does
				me := thread(unix.Gettid())
				b := make([]byte, 16)
				rows := record(t, func() {
					fd, err := unix.Open(c.path, unix.O_RDWR, 0)
					must(t, err)
					defer unix.Close(fd)
					_, err = unix.Seek(fd, int64(c.addr), 0)
					must(t, err)
					_, err = unix.Read(fd, b)
					must(t, err)
					_, err = unix.Seek(fd, int64(c.addr)+16, 0)
					must(t, err)
					_, err = unix.Write(fd, b)
					must(t, err)
				})
				got := only(rows, typ(event.Access), me)
				if len(got) != 2 {
					t.Fatalf("%d rows, want 2", len(got))
				}
				access(t, &got[0], 4, 0, c.addr, 16, 16, c.pid)
				access(t, &got[1], 5, 0, c.addr+16, 16, 16, c.pid)
			})
		})
	}
	runtime.KeepAlive(own)
	t.Run("other files of procfs", func(t *testing.T) {
		rows := record(t, func() {
			os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
			os.ReadFile("/proc/meminfo")
			os.ReadFile("/proc/self/environ")
			os.WriteFile("/proc/self/oom_score_adj", []byte("0"), 0)
		})
		eq(t, "rows", len(only(rows, typ(event.Access), by(os.Getpid()))), 0)
	})
	t.Run("a file of that name", func(t *testing.T) {
		p := t.TempDir() + "/mem"
		rows := record(t, func() { os.WriteFile(p, []byte("x"), 0o600) })
		eq(t, "rows", len(only(rows, typ(event.Access), by(os.Getpid()))), 0)
	})
}
