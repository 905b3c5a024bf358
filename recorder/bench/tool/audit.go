//go:build linux

package tool

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"hindcast/recorder/bench/load"
)

// auditKey marks rules as the benchmark's: those of a run that was killed are found by it.
const auditKey = "hindcast-bench"

// Audit is the kernel's audit with auditd, as Debian sets it up, and rules for the same events.
type Audit struct{}

func (Audit) Name() string { return "auditd" }

func (Audit) What() string {
	return "auditd with rules for the same calls, a backlog of 8,192, log in raw form (Debian's enriched form is dearer), the whole host"
}

func (Audit) Check() error {
	if os.Geteuid() != 0 {
		return errors.New("needs root")
	}
	if err := installed("auditd", "auditctl"); err != nil {
		return err
	}
	was, err := auditState()
	if err != nil {
		return err
	}
	if was["pid"] != 0 {
		return fmt.Errorf("somebody else has audit: process %d", was["pid"])
	}
	_, err = rulesHeld()
	return err
}

// Rules returns the rules in the form of auditctl -R.
func (Audit) Rules() string {
	b := "-b 8192\n--backlog_wait_time 60000\n-f 1\n"
	for _, c := range [][]string{processCalls, fileCalls, netCalls, credCalls, moreCalls} {
		b += "-a always,exit -F arch=b64 -S " + strings.Join(c, ",") + " -k " + auditKey + "\n"
	}
	return b + "-e 1\n"
}

// rulesHeld says whether rules of the benchmark are loaded; an error says that others' are.
func rulesHeld() (ours bool, err error) {
	held, err := exec.Command("auditctl", "-l").Output()
	if err != nil {
		return false, fmt.Errorf("auditctl -l: %w", err)
	}
	text := strings.TrimSpace(string(held))
	if text == "No rules" {
		return false, nil
	}
	for line := range strings.Lines(text) {
		if !strings.Contains(line, auditKey) && strings.TrimSpace(line) != noTasks {
			return false, fmt.Errorf("there are audit rules already: %.100s", line)
		}
	}
	return true, nil
}

func auditState() (map[string]int64, error) {
	out, err := exec.Command("auditctl", "-s").Output()
	if err != nil {
		return nil, fmt.Errorf("auditctl -s: %w", err)
	}
	return auditStatus(string(out)), nil
}

