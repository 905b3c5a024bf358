// Package graph turns rows into edges: one flow of control or data each, from what
// influences to what is influenced, over the interval in which it happened.
//
// Nodes are the entities of replay/state. A socket is two nodes, what flows in and what
// flows out, so that two processes that share one do not seem to speak to each other. The
// far end of a connection is the other socket when it is on this host, else a remote node.
//
// An edge's interval is what the rows allow: [first, last] operation where totals say so;
// for streams, whose later operations are not recorded one by one, until the socket or the
// process ended (OpenEnd). A write to a stream is stamped when the call returns, and its
// reader may have run before that: such edges begin StreamSlack early, though not before
// the process or the connection did, and a path that needs that is marked.
//
// Words: the strength of an edge is control (fork, exec, rename into place), data (bytes
// flowed) or weak (attributes, signals).
package graph
