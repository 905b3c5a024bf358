// Command kernels writes the table of events, kernels and tiers from what the kernel tests printed
// on each kernel.
//
//	kernels LOG... > bpf/docs/kernels.md
//
// A log is the output of the kernel tests with -v: it holds the lines of TestMatrix, one for each
// hook, and the outcome of every test.
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"hindcast/format/event"
)

// hook is a line of TestMatrix.
type hook struct {
	name, tier string
	why        int // as probe.Why
	feeds      []string
	reason     string
}

const (
	runs    = 0
	refused = 1
	notHere = 4
)

// helps tells that the hook only adds fields to what others tell.
func (h *hook) helps() bool { return strings.Contains(h.name, "_security_") }

type kernel struct {
	name   string
	hooks  []hook
	passed int
	failed []string
	skips  map[string][]string // reason -> tests
}

func main() {
	var kernels []*kernel
	for _, path := range os.Args[1:] {
		k, err := read(path)
		if err != nil {
			fmt.Fprintln(os.Stderr, "kernels:", err)
			os.Exit(1)
		}
		kernels = append(kernels, k)
	}
	if len(kernels) == 0 {
		fmt.Fprintln(os.Stderr, "usage: kernels LOG... > bpf/docs/kernels.md")
		os.Exit(2)
	}
	w := bufio.NewWriter(os.Stdout)
	write(w, kernels)
	if err := w.Flush(); err != nil {
		os.Exit(1)
	}
}

var (
	release = regexp.MustCompile(`kernel (\d[^\s]*)`)
	outcome = regexp.MustCompile(`^--- (PASS|FAIL|SKIP): (\S+)`)
	because = regexp.MustCompile(`^\s+\w+_test\.go:\d+: (.*)`)
)

func read(path string) (*kernel, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	k := &kernel{name: strings.TrimSuffix(filepath.Base(path), ".log"), skips: map[string][]string{}}
	said := ""
	s := bufio.NewScanner(f)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		line := strings.TrimRight(s.Text(), "\r")
		if m := release.FindStringSubmatch(line); m != nil && len(k.hooks) == 0 && strings.Contains(line, "kernel "+m[1]) {
			k.name = m[1]
		}
		if rest, ok := strings.CutPrefix(line, "matrix\t"); ok {
			p := strings.SplitN(rest, "\t", 5)
			if len(p) < 4 {
				return nil, fmt.Errorf("%s: %q is no line of TestMatrix", path, line)
			}
			why, err := strconv.Atoi(p[2])
			if err != nil {
				return nil, fmt.Errorf("%s: %q: %w", path, line, err)
			}
			h := hook{name: p[0], tier: p[1], why: why, feeds: strings.Split(p[3], ",")}
			if len(p) == 5 {
				h.reason = p[4]
			}
			k.hooks = append(k.hooks, h)
			continue
		}
		if m := outcome.FindStringSubmatch(line); m != nil {
			switch m[1] {
			case "PASS":
				k.passed++
			case "FAIL":
				k.failed = append(k.failed, m[2])
			case "SKIP":
				k.skips[said] = append(k.skips[said], m[2])
			}
			said = ""
		} else if m := because.FindStringSubmatch(line); m != nil {
			said = m[1]
		}
	}
	if len(k.hooks) == 0 {
		return nil, fmt.Errorf("%s has no line of TestMatrix", path)
	}
	return k, s.Err()
}

// cell says in which tier an event is told on a kernel, and how many hooks that could are refused.
func (k *kernel) cell(name string) string {
	tier, lost := "", 0
	for i := range k.hooks {
		h := &k.hooks[i]
		if !slices.Contains(h.feeds, name) || h.helps() {
			continue
		}
		switch {
		case h.why == runs && (tier == "" || h.tier < tier): // K and L before T
			tier = h.tier
		case h.why == runs:
		case h.why == refused:
			lost++
		}
	}
	// L is worth more than K.
	for i := range k.hooks {
		if h := &k.hooks[i]; h.why == runs && h.tier == "L" && !h.helps() && slices.Contains(h.feeds, name) {
			tier = "L"
		}
	}
	switch {
	case tier == "" && lost == 0:
		return "–"
	case tier == "":
		return "not told"
	case lost > 0:
		return fmt.Sprintf("%s, %d refused", tier, lost)
	}
	return tier
}

