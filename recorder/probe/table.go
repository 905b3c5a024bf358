package probe

import (
	"strings"

	"hindcast/format/event"
)

// Entry describes a hook.
type Entry struct {
	Name     string // of the program
	Group    string // what doctor sums it up under
	Feeds    []event.Type
	Without  string // what cannot be seen without it
	Minimal  bool   // part of the minimal profile
	Forensic bool   // part of the forensic profile only
	// Optional tells that kernels exist which lack what this hook sees, not only the way to see
	// it: a call that came later, or that the kernel was built without. There nothing is missed.
	Optional bool
	// Before names the kernel version from which another hook tells the same, better: there this
	// one is not even loaded.
	Before string
	// InsteadOf names the hook that this one replaces on kernels that refuse the other: only
	// the first that loads of such a pair is attached, and the other is not missed.
	InsteadOf string
	// Replaces names the hooks of the tracepoint tier that need not be attached once this one is:
	// it tells the same events, nearer to what the kernel did. Where it does not load or attach,
	// they are attached as if it did not exist.
	Replaces []string
	// Trust says what this hook means for the fields it feeds, where that depends on the tier.
	Trust string

	unit  *unit // what the hook is attached with, in the tiers below tracepoints
	old   bool  // loaded on kernels before 5.12 alone
	mount bool  // notes the mount of what another hook tells
}

// Table lists every hook in the order in which they are attached.
//
// Lineage comes first, and within it the end before the beginning: exit, exec, fork. Whoever is
// seen to be born is then also seen to become another program and to end; a process whose birth
// was missed by a moment is still there when the snapshot is taken, or its exit is seen. The
// other order would leave processes that are born and never end. For the same reason the return
// of a call comes before its entry wherever both are needed. Then come credentials, connections,
// and the bulk of files. Hooks are detached in the opposite order.
var Table = table()

const (
	lineage     = "processes"
	credentials = "credentials"
	signals     = "signals"
	connections = "connections"
	flows       = "data over sockets"
	opens       = "file opens"
	transfers   = "file reads and writes"
	names       = "names and attributes"
	mappings    = "mappings"
	snapshots   = "state at start"
)

// Groups lists the groups in the order of the table.
var Groups = []string{lineage, credentials, relations, accesses, controls, connections, signals, opens, transfers, names, mappings, uring, calls, flows, host, mounts, cgroups, snapshots}

func types(t ...event.Type) []event.Type { return t }

