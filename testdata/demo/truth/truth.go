// Package truth is how the programs of the demo incident say what they did, so
// that a test can compare a recording with it.
//
// A program appends one JSON line per fact to the file that HINDCAST_TRUTH names:
// its own process, each file with its inode and byte counts, each connection with
// both addresses and byte counts. Everything is asked of the kernel at the moment
// (fstat, getsockname, /proc/self/stat) or counted where the call returned; nothing
// comes from the recorder. Without HINDCAST_TRUTH nothing is written and the
// incident looks the same but for the missing log.
package truth

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// Env names the environment variable that holds the path of the log.
const Env = "HINDCAST_TRUTH"

// Kinds of facts.
const (
	Process = "process" // a process of the incident, described by itself or by the one that started it
	File    = "file"    // a file read, written or removed
	Socket  = "socket"  // one end of a connection
)

// Fact is one line of the log.
type Fact struct {
	Role  string `json:"role"` // web, c2, attack, fetch, payload; shell for the shell that web started
	Kind  string `json:"kind"`
	PID   int    `json:"pid"`
	Start uint64 `json:"start_ticks"` // field 22 of /proc/PID/stat: clock ticks since boot
	PPID  int    `json:"ppid,omitempty"`

	// Process: the program file. File: the file. Dev is stat(2)'s st_dev.
	Path string `json:"path,omitempty"`
	Dev  uint64 `json:"dev,omitempty"`
	Ino  uint64 `json:"ino,omitempty"`

	Did     string `json:"did,omitempty"` // File: read, write, append, unlink
	Bytes   uint64 `json:"bytes,omitempty"`
	Created bool   `json:"created,omitempty"`
	Note    string `json:"note,omitempty"` // what the thing is for: secret, payload, persistence, benign, injected ...

	Local  string `json:"local,omitempty"`
	Remote string `json:"remote,omitempty"`
	Role2  string `json:"end,omitempty"` // Socket: connect or accept
	In     uint64 `json:"in,omitempty"`
	Out    uint64 `json:"out,omitempty"`
}

// Log appends facts of one process. The zero value, and a nil Log, drop them.
type Log struct {
	role  string
	pid   int
	start uint64
	file  *os.File
}

// Open opens the log that the environment names and writes the fact about this process.
func Open(role string) (*Log, error) {
	path := os.Getenv(Env)
	if path == "" {
		return &Log{}, nil
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	l := &Log{role: role, pid: os.Getpid(), file: f}
	p, err := Describe(role, l.pid)
	if err != nil {
		return nil, err
	}
	l.start = p.Start
	return l, l.Write(p)
}

// On reports whether facts are kept.
func (l *Log) On() bool { return l != nil && l.file != nil }

// Write appends one fact. PID, start and role are this process's unless set.
func (l *Log) Write(f Fact) error {
	if !l.On() {
		return nil
	}
	if f.PID == 0 {
		f.PID, f.Start = l.pid, l.start
	}
	if f.Role == "" {
		f.Role = l.role
	}
	b, err := json.Marshal(f)
	if err != nil {
		return err
	}
	_, err = l.file.Write(append(b, '\n')) // one write: O_APPEND keeps lines whole
	return err
}

// Touched writes a fact about an open file.
func (l *Log) Touched(f *os.File, did, note string, n uint64, created bool) error {
	if !l.On() {
		return nil
	}
	var st syscall.Stat_t
	if err := syscall.Fstat(int(f.Fd()), &st); err != nil {
		return err
	}
	return l.Write(Fact{Kind: File, Path: f.Name(), Dev: st.Dev, Ino: st.Ino, Did: did, Note: note, Bytes: n, Created: created})
}

// Describe returns the fact about a live process, or one that has ended and not been reaped.
func Describe(role string, pid int) (Fact, error) {
	f := Fact{Role: role, Kind: Process, PID: pid}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return f, err
	}
	if f.PPID, f.Start, err = ParseStat(b); err != nil {
		return f, err
	}
	exe := fmt.Sprintf("/proc/%d/exe", pid)
	var st syscall.Stat_t
	if err := syscall.Stat(exe, &st); err == nil {
		f.Dev, f.Ino = st.Dev, st.Ino
	} else if !errors.Is(err, syscall.ENOENT) { // ENOENT: a zombie has no program any more
		return f, err
	}
	f.Path, _ = os.Readlink(exe)
	return f, nil
}

