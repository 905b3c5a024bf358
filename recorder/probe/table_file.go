package probe

import (
	"strings"

	"hindcast/format/event"
)

// absent lists calls that some kernels do not have: arm64 kernels those that others replaced, old
// kernels those that came late, and any kernel what it was built without.
var absent = map[string]bool{
	"dup2": true, "mknod": true, "utime": true, "utimes": true, "futimesat": true, "pipe": true, "inotify_init": true, "eventfd": true,
	"signalfd": true, "epoll_create": true, "close_range": true, "setxattrat": true, "removexattrat": true, "file_setattr": true,
	"memfd_secret": true, "userfaultfd": true, "fanotify_init": true, "pkey_mprotect": true, "shmat": true, "shmdt": true,
}

// fileTable lists the hooks that see files beyond opens, names and calls that move bytes.
func fileTable() (t []Entry) {
	call := func(e Entry, what string, calls ...string) {
		for _, c := range calls {
			e.Name, e.Without = "hc_"+c, what+" by "+strings.TrimPrefix(c, "enter_")
			e.Optional = absent[strings.TrimPrefix(c, "enter_")]
			t = append(t, e)
		}
	}
	t = append(t,
		Entry{Name: "hc_enter_close", Group: transfers, Feeds: types(event.Close, event.IO),
			Without: "totals at the moment a file is closed (they come within two seconds all the same), and, in the forensic profile, closes"})
	call(Entry{Group: transfers, Feeds: types(event.Close), Forensic: true}, "descriptors closed because others take their place", "enter_dup2", "enter_dup3")
	call(Entry{Group: transfers, Feeds: types(event.Close), Forensic: true}, "descriptors closed", "close_range")

	call(Entry{Group: names, Feeds: types(event.Mkdir)}, "device files, named pipes and plain files made", "mknod", "mknodat")
	attr := Entry{Group: names, Feeds: types(event.Attr)}
	call(attr, "extended attributes set", "setxattr", "lsetxattr", "fsetxattr", "setxattrat")
	call(attr, "extended attributes removed", "removexattr", "lremovexattr", "fremovexattr", "removexattrat")
	call(attr, "times set", "utimensat", "futimesat", "utimes", "utime")
	call(attr, "space given to files or taken from them", "fallocate")
	t = append(t, Entry{Name: "hc_ioctl", Group: names, Feeds: types(event.Attr, event.FDPassed, event.BPF),
		Without: "inode flags changed (immutable, append only), descriptors that a seccomp supervisor gives away, and programs put on perf events"})
	call(attr, "inode flags changed", "file_setattr")

	call(Entry{Group: mappings, Feeds: types(event.Mprotect, event.MmapWrite)}, "memory made executable, and mappings of files made writable,", "mprotect", "pkey_mprotect")
	call(Entry{Group: mappings, Feeds: types(event.Unmap)}, "the end of writable mappings of files", "munmap", "shmdt")
	call(Entry{Group: mappings, Feeds: types(event.Unmap, event.MmapWrite)}, "writable mappings of files moved", "mremap")
	call(Entry{Group: mappings, Feeds: types(event.MmapWrite)}, "memory shared with other processes", "shmat")
	t = append(t,
		Entry{Name: "hc_stores_fork", Group: mappings, Feeds: types(event.Unmap),
			Without: "the end of writable mappings of files that a process inherited"},
		Entry{Name: "hc_stores_exec", Group: mappings, Feeds: types(event.Unmap),
			Without: "nothing at first; a table fills up in time, and then the end of writable mappings of files"},
		Entry{Name: "hc_stores_exit", Group: mappings, Feeds: types(event.Unmap),
			Without: "nothing at first; a table fills up in time, and then the end of writable mappings of files"},
	)
	const dirty = "files changed by stores to a mapping, and by calls that no other hook sees (never seen so: tmpfs, memory files, direct writes)"
	t = append(t,
		Entry{Name: "hc_dirty", Group: mappings, Feeds: types(event.Dirty), Without: dirty},
		Entry{Name: "hc_dirty_old", Group: mappings, Feeds: types(event.Dirty), Without: dirty, InsteadOf: "hc_dirty"},
	)

	fresh := Entry{Group: opens, Feeds: types(event.FDNew)}
	call(fresh, "pipes made", "pipe", "pipe2")
	call(fresh, "pairs of sockets made", "socketpair")
	call(fresh, "memory files made", "memfd_create", "memfd_secret")
	call(fresh, "descriptors made", "userfaultfd", "fanotify_init")
	fresh.Forensic = true
	call(fresh, "descriptors made", "inotify_init", "inotify_init1", "eventfd", "eventfd2", "signalfd", "signalfd4", "timerfd_create", "epoll_create", "epoll_create1")
	t = append(t, Entry{Name: "hc_pidfd_open_fd", Group: opens, Feeds: types(event.FDNew), Forensic: true, Without: "descriptors made by pidfd_open"})

	passed := Entry{Group: opens, Feeds: types(event.FDPassed)}
	call(passed, "open files received from other processes", "recvmsg", "recvmmsg")
	call(passed, "open files sent to other processes", "sendmsg", "sendmmsg")
	return append(t, Entry{Name: "hc_pidfd_getfd_fd", Group: opens, Feeds: types(event.FDPassed),
		Without: "open files taken out of other processes by pidfd_getfd"})
}
