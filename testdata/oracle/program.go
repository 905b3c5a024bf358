//go:build linux && amd64

package oracle

import (
	"fmt"
	"math/rand/v2"
)

// Numbers of system calls and flags on amd64.
const (
	sysPause        = 34
	sysSchedYield   = 24
	sysGetpid       = 39
	sysClone        = 56
	sysFork         = 57
	sysVfork        = 58
	sysExecve       = 59
	sysExit         = 60
	sysWait4        = 61
	sysKill         = 62
	sysGetppid      = 110
	sysPrctl        = 157
	sysClockGettime = 228
	sysExitGroup    = 231
	sysClone3       = 435

	sigchld     = 17
	clockBoot   = 7
	subreaper   = 36
	cloneNewPid = 0x20000000
	cloneParent = 0x8000
	// memory, file system, files, signal handlers, thread, System V semaphores
	cloneThread = 0x100 | 0x200 | 0x400 | 0x800 | 0x10000 | 0x40000
	waitAll     = 0x40000000 // __WALL
)

// What a note says; the low byte of its first word. The next 24 bits number the process, the
// upper 32 the other one.
const (
	NoteFork     = 1 // creator, child; answer, then seconds and nanoseconds before and after
	NoteStart    = 2 // process; its pid and parent as it sees them
	NoteAdopted  = 3 // process; its parent after its parent ended
	NoteThread   = 4 // process; answer
	NoteReaper   = 5 // process
	NoteReplaced = 6 // process, exec number; runs in the new image
)

// Node is one process that the program makes.
type Node struct {
	ID        int
	Creator   *Node
	How       string // fork, vfork, clone, clone3, settid, parent, pidns
	ByThread  bool   // made by a thread that was not the leader
	Execs     []Exec
	Threads   int // made, the first not counted
	Reaper    bool
	Orphaned  bool // outlives its creator, and waits to be adopted
	Leaves    bool // ends without waiting for its children
	Code, Sig int  // how it ends
	level     int
	waitsNow  bool // its creator waits for it before doing anything else
	ns        *Node
	cells     cells
}

// Exec is one change of program.
type Exec struct {
	Name     string // argument 0
	ByThread bool
}

type cells struct{ ret, before, after, pid, ppid, other, status uint64 }

// Program is a random program and what it will do.
type Program struct {
	File  []byte // ELF
	Arg   string // its argument
	Nodes []*Node
	Steps int // forks, execs, threads, ends and the like
}

type maker struct {
	s      *script
	r      *rand.Rand
	path   string
	self   uint64 // text of path
	nodes  []*Node
	steps  int
	limit  int
	reused int // pid to be used again and again, 0 none
	budget int // processes that the family at hand may still make
}

// Make returns a program of about the given number of steps that will lie at path. reused is a
// pid that no process has and that may be given out again and again; 0 leaves that out.
func Make(seed uint64, steps int, path string, reused int) *Program {
	m := &maker{s: newScript(), r: rand.New(rand.NewPCG(seed, 1)), path: path, limit: steps, reused: reused}
	m.self = m.s.text(path)
	entry := m.s.newLabel()
	m.s.set(entry)
	root := m.node(nil, "root")
	m.begin(root)
	m.reaper(root)
	for m.steps < m.limit {
		m.budget = 2 + m.r.IntN(30)
		m.family(root)
		if m.r.IntN(4) == 0 {
			m.waitAll(root)
		}
	}
	m.waitAll(root)
	m.s.call(0, sysExitGroup, 0)
	file, arg := m.s.build(entry)
	return &Program{file, arg, m.nodes, m.steps}
}

func (m *maker) node(creator *Node, how string) *Node {
	n := &Node{ID: len(m.nodes), Creator: creator, How: how}
	a := m.s.alloc(9 * 8)
	n.cells = cells{ret: a, before: a + 8, after: a + 24, pid: a + 40, ppid: a + 48, other: a + 56, status: a + 64}
	if creator != nil {
		n.level, n.ns = creator.level+1, creator.ns
	}
	if how == "pidns" {
		n.ns = n
	}
	m.nodes = append(m.nodes, n)
	return n
}

func word(what, id, other int) uint64 { return uint64(what) | uint64(id)<<8 | uint64(other)<<32 }

