// Package cause answers what could have influenced what: closures over the graph by the
// monotone-time rule, the witness of each member, and the rules that say where a walk
// stops. It also holds the lists of sensitive and persistent places, as data.
//
// The rule, backward from (n, T): reach(n) = T. An edge u -> v over [t0, t1] propagates
// when t0 < reach(v); then reach(u) = max(reach(u), min(t1, reach(v))). Forward is the
// mirror. reach never grows along a backward path (never falls along a forward one), so
// settling nodes in order of reach visits each once and is exact for interval edges too:
// no pass has to be repeated, and a cycle costs nothing.
//
// Words: a hub is a node that nearly everything touches (/dev/null, the journal): a walk
// goes into it and not through. Context is an input that was only ever read while the
// recording ran: libraries, locale data.
package cause
