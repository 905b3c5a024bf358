//go:build linux

package ops

// Ticks reads the processor's time stamp counter. Where CountsInstructions is true it is a number
// of instructions.
func Ticks() uint64

// spin executes 2n instructions and a few.
func spin(n uint64)

// CountsInstructions tells whether every instruction takes one tick, as in a guest of QEMU that
// runs with -icount shift=0.
func CountsInstructions() bool {
	const n = 1 << 16
	best := ^uint64(0)
	for range 16 {
		from := Ticks()
		spin(n)
		best = min(best, Ticks()-from)
	}
	return best >= 2*n && best < 2*n+64
}
