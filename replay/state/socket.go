package state

import (
	"hindcast/format/clock"
	"hindcast/format/event"
	"hindcast/replay/index"
	"hindcast/replay/load"
)

// SockID numbers a socket, or a flow of a UDP socket, in its table.
type SockID int32

// Role says who began a connection.
type Role uint8

const (
	RoleUnknown   Role = iota
	RoleConnected      // this end connected
	RoleAccepted       // this end was accepted
	RoleListening
)

// Families and protocols.
const (
	FamilyUnix  = 1
	FamilyInet  = 2
	FamilyInet6 = 10
	ProtoTCP    = 6
	ProtoUDP    = 17
)

const tcpListen = 10 // TCP_LISTEN in socket rows

// sockKey finds a socket: by cookie, for UDP together with the remote end; without a cookie
// by inode, or by tuple as the last resort.
type sockKey struct {
	cookie uint64
	ino    uint64
	netns  uint32
	proto  uint8
	l, r   index.Name
	lp, rp uint16
}

// Socket is one end of a connection, a flow of a UDP socket, or a listener.
type Socket struct {
	Cookie uint64
	Ino    uint64
	Peer   uint64 // inode of the peer, unix sockets
	NetNS  uint32
	Family uint8
	Proto  uint8
	LAddr  index.Name
	RAddr  index.Name
	LPort  uint16
	RPort  uint16
	ISN    uint64

	Role      Role
	Owner     ProcID
	Guessed   bool // owner inferred
	Accepted  ProcID
	Holders   []ProcID // had it open when the recording began
	First     clock.Boot
	Last      clock.Boot
	Opened    clock.Boot // first packet or sighting
	Closed    clock.Boot // 0: not seen to close
	In, Out   uint64
	Totals    bool // In and Out are the socket's own
	Failed    bool // never established; Err is why
	Err       int32
	Snapshot  bool
	OpenRow   load.RowID // connect, accept, listen, socket or first row
	CloseRow  load.RowID
	TotalRows map[clock.Boot]total
}

type total struct{ in, out uint64 }

// Stream reports whether the socket has one fixed remote end.
func (s *Socket) Stream() bool { return s.Role != RoleListening && (s.RPort != 0 || s.Peer != 0) }

