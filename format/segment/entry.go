package segment

import (
	"fmt"
	"hash/crc32"
	"math/bits"
	"sort"
	"strconv"
	"strings"

	"hindcast/format/clock"
	"hindcast/format/event"
	"hindcast/format/seal"
)

// BatchInfo is an entry: where a batch lies and what is in it. The schema message has one
// too, with no rows, as the first of a footer.
type BatchInfo struct {
	Offset int64       `json:"offset"`
	Length int64       `json:"length"`
	Dict   int64       `json:"dict"` // bytes of the dictionary messages, which come first
	Row    uint64      `json:"row"`  // number of the first row
	Rows   int         `json:"rows"`
	Min    clock.Boot  `json:"min"` // smallest and largest TS
	Max    clock.Boot  `json:"max"`
	Types  uint64      `json:"types"`  // event ids present, as bits
	Lost   uint64      `json:"lost"`   // sum of its ledger rows
	Digest seal.Digest `json:"digest"` // sha256 of the bytes, with the digest's own text as zeros
}

const (
	entrySize      = 96 // in the footer
	IndexEntrySize = 80 // in the side index
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// put appends the footer form of the entry.
func (b *BatchInfo) put(out []byte, kind uint32) []byte {
	out = app64(out, uint64(b.Offset))
	out = app32(out, uint32(b.Length))
	out = app32(out, uint32(b.Dict))
	out = app32(out, uint32(b.Rows))
	out = app32(out, kind)
	out = app64(out, b.Row)
	out = app64(out, uint64(b.Min))
	out = app64(out, uint64(b.Max))
	out = app64(out, b.Types)
	out = app64(out, b.Lost)
	return append(out, b.Digest[:]...)
}

func getEntry(p []byte) (b BatchInfo, kind uint32) {
	b.Offset = int64(le64(p))
	b.Length = int64(le32(p[8:]))
	b.Dict = int64(le32(p[12:]))
	b.Rows = int(le32(p[16:]))
	kind = le32(p[20:])
	b.Row = le64(p[24:])
	b.Min = clock.Boot(le64(p[32:]))
	b.Max = clock.Boot(le64(p[40:]))
	b.Types = le64(p[48:])
	b.Lost = le64(p[56:])
	copy(b.Digest[:], p[64:96])
	return b, kind
}

// Kinds of entries.
const (
	kindSchema = 1
	kindBatch  = 2
)

// IndexEntry returns the 80 bytes of the entry in the side index:
//
//	0  u64 offset  8  u32 length  12 u32 rows  16 u64 first row
//	24 i64 ts min  32 i64 ts max  40 sha256    72 u32 dict  76 u32 crc32c of the 76 before
func (b *BatchInfo) IndexEntry() []byte {
	out := make([]byte, 0, IndexEntrySize)
	out = app64(out, uint64(b.Offset))
	out = app32(out, uint32(b.Length))
	out = app32(out, uint32(b.Rows))
	out = app64(out, b.Row)
	out = app64(out, uint64(b.Min))
	out = app64(out, uint64(b.Max))
	out = append(out, b.Digest[:]...)
	out = app32(out, uint32(b.Dict))
	return app32(out, crc32.Checksum(out, castagnoli))
}

// parseIndex reads the entries of a side index that are whole and whose checksum holds.
func parseIndex(p []byte) (out []BatchInfo) {
	for ; len(p) >= IndexEntrySize && len(out) < MaxEntries; p = p[IndexEntrySize:] {
		e := p[:IndexEntrySize]
		if crc32.Checksum(e[:76], castagnoli) != le32(e[76:]) {
			continue
		}
		b := BatchInfo{
			Offset: int64(le64(e)), Length: int64(le32(e[8:])), Rows: int(le32(e[12:])), Row: le64(e[16:]),
			Min: clock.Boot(le64(e[24:])), Max: clock.Boot(le64(e[32:])), Dict: int64(le32(e[72:])),
		}
		copy(b.Digest[:], e[40:72])
		out = append(out, b)
	}
	return out
}

func app32(b []byte, v uint32) []byte {
	return append(b, byte(v), byte(v>>8), byte(v>>16), byte(v>>24))
}
func app64(b []byte, v uint64) []byte { return app32(app32(b, uint32(v)), uint32(v>>32)) }

// Loss is what the ledger rows of a segment add up to for one class and cause.
type Loss struct {
	Class event.Type `json:"class"` // event id lost, 0 for any
	Cause string     `json:"cause"`
	Count uint64     `json:"count"`
}

// Hook is the last coverage row of a hook in a segment.
type Hook struct {
	Hook     string `json:"hook"`
	Attached bool   `json:"attached"`
	Tier     uint32 `json:"tier"`
	Events   uint64 `json:"events"` // event ids that depend on it, as bits
	Detail   string `json:"detail,omitempty"`
}

// custom lists what the batch says about itself in its custom metadata, so that entries can
// be rebuilt without decoding a row. lost is by class.
func (b *BatchInfo) custom(prev seal.Digest, lost map[event.Type]uint64) []pair {
	return []pair{
		{"row", strconv.FormatUint(b.Row, 10)},
		{"rows", strconv.Itoa(b.Rows)},
		{"ts_min", strconv.FormatInt(int64(b.Min), 10)},
		{"ts_max", strconv.FormatInt(int64(b.Max), 10)},
		{"types", strconv.FormatUint(b.Types, 16)},
		{"lost", formatLost(lost)},
		{"dict", strconv.FormatInt(b.Dict, 10)},
		{"prev", prev.String()},
	}
}

func formatLost(lost map[event.Type]uint64) string {
	if len(lost) == 0 {
		return ""
	}
	keys := make([]int, 0, len(lost))
	for t := range lost {
		keys = append(keys, int(t))
	}
	sort.Ints(keys)
	var sb strings.Builder
	for i, t := range keys {
		if i > 0 {
			sb.WriteByte(' ')
		}
		fmt.Fprintf(&sb, "%d:%d", t, lost[event.Type(t)])
	}
	return sb.String()
}

// parseCustom is the inverse of custom.
func parseCustom(kv []pair) (b BatchInfo, prev seal.Digest, err error) {
	fail := func(p pair) {
		if err == nil {
			err = fmt.Errorf("metadata %s: %q is not valid", clip(p.key), clip(p.value))
		}
	}
	seen := 0
	for _, p := range kv {
		var e error
		seen++
		switch p.key {
		case "row":
			b.Row, e = strconv.ParseUint(p.value, 10, 64)
		case "rows":
			b.Rows, e = strconv.Atoi(p.value)
		case "ts_min":
			var v int64
			v, e = strconv.ParseInt(p.value, 10, 64)
			b.Min = clock.Boot(v)
		case "ts_max":
			var v int64
			v, e = strconv.ParseInt(p.value, 10, 64)
			b.Max = clock.Boot(v)
		case "types":
			b.Types, e = strconv.ParseUint(p.value, 16, 64)
		case "lost":
			for _, f := range strings.Fields(p.value) {
				class, n, ok := strings.Cut(f, ":")
				if _, e1 := strconv.ParseUint(class, 10, 16); !ok || e1 != nil {
					fail(p)
				}
				v, e1 := strconv.ParseUint(n, 10, 64)
				if e1 != nil {
					fail(p)
				}
				sum, carry := bits.Add64(b.Lost, v, 0)
				if carry != 0 {
					sum = 1<<64 - 1
				}
				b.Lost = sum
			}
		case "dict":
			b.Dict, e = strconv.ParseInt(p.value, 10, 64)
		case "prev":
			prev, e = seal.ParseDigest(p.value)
		default:
			seen--
		}
		if e != nil {
			fail(p)
		}
	}
	if err == nil && (seen < 8 || b.Rows < 0 || b.Rows > MaxRows || b.Dict < 0 || b.Dict > MaxBatch) {
		err = fmt.Errorf("metadata of a batch is incomplete or out of range")
	}
	return b, prev, err
}
