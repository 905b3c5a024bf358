//go:build linux

package kerntest

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"hindcast/format/event"
)

func thread(tid int) func(*event.Row) bool {
	return func(r *event.Row) bool { return r.TID == uint32(tid) }
}

func op(n uint32) func(*event.Row) bool { return func(r *event.Row) bool { return r.Op == n } }

func about(pid int) func(*event.Row) bool {
	return func(r *event.Row) bool { return r.OPID == uint32(pid) }
}

// isTarget asserts that the row speaks of the thread of a live process.
func isTarget(t testing.TB, r *event.Row, pid, tid int) {
	t.Helper()
	eq(t, "target", r.OPID, uint32(pid))
	eq(t, "target thread", r.OTID, uint32(tid))
	eq(t, "target start", r.OStart/10e6, startTicks(t, pid))
}

func setName(name string) {
	b := append([]byte(name), 0)
	unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(&b[0])), 0, 0, 0)
}

func TestSetName(t *testing.T) {
	self := os.Getpid()
	check := func(r *event.Row, actor, tid int, comm, name string) {
		t.Helper()
		eq(t, "actor", r.TID, uint32(actor))
		eq(t, "comm", string(r.Comm), comm)
		eq(t, "name", string(r.Text), name)
		eq(t, "marks", r.Marks, 0)
		eq(t, "flags", r.Flags, 0)
		isTarget(t, r, self, tid)
	}
	t.Run("prctl", func(t *testing.T) {
		ownThread(func() {
			tid := unix.Gettid()
			setName("before")
			rows := record(t, func() { setName("after the name is cut"); setName("after the name is cut") })
			check(one(t, rows, typ(event.SetName), thread(tid)), tid, tid, "before", "after the name ")
			rows = record(t, func() { setName("") })
			check(one(t, rows, typ(event.SetName), thread(tid)), tid, tid, "after the name ", "")
			rows = record(t, func() { setName("\xff a\nb") })
			check(one(t, rows, typ(event.SetName), thread(tid)), tid, tid, "", "\xff a\nb")
		})
	})
	t.Run("procfs", func(t *testing.T) {
		ownThread(func() {
			tid := unix.Gettid()
			setName("before")
			rows := record(t, func() { must(t, os.WriteFile(fmt.Sprintf("/proc/self/task/%d/comm", tid), []byte("by file"), 0)) })
			check(one(t, rows, typ(event.SetName), about(self)), tid, tid, "before", "by file")
		})
	})
	t.Run("another thread", func(t *testing.T) {
		ownThread(func() {
			victim := unix.Gettid()
			setName("victim")
			ownThread(func() {
				setName("renamer")
				actor := unix.Gettid()
				rows := record(t, func() { must(t, os.WriteFile(fmt.Sprintf("/proc/self/task/%d/comm", victim), []byte("given\n"), 0)) })
				check(one(t, rows, typ(event.SetName), about(self)), actor, victim, "renamer", "given\n")
			})
		})
	})
	t.Run("not with exec", func(t *testing.T) {
		var cmd *exec.Cmd
		rows := record(t, func() { cmd = exec.Command("/bin/true"); cmd.Run() })
		eq(t, "rows", len(only(rows, typ(event.SetName), by(cmd.Process.Pid))), 0)
		one(t, rows, typ(event.Exec), by(cmd.Process.Pid))
	})
}

func init() {
	helpers["session"] = func(args []string) int {
		in := bufio.NewReader(os.Stdin)
		fmt.Println("ready")
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return 0
			}
			var e error
			switch strings.TrimSpace(line) {
			case "setsid":
				_, e = unix.Setsid()
			case "setpgid":
				e = unix.Setpgid(0, 0)
			case "subreaper":
				e = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
			case "no subreaper":
				e = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
			}
			fmt.Println(e)
		}
	}
}

