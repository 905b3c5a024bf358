// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * Sessions and process groups, and calls that change what the kernel allows a process or keeps
 * for it. All are taken as they end: numbers of a call cannot be changed by another thread, and
 * what they did to sessions and limits is read from the kernel. Calls that failed are told when
 * they were refused; in the forensic profile all are.
 */
#include "control.h"
#include "pidfd.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

static __always_inline bool tells(s64 ret)
{
	return ret >= 0 || hc_refused(ret) || hc_forensic;
}

HC_SYSCALL(setsid)
{
	return tells(ctx->ret) ? hc_session_row(1, NULL, ctx->ret) : 0;
}

/* A parent may move its child. */
HC_SYSCALL(setpgid)
{
	u32 nr = hc_arg(0);

	return tells(ctx->ret) ? hc_session_row(2, nr ? hc_task_by_pid(nr) : NULL, ctx->ret) : 0;
}

HC_SYSCALL(seccomp)
{
	struct hc_control c = { .call = ctx->nr, .option = (u32)hc_arg(0), .arg2 = hc_arg(1), .ret = ctx->ret };

	if (!tells(ctx->ret) || c.option > 1) /* 2 and 3 only ask */
		return 0;
	return hc_control_row(&c);
}

#define KEYCTL_GET_KEYRING_ID 0
#define KEYCTL_JOIN_SESSION_KEYRING 1
#define KEYCTL_DESCRIBE 6
#define KEYCTL_SEARCH 10
#define KEYCTL_READ 11
#define KEYCTL_GET_SECURITY 17
#define KEYCTL_CAPABILITIES 31

/* Reading a key's payload is told, asking for its attributes is not. */
HC_SYSCALL(keyctl)
{
	struct hc_control c = { .call = ctx->nr, .option = (s32)hc_arg(0), .ret = ctx->ret };

	if (!tells(ctx->ret) || c.option == KEYCTL_GET_KEYRING_ID || c.option == KEYCTL_DESCRIBE || c.option == KEYCTL_GET_SECURITY ||
	    c.option == KEYCTL_CAPABILITIES)
		return 0;
	c.arg2 = hc_arg(1);
	c.arg3 = hc_arg(2);
	c.arg4 = hc_arg(3);
	if (c.option == KEYCTL_JOIN_SESSION_KEYRING) {
		c.text = c.arg2;
		c.arg2 = 0;
	}
	if (c.option == KEYCTL_SEARCH) {
		c.text = c.arg4;
		c.arg4 = 0;
	}
	return hc_control_row(&c);
}

HC_SYSCALL(add_key)
{
	struct hc_control c = { .call = ctx->nr, .text = hc_arg(1), .arg2 = hc_arg(3), .arg3 = (s64)(s32)hc_arg(4), .ret = ctx->ret };

	return tells(ctx->ret) ? hc_control_row(&c) : 0;
}

HC_SYSCALL(request_key)
{
	struct hc_control c = { .call = ctx->nr, .text = hc_arg(1), .arg3 = (s64)(s32)hc_arg(3), .ret = ctx->ret };

	return tells(ctx->ret) ? hc_control_row(&c) : 0;
}

/* Limits after the call, from the kernel; of a refused call what was asked. */
static __always_inline int limits(struct hc_sys_exit *ctx, u32 nr, u32 resource, u64 asked)
{
	struct hc_control c = { .call = ctx->nr, .option = resource, .ret = ctx->ret, .target_nr = nr };
	struct task_struct *t = nr ? hc_task_by_pid(nr) : (struct task_struct *)bpf_get_current_task();
	u64 lim[2] = {};

	if (ctx->ret >= 0 && resource < 16 && t) {
		struct signal_struct *s = BPF_CORE_READ(t, signal);

		bpf_probe_read_kernel(lim, sizeof(lim), (void *)s + bpf_core_field_offset(struct signal_struct, rlim) + resource * sizeof(lim));
	} else if (bpf_probe_read_user(lim, sizeof(lim), (void *)asked)) {
		hc_count(HC_READ_FAULT, HC_CONTROL);
	}
	c.arg2 = lim[0];
	c.arg3 = lim[1];
	return hc_control_row(&c);
}

/* Most calls only ask. */
HC_SYSCALL(prlimit64)
{
	u64 asked = hc_arg(2);

	return asked && tells(ctx->ret) ? limits(ctx, hc_arg(0), hc_arg(1), asked) : 0;
}

HC_SYSCALL(setrlimit)
{
	return tells(ctx->ret) ? limits(ctx, 0, hc_arg(0), hc_arg(1)) : 0;
}

HC_SYSCALL(personality)
{
	struct hc_control c = { .call = ctx->nr, .option = (u32)hc_arg(0), .ret = ctx->ret };

	if (!tells(ctx->ret) || c.option == 0xffffffff) /* only asks */
		return 0;
	return hc_control_row(&c);
}

#if defined(__TARGET_ARCH_x86)
HC_SYSCALL(iopl)
{
	struct hc_control c = { .call = ctx->nr, .option = (u32)hc_arg(0), .ret = ctx->ret };

	return tells(ctx->ret) ? hc_control_row(&c) : 0;
}

HC_SYSCALL(ioperm)
{
	struct hc_control c = { .call = ctx->nr, .option = hc_arg(0), .arg2 = hc_arg(1), .arg3 = (u32)hc_arg(2), .ret = ctx->ret };

	return tells(ctx->ret) ? hc_control_row(&c) : 0;
}
#endif

/* Since 5.15. */
HC_SYSCALL(process_mrelease)
{
	struct hc_control c = { .call = ctx->nr, .option = (s32)hc_arg(0), .arg2 = (u32)hc_arg(1), .ret = ctx->ret };

	if (!tells(ctx->ret))
		return 0;
	c.target = hc_pidfd_task(hc_arg(0));
	return hc_control_row(&c);
}
