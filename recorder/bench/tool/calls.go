package tool

// The calls that rivals are told to watch: what hindcast's standard profile tells of, less
// what they cannot see at all (reads and writes it sums up, ends of connections, mappings).
var (
	processCalls = []string{"fork", "vfork", "clone", "clone3", "execve", "execveat", "exit", "exit_group"}
	fileCalls    = []string{"open", "openat", "openat2", "creat", "rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat",
		"unlink", "unlinkat", "mkdir", "mkdirat", "rmdir", "chmod", "fchmod", "fchmodat", "chown", "fchown", "lchown", "fchownat", "truncate", "ftruncate"}
	netCalls  = []string{"connect", "accept", "accept4", "bind"}
	credCalls = []string{"setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setgroups", "capset"}
	moreCalls = []string{"kill", "ptrace", "mount", "unshare", "setns", "init_module", "finit_module"}
)

func allCalls() (all []string) {
	for _, c := range [][]string{processCalls, fileCalls, netCalls, credCalls, moreCalls} {
		all = append(all, c...)
	}
	return all
}