// begin is what every process does first.
func (m *maker) begin(n *Node) {
	m.s.call(n.cells.pid, sysGetpid)
	m.s.call(n.cells.ppid, sysGetppid)
	m.s.note(word(NoteStart, n.ID, 0), c(n.cells.pid), c(n.cells.ppid))
}

func (m *maker) reaper(n *Node) {
	n.Reaper = true
	m.steps++
	m.s.call(0, sysPrctl, subreaper, 1)
	m.s.note(word(NoteReaper, n.ID, 0))
}

func (m *maker) waitAll(n *Node) {
	again := m.s.newLabel()
	m.s.set(again)
	m.s.call(n.cells.other, sysWait4, uint64(1<<64-1), n.cells.status, waitAll, 0)
	m.s.positive(n.cells.other, again)
}

func (m *maker) chance(percent int) bool { return m.r.IntN(100) < percent }

// family makes one child of n with what it makes in turn.
func (m *maker) family(n *Node) {
	m.budget--
	how := "fork"
	switch x := m.r.IntN(100); {
	case x < 40:
	case x < 55:
		how = "vfork"
	case x < 70:
		how = "clone"
	case x < 82:
		how = "clone3"
	case x < 90 && n.waitsNow && n.Creator != nil && n.How != "vfork" && n.How != "pidns":
		how = "parent"
	case x < 94 && n.level < 4:
		how = "pidns"
	case x >= 96 && m.reused != 0 && n.ns == nil:
		how = "settid"
	}
	k := m.node(n, how)
	k.waitsNow = how != "parent" && m.chance(60)
	if how == "settid" {
		k.waitsNow = true // the pid must be free for the next
	}
	k.ByThread = how != "vfork" && how != "parent" && how != "settid" && n.How != "vfork" && m.chance(10)
	m.spawn(n, k)
}

// spawn writes the steps by which n makes k, and those of k.
func (m *maker) spawn(n, k *Node) {
	m.steps++
	body, done := m.s.newLabel(), m.s.newLabel()
	zero := m.s.cell()
	var after label
	if k.ByThread {
		// a thread makes it and ends; the leader waits for the answer to be noted
		n.Threads++
		m.steps++
		after = m.s.newLabel()
		thread := m.s.newLabel()
		m.s.call(n.cells.other, sysClone, uint64(cloneThread), 0, 0, 0, 0).child = thread
		m.s.note(word(NoteThread, n.ID, 0), c(n.cells.other))
		wait := m.s.newLabel()
		m.s.set(wait)
		m.s.call(0, sysSchedYield)
		m.s.same(k.cells.status, zero, wait)
		m.s.jump(after)
		m.s.set(thread)
	}
	m.s.call(0, sysClockGettime, clockBoot, k.cells.before)
	switch k.How {
	case "fork":
		m.s.call(k.cells.ret, sysFork).child = body
	case "vfork":
		m.s.call(k.cells.ret, sysVfork).child = body
	case "clone":
		m.s.call(k.cells.ret, sysClone, sigchld, 0, 0, 0, 0).child = body
	case "parent":
		m.s.call(k.cells.ret, sysClone, sigchld|cloneParent, 0, 0, 0, 0).child = body
	case "pidns":
		m.s.call(k.cells.ret, sysClone, uint64(sigchld|cloneNewPid), 0, 0, 0, 0).child = body
	default:
		args := m.s.alloc(88)
		m.s.put(args+32, sigchld)
		if k.How == "settid" {
			tid := m.s.alloc(8)
			m.s.put(tid, uint64(m.reused))
			m.s.put(args+64, tid)
			m.s.put(args+72, 1)
		}
		m.s.call(k.cells.ret, sysClone3, args, 88).child = body
	}
	m.s.call(0, sysClockGettime, clockBoot, k.cells.after)
	m.s.note(word(NoteFork, n.ID, k.ID), c(k.cells.ret), c(k.cells.before), c(k.cells.before+8), c(k.cells.after), c(k.cells.after+8))
	if k.ByThread {
		m.s.call(k.cells.status, sysGetpid) // not zero: done
		m.s.call(0, sysExit, 0)
	} else {
		m.s.jump(done)
	}
	m.s.set(body)
	m.life(k)
	if k.ByThread {
		m.s.set(after)
	}
	m.s.set(done)
	if k.waitsNow {
		m.s.call(n.cells.other, sysWait4, c(k.cells.ret), n.cells.status, waitAll, 0)
	}
}

