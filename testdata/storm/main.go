// Storm makes many short processes, each of which logs itself, for the test that a
// recorded tree equals the processes' own log.
//
//	storm root LOG WORKERS NODES LEAVES   start WORKERS workers and wait
//	storm worker LOG NODES LEAVES         start NODES nodes, one after the other
//	storm node LOG LEAVES                 start LEAVES leaves at once and wait
//	storm leaf LOG                        end
//	storm flood FILE                      open, write one byte, close; until SIGTERM
//
// Every process but the flooder appends "PID PPID START_TICKS ROLE" to LOG in one
// write before it does anything else. The flooder prints how often it went round.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"hindcast/testdata/demo/truth"
)

func main() {
	if err := run(os.Args[1], os.Args[2], os.Args[3:]); err != nil {
		fmt.Fprintln(os.Stderr, "storm:", err)
		os.Exit(1)
	}
}

func run(role, path string, args []string) error {
	if role == "flood" {
		return flood(path)
	}
	if err := log(role, path); err != nil {
		return err
	}
	var n []string
	for _, a := range args {
		if _, err := strconv.Atoi(a); err != nil {
			return err
		}
		n = append(n, a)
	}
	switch role {
	case "root":
		return start(n[0], true, "worker", path, n[1], n[2])
	case "worker":
		return start(n[0], false, "node", path, n[1])
	case "node":
		return start(n[0], true, "leaf", path)
	case "leaf":
		return nil
	}
	return fmt.Errorf("unknown role %q", role)
}

// start runs this program count times, together or one after the other.
func start(count string, together bool, args ...string) error {
	n, _ := strconv.Atoi(count)
	var pids []int
	wait := func() error {
		for _, pid := range pids {
			var ws syscall.WaitStatus
			if _, err := syscall.Wait4(pid, &ws, 0, nil); err != nil {
				return err
			}
			if ws != 0 {
				return fmt.Errorf("%s %d ended with status %#x", args[0], pid, int(ws))
			}
		}
		pids = pids[:0]
		return nil
	}
	for range n {
		pid, err := syscall.ForkExec("/proc/self/exe", append([]string{"storm"}, args...),
			&syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{0, 1, 2}})
		if err != nil {
			return err
		}
		pids = append(pids, pid)
		if !together {
			if err := wait(); err != nil {
				return err
			}
		}
	}
	return wait()
}

func log(role, path string) error {
	b, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return err
	}
	ppid, ticks, err := truth.ParseStat(b)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = fmt.Fprintf(f, "%d %d %d %s\n", os.Getpid(), ppid, ticks, role)
	return err
}

func flood(path string) error {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	for n := 0; ; n++ {
		select {
		case <-stop:
			fmt.Println(n)
			return nil
		default:
		}
		fd, err := syscall.Open(path, syscall.O_WRONLY|syscall.O_CREAT, 0o600)
		if err != nil {
			return err
		}
		if _, err := syscall.Write(fd, []byte{'x'}); err != nil {
			return err
		}
		if err := syscall.Close(fd); err != nil {
			return err
		}
	}
}
