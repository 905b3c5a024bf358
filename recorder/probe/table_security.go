package probe

import "hindcast/format/event"

const (
	host    = "changes of the host"
	mounts  = "mounts"
	cgroups = "cgroups"
)

// securityTable lists the hooks that see changes of the host itself: modules, programs, mounts, clocks, cgroups.
func securityTable() (t []Entry) {
	add := func(group, without string, feeds event.Type, optional bool, names ...string) {
		for _, n := range names {
			t = append(t, Entry{Name: "hc_" + n, Group: group, Feeds: types(feeds), Minimal: group == host, Optional: optional, Without: without + n})
		}
	}
	add(host, "modules and kernels loaded or removed by ", event.Module, true, "init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load")
	t = append(t,
		Entry{Name: "hc_module_load", Group: host, Feeds: types(event.Module), Minimal: true, Optional: true,
			Without: "the kernel's own word that a module was loaded, and under which name"},
		Entry{Name: "hc_module_free", Group: host, Feeds: types(event.Module), Minimal: true, Optional: true,
			Without: "the kernel's own word that a module is gone"},
		Entry{Name: "hc_bpf", Group: host, Feeds: types(event.BPF), Minimal: true,
			Without: "programs loaded into the kernel, attached and detached, and whoever touches the recorder's own"},
		Entry{Name: "hc_perf_event_open", Group: host, Feeds: types(event.PerfEvent), Minimal: true,
			Without: "who samples, traces or sets breakpoints in whom"})
	add(host, "the wall clock set or steered by ", event.ClockSet, false, "settimeofday", "clock_settime", "adjtimex", "clock_adjtime")
	add(host, "the time asked for (the clock's own change is still told) by ", event.ClockSet, false, "enter_adjtimex", "enter_clock_adjtime")
	add(mounts, "who changed the tree of mounts (the change is still told by comparing the kernel's list) by ", event.Mount, false,
		"mount", "umount", "move_mount", "fsopen", "fsconfig", "fsmount", "fspick", "open_tree")
	add(mounts, "who changed the tree of mounts (the change is still told by comparing the kernel's list) by ", event.Mount, true, "mount_setattr", "open_tree_attr")
	add(mounts, "changes of a process's root by ", event.Mount, false, "chroot", "pivot_root")
	for _, c := range []struct{ name, without string }{
		{"mkdir", "cgroups made: their ids on other rows have no path until the next snapshot"},
		{"rmdir", "cgroups removed"},
		{"rename", "cgroups renamed"},
		{"attach", "processes moved into cgroups (their own rows still carry the cgroup)"},
		{"freeze", "who stopped the processes of a cgroup"},
		{"thaw", "who let the processes of a cgroup run again"},
	} {
		t = append(t, Entry{Name: "hc_cgroup_" + c.name, Group: cgroups, Feeds: types(event.Cgroup), Without: c.without})
	}
	return t
}
