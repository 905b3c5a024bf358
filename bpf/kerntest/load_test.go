//go:build linux

package kerntest

import (
	"errors"
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	"hindcast/bpf"
	"hindcast/recorder/probe"
)

// since names the kernel that introduced what a hook hangs on; every other hook must load and
// attach on every kernel these tests run on.
var since = map[string]string{
	"hc_setxattrat":     "6.13",
	"hc_removexattrat":  "6.13",
	"hc_file_setattr":   "6.17",
	"hc_memfd_secret":   "5.14",
	"hc_iter_vma":       "5.12",
	"hc_fchmodat2":      "6.6",
	"hc_recvmsg":        "5.17",
	"hc_recvmmsg":       "5.17",
	"hc_sendmsg":        "5.17",
	"hc_sendmmsg":       "5.17",
	"hc_iter_task":      "5.18",
	"hc_iter_socket":    "5.11",
	"hc_iter_udp_total": "5.11",
	"hc_sock_send":      "6.3",
	"hc_sock_recv":      "6.3",
	"hc_unix_cookie":    "6.7",
	"hc_iter_unix":      "5.15",
	"hc_open_tree_attr": "6.15",
	"hc_mount_setattr":  "5.12",
	"hc_uring_overflow": "5.19",
}

// parts names what a kernel may be built without, for hooks that then have no place.
var parts = map[string]string{
	"hc_init_module":     "modules",
	"hc_finit_module":    "modules",
	"hc_delete_module":   "modules",
	"hc_module_load":     "modules",
	"hc_module_free":     "modules",
	"hc_kexec_load":      "kexec",
	"hc_kexec_file_load": "kexec from files",
}

func TestEveryProgramLoads(t *testing.T) {
	s := programs(t)
	if !testing.Short() { // with the programs for 32-bit calls
		var err error
		s, err = bpf.Load(bpf.Options{CgroupRoot: cgroup2()})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
	}
	for _, h := range s.Hooks() {
		if h.Tier() != bpf.Tracepoints { // TestTiers
			continue
		}
		err := h.Err
		if err == nil && !attachedInstead(h.Name) {
			err = h.Attach()
		}
		switch {
		case err == nil, errors.Is(err, bpf.ErrLeftOut) && testing.Short():
		case since[h.Name] != "" && olderThan(t, since[h.Name]):
			t.Logf("%s needs %s", h.Name, since[h.Name])
		case parts[h.Name] != "" && h.Absent():
			t.Logf("%s: this kernel has no %s", h.Name, parts[h.Name])
		case h.Absent() && probe.Lookup(h.Name) != nil && probe.Lookup(h.Name).Optional:
			t.Logf("%s: %v", h.Name, err)
		default:
			t.Errorf("%s (%s): %+v", h.Name, h.Section, err)
		}
	}
}

// attachedInstead tells whether a hook of another tier tells what this one would.
func attachedInstead(name string) bool {
	for _, o := range shared.probe.Outcomes() {
		if o.Entry.Name == name {
			return o.Why == probe.OtherTier
		}
	}
	return false
}

// olderThan tells whether the running kernel is older than major.minor.
func olderThan(t testing.TB, version string) bool {
	t.Helper()
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		t.Fatal(err)
	}
	var have, want [2]int
	fmt.Sscanf(unix.ByteSliceToString(u.Release[:]), "%d.%d", &have[0], &have[1])
	fmt.Sscanf(version, "%d.%d", &want[0], &want[1])
	return have[0] < want[0] || have[0] == want[0] && have[1] < want[1]
}
