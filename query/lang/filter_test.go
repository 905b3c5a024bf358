package lang

import (
	"fmt"
	"math/rand"
	"testing"

	"hindcast/format/clock"
	"hindcast/format/event"
)

// family is a tree of three processes: sshd(1) -> bash(2) -> curl(3).
type family struct{}

func (family) Actor(pid uint32, start uint64, _ clock.Boot) (Actor, bool) {
	switch pid {
	case 1:
		return Actor{ID: "p:aaaa11", PID: 1, Name: []byte("sshd"), Exe: []byte("/usr/sbin/sshd"), HasUID: true}, true
	case 2:
		return Actor{ID: "p:bbbb22", PID: 2, PPID: 1, Name: []byte("bash"), Exe: []byte("/bin/bash"), UID: 1000, HasUID: true}, true
	case 3:
		return Actor{ID: "p:cccc33", PID: 3, PPID: 2, Name: []byte("curl"), Exe: []byte("/usr/bin/curl"), Args: []byte("curl -s x"), Cwd: []byte("/tmp")}, true
	}
	return Actor{}, false
}

var rows = []event.Row{
	0: {Type: event.Exec, TS: 1e9, PID: 3, Comm: []byte("curl"), Path: []byte("/usr/bin/curl"), Argv: []byte("curl\x00-s\x00x\x00"), N3: 1},
	1: {Type: event.Open, TS: 2e9, PID: 3, Comm: []byte("curl"), Path: []byte("/tmp/.x"), Op: 0o101, Mode: 0o100755, Dev: 8<<8 | 1, Ino: 1 << 63},
	2: {Type: event.Connect, TS: 3e9, PID: 3, Comm: []byte("curl"), RAddr: []byte("10.1.2.3"), RPort: 443, LAddr: []byte("192.168.0.2"), LPort: 50000, Family: 2, Proto: 6, T0: 25e8},
	3: {Type: event.Connect, TS: 4e9, PID: 2, Comm: []byte("bash"), RAddr: []byte("2001:db8::1"), RPort: 22, LAddr: []byte("::1"), LPort: 1, Family: 10, Proto: 6, Ret: -111, Flags: event.FlagFailed},
	4: {Type: event.Unlink, TS: 5e9, PID: 2, Comm: []byte("bash"), Path: []byte("/tmp/.x")},
	5: {Type: event.Exit, TS: 6e9, PID: 3, Comm: []byte("curl"), N1: 0, N2: 9, N3: 3e9, Op: 2},
	6: {Type: event.IO, TS: 7e9, PID: 3, Comm: []byte("curl"), BytesOut: 49152, N1: 0b1001},
	7: {Type: event.OpenFailed, TS: 8e9, PID: 9, Comm: []byte("cat"), Path: []byte("/etc/shadow"), Ret: -13, Flags: event.FlagFailed | event.FlagSnapshot},
	8: {Type: event.Accept, TS: 9e9, PID: 1, Comm: []byte("sshd"), RAddr: []byte("10.9.9.9"), RPort: 3333, LAddr: []byte("10.0.0.1"), LPort: 22, Family: 2},
	9: {Type: event.Cred, TS: 95e8, Comm: []byte("hindcast"), N9: -1, N2: 0},
}

func columns() *event.Columns {
	c := &event.Columns{}
	for i := range rows {
		c.Append(&rows[i])
	}
	c.Finish()
	return c
}

func every(n int) []uint32 {
	out := make([]uint32, n)
	for i := range out {
		out[i] = uint32(i)
	}
	return out
}

