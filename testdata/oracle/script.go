//go:build linux && amd64

// Package oracle makes random programs that log themselves: processes that fork, vfork, clone,
// exec, thread, re-parent and end in every way, each noting what the kernel answered. What a
// recording says of them is compared with that log.
//
// A program is an ELF file of a tiny interpreter and a script. Every process and thread of it
// runs some part of the script; the log is a shared mapping that all of them append to.
package oracle

import (
	"encoding/binary"
	"fmt"
	"unsafe"
)

// interpAddr returns where the interpreter lies in this program, to be copied.
func interpAddr() unsafe.Pointer

// Layout of a step, 88 bytes: what, a word (number of the call, target, cell), six arguments, the
// set of arguments that are cells, the cell of the result, and where a new process or thread goes on.
const (
	base     = 0x400000 // where the file is mapped
	codeSize = 1024     // more than interp needs
	header   = 64 + 56  // ELF header and one program header
	stepSize = 88

	doCall     = 0
	doJump     = 1
	doNote     = 2
	doPositive = 3 // jump when a cell is above 0
	doSame     = 4 // jump when two cells are equal
)

// LogSize is the size in bytes that the log file must have at most.
const LogSize = 0x10000000

// label is a place in the script, known once it is set.
type label int

type step struct {
	what   uint64
	word   uint64
	arg    [6]uint64
	cells  uint64
	result uint64
	child  label
	target label // into arg[0], or for a jump into word
}

// script is a program under construction.
type script struct {
	steps  []step
	labels []int // index of a step, -1 not set
	data   []byte
	fixups []fixup
}

type fixup struct {
	at int // in data
	to label
}

func newScript() *script { return &script{labels: []int{-1}} } // label 0 is none

func (s *script) newLabel() label {
	s.labels = append(s.labels, -1)
	return label(len(s.labels) - 1)
}

func (s *script) set(l label) { s.labels[l] = len(s.steps) }

// Cells and data lie behind the code, before the steps; how much room they take is fixed.
const (
	dataStart = base + 0x1000
	dataRoom  = 32 << 20
	stepStart = dataStart + dataRoom
)

// alloc returns the address of n bytes of data.
func (s *script) alloc(n int) uint64 {
	at := len(s.data)
	s.data = append(s.data, make([]byte, (n+7)&^7)...)
	if len(s.data) > dataRoom {
		panic("oracle: the script needs more data than there is room")
	}
	return dataStart + uint64(at)
}

func (s *script) cell() uint64 { return s.alloc(8) }

func (s *script) put(addr, v uint64) {
	binary.LittleEndian.PutUint64(s.data[addr-dataStart:], v)
}

func (s *script) text(t string) uint64 {
	at := s.alloc(len(t) + 1)
	copy(s.data[at-dataStart:], t)
	return at
}

// c marks an argument as the address of a cell.
type c uint64

func (s *script) add(what, word uint64, args ...any) *step {
	st := step{what: what, word: word}
	for i, a := range args {
		switch a := a.(type) {
		case c:
			st.arg[i] = uint64(a)
			st.cells |= 1 << i
		case uint64:
			st.arg[i] = a
		case int:
			st.arg[i] = uint64(a)
		}
	}
	s.steps = append(s.steps, st)
	return &s.steps[len(s.steps)-1]
}

// call makes a system call; result is the cell for its answer, 0 for none.
func (s *script) call(result uint64, nr uint64, args ...any) *step {
	st := s.add(doCall, nr, args...)
	st.result = result
	return st
}

func (s *script) note(word uint64, args ...any) { s.add(doNote, word, args...) }
func (s *script) jump(to label)                 { s.add(doJump, 0).target = to }
func (s *script) positive(cell uint64, to label) {
	s.add(doPositive, cell).target = to
}
func (s *script) same(a, b uint64, to label) {
	st := s.add(doSame, a, 0, b)
	st.target = to
}

// spell writes an address as interp reads it.
func spell(addr uint64) string {
	b := []byte(fmt.Sprintf("%016x", addr))
	for i, x := range b {
		if x <= '9' {
			b[i] = 'a' + x - '0'
		} else {
			b[i] = x - 'a' + 'a' + 10
		}
	}
	return string(b)
}

func (s *script) address(l label) uint64 {
	if s.labels[l] < 0 {
		panic("oracle: a label was never set")
	}
	return stepStart + uint64(s.labels[l])*stepSize
}

// textOf reserves the text of a label's address, filled in when the program is built.
func (s *script) textOf(l label) uint64 {
	at := s.alloc(17)
	s.fixups = append(s.fixups, fixup{int(at - dataStart), l})
	return at
}

// build returns the ELF file and the argument it must be started with.
func (s *script) build(entry label) (elf []byte, arg string) {
	for _, f := range s.fixups {
		copy(s.data[f.at:], spell(s.address(f.to)))
	}
	size := stepStart - base + len(s.steps)*stepSize
	b := make([]byte, size)
	le := binary.LittleEndian
	copy(b, "\x7fELF\x02\x01\x01")
	le.PutUint16(b[16:], 2)  // executable
	le.PutUint16(b[18:], 62) // x86-64
	le.PutUint32(b[20:], 1)
	le.PutUint64(b[24:], base+header)
	le.PutUint64(b[32:], 64)
	le.PutUint16(b[52:], 64)
	le.PutUint16(b[54:], 56)
	le.PutUint16(b[56:], 1)
	ph := b[64:]
	le.PutUint32(ph, 1)     // load
	le.PutUint32(ph[4:], 7) // read, write, execute
	le.PutUint64(ph[16:], base)
	le.PutUint64(ph[24:], base)
	le.PutUint64(ph[32:], uint64(size))
	le.PutUint64(ph[40:], uint64(size))
	le.PutUint64(ph[48:], 0x1000)
	copy(b[header:header+codeSize], unsafe.Slice((*byte)(interpAddr()), codeSize))
	copy(b[dataStart-base:], s.data)
	for i := range s.steps {
		st := &s.steps[i]
		at := b[stepStart-base+i*stepSize:]
		word, a := st.word, st.arg
		if st.target != 0 {
			if st.what == doJump {
				word = s.address(st.target)
			} else {
				a[0] = s.address(st.target)
			}
		}
		le.PutUint64(at, st.what)
		le.PutUint64(at[8:], word)
		for k, v := range a {
			le.PutUint64(at[16+8*k:], v)
		}
		le.PutUint64(at[64:], st.cells)
		le.PutUint64(at[72:], st.result)
		if st.child != 0 {
			le.PutUint64(at[80:], s.address(st.child))
		}
	}
	return b, spell(s.address(entry))
}
