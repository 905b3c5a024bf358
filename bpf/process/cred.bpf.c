// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * Credential changes without exec. In this tier the calls that can change credentials are
 * bracketed: the set is noted as the call begins and compared as it ends, so the row tells what
 * the kernel did, not what was asked. Changes that no call makes (a kernel exploit) show as a
 * different credential id on the process's next row.
 */
#include "../include/task.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, u32);
	__type(value, u32);
} hc_cred_was SEC(".maps");

static __always_inline int enter(void)
{
	u32 tid = (u32)bpf_get_current_pid_tgid(), id;

	if (hc_outside())
		return 0;
	id = hc_cred_id(bpf_get_current_task_btf()->cred);
	if (bpf_map_update_elem(&hc_cred_was, &tid, &id, BPF_ANY))
		hc_count(HC_MAP_FULL, HC_CRED_CHANGE);
	return 0;
}

static __always_inline int leave(struct hc_sys_exit *ctx)
{
	u32 tid = (u32)bpf_get_current_pid_tgid(), old, *was, now;
	struct hc_ev_cred_change *e;

	was = bpf_map_lookup_elem(&hc_cred_was, &tid);
	if (!was)
		return 0;
	old = *was;
	bpf_map_delete_elem(&hc_cred_was, &tid);
	now = hc_cred_id(bpf_get_current_task_btf()->cred);
	if (now == old)
		return 0;
	e = hc_reserve_in(hc_crit, HC_CRED_CHANGE, sizeof(*e));
	if (!e) {
		hc_next_seq(true);
		return 0;
	}
	hc_zero(e);
	hc_head(&e->h, HC_CRED_CHANGE, HC_F_CRITICAL, ctx->ret);
	e->old_cred = old;
	e->call = ctx->nr;
	bpf_ringbuf_submit(e, BPF_RB_FORCE_WAKEUP);
	return 0;
}

#define CALL(name)                                                                                            \
	SEC("tp/syscalls/sys_enter_" #name) int hc_enter_##name(struct hc_sys_enter *ctx) { return enter(); }  \
	SEC("tp/syscalls/sys_exit_" #name) int hc_exit_##name(struct hc_sys_exit *ctx) { return leave(ctx); }

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
CALL(prctl)
CALL(unshare)
CALL(setns)
