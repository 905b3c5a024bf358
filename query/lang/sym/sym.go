// Package sym holds the names Linux gives to numbers: errors, signals, flags,
// capabilities, protocols.
//
// The tables are Linux's own and do not come from the system the program runs on: a
// capture is read the same way on every machine. Where amd64 and arm64 differ (four
// open flags) the functions take the architecture of the capture.
package sym

import (
	"fmt"
	"strconv"
	"strings"
)

// Flag is one named bit (or, where Mask is set, one value of a bit group).
type Flag struct {
	Name string
	Bit  uint64
	Mask uint64 // bits that Bit is compared under; 0 means Bit itself
}

// Errno returns the name of a positive error number, or its decimal form.
func Errno(n int) string {
	if s, ok := errnos[n]; ok {
		return s
	}
	return strconv.Itoa(n)
}

var errnoByName = func() map[string]int {
	m := map[string]int{"EWOULDBLOCK": 11, "EDEADLOCK": 35, "ENOTSUP": 95}
	for n, s := range errnos {
		m[s] = n
	}
	return m
}()

// ErrnoByName returns the number of an error such as EACCES.
func ErrnoByName(name string) (int, bool) {
	n, ok := errnoByName[name]
	return n, ok
}

// ErrnoNames returns every error name, in no order.
func ErrnoNames() []string { return keys(errnoByName) }

var signals = []string{"", "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM",
	"TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS"}

// Signal returns the name of a signal, with SIG; real-time ones as SIGRTMIN+n (n from 34, as libc counts).
func Signal(n int) string {
	switch {
	case n > 0 && n < len(signals):
		return "SIG" + signals[n]
	case n == 34:
		return "SIGRTMIN"
	case n > 34 && n <= 64:
		return fmt.Sprintf("SIGRTMIN+%d", n-34)
	}
	return strconv.Itoa(n)
}

var signalByName = func() map[string]int {
	m := map[string]int{"SIGIOT": 6, "SIGPOLL": 29}
	for n := 1; n < len(signals); n++ {
		m["SIG"+signals[n]] = n
	}
	return m
}()

// SignalByName returns the number of a signal named with or without SIG, in either case.
func SignalByName(name string) (int, bool) {
	s := strings.ToUpper(name)
	if !strings.HasPrefix(s, "SIG") {
		s = "SIG" + s
	}
	n, ok := signalByName[s]
	return n, ok
}

// SignalNames returns every signal name, in no order.
func SignalNames() []string { return keys(signalByName) }

// OpenFlags returns the open(2) flags of an architecture ("arm64", anything else is amd64),
// in the order they are printed.
func OpenFlags(arch string) []Flag {
	dir, nofollow, direct, large := uint64(0o200000), uint64(0o400000), uint64(0o40000), uint64(0o100000)
	if arch == "arm64" || arch == "aarch64" {
		dir, nofollow, direct, large = 0o40000, 0o100000, 0o200000, 0o400000
	}
	return []Flag{
		{"O_RDONLY", 0, 3}, {"O_WRONLY", 1, 3}, {"O_RDWR", 2, 3},
		{"O_CREAT", 0o100, 0}, {"O_EXCL", 0o200, 0}, {"O_NOCTTY", 0o400, 0}, {"O_TRUNC", 0o1000, 0}, {"O_APPEND", 0o2000, 0},
		{"O_NONBLOCK", 0o4000, 0}, {"O_SYNC", 0o4010000, 0}, {"O_DSYNC", 0o10000, 0}, {"O_DIRECT", direct, 0}, {"O_LARGEFILE", large, 0},
		{"O_TMPFILE", 0o20000000 | dir, 0}, {"O_DIRECTORY", dir, 0}, {"O_NOFOLLOW", nofollow, 0}, {"O_NOATIME", 0o1000000, 0}, {"O_CLOEXEC", 0o2000000, 0},
		{"O_PATH", 0o10000000, 0},
	}
}

