package event

// Why a hook does not run: the values of coverage.why.
const (
	WhyRuns    = iota // it does
	WhyRefused        // refused by the kernel
	WhyProfile        // left out by the profile
	WhyAsked          // left out when asked
	WhyNothing        // this kernel has nothing for it to see
	WhyBlind          // no hook of this version sees it
	WhyTier           // told by a hook of another tier
)

// Codes names the values of small codes, by the field's name in the filter language; the value is
// the place in the list, and empty places have no name.
var Codes = map[string][]string{
	"coverage.why": {"runs", "refused", "profile", "asked", "nothing", "blind", "tier"},
	"session.op":   {1: "setsid", 2: "setpgid", 3: "subreaper_set", 4: "subreaper_cleared"},
	"ns.type":      {1: "mnt", 2: "pid", 3: "net", 4: "user", 5: "uts", 6: "ipc", 7: "cgroup", 8: "time"},
	"access.op": {1: "ptrace", 2: "process_vm_readv", 3: "process_vm_writev", 4: "mem_read", 5: "mem_write", 6: "pidfd_getfd",
		7: "process_madvise", 8: "pidfd_open", 9: "kcmp"},
	"mismatch.kind": {1: "name", 2: "changed", 3: "address", 4: "program"},
	"attr.op":       {1: "setxattr", 2: "removexattr", 3: "times", 4: "fallocate", 5: "flags"},
	"fd.kind": {1: "pipe", 2: "socketpair", 3: "memfd", 4: "memfd_secret", 5: "userfaultfd", 6: "inotify", 7: "fanotify", 8: "pidfd",
		9: "eventfd", 10: "signalfd", 11: "timerfd", 12: "epoll"},
	"fd.how":    {1: "received", 2: "sent", 3: "pidfd_getfd", 4: "seccomp"},
	"net.op":    {1: "connect", 2: "accept"},
	"net.type":  {1: "stream", 2: "dgram", 3: "raw", 4: "rdm", 5: "seqpacket", 10: "packet"},
	"module.op": {1: "load", 2: "load_file", 3: "remove", 4: "loaded", 5: "kexec", 6: "kexec_file", 7: "removed"},
	"bpf.cmd": {"map_create", "map_lookup", "map_update", "map_delete", "map_next_key", "prog_load", "obj_pin", "obj_get", "prog_attach", "prog_detach",
		"prog_test_run", "prog_next_id", "map_next_id", "prog_by_id", "map_by_id", "info", "prog_query", "raw_tracepoint_open", "btf_load", "btf_by_id", "task_fd_query",
		"map_lookup_and_delete", "map_freeze", "btf_next_id", "map_lookup_batch", "map_lookup_and_delete_batch", "map_update_batch", "map_delete_batch",
		"link_create", "link_update", "link_by_id", "link_next_id", "enable_stats", "iter_create", "link_detach", "prog_bind_map", "token_create"},
	"bpf.object": {1: "program", 2: "map", 3: "link", 4: "btf"},
	"mount.op": {"found", "mount", "umount", "move_mount", "pivot_root", "chroot", "fsopen", "fsmount", "open_tree", "mount_setattr", "fsconfig", "appeared",
		"disappeared", "fspick"},
	"cgroup.op": {"found", "made", "removed", "renamed", "moved_in", "frozen", "thawed"},
	"uring.op": {"nop", "readv", "writev", "fsync", "read_fixed", "write_fixed", "poll_add", "poll_remove", "sync_file_range", "sendmsg", "recvmsg", "timeout",
		"timeout_remove", "accept", "async_cancel", "link_timeout", "connect", "fallocate", "openat", "close", "files_update", "statx", "read", "write", "fadvise", "madvise",
		"send", "recv", "openat2", "epoll_ctl", "splice", "provide_buffers", "remove_buffers", "tee", "shutdown", "renameat", "unlinkat", "mkdirat", "symlinkat", "linkat",
		"msg_ring", "fsetxattr", "setxattr", "fgetxattr", "getxattr", "socket", "uring_cmd", "send_zc", "sendmsg_zc", "read_multishot", "waitid", "futex_wait", "futex_wake",
		"futex_waitv", "fixed_fd_install", "ftruncate", "bind", "listen", "recv_zc", "epoll_wait", "readv_fixed", "writev_fixed", "pipe"},
}
