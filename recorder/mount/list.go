package mount

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// Mount is a line of the list.
type Mount struct {
	ID, Parent    uint64
	Dev           uint32 // as stat(2) encodes it
	Root          string // directory of the file system that is mounted, "/" for all of it
	Point         string // where it is mounted
	Options       string // of the mount
	Type          string // of the file system
	Source        string
	SourceOptions string // of the file system
}

// List holds mounts by id.
type List map[uint64]Mount

// maxLine bounds a line: four strings of up to a page, escaped fourfold.
const maxLine = 1 << 17

// Parse reads a list in the form of /proc/PID/mountinfo. Lines that are none are counted.
func Parse(r io.Reader) (list List, bad int, err error) {
	list = List{}
	s := bufio.NewScanner(r)
	s.Buffer(nil, maxLine)
	for s.Scan() {
		if m, ok := parse(s.Text()); ok {
			list[m.ID] = m
		} else {
			bad++
		}
	}
	if err := s.Err(); err != nil {
		return list, bad, fmt.Errorf("read the list of mounts: %w", err)
	}
	return list, bad, nil
}

// parse takes a line apart:
//
//	36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
func parse(line string) (m Mount, ok bool) {
	left, right, ok := strings.Cut(line, " - ")
	l, r := strings.Split(left, " "), strings.SplitN(right, " ", 3)
	if !ok || len(l) < 6 || len(r) < 3 {
		return m, false
	}
	major, minor, _ := strings.Cut(l[2], ":")
	var nums [4]uint64
	for i, s := range []string{l[0], l[1], major, minor} {
		n, err := strconv.ParseUint(s, 10, 32)
		if err != nil {
			return m, false
		}
		nums[i] = n
	}
	return Mount{
		ID: nums[0], Parent: nums[1],
		Dev:  uint32(nums[3]&0xff | nums[2]<<8 | nums[3]&^0xff<<12),
		Root: unescape(l[3]), Point: unescape(l[4]), Options: l[5],
		Type: unescape(r[0]), Source: unescape(r[1]), SourceOptions: unescape(r[2]),
	}, true
}

// unescape undoes the octal escapes of blanks, backslashes and whatever else the kernel hides.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// Diff tells what is gone and what is new, in the order of ids. A mount that moved is both; one
// whose options changed is new again.
func Diff(old, now List) (gone, come []Mount) {
	for id, m := range old {
		n, ok := now[id]
		if !ok || n.place() != m.place() {
			gone = append(gone, m)
		}
		if ok && n != m {
			come = append(come, n)
		}
	}
	for id, n := range now {
		if _, ok := old[id]; !ok {
			come = append(come, n)
		}
	}
	return sorted(gone), sorted(come)
}

// place is all of a mount but its options.
func (m Mount) place() Mount {
	m.Options, m.SourceOptions = "", ""
	return m
}

func sorted(l []Mount) []Mount {
	slices.SortFunc(l, func(a, b Mount) int { return cmp.Compare(a.ID, b.ID) })
	return l
}

// All returns the mounts of a list in the order of ids.
func (l List) All() []Mount {
	var all []Mount
	for _, m := range l {
		all = append(all, m)
	}
	return sorted(all)
}
