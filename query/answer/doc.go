// Package answer holds what the questions return: plain results, no behaviour
// beyond what every renderer would otherwise write itself.
//
// Words: an entity is a process, a file, a pipe, a socket or a remote end, named
// by a Ref; a step is one edge of a chain with its witness rows; a gap is a place
// where the recording limits the answer. Evidence is a list of row ids
// ("segment:row"). Names and arguments are the recorded bytes, not assumed to be
// UTF-8 and never escaped here: whoever prints them does that.
//
// Nothing in here says that something did not happen. An empty list means that
// nothing was observed, and NotSeen says what could not have been.
package answer
