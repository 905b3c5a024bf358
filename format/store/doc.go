// Package store keeps the segments of a host in one folder.
//
// Words: a store is the folder; an open segment is the one being written, with its side
// index beside it; a leftover is an open segment whose writer is gone. Mending a leftover
// makes a sealed segment of everything in it that can be proven and keeps the rest in
// damaged/. To roll over is to seal the open segment and begin the next.
//
//	FORMAT                               one line of text
//	host.json                            who wrote it
//	dt=2026-11-20/NAME.arrows            sealed, 0440
//	dt=2026-11-20/NAME.arrows.open       open
//	dt=2026-11-20/NAME.idx.open          its side index
//	snapshots/ID/                        pinned windows
//	damaged/                             what mending left out
//
// The folder is 0700, files are 0600 and 0440 once sealed, and every name is resolved
// under a handle of the folder, never through a link.
package store
