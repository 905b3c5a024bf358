// Package health knows how the recording is doing: what was seen, stored and lost.
//
// The kernel half counts everything it does, per cpu and event type. Ledger turns the growth of
// those counters, of the kernel's own count of skipped programs, and of the recorder's failures
// into ledger rows, and at the end proves that nothing is missing from the sum:
//
//	seen = received + ring_full + nested + quota      for every event type
//
// Words: seen is every record that the kernel half made; received is every record that came out
// of a ring; lost is a record that nobody will read, with its cause; unaccounted is what is left
// of the sum.
package health
