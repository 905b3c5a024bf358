package probe

import "hindcast/format/event"

const (
	uring = "io_uring"
	calls = "every call"
)

// uringTable lists the hooks that see io_uring and the 32-bit system call table.
func uringTable() []Entry {
	done := types(event.IOUring, event.Open, event.OpenFailed, event.FirstRead, event.FirstWrite, event.IO, event.Rename, event.Link, event.Symlink,
		event.Unlink, event.Mkdir, event.Truncate, event.Accept, event.UnixConn)
	return []Entry{
		// the end before the beginning: a request that is noted is also told
		{Name: "hc_uring_complete", Group: uring, Feeds: done,
			Without: "files opened, read, written, named and removed, and connections taken, through io_uring"},
		{Name: "hc_uring_complete_old", Group: uring, Feeds: done, InsteadOf: "hc_uring_complete",
			Without: "files opened, read, written, named and removed, and connections taken, through io_uring"},
		{Name: "hc_uring_overflow", Group: uring, Feeds: done, Optional: true, // before 5.19 such answers pass with all others
			Without: "io_uring requests whose answer finds no room in the program's ring"},
		{Name: "hc_uring_submit", Group: uring, Feeds: done,
			Without: "which thread submitted an io_uring request, when, and with which names"},
		{Name: "hc_uring_submit_old", Group: uring, Feeds: done, InsteadOf: "hc_uring_submit",
			Without: "which thread submitted an io_uring request, when, and with which names"},
		{Name: "hc_calls", Group: calls, Feeds: types(event.Syscall), Forensic: true,
			Without: "calls that no other hook tells, and calls made through the 32-bit table"},
		{Name: "hc_calls_enter", Group: calls, Feeds: types(event.CredChange), Forensic: true,
			Without: "what changed by calls through the 32-bit table that must be seen as they begin: credentials, namespaces, closes, clocks"},
	}
}

// calls32 names the blind spot that every profile but forensic has, oldUDP that of old kernels.
const (
	calls32 = "32-bit calls"
	oldUDP  = "udp before 5.12"
)

// compat lists the events that calls make which have a second table of numbers, for 32-bit programs.
var compat = types(event.Open, event.OpenFailed, event.FirstRead, event.FirstWrite, event.IO, event.Rename, event.Link, event.Symlink, event.Unlink,
	event.Mkdir, event.Chmod, event.Chown, event.Truncate, event.MmapExec, event.CredChange, event.Accept)
