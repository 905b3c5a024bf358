//go:build linux

// Command compare runs the tricks of ../tricks once, with hindcast (forensic profile) and the
// kernel's audit (auditd and auditctl of the distribution, a broad set of rules) watching at the
// same time, and prints who told what as a page with a table. It needs root, leaves audit as it
// found it, and does without where auditd is not installed. It fails when hindcast missed something.
//
//	compare HINDCAST TRICKS
package main

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// The tricks run under this login id, and the rules ask for it: nobody else's doings are judged.
const login = "4242"

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: compare HINDCAST TRICKS")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

func run(hindcast, tricks string) error {
	dir, err := os.MkdirTemp("", "evasion")
	if err != nil {
		return err
	}
	if os.Getenv("KEEP") == "" {
		defer os.RemoveAll(dir)
	} else {
		fmt.Fprintln(os.Stderr, dir)
	}
	field := filepath.Join(dir, "field")
	if err := os.Mkdir(field, 0o700); err != nil {
		return err
	}
	// Now, so that nobody takes the making of a file for what is done to it later.
	if out, err := exec.Command(tricks, "-prepare", field).CombinedOutput(); err != nil {
		return fmt.Errorf("prepare: %w: %s", err, out)
	}
	stop := func() {}
	_, err = exec.LookPath("auditd")
	audited := err == nil
	if audited {
		if stop, err = audit(dir, field); err != nil {
			return fmt.Errorf("audit: %w", err)
		}
	} else {
		fmt.Fprintln(os.Stderr, "auditd is not installed: hindcast alone")
	}
	capture := filepath.Join(dir, "capture")
	cmd := exec.Command(hindcast, "record", "-q", "--profile", "forensic", "-w", capture, "--",
		"/bin/sh", "-c", `echo `+login+` >/proc/self/loginuid && exec "$0" "$1"`, tricks, field)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	time.Sleep(2 * time.Second) // auditd writes behind
	stop()
	if err != nil {
		return fmt.Errorf("hindcast record: %w", err)
	}
	rows, err := events(hindcast, capture)
	if err != nil {
		return err
	}
	var records []string
	if audited {
		if records, err = auditLog(filepath.Join(dir, "audit.log")); err != nil {
			return err
		}
	}
	if missed := table(string(out), rows, records, audited); missed > 0 {
		return fmt.Errorf("hindcast told nothing of %d tricks", missed)
	}
	return nil
}

// rules is what a careful administrator might load: every way to run, open, change or remove
// something, to connect, and to reach into a process, of both tables of calls.
var rules = []string{
	"-S execve -S execveat",
	"-S open -S openat -S creat -S unlink -S unlinkat -S rename -S renameat -S renameat2 -S truncate -S ftruncate -S link -S linkat -S symlink -S symlinkat -S mkdir -S mkdirat",
	"-S connect -S bind -S sendmsg -S recvmsg",
	"-S ptrace -S setns -S unshare -S process_vm_writev -S process_vm_readv -S memfd_create",
	"-S prctl -F a0=15",
}

var only64 = []string{
	"-S openat2", "-S io_uring_setup -S io_uring_enter", "-S socket -F a0=17", "-S mmap -F a2&4",
	"-S sendfile -S splice -S copy_file_range",
}

