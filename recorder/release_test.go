//go:build linux && (amd64 || arm64)

package recorder

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A holder gets the perf events of the tracepoints and a standard input that ends when Run has
// closed its own.
func TestHolderInheritsTheTracepoints(t *testing.T) {
	needKernel(t)
	said := filepath.Join(t.TempDir(), "said")
	res, err := Run(context.Background(), Options{
		Dir:     filepath.Join(t.TempDir(), "store"),
		Command: []string{"/bin/true"},
		Holder:  []string{"/bin/sh", "-c", `ls -l /proc/$$/fd | grep -c perf_event >"$0.part"; cat; mv "$0.part" "$0"`, said},
	})
	if err != nil || res.ExitCode != 0 || res.Unaccounted != 0 {
		t.Fatalf("%+v, %v", res, err)
	}
	// It ends by itself, some time after Run.
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		b, err := os.ReadFile(said)
		if err == nil {
			if n := number(t, said); n < 20 {
				t.Errorf("the holder got %s perf events", strings.TrimSpace(string(b)))
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the holder's standard input did not end")
		}
	}
}
