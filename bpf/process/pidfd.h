/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/* The process behind a descriptor. */
#ifndef HC_PIDFD_H
#define HC_PIDFD_H

#include "../include/path.h"

#define PIDFS_MAGIC 0x50494446

/* The thread a pidfd of the running task stands for, or NULL. From 6.9 pidfds have a file system
 * of their own, whose inodes hold the pid; before, they are nameless files that hold it. */
static __always_inline struct task_struct *hc_pidfd_task(int fd)
{
	struct file *f = hc_file(fd);
	char name[8] = {};

	if (!f)
		return NULL;
	if (BPF_CORE_READ(f, f_inode, i_sb, s_magic) == PIDFS_MAGIC)
		return hc_pid_task(BPF_CORE_READ(f, f_inode, i_private));
	bpf_probe_read_kernel(name, sizeof(name), BPF_CORE_READ(f, f_path.dentry, d_name.name));
	if (__builtin_memcmp(name, "[pidfd]", 8))
		return NULL;
	return hc_pid_task(BPF_CORE_READ(f, private_data));
}

#endif
