//go:build linux && (amd64 || arm64)

package kerntest

import (
	"fmt"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"strings"
	"testing"

	"hindcast/bpf"
	"hindcast/format/event"
	"hindcast/recorder/probe"
)

// tierOf tells in which tier an event is told on this kernel.
func tierOf(t testing.TB, e event.Type) bpf.Tier {
	t.Helper()
	programs(t)
	tier, _ := shared.probe.Tier(1 << e)
	return tier
}

// fromInside tells whether an event is told from inside the kernel's functions: then its names and
// objects are the kernel's, which the row says.
func fromInside(t testing.TB, e event.Type) bool { return tierOf(t, e) != bpf.Tracepoints }

// TestMatrix prints what became of every hook on this kernel, one line each, for the table of
// events, kernels and tiers. It fails for nothing: TestEveryProgramLoads says what must work.
func TestMatrix(t *testing.T) {
	programs(t)
	for _, o := range shared.probe.Outcomes() {
		var feeds []string
		for _, f := range o.Entry.Feeds {
			feeds = append(feeds, f.String())
		}
		fmt.Printf("matrix\t%s\t%s\t%d\t%s\t%s\n", o.Entry.Name, o.Tier, o.Why, strings.Join(feeds, ","), o.Reason)
	}
}

// trampolines asks the kernel for a fentry program with one that is none of ours.
func trampolines() error {
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.Tracing, AttachType: ebpf.AttachTraceFEntry, AttachTo: "vfs_unlink", License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()}})
	if err != nil {
		return err
	}
	defer p.Close()
	l, err := link.AttachTracing(link.TracingOptions{Program: p})
	if err != nil {
		return err
	}
	return l.Close()
}

// TestTiers: where one function of a unit can be watched from inside, all can.
func TestTiers(t *testing.T) {
	programs(t)
	var on, off []string
	for _, o := range shared.probe.Outcomes() {
		switch {
		case o.Tier != bpf.Functions:
		case o.Attached:
			on = append(on, o.Entry.Name)
		case strings.Contains(o.Reason, "has split"),
			strings.Contains(o.Reason, "type STRUCT is unsupported") && olderThan(t, "6.1"):
			t.Log(o.Entry.Name + ": " + o.Reason)
		case o.Why != probe.NotHere:
			off = append(off, o.Entry.Name+": "+o.Reason)
		}
	}
	if len(on) == 0 {
		err := trampolines()
		if err == nil {
			t.Fatalf("the kernel takes fentry programs, and none of ours runs: %q", off)
		}
		t.Skipf("this kernel takes no fentry programs: %v", err)
	}
	for _, s := range off {
		t.Error(s)
	}
}
