package event

import "sort"

// HeaderSize is the size in bytes of the header of every wire record:
//
//	0  u16 type     2  u16 cpu      4  u32 flags
//	8  u64 seq      16 u64 ts
//	24 u32 tid      28 u32 pid      32 u64 pstart
//	40 u32 image    44 u32 cred     48 u64 cgroup
//	56 s64 ret      64 char comm[16]
const HeaderSize = 80

// VarSize is the size of a variable field's descriptor: u16 len, u16 mark, u32 full length.
const VarSize = 8

// Slot is where a field lies in a wire record.
type Slot struct {
	Field  *Field
	Name   string // C name
	C      CType  // CBytes or CPath for the halves of a CClaimed
	Offset int
	Size   int
	Second bool // the claimed string of a CClaimed, whose directory is the slot before
}

// Layout returns the slots of the event's record and the size of its fixed part.
// Fixed fields come first, widest first, then the descriptors of variable fields in
// catalogue order; their bytes follow the fixed part in the same order, unpadded.
func (e *Event) Layout() (slots []Slot, size int) {
	var vars []Slot
	for i := range e.Fields {
		f := &e.Fields[i]
		switch f.C {
		case CNone:
		case CBytes, CPath:
			vars = append(vars, Slot{Field: f, Name: f.Name, C: f.C, Size: VarSize})
		case CClaimed:
			vars = append(vars, Slot{Field: f, Name: f.Name + "_dir", C: CPath, Size: VarSize},
				Slot{Field: f, Name: f.Name, C: CBytes, Size: VarSize, Second: true})
		default:
			slots = append(slots, Slot{Field: f, Name: f.Name, C: f.C, Size: f.C.size()})
		}
	}
	sort.SliceStable(slots, func(i, j int) bool { return slots[i].C.align() > slots[j].C.align() })
	size = HeaderSize
	for i := range slots {
		slots[i].Offset = size
		size += slots[i].Size
	}
	if len(vars) > 0 {
		size = (size + 3) &^ 3
	}
	for i := range vars {
		vars[i].Offset = size
		size += VarSize
	}
	size = (size + 7) &^ 7
	return append(slots, vars...), size
}

func (c CType) size() int {
	switch c {
	case CU8:
		return 1
	case CU16, CPort:
		return 2
	case CU32, CS32, CDev:
		return 4
	case CAddr:
		return 16
	}
	return 8
}

func (c CType) align() int {
	if c == CAddr {
		return 8
	}
	return c.size()
}