// talker is a program of ours that does one thing a line.
type talker struct {
	*exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func startTalker(t testing.TB, name string, attr *syscall.SysProcAttr, args ...string) *talker {
	t.Helper()
	h := &talker{Cmd: exec.Command("/proc/self/exe", args...)}
	h.Env = append(os.Environ(), "HC_HELPER="+name)
	h.SysProcAttr = attr
	h.Stderr = os.Stderr
	h.in, _ = h.StdinPipe()
	out, _ := h.StdoutPipe()
	h.out = bufio.NewReader(out)
	must(t, h.Start())
	t.Cleanup(func() { h.in.Close(); h.Process.Kill(); h.Wait() })
	return h
}

func (h *talker) line(t testing.TB) string {
	t.Helper()
	s, err := h.out.ReadString('\n')
	must(t, err)
	return strings.TrimSpace(s)
}

func (h *talker) do(t testing.TB, what string) string {
	t.Helper()
	fmt.Fprintln(h.in, what)
	return h.line(t)
}

func TestSession(t *testing.T) {
	programs(t)
	h := startTalker(t, "session", nil)
	h.line(t)
	pid := h.Process.Pid
	check := func(rows []event.Row, o uint32, actor, target int, ret int64) {
		t.Helper()
		r := one(t, rows, typ(event.Session), by(actor))
		eq(t, "op", r.Op, o)
		eq(t, "ret", r.Ret, ret)
		eq(t, "failed", r.Flags&event.FlagFailed != 0, ret < 0)
		sid, _ := unix.Getsid(target)
		pgid, _ := unix.Getpgid(target)
		eq(t, "sid", r.N1, int64(sid))
		eq(t, "pgid", r.N2, int64(pgid))
		tid := target
		if actor == target {
			tid = int(r.TID) // whichever thread called: the runtime chooses
		}
		isTarget(t, r, target, tid)
	}
	check(record(t, func() { h.do(t, "setpgid") }), 2, pid, pid, 0)
	check(record(t, func() { h.do(t, "setsid") }), 1, pid, pid, -int64(unix.EPERM)) // it leads a group
	check(record(t, func() { h.do(t, "subreaper") }), 3, pid, pid, 0)
	check(record(t, func() { h.do(t, "no subreaper") }), 4, pid, pid, 0)
	check(record(t, func() { unix.Setpgid(pid, pid) }), 2, os.Getpid(), pid, -int64(unix.EACCES)) // it has called exec
	h2 := startTalker(t, "session", nil)
	h2.line(t)
	check(record(t, func() { h2.do(t, "setsid") }), 1, h2.Process.Pid, h2.Process.Pid, int64(h2.Process.Pid))
}

// TestSetpgidOfChild: a parent moves its child before that calls exec.
func TestSetpgidOfChild(t *testing.T) {
	var pid int
	rows := record(t, func() {
		ownThread(func() {
			p := forkQuiet(0, nil)
			pid = p
			unix.Setpgid(p, p)
		})
	})
	defer reap(pid)
	r := one(t, rows, typ(event.Session), by(os.Getpid()))
	eq(t, "op", r.Op, 2)
	eq(t, "ret", r.Ret, 0)
	eq(t, "pgid", r.N2, int64(pid))
	sid, _ := unix.Getsid(0)
	eq(t, "sid", r.N1, int64(sid))
	isTarget(t, r, pid, pid)
}

// cloneArgs is struct clone_args.
type cloneArgs struct {
	flags, pidfd, childTID, parentTID, exitSignal, stack, stackSize, tls, setTID, setTIDSize, cgroup uint64
}

// forkQuiet makes a child by clone3 that does nothing but wait to be killed.
func forkQuiet(flags uint64, setTID []int32) int {
	a := cloneArgs{flags: flags, exitSignal: uint64(unix.SIGCHLD)}
	if flags&unix.CLONE_PARENT != 0 {
		a.exitSignal = 0 // the creator's own
	}
	if len(setTID) > 0 {
		a.setTID, a.setTIDSize = uint64(uintptr(unsafe.Pointer(&setTID[0]))), uint64(len(setTID))
	}
	var all [1024 / 64]uint64
	for i := range all {
		all[i] = ^uint64(0)
	}
	var old [1024 / 64]uint64
	// no signal may reach the child: there is no runtime in it
	syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&all)), uintptr(unsafe.Pointer(&old)), 8, 0, 0)
	pid, _, errno := syscall.RawSyscall(unix.SYS_CLONE3, uintptr(unsafe.Pointer(&a)), unsafe.Sizeof(a), 0)
	if pid == 0 && errno == 0 {
		for {
			syscall.RawSyscall6(unix.SYS_PPOLL, 0, 0, 0, 0, 0, 0)
		}
	}
	syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&old)), 0, 8, 0, 0)
	runtime.KeepAlive(setTID)
	if errno != 0 {
		return -int(errno)
	}
	return int(pid)
}

