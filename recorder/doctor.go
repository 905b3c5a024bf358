//go:build linux && (amd64 || arm64)

package recorder

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"hindcast/bpf"
	"hindcast/recorder/probe"
	"hindcast/recorder/ring"
)

// Level is the outcome of a check.
type Level string

const (
	OK   Level = "ok"
	Warn Level = "warn" // recording works and sees less
	Fail Level = "fail" // recording does not work
)

// Check is one thing that a recording depends on.
type Check struct {
	Name   string `json:"name"`
	Status Level  `json:"status"`
	Detail string `json:"detail"`        // what was found
	Fix    string `json:"fix,omitempty"` // what to do about it
}

// DoctorOptions say what is to be examined. The zero value works.
type DoctorOptions struct {
	Dir    string   // the store that recordings would go to; default: hindcast-store
	Holder []string // as Options.Holder
	Pin    string   // as Options.Pin
	// Release removes what recorders that ended without a word left running in the kernel; what
	// waits there to be stored is lost.
	Release bool
}

// Doctor examines this host: every hook is loaded, attached for a moment and taken out again.
// Nothing is recorded and nothing is left behind. It never fails: what cannot be examined is a
// check that failed.
func Doctor(o DoctorOptions) []Check {
	if o.Dir == "" {
		o.Dir = "hindcast-store"
	}
	checks := []Check{kernelCheck(), privilegeCheck(), btfCheck(), lockdownCheck(), tracefsCheck(), cgroupCheck(), pinCheck(o.Pin, o.Release), outputCheck(o.Dir)}
	return append(checks, hookChecks(o.Holder)...)
}

func kernelCheck() Check {
	c := Check{Name: "kernel", Status: OK, Detail: "Linux " + line("/proc/sys/kernel/osrelease")}
	major, minor := kernelVersion()
	older := func(a, b int) bool { return major < a || major == a && minor < b }
	var costs []string
	for _, k := range []struct {
		major, minor int
		cost         string
	}{
		{5, 12, "before 5.12 threads and sockets are kept in tables of bounded size, and paths are cut after 32 components"},
		{5, 17, "before 5.17 descriptors passed in messages are not told, and paths are cut after 64 components"},
		{5, 18, "before 5.18 the arguments of programs that already run are not read"},
		{6, 3, "before 6.3 data over sockets is told by programs inside the protocols' functions alone, or not"},
		{6, 12, "before 6.12 it takes longer to start"},
	} {
		if older(k.major, k.minor) {
			costs = append(costs, k.cost)
		}
	}
	if len(costs) > 0 {
		c.Detail += "; " + strings.Join(costs, "; ")
	}
	if older(5, 10) {
		c.Status, c.Fix = Warn, "5.10 is the oldest kernel that is tested; the hooks below tell what works"
	}
	return c
}

func kernelVersion() (major, minor int) {
	f := strings.FieldsFunc(line("/proc/sys/kernel/osrelease"), func(r rune) bool { return r < '0' || r > '9' })
	if len(f) >= 2 {
		major, _ = strconv.Atoi(f[0])
		minor, _ = strconv.Atoi(f[1])
	}
	return major, minor
}

func privilegeCheck() Check {
	c := Check{Name: "privilege", Status: OK}
	set, err := capabilities()
	if err != nil {
		return Check{Name: "privilege", Status: Warn, Detail: "cannot be read: " + rootCause(err), Fix: "mount procfs"}
	}
	var have, lack []string
	for _, k := range []struct {
		bit  int
		name string
	}{{unix.CAP_SYS_ADMIN, "CAP_SYS_ADMIN"}, {unix.CAP_BPF, "CAP_BPF"}, {unix.CAP_PERFMON, "CAP_PERFMON"}, {unix.CAP_NET_ADMIN, "CAP_NET_ADMIN"},
		{unix.CAP_DAC_READ_SEARCH, "CAP_DAC_READ_SEARCH"}, {unix.CAP_SYS_RESOURCE, "CAP_SYS_RESOURCE"}} {
		if has(set, k.bit) {
			have = append(have, k.name)
		} else {
			lack = append(lack, k.name)
		}
	}
	c.Detail = fmt.Sprintf("user %d with %s", os.Geteuid(), orNone(have))
	if len(lack) > 0 {
		c.Detail += ", without " + strings.Join(lack, ", ")
	}
	if err := requirePrivilege(); err != nil {
		c.Status, c.Fix = Fail, err.Error()
	} else if !has(set, unix.CAP_SYS_ADMIN) && !has(set, unix.CAP_NET_ADMIN) {
		c.Status, c.Fix = Warn, "give CAP_NET_ADMIN too: the hooks on cgroups need it"
	}
	return c
}

