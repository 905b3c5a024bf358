package bundle

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"hindcast/format/seal"
	"hindcast/format/segment"
)

// Bundle is an open bundle. The segments read from the file in place.
type Bundle struct {
	Manifest Manifest
	Ledger   Ledger
	Segments []Packed
	findings []segment.Finding
	close    io.Closer
}

// Packed is a segment of a bundle.
type Packed struct {
	Name segment.Name
	*segment.Segment
}

// Open opens a bundle. Damage is in Findings as long as there is a bundle to speak of:
// a file that does not begin like one is ErrNotABundle.
func Open(name string) (*Bundle, error) {
	st, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("open bundle: %w", err)
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("open bundle %s: %w: not a regular file", name, ErrNotABundle)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open bundle: %w", err)
	}
	b, err := Read(f, st.Size())
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("open bundle %s: %w", name, err)
	}
	b.close = f
	return b, nil
}

// Close closes the file under the bundle.
func (b *Bundle) Close() error {
	if b.close == nil {
		return nil
	}
	return b.close.Close()
}

// Findings returns the damage of the bundle itself and of its segments as far as opening
// them showed it; segment.Verify looks deeper.
func (b *Bundle) Findings() []segment.Finding {
	out := append([]segment.Finding(nil), b.findings...)
	for i := range b.Segments {
		for _, f := range b.Segments[i].Findings() {
			f.Segment = b.Segments[i].Name.String()
			out = append(out, f)
		}
	}
	return out
}

func (b *Bundle) find(c segment.Class, off, n int64, format string, args ...any) {
	b.findings = append(b.findings, segment.Finding{Class: c, Offset: off, Length: n, Detail: fmt.Sprintf(format, args...)})
}

// member is a stretch of the file.
type member struct {
	name      string
	off, size int64
}

