package probe

import (
	"fmt"

	"hindcast/format/event"
)

// unit is what programs inside kernel functions tell together: all of them are attached, or none.
// Each is there twice, for tier L (fentry) and for tier K (kprobe); the first that loads and
// attaches runs, and where neither does, the hooks of the tracepoint tier tell the same events.
type unit struct {
	name  string
	group string
	feeds []event.Type
	funcs []string // both the beginning and the end of each
	entry []string // the beginning alone
	// lower tells that the hooks of the tracepoint tier stay, and tell only what is refused
	// before the function is reached. The others, replaced, are not attached at all.
	lower    bool
	replaces []string
	without  string
	trust    string // what that makes of the fields
	claimed  string // what the fields are worth when tracepoints tell them
	minimal  bool
	// helps tells that the unit feeds fields of other hooks' rows: without it they are poorer.
	helps bool
}

const (
	claimedNames = "names are what the program's memory held as the call ended, and no object is known unless a descriptor was given"
	kernelNames  = "names and objects are the kernel's, as the file system got them; 32-bit calls are seen too"
)

var units = []unit{
	{name: "commit_creds", group: credentials, feeds: types(event.CredChange), entry: []string{"commit_creds"}, lower: true, minimal: true,
		replaces: brackets("setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setfsuid", "setfsgid", "setgroups", "capset"),
		without:  "credentials that change without a call that is known to change them, as they change",
		trust:    "every change is told as the kernel makes it, whatever made it",
		claimed:  "changes are told as a call ends that is known to make them, others on the thread's next row"},
	{name: "vfs_unlink", group: names, feeds: types(event.Unlink), funcs: []string{"vfs_unlink", "vfs_rmdir"}, lower: true,
		without: "which object lost the name that was removed", trust: kernelNames, claimed: claimedNames},
	{name: "vfs_rename", group: names, feeds: types(event.Rename), funcs: []string{"vfs_rename"}, lower: true,
		without: "which object was renamed, and which one lost its name", trust: kernelNames, claimed: claimedNames},
	{name: "vfs_link", group: names, feeds: types(event.Link), funcs: []string{"vfs_link"}, lower: true,
		without: "which object got a second name", trust: kernelNames, claimed: claimedNames},
	{name: "vfs_symlink", group: names, feeds: types(event.Symlink), funcs: []string{"vfs_symlink"}, lower: true,
		without: "the inode of a symbolic link that is made", trust: kernelNames, claimed: claimedNames},
	{name: "vfs_mkdir", group: names, feeds: types(event.Mkdir), funcs: []string{"vfs_mkdir", "vfs_mknod", "vfs_create"}, lower: true,
		without: "the inode of a directory or special file that is made", trust: kernelNames, claimed: claimedNames},
	{name: "notify_change", group: names, feeds: types(event.Chmod, event.Chown, event.Truncate), funcs: []string{"notify_change"}, lower: true,
		without: "which object a changed attribute belongs to when a name was given, and its value before", trust: kernelNames, claimed: claimedNames},
	{name: "security_bprm_check", group: lineage, feeds: types(event.Exec), entry: []string{"security_bprm_check"}, minimal: true, helps: true,
		without: "which inode a script has that an interpreter runs", trust: "the script's inode is the one the kernel read",
		claimed: "the inode of a script is not known, only its name"},
}

// mountHooks say through which mount a name was reached. Kernels built without security
// hooks for paths do not have them; each is there on its own.
var mountHooks = []string{"path_unlink", "path_rmdir", "path_mkdir", "path_mknod", "path_symlink", "path_rename", "path_link",
	"path_chmod", "path_chown", "path_truncate", "file_truncate"}

func brackets(calls ...string) (out []string) {
	for _, c := range calls {
		out = append(out, "hc_enter_"+c, "hc_"+c)
	}
	return out
}

// programs returns the names of the unit's programs in a tier, l or k.
func (u *unit) programs(tier string) (out []string) {
	for _, f := range u.entry {
		out = append(out, "hc_"+tier+"_in_"+f)
	}
	for _, f := range u.funcs { // the end first: a call that is seen to begin is seen to end
		out = append(out, "hc_"+tier+"_out_"+f, "hc_"+tier+"_in_"+f)
	}
	return out
}

// tierTable lists the hooks inside kernel functions, where fentry or kprobe programs load.
func tierTable() (t []Entry) {
	for _, tier := range []string{"l", "k"} {
		for i := range units {
			u := &units[i]
			for _, name := range u.programs(tier) {
				t = append(t, Entry{Name: name, Group: u.group, Feeds: u.feeds, Without: u.without, Minimal: u.minimal, Trust: u.trust, Replaces: u.replaces, unit: u})
			}
		}
		for _, m := range mountHooks {
			t = append(t, Entry{Name: fmt.Sprintf("hc_%s_in_security_%s", tier, m), Group: names, Without: "through which mount a name was reached: its path ends at the root of the file system",
				Feeds: types(event.Rename, event.Link, event.Symlink, event.Unlink, event.Mkdir, event.Chmod, event.Chown, event.Truncate), Optional: true, mount: true})
		}
	}
	return append(t,
		Entry{Name: "hc_old_gone", Group: connections, Feeds: types(event.ConnClose), Minimal: true, old: true,
			Without: "room for new sockets in the table of owners, once it is full"},
		Entry{Name: "hc_old_cookie", Group: connections, Feeds: types(event.Connect, event.Listen, event.ConnClose), Minimal: true, old: true,
			Without: "cookies of sockets: their rows belong together only by address"},
		Entry{Name: "hc_old_cookies", Group: connections, Feeds: types(event.Accept, event.ConnClose), Minimal: true, old: true,
			Without: "cookies of accepted sockets: their rows belong together only by address"})
}
