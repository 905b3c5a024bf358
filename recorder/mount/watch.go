//go:build linux

package mount

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"hindcast/format/clock"
	"hindcast/format/event"
)

// What a row of the recorder says of a mount (mount.op).
const (
	Found       = 0
	Appeared    = 11
	Disappeared = 12
)

// maxSpaces bounds the namespaces that are followed, maxPIDs the processes that are remembered
// of each.
const (
	maxSpaces = 64
	maxPIDs   = 4
)

// space is a mount namespace and how it can be read.
type space struct {
	list List
	at   clock.Boot // of the reading
	root string     // of the process it was read through
	pids []uint32
}

// Watch follows the lists of the namespaces it can reach. The zero value is ready.
type Watch struct {
	Proc string            // where procfs is mounted; default /proc
	Now  func() clock.Boot // the clock of rows

	spaces map[uint32]*space
	own    *os.File // the list of the namespace we live in, to wait on
	Left   int      // namespaces that were not followed, because there are too many
}

func (w *Watch) proc(parts ...any) string {
	p := w.Proc
	if p == "" {
		p = "/proc"
	}
	for _, part := range parts {
		p += "/" + fmt.Sprint(part)
	}
	return p
}

// Find reads the lists of all namespaces that processes live in and returns a row per mount; and
// before them one per difference to what was known already.
func (w *Watch) Find() (rows []event.Row) {
	found := map[uint32]*space{}
	w.Left = 0
	dir, err := os.ReadDir(w.proc())
	if err != nil {
		return nil
	}
	var pids []uint32
	for _, e := range dir {
		if n, err := strconv.ParseUint(e.Name(), 10, 32); err == nil {
			pids = append(pids, uint32(n))
		}
	}
	slices.Sort(pids) // the first process of a namespace is the likeliest to stay
	left := map[uint32]bool{}
	for _, pid := range pids {
		ns, err := w.namespace(pid)
		if err != nil {
			continue // kernel threads have none that can be asked, and processes end
		}
		s := found[ns]
		if s == nil {
			if len(found) == maxSpaces {
				left[ns] = true
				continue
			}
			s = &space{}
			found[ns] = s
		}
		root, _ := os.Readlink(w.proc(pid, "root"))
		switch {
		case len(s.pids) == 0 || root == "/" && s.root != "/":
			s.root, s.pids = root, append(s.pids[:0], pid)
		case root == s.root && len(s.pids) < maxPIDs:
			s.pids = append(s.pids, pid)
		}
	}
	w.Left = len(left)
	known := w.spaces
	w.spaces = found
	for _, ns := range sortedKeys(found) {
		s := found[ns]
		if !w.read(ns, s) {
			delete(w.spaces, ns)
			continue
		}
		if k := known[ns]; k != nil && k.root == s.root {
			rows = append(rows, changes(ns, k, s)...)
		}
		for _, m := range s.list.All() {
			rows = append(rows, row(Found, m, ns, s.at, 0))
		}
	}
	return rows
}

// Check reads all lists again and returns a row per difference. asked names processes by their
// namespace: one that was not followed until now is, and its mounts are found.
func (w *Watch) Check(asked map[uint32]uint32) (rows []event.Row) {
	if w.spaces == nil {
		w.spaces = map[uint32]*space{}
	}
	for ns, pid := range asked {
		s := w.spaces[ns]
		root, err := os.Readlink(w.proc(pid, "root"))
		switch {
		case err != nil:
		case s == nil && len(w.spaces) >= maxSpaces:
			w.Left++
		case s == nil:
			w.spaces[ns] = &space{root: root, pids: []uint32{pid}}
		case root == s.root && !slices.Contains(s.pids, pid):
			if len(s.pids) == maxPIDs {
				s.pids = s.pids[:maxPIDs-1]
			}
			s.pids = append(s.pids, pid)
		}
	}
	for _, ns := range sortedKeys(w.spaces) {
		s := w.spaces[ns]
		old, since := s.list, s.at
		if !w.read(ns, s) {
			delete(w.spaces, ns)
			continue
		}
		if old == nil {
			for _, m := range s.list.All() {
				rows = append(rows, row(Found, m, ns, s.at, 0))
			}
			continue
		}
		rows = append(rows, changes(ns, &space{list: old, at: since}, s)...)
	}
	return rows
}

// changes returns a row per difference of two readings.
func changes(ns uint32, old, now *space) (rows []event.Row) {
	gone, come := Diff(old.list, now.list)
	for _, m := range gone {
		rows = append(rows, row(Disappeared, m, ns, now.at, old.at))
	}
	for _, m := range come {
		rows = append(rows, row(Appeared, m, ns, now.at, old.at))
	}
	return rows
}

// Stirred tells whether the list of our own namespace has changed since it was last asked.
func (w *Watch) Stirred() bool {
	if w.own == nil {
		f, err := os.Open(w.proc("self", "mountinfo"))
		if err != nil {
			return false
		}
		w.own = f
	}
	p := []unix.PollFd{{Fd: int32(w.own.Fd()), Events: unix.POLLPRI}}
	n, err := unix.Poll(p, 0)
	return err == nil && n > 0 && p[0].Revents&(unix.POLLPRI|unix.POLLERR) != 0
}

// Close lets go of what Stirred waits on.
func (w *Watch) Close() {
	if w.own != nil {
		w.own.Close()
		w.own = nil
	}
}

// namespace returns the inode of a process's mount namespace.
func (w *Watch) namespace(pid uint32) (ns uint32, err error) {
	s, err := os.Readlink(w.proc(pid, "ns/mnt"))
	if err == nil {
		_, err = fmt.Sscanf(s, "mnt:[%d]", &ns)
	}
	return ns, err
}

// read reads the list through the first process that is still there.
func (w *Watch) read(ns uint32, s *space) bool {
	for len(s.pids) > 0 {
		if list, ok := w.through(s.pids[0], ns); ok {
			s.list, s.at = list, w.now()
			return true
		}
		s.pids = s.pids[1:]
	}
	return false
}

func (w *Watch) through(pid, ns uint32) (List, bool) {
	f, err := os.Open(w.proc(pid, "mountinfo"))
	if err != nil {
		return nil, false
	}
	defer f.Close()
	// the open file keeps the namespace it was opened in, whatever the process does next
	if now, err := w.namespace(pid); err != nil || now != ns {
		return nil, false
	}
	list, _, err := Parse(f)
	return list, err == nil && len(list) > 0
}

func (w *Watch) now() clock.Boot {
	if w.Now == nil {
		return 0
	}
	return w.Now()
}

func sortedKeys[V any](m map[uint32]V) []uint32 {
	keys := make([]uint32, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, cmp.Compare[uint32])
	return keys
}

func row(op uint32, m Mount, ns uint32, at, since clock.Boot) event.Row {
	flags := uint32(event.FlagRecorder | event.FlagNoOwner | event.FlagKernelNames)
	if op == Found {
		flags |= event.FlagSnapshot
	}
	source := m.Source
	if m.Root != "/" {
		source += "[" + m.Root + "]"
	}
	return event.Row{
		TS: at, T0: since, Type: event.Mount, Flags: flags, Op: op, Dev: m.Dev,
		Path: []byte(m.Point), Path2: []byte(source), Text: []byte(m.Type), Text2: []byte(m.Options + "; " + m.SourceOptions),
		N2: int64(m.ID), N3: int64(m.Parent), N4: int64(ns),
	}
}
