/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/* Calls that are given names: what their programs share. */
#ifndef HC_NAME_H
#define HC_NAME_H

#include "lower.h"
#include "path.h"

#define AT_EMPTY_PATH 0x1000

/* Begins a record of the given event when the call is worth one: e and b are set. */
#define BEGIN(ev_, TYPE_)                                                          \
	struct hc_ev_##ev_ *e;                                                     \
	struct hc_buf *b;                                                          \
	s64 ret = ctx->ret;                                                        \
	if ((ret < 0 && !hc_refused(ret)) || hc_told_lower(TYPE_, ctx->nr, ret))   \
		return 0;                                                          \
	if (hc_skip(TYPE_))                                                        \
		return 0;                                                          \
	b = hc_get_buf(TYPE_, sizeof(*e));                                         \
	if (!b)                                                                    \
		return 0;                                                          \
	e = (void *)b->data;                                                       \
	hc_zero(e);                                                                \
	hc_head(&e->h, TYPE_, ret < 0 ? HC_F_FAILED : 0, ret)

#define NAME(field_, TYPE_, dfd_, p_)                          \
	do {                                                   \
		const void *name_ = (const void *)(p_);        \
		hc_put_base(b, &e->field_##_dir, TYPE_, dfd_, name_); \
		hc_put_user_str(b, &e->field_, TYPE_, name_);  \
	} while (0)

/* By descriptor: object and path are the kernel's, put where the directory would be. */
#define OBJECT(TYPE_, fd_)                                                    \
	do {                                                                  \
		struct file *f_ = hc_file(fd_);                               \
		struct hc_obj o_;                                             \
		if (f_) {                                                     \
			hc_inode(&o_, BPF_CORE_READ(f_, f_inode));            \
			hc_set_obj(e, &o_);                                   \
			hc_put_file_path(b, &e->path_dir, TYPE_, f_);         \
		}                                                             \
	} while (0)

/* The file that a name stands for when the name is empty and the call allows that: its path is
 * what hc_put_base puts. The name is read again as the call ends, so a program that changes it
 * meanwhile can have its own descriptor taken for what it named. */
static __always_inline struct file *hc_empty(u32 flags, int dfd, const void *name)
{
	char c = 1;

	if (!(flags & AT_EMPTY_PATH) || dfd < 0)
		return NULL;
	if (name)
		bpf_probe_read_user(&c, 1, name);
	return name && c ? NULL : hc_file(dfd);
}
#define EMPTY(flags_, dfd_, p_)                                               \
	do {                                                                  \
		struct file *f_ = hc_empty(flags_, dfd_, (const void *)(p_)); \
		struct hc_obj o_;                                             \
		if (f_) {                                                     \
			hc_inode(&o_, BPF_CORE_READ(f_, f_inode));            \
			hc_set_obj(e, &o_);                                   \
		}                                                             \
	} while (0)

#define PROG(name_) HC_SYSCALL(name_)

#endif
