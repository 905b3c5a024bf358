// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * Opens, as they end: the descriptor leads to the kernel's file, so object, path and flags are
 * what was opened, whatever string was passed and whoever changed it meanwhile. Calls made
 * through the 32-bit table and io_uring do not pass here; coverage says so.
 */
#include "../include/path.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

#define FMODE_CREATED 0x100000

static __always_inline int refused(s64 ret, int dfd, const void *name, u32 oflags)
{
	struct hc_ev_open_failed *e;
	struct hc_buf *b;

	if (!hc_refused(ret) || hc_skip(HC_OPEN_FAILED))
		return 0;
	b = hc_get_buf(HC_OPEN_FAILED, sizeof(*e));
	if (!b)
		return 0;
	e = (void *)b->data;
	hc_zero(e);
	hc_head(&e->h, HC_OPEN_FAILED, HC_F_FAILED, ret);
	e->open_flags = oflags;
	hc_put_base(b, &e->path_dir, HC_OPEN_FAILED, dfd, name);
	hc_put_user_str(b, &e->path, HC_OPEN_FAILED, name);
	hc_send(b, false, HC_OPEN_FAILED);
	return 0;
}

static __always_inline int opened(s64 fd)
{
	struct hc_ev_open *e;
	struct hc_buf *b;
	struct file *f;
	struct hc_obj o;

	if (hc_skip(HC_OPEN))
		return 0;
	f = hc_file(fd);
	b = hc_get_buf(HC_OPEN, sizeof(*e));
	if (!b)
		return 0;
	e = (void *)b->data;
	hc_zero(e);
	hc_head(&e->h, HC_OPEN, 0, fd);
	if (f) { /* a sibling thread can have closed it already: the row then has no object */
		hc_file_inode(&o, f);
		hc_set_obj(e, &o);
		if (hc_has_cast) {
			e->open_flags = HC_READ(true, f, f_flags);
			e->created = !!(HC_READ(true, f, f_mode) & FMODE_CREATED);
		} else {
			e->open_flags = BPF_CORE_READ(f, f_flags);
			e->created = !!(BPF_CORE_READ(f, f_mode) & FMODE_CREATED);
		}
		hc_put_file_path(b, &e->path, HC_OPEN, f);
	}
	hc_send(b, false, HC_OPEN);
	return 0;
}

HC_SYSCALL(open)
{
	if (ctx->ret < 0)
		return refused(ctx->ret, AT_FDCWD, (void *)hc_arg(0), hc_arg(1));
	return opened(ctx->ret);
}

HC_SYSCALL(creat)
{
	if (ctx->ret < 0)
		return refused(ctx->ret, AT_FDCWD, (void *)hc_arg(0), 0x241 /* O_CREAT|O_WRONLY|O_TRUNC */);
	return opened(ctx->ret);
}

HC_SYSCALL(openat)
{
	if (ctx->ret < 0)
		return refused(ctx->ret, hc_arg(0), (void *)hc_arg(1), hc_arg(2));
	return opened(ctx->ret);
}

HC_SYSCALL(openat2)
{
	u64 oflags = 0;

	if (ctx->ret < 0) {
		bpf_probe_read_user(&oflags, sizeof(oflags), (void *)hc_arg(2));
		return refused(ctx->ret, hc_arg(0), (void *)hc_arg(1), oflags);
	}
	return opened(ctx->ret);
}
