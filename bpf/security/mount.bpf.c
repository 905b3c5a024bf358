// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * Changes of the tree of mounts, at the exit of the calls, refused ones too. Where the call leaves
 * an object behind (the root after chroot, the descriptor of fsmount and open_tree, the mount that
 * move_mount took by descriptor) the row has its path, id and device from the kernel and is
 * flagged so. Other names are the program's: what became of them is told by the rows of the
 * recorder, which compares the kernel's list of mounts before and after (ops 11 and 12).
 */
#include "host.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

#define MS_BIND 4096
#define MS_MOVE 8192
#define MOVE_MOUNT_F_EMPTY_PATH 4
#define OPEN_TREE_CLONE 1

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct file_system_type {
	const char *name;
};
struct super_block___host {
	u32 s_dev;
	struct file_system_type *s_type;
};
struct vfsmount___host {
	struct dentry *mnt_root;
	struct super_block___host *mnt_sb;
};
struct mount___host {
	struct mount___host *mnt_parent;
	const char *mnt_devname;
	int mnt_id;
};
struct fs_struct___host {
	struct path root;
};
struct fs_context {
	struct file_system_type *fs_type;
	struct dentry *root;
	const char *source;
};
#pragma clang attribute pop

enum { MOUNT = 1, UMOUNT, MOVE, PIVOT, CHROOT, FSOPEN, FSMOUNT, OPEN_TREE, SETATTR, FSCONFIG, FSPICK = 13 };

static __always_inline struct hc_buf *begin(u32 op, s64 ret)
{
	struct task_struct *t = (struct task_struct *)bpf_get_current_task();
	struct hc_ev_mount *e;
	struct hc_buf *b;

	if (hc_skip(HC_MOUNT))
		return NULL;
	b = hc_get_buf(HC_MOUNT, sizeof(*e));
	if (!b)
		return NULL;
	e = (void *)b->data;
	hc_zero(e);
	hc_head(&e->h, HC_MOUNT, hc_told(ret), ret);
	e->op = op;
	e->mntns = BPF_CORE_READ(t, nsproxy, mnt_ns, ns.inum);
	return b;
}

#define BEGIN(op_)                                  \
	struct hc_buf *b = begin(op_, ctx->ret);    \
	struct hc_ev_mount *e;                      \
	if (!b)                                     \
		return 0;                           \
	e = (void *)b->data

static __always_inline int end(struct hc_buf *b)
{
	hc_send_now(b, HC_MOUNT);
	return 0;
}