// Read opens a bundle in r. A bundle that is cut gives what is before the cut.
func Read(r io.ReaderAt, size int64) (*Bundle, error) {
	b := new(Bundle)
	members, err := b.members(r, size)
	if err != nil {
		return nil, err
	}
	if len(members) == 0 || members[0].name != manifestName {
		return nil, ErrNotABundle
	}
	small := func(i int, name string) ([]byte, error) {
		if i >= len(members) || members[i].name != name {
			b.find(segment.BadStore, 0, 0, "no %s", name)
			return nil, nil
		}
		m := members[i]
		if m.size > maxManifest {
			return nil, fmt.Errorf("%w: %s of %d bytes", ErrNotABundle, name, m.size)
		}
		if m.off+m.size > size {
			return nil, nil // the cut is listed already
		}
		p := make([]byte, m.size)
		if n, err := r.ReadAt(p, m.off); n != len(p) {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		return p, nil
	}
	manifest, err := small(0, manifestName)
	if err != nil {
		return nil, err
	}
	if manifest != nil {
		if err := json.Unmarshal(manifest, &b.Manifest); err != nil {
			b.find(segment.BadStore, 0, 0, "manifest: %v", err)
			b.Manifest = Manifest{}
		} else if b.Manifest.Hindcast > Version {
			return nil, fmt.Errorf("%w: version %d, this reader knows %d", ErrVersion, b.Manifest.Hindcast, Version)
		}
	}
	check, err := small(1, checkpointName)
	if err != nil {
		return nil, err
	}
	ledger, err := small(2, ledgerName)
	if err != nil {
		return nil, err
	}
	if ledger != nil {
		if err := json.Unmarshal(ledger, &b.Ledger); err != nil {
			b.find(segment.BadStore, 0, 0, "ledger: %v", err)
			b.Ledger = Ledger{}
		}
	}
	var roots []seal.Digest
	for i, m := range members {
		base, ok := strings.CutPrefix(m.name, segmentsDir)
		if !ok {
			if i > 2 {
				return nil, fmt.Errorf("%w: member %q", ErrNotABundle, m.name)
			}
			continue
		}
		n, ext, ok := segment.ParseName(base)
		if !ok || ext != segment.Ext || m.size > maxSegment {
			return nil, fmt.Errorf("%w: member %q", ErrNotABundle, m.name)
		}
		have := min(m.size, size-m.off)
		s, err := segment.Open(io.NewSectionReader(r, m.off, have), have)
		if err != nil {
			return nil, fmt.Errorf("segment %s: %w", n, err)
		}
		b.Segments = append(b.Segments, Packed{n, s})
		roots = append(roots, s.Root())
	}
	b.compare(manifest, check, ledger, roots)
	return b, nil
}

// compare checks the manifest and the checkpoint against the members.
func (b *Bundle) compare(manifest, check, ledger []byte, roots []seal.Digest) {
	if manifest == nil || check == nil || ledger == nil {
		return
	}
	listed := b.Manifest.Segments
	if len(listed) != len(b.Segments) {
		b.find(segment.Missing, 0, 0, "the manifest lists %d segments, %d are here", len(listed), len(b.Segments))
	} else {
		for i, s := range b.Segments {
			if listed[i].Name != segmentsDir+s.Name.String()+segment.Ext || listed[i].Root != s.Root().String() {
				b.find(segment.BrokenChain, 0, 0, "segment %s is not the one that the manifest lists", s.Name)
			}
		}
	}
	if !bytes.Equal(check, checkpoint(manifest, ledger, roots)) {
		b.find(segment.BadDigest, 0, 0, "checkpoint does not match manifest, ledger and segments")
	}
}

// members walks the archive. It stops at the first header that is not as it must be.
func (b *Bundle) members(r io.ReaderAt, size int64) ([]member, error) {
	var out []member
	seen := make(map[string]bool)
	var h [block]byte
	for off := int64(0); ; {
		n := min(block, size-off)
		if n <= 0 {
			b.find(segment.TornTail, size, 0, "ends without the end of the archive")
			return out, nil
		}
		if k, err := r.ReadAt(h[:n], off); int64(k) != n {
			return nil, fmt.Errorf("read header: %w", err)
		}
		if n < block {
			if len(out) == 0 {
				return nil, ErrNotABundle
			}
			b.find(segment.TornTail, off, n, "ends within a header")
			return out, nil
		}
		if allZero(h[:]) {
			b.end(r, off, size)
			return out, nil
		}
		name, length, ok := parseHeader(h[:])
		if !ok {
			if len(out) == 0 {
				return nil, ErrNotABundle
			}
			b.find(segment.BadMessage, off, size-off, "not a header of a hindcast bundle")
			return out, nil
		}
		if seen[name] || len(out) >= maxMembers+3 {
			return nil, fmt.Errorf("%w: member %q twice", ErrNotABundle, name)
		}
		seen[name] = true
		out = append(out, member{name, off + block, length})
		next := off + block + length + padding(length)
		if next > size {
			b.find(segment.TornTail, off, size-off, "ends within %s", name)
			return out, nil
		}
		if pad := h[:padding(length)]; len(pad) > 0 {
			if k, err := r.ReadAt(pad, next-int64(len(pad))); k != len(pad) {
				return nil, fmt.Errorf("read padding: %w", err)
			}
			if !allZero(pad) {
				b.find(segment.BadMessage, next-int64(len(pad)), int64(len(pad)), "bytes between members")
			}
		}
		off = next
	}
}

// end checks that two zero blocks end the file.
func (b *Bundle) end(r io.ReaderAt, off, size int64) {
	if size-off < 2*block {
		b.find(segment.TornTail, off, size-off, "ends within the end of the archive")
		return
	}
	var p [block]byte
	if n, _ := r.ReadAt(p[:], off+block); n != block || !allZero(p[:]) {
		b.find(segment.BadMessage, off+block, block, "bytes within the end of the archive")
	}
	if size > off+2*block {
		b.find(segment.BadMessage, off+2*block, size-off-2*block, "bytes after the end of the archive")
	}
}

func allZero(p []byte) bool {
	for _, c := range p {
		if c != 0 {
			return false
		}
	}
	return true
}
