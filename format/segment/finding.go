package segment

import (
	"errors"
	"fmt"
)

// Class is a kind of damage. The strings are part of the output and do not change.
type Class string

const (
	Empty          Class = "empty"           // no bytes at all: a file that was created and never written
	NotASegment    Class = "not_a_segment"   // does not begin like a hindcast segment
	UnknownVersion Class = "unknown_version" // written by a newer format or catalogue
	Unsealed       Class = "unsealed"        // ends after a whole batch, without end marker, footer and trailer: still being written, or its writer was killed
	TornTail       Class = "torn_tail"       // ends in the middle of something
	BadDigest      Class = "bad_digest"      // bytes do not match their digest
	BadMessage     Class = "bad_message"     // not an Arrow message as hindcast writes them, although its digest may match
	BadFooter      Class = "bad_footer"      // footer or trailer damaged; batches were found by walking
	BadFilter      Class = "bad_filter"      // the rebuildable filter section is damaged; nothing is lost
	TooLarge       Class = "too_large"       // claims more than a reader is willing to hold
	UnknownEvent   Class = "unknown_event"   // rows of an event this catalogue does not have
	BrokenChain    Class = "broken_chain"    // does not follow the digest it should follow
	Missing        Class = "missing_segment" // a number in the sequence of a boot is not there
	BadStore       Class = "bad_store"       // FORMAT, host.json, manifest or a name is not as it must be
	Unreadable     Class = "unreadable"      // the file could not be opened or read
)

// Finding is one piece of damage: what, where, and how much it costs.
type Finding struct {
	Class   Class  `json:"class"`
	Segment string `json:"segment,omitempty"` // file name, filled in by who knows it
	Offset  int64  `json:"offset"`            // first byte concerned
	Length  int64  `json:"length"`            // bytes concerned, 0 when unknown
	Row     uint64 `json:"row"`               // number of the first row concerned
	Rows    uint64 `json:"rows"`              // rows lost by it, as far as is known
	// Recovered says that an earlier repair found and listed this; the bytes are in damaged/.
	Recovered bool   `json:"recovered,omitempty"`
	Detail    string `json:"detail"`
}

// Harmless says that no recorded row is lost or in doubt because of the finding.
func (f Finding) Harmless() bool { return f.Class == Unsealed || f.Class == BadFilter }

// Error makes a finding usable as an error.
func (f *Finding) Error() string {
	s := string(f.Class)
	if f.Segment != "" {
		s = f.Segment + ": " + s
	}
	s += fmt.Sprintf(" at byte %d", f.Offset)
	if f.Detail != "" {
		s += ": " + f.Detail
	}
	return s
}

// Is matches any finding of the same class, so errors.Is(err, &Finding{Class: BadDigest}) works.
func (f *Finding) Is(target error) bool {
	t, ok := target.(*Finding)
	return ok && t.Class == f.Class
}

// AsFinding returns the finding in err, or nil.
func AsFinding(err error) *Finding {
	var f *Finding
	if errors.As(err, &f) {
		return f
	}
	return nil
}

func found(c Class, off, n int64, format string, args ...any) *Finding {
	return &Finding{Class: c, Offset: off, Length: n, Detail: fmt.Sprintf(format, args...)}
}
