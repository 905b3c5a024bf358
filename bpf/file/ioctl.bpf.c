// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * The few uses of ioctl that are events; all others end at the comparison of one number. What
 * the argument points to is the program's memory as the call ended: claimed.
 */
#include "../include/name.h"
#include "../include/pass.h"
#include "../security/object.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

#define FS_IOC_SETFLAGS 0x40086602
#define FS_IOC32_SETFLAGS 0x40046602
#define FS_IOC_FSSETXATTR 0x401c5820
#define SECCOMP_IOCTL_NOTIF_ADDFD 0x40182103
#define PERF_EVENT_IOC_SET_BPF 0x40042408

enum { INODE_FLAGS = 5, INODE_XFLAGS = 6 };

/* Immutable, append only and their like (chattr). */
static __always_inline int inode_flags(struct hc_sys_exit *ctx, u32 op)
{
	u32 flags = 0;

	BEGIN(attr, HC_ATTR);
	e->op = op;
	e->atime = e->mtime = -1;
	if (bpf_probe_read_user(&flags, sizeof(flags), (void *)hc_arg(2)))
		hc_count(HC_READ_FAULT, HC_ATTR);
	e->attr_flags = flags;
	OBJECT(HC_ATTR, hc_arg(0));
	hc_send(b, false, HC_ATTR);
	return 0;
}

/* A supervisor gives the process it supervises a descriptor of its own; who that is is not told. The
 * result is the number that it has there. */
static __always_inline int supervised(struct hc_sys_exit *ctx)
{
	struct hc_pass p = { .how = HC_PASS_SUPERVISED, .source_fd = -1, .ret = ctx->ret };
	struct {
		u64 id;
		u32 flags, srcfd, newfd, newfd_flags;
	} a;

	if (ctx->ret < 0)
		return 0;
	if (bpf_probe_read_user(&a, sizeof(a), (void *)hc_arg(2))) {
		hc_count(HC_READ_FAULT, HC_FD_PASSED);
		return 0;
	}
	p.source_fd = ctx->ret;
	hc_pass_one(&p, a.srcfd);
	return 0;
}

/* The way to put a program on a tracepoint or probe before there were links for it. The recorder's
 * own, when another puts it somewhere, is told in every scope. */
static __always_inline int attached(struct hc_sys_exit *ctx)
{
	struct hc_ev_bpf *e;
	struct seen s = {};
	struct hc_buf *b;
	bool own;

	if (bpf_get_current_pid_tgid() >> 32 == hc_self) {
		hc_count(HC_SELF, HC_BPF);
		return 0;
	}
	see(&s, hc_arg(2));
	own = mine(s.object, s.id);
	if (!own && hc_skip(HC_BPF))
		return 0;
	b = hc_get_buf(HC_BPF, sizeof(*e));
	if (!b)
		return 0;
	e = (void *)b->data;
	hc_zero(e);
	hc_head(&e->h, HC_BPF, hc_told(ctx->ret), ctx->ret);
	e->cmd = HC_BPF_ON_PERF;
	hc_set_seen(e, &s, own);
	if (s.name)
		hc_put_kernel_str(b, &e->name, HC_BPF, s.name);
	hc_send_now(b, HC_BPF);
	return 0;
}

HC_SYSCALL(ioctl)
{
	switch ((u32)hc_arg(1)) {
	case FS_IOC_SETFLAGS:
	case FS_IOC32_SETFLAGS:
		return inode_flags(ctx, INODE_FLAGS);
	case FS_IOC_FSSETXATTR:
		return inode_flags(ctx, INODE_XFLAGS);
	case SECCOMP_IOCTL_NOTIF_ADDFD:
		return supervised(ctx);
	case PERF_EVENT_IOC_SET_BPF:
		return attached(ctx);
	}
	return 0;
}
