package report

import (
	"math"
	"testing"
)

func TestRatiosUseBothNeighbours(t *testing.T) {
	got := Ratios([]float64{10, 30, 10}, []float64{40, 10})
	if got[0] != 2 || got[1] != 0.5 {
		t.Errorf("ratios %v, want [2 0.5]", got)
	}
}

func TestRatiosOfHalfAPair(t *testing.T) {
	if got := Ratios([]float64{10, 20}, []float64{30, 99}); len(got) != 1 || got[0] != 2 {
		t.Errorf("ratios %v, want [2]", got)
	}
	if got := Ratios(nil, []float64{1}); len(got) != 0 {
		t.Errorf("ratios %v of nothing", got)
	}
}

// Values of the t table.
func TestStudent(t *testing.T) {
	for df, want := range map[int]float64{1: 12.706, 4: 2.776, 5: 2.571, 9: 2.262, 19: 2.093, 24: 2.064, 120: 1.980} {
		if got := student(df); math.Abs(got-want) > 0.004 {
			t.Errorf("student(%d) = %.4f, want %.3f", df, got, want)
		}
	}
}

func TestMeanInterval(t *testing.T) {
	m, half := Mean([]float64{1, 2, 3, 4, 5}) // sd 1.5811, t 2.776
	if m != 3 || math.Abs(half-1.9629) > 0.001 {
		t.Errorf("mean %v ± %v, want 3 ± 1.963", m, half)
	}
}

func TestMedian(t *testing.T) {
	if m := Median([]float64{9, 1, 5}); m != 5 {
		t.Errorf("median %v, want 5", m)
	}
}

func TestTableAlignsNumbers(t *testing.T) {
	tb := NewTable("tool", "cost")
	tb.Row("one", "1.0")
	tb.Row("a|b", "")
	const want = "| tool | cost |\n|---|---:|\n| one | 1.0 |\n| a\\|b | - |\n"
	if got := tb.String(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestThousands(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", -1234567: "-1,234,567"} {
		if got := Thousands(n); got != want {
			t.Errorf("Thousands(%d) = %s, want %s", n, got, want)
		}
	}
}
