package segment

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"

	"github.com/zeebo/xxh3"

	"hindcast/format/event"
)

// The filter section is a Bloom filter over the names a segment mentions: process keys,
// comms, paths and addresses. It answers "certainly not here". It is rebuildable and never
// required: a reader that finds it damaged or absent reads the batches.

var filterMagic = []byte("HCFILTER")

const (
	filterHead   = 24
	bitsPerKey   = 10
	hashesPerKey = 7
	maxKeys      = 1 << 19 // distinct keys beyond which no filter is written
)

// Kinds of keys: the first byte of what is hashed.
const (
	keyProcess = 'p'
	keyComm    = 'c'
	keyPath    = 'f'
	keyAddress = 'a'
)

var filterColumns = []struct {
	col  event.Column
	kind byte
}{
	{event.ColComm, keyComm},
	{event.ColPath, keyPath}, {event.ColPath2, keyPath}, {event.ColPath3, keyPath},
	{event.ColLAddr, keyAddress}, {event.ColRAddr, keyAddress},
}

func filterHash(kind byte, value []byte) uint64 { return xxh3.HashSeed(value, uint64(kind)) }

func processKey(b *[12]byte, pid uint32, start uint64) []byte {
	binary.LittleEndian.PutUint32(b[:], pid)
	binary.LittleEndian.PutUint64(b[4:], start)
	return b[:]
}

// filterBuilder collects the distinct hashes of a segment in an open-addressed set.
type filterBuilder struct {
	set  []uint64 // 0 is a free slot; a hash of 0 is stored as 1
	n    int
	full bool
}

func (f *filterBuilder) insert(h uint64) {
	if h == 0 {
		h = 1
	}
	if 2*f.n >= len(f.set) {
		if f.n >= maxKeys {
			f.full, f.set = true, nil
			return
		}
		old := f.set
		f.set = make([]uint64, max(1024, 2*len(old)))
		f.n = 0
		for _, v := range old {
			if v != 0 {
				f.insert(v)
			}
		}
	}
	mask := uint64(len(f.set) - 1)
	for i := h & mask; ; i = (i + 1) & mask {
		switch f.set[i] {
		case h:
			return
		case 0:
			f.set[i] = h
			f.n++
			return
		}
	}
}

func (f *filterBuilder) add(c *event.Columns) {
	for _, k := range filterColumns {
		d := c.Dict(k.col)
		for i := 0; i < d.Len() && !f.full; i++ {
			f.insert(filterHash(k.kind, d.Value(uint32(i))))
		}
	}
	var b [12]byte
	var pid uint32
	var start uint64
	for i := 0; i < c.N && !f.full; i++ {
		if i == 0 || c.PID[i] != pid || c.PStart[i] != start {
			pid, start = c.PID[i], c.PStart[i]
			f.insert(filterHash(keyProcess, processKey(&b, pid, start)))
		}
		if len(c.OPID) == 0 { // no row has another process
			continue
		}
		if o := c.OPID[i]; o != 0 {
			f.insert(filterHash(keyProcess, processKey(&b, o, c.OStart[i])))
		}
	}
}

// section returns the filter section, nil when there are too many keys.
//
//	0 magic  8 u32 hashes per key  12 u32 keys  16 u32 bytes of bits  20 u32 crc32c of all but this  24 bits
func (f *filterBuilder) section() []byte {
	if f.full || f.n == 0 {
		return nil
	}
	bits := make([]byte, (f.n*bitsPerKey+63)/64*8)
	for _, h := range f.set {
		if h != 0 {
			probe(h, uint64(len(bits))*8, func(at uint64) bool { bits[at/8] |= 1 << (at % 8); return true })
		}
	}
	out := append([]byte(nil), filterMagic...)
	out = app32(out, hashesPerKey)
	out = app32(out, uint32(f.n))
	out = app32(out, uint32(len(bits)))
	crc := crc32.Update(crc32.Checksum(out, castagnoli), castagnoli, bits)
	return append(app32(out, crc), bits...)
}

// probe calls f for each bit of a hash until f says no.
func probe(h, bits uint64, f func(at uint64) bool) bool {
	step := h>>32 | 1
	for range hashesPerKey {
		if !f(h % bits) {
			return false
		}
		h += step
	}
	return true
}

// Filter answers whether a segment can mention something. The zero Filter says yes to all.
type Filter struct{ bits []byte }

func parseFilter(p []byte, at int64) (Filter, *Finding) {
	if len(p) < filterHead || !bytes.HasPrefix(p, filterMagic) || le32(p[8:]) != hashesPerKey ||
		int(le32(p[16:])) != len(p)-filterHead || len(p) == filterHead {
		return Filter{}, found(BadFilter, at, int64(len(p)), "not a filter section")
	}
	if crc32.Update(crc32.Checksum(p[:20], castagnoli), castagnoli, p[filterHead:]) != le32(p[20:]) {
		return Filter{}, found(BadFilter, at, int64(len(p)), "checksum does not match")
	}
	return Filter{p[filterHead:]}, nil
}

func (f Filter) may(h uint64) bool {
	if len(f.bits) == 0 {
		return true
	}
	if h == 0 {
		h = 1
	}
	return probe(h, uint64(len(f.bits))*8, func(at uint64) bool { return f.bits[at/8]>>(at%8)&1 != 0 })
}

// MayProcess says whether the process can appear as an actor or as the other process.
func (f Filter) MayProcess(pid uint32, start uint64) bool {
	var b [12]byte
	return f.may(filterHash(keyProcess, processKey(&b, pid, start)))
}

// MayComm says whether a thread of that name can appear.
func (f Filter) MayComm(name []byte) bool { return f.may(filterHash(keyComm, name)) }

// MayPath says whether the path can appear, in any of the three path columns.
func (f Filter) MayPath(path []byte) bool { return f.may(filterHash(keyPath, path)) }

// MayAddress says whether the address, as text, can appear at either end.
func (f Filter) MayAddress(addr []byte) bool { return f.may(filterHash(keyAddress, addr)) }
