// Package vectors holds damaged and sound segments with what a reader must find in them.
// vectors.json is for any implementation of format/docs/SPEC.md; the files are never
// changed once a version is released. `go test -update` writes them anew.
package vectors

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"flag"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hindcast/format/clock"
	"hindcast/format/event"
	"hindcast/format/segment"
	"hindcast/format/testkit"
)

var update = flag.Bool("update", false, "write the vectors anew")

// Vector is one line of vectors.json.
type Vector struct {
	File     string          `json:"file"`
	Index    string          `json:"index,omitempty"` // side index to be used with it
	Says     string          `json:"says"`            // what was done to it
	Sealed   bool            `json:"sealed"`
	Findings []segment.Class `json:"findings"` // of opening and of reading everything, in order
	Rows     []int64         `json:"rows"`     // n1 of every row that can be read
}

// base is a segment of three batches of clock rows: n1 counts from 0, comm is "a" or "bc".
type base struct {
	b       []byte
	index   []byte
	entries []segment.BatchInfo
}

func make3(t *testing.T, seal bool, o segment.Options) base {
	t.Helper()
	f := new(testkit.MemFile)
	w, err := segment.NewWriter(f, segment.Meta{Host: "vector", MachineID: "00", BootID: "aaaaaaaa-0000-4000-8000-000000000000", Kernel: "6.1.0", Arch: "amd64",
		Recorder: "vectors", Config: "00", Clock: clock.Pair{Boot: 1_000_000_000, Wall: 1_700_000_000_000_000_000}, Number: 1, CPUs: 1, Command: []string{"true"}}, o)
	if err != nil {
		t.Fatal(err)
	}
	n := int64(0)
	for range 3 {
		var rows []event.Row
		for i := range 2 {
			rows = append(rows, event.Row{Type: event.Clock, TS: clock.Boot(1_000_000_000 + n), N1: n, Comm: []byte([]string{"a", "bc"}[i])})
			n++
		}
		if err := w.Write(testkit.Batch(rows)); err != nil {
			t.Fatal(err)
		}
	}
	out := base{entries: slices.Clone(w.Entries())}
	for i := range out.entries {
		out.index = append(out.index, out.entries[i].IndexEntry()...)
	}
	if seal {
		if err := w.Seal(); err != nil {
			t.Fatal(err)
		}
	}
	out.b = f.B
	return out
}

// sign puts the digest right again, by section 1.2 of SPEC.md.
func (x *base) sign(entry int) {
	e := x.entries[entry]
	p := x.b[e.Offset : e.Offset+e.Length]
	end := e.Dict + 8 + int64(binary.LittleEndian.Uint32(p[e.Dict+4:]))
	text := p[end-68 : end-4]
	copy(text, strings.Repeat("0", 64))
	d := sha256.Sum256(p)
	hex.Encode(text, d[:])
}

// edit replaces one occurrence of old in a batch, which must have exactly one, and signs it.
func (x *base) edit(t *testing.T, entry int, old, new string) {
	t.Helper()
	e := x.entries[entry]
	p := x.b[e.Offset : e.Offset+e.Length]
	if n := bytes.Count(p, []byte(old)); n != 1 || len(old) != len(new) {
		t.Fatalf("%q occurs %d times", old, n)
	}
	copy(p[bytes.Index(p, []byte(old)):], new)
	x.sign(entry)
}

// trailer puts the checksum of the footer right again, by section 1.4.
func (x *base) trailer() {
	t := x.b[len(x.b)-32:]
	at, end := binary.LittleEndian.Uint64(t), binary.LittleEndian.Uint64(t[8:])
	if end == 0 {
		end = uint64(len(x.b) - 32)
	}
	c := crc32.MakeTable(crc32.Castagnoli)
	crc := crc32.Update(crc32.Update(crc32.Checksum(x.b[at:end], c), c, t[:24]), c, t[28:])
	binary.LittleEndian.PutUint32(t[24:], crc)
}

// stored is a buffer that is not compressed, as it lies in a body.
func stored(p ...byte) string { return strings.Repeat("\xff", 8) + string(p) }

