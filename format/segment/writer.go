package segment

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/bits"

	"github.com/klauspost/compress/zstd"

	"hindcast/format/clock"
	"hindcast/format/event"
	"hindcast/format/seal"
)

// File is what a Writer needs of a file. Sync makes what was written durable, data and
// the metadata needed to find it (fdatasync is enough).
type File interface {
	WriteAt(p []byte, off int64) (int, error)
	Truncate(size int64) error
	Sync() error
}

// Options of a Writer; the zero value works.
type Options struct {
	// Level of compression. Default zstd.SpeedFastest: the same size as SpeedDefault on
	// event rows at two thirds of the time.
	Level zstd.EncoderLevel
	// NoFilter leaves the filter section out.
	NoFilter bool
}

// Errors of a Writer that callers branch on.
var (
	ErrRows   = errors.New("batch is empty or has more than 16384 rows")
	ErrType   = errors.New("batch has a row whose event id is not in the catalogue")
	ErrFailed = errors.New("segment failed earlier and takes no more rows")
	ErrSealed = errors.New("segment is sealed")
)

// WriteError says that a batch did not reach the file. The file was cut back to the end
// of the batch before; the segment takes no more rows but can be sealed.
type WriteError struct {
	Rows int   // rows of the batch that are not in the file
	Err  error // what the file said
	Cut  error // why cutting back failed, nil when it did not
}

func (e *WriteError) Error() string {
	s := fmt.Sprintf("write batch of %d rows: %v", e.Rows, e.Err)
	if e.Cut != nil {
		s += fmt.Sprintf(" (and cut back: %v)", e.Cut)
	}
	return s
}

func (e *WriteError) Unwrap() error { return e.Err }

// Writer appends batches to one segment. It is used by one goroutine.
type Writer struct {
	f       File
	meta    Meta
	opt     Options
	zw      *zstd.Encoder
	enc     *encoder
	off     int64       // where the next batch goes
	rows    uint64      // written so far
	entries []BatchInfo // schema first
	synced  int         // entries known durable
	failed  bool
	sealed  bool
	sum     summary
	filter  filterBuilder
	kept    [][]byte // bytes of the batches since synced, for Rewind
	spare   [][]byte // memory for more of them
	keptLen int64
	dropped bool // some of them were given up

	offset clock.Offset
	out    []byte // the batch being built
	body   []byte // buffers of the message being built
	wall   []int64
	zeros  map[int][]byte // compressed zeros, by length
	maps   map[uint64]bitmap
	split  []*event.Columns
	nulls  []int64
	lens   []int64
	bufs   [][2]int64
}

// bitmap is a validity bitmap as it goes into the body.
type bitmap struct {
	bytes []byte // length prefix and compressed bytes
	nulls int64
}

// NewWriter writes the schema message to f, which must be empty.
func NewWriter(f File, m Meta, o Options) (*Writer, error) {
	m.Format, m.Catalog = Format, event.Version
	if m.Prev == "" {
		m.Prev = Genesis
	}
	level := o.Level
	if level == 0 {
		level = zstd.SpeedFastest
	}
	// Without the frames' own checksums: the digest of the batch is over the same bytes, and they
	// cost a fifth of the time of compressing.
	zw, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(level), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(256<<10), zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false))
	if err != nil {
		return nil, fmt.Errorf("start segment: %w", err)
	}
	w := &Writer{f: f, meta: m, opt: o, zw: zw, enc: newEncoder(), offset: m.Clock.Offset(),
		zeros: make(map[int][]byte), maps: make(map[uint64]bitmap)}
	w.sum.init()
	w.sum.meta = m.pairs()
	meta := w.enc.schema(&m)
	if len(meta) > MaxMetadata {
		return nil, fmt.Errorf("start segment: metadata of %d bytes, at most %d", len(meta), MaxMetadata)
	}
	w.out = appendMessage(w.out[:0], meta, nil)
	d := sign(w.out, len(w.out))
	e := BatchInfo{Length: int64(len(w.out)), Digest: d}
	if err := w.write(&e); err != nil {
		return nil, fmt.Errorf("start segment: %w", err)
	}
	return w, nil
}

// Write appends the rows as one batch: all of them reach the file, or none. Rows that take
// much memory are written as several batches. c.Finish must have been called; c is not kept.
func (w *Writer) Write(c *event.Columns) error {
	switch {
	case w.sealed:
		return ErrSealed
	case w.failed:
		return ErrFailed
	case c.N < 1 || c.N > MaxRows || len(c.Type) < c.N || len(c.TS) < c.N:
		return fmt.Errorf("write batch: %w: %d rows", ErrRows, c.N)
	}
	for _, t := range c.Type[:c.N] {
		if event.ByID(t) == nil {
			return fmt.Errorf("write batch: %w: %d", ErrType, t)
		}
	}
	return w.writeSplit(c, 0)
}