func table() []Entry {
	t := []Entry{
		{Name: "hc_exit", Group: lineage, Feeds: types(event.Exit, event.IO), Minimal: true,
			Without: "ends of processes, their exit codes, and the last totals of what they read and wrote"},
		{Name: "hc_exit_old", Group: lineage, Feeds: types(event.Exit, event.IO), Minimal: true, InsteadOf: "hc_exit",
			Without: "ends of processes, their exit codes, and the last totals of what they read and wrote"},
		{Name: "hc_exec", Group: lineage, Feeds: types(event.Exec, event.IO), Minimal: true,
			Without: "which programs were run, with which arguments"},
		{Name: "hc_fork", Group: lineage, Feeds: types(event.Fork), Minimal: true,
			Without: "who created which process: trees have no edges"},
	}
	for _, c := range []string{"setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setfsuid", "setfsgid", "setgroups", "capset", "prctl", "unshare", "setns"} {
		w := "changes of credentials by " + c + " as they happen (they still show on the next row of the process)"
		feeds := types(event.CredChange)
		switch c {
		case "unshare", "setns":
			w = "namespaces entered or made by " + c + ", and " + w
			feeds = types(event.CredChange, event.Namespace)
		case "prctl":
			w = "what a process allowed or denied itself by prctl, and " + w
			feeds = types(event.CredChange, event.Control, event.Session)
		}
		t = append(t,
			Entry{Name: "hc_" + c, Group: credentials, Feeds: feeds, Minimal: true, Without: w},
			Entry{Name: "hc_enter_" + c, Group: credentials, Feeds: feeds, Minimal: true, Without: w})
	}
	t = append(t,
		Entry{Name: "hc_tcp_state", Group: connections, Feeds: types(event.Listen, event.Connect, event.ConnClose), Minimal: true,
			Without: "TCP listeners, outgoing connections, and the byte totals of connections"},
		Entry{Name: "hc_accept4", Group: connections, Feeds: types(event.Accept, event.UnixConn), Minimal: true,
			Without: "which process took an incoming connection by accept4"},
		Entry{Name: "hc_accept", Group: connections, Feeds: types(event.Accept, event.UnixConn), Minimal: true,
			Without: "which process took an incoming connection by accept"},
		Entry{Name: "hc_signal", Group: signals, Feeds: types(event.SignalSent),
			Without: "who sent a signal to whom"},
	)
	call := func(group, what string, feeds []event.Type, calls ...string) {
		for _, c := range calls {
			t = append(t, Entry{Name: "hc_" + c, Group: group, Feeds: feeds, Without: what + " by " + c})
		}
	}
	call(opens, "files opened or created", types(event.Open, event.OpenFailed), "openat", "open", "openat2", "creat")
	call(transfers, "what was read", types(event.FirstRead, event.IO), "read", "pread64", "readv", "preadv", "preadv2")
	call(transfers, "what was written", types(event.FirstWrite, event.IO), "write", "pwrite64", "writev", "pwritev", "pwritev2", "vmsplice")
	call(transfers, "what was copied between descriptors", types(event.FirstRead, event.FirstWrite, event.IO), "sendfile64", "splice", "tee", "copy_file_range")
	call(names, "names changed", types(event.Rename), "rename", "renameat", "renameat2")
	call(names, "second names made", types(event.Link), "link", "linkat")
	call(names, "symbolic links made", types(event.Symlink), "symlink", "symlinkat")
	call(names, "names removed", types(event.Unlink), "unlink", "unlinkat", "rmdir")
	call(names, "directories made", types(event.Mkdir), "mkdir", "mkdirat")
	call(names, "permissions changed", types(event.Chmod), "chmod", "fchmod", "fchmodat", "fchmodat2")
	call(names, "owners changed", types(event.Chown), "chown", "fchown", "lchown", "fchownat")
	call(names, "files cut or extended", types(event.Truncate), "truncate", "ftruncate")
	t = append(t,
		Entry{Name: "hc_ext4_unlink", Group: names, Feeds: types(event.InodeUnlink),
			Without: "which inode lost a removed or replaced name on ext4: removed names join their objects only by path"},
		Entry{Name: "hc_mmap", Group: mappings, Feeds: types(event.MmapExec, event.MmapWrite, event.Mprotect, event.Unmap),
			Without: "libraries, programs started through the loader, and files mapped so that stores change them"},
		Entry{Name: "hc_sock_release", Group: flows, Feeds: types(event.SockTotal),
			Without: "the last totals of UDP sockets that are closed between two sweeps"},
		Entry{Name: "hc_sock_send", Group: flows, Feeds: types(event.SockFirst, event.SockTotal),
			Without: "who sent on a socket, and all sending over UDP and unix sockets"},
		Entry{Name: "hc_sock_recv", Group: flows, Feeds: types(event.SockFirst, event.SockTotal),
			Without: "who received on a socket, and all receiving over UDP and unix sockets"},
	)
	for _, v := range []string{"4", "6"} {
		t = append(t,
			Entry{Name: "hc_sendmsg" + v, Group: flows, Feeds: types(event.SockFirst, event.SockTotal),
				Without: "to whom unconnected IPv" + v + " datagrams were sent"},
			Entry{Name: "hc_recvmsg" + v, Group: flows, Feeds: types(event.SockFirst, event.SockTotal),
				Without: "from whom unconnected IPv" + v + " datagrams came"})
	}
	for _, more := range [][]Entry{execTable(), processTable(), securityTable(), fileTable(), netTable(), uringTable(), tierTable()} {
		t = append(t, more...)
	}
	return append(t,
		Entry{Name: "hc_iter_task", Group: snapshots, Feeds: types(event.Process), Minimal: true,
			Without: "processes that were there before the recording, with their arguments"},
		Entry{Name: "hc_iter_task_noargs", Group: snapshots, Feeds: types(event.Process), Minimal: true, InsteadOf: "hc_iter_task",
			Without: "processes that were there before the recording"},
		Entry{Name: "hc_iter_file", Group: snapshots, Feeds: types(event.File),
			Without: "files and sockets that were open before the recording, and who holds them"},
		Entry{Name: "hc_iter_vma", Group: snapshots, Feeds: types(event.MmapExec, event.MmapWrite),
			Without: "files that were mapped executable, or shared and writable, before the recording"},
		Entry{Name: "hc_iter_tcp", Group: snapshots, Feeds: types(event.Socket), Minimal: true,
			Without: "TCP sockets that were there before the recording"},
		Entry{Name: "hc_iter_udp", Group: snapshots, Feeds: types(event.Socket), Minimal: true,
			Without: "UDP sockets that were there before the recording"},
		Entry{Name: "hc_iter_unix", Group: snapshots, Feeds: types(event.Socket),
			Without: "unix sockets that were there before the recording, with their names and other ends"},
		Entry{Name: "hc_iter_socket", Group: snapshots, Feeds: types(event.Socket),
			Without: "unix sockets of other network namespaces, and raw, packet and other rare sockets, that were there before the recording"},
		Entry{Name: "hc_iter_io", Group: transfers, Feeds: types(event.IO),
			Without: "totals that idle threads hold, until they read or write again or end"},
		Entry{Name: "hc_iter_udp_total", Group: flows, Feeds: types(event.SockTotal),
			Without: "totals of UDP flows that went quiet, until their socket is closed"},
	)
}

