// Package batch turns wire records into rows on disk.
//
// Records come out of two rings and each ring mixes all cpus, so they are only nearly in time
// order. Order holds them until nothing older can come, a Collector decodes them in order into
// the columns of a batch, and a Writer hands full batches to the store from a goroutine of its
// own, so that a slow disk stops the draining only when it is a whole batch behind: then the
// rings fill and the kernel counts what it drops. Nothing here blocks a recorded program.
//
// State is what a segment needs to be read alone: it follows the rows that were written, and a
// new segment opens with it.
//
// Words: a round is one look at the rings; a mark is the moment up to which a ring is known to
// have been read.
package batch
