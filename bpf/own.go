//go:build linux && (amd64 || arm64)

package bpf

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Kinds of objects in the map hc_own, as the bpf event names them.
const (
	ownProgram = 1
	ownMap     = 2
	ownLink    = 3
)

// MarkOwn tells the programs which programs, maps and links are ours, so that whoever touches one
// is told with its row. Called again after links were made, it adds them; what was freed
// meanwhile stays marked, since the kernel gives ids in turn and comes back to one after 2^31.
func (s *Set) MarkOwn() error {
	own := s.maps["hc_own"]
	if own == nil {
		return nil // no program asks: those that would were left out
	}
	var errs []error
	mark := func(kind uint32, fd int) {
		id, err := objectID(fd)
		if err == nil {
			err = own.Put(uint64(kind)<<32|uint64(id), uint32(1))
		}
		if err != nil && len(errs) < 3 {
			errs = append(errs, err)
		}
	}
	for _, m := range s.maps {
		mark(ownMap, m.FD())
	}
	for _, h := range s.hooks {
		if h.prog != nil {
			mark(ownProgram, h.prog.FD())
		}
		if l, ok := h.link.(interface{ FD() int }); ok {
			mark(ownLink, l.FD())
		}
	}
	return errors.Join(errs...)
}

// objectID asks for the id of a program, map or link: the second word of what the kernel tells of each.
func objectID(fd int) (uint32, error) {
	info := new([2]uint32)
	var pin runtime.Pinner // the kernel is given its address as a number
	pin.Pin(info)
	defer pin.Unpin()
	attr := struct {
		fd, size uint32
		info     uint64
	}{uint32(fd), uint32(unsafe.Sizeof(*info)), uint64(uintptr(unsafe.Pointer(info)))}
	if _, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_OBJ_GET_INFO_BY_FD, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr)); errno != 0 {
		return 0, fmt.Errorf("ask for the id of an object: %w", errno)
	}
	return info[1], nil
}
