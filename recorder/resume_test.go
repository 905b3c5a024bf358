//go:build linux && (amd64 || arm64)

package recorder

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"hindcast/bpf"
	"hindcast/format/clock"
	"hindcast/format/event"
	"hindcast/format/segment"
	"hindcast/recorder/probe"
	"hindcast/replay/load"
)

// The long versions of these tests run in make nightly.
var nightly = os.Getenv("HINDCAST_NIGHTLY") != ""

// short returns the first number in make test, the second one at night.
func short(test, night int) int {
	if nightly {
		return night
	}
	return test
}

const asFlooder = "HINDCAST_TEST_FLOOD"

// flood opens and reads a file until the process is killed.
func flood(path string) {
	buf := make([]byte, 1)
	for {
		fd, err := unix.Open(path, unix.O_RDONLY, 0)
		if err != nil {
			os.Exit(1)
		}
		unix.Read(fd, buf)
		unix.Close(fd)
	}
}

// other is a recorder in a process of its own.
type other struct {
	t   *testing.T
	o   Options
	cmd *exec.Cmd
	out *bytes.Buffer
}

// begin starts a recorder and waits until it records.
func begin(t *testing.T, o Options) *other {
	t.Helper()
	r := &other{t: t, o: o}
	r.again()
	t.Cleanup(func() {
		if r.cmd.ProcessState == nil {
			r.cmd.Process.Kill()
			r.cmd.Wait()
		}
		if err := bpf.RemovePins(o.pinFolder()); err != nil {
			t.Errorf("remove pins: %v", err)
		}
	})
	return r
}

// again starts the recorder once more, on the same store.
func (r *other) again() time.Duration {
	r.t.Helper()
	begun := time.Now()
	text, err := json.Marshal(map[string]any{"Dir": r.o.Dir, "RingBytes": r.o.RingBytes, "CriticalBytes": r.o.CriticalBytes, "Quota": r.o.Quota, "SegmentAge": r.o.SegmentAge})
	if err != nil {
		r.t.Fatal(err)
	}
	r.cmd = recorderProcess(r.t, r.o.Dir)
	r.cmd.Env = append(r.cmd.Env, asRecorder+"_OPTIONS="+string(text))
	r.out = &bytes.Buffer{}
	r.cmd.Stderr = r.out
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		r.t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if lines.Text() == "recording" {
			return time.Since(begun)
		}
		fmt.Fprintln(r.out, lines.Text())
	}
	r.cmd.Wait()
	r.t.Fatalf("no recording: %s", r.out)
	return 0
}

func (r *other) kill() {
	r.t.Helper()
	if err := r.cmd.Process.Kill(); err != nil {
		r.t.Fatal(err)
	}
	r.cmd.Wait()
}

// end ends the recorder in order.
func (r *other) end() {
	r.t.Helper()
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		r.t.Fatal(err)
	}
	r.cmd.Wait()
	if r.cmd.ProcessState.ExitCode() != 3 || strings.Contains(r.out.String(), "cause:") {
		r.t.Fatalf("recorder ended with %v: %s", r.cmd.ProcessState, r.out)
	}
	if _, err := os.Lstat(r.o.pinFolder()); err == nil {
		r.t.Errorf("pins are left after an orderly end")
	}
}

// numbers makes numbered files, and starts a numbered program now and then, until it is stopped.
type numbers struct {
	dir    string
	stop   chan struct{}
	done   sync.WaitGroup
	n      int          // files made: 0 to n-1
	times  []clock.Boot // right after each
	before []clock.Boot // right before each
	execs  int
	made   atomic.Int64 // n, for who waits
}

// more waits until so many more files were made.
func (l *numbers) more(t *testing.T, n int64) {
	t.Helper()
	until, end := l.made.Load()+n, time.Now().Add(time.Minute)
	for l.made.Load() < until {
		if time.Now().After(end) {
			t.Fatalf("%d files in a minute, want %d", l.made.Load()-until+n, n)
		}
		time.Sleep(time.Millisecond)
	}
}

