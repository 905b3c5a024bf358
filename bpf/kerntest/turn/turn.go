//go:build linux

// Package turn lets test programs that record the whole kernel go one after the other. go test
// runs packages side by side, and the flood that one makes on purpose fills the rings in which
// another counts.
package turn

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Take waits until no other test program has the turn. The turn ends when release is called or
// the program ends. Where the lock file cannot be opened there is nobody to wait for.
func Take() (release func()) {
	f, err := os.OpenFile(filepath.Join(os.TempDir(), "hindcast-kernel-tests.lock"), os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return func() {}
	}
	for unix.Flock(int(f.Fd()), unix.LOCK_EX) == unix.EINTR {
	}
	return func() { f.Close() }
}
