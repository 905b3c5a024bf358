// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * Programs that could not be run. Nothing of the kernel is left of an exec that failed, so what
 * was asked for is read from the caller's memory, as the call ends: claimed, another thread may
 * have changed it.
 */
#include "../include/path.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

#define ENOENT 2
#define ENOTDIR 20

#define ARGS 20          /* arguments looked at */
#define ARGS_BYTES 4096  /* and kept */

#ifdef HC_COMPAT
#define POINTER 4
#else
#define POINTER 8
#endif

/* Appends the first strings that an array of pointers leads to, each with its NUL. Returns the
 * mark: 0 all, 1 there is more, 2 nothing can be read. A global function, which the verifier
 * checks once. */
__noinline u32 hc_put_strings(struct hc_buf *b, u64 array)
{
	u32 from, at, room, part;
	u64 p;
	long n;

	if (!b)
		return 2;
	if (!array)
		return 0;
	from = b->at;
	for (int i = 0; i <= ARGS; i++) {
		p = 0;
		at = b->at;
		if (bpf_probe_read_user(&p, POINTER, (void *)(array + i * POINTER)))
			return at == from ? 2 : 1;
		if (!p)
			return 0;
		room = ARGS_BYTES - (at - from);
		if (i == ARGS || at > HC_BUF_SOFT || room < 1 || room > ARGS_BYTES)
			return 1;
		asm volatile("" : "+r"(room)); /* the mask is for 6.1, which has forgotten the bound */
		room &= 2 * ARGS_BYTES - 1;
		n = hc_read_user_str(&b->data[at], room + 1, (void *)p);
		if (n > 0) {
			b->at = at + n;
			if (n > room)
				return 1;
			continue;
		}
		part = hc_up_to_edge(b, p, room);
		b->at = at + part;
		return b->at == from ? 2 : 1;
	}
	return 1;
}

static __always_inline int failed(s64 ret, int dfd, const void *name, u64 argv, u32 at_flags)
{
	struct hc_ev_exec_failed *e;
	struct hc_buf *b;
	u32 from;

	if (ret >= 0 || (!hc_forensic && (ret == -ENOENT || ret == -ENOTDIR)))
		return 0;
	if (hc_skip(HC_EXEC_FAILED))
		return 0;
	b = hc_get_buf(HC_EXEC_FAILED, sizeof(*e));
	if (!b)
		return 0;
	e = (void *)b->data;
	hc_zero(e);
	hc_head(&e->h, HC_EXEC_FAILED, HC_F_FAILED, ret);
	e->at_flags = at_flags;
	hc_put_base(b, &e->path_dir, HC_EXEC_FAILED, dfd, name);
	hc_put_user_str(b, &e->path, HC_EXEC_FAILED, name);
	from = b->at;
	e->argv.mark = hc_put_strings(b, argv);
	e->argv.len = b->at - from;
	e->argv.full = b->at - from;
	if (e->argv.mark)
		hc_count(e->argv.mark == 1 ? HC_TRUNCATED : HC_READ_FAULT, HC_EXEC_FAILED);
	hc_send(b, false, HC_EXEC_FAILED);
	return 0;
}

/*
 * The exit of the call, not bprm_check or its neighbours: every reason shows there, from a path
 * that cannot be read to a format that nobody knows. A shell looks a name up by trying all of
 * PATH, so names that do not exist (ENOENT, ENOTDIR) are told in the forensic profile only. An
 * exec that fails after the old memory was let go kills the process: what is read then is of the
 * new memory, mostly nothing, and marked so.
 */
HC_SYSCALL(execve)
{
	if (ctx->ret >= 0)
		return 0;
	return failed(ctx->ret, AT_FDCWD, (void *)hc_arg(0), hc_arg(1), 0);
}

HC_SYSCALL(execveat)
{
	if (ctx->ret >= 0)
		return 0;
	return failed(ctx->ret, hc_arg(0), (void *)hc_arg(1), hc_arg(2), hc_arg(4));
}
