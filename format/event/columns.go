package event

// Version is the version of the catalogue. It moves when an event, a field or a
// column is added; readers keep every older one.
const Version = 2

// Column numbers a column of the wide table. Numbers are part of the format.
type Column uint8

// Kind is the storage type of a column.
type Kind uint8

const (
	U8   Kind = iota // uint8
	U16              // uint16
	U32              // uint32
	U64              // uint64
	I32              // int32
	I64              // int64
	Time             // in memory: clock.Boot; on disk: timestamp[ns, UTC] = boot + the segment's offset
	Dict             // dictionary<uint32, binary>, replaced in every batch; bytes, never assumed UTF-8
)

// Width returns the bytes per row of the column's fixed buffer (a Dict column's is its index).
func (k Kind) Width() int {
	switch k {
	case U8:
		return 1
	case U16:
		return 2
	case U32, I32, Dict:
		return 4
	}
	return 8
}

func (k Kind) String() string {
	return [...]string{"uint8", "uint16", "uint32", "uint64", "int32", "int64", "timestamp", "dictionary"}[k]
}

// The columns of the wide table, in stored order. Common columns first, then those
// that families share; N1..N12 hold numbers whose meaning the event's field gives.
const (
	ColTS Column = iota
	ColType
	ColFlags
	ColCPU
	ColTID
	ColPID
	ColPStart
	ColImage
	ColCred
	ColCgroup
	ColRet
	ColComm
	ColMarks
	ColDev
	ColIno
	ColGen
	ColMode
	ColFD
	ColOp
	ColPath
	ColDev2
	ColIno2
	ColGen2
	ColPath2
	ColPath3
	ColOPID
	ColOStart
	ColOTID
	ColT0
	ColBytesIn
	ColBytesOut
	ColOpsIn
	ColOpsOut
	ColCookie
	ColNetNS
	ColFamily
	ColProto
	ColLAddr
	ColLPort
	ColRAddr
	ColRPort
	ColISN
	ColArgv
	ColText
	ColText2
	ColN1
	ColN2
	ColN3
	ColN4
	ColN5
	ColN6
	ColN7
	ColN8
	ColN9
	ColN10
	ColN11
	ColN12
	ColArgvTail
	ColEnv
	NumColumns
)

// ColumnInfo describes one column.
type ColumnInfo struct {
	Name string // Arrow field name
	Go   string // field of Row
	Kind Kind
	Doc  string
}

