//go:build linux && (amd64 || arm64)

package kerntest

import (
	"errors"
	"fmt"
	"runtime"

	"hindcast/bpf"
	"hindcast/recorder/ring"
)

// rings are the critical ring and the lanes of a set.
type rings struct {
	critical *ring.Ring
	lanes    *ring.Lanes
}

func openRings(set *bpf.Set) (*rings, error) {
	c, err := ring.Open(set.Critical.FD(), int(set.Critical.MaxEntries()))
	if err != nil {
		return nil, err
	}
	l, err := ring.OpenLanes(set.Lanes.FD(), int(set.Lanes.ValueSize()), int(set.Lanes.MaxEntries()))
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return &rings{c, l}, nil
}

// each hands out everything that lies in the rings.
func (r *rings) each(f func(rec []byte)) error {
	for goal, clear := r.critical.End(), false; !clear; runtime.Gosched() { // another cpu may be writing
		var err error
		if clear, err = r.critical.Drain(goal, f); err != nil {
			return fmt.Errorf("read the critical ring: %w", err)
		}
	}
	for _, l := range r.lanes.All() {
		if _, err := l.Drain(l.End(), f); err != nil {
			return fmt.Errorf("read a lane: %w", err)
		}
	}
	return nil
}

func (r *rings) close() {
	r.critical.Close()
	r.lanes.Close()
}
