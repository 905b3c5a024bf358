// Package testkit makes captures for tests and benchmarks: rows that look like a busy
// host, every event of the catalogue, and the damage vectors with the class that a reader
// must find (see vectors).
package testkit

import (
	"fmt"
	"math/rand/v2"

	"hindcast/format/clock"
	"hindcast/format/event"
)

// Host is a synthetic host: it makes rows without end, the same ones for the same seed.
// Bursts of one process at a time, a skewed choice of paths, short processes that come
// and go, connections to a handful of peers.
type Host struct {
	rnd   *rand.Rand
	now   clock.Boot
	pid   uint32
	procs []proc
	paths [][]byte
	zipf  *rand.Zipf
	cur   int // process of the burst
	left  int // rows left of it
	tmp   int
}

type proc struct {
	pid   uint32
	start uint64
	image uint32
	comm  []byte
	fd    int32
}

// NewHost returns a host of about 150 processes.
func NewHost(seed uint64) *Host {
	h := &Host{rnd: rand.New(rand.NewPCG(seed, 1)), now: 3_600_000_000_000, pid: 1000}
	for i := range 30000 {
		h.paths = append(h.paths, fmt.Appendf(nil, "/usr/%s/%s-%d/%s%d.%s", []string{"lib", "share", "include", "src"}[i%4],
			[]string{"python3", "go", "linux", "perl"}[i/7%4], i%97, []string{"mod", "pkg", "test", "data"}[i/3%4], i, []string{"so", "py", "h", "go"}[i%4]))
	}
	h.zipf = rand.NewZipf(h.rnd, 1.2, 8, uint64(len(h.paths)-1))
	for range 150 {
		h.procs = append(h.procs, h.spawn())
	}
	return h
}

var comms = []string{"bash", "sshd", "nginx", "postgres", "go", "compile", "asm", "python3", "cron", "systemd-journal"}

func (h *Host) spawn() proc {
	h.pid++
	return proc{pid: h.pid, start: uint64(h.now), image: 1, comm: []byte(comms[h.rnd.IntN(len(comms))]), fd: 3}
}

