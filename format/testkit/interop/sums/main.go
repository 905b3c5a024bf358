// Command sums reads the sealed segments of a folder with hindcast's own reader and prints,
// per segment, what read.mjs prints of the same files with other readers: the two must be
// equal byte for byte.
//
//	sums DIR            one line of JSON per segment
//	sums -make DIR      write a store of generated rows into DIR first
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"

	"hindcast/format/clock"
	"hindcast/format/event"
	"hindcast/format/segment"
	"hindcast/format/store"
	"hindcast/format/testkit"
)

func main() {
	makeIt := flag.Bool("make", false, "write a store of generated rows first")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: sums [-make] DIR")
		os.Exit(2)
	}
	var err error
	if *makeIt {
		err = generate(flag.Arg(0))
	}
	if err == nil {
		err = sums(flag.Arg(0))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "sums:", err)
		os.Exit(1)
	}
}

// generate writes a store with every event, names that are not UTF-8, batches in which
// most dictionaries are empty, and a busy host in batches of many sizes.
func generate(dir string) error {
	s, err := store.Create(dir, store.Options{
		Meta: segment.Meta{Host: "interop", BootID: "0b7c12ab-0000-4000-8000-000000000001", Recorder: "interop",
			Clock: clock.Pair{Boot: 3_600_000_000_000, Wall: 1_795_000_000_000_000_000}},
		SegmentBytes: 1 << 20,
	})
	if err != nil {
		return err
	}
	all := testkit.EveryEvent(3_600_000_000_000)
	for _, b := range [][]event.Row{all[:1], all, all[2:3], all[len(all)-1:]} {
		if err := s.Append(testkit.Batch(b)); err != nil {
			return err
		}
	}
	h := testkit.NewHost(7)
	var c event.Columns
	for i := range 30 {
		h.Fill(&c, 1+(i*i*37)%segment.MaxRows)
		if err := s.Append(&c); err != nil {
			return err
		}
	}
	return s.Close()
}

// sum is one line of the output. Sums are modulo 2^64, as text.
type sum struct {
	Segment string            `json:"segment"`
	Rows    uint64            `json:"rows"`
	Ret     string            `json:"ret"`
	BytesIn string            `json:"bytes_in"`
	TS      string            `json:"ts"`
	Paths   uint64            `json:"paths"` // rows with a path
	PathLen uint64            `json:"path_len"`
	Comms   uint64            `json:"comm_len"`
	Types   map[string]uint64 `json:"types"` // rows by event id
}

func sums(dir string) error {
	d, err := store.OpenDir(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	for i, e := range d.Entries {
		if e.Open {
			continue
		}
		seg, f, err := d.Open(i)
		if err != nil {
			return err
		}
		fs, err := seg.Verify()
		for _, x := range fs {
			if !x.Recovered { // what a repair left out is in no reader's sums
				err = fmt.Errorf("%s: %w", e.Path, &x)
			}
		}
		if err != nil {
			return err
		}
		out := sum{Segment: e.Name.String(), Types: map[string]uint64{}}
		var ret, in, ts uint64
		var c event.Columns
		for j := range seg.Batches() {
			cols := uint64(1<<event.ColRet | 1<<event.ColBytesIn | 1<<event.ColPath | 1<<event.ColComm)
			if err := seg.Read(j, cols, &c); err != nil {
				return err
			}
			out.Rows += uint64(c.N)
			for k, t := range c.Type {
				out.Types[fmt.Sprint(uint16(t))]++
				ret += uint64(c.Ret[k])
				in += c.BytesIn[k]
				ts += uint64(c.TS[k].Wall(seg.Meta().Clock.Offset()))
				out.Comms += uint64(len(c.Comm.At(k)))
				if t.Has()>>event.ColPath&1 != 0 {
					out.Paths++
					out.PathLen += uint64(len(c.Path.At(k)))
				}
			}
		}
		out.Ret, out.BytesIn, out.TS = fmt.Sprint(int64(ret)), fmt.Sprint(in), fmt.Sprint(int64(ts))
		f.Close()
		b, err := json.Marshal(out)
		if err != nil {
			return err
		}
		fmt.Println(string(b))
	}
	return nil
}
