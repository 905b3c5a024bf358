package segment

import (
	"bytes"
	"fmt"
	"sort"
)

// This file finds batches without a footer: by the framing, and behind damage by the side
// index or by looking for the next message. A batch counts only when its bytes match the
// digest in its own metadata.

// walker is one walk over an unsealed or damaged file.
type walker struct {
	s   *Segment
	d   *decoder
	idx []BatchInfo // side index, by offset; believed only where the digest agrees
	// work bounds what a hostile file can cost: bytes read or hashed, and messages parsed.
	work int64
}

// step is what a walk finds at one place.
type step struct {
	e    BatchInfo // when it is a whole and proven batch
	end  bool      // the end marker
	bad  *Finding  // neither
	torn bool      // bad, because the file ends before the batch does
	len  int64     // bad, but with a framing that says how long it is; else 0
}

// messageCost is what parsing a message counts as work, in bytes.
const messageCost = 512

// walkBatches lists the batches from the schema's end on. What lies between two of them or
// behind the last becomes a finding.
func (s *Segment) walkBatches(index []byte) error {
	w := &walker{s: s, d: decoders.Get().(*decoder), idx: parseIndex(index), work: 6*s.size + 64<<20}
	defer decoders.Put(w.d)
	sort.Slice(w.idx, func(i, j int) bool { return w.idx[i].Offset < w.idx[j].Offset })
	at, row := s.end, uint64(0)
	gap := -1 // finding whose lost rows are told by the next batch
	for at < s.size {
		st, err := w.at(at)
		if err != nil {
			return err
		}
		if st.bad == nil && !st.end && (st.e.Row < row || st.e.Row+uint64(st.e.Rows) > 1<<32 || len(s.batches) >= MaxEntries) {
			st = step{bad: found(BadMessage, at, st.e.Length, "row %d does not follow row %d", st.e.Row, row), len: st.e.Length}
		}
		switch {
		case st.end:
			if !s.has(BadFooter, UnknownVersion) {
				s.find(found(TornTail, at, s.size-at, "ends within footer or trailer"))
			}
			return nil
		case st.bad == nil:
			if gap >= 0 {
				s.findings[gap].Rows = st.e.Row - row
				gap = -1
			}
			s.batches = append(s.batches, st.e)
			row, at = st.e.Row+uint64(st.e.Rows), at+st.e.Length
			s.end = at
		default:
			next, err := w.resume(at, st.len)
			if err != nil {
				return err
			}
			f := st.bad
			f.Row, f.Length = row, next-at
			if next == s.size {
				if st.torn || f.Class == BadMessage {
					f.Class = TornTail
				}
				f.Rows = w.indexed(at)
			}
			s.find(f)
			gap, at = len(s.findings)-1, next
		}
	}
	if s.end == s.size && !s.has(BadFooter, UnknownVersion) {
		s.find(found(Unsealed, s.size, 0, "ends after a whole batch, without footer"))
	}
	return nil
}

func (s *Segment) has(classes ...Class) bool {
	for i := range s.findings {
		for _, c := range classes {
			if s.findings[i].Class == c {
				return true
			}
		}
	}
	return false
}

// indexed returns the rows that the side index has from at on.
func (w *walker) indexed(at int64) (rows uint64) {
	for i := range w.idx {
		if w.idx[i].Offset >= at && w.idx[i].Rows <= MaxRows {
			rows += uint64(w.idx[i].Rows)
		}
	}
	return rows
}