// Next fills r with the next row. Its slices stay valid and must not be written to.
func (h *Host) Next(r *event.Row) {
	if h.left == 0 {
		h.cur, h.left = h.rnd.IntN(len(h.procs)), 1+h.rnd.IntN(40)
	}
	h.left--
	p := &h.procs[h.cur]
	h.now += clock.Boot(500 + h.rnd.ExpFloat64()*12000)
	*r = event.Row{TS: h.now, CPU: uint16(p.pid & 7), PID: p.pid, TID: p.pid, PStart: p.start, Image: p.image, Cred: 1 + p.pid%5, Cgroup: uint64(4000 + p.pid%23), Comm: p.comm}
	object := func() {
		i := h.zipf.Uint64()
		r.Dev, r.Ino, r.Gen, r.Mode = 0x801, 100000+i*3, uint32(i*2654435761), 0o100644
		r.Path = h.paths[i]
		if h.rnd.IntN(40) == 0 {
			h.tmp++
			r.Ino, r.Path = uint64(9000000+h.tmp), fmt.Appendf(nil, "/tmp/go-build%d/b%03d/_pkg_.a", h.tmp*7919, h.tmp%1000)
		}
	}
	tuple := func() {
		r.Cookie = uint64(h.now) >> 10
		r.NetNS, r.Family, r.Proto = 4026531840, 2, 6
		r.LAddr, r.LPort = []byte("10.0.0.5"), uint16(32768+h.rnd.IntN(28000))
		r.RAddr, r.RPort = fmt.Appendf(nil, "10.0.%d.%d", h.rnd.IntN(3), h.rnd.IntN(20)), 443
	}
	switch k := h.rnd.IntN(1000); {
	case k < 10:
		child := h.spawn()
		h.procs[h.rnd.IntN(len(h.procs))] = child
		r.Type, r.OPID, r.OStart, r.OTID, r.N1, r.N2 = event.Fork, child.pid, child.start, child.pid, 0x1200011, 17
		r.N3, r.N4, r.N5, r.N6, r.N7 = int64(p.pid), int64(p.start), int64(child.pid), int64(h.now), 4026531836
	case k < 20:
		object()
		p.image++
		r.Type, r.Image = event.Exec, p.image
		r.Argv = fmt.Appendf(nil, "%s\x00-o\x00/tmp/x%d\x00-trimpath\x00", r.Path, h.rnd.IntN(1000000))
		r.Path2, r.Text, r.Path3 = r.Path, r.Path, []byte("/home/user/src")
		r.N1, r.N2, r.N3, r.N4, r.N5, r.N7, r.N8 = 1700000000_000000000+int64(r.Ino), 1700000000_000000000, 1, int64(len(r.Argv)), int64(p.pid), 4026531836, 4026531841
		r.NetNS = 4026531840
	case k < 30:
		r.Type, r.Op, r.N3, r.N4, r.N5, r.N6 = event.Exit, 2, int64(h.rnd.IntN(1e8)), int64(h.rnd.IntN(1e7)), int64(h.rnd.IntN(100))<<20, int64(p.start)
		r.OPID, r.OStart = 1000, 3_600_000_000_000
	case k < 400:
		object()
		p.fd = 3 + (p.fd+1)%20
		r.Type, r.Ret, r.Op = event.Open, int64(p.fd), 0x8000
	case k < 600:
		object()
		r.Type, r.Ret, r.FD, r.N2, r.N5 = event.FirstRead, int64(h.rnd.IntN(65536)), p.fd, int64(h.rnd.IntN(65536)), int64(p.start)
	case k < 680:
		object()
		r.Type, r.Ret, r.FD, r.N2, r.N5 = event.FirstWrite, int64(h.rnd.IntN(8192)), p.fd, int64(h.rnd.IntN(65536)), int64(p.start)
	case k < 860:
		object()
		r.Type, r.T0, r.BytesIn, r.OpsIn, r.N1, r.Op = event.IO, h.now-clock.Boot(h.rnd.IntN(1e9)), uint64(h.rnd.IntN(1<<20)), uint32(h.rnd.IntN(300)), 1, 1
		r.N2, r.N3, r.N5 = int64(h.now)-5000, int64(h.now)-5000, int64(p.start)
	case k < 880:
		object()
		r.Type, r.Op, r.N1, r.N2, r.N3 = event.MmapExec, 5, 2, 0x7f0000000000+int64(h.rnd.IntN(1<<30))<<12, 4096*int64(h.rnd.IntN(500))
	case k < 930:
		tuple()
		r.Type, r.T0, r.ISN = event.Connect, h.now-clock.Boot(h.rnd.IntN(1e6)), h.rnd.Uint64()
	case k < 980:
		tuple()
		r.Type, r.T0, r.ISN, r.BytesIn, r.BytesOut = event.ConnClose, h.now-clock.Boot(h.rnd.IntN(1e9)), h.rnd.Uint64(), uint64(h.rnd.IntN(1<<18)), uint64(h.rnd.IntN(1<<14))
		r.OpsIn, r.OpsOut, r.N1, r.N3, r.N4, r.Op = 20, 12, int64(h.rnd.IntN(3000)), int64(r.BytesOut), 1, 1
	case k < 995:
		object()
		r.Type, r.Path = event.Unlink, fmt.Appendf(nil, "/tmp/go-build%d", h.rnd.IntN(100000))
	default:
		r.Type, r.N1, r.OPID, r.OStart, r.OTID = event.SignalSent, 15, p.pid-1, p.start-1, p.pid-1
	}
}

// Fill appends n rows to c, which it resets first, and finishes it.
func (h *Host) Fill(c *event.Columns, n int) {
	c.Reset()
	var r event.Row
	for range n {
		h.Next(&r)
		c.Append(&r)
	}
	c.Finish()
}

// EveryEvent returns one row of each event with a value of its own in every field, names
// that are not UTF-8 among them. Row i has TS base+i.
func EveryEvent(base clock.Boot) []event.Row {
	var out []event.Row
	for i := range event.Catalog {
		e := &event.Catalog[i]
		r := event.Row{TS: base + clock.Boot(i), Type: e.ID, Flags: uint32(i), CPU: uint16(i), TID: 100 + uint32(i), PID: 100, PStart: 99 << 40, Image: 3, Cred: 4, Cgroup: 1<<63 + 5, Ret: -7 - int64(i), Comm: []byte("com\xff m"), Marks: 5}
		for j, f := range e.Fields {
			switch event.ColumnTable[f.Col].Kind {
			case event.Dict:
				r.SetBytes(f.Col, fmt.Appendf(nil, "/%s/%s\xfe\n", e.Name, f.Name))
			case event.U8:
				r.SetInt(f.Col, int64(1+j))
			case event.U64, event.I64:
				r.SetInt(f.Col, -1<<62+int64(1000*i+j))
			default:
				r.SetInt(f.Col, int64(1000+j))
			}
		}
		out = append(out, r)
	}
	return out
}

// Batch returns the rows as a finished batch.
func Batch(rows []event.Row) *event.Columns {
	c := new(event.Columns)
	for i := range rows {
		c.Append(&rows[i])
	}
	c.Finish()
	return c
}
