// Package report holds what the figures of the benchmark are computed and printed with.
//
// A pair is a window with a tool and its two neighbours without; a ratio is one pair's.
package report

import (
	"math"
	"slices"
)

// Ratios compares every window that had the tool with the mean of its neighbours that had
// not: off has one more window than on, and off[i], on[i], off[i+1] followed each other. A
// last window that has no second neighbour, as an interrupt leaves it, is left out.
func Ratios(off, on []float64) []float64 {
	r := make([]float64, min(len(on), max(0, len(off)-1)))
	for i := range r {
		r[i] = on[i] / ((off[i] + off[i+1]) / 2)
	}
	return r
}

// Median returns the middle value, the higher of two.
func Median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

// Mean returns the mean and the half width of its 95 % interval (Student's t).
func Mean(v []float64) (m, half float64) {
	for _, x := range v {
		m += x
	}
	n := float64(len(v))
	m /= n
	if len(v) < 2 {
		return m, math.Inf(1)
	}
	var s float64
	for _, x := range v {
		s += (x - m) * (x - m)
	}
	return m, student(len(v)-1) * math.Sqrt(s/(n-1)/n)
}

// student returns the two-sided 95 % quantile of the t distribution (Cornish-Fisher
// around the normal quantile; exact table below five degrees of freedom).
func student(df int) float64 {
	if t := [...]float64{0, 12.706, 4.303, 3.182, 2.776}; df < len(t) {
		return t[df]
	}
	const z = 1.959964
	d := float64(df)
	return z + (z*z*z+z)/(4*d) + (5*math.Pow(z, 5)+16*z*z*z+3*z)/(96*d*d) +
		(3*math.Pow(z, 7)+19*math.Pow(z, 5)+17*z*z*z-15*z)/(384*d*d*d)
}