func orNone(s []string) string {
	if len(s) == 0 {
		return "no capability"
	}
	return strings.Join(s, ", ")
}

func btfCheck() Check {
	st, err := os.Stat(btfPath)
	if err != nil {
		return Check{"btf", Fail, "the kernel does not describe its types: " + rootCause(err), "use a kernel built with CONFIG_DEBUG_INFO_BTF"}
	}
	return Check{Name: "btf", Status: OK, Detail: fmt.Sprintf("%s, %d KiB", btfPath, st.Size()>>10)}
}

func lockdownCheck() Check {
	text := line("/sys/kernel/security/lockdown")
	_, rest, _ := strings.Cut(text, "[")
	mode, _, _ := strings.Cut(rest, "]")
	switch mode {
	case "":
		return Check{Name: "lockdown", Status: OK, Detail: "unknown: securityfs does not tell; the hooks below do"}
	case "confidentiality":
		return Check{"lockdown", Fail, "confidentiality: programs may not read kernel memory", "boot with lockdown=integrity or none"}
	}
	return Check{Name: "lockdown", Status: OK, Detail: mode}
}

func tracefsCheck() Check {
	if probe.Tracefs() {
		return Check{Name: "tracefs", Status: OK, Detail: "mounted"}
	}
	return Check{Name: "tracefs", Status: OK, Detail: "not mounted: a recording mounts it for itself alone"}
}

func cgroupCheck() Check {
	if root := probe.CgroupRoot(); root != "" {
		return Check{Name: "cgroup2", Status: OK, Detail: root}
	}
	return Check{"cgroup2", Warn, "not mounted: peers of unconnected datagrams are not seen", "mount -t cgroup2 none /sys/fs/cgroup"}
}

// pinCheck tells what recordings are pinned. release removes those whose recorder ended.
func pinCheck(root string, release bool) Check {
	if root == "" {
		root = PinRoot
	}
	c := Check{Name: "pins", Status: OK}
	var st unix.Statfs_t
	if err := unix.Statfs(bpffs, &st); err != nil || st.Type != unix.BPF_FS_MAGIC {
		c.Detail = "no bpf file system at " + bpffs + ": a recording mounts one, so that a killed recorder's successor finds what it missed"
	}
	folders, _ := os.ReadDir(root)
	var said []string
	for _, f := range folders {
		dir := filepath.Join(root, f.Name())
		m, live, err := bpf.ReadManifest(dir)
		switch {
		case live && err != nil:
			said = append(said, fmt.Sprintf("a recorder is beginning or ending at %s", dir))
		case live:
			said = append(said, fmt.Sprintf("process %d records into %s", m.PID, m.Store))
		case release:
			if e := bpf.RemovePins(dir); e != nil {
				c.Status, c.Fix = Warn, "remove "+dir
				said = append(said, fmt.Sprintf("%s cannot be removed: %s", dir, rootCause(e)))
			} else {
				said = append(said, fmt.Sprintf("removed what process %d left running for %s", m.PID, m.Store))
			}
		case err != nil:
			c.Status, c.Fix = Warn, "hindcast doctor --release removes it"
			said = append(said, fmt.Sprintf("%s holds what cannot be taken over: %s", dir, rootCause(err)))
		default:
			c.Status, c.Fix = Warn, fmt.Sprintf("hindcast record -w %s stores what waits and goes on; hindcast doctor --release ends it", m.Store)
			said = append(said, fmt.Sprintf("process %d, which recorded into %s, ended without a word; its hooks go on recording into the rings", m.PID, m.Store))
		}
	}
	if len(said) > 0 {
		c.Detail = strings.Join(said, "; ")
	}
	if c.Detail == "" {
		c.Detail = "none"
	}
	return c
}