func reap(pid int) {
	if pid > 0 {
		unix.Kill(pid, unix.SIGKILL)
		unix.Wait4(pid, nil, 0, nil)
	}
}

func init() {
	// kin makes families: each prints the pids of the sleeping processes it leaves.
	helpers["kin"] = func(args []string) int {
		child := func() bool {
			c := exec.Command("/proc/self/exe", args[1:]...)
			c.Env, c.Stdout, c.Stderr = os.Environ(), os.Stdout, os.Stderr
			return c.Run() == nil
		}
		sleeper := func() {
			c := exec.Command("/bin/sleep", "60")
			if err := c.Start(); err != nil {
				panic(err)
			}
			fmt.Println(c.Process.Pid)
		}
		switch args[0] {
		case "leave":
			sleeper()
			return 0
		case "leave dead": // one that has ended already and was not waited for
			sleeper()
			c := exec.Command("/bin/true")
			c.Start()
			var si unix.Siginfo
			unix.Waitid(unix.P_PID, c.Process.Pid, &si, unix.WEXITED|unix.WNOWAIT, nil)
			return 0
		case "threads":
			// children of four threads that live until the end, and of one that ends before
			var wg, never sync.WaitGroup
			never.Add(1)
			for range 4 {
				wg.Add(1)
				go func() {
					runtime.LockOSThread()
					sleeper()
					wg.Done()
					never.Wait()
				}()
			}
			wg.Wait()
			ownThread(sleeper)
			return 0
		case "subreaper":
			unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
			fallthrough
		case "wrap":
			if !child() {
				return 1
			}
			fmt.Println("done", args[0])
			io.Copy(io.Discard, os.Stdin)
			return 0
		}
		return 2
	}
}

func ppid(t testing.TB, pid uint32) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	must(t, err)
	_, rest, _ := bytes.Cut(b, []byte("\nPPid:"))
	n, _, _ := bytes.Cut(rest, []byte("\n"))
	p, err := strconv.Atoi(string(bytes.TrimSpace(n)))
	must(t, err)
	return p
}

