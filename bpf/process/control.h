/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/* Rows of what a process changes for itself or another: sessions, and what the kernel allows. */
#ifndef HC_CONTROL_H
#define HC_CONTROL_H

#include "../include/access.h"
#include "../include/path.h"

#define PR_SET_NAME 15
#define PR_SET_CHILD_SUBREAPER 36
#define PR_CAP_AMBIENT 47
#define PR_FUTEX_HASH 78
#define PR_SET_VMA 0x53564d41
#define PR_GET_AUXV 0x41555856

#define HC_BIT(n_) (1ULL << ((n_) & 63))

/* True for what prctl only reads, for names (set_name rows tell them), and for names of anonymous memory. */
static __always_inline bool hc_prctl_asks(u32 option, u64 arg2)
{
	/* PDEATHSIG DUMPABLE UNALIGN KEEPCAPS FPEMU FPEXC TIMING name NAME ENDIAN SECCOMP CAPBSET TSC
	 * SECUREBITS TIMERSLACK MCE_KILL CHILD_SUBREAPER NO_NEW_PRIVS TID_ADDRESS THP FP_MODE SVE_VL
	 * SPECULATION TAGGED_ADDR IO_FLUSHER PAC_KEYS */
	const u64 low = HC_BIT(2) | HC_BIT(3) | HC_BIT(5) | HC_BIT(7) | HC_BIT(9) | HC_BIT(11) | HC_BIT(13) | HC_BIT(PR_SET_NAME) | HC_BIT(16) |
			HC_BIT(19) | HC_BIT(21) | HC_BIT(23) | HC_BIT(25) | HC_BIT(27) | HC_BIT(30) | HC_BIT(34) | HC_BIT(37) | HC_BIT(39) |
			HC_BIT(40) | HC_BIT(42) | HC_BIT(46) | HC_BIT(51) | HC_BIT(52) | HC_BIT(56) | HC_BIT(58) | HC_BIT(61);
	/* SME_VL MDWE MEMORY_MERGE RISCV_V DEXCR SHADOW_STACK */
	const u64 high = HC_BIT(64) | HC_BIT(66) | HC_BIT(68) | HC_BIT(70) | HC_BIT(72) | HC_BIT(74);

	if (option == PR_SET_VMA || option == PR_GET_AUXV)
		return true;
	if (option == PR_CAP_AMBIENT)
		return arg2 == 1; /* PR_CAP_AMBIENT_IS_SET */
	if (option == PR_FUTEX_HASH)
		return true; /* how futexes are kept: speed alone */
	return option < 64 ? low >> option & 1 : option < 128 ? high >> (option - 64) & 1 : false;
}

struct hc_control {
	u32 call;
	s64 option;
	u64 arg2, arg3, arg4;
	u64 text; /* address of a string of the program, 0 for none */
	s64 ret;
	struct task_struct *target; /* NULL: the running one */
	u32 target_nr;              /* a number instead */
};

static __noinline int hc_control_row(struct hc_control *c)
{
	struct task_struct *t = c->target;
	struct hc_ev_control *e;
	struct hc_buf *b;

	if (c->target_nr)
		t = hc_task_by_pid(c->target_nr);
	else if (!t)
		t = (struct task_struct *)bpf_get_current_task();
	if (hc_aside(HC_CONTROL, t))
		return 0;
	b = hc_get_buf(HC_CONTROL, sizeof(*e));
	if (!b)
		return 0;
	e = (void *)b->data;
	hc_zero(e);
	hc_head(&e->h, HC_CONTROL, c->ret < 0 ? HC_F_FAILED : 0, c->ret);
	e->call = c->call;
	e->option = c->option;
	e->arg2 = c->arg2;
	e->arg3 = c->arg3;
	e->arg4 = c->arg4;
	e->target_pid = c->target_nr; /* nobody there: the number is kept */
	hc_set_target(e, t);
	if (c->text)
		hc_put_user_str(b, &e->text, HC_CONTROL, (void *)c->text);
	hc_send(b, false, HC_CONTROL);
	return 0;
}

/* A row of a process's session and group as they are now; of the running one when t is NULL. */
static __noinline int hc_session_row(u32 op, struct task_struct *t, s64 ret)
{
	struct hc_ev_session *e;

	if (!t)
		t = (struct task_struct *)bpf_get_current_task();
	if (hc_outside() && !hc_aimed(t))
		return 0;
	e = hc_reserve_crit(HC_SESSION, sizeof(*e));
	if (!e) {
		hc_next_seq(true);
		return 0;
	}
	hc_zero(e);
	hc_head(&e->h, HC_SESSION, HC_F_CRITICAL | (ret < 0 ? HC_F_FAILED : 0), ret);
	e->op = op;
	if (op == 3) { /* the kernel's word, not the argument */
		struct signal_struct *s = BPF_CORE_READ(t, signal);

		if (ret >= 0 && !BPF_CORE_READ_BITFIELD_PROBED(s, is_child_subreaper))
			e->op = 4;
	}
	e->sid = hc_upid(BPF_CORE_READ(t, signal, pids[3]), 0).nr;
	e->pgid = hc_upid(BPF_CORE_READ(t, signal, pids[2]), 0).nr;
	hc_set_target(e, t);
	bpf_ringbuf_submit(e, hc_wake_crit(sizeof(*e), false));
	return 0;
}

#endif
