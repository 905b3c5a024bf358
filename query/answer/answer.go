package answer

import "hindcast/format/clock"

// Certainty says how far a statement is carried by the recorded rows.
type Certainty string

const (
	Certain  Certainty = "certain"  // the rows state it, by kernel identity
	Likely   Certainty = "likely"   // inferred from a name, an order or a nearness in time
	Possible Certainty = "possible" // could be; a gap or an uncertain order stands in between
)

// Strength says what kind of influence an edge carries.
type Strength string

const (
	Control Strength = "control" // one made or commands the other: fork, exec
	Data    Strength = "data"    // bytes flowed: read, write, receive, send, map
	Weak    Strength = "weak"    // attributes, names, signals
)

// Time is one instant on both clocks. Boot orders; Wall is the view of it that the
// segment's offset gives.
type Time struct {
	Boot clock.Boot `json:"boot_ns"`
	Wall clock.Wall `json:"wall_ns"`
}

// Ref names an entity. ID is short, stable for the same capture and accepted as an
// entity wherever one is asked for.
type Ref struct {
	Kind  string `json:"kind"` // process, file, pipe, socket, remote
	ID    string `json:"id"`   // p:7k3q, f:…, s:…; a remote end is its ip:port
	Label string `json:"label"`
}

// Gap is one reason why the answer may be incomplete.
type Gap struct {
	Kind     string   `json:"kind"`   // lost, not_observable, not_attached, truncated, before_start, after_end, damaged, scope, snapshot, unknown_origin, unknown_owner, inferred, hidden
	Events   []string `json:"events"` // event names that are affected; empty: any
	Count    uint64   `json:"count"`  // how many rows, objects or bytes; 0 unknown
	CPU      int      `json:"cpu"`    // -1 for every or no particular cpu
	From     Time     `json:"from"`
	To       Time     `json:"to"`
	Cause    string   `json:"cause"`
	Text     string   `json:"text"` // one sentence without a final stop
	Evidence []string `json:"evidence"`
	Whole    bool     `json:"whole"` // holds for the whole recording: From and To are its bounds
}

// Count is one step of a reduction: how many nodes and edges went in and came out.
type Count struct {
	Step        string `json:"step"`
	NodesBefore int    `json:"nodes_before"`
	NodesAfter  int    `json:"nodes_after"`
	EdgesBefore int    `json:"edges_before"`
	EdgesAfter  int    `json:"edges_after"`
	Text        string `json:"text"`
}

// Cred is a credential set.
type Cred struct {
	ID     uint32 `json:"id"`
	Known  bool   `json:"known"` // false: no row defined it, the numbers mean nothing
	UID    uint32 `json:"uid"`
	EUID   uint32 `json:"euid"`
	GID    uint32 `json:"gid"`
	EGID   uint32 `json:"egid"`
	CapEff uint64 `json:"cap_effective"`
	UserNS uint32 `json:"userns"`
}

// Image is one program that a process ran.
type Image struct {
	Number    uint32   `json:"number"` // the kernel's exec number
	From      Time     `json:"from"`
	To        *Time    `json:"to"` // nil: until the process ended or the recording did
	Exe       string   `json:"exe"`
	File      *Ref     `json:"file"` // the program file, nil when unknown
	Script    string   `json:"script"`
	Argv      []string `json:"argv"`
	ArgvCut   bool     `json:"argv_truncated"`
	Cwd       string   `json:"cwd"`
	Comm      string   `json:"comm"`
	Cred      Cred     `json:"cred"`
	Deleted   bool     `json:"exe_deleted"` // the file had no name left when it was started, or lost it since
	Inherited bool     `json:"inherited"`   // same program as the creator, from fork
	Evidence  []string `json:"evidence"`
}

