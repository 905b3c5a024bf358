// Package plan turns questions into answers: it resolves what the user named, asks the
// replay model and fills the result types of query/answer. It prints nothing.
//
//	resolve.go  names to entities
//	tree.go     what ran: ps, tree at T
//	why.go      what led to an entity: the chain
//	blast.go    what an entity led to: the radius
//	events.go   which rows match a filter
//	info.go     what a capture holds
//
// Every answer carries its evidence rows, its certainty and what could not be seen.
package plan
