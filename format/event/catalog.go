package event

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
	Family string // process, file, net, recorder
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

	Listen    Type = 40
	Connect   Type = 41
	Accept    Type = 42
	ConnClose Type = 43
	SockFirst Type = 44
	SockTotal Type = 45
	Socket    Type = 46

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
	})},
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
		{"call", "cred.call", CU32, ColN2, Code, Public, Kernel, "system call number"},
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
	{FirstRead, "read", "file", Bulk, 1, "First read of a thread on an object since it was last reported; ret is the byte count.", ioFields()},
	{FirstWrite, "write", "file", Bulk, 1, "First write of a thread on an object since it was last reported; ret is the byte count.", ioFields()},
	{IO, "io", "file", Bulk, 1, "Running totals of a thread on an object since t0, first read and write included: of several rows with one t0 the last speaks.", join(object("file"), []Field{
		{"t0", "io.since", CU64, ColT0, BootNS, Public, Kernel, "first operation"},
		{"last", "io.last", CU64, ColN2, BootNS, Public, Kernel, "last operation"},
		{"bytes_in", "io.in", CU64, ColBytesIn, Bytes, Public, Kernel, "bytes read"},
		{"bytes_out", "io.out", CU64, ColBytesOut, Bytes, Public, Kernel, "bytes written"},
		{"ops_in", "io.reads", CU32, ColOpsIn, Count, Public, Kernel, "reads"},
		{"ops_out", "io.writes", CU32, ColOpsOut, Count, Public, Kernel, "writes"},
		{"methods", "io.methods", CU32, ColN1, Method, Public, Kernel, "bit set of methods used"},
		{"reason", "io.reason", CU32, ColOp, Code, Public, Kernel, "1 interval, 2 table slot reused, 3 exit, 4 exec, 5 sweep"},
		{"last_in", "io.lastin", CU64, ColN3, BootNS, Public, Kernel, "last read"},
		{"last_out", "io.lastout", CU64, ColN4, BootNS, Public, Kernel, "last write"},
		{"fork_gen", "io.tstart", CU64, ColN5, BootNS, Public, Kernel, "start of the thread"},
	})},
	{Rename, "rename", "file", Bulk, 1, "A name was changed.", []Field{
		{"path", "file.path", CClaimed, ColPath, Path, Locator, Claimed, "old name"},
		{"new_path", "file.newpath", CClaimed, ColPath2, Path, Locator, Claimed, "new name"},
		{"rename_flags", "file.flags", CU32, ColOp, Code, Public, Kernel, "renameat2 flags"},
	}},
	{Link, "link", "file", Bulk, 1, "A second name was made for an object.", []Field{
		{"path", "file.path", CClaimed, ColPath, Path, Locator, Claimed, "existing name"},
		{"new_path", "file.newpath", CClaimed, ColPath2, Path, Locator, Claimed, "new name"},
		{"link_flags", "file.flags", CU32, ColOp, Code, Public, Kernel, "linkat flags"},
	}},
	{Symlink, "symlink", "file", Bulk, 1, "A symbolic link was made.", []Field{
		{"target", "file.target", CBytes, ColText, Path, Locator, Claimed, "what it points to, as given"},
		{"new_path", "file.newpath", CClaimed, ColPath2, Path, Locator, Claimed, "the link"},
	}},
	{Unlink, "unlink", "file", Bulk, 1, "A name was removed.", []Field{
		{"path", "file.path", CClaimed, ColPath, Path, Locator, Claimed, "name removed"},
		{"unlink_flags", "file.flags", CU32, ColOp, Code, Public, Kernel, "512 (AT_REMOVEDIR) for a directory"},
	}},
	{Mkdir, "mkdir", "file", Bulk, 1, "A directory was made.", []Field{
		{"path", "file.path", CClaimed, ColPath, Path, Locator, Claimed, "the directory"},
		{"perm", "file.perm", CU32, ColMode, Mode, Public, Kernel, "mode asked for"},
	}},
	{Chmod, "chmod", "file", Bulk, 1, "Permissions were changed. Object fields are zero when the call gave a name.", join(object("file"), []Field{
		{"path", "file.path", CClaimed, ColPath, Path, Locator, Claimed, "name given, or path walked from the descriptor"},
		{"perm", "file.perm", CU32, ColN1, Mode, Public, Kernel, "mode asked for"},
	})},
	{Chown, "chown", "file", Bulk, 1, "Ownership was changed. Object fields are zero when the call gave a name.", join(object("file"), []Field{
		{"path", "file.path", CClaimed, ColPath, Path, Locator, Claimed, "name given, or path walked from the descriptor"},
		{"owner", "file.owner", CU32, ColN1, UserID, Public, Kernel, "new user"},
		{"group", "file.group", CU32, ColN2, GroupID, Public, Kernel, "new group"},
	})},
	{Truncate, "truncate", "file", Bulk, 1, "A file was cut or extended. Object fields are zero when the call gave a name.", join(object("file"), []Field{
		{"path", "file.path", CClaimed, ColPath, Path, Locator, Claimed, "name given, or path walked from the descriptor"},
		{"size", "file.size", CS64, ColN1, Bytes, Public, Kernel, "new size"},
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
	})},
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
	})},

	{Ledger, "ledger", "recorder", NoRing, 1, "Events known to be lost: class, count, cause, cpu, from t0 to ts.", []Field{
		{"class", "ledger.class", CNone, ColN1, Code, Public, Derived, "event id that was lost, 0 for any"},
		{"count", "ledger.count", CNone, ColN2, Count, Public, Derived, "how many"},
		{"t0", "ledger.since", CNone, ColT0, BootNS, Public, Derived, "last moment known to be whole"},
		{"cause", "ledger.cause", CNone, ColText, Name, Public, Derived, "ring_full, recursion, map_full, read_fault, decode, disk, downtime, unaccounted"},
		{"detail", "ledger.detail", CNone, ColText2, Name, Public, Derived, "where"},
	}},
	{Coverage, "coverage", "recorder", NoRing, 1, "Whether a hook was attached, in which tier, and what its absence costs.", []Field{
		{"hook", "coverage.hook", CNone, ColText, Name, Public, Derived, "hook"},
		{"attached", "coverage.attached", CNone, ColN1, Code, Public, Derived, "1 attached, 0 not"},
		{"tier", "coverage.tier", CNone, ColOp, Code, Public, Derived, "1 tracepoint, 2 LSM or fentry, 3 kprobe"},
		{"detail", "coverage.detail", CNone, ColText2, Name, Public, Derived, "events it feeds; when not attached, why and what cannot be seen"},
		{"events", "coverage.events", CNone, ColN2, Code, Public, Derived, "bit set of event ids that depend on it"},
	}},
	{Recorder, "recorder", "recorder", NoRing, 1, "Something the recorder did: start, stop, snapshot begin or end, segment.", []Field{
		{"action", "recorder.action", CNone, ColText, Name, Public, Derived, "what"},
		{"detail", "recorder.detail", CNone, ColText2, Name, Public, Derived, "with what"},
		{"number", "recorder.number", CNone, ColN1, Number, Public, Derived, "a count where there is one"},
	}},
	{Clock, "clock", "recorder", NoRing, 1, "A reading of both clocks.", []Field{
		{"wall", "clock.wall", CNone, ColN1, WallNS, Public, Derived, "wall clock at ts"},
	}},
}

func ioFields() []Field {
	return join(object("file"), []Field{
		{"path", "file.path", CPath, ColPath, Path, Locator, Kernel, "path; empty for pipes and other nameless objects"},
		{"fd", "file.fd", CS32, ColFD, Number, Public, Kernel, "descriptor"},
		{"method", "io.method", CU32, ColN1, Method, Public, Kernel, "number of the method: 0 read or write, 1 vector, 2 positioned, 3 sendfile, 4 splice, 5 copy_file_range"},
		{"offset", "io.off", CU64, ColN2, Bytes, Public, Kernel, "file position after the call"},
		{"thread_start", "io.tstart", CU64, ColN5, BootNS, Public, Kernel, "start of the thread"},
	})
}

// MethodNames names the I/O methods, by number.
var MethodNames = []string{"read/write", "vector", "positioned", "sendfile", "splice", "copy_file_range"}

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

// Has returns the set of columns, as bits, that rows of the type fill; the others are null.
func (t Type) Has() uint64 {
	if t < MaxType {
		return has[t]
	}
	return common
}
