/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/* A row of one process that reaches into another. */
#ifndef HC_ACCESS_H_
#define HC_ACCESS_H_

#include "task.h"

struct hc_access {
	u32 op;
	u32 nr; /* the number that was passed */
	s64 request;
	u64 addr;
	s64 size;
	s64 ret;
	struct task_struct *target; /* what it stands for, NULL when nobody is there */
	bool wake;
};

/*
 * True when no row is wanted: the recorder acts, or neither end is of the recorded command.
 * What is aimed at the recorder is always told.
 */
static __always_inline bool hc_aside(u32 type, struct task_struct *target)
{
	u32 tgid = bpf_get_current_pid_tgid() >> 32, other;

	if (tgid == hc_self) {
		hc_count(HC_SELF, type);
		return true;
	}
	if (!hc_outside() && !hc_selecting)
		return false;
	other = target ? BPF_CORE_READ(target, tgid) : 0;
	if (other && other == hc_self)
		return false;
	if (hc_outside() && !bpf_map_lookup_elem(&hc_scope, &other))
		return true;
	return hc_unselected(type);
}

/* True for the recorder and for what is of the recorded command: what is done to it is told. */
static __always_inline bool hc_aimed(struct task_struct *target)
{
	u32 tgid = target ? BPF_CORE_READ(target, tgid) : 0;

	return tgid && (tgid == hc_self || bpf_map_lookup_elem(&hc_scope, &tgid));
}

static __noinline int hc_access_row(struct hc_access *a)
{
	struct hc_ev_access *e;

	if (hc_aside(HC_ACCESS, a->target))
		return 0;
	e = hc_reserve_crit(HC_ACCESS, sizeof(*e));
	if (!e) {
		hc_next_seq(true);
		return 0;
	}
	hc_zero(e);
	hc_head(&e->h, HC_ACCESS, HC_F_CRITICAL | (a->ret < 0 ? HC_F_FAILED : 0), a->ret);
	e->op = a->op;
	e->request = a->request;
	e->addr = a->addr;
	e->size = a->size > 0 ? a->size : 0;
	e->target_pid = a->nr;
	hc_set_target(e, a->target);
	bpf_ringbuf_submit(e, hc_wake_crit(sizeof(*e), a->wake));
	return 0;
}

#endif
