// Package event is the one description of what hindcast records.
//
// catalog.go holds, as Go data, every event the kernel half can send and every
// event the recorder adds; columns.go holds the columns of the one wide table in
// which they are stored. From the two are generated (go generate ./format/event):
//
//	bpf/include/event_gen.h   the C records, with size and offset assertions
//	decode_gen.go             wire record -> Row, every length checked
//	columns_gen.go            Row, and Columns: the rows of one batch, by column
//	format/docs/events.md     the events page of the documents
//	schema.lock               one line per field; a diff here is a schema change
//
// Evolution law: ids are never reused, fields are only appended, a column never
// changes its type. Anything else is a new event.
//
// Words: an event is something the kernel did; a row is its record; a batch is
// rows written together.
package event

//go:generate go run ./gen -root ../..
