package event

import "slices"

// Type is the id of an event. Ids are part of the format and never reused.
type Type uint16

// Ring says which kernel ring a record travels in.
type Ring uint8

const (
	Bulk     Ring = iota // may be dropped under flood, always counted
	Critical             // reserved ring that bulk can never fill
	NoRing               // made by the recorder in user space
)

// CType is how a field lies in the kernel's record.
type CType uint8

const (
	CU8 CType = iota
	CU16
	CU32
	CU64
	CS32
	CS64
	CDev     // u32, kernel dev_t; decoded to stat(2)'s encoding
	CPort    // u16, host order
	CAddr    // 16 bytes, network order, read with the record's family; decoded to text
	CBytes   // variable bytes
	CPath    // variable: components leaf first, each NUL terminated; decoded to an absolute path
	CClaimed // two variables: directory (as CPath) and the string the program passed; decoded to one path
	CNone    // no wire form: written by the recorder
)

// Meaning tells renderers, the query language and redaction what a value is.
type Meaning uint8

const (
	Number    Meaning = iota
	BootNS            // clock.Boot nanoseconds
	WallNS            // nanoseconds since the epoch
	ProcID            // half of a process key
	InodePart         // part of an object key
	Path              // a file name
	Args              // NUL separated arguments
	Name              // comm, hook or other short name
	Address           // an IP address as text
	Port              // a port number
	Bytes             // a byte count
	Count             // a number of operations
	Errno             // result, negative errno on failure
	Signal            // a signal number
	Mode              // st_mode
	OpenFlags         // open(2) flags
	Prot              // mmap protection
	CloneFlag         // clone(2) flags
	Method            // bit or number of an I/O method, see MethodNames
	Code              // small code, see the field's sentence
	UserID
	GroupID
	CapSet
	NSInode // namespace inode number
)

// Class is how sensitive a value is; redaction works by it.
type Class uint8

const (
	Public  Class = iota
	Naming        // host, user and program names
	Locator       // paths
	Network       // addresses
	Content       // arguments and anything that may hold a secret
)

// Trust says how far a value can be believed.
type Trust uint8

const (
	Kernel   Trust = iota // read from a kernel object
	UserSafe              // user memory that nobody could yet change
	Claimed               // user memory that another thread may have changed: what was asked, not what was done
	Derived               // computed by the recorder
)

func (t Trust) String() string { return [...]string{"kernel", "user-safe", "claimed", "derived"}[t] }

// Field is one value of an event.
type Field struct {
	Name    string // wire and JSON name; snake case
	Query   string // name in the filter language, shared between events that mean the same
	C       CType
	Col     Column
	Meaning Meaning
	Class   Class
	Trust   Trust
	Doc     string
}

// Event is one kind of thing that can happen.
type Event struct {
	ID     Type
	Name   string
	Family string // process, file, net, security, recorder
	Ring   Ring
	Since  int // catalogue version that introduced it
	Doc    string
	Fields []Field
}

// Event ids.
const (
	Fork       Type = 1
	Exec       Type = 2
	Exit       Type = 3
	Cred       Type = 4
	CredChange Type = 5
	SignalSent Type = 6
	Process    Type = 7
	ExecFailed Type = 8
	SetName    Type = 9
	Session    Type = 10
	Reparent   Type = 11
	Namespace  Type = 12
	Access     Type = 13
	Control    Type = 14
	Mismatch   Type = 15

	Open        Type = 16
	OpenFailed  Type = 17
	FirstRead   Type = 18
	FirstWrite  Type = 19
	IO          Type = 20
	Rename      Type = 21
	Link        Type = 22
	Symlink     Type = 23
	Unlink      Type = 24
	Mkdir       Type = 25
	Chmod       Type = 26
	Chown       Type = 27
	Truncate    Type = 28
	InodeUnlink Type = 29
	MmapExec    Type = 30
	File        Type = 31
	Close       Type = 32
	MmapWrite   Type = 33
	Unmap       Type = 34
	Mprotect    Type = 35
	Dirty       Type = 36
	Attr        Type = 37
	FDNew       Type = 38
	FDPassed    Type = 39

	Listen    Type = 40
	Connect   Type = 41
	Accept    Type = 42
	ConnClose Type = 43
	SockFirst Type = 44
	SockTotal Type = 45
	Socket    Type = 46

	Bind          Type = 47
	SocketNew     Type = 48
	UnixConn      Type = 49
	ConnectDenied Type = 50

	Module    Type = 51
	BPF       Type = 52
	PerfEvent Type = 53
	Mount     Type = 54
	ClockSet  Type = 56
	Cgroup    Type = 57
	IOUring   Type = 58
	Syscall   Type = 59

	Ledger   Type = 60
	Coverage Type = 61
	Recorder Type = 62
	Clock    Type = 63
)

// object returns the identity fields of a file object.
func object(q string) []Field {
	return []Field{
		{"dev", q + ".dev", CDev, ColDev, InodePart, Public, Kernel, "device of the object"},
		{"ino", q + ".ino", CU64, ColIno, InodePart, Public, Kernel, "inode number"},
		{"gen", q + ".gen", CU32, ColGen, InodePart, Public, Kernel, "inode generation"},
		{"mode", q + ".mode", CU32, ColMode, Mode, Public, Kernel, "st_mode"},
	}
}

// tuple returns the fields that name a socket and its two ends.
func tuple() []Field {
	return []Field{
		{"cookie", "net.cookie", CU64, ColCookie, Number, Public, Kernel, "socket cookie"},
		{"netns", "net.netns", CU32, ColNetNS, NSInode, Public, Kernel, "network namespace"},
		{"family", "net.family", CU8, ColFamily, Code, Public, Kernel, "address family"},
		{"proto", "net.proto", CU8, ColProto, Code, Public, Kernel, "IP protocol"},
		{"laddr", "net.laddr", CAddr, ColLAddr, Address, Network, Kernel, "local address"},
		{"lport", "net.lport", CPort, ColLPort, Port, Public, Kernel, "local port"},
		{"raddr", "net.raddr", CAddr, ColRAddr, Address, Network, Kernel, "remote address"},
		{"rport", "net.rport", CPort, ColRPort, Port, Public, Kernel, "remote port"},
	}
}

// claimed returns fields of which those with the given names are only what was asked for.
func claimed(fields []Field, names ...string) []Field {
	for i := range fields {
		if slices.Contains(names, fields[i].Name) {
			fields[i].Trust = Claimed
		}
	}
	return fields
}

