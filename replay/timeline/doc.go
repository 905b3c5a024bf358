// Package timeline orders lives: which process a pid meant at an instant, when each ended
// if its end was not recorded, who its parent was when, and what the tree was at T.
//
// Rules, all of them marked where they are applied:
//
//   - A pid that begins a new life ends the old one: an exit that was lost is inferred at
//     the start of the successor.
//   - The creator never changes. The parent is a list of spans. When a parent ends, its
//     children pass to whoever a later row names; failing that to the init of their pid
//     namespace, inferred, because a subreaper need not have been recorded.
//   - A cycle of parents, which only damage can make, is cut at its oldest member.
//
// Words: a lifespan is a process from its start to its end.
package timeline
