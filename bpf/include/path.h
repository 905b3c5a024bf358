/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/* Objects and names: from a descriptor to the kernel's file, its identity and its path. */
#ifndef HC_PATH_H
#define HC_PATH_H

#include "task.h"

#ifndef HC_PATH
#define HC_PATH 16384       /* bytes of one walk; longer paths are cut at the root's side, and marked */
#endif
#define HC_DEPTH 4096       /* components of one walk, the same */
#define HC_DEPTH_OLD 64     /* where the walk is unrolled, before kernel 5.17 */
#define HC_STR 4096         /* bytes of one string of a program: no name that the kernel takes is longer */
#define HC_ARGV 8192        /* bytes of arguments kept from their start, and as many of the environment */
#define HC_ARGV_TAIL 4096   /* bytes of arguments kept from their end */

/* The file behind a descriptor of the running task, or NULL. A sibling thread may have replaced
 * the descriptor since the call used it; that call is an event of its own. */
static __always_inline struct file *hc_file(int fd)
{
	struct task_struct *t = hc_current();
	struct fdtable *fdt = HC_T2(t, files, fdt);
	struct file *f = NULL;

	if (fd < 0 || (u32)fd >= HC_T(fdt, max_fds))
		return NULL;
	if (hc_has_cast)
		return (struct file *)hc_load8(HC_T(fdt, fd) + fd);
	bpf_probe_read_kernel(&f, sizeof(f), HC_T(fdt, fd) + fd);
	return f;
}

struct hc_obj {
	u32 dev, gen;
	u64 ino;
	u32 mode;
};

static __always_inline void hc_inode_by(bool by, struct hc_obj *o, struct inode *i)
{
	o->dev = HC_READ(by, i, i_sb, s_dev);
	o->ino = HC_READ(by, i, i_ino);
	o->gen = HC_READ(by, i, i_generation);
	o->mode = HC_READ(by, i, i_mode);
}

static __always_inline void hc_inode(struct hc_obj *o, struct inode *i)
{
	if (hc_has_cast)
		hc_inode_by(true, o, i);
	else
		hc_inode_by(false, o, i);
}

/* The same of a file. */
static __always_inline void hc_file_inode_by(bool by, struct hc_obj *o, struct file *f)
{
	hc_inode_by(by, o, HC_READ(by, f, f_inode));
}

static __always_inline void hc_file_inode(struct hc_obj *o, struct file *f)
{
	if (hc_has_cast)
		hc_file_inode_by(true, o, f);
	else
		hc_file_inode_by(false, o, f);
}

#define hc_set_obj(e_, o_)                 \
	do {                               \
		(e_)->dev = (o_)->dev;     \
		(e_)->ino = (o_)->ino;     \
		(e_)->gen = (o_)->gen;     \
		(e_)->mode = (o_)->mode;   \
	} while (0)

static __always_inline s64 hc_ctime(struct inode *i)
{
	struct inode___mid *mid = (void *)i;
	struct inode___old *old = (void *)i;

	if (bpf_core_field_exists(i->i_ctime_sec))
		/* from 6.13 the top bit says that somebody asked, and is no part of the time */
		return BPF_CORE_READ(i, i_ctime_sec) * 1000000000LL + (BPF_CORE_READ(i, i_ctime_nsec) & 0x7fffffff);
	if (bpf_core_field_exists(mid->__i_ctime))
		return BPF_CORE_READ(mid, __i_ctime.tv_sec) * 1000000000LL + BPF_CORE_READ(mid, __i_ctime.tv_nsec);
	return BPF_CORE_READ(old, i_ctime.tv_sec) * 1000000000LL + BPF_CORE_READ(old, i_ctime.tv_nsec);
}

static __always_inline s64 hc_mtime(struct inode *i)
{
	struct inode___mid *mid = (void *)i;
	struct inode___old *old = (void *)i;

	if (bpf_core_field_exists(i->i_mtime_sec))
		return BPF_CORE_READ(i, i_mtime_sec) * 1000000000LL + BPF_CORE_READ(i, i_mtime_nsec);
	if (bpf_core_field_exists(mid->__i_mtime))
		return BPF_CORE_READ(mid, __i_mtime.tv_sec) * 1000000000LL + BPF_CORE_READ(mid, __i_mtime.tv_nsec);
	return BPF_CORE_READ(old, i_mtime.tv_sec) * 1000000000LL + BPF_CORE_READ(old, i_mtime.tv_nsec);
}

struct hc_walk {
	struct hc_buf *b;
	struct dentry *d;
	struct mount *mnt; /* NULL when none is at hand: the walk ends at the root of the file system */
	u32 from;          /* where in the buffer the path starts */
	u32 whole;
};

/* One step of a walk: appends the name of a component, or goes up through a mount. Returns 1 at
 * the end. */