// audit starts auditd with a configuration of its own and loads the rules; what it returns puts
// everything back.
func audit(dir, field string) (stop func(), err error) {
	if err := os.MkdirAll(filepath.Join(dir, "plugins.d"), 0o700); err != nil {
		return nil, err
	}
	conf := fmt.Sprintf("log_file = %s/audit.log\nlog_format = RAW\nflush = INCREMENTAL_ASYNC\nfreq = 50\nmax_log_file = 200\nnum_logs = 2\nplugin_dir = %s/plugins.d\nspace_left = 75\nadmin_space_left = 50\nspace_left_action = IGNORE\nadmin_space_left_action = IGNORE\ndisk_full_action = IGNORE\ndisk_error_action = IGNORE\nlocal_events = yes\nwrite_logs = yes\nname_format = NONE\nmax_log_file_action = IGNORE\n", dir, dir)
	if err := os.WriteFile(filepath.Join(dir, "auditd.conf"), []byte(conf), 0o600); err != nil {
		return nil, err
	}
	before, err := exec.Command("auditctl", "-s").Output()
	if err != nil {
		return nil, err
	}
	was := map[string]string{}
	for _, l := range strings.Split(string(before), "\n") {
		if f := strings.Fields(l); len(f) >= 2 {
			was[f[0]] = f[1]
		}
	}
	if was["pid"] != "0" {
		return nil, fmt.Errorf("somebody else has audit: pid %s", was["pid"])
	}
	held, err := exec.Command("auditctl", "-l").Output()
	if err != nil {
		return nil, err
	}
	if s := strings.TrimSpace(string(held)); s != "No rules" {
		return nil, fmt.Errorf("there are rules already:\n%s", s)
	}
	d := exec.Command("auditd", "-n", "-c", dir)
	d.Stderr = os.Stderr
	if err := d.Start(); err != nil {
		return nil, err
	}
	ctl := func(args ...string) {
		if out, err := exec.Command("auditctl", args...).CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "auditctl %s: %s", strings.Join(args, " "), out)
		}
	}
	time.Sleep(time.Second)
	ctl("-b", "65536")
	ctl("-e", "1")
	add := func(arch, calls string) {
		args := append([]string{"-a", "always,exit", "-F", "arch=" + arch}, strings.Fields(calls)...)
		ctl(append(args, "-F", "auid="+login)...)
	}
	for _, r := range rules {
		add("b64", r)
		add("b32", r)
	}
	for _, r := range only64 {
		add("b64", r)
	}
	ctl("-w", field, "-p", "wa") // the watch of the manual: whoever opens for writing or changes attributes
	return func() {
		ctl("-D")
		d.Process.Signal(unix.SIGTERM)
		d.Wait()
		ctl("-e", was["enabled"])
		ctl("-b", was["backlog_limit"])
	}, nil
}

type row map[string]any

func (r row) str(f string) string {
	s, _ := r[f].(string)
	return s
}

func (r row) num(f string) int64 {
	n, _ := r[f].(float64)
	return int64(n)
}

func events(hindcast, capture string) (rows []row, err error) {
	out, err := exec.Command(hindcast, "events", capture, "--no-snapshot", "-o", "ndjson").Output()
	if err != nil {
		return nil, err
	}
	s := bufio.NewScanner(strings.NewReader(string(out)))
	s.Buffer(nil, 1<<24)
	for s.Scan() {
		var r row
		if err := json.Unmarshal(s.Bytes(), &r); err != nil {
			return nil, err
		}
		rows = append(rows, r)
	}
	return rows, s.Err()
}

// auditLog returns the text of every event: its records, which share a serial number.
func auditLog(path string) (events []string, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	serial := regexp.MustCompile(`msg=audit\([0-9.]+:([0-9]+)\)`)
	at := map[string]int{}
	for _, l := range strings.Split(string(b), "\n") {
		m := serial.FindStringSubmatch(l)
		if m == nil {
			continue
		}
		i, ok := at[m[1]]
		if !ok {
			i = len(events)
			at[m[1]] = i
			events = append(events, "")
		}
		events[i] += l + "\n"
	}
	return events, nil
}

// A judge looks for the deed in what a witness told. Empty: nothing.
type judge func(rows []row) string

// told is a row of one of the events, with the marker in one of its names.
func told(mark string, events ...string) judge {
	return is(strings.Join(events, " or "), func(r row) bool {
		if !slices.Contains(events, r.str("event")) {
			return false
		}
		for _, f := range []string{"path", "new_path", "exe"} {
			if strings.HasSuffix(r.str(f), mark) {
				return true
			}
		}
		return false
	})
}