// writeSplit writes c, in halves when its buffers are too large for one batch.
func (w *Writer) writeSplit(c *event.Columns, depth int) error {
	if c.N == 1 || rawSize(c) <= splitRaw {
		return w.writeBatch(c)
	}
	for len(w.split) <= depth {
		w.split = append(w.split, new(event.Columns))
	}
	half := w.split[depth]
	defer half.Reset()
	var r event.Row
	for _, part := range [][2]int{{0, c.N / 2}, {c.N / 2, c.N}} {
		half.Reset()
		for i := part[0]; i < part[1]; i++ {
			c.Row(i, &r)
			half.Append(&r)
		}
		half.Finish()
		if err := w.writeSplit(half, depth+1); err != nil {
			if we := (*WriteError)(nil); errors.As(err, &we) && part[0] == 0 {
				we.Rows += c.N - c.N/2
			}
			return err
		}
	}
	return nil
}

func rawSize(c *event.Columns) int {
	n := 0
	for col := event.Column(0); col < event.NumColumns; col++ {
		n += c.N * event.ColumnTable[col].Kind.Width()
		if d := c.Dict(col); d != nil {
			n += len(d.Data) + 4*len(d.Offsets)
		}
	}
	return n
}

func (w *Writer) writeBatch(c *event.Columns) error {
	e := BatchInfo{Offset: w.off, Row: w.rows, Rows: c.N, Min: c.TS[0], Max: c.TS[0]}
	for i, t := range c.Type[:c.N] {
		e.Types |= 1 << t
		e.Min, e.Max = min(e.Min, c.TS[i]), max(e.Max, c.TS[i])
	}
	var lost map[event.Type]uint64
	if e.Types&(1<<event.Ledger) != 0 {
		lost = make(map[event.Type]uint64)
		for i, t := range c.Type[:c.N] {
			if t == event.Ledger {
				n := uint64(max(c.N2[i], 0)) // a negative count is no count
				lost[event.Type(c.N1[i])] += n
				e.Lost += n
			}
		}
	}
	w.out = w.out[:0]
	for col := event.Column(0); col < event.NumColumns; col++ {
		if d := c.Dict(col); d != nil && (d.Len() > 0 || w.rows == 0) {
			w.dictionary(col, d)
		}
	}
	e.Dict = int64(len(w.out))
	w.columns(c, &e, lost)
	e.Length = int64(len(w.out))
	end := int(e.Dict) + 8 + int(le32(w.out[e.Dict+4:]))
	e.Digest = sign(w.out, end)
	if err := w.write(&e); err != nil {
		return err
	}
	w.keep()
	w.sum.add(c, 1)
	if !w.opt.NoFilter {
		w.filter.add(c)
	}
	return nil
}

// dictionary appends the dictionary message of a column to out.
func (w *Writer) dictionary(col event.Column, d *event.DictColumn) {
	w.body, w.bufs = w.body[:0], append(w.bufs[:0], [2]int64{0, 0})
	offsets := make([]byte, 0, 4)
	if d.Len() > 0 {
		offsets = int32Bytes(d.Offsets)
	} else {
		offsets = app32(offsets, 0)
	}
	w.buffer(offsets)
	w.buffer(d.Data)
	w.out = appendMessage(w.out, w.enc.dictionary(col, d.Len(), w.bufs, int64(len(w.body))), w.body)
}

// columns appends the record batch message to out.
func (w *Writer) columns(c *event.Columns, e *BatchInfo, lost map[event.Type]uint64) {
	w.body, w.bufs, w.nulls, w.lens = w.body[:0], w.bufs[:0], w.nulls[:0], w.lens[:0]
	clear(w.maps)
	for col := event.Column(0); col < event.NumColumns; col++ {
		with := uint64(0) // event ids of the batch that have the column
		for m := e.Types; m != 0; m &= m - 1 {
			t := event.Type(bits.TrailingZeros64(m))
			with |= t.Has() >> col & 1 << t
		}
		size := c.N * event.ColumnTable[col].Kind.Width()
		w.lens = append(w.lens, int64(c.N))
		switch with {
		case e.Types: // no nulls: no bitmap
			w.nulls = append(w.nulls, 0)
			w.bufs = append(w.bufs, [2]int64{int64(len(w.body)), 0})
			w.fixed(c, col)
		case 0: // only nulls
			w.nulls = append(w.nulls, int64(c.N))
			w.ready(w.zero((c.N + 7) / 8))
			w.ready(w.zero(size))
		default:
			m, ok := w.maps[with]
			if !ok {
				m = w.bitmap(c.Type[:c.N], with)
				w.maps[with] = m
			}
			w.nulls = append(w.nulls, m.nulls)
			w.ready(m.bytes)
			w.fixed(c, col)
		}
	}
	place := w.enc.begin(true)
	prev := w.entries[len(w.entries)-1].Digest
	custom := w.enc.custom(place, "", e.custom(prev, lost))
	h := w.enc.recordBatch(c.N, w.nulls, w.lens, w.bufs)
	w.out = appendMessage(w.out, w.enc.finish(headerRecordBatch, h, int64(len(w.body)), custom), w.body)
}