static __always_inline long hc_walk_step_by(bool by, struct hc_walk *w)
{
	struct hc_buf *b = w->b;
	struct mount *mnt = w->mnt;
	struct dentry *d = w->d, *parent = HC_READ(by, d, d_parent);
	bool whole = false;
	u32 at;
	long n;

	if (d == parent || (mnt && d == HC_READ(by, mnt, mnt.mnt_root))) {
		struct mount *up = mnt ? HC_READ(by, mnt, mnt_parent) : NULL;

		if (up != mnt) {
			w->d = HC_READ(by, mnt, mnt_mountpoint);
			w->mnt = up;
			return 0;
		}
		whole = true;
	}
	at = b->at;
	if (at > HC_BUF_SOFT || at - w->from > HC_PATH - 256)
		return 1;
	if (whole && d != parent) { /* root of a detached mount */
		b->data[at] = '/';
		b->data[at + 1] = 0;
		n = 2;
	} else {
		n = bpf_probe_read_kernel_str(&b->data[at], 256, HC_READ(by, d, d_name.name));
	}
	if (n <= 1)
		return 1;
	b->at = at + n;
	w->whole = whole;
	w->d = parent;
	return whole;
}

static long hc_walk_step(u32 i, struct hc_walk *w)
{
	return hc_has_cast ? hc_walk_step_by(true, w) : hc_walk_step_by(false, w);
}

/* The same walk for kernels before 5.12, which check a global function only when it takes numbers
 * alone: the buffer is the one of this cpu, whose program is the caller. */
__noinline u32 hc_walk_old(u64 dentry, u64 vfsmount)
{
	u32 cpu = bpf_get_smp_processor_id();
	struct hc_walk w = {
		.d = (void *)dentry,
		.mnt = vfsmount ? (void *)vfsmount - bpf_core_field_offset(struct mount, mnt) : NULL,
	};

	if (!hc_old)
		return 1; /* never called; nothing to check */
	w.b = bpf_map_lookup_elem(&hc_scratch, &cpu);
	if (!w.b)
		return 1;
	w.from = w.b->at;
	for (int i = 0; i < HC_DEPTH_OLD / 2; i++)
		if (hc_walk_step(i, &w))
			break;
	return !w.whole;
}

/*
 * Appends the path of (dentry, mnt) to the scratch buffer, leaf first, each component NUL
 * terminated, "/" for the root. The walk crosses mounts up to the root of the mount namespace,
 * whatever chroot the process is in; without a mount it ends at the root of the file system. A
 * pseudo file (memfd) has one component and no root. Returns 0, or 1 when the walk was cut. A
 * global function, which the verifier checks once; from 5.17 on bpf_loop takes it as deep as
 * the buffer holds, before it is unrolled and ends at 64 components.
 */
__noinline u32 hc_walk(struct hc_buf *b, u64 dentry, u64 vfsmount)
{
	struct hc_walk w = {
		.b = b,
		.d = (void *)dentry,
		.mnt = vfsmount ? (void *)vfsmount - bpf_core_field_offset(struct mount, mnt) : NULL,
	};

	if (!b)
		return 1;
	w.from = b->at;
	if (hc_has_loop) {
		bpf_loop(HC_DEPTH, hc_walk_step, &w, 0);
	} else {
		for (int i = 0; i < HC_DEPTH_OLD; i++)
			if (hc_walk_step(i, &w))
				break;
	}
	return !w.whole;
}

static __always_inline u32 hc_walk_from(struct hc_buf *b, u64 dentry, u64 vfsmount)
{
#ifndef HC_OWN_BUF /* an object whose records are built in buffers of its own */
	if (hc_old)
		return hc_walk_old(dentry, vfsmount);
#endif
	return hc_walk(b, dentry, vfsmount);
}

static __always_inline void hc_put_path(struct hc_buf *b, struct hc_var *v, u32 type, struct dentry *d, struct vfsmount *vfs)
{
	u32 from = b->at;

	v->mark = 0;
	if (d && vfs && hc_walk_from(b, (u64)d, (u64)vfs)) {
		v->mark = 1;
		hc_count(HC_TRUNCATED, type);
	}
	v->len = b->at - from;
	v->full = b->at - from;
}

static __always_inline void hc_put_file_path(struct hc_buf *b, struct hc_var *v, u32 type, struct file *f)
{
	struct dentry *d;
	struct vfsmount *m;

	if (hc_has_cast) {
		d = HC_READ(true, f, f_path.dentry);
		m = HC_READ(true, f, f_path.mnt);
	} else {
		d = BPF_CORE_READ(f, f_path.dentry);
		m = BPF_CORE_READ(f, f_path.mnt);
	}
	hc_put_path(b, v, type, d, m);
}

/* Takes the n bytes of a string, its NUL among them, that a read of HC_STR + 1 bytes has just put
 * at the end of the buffer. A read that failed leaves v marked unreadable. */
static __always_inline void hc_took_str(struct hc_buf *b, struct hc_var *v, u32 type, u32 at, long n)
{
	v->len = 0;
	v->mark = 2;
	v->full = 0;
	if (n <= 0)
		return;
	n--;
	v->mark = n == HC_STR;
	if (v->mark)
		hc_count(HC_TRUNCATED, type);
	v->len = n;
	v->full = n;
	b->at = at + n;
}

