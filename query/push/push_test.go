package push

import (
	"errors"
	"fmt"
	"math/rand"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"hindcast/format/clock"
	"hindcast/format/event"
	"hindcast/query/lang"
)

// show prints clauses as the table below writes them.
func show(cs []Clause) string {
	var out []string
	for _, c := range cs {
		var s []string
		for ty := event.Type(0); ty < event.MaxType; ty++ {
			if event.ByID(ty) != nil && c.Types>>ty&1 != 0 {
				s = append(s, ty.String())
			}
		}
		types := strings.Join(s, "|")
		switch {
		case len(s) > 40:
			types = "*"
		case len(s) > 6:
			types = fmt.Sprintf("%d types", len(s))
		}
		for _, p := range c.Preds {
			w := [...]string{"", "pid", "tid", "uid", "cgroup", "tree", "path", "port", "addr", "family", "proto"}[p.Kind]
			if p.Not {
				w = "!" + w
			}
			w += [...]string{"", ".l", ".r", ""}[p.Ends]
			for _, r := range p.Ranges {
				w += fmt.Sprintf(" %d-%d", r[0], r[1])
			}
			for _, x := range p.Prefixes {
				w += " " + x.String()
			}
			if p.Path != "" {
				w += " " + p.Path
				if p.Exact {
					w += "$"
				}
			}
			if p.Kind == Tree {
				w += fmt.Sprint(" ", p.Tree)
			}
			types += ", " + w
		}
		out = append(out, types)
	}
	return strings.Join(out, "; ")
}

func find(path string) (uint64, error) {
	if path == "/web" {
		return 77, nil
	}
	return 0, errors.New("none")
}

func TestLowering(t *testing.T) {
	for _, c := range []struct{ src, clauses, recorder, later string }{
		{"evt.type = open", "open", "", ""},
		{"evt.type in (open, write) and file.path startswith /etc", "open|write, path /etc", "", ""},
		{"proc.uid = 1000", "*, uid 1000-1000", "", ""},
		{"not proc.uid in (0, 1000)", "*, !uid 0-0 1000-1000", "", ""},
		{"proc.cgroup = /web", "*, cgroup 77-77", "", ""},
		{"proc.cgroup in (/web, 5)", "*, cgroup 77-77 5-5", "", ""},
		{"net.port = 443 and evt.type = connect or net.addr in 10.0.0.0/8 and evt.type = accept", "connect, port 443-443; accept, addr 10.0.0.0/8", "", ""},
		{"net.rport = 53 and not net.raddr in (127.0.0.1, ::1, 10.0.0.0/8) and evt.type = connect", "connect, port.r 53-53, !addr.r 127.0.0.1/32 ::1/128, !addr.r 10.0.0.0/8", "", ""},
		{"net.sport = 80", "listen|accept, port.l 80-80; connect, port.r 80-80", "", ""},
		{"desc(1234)", "*, tree 1234", "", ""},
		{"desc(1234) and not desc(1240) and evt.type = open", "open, tree 1234, !tree 1240", "", ""},
		{"proc.pid > 99 and evt.type = open", "open, pid 100-18446744073709551615", "", ""},
		{"file.path = /etc/passwd and evt.type = open", "open, path /etc/passwd$", "", ""},
		{"file.path glob /etc/*.conf and evt.type = open", "open, path /etc/", "", ""},
		{"not file.path glob /etc/*.conf and evt.type = open", "open", "not file.path glob /etc/*.conf", ""},
		{"not file.path startswith /usr/ and evt.type = open", "open, !path /usr/", "", ""},
		{"evt.type = open and file.path != /etc/", "open", "not file.path = /etc/", ""},
		{"evt.type = open and file.path = /" + strings.Repeat("x", 60), "open, path /" + strings.Repeat("x", 46), "", ""},
		{"file.path endswith .key and evt.type = open and proc.uid = 33", "open, uid 33-33", "file.path endswith .key", ""},
		{"evt.type = open and (proc.name = x or proc.uid = 5)", "open", "proc.name = x", ""},
		{"evt.type = open and proc.exe = /bin/sh", "open", "", "proc.exe = /bin/sh"},
		{"evt.type = open and not anc(proc.name = sshd)", "open", "", "not anc(proc.name = sshd)"},
		{"evt.failed and evt.type = open", "open", "evt.failed", ""},
		{"net.family = inet6 and evt.type = connect", "connect, family 10-10", "", ""},
		{"10.0.0.1:443 and evt.type = connect", "connect", "10.0.0.1:443", ""},
		{"evt.type = open and evt.type = connect", "", "", ""},
		{"shadow and evt.type = open", "open", "shadow", ""},
		{"evt.type = open and proc.pid in (1,2,3,4,5)", "open, pid 1-1 2-2 3-3 4-4; open, pid 5-5", "", ""},
	} {
		p, err := Compile(c.src, Env{Cgroup: find})
		if err != nil {
			t.Errorf("%s: %v", c.src, err)
			continue
		}
		if got := show(p.Clauses); got != c.clauses {
			t.Errorf("%s: clauses\n%s, want\n%s", c.src, got, c.clauses)
		}
		if got := strings.Join(p.Recorder, ", "); got != c.recorder {
			t.Errorf("%s: the recorder decides %q, want %q", c.src, got, c.recorder)
		}
		if got := strings.Join(p.Later, ", "); got != c.later {
			t.Errorf("%s: left to queries %q, want %q", c.src, got, c.later)
		}
		if p.Eased {
			t.Errorf("%s: eased", c.src)
		}
	}
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct{ src, want string }{
		{"", "asks nothing"},
		{"file.paht = /x", "unknown field `file.paht`"},
		{"proc.exe = /bin/sh", "nothing of this filter can be decided while recording: proc.exe = /bin/sh"},
		{"desc(p:7k3q) or proc.aname = sshd", "nothing of this filter"},
		{"evt.num = 3:4 and evt.type = open", "rows have no numbers"},
		{"proc.cgroup = /none", "`/none` is no cgroup"},
	} {
		_, err := Compile(c.src, Env{Cgroup: find})
		var le *lang.Error
		if !errors.As(err, &le) || !strings.Contains(le.Msg, c.want) {
			t.Errorf("%q: %v, want %q", c.src, err, c.want)
		}
	}
}