// CloneFlags are the flags of clone(2).
var CloneFlags = []Flag{
	{"CLONE_VM", 0x100, 0}, {"CLONE_FS", 0x200, 0}, {"CLONE_FILES", 0x400, 0}, {"CLONE_SIGHAND", 0x800, 0}, {"CLONE_PIDFD", 0x1000, 0},
	{"CLONE_PTRACE", 0x2000, 0}, {"CLONE_VFORK", 0x4000, 0}, {"CLONE_PARENT", 0x8000, 0}, {"CLONE_THREAD", 0x10000, 0}, {"CLONE_NEWNS", 0x20000, 0},
	{"CLONE_SYSVSEM", 0x40000, 0}, {"CLONE_SETTLS", 0x80000, 0}, {"CLONE_PARENT_SETTID", 0x100000, 0}, {"CLONE_CHILD_CLEARTID", 0x200000, 0},
	{"CLONE_DETACHED", 0x400000, 0}, {"CLONE_UNTRACED", 0x800000, 0}, {"CLONE_CHILD_SETTID", 0x1000000, 0}, {"CLONE_NEWCGROUP", 0x2000000, 0},
	{"CLONE_NEWUTS", 0x4000000, 0}, {"CLONE_NEWIPC", 0x8000000, 0}, {"CLONE_NEWUSER", 0x10000000, 0}, {"CLONE_NEWPID", 0x20000000, 0},
	{"CLONE_NEWNET", 0x40000000, 0}, {"CLONE_IO", 0x80000000, 0},
}

// ProtFlags are the protections of mmap(2).
var ProtFlags = []Flag{{"PROT_READ", 1, 0}, {"PROT_WRITE", 2, 0}, {"PROT_EXEC", 4, 0}}

// Capabilities are the bits of a capability set.
var Capabilities = func() []Flag {
	var fs []Flag
	for i, n := range strings.Fields(`CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE
		NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE
		SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF
		CHECKPOINT_RESTORE`) {
		fs = append(fs, Flag{"CAP_" + n, 1 << i, 0})
	}
	return fs
}()

// Has reports whether v contains the flag.
func (f Flag) Has(v uint64) bool {
	m := f.Mask
	if m == 0 {
		m = f.Bit
	}
	return v&m == f.Bit
}

// Flags writes v as names joined by |, with what has no name as hexadecimal.
func Flags(fs []Flag, v uint64) string {
	var out []string
	rest := v
	for _, f := range fs {
		if !f.Has(v) || f.Mask == 0 && rest&f.Bit == 0 {
			continue
		}
		out = append(out, f.Name)
		rest &^= f.Bit
		if f.Mask != 0 {
			rest &^= f.Mask
		}
	}
	if rest != 0 || len(out) == 0 {
		out = append(out, "0x"+strconv.FormatUint(rest, 16))
	}
	return strings.Join(out, "|")
}

// FlagByName returns the flag with that name, case ignored; the O_, CLONE_, PROT_ or CAP_ may be left out.
func FlagByName(fs []Flag, name string) (Flag, bool) {
	up := strings.ToUpper(name)
	for _, f := range fs {
		if f.Name == up || f.Name[strings.IndexByte(f.Name, '_')+1:] == up {
			return f, true
		}
	}
	return Flag{}, false
}

// File types of st_mode.
const (
	SIFMT   = 0o170000
	SIFIFO  = 0o010000
	SIFCHR  = 0o020000
	SIFDIR  = 0o040000
	SIFBLK  = 0o060000
	SIFREG  = 0o100000
	SIFLNK  = 0o120000
	SIFSOCK = 0o140000
)

var fileTypes = map[string]uint64{"fifo": SIFIFO, "chr": SIFCHR, "dir": SIFDIR, "blk": SIFBLK, "reg": SIFREG, "lnk": SIFLNK, "sock": SIFSOCK}

// FileTypeByName returns the st_mode type bits of fifo, chr, dir, blk, reg, lnk or sock.
func FileTypeByName(name string) (uint64, bool) {
	v, ok := fileTypes[strings.ToLower(name)]
	return v, ok
}

// FileType names the type bits of st_mode, "" when there are none.
func FileType(mode uint32) string {
	for n, v := range fileTypes {
		if uint64(mode)&SIFMT == v {
			return n
		}
	}
	return ""
}

var families = map[int]string{1: "unix", 2: "inet", 10: "inet6", 16: "netlink", 17: "packet"}
var protocols = map[int]string{1: "icmp", 6: "tcp", 17: "udp", 58: "icmp6", 132: "sctp"}

// Family names an address family.
func Family(n int) string { return named(families, n) }

// Protocol names an IP protocol.
func Protocol(n int) string { return named(protocols, n) }

// FamilyByName is the inverse of Family.
func FamilyByName(name string) (int, bool) { return byName(families, name) }

// ProtocolByName is the inverse of Protocol.
func ProtocolByName(name string) (int, bool) { return byName(protocols, name) }

func named(m map[int]string, n int) string {
	if s, ok := m[n]; ok {
		return s
	}
	return strconv.Itoa(n)
}

func byName(m map[int]string, name string) (int, bool) {
	for n, s := range m {
		if strings.EqualFold(s, name) {
			return n, true
		}
	}
	return 0, false
}

func keys(m map[string]int) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	return out
}