func is(what string, f func(row) bool) judge {
	return func(rows []row) string {
		var found []string
		for _, r := range rows {
			if f(r) && !slices.Contains(found, r.str("event")) {
				found = append(found, r.str("event"))
			}
		}
		slices.Sort(found)
		return strings.Join(found, ", ")
	}
}

// all finds an event whose text has every pattern.
func all(events []string, patterns ...string) bool {
next:
	for _, e := range events {
		for _, p := range patterns {
			if !regexp.MustCompile(p).MatchString(e) {
				continue next
			}
		}
		return true
	}
	return false
}

// name is how audit shows a name: quoted, or in hexadecimal when it has spaces or other signs.
func name(s string) string {
	return "(" + regexp.QuoteMeta(s) + "|" + strings.ToUpper(hex.EncodeToString([]byte(s))) + ")"
}

type answer struct{ verdict, by string }

func yes(by string) answer    { return answer{"yes", by} }
func partly(by string) answer { return answer{"partly", by} }

type test struct {
	deed string
	hind judge
	part judge // weaker evidence
	audi func(e []string) answer
}

func tests() map[string]test {
	const (
		ok = `success=yes`
	)
	open := func(n string) test {
		return test{"a file was opened for reading", told("/"+n, "open", "io_uring"), nil, func(e []string) answer {
			if all(e, `type=(SYSCALL|URINGOP)`, ok, `type=PATH.*name="[^"]*/`+n+`"`, `syscall=(2|257|437|5|295)\b`) {
				return yes("open call")
			}
			return answer{}
		}}
	}
	write := func(n string) test {
		return test{"a file was written", told("/"+n, "write", "io", "dirty", "mmap_write", "io_uring"), told("/"+n, "open"), func(e []string) answer {
			if all(e, ok, `type=PATH.*name="[^"]*/`+n+`"`, `syscall=(2|257|437|5|295)\b`) {
				return partly("opened, not that or how it was written")
			}
			if all(e, `type=PATH.*name="[^"]*/`+n+`"`) {
				return partly("its name")
			}
			return answer{}
		}}
	}
	unlink := func(n string) test {
		return test{"a file was removed", told("/"+n, "unlink", "io_uring", "inode_unlink"), nil, func(e []string) answer {
			if all(e, ok, `type=PATH.*name="[^"]*/`+n+`".*nametype=DELETE`) {
				return yes("unlink call")
			}
			return answer{}
		}}
	}
	connect := func(port int) test {
		return test{"a TCP connection was made", is("", func(r row) bool { return r.str("event") == "connect" && r.num("rport") == int64(port) }), nil, func(e []string) answer {
			if all(e, fmt.Sprintf(`saddr=0200%04X7F000001`, port), `syscall=42\b`) {
				return yes("connect call")
			}
			return answer{}
		}}
	}
	ran := func(n string, flag int64) test {
		return test{"a program was run", is("", func(r row) bool {
			return r.str("event") == "exec" && strings.HasSuffix(r.str("exe"), n) && r.num("exec_flags")&flag == flag
		}), nil, func(e []string) answer {
			if all(e, ok, `type=EXECVE`, `exe="?[^ ]*`+name(n)) {
				return yes("exec call")
			}
			return answer{}
		}}
	}
	access := func(op int64, deed string, audi func(e []string) answer) test {
		return test{deed, is("", func(r row) bool {
			return r.str("event") == "access" && r.num("op") == op && r.num("target_pid") != 0
		}), nil, audi}
	}
	call := func(nr int, more string, yesno func(string) answer, by string) func([]string) answer {
		return func(e []string) answer {
			if all(e, fmt.Sprintf(`syscall=%d\b`, nr), ok, more) {
				return yesno(by)
			}
			return answer{}
		}
	}
	m := map[string]test{
		"write-mmap": write("write-mmap"), "write-sendfile": write("write-sendfile"),
		"write-copy_file_range": write("write-copy_file_range"), "write-splice": write("write-splice"),
		"exec-memfd": ran("memfd:exec-memfd", 1), "exec-fd": ran("/exec-fd", 16), "exec-thread": ran("/exec-thread", 32),
		"exec-loader": {"a program was run through the loader", told("/exec-loader", "mmap_exec"), nil, func(e []string) answer {
			if all(e, `type=EXECVE.*exec-loader`) {
				return partly("as an argument of the loader")
			}
			return answer{}
		}},
		"exec-padding": {"what stands behind 100,000 bytes of arguments", is("", func(r row) bool {
			tail, _ := json.Marshal(r["argv_tail"])
			return r.str("event") == "exec" && strings.Contains(string(tail), "hidden-exec-padding")
		}), ran("/exec-padding", 0).hind, func(e []string) answer {
			if all(e, `type=EXECVE.*hidden-exec-padding`) {
				return yes("arguments in many records")
			}
			return answer{}
		}},
		"mem-self": access(5, "a process wrote its own memory through procfs", func(e []string) answer {
			if all(e, `name="/proc/self/mem"`) {
				return partly("opened, not that it was written")
			}
			return answer{}
		}),
		"process_vm_writev": access(3, "memory of another process was written", call(311, `.`, yes, "call and number of the process")),
		"ptrace":            access(1, "another process was traced", call(101, `type=OBJ_PID`, yes, "call and process")),
		"scm-rights": {"an open file went to another process, which wrote it", is("", func(r row) bool {
			return r.str("event") == "fd_passed" && strings.HasSuffix(r.str("path"), "/scm-rights")
		}), told("/scm-rights", "write"), func(e []string) answer {
			if all(e, `syscall=(46|47)\b`, ok) {
				return partly("sendmsg, not what was passed")
			}
			return answer{}
		}},
		"open-race": {"a file was opened whose name was swapped meanwhile", told("/open-race-HIDE", "open"), nil, func(e []string) answer {
			if all(e, ok, `type=PATH.*name="[^"]*open-race-HIDE"`) {
				return yes("the kernel's copy of the name")
			}
			return answer{}
		}},
		"open-deep": {"a file 6,000 bytes deep was made", is("", func(r row) bool {
			return r.str("event") == "open" && strings.HasSuffix(r.str("path"), "/open-deep") && len(r.str("path")) > 6000
		}), told("open-deep", "open"), func(e []string) answer {
			for _, e := range e {
				if all([]string{e}, ok, `type=PATH.*name="open-deep"`) && strings.Count(e, "dddddddddd") > 500 {
					return yes("name and directory")
				}
			}
			if all(e, ok, `type=PATH.*name="open-deep"`) {
				return partly("its last component, not where")
			}
			return answer{}
		}},
		"connect-unix-abstract": {"an abstract unix socket was connected", is("", func(r row) bool {
			return r.str("event") == "unix_conn" && r.str("path") == "@connect-unix-abstract" && r.num("target_pid") != 0
		}), nil, func(e []string) answer {
			if all(e, `saddr=010000`+strings.ToUpper(hex.EncodeToString([]byte("connect-unix-abstract"))), `syscall=42\b`) {
				return partly("name asked for, not who is at the other end")
			}
			return answer{}
		}},
		"socket-raw": {"a packet socket was made", is("", func(r row) bool { return r.str("event") == "socket_new" && r.num("family") == unix.AF_PACKET }), nil,
			call(41, `a0=11`, yes, "socket call")},
		"prctl-name": {"a process took the name of a kernel thread", is("", func(r row) bool { return r.str("event") == "set_name" && r.str("new_comm") == "kworker/u8:evil" }), nil,
			call(157, `comm="kworker/u8:evil"`, partly, "new name, not the old one")},
		"setns": {"a thread entered the namespace of another process", is("", func(r row) bool {
			return r.str("event") == "namespace" && r.num("op") == 5 || r.str("event") == "namespace" && r.num("ns_type") == 5 && r.num("call") == unix.SYS_SETNS
		}), nil, call(308, `.`, partly, "setns, not which namespace")},
		"tmpfile-link": {"a file without a name got one", told("/tmpfile-link", "link"), nil, func(e []string) answer {
			if all(e, ok, `type=PATH.*name="[^"]*/tmpfile-link"`) {
				return yes("linkat call")
			}
			return answer{}
		}},
	}
	for _, how := range []string{"int80", "uring", "sqpoll"} {
		m["open-"+how], m["write-"+how], m["unlink-"+how] = open("open-"+how), write("write-"+how), unlink("unlink-"+how)
	}
	m["connect-uring"], m["connect-sqpoll"] = connect(47200), connect(47202)
	return m
}

