package segment

import (
	"bytes"
	"encoding/json"
	"hash/crc32"
	"math"
	"sort"
	"unsafe"

	"hindcast/format/clock"
	"hindcast/format/event"
	"hindcast/format/seal"
)

// Footer flags.
const (
	FlagRecovered  = 1 << 0 // sealed by a repair, not by its writer
	FlagWriteError = 1 << 1 // its writer met a write error
	FlagClockStep  = 1 << 2 // closed because the wall clock stepped
	FlagDropped    = 1 << 3 // batches were left out at recovery, see the damage list
)

var (
	endMarker   = []byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}
	footerMagic = []byte("HCFOOTER")
)

const (
	footerHead  = 96
	trailerSize = 32
	trailerMark = "HDC"
)

// summary gathers what the footer says about the whole segment and entries do not.
type summary struct {
	flags  uint32
	losses map[Loss]uint64 // Count is 0 in the key
	hooks  map[string]Hook
	damage []Finding
	meta   []pair
}

const maxHooks, maxLosses = 1024, 4096

func (s *summary) init() {
	s.losses, s.hooks = make(map[Loss]uint64), make(map[string]Hook)
}

// add adds the ledger and coverage rows of a batch; with sign -1 it takes the ledger rows
// out again.
func (s *summary) add(c *event.Columns, sign int64) {
	for i, t := range c.Type[:c.N] {
		switch t {
		case event.Ledger:
			k := Loss{Class: event.Type(c.N1[i]), Cause: string(c.Text.At(i))}
			if _, ok := s.losses[k]; !ok && len(s.losses) >= maxLosses {
				k = Loss{Cause: "other"}
			}
			if s.losses[k] += uint64(sign * max(c.N2[i], 0)); s.losses[k] == 0 {
				delete(s.losses, k)
			}
		case event.Coverage:
			h := Hook{Hook: string(c.Text.At(i)), Attached: c.N1[i] != 0, Tier: c.Op[i], Events: uint64(c.N2[i]), Detail: string(c.Text2.At(i))}
			if _, ok := s.hooks[h.Hook]; ok || len(s.hooks) < maxHooks {
				s.hooks[h.Hook] = h
			}
		}
	}
}

// totals is what the entries add up to.
type totals struct {
	rows        uint64
	min, max    clock.Boot
	types, lost uint64
}

func total(entries []BatchInfo) totals {
	t := totals{min: math.MaxInt64, max: math.MinInt64}
	for i := range entries {
		if e := &entries[i]; e.Rows > 0 {
			t.rows += uint64(e.Rows)
			t.min, t.max = min(t.min, e.Min), max(t.max, e.Max)
			t.types |= e.Types
			t.lost += e.Lost
		}
	}
	return t
}

// summaryText is the part of the footer that is JSON.
type summaryText struct {
	Meta     map[string]string `json:"meta"` // copy of the schema's metadata
	Coverage []Hook            `json:"coverage,omitempty"`
	Losses   []Loss            `json:"losses,omitempty"`
	Damage   []Finding         `json:"damage,omitempty"`
}

func (s *summary) text() []byte {
	t := summaryText{Meta: make(map[string]string)}
	for _, p := range s.meta {
		t.Meta[p.key] = p.value
	}
	for _, h := range s.hooks {
		t.Coverage = append(t.Coverage, h)
	}
	sort.Slice(t.Coverage, func(i, j int) bool { return t.Coverage[i].Hook < t.Coverage[j].Hook })
	for k, n := range s.losses {
		k.Count = n
		t.Losses = append(t.Losses, k)
	}
	sort.Slice(t.Losses, func(i, j int) bool {
		a, b := t.Losses[i], t.Losses[j]
		return a.Class < b.Class || a.Class == b.Class && a.Cause < b.Cause
	})
	t.Damage = s.damage
	b, _ := json.Marshal(t) // only numbers and strings: cannot fail
	return b
}

// appendTail appends footer, filter and trailer to out, whose end is at offset off of the file.
func appendTail(out []byte, off int64, entries []BatchInfo, s *summary, filter []byte) []byte {
	digests := make([]seal.Digest, len(entries))
	for i := range entries {
		digests[i] = entries[i].Digest
	}
	root := seal.Root(digests)
	text, tot := s.text(), total(entries)
	start := len(out)
	out = append(out, footerMagic...)
	out = app32(out, s.flags)
	out = app32(out, entrySize)
	out = app32(out, uint32(len(entries)))
	out = app32(out, uint32(len(text)))
	out = app64(out, tot.rows)
	out = app64(out, uint64(tot.min))
	out = app64(out, uint64(tot.max))
	out = app64(out, tot.lost)
	out = app64(out, tot.types)
	out = append(out, root[:]...)
	for i := range entries {
		kind := uint32(kindBatch)
		if i == 0 {
			kind = kindSchema
		}
		out = entries[i].put(out, kind)
	}
	out = append(out, text...)
	footer := out[start:]
	crc := crc32.Checksum(footer, castagnoli)
	trailer := make([]byte, 0, trailerSize)
	trailer = app64(trailer, uint64(off))
	filterAt := int64(0)
	if len(filter) > 0 {
		filterAt = off + int64(len(footer))
		out = append(out, filter...)
	}
	trailer = app64(trailer, uint64(filterAt))
	trailer = app64(trailer, 0) // checkpoint: none in this version
	crc = crc32.Update(crc, castagnoli, trailer)
	last := append([]byte(trailerMark), Format)
	crc = crc32.Update(crc, castagnoli, last)
	trailer = app32(trailer, crc)
	return append(append(out, trailer...), last...)
}

