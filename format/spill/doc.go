// Package spill holds batches that a recorder had no time to encode.
//
// A recorder whose encoding falls behind writes batches as they lie in memory to one file in the
// folder of its store, one after the other, and encodes them from there when it has time, in the
// same order. A batch counts as stored when its frame is in the file. What a killed recorder left
// in it is taken into the store by the next one, or by hindcast repair: see TakeIn.
//
// The layout is described in docs/spill.md of the recorder. It is no format for keeping: a file
// lives as long as the recorder is behind.
//
// Words: a frame is a batch in the file; the head is the oldest frame that is not in the store.
package spill
