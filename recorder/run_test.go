//go:build linux && (amd64 || arm64)

package recorder

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hindcast/bpf"
	"hindcast/bpf/kerntest/turn"
	"hindcast/format/event"
	"hindcast/format/segment"
	"hindcast/format/store"
	"hindcast/recorder/health"
	"hindcast/replay/load"
)

// The test binary is also a recorder of its own process, for what only another process can show.
const asRecorder = "HINDCAST_TEST_RECORD"

func TestMain(m *testing.M) {
	if path := os.Getenv(asFlooder); path != "" {
		flood(path)
	}
	if dir := os.Getenv(asRecorder); dir != "" {
		o := Options{Dir: dir, SegmentAge: time.Hour}
		if text := os.Getenv(asRecorder + "_OPTIONS"); text != "" {
			if err := json.Unmarshal([]byte(text), &o); err != nil {
				fmt.Println(err)
				os.Exit(2)
			}
		}
		o.Logger = slog.New(slog.NewTextHandler(os.Stderr, nil))
		said := false
		o.Notify = func(s Status) {
			if s.Phase == health.Recording && !said {
				said = true
				fmt.Println("recording")
			}
		}
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		_, err := Run(ctx, o)
		for _, c := range []error{ErrNotRoot, ErrCapability, ErrOutput} {
			if errors.Is(err, c) {
				fmt.Printf("cause: %v\n", c)
			}
		}
		fmt.Printf("error: %v\n", err)
		os.Exit(3)
	}
	release := turn.Take() // the kernel tests of other packages
	code := m.Run()
	release()
	os.Exit(code)
}

// needKernel skips where nothing can be recorded, and says what is missing.
func needKernel(t *testing.T) {
	t.Helper()
	for _, check := range []func() error{requirePrivilege, requireBTF} {
		if err := check(); err != nil {
			t.Skip(err)
		}
	}
}

