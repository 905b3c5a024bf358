package index

import (
	"encoding/binary"
	"sort"
	"strings"

	"github.com/zeebo/xxh3"
)

// crockford is the alphabet of short ids: no i, l, o, u.
const crockford = "0123456789abcdefghjkmnpqrstvwxyz"

// idDigits is the length of a whole id: 65 bits hold the 64 of a hash.
const idDigits = 13

// MinID is the fewest digits a short id is shown with.
const MinID = 4

// Hash returns the identity hash of an entity: of the boot it lived in, its kind and its key.
func Hash(boot string, kind byte, key ...uint64) uint64 {
	b := make([]byte, 0, 64)
	b = append(b, boot...)
	b = append(b, 0, kind)
	for _, k := range key {
		b = binary.LittleEndian.AppendUint64(b, k)
	}
	return xxh3.Hash(b)
}

// IDs gives the entities of one kind their short ids. Add all, then Freeze, then ask.
type IDs struct {
	byHash []idEntry
	length []uint8 // digits shown, by entity
	hash   []uint64
}

type idEntry struct {
	hash   uint64
	entity uint32
}

// Add gives the next entity, counted from 0, its hash.
func (x *IDs) Add(hash uint64) {
	x.byHash = append(x.byHash, idEntry{hash, uint32(len(x.byHash))})
	x.hash = append(x.hash, hash)
}

// Freeze computes the shortest unique prefixes.
func (x *IDs) Freeze() {
	sort.Slice(x.byHash, func(i, j int) bool {
		a, b := x.byHash[i], x.byHash[j]
		if a.hash != b.hash {
			return a.hash < b.hash
		}
		return a.entity < b.entity
	})
	x.length = make([]uint8, len(x.byHash))
	for i, e := range x.byHash {
		n := MinID
		if i > 0 {
			n = max(n, common(x.byHash[i-1].hash, e.hash)+1)
		}
		if i+1 < len(x.byHash) {
			n = max(n, common(x.byHash[i+1].hash, e.hash)+1)
		}
		x.length[e.entity] = uint8(min(n, idDigits))
	}
}

// ID returns the short id of an entity, without its kind prefix.
func (x *IDs) ID(entity uint32) string {
	if int(entity) >= len(x.length) {
		return ""
	}
	d := digits(x.hash[entity])
	return string(d[:x.length[entity]])
}

// Find returns the entities whose id begins with s, in order of id, at most limit of them.
// s may be in either case and longer than the id shown; the letters that the alphabet leaves
// out are read as the digits they resemble.
func (x *IDs) Find(s string, limit int) []uint32 {
	var lo uint64
	var n int
	for _, c := range strings.ToLower(s) {
		switch c {
		case 'o':
			c = '0'
		case 'i', 'l':
			c = '1'
		}
		v := strings.IndexRune(crockford, c)
		if v < 0 || n == idDigits {
			return nil
		}
		if n < idDigits-1 {
			lo |= uint64(v) << (64 - 5*(n+1))
		} else {
			lo |= uint64(v) >> 1
		}
		n++
	}
	if n == 0 {
		return nil
	}
	i := sort.Search(len(x.byHash), func(i int) bool { return x.byHash[i].hash >= lo })
	var out []uint32
	for ; i < len(x.byHash) && len(out) < limit && common(x.byHash[i].hash, lo) >= min(n, idDigits-1); i++ {
		if n == idDigits && x.byHash[i].hash != lo {
			break
		}
		out = append(out, x.byHash[i].entity)
	}
	return out
}

// digits writes the hash as 13 digits, highest bits first; the last one holds 4 bits.
func digits(h uint64) (d [idDigits]byte) {
	for i := 0; i < idDigits-1; i++ {
		d[i] = crockford[h>>(64-5*(i+1))&31]
	}
	d[idDigits-1] = crockford[h&15<<1]
	return d
}

// common returns how many leading digits two hashes share.
func common(a, b uint64) int {
	da, db := digits(a), digits(b)
	for i := range da {
		if da[i] != db[i] {
			return i
		}
	}
	return idDigits
}
