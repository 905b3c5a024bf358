//go:build linux && amd64

package main

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

func int80(nr, a, b, c uint32) int32

// i386 makes a system call of the 32-bit table; strings must lie below 4 GiB, where low puts them.
func i386(nr, a, b, c uint32) (int32, error) {
	r := int80(nr, a, b, c)
	if r < 0 {
		return r, syscall.Errno(-r)
	}
	return r, nil
}

func low(s string) (uint32, error) {
	p, _, e := unix.Syscall6(unix.SYS_MMAP, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_32BIT, ^uintptr(0), 0)
	if e != 0 {
		return 0, e
	}
	copy(unsafe.Slice((*byte)(*(*unsafe.Pointer)(unsafe.Pointer(&p))), 4096), s)
	return uint32(p), nil
}

func open32(name string) error {
	p, err := low(name)
	if err != nil {
		return err
	}
	_, err = i386(5, p, 0, 0)
	return err
}

func write32(name string) error {
	p, err := low(name)
	if err != nil {
		return err
	}
	fd, err := i386(5, p, unix.O_CREAT|unix.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	text, err := low("written")
	if err != nil {
		return err
	}
	_, err = i386(4, uint32(fd), text, 7)
	return err
}

func unlink32(name string) error {
	p, err := low(name)
	if err != nil {
		return err
	}
	_, err = i386(10, p, 0, 0)
	return err
}
