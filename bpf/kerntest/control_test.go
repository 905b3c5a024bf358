//go:build linux

package kerntest

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"hindcast/format/event"
)

type controlled struct {
	call, option     int64
	arg2, arg3, arg4 uint64
	text             string
	ret              int64
	target           int // 0: this process
}

func control(t testing.TB, rows []event.Row, w controlled) {
	t.Helper()
	r := one(t, rows, typ(event.Control), thread(unix.Gettid()))
	eq(t, "call", int64(r.Op), w.call)
	eq(t, "option", r.N1, w.option)
	eq(t, "second", uint64(r.N2), w.arg2)
	eq(t, "third", uint64(r.N3), w.arg3)
	eq(t, "fourth", uint64(r.N4), w.arg4)
	eq(t, "text", string(r.Text), w.text)
	eq(t, "marks", r.Marks, 0)
	eq(t, "ret", r.Ret, w.ret)
	eq(t, "failed", r.Flags&event.FlagFailed != 0, w.ret < 0)
	target, tid := w.target, w.target
	if target == 0 {
		target, tid = os.Getpid(), unix.Gettid()
	}
	isTarget(t, r, target, tid)
}

func TestPrctl(t *testing.T) {
	programs(t)
	for _, c := range [][4]uintptr{
		{unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0},
		{unix.PR_SET_PDEATHSIG, uintptr(unix.SIGUSR1), 0, 0},
		{unix.PR_CAPBSET_DROP, unix.CAP_WAKE_ALARM, 0, 0},
		{unix.PR_SET_KEEPCAPS, 1, 0, 0},
		{unix.PR_SET_SECUREBITS, 1 << 4, 0, 0},
		{unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0},
		{unix.PR_SET_TIMERSLACK, 60000, 0, 0},
		{unix.PR_MCE_KILL, unix.PR_MCE_KILL_CLEAR, 0, 0},
		{unix.PR_SET_DUMPABLE, 1, 0, 0},
		{unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, 0, 0}, // refused: no filter
	} {
		t.Run(fmt.Sprint(c[0]), func(t *testing.T) {
			ownThread(func() {
				var errno syscall.Errno
				rows := record(t, func() { _, _, errno = syscall.Syscall6(unix.SYS_PRCTL, c[0], c[1], c[2], c[3], 0, 0) })
				if c[0] == unix.PR_SET_SECCOMP {
					eq(t, "rows of a call that failed for no right of the caller's", len(only(rows, typ(event.Control), thread(unix.Gettid()))), 0)
					return
				}
				if errno != 0 {
					t.Fatal(errno)
				}
				control(t, rows, controlled{call: unix.SYS_PRCTL, option: int64(c[0]), arg2: uint64(c[1]), arg3: uint64(c[2]), arg4: uint64(c[3])})
			})
		})
	}
	t.Run("only asked", func(t *testing.T) {
		ownThread(func() {
			rows := record(t, func() {
				var b [32]byte
				p := uintptr(unsafe.Pointer(&b[0]))
				for _, o := range []uintptr{unix.PR_GET_DUMPABLE, unix.PR_GET_SECCOMP, unix.PR_GET_NO_NEW_PRIVS, unix.PR_CAPBSET_READ, unix.PR_GET_TIMERSLACK, unix.PR_GET_KEEPCAPS, unix.PR_GET_SECUREBITS} {
					unix.Prctl(int(o), 0, 0, 0, 0)
				}
				unix.Prctl(unix.PR_GET_PDEATHSIG, p, 0, 0, 0)
				unix.Prctl(unix.PR_GET_NAME, p, 0, 0, 0)
				unix.Prctl(unix.PR_GET_CHILD_SUBREAPER, p, 0, 0, 0)
				unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_IS_SET, 1, 0, 0)
				setName("a name")
			})
			eq(t, "rows", len(only(rows, typ(event.Control), thread(unix.Gettid()))), 0)
		})
	})
	t.Run("credentials first", func(t *testing.T) {
		// a call that changes credentials has both rows
		ownThread(func() {
			rows := record(t, func() { must(t, unix.Prctl(unix.PR_CAPBSET_DROP, unix.CAP_SYSLOG, 0, 0, 0)) })
			cc := one(t, rows, typ(event.CredChange), thread(unix.Gettid()))
			eq(t, "call", cc.N2, unix.SYS_PRCTL)
			if shared.creds[cc.Cred].N11&(1<<unix.CAP_SYSLOG) != 0 {
				t.Error("the bounding set still has it")
			}
			c := one(t, rows, typ(event.Control), thread(unix.Gettid()))
			eq(t, "credentials", c.Cred, cc.Cred)
		})
	})
}