// Process is one process in a tree. The tree is flat: rows in printing order, Depth
// and Parent say the shape, so depth costs no stack.
type Process struct {
	Ref
	PID       uint32     `json:"pid"`
	Start     clock.Boot `json:"start_ns"` // second half of the key
	Depth     int        `json:"depth"`
	Parent    int        `json:"parent"`     // index in Tree.Processes, -1 for a root
	PPID      uint32     `json:"ppid"`       // parent at the time asked for, 0 unknown
	ParentRef *Ref       `json:"parent_ref"` // nil: unknown
	ForkedBy  *Ref       `json:"forked_by"`  // creator, never changes; nil: not recorded
	// Reparented: the parent is no longer the first one. Inferred when no row states the new one.
	Reparented     bool       `json:"reparented"`
	ParentInferred bool       `json:"parent_inferred"`
	Origin         string     `json:"origin"` // fork, snapshot, actor (seen only acting), mention (seen only as another's parent or target)
	Image          Image      `json:"image"`  // the program at the time asked for, or the last one
	Images         []Image    `json:"images"` // all, oldest first
	Threads        int        `json:"threads"`
	From           Time       `json:"from"` // start
	To             *Time      `json:"to"`   // end; nil: still alive when the recording ended
	ExitKnown      bool       `json:"exit_known"`
	ExitInferred   bool       `json:"exit_inferred"` // its exit was not recorded, its pid was used again
	ExitCode       int        `json:"exit_code"`
	ExitSignal     int        `json:"exit_signal"`
	KThread        bool       `json:"kthread"`
	Certainty      Certainty  `json:"certainty"`
	Notes          []string   `json:"notes"`
	Evidence       []string   `json:"evidence"`
	Touched        *Footprint `json:"touched"` // nil unless asked for
}

// Footprint is a process's own files and peers, for trees that show them.
type Footprint struct {
	Written []Touch `json:"written"`
	Read    []Touch `json:"read"`
	Peers   []Touch `json:"peers"`
}

// Touch is one object that a process used.
type Touch struct {
	Ref
	Bytes    uint64   `json:"bytes"`
	In       uint64   `json:"bytes_in"`
	Out      uint64   `json:"bytes_out"`
	First    Time     `json:"first"`
	Last     Time     `json:"last"`
	Evidence []string `json:"evidence"`
}

// Tree answers "what ran": at one instant, or over the whole recording.
type Tree struct {
	At        *Time     `json:"at"` // nil: every process of the recording
	Begin     Time      `json:"begin"`
	End       Time      `json:"end"`
	Total     int       `json:"total"` // processes known in the recording
	Processes []Process `json:"processes"`
	NotSeen   []Gap     `json:"not_seen"`
}

// Step is one edge of a chain. Influence goes From -> To. In a chain that answers
// "why", steps go backward in time and each one explains the one before it.
type Step struct {
	Verb      string     `json:"verb"`  // fork, exec, write, read, map, send, recv, connect, accept, pipe, chmod, rename, unlink, signal, cred
	Title     string     `json:"title"` // what is worth naming: the file, the peer, the program
	From      Ref        `json:"from"`
	To        Ref        `json:"to"`
	Actor     *Ref       `json:"actor"` // process that did it; nil when none
	T0        Time       `json:"t0"`
	T1        Time       `json:"t1"`
	Bytes     uint64     `json:"bytes"`
	Strength  Strength   `json:"strength"`
	Certainty Certainty  `json:"certainty"`
	Reason    string     `json:"reason"`   // why it is here when that is an inference, "17 ms before"
	Distance  clock.Boot `json:"distance"` // to the step it explains, ns; 0 when it has none
	Attempt   bool       `json:"attempt"`  // it failed: tried, not done
	Evidence  []string   `json:"evidence"`
	Notes     []string   `json:"notes"`
}

// Alternative is another explanation that the rows allow, or a side input.
type Alternative struct {
	Text  string `json:"text"`
	Of    int    `json:"of"` // index of the main step that it would explain
	Steps []Step `json:"steps"`
}

// Node is one member of a closure, for those who ask for all of it.
type Node struct {
	Ref
	Reach     Time      `json:"reach"` // backward: latest time from which it could matter; forward: earliest time it was reached
	Depth     int       `json:"depth"`
	Certainty Certainty `json:"certainty"`
	Hub       bool      `json:"hub"`
	Context   bool      `json:"context"` // a read-only input never written in the recording
	Via       *Step     `json:"via"`     // last edge of its witness path; nil for the entity itself
}