// fixed appends the values buffer of a column. Many columns are zero in every row of a
// batch although rows have them; those are not compressed each time.
func (w *Writer) fixed(c *event.Columns, col event.Column) {
	if b := w.values(c, col); allZero(b) {
		w.ready(w.zero(len(b)))
	} else {
		w.buffer(b)
	}
}

func allZero(b []byte) bool {
	for ; len(b) >= 8; b = b[8:] {
		if le64(b) != 0 {
			return false
		}
	}
	for _, v := range b {
		if v != 0 {
			return false
		}
	}
	return true
}

// values returns the stored bytes of a column: boot time becomes wall time.
func (w *Writer) values(c *event.Columns, col event.Column) []byte {
	b := c.Fixed(col)[:c.N*event.ColumnTable[col].Kind.Width()]
	if event.ColumnTable[col].Kind != event.Time {
		return b
	}
	w.wall = w.wall[:0]
	for i := 0; i < len(b); i += 8 {
		w.wall = append(w.wall, int64(le64(b[i:]))+int64(w.offset))
	}
	return int64Bytes(w.wall)
}

func (w *Writer) bitmap(types []event.Type, with uint64) bitmap {
	b := make([]byte, (len(types)+7)/8)
	set := 0
	for i, t := range types {
		v := with >> t & 1
		b[i/8] |= byte(v) << (i % 8)
		set += int(v)
	}
	return bitmap{w.compress(nil, b), int64(len(types) - set)}
}

// buffer compresses p to the end of the body and lists it.
func (w *Writer) buffer(p []byte) {
	start := len(w.body)
	if len(p) > 0 {
		w.body = w.compress(w.body, p)
	}
	w.list(start)
}

// ready appends a buffer that is compressed already.
func (w *Writer) ready(p []byte) {
	start := len(w.body)
	w.body = append(w.body, p...)
	w.list(start)
}

func (w *Writer) list(start int) {
	w.bufs = append(w.bufs, [2]int64{int64(start), int64(len(w.body) - start)})
	for len(w.body)%8 != 0 {
		w.body = append(w.body, 0)
	}
}

// compress appends p in Arrow's form: its length, then a zstd frame; or -1 and p itself
// when the frame would not be smaller.
func (w *Writer) compress(dst, p []byte) []byte {
	start := len(dst)
	dst = app64(dst, uint64(len(p)))
	dst = w.zw.EncodeAll(p, dst)
	if len(dst)-start-8 >= len(p) {
		dst = app64(dst[:start], 1<<64-1)
		dst = append(dst, p...)
	}
	return dst
}

// zero returns n zero bytes compressed. Most columns of a batch are nothing but nulls.
func (w *Writer) zero(n int) []byte {
	z, ok := w.zeros[n]
	if !ok {
		if len(w.zeros) > 256 {
			clear(w.zeros)
		}
		z = w.compress(nil, make([]byte, n))
		w.zeros[n] = z
	}
	return z
}

// appendMessage appends an encapsulated message: continuation, metadata length, metadata, body.
func appendMessage(out, meta, body []byte) []byte {
	out = app32(out, 1<<32-1)
	out = app32(out, uint32(len(meta)))
	out = append(out, meta...)
	return append(out, body...)
}

// sign computes the digest of a batch whose last metadata ends at end and puts it there.
func sign(b []byte, end int) seal.Digest {
	d := seal.Digest(sha256.Sum256(b))
	hex.Encode(b[end-digestTail:], d[:])
	return d
}

// write puts out at the end of the file and notes the entry.
func (w *Writer) write(e *BatchInfo) error {
	n, err := w.f.WriteAt(w.out, w.off)
	if err == nil && n != len(w.out) {
		err = fmt.Errorf("wrote %d of %d bytes", n, len(w.out))
	}
	if err != nil {
		w.failed = true
		w.sum.flags |= FlagWriteError
		return &WriteError{Rows: e.Rows, Err: err, Cut: w.f.Truncate(w.off)}
	}
	w.off += e.Length
	w.rows += uint64(e.Rows)
	w.entries = append(w.entries, *e)
	return nil
}

// maxKept is how many bytes of unsynced batches are held for Rewind; it is more than a
// busy host writes between two syncs.
const maxKept = 8 << 20

