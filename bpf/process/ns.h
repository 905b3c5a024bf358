/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/* The namespaces of a task, and rows for those that changed. */
#ifndef HC_NS_H
#define HC_NS_H

#include "../include/task.h"

/* In the order of ns_type, which counts from 1. The pid and time namespaces are those of future
 * children: a task never leaves its own pid namespace. */
#define HC_NS_TYPES 8
struct hc_ns {
	u32 id[HC_NS_TYPES];
};

static __always_inline void hc_ns_of(struct hc_ns *n, struct task_struct *t)
{
	struct nsproxy *p = BPF_CORE_READ(t, nsproxy);

	if (!p)
		return; /* it is ending */
	n->id[0] = BPF_CORE_READ(p, mnt_ns, ns.inum);
	n->id[1] = BPF_CORE_READ(p, pid_ns_for_children, ns.inum);
	n->id[2] = BPF_CORE_READ(p, net_ns, ns.inum);
	n->id[3] = BPF_CORE_READ(t, cred, user_ns, ns.inum);
	n->id[4] = BPF_CORE_READ(p, uts_ns, ns.inum);
	n->id[5] = BPF_CORE_READ(p, ipc_ns, ns.inum);
	n->id[6] = BPF_CORE_READ(p, cgroup_ns, ns.inum);
	if (bpf_core_field_exists(p->time_ns_for_children))
		n->id[7] = BPF_CORE_READ(p, time_ns_for_children, ns.inum);
}

struct hc_ns_row {
	s32 call;
	u32 type, was, now;
	u64 flags;
	s64 ret;
	struct task_struct *child; /* of clone */
};

static __noinline int hc_ns_send(struct hc_ns_row *r)
{
	struct hc_ev_namespace *e = hc_reserve_crit(HC_NAMESPACE, sizeof(*e));

	if (!e) {
		hc_next_seq(true);
		return 0;
	}
	hc_zero(e);
	hc_head(&e->h, HC_NAMESPACE, HC_F_CRITICAL, r->ret);
	e->ns_type = r->type;
	e->old_ns = r->was;
	e->new_ns = r->now;
	e->call = r->call;
	e->call_flags = r->flags;
	hc_set_target(e, r->child);
	bpf_ringbuf_submit(e, BPF_RB_FORCE_WAKEUP);
	return 0;
}

/* A row for each that differs. */
static __always_inline void hc_ns_rows(struct hc_ns_row *r, struct hc_ns *was, struct hc_ns *now)
{
	for (int i = 0; i < HC_NS_TYPES; i++) {
		if (was->id[i] == now->id[i])
			continue;
		r->type = i + 1;
		r->was = was->id[i];
		r->now = now->id[i];
		hc_ns_send(r);
	}
}

#endif
