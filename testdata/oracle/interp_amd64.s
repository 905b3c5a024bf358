#include "textflag.h"

// interp runs a script without a stack, so that it survives fork, vfork and threads that share
// one. It is copied into programs of its own: position independent, no calls. At entry the stack
// is that of a new program: argument 1 is the address of the first step, a letter a..p for each
// four bits. R12 is the step at hand. See script.go for the layout of a step.
TEXT ·interp(SB), NOSPLIT|NOFRAME, $0-0
	MOVQ 16(SP), SI
	XORQ R12, R12
parse:
	MOVBLZX (SI), AX
	TESTL AX, AX
	JZ parsed
	SHLQ $4, R12
	SUBL $0x61, AX
	ORQ AX, R12
	INCQ SI
	JMP parse
parsed:
	// mmap(log, size, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_FIXED, 3, 0)
	MOVQ $9, AX
	MOVQ $0x20000000, DI
	MOVQ $0x10000000, SI
	MOVQ $3, DX
	MOVQ $0x11, R10
	MOVQ $3, R8
	XORQ R9, R9
	SYSCALL
loop:
	MOVQ 0(R12), AX
	CMPQ AX, $1
	JEQ jump
	CMPQ AX, $3
	JEQ positive
	CMPQ AX, $4
	JEQ same
	// the arguments, of the step itself or out of the cells it names
	MOVQ 64(R12), BX
	MOVQ 16(R12), DI
	BTQ $0, BX
	JCC a1
	MOVQ (DI), DI
a1:
	MOVQ 24(R12), SI
	BTQ $1, BX
	JCC a2
	MOVQ (SI), SI
a2:
	MOVQ 32(R12), DX
	BTQ $2, BX
	JCC a3
	MOVQ (DX), DX
a3:
	MOVQ 40(R12), R10
	BTQ $3, BX
	JCC a4
	MOVQ (R10), R10
a4:
	MOVQ 48(R12), R8
	BTQ $4, BX
	JCC a5
	MOVQ (R8), R8
a5:
	MOVQ 56(R12), R9
	BTQ $5, BX
	JCC a6
	MOVQ (R9), R9
a6:
	CMPQ AX, $2
	JEQ note
	MOVQ 8(R12), AX
	SYSCALL
	MOVQ 80(R12), BX
	TESTQ BX, BX
	JZ parent
	TESTQ AX, AX
	JNZ parent
	MOVQ BX, R12
	JMP loop
parent:
	MOVQ 72(R12), BX
	TESTQ BX, BX
	JZ next
	MOVQ AX, (BX)
next:
	ADDQ $88, R12
	JMP loop
jump:
	MOVQ 8(R12), R12
	JMP loop
positive:
	MOVQ 8(R12), BX
	MOVQ (BX), AX
	CMPQ AX, $0
	JLE next
	MOVQ 16(R12), R12
	JMP loop
same:
	MOVQ 8(R12), BX
	MOVQ (BX), AX
	MOVQ 24(R12), BX
	CMPQ AX, (BX)
	JNE next
	MOVQ 16(R12), R12
	JMP loop
note:
	MOVQ $1, AX
	MOVQ $0x20000000, BX
	LOCK
	XADDQ AX, (BX)
	SHLQ $6, AX
	LEAQ 64(BX)(AX*1), AX
	MOVQ DI, 8(AX)
	MOVQ SI, 16(AX)
	MOVQ DX, 24(AX)
	MOVQ R10, 32(AX)
	MOVQ R8, 40(AX)
	MOVQ R9, 48(AX)
	MOVQ 8(R12), CX
	MOVQ CX, 0(AX)
	JMP next

// interpAddr returns where interp lies: a function value would be that of a wrapper.
TEXT ·interpAddr(SB), NOSPLIT, $0-8
	LEAQ ·interp(SB), AX
	MOVQ AX, ret+0(FP)
	RET
