// Package push brings a filter to what can be decided while rows are recorded: clauses of
// predicates that the kernel tests before it makes a record, and a filter for the rows that come.
//
// Words: a clause is a set of event types and predicates that must all hold; the kernel tells what
// any clause lets pass. What it cannot test is taken to hold, so it tells a superset of what the
// filter matches. Keep is the filter for what came: exact, but for what only a replay knows.
package push
