//go:build unix

package main

// defaultUTF8 is what output is taken to be where no locale variable says so: the C locale.
const defaultUTF8 = false
