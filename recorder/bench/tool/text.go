//go:build linux

package tool

import (
	"regexp"
	"strconv"
	"strings"
)

// A line of a tool's output, as far as it is counted.
type record struct {
	seen bool // it is a record of something that was done
	open bool // of an open
	id   int  // of the thread or process, 0 when it is not told
}

// straceLine reads "PID call(args) = result"; with more processes a call may be in two parts.
func straceLine(line string) (r record) {
	id, rest, _ := strings.Cut(line, " ")
	n, err := strconv.Atoi(id)
	if err != nil {
		return r
	}
	rest = strings.TrimLeft(rest, " ")
	if strings.HasPrefix(rest, "<...") || strings.HasPrefix(rest, "---") || strings.HasPrefix(rest, "+++") {
		return r // the second part of a call, a signal, an end
	}
	call, _, ok := strings.Cut(rest, "(")
	return record{ok, isOpen(call), n}
}

var perfCall = regexp.MustCompile(`\): [^/]*/(\d+) (\w+)\(`)

// perfLine reads "TIME (DURATION): comm/TID call(args) = result"; a call that is continued in
// another line starts with "...".
func perfLine(line string) (r record) {
	m := perfCall.FindStringSubmatch(line)
	if m == nil {
		return r
	}
	id, _ := strconv.Atoi(m[1])
	return record{true, isOpen(m[2]), id}
}

func isOpen(call string) bool {
	return call == "open" || call == "openat" || call == "openat2" || call == "creat"
}

var perfLost = regexp.MustCompile(`LOST (\d+) events`)

// perfLostIn sums what perf trace says it lost in a line.
func perfLostIn(line string) int64 { return sum(perfLost, line) }

var bpftraceLost = regexp.MustCompile(`Lost (\d+) events`)

func bpftraceLostIn(line string) int64 { return sum(bpftraceLost, line) }

func sum(pattern *regexp.Regexp, line string) (n int64) {
	for _, m := range pattern.FindAllStringSubmatch(line, -1) {
		k, _ := strconv.ParseInt(m[1], 10, 64)
		n += k
	}
	return n
}

// bpftraceLine reads what our script prints: "what PID comm ...".
func bpftraceLine(line string) (r record) {
	f := strings.SplitN(line, " ", 3)
	if len(f) < 3 || f[0] != strings.ToLower(f[0]) { // "Lost 17 events" is none
		return r
	}
	id, err := strconv.Atoi(f[1])
	if err != nil {
		return r
	}
	return record{true, isOpen(f[0]), id}
}

// auditLine reads a record of audit.log. An event has several: its SYSCALL record counts.
func auditLine(line string) (r record) {
	if !strings.HasPrefix(line, "type=SYSCALL ") {
		return r
	}
	id, _ := strconv.Atoi(value(line, " pid="))
	nr := value(line, " syscall=")
	return record{true, nr == "2" || nr == "257" || nr == "437" || nr == "85", id}
}

func value(line, key string) string {
	_, rest, _ := strings.Cut(line, key)
	v, _, _ := strings.Cut(rest, " ")
	return v
}

// auditStatus reads auditctl -s: names and numbers.
func auditStatus(out string) map[string]int64 {
	m := map[string]int64{}
	for line := range strings.Lines(out) {
		if f := strings.Fields(line); len(f) >= 2 {
			if n, err := strconv.ParseInt(f[1], 10, 64); err == nil {
				m[f[0]] = n
			}
		}
	}
	return m
}

// scapCodes reads scap-open --print_syscalls: the tool's own numbers of calls, by name.
func scapCodes(out string) map[string]string {
	m := map[string]string{}
	for line := range strings.Lines(out) {
		f := scapCode.FindStringSubmatch(line)
		if f != nil {
			m[f[1]] = f[2]
		}
	}
	return m
}

var (
	scapCode  = regexp.MustCompile(`^- PPM_SC > (\w+) .*ppm_code: \((\d+)\)`)
	scapCount = regexp.MustCompile(`(?m)^(?:\[\d+\] )?([A-Za-z_ ()-]+): (\d+)`)
	scapCalls = regexp.MustCompile(`(?m)^- \[(\w+)\]: (\d+)`)
)

// scapTotals reads the summary that scap-open prints at its end: counters and, in calls,
// records by type.
func scapTotals(out string) (counters, calls map[string]int64) {
	counters, calls = map[string]int64{}, map[string]int64{}
	for _, m := range scapCount.FindAllStringSubmatch(out, -1) {
		counters[strings.TrimSpace(m[1])], _ = strconv.ParseInt(m[2], 10, 64)
	}
	for _, m := range scapCalls.FindAllStringSubmatch(out, -1) {
		calls[m[1]], _ = strconv.ParseInt(m[2], 10, 64)
	}
	return counters, calls
}