// Chain answers "why": what led to an entity.
type Chain struct {
	Entity       Ref           `json:"entity"`
	At           Time          `json:"at"` // only what happened before this counts
	State        string        `json:"state"`
	Steps        []Step        `json:"steps"`
	Stop         string        `json:"stop"` // why the chain ends where it ends
	Alternatives []Alternative `json:"alternatives"`
	Attributes   []Step        `json:"attributes"` // chmod, rename, unlink and the like on the entity and the chain's files
	Counts       []Count       `json:"counts"`
	Hubs         []Ref         `json:"hubs"`   // where the walk stopped
	Hidden       int           `json:"hidden"` // read-only inputs left out
	Nodes        []Node        `json:"nodes"`  // the closure; only with Raw or All
	NotSeen      []Gap         `json:"not_seen"`
}

// Witness is how an item of a radius was reached: the path from the seed.
type Witness struct {
	Depth     int       `json:"depth"`
	Strength  Strength  `json:"strength"`
	Certainty Certainty `json:"certainty"`
	Steps     []Step    `json:"steps"`
}

// ReachedProcess is a process that the seed led to.
type ReachedProcess struct {
	Process
	Reached Time    `json:"reached"`
	Witness Witness `json:"witness"`
}

// Use is what another process did with an object that had been changed.
type Use struct {
	Process  Ref      `json:"process"`
	What     string   `json:"what"` // read, exec, map
	At       Time     `json:"at"`
	Reached  bool     `json:"reached"` // the process is itself in the radius by descent
	Evidence []string `json:"evidence"`
}

// FileEffect is a file that the seed's processes changed.
type FileEffect struct {
	Ref
	Path      string    `json:"path"`
	Old       string    `json:"old_path"` // before a rename
	What      []string  `json:"what"`     // created, written, renamed, linked, chmod, chown, truncated, deleted, mkdir, symlink
	By        []Ref     `json:"by"`
	Bytes     uint64    `json:"bytes"`
	First     Time      `json:"first"`
	Last      Time      `json:"last"`
	Exists    string    `json:"exists"` // yes, deleted, unknown
	Dir       bool      `json:"dir"`
	Later     []Use     `json:"later"` // readers and executors afterwards
	Certainty Certainty `json:"certainty"`
	Witness   Witness   `json:"witness"`
	Evidence  []string  `json:"evidence"`
}

// Secret is a sensitive file that was read, stated as read, not as stolen.
type Secret struct {
	Ref
	Path      string    `json:"path"`
	Rule      string    `json:"rule"` // the glob that made it one
	What      string    `json:"what"` // what such a file holds
	By        Ref       `json:"by"`
	Bytes     uint64    `json:"bytes"`
	Opened    bool      `json:"opened_only"` // opened for reading, no read observed
	At        Time      `json:"at"`
	Egress    []Egress  `json:"egress"` // what reached processes sent out after it
	Certainty Certainty `json:"certainty"`
	Witness   Witness   `json:"witness"`
	Evidence  []string  `json:"evidence"`
}

// Egress is data sent out after a secret was read. It does not say that the secret was in it.
type Egress struct {
	Process   Ref       `json:"process"`
	Peer      string    `json:"peer"`
	Bytes     uint64    `json:"bytes"`
	At        Time      `json:"at"`
	Certainty Certainty `json:"certainty"` // likely: the flow began before the secret was read, and its later operations are not recorded one by one
	Evidence  []string  `json:"evidence"`
}

// Peer is a remote end that a reached process spoke to.
type Peer struct {
	Address   string    `json:"address"`   // ip:port
	Direction string    `json:"direction"` // out (connected), in (accepted), unknown
	Proto     string    `json:"proto"`     // tcp, udp, unix
	Internal  bool      `json:"internal"`  // loopback, link-local or private
	Local     *Ref      `json:"local"`     // the process at the other end when it is on this host
	By        []Ref     `json:"by"`
	Sockets   []Ref     `json:"sockets"`
	Sent      uint64    `json:"bytes_sent"`
	Received  uint64    `json:"bytes_received"`
	ByteKnown bool      `json:"bytes_known"`
	First     Time      `json:"first"`
	Last      Time      `json:"last"`
	Open      bool      `json:"open"`   // not seen to close
	Tried     int       `json:"tried"`  // attempts that failed
	Errors    []string  `json:"errors"` // what they failed with
	Certainty Certainty `json:"certainty"`
	Witness   Witness   `json:"witness"`
	Evidence  []string  `json:"evidence"`
}

