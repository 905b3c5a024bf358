package seal

import (
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

// TestRoot compares with the tree that tlog itself builds from stored hashes, for every
// size around powers of two.
func TestRoot(t *testing.T) {
	var stored []tlog.Hash
	read := tlog.HashReaderFunc(func(ix []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(ix))
		for i, x := range ix {
			out[i] = stored[x]
		}
		return out, nil
	})
	var leaves []Digest
	for n := int64(0); n < 70; n++ {
		d := Sum([]byte{byte(n)})
		leaves = append(leaves, d)
		hs, err := tlog.StoredHashes(n, d[:], read)
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, hs...)
		want, err := tlog.TreeHash(n+1, read)
		if err != nil {
			t.Fatal(err)
		}
		if got := Root(leaves); got != Digest(want) {
			t.Fatalf("root of %d leaves is %v, want %v", n+1, got, want)
		}
	}
	if Root(nil).String() != "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" {
		t.Error("root of the empty tree")
	}
}

func TestParseDigest(t *testing.T) {
	d := Sum([]byte("x"))
	if got, err := ParseDigest(d.String()); err != nil || got != d {
		t.Fatalf("ParseDigest: %v, %v", got, err)
	}
	for _, s := range []string{"", "zz", d.String()[1:], d.String() + "0", "g" + d.String()[1:]} {
		if _, err := ParseDigest(s); err == nil {
			t.Errorf("ParseDigest(%q) succeeded", s)
		}
	}
}
