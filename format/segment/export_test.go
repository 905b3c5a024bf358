package segment

import "hash/crc32"

// Sign makes the digest of a changed batch right again, as a forger would; end is where
// the metadata of its record batch ends.
var Sign = sign

// Checksum makes the checksum of a footer right again where the trailer makes sense.
func Checksum(b []byte) {
	if len(b) < trailerSize {
		return
	}
	t := b[len(b)-trailerSize:]
	at, end, _, f := tailLayout(t, int64(len(b)))
	if f != nil {
		return
	}
	crc := crc32.Checksum(b[at:end], castagnoli)
	crc = crc32.Update(crc, castagnoli, t[:24])
	crc = crc32.Update(crc, castagnoli, t[28:])
	copy(t[24:], app32(nil, crc))
}