// socket applies a row of the net family.
func (t *Table) socket(r *event.Row, id load.RowID, actor ProcID) SockID {
	l, ra := t.Names.ID(r.LAddr), t.Names.ID(r.RAddr)
	k := sockKey{cookie: r.Cookie}
	if r.Cookie == 0 {
		k = sockKey{netns: r.NetNS, proto: r.Proto, l: l, r: ra, lp: r.LPort, rp: r.RPort}
		if r.Family == FamilyUnix {
			k = sockKey{ino: r.Ino}
		}
	} else if r.Proto == ProtoUDP {
		k.r, k.rp = ra, r.RPort
	}
	x, ok := t.socks[k]
	if y, known := t.unixByIno[r.Ino]; known && r.Family == FamilyUnix && r.Ino != 0 && (t.Socks[y].Cookie == 0 || r.Cookie == 0 || t.Socks[y].Cookie == r.Cookie) {
		// a socket has a cookie only from when somebody asked for it
		x, ok = y, true
		if r.Cookie != 0 {
			t.Socks[y].Cookie = r.Cookie
			t.socks[k] = y
		}
	}
	if ok && r.Cookie == 0 && r.Family != FamilyUnix && t.Socks[x].Closed != 0 && r.TS > t.Socks[x].Closed {
		ok = false // a tuple may come again
	}
	if !ok {
		x = SockID(len(t.Socks))
		t.socks[k] = x
		t.Socks = append(t.Socks, Socket{Cookie: r.Cookie, Owner: None, Accepted: None, First: r.TS, Opened: r.TS, OpenRow: id})
	}
	s := &t.Socks[x]
	s.First, s.Last = min(s.First, r.TS), max(s.Last, r.TS)
	if s.Family == 0 {
		s.Family, s.Proto, s.NetNS = r.Family, r.Proto, r.NetNS
	}
	if s.LAddr == 0 || r.Type == event.Connect || r.Type == event.Accept || r.Type == event.ConnClose {
		if l != 0 || r.LPort != 0 {
			s.LAddr, s.LPort = l, r.LPort
		}
	}
	if r.RPort != 0 && s.RPort == 0 || s.RAddr == 0 && r.RPort != 0 {
		s.RAddr, s.RPort = ra, r.RPort
	}
	if r.ISN != 0 {
		s.ISN = r.ISN
	}
	if r.Type != event.SockFirst || r.Family == FamilyUnix || s.Ino == 0 {
		if r.Ino != 0 {
			s.Ino = r.Ino
		}
	}
	if r.Family == FamilyUnix {
		if r.Ino2 != 0 {
			s.Peer = r.Ino2
		} else if r.Type == event.UnixConn && r.N1 != 0 { // the other end was closed by then: its cookie stays
			if y, ok := t.socks[sockKey{cookie: uint64(r.N1)}]; ok {
				s.Peer = t.Socks[y].Ino
			}
		}
		if s.Ino != 0 {
			t.unixByIno[s.Ino] = x
		}
		if len(r.Path) > 0 && r.Type != event.ConnectDenied { // of whichever end has a name
			s.RAddr = t.Names.ID(r.Path)
		}
	}
	if r.T0 != 0 {
		s.Opened = min(s.Opened, r.T0)
	}
	own := func(guess bool) {
		if actor != None && (s.Owner == None || s.Guessed && !guess) {
			s.Owner, s.Guessed = actor, guess
		}
	}
	guess := r.Flags&event.FlagOwnerGuess != 0
	switch r.Type {
	case event.Listen:
		s.Role, s.OpenRow = RoleListening, id
		own(guess)
	case event.Connect:
		s.Role, s.OpenRow = RoleConnected, id
		own(guess)
		if r.Ret < 0 || r.Flags&event.FlagFailed != 0 {
			s.Failed, s.Err = true, int32(r.Ret)
			s.Closed, s.CloseRow = r.TS, id
		}
	case event.Accept:
		s.Role, s.OpenRow = RoleAccepted, id
		s.Accepted = actor
		own(guess)
	case event.ConnClose:
		if s.Role == RoleUnknown && r.Op >= 1 && r.Op <= 2 {
			s.Role = Role(r.Op)
		}
		if !s.Failed {
			s.Closed, s.CloseRow = r.TS, id
			s.In, s.Out, s.Totals = r.BytesIn, r.BytesOut, true
		}
		own(true)
	case event.SockTotal:
		if s.TotalRows == nil {
			s.TotalRows = make(map[clock.Boot]total)
		}
		s.TotalRows[r.T0] = total{r.BytesIn, r.BytesOut}
		s.In, s.Out, s.Totals = 0, 0, true
		for _, v := range s.TotalRows {
			s.In += v.in
			s.Out += v.out
		}
		own(guess)
	case event.Socket:
		s.Snapshot = true
		if r.Op == tcpListen && r.Proto == ProtoTCP {
			s.Role = RoleListening
		}
		if s.Closed == 0 {
			s.In, s.Out = max(s.In, r.BytesIn), max(s.Out, r.BytesOut)
		}
		own(guess)
	case event.SockFirst:
		own(guess)
	case event.Bind:
		if r.Ret == 0 {
			own(guess)
		}
	case event.UnixConn:
		if r.Flags&event.FlagFailed != 0 || r.Ret < 0 {
			break
		}
		s.Role, s.OpenRow = RoleConnected, id
		if r.Op == 2 {
			s.Role, s.Accepted = RoleAccepted, actor
		}
		own(guess)
	case event.ConnectDenied:
		s.Failed, s.Err = true, int32(r.Ret)
		own(guess)
	}
	return x
}

// holdSocket notes that a process had a socket open when the recording or segment began.
func (t *Table) holdSocket(r *event.Row, id load.RowID, actor ProcID) SockID {
	x, ok := t.socks[sockKey{cookie: r.Cookie}]
	if !ok {
		x = SockID(len(t.Socks))
		t.socks[sockKey{cookie: r.Cookie}] = x
		t.Socks = append(t.Socks, Socket{Cookie: r.Cookie, Ino: r.Ino, Owner: None, Accepted: None, First: r.TS, Opened: r.TS, Snapshot: true, OpenRow: id})
	}
	s := &t.Socks[x]
	if actor == None {
		return x
	}
	if s.Owner == None {
		s.Owner = actor
	}
	for _, h := range s.Holders {
		if h == actor {
			return x
		}
	}
	s.Holders = append(s.Holders, actor)
	return x
}

// UnixByIno returns the unix socket with that inode.
func (t *Table) UnixByIno(ino uint64) (SockID, bool) {
	x, ok := t.unixByIno[ino]
	return x, ok
}
