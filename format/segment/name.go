package segment

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"hindcast/format/clock"
)

// Extensions of file names.
const (
	Ext      = ".arrows"      // sealed
	ExtOpen  = ".arrows.open" // being written, or left by a writer that was killed
	ExtIndex = ".idx.open"    // side index of an open one
	ExtMend  = ".arrows.mend" // a repair that was not finished
	nameTime = "20060102T150405Z"
)

// Name is what the file name of a segment says: 20261120T080000Z-3f9c12ab-000000a1.
// Sorting names sorts by time within a boot, and a hole in the numbers is a missing segment.
type Name struct {
	Second time.Time // of the first event, UTC
	Boot   string    // first 8 hex digits of the boot id
	Number uint64
}

// NameOf makes the name of a segment that begins at the instant.
func NameOf(at clock.Wall, m *Meta) Name {
	return Name{at.Time().Truncate(time.Second), bootPrefix(m.BootID), m.Number}
}

func bootPrefix(id string) string {
	out := make([]byte, 0, 8)
	for i := 0; i < len(id) && len(out) < 8; i++ {
		if c := id[i]; '0' <= c && c <= '9' || 'a' <= c && c <= 'f' {
			out = append(out, c)
		}
	}
	for len(out) < 8 {
		out = append(out, '0')
	}
	return string(out)
}

// String returns the name without extension.
func (n Name) String() string {
	return fmt.Sprintf("%s-%s-%08x", n.Second.UTC().Format(nameTime), n.Boot, n.Number)
}

// Day returns the name of the folder that the segment lies in.
func (n Name) Day() string { return "dt=" + n.Second.UTC().Format(time.DateOnly) }

// ParseName reads a file name; ext is its extension, one of the above.
func ParseName(file string) (n Name, ext string, ok bool) {
	base, rest, ok := strings.Cut(file, ".")
	if !ok {
		return n, "", false
	}
	ext = "." + rest
	switch ext {
	case Ext, ExtOpen, ExtIndex, ExtMend:
	default:
		return n, "", false
	}
	p := strings.Split(base, "-")
	if len(p) != 3 || len(p[1]) != 8 || len(p[2]) < 8 || len(p[2]) > 16 {
		return n, "", false
	}
	at, err := time.Parse(nameTime, p[0])
	if err != nil {
		return n, "", false
	}
	num, err := strconv.ParseUint(p[2], 16, 64)
	if err != nil || strings.Trim(p[1], "0123456789abcdef") != "" {
		return n, "", false
	}
	n = Name{at.UTC(), p[1], num}
	return n, ext, n.String() == base
}
