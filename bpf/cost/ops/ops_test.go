//go:build linux

package ops

import "testing"

func TestOpsCanBeRepeated(t *testing.T) {
	list, err := Ops(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range list {
		for range 3 {
			if err := o.Do(); err != nil {
				t.Fatalf("%s: %v", o.Name, err)
			}
		}
	}
}
