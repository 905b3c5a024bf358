// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * Calls that change names and attributes. They leave no descriptor, so in this tier the names are
 * what the program's memory held as the call ended: claimed, and marked so. The directory that a
 * relative name starts from is the kernel's. For ext4 a witness inside the file system names the
 * inode that lost a link.
 */
#include "../include/path.h"
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* Begins a record of the given event when the call is worth one: e and b are set. */
#define BEGIN(ev_, TYPE_)                                                          \
	struct hc_ev_##ev_ *e;                                                     \
	struct hc_buf *b;                                                          \
	s64 ret = ctx->ret;                                                        \
	if ((ret < 0 && !hc_refused(ret)) || hc_skip(TYPE_))                       \
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

#define PROG(name_) HC_SYSCALL(name_)

static __always_inline int rename_(struct hc_sys_exit *ctx, int d1, u64 p1, int d2, u64 p2, u32 flags)
{
	BEGIN(rename, HC_RENAME);
	e->rename_flags = flags;
	NAME(path, HC_RENAME, d1, p1);
	NAME(new_path, HC_RENAME, d2, p2);
	hc_send(b, false, HC_RENAME);
	return 0;
}
PROG(rename) { return rename_(ctx, AT_FDCWD, hc_arg(0), AT_FDCWD, hc_arg(1), 0); }
PROG(renameat) { return rename_(ctx, hc_arg(0), hc_arg(1), hc_arg(2), hc_arg(3), 0); }
PROG(renameat2) { return rename_(ctx, hc_arg(0), hc_arg(1), hc_arg(2), hc_arg(3), hc_arg(4)); }

static __always_inline int link_(struct hc_sys_exit *ctx, int d1, u64 p1, int d2, u64 p2, u32 flags)
{
	BEGIN(link, HC_LINK);
	e->link_flags = flags;
	NAME(path, HC_LINK, d1, p1);
	NAME(new_path, HC_LINK, d2, p2);
	hc_send(b, false, HC_LINK);
	return 0;
}
PROG(link) { return link_(ctx, AT_FDCWD, hc_arg(0), AT_FDCWD, hc_arg(1), 0); }
PROG(linkat) { return link_(ctx, hc_arg(0), hc_arg(1), hc_arg(2), hc_arg(3), hc_arg(4)); }

static __always_inline int symlink_(struct hc_sys_exit *ctx, u64 target, int dfd, u64 p)
{
	BEGIN(symlink, HC_SYMLINK);
	hc_put_user_str(b, &e->target, HC_SYMLINK, (void *)target);
	NAME(new_path, HC_SYMLINK, dfd, p);
	hc_send(b, false, HC_SYMLINK);
	return 0;
}
PROG(symlink) { return symlink_(ctx, hc_arg(0), AT_FDCWD, hc_arg(1)); }
PROG(symlinkat) { return symlink_(ctx, hc_arg(0), hc_arg(1), hc_arg(2)); }

static __always_inline int unlink_(struct hc_sys_exit *ctx, int dfd, u64 p, u32 flags)
{
	BEGIN(unlink, HC_UNLINK);
	e->unlink_flags = flags;
	NAME(path, HC_UNLINK, dfd, p);
	hc_send(b, false, HC_UNLINK);
	return 0;
}
PROG(unlink) { return unlink_(ctx, AT_FDCWD, hc_arg(0), 0); }
PROG(rmdir) { return unlink_(ctx, AT_FDCWD, hc_arg(0), 0x200); }
PROG(unlinkat) { return unlink_(ctx, hc_arg(0), hc_arg(1), hc_arg(2)); }

static __always_inline int mkdir_(struct hc_sys_exit *ctx, int dfd, u64 p, u32 perm)
{
	BEGIN(mkdir, HC_MKDIR);
	e->perm = S_IFDIR | (perm & 07777);
	NAME(path, HC_MKDIR, dfd, p);
	hc_send(b, false, HC_MKDIR);
	return 0;
}
PROG(mkdir) { return mkdir_(ctx, AT_FDCWD, hc_arg(0), hc_arg(1)); }
PROG(mkdirat) { return mkdir_(ctx, hc_arg(0), hc_arg(1), hc_arg(2)); }

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

