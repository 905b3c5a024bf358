// Package replay rebuilds what happened from the rows of a capture.
//
// Build applies every row once, in time order, and returns a Model that answers questions
// at any instant. The parts, in the order in which the data passes through them:
//
//	load      rows of a capture in time order
//	state     entities: processes, objects and their names, sockets, credentials
//	timeline  lives: pid reuse, lost exits, parents over time, trees
//	graph     edges of control and data with their intervals and witness rows
//	cause     closures, hubs, sensitive places
//	gap       what was lost, not attached, cut
//	index     interval lists, interned names, short ids
//
// A Model is a pure function of the rows: the same rows give the same model and the same
// ids. It is read-only after Build and safe for concurrent readers.
package replay
