// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * Code for the kernel itself: modules, and the next kernel. Exits of the calls, refused ones too:
 * the file is the one the descriptor leads to; parameters and names are the program's. A kernel
 * built without modules or kexec has no such calls and no such tracepoints.
 */
#include "host.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

static __always_inline int module_(struct hc_sys_exit *ctx, u32 op, int fd, u64 name, u32 flags, u64 size)
{
	struct hc_ev_module *e;
	struct hc_buf *b;
	struct hc_obj o;
	struct file *f;

	if (hc_skip(HC_MODULE))
		return 0;
	b = hc_get_buf(HC_MODULE, sizeof(*e));
	if (!b)
		return 0;
	e = (void *)b->data;
	hc_zero(e);
	hc_head(&e->h, HC_MODULE, hc_told(ctx->ret), ctx->ret);
	e->op = op;
	e->module_flags = flags;
	e->size = size;
	f = hc_file(fd);
	if (f) {
		hc_inode(&o, BPF_CORE_READ(f, f_inode));
		hc_set_obj(e, &o);
		hc_put_file_path(b, &e->path, HC_MODULE, f);
	}
	hc_put_optional(b, &e->name, HC_MODULE, name);
	hc_send_now(b, HC_MODULE);
	return 0;
}
HC_SYSCALL(init_module) { return module_(ctx, 1, -1, hc_arg(2), 0, hc_arg(1)); }
HC_SYSCALL(finit_module) { return module_(ctx, 2, hc_arg(0), hc_arg(1), hc_arg(2), 0); }
HC_SYSCALL(delete_module) { return module_(ctx, 3, -1, hc_arg(0), hc_arg(1), 0); }
HC_SYSCALL(kexec_load) { return module_(ctx, 5, -1, 0, hc_arg(3), 0); }
HC_SYSCALL(kexec_file_load) { return module_(ctx, 6, hc_arg(0), hc_arg(3), hc_arg(4), 0); }
