//go:build linux

package batch

import (
	"testing"

	"hindcast/format/clock"
)

// Records of two cpus, each nearly in order: as they come from the rings, one ring after the other,
// until their time has come. One of a hundred is late, as that of an interrupted program.
func BenchmarkOrder(b *testing.B) {
	const round = 4096
	var recs [2][round][]byte
	for cpu := range recs {
		for i := range round {
			ts := clock.Boot(i * 10)
			if i%100 == 99 {
				ts -= 35
			}
			recs[cpu][i] = append(wire(ts+clock.Boot(cpu), 1), make([]byte, 200)...)
		}
	}
	for name, add := range map[string]func(o *Order, cpu int, rec []byte){
		"referred to": func(o *Order, cpu int, rec []byte) { o.Ref(cpu, wireTime(rec), rec) },
		"copied":      func(o *Order, _ int, rec []byte) { o.Add(rec) },
	} {
		b.Run(name, func(b *testing.B) {
			var o Order
			n := 0
			b.ReportAllocs()
			for b.Loop() {
				for cpu := range recs {
					for _, rec := range recs[cpu] {
						add(&o, cpu, rec)
					}
				}
				o.Take(1<<62, func([]byte) { n++ }, nil)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/record")
		})
	}
}
