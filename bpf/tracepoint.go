//go:build linux && (amd64 || arm64)

package bpf

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// attachTracepoint puts a program on a tracepoint. It returns what takes the program off again,
// at once, and the perf event that carries it. Closing the last descriptor of that event is what
// takes long: the kernel waits out its readers, some 40 ms, one event after the other. Before 5.15
// there is no link to take off, and the event does both.
func attachTracepoint(group, name string, prog *ebpf.Program) (io.Closer, *os.File, error) {
	id, err := tracepointID(group, name)
	if err != nil {
		return nil, nil, err
	}
	fd, err := unix.PerfEventOpen(&unix.PerfEventAttr{
		Type: unix.PERF_TYPE_TRACEPOINT, Config: id,
		Sample_type: unix.PERF_SAMPLE_RAW, Sample: 1, Wakeup: 1,
	}, -1, 0, -1, unix.PERF_FLAG_FD_CLOEXEC)
	if err != nil {
		return nil, nil, fmt.Errorf("open perf event of %s:%s: %w", group, name, err)
	}
	event := os.NewFile(uintptr(fd), group+":"+name)
	l, err := link.AttachRawLink(link.RawLinkOptions{Target: fd, Program: prog, Attach: ebpf.AttachPerfEvent})
	if errors.Is(err, ebpf.ErrNotSupported) || errors.Is(err, unix.EINVAL) { // before 5.15
		event.Close()
		old, err := link.Tracepoint(group, name, prog, nil)
		return old, nil, err
	}
	if err != nil {
		event.Close()
		return nil, nil, err
	}
	return l, event, nil
}

func tracepointID(group, name string) (uint64, error) {
	var first error
	for _, root := range []string{"/sys/kernel/tracing", "/sys/kernel/debug/tracing"} {
		b, err := os.ReadFile(root + "/events/" + group + "/" + name + "/id")
		if err == nil {
			return strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
		}
		if _, e := os.Stat(root + "/events/" + group); e == nil {
			return 0, fmt.Errorf("%w: no tracepoint %s:%s", ErrAbsent, group, name)
		}
		if first == nil {
			first = err
		}
	}
	return 0, first
}

// ErrAbsent means that the kernel has no such place: it is older than what a hook sees, or was
// built without it.
var ErrAbsent = errors.New("not in this kernel")

// absent tells, without trying, whether the kernel lacks the tracepoint of a typed program.
func absent(section string) bool {
	name, ok := strings.CutPrefix(section, "tp_btf/")
	if !ok {
		return false
	}
	kernel, err := kernelTypes()
	if err != nil {
		return false
	}
	var t *btf.Typedef
	return errors.Is(kernel.TypeByName("btf_trace_"+name, &t), btf.ErrNotFound)
}

// Absent tells whether the hook has no place in this kernel, rather than being refused.
func (h *Hook) Absent() bool {
	switch kind, _, _ := strings.Cut(h.Section, "/"); kind {
	case "tp_btf", "fentry", "fexit":
		return errors.Is(h.Err, ErrAbsent) || errors.Is(h.Err, ebpf.ErrNotSupported)
	case "kprobe", "kretprobe":
		return errors.Is(h.Err, os.ErrNotExist)
	}
	return errors.Is(h.Err, ErrAbsent)
}
