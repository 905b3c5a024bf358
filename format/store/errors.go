package store

import (
	"errors"
	"fmt"
)

// Errors that callers branch on.
var (
	ErrLocked     = errors.New("another process is writing this store")
	ErrNotAStore  = errors.New("not empty and not a store")
	ErrForeign    = errors.New("belongs to another user")
	ErrWritable   = errors.New("others may write there")
	ErrNotRegular = errors.New("not a regular file")
	ErrVersion    = errors.New("written by a newer hindcast")
	ErrClosed     = errors.New("store is closed")
)

// LostError says how many rows did not reach the disk, and why. The store goes on: the
// next Append begins a new segment.
type LostError struct {
	Rows int
	Err  error
}

func (e *LostError) Error() string { return fmt.Sprintf("%d rows lost: %v", e.Rows, e.Err) }

func (e *LostError) Unwrap() error { return e.Err }

// BeginError says that Options.Begin failed. The batch was written; the segment lacks
// state rows, and its answers will say less.
type BeginError struct{ Err error }

func (e *BeginError) Error() string { return fmt.Sprintf("state rows: %v", e.Err) }

func (e *BeginError) Unwrap() error { return e.Err }
