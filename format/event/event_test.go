package event

import (
	"bytes"
	"fmt"
	"math/bits"
	"reflect"
	"testing"
	"unsafe"
)

// sample returns a row of the event with every field set to a value of its own.
func sample(e *Event) Row {
	r := Row{Type: e.ID, TS: 1000 + 1, CPU: 1, Flags: FlagFailed, TID: 11, PID: 10, PStart: 99, Image: 3, Cred: 4, Cgroup: 5, Ret: -7, Comm: []byte("comm")}
	if e.Ring == NoRing {
		r.Flags = FlagRecorder
	}
	for i, f := range e.Fields {
		v := int64(100 + i)
		switch f.C {
		case CBytes, CClaimed:
			r.SetBytes(f.Col, fmt.Appendf(nil, "bytes-%d\xff", i))
		case CPath:
			r.SetBytes(f.Col, fmt.Appendf(nil, "/dir/a b/%d\xfe", i))
		case CAddr:
			r.SetBytes(f.Col, fmt.Appendf(nil, "10.0.0.%d", i))
		case CNone:
			if ColumnTable[f.Col].Kind == Dict {
				r.SetBytes(f.Col, fmt.Appendf(nil, "text-%d", i))
			} else {
				r.SetInt(f.Col, v)
			}
		default:
			r.SetInt(f.Col, v)
		}
		if f.Name == "family" {
			r.Family = 2
		}
	}
	return r
}

func same(t *testing.T, a, b *Row) {
	t.Helper()
	x, y := reflect.ValueOf(*a), reflect.ValueOf(*b)
	for i := 0; i < x.NumField(); i++ {
		f := x.Type().Field(i)
		if !f.IsExported() {
			continue
		}
		if p, ok := x.Field(i).Interface().([]byte); ok {
			if !bytes.Equal(p, y.Field(i).Interface().([]byte)) {
				t.Errorf("%s: %q, want %q", f.Name, y.Field(i).Interface(), p)
			}
		} else if x.Field(i).Interface() != y.Field(i).Interface() {
			t.Errorf("%s: %v, want %v", f.Name, y.Field(i).Interface(), x.Field(i).Interface())
		}
	}
}

func TestWireRoundTrip(t *testing.T) {
	for i := range Catalog {
		e := &Catalog[i]
		if e.Ring == NoRing {
			continue
		}
		t.Run(e.Name, func(t *testing.T) {
			want := sample(e)
			for _, f := range e.Fields {
				if f.C == CNone { // the recorder fills it in rows of its own
					if ColumnTable[f.Col].Kind == Dict {
						want.SetBytes(f.Col, nil)
					} else {
						want.SetInt(f.Col, 0)
					}
				}
			}
			rec := want.Wire(42)
			var got Row
			seq, err := Decode(rec, &got)
			if err != nil || seq != 42 {
				t.Fatalf("Decode: seq %d, %v", seq, err)
			}
			same(t, &want, &got)
			// Every shorter record is refused, never read past its end.
			for n := range rec {
				if _, err := Decode(rec[:n:n], &got); err == nil {
					t.Fatalf("record cut to %d of %d bytes was accepted", n, len(rec))
				}
			}
		})
	}
}

// What goes straight into columns is what goes through a row, and what is refused leaves no trace.
func TestRecordIsDecodeAndAppend(t *testing.T) {
	var direct, slow Columns
	for round := range 2 {
		direct.Reset()
		slow.Reset()
		for i := range Catalog {
			e := &Catalog[i]
			if e.Ring == NoRing {
				continue
			}
			row := sample(e)
			rec := row.Wire(uint64(round))
			for n := range rec {
				if err := direct.Record(rec[:n:n]); err == nil {
					t.Fatalf("%s cut to %d of %d bytes was accepted", e.Name, n, len(rec))
				}
			}
			var r Row
			if _, err := Decode(rec, &r); err != nil {
				t.Fatal(err)
			}
			for range 2 { // the second time names and paths are known
				if err := direct.Record(rec); err != nil {
					t.Fatal(err)
				}
				slow.Append(&r)
			}
		}
		direct.Finish()
		slow.Finish()
		equal(t, &slow, &direct)
	}
}

func equal(t *testing.T, want, got *Columns) {
	t.Helper()
	if got.N != want.N || got.Loaded != want.Loaded {
		t.Fatalf("%d rows of columns %x, want %d of %x", got.N, got.Loaded, want.N, want.Loaded)
	}
	var a, b Row
	for i := range want.N {
		want.Row(i, &a)
		got.Row(i, &b)
		same(t, &a, &b)
	}
	for col := range NumColumns {
		if d := want.Dict(col); d == nil && !bytes.Equal(want.Fixed(col), got.Fixed(col)) {
			t.Errorf("column %s differs where no row fills it", ColumnTable[col].Name)
		}
	}
}

