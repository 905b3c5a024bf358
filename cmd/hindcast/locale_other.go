//go:build !unix

package main

// defaultUTF8 is what output is taken to be where no locale variable says so.
const defaultUTF8 = true
