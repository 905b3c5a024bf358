package spill

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/zeebo/xxh3"

	"hindcast/format/clock"
	"hindcast/format/event"
	"hindcast/format/segment"
)

// Name is the file's name in the folder of a store.
const Name = "spill"

const (
	page      = 4096 // frames begin on one
	headSize  = 2 * page
	markAt    = page // where the place of the head is noted
	frameHead = 72
	maxFrame  = 256 << 20
	maxMeta   = page - 24
)

var (
	fileMagic  = []byte("HCSPILL1")
	frameMagic = []byte("HCSF")
)

var le = binary.LittleEndian

// Errors of a File.
var (
	// ErrFull means that a batch would exceed the size the file may have. It is not in the file.
	ErrFull = errors.New("spill file is full")
	// ErrHead means that a file is no spill file, or its head is damaged.
	ErrHead = errors.New("not a spill file")
)

// DamagedError says that a frame is not what was written. Rows is how many rows it had, 0 when
// that is not known.
type DamagedError struct {
	Rows   int
	Detail string
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("spilled batch of %d rows is damaged: %s", e.Rows, e.Detail)
}

// Options of a File; the zero value works.
type Options struct {
	// Max is how many bytes the file may have. Default: 1 GiB.
	Max int64
	// Free tells how many bytes the disk has left; the file takes no more than a tenth of it.
	// Default: as much as Max allows.
	Free func() (int64, error)
}

// DefaultMax is the size of a file that no other was given for.
const DefaultMax = 1 << 30

// Frame describes a batch in the file.
type Frame struct {
	Rows     int
	First    uint64 // number of its first row among those of the file
	Min, Max clock.Boot
	Clock    clock.Pair // of when it was written

	at, next int64
	size     int
	sum      uint64
}

// File is a queue of batches on disk. It is made with the first batch and removed with the last.
// It is used by one goroutine.
type File struct {
	path string
	meta segment.Meta
	opt  Options

	f        *os.File
	from, to int64  // of the frames that are not in the store
	end      uint64 // rows written so far
	seen     uint64 // rows handed out so far
	frames   int
	buf      []byte
}

// New describes the file of a store's folder; meta is what segments of its batches say. Nothing is
// made yet.
func New(dir string, meta segment.Meta, o Options) *File {
	if o.Max <= 0 {
		o.Max = DefaultMax
	}
	return &File{path: filepath.Join(dir, Name), meta: meta, opt: o}
}

// Len returns how many batches wait in the file.
func (f *File) Len() int { return f.frames }

// Size returns the bytes of the batches that wait.
func (f *File) Size() int64 { return f.to - f.from }

// Add puts a batch at the end. It survives the end of this process when Add returns, and a power
// cut after the next Sync. After an error it is not in the file.
func (f *File) Add(c *event.Columns, now clock.Pair) error {
	if err := f.open(); err != nil {
		return fmt.Errorf("spill: %w", err)
	}
	f.buf = append(f.buf[:0], make([]byte, frameHead)...)
	f.buf = c.AppendRaw(f.buf)
	body := f.buf[frameHead:]
	size := int64(len(f.buf)+page-1) / page * page
	limit := f.opt.Max
	if f.opt.Free != nil {
		if free, err := f.opt.Free(); err == nil {
			limit = min(limit, (free+f.to)/10)
		}
	}
	if f.to+size > limit || len(body) > maxFrame {
		f.tidy()
		return ErrFull
	}
	first, last := c.TS[0], c.TS[0]
	for _, t := range c.TS[:c.N] {
		first, last = min(first, t), max(last, t)
	}
	h := f.buf[:frameHead]
	copy(h, frameMagic)
	le.PutUint32(h[4:], uint32(c.N))
	le.PutUint64(h[8:], f.end)
	le.PutUint64(h[16:], uint64(first))
	le.PutUint64(h[24:], uint64(last))
	le.PutUint64(h[32:], uint64(now.Boot))
	le.PutUint64(h[40:], uint64(now.Wall))
	le.PutUint32(h[48:], uint32(len(body)))
	le.PutUint64(h[56:], xxh3.Hash(body))
	le.PutUint64(h[64:], xxh3.Hash(h[:64]))
	if _, err := f.f.WriteAt(f.buf, f.to); err != nil {
		// Nothing points behind the end: what is there of it is not a frame.
		_ = f.f.Truncate(f.to)
		f.tidy()
		return fmt.Errorf("spill: %w", err)
	}
	f.to += size
	f.end += uint64(c.N)
	f.frames++
	return nil
}

