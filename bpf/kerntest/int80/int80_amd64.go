// Package int80 makes system calls through the 32-bit table, as a program for i386 does.
package int80

// Call makes call nr. Pointers must lie in the low 4 GiB. A failed call returns the negative errno.
//
//go:noescape
func Call(nr, a, b, c, d, e, f uint32) int32