var env = Env{Actors: family{}, Anchor: Anchor{Begin: 1e9 + 100, End: 10e9 + 100}, Offset: 100}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		src  string
		want []int
	}{
		{``, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}},
		{`evt.type = exec`, []int{0}},
		{`evt.type in (execve, openat)`, []int{0, 1}},
		{`evt.type != exec and evt.family = process`, []int{5, 9}},
		{`evt.family = net`, []int{2, 3, 8}},
		{`proc.name = bash`, []int{3, 4}},
		{`not proc.name = curl`, []int{3, 4, 7, 8, 9}},
		{`proc.name in (bash, cat)`, []int{3, 4, 7}},
		{`file.path = /tmp/.x`, []int{1, 4}},
		{`fd.name startswith /tmp`, []int{1, 4}},
		{`not file.path startswith /tmp`, []int{7}},
		{`file.path != /tmp/.x`, []int{7}},
		{`file.path endswith shadow or file.path glob "/t?p/*"`, []int{1, 4, 7}},
		{`file.path exists`, []int{1, 4, 7}},
		{`not file.path exists`, []int{0, 2, 3, 5, 6, 8, 9}},
		{`exec.args = "curl -s x"`, []int{0}},
		{`exec.args contains " -s "`, []int{0}},
		{`file.path icontains SHADOW`, []int{7}},
		{`net.raddr in 10.0.0.0/8`, []int{2, 8}},
		{`not net.raddr in 10.0.0.0/8`, []int{3}},
		{`net.raddr = 2001:db8::1`, []int{3}},
		{`net.raddr in (::ffff:10.1.2.3)`, []int{2}},
		{`net.rport = 443 or net.rport < 30`, []int{2, 3}},
		{`net.port = 22`, []int{3, 8}},
		{`not net.port = 22`, []int{2}},
		{`fd.sport = 22`, []int{3, 8}},
		{`fd.sip = 10.0.0.1`, []int{8}},
		{`net.proto = tcp and net.family = inet`, []int{2}},
		{`evt.res = ECONNREFUSED`, []int{3}},
		{`evt.res < 0`, []int{3, 7}},
		{`evt.res in (EACCES, -111)`, []int{3, 7}},
		{`evt.failed`, []int{3, 7}},
		{`evt.failed = false and evt.family = net`, []int{2, 8}},
		{`evt.snapshot or evt.type = fork`, []int{7}},
		{`file.flags has O_CREAT`, []int{1}},
		{`file.flags has creat|wronly`, []int{1}},
		{`file.flags has O_RDONLY`, []int{7}},
		{`file.flags has O_RDWR`, nil},
		{`file.mode has reg`, []int{1}},
		{`file.mode = 0755`, []int{1}},
		{`file.mode has 0111`, []int{1}},
		{`file.dev = 8:1`, []int{1}},
		{`file.ino > 9223372036854775807`, []int{1}},
		{`file.ino >= -1`, []int{1, 4, 6}},
		{`exit.signal = SIGKILL`, []int{5}},
		{`exit.signal = kill and exit.utime >= 3s`, []int{5}},
		{`exit.utime > 3s`, nil},
		{`io.out > 32k and io.out <= 48KiB`, []int{6}},
		{`io.methods has sendfile`, []int{6}},
		{`cred.capeff has CAP_SYS_ADMIN`, []int{9}},
		{`cred.capeff > 5 and cred.euid = root`, []int{9}},
		{`evt.num = 7:4`, []int{4}},
		{`evt.num != 7:4 and proc.name = bash`, []int{3}},
		{`evt.time >= start+1s and evt.time < start+3s`, []int{1, 2}},
		{`evt.time > -2s`, []int{8, 9}},
		{`net.since >= @2.5 and net.since < @2.6`, []int{2}},
		{`curl`, []int{0, 1, 2, 5, 6}},
		{`"10.1."`, []int{2}},
		{`10.1.2.3:443`, []int{2}},
		{`not 10.1.2.3:443 and evt.family = net`, []int{3, 8}},
		{`"-s x"`, []int{0}},
		{`proc.exe = /bin/bash`, []int{3, 4}},
		{`not proc.exe = /bin/bash`, []int{0, 1, 2, 5, 6, 8}},
		{`proc.exe exists`, []int{0, 1, 2, 3, 4, 5, 6, 8}},
		{`not proc.exe exists`, []int{7, 9}},
		{`proc.cwd = /tmp and proc.args contains -s and net.rport exists`, []int{2}},
		{`proc.pname = bash`, []int{0, 1, 2, 5, 6}},
		{`proc.aname = sshd`, []int{0, 1, 2, 3, 4, 5, 6}},
		{`proc.ppid = 1`, []int{3, 4}},
		{`proc.uid = 1000`, []int{3, 4}},
		{`proc.uid = 0`, []int{8}},
		{`proc.id = p:bbbb`, []int{3, 4}},
		{`desc(p:bbbb) and evt.family = net`, []int{2, 3}},
		{`not desc(2)`, []int{8}},
		{`anc(proc.exe = /usr/sbin/sshd and proc.pid = 1)`, []int{0, 1, 2, 3, 4, 5, 6}},
		{`not anc(proc.name = bash)`, []int{3, 4, 8}},
		{`evt.type = exec or proc.exe = /bin/bash`, []int{0, 3, 4}},
		{`not (evt.type = exec or file.path = /tmp/.x)`, []int{7}},
		{`file.path glob "/etc/sh[a-c]dow"`, []int{7}},
	} {
		f, err := Compile(c.src, env)
		if err != nil {
			t.Errorf("%s: %v", c.src, err)
			continue
		}
		var got []int
		for i := range rows {
			if f.Match(&rows[i], 7, uint32(i)) {
				got = append(got, i)
				if f.Types != 0 && f.Types>>rows[i].Type&1 == 0 {
					t.Errorf("%s: row %d matches, but its type is not among Types", c.src, i)
				}
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s: rows %v, want %v", c.src, got, c.want)
		}
		sel := f.Select(columns(), every(len(rows)))
		var exact []int
		for _, i := range sel {
			if f.Match(&rows[i], 7, i) {
				exact = append(exact, int(i))
			} else if f.Exact {
				t.Errorf("%s: columns chose row %d, which does not match", c.src, i)
			}
		}
		if fmt.Sprint(exact) != fmt.Sprint(c.want) {
			t.Errorf("%s: columns chose %v, want %v", c.src, exact, c.want)
		}
	}
}

