// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * Files mapped executable: libraries, and programs started through ld.so, which exec alone does
 * not show. mprotect that makes a mapping executable later is not seen here.
 */
#include "../include/path.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

#define PROT_EXEC 4
#define MAP_ANONYMOUS 0x20

HC_SYSCALL(mmap)
{
	struct hc_ev_mmap_exec *e;
	struct hc_buf *b;
	struct file *f;
	struct hc_obj o;
	u32 prot, flags;

	if (ctx->ret < 0 && ctx->ret > -4096)
		return 0;
	prot = hc_arg(2);
	flags = hc_arg(3);
	if (!(prot & PROT_EXEC) || flags & MAP_ANONYMOUS || hc_skip(HC_MMAP_EXEC))
		return 0;
	f = hc_file(hc_arg(4));
	if (!f)
		return 0;
	b = hc_get_buf(HC_MMAP_EXEC, sizeof(*e));
	if (!b)
		return 0;
	e = (void *)b->data;
	hc_zero(e);
	hc_head(&e->h, HC_MMAP_EXEC, 0, 0);
	hc_inode(&o, BPF_CORE_READ(f, f_inode));
	hc_set_obj(e, &o);
	e->prot = prot;
	e->map_flags = flags;
	e->addr = ctx->ret;
	e->length = hc_arg(1);
	e->offset = hc_arg(5);
	hc_put_file_path(b, &e->path, HC_MMAP_EXEC, f);
	hc_send(b, false, HC_MMAP_EXEC);
	return 0;
}