// at looks at the batch, or the end marker, that begins at off.
func (w *walker) at(off int64) (step, error) {
	s := w.s
	broken := func(torn bool, c Class, format string, args ...any) step {
		return step{bad: found(c, off, 0, format, args...), torn: torn}
	}
	start := off
	for {
		left := s.size - off
		if left < 8 {
			return broken(true, TornTail, "ends within a message"), nil
		}
		w.work -= messageCost
		if w.work < 0 {
			return broken(false, TooLarge, "gave up: the framing leads in too many ways"), nil
		}
		meta, torn, err := w.metadata(off, left)
		if err != nil {
			return step{}, err
		}
		if meta == nil {
			if torn {
				return broken(true, TornTail, "ends within the metadata of a message"), nil
			}
			var p [16]byte
			n := min(left, 16)
			if err := s.readAt(p[:n], off); err != nil {
				return step{}, err
			}
			if off == start && bytes.Equal(p[:8], endMarker) && bytes.HasPrefix(footerMagic, p[8:n]) {
				return step{end: true}, nil
			}
			return broken(false, BadMessage, "no message where one must begin"), nil
		}
		m, ok := parseMessage(meta)
		if !ok || m.header == headerSchema || m.body%8 != 0 {
			return broken(false, BadMessage, "metadata of a message"), nil
		}
		next := off + 8 + int64(len(meta)) + m.body
		if m.body > MaxBody || next-start > MaxBatch {
			return broken(false, TooLarge, "message body of %d bytes", m.body), nil
		}
		if next > s.size {
			return broken(true, TornTail, "ends within the body of a message"), nil
		}
		if m.header == headerRecordBatch {
			return w.batch(start, off, next, 8+len(meta), m)
		}
		off = next
	}
}

// metadata returns the metadata of the message at off, nil when there is none.
func (w *walker) metadata(off, left int64) (meta []byte, torn bool, err error) {
	p := make([]byte, min(left, 4096))
	if err := w.s.readAt(p, off); err != nil {
		return nil, false, err
	}
	meta, short, ok := frame(p)
	if short && int64(len(p)) < left {
		n := min(left, 8+int64(le32(p[4:])))
		w.work -= n
		p = make([]byte, n)
		if err := w.s.readAt(p, off); err != nil {
			return nil, false, err
		}
		meta, short, ok = frame(p)
	}
	if !ok {
		return nil, short, nil
	}
	return meta, false, nil
}

// batch proves the batch from start to next, whose record batch begins at off with a
// frame and metadata of head bytes.
func (w *walker) batch(start, off, next int64, head int, m message) (step, error) {
	n := next - start
	if w.work -= n; w.work < 0 {
		return step{bad: found(TooLarge, start, n, "gave up: the framing leads in too many ways")}, nil
	}
	if int64(cap(w.d.in)) < n {
		w.d.in = make([]byte, n)
	}
	b := w.d.in[:n]
	if err := w.s.readAt(b, start); err != nil {
		return step{}, err
	}
	digest, ok := checkDigest(b, int(off-start)+head)
	if !ok {
		return step{bad: found(BadDigest, start, n, "batch does not match its digest"), len: n}, nil
	}
	e, _, err := parseCustom(m.custom)
	if err == nil && (e.Dict != off-start || e.Rows < 1 || int64(e.Rows) != m.rows || e.Min > e.Max) {
		err = fmt.Errorf("metadata of a batch does not fit it")
	}
	if err != nil {
		return step{bad: found(BadMessage, start, n, "%v", err), len: n}, nil
	}
	e.Offset, e.Length, e.Digest = start, n, digest
	return step{e: e}, nil
}

// resume returns where the walk goes on after damage at off: the next place at which a
// proven batch or the end marker begins, or the end of the file. length is what a framing
// that may itself be damaged says.
func (w *walker) resume(off, length int64) (int64, error) {
	s := w.s
	good := func(at int64) (bool, error) {
		if at <= off || at >= s.size {
			return at == s.size, nil
		}
		st, err := w.at(at)
		return err == nil && st.bad == nil, err
	}
	if length > 0 {
		if ok, err := good(off + length); ok || err != nil {
			return off + length, err
		}
	}
	for i := range w.idx {
		if at := w.idx[i].Offset; at > off && at < s.size {
			if ok, err := good(at); ok || err != nil {
				return at, err
			}
		}
	}
	// Messages begin at multiples of 8 from the start of the file.
	buf := make([]byte, min(1<<20, s.size-off))
	for at := (off + 8) &^ 7; at+8 <= s.size && w.work > 0; {
		n := min(int64(len(buf)), s.size-at)
		if err := s.readAt(buf[:n], at); err != nil {
			return 0, err
		}
		w.work -= n
		for i := int64(0); i+8 <= n && w.work > 0; i += 8 {
			if le32(buf[i:]) != 1<<32-1 || le32(buf[i+4:]) > MaxMetadata {
				continue
			}
			if ok, err := good(at + i); ok || err != nil {
				return at + i, err
			}
		}
		at += n &^ 7
	}
	return s.size, nil
}
