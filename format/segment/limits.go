package segment

// Bounds of the format. A writer stays within them, a reader refuses what is beyond them
// before it takes memory.
const (
	Format = 1 // version of the layout in SPEC.md

	MaxRows     = 16384    // rows of a batch
	MaxMetadata = 1 << 20  // flatbuffer of one message
	MaxBody     = 32 << 20 // compressed buffers of one message
	MaxRaw      = 64 << 20 // all buffers of one batch together, decompressed
	MaxBatch    = 72 << 20 // bytes of one batch in the file
	MaxFooter   = 64 << 20 // footer section
	MaxEntries  = 1 << 18  // batches of one segment
	MaxFilter   = 16 << 20 // filter section

	splitRaw = 24 << 20 // a batch with more raw bytes is written as several
)