// Blind lists what no hook of this tier sees.
var Blind = []Entry{
	{Name: calls32, Feeds: compat,
		Without: "what is done through the 32-bit system call table (int 0x80, programs for i386 or arm) and shows only there: which files are opened, read and named, " +
			"permissions, owners, executable mappings, accepted connections, and changes of credentials as they happen. Still seen, below the table: programs run, processes made and ended, " +
			"signals, connections, data over sockets, io_uring, inodes that lose a name on ext4, inodes that are modified, and changed credentials on the next row"},
	{Name: oldUDP, Feeds: types(event.SockFirst, event.SockTotal),
		Without: "who sends and receives over UDP, with whom and how much: before 5.12 tracing programs have no storage on sockets"},
	{Name: "mapped files", Feeds: types(event.FirstRead, event.FirstWrite, event.IO),
		Without: "what is read through a mapping of a file, and how much is stored through one: mmap_write rows tell from when until when it may be, dirty rows when it was"},
}

// Lookup returns the entry of a program, or nil.
func Lookup(name string) *Entry {
	for i := range Table {
		if Table[i].Name == name {
			return &Table[i]
		}
	}
	return nil
}

// Tells names the events the hook feeds.
func (e *Entry) Tells() string {
	var s []string
	for _, t := range e.Feeds {
		s = append(s, t.String())
	}
	return strings.Join(s, ", ")
}

// Bits is the set of the events the hook feeds.
func (e *Entry) Bits() (set uint64) {
	for _, t := range e.Feeds {
		set |= 1 << t
	}
	return set
}

// Class is the event the hook feeds when it is only one, else 0.
func (e *Entry) Class() event.Type {
	if len(e.Feeds) == 1 {
		return e.Feeds[0]
	}
	return 0
}

// Sweep tells whether the hook is an iterator that collects totals, to be run again and again,
// rather than one that describes the host.
func (e *Entry) Sweep() bool { return e.Name == "hc_iter_io" || e.Name == "hc_iter_udp_total" }
