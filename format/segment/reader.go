package segment

import (
	"errors"
	"fmt"
	"io"
	"math"

	"hindcast/format/event"
	"hindcast/format/seal"
)

// Segment is an open segment. Its methods may be called from several goroutines.
type Segment struct {
	r        io.ReaderAt
	size     int64
	meta     Meta
	schema   BatchInfo
	batches  []BatchInfo
	findings []Finding
	footer   *footer // nil when not sealed, or when footer or trailer are damaged
	filter   Filter
	columns  int
	end      int64 // end of the last batch that was found whole
	root     seal.Digest
}

// Open reads what a segment says about itself. Of a sealed segment it reads trailer,
// footer and schema; of any other it walks the framing up to the damage, hashing every
// batch. Damage is in Findings, not in the error: the error is non-nil only when r itself
// fails, and then it is a finding of class unreadable.
func Open(r io.ReaderAt, size int64) (*Segment, error) { return OpenIndexed(r, size, nil) }

// OpenIndexed is Open for a file that is being written, or was when its writer ended:
// index is its side index, used to find batches behind damage. It is never required and
// never believed without the digest.
func OpenIndexed(r io.ReaderAt, size int64, index []byte) (*Segment, error) {
	s := &Segment{r: r, size: size}
	if size == 0 {
		s.find(found(Empty, 0, 0, "the file has no bytes"))
		return s, nil
	}
	if size < 0 || size > math.MaxInt64/2 {
		s.find(found(TooLarge, 0, 0, "size %d", size))
		return s, nil
	}
	ft, err := s.openFooter()
	if err != nil {
		return nil, err
	}
	if err := s.openSchema(ft); err != nil {
		return nil, err
	}
	if s.columns == 0 { // nothing that can be read
		return s, nil
	}
	if ft != nil {
		s.footer, s.batches, s.end = ft, ft.entries[1:], ft.at-8
		s.root = ft.root
		for _, f := range ft.text.Damage {
			f.Recovered = true
			s.findings = append(s.findings, f)
		}
		return s, s.openFilter()
	}
	if err := s.walkBatches(index); err != nil {
		return nil, err
	}
	digests := []seal.Digest{s.schema.Digest}
	for i := range s.batches {
		digests = append(digests, s.batches[i].Digest)
	}
	s.root = seal.Root(digests)
	return s, nil
}

func (s *Segment) find(f *Finding) {
	if f != nil {
		s.findings = append(s.findings, *f)
	}
}

// readAt fills p; a file that is shorter than its size says is unreadable.
func (s *Segment) readAt(p []byte, off int64) error {
	n, err := s.r.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("read %d bytes at %d: %w", len(p), off, err)
}

// openFooter returns the footer when trailer and footer are whole.
func (s *Segment) openFooter() (*footer, error) {
	if s.size < trailerSize+footerHead+8 {
		return nil, nil
	}
	var t [trailerSize]byte
	if err := s.readAt(t[:], s.size-trailerSize); err != nil {
		return nil, err
	}
	at, end, filterAt, f := tailLayout(t[:], s.size)
	if f != nil {
		if f.Class != TornTail { // the walk says better what is at the end
			s.find(f)
		}
		return nil, nil
	}
	p := make([]byte, end-at+8)
	if err := s.readAt(p, at-8); err != nil {
		return nil, err
	}
	ft, f := parseFooter(p[8:], t[:], at, s.size)
	if f != nil {
		s.find(f)
		return nil, nil
	}
	if string(p[:8]) != string(endMarker) {
		s.find(found(BadFooter, at-8, 8, "no end marker before the footer"))
	}
	if filterAt != 0 {
		ft.filterAt, ft.filterLen = filterAt, s.size-trailerSize-filterAt
	}
	return ft, nil
}

