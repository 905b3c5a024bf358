//go:build linux && (amd64 || arm64)

package recorder

import (
	"bytes"
	"encoding/binary"
	"encoding/gob"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"hindcast/format/clock"
	"hindcast/format/event"
	"hindcast/format/segment"
	"hindcast/format/store"
	"hindcast/recorder/health"
	"hindcast/recorder/ring"
)

// books is what a successor must know to store every record once: how far the rings are stored,
// what came out of them until there, and what ledger rows were made of. They lie in a pinned map
// of two entries and are written before each batch, with a description of the batch; the rings are
// released after it. Whoever finds them looks whether the batch they announce is in the store: if
// so they hold, else the entry before does, and the batch's records are still in the rings.
type books struct {
	Ordinal  uint64 // of the batch
	Critical uint64 // positions of the rings when the batch is stored
	Lanes    []uint64
	Rows     int // the batch, as the index of its segment has it
	Min, Max clock.Boot

	At       clock.Boot // when the batch was cut
	Received [event.MaxType]uint64
	Bad      [event.MaxType]uint64
	Disk     [event.MaxType]uint64
	CritSeq  []ring.Span
	BulkSeq  []ring.Span
	Started  clock.Boot // when the programs began to run
	Told     health.Told

	slot uint32 // the entry they were read from
}

// booksSize is room for the books: the counters of each cpu, and what each cgroup was refused, of
// which the kernel half keeps 8192.
func booksSize() int {
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		cpus = 1
	}
	return 64<<10 + cpus*8<<10 + 8192*32
}

func encodeBooks(b *books) ([]byte, error) {
	var buf bytes.Buffer
	buf.Write(make([]byte, 4))
	if err := gob.NewEncoder(&buf).Encode(b); err != nil {
		return nil, fmt.Errorf("write books: %w", err)
	}
	out := buf.Bytes()
	binary.LittleEndian.PutUint32(out, uint32(len(out)-4))
	return out, nil
}

func decodeBooks(value []byte) (*books, error) {
	if len(value) < 4 {
		return nil, errors.New("read books: too short")
	}
	n := binary.LittleEndian.Uint32(value)
	if n == 0 {
		return nil, nil // never written
	}
	if uint64(n) > uint64(len(value)-4) {
		return nil, fmt.Errorf("read books: %d bytes in %d", n, len(value))
	}
	b := new(books)
	if err := gob.NewDecoder(bytes.NewReader(value[4 : 4+n])).Decode(b); err != nil {
		return nil, fmt.Errorf("read books: %w", err)
	}
	return b, nil
}

// keeper writes the books. Note is for the draining goroutine, Intend for the writer's.
type keeper struct {
	m         *ebpf.Map
	fill      func(*books) // adds what the session knows
	log       *slog.Logger
	value     []byte
	ordinal   uint64 // of the note made last
	turn      uint32 // the entry written next
	unwritten bool   // said that books cannot be written, by Note
	refused   bool   // the same by Intend
	// entries are those of the map, nil where it cannot be mapped: copying one is a third of a
	// megabyte for some kilobytes.
	entries [][]byte
}

