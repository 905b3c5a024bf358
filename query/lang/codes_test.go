package lang

import (
	"strings"
	"testing"

	"hindcast/format/event"
)

// Small codes can be asked for by name, and a name that does not exist is told with the nearest.
func TestCodesHaveNames(t *testing.T) {
	umount := event.Row{Type: event.Mount, TS: 1, Op: 2}
	for src, want := range map[string]bool{
		"mount.op = umount": true, "mount.op = MOUNT": false, "mount.op in (mount, umount)": true, "mount.op = 2": true, "bpf.cmd = prog_load": false,
	} {
		f, err := Compile(src, Env{Arch: "amd64"})
		if err != nil {
			t.Fatalf("%s: %v", src, err)
		}
		if got := f.Match(&umount, 0, 0); got != want {
			t.Errorf("%s: %v, want %v", src, got, want)
		}
	}
	if _, err := Compile("mount.op = umonut", Env{Arch: "amd64"}); err == nil || !strings.Contains(err.Error(), "umount") {
		t.Errorf("a wrong name: %v", err)
	}
	known := map[string]bool{}
	for _, e := range event.Catalog {
		for _, f := range e.Fields {
			known[f.Query] = true
		}
	}
	for q := range event.Codes {
		if !known[q] {
			t.Errorf("codes of %s, which no event has", q)
		}
	}
}
