// Package recorder records a host, or one command, into a store.
//
// It wires its children: probe attaches the hooks, ring drains what they send, baseline reads
// what was there before, batch brings it in order and onto disk, health keeps the books.
//
//	bpf -> ring -> batch -> store
//
// A recording is three goroutines: one drains the rings and keeps the books, one writes, one
// runs the iterators. None of them holds up a recorded program: when they cannot follow, the
// kernel drops records and counts them, and the count is written as ledger rows.
package recorder
