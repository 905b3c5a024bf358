package testkit

import (
	"errors"
	"io"
)

// MemFile is a file in memory for the segment writer. FailAt makes the n-th operation
// fail, half done when it is a write; 0 never.
type MemFile struct {
	B      []byte
	Synced int // length at the last successful Sync
	Ops    int // operations so far
	FailAt int
	Err    error // what the failing operation returns; ErrInjected when nil
}

// ErrInjected is the error of an operation that was told to fail.
var ErrInjected = errors.New("injected failure")

func (f *MemFile) fail() error {
	f.Ops++
	if f.FailAt == 0 || f.Ops != f.FailAt {
		return nil
	}
	if f.Err != nil {
		return f.Err
	}
	return ErrInjected
}

// WriteAt implements segment.File.
func (f *MemFile) WriteAt(p []byte, off int64) (int, error) {
	err := f.fail()
	if err != nil {
		p = p[:len(p)/2]
	}
	if end := int(off) + len(p); end > len(f.B) {
		f.B = append(f.B, make([]byte, end-len(f.B))...)
	}
	return copy(f.B[off:], p), err
}

// ReadAt implements io.ReaderAt.
func (f *MemFile) ReadAt(p []byte, off int64) (int, error) {
	if off >= int64(len(f.B)) {
		return 0, io.EOF
	}
	n := copy(p, f.B[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Truncate implements segment.File.
func (f *MemFile) Truncate(size int64) error {
	if err := f.fail(); err != nil {
		return err
	}
	if int(size) < len(f.B) {
		f.B = f.B[:size]
	}
	return nil
}

// Sync implements segment.File.
func (f *MemFile) Sync() error {
	if err := f.fail(); err != nil {
		return err
	}
	f.Synced = len(f.B)
	return nil
}
