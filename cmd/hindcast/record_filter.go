//go:build linux && (amd64 || arm64)

package main

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"hindcast/bpf"
	"hindcast/format/clock"
	"hindcast/format/event"
	"hindcast/query/lang"
	"hindcast/query/push"
	"hindcast/recorder"
	"hindcast/recorder/probe"
)

// actorNow is the actor of a row that is just being recorded.
type actorNow struct {
	uid   uint32
	known bool
}

// Actor implements lang.Actors.
func (a *actorNow) Actor(pid uint32, pstart uint64, _ clock.Boot) (lang.Actor, bool) {
	return lang.Actor{PID: pid, PStart: pstart, UID: a.uid, HasUID: a.known}, true
}

// recordFilter takes the filter of a recording apart.
func recordFilter(src string) (*recorder.Filter, error) {
	now := &actorNow{}
	env := push.Env{Env: lang.Env{Actors: now, Arch: runtime.GOARCH}, Cgroup: cgroupID}
	var boot unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot) == nil {
		env.Offset = clock.Offset(time.Now().UnixNano() - boot.Nano())
	}
	p, err := push.Compile(src, env)
	if err != nil {
		return nil, err
	}
	f := &recorder.Filter{Text: p.Source, Parts: parts(p), Types: p.Types}
	for _, c := range p.Clauses {
		k := bpf.Clause{Types: c.Types}
		for _, x := range c.Preds {
			k.Preds = append(k.Preds, bpf.Pred{Kind: bpf.Kind(x.Kind), Not: x.Not, Ranges: x.Ranges, Prefixes: x.Prefixes, Ends: x.Ends, Path: x.Path, Exact: x.Exact, Tree: x.Tree})
		}
		f.Kernel.Clauses = append(f.Kernel.Clauses, k)
	}
	f.Keep = func(r *event.Row, uid uint32, known bool) bool {
		if p.Keep.NeedsActors && !known && r.PID != 0 {
			return true
		}
		now.uid, now.known = uid, known
		return p.Keep.Match(r, 0, 0)
	}
	return f, nil
}

// parts says in one line what of a filter is decided where.
func parts(p *push.Plan) string {
	var s []string
	say := func(who string, what []string) {
		if len(what) > 0 {
			s = append(s, who+": "+strings.Join(what, ", "))
		}
	}
	kernel := "the kernel decides"
	if p.Eased {
		kernel = "the kernel decides, as far as it has room for it, and the recorder the rest"
	}
	say(kernel, p.Kernel)
	say("the recorder decides", p.Recorder)
	say("only queries can decide, nothing is left out for it", p.Later)
	return strings.Join(s, "; ")
}

// cgroupID returns the id of a cgroup by its path below the root: the inode of its folder.
func cgroupID(path string) (uint64, error) {
	fi, err := os.Stat(filepath.Join(probe.CgroupRoot(), filepath.Clean("/"+path)))
	if err != nil {
		return 0, err
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok || !fi.IsDir() {
		return 0, os.ErrNotExist
	}
	return st.Ino, nil
}
