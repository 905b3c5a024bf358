//go:build linux

package mount

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"hindcast/format/clock"
	"hindcast/format/event"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		line string
		want Mount
	}{
		{"36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue",
			Mount{36, 35, 98 << 8, "/mnt1", "/mnt2", "rw,noatime", "ext3", "/dev/root", "rw,errors=continue"}},
		{"27 1 254:300 / / rw - ext4 /dev/vda rw", // no optional fields, a minor above 255
			Mount{27, 1, 254<<8 | 300&0xff | 300&^0xff<<12, "/", "/", "rw", "ext4", "/dev/vda", "rw"}},
		{`41 27 0:38 / /a\040b\011c\012d\134e\043f rw shared:1 master:2 propagate_from:3 - fuse.s\134x a\040source rw,x=\054`,
			Mount{41, 27, 38, "/", "/a b\tc\nd\\e#f", "rw", `fuse.s\x`, "a source", "rw,x=,"}},
		{"42 27 0:39 / /empty rw -  - tmpfs  rw", Mount{}}, // nonsense before the dash is not taken for it
		{"42 27 0:39 / /empty rw - tmpfs  rw,size=4k", Mount{42, 27, 39, "/", "/empty", "rw", "tmpfs", "", "rw,size=4k"}},
		{`43 27 0:40 / /broken\04 rw - tmpfs \9 rw`, Mount{43, 27, 40, "/", `/broken\04`, "rw", "tmpfs", `\9`, "rw"}},
		{"", Mount{}}, {"x", Mount{}}, {"1 2 3:4 / / rw", Mount{}}, {"1 2 x:4 / / rw - a b c", Mount{}},
		{"1 2 3:4 / - a b c", Mount{}}, {"1 -2 3:4 / / rw - a b c", Mount{}}, {"99999999999 2 3:4 / / rw - a b c", Mount{}},
	} {
		list, bad, err := Parse(strings.NewReader(c.line + "\n"))
		if err != nil {
			t.Fatal(err)
		}
		if c.want.ID == 0 {
			if c.line == "42 27 0:39 / /empty rw -  - tmpfs  rw" {
				continue // read as a type of nothing; the kernel writes no such line
			}
			if bad != 1 || len(list) != 0 {
				t.Errorf("%q: %d bad, %v", c.line, bad, list)
			}
			continue
		}
		if bad != 0 || !reflect.DeepEqual(list, List{c.want.ID: c.want}) {
			t.Errorf("%q: %d bad, %+v, want %+v", c.line, bad, list, c.want)
		}
	}
	broken := errors.New("broken")
	if _, _, err := Parse(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if _, _, err := Parse(strings.NewReader(strings.Repeat("x", maxLine+1))); err == nil {
		t.Error("a line without end was taken")
	}
}

func TestDiff(t *testing.T) {
	m := func(id uint64, point, options string) Mount {
		return Mount{ID: id, Parent: 1, Point: point, Options: options, Root: "/"}
	}
	list := func(ms ...Mount) List {
		l := List{}
		for _, m := range ms {
			l[m.ID] = m
		}
		return l
	}
	old := list(m(1, "/", "rw"), m(2, "/gone", "rw"), m(3, "/moved", "rw"), m(4, "/remounted", "rw"))
	now := list(m(1, "/", "rw"), m(3, "/there", "rw"), m(4, "/remounted", "ro"), m(9, "/new", "rw"), m(5, "/newer", "rw"))
	gone, come := Diff(old, now)
	if want := []Mount{m(2, "/gone", "rw"), m(3, "/moved", "rw")}; !reflect.DeepEqual(gone, want) {
		t.Errorf("gone %v", gone)
	}
	if want := []Mount{m(3, "/there", "rw"), m(4, "/remounted", "ro"), m(5, "/newer", "rw"), m(9, "/new", "rw")}; !reflect.DeepEqual(come, want) {
		t.Errorf("come %v", come)
	}
	if g, c := Diff(old, old); g != nil || c != nil {
		t.Errorf("a list differs from itself: %v %v", g, c)
	}
}

// procfs is a made-up /proc.
type procfs struct {
	t   *testing.T
	dir string
}

func (p procfs) process(pid int, ns uint32, root string, lines ...string) {
	p.t.Helper()
	dir := filepath.Join(p.dir, fmt.Sprint(pid))
	os.RemoveAll(dir)
	for _, err := range []error{
		os.MkdirAll(dir+"/ns", 0o755),
		os.Symlink(fmt.Sprintf("mnt:[%d]", ns), dir+"/ns/mnt"),
		os.Symlink(root, dir+"/root"),
		os.WriteFile(dir+"/mountinfo", []byte(strings.Join(lines, "\n")+"\n"), 0o644),
	} {
		if err != nil {
			p.t.Fatal(err)
		}
	}
}