func (w *Writer) keep() {
	if w.dropped || w.keptLen+int64(len(w.out)) > maxKept {
		w.kept, w.keptLen, w.dropped = nil, 0, true
		return
	}
	var b []byte
	if n := len(w.spare); n > 0 {
		b, w.spare = w.spare[n-1], w.spare[:n-1]
	}
	w.kept = append(w.kept, append(b[:0], w.out...))
	w.keptLen += int64(len(w.out))
}

// Synced notes that the first n entries are durable.
func (w *Writer) Synced(n int) {
	if n <= w.synced || n > len(w.entries) {
		return
	}
	if w.dropped {
		// Whole again once everything is durable.
		if n == len(w.entries) {
			w.dropped = false
		}
	} else {
		batches := n - max(w.synced, 1)
		if batches > 0 {
			for _, b := range w.kept[:batches] {
				w.keptLen -= int64(len(b))
				if len(w.spare) < 8 {
					w.spare = append(w.spare, b)
				}
			}
			w.kept = w.kept[:copy(w.kept, w.kept[batches:])]
		}
	}
	w.synced = n
}

// Rewind is for a file whose sync failed: it cuts the file back to the entries that are
// known to be durable and returns the batches cut off, to be written elsewhere. The segment
// takes no more rows and can be sealed, unless no entry is left. whole is false when there were too many to be kept;
// then the file is left as it is.
func (w *Writer) Rewind() (again []*event.Columns, whole bool, err error) {
	w.failed = true
	w.sum.flags |= FlagWriteError
	if w.dropped {
		return nil, false, nil
	}
	var d decoder
	d.zr = decoders.New().(*decoder).zr
	defer d.zr.Close()
	for i, b := range w.kept {
		e := w.entries[max(w.synced, 1)+i]
		x := batchBytes{b: b, at: e.Offset, e: e, columns: int(event.NumColumns), catalog: event.Version, offset: w.offset}
		c := new(event.Columns)
		if f := x.decode(&d, 1<<event.NumColumns-1, c); f != nil {
			return nil, false, f
		}
		again = append(again, c)
	}
	off := int64(0)
	if w.synced > 0 {
		off = w.entries[w.synced-1].Offset + w.entries[w.synced-1].Length
	}
	if err := w.f.Truncate(off); err != nil {
		return again, false, fmt.Errorf("rewind segment: %w", err)
	}
	for _, c := range again {
		w.sum.add(c, -1)
		w.rows -= uint64(c.N)
	}
	w.off, w.entries, w.kept, w.spare = off, w.entries[:w.synced], nil, nil
	return again, true, nil
}

// Last returns the entry written last: the schema's before any batch.
func (w *Writer) Last() BatchInfo { return w.entries[len(w.entries)-1] }

// Entries returns the entries written so far, the schema first. The slice is not a copy.
func (w *Writer) Entries() []BatchInfo { return w.entries }

// Size returns the bytes written so far.
func (w *Writer) Size() int64 { return w.off }

// Rows returns the rows written so far.
func (w *Writer) Rows() uint64 { return w.rows }

// Meta returns what the schema message says.
func (w *Writer) Meta() Meta { return w.meta }

// Flag sets footer flags, for what the writer cannot know itself.
func (w *Writer) Flag(flags uint32) { w.sum.flags |= flags }

// Root returns the head of the chain over what was written so far.
func (w *Writer) Root() seal.Digest {
	d := make([]seal.Digest, len(w.entries))
	for i := range w.entries {
		d[i] = w.entries[i].Digest
	}
	return seal.Root(d)
}

// Seal writes end marker, footer, filter and trailer and syncs the file. After an error
// the file may still be sealed by calling it again; without it the file is unsealed, which
// a reader can live with.
func (w *Writer) Seal() error {
	if w.sealed {
		return ErrSealed
	}
	if len(w.entries) == 0 {
		return ErrFailed
	}
	tail := append([]byte(nil), endMarker...)
	var filter []byte
	if !w.opt.NoFilter {
		filter = w.filter.section()
	}
	tail = appendTail(tail, w.off+int64(len(tail)), w.entries, &w.sum, filter)
	n, err := w.f.WriteAt(tail, w.off)
	if err == nil && n != len(tail) {
		err = fmt.Errorf("wrote %d of %d bytes", n, len(tail))
	}
	if err == nil {
		err = w.f.Truncate(w.off + int64(len(tail))) // gives reserved blocks back
	}
	if err == nil {
		err = w.f.Sync()
	}
	if err != nil {
		w.failed = true
		if cut := w.f.Truncate(w.off); cut != nil {
			err = fmt.Errorf("%w (and cut back: %v)", err, cut)
		}
		return fmt.Errorf("seal segment: %w", err)
	}
	w.off += int64(len(tail))
	w.sealed, w.synced = true, len(w.entries)
	return nil
}