// life is what a process does, from its first step to its end.
func (m *maker) life(n *Node) {
	if n.How == "vfork" {
		m.exec(n) // its creator's memory is left at once
	}
	m.begin(n)
	n.Leaves = n.ns != n && n.How != "vfork" && n.level > 1 && m.chance(15)
	left := false // a child that will outlive it
	for m.budget > 0 && m.steps < m.limit {
		x := m.r.IntN(100)
		switch {
		case x < 18:
			m.exec(n)
		case x < 28:
			m.thread(n)
		case x < 33:
			if !n.Reaper {
				m.reaper(n)
			}
		case x < 70 && n.level < 8 && len(m.nodes) < 1<<24:
			if n.Leaves && !left {
				left = true
				m.orphan(n)
			} else {
				m.family(n)
			}
		default:
			m.end(n)
			return
		}
	}
	m.end(n)
}

// orphan makes a child that waits until it has another parent.
func (m *maker) orphan(n *Node) {
	m.budget--
	m.steps += 2
	k := m.node(n, "fork")
	k.Orphaned = true
	body, done := m.s.newLabel(), m.s.newLabel()
	m.s.call(n.cells.pid, sysGetpid) // an exec has emptied the cell
	m.s.call(0, sysClockGettime, clockBoot, k.cells.before)
	m.s.call(k.cells.ret, sysFork).child = body
	m.s.call(0, sysClockGettime, clockBoot, k.cells.after)
	m.s.note(word(NoteFork, n.ID, k.ID), c(k.cells.ret), c(k.cells.before), c(k.cells.before+8), c(k.cells.after), c(k.cells.after+8))
	m.s.jump(done)
	m.s.set(body)
	m.begin(k)
	wait := m.s.newLabel()
	m.s.set(wait)
	m.s.call(0, sysSchedYield)
	m.s.call(k.cells.other, sysGetppid)
	m.s.same(k.cells.other, n.cells.pid, wait)
	m.s.note(word(NoteAdopted, k.ID, 0), c(k.cells.other))
	m.end(k)
	m.s.set(done)
}

func (m *maker) thread(n *Node) {
	m.steps++
	n.Threads++
	thread, done := m.s.newLabel(), m.s.newLabel()
	m.s.call(n.cells.other, sysClone, uint64(cloneThread), 0, 0, 0, 0).child = thread
	m.s.note(word(NoteThread, n.ID, 0), c(n.cells.other))
	m.s.jump(done)
	m.s.set(thread)
	m.s.call(0, sysSchedYield)
	m.s.call(0, sysExit, 0)
	m.s.set(done)
}

func (m *maker) exec(n *Node) {
	m.steps++
	e := Exec{Name: fmt.Sprintf("o%d.%d", n.ID, len(n.Execs)), ByThread: n.How != "vfork" && m.chance(15)}
	if n.How == "vfork" && len(n.Execs) > 0 {
		e.ByThread = m.chance(15)
	}
	n.Execs = append(n.Execs, e)
	next := m.s.newLabel()
	argv := m.s.alloc(24)
	m.s.put(argv, m.s.text(e.Name))
	m.s.put(argv+8, m.s.textOf(next))
	if e.ByThread {
		m.steps++
		n.Threads++
		thread := m.s.newLabel()
		m.s.call(0, sysClone, uint64(cloneThread), 0, 0, 0, 0).child = thread // the exec itself tells of it
		pause := m.s.newLabel()
		m.s.set(pause)
		m.s.call(0, sysPause)
		m.s.jump(pause)
		m.s.set(thread)
	}
	m.s.call(0, sysExecve, m.self, argv, 0)
	m.s.call(0, sysExitGroup, 99) // never reached
	m.s.set(next)
	m.s.note(word(NoteReplaced, n.ID, len(n.Execs)))
}

// end waits for children, unless they are to become orphans, and ends the process.
func (m *maker) end(n *Node) {
	m.steps++
	if !n.Leaves {
		m.waitAll(n)
	}
	if m.chance(15) && n.ns != n { // the first process of a namespace is deaf to its own kill
		n.Sig = 9
		m.s.call(n.cells.pid, sysGetpid)
		m.s.call(0, sysKill, c(n.cells.pid), 9)
		for range 2 {
			m.s.call(0, sysPause)
		}
	}
	n.Code = m.r.IntN(256)
	if n.Sig != 0 {
		n.Code = 0
	}
	m.s.call(0, sysExitGroup, n.Code)
}
