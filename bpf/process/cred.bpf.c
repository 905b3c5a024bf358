// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * Credentials and namespaces that change without exec. In this tier the calls that can change
 * them are bracketed: what the thread had is noted as the call begins and compared as it ends, so
 * the rows tell what the kernel did, not what was asked. Changes of credentials that no call makes
 * (a kernel exploit) show as a different credential id on the thread's next row: the recorder
 * compares them. prctl is here because it is one of the calls, and has its other rows from the
 * same program.
 */
#include "../include/lower.h"
#include "ns.h"
#include "control.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

struct hc_was {
	u32 cred;
	struct hc_ns ns; /* of unshare and setns */
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, u32);
	__type(value, struct hc_was);
} hc_cred_was SEC(".maps");

static __always_inline int enter(bool ns)
{
	struct task_struct *t = hc_current();
	u32 tid = (u32)bpf_get_current_pid_tgid();
	struct hc_was was = {};

	if (hc_outside())
		return 0;
	was.cred = hc_cred_id(HC_T(t, cred));
	if (ns)
		hc_ns_of(&was.ns, t);
	if (bpf_map_update_elem(&hc_cred_was, &tid, &was, BPF_ANY)) {
		hc_count(HC_MAP_FULL, HC_CRED_CHANGE);
		if (ns)
			hc_count(HC_MAP_FULL, HC_NAMESPACE);
	}
	return 0;
}

static __noinline int changed(u32 old, u32 call, s64 ret)
{
	struct hc_ev_cred_change *e = hc_reserve_crit(HC_CRED_CHANGE, sizeof(*e));

	if (!e) {
		hc_next_seq(true);
		return 0;
	}
	hc_zero(e);
	hc_head(&e->h, HC_CRED_CHANGE, HC_F_CRITICAL, ret);
	e->old_cred = old;
	e->call = call;
	bpf_ringbuf_submit(e, BPF_RB_FORCE_WAKEUP);
	return 0;
}

/* flags: what unshare was to part with, what kind of namespace setns was to find, which may be 0 */
static __always_inline int leave(struct hc_sys_exit *ctx, bool ns, u64 flags)
{
	struct task_struct *t = hc_current();
	u32 tid = (u32)bpf_get_current_pid_tgid();
	struct hc_was *p = bpf_map_lookup_elem(&hc_cred_was, &tid), was;
	struct hc_ns_row row = {};

	if (!p)
		return 0;
	was = *p;
	bpf_map_delete_elem(&hc_cred_was, &tid);
	u32 is = hc_cred_id(HC_T(t, cred));

	/* 0: there is no room for another set, and so no telling whether it is the same */
	if ((!is || is != was.cred) && !hc_is_lower(HC_CRED_CHANGE))
		changed(was.cred, ctx->nr, ctx->ret);
	if (ns) {
		struct hc_ns now = {};

		hc_ns_of(&now, t);
		row.call = ctx->nr;
		row.ret = ctx->ret;
		row.flags = flags;
		hc_ns_rows(&row, &was.ns, &now);
	}
	return 0;
}

#define CALL(name)                                          \
	HC_SYSCALL_ENTER(name) { return enter(false); }     \
	HC_SYSCALL(name) { return leave(ctx, false, 0); }

CALL(setuid)
CALL(setgid)
CALL(setreuid)
CALL(setregid)
CALL(setresuid)
CALL(setresgid)
CALL(setfsuid)
CALL(setfsgid)
CALL(setgroups)
CALL(capset)

HC_SYSCALL_ENTER(unshare)
{
	return enter(true);
}

HC_SYSCALL(unshare)
{
	return leave(ctx, true, hc_arg(0));
}

HC_SYSCALL_ENTER(setns)
{
	return enter(true);
}

HC_SYSCALL(setns)
{
	return leave(ctx, true, (u32)hc_arg(1));
}

HC_SYSCALL_ENTER(prctl)
{
	return enter(false);
}

/* Names are told by the kernel's own rename, and what only asks changes nothing. */
HC_SYSCALL(prctl)
{
	u32 option = hc_arg(0);
	struct hc_control c = { .call = ctx->nr, .option = (s32)option, .ret = ctx->ret };

	leave(ctx, false, 0);
	if (ctx->ret < 0 && !hc_refused(ctx->ret) && !hc_forensic)
		return 0;
	if (option == PR_SET_CHILD_SUBREAPER)
		return hc_session_row(3, NULL, ctx->ret);
	if (hc_prctl_asks(option, hc_arg(1)))
		return 0;
	c.arg2 = hc_arg(1);
	c.arg3 = hc_arg(2);
	c.arg4 = hc_arg(3);
	return hc_control_row(&c);
}