func TestSeccomp(t *testing.T) {
	programs(t)
	prog := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW}}
	f := unix.SockFprog{Len: 1, Filter: &prog[0]}
	ownThread(func() {
		must(t, unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		p := uintptr(unsafe.Pointer(&f))
		var ret uintptr
		rows := record(t, func() {
			ret, _, _ = unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_LOG, p)
			var action uint32 = unix.SECCOMP_RET_ERRNO
			unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_GET_ACTION_AVAIL, 0, uintptr(unsafe.Pointer(&action)))
		})
		control(t, rows, controlled{call: unix.SYS_SECCOMP, option: unix.SECCOMP_SET_MODE_FILTER, arg2: unix.SECCOMP_FILTER_FLAG_LOG, ret: int64(ret)})
		rows = record(t, func() { must(t, unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, p, 0, 0)) })
		control(t, rows, controlled{call: unix.SYS_PRCTL, option: unix.PR_SET_SECCOMP, arg2: unix.SECCOMP_MODE_FILTER, arg3: uint64(p)})
	})
	runtime.KeepAlive(prog)
}

func TestKeys(t *testing.T) {
	programs(t)
	ownThread(func() {
		var id int
		var err error
		rows := record(t, func() { id, err = unix.KeyctlJoinSessionKeyring("hindcast test") })
		if err == unix.ENOSYS {
			if _, e := os.Stat("/proc/keys"); e == nil {
				t.Error("keyctl is not implemented, yet /proc/keys is there")
			}
			t.Skip("the kernel has no keys (CONFIG_KEYS)")
		}
		must(t, err)
		control(t, rows, controlled{call: unix.SYS_KEYCTL, option: unix.KEYCTL_JOIN_SESSION_KEYRING, text: "hindcast test", ret: int64(id)})
		session := int64(unix.KEY_SPEC_SESSION_KEYRING)
		rows = record(t, func() { id, err = unix.AddKey("user", "a key", []byte("secret"), unix.KEY_SPEC_SESSION_KEYRING) })
		must(t, err)
		control(t, rows, controlled{call: unix.SYS_ADD_KEY, arg2: 6, arg3: uint64(session), text: "a key", ret: int64(id)})
		rows = record(t, func() { _, err = unix.RequestKey("user", "a key", "", 0) })
		must(t, err)
		control(t, rows, controlled{call: unix.SYS_REQUEST_KEY, text: "a key", ret: int64(id)})
		rows = record(t, func() { _, err = unix.KeyctlSearch(unix.KEY_SPEC_SESSION_KEYRING, "user", "a key", 0) })
		must(t, err)
		r := one(t, rows, typ(event.Control), thread(unix.Gettid()))
		eq(t, "searched", string(r.Text), "a key")
		eq(t, "operation", r.N1, unix.KEYCTL_SEARCH)
		buf := make([]byte, 16)
		rows = record(t, func() { _, err = unix.KeyctlBuffer(unix.KEYCTL_READ, id, buf, 0) })
		must(t, err)
		r = one(t, rows, typ(event.Control), thread(unix.Gettid()))
		eq(t, "operation", r.N1, unix.KEYCTL_READ)
		eq(t, "key", r.N2, int64(id))
		rows = record(t, func() { unix.KeyctlInt(unix.KEYCTL_GET_KEYRING_ID, unix.KEY_SPEC_SESSION_KEYRING, 0, 0, 0) })
		eq(t, "rows of what only asks", len(only(rows, typ(event.Control), thread(unix.Gettid()))), 0)
	})
}

func TestLimits(t *testing.T) {
	pid, _ := victim(t)
	ownThread(func() {
		var old unix.Rlimit
		rows := record(t, func() { must(t, unix.Prlimit(pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 77, Max: 99}, &old)) })
		control(t, rows, controlled{call: unix.SYS_PRLIMIT64, option: unix.RLIMIT_NOFILE, arg2: 77, arg3: 99, target: pid})
		rows = record(t, func() { must(t, unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &old)) })
		eq(t, "rows of what only asks", len(only(rows, typ(event.Control), thread(unix.Gettid()))), 0)
		var now unix.Rlimit
		must(t, unix.Prlimit(0, unix.RLIMIT_CORE, nil, &now))
		rows = record(t, func() { must(t, unix.Prlimit(0, unix.RLIMIT_CORE, &now, nil)) })
		control(t, rows, controlled{call: unix.SYS_PRLIMIT64, option: unix.RLIMIT_CORE, arg2: now.Cur, arg3: now.Max})
		rows = record(t, func() {
			_, _, errno := syscall.Syscall(unix.SYS_SETRLIMIT, unix.RLIMIT_CORE, uintptr(unsafe.Pointer(&now)), 0)
			eq(t, "errno", errno, 0)
		})
		control(t, rows, controlled{call: unix.SYS_SETRLIMIT, option: unix.RLIMIT_CORE, arg2: now.Cur, arg3: now.Max})
	})
}

func TestPersonality(t *testing.T) {
	ownThread(func() {
		const noRandom = 0x40000
		old, _, _ := syscall.Syscall(unix.SYS_PERSONALITY, 0xffffffff, 0, 0)
		rows := record(t, func() {
			syscall.Syscall(unix.SYS_PERSONALITY, noRandom, 0, 0)
			syscall.Syscall(unix.SYS_PERSONALITY, 0xffffffff, 0, 0)
		})
		control(t, rows, controlled{call: unix.SYS_PERSONALITY, option: noRandom, ret: int64(old)})
	})
}

