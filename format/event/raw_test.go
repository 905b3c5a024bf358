package event

import (
	"errors"
	"testing"
)

func rawSample(rows int) *Columns {
	c := new(Columns)
	for i := range rows {
		r := sample(&Catalog[i%len(Catalog)])
		c.Append(&r)
	}
	c.Finish()
	return c
}

func TestRawRoundTrip(t *testing.T) {
	var back Columns
	for _, rows := range []int{1, 2, len(Catalog), 16384} {
		c := rawSample(rows)
		b := c.AppendRaw([]byte("before"))[6:]
		if err := back.SetRaw(b); err != nil {
			t.Fatalf("%d rows: %v", rows, err)
		}
		equal(t, c, &back)
		if string(back.AppendRaw(nil)) != string(b) {
			t.Errorf("%d rows: other bytes the second time", rows)
		}
	}
}

// Bytes of anybody never panic and never make a batch that does.
func FuzzSetRaw(f *testing.F) {
	f.Add(rawSample(1).AppendRaw(nil))
	f.Add(rawSample(len(Catalog)).AppendRaw(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		var c Columns
		if err := c.SetRaw(b); err != nil {
			if !errors.Is(err, ErrRaw) || c.N != 0 {
				t.Fatalf("%v, %d rows", err, c.N)
			}
			return
		}
		var r Row
		for i := range c.N {
			c.Row(i, &r)
		}
		c.AppendRaw(nil)
	})
}

func TestRawCutShort(t *testing.T) {
	b := rawSample(len(Catalog)).AppendRaw(nil)
	var c Columns
	for n := range b {
		if err := c.SetRaw(b[:n]); !errors.Is(err, ErrRaw) {
			t.Fatalf("cut to %d of %d bytes: %v", n, len(b), err)
		}
	}
	if err := c.SetRaw(append(b, 0)); !errors.Is(err, ErrRaw) {
		t.Errorf("a byte too many: %v", err)
	}
}

func BenchmarkAppendRaw(b *testing.B) {
	c := rawSample(16384)
	var buf []byte
	for b.Loop() {
		buf = c.AppendRaw(buf[:0])
	}
	b.SetBytes(int64(len(buf)))
}
