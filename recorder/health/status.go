package health

import "time"

// Status is how a recording is doing.
type Status struct {
	Phase    Phase
	Elapsed  time.Duration     // since the hooks were attached
	Events   uint64            // rows handed to the store
	Lost     uint64            // records lost, all causes
	LostBy   map[string]uint64 // ledger counts by cause; read_fault, map_full and truncated lose no row
	Segments int
	Bytes    int64 // written to disk
	// How full the rings were at the last look, 0 to 1.
	Bulk, Critical float64
	Missing        int   // hooks that could not be attached
	Child          int   // process id of the recorded command, 0 for the whole host
	DiskErr        error // last failure to write, nil when the last write went well
}

// Phase is how far a recording is.
type Phase uint8

const (
	Starting  Phase = iota // hooks are being attached, the state of the host is being taken
	Recording              // everything that was asked for is being recorded
	Stopping               // hooks are off; what waits is being written
)

func (p Phase) String() string { return [...]string{"starting", "recording", "stopping"}[p] }