const page = `# Evasions, and who saw them

Each trick is harmless and happens once, in the forensic profile of hindcast and under auditd at the same
time (rules for exec, open, create, remove, rename, link, connect, bind, sendmsg, recvmsg, mmap of programs,
ptrace, process_vm, setns, unshare, memfd_create, prctl, io_uring_enter, packet sockets, sendfile, splice and
copy_file_range, of the 64-bit and the 32-bit table, and a watch of the directory). What the tricks need is
prepared before anybody watches. *yes*: one record names the deed and what it was done to. *partly*: a record
names less. *no*: nothing. make evasion writes this page (testdata/evasion/RESULTS.md).

`

// table prints the page and returns how many tricks hindcast did not tell.
func table(results string, rows []row, records []string, audited bool) int {
	var u unix.Utsname
	unix.Uname(&u)
	kernel, _, _ := strings.Cut(unix.ByteSliceToString(u.Release[:]), "-")
	auditd := "auditd not installed"
	if audited {
		if out, err := exec.Command("auditctl", "-v").Output(); err == nil {
			auditd = strings.Replace(strings.TrimSpace(string(out)), "auditctl version", "auditd", 1)
		}
	}
	fmt.Print(page)
	fmt.Printf("Kernel %s, %s, %s.\n\n", kernel, runtime.GOARCH, auditd)
	fmt.Println("| trick | what happened | hindcast | by | auditd | by |")
	fmt.Println("|---|---|---|---|---|---|")
	all := tests()
	count := map[string]int{}
	for _, l := range strings.Split(strings.TrimSpace(results), "\n") {
		trick, result, _ := strings.Cut(l, "\t")
		t, ok := all[trick]
		if !ok {
			fmt.Printf("| %s | not judged | | | | |\n", trick)
			continue
		}
		if result != "done" {
			fmt.Printf("| %s | not possible here: %s | | | | |\n", trick, strings.ReplaceAll(result, "\n", " "))
			continue
		}
		h := answer{"no", ""}
		if by := t.hind(rows); by != "" {
			h = yes(by)
		} else if t.part != nil {
			if by := t.part(rows); by != "" {
				h = partly(by)
			}
		}
		a := answer{"-", ""}
		if audited {
			if a = t.audi(records); a.verdict == "" {
				a.verdict = "no"
			}
		}
		count["hindcast "+h.verdict]++
		count["auditd "+a.verdict]++
		fmt.Printf("| %s | %s | %s | %s | %s | %s |\n", trick, t.deed, h.verdict, h.by, a.verdict, a.by)
	}
	fmt.Printf("\nhindcast: %d yes, %d partly, %d no.", count["hindcast yes"], count["hindcast partly"], count["hindcast no"])
	if audited {
		fmt.Printf(" auditd: %d yes, %d partly, %d no.", count["auditd yes"], count["auditd partly"], count["auditd no"])
	}
	fmt.Println()
	return count["hindcast no"]
}