func read(t *testing.T, dir string) (rows []event.Row) {
	t.Helper()
	c, err := load.Open(dir, load.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if f := c.Findings(); len(f) != 0 {
		t.Errorf("findings: %v", f)
	}
	if err := c.Scan(0, 0, func(r *event.Row, _ load.RowID) error {
		k := *r
		for col := range event.NumColumns {
			if event.ColumnTable[col].Kind == event.Dict {
				k.SetBytes(col, bytes.Clone(r.Bytes(col)))
			}
		}
		rows = append(rows, k)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return rows
}

// pick returns the rows of a type for which ok holds.
func pick(rows []event.Row, ty event.Type, ok func(*event.Row) bool) (out []*event.Row) {
	for i := range rows {
		if r := &rows[i]; r.Type == ty && (ok == nil || ok(r)) {
			out = append(out, r)
		}
	}
	return out
}

func only(t *testing.T, rows []event.Row, ty event.Type, what string, ok func(*event.Row) bool) *event.Row {
	t.Helper()
	got := pick(rows, ty, ok)
	if len(got) != 1 {
		t.Fatalf("%d %s rows of %s", len(got), ty, what)
	}
	return got[0]
}

func object(t *testing.T, path string) (dev uint32, ino uint64) {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	return uint32(st.Dev), st.Ino
}

func number(t *testing.T, path string) uint32 {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	return uint32(n)
}

func TestRecordACommand(t *testing.T) {
	needKernel(t)
	dir := t.TempDir()
	out, other := filepath.Join(dir, "out"), filepath.Join(dir, "other")
	script := filepath.Join(dir, "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho $$ > "+out+"\n/bin/true a 'b c'\nexit 3\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	goroutines := runtime.NumGoroutine()
	var phases []string
	res, err := Run(context.Background(), Options{Dir: filepath.Join(dir, "store"), Command: []string{script, "arg"}, Version: "test", Notify: func(s Status) {
		phases = append(phases, s.Phase.String())
		if s.Phase.String() == "stopping" {
			// not of the command: must not show
			exec.Command("/bin/sh", "-c", "echo x > "+other).Run()
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if res.ExitCode != 3 || !res.ChildStarted || res.Lost != 0 || res.Unaccounted != 0 || res.Segments != 1 || res.Events == 0 || res.Bytes == 0 || res.Missing != 0 {
		t.Errorf("%+v", res)
	}
	if got := strings.Join(phases, " "); !strings.HasPrefix(got, "starting recording ") || !strings.HasSuffix(got, " stopping") {
		t.Errorf("phases: %s", got)
	}
	leak(t, goroutines)

	rows := read(t, res.Dir)
	if uint64(len(rows)) != res.Events {
		t.Errorf("%d rows in the store, the result says %d", len(rows), res.Events)
	}
	pid := number(t, out)
	self := uint32(os.Getpid())
	fork := only(t, rows, event.Fork, "the command", func(r *event.Row) bool { return r.OPID == pid && r.Flags&event.FlagThread == 0 })
	if fork.PID != self || fork.OTID != pid || fork.N3 != int64(self) || fork.OStart == 0 || fork.PStart == 0 {
		t.Errorf("fork %+v", fork)
	}
	ex := only(t, rows, event.Exec, "the command", func(r *event.Row) bool { return r.PID == pid })
	sh, _ := filepath.EvalSymlinks("/bin/sh")
	dev, ino := object(t, sh)
	cwd, _ := os.Getwd()
	if ex.PStart != fork.OStart || ex.Image != fork.Image+1 || string(ex.Path) != sh || ex.Dev != dev || ex.Ino != ino || ex.Op&4 == 0 ||
		string(ex.Argv) != "/bin/sh\x00"+script+"\x00arg\x00" || string(ex.Path2) != script || string(ex.Text) != "/bin/sh" || string(ex.Path3) != cwd || ex.Marks != 0 {
		t.Errorf("exec %+v\nexe %s argv %q script %s interp %s cwd %s", ex, ex.Path, ex.Argv, ex.Path2, ex.Text, ex.Path3)
	}
	cred := pick(rows, event.Cred, func(r *event.Row) bool { return r.Cred == ex.Cred && r.TS <= ex.TS })
	if len(cred) != 1 || cred[0].N1 != int64(os.Getuid()) || cred[0].N2 != int64(os.Geteuid()) {
		t.Errorf("credentials of the command: %+v", cred)
	}
	exit := only(t, rows, event.Exit, "the command", func(r *event.Row) bool { return r.PID == pid && r.Flags&event.FlagThread == 0 })
	if exit.N1 != 3 || exit.N2 != 0 || exit.Op&2 == 0 || exit.PStart != ex.PStart || exit.OPID != self || exit.Image != ex.Image {
		t.Errorf("exit %+v", exit)
	}
	sub := only(t, rows, event.Exec, "the program it runs", func(r *event.Row) bool { return string(r.Argv) == "/bin/true\x00a\x00b c\x00" })
	born := only(t, rows, event.Fork, "the program it runs", func(r *event.Row) bool { return r.OPID == sub.PID })
	if born.PID != pid || born.PStart != ex.PStart || born.OStart != sub.PStart {
		t.Errorf("fork %+v", born)
	}
	if !(fork.TS <= ex.TS && ex.TS <= born.TS && born.TS <= sub.TS && sub.TS <= exit.TS) {
		t.Error("not in order of time")
	}
	dev, ino = object(t, out)
	op := only(t, rows, event.Open, "its output", func(r *event.Row) bool { return string(r.Path) == out })
	if op.Dev != dev || op.Ino != ino || op.N1 != 1 || op.PID != pid || op.TID != pid {
		t.Errorf("open %+v", op)
	}
	wr := only(t, rows, event.FirstWrite, "its output", func(r *event.Row) bool { return r.Dev == dev && r.Ino == ino })
	if wr.Ret != int64(len(fmt.Sprintln(pid))) || wr.PID != pid || string(wr.Path) != out {
		t.Errorf("write %+v", wr)
	}
	if got := pick(rows, event.Open, func(r *event.Row) bool { return string(r.Path) == other }); len(got) != 0 {
		t.Errorf("a process that is not of the command shows: %+v", got[0])
	}
	// Of the rest of the host only the line of the command is there.
	if p := pick(rows, event.Process, func(r *event.Row) bool { return r.PID == self && r.PStart == fork.PStart }); len(p) != 1 {
		t.Errorf("%d rows of the recorder", len(p))
	}
	// Those above us are named, but their arguments and environments are not ours to keep.
	for _, p := range pick(rows, event.Process, nil) {
		mine := p.PID == self
		if mine != (len(p.Argv) > 0) || mine != (p.Marks == 0) || !mine && p.Marks != 2<<2|2<<8 || p.Flags&event.FlagSnapshot == 0 || len(p.Comm) == 0 {
			t.Errorf("process %d (own %v): args %q, marks %#x", p.PID, mine, p.Argv, p.Marks)
		}
	}
	if p := pick(rows, event.Process, func(r *event.Row) bool { return r.PID == uint32(os.Getppid()) }); len(p) != 1 || len(p[0].Path) == 0 {
		t.Errorf("%d rows of the recorder's parent", len(p))
	}
	if p := pick(rows, event.File, nil); len(p) != 0 {
		t.Errorf("%d files of others", len(p))
	}
	if r := only(t, rows, event.Recorder, "scope", func(r *event.Row) bool { return string(r.Text) == "scope" }); string(r.Text2) != "command only" {
		t.Errorf("scope %q", r.Text2)
	}
	for _, action := range []string{"start", "snapshot-begin", "snapshot-end", "stop", "end"} {
		only(t, rows, event.Recorder, action, func(r *event.Row) bool { return string(r.Text) == action })
	}
	if c := pick(rows, event.Coverage, nil); len(c) < 50 {
		t.Errorf("%d coverage rows", len(c))
	}
	if c := pick(rows, event.Clock, nil); len(c) != 2 {
		t.Errorf("%d clock rows", len(c))
	}
	checkMeta(t, res.Dir, []string{script, "arg"})
}

func checkMeta(t *testing.T, dir string, command []string) {
	t.Helper()
	list, err := store.List(dir)
	if err != nil || len(list) == 0 {
		t.Fatalf("%d segments, %v", len(list), err)
	}
	for _, e := range list {
		if e.Open {
			t.Errorf("%v is not sealed", e.Name)
		}
	}
	c, err := load.Open(dir, load.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	m := c.Info().Segments[0].Meta
	host, _ := os.Hostname()
	if m.Host != host || m.BootID == "" || m.Kernel == "" || m.Recorder != "test" || m.CPUs < 1 || m.Config == "" || m.Started == 0 || m.Clock.Wall == 0 ||
		strings.Join(m.Command, "|") != strings.Join(command, "|") {
		t.Errorf("meta %+v", m)
	}
	if id := line("/etc/machine-id"); id != "" && (m.MachineID == "" || strings.Contains(m.MachineID, id)) {
		t.Errorf("machine id %q", m.MachineID)
	}
}

// leak checks that everything that was started has ended.
func leak(t *testing.T, before int) {
	t.Helper()
	for range 100 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	buf := make([]byte, 1<<16)
	t.Errorf("%d goroutines, %d before\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
}

// The whole host, and segments that can be read alone.
func TestSegmentsOpenWithTheState(t *testing.T) {
	needKernel(t)
	dir := filepath.Join(t.TempDir(), "store")
	sleep := exec.Command("/bin/sleep", "100") // lives through it all
	if err := sleep.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { sleep.Process.Kill(); sleep.Wait() }()
	var late *exec.Cmd
	defer func() {
		if late != nil {
			late.Process.Kill()
			late.Wait()
		}
	}()
	ctx, cancel := context.WithCancel(context.Background())
	res, err := Run(ctx, Options{Dir: dir, SegmentAge: time.Second, Version: "test", Notify: func(s Status) {
		if s.Phase.String() != "recording" {
			return
		}
		if late == nil {
			late = exec.Command("/bin/sleep", "99") // born while we record
			late.Start()
		}
		// enough rows that batches are written every second
		exec.Command("/bin/sh", "-c", "i=0; while [ $i -lt 300 ]; do /bin/true; i=$((i+1)); done").Run()
		if s.Segments >= 3 {
			cancel()
		}
	}})
	cancel()
	if err != nil {
		t.Fatal(err)
	}
	if res.Segments < 3 || res.Unaccounted != 0 || res.ChildStarted {
		t.Errorf("%+v", res)
	}
	checkMeta(t, dir, nil)
	list, err := store.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range list {
		rows := read(t, filepath.Join(dir, e.Path))
		for _, want := range []struct {
			pid  int
			args string
			from int // the first segment that must know it
		}{{sleep.Process.Pid, "/bin/sleep\x00100\x00", 0}, {late.Process.Pid, "/bin/sleep\x0099\x00", 1}} {
			got := pick(rows, event.Process, func(r *event.Row) bool { return r.PID == uint32(want.pid) })
			if i >= want.from && len(got) == 0 {
				t.Errorf("segment %d does not know process %d", i, want.pid)
			}
			for _, p := range got {
				if string(p.Argv) != want.args || p.OPID != uint32(os.Getpid()) || p.Flags&event.FlagSnapshot == 0 {
					t.Errorf("segment %d: %+v argv %q", i, p, p.Argv)
				}
				if c := pick(rows, event.Cred, func(r *event.Row) bool { return r.Cred == p.Cred }); len(c) == 0 {
					t.Errorf("segment %d: credential %d of process %d is not defined", i, p.Cred, want.pid)
				}
			}
		}
		if len(pick(rows, event.Coverage, nil)) < 50 || len(pick(rows, event.Clock, nil)) == 0 {
			t.Errorf("segment %d lacks coverage or clock", i)
		}
	}
	if f := pick(read(t, dir), event.File, nil); len(f) == 0 {
		t.Error("no open file in the snapshot of the host")
	}
}

// A flood into rings that are much too small: what is lost is lost, and all of it is told.
func TestFloodIsAccountedFor(t *testing.T) {
	needKernel(t)
	dir := filepath.Join(t.TempDir(), "store")
	flood := `i=0; while [ $i -lt 400 ]; do (: < /etc/passwd); i=$((i+1)); done & ` +
		`i=0; while [ $i -lt 60000 ]; do : < /etc/hostname; i=$((i+1)); done; wait`
	res, err := Run(context.Background(), Options{Dir: dir, Command: []string{"/bin/sh", "-c", flood}, RingBytes: 4096, CriticalBytes: 4096})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d rows, %d lost %v", res.Events, res.Lost, res.LostBy)
	if res.Unaccounted != 0 {
		t.Errorf("%d unaccounted", res.Unaccounted)
	}
	if res.Lost == 0 || res.LostBy["ring_full"] == 0 {
		t.Fatal("nothing was lost: this flood proves nothing")
	}
	rows := read(t, dir)
	var told uint64
	for _, l := range pick(rows, event.Ledger, nil) {
		if string(l.Text) == "unaccounted" {
			t.Errorf("unaccounted: %d of class %d, %s", l.N2, l.N1, l.Text2)
		}
		if c := string(l.Text); c != "read_fault" && c != "map_full" {
			told += uint64(l.N2)
		}
		if l.N2 <= 0 && string(l.Text) != "truncated" || l.T0 == 0 || l.T0 > l.TS {
			t.Errorf("ledger row %+v", l)
		}
	}
	if told != res.Lost {
		t.Errorf("ledger rows tell of %d, the result of %d", told, res.Lost)
	}
	// The operations themselves are the truth: every open of a loop is a row or in the ledger.
	opens := uint64(len(pick(rows, event.Open, func(r *event.Row) bool { return string(r.Path) == "/etc/hostname" })))
	var lost uint64
	for _, l := range pick(rows, event.Ledger, func(r *event.Row) bool { return event.Type(r.N1) == event.Open }) {
		lost += uint64(l.N2)
	}
	if opens > 60000 || opens+lost < 60000 {
		t.Errorf("60000 opens: %d rows, %d in the ledger", opens, lost)
	}
}

func TestCommandThatCannotRun(t *testing.T) {
	needKernel(t)
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, []byte("echo hello\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	odd := filepath.Join(dir, "odd")
	if err := os.WriteFile(odd, []byte("no interpreter here\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		command string
		want    error
	}{{"no-such-command-here", ErrCommandNotFound}, {filepath.Join(dir, "none"), ErrCommandNotFound}, {plain, ErrCommandNotExecutable}, {odd, ErrCommandNotExecutable}} {
		res, err := Run(context.Background(), Options{Dir: filepath.Join(dir, "store"), Command: []string{c.command}})
		if !errors.Is(err, c.want) || res.ChildStarted {
			t.Errorf("%s: %v, started %v", c.command, err, res.ChildStarted)
		}
		oneLine(t, err)
	}
	// The last one was found out by the kernel only: what was recorded till then is sealed.
	checkSealed(t, filepath.Join(dir, "store"))
}

func checkSealed(t *testing.T, dir string) {
	t.Helper()
	list, err := store.List(dir)
	if err != nil || len(list) == 0 {
		t.Fatalf("%d segments, %v", len(list), err)
	}
	for _, e := range list {
		if e.Open {
			t.Errorf("%v is not sealed", e.Name)
		}
	}
}

// oneLine checks that an error is a sentence of ours.
func oneLine(t *testing.T, err error) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Text == "" || strings.Contains(err.Error(), "\n") || e.Cause == nil {
		t.Errorf("not one clear line: %v", err)
	}
}

func TestCommandIsToldToEnd(t *testing.T) {
	needKernel(t)
	dir := filepath.Join(t.TempDir(), "store")
	res, err := Run(context.Background(), Options{Dir: dir, Duration: 300 * time.Millisecond, Command: []string{"/bin/sleep", "100"}})
	if err != nil || res.ExitCode != 128+int(syscall.SIGTERM) || !res.ChildStarted {
		t.Fatalf("%+v, %v", res, err)
	}
	rows := read(t, dir)
	ex := only(t, rows, event.Exec, "sleep", func(r *event.Row) bool { return string(r.Argv) == "/bin/sleep\x00100\x00" })
	end := only(t, rows, event.Exit, "sleep", func(r *event.Row) bool { return r.PID == ex.PID })
	if end.N2 != int64(syscall.SIGTERM) {
		t.Errorf("exit %+v", end)
	}
	sig := pick(rows, event.SignalSent, func(r *event.Row) bool { return r.OPID == ex.PID && r.N1 == int64(syscall.SIGTERM) })
	if len(sig) != 1 || sig[0].PID != uint32(os.Getpid()) {
		t.Errorf("signal rows %+v", sig)
	}
}

func TestOutputThatCannotBeWritten(t *testing.T) {
	needKernel(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	os.WriteFile(file, []byte("x"), 0o600)
	full := filepath.Join(dir, "full")
	os.Mkdir(full, 0o700)
	os.WriteFile(filepath.Join(full, "precious"), []byte("x"), 0o600)
	for _, d := range []string{file, filepath.Join(file, "store"), full} {
		_, err := Run(context.Background(), Options{Dir: d})
		if !errors.Is(err, ErrOutput) {
			t.Errorf("%s: %v", d, err)
		}
		oneLine(t, err)
	}
	small := tmpfs(t, "8m")
	_, err := Run(context.Background(), Options{Dir: filepath.Join(small, "store")})
	if !errors.Is(err, ErrOutput) || !errors.Is(err, unix.ENOSPC) {
		t.Errorf("8 MiB: %v", err)
	}
	oneLine(t, err)
}

func tmpfs(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("mount tmpfs: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

// The disk fills while we record: the recording goes on, tells how many rows are not there, and
// writes again when there is room.
func TestDiskThatFills(t *testing.T) {
	needKernel(t)
	small := tmpfs(t, "24m")
	dir, ballast := filepath.Join(small, "store"), filepath.Join(small, "ballast")
	script := `cat /dev/zero > "$0" 2> /dev/null
i=0; while [ $i -lt 40000 ]; do : < /etc/hostname; i=$((i+1)); done
sleep 2; rm "$0"; i=0; while [ $i -lt 20000 ]; do : < /etc/passwd; i=$((i+1)); done; sleep 1`
	res, err := Run(context.Background(), Options{Dir: dir, SegmentBytes: 64 << 10, Command: []string{"/bin/sh", "-c", script, ballast}})
	t.Logf("%+v", res)
	if !errors.Is(err, ErrOutput) || !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("%v", err)
	}
	oneLine(t, err)
	if res.LostBy["disk"] == 0 || res.Unaccounted != 0 || res.Events == 0 {
		t.Errorf("%+v", res)
	}
	c, err := load.Open(dir, load.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var told, after uint64
	if err := c.Scan(0, 0, func(r *event.Row, _ load.RowID) error {
		switch {
		case r.Type == event.Ledger && string(r.Text) == "disk":
			told += uint64(r.N2)
		case r.Type == event.Open && string(r.Path) == "/etc/passwd":
			after++
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if told != res.LostBy["disk"] || after != 20000 {
		t.Errorf("the ledger tells of %d rows, the result of %d; %d of 20000 opens after the disk was free again", told, res.LostBy["disk"], after)
	}
}

func recorderProcess(t *testing.T, dir string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), asRecorder+"="+dir)
	t.Cleanup(func() { bpf.RemovePins((&Options{Dir: dir}).pinFolder()) })
	return cmd
}

func TestNotRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs to be root to become somebody else")
	}
	// a copy that anybody may run
	dir := t.TempDir()
	cmd := recorderProcess(t, filepath.Join(dir, "store"))
	b, err := os.ReadFile(cmd.Path)
	if err != nil {
		t.Fatal(err)
	}
	for d := dir; d != "/"; d = filepath.Dir(d) {
		if st, err := os.Stat(d); err == nil && st.Mode().Perm()&0o001 == 0 {
			if err := os.Chmod(d, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	cmd.Path = filepath.Join(dir, "recorder")
	if err := os.WriteFile(cmd.Path, b, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		uid     uint32
		ambient []uintptr
		want    error
	}{{"nobody", 65534, nil, ErrNotRoot}, {"nobody with CAP_BPF", 65534, []uintptr{unix.CAP_BPF}, ErrCapability}} {
		cmd := &exec.Cmd{Path: cmd.Path, Env: cmd.Env, Dir: "/", SysProcAttr: &syscall.SysProcAttr{
			Credential: &syscall.Credential{Uid: c.uid, Gid: c.uid}, AmbientCaps: c.ambient}}
		out, _ := cmd.CombinedOutput()
		if !strings.Contains(string(out), "cause: "+c.want.Error()+"\n") || strings.Count(string(out), "\n") != 2 {
			t.Errorf("%s: %s", c.name, out)
		}
		t.Logf("%s: %s", c.name, out)
	}
}

// A recorder that is killed leaves a store that can be mended and read.
func TestKilledRecorderLeavesAStore(t *testing.T) {
	needKernel(t)
	dir := filepath.Join(t.TempDir(), "store")
	cmd := recorderProcess(t, dir)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() }) // before the pins are removed
	marker := filepath.Join(t.TempDir(), "marker")
	found := false
	for end := time.Now().Add(60 * time.Second); !found && time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		// make rows until they show in the file of the open segment
		exec.Command("/bin/sh", "-c", "i=0; while [ $i -lt 200 ]; do : > "+marker+"; i=$((i+1)); done").Run()
		if c, err := load.Open(dir, load.Options{}); err == nil {
			c.Scan(1<<event.ColPath, 1<<event.Open, func(r *event.Row, _ load.RowID) error {
				if string(r.Path) == marker {
					found = true
					return load.Stop
				}
				return nil
			})
			c.Close()
		}
	}
	if !found {
		t.Fatalf("no rows reached the disk: %s", out.String())
	}
	cmd.Process.Kill()
	cmd.Wait()
	rep, err := store.Repair(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", rep)
	checkSealed(t, dir)
	c, err := load.Open(dir, load.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, f := range c.Findings() {
		if f.Class != segment.TornTail {
			t.Errorf("finding %v", f)
		}
	}
	n := 0
	if err := c.Scan(0, 1<<event.Open, func(r *event.Row, _ load.RowID) error {
		if string(r.Path) == marker {
			n++
		}
		return nil
	}); err != nil || n == 0 {
		t.Errorf("%d rows after mending, %v", n, err)
	}
}

func TestOptions(t *testing.T) {
	for _, o := range []Options{{Profile: "everything"}, {Duration: -1}, {RingBytes: -5}, {CriticalBytes: 2 << 30}, {Command: []string{""}}, {Without: []event.Type{event.Connect}}} {
		_, err := Run(context.Background(), o)
		if !errors.Is(err, ErrOptions) {
			t.Errorf("%+v: %v", o, err)
		}
		oneLine(t, err)
	}
	o, err := Options{RingBytes: 100_000}.complete()
	if err != nil || o.RingBytes != 131072 || o.CriticalBytes != 8<<20 || o.Profile != "standard" || o.Dir == "" {
		t.Errorf("%+v, %v", o, err)
	}
}

func TestDoctor(t *testing.T) {
	needKernel(t)
	names := map[string]bool{}
	for _, c := range Doctor(DoctorOptions{Dir: t.TempDir()}) {
		if names[c.Name] {
			t.Errorf("%s stands twice", c.Name)
		}
		names[c.Name] = true
		if c.Detail == "" || (c.Status != OK && c.Status != Warn && c.Status != Fail) {
			t.Errorf("%+v", c)
		}
		if c.Status == Fail {
			t.Errorf("failed on a host that records: %+v", c)
		}
		t.Logf("%-4s %s: %s (%s)", c.Status, c.Name, c.Detail, c.Fix)
	}
	for _, n := range []string{"kernel", "privilege", "btf", "tracefs", "cgroup2", "pins", "output", "ring buffer", "processes", "file opens", "state at start", "io_uring"} {
		if !names[n] {
			t.Errorf("no check %s", n)
		}
	}
	if c := outputCheck("/proc/none"); c.Status != Fail {
		t.Errorf("%+v", c)
	}
}