func newKeeper(m *ebpf.Map, log *slog.Logger, fill func(*books)) *keeper {
	size, page := int(m.ValueSize()), os.Getpagesize()
	k := &keeper{m: m, fill: fill, log: log, value: make([]byte, size)}
	mem, err := unix.Mmap(m.FD(), 0, (2*size+page-1)&^(page-1), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err == nil && size%8 == 0 {
		k.entries = [][]byte{mem[:size:size], mem[size : 2*size : 2*size]}
	}
	return k
}

// begin writes books that hold without a batch, of rings that have been read so far. at is when the
// last batch was cut, 0 when there was none.
func (k *keeper) begin(at clock.Boot, critical uint64, lanes []uint64) {
	k.Intend(k.note(&books{Critical: critical, Lanes: lanes, At: at}))
}

// Note implements batch.Keeper.
func (k *keeper) Note(c *event.Columns, rings []ring.Mark) []byte {
	b := books{Critical: rings[0].Stored, Lanes: make([]uint64, len(rings)-1), Rows: c.N, At: boot()}
	for i, m := range rings[1:] {
		b.Lanes[i] = m.Stored
	}
	if c.N > 0 {
		b.Min, b.Max = c.TS[0], c.TS[0]
		for _, t := range c.TS[:c.N] {
			b.Min, b.Max = min(b.Min, t), max(b.Max, t)
		}
	}
	return k.note(&b)
}

func (k *keeper) note(b *books) []byte {
	k.ordinal++
	b.Ordinal = k.ordinal
	k.fill(b)
	out, err := encodeBooks(b)
	if err == nil && len(out) > len(k.value) {
		err = fmt.Errorf("write books: %d bytes do not fit into %d", len(out), len(k.value))
	}
	if err != nil {
		if !k.unwritten {
			k.log.Error("a successor would store rows twice", "error", err)
			k.unwritten = true
		}
		return nil
	}
	return out
}

// Intend implements batch.Keeper.
func (k *keeper) Intend(note []byte) {
	if note == nil {
		return
	}
	// The ordinal tells which entry is older, not its place.
	k.turn ^= 1
	if k.entries != nil {
		// An entry of length 0 was never written: a recorder that is killed in between leaves the
		// older one.
		e := k.entries[k.turn]
		length := (*uint32)(unsafe.Pointer(&e[0]))
		atomic.StoreUint32(length, 0)
		copy(e[4:], note[4:])
		atomic.StoreUint32(length, binary.LittleEndian.Uint32(note))
		return
	}
	clear(k.value[copy(k.value, note):])
	if err := k.m.Put(k.turn, k.value); err != nil && !k.refused {
		k.log.Error("a successor would store rows twice", "error", err)
		k.refused = true
	}
}

// readBooks returns the two entries, the newer one first; nil where there is none.
func readBooks(m *ebpf.Map) (newer, older *books, err error) {
	var got [2]*books
	for i := range got {
		v, err := m.LookupBytes(uint32(i))
		if err != nil {
			return nil, nil, fmt.Errorf("read books: %w", err)
		}
		if got[i], err = decodeBooks(v); err != nil {
			return nil, nil, err
		}
		if got[i] != nil {
			got[i].slot = uint32(i)
		}
	}
	newer, older = got[0], got[1]
	if newer == nil || older != nil && older.Ordinal > newer.Ordinal {
		newer, older = older, newer
	}
	return newer, older, nil
}

// ahead tells whether the rings a are as far as those of b, and whether any is further.
func ahead(a, b *books) (all, any bool) {
	all, any = a.Critical >= b.Critical, a.Critical > b.Critical
	for i := range max(len(a.Lanes), len(b.Lanes)) {
		var x, y uint64
		if i < len(a.Lanes) {
			x = a.Lanes[i]
		}
		if i < len(b.Lanes) {
			y = b.Lanes[i]
		}
		all, any = all && x >= y, any || x > y
	}
	return all, any
}

// settle finds out which of the books hold: those whose batch is in the store. given is how far the
// rings say that they are stored.
func settle(dir string, newer, older, given *books) (*books, error) {
	switch {
	case newer == nil:
		return &books{}, nil
	case newer.Rows == 0: // no batch: the books of a beginning
		return newer, nil
	}
	there, err := hasBatch(dir, newer)
	if err != nil {
		return nil, err
	}
	if older == nil {
		older = &books{Started: newer.Started, slot: newer.slot ^ 1}
	}
	all, _ := ahead(given, newer)
	_, more := ahead(newer, older)
	switch {
	case there:
		return newer, nil
	case all && more:
		// Released although it is not there: the disk refused it.
		for t := range newer.Received {
			newer.Disk[t] += newer.Received[t] - older.Received[t]
		}
		return newer, nil
	}
	return older, nil
}

// hasBatch tells whether a batch is in the last segments of the store. No two batches have the
// same first and last instant and as many rows.
func hasBatch(dir string, b *books) (bool, error) {
	entries, err := store.List(dir)
	if err != nil {
		return false, err
	}
	for i := len(entries) - 1; i >= max(0, len(entries)-4); i-- {
		f, err := os.Open(filepath.Join(dir, filepath.FromSlash(entries[i].Path)))
		if err != nil {
			continue
		}
		found := false
		if st, err := f.Stat(); err == nil {
			if seg, err := segment.Open(f, st.Size()); err == nil {
				for _, info := range seg.Batches() {
					found = found || info.Rows == b.Rows && info.Min == b.Min && info.Max == b.Max
				}
			}
		}
		f.Close()
		if found {
			return true, nil
		}
	}
	return false, nil
}