func build(t *testing.T) (out []Vector, files map[string][]byte) {
	files = make(map[string][]byte)
	all := []int64{0, 1, 2, 3, 4, 5}
	add := func(name, says string, sealed bool, rows []int64, b []byte, findings ...segment.Class) {
		if rows == nil {
			rows = []int64{}
		}
		if findings == nil {
			findings = []segment.Class{}
		}
		files[name+segment.Ext] = b
		out = append(out, Vector{File: name + segment.Ext, Says: says, Sealed: sealed, Findings: findings, Rows: rows})
	}
	withIndex := func(index []byte) {
		v := &out[len(out)-1]
		v.Index = strings.TrimSuffix(v.File, segment.Ext) + ".idx"
		files[v.Index] = index
	}
	sealed := func() base { return make3(t, true, segment.Options{}) }
	open := func() base { return make3(t, false, segment.Options{}) }

	x := sealed()
	add("sound", "a sealed segment", true, all, x.b)
	x = make3(t, true, segment.Options{NoFilter: true})
	add("sound-no-filter", "a sealed segment without filter section", true, all, x.b)
	x = open()
	add("unsealed", "ends after the last batch", false, all, x.b, segment.Unsealed)
	withIndex(x.index)
	add("unsealed-no-index", "the same without side index", false, all, x.b, segment.Unsealed)
	var f testkit.MemFile
	hole := open()
	hole.b[hole.entries[2].Offset+hole.entries[2].Length-8] ^= 1
	s, err := segment.Open(bytes.NewReader(hole.b), int64(len(hole.b)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Mend(&f); err != nil {
		t.Fatal(err)
	}
	add("recovered", "sealed by a repair that left out the second batch; the findings are those of the repair", true, []int64{0, 1, 4, 5}, f.B, segment.BadDigest, segment.Unsealed)

	add("empty", "no bytes", false, nil, nil, segment.Empty)
	add("text", "a text file", false, nil, []byte("This is not a segment. It is long enough to hold a trailer, but none is there.\n"), segment.NotASegment)
	add("zeros", "4096 zero bytes", false, nil, make([]byte, 4096), segment.NotASegment)

	cut := func(name, says string, n int64, rows []int64) {
		x := sealed()
		add(name, says, false, rows, x.b[:n], segment.TornTail)
	}
	e := sealed().entries
	cut("torn-schema", "cut within the schema message", e[0].Length/2, nil)
	cut("torn-dictionary", "cut within a dictionary message of the third batch", e[3].Offset+e[3].Dict/2, []int64{0, 1, 2, 3})
	cut("torn-metadata", "cut within the metadata of the third record batch", e[3].Offset+e[3].Dict+50, []int64{0, 1, 2, 3})
	cut("torn-body", "cut one byte before the end of the third batch", e[3].Offset+e[3].Length-1, []int64{0, 1, 2, 3})
	cut("torn-footer", "cut within the footer", e[3].Offset+e[3].Length+100, all)
	cut("torn-trailer", "cut one byte before the end", int64(len(sealed().b))-1, all)
	x = open()
	add("torn-zeros", "the third batch is zeros, as after a power cut", false, []int64{0, 1, 2, 3}, append(x.b[:e[3].Offset], make([]byte, e[3].Length)...), segment.TornTail)

	x = sealed()
	x.b[e[2].Offset+e[2].Length-8] ^= 1
	add("bad-digest", "one bit of the second batch is wrong; sealed", true, []int64{0, 1, 4, 5}, x.b, segment.BadDigest)
	x = open()
	x.b[e[2].Offset+e[2].Length-8] ^= 1
	add("bad-digest-unsealed", "the same, not sealed", false, []int64{0, 1, 4, 5}, x.b, segment.BadDigest, segment.Unsealed)
	x = open()
	x.b[e[2].Offset+4] ^= 0x40
	add("bad-length-unsealed", "the metadata length of the second batch's first message is wrong; not sealed", false, []int64{0, 1, 4, 5}, x.b, segment.BadMessage, segment.Unsealed)
	withIndex(x.index)
	x = sealed()
	x.b[bytes.Index(x.b, []byte("vector"))] ^= 1
	add("bad-schema", "one bit of the host name in the schema message is wrong; the footer has a copy", true, all, x.b, segment.BadDigest)
	x = open()
	x.b[bytes.Index(x.b, []byte("vector"))] ^= 1
	add("bad-schema-unsealed", "the same, not sealed: the first batch follows another schema message", false, all, x.b, segment.BadDigest, segment.BrokenChain, segment.Unsealed)

	x = sealed()
	x.b[len(x.b)-32-int(e[0].Length)%8-700] ^= 1
	add("bad-footer", "one bit of footer or filter is wrong", false, all, x.b, segment.BadFooter)
	x = sealed()
	x.b[len(x.b)-33] ^= 1
	add("bad-filter", "one bit of the filter is wrong", true, all, x.b, segment.BadFilter)

	copyVersion := func(name, says, key string) {
		x := open()
		at := bytes.Index(x.b, []byte(key))
		// The value "1" was built before its key, so it lies behind it.
		v := bytes.Index(x.b[at:], []byte("\x01\x00\x00\x001\x00"))
		if at < 0 || v < 0 {
			t.Fatalf("%s not found", key)
		}
		x.b[at+v+4] = '9'
		x.sign(0)
		add(name, says, false, nil, x.b, segment.UnknownVersion)
	}
	copyVersion("unknown-format", "format 9", "hindcast.format")
	copyVersion("unknown-catalog", "catalogue 9", "hindcast.catalog")
	x = sealed()
	x.b[len(x.b)-1] = 9
	x.trailer()
	add("unknown-trailer", "trailer version 9: the batches are found by walking", false, all, x.b, segment.UnknownVersion)

	x = open()
	x.edit(t, 2, stored(63, 0, 63, 0), stored(63, 0, 55, 0))
	add("unknown-event", "the second row of the second batch has event id 55", false, []int64{0, 1, 2, 4, 5}, x.b, segment.UnknownEvent, segment.BrokenChain, segment.Unsealed)
	x = open()
	x.edit(t, 2, stored(0, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0), stored(0, 0, 0, 0, 9, 0, 0, 0, 3, 0, 0, 0))
	add("bad-offsets", "offsets of a dictionary go back; the digest is right", false, []int64{0, 1, 4, 5}, x.b, segment.BadMessage, segment.BrokenChain, segment.Unsealed)
	x = open()
	p := x.b[e[2].Offset+e[2].Dict : e[2].Offset+e[2].Length]
	at := bytes.Index(p, []byte(stored(0, 0, 0, 0, 1, 0, 0, 0)))
	if at < 0 {
		t.Fatal("index of comm not found")
	}
	p[at+12] = 7
	x.sign(2)
	add("bad-index", "an index is 7 in a dictionary of two values; the digest is right", false, []int64{0, 1, 4, 5}, x.b, segment.BadMessage, segment.BrokenChain, segment.Unsealed)
	x = open()
	x.edit(t, 2, "ts_max\x00", "ts_xax\x00")
	add("bad-metadata", "a key of the batch's metadata is missing; the digest is right", false, []int64{0, 1, 4, 5}, x.b, segment.BadMessage, segment.Unsealed)
	x = open()
	p = x.b[e[2].Offset+e[2].Dict : e[2].Offset+e[2].Length]
	at = bytes.Index(p, []byte(stored(63, 0, 63, 0)))
	binary.LittleEndian.PutUint64(p[at:], 1<<40)
	x.sign(2)
	add("bomb", "a buffer claims 2^40 bytes; the digest is right", false, []int64{0, 1, 4, 5}, x.b, segment.BadMessage, segment.BrokenChain, segment.Unsealed)
	return out, files
}

// read gives what a reader finds in a vector.
func read(t *testing.T, b, index []byte) (v Vector) {
	t.Helper()
	s, err := segment.OpenIndexed(bytes.NewReader(b), int64(len(b)), index)
	if err != nil {
		t.Fatal(err)
	}
	fs, err := s.Verify()
	if err != nil {
		t.Fatal(err)
	}
	v.Sealed, v.Findings, v.Rows = s.Sealed(), []segment.Class{}, []int64{}
	slices.SortStableFunc(fs, func(a, b segment.Finding) int { return int(a.Offset - b.Offset) })
	for _, f := range fs {
		v.Findings = append(v.Findings, f.Class)
	}
	var c event.Columns
	for i := range s.Batches() {
		err := s.Read(i, 0, &c)
		if f := segment.AsFinding(err); err != nil && (f == nil || f.Class != segment.UnknownEvent) {
			continue
		}
		for j, typ := range c.Type {
			if event.ByID(typ) != nil {
				v.Rows = append(v.Rows, c.N1[j])
			}
		}
	}
	return v
}

func TestVectors(t *testing.T) {
	if *update {
		vs, files := build(t)
		old, _ := filepath.Glob("*.arrows")
		oldIdx, _ := filepath.Glob("*.idx")
		for _, f := range append(old, oldIdx...) {
			os.Remove(f)
		}
		for name, b := range files {
			if err := os.WriteFile(name, b, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		var text bytes.Buffer
		text.WriteString("[\n")
		for i, v := range vs {
			b, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			text.Write(b)
			if i < len(vs)-1 {
				text.WriteByte(',')
			}
			text.WriteByte('\n')
		}
		text.WriteString("]\n")
		if err := os.WriteFile("vectors.json", text.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile("vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var vs []Vector
	if err := json.Unmarshal(b, &vs); err != nil {
		t.Fatal(err)
	}
	if len(vs) < 25 {
		t.Fatalf("%d vectors", len(vs))
	}
	for _, v := range vs {
		t.Run(strings.TrimSuffix(v.File, segment.Ext), func(t *testing.T) {
			b, err := os.ReadFile(v.File)
			if err != nil {
				t.Fatal(err)
			}
			var index []byte
			if v.Index != "" {
				if index, err = os.ReadFile(v.Index); err != nil {
					t.Fatal(err)
				}
			}
			got := read(t, b, index)
			if got.Sealed != v.Sealed || !slices.Equal(got.Findings, v.Findings) || !slices.Equal(got.Rows, v.Rows) {
				t.Errorf("%s:\ngot  sealed %v, %v, rows %v\nwant sealed %v, %v, rows %v", v.Says, got.Sealed, got.Findings, got.Rows, v.Sealed, v.Findings, v.Rows)
			}
		})
	}
}