// TestColumnsAgree compares the two evaluations on generated rows and filters.
func TestColumnsAgree(t *testing.T) {
	rng := rand.New(rand.NewSource(1))
	leaves := []string{`evt.type = open`, `proc.name = a1`, `file.path contains 3`, `net.rport > 20`, `net.raddr in 10.0.0.0/30`, `evt.failed`, `file.path exists`,
		`net.port = 7`, `file.flags has O_CREAT`, `a2`, `proc.exe exists`, `exit.code = 3`, `io.off < 10`, `file.fd >= -1`, `proc.pid != 3`}
	var expr func(d int) string
	expr = func(d int) string {
		if d == 0 || rng.Intn(4) == 0 {
			return leaves[rng.Intn(len(leaves))]
		}
		a, b := expr(d-1), expr(d-1)
		return []string{"(" + a + " and " + b + ")", "(" + a + " or " + b + ")", "not (" + a + ")"}[rng.Intn(3)]
	}
	var c event.Columns
	var rs []event.Row
	for i := 0; i < 300; i++ {
		e := &event.Catalog[rng.Intn(len(event.Catalog))]
		r := event.Row{Type: e.ID}
		for _, f := range e.Fields {
			if event.ColumnTable[f.Col].Kind == event.Dict {
				v := fmt.Sprintf("a%d", rng.Intn(5))
				if f.Meaning == event.Address {
					v = fmt.Sprintf("10.0.0.%d", rng.Intn(9))
				}
				r.SetBytes(f.Col, []byte(v))
			} else {
				r.SetInt(f.Col, int64(rng.Intn(64)-8))
			}
		}
		r.PID, r.Comm, r.Flags = uint32(rng.Intn(5)), []byte(fmt.Sprintf("a%d", rng.Intn(4))), uint32(rng.Intn(4))
		rs = append(rs, r)
		c.Append(&r)
	}
	c.Finish()
	for k := 0; k < 400; k++ {
		src := expr(4)
		f, err := Compile(src, env)
		if err != nil {
			t.Fatal(src, err)
		}
		keep := map[uint32]bool{}
		last := -1
		for _, i := range f.Select(&c, every(c.N)) {
			if int(i) <= last {
				t.Fatalf("%s: rows out of order", src)
			}
			last = int(i)
			keep[i] = true
		}
		for i := range rs {
			m := f.Match(&rs[i], 0, uint32(i))
			if m && (!keep[uint32(i)] || f.Types != 0 && f.Types>>rs[i].Type&1 == 0) {
				t.Fatalf("%s: columns lose row %d", src, i)
			}
			if !m && keep[uint32(i)] && f.Exact {
				t.Fatalf("%s: columns choose row %d", src, i)
			}
		}
	}
}

func TestFieldsKnown(t *testing.T) {
	for _, e := range event.Catalog {
		for _, f := range e.Fields {
			l := Lookup(f.Query)
			if l == nil {
				t.Errorf("%s.%s: no field %s", e.Name, f.Name, f.Query)
				continue
			}
			if l.Events != 0 && l.Events>>e.ID&1 == 0 {
				t.Errorf("%s does not say that %s has it", f.Query, e.Name)
			}
		}
	}
	seen := map[string]bool{}
	for _, f := range Fields {
		for _, n := range append([]string{f.Name}, f.Aliases...) {
			if seen[n] {
				t.Errorf("%s is the name of two fields", n)
			}
			seen[n] = true
		}
		if f.Doc == "" {
			t.Errorf("%s has no sentence", f.Name)
		}
	}
}

func BenchmarkSelect(b *testing.B) {
	const n = 1 << 16
	var c event.Columns
	rng := rand.New(rand.NewSource(1))
	for i := 0; i < n; i++ {
		r := event.Row{Type: event.Open, PID: uint32(rng.Intn(500)), Comm: []byte(fmt.Sprintf("c%d", rng.Intn(40))), Path: []byte(fmt.Sprintf("/usr/lib/x%d/y.so", rng.Intn(2000)))}
		if rng.Intn(8) == 0 {
			r = event.Row{Type: event.Connect, PID: r.PID, Comm: r.Comm, RAddr: []byte(fmt.Sprintf("10.0.%d.%d", rng.Intn(20), rng.Intn(250))), RPort: uint16(rng.Intn(1000))}
		}
		c.Append(&r)
	}
	c.Finish()
	sel := make([]uint32, n)
	for _, q := range []string{`proc.pid = 17`, `proc.name = c7`, `file.path endswith x12/y.so`, `net.raddr in 10.0.3.0/24`, `net.rport in (80, 443)`,
		`proc.name = c7 and file.path startswith /usr/lib/x1 and not proc.pid = 17 and file.path endswith .so`, `x13`} {
		b.Run(q, func(b *testing.B) {
			f, err := Compile(q, Env{})
			if err != nil {
				b.Fatal(err)
			}
			for i := 0; i < b.N; i++ {
				for k := range sel {
					sel[k] = uint32(k)
				}
				f.Select(&c, sel)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/row")
		})
	}
}