func TestReparent(t *testing.T) {
	programs(t)
	run := func(args ...string) []int {
		c := exec.Command("/proc/self/exe", args...)
		c.Env = append(os.Environ(), "HC_HELPER=kin")
		out, err := c.Output()
		must(t, err)
		var pids []int
		for f := range strings.FieldsSeq(string(out)) {
			pid, err := strconv.Atoi(f)
			must(t, err)
			pids = append(pids, pid)
		}
		return pids
	}
	// adopted asserts that there is a row of every orphan that names the parent it has now, and kills it.
	adopted := func(t *testing.T, rows []event.Row, orphans ...int) (got []event.Row) {
		t.Helper()
		for _, o := range orphans {
			all := only(rows, typ(event.Reparent), about(o))
			if len(all) != 1 {
				t.Errorf("%d rows of orphan %d, want 1", len(all), o)
				continue
			}
			f := one(t, rows, typ(event.Fork), about(o))
			for i := range all {
				r := &all[i]
				p := ppid(t, r.OPID)
				eq(t, "new parent", int(r.N1), p)
				eq(t, "start of the new parent", uint64(r.N2)/10e6, startTicks(t, p))
				isTarget(t, r, o, o)
				eq(t, "who ended", r.PID, f.PID)
				eq(t, "its start", r.PStart, f.PStart)
				if f.N3 == r.N1 {
					t.Errorf("parent %d did not change", f.N3)
				}
			}
			unix.Kill(o, unix.SIGKILL)
			got = append(got, all[0])
		}
		return got
	}
	for _, how := range []string{"leave", "leave dead", "threads"} {
		t.Run(how, func(t *testing.T) {
			var orphans []int
			rows := record(t, func() { orphans = run(how) })
			adopted(t, rows, orphans...)
			if len(orphans) == 0 {
				t.Fatal("no orphans")
			}
			f := one(t, rows, typ(event.Fork), about(orphans[0]))
			told := map[uint32]bool{}
			for _, r := range only(rows, typ(event.Reparent), by(int(f.PID))) {
				told[r.OPID] = true
			}
			eq(t, "children told, without dead ones", len(told), len(orphans))
		})
	}
	t.Run("subreaper two levels up", func(t *testing.T) {
		var h *talker
		var orphan int
		rows := record(t, func() {
			h = startTalker(t, "kin", nil, "subreaper", "wrap", "leave")
			fmt.Sscan(h.line(t), &orphan)
			for h.line(t) != "done wrap" {
			}
		})
		for _, r := range adopted(t, rows, orphan) {
			eq(t, "adopted by the subreaper", int(r.N1), h.Process.Pid)
		}
	})
	t.Run("subreaper that ended", func(t *testing.T) {
		var h *talker
		var orphan int
		rows := record(t, func() {
			h = startTalker(t, "kin", nil, "subreaper", "subreaper", "leave")
			fmt.Sscan(h.line(t), &orphan)
			for range 2 { // the inner one ends, then the outer one has waited for it
				for h.line(t) != "done subreaper" {
				}
			}
		})
		both := only(rows, typ(event.Reparent), about(orphan))
		if len(both) != 2 {
			t.Fatalf("%d rows, want 2", len(both))
		}
		eq(t, "first adopted by who then ended", uint32(both[0].N1), both[1].PID)
		eq(t, "and its start", uint64(both[0].N2), both[1].PStart)
		eq(t, "then by the outer one", int(both[1].N1), h.Process.Pid)
		eq(t, "by procfs", ppid(t, both[1].OPID), h.Process.Pid)
		unix.Kill(int(both[1].OPID), unix.SIGKILL)
	})
	// outside is the number of a process that is known by one of a new pid namespace.
	outside := func(rows []event.Row, inside int) int {
		own := nsInode(t, "pid")
		return int(one(t, rows, typ(event.Fork), func(r *event.Row) bool {
			return r.N5 == int64(inside) && uint64(r.N7) != own && r.Flags&event.FlagThread == 0
		}).OPID)
	}
	t.Run("pid namespace", func(t *testing.T) {
		var h *talker
		var inside int
		rows := record(t, func() {
			h = startTalker(t, "kin", &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID}, "wrap", "leave")
			fmt.Sscan(h.line(t), &inside)
			for h.line(t) != "done wrap" {
			}
		})
		orphan := outside(rows, inside)
		for _, r := range adopted(t, rows, orphan) {
			eq(t, "adopted by its init", int(r.N1), h.Process.Pid)
		}
	})
	t.Run("a pid namespace stays below its subreapers", func(t *testing.T) {
		var h *talker
		must(t, unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
		defer unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
		var inside int
		rows := record(t, func() {
			h = startTalker(t, "kin", &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID}, "wrap", "wrap", "leave")
			fmt.Sscan(h.line(t), &inside)
			for h.line(t) != "done wrap" {
			}
		})
		orphan := outside(rows, inside)
		for _, r := range adopted(t, rows, orphan) {
			eq(t, "adopted by its init", int(r.N1), h.Process.Pid)
		}
	})
}

