// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * Signals, in the sender's context. What the kernel sends for every ended child and for timers
 * is left out: it says nothing that exit rows do not, and would double the cost of a process. So
 * is what a process sends to one of its own threads, unless it can end the process.
 */
#include "../include/task.h"
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

#define SI_USER 0
#define SI_QUEUE -1
#define SI_TKILL -6
#define SI_KERNEL 0x80

static __always_inline bool fault(int sig)
{
	/* ILL, TRAP, ABRT, BUS, FPE, SEGV, XCPU, XFSZ, SYS */
	return sig == 4 || sig == 5 || sig == 6 || sig == 7 || sig == 8 || sig == 11 || sig == 24 || sig == 25 || sig == 31;
}

static __always_inline void fill(struct hc_ev_signal *e, struct task_struct *t, u32 flags, int result, int sig, int code, int group)
{
	hc_zero(e);
	hc_head(&e->h, HC_SIGNAL, flags, result);
	if (flags & HC_F_NO_OWNER) {
		e->h.tid = 0;
		e->h.pid = 0;
		e->h.pstart = 0;
		e->h.image = 0;
		e->h.cred = 0;
		e->h.cgroup = 0;
		__builtin_memset(e->h.comm, 0, sizeof(e->h.comm));
	}
	e->sig = sig;
	e->code = code;
	e->group = group;
	e->target_pid = t->tgid;
	e->target_tid = t->pid;
	e->target_start = hc_pstart(t);
}

SEC("tp_btf/signal_generate")
int BPF_PROG(hc_signal, int sig, struct kernel_siginfo *info, struct task_struct *t, int group, int result)
{
	struct hc_ev_signal *e;
	u32 tgid = bpf_get_current_pid_tgid() >> 32, target = t->tgid, flags = 0;
	int code;

	/* 0 and 1 stand for "from a process" and "from the kernel" without a siginfo */
	if (info == NULL)
		code = SI_USER;
	else if ((unsigned long)info == 1)
		code = SI_KERNEL;
	else
		code = BPF_CORE_READ(info, si_code);
	if (code != SI_USER && code != SI_QUEUE && code != SI_TKILL) {
		if (code == SI_KERNEL && (sig == 1 || sig == 2 || sig == 3 || sig == 9 || sig == 15))
			flags = HC_F_NO_OWNER; /* terminal, out of memory: whoever runs now is not the sender */
		else if (!fault(sig))
			return 0;
	}
	/* a runtime that prods its own threads (Go's preemption, glibc's setuid) tells nothing */
	if (code == SI_TKILL && target == tgid && !group && !fault(sig) && sig != 9 && sig != 15)
		return 0;
	if (hc_scoped && !bpf_map_lookup_elem(&hc_scope, &tgid) && !bpf_map_lookup_elem(&hc_scope, &target))
		return 0;
	/* What is aimed at the recorder goes to the reserved ring and wakes it: it may be its last
	 * moment, and its successor must find who sent it. */
	if (target == hc_self) {
		e = bpf_ringbuf_reserve(&hc_crit, sizeof(*e), 0);
		if (e) {
			hc_count(HC_SEEN, HC_SIGNAL);
			fill(e, t, flags | HC_F_CRITICAL, result, sig, code, group);
			bpf_ringbuf_submit(e, BPF_RB_FORCE_WAKEUP);
			return 0;
		}
	}
	if (flags & HC_F_NO_OWNER ? hc_unselected_of(HC_SIGNAL, 0, 0) : hc_unselected(HC_SIGNAL))
		return 0;
	e = hc_reserve(HC_SIGNAL, sizeof(*e));
	if (!e) {
		hc_next_seq(false);
		return 0;
	}
	fill(e, t, flags, result, sig, code, group);
	hc_submit(e);
	return 0;
}