// A batch in which everything was seen once takes no memory for what comes next.
func TestRecordAllocatesNothing(t *testing.T) {
	var recs [][]byte
	for i := range Catalog {
		if e := &Catalog[i]; e.Ring != NoRing {
			row := sample(e)
			recs = append(recs, row.Wire(1))
		}
	}
	var c Columns
	all := func() {
		c.Reset()
		for c.N < 8192 {
			for _, rec := range recs {
				if err := c.Record(rec); err != nil {
					t.Fatal(err)
				}
			}
		}
		c.Finish()
	}
	if n := testing.AllocsPerRun(3, all); n != 0 {
		t.Errorf("%v allocations in %d rows", n, c.N)
	}
}

func TestColumnsRoundTrip(t *testing.T) {
	var c Columns
	for round := 0; round < 2; round++ {
		c.Reset()
		for i := range Catalog {
			r := sample(&Catalog[i])
			c.Append(&r)
		}
		c.Finish()
		for i := range Catalog {
			want := sample(&Catalog[i])
			var got Row
			c.Row(i, &got)
			same(t, &want, &got)
		}
		for col := Column(0); col < NumColumns; col++ {
			if n := len(c.Fixed(col)); n != c.N*ColumnTable[col].Kind.Width() {
				t.Fatalf("column %s holds %d bytes for %d rows", ColumnTable[col].Name, n, c.N)
			}
		}
	}
}

func TestCatalogLaws(t *testing.T) {
	names, ids := map[string]bool{}, map[Type]bool{}
	last := Type(0)
	for _, e := range Catalog {
		if names[e.Name] || ids[e.ID] || e.ID <= last || e.ID >= MaxType {
			t.Errorf("event %s (%d): name or id used twice, out of order or too large", e.Name, e.ID)
		}
		names[e.Name], ids[e.ID], last = true, true, e.ID
		cols, fields := uint64(common), map[string]bool{}
		vars := 0
		for _, f := range e.Fields {
			if cols>>f.Col&1 == 1 {
				t.Errorf("%s.%s: column %s used twice", e.Name, f.Name, ColumnTable[f.Col].Name)
			}
			if fields[f.Name] {
				t.Errorf("%s.%s: name used twice", e.Name, f.Name)
			}
			cols |= 1 << f.Col
			fields[f.Name] = true
			if f.C == CBytes || f.C == CPath || f.C == CClaimed {
				vars++
				if ColumnTable[f.Col].Kind != Dict {
					t.Errorf("%s.%s: bytes in column %s", e.Name, f.Name, ColumnTable[f.Col].Name)
				}
			}
			if f.Doc == "" || f.Query == "" {
				t.Errorf("%s.%s: no sentence or no filter name", e.Name, f.Name)
			}
		}
		if vars > 16 {
			t.Errorf("%s: %d variable fields, marks hold 16", e.Name, vars)
		}
		if bits.OnesCount64(cols) > 64 {
			t.Errorf("%s: too many columns", e.Name)
		}
	}
	if NumColumns > 64 {
		t.Error("a column set no longer fits 64 bits")
	}
}

func TestPathWalks(t *testing.T) {
	for wire, want := range map[string]string{
		"/\x00":                   "/",
		"b\x00a\x00/\x00":         "/a/b",
		"b\x00a\x00":              "a/b",
		"memfd:x\x00":             "memfd:x",
		"":                        "",
		"c\x00b\x00a\x00/":        "/a/b/c",
		"a b\xff\x00etc\x00/\x00": "/etc/a b\xff",
	} {
		var r Row
		if got := string(r.path([]byte(wire))); got != want {
			t.Errorf("path(%q) = %q, want %q", wire, got, want)
		}
	}
}

func TestDeviceNumbers(t *testing.T) {
	for _, d := range []uint32{0, 1, 254 << 8, 0x1234_5601, 0x0fff_ffff} {
		if got := statDev(kernelDev(d)); got != d {
			t.Errorf("device %#x became %#x", d, got)
		}
	}
}

func TestLittleEndian(t *testing.T) {
	x := uint16(1)
	if *(*byte)(unsafe.Pointer(&x)) != 1 {
		t.Fatal("columns are stored as the machine holds them; this machine is not little endian")
	}
}

func FuzzDecode(f *testing.F) {
	for i := range Catalog {
		if Catalog[i].Ring != NoRing {
			r := sample(&Catalog[i])
			f.Add(r.Wire(1))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var r Row
		var c, direct Columns
		err := direct.Record(b)
		if _, e := Decode(b, &r); (e == nil) != (err == nil) {
			t.Fatalf("Decode: %v, Record: %v", e, err)
		} else if e != nil {
			return
		}
		c.Append(&r)
		c.Finish()
		direct.Finish()
		equal(t, &c, &direct)
	})
}

func BenchmarkRecord(b *testing.B) {
	r := sample(ByName("open"))
	rec := r.Wire(1)
	var c Columns
	b.ReportAllocs()
	for b.Loop() {
		if c.N == 16384 {
			c.Reset()
		}
		if err := c.Record(rec); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeAppend(b *testing.B) {
	r := sample(ByName("open"))
	rec := r.Wire(1)
	var c Columns
	b.ReportAllocs()
	for b.Loop() {
		if c.N == 16384 {
			c.Reset()
		}
		if _, err := Decode(rec, &r); err != nil {
			b.Fatal(err)
		}
		c.Append(&r)
	}
}
