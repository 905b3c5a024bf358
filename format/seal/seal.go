// Package seal computes what binds recorded bytes together: a digest per message, the
// chain, and the root of the RFC 6962 tree over the digests of a segment.
//
// Words: a digest is the sha256 of a message; a root is the hash of a whole tree; the head
// is the root of the segment written last, which the next one names in its schema message.
package seal

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// Digest is a sha256.
type Digest [sha256.Size]byte

// String gives the digest in lower-case hexadecimal.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// IsZero says that d was never set.
func (d Digest) IsZero() bool { return d == Digest{} }

// ParseDigest reads what String writes.
func ParseDigest(s string) (d Digest, err error) {
	if len(s) != 2*len(d) {
		return d, fmt.Errorf("parse digest: %d characters, want %d", len(s), 2*len(d))
	}
	_, err = hex.Decode(d[:], []byte(s))
	return d, err
}

// Sum returns the digest of b.
func Sum(b []byte) Digest { return sha256.Sum256(b) }

// Root returns the RFC 6962 tree head over the digests in order; every leaf's data is the
// 32 bytes of a digest. The tree of nothing is the sha256 of nothing.
func Root(digests []Digest) Digest {
	if len(digests) == 0 {
		return sha256.Sum256(nil)
	}
	level := make([]tlog.Hash, len(digests))
	for i := range digests {
		level[i] = tlog.RecordHash(digests[i][:])
	}
	return Digest(reduce(level))
}

// reduce hashes a list of nodes as RFC 6962 does: split at the largest power of two
// smaller than the length.
func reduce(n []tlog.Hash) tlog.Hash {
	if len(n) == 1 {
		return n[0]
	}
	k := 1
	for k*2 < len(n) {
		k *= 2
	}
	return tlog.NodeHash(reduce(n[:k]), reduce(n[k:]))
}
