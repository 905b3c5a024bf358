package segment

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math/bits"
	"sync"

	"github.com/klauspost/compress/zstd"

	"hindcast/format/clock"
	"hindcast/format/event"
	"hindcast/format/seal"
)

// message is what the walk of one message's metadata gives.
type message struct {
	header  byte
	body    int64 // bytes of the body
	dict    int64 // dictionary id
	isDelta bool
	rows    int64
	nodes   []byte // 16 bytes each: length, null count
	buffers []byte // 16 bytes each: offset, length
	codec   int    // of the record batch, -1 for none
	custom  []pair
	schema  []pair
}

// parseMessage walks the metadata of a message.
func parseMessage(meta []byte) (m message, ok bool) {
	w := &walk{b: meta}
	t := w.root()
	if t.i16(0) != metadataV5 {
		return m, false
	}
	m.header, m.body = t.u8(1), t.i64(3)
	m.custom = t.keyValues(4)
	h := t.sub(2)
	switch m.header {
	case headerSchema:
		if h.i16(0) != 0 { // big endian
			return m, false
		}
		m.schema = h.keyValues(2)
	case headerDictionary:
		m.dict, m.isDelta = h.i64(0), h.u8(2) != 0
		m.batch(h.sub(1))
	case headerRecordBatch:
		m.batch(h)
	default:
		return m, false
	}
	return m, !w.bad && m.body >= 0
}

func (m *message) batch(t table) {
	m.rows = t.i64(0)
	m.nodes, m.buffers = t.vector(1, 16), t.vector(2, 16)
	m.codec = -1
	if c := t.sub(3); c.pos != 0 {
		m.codec = int(c.u8(0))
		if c.u8(1) != 0 { // only compression of buffers is defined
			t.w.bad = true
		}
	}
}

// frame splits the message at the start of p. short says that p ends before the message
// does, for all that can be told; ok says that the framing is plausible.
func frame(p []byte) (meta []byte, short, ok bool) {
	if len(p) < 8 {
		return nil, true, false
	}
	n := int64(le32(p[4:]))
	if le32(p) != 1<<32-1 || n < 16 || n > MaxMetadata || n%8 != 0 {
		return nil, false, false
	}
	if n > int64(len(p)-8) {
		return nil, true, false
	}
	return p[8 : 8+n], false, true
}

// checkDigest computes the digest of the bytes of an entry, whose last metadata ends at
// end, and compares it with the one written there.
func checkDigest(b []byte, end int) (d seal.Digest, ok bool) {
	at := end - digestTail
	if at < 0 || end > len(b) {
		return d, false
	}
	h := sha256.New()
	h.Write(b[:at])
	h.Write([]byte(noDigest))
	h.Write(b[at+len(noDigest):])
	h.Sum(d[:0])
	var text [len(noDigest)]byte
	hex.Encode(text[:], d[:])
	return d, string(text[:]) == string(b[at:at+len(noDigest)])
}

// decoder holds what decoding a batch needs and the next batch can use again.
type decoder struct {
	zr  *zstd.Decoder
	raw []byte // one buffer, decompressed
	in  []byte // the batch
}

var decoders = sync.Pool{New: func() any {
	zr, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(MaxRaw),
		zstd.WithDecoderMaxWindow(8<<20), zstd.WithDecodeAllCapLimit(true), zstd.WithDecoderLowmem(true))
	if err != nil {
		panic(err) // constant options
	}
	return &decoder{zr: zr}
}}

// batchBytes decodes one verified batch.
type batchBytes struct {
	b       []byte // dictionary messages and record batch
	at      int64  // offset in the file, for findings
	e       BatchInfo
	columns int
	catalog int   // version of the catalogue it was written by
	budget  int64 // raw bytes that may still be taken
	offset  clock.Offset
}

func (x *batchBytes) bad(c Class, format string, args ...any) *Finding {
	f := found(c, x.at, int64(len(x.b)), format, args...)
	f.Row, f.Rows = x.e.Row, uint64(x.e.Rows)
	return f
}

