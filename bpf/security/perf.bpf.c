// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * Counters, samples, tracepoints, breakpoints in other programs: perf_event_open at its exit.
 * When an event was made, the kernel's copy of what was asked for is read from it, and the row is
 * flagged so; of a refused call there is only the program's memory. Programs put on an event by
 * ioctl are rows of bpf.
 */
#include "../include/access.h"
#include "host.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

#define PERF_FLAG_PID_CGROUP 4

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct perf_event_attr {
	u32 type;
	u64 config, sample_type;
};
struct hw_perf_event {
	struct task_struct *target;
};
struct perf_event {
	u32 orig_type;
	struct perf_event_attr attr;
	struct hw_perf_event hw;
};
#pragma clang attribute pop

HC_SYSCALL(perf_event_open)
{
	struct {
		u32 type, size;
		u64 config, period, sample;
	} a = {};
	struct hc_ev_perf_event *e;
	struct perf_event *made = NULL;
	struct task_struct *target = NULL;
	u32 flags = hc_told(ctx->ret);
	struct file *f;
	s32 pid = hc_arg(1);
	u32 nr = 0;

	f = ctx->ret < 0 ? NULL : hc_file(ctx->ret);
	if (f && hc_anon(f, "[perf_event]")) {
		made = BPF_CORE_READ(f, private_data);
		/* some types are turned into the number of a driver, and what was asked for kept */
		if (bpf_core_field_exists(made->orig_type))
			a.type = BPF_CORE_READ(made, orig_type);
		else
			a.type = BPF_CORE_READ(made, attr.type);
		a.config = BPF_CORE_READ(made, attr.config);
		a.sample = BPF_CORE_READ(made, attr.sample_type);
		target = BPF_CORE_READ(made, hw.target);
		flags |= HC_F_KERNEL_NAMES;
	} else if (bpf_probe_read_user(&a, sizeof(a), (void *)hc_arg(0))) {
		hc_count(HC_READ_FAULT, HC_PERF_EVENT);
	}
	if (!made && !(hc_arg(4) & PERF_FLAG_PID_CGROUP)) {
		if (pid > 0) {
			nr = pid;
			target = hc_task_by_pid(nr);
		} else if (!pid) {
			target = (struct task_struct *)bpf_get_current_task();
		}
	}
	if (hc_aside(HC_PERF_EVENT, target))
		return 0;
	e = hc_reserve_crit(HC_PERF_EVENT, sizeof(*e));
	if (!e) {
		hc_next_seq(true);
		return 0;
	}
	hc_zero(e);
	hc_head(&e->h, HC_PERF_EVENT, flags, ctx->ret);
	e->kind = a.type;
	e->config = a.config;
	e->sample_type = a.sample;
	e->perf_cpu = hc_arg(2);
	e->perf_flags = hc_arg(4);
	e->target_pid = nr; /* nobody there: the number is kept */
	hc_set_target(e, target);
	bpf_ringbuf_submit(e, BPF_RB_FORCE_WAKEUP);
	return 0;
}
