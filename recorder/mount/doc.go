// Package mount reads the kernel's own list of mounts and tells how two readings differ: the
// witness beside the calls that change the tree of mounts, whose names are only claimed.
//
// A namespace has a list. It can be read through any process that lives in it; holding on to one
// would keep the namespace and its mounts alive, so each reading goes through a process anew,
// and a namespace whose last process has ended is forgotten. A process in a chroot is shown a
// part of the list; one that is not is preferred.
package mount
