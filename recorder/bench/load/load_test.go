//go:build linux

package load

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestWrkReport(t *testing.T) {
	const good = "Running 1s test @ http://127.0.0.1:1/\n  1 threads and 8 connections\n  Thread Stats   Avg\n  52341 requests in 1.10s, 40.1MB read\nRequests/sec:  47582\n"
	if n, err := requests(good); n != 52341 || err != nil {
		t.Errorf("requests %d, %v", n, err)
	}
	late := strings.Replace(good, "Requests/sec", "  Socket errors: connect 0, read 0, write 0, timeout 3\nRequests/sec", 1)
	if n, err := requests(late); n != 52341 || err != nil {
		t.Errorf("with timeouts: %d, %v", n, err)
	}
	for _, bad := range []string{"", strings.Replace(late, "connect 0", "connect 7", 1), good + "  Non-2xx or 3xx responses: 5\n"} {
		if _, err := requests(bad); err == nil {
			t.Errorf("taken for good: %q", bad)
		}
	}
}

func TestWorksHaveNamesOfTheirOwn(t *testing.T) {
	var names []string
	for _, w := range Works() {
		if slices.Contains(names, w.Name) || w.What == "" || w.step < 1 || w.make == nil {
			t.Errorf("work %+v", w)
		}
		names = append(names, w.Name)
	}
}

// The worker does exactly what it is asked, and tells of what it cannot do.
func TestServe(t *testing.T) {
	if testing.Short() {
		t.Skip("runs programs")
	}
	var out bytes.Buffer
	dir := t.TempDir()
	orders := "run open 1234 0 0\nrun spawn 3 0 0\nrun rename 5 0 1000\nrun nothing 1 0 0\nrun objects 2000 0 0\npids\n"
	if err := Serve(dir, strings.NewReader(orders), &out); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out.String(), "\n")
	for i, want := range []int{1234, 3, 5, 0, 2000} {
		if want == 0 {
			if !strings.HasPrefix(lines[i], "error ") {
				t.Errorf("line %d is %q, want an error", i, lines[i])
			}
			continue
		}
		var ops int
		var cpu, wall int64
		if _, err := fmt.Sscan(lines[i], &ops, &cpu, &wall); err != nil || ops != want || wall <= 0 {
			t.Errorf("line %d is %q, want %d operations", i, lines[i], want)
		}
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 4 {
		t.Errorf("folders %v, %v; want one for each piece of work", left, err)
	}
}

func TestClockIsThatOfTheProcess(t *testing.T) {
	before, err := Clock(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; ; n++ {
		if now, err := Clock(os.Getpid()); err != nil {
			t.Fatal(err)
		} else if now > before {
			break
		}
	}
	if _, err := Clock(1 << 22); err == nil {
		t.Error("a process that cannot be has a clock")
	}
}
