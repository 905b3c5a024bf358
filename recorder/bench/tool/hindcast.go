//go:build linux

package tool

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/cilium/ebpf"

	"hindcast/format/event"
	"hindcast/replay/load"
)

// Hindcast is the recorder, in one of its profiles.
type Hindcast struct {
	File    string // the program
	Profile string
}

func (h *Hindcast) Name() string { return h.Profile }

func (h *Hindcast) What() string {
	return "hindcast record --no-pin --profile " + h.Profile + ", the whole host"
}

func (h *Hindcast) Check() error { _, err := os.Stat(h.File); return err }

func (h *Hindcast) Start(ctx context.Context, t Target) (Run, error) { return h.Record(ctx, t) }

// Recording is a recorder that runs.
type Recording struct {
	*process
	Dir      string // of the capture
	target   Target
	programs map[ebpf.ProgramID]*ebpf.Program // those it loaded
}

// Record is Start, with a result that tells more.
func (h *Hindcast) Record(ctx context.Context, t Target) (*Recording, error) {
	before, err := programs()
	if err != nil {
		return nil, err
	}
	r := &Recording{Dir: filepath.Join(t.Dir, "capture"), target: t, programs: map[ebpf.ProgramID]*ebpf.Program{}}
	// Pins would outlive a benchmark that is killed.
	if r.process, err = start(filepath.Join(t.Dir, "log"), h.File, "record", "-q", "--no-pin", "--profile", h.Profile, "-w", r.Dir); err != nil {
		return nil, err
	}
	err = r.until(ctx, func() bool {
		open, _ := filepath.Glob(filepath.Join(r.Dir, "dt=*", "*.arrows.open"))
		if len(open) == 0 {
			return false
		}
		st, err := os.Stat(open[0])
		return err == nil && st.Size() > 0
	})
	if err != nil {
		return nil, err
	}
	time.Sleep(400 * time.Millisecond) // the snapshot of what was there is over by then
	after, err := programs()
	if err != nil {
		r.kill()
		return nil, err
	}
	for id := range after {
		if !before[id] {
			p, err := ebpf.NewProgramFromID(id)
			if err != nil {
				continue // an iterator of the snapshot, already gone
			}
			r.programs[id] = p
		}
	}
	return r, nil
}

func (r *Recording) Stop() (res Result, err error) {
	if err := r.End(); err != nil {
		return res, err
	}
	res.CPU = r.used()
	if res.Bytes, err = size(r.Dir); err != nil {
		return res, err
	}
	c, err := load.Open(r.Dir, load.Options{})
	if err != nil {
		return res, err
	}
	defer c.Close()
	ours := map[uint32]bool{}
	for _, pid := range r.target.PIDs {
		ours[uint32(pid)] = true
	}
	err = c.Scan(0, 0, func(row *event.Row, _ load.RowID) error {
		switch {
		case row.Type == event.Ledger:
			res.Lost += row.N2
		case row.Flags&uint32(event.FlagSnapshot) != 0:
		default:
			res.Seen++
			if row.Type == event.Open && ours[row.PID] {
				res.Opens++
			}
		}
		return nil
	})
	return res, err
}

// End ends the recorder as a user would, and waits until it has sealed and the kernel has
// let go of its programs, which can take longer than the process lives.
func (r *Recording) End() error {
	for _, p := range r.programs {
		p.Close()
	}
	if err := r.end(syscall.SIGINT, time.Minute); err != nil {
		return err
	}
	if r.err != nil {
		return fmt.Errorf("record: %w: %s", r.err, r.complaint())
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		all, err := programs()
		if err != nil {
			return err
		}
		left := 0
		for id := range r.programs {
			if all[id] {
				left++
			}
		}
		if left == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d programs of the recorder outlive it", left)
		}
	}
}

func programs() (map[ebpf.ProgramID]bool, error) {
	all := map[ebpf.ProgramID]bool{}
	for id := ebpf.ProgramID(0); ; {
		next, err := ebpf.ProgramGetNextID(id)
		if errors.Is(err, os.ErrNotExist) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		id, all[next] = next, true
	}
}

// Spent is time and runs of a kernel program.
type Spent struct {
	Time time.Duration
	Runs uint64
}

// Spent returns the totals of each program of the recorder, by name. The kernel counts only
// while statistics are enabled.
func (r *Recording) Spent() (map[string]Spent, error) {
	all := map[string]Spent{}
	for _, p := range r.programs {
		s, err := p.Stats()
		if err != nil {
			return nil, err
		}
		i, err := p.Info()
		if err != nil {
			return nil, err
		}
		name := i.Name
		if full, err := fullName(p); err == nil {
			name = full
		}
		t := all[name]
		all[name] = Spent{t.Time + s.Runtime, t.Runs + s.RunCount}
	}
	return all, nil
}

// fullName asks the program's BTF: the kernel's own names are cut at 15 bytes.
func fullName(p *ebpf.Program) (string, error) {
	i, err := p.Info()
	if err != nil {
		return "", err
	}
	f, err := i.FuncInfos()
	if err != nil || len(f) == 0 {
		return "", errors.Join(err, errors.New("no names"))
	}
	return f[0].Func.Name, nil
}