// footer is a parsed footer. All offsets were checked against each other.
type footer struct {
	entries   []BatchInfo // schema first
	flags     uint32
	text      summaryText
	root      seal.Digest
	at        int64 // of the footer
	filterAt  int64
	filterLen int64
}

// tailLayout checks a trailer and returns where the sections lie. size is the file's.
func tailLayout(t []byte, size int64) (at, end, filterAt int64, f *Finding) {
	if string(t[28:31]) != trailerMark {
		return 0, 0, 0, found(TornTail, size, 0, "no trailer at the end")
	}
	if t[31] > Format {
		return 0, 0, 0, found(UnknownVersion, size-1, 1, "trailer version %d, this reader knows %d", t[31], Format)
	}
	at, filterAt = int64(le64(t)), int64(le64(t[8:]))
	end = size - trailerSize
	if filterAt != 0 {
		if filterAt < 0 || filterAt > end {
			return 0, 0, 0, found(BadFooter, size-trailerSize, trailerSize, "filter offset %d outside the file", filterAt)
		}
		end = filterAt
	}
	if le64(t[16:]) != 0 || at < 8 || at > end-footerHead || end-at > MaxFooter {
		return 0, 0, 0, found(BadFooter, size-trailerSize, trailerSize, "footer offset %d does not fit the file", at)
	}
	return at, end, filterAt, nil
}

// parseFooter reads the footer section in p, which lies at offset at; t is the trailer.
func parseFooter(p, t []byte, at, size int64) (*footer, *Finding) {
	bad := func(format string, args ...any) (*footer, *Finding) {
		return nil, found(BadFooter, at, int64(len(p)), format, args...)
	}
	crc := crc32.Checksum(p, castagnoli)
	crc = crc32.Update(crc, castagnoli, t[:24])
	crc = crc32.Update(crc, castagnoli, t[28:32])
	if crc != le32(t[24:]) {
		return bad("checksum of footer and trailer does not match")
	}
	if t[31] != Format {
		return bad("trailer version %d", t[31])
	}
	if !bytes.HasPrefix(p, footerMagic) || le32(p[12:]) != entrySize {
		return bad("not a footer")
	}
	n, text := int64(le32(p[16:])), int64(le32(p[20:]))
	if n < 1 || n > MaxEntries || footerHead+n*entrySize+text != int64(len(p)) {
		return bad("%d entries and %d bytes of text in %d bytes", n, text, len(p))
	}
	f := &footer{at: at, entries: make([]BatchInfo, n)}
	digests := make([]seal.Digest, n)
	next, row := int64(0), uint64(0)
	for i := range f.entries {
		e, kind := getEntry(p[footerHead+i*entrySize:])
		switch {
		case e.Offset != next || e.Length < 16+int64(digestTail) || e.Length > MaxBatch || e.Length > at-8-next:
			return bad("entry %d: bytes %d+%d do not follow the entry before", i, e.Offset, e.Length)
		case i == 0 && (kind != kindSchema || e.Rows != 0):
			return bad("first entry is not the schema")
		case i > 0 && (kind != kindBatch || e.Rows < 1 || e.Rows > MaxRows || e.Row < row || e.Dict > e.Length || e.Row > math.MaxUint32 || e.Min > e.Max):
			return bad("entry %d is not a batch", i)
		}
		next, row = e.Offset+e.Length, e.Row+uint64(e.Rows)
		f.entries[i], digests[i] = e, e.Digest
	}
	if next != at-8 {
		return bad("entries end at %d, footer begins at %d", next, at)
	}
	f.flags = le32(p[8:])
	copy(f.root[:], p[64:96])
	if seal.Root(digests) != f.root {
		return bad("root does not match the digests")
	}
	said := totals{le64(p[24:]), clock.Boot(le64(p[32:])), clock.Boot(le64(p[40:])), le64(p[56:]), le64(p[48:])}
	if total(f.entries) != said {
		return bad("totals do not match the entries")
	}
	if err := json.Unmarshal(p[int64(len(p))-text:], &f.text); err != nil {
		return bad("summary: %v", err)
	}
	return f, nil
}

func int32Bytes(s []int32) []byte {
	if len(s) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&s[0])), 4*len(s))
}

func int64Bytes(s []int64) []byte {
	if len(s) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&s[0])), 8*len(s))
}
