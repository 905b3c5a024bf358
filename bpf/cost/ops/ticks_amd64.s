#include "textflag.h"

// func Ticks() uint64
TEXT ·Ticks(SB), NOSPLIT, $0-8
	LFENCE
	RDTSC
	SHLQ $32, DX
	ORQ  DX, AX
	MOVQ AX, ret+0(FP)
	RET

// func spin(n uint64)
TEXT ·spin(SB), NOSPLIT, $0-8
	MOVQ n+0(FP), CX

loop:
	DECQ CX
	JNZ  loop
	RET
