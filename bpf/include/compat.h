/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/*
 * The same programs for the 32-bit system call table of x86-64. Its calls pass no tracepoint of
 * their own, so what is compiled with HC_COMPAT are targets of tail calls from the one program
 * that sees every call (compat/calls.bpf.c). Arguments are the low halves of other registers.
 */
#ifndef HC_COMPAT_H
#define HC_COMPAT_H

#include "emit.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct pt_regs___32 {
	unsigned long bx, cx, dx, si, di, bp, orig_ax;
};
#pragma clang attribute pop

/* The second program of a call, by its number; a first one goes on to it. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1024);
	__type(key, u32);
	__type(value, u32);
} hc_calls32_more SEC(".maps");

#define HC_NR_SOCKETCALL 102
#define HC_NR_TRUNCATE64 193
#define HC_NR_FTRUNCATE64 194

static __always_inline u32 hc_nr32(void *regs)
{
	return BPF_CORE_READ((struct pt_regs___32 *)regs, orig_ax);
}

/* Where a number stands in the arrays of programs: each call of socketcall has a place of its own. */
static __always_inline u32 hc_slot32(void *regs)
{
	u32 nr = hc_nr32(regs);

	return nr == HC_NR_SOCKETCALL ? 512 + (BPF_CORE_READ((struct pt_regs___32 *)regs, bx) & 0xff) : nr;
}

static __always_inline s64 hc_ret32(s64 ret)
{
	s32 r = ret;

	return r < 0 && r > -4096 ? (s64)r : (s64)(u32)ret;
}

#define HC_TARGET(name_, at_, ctx_, set_, go_on_)                                                 \
	static __always_inline int name_##_body(struct ctx_ *ctx);                               \
	SEC("tp_btf/" #at_) int hc32_##name_(unsigned long long *raw)                            \
	{                                                                                        \
		void *regs = (void *)raw[0];                                                     \
		struct ctx_ c = { .nr = hc_nr32(regs) };                                         \
		set_;                                                                            \
		name_##_body(&c);                                                                \
		go_on_;                                                                          \
		return 0;                                                                        \
	}                                                                                        \
	static __always_inline int name_##_body(struct ctx_ *ctx)

#define HC_SYSCALL(call_) \
	HC_TARGET(exit_##call_, sys_exit, hc_sys_exit, c.ret = hc_ret32(raw[1]), bpf_tail_call(raw, &hc_calls32_more, hc_slot32(regs)))
#define HC_SYSCALL_TOO(call_, as_) HC_TARGET(more_##call_##_##as_, sys_exit, hc_sys_exit, c.ret = hc_ret32(raw[1]), )
#define HC_SYSCALL_ENTER(call_)                                                                               \
	HC_TARGET(enter_##call_, sys_enter, hc_sys_enter,                                                     \
		  for (int i = 0; i < 6; i++) c.args[i] = hc_arg(i), )

static __always_inline struct pt_regs___32 *hc_regs32(void)
{
	if (hc_has_regs)
		return (void *)bpf_task_pt_regs(bpf_get_current_task_btf());
	return (void *)(BPF_CORE_READ((struct task_struct *)bpf_get_current_task(), stack) + HC_STACK_SIZE -
			bpf_core_type_size(struct pt_regs));
}

/* Argument n. Those of socketcall lie in the program's memory: what stands there as it ends. */
static __always_inline u64 hc_arg(int n)
{
	struct pt_regs___32 *r = hc_regs32();
	u32 v = 0;

	if ((u32)BPF_CORE_READ(r, orig_ax) == HC_NR_SOCKETCALL) {
		bpf_probe_read_user(&v, sizeof(v), (void *)(u64)(u32)BPF_CORE_READ(r, cx) + 4 * n);
		return v;
	}
	switch (n) {
	case 0: return (u32)BPF_CORE_READ(r, bx);
	case 1: return (u32)BPF_CORE_READ(r, cx);
	case 2: return (u32)BPF_CORE_READ(r, dx);
	case 3: return (u32)BPF_CORE_READ(r, si);
	case 4: return (u32)BPF_CORE_READ(r, di);
	}
	return (u32)BPF_CORE_READ(r, bp);
}

/* A length that is argument n: 64 bits in two arguments where the call has it so. */
#define hc_length(ctx_, n_)                                                                        \
	((ctx_)->nr == HC_NR_TRUNCATE64 || (ctx_)->nr == HC_NR_FTRUNCATE64                         \
		 ? (s64)(hc_arg(n_) | hc_arg((n_) + 1) << 32)                                      \
		 : (s64)(s32)hc_arg(n_))

#define HC_MMAP_UNIT 4096 /* mmap2 counts pages */

#endif