func count(t *testing.T, pause time.Duration) *numbers {
	l := &numbers{dir: t.TempDir(), stop: make(chan struct{})}
	l.done.Go(func() {
		for {
			select {
			case <-l.stop:
				return
			default:
			}
			l.before = append(l.before, boot())
			fd, err := unix.Open(filepath.Join(l.dir, strconv.Itoa(l.n)), unix.O_CREAT|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
			if err != nil {
				t.Errorf("open: %v", err)
				return
			}
			unix.Close(fd)
			l.times = append(l.times, boot())
			l.n++
			l.made.Add(1)
			if l.n%200 == 0 {
				exec.Command("/bin/true", "marked", l.dir, strconv.Itoa(l.execs)).Run()
				l.execs++
			}
			if pause > 0 {
				time.Sleep(pause)
			}
		}
	})
	return l
}

func (l *numbers) end() {
	close(l.stop)
	l.done.Wait()
}

// seen is what a store says: how often each file and each program was told.
type seen struct {
	rows   []event.Row // of the recorder family, signals, credentials and connections
	files  map[int]int
	execs  map[int]int
	signal []event.Row
}

func look(t *testing.T, dir string, l *numbers) *seen {
	t.Helper()
	s := &seen{files: map[int]int{}, execs: map[int]int{}}
	c, err := load.Open(dir, load.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, f := range c.Findings() {
		if f.Class != segment.TornTail { // of a recorder that was killed
			t.Errorf("finding %v", f)
		}
	}
	if err := c.Scan(0, 0, func(r *event.Row, _ load.RowID) error {
		switch r.Type {
		case event.Open:
			if l != nil && filepath.Dir(string(r.Path)) == l.dir {
				n, err := strconv.Atoi(filepath.Base(string(r.Path)))
				if err != nil {
					t.Errorf("path %q", r.Path)
				}
				s.files[n]++
			}
		case event.Exec:
			if f := strings.Split(string(r.Argv), "\x00"); l != nil && len(f) >= 4 && f[1] == "marked" && f[2] == l.dir {
				n, _ := strconv.Atoi(f[3])
				s.execs[n]++
			}
		case event.SignalSent, event.Recorder, event.Ledger, event.CredChange, event.Connect:
			k := *r
			for col := range event.NumColumns {
				if event.ColumnTable[col].Kind == event.Dict {
					k.SetBytes(col, bytes.Clone(r.Bytes(col)))
				}
			}
			if r.Type == event.SignalSent {
				s.signal = append(s.signal, k)
			} else {
				s.rows = append(s.rows, k)
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return s
}

// whole asserts that every number is there once.
func (s *seen) whole(t *testing.T, l *numbers) {
	t.Helper()
	check := func(what string, got map[int]int, n int) {
		missing, twice := 0, 0
		for i := range n {
			switch {
			case got[i] == 0:
				missing++
			case got[i] > 1:
				twice++
			}
		}
		if missing != 0 || twice != 0 || len(got) != n {
			t.Errorf("%s: of %d numbers %d are missing, %d are told twice, %d are known", what, n, missing, twice, len(got))
		}
	}
	check("files", s.files, l.n)
	check("programs", s.execs, l.execs)
}

func (s *seen) actions(name string) []*event.Row {
	return pick(s.rows, event.Recorder, func(r *event.Row) bool { return string(r.Text) == name })
}

// balanced asserts that the books of the last recorder, which are those of all, add up.
func (s *seen) balanced(t *testing.T) {
	t.Helper()
	ends := s.actions("end")
	if len(ends) == 0 {
		t.Fatal("no end")
	}
	if last := ends[len(ends)-1]; last.N1 != 0 {
		t.Errorf("%d unaccounted", last.N1)
	}
	for _, l := range pick(s.rows, event.Ledger, func(r *event.Row) bool { return string(r.Text) == "unaccounted" }) {
		t.Errorf("ledger: %d of class %d unaccounted: %s", l.N2, l.N1, l.Text2)
	}
}

// sent returns the signals that this process sent to another.
func (s *seen) sent(to int, sig syscall.Signal) (n int) {
	for i := range s.signal {
		if r := &s.signal[i]; r.PID == uint32(os.Getpid()) && r.OPID == uint32(to) && r.N1 == int64(sig) {
			n++
		}
	}
	return n
}

// Whenever a recorder is killed, its successor tells everything, once, and who did it.
func TestKilledRecordersSuccessorMissesNothing(t *testing.T) {
	needKernel(t)
	r := begin(t, Options{Dir: filepath.Join(t.TempDir(), "store")})
	l := count(t, 200*time.Microsecond)
	rng := rand.New(rand.NewSource(time.Now().UnixNano()))
	kills := short(5, 100)
	var pids []int
	var worst time.Duration
	for range kills {
		time.Sleep(time.Duration(rng.Intn(700)) * time.Millisecond)
		pids = append(pids, r.cmd.Process.Pid)
		r.kill()
		time.Sleep(time.Duration(rng.Intn(300)) * time.Millisecond)
		worst = max(worst, r.again())
	}
	time.Sleep(200 * time.Millisecond)
	l.end()
	r.end()
	s := look(t, r.o.Dir, l)
	t.Logf("%d files and %d programs over %d kills; slowest restart %v", l.n, l.execs, kills, worst)
	s.whole(t, l)
	s.balanced(t)
	resumed := s.actions("resumed")
	if len(resumed) != kills {
		t.Errorf("%d kills, %d resumed rows", kills, len(resumed))
	}
	for i, row := range resumed {
		if row.T0 == 0 || row.T0 >= row.TS || i < len(pids) && !strings.Contains(string(row.Text2), fmt.Sprintf("recorder %d ended", pids[i])) {
			t.Errorf("resumed: from %d to %d, %s", row.T0, row.TS, row.Text2)
		}
	}
	for _, pid := range pids {
		if n := s.sent(pid, syscall.SIGKILL); n != 1 {
			t.Errorf("%d rows say that we killed recorder %d", n, pid)
		}
	}
	if n := len(pick(s.rows, event.Ledger, func(r *event.Row) bool { return string(r.Text) == "ring_full" })); n != 0 {
		t.Errorf("%d ledger rows of full rings", n)
	}
}

// When the rings are too small for the time without a recorder, what is missing lies within the
// intervals of the ledger, and is no more than it says.
func TestGapsOfAKilledRecorderAreBounded(t *testing.T) {
	needKernel(t)
	r := begin(t, Options{Dir: filepath.Join(t.TempDir(), "store"), RingBytes: 64 << 10, CriticalBytes: 64 << 10})
	l := count(t, 100*time.Microsecond)
	for range short(2, 20) {
		time.Sleep(500 * time.Millisecond)
		r.kill()
		l.more(t, 4000) // several times what the rings hold, however fast this machine is
		r.again()
	}
	time.Sleep(500 * time.Millisecond)
	l.end()
	r.end()
	s := look(t, r.o.Dir, l)
	s.balanced(t)
	ledger := pick(s.rows, event.Ledger, func(r *event.Row) bool {
		c := string(r.Text)
		return event.Type(r.N1) == event.Open && (c == "ring_full" || c == "quota")
	})
	missing, outside, told := 0, 0, int64(0)
	for _, row := range ledger {
		told += row.N2
	}
	for i := range l.n {
		if s.files[i] > 1 {
			t.Errorf("file %d is told %d times", i, s.files[i])
		}
		if s.files[i] != 0 {
			continue
		}
		missing++
		in := false
		for _, row := range ledger {
			in = in || row.T0 <= l.times[i] && row.TS >= l.before[i]
		}
		if !in {
			outside++
			after, until := time.Duration(-1), time.Duration(-1) // from the end of the gap before, to the next one
			for _, row := range ledger {
				if d := l.before[i].Sub(row.TS); d > 0 && (after < 0 || d < after) {
					after = d
				}
				if d := row.T0.Sub(l.times[i]); d > 0 && (until < 0 || d < until) {
					until = d
				}
			}
			t.Logf("file %d is missing %v after a gap, %v before the next", i, after, until)
		}
	}
	t.Logf("%d of %d files missing, %d opens in the ledger", missing, l.n, told)
	if missing == 0 {
		t.Error("nothing was lost: this test proves nothing")
	}
	if outside != 0 || int64(missing) > told {
		t.Errorf("%d missing files are outside of every gap; %d are missing, the ledger tells of %d", outside, missing, told)
	}
}

// A recorder that is stopped, or frozen, goes on where it was, says for how long, and who did it.
func TestStoppedAndFrozenRecorderGoesOn(t *testing.T) {
	needKernel(t)
	r := begin(t, Options{Dir: filepath.Join(t.TempDir(), "store")})
	l := count(t, 500*time.Microsecond)
	pid := r.cmd.Process.Pid
	time.Sleep(300 * time.Millisecond)
	pause := time.Duration(short(2, 20)) * time.Second
	type interval struct{ from, to clock.Boot }
	var pauses []interval
	away := func() {
		from := boot()
		time.Sleep(pause)
		pauses = append(pauses, interval{from, boot()})
	}
	r.cmd.Process.Signal(syscall.SIGSTOP)
	awaitStopped(t, pid)
	away()
	r.cmd.Process.Signal(syscall.SIGCONT)
	time.Sleep(300 * time.Millisecond)
	if freeze(t, pid, true) {
		away()
		freeze(t, pid, false)
	} else {
		t.Log("no freezer: the kernel has neither that of cgroup 2 nor that of cgroup 1, or they may not be written to here")
	}
	time.Sleep(300 * time.Millisecond)
	l.end()
	r.end()
	s := look(t, r.o.Dir, l)
	s.whole(t, l)
	s.balanced(t)
	stalls := s.actions("stalled") // a busy machine may make more of them
	for i, p := range pauses {
		n := 0
		for _, row := range stalls {
			if row.T0 <= p.from && row.TS >= p.to {
				n++
			}
		}
		if n != 1 {
			t.Errorf("pause %d, from %d to %d: %d of %d stalls cover it", i, p.from, p.to, n, len(stalls))
		}
	}
	for _, row := range stalls {
		if d := row.TS.Sub(row.T0); row.N1 != d.Milliseconds() {
			t.Errorf("stalled for %v, told as %d ms", d, row.N1)
		}
	}
	for _, sig := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGCONT} {
		if n := s.sent(pid, sig); n != 1 {
			t.Errorf("%d rows of %v", n, sig)
		}
	}
}

// awaitStopped waits until every thread of a process is stopped: the signal is sent before.
func awaitStopped(t *testing.T, pid int) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		running := 0
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		for _, f := range threads {
			b, _ := os.ReadFile(f)
			if _, rest, ok := strings.Cut(string(b), ") "); ok && !strings.HasPrefix(rest, "T") {
				running++
			}
		}
		if err == nil && len(threads) > 0 && running == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d of %d threads are not stopped", running, len(threads))
		}
	}
}

// freeze puts a process into a group of its own and freezes it, or thaws and removes it. It is false
// where there is no freezer to be had; one that is there and does not work fails the test.
func freeze(t *testing.T, pid int, on bool) bool {
	t.Helper()
	for _, v := range []struct{ root, file, freeze, thaw, state, frozen string }{
		{"/sys/fs/cgroup/freezer", "freezer.state", "FROZEN", "THAWED", "freezer.state", "FROZEN"},
		{"/sys/fs/cgroup", "cgroup.freeze", "1", "0", "cgroup.events", "frozen 1"},
		{"/sys/fs/cgroup/unified", "cgroup.freeze", "1", "0", "cgroup.events", "frozen 1"},
	} {
		group := filepath.Join(v.root, fmt.Sprintf("hindcast-test-%d", os.Getpid()))
		if on {
			if os.Mkdir(group, 0o755) != nil {
				continue // no such hierarchy, or mounted read-only
			}
			if _, err := os.Lstat(filepath.Join(group, v.file)); err != nil {
				os.Remove(group) // a directory like any other, or before 5.2
				continue
			}
			err := os.WriteFile(filepath.Join(group, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0)
			if err == nil {
				err = os.WriteFile(filepath.Join(group, v.file), []byte(v.freeze), 0)
			}
			for end := time.Now().Add(10 * time.Second); err == nil; time.Sleep(time.Millisecond) {
				b, _ := os.ReadFile(filepath.Join(group, v.state))
				if strings.Contains(string(b), v.frozen) {
					return true
				}
				if time.Now().After(end) {
					err = fmt.Errorf("not frozen within ten seconds: %s", b)
				}
			}
			t.Errorf("freeze in %s: %v", group, err)
			os.WriteFile(filepath.Join(group, v.file), []byte(v.thaw), 0)
			os.WriteFile(filepath.Join(v.root, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0)
			os.Remove(group)
			continue
		}
		if os.WriteFile(filepath.Join(group, v.file), []byte(v.thaw), 0) == nil {
			os.WriteFile(filepath.Join(v.root, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0)
			if err := os.Remove(group); err != nil {
				t.Logf("remove %s: %v", group, err)
			}
			return true
		}
	}
	return false
}

// Whatever floods the host, the few things that matter are all there, and every hole is told.
func TestFloodThenAct(t *testing.T) {
	needKernel(t)
	for range short(1, 5) {
		r := begin(t, Options{Dir: filepath.Join(t.TempDir(), "store"), RingBytes: 256 << 10})
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		var floods []*exec.Cmd
		for range 2 {
			f := recorderProcess(t, "")
			f.Env = append(f.Env, asFlooder+"="+file)
			if err := f.Start(); err != nil {
				t.Fatal(err)
			}
			floods = append(floods, f)
		}
		ls, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		length := time.Duration(short(5, 60)) * time.Second
		var ports []int
		var pids []int
		dir := t.TempDir()
		for i := range 20 {
			time.Sleep(length / 20)
			c := exec.Command("/bin/true", "marked", dir, strconv.Itoa(i))
			c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
			if err := c.Run(); err != nil {
				t.Fatal(err)
			}
			pids = append(pids, c.ProcessState.Pid())
			conn, err := net.Dial("tcp", ls.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			ports = append(ports, conn.LocalAddr().(*net.TCPAddr).Port)
			conn.Close()
		}
		for _, f := range floods {
			f.Process.Kill()
			f.Wait()
		}
		ls.Close()
		r.end()
		s := look(t, r.o.Dir, &numbers{dir: dir})
		s.balanced(t)
		var execs, creds, conns int
		for i := range 20 {
			if s.execs[i] == 1 {
				execs++
			}
			if len(pick(s.rows, event.CredChange, func(r *event.Row) bool { return r.PID == uint32(pids[i]) })) > 0 {
				creds++
			}
			if len(pick(s.rows, event.Connect, func(r *event.Row) bool { return r.LPort == uint16(ports[i]) })) == 1 {
				conns++
			}
		}
		var lost int64
		by := map[string]int64{}
		for _, row := range pick(s.rows, event.Ledger, nil) {
			by[string(row.Text)] += row.N2
			lost += row.N2
			if e := event.ByID(event.Type(row.N1)); e != nil && e.Ring == event.Critical && string(row.Text) == "ring_full" {
				t.Errorf("%d %s rows were lost", row.N2, e.Name)
			}
		}
		t.Logf("%d of 20 programs, %d of 20 changes of user, %d of 20 connections; the ledger tells of %v", execs, creds, conns, by)
		if execs != 20 || creds != 20 || conns != 20 {
			t.Error("an act is missing")
		}
		if lost == 0 {
			t.Error("nothing was lost: this flood proves nothing")
		}
	}
}

// What a cgroup makes above its quota is counted, as its own.
func TestQuotaIsCountedByCgroup(t *testing.T) {
	needKernel(t)
	r := begin(t, Options{Dir: filepath.Join(t.TempDir(), "store"), Quota: 100})
	dir := t.TempDir()
	name := filepath.Join(dir, "read")
	if err := os.WriteFile(name, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	const n = 5000
	for range n {
		fd, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		unix.Close(fd)
	}
	l := count(t, 0) // to be written: not held to the quota
	time.Sleep(100 * time.Millisecond)
	l.end()
	r.end()
	c, err := load.Open(r.o.Dir, load.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	stored, refused, groups, mine := 0, int64(0), map[uint64]int64{}, uint64(0)
	if err := c.Scan(0, 0, func(r *event.Row, _ load.RowID) error {
		switch {
		case r.Type == event.Open && string(r.Path) == name && r.Op&3 == 0:
			stored++
			mine = r.Cgroup
		case r.Type == event.Ledger && string(r.Text) == "quota" && event.Type(r.N1) == event.Open:
			groups[r.Cgroup] += r.N2
			refused += r.N2
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d of %d opens stored, refused by cgroup: %v", stored, n, groups)
	if stored == 0 || stored > n/2 || int64(stored)+groups[mine] < n {
		t.Errorf("%d stored and %d refused of %d", stored, groups[mine], n)
	}
	s := look(t, r.o.Dir, l)
	s.whole(t, l)
	s.balanced(t)
}

// Somebody removes pins and detaches a hook: it is told, and mended within two seconds.
func TestTamperingIsToldAndMended(t *testing.T) {
	needKernel(t)
	r := begin(t, Options{Dir: filepath.Join(t.TempDir(), "store")})
	dir := r.o.pinFolder()
	time.Sleep(1100 * time.Millisecond)
	begun := boot()
	for _, pin := range []string{"link_hc_exec", "prog_hc_fork", "map_hc_crit"} {
		if err := os.Remove(filepath.Join(dir, pin)); err != nil {
			t.Fatal(err)
		}
	}
	detached := ""
	for _, name := range []string{"hc_sendmsg4", "hc_recvmsg4"} {
		l, err := link.LoadPinnedLink(filepath.Join(dir, "link_"+name), nil)
		if err != nil && probe.CgroupRoot() != "" {
			t.Fatalf("%s is not pinned though there is a cgroup2: %v", name, err)
		}
		if err != nil {
			continue // no cgroup2
		}
		if err := l.Detach(); err != nil {
			t.Fatalf("detach %s: %v", name, err)
		}
		l.Close()
		detached = name
		break
	}
	mended := false
	for end := time.Now().Add(2 * time.Second); !mended && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		mended = true
		for _, pin := range []string{"link_hc_exec", "prog_hc_fork", "map_hc_crit"} {
			if _, err := os.Lstat(filepath.Join(dir, pin)); err != nil {
				mended = false
			}
		}
	}
	if !mended {
		t.Error("the pins were not back within two seconds")
	}
	time.Sleep(1200 * time.Millisecond)
	// With the pins back a successor finds everything.
	l := count(t, time.Millisecond)
	time.Sleep(100 * time.Millisecond)
	r.kill()
	time.Sleep(100 * time.Millisecond)
	r.again()
	l.end()
	if detached != "" {
		udp(t)
	}
	r.end()
	s := look(t, r.o.Dir, l)
	s.whole(t, l)
	s.balanced(t)
	var told []string
	for _, row := range s.actions("tamper") {
		told = append(told, string(row.Text2))
		if row.TS < begun || row.TS > begun.Add(2*time.Second) {
			t.Errorf("told %v after it was done", row.TS.Sub(begun))
		}
	}
	text := strings.Join(told, "\n")
	if !strings.Contains(text, "3 pins were removed") || detached != "" && !strings.Contains(text, detached+": its link was detached") {
		t.Errorf("told: %s", text)
	}
	if detached == "" {
		return
	}
	holes := pick(s.rows, event.Ledger, func(r *event.Row) bool { return string(r.Text) == "downtime" })
	if len(holes) == 0 {
		t.Error("no ledger row says that a hook was away")
	}
	for _, row := range holes {
		if row.T0 > begun || row.TS < begun || row.TS.Sub(row.T0) > 3*time.Second || !strings.Contains(string(row.Text2), detached) {
			t.Errorf("downtime from %d to %d, detached at %d: %s", row.T0, row.TS, begun, row.Text2)
		}
	}
}

// A hook that ended with its recorder, because its link was not pinned, is put back by the
// successor, and a row says for how long it was away.
func TestHookThatEndedWithTheRecorderIsTold(t *testing.T) {
	needKernel(t)
	r := begin(t, Options{Dir: filepath.Join(t.TempDir(), "store")})
	l := count(t, time.Millisecond)
	time.Sleep(200 * time.Millisecond)
	r.kill()
	if err := os.Remove(filepath.Join(r.o.pinFolder(), "link_hc_openat")); err != nil {
		l.end()
		t.Skipf("tracepoints cannot be pinned here: %v", err)
	}
	time.Sleep(200 * time.Millisecond)
	r.again()
	time.Sleep(200 * time.Millisecond)
	l.end()
	r.end()
	s := look(t, r.o.Dir, l)
	s.balanced(t)
	var hole *event.Row
	for _, row := range pick(s.rows, event.Ledger, func(r *event.Row) bool { return string(r.Text) == "downtime" && event.Type(r.N1) == event.Open }) {
		hole = row
	}
	if hole == nil {
		t.Fatal("no row says that hc_openat was away")
	}
	missing := 0
	for i := range l.n {
		if s.files[i] != 0 {
			continue
		}
		if missing++; l.times[i] < hole.T0 || l.before[i] > hole.TS {
			t.Errorf("file %d is missing, made at %d, outside of %d to %d", i, l.times[i], hole.T0, hole.TS)
		}
	}
	if missing == 0 {
		t.Error("nothing is missing: this test proves nothing")
	}
}

// udp sends a datagram, so that the hook that was put back runs.
func udp(t *testing.T) {
	c, err := net.Dial("udp", "127.0.0.1:9")
	if err != nil {
		t.Fatal(err)
	}
	c.Write([]byte("x"))
	c.Close()
}

// A recorder with other options stores what waits, and then replaces the hooks.
func TestSuccessorWithOtherOptionsReplacesTheHooks(t *testing.T) {
	needKernel(t)
	r := begin(t, Options{Dir: filepath.Join(t.TempDir(), "store")})
	l := count(t, time.Millisecond)
	time.Sleep(300 * time.Millisecond)
	r.kill()
	r.o.RingBytes = 8 << 20
	r.again()
	time.Sleep(300 * time.Millisecond)
	l.end()
	r.end()
	s := look(t, r.o.Dir, l)
	s.balanced(t)
	holes := pick(s.rows, event.Ledger, func(r *event.Row) bool { return string(r.Text) == "downtime" })
	if len(holes) != 1 || len(s.actions("replaced")) != 1 || len(s.actions("resumed")) != 1 {
		t.Fatalf("%d downtime rows, %d replaced, %d resumed", len(holes), len(s.actions("replaced")), len(s.actions("resumed")))
	}
	h, missing := holes[0], 0
	for i := range l.n {
		switch {
		case s.files[i] > 1:
			t.Errorf("file %d is told %d times", i, s.files[i])
		case s.files[i] == 0:
			missing++
			if l.times[i] < h.T0 || l.before[i] > h.TS {
				t.Errorf("file %d is missing, made at %d, outside of %d to %d", i, l.times[i], h.T0, h.TS)
			}
		}
	}
	t.Logf("%d of %d files missing, hooks away for %v", missing, l.n, h.TS.Sub(h.T0))
}
