//go:build linux

package main

import (
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A ring with room for one request, made by the calls alone.
type ring struct {
	fd           int
	p            params
	sq, cq, sqes []byte
}

type params struct {
	sqEntries, cqEntries, flags, cpu, idle, features, wq uint32
	_                                                    [3]uint32
	sq                                                   struct {
		head, tail, mask, entries, flags, dropped, array, _ uint32
		_                                                   uint64
	}
	cq struct {
		head, tail, mask, entries, overflow, cqes, flags, _ uint32
		_                                                   uint64
	}
}

type request struct {
	op, flags uint8
	ioprio    uint16
	fd        int32
	off, addr uint64
	len, opFl uint32
	data      uint64
	_         [3]uint64
}

const (
	opConnect, opOpenat, opWrite, opUnlinkat = 16, 18, 23, 36
	sqpoll                                   = 2
)

func newRing(flags uint32) (*ring, error) {
	r := &ring{p: params{flags: flags, idle: 1000}}
	fd, _, e := unix.Syscall(unix.SYS_IO_URING_SETUP, 4, uintptr(unsafe.Pointer(&r.p)), 0)
	if e != 0 {
		return nil, fmt.Errorf("io_uring_setup: %w", e)
	}
	r.fd = int(fd)
	for _, m := range []struct {
		b   *[]byte
		off int64
		n   uint32
	}{{&r.sq, 0, r.p.sq.array + r.p.sqEntries*4}, {&r.cq, 0x8000000, r.p.cq.cqes + r.p.cqEntries*16}, {&r.sqes, 0x10000000, r.p.sqEntries * 64}} {
		b, err := unix.Mmap(r.fd, m.off, int(m.n), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
		if err != nil {
			return nil, err
		}
		*m.b = b
	}
	return r, nil
}

func at(b []byte, off uint32) *uint32 { return (*uint32)(unsafe.Pointer(&b[off])) }

// do makes one request and returns its result.
func (r *ring) do(q request) (int, error) {
	tail := *at(r.sq, r.p.sq.tail)
	slot := tail & *at(r.sq, r.p.sq.mask)
	*(*request)(unsafe.Pointer(&r.sqes[slot*64])) = q
	*at(r.sq, r.p.sq.array+slot*4) = slot
	atomic.StoreUint32(at(r.sq, r.p.sq.tail), tail+1)
	submit, flags := uintptr(1), uintptr(1) // IORING_ENTER_GETEVENTS
	if r.p.flags&sqpoll != 0 {
		submit, flags = 0, 2 // IORING_ENTER_SQ_WAKEUP, should it sleep
	}
	for range 2000 {
		if _, _, e := unix.Syscall6(unix.SYS_IO_URING_ENTER, uintptr(r.fd), submit, 0, flags, 0, 0); e != 0 && e != unix.EINTR {
			return 0, e
		}
		submit = 0
		head := *at(r.cq, r.p.cq.head)
		if head != atomic.LoadUint32(at(r.cq, r.p.cq.tail)) {
			res := int32(*at(r.cq, r.p.cq.cqes+head&*at(r.cq, r.p.cq.mask)*16+8))
			atomic.StoreUint32(at(r.cq, r.p.cq.head), head+1)
			if res < 0 {
				return int(res), syscall.Errno(-res)
			}
			return int(res), nil
		}
		time.Sleep(time.Millisecond)
	}
	return 0, errors.New("no completion")
}

func text(s string) uint64 {
	b, err := unix.Mmap(-1, 0, len(s)+1, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		panic(err)
	}
	copy(b, s)
	return uint64(uintptr(unsafe.Pointer(&b[0])))
}

func (r *ring) open(name string, flags uint32) (int, error) {
	return r.do(request{op: opOpenat, fd: unix.AT_FDCWD, addr: text(name), len: 0o600, opFl: flags})
}

func uringOpen(flags uint32, name string) error {
	r, err := newRing(flags)
	if err == nil {
		_, err = r.open(name, 0)
	}
	return err
}

func uringWrite(flags uint32, name string) error {
	r, err := newRing(flags)
	if err != nil {
		return err
	}
	fd, err := r.open(name, unix.O_CREAT|unix.O_WRONLY)
	if err == nil {
		_, err = r.do(request{op: opWrite, fd: int32(fd), addr: text("written"), len: 7})
	}
	return err
}

func uringUnlink(flags uint32, name string) error {
	r, err := newRing(flags)
	if err == nil {
		_, err = r.do(request{op: opUnlinkat, fd: unix.AT_FDCWD, addr: text(name)})
	}
	return err
}

func uringConnect(flags uint32, port int) error {
	r, err := newRing(flags)
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	addr := []byte{unix.AF_INET, 0, byte(port >> 8), byte(port), 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0}
	_, err = r.do(request{op: opConnect, fd: int32(fd), addr: text(string(addr)), off: 16})
	return err
}