// line is a chain of processes, 1 the first, each the parent of the next; the user of each is its
// number times 100.
type line struct{}

func (line) Actor(pid uint32, _ uint64, _ clock.Boot) (lang.Actor, bool) {
	if pid < 1 || pid > 5 {
		return lang.Actor{}, false
	}
	return lang.Actor{ID: fmt.Sprint("p:aaaa", pid), PID: pid, PPID: pid - 1, UID: pid * 100, HasUID: true, Name: []byte("n"), Exe: []byte("/bin/x")}, true
}

// walked are the types whose path the kernel asks for.
var walked = []event.Type{event.Open, event.OpenFailed, event.FirstRead, event.FirstWrite, event.Rename, event.Link, event.Unlink, event.Mkdir, event.Chmod,
	event.Chown, event.Truncate, event.InodeUnlink, event.MmapExec, event.MmapWrite, event.Mprotect, event.Dirty}

// passes is what the kernel does with a row, as far as it knows all that the row says.
func passes(cs []Clause, r *event.Row) bool {
	for _, c := range cs {
		if c.Types>>r.Type&1 != 0 && !slices.ContainsFunc(c.Preds, func(p Pred) bool { return holds(p, r) == p.Not }) {
			return true
		}
	}
	return false
}

func holds(p Pred, r *event.Row) bool {
	in := func(v uint64) bool {
		return slices.ContainsFunc(p.Ranges, func(x [2]uint64) bool { return v >= x[0] && v <= x[1] })
	}
	addr := func(b []byte) bool {
		a, err := netip.ParseAddr(string(b))
		return err == nil && slices.ContainsFunc(p.Prefixes, func(x netip.Prefix) bool { return x.Contains(a) })
	}
	switch p.Kind {
	case PID:
		return in(uint64(r.PID))
	case TID:
		return in(uint64(r.TID))
	case EUID:
		return in(uint64(r.PID * 100))
	case Cgroup:
		return in(r.Cgroup)
	case Tree:
		return r.PID >= p.Tree
	case Path:
		if !slices.Contains(walked, r.Type) {
			return !p.Not
		}
		if p.Exact {
			return string(r.Path) == p.Path
		}
		return strings.HasPrefix(string(r.Path), p.Path)
	case Port:
		return p.Ends&Local != 0 && in(uint64(r.LPort)) || p.Ends&Remote != 0 && in(uint64(r.RPort))
	case Addr:
		return p.Ends&Local != 0 && addr(r.LAddr) || p.Ends&Remote != 0 && addr(r.RAddr)
	case Family:
		return in(uint64(r.Family))
	case Proto:
		return in(uint64(r.Proto))
	}
	return !p.Not
}

func pick(r *rand.Rand, s []string) string { return s[r.Intn(len(s))] }

var leaves = []string{"evt.type = open", "evt.type in (open, write, connect)", "evt.family = net", "evt.family = file", "proc.uid = 200", "proc.uid in (100, 300)", "proc.uid > 250",
	"proc.pid = 3", "proc.pid < 3", "proc.tid in (1, 2, 3, 4, 5, 6)", "proc.cgroup = 7", "desc(2)", "desc(4)", "file.path startswith /etc", "file.path startswith /etc/", "file.path = /etc/passwd",
	"file.path in (/etc/passwd, /tmp/x)", "file.path glob /e*d", "file.path endswith passwd", "net.port = 443", "net.lport < 100", "net.sport = 22", "net.addr in 10.0.0.0/8",
	"net.raddr in (10.1.0.0/16, 2001:db8::/32, ::/0)", "not net.raddr = 0.0.0.0/0", "net.family = inet", "net.proto = tcp", "proc.name = sh", "proc.exe = /bin/x", "evt.failed", "evt.res = EACCES",
	"file.path exists", "net.raddr exists", "passwd", "anc(proc.name = n)", "file.newpath startswith /etc"}

