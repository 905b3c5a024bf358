//go:build linux

package kerntest

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"hindcast/format/event"
)

// TestObjectsAgreeWithCatalog compares the types compiled into every object, of both
// architectures, with the layout that the decoder was generated from. It needs no privileges.
func TestObjectsAgreeWithCatalog(t *testing.T) {
	seen := map[string]map[string]bool{}
	for _, arch := range []string{"amd64", "arm64"} {
		files, err := filepath.Glob("../internal/obj/" + arch + "/*.o")
		if err != nil || len(files) == 0 {
			t.Fatalf("no objects for %s: %v", arch, err)
		}
		seen[arch] = map[string]bool{}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			cs, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(b))
			if err != nil {
				t.Fatalf("%s: %v", f, err)
			}
			for i := range event.Catalog {
				e := &event.Catalog[i]
				if e.Ring == event.NoRing {
					continue
				}
				var s *btf.Struct
				if err := cs.Types.TypeByName("hc_ev_"+e.Name, &s); errors.Is(err, btf.ErrNotFound) {
					continue
				} else if err != nil {
					t.Fatalf("%s: %s: %v", f, e.Name, err)
				}
				seen[arch][e.Name] = true
				agree(t, filepath.Base(f), e, s)
			}
		}
	}
	for i := range event.Catalog {
		e := &event.Catalog[i]
		if e.Ring == event.NoRing {
			continue
		}
		for arch, names := range seen {
			if !names[e.Name] {
				t.Errorf("%s: no object makes %s", arch, e.Name)
			}
		}
	}
}

func agree(t *testing.T, file string, e *event.Event, s *btf.Struct) {
	t.Helper()
	slots, size := e.Layout()
	if int(s.Size) != size {
		t.Errorf("%s: struct %s is %d bytes, the catalogue says %d", file, s.Name, s.Size, size)
	}
	offsets := map[string]int{}
	sizes := map[string]int{}
	for _, m := range s.Members {
		offsets[m.Name] = int(m.Offset.Bytes())
		sizes[m.Name], _ = btf.Sizeof(m.Type)
	}
	eq(t, file+" header of "+e.Name, sizes["h"], event.HeaderSize)
	for _, slot := range slots {
		if off, ok := offsets[slot.Name]; !ok || off != slot.Offset || sizes[slot.Name] != slot.Size {
			t.Errorf("%s: %s.%s is %d bytes at %d, the catalogue says %d at %d", file, e.Name, slot.Name, sizes[slot.Name], off, slot.Size, slot.Offset)
		}
	}
}
