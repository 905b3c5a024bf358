// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * Calls that change names and attributes. They leave no descriptor, so in this tier the names are
 * what the program's memory held as the call ended: claimed, and marked so. The directory that a
 * relative name starts from is the kernel's. For ext4 a witness inside the file system names the
 * inode that lost a link.
 */
#include "../include/name.h"
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

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

#define AT_SYMLINK_FOLLOW 0x400

/*
 * A file without a name gets one by its descriptor, given as such (AT_EMPTY_PATH, which needs a
 * capability) or as a link in procfs: then the descriptor is a number in the string just read, at
 * b->data[at]. It is believed when nobody else has the memory that the string lies in.
 */
static __always_inline struct file *by_procfs(struct hc_buf *b, struct hc_var *v, u32 flags)
{
	static const char prefix[] = "/proc/self/fd/";
	struct task_struct *t = (struct task_struct *)bpf_get_current_task();
	u32 at = b->at - v->len, n = v->len;
	char s[24] = {};
	int fd = 0;

	if (!(flags & AT_SYMLINK_FOLLOW) || n < sizeof(prefix) || n > sizeof(s) || at > HC_BUF_SOFT ||
	    BPF_CORE_READ(t, mm, mm_users.counter) != 1)
		return NULL;
	__builtin_memcpy(s, &b->data[at], sizeof(s));
	for (int i = 0; i < sizeof(prefix) - 1; i++)
		if (s[i] != prefix[i])
			return NULL;
	for (int i = sizeof(prefix) - 1; i < sizeof(s); i++) {
		if (i >= n)
			break;
		if (s[i] < '0' || s[i] > '9')
			return NULL;
		fd = fd * 10 + s[i] - '0';
	}
	return hc_file(fd);
}

static __always_inline int link_(struct hc_sys_exit *ctx, int d1, u64 p1, int d2, u64 p2, u32 flags)
{
	struct file *f;
	struct hc_obj o;

	BEGIN(link, HC_LINK);
	e->link_flags = flags;
	NAME(path, HC_LINK, d1, p1);
	f = hc_empty(flags, d1, (void *)p1);
	if (!f)
		f = by_procfs(b, &e->path, flags);
	if (f) {
		hc_inode(&o, BPF_CORE_READ(f, f_inode));
		hc_set_obj(e, &o);
	}
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

/* Devices, pipes and sockets with a name, and plain files, which no open tells. */
static __always_inline int mknod_(struct hc_sys_exit *ctx, int dfd, u64 p, u32 perm, u32 dev)
{
	u32 kind = perm & S_IFMT;

	BEGIN(mkdir, HC_MKDIR);
	e->perm = perm & (S_IFMT | 07777);
	if (!kind)
		e->perm |= S_IFREG;
	if (kind == S_IFCHR || kind == S_IFBLK) /* a number has 12 and 20 bits in the kernel, put together otherwise */
		e->rdev = (dev & 0xfff00) << 12 | (dev & 0xff) | (dev >> 12 & 0xfff00);
	NAME(path, HC_MKDIR, dfd, p);
	hc_send(b, false, HC_MKDIR);
	return 0;
}
PROG(mknod) { return mknod_(ctx, AT_FDCWD, hc_arg(0), hc_arg(1), hc_arg(2)); }
PROG(mknodat) { return mknod_(ctx, hc_arg(0), hc_arg(1), hc_arg(2), hc_arg(3)); }

static __always_inline int chmod_(struct hc_sys_exit *ctx, int dfd, u64 p, u32 perm, u32 flags)
{
	BEGIN(chmod, HC_CHMOD);
	e->perm = perm & 07777;
	e->old_perm = -1;
	EMPTY(flags, dfd, p);
	NAME(path, HC_CHMOD, dfd, p);
	hc_send(b, false, HC_CHMOD);
	return 0;
}
PROG(chmod) { return chmod_(ctx, AT_FDCWD, hc_arg(0), hc_arg(1), 0); }
PROG(fchmodat) { return chmod_(ctx, hc_arg(0), hc_arg(1), hc_arg(2), 0); }
PROG(fchmodat2) { return chmod_(ctx, hc_arg(0), hc_arg(1), hc_arg(2), hc_arg(3)); }
PROG(fchmod)
{
	BEGIN(chmod, HC_CHMOD);
	e->perm = hc_arg(1) & 07777;
	e->old_perm = -1;
	OBJECT(HC_CHMOD, hc_arg(0));
	hc_send(b, false, HC_CHMOD);
	return 0;
}

static __always_inline int chown_(struct hc_sys_exit *ctx, int dfd, u64 p, u32 uid, u32 gid, u32 flags)
{
	BEGIN(chown, HC_CHOWN);
	e->owner = uid;
	e->group = gid;
	e->old_owner = e->old_group = -1;
	EMPTY(flags, dfd, p);
	NAME(path, HC_CHOWN, dfd, p);
	hc_send(b, false, HC_CHOWN);
	return 0;
}
PROG(chown) { return chown_(ctx, AT_FDCWD, hc_arg(0), hc_arg(1), hc_arg(2), 0); }
PROG(lchown) { return chown_(ctx, AT_FDCWD, hc_arg(0), hc_arg(1), hc_arg(2), 0); }
PROG(fchownat) { return chown_(ctx, hc_arg(0), hc_arg(1), hc_arg(2), hc_arg(3), hc_arg(4)); }
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
	e->size = hc_length(ctx, 1);
	e->old_size = -1;
	NAME(path, HC_TRUNCATE, AT_FDCWD, hc_arg(0));
	hc_send(b, false, HC_TRUNCATE);
	return 0;
}
PROG(ftruncate)
{
	BEGIN(truncate, HC_TRUNCATE);
	e->size = hc_length(ctx, 1);
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
