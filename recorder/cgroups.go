//go:build linux && (amd64 || arm64)

package recorder

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"hindcast/format/clock"
	"hindcast/format/event"
)

// maxCgroups bounds a snapshot.
const maxCgroups = 65536

// cgroupsFound returns a row per cgroup of the unified hierarchy below root, so that the ids on
// other rows have a path: an id is the number of the directory's inode. Of the given paths only
// they and what is above them is told; none given, all. left tells that some were not.
func cgroupsFound(root string, at clock.Boot, only ...string) (rows []event.Row, left bool) {
	add := func(path string) bool {
		var st syscall.Stat_t
		if syscall.Lstat(filepath.Join(root, path), &st) != nil {
			return false
		}
		level := strings.Count(path, "/")
		if path == "/" {
			level = 0
		}
		rows = append(rows, event.Row{
			TS: at, Type: event.Cgroup, Flags: event.FlagSnapshot | event.FlagRecorder | event.FlagNoOwner,
			Path: []byte(path), N1: int64(st.Ino), N2: int64(level),
		})
		return true
	}
	if len(only) > 0 {
		seen := map[string]bool{}
		for _, path := range only {
			for path = filepath.Join("/", path); !seen[path]; path = filepath.Dir(path) {
				seen[path] = true
				add(path)
			}
		}
		return rows, false
	}
	_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil || !d.IsDir():
			return nil // cgroups come and go; a file is none
		case len(rows) == maxCgroups:
			left = true
			return fs.SkipAll
		}
		below := strings.TrimPrefix(path, strings.TrimSuffix(root, "/"))
		if below == "" {
			below = "/"
		}
		if !add(below) {
			return fs.SkipDir
		}
		return nil
	})
	return rows, left
}

// ownCgroup returns the path of this process in the unified hierarchy, "/" when it has none.
func ownCgroup() string {
	b, _ := os.ReadFile("/proc/self/cgroup")
	for line := range strings.Lines(string(b)) {
		if path, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "0::"); ok {
			return path
		}
	}
	return "/"
}