// Crossing is a change of namespace or control group along a fork or exec.
type Crossing struct {
	Process  Ref      `json:"process"`
	What     string   `json:"what"` // pidns, mntns, netns, cgroup, userns
	From     uint64   `json:"from"`
	To       uint64   `json:"to"`
	At       Time     `json:"at"`
	Evidence []string `json:"evidence"`
}

// Persistence is a write to a place that is run again later.
type Persistence struct {
	Ref
	Path      string    `json:"path"`
	What      string    `json:"what"` // created, written, renamed …
	Kind      string    `json:"kind"` // cron, systemd unit …
	Technique string    `json:"technique"`
	Rule      string    `json:"rule"`
	By        Ref       `json:"by"`
	Bytes     uint64    `json:"bytes"`
	At        Time      `json:"at"`
	Certainty Certainty `json:"certainty"`
	Witness   Witness   `json:"witness"`
	Evidence  []string  `json:"evidence"`
}

// Privilege is a change of credentials of a reached process.
type Privilege struct {
	Process   Ref       `json:"process"`
	Before    Cred      `json:"before"`
	After     Cred      `json:"after"`
	How       string    `json:"how"` // exec of a set-id file, setuid call …
	Gained    bool      `json:"gained"`
	At        Time      `json:"at"`
	Certainty Certainty `json:"certainty"`
	Evidence  []string  `json:"evidence"`
}

// Influence is a process reached without descending from the seed.
type Influence struct {
	Process   Ref       `json:"process"`
	How       string    `json:"how"` // read a changed file, ran it, pipe, connection, signal
	Object    Ref       `json:"object"`
	At        Time      `json:"at"`
	Strength  Strength  `json:"strength"`
	Certainty Certainty `json:"certainty"`
	Witness   Witness   `json:"witness"`
	Evidence  []string  `json:"evidence"`
}

// Evasion is an act that hides others, or a hole that could.
type Evasion struct {
	What      string    `json:"what"` // deleted own program, truncated log, removed log, signalled recorder, gap
	Process   *Ref      `json:"process"`
	Object    *Ref      `json:"object"`
	At        Time      `json:"at"`
	Technique string    `json:"technique"`
	Certainty Certainty `json:"certainty"`
	Evidence  []string  `json:"evidence"`
}

// Attempt is something that was tried and failed.
type Attempt struct {
	Process  Ref      `json:"process"`
	What     string   `json:"what"` // open, connect, unlink …
	Target   string   `json:"target"`
	Error    string   `json:"error"`
	Count    int      `json:"count"`
	At       Time     `json:"at"`
	Evidence []string `json:"evidence"`
}

// Remaining is something not seen to end: the containment list.
type Remaining struct {
	Kind     string   `json:"kind"` // process, listener, connection
	Ref      Ref      `json:"ref"`
	By       *Ref     `json:"by"`
	Since    Time     `json:"since"`
	Text     string   `json:"text"`
	Evidence []string `json:"evidence"`
}

// Radius answers "what did it touch": the forward closure in groups.
type Radius struct {
	Seed        Ref              `json:"seed"`
	From        Time             `json:"from"`
	Until       Time             `json:"until"`
	Depth       int              `json:"depth"`     // longest witness path
	MaxDepth    int              `json:"max_depth"` // limit asked for, 0 none
	Processes   []ReachedProcess `json:"processes"`
	Files       []FileEffect     `json:"files"`
	Secrets     []Secret         `json:"secrets"`
	Peers       []Peer           `json:"peers"`
	Crossed     []Crossing       `json:"crossed"`
	Persistence []Persistence    `json:"persistence"`
	Privilege   []Privilege      `json:"privilege"`
	Influenced  []Influence      `json:"influenced"`
	Evasion     []Evasion        `json:"evasion"`
	Remaining   []Remaining      `json:"remaining"`
	Attempts    []Attempt        `json:"attempts"`
	Hubs        []Ref            `json:"hubs"`
	Counts      []Count          `json:"counts"`
	Nodes       []Node           `json:"nodes"` // only with Raw
	NotSeen     []Gap            `json:"not_seen"`
}

// Candidate is one meaning of an ambiguous name.
type Candidate struct {
	Ref
	From Time   `json:"from"`
	To   *Time  `json:"to"`
	Text string `json:"text"`
}
