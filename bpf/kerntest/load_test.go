//go:build linux

package kerntest

import (
	"testing"

	"hindcast/bpf"
)

func TestEveryProgramLoads(t *testing.T) {
	programs(t)
	s, err := bpf.Load(bpf.Options{CgroupRoot: cgroup2()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, h := range s.Hooks() {
		if h.Err != nil {
			t.Errorf("%s (%s): %+v", h.Name, h.Section, h.Err)
			continue
		}
		if err := h.Attach(); err != nil {
			t.Errorf("%s (%s): %+v", h.Name, h.Section, err)
		}
	}
}