// nsOf returns the namespace inodes of a thread, indexed by ns_type.
func nsOf(t testing.TB, dir string) (ns [9]uint64) {
	t.Helper()
	for i, n := range []string{"", "mnt", "pid_for_children", "net", "user", "uts", "ipc", "cgroup", "time_for_children"} {
		if n == "" {
			continue
		}
		var st syscall.Stat_t
		if syscall.Stat(dir+"/ns/"+n, &st) == nil {
			ns[i] = st.Ino
		}
	}
	return ns
}

var nsFlags = [9]uint64{0, unix.CLONE_NEWNS, unix.CLONE_NEWPID, unix.CLONE_NEWNET, unix.CLONE_NEWUSER, unix.CLONE_NEWUTS, unix.CLONE_NEWIPC, unix.CLONE_NEWCGROUP, unix.CLONE_NEWTIME}

func TestNamespace(t *testing.T) {
	programs(t)
	changes := func(t *testing.T, rows []event.Row, tid int, call int64, flags uint64, was, now [9]uint64) []event.Row {
		t.Helper()
		got := only(rows, typ(event.Namespace), thread(tid), func(r *event.Row) bool { return r.N3 == call })
		n := 0
		for k := 1; k <= 8; k++ {
			mine := only(got, op(uint32(k)))
			if was[k] == now[k] {
				eq(t, fmt.Sprintf("rows of type %d", k), len(mine), 0)
				continue
			}
			if len(mine) != 1 {
				t.Errorf("type %d: %d rows, want 1", k, len(mine))
				continue
			}
			n++
			eq(t, "old", uint64(mine[0].N1), was[k])
			eq(t, "new", uint64(mine[0].N2), now[k])
			eq(t, "flags", uint64(mine[0].N4), flags)
		}
		if n == 0 {
			t.Error("nothing changed")
		}
		return got
	}
	for k := 1; k <= 8; k++ {
		if k == 4 {
			continue // not in a program with threads
		}
		t.Run(fmt.Sprintf("unshare %d", k), func(t *testing.T) {
			ownThread(func() {
				if k == 1 {
					must(t, unix.Unshare(unix.CLONE_FS))
				}
				was := nsOf(t, "/proc/thread-self")
				var err error
				rows := record(t, func() { err = unix.Unshare(int(nsFlags[k])) })
				must(t, err)
				now := nsOf(t, "/proc/thread-self")
				if k == 2 { // pid_for_children names it only when it has an init
					now[2] = uint64(only(rows, typ(event.Namespace))[0].N2)
				}
				for _, r := range changes(t, rows, unix.Gettid(), unix.SYS_UNSHARE, nsFlags[k], was, now) {
					eq(t, "ret", r.Ret, 0)
					eq(t, "target", r.OPID, 0)
				}
			})
		})
	}
	t.Run("unshare user", func(t *testing.T) {
		var cmd *exec.Cmd
		var now [9]uint64
		was := nsOf(t, "/proc/self")
		rows := record(t, func() {
			cmd = exec.Command("/bin/sleep", "60")
			cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWUSER}
			must(t, cmd.Start())
			now = nsOf(t, fmt.Sprintf("/proc/%d", cmd.Process.Pid))
		})
		defer cmd.Wait()
		defer cmd.Process.Kill()
		changes(t, rows, cmd.Process.Pid, unix.SYS_UNSHARE, unix.CLONE_NEWUSER, was, now)
		// the new namespace brings new credentials
		cc := one(t, rows, typ(event.CredChange), by(cmd.Process.Pid))
		eq(t, "call", cc.N2, unix.SYS_UNSHARE)
		eq(t, "user namespace", uint64(shared.creds[cc.Cred].N12), now[4])
	})
	t.Run("setns", func(t *testing.T) {
		ownThread(func() {
			f, err := os.Open("/proc/thread-self/ns/uts")
			must(t, err)
			defer f.Close()
			before := nsOf(t, "/proc/thread-self")
			must(t, unix.Unshare(unix.CLONE_NEWUTS|unix.CLONE_NEWIPC))
			was := nsOf(t, "/proc/thread-self")
			rows := record(t, func() { must(t, unix.Setns(int(f.Fd()), 0)) })
			now := nsOf(t, "/proc/thread-self")
			changes(t, rows, unix.Gettid(), unix.SYS_SETNS, 0, was, now)
			eq(t, "back in the first", now[5], before[5])
			// by pidfd, more than one at once
			fd, err := unix.PidfdOpen(os.Getpid(), 0)
			must(t, err)
			defer unix.Close(fd)
			must(t, unix.Unshare(unix.CLONE_NEWUTS))
			was = nsOf(t, "/proc/thread-self")
			rows = record(t, func() { must(t, unix.Setns(fd, unix.CLONE_NEWUTS|unix.CLONE_NEWIPC)) })
			now = nsOf(t, "/proc/thread-self")
			eq(t, "rows", len(changes(t, rows, unix.Gettid(), unix.SYS_SETNS, unix.CLONE_NEWUTS|unix.CLONE_NEWIPC, was, now)), 2)
			// into where it is: nothing changes
			rows = record(t, func() { must(t, unix.Setns(int(f.Fd()), unix.CLONE_NEWUTS)) })
			eq(t, "rows of a call that changes nothing", len(only(rows, typ(event.Namespace))), 0)
		})
	})
	t.Run("clone", func(t *testing.T) {
		flags := uint64(unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWUSER | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWCGROUP)
		testClone(t, flags, changes, func() int {
			cmd := exec.Command("/bin/sleep", "60")
			cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: uintptr(flags)}
			must(t, cmd.Start())
			t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
			return cmd.Process.Pid
		})
	})
	t.Run("clone3", func(t *testing.T) {
		flags := uint64(unix.CLONE_NEWTIME | unix.CLONE_NEWUTS)
		testClone(t, flags, changes, func() (pid int) {
			ownThread(func() { pid = forkQuiet(flags, nil) })
			t.Cleanup(func() { reap(pid) })
			return pid
		})
	})
}

