// Package baseline reads what iterators tell of a host: what was there before the recording.
//
// An iterator is a program that the kernel runs once for every process, descriptor or socket,
// and whose output is read like a file: a stream of [u32 length][record], the records being of
// the same kind as those of the rings.
//
// The hooks are attached before the iterators run, so that nothing falls between: what happens
// meanwhile is told twice, once as it happens and once as a state found, and readers join the
// two by key. A snapshot of a recorded command keeps only the command's ancestors (Lineage).
package baseline

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"hindcast/format/event"
)

// Iterator can be run; a *bpf.Hook is one.
type Iterator interface {
	Run() (io.ReadCloser, error)
}

// MaxRecord bounds a record: the kernel half cannot make a longer one.
const MaxRecord = 64 << 10

// ErrStream means that a stream is not made of whole records.
var ErrStream = errors.New("iterator stream is damaged")

// Read runs an iterator and gives its records to f, valid during the call only. Records before
// an error have been given.
func Read(it Iterator, f func(rec []byte)) (n int, err error) {
	r, err := it.Run()
	if err != nil {
		return 0, err
	}
	n, err = Split(r, f)
	return n, errors.Join(err, r.Close())
}

// Split cuts a stream into records and gives them to f, valid during the call only.
func Split(r io.Reader, f func(rec []byte)) (n int, err error) {
	buf := make([]byte, 0, 2*MaxRecord)
	for {
		for len(buf) >= 4 {
			size := int(binary.LittleEndian.Uint32(buf))
			if size < event.HeaderSize || size > MaxRecord {
				return n, fmt.Errorf("%w: record %d claims %d bytes", ErrStream, n, size)
			}
			if len(buf) < 4+size {
				break
			}
			f(buf[4 : 4+size])
			buf = buf[4+size:]
			n++
		}
		if free := cap(buf) - len(buf); free < MaxRecord {
			buf = append(make([]byte, 0, 2*MaxRecord), buf...)
		}
		k, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+k]
		switch {
		case k > 0:
		case err == io.EOF && len(buf) == 0:
			return n, nil
		case err == io.EOF:
			return n, fmt.Errorf("%w: %d bytes after record %d", ErrStream, len(buf), n)
		case err != nil:
			return n, fmt.Errorf("read iterator: %w", err)
		}
	}
}
