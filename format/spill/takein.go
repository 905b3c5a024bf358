package spill

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/zeebo/xxh3"

	"hindcast/format/clock"
	"hindcast/format/event"
	"hindcast/format/segment"
	"hindcast/format/store"
)

// Cause is what ledger rows say of batches that a damaged file had.
const Cause = "spill"

// Taken is what was found in the file of a recorder that was killed.
type Taken struct {
	Rows    uint64 // put into the store
	Known   uint64 // of frames whose batch was in the store already
	Lost    uint64 // rows of damaged frames, as far as their number is known
	Damaged []string
	Mended  []store.Mended // what opening the store mended
}

// TakeIn puts the batches that a killed recorder left in its file into the store, each once, and
// removes the file. A damaged batch becomes a ledger row with the number of its rows; a frame that
// was being written when the recorder was killed is not one: its rows are still where they came
// from. Nil is returned when there is no file. After an error the file is still there, and TakeIn
// can be called again.
func TakeIn(dir string) (*Taken, error) {
	h, err := os.OpenFile(filepath.Join(dir, Name), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("take in what was spilled: %w", err)
	}
	f := &File{path: filepath.Join(dir, Name), f: h}
	t, err := f.takeIn(dir)
	if err != nil {
		if f.f != nil {
			f.f.Close()
		}
		return t, fmt.Errorf("take in what was spilled: %w", err)
	}
	return t, nil
}

func (f *File) takeIn(dir string) (*Taken, error) {
	t := new(Taken)
	st, err := f.f.Stat()
	if err != nil {
		return t, err
	}
	if !st.Mode().IsRegular() {
		return t, fmt.Errorf("%s is not a regular file", f.path)
	}
	end := st.Size()
	from, err := f.readHead()
	if err != nil {
		if end < headSize { // killed before there was a frame
			f.frames = 0
			return t, f.remove()
		}
		return t, err
	}
	if from < headSize || from > end || from%page != 0 {
		from = headSize // what is in the store already is known by itself
	}
	now := f.meta.Clock
	s, err := store.Create(dir, store.Options{Meta: f.meta, Clock: func() clock.Pair { return now }})
	if err != nil {
		return t, err
	}
	t.Mended = s.Mended()
	done := func() error {
		if e := s.Close(); err == nil {
			err = e
		}
		if err == nil {
			err = f.remove()
		}
		return err
	}
	known, err := batches(dir, f.meta.BootID)
	if err != nil {
		return t, done()
	}
	var c event.Columns
	expect := uint64(0) // number of the next row; 0 with no frame seen: not known
	lost := func(rows uint64, at clock.Pair, detail string) error {
		t.Lost += rows
		t.Damaged = append(t.Damaged, detail)
		c.Reset()
		c.Append(&event.Row{TS: at.Boot, T0: f.meta.Started, Type: event.Ledger, Flags: event.FlagRecorder, N2: int64(rows),
			Text: []byte(Cause), Text2: []byte(detail)})
		c.Finish()
		return s.Append(&c)
	}
	seen, broken := false, ""
	for at := from; at < end && err == nil; {
		fr, e := f.frame(at, end)
		if de := (*DamagedError)(nil); errors.As(e, &de) {
			if broken == "" {
				broken = de.Detail
			}
			at += page
			continue
		}
		if e != nil {
			if !errors.Is(e, io.ErrUnexpectedEOF) {
				err = e
			}
			break
		}
		now = fr.Clock
		if seen && fr.First > expect {
			if err = lost(fr.First-expect, now, broken); err != nil {
				break
			}
		} else if broken != "" && !seen {
			// Which row would have been the first is not known; those before it were stored.
			if err = lost(0, now, broken+"; how many rows were before is not known"); err != nil {
				break
			}
		}
		seen, broken, expect, at = true, "", fr.First+uint64(fr.Rows), fr.next
		e = f.body(&fr, &c)
		de := (*DamagedError)(nil)
		switch {
		case errors.Is(e, io.ErrUnexpectedEOF): // the tail: it was never complete
			at = end
			continue
		case errors.As(e, &de):
			err = lost(uint64(fr.Rows), now, de.Detail)
		case e != nil:
			err = e
		case known[identity{fr.Rows, fr.Min, fr.Max}]:
			t.Known += uint64(fr.Rows)
		default:
			if err = s.Append(&c); err == nil {
				t.Rows += uint64(fr.Rows)
			}
		}
		if err == nil {
			var b [16]byte
			mark(b[:], at)
			_, err = f.f.WriteAt(b[:], markAt)
		}
	}
	if err == nil && broken != "" {
		err = lost(0, now, broken+"; nothing readable follows, how many rows it had is not known")
	}
	return t, done()
}

// readHead reads what the file says of itself and where its head is.
func (f *File) readHead() (from int64, err error) {
	b := make([]byte, headSize)
	if _, err := f.f.ReadAt(b, 0); err != nil {
		return 0, fmt.Errorf("%w: %w", ErrHead, err)
	}
	n := int(le.Uint32(b[8:]))
	if string(b[:8]) != string(fileMagic) || n > maxMeta || xxh3.Hash(b[24:24+n]) != le.Uint64(b[12:]) {
		return 0, ErrHead
	}
	if err := json.Unmarshal(b[24:24+n], &f.meta); err != nil {
		return 0, fmt.Errorf("%w: %w", ErrHead, err)
	}
	m := b[markAt:]
	if xxh3.Hash(m[:8]) != le.Uint64(m[8:]) {
		return 0, nil
	}
	return int64(le.Uint64(m)), nil
}

// identity tells batches of a boot apart: no two have the same first and last instant and as many
// rows.
type identity struct {
	rows     int
	min, max clock.Boot
}

// look is how many of the last segments are searched for a batch: a head that is also in the store
// was written there last.
const look = 16

func batches(dir, boot string) (map[identity]bool, error) {
	entries, err := store.List(dir)
	if err != nil {
		return nil, err
	}
	known := map[identity]bool{}
	for _, e := range entries[max(0, len(entries)-look):] {
		f, err := os.Open(filepath.Join(dir, filepath.FromSlash(e.Path)))
		if err != nil {
			continue
		}
		if st, err := f.Stat(); err == nil {
			if seg, err := segment.Open(f, st.Size()); err == nil && strings.EqualFold(seg.Meta().BootID, boot) {
				for _, b := range seg.Batches() {
					known[identity{b.Rows, b.Min, b.Max}] = true
				}
			}
		}
		f.Close()
	}
	return known, nil
}