/*
 * Puts what lies at p up to the end of its page at the end of the buffer, at most max bytes, and
 * returns how many: what can be had of something that runs into a page that is not there. A
 * program cannot wait for a page to come in.
 */
__noinline u32 hc_up_to_edge(struct hc_buf *b, u64 p, u32 max)
{
	u32 n = hc_page_size - (p & (hc_page_size - 1)), at;

	if (!b)
		return 0;
	at = b->at;
	if (max > HC_STR)
		max = HC_STR;
	if (n > max)
		n = max;
	if (at > HC_BUF_SOFT || bpf_probe_read_user(&b->data[at], n, (void *)p))
		return 0;
	return n;
}

/* Reads a NUL terminated string and returns its bytes, the NUL among them. Before 6.13 the helper
 * says 0 for an empty one. */
static __always_inline long hc_read_user_str(void *to, u32 size, const void *p)
{
	long n = bpf_probe_read_user_str(to, size, p);

	return n ? n : 1;
}

/*
 * Appends a NUL terminated string of the program, without its NUL. When it runs into a page that
 * is not there, what stands before is kept and marked truncated; when nothing can be read, it is
 * marked unreadable. It is never empty without a mark unless the string is empty.
 */
static __always_inline void hc_put_user_str(struct hc_buf *b, struct hc_var *v, u32 type, const void *p)
{
	u32 at = b->at, part;
	long n = 0;

	if (at <= HC_BUF_SOFT)
		n = hc_read_user_str(&b->data[at], HC_STR + 1, p);
	hc_took_str(b, v, type, at, n);
	if (n > 0)
		return;
	hc_count(HC_READ_FAULT, type);
	part = hc_up_to_edge(b, (u64)p, HC_STR);
	if (part) {
		v->mark = 1;
		v->len = part;
		v->full = part;
		b->at = at + part;
	}
}

/* The same for a string the kernel holds. */
static __always_inline void hc_put_kernel_str(struct hc_buf *b, struct hc_var *v, u32 type, const void *p)
{
	u32 at = b->at;
	long n = 0;

	if (at <= HC_BUF_SOFT)
		n = bpf_probe_read_kernel_str(&b->data[at], HC_STR + 1, p);
	hc_took_str(b, v, type, at, n);
}

/*
 * Appends n bytes of the program, n at most HC_ARGV, of the whole bytes that the field stands
 * for. When they run into a page that is not there, those before are kept, marked truncated.
 */
static __always_inline void hc_put_user(struct hc_buf *b, struct hc_var *v, u32 type, u64 p, u64 n, u64 whole)
{
	u32 at = b->at, part;

	v->len = 0;
	v->mark = n < whole;
	v->full = whole;
	if (n > HC_ARGV)
		n = HC_ARGV;
	if (at <= HC_BUF_SOFT && !bpf_probe_read_user(&b->data[at], n, (void *)p)) {
		v->len = n;
		b->at = at + n;
		return;
	}
	hc_count(HC_READ_FAULT, type);
	part = hc_up_to_edge(b, p, n);
	v->mark = part ? 1 : 2;
	v->len = part;
	b->at = at + part;
}

/* Appends the first bytes of the arguments of a new image, or of its environment. */
static __always_inline void hc_put_argv(struct hc_buf *b, struct hc_var *v, u32 type, unsigned long start, unsigned long end)
{
	u64 n = end - start;

	hc_put_user(b, v, type, start, n > HC_ARGV ? HC_ARGV : n, n);
}

/* Appends the last bytes of arguments of which hc_put_argv did not take all. */
static __always_inline void hc_put_tail(struct hc_buf *b, struct hc_var *v, u32 type, unsigned long start, unsigned long end)
{
	u64 n = end - start;

	if (n <= HC_ARGV)
		return;
	n -= HC_ARGV;
	if (n > HC_ARGV_TAIL) {
		n = HC_ARGV_TAIL;
		hc_count(HC_TRUNCATED, type);
	}
	hc_put_user(b, v, type, end - n, n, n);
}

/* The directory a relative name starts from: nothing for an absolute one, or one that cannot be
 * read. */
static __always_inline void hc_put_base(struct hc_buf *b, struct hc_var *v, u32 type, int dfd, const void *name)
{
	struct task_struct *t = (struct task_struct *)bpf_get_current_task();
	struct dentry *d = NULL;
	struct vfsmount *m = NULL;
	struct file *f;
	char c = '/';

	if (bpf_probe_read_user(&c, 1, name))
		c = '/';
	if (c != '/') {
		if (dfd == AT_FDCWD) {
			d = BPF_CORE_READ(t, fs, pwd.dentry);
			m = BPF_CORE_READ(t, fs, pwd.mnt);
		} else {
			f = hc_file(dfd);
			if (f) {
				d = BPF_CORE_READ(f, f_path.dentry);
				m = BPF_CORE_READ(f, f_path.mnt);
			}
		}
	}
	hc_put_path(b, v, type, d, m);
}

/* A failed call worth a row: somebody was refused. Names that do not exist are not. */
static __always_inline bool hc_refused(s64 ret)
{
	return ret == -EPERM || ret == -EACCES;
}

#endif