func auditctl(args ...string) error {
	if out, err := exec.Command("auditctl", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("auditctl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// noTasks makes processes that are born without audit's mark.
const noTasks = "-a never,task"

// Marks keeps audit's mark off new processes. On a host where audit was ever enabled every
// process has one, each of its calls takes the long way into the kernel, and what a tool
// adds by the same way would not show.
type Marks struct{ off bool }

// Unmark makes the kernel give new processes no mark, until Mark. Where audit is not
// installed, or has rules, nothing is changed.
func (m *Marks) Unmark() {
	if m.off || (Audit{}).Check() != nil {
		return
	}
	if ours, _ := rulesHeld(); ours { // of a run that was killed
		auditctl("-D")
	}
	m.off = auditctl("-a", "never,task") == nil
}

// Mark undoes Unmark.
func (m *Marks) Mark() {
	if m.off {
		auditctl("-d", "never,task") // gone already when audit was put back as it was
		m.off = false
	}
}

type audited struct {
	*process
	target  Target
	kthread int
	was     map[string]int64
	kernel  time.Duration // of the kernel's thread, before
}

func (a Audit) Start(ctx context.Context, t Target) (_ Run, err error) {
	if err := a.Check(); err != nil {
		return nil, err
	}
	if ours, _ := rulesHeld(); ours { // of a run that was killed
		if err := auditctl("-D"); err != nil {
			return nil, err
		}
	}
	conf := fmt.Sprintf("log_file = %s/audit.log\nlog_format = RAW\nflush = INCREMENTAL_ASYNC\nfreq = 50\nmax_log_file = 20000\nnum_logs = 0\nplugin_dir = %s/plugins.d\nspace_left = 75\nadmin_space_left = 50\nspace_left_action = IGNORE\nadmin_space_left_action = IGNORE\ndisk_full_action = IGNORE\ndisk_error_action = IGNORE\nlocal_events = yes\nwrite_logs = yes\nname_format = NONE\nmax_log_file_action = IGNORE\n", t.Dir, t.Dir)
	rules := filepath.Join(t.Dir, "rules")
	err = errors.Join(
		os.MkdirAll(filepath.Join(t.Dir, "plugins.d"), 0o700),
		os.WriteFile(filepath.Join(t.Dir, "auditd.conf"), []byte(conf), 0o600),
		os.WriteFile(rules, []byte(a.Rules()), 0o600))
	if err != nil {
		return nil, err
	}
	r := &audited{target: t}
	if r.was, err = auditState(); err != nil {
		return nil, err
	}
	if r.process, err = start(filepath.Join(t.Dir, "log"), "auditd", "-n", "-c", t.Dir); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			r.restore()
		}
	}()
	err = r.until(ctx, func() bool {
		s, err := auditState()
		return err == nil && s["pid"] == int64(r.cmd.Process.Pid)
	})
	if err != nil {
		return nil, err
	}
	if err := auditctl("-R", rules); err != nil {
		return nil, err
	}
	comms, _ := filepath.Glob("/proc/[0-9]*/comm")
	for _, c := range comms {
		if b, _ := os.ReadFile(c); string(b) == "kauditd\n" {
			fmt.Sscanf(c, "/proc/%d/comm", &r.kthread)
			r.kernel, _ = load.Clock(r.kthread)
		}
	}
	return r, nil
}

func (r *audited) inKernel() time.Duration {
	if now, err := load.Clock(r.kthread); err == nil && r.kthread != 0 {
		return now - r.kernel
	}
	return 0
}

func (r *audited) CPU() (time.Duration, error) {
	d, err := r.process.CPU()
	return d + r.inKernel(), err
}

// restore ends auditd and puts audit back as it was.
func (r *audited) restore() error {
	err := auditctl("-D")
	select {
	case <-r.done:
	default:
		err = errors.Join(err, r.end(syscall.SIGTERM, 20*time.Second))
	}
	return errors.Join(err,
		auditctl("-e", fmt.Sprint(r.was["enabled"])),
		auditctl("-b", fmt.Sprint(r.was["backlog_limit"])),
		auditctl("-f", fmt.Sprint(r.was["failure"])),
		auditctl("--backlog_wait_time", fmt.Sprint(r.was["backlog_wait_time"])))
}

func (r *audited) Stop() (res Result, err error) {
	log := filepath.Join(r.target.Dir, "audit.log")
	ours := r.target.memo()
	// Until its log rests. Asking auditctl would be events of its own.
	for last, same, until := int64(-1), 0, time.Now().Add(5*time.Second); same < 5 && time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
		st, err := os.Stat(log)
		if err != nil {
			break
		}
		if st.Size() == last {
			same++
		} else {
			same = 0
		}
		last = st.Size()
	}
	if err := lines(log, func(line string) { res.count(auditLine(line), ours) }); err != nil {
		return res, errors.Join(err, r.restore())
	}
	state, err := auditState()
	if err != nil {
		return res, errors.Join(err, r.restore())
	}
	res.Lost = state["lost"] - r.was["lost"]
	kernel := r.inKernel()
	if err := r.restore(); err != nil {
		return res, err
	}
	res.CPU = r.used() + kernel
	st, err := os.Stat(log)
	if err == nil {
		res.Bytes = st.Size()
	}
	return res, err
}

// count adds a line of a tool's output.
func (res *Result) count(r record, ours func(int) bool) {
	if r.seen {
		res.Seen++
		if r.open && ours(r.id) {
			res.Opens++
		}
	}
}