// decode fills the columns in cols. The digest was checked: what does not fit is a writer
// that is not ours, or a forgery.
func (x *batchBytes) decode(d *decoder, cols uint64, c *event.Columns) *Finding {
	c.Reset()
	cols |= 1<<event.ColTS | 1<<event.ColType
	x.budget = MaxRaw
	p := x.b
	var seen uint64                 // dictionaries met
	present := columnsIn(x.e.Types) // the others are null in every row and stay zero
	for {
		meta, _, ok := frame(p)
		if !ok {
			return x.bad(BadMessage, "framing inside a batch")
		}
		m, ok := parseMessage(meta)
		rest := p[8+len(meta):]
		if !ok || m.body > MaxBody || m.body > int64(len(rest)) || m.body%8 != 0 {
			return x.bad(BadMessage, "message metadata inside a batch")
		}
		body := rest[:m.body]
		p = rest[m.body:]
		switch m.header {
		case headerDictionary:
			if m.dict < 0 || m.dict >= int64(x.columns) || seen>>m.dict&1 != 0 || m.isDelta {
				return x.bad(BadMessage, "dictionary %d", m.dict)
			}
			seen |= 1 << m.dict
			col := event.Column(m.dict)
			dict := c.Dict(col)
			if dict == nil {
				return x.bad(BadMessage, "dictionary for column %d, which has none", m.dict)
			}
			if cols&present>>col&1 != 0 {
				if f := x.dictionary(d, &m, body, dict); f != nil {
					return f
				}
			}
		case headerRecordBatch:
			if len(p) != 0 {
				return x.bad(BadMessage, "bytes after the record batch")
			}
			return x.rows(d, &m, body, cols, present, c)
		default:
			return x.bad(BadMessage, "message of kind %d inside a batch", m.header)
		}
	}
}

// buffer returns buffer i decompressed; it must have exactly want bytes. The result lies in
// dst when that has room, else in the decoder's memory until the next call, or in the file's
// own bytes.
func (x *batchBytes) buffer(d *decoder, m *message, body []byte, i int, want int64, dst []byte) ([]byte, *Finding) {
	if 16*i+16 > len(m.buffers) {
		return nil, x.bad(BadMessage, "buffer %d is missing", i)
	}
	off, n := int64(le64(m.buffers[16*i:])), int64(le64(m.buffers[16*i+8:]))
	if off < 0 || n < 0 || off > int64(len(body)) || n > int64(len(body))-off {
		return nil, x.bad(BadMessage, "buffer %d lies outside the body", i)
	}
	b := body[off : off+n]
	raw := int64(0)
	if n > 0 {
		if n < 8 {
			return nil, x.bad(BadMessage, "buffer %d has no length", i)
		}
		raw, b = int64(le64(b)), b[8:]
	}
	stored := raw == -1
	if stored {
		raw = int64(len(b))
	}
	if raw != want {
		return nil, x.bad(BadMessage, "buffer %d has %d bytes, want %d", i, raw, want)
	}
	if x.budget -= raw; x.budget < 0 {
		return nil, x.bad(TooLarge, "buffers of more than %d bytes", int64(MaxRaw))
	}
	if stored || n == 0 {
		return b, nil
	}
	if int64(cap(dst)) < raw {
		if int64(cap(d.raw)) < raw {
			d.raw = make([]byte, 0, raw)
		}
		dst = d.raw
	}
	out, err := d.zr.DecodeAll(b, dst[:0:raw])
	if err != nil || int64(len(out)) != raw {
		return nil, x.bad(BadMessage, "buffer %d: decompress: %v", i, err)
	}
	return out, nil
}

func (x *batchBytes) dictionary(d *decoder, m *message, body []byte, dict *event.DictColumn) *Finding {
	n := m.rows
	if m.codec != codecZSTD || len(m.nodes) != 16 || len(m.buffers) != 48 || n < 0 || n > MaxRows || int64(le64(m.nodes)) != n || le64(m.nodes[8:]) != 0 {
		return x.bad(BadMessage, "dictionary %d of %d values", m.dict, n)
	}
	b, f := x.buffer(d, m, body, 1, 4*(n+1), nil)
	if f != nil {
		return f
	}
	dict.Offsets = dict.Offsets[:0]
	last := uint32(0)
	for i := 0; i < len(b); i += 4 {
		v := le32(b[i:])
		if v < last || v > MaxRaw {
			return x.bad(BadMessage, "dictionary %d: offsets are not monotone", m.dict)
		}
		last = v
		dict.Offsets = append(dict.Offsets, int32(v))
	}
	if dict.Offsets[0] != 0 {
		return x.bad(BadMessage, "dictionary %d: offsets do not begin at 0", m.dict)
	}
	if b, f = x.buffer(d, m, body, 2, int64(last), dict.Data[:0]); f != nil {
		return f
	}
	dict.Data = append(dict.Data[:0], b...) // onto itself when it was decoded in place
	return nil
}

