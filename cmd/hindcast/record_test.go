//go:build linux && (amd64 || arm64)

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"hindcast/recorder"
)

func TestRecordFailures(t *testing.T) {
	for _, c := range []struct {
		cause   error
		host    int
		command int
	}{
		{recorder.ErrOptions, 2, 2},
		{recorder.ErrNotRoot, 5, 125},
		{recorder.ErrCapability, 5, 125},
		{recorder.ErrNoBTF, 5, 125},
		{recorder.ErrKernel, 5, 125},
		{recorder.ErrOutput, 1, 125},
		{recorder.ErrCommandNotFound, 127, 127},
		{recorder.ErrCommandNotExecutable, 126, 126},
		{errors.New("else"), 1, 125},
	} {
		for i, want := range []int{c.host, c.command} {
			var b bytes.Buffer
			err := recordFailure(&recorder.Error{Cause: c.cause, Text: "what \x1b happened"}, i == 1)
			if got := report(&b, err, false); got != want {
				t.Errorf("%v, command %v: exit %d, want %d", c.cause, i == 1, got, want)
			}
			if b.String() != "hindcast: what \\x1b happened\n" {
				t.Errorf("%v: %q", c.cause, b.String())
			}
		}
	}
}

// TestNotRoot runs the program as nobody.
func TestNotRoot(t *testing.T) {
	if testing.Short() {
		t.Skip("short: builds the program")
	}
	dir, err := os.MkdirTemp("", "hindcast-test")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(dir, "hindcast")
	if out, err := exec.Command("go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	for _, c := range []struct {
		args string
		exit int
		want string
	}{
		{"record -d 1s", 5, "hindcast: recording needs root"},
		{"record -d 1s -o json", 5, `"code":"E_NOT_ROOT","exit":5`},
		{"record -- true", 125, "hindcast: recording needs root"},
		{"record -- nosuchcommand-xyz", 127, "hindcast: nosuchcommand-xyz"},
		{"doctor", 5, ""},
	} {
		cmd := exec.Command(bin, strings.Fields(c.args)...)
		cmd.Dir = dir
		if os.Geteuid() == 0 {
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		}
		var errs bytes.Buffer
		cmd.Stderr = &errs
		err := cmd.Run()
		var ee *exec.ExitError
		if !errors.As(err, &ee) || ee.ExitCode() != c.exit || !strings.Contains(errs.String(), c.want) || strings.Count(errs.String(), "\n") > 1 {
			t.Errorf("%s: %v, want exit %d; it says:\n%s", c.args, err, c.exit, errs.String())
		}
	}
	if left, err := filepath.Glob(filepath.Join(dir, "hindcast-*")); err != nil || len(left) > 0 {
		t.Errorf("it left %v", left)
	}
}

// A terminal sends INT to the recorder and to the command; the command decides what it means.
func TestFirstInterruptIsForTheCommand(t *testing.T) {
	needRecording(t)
	bin, dir := buildHindcast(t), t.TempDir()
	for _, c := range []struct {
		name, script string
		code         int
	}{
		{"first", "kill -INT $PPID; sleep 0.5; exit 9", 9},
		{"second", "kill -INT $PPID; sleep 0.5; kill -INT $PPID; exec sleep 60", 128 + int(syscall.SIGTERM)},
		{"term", "kill -TERM $PPID; exec sleep 60", 128 + int(syscall.SIGTERM)},
	} {
		t.Run(c.name, func(t *testing.T) {
			store := filepath.Join(dir, c.name)
			out, err := exec.Command(bin, "record", "-w", store, "--", "sh", "-c", c.script).CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != c.code {
				t.Fatalf("%v, want exit %d\n%s", err, c.code, out)
			}
			if out, err := exec.Command(bin, "verify", store).CombinedOutput(); err != nil {
				t.Errorf("verify: %v\n%s", err, out)
			}
		})
	}
}

// TestNoTypeInformation hides the kernel's BTF from the program.
func TestNoTypeInformation(t *testing.T) {
	needRecording(t)
	bin := buildHindcast(t)
	for args, code := range map[string]int{"-- true": 125, "--duration 1s": 5} {
		cmd := exec.Command("/bin/sh", "-c", `mount -t tmpfs none /sys/kernel/btf && exec "$0" record -w "$1" `+args, bin, filepath.Join(t.TempDir(), "store"))
		cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != code {
			t.Fatalf("record %s: %v, want exit %d\n%s", args, err, code, out)
		}
		if s := string(out); strings.Count(s, "\n") != 1 || !strings.Contains(s, "CONFIG_DEBUG_INFO_BTF") {
			t.Errorf("record %s said %q", args, s)
		}
	}
}

// TestLeftOutIsNotObservable records a program that writes a file and connects, without the hooks
// that tell so: answers that depend on them say that they cannot be had, and never no.
func TestLeftOutIsNotObservable(t *testing.T) {
	needRecording(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dir := t.TempDir()
	bin, store, file := buildHindcast(t), filepath.Join(dir, "store"), filepath.Join(dir, "written")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) string {
		t.Helper()
		out, err := exec.Command(bin, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("hindcast %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	// the test itself, as another process: it connects and writes
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("HINDCAST_TOUCH", file+" "+l.Addr().String())
	run("record", "-w", store, "--without", "write,io,connect,listen,conn_close,accept,sock,sock_total,dirty,mmap_write", "--",
		"/bin/sh", "-c", `echo $$ >"$1"; exec "$0" -test.run '^TestLeftOutHelper$'`, self, filepath.Join(dir, "pid"))
	b, err := os.ReadFile(filepath.Join(dir, "pid"))
	if err != nil {
		t.Fatal(err)
	}
	pid := strings.TrimSpace(string(b))

	var radius struct {
		Peers   []any `json:"peers"`
		Files   []any `json:"files"`
		NotSeen []struct{ Kind, Cause string }
	}
	out := run("blast", store, pid, "-o", "json")
	if err := json.Unmarshal([]byte(out), &radius); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	text := run("blast", store, pid)
	for _, group := range []string{"peers", "files changed", "persistence points written"} {
		if !strings.Contains(text, "not observable") || !strings.Contains(text, "not observable "+group+": ") {
			t.Errorf("blast does not say that %s are not observable:\n%s", group, text)
		}
		_, none, _ := strings.Cut(text, "none observed: ")
		none, _, _ = strings.Cut(none, "\n")
		if strings.Contains(none, group) {
			t.Errorf("blast says that there were no %s: %s", group, none)
		}
	}
	if out := run("events", store, "evt.type = connect"); !strings.Contains(out, "not observable") {
		t.Errorf("events of a type that no hook tells:\n%s", out)
	}
	if out := run("events", store, "evt.type = exec"); strings.Contains(out, "not observable") {
		t.Errorf("events of a type that hooks tell:\n%s", out)
	}
	if out := run("why", store, file); !strings.Contains(out, "not observable") || strings.Contains(out, "nothing that was recorded wrote it") {
		t.Errorf("why:\n%s", out)
	}
}

// TestLeftOutHelper is what TestLeftOutIsNotObservable records.
func TestLeftOutHelper(t *testing.T) {
	file, addr, ok := strings.Cut(os.Getenv("HINDCAST_TOUCH"), " ")
	if !ok {
		t.Skip("runs as a process of TestLeftOutIsNotObservable only")
	}
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("x"); err != nil {
		t.Fatal(err)
	}
	f.Close()
}
