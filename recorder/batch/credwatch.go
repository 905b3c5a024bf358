//go:build linux

package batch

import (
	"bytes"
	"time"

	"hindcast/format/clock"
	"hindcast/format/event"
)

// noCall stands for the number of a system call where none made the change.
const noCall = 1<<32 - 1

// doubt is how long a row of a call may come after the first row that shows what it did: an exec
// takes its credentials before it is told, and records of two rings meet here.
const doubt = clock.Boot(time.Second)

// maxThreads bounds what is remembered; threads that were quiet longest are forgotten first.
const maxThreads = 32768

// creds compares the credential set of each row with that of the thread's row before. The kernel
// half tells every change that a call made; one that shows without such a row was made by the
// kernel itself, or by somebody who controls it.
//
// It is done here and not in the kernel: a comparison there costs every hook a look into task
// storage, here it costs the recorder a look into a table, and the rows are the same. What it
// cannot see is a change that is undone before the thread's next row.
type creds struct {
	// missing tells how many records of the reserved ring are known to be lost.
	missing func() uint64
	// blind names calls that change credentials and are not watched, or is empty.
	blind string

	threads [2]map[uint32]*holder // lately, and before
	last    *holder
	lastTID uint32
	pending map[uint32]event.Row
	out     []event.Row
	lost    uint64
	lostAt  clock.Boot
}

// holder is what a thread was last seen with.
type holder struct {
	ts    clock.Boot
	start uint64 // of the process
	pid   uint32
	cred  uint32
}

// elsewhere are flags of rows whose credentials are not the running thread's own at that moment.
const elsewhere = event.FlagSnapshot | event.FlagIOUring | event.FlagKThread | event.FlagOwnerSock | event.FlagNoOwner |
	event.FlagRecorder | event.FlagOwnerGuess | event.FlagOverride

// delayed are events that are told later than they happened, or by somebody else.
const delayed = 1<<event.Cred | 1<<event.Process | 1<<event.File | 1<<event.Socket | 1<<event.IO | 1<<event.SockTotal |
	1<<event.Dirty | 1<<event.IOUring | 1<<event.Ledger | 1<<event.Coverage | 1<<event.Recorder | 1<<event.Clock

func (c *creds) see(r *event.Row) {
	if r.Flags&elsewhere != 0 || r.Cred == 0 || 1<<r.Type&uint64(delayed) != 0 {
		if r.Type == event.Exit {
			c.forget(r.TID)
		}
		return
	}
	h := c.holder(r.TID)
	switch {
	case h == nil || h.start != r.PStart || h.pid != r.PID:
		// the first row of a thread: nothing to compare with
		c.hold(r.TID, holder{r.TS, r.PStart, r.PID, r.Cred})
	case r.Type == event.Exec:
		c.settle(r.TID, r.Cred)
		*h = holder{max(h.ts, r.TS), r.PStart, r.PID, r.Cred}
	case r.Type == event.CredChange:
		if p, ok := c.pending[r.TID]; ok && p.N1 == r.N1 && p.Cred == r.Cred {
			delete(c.pending, r.TID)
		} else if old := uint32(r.N1); h.ts <= r.TS && h.cred != old && old != 0 {
			c.note(r, h, old) // it changed before the call already
		}
		if h.ts <= r.TS {
			h.ts, h.cred = r.TS, r.Cred
		}
	case h.ts > r.TS: // of the batch before
	default:
		if h.cred != r.Cred {
			c.note(r, h, r.Cred)
			h.cred = r.Cred
		}
		h.ts = r.TS
	}
	switch r.Type {
	case event.Exec:
		if r.OTID != r.TID {
			c.settle(r.OTID, r.Cred)
			c.forget(r.OTID)
		}
	case event.Fork:
		// A child has its creator's set, unless it gets a user namespace of its own.
		c.forget(r.OTID)
		if p, ok := c.pending[r.OTID]; ok { // of whoever had the number before
			c.out = append(c.out, p)
			delete(c.pending, r.OTID)
		}
		if r.N1&cloneNewUser == 0 {
			c.hold(r.OTID, holder{r.TS, r.OStart, r.OPID, r.Cred})
		}
	case event.Exit:
		c.forget(r.TID)
	}
}

const cloneNewUser = 0x10000000

func (c *creds) holder(tid uint32) *holder {
	if c.last != nil && c.lastTID == tid {
		return c.last
	}
	h := c.threads[0][tid]
	if h == nil {
		if h = c.threads[1][tid]; h == nil {
			return nil
		}
		delete(c.threads[1], tid)
		c.put(tid, h)
	}
	c.last, c.lastTID = h, tid
	return h
}

func (c *creds) put(tid uint32, h *holder) {
	if c.threads[0] == nil || len(c.threads[0]) >= maxThreads {
		c.threads[0], c.threads[1] = make(map[uint32]*holder), c.threads[0]
	}
	c.threads[0][tid] = h
}

func (c *creds) hold(tid uint32, h holder) *holder {
	if p := c.holder(tid); p != nil {
		*p = h
		return p
	}
	p := &h
	c.put(tid, p)
	return p
}

func (c *creds) forget(tid uint32) {
	delete(c.threads[0], tid)
	delete(c.threads[1], tid)
	if c.lastTID == tid {
		c.last = nil
	}
}

// settle drops a change that an exec turns out to have made.
func (c *creds) settle(tid, cred uint32) {
	if p, ok := c.pending[tid]; ok && p.Cred == cred {
		delete(c.pending, tid)
	}
}

// note keeps a change until it is certain that no row of a call follows.
func (c *creds) note(r *event.Row, h *holder, now uint32) {
	if p, ok := c.pending[r.TID]; ok {
		c.out = append(c.out, p)
	}
	if c.pending == nil {
		c.pending = map[uint32]event.Row{}
	}
	c.pending[r.TID] = event.Row{
		TS: r.TS, Type: event.CredChange, Flags: event.FlagRecorder, CPU: r.CPU, TID: r.TID, PID: r.PID, PStart: r.PStart,
		Image: r.Image, Cred: now, Cgroup: r.Cgroup, Comm: bytes.Clone(r.Comm),
		N1: int64(h.cred), N2: noCall, T0: h.ts, Text2: []byte("seen first on " + r.Type.String()),
	}
}

// take returns the changes that are certain by now.
func (c *creds) take(now clock.Boot) []event.Row {
	if c.missing != nil {
		if n := c.missing(); n != c.lost {
			c.lost, c.lostAt = n, now
		}
	}
	for tid, p := range c.pending {
		if p.TS+doubt <= now {
			c.out = append(c.out, p)
			delete(c.pending, tid)
		}
	}
	out := c.out
	c.out = nil
	for i := range out {
		d := string(out[i].Text2)
		if c.lostAt >= out[i].T0 && c.lostAt != 0 {
			d += "; records were lost since it was last seen with the old set, the row of a call may be among them"
		}
		if c.blind != "" {
			d += "; not watched, so they may have made it: " + c.blind
		}
		out[i].Text2 = []byte(d)
	}
	return out
}