// columnsIn returns the columns that any of the events has.
func columnsIn(types uint64) (cols uint64) {
	for ; types != 0; types &= types - 1 {
		cols |= event.Type(bits.TrailingZeros64(types)).Has()
	}
	return cols | 1<<event.ColTS | 1<<event.ColType
}

// rows decodes the record batch. Which rows of a column are null follows from the type
// column and the catalogue, so the bitmaps are not read.
func (x *batchBytes) rows(d *decoder, m *message, body []byte, cols, present uint64, c *event.Columns) *Finding {
	n := int64(x.e.Rows)
	if m.codec != codecZSTD || m.rows != n || len(m.nodes) != 16*x.columns || len(m.buffers) != 32*x.columns {
		return x.bad(BadMessage, "record batch of %d rows, %d nodes and %d buffers", m.rows, len(m.nodes)/16, len(m.buffers)/16)
	}
	c.N = int(n)
	unknown := 0
	for i := range int(event.NumColumns) {
		col := event.Column(i)
		if cols>>col&1 == 0 {
			continue
		}
		info := &event.ColumnTable[col]
		if i >= x.columns || present>>col&1 == 0 {
			c.SetFixed(col, nil, int(n))
			clear(c.Fixed(col))
			continue
		}
		c.SetFixed(col, nil, int(n))
		to := c.Fixed(col)
		b, f := x.buffer(d, m, body, 2*i+1, int64(len(to)), to)
		if f != nil {
			return f
		}
		if &b[0] != &to[0] {
			copy(to, b)
		}
		switch info.Kind {
		case event.Time:
			for j := 0; j < len(to); j += 8 {
				binary.LittleEndian.PutUint64(to[j:], le64(to[j:])-uint64(x.offset))
			}
		case event.Dict:
			dict := c.Dict(col)
			size := uint32(max(dict.Len(), 1))
			for _, v := range dict.Index {
				if v >= size {
					return x.bad(BadMessage, "column %s: index %d of %d values", info.Name, v, dict.Len())
				}
			}
		}
	}
	if x.catalog < event.Version {
		forget(c, x.catalog)
	}
	var types uint64
	lo, hi := c.TS[0], c.TS[0]
	for i, t := range c.Type {
		if event.ByID(t) == nil {
			unknown++
		} else {
			types |= 1 << t
		}
		lo, hi = min(lo, c.TS[i]), max(hi, c.TS[i])
	}
	// What the entry says must be true: readers skip batches by it.
	if lo < x.e.Min || hi > x.e.Max || unknown == 0 && types&^x.e.Types != 0 {
		return x.bad(BadMessage, "rows do not match what the batch says of itself")
	}
	if unknown > 0 {
		f := x.bad(UnknownEvent, "%d rows of events that this catalogue does not have", unknown)
		f.Rows = uint64(unknown)
		return f
	}
	return nil
}

// forget empties what the rows of an older catalogue could not say: their columns hold, for
// fields that came later, whatever was at hand.
func forget(c *event.Columns, catalog int) {
	var empty [event.NumColumns]int // number of the empty value of a dictionary, plus one
	for i, t := range c.Type {
		for m := t.Later(catalog) & c.Loaded; m != 0; m &= m - 1 {
			col := event.Column(bits.TrailingZeros64(m))
			info := &event.ColumnTable[col]
			if info.Kind != event.Dict {
				w := info.Kind.Width()
				clear(c.Fixed(col)[i*w : (i+1)*w])
				continue
			}
			d := c.Dict(col)
			if d.Len() == 0 {
				continue
			}
			if empty[col] == 0 {
				d.Offsets = append(d.Offsets, d.Offsets[len(d.Offsets)-1])
				empty[col] = d.Len()
			}
			d.Index[i] = uint32(empty[col] - 1)
		}
	}
}
