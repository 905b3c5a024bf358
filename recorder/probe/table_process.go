package probe

import "hindcast/format/event"

const (
	relations = "sessions, names, parents and namespaces"
	accesses  = "access to other processes"
	controls  = "limits, filters and keys"
)

// processTable lists the hooks that see how processes reach each other and change what the kernel keeps for them.
func processTable() []Entry {
	t := []Entry{
		{Name: "hc_reparent", Group: relations, Feeds: types(event.Reparent), Minimal: true,
			Without: "who adopts the children of a process that ends: a parent is the one a process was born with"},
		{Name: "hc_fork_ns", Group: relations, Feeds: types(event.Namespace), Minimal: true,
			Without: "namespaces made for a child as it is created"},
		{Name: "hc_setsid", Group: relations, Feeds: types(event.Session), Minimal: true, Without: "sessions made"},
		{Name: "hc_setpgid", Group: relations, Feeds: types(event.Session), Minimal: true, Without: "process groups made and joined"},
		{Name: "hc_rename_task", Group: relations, Feeds: types(event.SetName), Without: "names that threads take or are given"},
	}
	add := func(group, what string, feeds event.Type, calls ...string) {
		for _, c := range calls {
			t = append(t, Entry{Name: "hc_" + c, Group: group, Feeds: types(feeds), Minimal: group == accesses, Without: what + " by " + c})
		}
	}
	add(accesses, "who traced, read, wrote or looked into another process", event.Access,
		"ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "process_madvise", "pidfd_open", "kcmp")
	add(controls, "filters, limits, keys and execution domains changed", event.Control,
		"seccomp", "keyctl", "add_key", "request_key", "prlimit64", "setrlimit", "personality", "iopl", "ioperm", "process_mrelease")
	for i := range t {
		switch t[i].Name {
		// calls that kernels are built without, that one architecture lacks, or that came later
		case "hc_kcmp", "hc_keyctl", "hc_add_key", "hc_request_key", "hc_iopl", "hc_ioperm", "hc_process_mrelease", "hc_process_madvise", "hc_pidfd_getfd", "hc_pidfd_open":
			t[i].Optional = true
		}
	}
	return t
}
