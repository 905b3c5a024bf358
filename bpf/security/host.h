/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/* What the programs about changes of the host share: their rows are rare, and told at once. */
#ifndef HC_HOST_H
#define HC_HOST_H

#include "../include/path.h"

#define ANON_INODE_FS_MAGIC 0x09041934

/* The flags of a row in the reserved ring. */
static __always_inline u32 hc_told(s64 ret)
{
	return HC_F_CRITICAL | (ret < 0 ? HC_F_FAILED : 0);
}

/* Sends a record of the reserved ring and wakes the reader for it. */
static __always_inline void hc_send_now(struct hc_buf *b, u32 type)
{
	u32 len = b->at;
	long err = -1;

	hc_count(HC_SEEN, type);
	if (len <= sizeof(b->data))
		err = bpf_ringbuf_output(&hc_crit, b->data, len, BPF_RB_FORCE_WAKEUP);
	if (err)
		hc_count(HC_RING_FULL, type);
	b->busy = 0;
}

/* Appends a string of the program that may be left out by a null pointer. */
static __always_inline void hc_put_optional(struct hc_buf *b, struct hc_var *v, u32 type, u64 p)
{
	if (p)
		hc_put_user_str(b, v, type, (const void *)p);
}

/*
 * Tells whether a descriptor of the running task is a nameless object of the given kind: the
 * kernel gives each kind a name of its own. Ordinary files may be called the same, so the file
 * system counts too.
 */
#define hc_anon(f_, name_)                                                                      \
	({                                                                                      \
		char n_[sizeof(name_)] = {};                                                    \
		struct file *g_ = (f_);                                                         \
		bool is_ = false;                                                               \
		if (g_ && BPF_CORE_READ(g_, f_inode, i_sb, s_magic) == ANON_INODE_FS_MAGIC) {   \
			bpf_probe_read_kernel(n_, sizeof(n_), BPF_CORE_READ(g_, f_path.dentry, d_name.name)); \
			is_ = !__builtin_memcmp(n_, name_, sizeof(n_));                         \
		}                                                                               \
		is_;                                                                            \
	})

#endif
