#include "textflag.h"

// func Call(nr, a, b, c, d, e, f uint32) int32
TEXT ·Call(SB), NOSPLIT, $8-36
	MOVQ BP, saved-8(SP)
	MOVL nr+0(FP), AX
	MOVL a+4(FP), BX
	MOVL b+8(FP), CX
	MOVL c+12(FP), DX
	MOVL d+16(FP), SI
	MOVL e+20(FP), DI
	MOVL f+24(FP), BP
	INT  $0x80
	MOVQ saved-8(SP), BP
	MOVL AX, ret+32(FP)
	RET
