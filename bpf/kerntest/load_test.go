//go:build linux

package kerntest

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	"hindcast/bpf"
)

// since names the kernel that introduced what a hook hangs on; every other hook must load and
// attach on every kernel these tests run on.
var since = map[string]string{
	"hc_fchmodat2":   "6.6",
	"hc_sock_send":   "6.3",
	"hc_sock_recv":   "6.3",
	"hc_iter_unix":   "5.15",
	"hc_unix_cookie": "6.7",
}

func TestEveryProgramLoads(t *testing.T) {
	programs(t)
	s, err := bpf.Load(bpf.Options{CgroupRoot: cgroup2()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, h := range s.Hooks() {
		err := h.Err
		if err == nil {
			err = h.Attach()
		}
		switch {
		case err == nil:
		case since[h.Name] != "" && olderThan(t, since[h.Name]):
			t.Logf("%s needs %s", h.Name, since[h.Name])
		default:
			t.Errorf("%s (%s): %+v", h.Name, h.Section, err)
		}
	}
}

// olderThan tells whether the running kernel is older than major.minor.
func olderThan(t *testing.T, version string) bool {
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