func told(rows []event.Row) (s []string) {
	for _, r := range rows {
		if r.Type != event.Mount || r.Flags&(event.FlagRecorder|event.FlagNoOwner|event.FlagKernelNames) == 0 || r.Flags&event.FlagSnapshot != 0 != (r.Op == Found) {
			s = append(s, "bad flags")
		}
		s = append(s, fmt.Sprintf("%d ns=%d %d<%d dev=%d %s %s %s {%s} at=%d since=%d", r.Op, r.N4, r.N2, r.N3, r.Dev, r.Path, r.Path2, r.Text, r.Text2, r.TS, r.T0))
	}
	return s
}

func expect(t *testing.T, what string, rows []event.Row, want ...string) {
	t.Helper()
	if got := told(rows); !reflect.DeepEqual(got, want) {
		t.Errorf("%s:\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestWatch(t *testing.T) {
	p := procfs{t, t.TempDir()}
	at := clock.Boot(100)
	w := &Watch{Proc: p.dir, Now: func() clock.Boot { return at }}
	const slash, sub, bind = "1 0 8:1 / / rw - ext4 /dev/sda rw", "2 1 0:5 / /sub rw,nosuid - tmpfs t rw,size=4k", "3 1 8:1 /home/x /bind ro - ext4 /dev/sda rw"
	p.process(1, 700, "/", slash, sub)
	p.process(20, 700, "/jail", slash)            // sees less: not to be read
	p.process(30, 800, "/jail", "9 9 0:6 / / rw") // no line: of no use
	p.process(31, 800, "/", bind)
	os.MkdirAll(p.dir+"/40", 0o755) // a kernel thread, say
	os.MkdirAll(p.dir+"/sys", 0o755)
	expect(t, "found", w.Find(),
		"0 ns=700 1<0 dev=2049 / /dev/sda ext4 {rw; rw} at=100 since=0",
		"0 ns=700 2<1 dev=5 /sub t tmpfs {rw,nosuid; rw,size=4k} at=100 since=0",
		"0 ns=800 3<1 dev=2049 /bind /dev/sda[/home/x] ext4 {ro; rw} at=100 since=0")
	at = 200
	expect(t, "nothing", w.Check(nil))
	at = 300
	p.process(1, 700, "/", slash, bind)
	expect(t, "changed", w.Check(nil),
		"12 ns=700 2<1 dev=5 /sub t tmpfs {rw,nosuid; rw,size=4k} at=300 since=200",
		"11 ns=700 3<1 dev=2049 /bind /dev/sda[/home/x] ext4 {ro; rw} at=300 since=200")
	// a namespace that was not there before, told by a row; a process that left the one it was in
	at = 400
	p.process(50, 900, "/", slash)
	p.process(31, 900, "/", slash)
	expect(t, "new namespace", w.Check(map[uint32]uint32{900: 50, 901: 60}),
		"0 ns=900 1<0 dev=2049 / /dev/sda ext4 {rw; rw} at=400 since=0")
	// its first process is gone, another is known by its row
	at = 500
	w.Check(map[uint32]uint32{900: 31})
	os.RemoveAll(p.dir + "/50")
	p.process(31, 900, "/", slash, sub)
	expect(t, "through another process", w.Check(nil), "11 ns=900 2<1 dev=5 /sub t tmpfs {rw,nosuid; rw,size=4k} at=500 since=500")
	os.RemoveAll(p.dir + "/31")
	at = 600
	expect(t, "the last process is gone", w.Check(nil))
	if len(w.spaces) != 1 {
		t.Errorf("%d namespaces are followed, want 1", len(w.spaces))
	}
	// what changed between two lists of all is not lost between them
	at = 700
	p.process(1, 700, "/", slash)
	expect(t, "found again", w.Find(),
		"12 ns=700 3<1 dev=2049 /bind /dev/sda[/home/x] ext4 {ro; rw} at=700 since=600",
		"0 ns=700 1<0 dev=2049 / /dev/sda ext4 {rw; rw} at=700 since=0")
	// a process in a chroot does not replace one that sees all
	p.process(21, 700, "/jail", slash)
	expect(t, "chroot", w.Check(map[uint32]uint32{700: 21}))
}

func TestWatchIsBounded(t *testing.T) {
	p := procfs{t, t.TempDir()}
	for i := range maxSpaces + 3 {
		p.process(i+1, uint32(5000+i), "/", "1 0 8:1 / / rw - ext4 /dev/sda rw")
	}
	w := &Watch{Proc: p.dir}
	if rows := w.Find(); len(rows) != maxSpaces || w.Left != 3 {
		t.Errorf("%d rows, %d namespaces left", len(rows), w.Left)
	}
	if rows := w.Check(map[uint32]uint32{5000 + maxSpaces: maxSpaces + 1}); len(rows) != 0 || w.Left != 4 {
		t.Errorf("%d rows, %d namespaces left", len(rows), w.Left)
	}
}

// The real thing: this machine's own list.
func TestOwnList(t *testing.T) {
	w := &Watch{}
	defer w.Close()
	if len(w.Find()) == 0 {
		t.Skip("no namespace of any process can be read here")
	}
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	list, bad, err := Parse(f)
	if err != nil || bad != 0 || len(list) == 0 {
		t.Errorf("%d mounts, %d bad lines, %v", len(list), bad, err)
	}
	w.Stirred() // the first look takes in what was before
}
