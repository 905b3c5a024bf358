package probe

// securityTable lists the hooks that see changes of the host itself: modules, programs, mounts, clocks, cgroups.
func securityTable() []Entry {
	return nil
}