// open makes the file when there is none.
func (f *File) open() error {
	if f.f != nil {
		return nil
	}
	meta, err := json.Marshal(&f.meta)
	if err != nil {
		return err
	}
	if len(meta) > maxMeta {
		// What was recorded, which can be long, is in the store's other segments.
		m := f.meta
		m.Command = nil
		if meta, err = json.Marshal(&m); err != nil || len(meta) > maxMeta {
			return errors.Join(err, fmt.Errorf("%d bytes of metadata", len(meta)))
		}
	}
	h, err := os.OpenFile(f.path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	b := make([]byte, headSize)
	copy(b, fileMagic)
	le.PutUint32(b[8:], uint32(len(meta)))
	le.PutUint64(b[12:], xxh3.Hash(meta))
	copy(b[24:], meta)
	mark(b[markAt:], headSize)
	if _, err := h.WriteAt(b, 0); err != nil {
		h.Close()
		os.Remove(f.path)
		return err
	}
	f.f, f.from, f.to, f.end, f.seen = h, headSize, headSize, 0, 0
	return nil
}

func mark(b []byte, at int64) {
	le.PutUint64(b, uint64(at))
	le.PutUint64(b[8:], xxh3.Hash(b[:8]))
}

// Next fills c with the batch at the head, which stays there until Done. It returns io.EOF when there
// is none, and a *DamagedError for a frame that is damaged: Done passes over that too.
func (f *File) Next(c *event.Columns) (Frame, error) {
	if f.frames == 0 {
		return Frame{}, io.EOF
	}
	fr, err := f.frame(f.from, f.to)
	if err != nil {
		return fr, err
	}
	return fr, f.body(&fr, c)
}

// Done takes the head out of the file, which is removed when it was the last.
func (f *File) Done(fr Frame) error {
	f.from = fr.next
	f.frames--
	f.seen = fr.First + uint64(fr.Rows)
	if f.frames == 0 {
		return f.remove()
	}
	var b [16]byte
	mark(b[:], f.from)
	if _, err := f.f.WriteAt(b[:], markAt); err != nil {
		return fmt.Errorf("spill: %w", err)
	}
	return nil
}

// tidy removes a file that was made for nothing.
func (f *File) tidy() {
	if f.frames == 0 {
		_ = f.remove()
	}
}

func (f *File) remove() error {
	if f.f == nil {
		return nil
	}
	err := os.Remove(f.path)
	if e := f.f.Close(); err == nil {
		err = e
	}
	f.f, f.from, f.to, f.frames = nil, 0, 0, 0
	if err != nil {
		return fmt.Errorf("spill: %w", err)
	}
	return nil
}

// Sync makes durable what was added.
func (f *File) Sync() error {
	if f.f == nil {
		return nil
	}
	if err := f.f.Sync(); err != nil {
		return fmt.Errorf("spill: %w", err)
	}
	return nil
}

// Close lets go of the file; batches in it stay there.
func (f *File) Close() error {
	if f.f == nil {
		return nil
	}
	if f.frames == 0 {
		return f.remove()
	}
	err := f.f.Close()
	f.f = nil
	return err
}

// frame reads the head of the frame at an offset of a file that ends at end.
func (f *File) frame(at, end int64) (Frame, error) {
	var h [frameHead]byte
	if at+frameHead > end {
		return Frame{}, io.ErrUnexpectedEOF
	}
	if _, err := f.f.ReadAt(h[:], at); err != nil {
		return Frame{}, fmt.Errorf("spill: %w", err)
	}
	fr := Frame{
		Rows: int(le.Uint32(h[4:])), First: le.Uint64(h[8:]), Min: clock.Boot(le.Uint64(h[16:])), Max: clock.Boot(le.Uint64(h[24:])),
		Clock: clock.Pair{Boot: clock.Boot(le.Uint64(h[32:])), Wall: clock.Wall(le.Uint64(h[40:]))},
		at:    at, size: int(le.Uint32(h[48:])), sum: le.Uint64(h[56:]),
	}
	if string(h[:4]) != string(frameMagic) || le.Uint64(h[64:]) != xxh3.Hash(h[:64]) || fr.Rows < 1 || fr.Rows > segment.MaxRows || fr.size > maxFrame {
		return Frame{at: at}, &DamagedError{Detail: fmt.Sprintf("no frame at %d", at)}
	}
	fr.next = at + (frameHead+int64(fr.size)+page-1)/page*page
	return fr, nil
}

// body reads the batch of a frame into c.
func (f *File) body(fr *Frame, c *event.Columns) error {
	if cap(f.buf) < fr.size {
		f.buf = make([]byte, fr.size)
	}
	b := f.buf[:fr.size]
	if _, err := f.f.ReadAt(b, fr.at+frameHead); err != nil {
		if errors.Is(err, io.EOF) {
			return io.ErrUnexpectedEOF
		}
		return fmt.Errorf("spill: %w", err)
	}
	damaged := func(detail string) error {
		return &DamagedError{Rows: fr.Rows, Detail: fmt.Sprintf("%s, at %d", detail, fr.at)}
	}
	if xxh3.Hash(b) != fr.sum {
		return damaged("its checksum is another")
	}
	if err := c.SetRaw(b); err != nil {
		return damaged(err.Error())
	}
	if c.N != fr.Rows {
		return damaged(fmt.Sprintf("%d rows are there", c.N))
	}
	return nil
}