func expr(r *rand.Rand, depth int) string {
	if depth == 0 || r.Intn(4) == 0 {
		return pick(r, leaves)
	}
	switch r.Intn(3) {
	case 0:
		return "not (" + expr(r, depth-1) + ")"
	case 1:
		return "(" + expr(r, depth-1) + " and " + expr(r, depth-1) + ")"
	}
	return "(" + expr(r, depth-1) + " or " + expr(r, depth-1) + ")"
}

func row(r *rand.Rand) event.Row {
	var ty event.Type
	for event.ByID(ty) == nil {
		ty = event.Type(r.Intn(event.MaxType))
	}
	if r.Intn(2) == 0 {
		ty = []event.Type{event.Open, event.FirstWrite, event.Connect, event.Accept, event.Rename, event.SockFirst}[r.Intn(6)]
	}
	x := event.Row{Type: ty, PID: uint32(r.Intn(7)), TID: uint32(r.Intn(8)), Cgroup: uint64(6 + r.Intn(3)), Comm: []byte(pick(r, []string{"sh", "x"}))}
	has := ty.Has()
	if has>>event.ColPath&1 != 0 {
		x.Path = []byte(pick(r, []string{"", "/", "/etc", "/etc/passwd", "/etcetera", "/tmp/x", "etc/passwd", "/ed"}))
	}
	if has>>event.ColLPort&1 != 0 {
		ports := []uint16{0, 22, 53, 443, 50000}
		x.LPort, x.RPort = ports[r.Intn(5)], ports[r.Intn(5)]
		addrs := []string{"10.1.2.3", "10.9.9.9", "192.168.0.1", "0.0.0.0", "::1", "2001:db8::5", ""}
		x.LAddr, x.RAddr = []byte(pick(r, addrs)), []byte(pick(r, addrs))
		x.Family, x.Proto = []uint8{2, 10, 1}[r.Intn(3)], []uint8{6, 17}[r.Intn(2)]
	}
	if r.Intn(3) == 0 {
		x.Ret, x.Flags = -13, event.FlagFailed
	}
	return x
}

// Whatever a filter matches passes the kernel, and then the recorder; and what passes both is what
// the filter matches, where it asks for nothing that is known in a replay only.
func TestNothingWantedIsLeftOut(t *testing.T) {
	rnd := rand.New(rand.NewSource(4))
	exact, wanted, left := 0, 0, 0
	for range 4000 {
		src := expr(rnd, 1+rnd.Intn(4))
		env := lang.Env{Actors: line{}}
		p, err := Compile(src, Env{Env: env})
		if err != nil {
			if !strings.Contains(err.Error(), "nothing of this filter") {
				t.Fatalf("%s: %v", src, err)
			}
			continue
		}
		if !fits(p.Clauses) {
			t.Fatalf("%s: more than the kernel has room for: %s", src, show(p.Clauses))
		}
		f, err := lang.Compile(src, env)
		if err != nil {
			t.Fatal(err)
		}
		replay := strings.Contains(src, "proc.exe") || strings.Contains(src, "anc(") || strings.Contains(src, "desc(")
		for range 60 {
			r := row(rnd)
			match, kernel, keep := f.Match(&r, 0, 0), passes(p.Clauses, &r), p.Keep.Match(&r, 0, 0)
			switch {
			case match && !kernel:
				t.Fatalf("%s\nthe kernel refuses %+v\npath %s raddr %s laddr %s\nclauses: %s", src, r, r.Path, r.RAddr, r.LAddr, show(p.Clauses))
			case match && !keep:
				t.Fatalf("%s\nthe recorder refuses %+v", src, r)
			case !replay && keep != match:
				t.Fatalf("%s\nthe recorder keeps %+v, which the filter does not match", src, r)
			}
			if match {
				wanted++
			} else if !kernel {
				left++
			}
			if match == kernel {
				exact++
			}
		}
	}
	if wanted < 10000 || left < 10000 {
		t.Errorf("%d rows wanted, %d left out: the test is too weak", wanted, left)
	}
	t.Logf("%d wanted, %d left out by the kernel, %d decided by it alone", wanted, left, exact)
}

func TestTooMuchIsEased(t *testing.T) {
	var parts []string
	for i := range 30 {
		parts = append(parts, fmt.Sprintf("(file.path startswith /d%d/ and proc.uid = %d)", i, i))
	}
	p, err := Compile("evt.type = open and ("+strings.Join(parts, " or ")+")", Env{})
	if err != nil {
		t.Fatal(err)
	}
	if !p.Eased || !fits(p.Clauses) || p.Types != 1<<event.Open {
		t.Errorf("eased %v, types %x: %s", p.Eased, p.Types, show(p.Clauses))
	}
}
