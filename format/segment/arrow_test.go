package segment_test

import (
	"bytes"
	"fmt"
	"runtime"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/ipc"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"hindcast/format/event"
	"hindcast/format/testkit"
)

// TestArrowReads compares every value of a segment, sealed and not, with what arrow's own
// reader finds in the same bytes: types, nulls, wall time, dictionaries.
func TestArrowReads(t *testing.T) {
	batches := three()
	h := testkit.NewHost(1)
	busy := make([]event.Row, 5000)
	for i := range busy {
		h.Next(&busy[i])
	}
	batches = append(batches, busy, busy[:17])
	for _, sealed := range []bool{true, false} {
		f, _ := write(t, sealed, batches...)
		mem := memory.NewCheckedAllocator(memory.NewGoAllocator())
		r, err := ipc.NewReader(bytes.NewReader(f.B), ipc.WithAllocator(mem))
		if err != nil {
			t.Fatal(err)
		}
		if v, _ := r.Schema().Metadata().GetValue("hindcast.host"); v != meta.Host {
			t.Errorf("schema metadata host %q", v)
		}
		n := 0
		for r.Next() {
			rec := r.Record()
			if n == len(batches) {
				t.Fatal("more batches than written")
			}
			compareRecord(t, rec, batches[n])
			n++
		}
		if r.Err() != nil || n != len(batches) {
			t.Fatalf("arrow read %d of %d batches: %v", n, len(batches), r.Err())
		}
		r.Release()
		mem.AssertSize(t, 0)
	}
}

func compareRecord(t *testing.T, rec arrow.Record, rows []event.Row) {
	t.Helper()
	if int(rec.NumRows()) != len(rows) || rec.NumCols() != int64(event.NumColumns) {
		t.Fatalf("record of %d rows and %d columns, want %d and %d", rec.NumRows(), rec.NumCols(), len(rows), event.NumColumns)
	}
	for col := event.Column(0); col < event.NumColumns; col++ {
		info := event.ColumnTable[col]
		if rec.ColumnName(int(col)) != info.Name {
			t.Fatalf("column %d is %q, want %q", col, rec.ColumnName(int(col)), info.Name)
		}
		a := rec.Column(int(col))
		nulls := 0
		for i := range rows {
			r := &rows[i]
			if r.Type.Has()>>col&1 == 0 {
				nulls++
				if !a.IsNull(i) {
					t.Fatalf("%s of a %s row is not null", info.Name, r.Type)
				}
				continue
			}
			if a.IsNull(i) {
				t.Fatalf("%s of a %s row is null", info.Name, r.Type)
			}
			var v int64
			switch x := a.(type) {
			case *array.Uint8:
				v = int64(x.Value(i))
			case *array.Uint16:
				v = int64(x.Value(i))
			case *array.Uint32:
				v = int64(x.Value(i))
			case *array.Uint64:
				v = int64(x.Value(i))
			case *array.Int32:
				v = int64(x.Value(i))
			case *array.Int64:
				v = x.Value(i)
			case *array.Timestamp:
				v = int64(x.Value(i)) - int64(meta.Clock.Offset())
			case *array.Dictionary:
				got := x.Dictionary().(*array.Binary).Value(x.GetValueIndex(i))
				if !bytes.Equal(got, r.Bytes(col)) {
					t.Fatalf("%s of row %d is %q, want %q", info.Name, i, got, r.Bytes(col))
				}
				continue
			default:
				t.Fatalf("%s is a %T", info.Name, a)
			}
			if v != r.Int(col) {
				t.Fatalf("%s of row %d (%s) is %d, want %d", info.Name, i, r.Type, v, r.Int(col))
			}
		}
		if a.NullN() != nulls {
			t.Fatalf("%s has %d nulls, want %d", info.Name, a.NullN(), nulls)
		}
	}
}

// arrowRows counts the rows that arrow's reader finds.
func arrowRows(t *testing.T, b []byte) (n int) {
	t.Helper()
	r, err := ipc.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Release()
	for r.Next() {
		n += int(r.Record().NumRows())
	}
	if r.Err() != nil {
		t.Fatal(r.Err())
	}
	return n
}

// arrowRecord makes arrow's form of a batch: the same columns, nulls and dictionaries.
func arrowRecord(c *event.Columns) arrow.Record {
	mem := memory.NewGoAllocator()
	var fields []arrow.Field
	var cols []arrow.Array
	for col := event.Column(0); col < event.NumColumns; col++ {
		info := event.ColumnTable[col]
		valid := make([]bool, c.N)
		for i, t := range c.Type {
			valid[i] = t.Has()>>col&1 != 0
		}
		bits := memory.NewBufferBytes(bitmapOf(valid))
		nulls := 0
		for _, v := range valid {
			if !v {
				nulls++
			}
		}
		typ := map[event.Kind]arrow.DataType{event.U8: arrow.PrimitiveTypes.Uint8, event.U16: arrow.PrimitiveTypes.Uint16, event.U32: arrow.PrimitiveTypes.Uint32,
			event.U64: arrow.PrimitiveTypes.Uint64, event.I32: arrow.PrimitiveTypes.Int32, event.I64: arrow.PrimitiveTypes.Int64,
			event.Time: arrow.FixedWidthTypes.Timestamp_ns, event.Dict: arrow.PrimitiveTypes.Uint32}[info.Kind]
		values := memory.NewBufferBytes(c.Fixed(col))
		data := array.NewData(typ, c.N, []*memory.Buffer{bits, values}, nil, nulls, 0)
		a := array.MakeFromData(data)
		if d := c.Dict(col); d != nil {
			b := array.NewBinaryBuilder(mem, arrow.BinaryTypes.Binary)
			for i := range d.Len() {
				b.Append(d.Value(uint32(i)))
			}
			dt := &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Uint32, ValueType: arrow.BinaryTypes.Binary}
			a, typ = array.NewDictionaryArray(dt, a, b.NewArray()), dt
		}
		fields = append(fields, arrow.Field{Name: info.Name, Type: typ, Nullable: true})
		cols = append(cols, a)
	}
	return array.NewRecord(arrow.NewSchema(fields, nil), cols, int64(c.N))
}

func bitmapOf(valid []bool) []byte {
	b := make([]byte, (len(valid)+7)/8)
	for i, v := range valid {
		if v {
			b[i/8] |= 1 << (i % 8)
		}
	}
	return b
}

// BenchmarkArrowWrite is BenchmarkWrite with arrow's own writer: no digests, no index. Its
// records are made beforehand.
func BenchmarkArrowWrite(b *testing.B) {
	for _, rows := range []int{16384, 4096, 512} {
		b.Run(fmt.Sprint(rows), func(b *testing.B) {
			var recs []arrow.Record
			for _, c := range hostBatches(rows, 8) {
				recs = append(recs, arrowRecord(c))
			}
			var f counter
			w := ipc.NewWriter(&f, ipc.WithSchema(recs[0].Schema()), ipc.WithZstd())
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := cpuTime()
			b.ResetTimer()
			for i := range b.N {
				if err := w.Write(recs[i%len(recs)]); err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			runtime.ReadMemStats(&after)
			n := float64(b.N) * float64(rows)
			perSecond(b, n, start)
			b.ReportMetric(float64(f)/n, "bytes/row")
			b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/n, "alloc/row")
		})
	}
}

type counter int64

func (c *counter) Write(p []byte) (int, error) { *c += counter(len(p)); return len(p), nil }
