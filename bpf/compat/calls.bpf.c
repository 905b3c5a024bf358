// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * Every system call, in the forensic profile only: these two programs run at each call of each
 * process, which is what they cost.
 *
 * Calls made through the 32-bit table of x86-64 (int 0x80, programs for i386) pass none of the
 * tracepoints of single calls. They are handed to the same programs that those have, compiled a
 * second time for where the arguments lie. Calls of either table that no program tells make a
 * row of their own, except those that change nothing and come in floods, which are counted.
 * On arm64 32-bit calls make such rows, and no others.
 */
#include "../include/task.h"
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct thread_info {
	unsigned long flags;
	u32 status;
};
struct task_struct___ti {
	struct thread_info thread_info;
};
struct pt_regs___32 {
	unsigned long bx, cx, dx, si, di, bp, orig_ax;
};
#pragma clang attribute pop

#define TS_COMPAT 2             /* x86: this call came in through the 32-bit table */
#define TIF_32BIT (1u << 22)    /* arm64: this is a 32-bit program */
#define X32 0x40000000          /* x86: of the x32 table, which shares numbers with the 64-bit one */

/* The programs for 32-bit calls, by number; 512 and on are the calls of socketcall. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1024);
	__type(key, u32);
	__type(value, u32);
} hc_calls32_exit SEC(".maps"), hc_calls32_enter SEC(".maps");

/* Bits by table (64, 32) and number: calls that another program tells, and calls that are only
 * counted. */
struct hc_known {
	u64 told[2][16];
	u64 counted[2][16];
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct hc_known);
} hc_calls_known SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2048);
	__type(key, u32);
	__type(value, u64);
} hc_calls_counted SEC(".maps");

static __always_inline bool compat(void)
{
	struct task_struct___ti *t = (void *)bpf_get_current_task();

#if defined(__TARGET_ARCH_x86)
	return BPF_CORE_READ(t, thread_info.status) & TS_COMPAT;
#else
	return BPF_CORE_READ(t, thread_info.flags) & TIF_32BIT;
#endif
}

static __noinline int tell(struct pt_regs *regs, s64 ret, u32 nr, bool is32)
{
	struct pt_regs___32 *r = (void *)regs;
	struct hc_ev_syscall *e;

	(void)r;

	if (hc_skip(HC_SYSCALL))
		return 0;
	e = hc_reserve(HC_SYSCALL, sizeof(*e));
	if (!e) {
		hc_next_seq(false);
		return 0;
	}
	hc_zero(e);
	if (is32)
		ret = (s32)ret;
	hc_head(&e->h, HC_SYSCALL, (is32 ? HC_F_COMPAT : 0) | (ret < 0 && ret > -4096 ? HC_F_FAILED : 0), ret);
	e->call = nr;
#if defined(__TARGET_ARCH_x86)
	if (is32) {
		e->arg1 = (u32)BPF_CORE_READ(r, bx);
		e->arg2 = (u32)BPF_CORE_READ(r, cx);
		e->arg3 = (u32)BPF_CORE_READ(r, dx);
		e->arg4 = (u32)BPF_CORE_READ(r, si);
		e->arg5 = (u32)BPF_CORE_READ(r, di);
		e->arg6 = (u32)BPF_CORE_READ(r, bp);
	} else {
		e->arg1 = BPF_CORE_READ(regs, di);
		e->arg2 = BPF_CORE_READ(regs, si);
		e->arg3 = BPF_CORE_READ(regs, dx);
		e->arg4 = BPF_CORE_READ(regs, r10);
		e->arg5 = BPF_CORE_READ(regs, r8);
		e->arg6 = BPF_CORE_READ(regs, r9);
	}
#else
	e->arg1 = BPF_CORE_READ(regs, orig_x0);
	e->arg2 = BPF_CORE_READ(regs, regs[1]);
	e->arg3 = BPF_CORE_READ(regs, regs[2]);
	e->arg4 = BPF_CORE_READ(regs, regs[3]);
	e->arg5 = BPF_CORE_READ(regs, regs[4]);
	e->arg6 = BPF_CORE_READ(regs, regs[5]);
#endif
	hc_submit(e);
	return 0;
}

/*
 * sys_exit, the tracepoint of all calls: no kernel has one for the 32-bit table alone. It misses
 * calls that do not return: exit, and exec, fork and signal return as the child or the new
 * program sees them; those have rows of their own.
 */
SEC("tp_btf/sys_exit")
int hc_calls(unsigned long long *ctx)
{
	struct pt_regs *regs = (struct pt_regs *)ctx[0];
	u32 zero = 0, nr, at, bit;
	struct hc_known *k;
	bool is32 = compat();
	u64 *n;

#if defined(__TARGET_ARCH_x86)
	nr = BPF_CORE_READ(regs, orig_ax);
	if (is32) {
		at = nr;
		if (nr == 102) /* socketcall */
			at = 512 + (BPF_CORE_READ((struct pt_regs___32 *)regs, bx) & 0xff);
		bpf_tail_call(ctx, &hc_calls32_exit, at);
	}
#else
	nr = BPF_CORE_READ(regs, syscallno);
#endif
	if (nr == ~0U) /* not a call: rt_sigreturn and the like leave none */
		return 0;
	k = bpf_map_lookup_elem(&hc_calls_known, &zero);
	if (k && nr < 1024) {
		bit = (is32 ? 1024 : 0) + nr;
		at = (bit >> 6) & 31;
		if (k->told[0][at] >> (bit & 63) & 1)
			return 0;
		if (k->counted[0][at] >> (bit & 63) & 1) {
			n = bpf_map_lookup_elem(&hc_calls_counted, &bit);
			if (n)
				*n += 1;
			return 0;
		}
	}
	return tell(regs, ctx[1], nr, is32);
}

#if defined(__TARGET_ARCH_x86)
/* sys_enter: for the few programs that must see how a 32-bit call begins. */
SEC("tp_btf/sys_enter")
int hc_calls_enter(unsigned long long *ctx)
{
	if (compat())
		bpf_tail_call(ctx, &hc_calls32_enter, (u32)ctx[1]);
	return 0;
}
#endif
