package baseline

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"hindcast/format/event"
)

func framed(recs ...[]byte) []byte {
	var out []byte
	for _, r := range recs {
		out = binary.LittleEndian.AppendUint32(out, uint32(len(r)))
		out = append(out, r...)
	}
	return out
}

func process(pid uint32, start uint64, ppid uint32, pstart uint64) []byte {
	r := event.Row{Type: event.Process, PID: pid, PStart: start, OPID: ppid, OStart: pstart, Argv: bytes.Repeat([]byte("x"), int(pid)%300)}
	return r.Wire(0)
}

func TestSplitGivesWholeRecordsHoweverTheyArrive(t *testing.T) {
	var want [][]byte
	for i := range uint32(3000) {
		want = append(want, process(i, 1, 0, 0))
	}
	for name, r := range map[string]io.Reader{
		"at once": bytes.NewReader(framed(want...)),
		"halves":  iotest.HalfReader(bytes.NewReader(framed(want...))),
		"bytes":   iotest.OneByteReader(bytes.NewReader(framed(want...))),
		"eof":     iotest.DataErrReader(bytes.NewReader(framed(want...))),
	} {
		i := 0
		n, err := Split(r, func(rec []byte) {
			if !bytes.Equal(rec, want[i]) {
				t.Fatalf("%s: record %d differs", name, i)
			}
			i++
		})
		if err != nil || n != len(want) || i != n {
			t.Errorf("%s: %d of %d records, %v", name, n, len(want), err)
		}
	}
}

func TestSplitRefusesDamage(t *testing.T) {
	good := process(1, 1, 0, 0)
	huge := binary.LittleEndian.AppendUint32(framed(good), 1<<31)
	for name, b := range map[string][]byte{
		"cut record": framed(good, good)[:len(good)*2],
		"cut length": append(framed(good), 1, 2),
		"too long":   huge,
		"too short":  framed(good, []byte("short")),
	} {
		n, err := Split(bytes.NewReader(b), func([]byte) {})
		if !errors.Is(err, ErrStream) || n != 1 {
			t.Errorf("%s: %d records, %v", name, n, err)
		}
	}
	broken := errors.New("broken")
	if _, err := Split(io.MultiReader(bytes.NewReader(framed(good)), iotest.ErrReader(broken)), func([]byte) {}); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

func TestLineageIsAProcessAndItsAncestors(t *testing.T) {
	var l Lineage
	for _, rec := range [][]byte{
		process(1, 1, 0, 0), process(50, 5, 1, 1), process(60, 6, 50, 5), process(61, 7, 60, 6), process(70, 8, 1, 1),
	} {
		l.Add(rec)
	}
	l.Add([]byte("not a record"))
	var pids []uint32
	for _, rec := range l.Chain(60) {
		var r event.Row
		if _, err := event.Decode(rec, &r); err != nil {
			t.Fatal(err)
		}
		pids = append(pids, r.PID)
	}
	if len(pids) != 3 || pids[0] != 60 || pids[1] != 50 || pids[2] != 1 {
		t.Errorf("chain %v", pids)
	}
	if l.Chain(99) != nil {
		t.Error("a process that is not there has a chain")
	}
	// a loop, which only damage could make, ends
	var loop Lineage
	loop.Add(process(2, 2, 3, 3))
	loop.Add(process(3, 3, 2, 2))
	if n := len(loop.Chain(2)); n != 2 {
		t.Errorf("chain of %d", n)
	}
}