// openSchema reads the schema message and takes the metadata: from the message when its
// digest matches, else from the copy in the footer, else as it is, with a finding. What a
// wrong clock pair would do to the rows shows in every batch, which tells its own bounds.
func (s *Segment) openSchema(ft *footer) error {
	p := make([]byte, min(s.size, 16<<10))
	if err := s.readAt(p, 0); err != nil {
		return err
	}
	meta, short, ok := frame(p)
	if short && len(p) >= 8 && int64(len(p)) < s.size {
		p = make([]byte, min(s.size, 8+int64(le32(p[4:])), 8+MaxMetadata))
		if err := s.readAt(p, 0); err != nil {
			return err
		}
		meta, short, ok = frame(p)
	}
	var d seal.Digest
	var good, parsed, ours bool
	var m message
	if ok {
		p = p[:8+len(meta)]
		d, good = checkDigest(p, len(p))
		m, parsed = parseMessage(meta)
		for _, kv := range m.schema {
			ours = ours || kv.key == metaPrefix+"format"
		}
		good = good && (ft == nil || ft.entries[0].Digest == d && ft.entries[0].Length == int64(len(p)))
		parsed = parsed && ours && m.header == headerSchema && m.body == 0
	}
	pairs := m.schema
	switch {
	case good && parsed:
	case ft != nil:
		s.find(found(BadDigest, 0, ft.entries[0].Length, "schema message does not match its digest; its copy in the footer is used"))
		pairs = pairs[:0]
		for k, v := range ft.text.Meta {
			pairs = append(pairs, pair{metaPrefix + k, v})
		}
		d, p = ft.entries[0].Digest, p[:0]
	case short && (len(p) < 4 && allSet(p) || len(p) >= 4 && le32(p) == 1<<32-1):
		s.find(found(TornTail, 0, s.size, "ends within the schema message"))
		return nil
	case parsed:
		s.find(found(BadDigest, 0, int64(len(p)), "schema message does not match its digest"))
	case good:
		s.find(found(BadMessage, 0, int64(len(p)), "schema message"))
		return nil
	default:
		s.find(found(NotASegment, 0, s.size, "does not begin with the schema of a hindcast segment"))
		return nil
	}
	var err error
	if s.meta, err = parseMeta(pairs); err != nil {
		s.find(found(BadMessage, 0, int64(len(p)), "%v", err))
		return nil
	}
	if s.meta.Format != Format {
		s.find(found(UnknownVersion, 0, int64(len(p)), "format %d, this reader knows %d", s.meta.Format, Format))
		return nil
	}
	if s.columns = columnsOf(s.meta.Catalog); s.columns == 0 {
		s.find(found(UnknownVersion, 0, int64(len(p)), "catalogue %d, this reader knows up to %d", s.meta.Catalog, event.Version))
		return nil
	}
	s.schema = BatchInfo{Length: int64(len(p)), Digest: d}
	if ft != nil {
		s.schema = ft.entries[0]
	}
	s.end = s.schema.Length
	return nil
}

func allSet(p []byte) bool {
	for _, b := range p {
		if b != 0xff {
			return false
		}
	}
	return true
}

func (s *Segment) openFilter() error {
	n := s.footer.filterLen
	if s.footer.filterAt == 0 {
		return nil
	}
	if n > MaxFilter {
		s.find(found(BadFilter, s.footer.filterAt, n, "filter of %d bytes", n))
		return nil
	}
	p := make([]byte, n)
	if err := s.readAt(p, s.footer.filterAt); err != nil {
		return err
	}
	var f *Finding
	s.filter, f = parseFilter(p, s.footer.filterAt)
	s.find(f)
	return nil
}

// Meta returns what the segment says about itself; the zero Meta when its schema message
// cannot be read.
func (s *Segment) Meta() Meta { return s.meta }

// Batches returns the batches that can be tried with Read. Those of a sealed segment are
// taken from the footer and not yet verified; the slice must not be changed.
func (s *Segment) Batches() []BatchInfo { return s.batches }

// Findings returns the damage known so far, in the order of the file.
func (s *Segment) Findings() []Finding { return s.findings }

// Sealed says that the segment has a whole footer and trailer.
func (s *Segment) Sealed() bool { return s.footer != nil }

// Flags returns the footer's flags, 0 when it is not sealed.
func (s *Segment) Flags() uint32 {
	if s.footer == nil {
		return 0
	}
	return s.footer.flags
}

// Rows returns the rows of all batches.
func (s *Segment) Rows() (n uint64) {
	for i := range s.batches {
		n += uint64(s.batches[i].Rows)
	}
	return n
}

// Lost returns the sum of all ledger rows.
func (s *Segment) Lost() (n uint64) {
	for i := range s.batches {
		n += s.batches[i].Lost
	}
	return n
}

// Size returns the bytes of the file.
func (s *Segment) Size() int64 { return s.size }

// Root returns the RFC 6962 root over the digests of schema and batches: what the next
// segment's Prev names.
func (s *Segment) Root() seal.Digest { return s.root }

// Filter returns the filter section, one that says yes to all when there is none.
func (s *Segment) Filter() Filter { return s.filter }

