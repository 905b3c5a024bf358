//go:build linux && (amd64 || arm64)

package main

import (
	"bytes"
	"errors"
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
