//go:build linux && (amd64 || arm64)

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestFilteredRecordings records one workload under one filter after the other: each recording has
// exactly what the filter matches of it, lineage as in all others, and says what it left out.
func TestFilteredRecordings(t *testing.T) {
	needRecording(t)
	base, err := os.MkdirTemp("/tmp", "hf") // short: the kernel compares the first bytes of a path
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(base)
	if err := os.Chmod(base, 0o755); err != nil {
		t.Fatal(err)
	}
	var ports []string
	for range 2 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		_, port, _ := net.SplitHostPort(l.Addr().String())
		ports = append(ports, port)
	}
	for _, d := range []string{"a", "b"} {
		if err := os.Mkdir(filepath.Join(base, d), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(base, d), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(base, d, "key.pem"), []byte(d), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// where another user may run it
	self := filepath.Join(base, "self")
	if b, err := os.ReadFile("/proc/self/exe"); err != nil {
		t.Fatal(err)
	} else if err := os.WriteFile(self, b, 0o755); err != nil {
		t.Fatal(err)
	}
	bin := buildHindcast(t)
	t.Setenv("HINDCAST_FILTERED", base+" "+strings.Join(ports, " "))
	opens := func(d string) string { return "evt.type = open and file.path startswith " + base + "/" + d }
	for i, c := range []struct {
		filter string
		query  string // whose rows are counted
		want   int
		later  bool // the filter asks what only a replay knows
	}{
		{"evt.type = open and file.path startswith " + base + "/a", opens("a"), 4, false},
		{"evt.type in (open, write, unlink) and not file.path startswith " + base + "/b", opens("b"), 0, false},
		{"file.path startswith " + base + " and proc.uid = 65534", opens("a"), 2, false},
		{"file.path startswith " + base + " and proc.uid = 65534 and file.path endswith .pem", opens(""), 2, false},
		{"net.port = " + ports[0], "evt.type = connect", 2, false},
		{"evt.type = connect and net.raddr in 127.0.0.0/8 and net.rport = " + ports[1], "evt.type = connect", 2, false},
		{"evt.type = connect and not net.raddr in 127.0.0.0/8", "evt.type = connect", 0, false},
		{"proc.name = nobody-else", "evt.family in (file, net)", 0, false},
		{"evt.type = open and file.path startswith " + base + " and proc.exe = /nowhere", opens("a"), 4, true},
	} {
		store := filepath.Join(t.TempDir(), fmt.Sprint(i))
		cmd := exec.Command(bin, "record", "-w", store, "-o", "json", "-f", c.filter, "--", self, "-test.run", "^TestFilteredHelper$")
		var said, errs bytes.Buffer
		cmd.Stdout, cmd.Stderr = &said, &errs
		if err := cmd.Run(); err != nil {
			t.Fatalf("%s: %v\n%s%s", c.filter, err, said.String(), errs.String())
		}
		lines := strings.Split(strings.TrimSpace(errs.String()), "\n")
		var sum struct{ Events, Lost, Unaccounted uint64 }
		if err := json.Unmarshal([]byte(lines[len(lines)-1]), &sum); err != nil || sum.Lost != 0 || sum.Unaccounted != 0 {
			t.Errorf("%s: %v, %s", c.filter, err, errs.String())
		}
		count := func(query string) int {
			t.Helper()
			out, err := exec.Command(bin, "events", store, query, "--count").Output()
			n, e := strconv.Atoi(strings.TrimSpace(string(out)))
			if err != nil || e != nil {
				t.Fatalf("events %s: %v %v: %s", query, err, e, out)
			}
			return n
		}
		if n := count(c.query); n != c.want {
			t.Errorf("%s: %d rows of %s, want %d", c.filter, n, c.query, c.want)
		}
		const lineage = "evt.type in (fork, exec, exit, cred, cred_change, process, set_name, session, reparent, namespace)"
		all := count("evt.family != recorder and not " + lineage)
		if n := count("evt.family != recorder and not " + lineage + " and (" + c.filter + ")"); n != all && !c.later {
			t.Errorf("%s: %d rows, of which the filter matches %d", c.filter, all, n)
		}
		// the helper, itself as nobody, and one that does nothing
		if n := count("evt.type = exec"); n != 3 {
			t.Errorf("%s: %d programs, want 3", c.filter, n)
		}
		if n := count("evt.type = exit and not evt.snapshot and exit.flags = 2"); n < 3 { // and of what the runtime forks to try the kernel
			t.Errorf("%s: %d ends of processes, want at least 3", c.filter, n)
		}
		var info struct {
			Filter  string
			LeftOut uint64 `json:"left_out"`
		}
		out, err := exec.Command(bin, "info", store, "-o", "json").Output()
		if err == nil {
			err = json.Unmarshal(out, &info)
		}
		if err != nil || info.Filter != c.filter || info.LeftOut == 0 {
			t.Errorf("%s: info: %v, filter %q, %d left out", c.filter, err, info.Filter, info.LeftOut)
		}
		out, err = exec.Command(bin, "events", store, "evt.type = bind").Output()
		if err != nil || !strings.Contains(string(out), "only what matches") {
			t.Errorf("%s: an answer does not say that only a part was recorded: %v\n%s", c.filter, err, out)
		}
		if strings.HasPrefix(c.filter, "evt.type = open") && !strings.Contains(string(out), "not observable") {
			t.Errorf("%s: binds are not said to be unobservable:\n%s", c.filter, out)
		}
	}
}

// TestFilteredHelper is what TestFilteredRecordings records: it opens a file in each of two
// directories, writes one, connects to two ports, and has the same done by another user.
func TestFilteredHelper(t *testing.T) {
	f := strings.Fields(os.Getenv("HINDCAST_FILTERED"))
	if len(f) != 3 {
		t.Skip("runs as a process of TestFilteredRecordings only")
	}
	for _, d := range []string{"a", "b"} {
		p := filepath.Join(f[0], d, "key.pem")
		r, err := os.Open(p)
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
		w, err := os.Create(filepath.Join(f[0], d, fmt.Sprint("new", os.Getuid())))
		if err != nil {
			t.Fatal(err)
		}
		w.WriteString("x")
		w.Close()
		if err := os.Remove(w.Name()); err != nil {
			t.Fatal(err)
		}
	}
	for _, port := range f[1:] {
		c, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
	if os.Getuid() != 0 {
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run", "^TestFilteredHelper$")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := exec.Command("/bin/true").Run(); err != nil {
		t.Fatal(err)
	}
}
