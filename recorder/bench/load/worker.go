//go:build linux

package load

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Worker is a process that does the work, see Serve.
type Worker struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
	dead error // why it cannot be used any more
}

// Order is what a worker is asked to do: until Ops or For are reached, whichever is first;
// zero is no limit. Rate paces it to operations a second; zero is as fast as it can.
type Order struct {
	Work string
	Ops  int
	For  time.Duration
	Rate int
}

// Start starts this program again with -serve DIR, which has to call Serve. It is pinned to
// the processor, or to none below zero. The kernel ends it when the caller dies.
func Start(dir string, cpu int) (*Worker, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	w := &Worker{cmd: exec.Command("/proc/self/exe", "-serve", dir)}
	w.cmd.Stderr = os.Stderr
	w.cmd.Env = append(os.Environ(), "GOGC=400", "GOMAXPROCS=1")
	w.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var err error
	if w.in, err = w.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	w.out = bufio.NewReader(out)
	if cpu < 0 {
		return w, w.cmd.Start()
	}
	return w, on(cpu, w.cmd.Start)
}

// PID returns the worker's process.
func (w *Worker) PID() int { return w.cmd.Process.Pid }

// Servers returns the worker and the servers it has started so far.
func (w *Worker) PIDs() ([]int, error) {
	line, err := w.ask(context.Background(), "pids", 10*time.Second)
	if err != nil {
		return nil, err
	}
	pids := []int{w.PID()}
	for _, f := range strings.Fields(line) {
		var pid int
		if _, err := fmt.Sscan(f, &pid); err != nil {
			return nil, err
		}
		pids = append(pids, pid)
	}
	return pids, nil
}

// Setup prepares a piece of work, so that its first window is like the others.
func (w *Worker) Setup(ctx context.Context, work string) error {
	_, err := w.ask(ctx, "setup "+work, 3*time.Minute)
	return err
}

// Run has a piece of work done.
func (w *Worker) Run(ctx context.Context, o Order) (s Sample, err error) {
	line, err := w.ask(ctx, fmt.Sprintf("run %s %d %d %d", o.Work, o.Ops, o.For.Microseconds(), o.Rate), o.For+limit)
	if err != nil {
		return s, err
	}
	_, err = fmt.Sscan(line, &s.Ops, (*int64)(&s.CPU), (*int64)(&s.Wall))
	return s, err
}

// ask sends a line and waits for its answer. A worker that does not answer is killed.
func (w *Worker) ask(ctx context.Context, line string, limit time.Duration) (string, error) {
	if w.dead != nil {
		return "", w.dead
	}
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if _, err := fmt.Fprintln(w.in, line); err != nil {
		w.dead = fmt.Errorf("worker: %w", err)
		return "", w.dead
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { syscall.Kill(-w.cmd.Process.Pid, syscall.SIGKILL) })
	answer, err := w.out.ReadString('\n')
	stop()
	if err != nil {
		w.dead = fmt.Errorf("%s: worker ended: %w", line, errors.Join(ctx.Err(), err))
		return "", w.dead
	}
	if text, failed := strings.CutPrefix(answer, "error "); failed {
		return "", errors.New(strings.TrimSpace(text))
	}
	return answer, nil
}

// Dead says whether the worker can be used no more.
func (w *Worker) Dead() bool { return w.dead != nil }

// Stop ends the worker and its servers.
func (w *Worker) Stop() {
	w.in.Close()
	done := time.AfterFunc(10*time.Second, func() { syscall.Kill(-w.cmd.Process.Pid, syscall.SIGKILL) })
	w.cmd.Wait()
	done.Stop()
}

// Serve is the worker: it does what the lines of in ask for, in the folder, and answers
// each on out with one line, until in ends.
func Serve(dir string, in io.Reader, out io.Writer) error {
	runtime.LockOSThread() // servers die with the thread that made them
	unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGTERM), 0, 0, 0)
	jobs := map[string]*job{}
	defer func() {
		for _, j := range jobs {
			if j.stop != nil {
				j.stop()
			}
		}
	}()
	setup := func(name string) (*Work, *job, error) {
		w := Find(name)
		if w == nil {
			return nil, nil, fmt.Errorf("no such work: %s", name)
		}
		if jobs[name] == nil {
			at, err := os.MkdirTemp(dir, name)
			if err != nil {
				return nil, nil, err
			}
			j, err := w.make(at)
			if j != nil {
				jobs[name] = j
			}
			if err != nil {
				return nil, nil, err
			}
		}
		return w, jobs[name], nil
	}
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		verb, rest, _ := strings.Cut(lines.Text(), " ")
		answer, err := func() (string, error) {
			switch verb {
			case "setup":
				_, _, err := setup(rest)
				return "ready", err
			case "pids":
				var pids []int
				for _, j := range jobs {
					pids = append(pids, j.pids...)
				}
				return strings.Trim(fmt.Sprint(pids), "[]"), nil
			case "run":
				var o Order
				var us int64
				if _, err := fmt.Sscan(rest, &o.Work, &o.Ops, &us, &o.Rate); err != nil {
					return "", err
				}
				o.For = time.Duration(us) * time.Microsecond
				w, j, err := setup(o.Work)
				if err != nil {
					return "", err
				}
				s, err := j.run(w.step, o)
				return fmt.Sprint(s.Ops, int64(s.CPU), int64(s.Wall)), err
			}
			return "", fmt.Errorf("no such order: %s", verb)
		}()
		if err != nil {
			answer = "error " + strings.ReplaceAll(err.Error(), "\n", " ")
		}
		if _, err := fmt.Fprintln(out, answer); err != nil {
			return err
		}
	}
	return lines.Err()
}

func (j *job) run(step int, o Order) (s Sample, err error) {
	if o.Rate > 0 {
		step = max(1, min(step, o.Rate/1000)) // a pause every millisecond
	}
	begin := time.Now()
	used, err := j.used()
	if err != nil {
		return s, err
	}
	for (o.Ops == 0 || s.Ops < o.Ops) && (o.For == 0 || time.Since(begin) < o.For) {
		n := step
		if o.Ops > 0 {
			n = min(n, o.Ops-s.Ops)
		}
		if n, err = j.do(n); err != nil {
			return s, err
		}
		s.Ops += n
		if o.Rate > 0 {
			time.Sleep(time.Until(begin.Add(time.Duration(float64(s.Ops) / float64(o.Rate) * float64(time.Second)))))
		}
	}
	s.Wall = time.Since(begin)
	now, err := j.used()
	s.CPU = now - used
	return s, err
}

// used returns what this process, its ended children and the servers have used.
func (j *job) used() (time.Duration, error) {
	var own unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &own); err != nil {
		return 0, err
	}
	var children unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_CHILDREN, &children); err != nil {
		return 0, err
	}
	sum := time.Duration(own.Nano() + children.Utime.Nano() + children.Stime.Nano())
	for _, pid := range j.pids {
		c, err := Clock(pid)
		if err != nil {
			return 0, err
		}
		sum += c
	}
	return sum, nil
}