// Summary returns coverage and losses as the footer has them; ok is false when the segment
// is not sealed, and they must be taken from the rows.
func (s *Segment) Summary() (coverage []Hook, losses []Loss, ok bool) {
	if s.footer == nil {
		return nil, nil, false
	}
	return s.footer.text.Coverage, s.footer.text.Losses, true
}

// Read fills c with batch i. The digest is checked first; then only the columns in cols
// (as bits; 0 means all) are decoded, TS and Type always. An error that is a *Finding is
// damage of this batch. With class unknown_event c is filled all the same, and the rows of
// unknown events are to be skipped; with any other class c is empty.
func (s *Segment) Read(i int, cols uint64, c *event.Columns) error {
	d := decoders.Get().(*decoder)
	defer decoders.Put(d)
	b, f, err := s.verified(i, d)
	if err != nil {
		return err
	}
	if f == nil {
		if cols == 0 {
			cols = 1<<event.NumColumns - 1
		}
		x := batchBytes{b: b, at: s.batches[i].Offset, e: s.batches[i], columns: s.columns, catalog: s.meta.Catalog, offset: s.meta.Clock.Offset()}
		f = x.decode(d, cols, c)
	}
	if f != nil {
		if f.Class != UnknownEvent {
			c.Reset()
		}
		return f
	}
	return nil
}

// verified returns the bytes of batch i, in d's memory, when they match the digest.
func (s *Segment) verified(i int, d *decoder) ([]byte, *Finding, error) {
	e := &s.batches[i]
	if int64(cap(d.in)) < e.Length {
		d.in = make([]byte, e.Length)
	}
	b := d.in[:e.Length]
	if err := s.readAt(b, e.Offset); err != nil {
		return nil, nil, err
	}
	f := s.checkBatch(b, e)
	return b, f, nil
}

func (s *Segment) checkBatch(b []byte, e *BatchInfo) *Finding {
	end := -1
	if e.Dict >= 0 && e.Dict <= int64(len(b)) {
		if meta, _, ok := frame(b[e.Dict:]); ok {
			end = int(e.Dict) + 8 + len(meta)
		}
	}
	if d, ok := checkDigest(b, end); !ok || d != e.Digest {
		return &Finding{Class: BadDigest, Offset: e.Offset, Length: e.Length, Row: e.Row, Rows: uint64(e.Rows), Detail: "batch does not match its digest"}
	}
	return nil
}

// Verify reads and decodes everything, and follows the chain within the segment. It
// returns the findings of Open and those of the batches, in the order of the file.
func (s *Segment) Verify() ([]Finding, error) {
	out := append([]Finding(nil), s.findings...)
	d := decoders.Get().(*decoder)
	defer decoders.Put(d)
	var c event.Columns
	prev, end := s.schema.Digest, s.schema.Length
	for i := range s.batches {
		e := &s.batches[i]
		b, f, err := s.verified(i, d)
		if err != nil {
			return out, err
		}
		if f == nil {
			f = s.follow(b, e, prev, e.Offset == end)
			if f == nil {
				x := batchBytes{b: b, at: e.Offset, e: *e, columns: s.columns, catalog: s.meta.Catalog, offset: s.meta.Clock.Offset()}
				f = x.decode(d, 1<<event.NumColumns-1, &c)
			}
		}
		if f != nil {
			out = append(out, *f)
		}
		prev, end = e.Digest, e.Offset+e.Length
	}
	return out, nil
}

// follow compares what a verified batch says of itself with its entry and, when whole says
// that nothing lies between them, with its predecessor.
func (s *Segment) follow(b []byte, e *BatchInfo, prev seal.Digest, whole bool) *Finding {
	bad := func(c Class, detail string) *Finding {
		return &Finding{Class: c, Offset: e.Offset, Length: e.Length, Row: e.Row, Rows: uint64(e.Rows), Detail: detail}
	}
	meta, _, ok := frame(b[e.Dict:])
	if !ok {
		return bad(BadMessage, "framing of the record batch")
	}
	m, ok := parseMessage(meta)
	if !ok {
		return bad(BadMessage, "metadata of the record batch")
	}
	own, said, err := parseCustom(m.custom)
	if err != nil {
		return bad(BadMessage, err.Error())
	}
	own.Offset, own.Length, own.Digest = e.Offset, e.Length, e.Digest
	if own != *e {
		return bad(BadMessage, "the batch says other things of itself than the footer")
	}
	if said != prev && whole && s.Flags()&FlagDropped == 0 {
		f := bad(BrokenChain, "the batch follows another digest than that of the batch before")
		f.Rows = 0
		return f
	}
	return nil
}