#define NAME(field_, dfd_, p_)                                                       \
	do {                                                                         \
		u64 name_ = (p_);                                                    \
		hc_put_base(b, &e->field_##_dir, HC_MOUNT, dfd_, (const void *)name_); \
		hc_put_optional(b, &e->field_, HC_MOUNT, name_);                     \
	} while (0)

/* The ids and the device of a mount; its mount point is where the tree has it by now. */
static __always_inline struct mount___host *place(struct hc_ev_mount *e, struct vfsmount *v)
{
	struct mount___host *m = (void *)v - bpf_core_field_offset(struct mount, mnt), *up;

	if (!v)
		return NULL;
	e->mount_id = (u32)BPF_CORE_READ(m, mnt_id);
	up = BPF_CORE_READ(m, mnt_parent);
	if (up != m) /* a root of a tree is its own parent */
		e->parent_id = (u32)BPF_CORE_READ(up, mnt_id);
	e->dev = BPF_CORE_READ((struct vfsmount___host *)v, mnt_sb, s_dev);
	return m;
}

/* The mount behind a descriptor. */
static __always_inline struct vfsmount *mount_at(int fd)
{
	struct file *f = hc_file(fd);

	return f ? BPF_CORE_READ(f, f_path.mnt) : NULL;
}

static __always_inline const char *fstype_of(struct vfsmount *v)
{
	return BPF_CORE_READ((struct vfsmount___host *)v, mnt_sb, s_type, name);
}

static __always_inline bool empty(u64 p)
{
	char c = 1;

	return p && !bpf_probe_read_user(&c, 1, (void *)p) && !c;
}

HC_SYSCALL(mount)
{
	u64 flags = hc_arg(3), source = hc_arg(0);

	BEGIN(MOUNT);
	e->mount_flags = flags;
	NAME(path, AT_FDCWD, hc_arg(1));
	/* only then is the source a name of the tree */
	if (source && flags & (MS_BIND | MS_MOVE))
		hc_put_base(b, &e->source_dir, HC_MOUNT, AT_FDCWD, (const void *)source);
	hc_put_optional(b, &e->source, HC_MOUNT, source);
	hc_put_optional(b, &e->fstype, HC_MOUNT, hc_arg(2));
	hc_put_optional(b, &e->data, HC_MOUNT, hc_arg(4));
	return end(b);
}

HC_SYSCALL(umount) /* umount2 */
{
	BEGIN(UMOUNT);
	e->mount_flags = hc_arg(1);
	NAME(path, AT_FDCWD, hc_arg(0));
	return end(b);
}

HC_SYSCALL(move_mount)
{
	int from = hc_arg(0);
	u64 flags = hc_arg(4);
	struct vfsmount *v = NULL;
	struct file *f = NULL;

	BEGIN(MOVE);
	e->mount_flags = flags;
	if (ctx->ret >= 0 && flags & MOVE_MOUNT_F_EMPTY_PATH && empty(hc_arg(1)))
		f = hc_file(from);
	if (f) {
		struct mount___host *m;

		v = BPF_CORE_READ(f, f_path.mnt);
		m = place(e, v);
		e->h.flags |= HC_F_KERNEL_NAMES;
		hc_put_file_path(b, &e->path_dir, HC_MOUNT, f);
		hc_put_kernel_str(b, &e->source, HC_MOUNT, BPF_CORE_READ(m, mnt_devname));
		hc_put_kernel_str(b, &e->fstype, HC_MOUNT, fstype_of(v));
	} else {
		NAME(path, hc_arg(2), hc_arg(3));
		NAME(source, from, hc_arg(1));
	}
	return end(b);
}

/* The new root's mount is the one the caller sees as root now. */
HC_SYSCALL(pivot_root)
{
	struct task_struct *t = (struct task_struct *)bpf_get_current_task();
	struct fs_struct___host *fs = (void *)BPF_CORE_READ(t, fs);

	BEGIN(PIVOT);
	if (ctx->ret >= 0)
		place(e, BPF_CORE_READ(fs, root.mnt));
	NAME(path, AT_FDCWD, hc_arg(0));
	NAME(source, AT_FDCWD, hc_arg(1));
	return end(b);
}

HC_SYSCALL(chroot)
{
	struct task_struct *t = (struct task_struct *)bpf_get_current_task();
	struct fs_struct___host *fs = (void *)BPF_CORE_READ(t, fs);

	BEGIN(CHROOT);
	if (ctx->ret >= 0) {
		struct vfsmount *v = BPF_CORE_READ(fs, root.mnt);

		place(e, v);
		e->h.flags |= HC_F_KERNEL_NAMES;
		hc_put_path(b, &e->path_dir, HC_MOUNT, BPF_CORE_READ(fs, root.dentry), v);
	} else {
		NAME(path, AT_FDCWD, hc_arg(0));
	}
	return end(b);
}

/* The context that fsopen and fspick make, or NULL. */
static __always_inline struct fs_context *context(s64 fd)
{
	struct file *f = fd < 0 ? NULL : hc_file(fd);

	return f && hc_anon(f, "[fscontext]") ? BPF_CORE_READ(f, private_data) : NULL;
}

HC_SYSCALL(fsopen)
{
	struct fs_context *c;

	BEGIN(FSOPEN);
	e->mount_flags = hc_arg(1);
	c = context(ctx->ret);
	if (c) {
		e->h.flags |= HC_F_KERNEL_NAMES;
		hc_put_kernel_str(b, &e->fstype, HC_MOUNT, BPF_CORE_READ(c, fs_type, name));
	} else {
		hc_put_optional(b, &e->fstype, HC_MOUNT, hc_arg(0));
	}
	return end(b);
}

HC_SYSCALL(fspick)
{
	struct fs_context *c;

	BEGIN(FSPICK);
	e->mount_flags = hc_arg(2);
	c = context(ctx->ret);
	if (c)
		e->dev = BPF_CORE_READ(c, root, d_inode, i_sb, s_dev);
	NAME(path, hc_arg(0), hc_arg(1));
	if (c)
		hc_put_kernel_str(b, &e->fstype, HC_MOUNT, BPF_CORE_READ(c, fs_type, name));
	return end(b);
}

/* Commands: 0 flag, 1 string, 2 binary, 3 path, 4 empty path, 5 descriptor, 6 create, 7 reconfigure,
 * 8 create exclusively. Flags of the row are the command, and above it the last argument. */
HC_SYSCALL(fsconfig)
{
	u32 cmd = hc_arg(1);
	u64 key = hc_arg(2), value = hc_arg(3);
	const char *source;
	struct fs_context *c;
	struct dentry *root;

	BEGIN(FSCONFIG);
	e->mount_flags = (u64)(u32)hc_arg(4) << 32 | cmd;
	c = context(hc_arg(0));
	if (c) {
		root = BPF_CORE_READ(c, root);
		if (root)
			e->dev = BPF_CORE_READ(root, d_inode, i_sb, s_dev);
		source = BPF_CORE_READ(c, source);
		if (source)
			hc_put_kernel_str(b, &e->source, HC_MOUNT, source);
		hc_put_kernel_str(b, &e->fstype, HC_MOUNT, BPF_CORE_READ(c, fs_type, name));
	}
	hc_put_optional(b, &e->data, HC_MOUNT, key);
	if ((cmd == 1 || cmd == 3 || cmd == 4) && value && e->data.len) {
		struct hc_var v = {};
		u32 at = b->at;

		if (at <= HC_BUF_SOFT)
			b->data[at] = '=';
		b->at = at + 1;
		hc_put_user_str(b, &v, HC_MOUNT, (void *)value);
		e->data.len += 1 + v.len;
		e->data.full = e->data.len;
		if (v.mark > e->data.mark)
			e->data.mark = v.mark;
	}
	return end(b);
}

HC_SYSCALL(fsmount)
{
	struct mount___host *m;
	struct vfsmount *v;

	BEGIN(FSMOUNT);
	e->mount_flags = hc_arg(1);
	e->attr_set = hc_arg(2);
	v = ctx->ret < 0 ? NULL : mount_at(ctx->ret);
	if (v) {
		m = place(e, v);
		e->h.flags |= HC_F_KERNEL_NAMES;
		hc_put_kernel_str(b, &e->source, HC_MOUNT, BPF_CORE_READ(m, mnt_devname));
		hc_put_kernel_str(b, &e->fstype, HC_MOUNT, fstype_of(v));
	}
	return end(b);
}

/* A clone is a mount of its own, which has no place yet: the name that was cloned stays claimed. */
static __always_inline int open_tree_(struct hc_sys_exit *ctx)
{
	u32 flags = hc_arg(2);
	struct file *f = NULL;

	BEGIN(OPEN_TREE);
	e->mount_flags = flags;
	if (ctx->ret >= 0)
		f = hc_file(ctx->ret);
	if (f)
		place(e, BPF_CORE_READ(f, f_path.mnt));
	if (f && !(flags & OPEN_TREE_CLONE)) {
		e->h.flags |= HC_F_KERNEL_NAMES;
		hc_put_file_path(b, &e->source_dir, HC_MOUNT, f);
	} else {
		NAME(source, hc_arg(0), hc_arg(1));
	}
	return end(b);
}
HC_SYSCALL(open_tree) { return open_tree_(ctx); }
HC_SYSCALL(open_tree_attr) { return open_tree_(ctx); } /* 6.15 */

HC_SYSCALL(mount_setattr)
{
	u64 name = hc_arg(1), a[3] = {}; /* struct mount_attr: set, clear, propagation */
	int dfd = hc_arg(0);

	BEGIN(SETATTR);
	e->mount_flags = hc_arg(2);
	if (bpf_probe_read_user(a, sizeof(a), (void *)hc_arg(3)))
		hc_count(HC_READ_FAULT, HC_MOUNT);
	e->attr_set = a[0];
	e->attr_clr = a[1];
	e->propagation = a[2];
	if (ctx->ret >= 0 && empty(name))
		place(e, mount_at(dfd));
	NAME(path, dfd, name);
	return end(b);
}
