//go:build linux && !amd64

package main

import "errors"

var errNo32 = errors.New("this machine has no 32-bit calls in 64-bit programs")

func open32(string) error   { return errNo32 }
func write32(string) error  { return errNo32 }
func unlink32(string) error { return errNo32 }
