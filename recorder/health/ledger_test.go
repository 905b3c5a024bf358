package health

import (
	"os"
	"regexp"
	"strconv"
	"testing"

	"hindcast/format/event"
)

// The counters' numbers are the kernel half's.
func TestCausesAreThoseOfTheKernelHalf(t *testing.T) {
	b, err := os.ReadFile("../../bpf/include/maps.h")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int{"SEEN": Seen, "RING_FULL": RingFull, "READ_FAULT": ReadFault, "MAP_FULL": MapFull, "BUSY": Busy,
		"SELF": Self, "TRUNCATED": Truncated, "NESTED": Nested, "QUOTA": Quota, "UNSELECTED": Unselected, "DESELECTED": Deselected, "CAUSES": Causes}
	found := 0
	for _, m := range regexp.MustCompile(`\bHC_([A-Z_]+) = (\d+),`).FindAllStringSubmatch(string(b), -1) {
		n, _ := strconv.Atoi(m[2])
		if v, ok := want[m[1]]; !ok || v != n {
			t.Errorf("maps.h: %s = %d, here %d (known %v)", m[1], n, v, ok)
		}
		found++
	}
	if found != len(want) {
		t.Errorf("maps.h names %d causes, want %d", found, len(want))
	}
}

type entry struct {
	cpu    uint16
	class  event.Type
	n      int64
	cause  string
	t0, ts int64
}

func entries(rows []event.Row) (out []entry) {
	for _, r := range rows {
		out = append(out, entry{r.CPU, event.Type(r.N1), r.N2, string(r.Text), int64(r.T0), int64(r.TS)})
	}
	return out
}

func same(t *testing.T, got []event.Row, want ...entry) {
	t.Helper()
	g := entries(got)
	if len(g) != len(want) {
		t.Fatalf("got %+v, want %+v", g, want)
	}
	for i := range want {
		if g[i] != want[i] {
			t.Errorf("row %d: got %+v, want %+v", i, g[i], want[i])
		}
	}
}

func TestUpdateWritesDownWhatGrew(t *testing.T) {
	l := Ledger{Start: 100}
	r := Reading{At: 200, CPU: make([]Counts, 2), Missed: []Miss{{"hc_open", event.Open, 2}}}
	r.CPU[1][RingFull][event.Open] = 5
	r.CPU[1][Self][event.Open] = 99      // not a loss
	r.CPU[0][Truncated][event.Exec] = 99 // nothing is missing
	r.CPU[0][ReadFault][event.Rename] = 1
	r.Decode[event.Exec] = 3
	same(t, l.Update(r),
		entry{0, event.Rename, 1, "read_fault", 100, 200},
		entry{0, event.Exec, 0, "truncated", 100, 200},
		entry{1, event.Open, 5, "ring_full", 100, 200},
		entry{0, event.Exec, 3, "decode", 100, 200},
		entry{0, event.Open, 2, "recursion", 100, 200})
	if l.Lost != 10 || l.By["read_fault"] != 1 {
		t.Errorf("lost %d, by %v", l.Lost, l.By)
	}
	again := r
	again.At = 300
	same(t, l.Update(again))
	again.CPU = append([]Counts(nil), r.CPU...)
	again.CPU[1][RingFull][event.Open] = 6
	again.Disk[event.Fork] = 7
	again.At = 400
	same(t, l.Update(again),
		entry{1, event.Open, 1, "ring_full", 300, 400},
		entry{0, event.Fork, 7, "disk", 300, 400})
	if l.Lost != 18 {
		t.Errorf("lost %d", l.Lost)
	}
}

// What was told goes from one recorder to the next, and what quotas refused is told by cgroup.
func TestTheNextRecorderTellsOnlyWhatIsNew(t *testing.T) {
	r := Reading{At: 200, CPU: make([]Counts, 1), Missed: []Miss{{"hc_open", event.Open, 2}}}
	r.CPU[0][RingFull][event.Open], r.CPU[0][Quota][event.Open] = 5, 3
	r.Refused = map[Refusal]uint64{{7, event.Open}: 2, {0, event.Open}: 1}
	first := Ledger{Start: 100}
	rows := first.Update(r)
	same(t, rows,
		entry{0, event.Open, 5, "ring_full", 100, 200},
		entry{0, event.Open, 1, "quota", 100, 200},
		entry{0, event.Open, 2, "quota", 100, 200},
		entry{0, event.Open, 2, "recursion", 100, 200})
	if rows[1].Cgroup != 0 || rows[2].Cgroup != 7 {
		t.Errorf("refused of cgroups %d and %d", rows[1].Cgroup, rows[2].Cgroup)
	}
	next := Ledger{Start: 100}
	next.Resume(first.Told())
	r.At = 300
	same(t, next.Update(r))
	r.CPU = []Counts{r.CPU[0]}
	r.CPU[0][RingFull][event.Open]++
	r.Missed = []Miss{{"hc_open", event.Open, 3}}
	r.At = 400
	same(t, next.Update(r), entry{0, event.Open, 1, "ring_full", 300, 400}, entry{0, event.Open, 1, "recursion", 300, 400})
	received := [event.MaxType]uint64{event.Open: 10}
	r.CPU[0][Seen][event.Open] = 10 + 6 + 3
	if rows, n := next.Reconcile(r, &received, Gaps{event.Bulk, []uint64{9}}); n != 0 {
		t.Errorf("%d unaccounted: %+v", n, entries(rows))
	}
	r.Refused = map[Refusal]uint64{{7, event.Open}: 2}
	if _, n := next.Reconcile(r, &received); n != 1 {
		t.Errorf("%d unaccounted when a refusal has no cgroup", n)
	}
}

func TestReconcileFindsWhatNobodyOwnedUpTo(t *testing.T) {
	r := Reading{At: 9, CPU: make([]Counts, 2)}
	r.CPU[0][Seen][event.Open] = 10
	r.CPU[1][Seen][event.Open] = 10
	r.CPU[1][RingFull][event.Open] = 4
	r.CPU[0][Nested][event.Open] = 1
	received := [event.MaxType]uint64{event.Open: 15}
	l := Ledger{Start: 1}
	rows, n := l.Reconcile(r, &received, Gaps{event.Bulk, []uint64{0, 4}}, Gaps{event.Critical, []uint64{0}})
	if n != 0 || len(rows) != 0 {
		t.Fatalf("whole sum: %d unaccounted, %+v", n, entries(rows))
	}
	received[event.Open] = 12
	rows, n = l.Reconcile(r, &received)
	same(t, rows, entry{0, event.Open, 3, "unaccounted", 1, 9})
	if n != 3 {
		t.Errorf("%d unaccounted", n)
	}
	// holes that no counter explains
	received[event.Open] = 15
	rows, n = l.Reconcile(r, &received, Gaps{event.Bulk, []uint64{2, 4}})
	same(t, rows, entry{0, 0, 2, "unaccounted", 1, 9})
	if n != 2 {
		t.Errorf("%d unaccounted", n)
	}
	// a record that was never counted is as wrong as one that never came
	received[event.Fork] = 1
	if _, n = l.Reconcile(r, &received); n != 1 {
		t.Errorf("%d unaccounted", n)
	}
}
