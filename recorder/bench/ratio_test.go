//go:build linux

package main

import (
	"math"
	"testing"
)

func TestRatiosUseBothNeighbours(t *testing.T) {
	got := ratios([]sample{10, 30, 10}, []sample{40, 10})
	if got[0] != 2 || got[1] != 0.5 {
		t.Errorf("ratios %v, want [2 0.5]", got)
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
	m, half := mean([]float64{1, 2, 3, 4, 5}) // sd 1.5811, t 2.776
	if m != 3 || math.Abs(half-1.9629) > 0.001 {
		t.Errorf("mean %v ± %v, want 3 ± 1.963", m, half)
	}
}