func join(parts ...[]Field) []Field {
	var out []Field
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

// image returns the fields that describe a running program, shared by exec and the snapshot of a process.
func image() []Field {
	return join(object("exec"), []Field{
		{"exe", "exec.exe", CPath, ColPath, Path, Locator, Kernel, "program file, walked from the kernel's file object"},
		{"ctime", "exec.ctime", CS64, ColN1, WallNS, Public, Kernel, "change time of the program file"},
		{"mtime", "exec.mtime", CS64, ColN2, WallNS, Public, Kernel, "modification time of the program file"},
		{"nlink", "exec.nlink", CU32, ColN3, Count, Public, Kernel, "links to the program file: 0 means deleted or never named"},
		{"argv", "exec.args", CBytes, ColArgv, Args, Content, UserSafe, "arguments, NUL separated, read from the new memory before the program ran"},
		{"argv_len", "exec.argslen", CU32, ColN4, Bytes, Public, Kernel, "true length of the arguments"},
		{"cwd", "exec.cwd", CPath, ColPath3, Path, Locator, Kernel, "working directory"},
		{"sid", "exec.sid", CU32, ColN5, ProcID, Public, Kernel, "session leader pid"},
		{"tty", "exec.tty", CU32, ColN6, Number, Public, Kernel, "controlling terminal device, 0 for none"},
		{"pidns", "exec.pidns", CU32, ColN7, NSInode, Public, Kernel, "pid namespace"},
		{"mntns", "exec.mntns", CU32, ColN8, NSInode, Public, Kernel, "mount namespace"},
		{"netns", "exec.netns", CU32, ColNetNS, NSInode, Public, Kernel, "network namespace"},
	})
}

// whole returns what version 2 added to an image.
func whole() []Field {
	return []Field{
		{"argv_tail", "exec.argstail", CBytes, ColArgvTail, Args, Content, UserSafe, "last 4 KiB, at most, of the arguments that argv does not hold"},
		{"argv_hash", "exec.argshash", CU64, ColN10, Number, Public, UserSafe, "XXH64, seed 0, of all argument bytes; 0 when it was not computed: a page could not be read, there are more than argv holds and the kernel is older than 5.17, or they were longer than that before the recording"},
		{"env", "exec.env", CBytes, ColEnv, Args, Content, UserSafe, "environment, NUL separated: names only unless values were asked for"},
		{"env_len", "exec.envlen", CU32, ColN11, Bytes, Public, Kernel, "true length of the environment"},
		{"env_hash", "exec.envhash", CU64, ColN12, Number, Public, UserSafe, "XXH64, seed 0, of all environment bytes, values included; 0 when it was not computed, as for the arguments"},
	}
}

// second returns the identity fields of a second object.
func second(prefix, q, doc string) []Field {
	return []Field{
		{prefix + "_dev", q + ".dev", CDev, ColDev2, InodePart, Public, Kernel, "device of " + doc},
		{prefix + "_ino", q + ".ino", CU64, ColIno2, InodePart, Public, Kernel, "inode number of " + doc},
		{prefix + "_gen", q + ".gen", CU32, ColGen2, InodePart, Public, Kernel, "inode generation of " + doc},
	}
}

// other returns the key of a second process.
func other(q, who string) []Field {
	return []Field{
		{"target_pid", q + ".pid", CU32, ColOPID, ProcID, Public, Kernel, who + ", 0 when it is not known"},
		{"target_start", q + ".start", CU64, ColOStart, ProcID, Public, Kernel, "start of that process"},
		{"target_tid", q + ".tid", CU32, ColOTID, ProcID, Public, Kernel, "thread of that process"},
	}
}

// Catalog is every event, in id order.
var Catalog = []Event{
	{Fork, "fork", "process", Critical, 1, "A process or thread was created; the actor is the creator.", []Field{
		{"child_pid", "fork.pid", CU32, ColOPID, ProcID, Public, Kernel, "thread group of the child"},
		{"child_start", "fork.start", CU64, ColOStart, ProcID, Public, Kernel, "start of the child's thread group leader"},
		{"child_tid", "fork.tid", CU32, ColOTID, ProcID, Public, Kernel, "the new thread"},
		{"clone_flags", "fork.flags", CU64, ColN1, CloneFlag, Public, Kernel, "clone flags: CLONE_THREAD makes a thread"},
		{"exit_signal", "fork.exitsig", CS32, ColN2, Signal, Public, Kernel, "signal sent to the parent at exit"},
		{"parent_pid", "fork.ppid", CU32, ColN3, ProcID, Public, Kernel, "real parent of the child: not the creator under CLONE_PARENT"},
		{"parent_start", "fork.pstart", CU64, ColN4, ProcID, Public, Kernel, "start of the real parent"},
		{"ns_pid", "fork.nspid", CU32, ColN5, ProcID, Public, Kernel, "pid of the child in its own pid namespace"},
		{"thread_start", "fork.tstart", CU64, ColN6, BootNS, Public, Kernel, "start of the new thread itself"},
		{"pidns", "fork.pidns", CU32, ColN7, NSInode, Public, Kernel, "pid namespace of the child"},
	}},
	{Exec, "exec", "process", Critical, 1, "A process became another program. The row carries the new image and credentials.", join(image(), []Field{
		{"filename", "exec.filename", CBytes, ColPath2, Path, Locator, Kernel, "the name given to execve, the kernel's copy: the script where there is an interpreter"},
		{"interp", "exec.interp", CBytes, ColText, Path, Locator, Kernel, "interpreter name the kernel took from the script, else equal to filename"},
		{"exec_flags", "exec.flags", CU32, ColOp, Code, Public, Kernel, "bits: 1 memory file, 2 no link left, 4 script, 8 set-id or file capabilities, 16 by descriptor, 32 by a thread that was not the leader"},
		{"old_tid", "exec.oldtid", CU32, ColOTID, ProcID, Public, Kernel, "thread that called execve"},
	}, second("script", "exec.script", "the script that an interpreter runs; 0 in the tracepoint tier, where the kernel has let go of it"), whole())},
	{Exit, "exit", "process", Critical, 1, "A thread ended; with the thread flag clear, its process ended with it.", []Field{
		{"code", "exit.code", CU32, ColN1, Code, Public, Kernel, "exit code, 0..255"},
		{"signal", "exit.signal", CU32, ColN2, Signal, Public, Kernel, "signal that ended it, 0 for none"},
		{"exit_flags", "exit.flags", CU32, ColOp, Code, Public, Kernel, "bits: 1 core dumped, 2 whole process"},
		{"utime", "exit.utime", CU64, ColN3, Number, Public, Kernel, "user cpu time of the thread, ns"},
		{"stime", "exit.stime", CU64, ColN4, Number, Public, Kernel, "system cpu time of the thread, ns"},
		{"maxrss", "exit.maxrss", CU64, ColN5, Bytes, Public, Kernel, "largest resident size of the process, bytes"},
		{"thread_start", "exit.tstart", CU64, ColN6, BootNS, Public, Kernel, "start of the thread"},
		{"parent_pid", "exit.ppid", CU32, ColOPID, ProcID, Public, Kernel, "parent when it ended"},
		{"parent_start", "exit.pstart", CU64, ColOStart, ProcID, Public, Kernel, "start of that parent"},
	}},
	{Cred, "cred", "process", Critical, 1, "Definition of a credential set; cred holds its id.", []Field{
		{"uid", "cred.uid", CU32, ColN1, UserID, Public, Kernel, "real user"},
		{"euid", "cred.euid", CU32, ColN2, UserID, Public, Kernel, "effective user"},
		{"suid", "cred.suid", CU32, ColN3, UserID, Public, Kernel, "saved user"},
		{"fsuid", "cred.fsuid", CU32, ColN4, UserID, Public, Kernel, "file system user"},
		{"gid", "cred.gid", CU32, ColN5, GroupID, Public, Kernel, "real group"},
		{"egid", "cred.egid", CU32, ColN6, GroupID, Public, Kernel, "effective group"},
		{"sgid", "cred.sgid", CU32, ColN7, GroupID, Public, Kernel, "saved group"},
		{"fsgid", "cred.fsgid", CU32, ColN8, GroupID, Public, Kernel, "file system group"},
		{"cap_effective", "cred.capeff", CU64, ColN9, CapSet, Public, Kernel, "effective capabilities"},
		{"cap_permitted", "cred.capprm", CU64, ColN10, CapSet, Public, Kernel, "permitted capabilities"},
		{"cap_bounding", "cred.capbnd", CU64, ColN11, CapSet, Public, Kernel, "bounding set"},
		{"userns", "cred.userns", CU32, ColN12, NSInode, Public, Kernel, "user namespace"},
		{"securebits", "cred.securebits", CU32, ColOp, Code, Public, Kernel, "securebits"},
	}},
	{CredChange, "cred_change", "process", Critical, 1, "A thread took other credentials without exec; cred holds the new id.", []Field{
		{"old_cred", "cred.old", CU32, ColN1, Number, Public, Kernel, "id of the set it had"},
		{"call", "cred.call", CU32, ColN2, Code, Public, Kernel, "system call number; 4294967295 when no call that is watched made the change: the kernel did, or somebody who controls it"},
		{"t0", "cred.since", CNone, ColT0, BootNS, Public, Derived, "changes that no call made: when the thread was last seen with the set it had"},
		{"detail", "cred.detail", CNone, ColText2, Name, Public, Derived, "changes that no call made: event that first showed the new set, and whether the row of a call may have been lost"},
	}},
	{SignalSent, "signal", "process", Bulk, 1, "A signal was generated; the actor is the sender. Child-exit and timer signals of the kernel are left out, and what a process sends to its own threads without ending itself.", []Field{
		{"sig", "signal.sig", CU32, ColN1, Signal, Public, Kernel, "signal number"},
		{"code", "signal.code", CS32, ColN2, Code, Public, Kernel, "si_code: 0 kill, -6 tgkill, positive from the kernel"},
		{"target_pid", "signal.pid", CU32, ColOPID, ProcID, Public, Kernel, "target process"},
		{"target_start", "signal.start", CU64, ColOStart, ProcID, Public, Kernel, "start of the target"},
		{"target_tid", "signal.tid", CU32, ColOTID, ProcID, Public, Kernel, "target thread"},
		{"group", "signal.group", CU32, ColOp, Code, Public, Kernel, "1 when sent to the whole process"},
	}},
	{Process, "process", "process", Critical, 1, "A process that was alive when the recording or segment began.", join(image(), []Field{
		{"parent_pid", "process.ppid", CU32, ColOPID, ProcID, Public, Kernel, "parent at that moment"},
		{"parent_start", "process.pstart", CU64, ColOStart, ProcID, Public, Kernel, "start of that parent"},
		{"ns_pid", "process.nspid", CU32, ColN9, ProcID, Public, Kernel, "pid in its own pid namespace"},
	}, whole())},
	{ExecFailed, "exec_failed", "process", Bulk, 2, "An exec did not happen; ret is the errno. Names that do not exist (ENOENT, ENOTDIR: a shell tries all of PATH) are told in the forensic profile only.", []Field{
		{"path", "exec.claimed", CClaimed, ColPath, Path, Locator, Claimed, "program asked for"},
		{"argv", "exec.args", CBytes, ColArgv, Args, Content, Claimed, "first 20 arguments, 4 KiB of them at most, NUL separated"},
		{"at_flags", "exec.atflags", CU32, ColOp, Code, Public, Kernel, "flags of execveat, 0 for execve"},
	}},
	{SetName, "set_name", "process", Bulk, 2, "A thread took another name (comm), or was given one; the row's comm is the actor's, and the old one when it named itself. Names that come with an exec are told by the exec row, where the kernel tells the two apart.", join([]Field{
		{"new_comm", "proc.newname", CBytes, ColText, Name, Naming, Kernel, "the new name"},
	}, other("name", "process that was renamed"))},
	{Session, "session", "process", Critical, 2, "A process joined or made a session or process group, or became the one that orphans go to.", join([]Field{
		{"op", "session.op", CU32, ColOp, Code, Public, Kernel, "1 setsid, 2 setpgid, 3 subreaper set, 4 subreaper cleared"},
		{"sid", "session.sid", CU32, ColN1, ProcID, Public, Kernel, "session after the call"},
		{"pgid", "session.pgid", CU32, ColN2, ProcID, Public, Kernel, "process group after the call"},
	}, other("session", "process it was done to"))},
	{Reparent, "reparent", "process", Critical, 2, "A process got another parent because the actor, its parent, ended.", join(other("reparent", "the orphan"), []Field{
		{"parent_pid", "reparent.ppid", CU32, ColN1, ProcID, Public, Derived, "its new parent, by the kernel's rules at that moment"},
		{"parent_start", "reparent.pstart", CU64, ColN2, ProcID, Public, Derived, "start of the new parent"},
	})},
	{Namespace, "namespace", "process", Critical, 2, "A thread entered or made a namespace; one row for each that changed.", join([]Field{
		{"ns_type", "ns.type", CU32, ColOp, Code, Public, Kernel, "1 mnt, 2 pid (of future children), 3 net, 4 user, 5 uts, 6 ipc, 7 cgroup, 8 time"},
		{"old_ns", "ns.old", CU32, ColN1, NSInode, Public, Kernel, "namespace before"},
		{"new_ns", "ns.new", CU32, ColN2, NSInode, Public, Kernel, "namespace after"},
		{"call", "ns.call", CS32, ColN3, Code, Public, Kernel, "system call number; -1 for clone, whose child is the target"},
		{"call_flags", "ns.flags", CU64, ColN4, CloneFlag, Public, Kernel, "flags of the call"},
	}, other("ns", "child, for clone"))},
	{Access, "access", "process", Critical, 2, "A process reached into another one: ptrace, process_vm, its memory by procfs, its descriptors. What a debugger repeats without end (looking, letting run) is told once for a pair of processes outside the forensic profile.", join([]Field{
		{"op", "access.op", CU32, ColOp, Code, Public, Kernel, "1 ptrace, 2 process_vm_readv, 3 process_vm_writev, 4 procfs mem read, 5 procfs mem write, 6 pidfd_getfd, 7 process_madvise, 8 pidfd_open, 9 kcmp"},
		{"request", "access.request", CS64, ColN1, Code, Public, Kernel, "ptrace request; advice, descriptor, flags of pidfd_open or kind of comparison"},
		{"addr", "access.addr", CU64, ColN2, Number, Public, Claimed, "address in the target"},
		{"size", "access.bytes", CS64, ColN3, Bytes, Public, Kernel, "bytes moved"},
	}, other("access", "process reached into; with PTRACE_TRACEME the tracer, which is the parent"))},
	{Control, "control", "process", Bulk, 2, "A process changed what the kernel allows or keeps for it: prctl, seccomp, keyctl, limits, personality.", join([]Field{
		{"call", "control.call", CU32, ColOp, Code, Public, Kernel, "system call number"},
		{"option", "control.option", CS64, ColN1, Code, Public, Kernel, "first argument: option, operation or resource; 0 for add_key and request_key"},
		{"arg2", "control.arg2", CU64, ColN2, Number, Public, Kernel, "second argument; soft limit after the call, or asked for when it was refused; size of the payload for add_key"},
		{"arg3", "control.arg3", CU64, ColN3, Number, Public, Kernel, "third argument; hard limit; keyring for add_key and request_key"},
		{"arg4", "control.arg4", CU64, ColN4, Number, Public, Kernel, "fourth argument"},
		{"text", "control.text", CBytes, ColText, Name, Content, Claimed, "the name the call gave: description of a key, name of a keyring"},
	}, other("control", "process it was done to"))},
	{Mismatch, "mismatch", "process", Bulk, 2, "What a call claimed is not what the kernel used. Strings of opens and execs are compared in the forensic profile only; a string that changed makes one row, whatever else differs.", join([]Field{
		{"kind", "mismatch.kind", CU32, ColOp, Code, Public, Kernel, "1 last component differs from the object's name (a link, or a swap), 2 the string changed during the call, 3 address connected to is not the one asked for, 4 the string changed before execve copied it: the program run is not the one named at first"},
		{"call", "mismatch.call", CU32, ColN1, Code, Public, Kernel, "system call number"},
	}, object("file"), []Field{
		{"path", "file.path", CPath, ColPath, Path, Locator, Kernel, "what was used"},
		{"claimed", "mismatch.claimed", CClaimed, ColPath2, Path, Locator, Claimed, "what was passed, as the call ended; of kind 4 the copy that the kernel took"},
		{"claimed_before", "mismatch.before", CBytes, ColText, Path, Locator, Claimed, "first 256 bytes of what was passed, as the call began; kinds 2 and 4"},
	})},

	{Open, "open", "file", Bulk, 1, "A file was opened or created; ret is the descriptor.", join(object("file"), []Field{
		{"path", "file.path", CPath, ColPath, Path, Locator, Kernel, "path, walked from the opened object"},
		{"open_flags", "file.flags", CU32, ColOp, OpenFlags, Public, Kernel, "open flags of the file object"},
		{"created", "file.created", CU32, ColN1, Code, Public, Kernel, "1 when this call created it"},
	})},
	{OpenFailed, "open_failed", "file", Bulk, 1, "An open was refused (not recorded for names that do not exist).", []Field{
		{"path", "file.path", CClaimed, ColPath, Path, Locator, Claimed, "name asked for"},
		{"open_flags", "file.flags", CU32, ColOp, OpenFlags, Public, Kernel, "flags asked for"},
	}},
	{FirstRead, "read", "file", Bulk, 1, "First read of a thread on an object since it was last reported, in the forensic profile every one; ret is the byte count.", ioFields()},
	{FirstWrite, "write", "file", Bulk, 1, "First write of a thread on an object since it was last reported, in the forensic profile every one; ret is the byte count.", ioFields()},
	{IO, "io", "file", Bulk, 1, "Running totals of a thread on an object since t0, first read and write included: of several rows with one t0 the last speaks.", join(object("file"), []Field{
		{"t0", "io.since", CU64, ColT0, BootNS, Public, Kernel, "first operation"},
		{"last", "io.last", CU64, ColN2, BootNS, Public, Kernel, "last operation"},
		{"bytes_in", "io.in", CU64, ColBytesIn, Bytes, Public, Kernel, "bytes read"},
		{"bytes_out", "io.out", CU64, ColBytesOut, Bytes, Public, Kernel, "bytes written"},
		{"ops_in", "io.reads", CU32, ColOpsIn, Count, Public, Kernel, "reads"},
		{"ops_out", "io.writes", CU32, ColOpsOut, Count, Public, Kernel, "writes"},
		{"methods", "io.methods", CU32, ColN1, Method, Public, Kernel, "bit set of methods used"},
		{"reason", "io.reason", CU32, ColOp, Code, Public, Kernel, "1 interval, 2 table slot reused, 3 exit, 4 exec, 5 sweep, 6 close"},
		{"last_in", "io.lastin", CU64, ColN3, BootNS, Public, Kernel, "last read"},
		{"last_out", "io.lastout", CU64, ColN4, BootNS, Public, Kernel, "last write"},
		{"fork_gen", "io.tstart", CU64, ColN5, BootNS, Public, Kernel, "start of the thread"},
	})},
	{Rename, "rename", "file", Bulk, 1, "A name was changed. Objects are zero in the tracepoint tier; flag kernel_names says that the names are the kernel's.", join([]Field{
		{"path", "file.path", CClaimed, ColPath, Path, Locator, Claimed, "old name"},
		{"new_path", "file.newpath", CClaimed, ColPath2, Path, Locator, Claimed, "new name"},
		{"rename_flags", "file.flags", CU32, ColOp, Code, Public, Kernel, "renameat2 flags"},
	}, object("file"), second("over", "file.over", "the object that lost the new name, 0 for none"))},
	{Link, "link", "file", Bulk, 1, "A second name was made for an object. With AT_EMPTY_PATH (4096) or a descriptor the object is the kernel's in every tier.", join([]Field{
		{"path", "file.path", CClaimed, ColPath, Path, Locator, Claimed, "existing name"},
		{"new_path", "file.newpath", CClaimed, ColPath2, Path, Locator, Claimed, "new name"},
		{"link_flags", "file.flags", CU32, ColOp, Code, Public, Kernel, "linkat flags"},
	}, object("file"))},
	{Symlink, "symlink", "file", Bulk, 1, "A symbolic link was made.", join([]Field{
		{"target", "file.target", CBytes, ColText, Path, Locator, Claimed, "what it points to, as given"},
		{"new_path", "file.newpath", CClaimed, ColPath2, Path, Locator, Claimed, "the link"},
	}, object("file"))},
	{Unlink, "unlink", "file", Bulk, 1, "A name was removed. The object is zero in the tracepoint tier: see inode_unlink.", join([]Field{
		{"path", "file.path", CClaimed, ColPath, Path, Locator, Claimed, "name removed"},
		{"unlink_flags", "file.flags", CU32, ColOp, Code, Public, Kernel, "512 (AT_REMOVEDIR) for a directory"},
	}, object("file"), []Field{
		{"nlink", "file.nlink", CU32, ColN1, Count, Public, Kernel, "links left, where the object is known"},
	})},
	{Mkdir, "mkdir", "file", Bulk, 1, "A directory was made, or with another file type in mode a special file.", []Field{
		{"path", "file.path", CClaimed, ColPath, Path, Locator, Claimed, "the directory"},
		{"perm", "file.perm", CU32, ColMode, Mode, Public, Kernel, "type, and mode asked for"},
		{"dev", "file.dev", CDev, ColDev, InodePart, Public, Kernel, "device of the object, 0 in the tracepoint tier"},
		{"ino", "file.ino", CU64, ColIno, InodePart, Public, Kernel, "inode number, 0 in the tracepoint tier"},
		{"gen", "file.gen", CU32, ColGen, InodePart, Public, Kernel, "inode generation"},
		{"rdev", "file.rdev", CDev, ColN1, Number, Public, Kernel, "device that a device file stands for"},
	}},
	{Chmod, "chmod", "file", Bulk, 1, "Permissions were changed. Object fields are zero when the call gave a name.", join(object("file"), []Field{
		{"path", "file.path", CClaimed, ColPath, Path, Locator, Claimed, "name given, or path walked from the descriptor"},
		{"perm", "file.perm", CU32, ColN1, Mode, Public, Kernel, "mode asked for"},
		{"old_perm", "file.oldperm", CS32, ColN2, Mode, Public, Kernel, "mode before, -1 when not known"},
	})},
	{Chown, "chown", "file", Bulk, 1, "Ownership was changed. Object fields are zero when the call gave a name.", join(object("file"), []Field{
		{"path", "file.path", CClaimed, ColPath, Path, Locator, Claimed, "name given, or path walked from the descriptor"},
		{"owner", "file.owner", CU32, ColN1, UserID, Public, Kernel, "new user"},
		{"group", "file.group", CU32, ColN2, GroupID, Public, Kernel, "new group"},
		{"old_owner", "file.oldowner", CS64, ColN3, UserID, Public, Kernel, "user before, -1 when not known"},
		{"old_group", "file.oldgroup", CS64, ColN4, GroupID, Public, Kernel, "group before, -1 when not known"},
	})},
	{Truncate, "truncate", "file", Bulk, 1, "A file was cut or extended. Object fields are zero when the call gave a name.", join(object("file"), []Field{
		{"path", "file.path", CClaimed, ColPath, Path, Locator, Claimed, "name given, or path walked from the descriptor"},
		{"size", "file.size", CS64, ColN1, Bytes, Public, Kernel, "new size"},
		{"old_size", "file.oldsize", CS64, ColN2, Bytes, Public, Kernel, "size before, -1 when not known"},
	})},
	{InodeUnlink, "inode_unlink", "file", Bulk, 1, "Witness inside the file system: this inode lost a name. The same thread's next unlink or rename row names it.", join(object("file"), []Field{
		{"dir_ino", "file.dirino", CU64, ColIno2, InodePart, Public, Kernel, "inode of the directory"},
		{"nlink", "file.nlink", CU32, ColN1, Count, Public, Kernel, "links before the removal"},
		{"path", "file.path", CPath, ColPath, Path, Locator, Kernel, "name removed, within its file system"},
	})},
	{MmapExec, "mmap_exec", "file", Bulk, 1, "A file was mapped executable.", join(object("file"), []Field{
		{"path", "file.path", CPath, ColPath, Path, Locator, Kernel, "path, walked from the mapped object"},
		{"prot", "mmap.prot", CU32, ColOp, Prot, Public, Kernel, "protection"},
		{"map_flags", "mmap.flags", CU32, ColN1, Code, Public, Kernel, "mapping flags"},
		{"addr", "mmap.addr", CU64, ColN2, Number, Public, Kernel, "address"},
		{"length", "mmap.len", CU64, ColN3, Bytes, Public, Kernel, "length"},
		{"offset", "mmap.off", CU64, ColN4, Bytes, Public, Kernel, "offset in the file"},
	})},
	{File, "file", "file", Bulk, 1, "An object that was open when the recording or segment began.", join(object("file"), []Field{
		{"path", "file.path", CPath, ColPath, Path, Locator, Kernel, "path"},
		{"fd", "file.fd", CS32, ColFD, Number, Public, Kernel, "descriptor"},
		{"open_flags", "file.flags", CU32, ColOp, OpenFlags, Public, Kernel, "flags of the file object"},
		{"pos", "file.pos", CU64, ColN1, Bytes, Public, Kernel, "file position"},
		{"cookie", "net.cookie", CU64, ColCookie, Number, Public, Kernel, "socket cookie when it is a socket"},
	})},
	{Close, "close", "file", Bulk, 2, "A descriptor was closed. Forensic profile only: elsewhere totals and exit tell when an object was let go.", join(object("file"), []Field{
		{"fd", "file.fd", CS32, ColFD, Number, Public, Kernel, "descriptor"},
		{"last_fd", "file.lastfd", CU32, ColOp, Code, Public, Kernel, "last descriptor of a range that was closed at once, else fd"},
	})},
	{MmapWrite, "mmap_write", "file", Bulk, 2, "A file was mapped so that stores change it (shared and writable): from now until unmap, exec or exit the process, and children that fork makes meanwhile, may write it without a call. System V memory attached is told so too: its inode number is the segment's id.", join(object("file"), mapped())},
	{Unmap, "unmap", "file", Bulk, 2, "A range that held shared writable mappings was unmapped, or another mapping took its place; they also end with exit and exec. Of a process with more of them than are remembered, every range.", []Field{
		{"addr", "mmap.addr", CU64, ColN2, Number, Public, Kernel, "address"},
		{"length", "mmap.len", CU64, ColN3, Bytes, Public, Kernel, "length; 0 for all of a System V segment attached there"},
	}},
	{Mprotect, "mprotect", "file", Bulk, 2, "Memory became executable other than by mapping a file so: mprotect, or a mapping of no file. Object fields are zero for memory of no file.", join(object("file"), mapped(), []Field{
		{"call", "mmap.call", CU32, ColN5, Code, Public, Kernel, "system call number"},
	})},
	{Dirty, "dirty", "file", Bulk, 2, "Witness inside the kernel: pages of this inode were changed in the actor's context. Told once a second at most for each thread and inode, and where no write row explains it.", join(object("file"), []Field{
		{"pages", "dirty.pages", CU32, ColOpsOut, Count, Public, Kernel, "pages since t0, or larger units where the kernel keeps several pages as one"},
		{"t0", "dirty.since", CU64, ColT0, BootNS, Public, Kernel, "first of them"},
		{"path", "file.path", CPath, ColPath, Path, Locator, Kernel, "a name of the inode within its file system, empty when it has none in memory"},
	})},
	{Attr, "attr", "file", Bulk, 2, "Attributes or space of a file were changed: extended attributes, times, fallocate, inode flags. Object fields are zero when the call gave a name.", join(object("file"), []Field{
		{"path", "file.path", CClaimed, ColPath, Path, Locator, Claimed, "name given, or path walked from the descriptor"},
		{"op", "attr.op", CU32, ColOp, Code, Public, Kernel, "1 setxattr, 2 removexattr, 3 times, 4 fallocate, 5 inode flags (FS_*_FL), 6 inode flags (FS_XFLAG_*)"},
		{"name", "attr.name", CBytes, ColText, Name, Naming, Claimed, "extended attribute"},
		{"size", "attr.size", CS64, ColN1, Bytes, Public, Kernel, "size of the value, or length of the space"},
		{"attr_flags", "attr.flags", CU64, ColN2, Code, Public, Kernel, "flags or mode of the call"},
		{"offset", "attr.offset", CU64, ColN3, Bytes, Public, Kernel, "start of the space"},
		{"atime", "attr.atime", CS64, ColN4, WallNS, Public, Claimed, "access time asked for, 0 for now, -1 for none"},
		{"mtime", "attr.mtime", CS64, ColN5, WallNS, Public, Claimed, "modification time asked for, 0 for now, -1 for none"},
	})},
	{FDNew, "fd_new", "file", Bulk, 2, "A nameless object was made: a pipe, a pair of sockets, a memory file. ret is what the call returned.", join([]Field{
		{"kind", "fd.kind", CU32, ColOp, Code, Public, Kernel, "1 pipe, 2 socketpair, 3 memfd, 4 memfd_secret, 5 userfaultfd, 6 inotify, 7 fanotify, 8 pidfd, 9 eventfd, 10 signalfd, 11 timerfd, 12 epoll"},
	}, object("file"), second("peer", "fd.peer", "the other end of a socketpair"), []Field{
		{"fd", "file.fd", CS32, ColFD, Number, Public, Kernel, "descriptor, the reading one of a pipe"},
		{"fd2", "fd.second", CS32, ColN1, Number, Public, Kernel, "writing descriptor of a pipe, second of a socketpair, else -1"},
		{"fd_flags", "fd.flags", CU32, ColN2, Code, Public, Kernel, "flags of the call"},
		{"cookie", "net.cookie", CU64, ColCookie, Number, Public, Kernel, "socket cookie of the first socket"},
		{"cookie2", "net.peercookie", CU64, ColN3, Number, Public, Kernel, "socket cookie of the second socket"},
		{"path", "file.path", CPath, ColPath, Path, Locator, Kernel, "name of a memory file as the kernel has it"},
	})},
	{FDPassed, "fd_passed", "file", Bulk, 2, "A process got an open object from another one.", join(object("file"), []Field{
		{"path", "file.path", CPath, ColPath, Path, Locator, Kernel, "path of the object"},
		{"fd", "file.fd", CS32, ColFD, Number, Public, Kernel, "descriptor in the process that received it, or that sent it"},
		{"how", "fd.how", CU32, ColOp, Code, Public, Kernel, "1 received over a unix socket, 2 sent over a unix socket, 3 pidfd_getfd, 4 seccomp notifier"},
		{"cookie", "net.cookie", CU64, ColCookie, Number, Public, Kernel, "cookie of the passed object when it is a socket"},
		{"via_ino", "fd.via", CU64, ColIno2, InodePart, Public, Kernel, "inode of the socket it came by: the actor's end"},
		{"via_peer_ino", "fd.viapeer", CU64, ColN1, InodePart, Public, Kernel, "inode of that socket's other end"},
		{"source_fd", "fd.source", CS32, ColN2, Number, Public, Kernel, "descriptor in the other process, -1 when not known"},
	}, other("fd", "the other process"))},

	{Listen, "listen", "net", Critical, 1, "A socket began to listen.", join(tuple(), []Field{
		{"backlog", "net.backlog", CU32, ColN1, Number, Public, Kernel, "backlog"},
	})},
	{Connect, "connect", "net", Critical, 1, "An outgoing TCP connection was established or failed; ret is 0 or the negative errno, t0 the first packet.", join(tuple(), []Field{
		{"isn", "net.isn", CU64, ColISN, Number, Public, Kernel, "initial sequence numbers, own and peer"},
		{"t0", "net.since", CU64, ColT0, BootNS, Public, Kernel, "when it was started"},
	})},
	{Accept, "accept", "net", Critical, 1, "A process took an incoming TCP connection; ret is the descriptor.", join(tuple(), []Field{
		{"isn", "net.isn", CU64, ColISN, Number, Public, Kernel, "initial sequence numbers, own and peer"},
		{"ino", "net.ino", CU64, ColIno, InodePart, Public, Kernel, "inode of the socket"},
	})},
	{ConnClose, "conn_close", "net", Critical, 1, "A TCP connection ended, with its totals from the socket.", join(tuple(), []Field{
		{"isn", "net.isn", CU64, ColISN, Number, Public, Kernel, "initial sequence numbers, own and peer"},
		{"t0", "net.since", CU64, ColT0, BootNS, Public, Kernel, "when it was started or accepted, 0 unknown"},
		{"bytes_in", "net.in", CU64, ColBytesIn, Bytes, Public, Kernel, "payload bytes received"},
		{"bytes_out", "net.out", CU64, ColBytesOut, Bytes, Public, Kernel, "payload bytes acknowledged by the peer"},
		{"segs_in", "net.segsin", CU32, ColOpsIn, Count, Public, Kernel, "segments received"},
		{"segs_out", "net.segsout", CU32, ColOpsOut, Count, Public, Kernel, "segments sent"},
		{"srtt", "net.srtt", CU32, ColN1, Number, Public, Kernel, "smoothed round trip, microseconds"},
		{"retrans", "net.retrans", CU32, ColN2, Count, Public, Kernel, "segments sent again"},
		{"sent", "net.sent", CU64, ColN3, Bytes, Public, Kernel, "payload bytes sent, repeats included"},
		{"old_state", "net.oldstate", CU32, ColN4, Code, Public, Kernel, "TCP state before the end"},
		{"role", "net.role", CU32, ColOp, Code, Public, Kernel, "1 connected, 2 accepted, 0 unknown"},
		{"err", "net.err", CS32, ColN5, Errno, Public, Kernel, "socket error, 0 for none"},
	})},
	{SockFirst, "sock", "net", Bulk, 1, "First send or receive of a process on a socket and peer; ret is the byte count.", join(tuple(), []Field{
		{"dir", "net.dir", CU32, ColOp, Code, Public, Kernel, "1 send, 2 receive"},
		{"ino", "net.ino", CU64, ColIno, InodePart, Public, Kernel, "inode of the socket"},
		{"peer_ino", "net.peerino", CU64, ColIno2, InodePart, Public, Kernel, "unix sockets: inode of the peer"},
		{"peer_cookie", "net.peercookie", CU64, ColN1, Number, Public, Kernel, "unix sockets: cookie of the peer, 0 when it has none yet"},
		{"path", "net.path", CBytes, ColPath, Path, Locator, Kernel, "unix sockets: name bound to either end; a first byte @ stands for the abstract NUL"},
	}, other("net.peer", "unix sockets: process at the other end as it connected, listened or made the pair"))},
	{SockTotal, "sock_total", "net", Bulk, 1, "Running totals of a UDP flow since t0: of several rows with one t0 the last speaks.", join(tuple(), []Field{
		{"t0", "net.since", CU64, ColT0, BootNS, Public, Kernel, "first datagram"},
		{"last", "net.last", CU64, ColN2, BootNS, Public, Kernel, "last datagram"},
		{"bytes_in", "net.in", CU64, ColBytesIn, Bytes, Public, Kernel, "bytes received"},
		{"bytes_out", "net.out", CU64, ColBytesOut, Bytes, Public, Kernel, "bytes sent"},
		{"ops_in", "net.segsin", CU32, ColOpsIn, Count, Public, Kernel, "datagrams received"},
		{"ops_out", "net.segsout", CU32, ColOpsOut, Count, Public, Kernel, "datagrams sent"},
		{"reason", "io.reason", CU32, ColOp, Code, Public, Kernel, "1 interval, 2 table slot reused, 3 close, 5 sweep"},
	})},
	{Socket, "socket", "net", Bulk, 1, "A socket that existed when the recording or segment began.", join(tuple(), []Field{
		{"isn", "net.isn", CU64, ColISN, Number, Public, Kernel, "initial sequence numbers, own and peer"},
		{"state", "net.state", CU32, ColOp, Code, Public, Kernel, "TCP state number; 7 for unconnected UDP"},
		{"ino", "net.ino", CU64, ColIno, InodePart, Public, Kernel, "inode of the socket"},
		{"bytes_in", "net.in", CU64, ColBytesIn, Bytes, Public, Kernel, "payload bytes received so far"},
		{"bytes_out", "net.out", CU64, ColBytesOut, Bytes, Public, Kernel, "payload bytes acknowledged so far"},
		{"peer_ino", "net.peerino", CU64, ColIno2, InodePart, Public, Kernel, "unix sockets: inode of the peer"},
		{"peer_cookie", "net.peercookie", CU64, ColN1, Number, Public, Kernel, "unix sockets: cookie of the peer"},
		{"sock_type", "net.type", CU32, ColN2, Code, Public, Kernel, "1 stream, 2 datagram, 3 raw, 5 seqpacket"},
		{"path", "net.path", CBytes, ColPath, Path, Locator, Kernel, "unix sockets: bound name; a first byte @ stands for the abstract NUL"},
	})},
	{Bind, "bind", "net", Critical, 2, "A socket was given a local address, or refused one; ret is the result. A refused row has the address or name asked for, which is claimed.", join(tuple(), []Field{
		{"ino", "net.ino", CU64, ColIno, InodePart, Public, Kernel, "inode of the socket"},
		{"sock_type", "net.type", CU32, ColN2, Code, Public, Kernel, "1 stream, 2 datagram, 3 raw, 5 seqpacket, 10 packet"},
		{"asked_port", "net.askedport", CPort, ColN3, Port, Public, Claimed, "port asked for: 0 lets the kernel choose"},
		{"path", "net.path", CBytes, ColPath, Path, Locator, Kernel, "unix sockets: bound name; a first byte @ stands for the abstract NUL"},
	})},
	{SocketNew, "socket_new", "net", Bulk, 2, "A socket was made; ret is its descriptor. The standard profile tells those that TCP, UDP and unix rows would not.", []Field{
		{"cookie", "net.cookie", CU64, ColCookie, Number, Public, Kernel, "socket cookie, 0 when it has none yet"},
		{"netns", "net.netns", CU32, ColNetNS, NSInode, Public, Kernel, "network namespace"},
		{"family", "net.family", CU8, ColFamily, Code, Public, Kernel, "address family"},
		{"proto", "net.proto", CU8, ColProto, Code, Public, Kernel, "IP protocol"},
		{"ino", "net.ino", CU64, ColIno, InodePart, Public, Kernel, "inode of the socket"},
		{"sock_type", "net.type", CU32, ColN2, Code, Public, Kernel, "1 stream, 2 datagram, 3 raw, 5 seqpacket, 10 packet"},
		{"protocol", "net.protocol", CU32, ColN3, Number, Public, Kernel, "protocol asked for; an ethernet type for packet sockets"},
	}},
	{UnixConn, "unix_conn", "net", Bulk, 2, "A unix socket was connected, or one was accepted; ret is the result or descriptor.", join([]Field{
		{"op", "net.op", CU32, ColOp, Code, Public, Kernel, "1 connect, 2 accept"},
		{"cookie", "net.cookie", CU64, ColCookie, Number, Public, Kernel, "cookie of the actor's end, 0 when it has none yet"},
		{"netns", "net.netns", CU32, ColNetNS, NSInode, Public, Kernel, "network namespace"},
		{"family", "net.family", CU8, ColFamily, Code, Public, Kernel, "address family"},
		{"ino", "net.ino", CU64, ColIno, InodePart, Public, Kernel, "inode of the actor's end"},
		{"peer_ino", "net.peerino", CU64, ColIno2, InodePart, Public, Kernel, "inode of the other end, 0 until it is accepted"},
		{"peer_cookie", "net.peercookie", CU64, ColN1, Number, Public, Kernel, "cookie of the other end"},
		{"sock_type", "net.type", CU32, ColN2, Code, Public, Kernel, "1 stream, 2 datagram, 5 seqpacket"},
		{"path", "net.path", CBytes, ColPath, Path, Locator, Kernel, "name the listener is bound to; a first byte @ stands for the abstract NUL"},
	}, other("net.peer", "process at the other end: who listened, or who connected"))},
	{ConnectDenied, "connect_denied", "net", Critical, 2, "A connect was refused before anything was sent; ret is the errno. The remote end is what was asked for.", join(claimed(tuple(), "raddr", "rport"), []Field{
		{"path", "net.path", CBytes, ColPath, Path, Locator, Claimed, "unix sockets: name asked for; a first byte @ stands for the abstract NUL"},
		{"sock_type", "net.type", CU32, ColN2, Code, Public, Kernel, "1 stream, 2 datagram, 3 raw, 5 seqpacket"},
	})},

	{Module, "module", "security", Critical, 2, "A kernel module was loaded or removed.", join(object("file"), []Field{
		{"op", "module.op", CU32, ColOp, Code, Public, Kernel, "1 load from memory, 2 load from a file, 3 remove, 4 loaded, told by the kernel, 5 kexec load, 6 kexec from a file, 7 removed, told by the kernel"},
		{"path", "file.path", CPath, ColPath, Path, Locator, Kernel, "file it was loaded from"},
		{"name", "module.name", CBytes, ColText, Name, Naming, Claimed, "name; its parameters for 1 and 2, the command line for 6. The kernel's for 4 and 7"},
		{"module_flags", "module.flags", CU32, ColN1, Code, Public, Kernel, "flags of the call"},
		{"size", "module.size", CU64, ColN2, Bytes, Public, Kernel, "bytes, when loaded from memory"},
	})},
	{BPF, "bpf", "security", Critical, 2, "A bpf call that loads, attaches, detaches, pins or changes something; ret is the result.", []Field{
		{"cmd", "bpf.cmd", CU32, ColOp, Code, Public, Kernel, "command of the call; 1001 a program put on a perf event by ioctl"},
		{"object", "bpf.object", CU32, ColN1, Code, Public, Kernel, "what the id speaks of: 1 program, 2 map, 3 link, 4 type information"},
		{"bpf_id", "bpf.id", CU32, ColN2, Number, Public, Kernel, "id of the object in the kernel, 0 when none was made"},
		{"kind", "bpf.kind", CU32, ColN3, Code, Public, Kernel, "program, map or link type"},
		{"attach_type", "bpf.attach", CU32, ColN4, Code, Public, Claimed, "attach type asked for"},
		{"tag", "bpf.tag", CU64, ColN5, Number, Public, Kernel, "tag of a program: first eight bytes of the digest of its instructions"},
		{"prog_id", "bpf.prog", CU32, ColN6, Number, Public, Kernel, "program of a link, or that a map was bound to"},
		{"name", "bpf.name", CBytes, ColText, Name, Naming, Kernel, "name of the object, of its program when it is a link; as it was asked for when none was made"},
		{"path", "file.path", CBytes, ColPath, Path, Locator, Claimed, "where it is pinned, or the tracepoint asked for"},
		{"own", "bpf.own", CU32, ColN7, Code, Public, Kernel, "1 when the object belongs to the recorder"},
	}},
	{PerfEvent, "perf_event", "security", Critical, 2, "perf_event_open; ret is the descriptor.", join([]Field{
		{"kind", "perf.type", CU32, ColOp, Code, Public, Claimed, "event type: 0 hardware, 1 software, 2 tracepoint, 4 raw, 5 breakpoint, others dynamic"},
		{"config", "perf.config", CU64, ColN1, Number, Public, Claimed, "which event"},
		{"perf_cpu", "perf.cpu", CS32, ColN2, Number, Public, Kernel, "cpu, -1 for all"},
		{"perf_flags", "perf.flags", CU64, ColN3, Code, Public, Kernel, "flags of the call"},
		{"sample_type", "perf.sample", CU64, ColN4, Code, Public, Claimed, "what samples hold"},
	}, other("perf", "process watched"))},
	{Mount, "mount", "security", Critical, 2, "The tree of mounts, or where a process sees its root, was changed.", []Field{
		{"op", "mount.op", CU32, ColOp, Code, Public, Kernel, "0 found, 1 mount, 2 umount, 3 move_mount, 4 pivot_root, 5 chroot, 6 fsopen, 7 fsmount, 8 open_tree, 9 mount_setattr, 10 fsconfig, 11 appeared, 12 disappeared, 13 fspick"},
		{"path", "mount.target", CClaimed, ColPath, Path, Locator, Claimed, "mount point or new root"},
		{"source", "mount.source", CClaimed, ColPath2, Path, Locator, Claimed, "device, directory or tree mounted; old root of pivot_root. Found, appeared, disappeared: device, and [directory within it] when that is not its root"},
		{"fstype", "mount.type", CBytes, ColText, Name, Naming, Claimed, "type of file system"},
		{"data", "mount.data", CBytes, ColText2, Name, Content, Claimed, "options as text, key=value of fsconfig; found, appeared: options of the mount; of the file system"},
		{"mount_flags", "mount.flags", CU64, ColN1, Code, Public, Kernel, "flags of the call"},
		{"mount_id", "mount.id", CU64, ColN2, Number, Public, Kernel, "mount id, 0 when not known"},
		{"parent_id", "mount.parent", CU64, ColN3, Number, Public, Kernel, "mount it is mounted on"},
		{"mntns", "mount.ns", CU32, ColN4, NSInode, Public, Kernel, "mount namespace"},
		{"dev", "mount.dev", CDev, ColDev, InodePart, Public, Kernel, "device of the file system"},
		{"attr_set", "mount.attrset", CU64, ColN5, Code, Public, Claimed, "attributes that fsmount and mount_setattr set"},
		{"attr_clr", "mount.attrclr", CU64, ColN6, Code, Public, Claimed, "attributes that mount_setattr clears"},
		{"propagation", "mount.propagation", CU64, ColN7, Code, Public, Claimed, "propagation that mount_setattr asks for"},
		{"t0", "mount.since", CU64, ColT0, BootNS, Public, Kernel, "appeared, disappeared: when the list was read before, and did not show it yet"},
	}},
	{ClockSet, "clock_set", "security", Critical, 2, "The wall clock was set or steered. Clock rows around it give the offsets before and after.", []Field{
		{"call", "clock.call", CU32, ColOp, Code, Public, Kernel, "system call number"},
		{"clock_id", "clock.id", CS32, ColN1, Code, Public, Kernel, "clock"},
		{"asked", "clock.asked", CS64, ColN2, WallNS, Public, Claimed, "time or offset asked for, ns"},
		{"modes", "clock.modes", CU32, ColN3, Code, Public, Claimed, "adjtimex modes"},
	}},
	{Cgroup, "cgroup", "security", Bulk, 2, "A cgroup was made, removed, renamed or frozen, or a process moved into it.", join([]Field{
		{"op", "cgroup.op", CU32, ColOp, Code, Public, Kernel, "0 found, 1 made, 2 removed, 3 renamed, 4 process moved in, 5 frozen, 6 thawed"},
		{"path", "cgroup.path", CBytes, ColPath, Path, Locator, Kernel, "path below the root of the hierarchy"},
		{"cgroup_id", "cgroup.id", CU64, ColN1, Number, Public, Kernel, "id of the cgroup"},
		{"level", "cgroup.level", CS32, ColN2, Number, Public, Kernel, "depth below the root"},
		{"hierarchy", "cgroup.hierarchy", CS32, ColN3, Number, Public, Kernel, "0 for cgroup2, others are version 1"},
	}, other("cgroup", "process moved"))},
	{IOUring, "io_uring", "security", Bulk, 2, "A request made through io_uring; ret is its result. What it did to files and sockets is told by their own rows too, flagged io_uring.", join(object("file"), []Field{
		{"opcode", "uring.op", CU32, ColOp, Code, Public, Kernel, "io_uring opcode, 255 when it is not known"},
		{"user_data", "uring.data", CU64, ColN1, Number, Public, Kernel, "the program's own number for the request"},
		{"ring", "uring.ring", CU64, ColN2, Number, Public, Kernel, "the ring, a number that stands for it while it lives"},
		{"uring_flags", "uring.flags", CU32, ColN3, Code, Public, Kernel, "1 submitted by the polling thread, 2 completed by a worker, 4 submission was not seen or was refused, 8 the program asked for no answer on success: told as submitted, 16 the answer found the ring full, 32 fd counts the ring's own table"},
		{"offset", "io.off", CS64, ColN4, Bytes, Public, Kernel, "offset"},
		{"length", "uring.len", CU64, ColN5, Bytes, Public, Kernel, "length or flags of the request"},
		{"fd", "file.fd", CS32, ColFD, Number, Public, Kernel, "descriptor"},
		{"path", "file.path", CBytes, ColPath, Path, Locator, Kernel, "name, the kernel's copy"},
		{"new_path", "file.newpath", CBytes, ColPath2, Path, Locator, Kernel, "second name, the kernel's copy"},
		{"t0", "uring.since", CU64, ColT0, BootNS, Public, Kernel, "when it was submitted"},
		{"cookie", "net.cookie", CU64, ColCookie, Number, Public, Kernel, "socket cookie when it is a socket"},
	}, other("uring", "thread that submitted it"))},
	{Syscall, "syscall", "security", Bulk, 2, "Any system call that no other event tells; forensic profile only.", []Field{
		{"call", "syscall.nr", CU32, ColOp, Code, Public, Kernel, "number, of the 32-bit table when the row is flagged compat"},
		{"arg1", "syscall.arg1", CU64, ColN1, Number, Public, Kernel, "first argument"},
		{"arg2", "syscall.arg2", CU64, ColN2, Number, Public, Kernel, "second argument"},
		{"arg3", "syscall.arg3", CU64, ColN3, Number, Public, Kernel, "third argument"},
		{"arg4", "syscall.arg4", CU64, ColN4, Number, Public, Kernel, "fourth argument"},
		{"arg5", "syscall.arg5", CU64, ColN5, Number, Public, Kernel, "fifth argument"},
		{"arg6", "syscall.arg6", CU64, ColN6, Number, Public, Kernel, "sixth argument"},
	}},

	{Ledger, "ledger", "recorder", NoRing, 1, "Events known to be lost: class, count, cause, cpu, from t0 to ts.", []Field{
		{"class", "ledger.class", CNone, ColN1, Code, Public, Derived, "event id that was lost, 0 for any"},
		{"count", "ledger.count", CNone, ColN2, Count, Public, Derived, "how many"},
		{"t0", "ledger.since", CNone, ColT0, BootNS, Public, Derived, "last moment known to be whole"},
		{"cause", "ledger.cause", CNone, ColText, Name, Public, Derived, "ring_full, recursion, map_full, read_fault, nested, decode, disk, downtime, quota, cpu limit, spill, unaccounted; with quota and cpu limit the row's cgroup is whose events were only counted"},
		{"detail", "ledger.detail", CNone, ColText2, Name, Public, Derived, "where"},
	}},
	{Coverage, "coverage", "recorder", NoRing, 1, "Whether a hook was attached, in which tier, and what its absence costs.", []Field{
		{"hook", "coverage.hook", CNone, ColText, Name, Public, Derived, "hook"},
		{"attached", "coverage.attached", CNone, ColN1, Code, Public, Derived, "1 attached, 0 not"},
		{"tier", "coverage.tier", CNone, ColOp, Code, Public, Derived, "1 tracepoint, 2 LSM or fentry, 3 kprobe"},
		{"detail", "coverage.detail", CNone, ColText2, Name, Public, Derived, "events it feeds; when not attached, why and what cannot be seen"},
		{"events", "coverage.events", CNone, ColN2, Code, Public, Derived, "bit set of event ids that depend on it"},
		{"why", "coverage.why", CNone, ColN3, Code, Public, Derived, "0 attached, 1 refused by the kernel, 2 left out by the profile, 3 left out when asked, 4 this kernel has nothing for it to see, 5 no hook of this version sees it, 6 told by a hook of another tier"},
	}},
	{Recorder, "recorder", "recorder", NoRing, 1, "Something the recorder did: start, stop, snapshot begin or end, segment.", []Field{
		{"action", "recorder.action", CNone, ColText, Name, Public, Derived, "what"},
		{"detail", "recorder.detail", CNone, ColText2, Name, Public, Derived, "with what"},
		{"number", "recorder.number", CNone, ColN1, Number, Public, Derived, "a count where there is one"},
		{"t0", "recorder.since", CNone, ColT0, BootNS, Public, Derived, "since when, of rows that speak of a time without a recorder"},
	}},
	{Clock, "clock", "recorder", NoRing, 1, "A reading of both clocks.", []Field{
		{"wall", "clock.wall", CNone, ColN1, WallNS, Public, Derived, "wall clock at ts"},
	}},
}

// mapped returns the fields of a mapping.
func mapped() []Field {
	return []Field{
		{"path", "file.path", CPath, ColPath, Path, Locator, Kernel, "path, walked from the mapped object"},
		{"prot", "mmap.prot", CU32, ColOp, Prot, Public, Kernel, "protection"},
		{"map_flags", "mmap.flags", CU32, ColN1, Code, Public, Kernel, "mapping flags"},
		{"addr", "mmap.addr", CU64, ColN2, Number, Public, Kernel, "address"},
		{"length", "mmap.len", CU64, ColN3, Bytes, Public, Kernel, "length"},
		{"offset", "mmap.off", CU64, ColN4, Bytes, Public, Kernel, "offset in the file"},
	}
}

func ioFields() []Field {
	return join(object("file"), []Field{
		{"path", "file.path", CPath, ColPath, Path, Locator, Kernel, "path; empty for pipes and other nameless objects"},
		{"fd", "file.fd", CS32, ColFD, Number, Public, Kernel, "descriptor"},
		{"method", "io.method", CU32, ColN1, Method, Public, Kernel, "number of the method: 0 read or write, 1 vector, 2 positioned, 3 sendfile, 4 splice, 5 copy_file_range, 6 io_uring"},
		{"offset", "io.off", CU64, ColN2, Bytes, Public, Kernel, "file position after the call"},
		{"thread_start", "io.tstart", CU64, ColN5, BootNS, Public, Kernel, "start of the thread"},
		{"period", "io.period", CU64, ColN3, BootNS, Public, Kernel, "t0 of the totals that count this operation too"},
	})
}

// MethodNames names the I/O methods, by number.
var MethodNames = []string{"read/write", "vector", "positioned", "sendfile", "splice", "copy_file_range", "io_uring"}

// ByID returns the event with that id, or nil.
func ByID(t Type) *Event {
	if int(t) < len(byID) {
		return byID[t]
	}
	return nil
}

// ByName returns the event with that name, or nil.
func ByName(name string) *Event {
	for i := range Catalog {
		if Catalog[i].Name == name {
			return &Catalog[i]
		}
	}
	return nil
}

// Field returns the field with that name, or nil.
func (e *Event) Field(name string) *Field {
	for i := range e.Fields {
		if e.Fields[i].Name == name {
			return &e.Fields[i]
		}
	}
	return nil
}

func (t Type) String() string {
	if e := ByID(t); e != nil {
		return e.Name
	}
	return "unknown"
}

// MaxType is one more than the largest event id.
const MaxType = 64

var byID = func() (m [MaxType]*Event) {
	for i := range Catalog {
		m[Catalog[i].ID] = &Catalog[i]
	}
	return m
}()

// common is the set of columns that every row has.
const common uint64 = 1<<ColTS | 1<<ColType | 1<<ColFlags | 1<<ColCPU | 1<<ColTID | 1<<ColPID | 1<<ColPStart |
	1<<ColImage | 1<<ColCred | 1<<ColCgroup | 1<<ColRet | 1<<ColComm | 1<<ColMarks

var has = func() (m [MaxType]uint64) {
	for i := range m {
		m[i] = common
	}
	for _, e := range Catalog {
		for _, f := range e.Fields {
			m[e.ID] |= 1 << f.Col
		}
	}
	return m
}()

// added lists the fields that events of an older version got later. Fields are appended, because
// marks count the byte fields of an event in order.
var added = []struct {
	version int
	event   Type
	fields  []string
}{
	{2, Exec, []string{"script_dev", "script_ino", "script_gen", "argv_tail", "argv_hash", "env", "env_len", "env_hash"}},
	{2, Process, []string{"argv_tail", "argv_hash", "env", "env_len", "env_hash"}},
	{2, FirstRead, []string{"period"}},
	{2, FirstWrite, []string{"period"}},
	{2, CredChange, []string{"t0", "detail"}},
	{2, Recorder, []string{"t0"}},
	{2, Rename, []string{"dev", "ino", "gen", "mode", "over_dev", "over_ino", "over_gen"}},
	{2, Link, []string{"dev", "ino", "gen", "mode"}},
	{2, Symlink, []string{"dev", "ino", "gen", "mode"}},
	{2, Unlink, []string{"dev", "ino", "gen", "mode", "nlink"}},
	{2, Mkdir, []string{"dev", "ino", "gen", "rdev"}},
	{2, Chmod, []string{"old_perm"}},
	{2, Chown, []string{"old_owner", "old_group"}},
	{2, Truncate, []string{"old_size"}},
	{2, SockFirst, []string{"peer_cookie", "path", "target_pid", "target_start", "target_tid"}},
	{2, Coverage, []string{"why"}},
	{2, Socket, []string{"peer_ino", "peer_cookie", "sock_type", "path"}},
}

// FieldSince returns the version of the catalogue that gave the event the field.
func (e *Event) FieldSince(name string) int {
	for _, a := range added {
		if a.event == e.ID && slices.Contains(a.fields, name) {
			return a.version
		}
	}
	return e.Since
}

// later holds, per version and event, the columns that only newer versions fill.
var later = func() (m [Version][MaxType]uint64) {
	for _, a := range added {
		var cols uint64
		for _, f := range ByID(a.event).Fields {
			if !slices.Contains(a.fields, f.Name) {
				continue
			}
			cols |= 1 << f.Col
		}
		for v := range a.version {
			m[v][a.event] |= cols
		}
	}
	return m
}()

// Later returns the columns, as bits, that rows of the type had not yet in an older version of
// the catalogue: in its segments they hold nothing.
func (t Type) Later(version int) uint64 {
	if t < MaxType && version < Version {
		return later[version][t]
	}
	return 0
}

// Has returns the set of columns, as bits, that rows of the type fill; the others are null.
func (t Type) Has() uint64 {
	if t < MaxType {
		return has[t]
	}
	return common
}