// Stat returns the identity of a file.
func Stat(path string) (dev, ino uint64, err error) {
	var st syscall.Stat_t
	err = syscall.Stat(path, &st)
	return st.Dev, st.Ino, err
}

// ParseStat returns the parent and the start of a process in clock ticks from the
// text of /proc/PID/stat. The name in it may hold blanks and brackets.
func ParseStat(b []byte) (ppid int, start uint64, err error) {
	i := bytes.LastIndexByte(b, ')')
	if i < 0 {
		return 0, 0, errors.New("parse stat: no name")
	}
	w := strings.Fields(string(b[i+1:]))
	if len(w) < 20 {
		return 0, 0, errors.New("parse stat: too short")
	}
	if ppid, err = strconv.Atoi(w[1]); err != nil {
		return 0, 0, fmt.Errorf("parse stat: %w", err)
	}
	if start, err = strconv.ParseUint(w[19], 10, 64); err != nil {
		return 0, 0, fmt.Errorf("parse stat: %w", err)
	}
	return ppid, start, nil
}

// Conn counts what goes through a connection and writes the fact when it is closed.
type Conn struct {
	net.Conn
	Log  *Log
	End  string // connect or accept
	Note string

	in, out atomic.Uint64
	closed  atomic.Bool
}

func (c *Conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.in.Add(uint64(n))
	return n, err
}

func (c *Conn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.out.Add(uint64(n))
	return n, err
}

// CloseWrite says that nothing more will be sent.
func (c *Conn) CloseWrite() error { return c.Conn.(*net.TCPConn).CloseWrite() }

// Close writes the fact and closes the connection.
func (c *Conn) Close() error {
	if c.closed.Swap(true) {
		return c.Conn.Close()
	}
	err := c.Log.Write(Fact{Kind: Socket, Role2: c.End, Note: c.Note, Local: c.LocalAddr().String(),
		Remote: c.RemoteAddr().String(), In: c.in.Load(), Out: c.out.Load()})
	return errors.Join(err, c.Conn.Close())
}

// Dial connects from a given local address ("" for any) and counts.
func (l *Log) Dial(local, remote, note string) (*Conn, error) {
	d := net.Dialer{Timeout: 5 * time.Second}
	if local != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(local)}
	}
	c, err := d.Dial("tcp4", remote)
	if err != nil {
		return nil, err
	}
	return &Conn{Conn: c, Log: l, End: "connect", Note: note}, nil
}

// Listener counts what its connections carry.
type Listener struct {
	net.Listener
	Log  *Log
	Note string
}

// Listen listens on a loopback address.
func (l *Log) Listen(addr, note string) (*Listener, error) {
	n, err := net.Listen("tcp4", addr)
	if err != nil {
		return nil, err
	}
	return &Listener{Listener: n, Log: l, Note: note}, nil
}

// Accept returns the next connection, counted.
func (l *Listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &Conn{Conn: c, Log: l.Log, End: "accept", Note: l.Note}, nil
}

// Read returns the facts of a log.
func Read(r io.Reader) ([]Fact, error) {
	var all []Fact
	d := json.NewDecoder(r)
	for {
		var f Fact
		err := d.Decode(&f)
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return all, fmt.Errorf("read truth: %w", err)
		}
		all = append(all, f)
	}
}

// Load returns the facts of a log file.
func Load(path string) ([]Fact, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return Read(f)
}
