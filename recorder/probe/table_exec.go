package probe

import "hindcast/format/event"

// execTable lists the hooks that see execs beyond those that happen, and claims that differ from what was done.
func execTable() []Entry {
	var t []Entry
	for _, c := range []string{"execve", "execveat"} {
		t = append(t, Entry{Name: "hc_" + c, Group: lineage, Feeds: types(event.ExecFailed), Without: "programs that " + c + " refused to run"})
	}
	const claims = "strings that changed while a call ran, and names that led elsewhere, of "
	for _, c := range []string{"openat", "open", "openat2", "creat", "execve", "execveat"} {
		t = append(t,
			Entry{Name: "hc_" + c + "_claim", Group: opens, Feeds: types(event.Mismatch), Forensic: true, Without: claims + c},
			Entry{Name: "hc_enter_" + c, Group: opens, Feeds: types(event.Mismatch), Forensic: true, Without: claims + c})
	}
	return append(t, Entry{Name: "hc_exec_claim", Group: opens, Feeds: types(event.Mismatch), Forensic: true,
		Without: "strings of programs to run that changed while execve ran"})
}
