package index

import (
	"math/rand/v2"
	"strings"
	"testing"

	"hindcast/format/clock"
)

func TestSpansAgainstSlice(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 300 {
		s := NewSpans[int, int]()
		var all []Span[int, int]
		for i := range r.IntN(60) {
			from := clock.Boot(r.IntN(30))
			to := from + clock.Boot(r.IntN(20))
			if r.IntN(3) == 0 {
				to = Forever
			}
			all = append(all, s.Add(r.IntN(4), from, to, i))
			if r.IntN(4) == 0 { // end one early
				j := r.IntN(len(all))
				all[j].To = all[j].From + clock.Boot(r.IntN(5))
				s.Replace(all[j])
			}
		}
		if s.Len() != len(all) {
			t.Fatalf("%d spans, have %d", len(all), s.Len())
		}
		for key := range 5 {
			for at := clock.Boot(-1); at < 60; at++ {
				var want *Span[int, int]
				for i := range all {
					x := &all[i]
					if x.Key == key && x.From <= at && at < x.To && (want == nil || x.From > want.From || x.From == want.From && x.seq > want.seq) {
						want = x
					}
				}
				got, ok := s.At(key, at)
				if ok != (want != nil) || ok && got.Value != want.Value {
					t.Fatalf("key %d at %d: %v %v, want %v", key, at, got, ok, want)
				}
			}
			n, last := 0, clock.Boot(-1)
			s.Each(key, func(x Span[int, int]) bool {
				if x.From < last {
					t.Fatal("out of order")
				}
				last = x.From
				n++
				return true
			})
			for i := range all {
				if all[i].Key == key {
					n--
				}
			}
			if n != 0 {
				t.Fatalf("Each of key %d is off by %d", key, n)
			}
		}
	}
}

func TestIDs(t *testing.T) {
	var x IDs
	r := rand.New(rand.NewPCG(2, 2))
	hashes := []uint64{0, 1, 2, 1 << 63, 1<<63 | 1, 1<<64 - 1}
	for range 3000 {
		hashes = append(hashes, r.Uint64())
	}
	for _, h := range hashes {
		x.Add(h)
	}
	x.Freeze()
	for i, h := range hashes {
		id := x.ID(uint32(i))
		whole := digits(h)
		if len(id) < MinID || !strings.HasPrefix(string(whole[:]), id) {
			t.Fatalf("id %q of %x", id, h)
		}
		for n := len(id); n <= idDigits; n++ { // longer prefixes mean the same
			got := x.Find(strings.ToUpper(string(whole[:n])), 9)
			if len(got) != 1 || got[0] != uint32(i) {
				t.Fatalf("%q finds %v, want %d", whole[:n], got, i)
			}
		}
		if len(id) > MinID {
			if got := x.Find(id[:len(id)-1], 9); len(got) < 2 {
				t.Fatalf("%q is not the shortest for %d", id, i)
			}
		}
	}
	for _, bad := range []string{"", "u", "!", strings.Repeat("0", 14)} {
		if got := x.Find(bad, 9); got != nil {
			t.Errorf("%q finds %v", bad, got)
		}
	}
	if a, b := x.Find("00001", 9), x.Find("oooo1", 9); len(a) != len(b) {
		t.Error("o is not read as 0")
	}
	// Equal hashes can be told apart by nothing: both are found.
	var twice IDs
	twice.Add(7)
	twice.Add(7)
	twice.Freeze()
	if got := twice.Find(twice.ID(0), 9); len(got) != 2 {
		t.Errorf("a collision finds %v", got)
	}
}

func TestHashSeparates(t *testing.T) {
	seen := map[uint64]string{}
	for _, c := range []struct {
		name string
		h    uint64
	}{
		{"plain", Hash("b", 'p', 1, 2)}, {"other boot", Hash("c", 'p', 1, 2)}, {"other kind", Hash("b", 'f', 1, 2)},
		{"swapped", Hash("b", 'p', 2, 1)}, {"shorter", Hash("b", 'p', 1)}, {"no boot", Hash("", 'p', 1, 2)},
	} {
		if old, ok := seen[c.h]; ok {
			t.Errorf("%s and %s share a hash", old, c.name)
		}
		seen[c.h] = c.name
	}
}

func TestNames(t *testing.T) {
	var n Names
	if n.IDString("") != 0 || n.ID([]byte("a")) != n.IDString("a") || n.String(n.ID([]byte("\xff\x00"))) != "\xff\x00" {
		t.Error("interning loses bytes")
	}
	if _, ok := n.Lookup("none"); ok {
		t.Error("lookup added a name")
	}
	for _, c := range []struct {
		in   string
		want string
	}{{"", ""}, {"a\x00", "a"}, {"a\x00b\x00", "a|b"}, {"a\x00\x00", "a|"}, {"a", "a"}, {"\x00", ""}} {
		if got := strings.Join(SplitArgs([]byte(c.in)), "|"); got != c.want {
			t.Errorf("SplitArgs(%q) = %q", c.in, got)
		}
	}
}
