//go:build linux && (amd64 || arm64)

package recorder

import "runtime/debug"

// gcPercent is how much garbage may gather before it is looked for, in percent of what is in use.
// Once a recording runs, nothing is allocated for an event and collections are rare: so what is in
// use may be kept close to what is taken.
const gcPercent = 50

// settleMemory gives back what the beginning of a recording took: parsed programs and types of the
// kernel, and the snapshot, are several times what recording needs.
func settleMemory() {
	debug.SetGCPercent(gcPercent)
	debug.FreeOSMemory()
}
