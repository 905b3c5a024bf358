// Package state rebuilds entities from rows: one Table, to which every row is applied in
// time order, and one file per entity.
//
//	process.go  lifespans by (pid, start): programs, creator, parents, credentials, end
//	file.go     objects by (dev, ino, gen), and the names they had and when
//	socket.go   sockets by cookie, their tuple, owner, totals and the end they are joined to
//	cred.go     credential sets, by segment and id
//
// A Table says what is known and how it is known. It never fills in: a process that was
// only seen acting has the origin Actor, an object that was only named has no key, an
// unknown exit stays unknown until the pid is used again and is then marked inferred.
//
// Words: a mention is an entity known only because another's row names it; a claimed name
// is one a program passed, as opposed to one the kernel walked.
package state