func TestMrelease(t *testing.T) {
	for range 200 { // the end of the process races with the call
		if told := mrelease(t); told || t.Failed() {
			return
		}
	}
	t.Fatal("200 processes were gone before their memory could be released")
}

// mrelease kills a process and releases its memory; false when it was gone by then.
func mrelease(t *testing.T) (told bool) {
	cmd := exec.Command("/bin/sleep", "60")
	must(t, cmd.Start())
	defer cmd.Wait()
	defer cmd.Process.Kill()
	fd, err := unix.PidfdOpen(cmd.Process.Pid, 0)
	must(t, err)
	defer unix.Close(fd)
	var errno syscall.Errno
	var rows []event.Row
	tid := 0
	ownThread(func() {
		tid = unix.Gettid()
		rows = record(t, func() {
			unix.Kill(cmd.Process.Pid, unix.SIGSTOP) // asleep when it is killed, so that there is something to release
			unix.Kill(cmd.Process.Pid, unix.SIGKILL)
			_, _, errno = unix.Syscall(unix.SYS_PROCESS_MRELEASE, uintptr(fd), 0, 0)
		})
		if errno == 0 {
			control(t, rows, controlled{call: unix.SYS_PROCESS_MRELEASE, option: int64(fd), target: cmd.Process.Pid})
		}
	})
	switch {
	case errno == unix.ENOSYS && olderThan(t, "5.15"):
		t.Skip("the kernel has no process_mrelease before 5.15")
	case errno == unix.ESRCH: // gone already
		eq(t, "rows of a call that did nothing", len(only(rows, typ(event.Control), thread(tid))), 0)
	case errno != 0:
		t.Fatal(errno)
	}
	return errno == 0
}

func init() {
	helpers["unprivileged"] = func([]string) int {
		runtime.LockOSThread()
		syscall.RawSyscall(unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, 1, 0)
		lim := unix.Rlimit{Cur: 1 << 40, Max: 1 << 40}
		syscall.RawSyscall6(unix.SYS_PRLIMIT64, 0, unix.RLIMIT_NOFILE, uintptr(unsafe.Pointer(&lim)), 0, 0, 0)
		if runtime.GOARCH == "amd64" {
			syscall.RawSyscall(172, 3, 0, 0)    // iopl
			syscall.RawSyscall(173, 0x80, 1, 1) // ioperm
		}
		os.Exit(0)
		return 0
	}
}

func TestRefusedControl(t *testing.T) {
	var cmd *exec.Cmd
	rows := record(t, func() {
		cmd = nobody("unprivileged")
		must(t, cmd.Run())
	})
	want := []controlled{
		{call: unix.SYS_PRCTL, option: unix.PR_CAPBSET_DROP, arg2: 1},
		{call: unix.SYS_PRLIMIT64, option: unix.RLIMIT_NOFILE, arg2: 1 << 40, arg3: 1 << 40},
	}
	if runtime.GOARCH == "amd64" && ioPorts(t) {
		want = append(want, controlled{call: 172, option: 3}, controlled{call: 173, option: 0x80, arg2: 1, arg3: 1})
	}
	for _, w := range want {
		r := one(t, rows, typ(event.Control), by(cmd.Process.Pid), op(uint32(w.call)), func(r *event.Row) bool { return r.N1 == w.option && r.Ret < 0 })
		eq(t, "ret", r.Ret, -int64(unix.EPERM))
		eq(t, "failed", r.Flags&event.FlagFailed != 0, true)
		eq(t, "second", uint64(r.N2), w.arg2)
		eq(t, "third", uint64(r.N3), w.arg3)
		eq(t, "target", r.OPID, uint32(cmd.Process.Pid))
		eq(t, "target start", r.OStart, r.PStart)
	}
}

// ioPorts tells whether the kernel has iopl and ioperm (CONFIG_X86_IOPL_IOPERM).
func ioPorts(t testing.TB) bool {
	_, _, errno := syscall.RawSyscall(173, 0x80, 1, 0)
	return errno != unix.ENOSYS
}

func TestIOPorts(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("only x86-64 has I/O ports that a program may touch")
	}
	ownThread(func() {
		var a, b syscall.Errno
		rows := record(t, func() {
			_, _, a = syscall.RawSyscall(173, 0x80, 1, 1)
			_, _, b = syscall.RawSyscall(172, 3, 0, 0)
		})
		if a == unix.ENOSYS {
			t.Skip("the kernel has no ioperm (CONFIG_X86_IOPL_IOPERM)")
		}
		got := only(rows, typ(event.Control), thread(unix.Gettid()))
		if len(got) != 2 {
			t.Fatalf("%d rows, want 2", len(got))
		}
		control(t, got[:1], controlled{call: 173, option: 0x80, arg2: 1, arg3: 1, ret: -int64(a)})
		control(t, got[1:], controlled{call: 172, option: 3, ret: -int64(b)})
	})
}
