package load

import (
	"errors"
	"fmt"
	"sort"
	"strconv"
	"strings"

	"hindcast/format/event"
)

// RowID is the evidence number of a row: the segment's place in its capture and the
// row's number in that segment. It names the same row every time the same capture is opened.
type RowID struct {
	Segment uint32
	Row     uint32
}

// String gives the form users see and type: "3:1742".
func (id RowID) String() string {
	return strconv.FormatUint(uint64(id.Segment), 10) + ":" + strconv.FormatUint(uint64(id.Row), 10)
}

// ParseRowID reads the form that String gives.
func ParseRowID(s string) (RowID, error) {
	a, b, ok := strings.Cut(s, ":")
	seg, err1 := strconv.ParseUint(a, 10, 32)
	row, err2 := strconv.ParseUint(b, 10, 32)
	if !ok || err1 != nil || err2 != nil {
		return RowID{}, fmt.Errorf("parse row id %q: want SEGMENT:ROW", s)
	}
	return RowID{uint32(seg), uint32(row)}, nil
}

// Stop ends a Scan early without an error when the callback returns it.
var Stop = errors.New("stop")

// Source is rows in time order: what replay is built from.
//
// Scan calls f for every row whose type is in types (a set of event ids as bits; 0 means
// all) in the order of TS; rows of equal TS come in recorded order. Only the columns in
// cols (a set of column numbers as bits; 0 means all) are filled, TS and Type always.
// The row and its byte slices are valid during the call only. An error of f ends the scan
// and is returned, except Stop.
type Source interface {
	Scan(cols, types uint64, f func(r *event.Row, id RowID) error) error
}

// Mem is rows in memory as a Source, for tests and scenarios. Row i has the id 0:i.
type Mem []event.Row

// Scan implements Source. All columns are filled whatever cols says.
func (m Mem) Scan(cols, types uint64, f func(r *event.Row, id RowID) error) error {
	order := make([]uint32, 0, len(m))
	for i := range m {
		if wanted(types, m[i].Type) {
			order = append(order, uint32(i))
		}
	}
	sort.SliceStable(order, func(a, b int) bool { return m[order[a]].TS < m[order[b]].TS })
	for _, i := range order {
		r := m[i]
		if err := f(&r, RowID{0, i}); err != nil {
			return stopped(err)
		}
	}
	return nil
}

func wanted(types uint64, t event.Type) bool { return types == 0 || types>>t&1 != 0 }

func stopped(err error) error {
	if errors.Is(err, Stop) {
		return nil
	}
	return err
}