func testClone(t *testing.T, flags uint64, changes func(*testing.T, []event.Row, int, int64, uint64, [9]uint64, [9]uint64) []event.Row, start func() int) {
	was := nsOf(t, "/proc/self")
	var pid int
	var now [9]uint64
	rows := record(t, func() {
		pid = start()
		if pid <= 0 {
			t.Fatalf("clone: %v", syscall.Errno(-pid))
		}
		now = nsOf(t, fmt.Sprintf("/proc/%d", pid))
	})
	fork := one(t, rows, typ(event.Fork), about(pid))
	// with what the creator's clone carries beside namespaces (vfork, shared memory)
	for _, r := range changes(t, rows, int(fork.TID), -1, uint64(fork.N1), was, now) {
		eq(t, "creator", r.PID, uint32(os.Getpid()))
		eq(t, "child", r.OPID, uint32(pid))
		eq(t, "child start", r.OStart, fork.OStart)
		eq(t, "child thread", r.OTID, uint32(pid))
		eq(t, "ret", r.Ret, int64(pid))
	}
	for k := 1; k <= 8; k++ {
		if flags&nsFlags[k] != 0 && was[k] == now[k] {
			t.Errorf("namespace %d was not made", k)
		}
	}
}

// TestForkKinds: the keys of children that are made in unusual ways.
func TestForkKinds(t *testing.T) {
	programs(t)
	self := os.Getpid()
	t.Run("parent of the parent", func(t *testing.T) {
		// A child made with CLONE_PARENT is its creator's sibling.
		h := startTalker(t, "sibling", nil)
		var pid int
		rows := record(t, func() { fmt.Sscan(h.do(t, "fork"), &pid) })
		if pid <= 0 {
			t.Fatal(pid)
		}
		defer reap(pid)
		f := one(t, rows, typ(event.Fork), about(pid))
		eq(t, "creator", f.PID, uint32(h.Process.Pid))
		eq(t, "real parent", f.N3, int64(self))
		eq(t, "parent by procfs", ppid(t, uint32(pid)), self)
		eq(t, "start of the real parent", uint64(f.N4)/10e6, startTicks(t, self))
	})
	t.Run("pid used again", func(t *testing.T) {
		ownThread(func() {
			rows := record(t, func() {
				a := forkQuiet(0, nil)
				reap(a)
				b := forkQuiet(0, []int32{int32(a)})
				if b != a {
					t.Errorf("clone3 with set_tid %d gave %d", a, b)
				}
				reap(b)
			})
			f := only(rows, typ(event.Fork), thread(unix.Gettid()))
			if len(f) != 2 {
				t.Fatalf("%d forks, want 2", len(f))
			}
			eq(t, "same number", f[0].OPID, f[1].OPID)
			if f[0].OStart >= f[1].OStart {
				t.Errorf("starts %d and %d do not tell them apart", f[0].OStart, f[1].OStart)
			}
			e := only(rows, typ(event.Exit), by(int(f[0].OPID)))
			if len(e) != 2 {
				t.Fatalf("%d exits, want 2", len(e))
			}
			eq(t, "first exit", e[0].PStart, f[0].OStart)
			eq(t, "second exit", e[1].PStart, f[1].OStart)
		})
	})
	t.Run("vfork", func(t *testing.T) {
		var cmd *exec.Cmd
		rows := record(t, func() { cmd = exec.Command("/bin/true"); cmd.Run() })
		f := one(t, rows, typ(event.Fork), about(cmd.Process.Pid))
		eq(t, "vfork", f.N1&unix.CLONE_VFORK != 0, true)
		eq(t, "key of the new image", one(t, rows, typ(event.Exec), by(cmd.Process.Pid)).PStart, f.OStart)
	})
	t.Run("exec by a thread", func(t *testing.T) {
		h := startTalker(t, "thread exec", nil)
		h.line(t) // its own exec is told by now
		var tid int
		rows := record(t, func() {
			fmt.Sscan(h.do(t, "exec"), &tid)
			h.Wait()
		})
		pid := h.Process.Pid
		if tid == pid {
			t.Fatal("the leader called exec")
		}
		ex := one(t, rows, typ(event.Exec), by(pid))
		eq(t, "thread after", ex.TID, uint32(pid))
		eq(t, "thread before", ex.OTID, uint32(tid))
		eq(t, "flag", ex.Op&32 != 0, true)
		eq(t, "start of the process", ex.PStart/10e6, one(t, rows, typ(event.Exit), by(pid), func(r *event.Row) bool { return r.Op&2 != 0 && r.TS > ex.TS }).PStart/10e6)
	})
}

func init() {
	helpers["sibling"] = func([]string) int {
		bufio.NewReader(os.Stdin).ReadString('\n')
		ownThread(func() { fmt.Println(forkQuiet(unix.CLONE_PARENT, nil)) })
		io.Copy(io.Discard, os.Stdin)
		return 0
	}
	helpers["thread exec"] = func([]string) int {
		fmt.Println("ready")
		bufio.NewReader(os.Stdin).ReadString('\n')
		ownThread(func() {
			fmt.Println(unix.Gettid())
			unix.Exec("/bin/true", []string{"true"}, nil)
		})
		return 1
	}
}
