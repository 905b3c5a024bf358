//go:build linux && (amd64 || arm64)

package bpf

import (
	"fmt"
	"strings"

	"github.com/cilium/ebpf"

	"hindcast/bpf/internal/obj"
)

// Objects compiled for the 32-bit table hold no hooks: their programs are called by the one that
// sees every call, through arrays of programs by number. They are named hc32_WHEN_CALL: exit, the
// second one at an exit (more), or enter.
func compat(object string) bool { return strings.HasSuffix(object, "32") }

// Programs that see every call; they are what loads the rest.
const (
	callsExit  = "hc_calls"
	callsEnter = "hc_calls_enter"
)

// renamed lists calls that the 32-bit table has under other names than the tracepoints, or more
// than once: with 16-bit ids and with 32-bit ones, with times of 32 bits and of 64.
var renamed = map[string][]string{
	"chown": {"chown", "chown32"}, "lchown": {"lchown", "lchown32"}, "fchown": {"fchown", "fchown32"},
	"setuid": {"setuid", "setuid32"}, "setgid": {"setgid", "setgid32"},
	"setreuid": {"setreuid", "setreuid32"}, "setregid": {"setregid", "setregid32"},
	"setresuid": {"setresuid", "setresuid32"}, "setresgid": {"setresgid", "setresgid32"},
	"setfsuid": {"setfsuid", "setfsuid32"}, "setfsgid": {"setfsgid", "setfsgid32"},
	"setgroups": {"setgroups", "setgroups32"},
	"truncate":  {"truncate", "truncate64"}, "ftruncate": {"ftruncate", "ftruncate64"},
	"mmap":       {"mmap2"}, // the old one passes a structure
	"sendfile64": {"sendfile", "sendfile64"},
	"umount":     {"umount2"}, // the old one has no flags
	"recvmmsg":   {"recvmmsg", "recvmmsg_time64"},
	// structures with times of 64 bits are not those the programs read
	"clock_settime": {"clock_settime"}, "clock_adjtime": {"clock_adjtime"}, "utimensat": {"utimensat"},
}

// sockets numbers the calls of socketcall, which stand behind the table.
var sockets = map[string]uint32{
	"socket": 1, "bind": 2, "connect": 3, "listen": 4, "accept": 5, "getsockname": 6, "getpeername": 7, "socketpair": 8, "send": 9, "recv": 10,
	"sendto": 11, "recvfrom": 12, "shutdown": 13, "setsockopt": 14, "getsockopt": 15, "sendmsg": 16, "recvmsg": 17, "accept4": 18, "recvmmsg": 19, "sendmmsg": 20,
}

// Calls that change nothing and come in floods. They are counted, not told.
var floods = strings.Fields(`futex futex_wait futex_wake futex_waitv futex_time64 clock_gettime clock_gettime64 clock_getres gettimeofday time times
	getpid gettid getppid getuid geteuid getgid getegid getuid32 geteuid32 getgid32 getegid32 getcpu getrusage
	poll ppoll ppoll_time64 select _newselect pselect6 pselect6_time64 epoll_wait epoll_pwait epoll_pwait2 io_getevents
	sched_yield nanosleep clock_nanosleep clock_nanosleep_time64 brk madvise rt_sigreturn sigreturn rt_sigprocmask sigprocmask rt_sigaction
	restart_syscall lseek _llseek rseq io_uring_enter`)

// Calls that rows of other hooks tell though no program is at their exit.
var toldBelow = strings.Fields(`clone clone3 fork vfork execve execveat exit exit_group kill tkill tgkill rt_sigqueueinfo rt_tgsigqueueinfo pidfd_send_signal listen
	sendto recvfrom sendmsg recvmsg sendmmsg recvmmsg close dup2 dup3 setns unshare`)

// loadCompat loads what the programs that see every call need, when they are wanted: targets for
// the 32-bit table, and what the others tell already.
func (s *Set) loadCompat(load func(string, *Options) error, o Options) error {
	exit := s.Hook(callsExit)
	if exit == nil || !exit.Loaded() {
		return nil
	}
	told := map[string]bool{}
	for _, h := range s.hooks {
		if name, ok := strings.CutPrefix(h.Section, "tp/syscalls/sys_exit_"); ok && h.Loaded() {
			told[name] = true
		}
	}
	var bits struct{ Told, Counted [2][16]uint64 }
	set := func(b *[2][16]uint64, table int, nr uint32) {
		if nr < 1024 {
			b[table][nr/64] |= 1 << (nr % 64)
		}
	}
	for name, nr := range calls64 {
		if told[name] || name == "umount2" && told["umount"] || name == "sendfile" && told["sendfile64"] {
			set(&bits.Told, 0, nr)
		}
	}
	for _, name := range toldBelow {
		if nr, ok := calls64[name]; ok {
			set(&bits.Told, 0, nr)
		}
		if nr, ok := calls32[name]; ok {
			set(&bits.Told, 1, nr)
		}
	}
	for _, name := range floods {
		if nr, ok := calls64[name]; ok && !told[name] {
			set(&bits.Counted, 0, nr)
		}
		if nr, ok := calls32[name]; ok {
			set(&bits.Counted, 1, nr)
		}
	}
	if err := s.maps["hc_calls_known"].Put(uint32(0), &bits); err != nil {
		return fmt.Errorf("say which calls are told: %w", err)
	}
	arrays := map[string]*ebpf.Map{"exit": s.maps["hc_calls32_exit"], "enter": s.maps["hc_calls32_enter"]}
	o.Leave = func(name string) bool { return !strings.HasPrefix(name, "hc32_") }
	was := len(s.hooks)
	defer func() { s.hooks = s.hooks[:was] }()
	for _, name := range obj.Names() {
		if !compat(name) {
			continue
		}
		if err := load(name, &o); err != nil {
			return err
		}
		arrays["more"] = s.maps["hc_calls32_more"]
		for _, h := range s.hooks[was:] {
			rest, ok := strings.CutPrefix(h.Name, "hc32_")
			if !ok {
				continue
			}
			if h.prog == nil {
				s.Compat = append(s.Compat, h)
				continue
			}
			when, call, _ := strings.Cut(rest, "_")
			if when == "more" { // hc32_more_CALL_AS
				call = call[:strings.LastIndex(call, "_")]
			}
			for _, nr := range slots32(call) {
				if err := arrays[when].Put(nr, uint32(h.prog.FD())); err != nil {
					return fmt.Errorf("place %s: %w", h.Name, err)
				}
			}
			h.prog.Close()
		}
		s.hooks = s.hooks[:was]
	}
	return nil
}

// slots32 returns where a call's program stands in the arrays.
func slots32(call string) (slots []uint32) {
	names := renamed[call]
	if names == nil {
		names = []string{call}
	}
	for _, n := range names {
		if nr, ok := calls32[n]; ok {
			slots = append(slots, nr)
		}
	}
	if nr, ok := sockets[call]; ok {
		slots = append(slots, 512+nr)
	}
	return slots
}

// Counted returns how often calls were made that change nothing and are only counted, by number;
// those of the 32-bit table from 1024 on.
func (s *Set) Counted() map[uint32]uint64 {
	m := s.maps["hc_calls_counted"]
	if m == nil {
		return nil
	}
	out := map[uint32]uint64{}
	var nr uint32
	var per []uint64
	for it := m.Iterate(); it.Next(&nr, &per); {
		for _, n := range per {
			if n > 0 {
				out[nr] += n
			}
		}
	}
	return out
}
