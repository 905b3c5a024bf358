package segment

import (
	flatbuffers "github.com/google/flatbuffers/go"

	"hindcast/format/event"
)

// Numbers of the Arrow flatbuffer schema (Message.fbs, Schema.fbs), which has no Go form
// outside arrow's own internal package.
const (
	metadataV5 = 4

	headerSchema      = 1
	headerDictionary  = 2
	headerRecordBatch = 3

	typeInt       = 2
	typeBinary    = 4
	typeTimestamp = 10

	unitNanosecond = 3
	codecZSTD      = 1
)

// columnsOf returns how many columns a segment of that catalogue version has, 0 when the
// version is unknown. Columns are only ever appended, so a number says all.
func columnsOf(catalog int) int {
	switch catalog {
	case 1:
		return int(event.ColN12) + 1
	case 2:
		return int(event.NumColumns)
	}
	return 0
}

// encoder builds the metadata flatbuffer of messages; it is reused from one to the next.
type encoder struct {
	b       *flatbuffers.Builder
	offsets []flatbuffers.UOffsetT
}

func newEncoder() *encoder { return &encoder{b: flatbuffers.NewBuilder(8192)} }

// noDigest stands where the digest will be while the digest is computed.
const noDigest = "0000000000000000000000000000000000000000000000000000000000000000"

// digestTail is where the digest's 64 characters begin, counted from the end of the
// metadata: they are the string built first, which flatbuffers lay down last, followed by
// its NUL and three bytes of padding.
const digestTail = len(noDigest) + 4

// begin starts a message. With digest, the place of the digest is made first.
func (e *encoder) begin(digest bool) (place flatbuffers.UOffsetT) {
	e.b.Reset()
	if digest {
		place = e.b.CreateString(noDigest)
	}
	return place
}

// custom builds custom_metadata; place is the value of the key "digest".
func (e *encoder) custom(place flatbuffers.UOffsetT, prefix string, kv []pair) flatbuffers.UOffsetT {
	b := e.b
	e.offsets = e.offsets[:0]
	add := func(key string, v flatbuffers.UOffsetT) {
		k := b.CreateString(prefix + key)
		b.StartObject(2)
		b.PrependUOffsetTSlot(0, k, 0)
		b.PrependUOffsetTSlot(1, v, 0)
		e.offsets = append(e.offsets, b.EndObject())
	}
	for _, p := range kv {
		add(p.key, b.CreateString(p.value))
	}
	if place != 0 {
		add("digest", place)
	}
	return b.CreateVectorOfTables(e.offsets)
}

// finish closes the Message table and returns its bytes, valid until the next begin.
func (e *encoder) finish(header byte, h flatbuffers.UOffsetT, body int64, custom flatbuffers.UOffsetT) []byte {
	b := e.b
	b.StartObject(5)
	b.PrependInt64Slot(3, body, -1) // written even when 0: it makes the length a multiple of 8
	b.PrependUOffsetTSlot(2, h, 0)
	b.PrependUOffsetTSlot(4, custom, 0)
	b.PrependInt16Slot(0, metadataV5, 0)
	b.PrependByteSlot(1, header, 0)
	b.Finish(b.EndObject())
	return b.FinishedBytes()
}

// schema returns the metadata of the schema message.
func (e *encoder) schema(m *Meta) []byte {
	place := e.begin(true)
	b := e.b
	digest := e.custom(place, "", nil)
	meta := e.custom(0, metaPrefix, m.pairs())
	var fields []flatbuffers.UOffsetT
	for col := event.Column(0); col < event.NumColumns; col++ {
		fields = append(fields, e.field(col))
	}
	v := b.CreateVectorOfTables(fields)
	b.StartObject(4)
	b.PrependUOffsetTSlot(1, v, 0)
	b.PrependUOffsetTSlot(2, meta, 0)
	b.PrependInt16Slot(0, 0, -1) // little endian
	return e.finish(headerSchema, b.EndObject(), 0, digest)
}

func (e *encoder) field(col event.Column) flatbuffers.UOffsetT {
	b := e.b
	info := &event.ColumnTable[col]
	name := b.CreateString(info.Name)
	children := b.CreateVectorOfTables(nil)
	var dict, typ flatbuffers.UOffsetT
	kind := byte(typeInt)
	switch info.Kind {
	case event.Dict:
		kind = typeBinary
		index := e.integer(32, false)
		b.StartObject(4)
		b.PrependInt64Slot(0, int64(col), -1)
		b.PrependUOffsetTSlot(1, index, 0)
		b.PrependBoolSlot(2, false, true)
		dict = b.EndObject()
		b.StartObject(0)
		typ = b.EndObject()
	case event.Time:
		kind = typeTimestamp
		tz := b.CreateString("UTC")
		b.StartObject(2)
		b.PrependInt16Slot(0, unitNanosecond, 0)
		b.PrependUOffsetTSlot(1, tz, 0)
		typ = b.EndObject()
	default:
		signed := info.Kind == event.I32 || info.Kind == event.I64
		typ = e.integer(8*info.Kind.Width(), signed)
	}
	b.StartObject(7)
	b.PrependUOffsetTSlot(0, name, 0)
	b.PrependUOffsetTSlot(3, typ, 0)
	b.PrependUOffsetTSlot(4, dict, 0)
	b.PrependUOffsetTSlot(5, children, 0)
	b.PrependByteSlot(2, kind, 0)
	b.PrependBoolSlot(1, col != event.ColTS && col != event.ColType, false)
	return b.EndObject()
}

func (e *encoder) integer(bits int, signed bool) flatbuffers.UOffsetT {
	e.b.StartObject(2)
	e.b.PrependInt32Slot(0, int32(bits), 0)
	e.b.PrependBoolSlot(1, signed, false)
	return e.b.EndObject()
}

// recordBatch builds the RecordBatch table of rows with the given nodes (null counts) and
// buffers (offset, length).
func (e *encoder) recordBatch(rows int, nulls []int64, lengths []int64, buffers [][2]int64) flatbuffers.UOffsetT {
	b := e.b
	b.StartObject(2)
	b.PrependInt8Slot(0, codecZSTD, 0)
	compression := b.EndObject()
	b.StartVector(16, len(buffers), 8)
	for i := len(buffers) - 1; i >= 0; i-- {
		b.Prep(8, 16)
		b.PrependInt64(buffers[i][1])
		b.PrependInt64(buffers[i][0])
	}
	bufs := b.EndVector(len(buffers))
	b.StartVector(16, len(nulls), 8)
	for i := len(nulls) - 1; i >= 0; i-- {
		b.Prep(8, 16)
		b.PrependInt64(nulls[i])
		b.PrependInt64(lengths[i])
	}
	nodes := b.EndVector(len(nulls))
	b.StartObject(4)
	b.PrependInt64Slot(0, int64(rows), 0)
	b.PrependUOffsetTSlot(1, nodes, 0)
	b.PrependUOffsetTSlot(2, bufs, 0)
	b.PrependUOffsetTSlot(3, compression, 0)
	return b.EndObject()
}

// dictionary returns the metadata of a dictionary message.
func (e *encoder) dictionary(id event.Column, values int, buffers [][2]int64, body int64) []byte {
	e.begin(false)
	data := e.recordBatch(values, []int64{0}, []int64{int64(values)}, buffers)
	b := e.b
	b.StartObject(3)
	b.PrependInt64Slot(0, int64(id), -1)
	b.PrependUOffsetTSlot(1, data, 0)
	b.PrependBoolSlot(2, false, true)
	return e.finish(headerDictionary, b.EndObject(), body, 0)
}