static __always_inline int chmod_(struct hc_sys_exit *ctx, int dfd, u64 p, u32 perm)
{
	BEGIN(chmod, HC_CHMOD);
	e->perm = perm & 07777;
	e->old_perm = -1;
	NAME(path, HC_CHMOD, dfd, p);
	hc_send(b, false, HC_CHMOD);
	return 0;
}
PROG(chmod) { return chmod_(ctx, AT_FDCWD, hc_arg(0), hc_arg(1)); }
PROG(fchmodat) { return chmod_(ctx, hc_arg(0), hc_arg(1), hc_arg(2)); }
PROG(fchmodat2) { return chmod_(ctx, hc_arg(0), hc_arg(1), hc_arg(2)); }
PROG(fchmod)
{
	BEGIN(chmod, HC_CHMOD);
	e->perm = hc_arg(1) & 07777;
	e->old_perm = -1;
	OBJECT(HC_CHMOD, hc_arg(0));
	hc_send(b, false, HC_CHMOD);
	return 0;
}

static __always_inline int chown_(struct hc_sys_exit *ctx, int dfd, u64 p, u32 uid, u32 gid)
{
	BEGIN(chown, HC_CHOWN);
	e->owner = uid;
	e->group = gid;
	e->old_owner = e->old_group = -1;
	NAME(path, HC_CHOWN, dfd, p);
	hc_send(b, false, HC_CHOWN);
	return 0;
}
PROG(chown) { return chown_(ctx, AT_FDCWD, hc_arg(0), hc_arg(1), hc_arg(2)); }
PROG(lchown) { return chown_(ctx, AT_FDCWD, hc_arg(0), hc_arg(1), hc_arg(2)); }
PROG(fchownat) { return chown_(ctx, hc_arg(0), hc_arg(1), hc_arg(2), hc_arg(3)); }
PROG(fchown)
{
	BEGIN(chown, HC_CHOWN);
	e->owner = hc_arg(1);
	e->group = hc_arg(2);
	e->old_owner = e->old_group = -1;
	OBJECT(HC_CHOWN, hc_arg(0));
	hc_send(b, false, HC_CHOWN);
	return 0;
}

PROG(truncate)
{
	BEGIN(truncate, HC_TRUNCATE);
	e->size = hc_arg(1);
	e->old_size = -1;
	NAME(path, HC_TRUNCATE, AT_FDCWD, hc_arg(0));
	hc_send(b, false, HC_TRUNCATE);
	return 0;
}
PROG(ftruncate)
{
	BEGIN(truncate, HC_TRUNCATE);
	e->size = hc_arg(1);
	e->old_size = -1;
	OBJECT(HC_TRUNCATE, hc_arg(0));
	hc_send(b, false, HC_TRUNCATE);
	return 0;
}

/*
 * The witness. It runs inside the call, on the dentry that is about to lose its name: the object
 * is certain. Other file systems have no such tracepoint; there the name is joined to the object
 * by what was opened under it.
 */
SEC("tp_btf/ext4_unlink_enter")
int BPF_PROG(hc_ext4_unlink, struct inode *dir, struct dentry *d)
{
	struct hc_ev_inode_unlink *e;
	struct hc_buf *b;
	struct hc_obj o;
	u32 from, n = 0;

	if (hc_skip(HC_INODE_UNLINK))
		return 0;
	b = hc_get_buf(HC_INODE_UNLINK, sizeof(*e));
	if (!b)
		return 0;
	e = (void *)b->data;
	hc_zero(e);
	hc_head(&e->h, HC_INODE_UNLINK, 0, 0);
	hc_inode(&o, BPF_CORE_READ(d, d_inode));
	hc_set_obj(e, &o);
	e->dir_ino = dir->i_ino;
	e->nlink = BPF_CORE_READ(d, d_inode, i_nlink);
	/* no mount is at hand here: the walk ends at the root of the file system */
	from = b->at;
	for (int i = 0; i < HC_DEPTH_OLD; i++) {
		struct dentry *up = BPF_CORE_READ(d, d_parent);
		u32 at = b->at;
		long len;

		if (at > HC_BUF_SOFT)
			break;
		len = bpf_probe_read_kernel_str(&b->data[at], 256, BPF_CORE_READ(d, d_name.name));
		if (len <= 1)
			break;
		b->at = at + len;
		if (up == d) {
			n = 1;
			break;
		}
		d = up;
	}
	e->path.len = b->at - from;
	e->path.full = e->path.len;
	e->path.mark = !n;
	hc_send(b, false, HC_INODE_UNLINK);
	return 0;
}