func outputCheck(dir string) Check {
	free, at, err := freeSpace(dir)
	switch {
	case err != nil:
		return Check{"output", Fail, fmt.Sprintf("%s: %s", at, rootCause(err)), "choose another folder with -w"}
	case free < minFree:
		return Check{"output", Fail, fmt.Sprintf("%s: %d MiB free", at, free>>20), fmt.Sprintf("free at least %d MiB, or choose another folder with -w", minFree>>20)}
	}
	if err := unix.Access(at, unix.W_OK|unix.X_OK); err != nil {
		return Check{"output", Fail, fmt.Sprintf("%s: %s", at, rootCause(err)), "choose another folder with -w"}
	}
	c := Check{Name: "output", Status: OK, Detail: fmt.Sprintf("%s: %d MiB free", at, free>>20)}
	if free < 1<<30 {
		c.Status, c.Fix = Warn, "a busy host writes about 1 MiB a second: leave more room for long recordings"
	}
	return c
}

// hookChecks loads everything with the smallest rings.
func hookChecks(holder []string) (out []Check) {
	page := os.Getpagesize()
	set, err := bpf.Load(bpf.Options{BulkBytes: page, CriticalBytes: page, CgroupRoot: probe.CgroupRoot()})
	if err != nil {
		return []Check{{"programs", Fail, rootCause(err), loadError(err).Error()}}
	}
	defer func() { closeSet(set, holder) }()
	r, err := ring.Open(set.Critical.FD(), page)
	if err != nil {
		out = append(out, Check{"ring buffer", Fail, rootCause(err), "use a kernel of 5.8 or later"})
	} else {
		r.Close()
		out = append(out, Check{Name: "ring buffer", Status: OK, Detail: "can be read in place"})
	}
	p := probe.New(set, probe.Choice{Profile: probe.Standard})
	p.Attach()
	outcomes := p.Outcomes()
	p.Detach()
	for _, g := range probe.Groups {
		all, on, left := 0, 0, 0
		var lost []string
		reason := ""
		for _, o := range outcomes {
			if o.Entry.Group != g {
				continue
			}
			switch o.Why {
			case probe.ByProfile:
				left++
				continue
			case probe.OtherTier, probe.NotHere:
				continue
			}
			all++
			if o.Attached {
				on++
				continue
			}
			lost = append(lost, o.Entry.Without)
			if reason == "" {
				reason = o.Entry.Name + ": " + o.Reason
			}
		}
		c := Check{Name: g, Status: OK, Detail: fmt.Sprintf("%d of %d hooks attach", on, all)}
		if left > 0 {
			c.Detail += fmt.Sprintf(", %d more with profile forensic", left)
		}
		if trust := p.Trust(g); trust != "" {
			c.Detail += "; " + trust
		}
		switch {
		case on == all:
		case on == 0:
			c.Status = Fail
		default:
			c.Status = Warn
		}
		if c.Status != OK {
			c.Detail += "; not seen: " + strings.Join(lost, "; ")
			c.Fix = "the kernel says of " + reason
		}
		if g != probe.Groups[0] && c.Status == Fail {
			c.Status = Warn // without processes there is nothing to tell; the rest is less to tell
		}
		out = append(out, c)
	}
	for _, b := range p.BlindSpots() {
		out = append(out, Check{Name: b.Name, Status: Warn, Detail: "not seen by this version: " + b.Without})
	}
	return out
}
