package state

import (
	"hindcast/format/event"
	"hindcast/replay/load"
)

// CredID numbers a credential set by its content. 0 is unknown.
type CredID uint32

// Cred is a credential set.
type Cred struct {
	ID       uint32 // id in the recording, of the first definition
	UID      uint32
	EUID     uint32
	SUID     uint32
	FSUID    uint32
	GID      uint32
	EGID     uint32
	CapEff   uint64
	CapPrm   uint64
	UserNS   uint32
	Evidence load.RowID
}

type credKey struct {
	uid, euid, suid, fsuid, gid, egid, sgid, fsgid, userns, secure uint32
	eff, prm, bnd                                                  uint64
}

// defineCred notes a definition: in its segment it holds for the rows after it, until the
// id is defined again.
func (t *Table) defineCred(r *event.Row, id load.RowID) {
	k := credKey{uint32(r.N1), uint32(r.N2), uint32(r.N3), uint32(r.N4), uint32(r.N5), uint32(r.N6), uint32(r.N7), uint32(r.N8),
		uint32(r.N12), r.Op, uint64(r.N9), uint64(r.N10), uint64(r.N11)}
	c, ok := t.credSets[k]
	if !ok {
		c = CredID(len(t.Creds))
		t.credSets[k] = c
		t.Creds = append(t.Creds, Cred{ID: r.Cred, UID: k.uid, EUID: k.euid, SUID: k.suid, FSUID: k.fsuid, GID: k.gid,
			EGID: k.egid, CapEff: k.eff, CapPrm: k.prm, UserNS: k.userns, Evidence: id})
	}
	t.credOf[uint64(id.Segment)<<32|uint64(r.Cred)] = c
}

// cred returns the set that an id means to a row of that segment, 0 when nothing defined it.
func (t *Table) cred(id load.RowID, n uint32) CredID {
	if n == 0 {
		return 0
	}
	return t.credOf[uint64(id.Segment)<<32|uint64(n)]
}

// CredIn returns the set that id n means in a segment, after all rows: for old_cred.
func (t *Table) CredIn(segment uint32, n uint32) CredID {
	return t.cred(load.RowID{Segment: segment}, n)
}
