// Package segment writes and reads one file of batches.
//
// A segment is a plain Arrow IPC stream (schema message, batches, end marker) followed by
// hindcast's own footer, filter and trailer, which every Arrow reader ignores. The bytes are
// laid down in format/docs/SPEC.md.
//
// Words: a batch is the rows written together: its dictionary messages and its record
// batch, in one write, with one digest. An entry is a line of the footer: where one batch
// (or the schema) lies and what is in it. The side index is the same lines in a file of
// their own while the segment is being written. A finding is one piece of damage, with its
// class. The root is the RFC 6962 hash over the digests, the head of the chain that the
// next segment names.
//
// Writing: a Writer is used by one goroutine. Reading: every byte is hostile. Nothing is
// decoded before its digest matched, lengths are checked before memory is taken, the schema
// comes from the catalogue and never from the file, and no input makes a reader panic.
package segment
