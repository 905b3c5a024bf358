//go:build linux

package kerntest

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"hindcast/format/event"
)

// TestOverriddenCredentials: overlayfs works on the file system below with the credentials of
// whoever mounted it, while the caller's stay what they are.
func TestOverriddenCredentials(t *testing.T) {
	programs(t)
	base := t.TempDir()
	var st unix.Statfs_t
	must(t, unix.Statfs(base, &st))
	if st.Type != unix.EXT4_SUPER_MAGIC {
		t.Skip("needs a temporary directory on ext4, whose tracepoint fires below overlayfs")
	}
	dir := func(n string) string {
		p := filepath.Join(base, n)
		must(t, os.Mkdir(p, 0o755))
		return p
	}
	lower, upper, work, merged := dir("lower"), dir("upper"), dir("work"), dir("merged")
	if err := unix.Mount("overlay", merged, "overlay", 0, "lowerdir="+lower+",upperdir="+upper+",workdir="+work); err != nil {
		if err == unix.ENODEV && !hasFileSystem(t, "overlay") {
			t.Skip("the kernel has no overlayfs")
		}
		t.Fatal(err)
	}
	defer unix.Unmount(merged, unix.MNT_DETACH)
	p := filepath.Join(merged, "f")
	must(t, os.WriteFile(p, nil, 0o600))
	ownThread(func() {
		me := thread(unix.Gettid())
		rows := record(t, func() { must(t, unix.Unlink(p)) })
		below := one(t, rows, typ(event.InodeUnlink), me)
		eq(t, "flag of what overlayfs did", below.Flags&event.FlagOverride != 0, true)
		above := one(t, rows, typ(event.Unlink), me)
		eq(t, "flag of the call", above.Flags&event.FlagOverride != 0, false)
	})
}

func hasFileSystem(t testing.TB, name string) bool {
	t.Helper()
	f, err := os.Open("/proc/filesystems")
	must(t, err)
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if strings.HasSuffix(s.Text(), "\t"+name) {
			return true
		}
	}
	return false
}
