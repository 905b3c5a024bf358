package bundle

import (
	"bytes"
	"fmt"
	"io"
)

const block = 512

// header returns the one form that a member's header has: ustar, a regular file, mode
// 0440, no owner, no time.
func header(name string, size int64) ([]byte, error) {
	if len(name) > 100 || size < 0 || size >= 1<<33 {
		return nil, fmt.Errorf("member %q of %d bytes does not fit a header", name, size)
	}
	h := make([]byte, block)
	copy(h, name)
	copy(h[100:], "0000440\x00")
	copy(h[108:], "0000000\x00")
	copy(h[116:], "0000000\x00")
	copy(h[124:], fmt.Sprintf("%011o\x00", size))
	copy(h[136:], "00000000000\x00")
	copy(h[148:], "        ")
	h[156] = '0'
	copy(h[257:], "ustar\x0000")
	copy(h[329:], "0000000\x00")
	copy(h[337:], "0000000\x00")
	sum := 0
	for _, c := range h {
		sum += int(c)
	}
	copy(h[148:], fmt.Sprintf("%06o\x00 ", sum))
	return h, nil
}

// parseHeader reads a header and accepts it only when it is exactly what header makes.
func parseHeader(h []byte) (name string, size int64, ok bool) {
	n := bytes.IndexByte(h[:101], 0)
	if n < 1 {
		return "", 0, false
	}
	name = string(h[:n])
	for _, c := range h[124:135] {
		if c < '0' || c > '7' {
			return "", 0, false
		}
		size = size<<3 | int64(c-'0')
	}
	want, err := header(name, size)
	return name, size, err == nil && bytes.Equal(want, h)
}

// tarWriter writes members; the first error sticks.
type tarWriter struct {
	w   io.Writer
	err error
}

func (t *tarWriter) bytes(name string, b []byte) { t.member(name, bytes.NewReader(b), int64(len(b))) }

func (t *tarWriter) member(name string, r io.Reader, size int64) {
	if t.err != nil {
		return
	}
	h, err := header(name, size)
	if err != nil {
		t.err = err
		return
	}
	if _, t.err = t.w.Write(h); t.err != nil {
		return
	}
	if _, t.err = io.CopyN(t.w, r, size); t.err != nil {
		return
	}
	_, t.err = t.w.Write(make([]byte, padding(size)))
}

func (t *tarWriter) end() error {
	if t.err == nil {
		_, t.err = t.w.Write(make([]byte, 2*block))
	}
	return t.err
}

func padding(size int64) int64 { return -size & (block - 1) }