func write(w io.Writer, kernels []*kernel) {
	fmt.Fprint(w, `# Events, kernels and tiers

Written by `+"`make vmtest`"+` from what the kernel tests found on each kernel: do not edit.

A hook is tried on the running kernel and taken when it loads and attaches; nothing goes by version. Tier T is tracepoints,
iterators and cgroup hooks; tier L is fentry and fexit inside the kernel's functions, tier K the same programs as kprobes, for
kernels where fentry does not load. An event has one shape in every tier. Where tier L or K tells it, names and objects are
the kernel's and the row says so (flag kernel_names); tier T then tells only what is refused before the function is reached. "–" is an event that the kernel is built without. Of
5.10, 6.1, 6.12 and the newest of sid, the stock Debian kernels that `+"`make vmtest`"+` knows, those without a column were not run.

`)
	fmt.Fprint(w, "| event |")
	for _, k := range kernels {
		fmt.Fprintf(w, " %s |", k.name)
	}
	fmt.Fprint(w, "\n|---|")
	for range kernels {
		fmt.Fprint(w, "---|")
	}
	fmt.Fprintln(w)
	for _, e := range event.Catalog {
		if e.Ring == event.NoRing || e.ID == event.Cred {
			continue
		}
		fmt.Fprintf(w, "| %s |", e.Name)
		for _, k := range kernels {
			fmt.Fprintf(w, " %s |", k.cell(e.Name))
		}
		fmt.Fprintln(w)
	}
	fmt.Fprint(w, "\n", degrades, "\n## The tests\n\n")
	for _, k := range kernels {
		fmt.Fprintf(w, "- %s: %d passed", k.name, k.passed)
		n := 0
		for _, t := range k.skips {
			n += len(t)
		}
		if n > 0 {
			fmt.Fprintf(w, ", %d skipped", n)
		}
		if len(k.failed) > 0 {
			fmt.Fprintf(w, ", %d failed (%s)", len(k.failed), strings.Join(k.failed, ", "))
		}
		fmt.Fprintln(w)
		var reasons []string
		for r := range k.skips {
			reasons = append(reasons, r)
		}
		slices.Sort(reasons)
		for _, r := range reasons {
			fmt.Fprintf(w, "  - %s: %s\n", strings.Join(k.skips[r], ", "), r)
		}
	}
	fmt.Fprint(w, "\n## Hooks that do not run\n\nLeft out are hooks that a hook of another tier, or another one of the same tier, stands in for.\n\n")
	for _, k := range kernels {
		var lines []string
		byReason := map[string][]string{}
		for i := range k.hooks {
			if h := &k.hooks[i]; h.why == refused || h.why == notHere {
				r := reason(h)
				byReason[r] = append(byReason[r], strings.TrimPrefix(h.name, "hc_"))
			}
		}
		for r, names := range byReason {
			lines = append(lines, fmt.Sprintf("  - %s: %s\n", r, strings.Join(names, ", ")))
		}
		slices.Sort(lines)
		fmt.Fprintf(w, "- %s", k.name)
		if len(lines) == 0 {
			fmt.Fprint(w, ": none")
		}
		fmt.Fprintln(w)
		for _, l := range lines {
			fmt.Fprint(w, l)
		}
	}
}

var programName = regexp.MustCompile(`program hc_\w+: |hc_\w+: `)

// reason is why a hook does not run, in the words that several share.
func reason(h *hook) string {
	if h.why == notHere {
		return "not in this kernel"
	}
	r := programName.ReplaceAllString(h.reason, "")
	r, _, _ = strings.Cut(r, " (")
	return strings.TrimPrefix(r, "load: load program: ")
}

const degrades = `## What older kernels cost

- **Before 6.16** the last thread of a process is found by counting: two threads that end at the same instant may both be told
  as not the last, and readers take the process to end once.
- **Before 6.12** the verifier gives a program and what it calls 512 bytes of stack together, and before 6.8 it verifies each
  function of an object even if nothing calls it: recordings start later, nothing is lost.
- **Before 6.6** there is no fchmodat2, before 6.7 no cgroup hook for unix sockets.
- **Before 6.3** there are no tracepoints for the length of sends and receives. Programs at the end of the protocols' send and
  receive functions (tier L) tell the same, of UDP from 5.12 on; where fentry does not load either, first sends and receives, UDP totals and unix
  sockets are not told, and TCP keeps its connections and totals.
- **Before 5.18** arguments of processes that were there before the recording are not read (marked unreadable).
- **Before 5.17** there are no loops by callback: paths are walked for 64 components and then cut and marked, and descriptors
  passed in messages (sendmsg, recvmsg) are not followed.
- **Before 5.15** tracepoints cannot be left in place for a recorder that takes over.
- **Before 5.12** there is no storage of tasks and sockets for tracing programs. A table of 8,192 threads holds the totals of
  reads and writes: of more threads at a time the operations are counted as lost. A table of 16,384 sockets holds owners: an
  accepted connection has none until a program ends it, sends or receives. Sockets that were open before the recording have no
  cookie and no owner. UDP is not told: neither first sends and receives nor totals. Paths are cut and marked after 32 components. An interrupt that meets a program as it takes a sequence
  number can be given the same number.
- **Before 5.8** there is no ring buffer: nothing is recorded.
`
