package event

// Lineage is the events, as bits, that no filter of a recording leaves out: without them no row of
// another kind has a meaning.
const Lineage uint64 = 1<<Fork | 1<<Exec | 1<<Exit | 1<<Cred | 1<<CredChange | 1<<Process | 1<<SetName | 1<<Session | 1<<Reparent | 1<<Namespace

// Told is the events, as bits, that only the recorder makes.
const Told uint64 = 1<<Ledger | 1<<Coverage | 1<<Recorder | 1<<Clock

// FilterHook is the name of the coverage row that speaks of the filter of a recording: its events
// are those that the filter leaves out as a whole, its detail the filter, and in the next line
// which part of it was decided where.
const FilterHook = "filter"