// ColumnTable describes every column, indexed by Column.
var ColumnTable = [NumColumns]ColumnInfo{
	ColTS:       {"ts", "TS", Time, "when the kernel saw it"},
	ColType:     {"type", "Type", U16, "event id, see the events page"},
	ColFlags:    {"flags", "Flags", U32, "Flag bits"},
	ColCPU:      {"cpu", "CPU", U16, "cpu the event was seen on"},
	ColTID:      {"tid", "TID", U32, "acting thread, in the initial pid namespace"},
	ColPID:      {"pid", "PID", U32, "acting process (thread group)"},
	ColPStart:   {"pstart", "PStart", U64, "start of the acting process, boottime ns: with pid its key"},
	ColImage:    {"image", "Image", U32, "exec number: changes with every exec of the process"},
	ColCred:     {"cred", "Cred", U32, "id of the credential set, defined by a cred row of the same segment"},
	ColCgroup:   {"cgroup", "Cgroup", U64, "cgroup v2 id of the acting thread"},
	ColRet:      {"ret", "Ret", I64, "result: what the call returned, negative errno on failure"},
	ColComm:     {"comm", "Comm", Dict, "name of the acting thread, a label a program can change"},
	ColMarks:    {"marks", "Marks", U32, "two bits per byte field of the event, in order: 0 whole, 1 truncated, 2 unreadable"},
	ColDev:      {"dev", "Dev", U32, "device of the object, as stat(2) encodes it"},
	ColIno:      {"ino", "Ino", U64, "inode number of the object"},
	ColGen:      {"gen", "Gen", U32, "inode generation of the object"},
	ColMode:     {"mode", "Mode", U32, "st_mode of the object"},
	ColFD:       {"fd", "FD", I32, "file descriptor number used"},
	ColOp:       {"op", "Op", U32, "flag set or small code of the call; the event's field says which"},
	ColPath:     {"path", "Path", Dict, "path of the object at the time"},
	ColDev2:     {"dev2", "Dev2", U32, "device of the second object"},
	ColIno2:     {"ino2", "Ino2", U64, "inode number of the second object"},
	ColGen2:     {"gen2", "Gen2", U32, "inode generation of the second object"},
	ColPath2:    {"path2", "Path2", Dict, "second path (new name, script)"},
	ColPath3:    {"path3", "Path3", Dict, "third path (working directory)"},
	ColOPID:     {"opid", "OPID", U32, "the other process: child, parent, target"},
	ColOStart:   {"ostart", "OStart", U64, "start of the other process, boottime ns"},
	ColOTID:     {"otid", "OTID", U32, "thread of the other process"},
	ColT0:       {"t0", "T0", Time, "start of the interval that the row speaks of"},
	ColBytesIn:  {"bytes_in", "BytesIn", U64, "bytes into the process (read, received)"},
	ColBytesOut: {"bytes_out", "BytesOut", U64, "bytes out of the process (written, sent)"},
	ColOpsIn:    {"ops_in", "OpsIn", U32, "operations or segments in"},
	ColOpsOut:   {"ops_out", "OpsOut", U32, "operations or segments out"},
	ColCookie:   {"cookie", "Cookie", U64, "socket cookie: with the boot id its key"},
	ColNetNS:    {"netns", "NetNS", U32, "inode number of the network namespace"},
	ColFamily:   {"family", "Family", U8, "address family (1 unix, 2 inet, 10 inet6)"},
	ColProto:    {"proto", "Proto", U8, "IP protocol (6 tcp, 17 udp)"},
	ColLAddr:    {"laddr", "LAddr", Dict, "local address, text"},
	ColLPort:    {"lport", "LPort", U16, "local port"},
	ColRAddr:    {"raddr", "RAddr", Dict, "remote address, text"},
	ColRPort:    {"rport", "RPort", U16, "remote port"},
	ColISN:      {"isn", "ISN", U64, "initial sequence numbers: own << 32 | peer; the mirrored pair is the other end"},
	ColArgv:     {"argv", "Argv", Dict, "arguments, NUL separated"},
	ColText:     {"text", "Text", Dict, "a name or message"},
	ColText2:    {"text2", "Text2", Dict, "a second name or message"},
	ColN1:       {"n1", "N1", I64, "number 1, meaning by event"},
	ColN2:       {"n2", "N2", I64, "number 2, meaning by event"},
	ColN3:       {"n3", "N3", I64, "number 3, meaning by event"},
	ColN4:       {"n4", "N4", I64, "number 4, meaning by event"},
	ColN5:       {"n5", "N5", I64, "number 5, meaning by event"},
	ColN6:       {"n6", "N6", I64, "number 6, meaning by event"},
	ColN7:       {"n7", "N7", I64, "number 7, meaning by event"},
	ColN8:       {"n8", "N8", I64, "number 8, meaning by event"},
	ColN9:       {"n9", "N9", I64, "number 9, meaning by event"},
	ColN10:      {"n10", "N10", I64, "number 10, meaning by event"},
	ColN11:      {"n11", "N11", I64, "number 11, meaning by event"},
	ColN12:      {"n12", "N12", I64, "number 12, meaning by event"},
	ColArgvTail: {"argv_tail", "ArgvTail", Dict, "end of arguments too long for argv"},
	ColEnv:      {"env", "Env", Dict, "environment, NUL separated"},
}

// Flag bits of a row.
const (
	FlagSnapshot    = 1 << 0  // describes a state found, not something that happened then
	FlagFailed      = 1 << 1  // the call failed; ret holds the negative errno
	FlagCompat      = 1 << 2  // made through the 32-bit system call table
	FlagIOUring     = 1 << 3  // made through io_uring
	FlagKThread     = 1 << 4  // the actor is a kernel thread
	FlagOwnerSock   = 1 << 5  // actor taken from socket storage, not from the running task
	FlagNoOwner     = 1 << 6  // actor unknown: pid, pstart, cred and cgroup are zero
	FlagRecorder    = 1 << 7  // made by the recorder, not by a kernel hook
	FlagCritical    = 1 << 8  // travelled in the reserved ring
	FlagThread      = 1 << 9  // speaks of a thread, not of the whole process
	FlagOwnerGuess  = 1 << 10 // actor inferred (listener of an accepted socket)
	FlagKernelNames = 1 << 11 // names and objects are the kernel's, where the catalogue says claimed
	FlagOverride    = 1 << 12 // the kernel acted with other credentials than the process's own
)

// FlagNames gives the flag bits their names, lowest bit first.
var FlagNames = []string{"snapshot", "failed", "compat", "io_uring", "kthread", "owner_sock", "no_owner", "recorder", "critical", "thread", "owner_guess", "kernel_names", "override"}
