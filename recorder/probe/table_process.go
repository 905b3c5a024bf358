package probe

// processTable lists the hooks that see how processes reach each other and change what the kernel keeps for them.
func processTable() []Entry {
	return nil
}
