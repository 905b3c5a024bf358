//go:build linux

// Package ops is things that programs do, made so that each costs the kernel the same every
// time: what recording adds to one can be counted.
package ops
