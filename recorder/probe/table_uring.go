package probe

// uringTable lists the hooks that see io_uring and the 32-bit system call table.
func uringTable() []Entry {
	return nil
}
