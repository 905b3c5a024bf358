// Package ring drains the rings that the kernel half writes: BPF ring buffers (Ring), and the lanes
// that each cpu has of its own in an array that is mapped (Lane).
//
// It reads the kernel's memory in place: the consumer position is ours to write, the producer
// position and the records are the kernel's. A record is handed out as a slice of that memory,
// so nothing is copied and nothing is allocated here. The slice is valid during the call only, or,
// when the ring is held, until the record is given back.
//
// Records are usually submitted without a wake-up. The reader therefore polls, and the kernel
// wakes it early only when a ring fills: see Poller.
//
// Every record carries a number that counts the records of its cpu and ring, those that found no
// room included. Sequence turns the numbers into how many are missing: a second witness beside
// the kernel's own counters.
package ring
