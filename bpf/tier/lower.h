/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/*
 * Programs inside the kernel's functions, written once and compiled twice: as fentry and fexit
 * (LOWER_K not set) and as kprobe and kretprobe. IN(f) runs as f begins and OUT(f) as it ends;
 * ARG(n) is an argument of f and RET(f) its result.
 *
 * What a name led to is known as f begins: a removal takes the inode off the dentry, a rename gives
 * it another name. How it went is known as f ends. Between the two stands one entry per thread.
 * A file system that works on another one (overlayfs) calls these functions again on the same
 * thread: what the program asked for is the outer call, and the inner ones are left out.
 *
 * The places of arguments moved (5.12, 6.3, 6.15, 6.19): the loader reads them from the kernel's
 * own description of f, into hc_at_f (the first dentry, for vfs_rename 5.12 the renamedata) and
 * hc_args_f (their number); hc_ptr_f says that f returns a pointer.
 *
 * They miss: what is refused before the file system is asked (path walk, a security module that
 * goes by path), which the programs at the exit of calls tell; and file systems changed from
 * inside the kernel without these functions.
 */
#include "../include/lower.h"
#include "../include/path.h"
#include "../include/preempt.h"
#include "../include/uring.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* The offset must be a constant in the instruction: the compiler would compute it otherwise. */
#define LOAD_(v, off) asm volatile("%0 = *(u64 *)(%1 + " #off ")" : "=r"(v) : "r"(ctx))
#define PICK_(n, a, b, c, d, e, f)            \
	({                                    \
		u64 v_ = 0;                   \
		switch (n) {                  \
		case 0: LOAD_(v_, a); break;  \
		case 1: LOAD_(v_, b); break;  \
		case 2: LOAD_(v_, c); break;  \
		case 3: LOAD_(v_, d); break;  \
		case 4: LOAD_(v_, e); break;  \
		case 5: LOAD_(v_, f); break;  \
		}                             \
		v_;                           \
	})
#ifdef LOWER_K
#define IN(f) SEC("kprobe/" #f) int hc_k_in_##f(u64 *ctx)
#define OUT(f) SEC("kretprobe/" #f) int hc_k_out_##f(u64 *ctx)
#define get_buf hc_get_buf /* kprobes run with preemption off */
#if defined(__TARGET_ARCH_x86) /* struct pt_regs: di, si, dx, cx, r8, r9; ax */
#define ARG(n) PICK_(n, 112, 104, 96, 88, 72, 64)
#define RET(f) ({ s64 v_; LOAD_(v_, 80); v_; })
#else
#define ARG(n) PICK_(n, 0, 8, 16, 24, 32, 40)
#define RET(f) ({ s64 v_; LOAD_(v_, 0); v_; })
#endif
#else
#define IN(f) SEC("fentry/" #f) int hc_l_in_##f(u64 *ctx)
#define OUT(f) SEC("fexit/" #f) int hc_l_out_##f(u64 *ctx)
#define get_buf hc_get_own_buf
#define ARG(n) PICK_(n, 0, 8, 16, 24, 32, 40)
#define RET(f) ((s64)PICK_(hc_args_##f - 1, 8, 16, 24, 32, 40, 48)) /* behind the last argument */
#endif

#define PLACES(f) const volatile u32 hc_at_##f, hc_args_##f, hc_ptr_##f

PLACES(vfs_unlink);
PLACES(vfs_rmdir);
PLACES(vfs_mkdir);
PLACES(vfs_mknod);
PLACES(vfs_create);
PLACES(vfs_symlink);
PLACES(vfs_link);
PLACES(vfs_rename);
PLACES(notify_change);

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct renamedata {
	struct dentry *old_dentry;
	struct dentry *new_dentry;
	unsigned int flags;
};
struct iattr {
	unsigned int ia_valid;
};
struct thread_info___uses {
	unsigned long flags;
	u32 status;
};
struct task_struct___uses {
	struct thread_info___uses thread_info;
	unsigned int in_execve : 1;
};
#pragma clang attribute pop

enum { UNLINK = 1, RMDIR, MKDIR, MKNOD, SYMLINK, LINK, RENAME, NOTIFY };

#define ATTR_MODE 1
#define ATTR_UID 2
#define ATTR_GID 4
#define ATTR_SIZE 8
#define ATTR_OPEN 0x8000

#define NAME_MAX_ 256
struct lower_call {
	u64 since;
	u64 mnt;               /* noted by the security hook that comes right before, else 0 */
	u64 d, d2;             /* what is named; the new name of a link or rename */
	u64 parent, parent2;
	u64 text;              /* target of a symbolic link */
	struct hc_obj o, over;
	u32 kind, depth, nlink, flags;
	u32 valid, uid, gid, mode;
	s32 nr; /* the system call that the mount is of */
	s64 size;
	char name[NAME_MAX_], name2[NAME_MAX_];
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, u32);
	__type(value, struct lower_call);
} hc_lower_calls SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct lower_call);
} hc_lower_none SEC(".maps");

/* An end that was missed must not silence a thread: nothing here takes so long. */
#define LOWER_STALE 10000000000ULL

static __always_inline struct lower_call *call_of(bool make)
{
	u32 tid = (u32)bpf_get_current_pid_tgid(), zero = 0;
	struct lower_call *c = bpf_map_lookup_elem(&hc_lower_calls, &tid);
	void *none;

	if (c || !make)
		return c;
	none = bpf_map_lookup_elem(&hc_lower_none, &zero);
	if (!none || bpf_map_update_elem(&hc_lower_calls, &tid, none, BPF_ANY))
		return NULL;
	return bpf_map_lookup_elem(&hc_lower_calls, &tid);
}

static __always_inline void forget(void)
{
	u32 tid = (u32)bpf_get_current_pid_tgid();

	bpf_map_delete_elem(&hc_lower_calls, &tid);
}

/* The number of the system call that is running, -1 for none. */
static __always_inline s32 call_nr(void)
{
	struct task_struct *t = (struct task_struct *)bpf_get_current_task();
	struct pt_regs *r;

	if (BPF_CORE_READ(t, flags) & (PF_KTHREAD | PF_IO_WORKER))
		return -1;
	r = BPF_CORE_READ(t, stack) + HC_STACK_SIZE - bpf_core_type_size(struct pt_regs);
	if (hc_has_regs)
		r = (struct pt_regs *)bpf_task_pt_regs(hc_trusted());
#if defined(__TARGET_ARCH_x86)
	return BPF_CORE_READ(r, orig_ax);
#else
	return BPF_CORE_READ(r, syscallno);
#endif
}

#if defined(__TARGET_ARCH_x86)
#define NR_LINKAT 265
#define NR_RENAMEAT2 316
#define NR_EXECVE 59
#define NR_EXECVEAT 322
#else
#define NR_LINKAT 37
#define NR_RENAMEAT2 276
#define NR_EXECVE 221
#define NR_EXECVEAT 281
#endif
#define NR_IO_URING_ENTER 426

/*
 * True for a request of io_uring whose own hooks tell it: they know who submitted it. They do not
 * hear how one went that asked for no answer: it is told here. Where it fails and they do hear of
 * it (before 6.0), hc_lower_told says so. What these programs see is never done as it is
 * submitted: workers do it.
 */
static __always_inline bool of_uring(void)
{
	struct task_struct *t = (struct task_struct *)bpf_get_current_task();
	bool worker = BPF_CORE_READ(t, flags) & PF_IO_WORKER;
	void *req;

	if (!(worker || call_nr() == NR_IO_URING_ENTER) || !hc_is_lower(HC_IO_URING))
		return false;
	req = worker ? hc_uring_work() : NULL;
	return !req || !hc_uring_quiet(req);
}

/* The mount of the call that follows on this thread. */
static __always_inline int note_mount(const struct path *p)
{
	struct lower_call *c;

	if (hc_outside() || of_uring())
		return 0;
	c = call_of(true);
	if (c && (!c->kind || bpf_ktime_get_boot_ns() - c->since > LOWER_STALE)) {
		c->kind = 0;
		c->nr = call_nr();
		c->mnt = (u64)BPF_CORE_READ(p, mnt);
	}
	return 0;
}

static __always_inline struct inode *inode_of(u64 d)
{
	return BPF_CORE_READ((struct dentry *)d, d_inode);
}

/* Begins a call: NULL when it is one that a file system makes within another. */
static __always_inline struct lower_call *begin(u32 kind, u32 type, u64 d, u64 d2)
{
	struct lower_call *c;
	struct vfsmount *mnt;
	struct inode *i;
	u64 now = bpf_ktime_get_boot_ns();

	if (hc_outside() || of_uring())
		return NULL;
	c = call_of(true);
	if (!c) {
		hc_count(HC_SEEN, type);
		hc_count(HC_BUSY, type);
		return NULL;
	}
	if (c->kind && now - c->since < LOWER_STALE) {
		c->depth++;
		return NULL;
	}
	mnt = (void *)c->mnt; /* outside of BPF_CORE_READ, which would relocate our own struct */
	if (mnt && (c->nr != call_nr() || BPF_CORE_READ(mnt, mnt_sb) != BPF_CORE_READ((struct dentry *)d, d_sb)))
		c->mnt = 0; /* of a call that was refused before this one */
	c->since = now;
	c->kind = kind;
	c->depth = 0;
	c->d = d;
	c->d2 = d2;
	c->nlink = 0;
	__builtin_memset(&c->o, 0, sizeof(c->o));
	__builtin_memset(&c->over, 0, sizeof(c->over));
	i = inode_of(d);
	if (i) {
		hc_inode(&c->o, i);
		c->nlink = BPF_CORE_READ(i, i_nlink);
	}
	return c;
}

/* Ends a call: NULL when there is nothing to tell. */
static __always_inline struct lower_call *end(u32 kind)
{
	struct lower_call *c = call_of(false);

	if (!c || !c->kind)
		return NULL;
	if (c->depth) {
		c->depth--;
		return NULL;
	}
	if (c->kind != kind) { /* its beginning was missed */
		c->kind = 0;
		return NULL;
	}
	return c;
}

static __always_inline bool compat(void)
{
	struct task_struct___uses *t = (void *)bpf_get_current_task();

#if defined(__TARGET_ARCH_x86)
	return BPF_CORE_READ(t, thread_info.status) & 2; /* TS_COMPAT */
#else
	return BPF_CORE_READ(t, thread_info.flags) >> 22 & 1; /* TIF_32BIT */
#endif
}

/* How the function was reached. */
static __always_inline u32 way(s32 nr)
{
	struct task_struct *t = (struct task_struct *)bpf_get_current_task();
	u32 f = HC_F_KERNEL_NAMES;

	if (BPF_CORE_READ(t, flags) & PF_IO_WORKER || nr == NR_IO_URING_ENTER)
		f |= HC_F_IO_URING;
	else if (compat())
		f |= HC_F_COMPAT;
	return f;
}

/* Puts a path that ends in a name noted before: the rest is walked from the directory. Without a
 * mount the walk ends at the root of the file system, and the path is marked as cut there. */
static __always_inline void put_name(struct hc_buf *b, struct hc_var *v, const char *name, u64 parent, u64 mnt)
{
	u32 from = b->at, cut;
	long n;

	v->mark = 1;
	v->len = 0;
	v->full = 0;
	if (from > HC_BUF_SOFT)
		return;
	n = bpf_probe_read_kernel_str(&b->data[from], NAME_MAX_, name);
	if (n <= 1)
		return;
	b->at = from + n;
	cut = hc_walk_from(b, parent, mnt);
	if (mnt)
		v->mark = cut;
	else if (!cut)
		b->at -= 2; /* the root */
	v->len = b->at - from;
	v->full = v->len;
}

#define note_name(c_, field_, from_, d_)                                                              \
	do {                                                                                          \
		(c_)->from_ = (u64)BPF_CORE_READ((struct dentry *)(d_), d_parent);                    \
		bpf_probe_read_kernel_str((c_)->field_, NAME_MAX_, BPF_CORE_READ((struct dentry *)(d_), d_name.name)); \
	} while (0)

/* Begins a record: e and b are set, c is what the beginning noted. */
#define ROW(kind_, ev_, TYPE_, ret_)                                               \
	struct hc_ev_##ev_ *e;                                                     \
	struct hc_buf *b;                                                          \
	s64 ret = (ret_);                                                          \
	s32 nr;                                                                    \
	u32 tid = (u32)bpf_get_current_pid_tgid(), unr;                            \
	struct lower_call *c = end(kind_);                                         \
	if (!c)                                                                    \
		return 0;                                                          \
	if ((ret < 0 && !hc_refused(ret)) || hc_skip(TYPE_)) {                     \
		forget();                                                          \
		return 0;                                                          \
	}                                                                          \
	b = get_buf(TYPE_, sizeof(*e));                                            \
	if (!b) {                                                                  \
		forget();                                                          \
		return 0;                                                          \
	}                                                                          \
	nr = call_nr();                                                            \
	unr = nr;                                                                  \
	if (ret < 0)                                                               \
		bpf_map_update_elem(&hc_lower_told, &tid, &unr, BPF_ANY);          \
	e = (void *)b->data;                                                       \
	hc_zero(e);                                                                \
	hc_head(&e->h, TYPE_, way(nr) | (ret < 0 ? HC_F_FAILED : 0), ret)
#define SEND(TYPE_)                    \
	do {                           \
		hc_send(b, false, TYPE_); \
		forget();              \
		return 0;              \
	} while (0)

/* The mount of the call that follows. Where the kernel has no security hooks for paths
 * (CONFIG_SECURITY_PATH) paths end at the root of their file system. */
IN(security_path_unlink) { return note_mount((void *)ARG(0)); }
IN(security_path_rmdir) { return note_mount((void *)ARG(0)); }
IN(security_path_mkdir) { return note_mount((void *)ARG(0)); }
IN(security_path_mknod) { return note_mount((void *)ARG(0)); }
IN(security_path_symlink) { return note_mount((void *)ARG(0)); }
IN(security_path_rename) { return note_mount((void *)ARG(0)); }
IN(security_path_link) { return note_mount((void *)ARG(1)); }
IN(security_path_chmod) { return note_mount((void *)ARG(0)); }
IN(security_path_chown) { return note_mount((void *)ARG(0)); }
IN(security_path_truncate) { return note_mount((void *)ARG(0)); }
/* ftruncate has its own from 6.2 on */
IN(security_file_truncate)
{
	struct file *f = (void *)ARG(0);
	struct path p = { .mnt = BPF_CORE_READ(f, f_path.mnt) };
	struct lower_call *c;

	if (hc_outside() || of_uring())
		return 0;
	c = call_of(true);
	if (c && !c->kind) {
		c->nr = call_nr();
		c->mnt = (u64)p.mnt;
	}
	return 0;
}

IN(vfs_unlink)
{
	u64 d = ARG(hc_at_vfs_unlink);
	struct lower_call *c = begin(UNLINK, HC_UNLINK, d, 0);

	if (c)
		note_name(c, name, parent, d);
	return 0;
}

static __always_inline int removed(u32 kind, s64 result, u32 flags)
{
	ROW(kind, unlink, HC_UNLINK, result);
	hc_set_obj(e, &c->o);
	e->unlink_flags = flags;
	if (ret < 0)
		e->nlink = c->nlink;
	else if (kind == UNLINK)
		e->nlink = c->nlink - 1;
	put_name(b, &e->path_dir, c->name, c->parent, c->mnt);
	SEND(HC_UNLINK);
}

OUT(vfs_unlink)
{
	return removed(UNLINK, (s32)RET(vfs_unlink), 0);
}

IN(vfs_rmdir)
{
	u64 d = ARG(hc_at_vfs_rmdir);
	struct lower_call *c = begin(RMDIR, HC_UNLINK, d, 0);

	if (c)
		note_name(c, name, parent, d);
	return 0;
}

OUT(vfs_rmdir)
{
	return removed(RMDIR, (s32)RET(vfs_rmdir), 0x200);
}

static __always_inline int making(u32 kind, u64 d, u32 mode)
{
	struct lower_call *c = begin(kind, HC_MKDIR, d, 0);

	if (c) {
		note_name(c, name, parent, d);
		c->mode = mode;
	}
	return 0;
}

/* made: the dentry that the object has, where the function returns it */
static __always_inline int made(u32 kind, s64 result, u64 there)
{
	ROW(kind, mkdir, HC_MKDIR, result);
	struct inode *i = NULL;

	e->perm = c->mode;
	if (ret >= 0)
		i = inode_of(there ? there : c->d);
	if (i) {
		struct hc_obj o;

		hc_inode(&o, i);
		e->dev = o.dev;
		e->ino = o.ino;
		e->gen = o.gen;
		e->perm = o.mode;
		if (kind == MKNOD)
			e->rdev = BPF_CORE_READ(i, i_rdev);
	}
	put_name(b, &e->path_dir, c->name, c->parent, c->mnt);
	SEND(HC_MKDIR);
}

IN(vfs_mkdir)
{
	return making(MKDIR, ARG(hc_at_vfs_mkdir), S_IFDIR | (ARG(hc_at_vfs_mkdir + 1) & 07777));
}

OUT(vfs_mkdir)
{
	s64 ret = RET(vfs_mkdir);

	if (!hc_ptr_vfs_mkdir)
		return made(MKDIR, (s32)ret, 0);
	/* from 6.15 on: the dentry, or an error */
	if (ret < 0 && ret >= -4095)
		return made(MKDIR, ret, 0);
	return made(MKDIR, 0, ret);
}

IN(vfs_mknod)
{
	return making(MKNOD, ARG(hc_at_vfs_mknod), ARG(hc_at_vfs_mknod + 1));
}

OUT(vfs_mknod)
{
	return made(MKNOD, (s32)RET(vfs_mknod), 0);
}

/* Plain files by mknod; an open that creates one does not come here. */
IN(vfs_create)
{
	return making(MKNOD, ARG(hc_at_vfs_create), S_IFREG | (ARG(hc_at_vfs_create + 1) & 07777));
}

OUT(vfs_create)
{
	return made(MKNOD, (s32)RET(vfs_create), 0);
}

IN(vfs_symlink)
{
	u64 d = ARG(hc_at_vfs_symlink);
	struct lower_call *c = begin(SYMLINK, HC_SYMLINK, d, 0);

	if (c) {
		note_name(c, name, parent, d);
		c->text = ARG(hc_at_vfs_symlink + 1);
	}
	return 0;
}

OUT(vfs_symlink)
{
	ROW(SYMLINK, symlink, HC_SYMLINK, (s32)RET(vfs_symlink));
	struct inode *i = ret < 0 ? NULL : inode_of(c->d);

	if (i) {
		struct hc_obj o;

		hc_inode(&o, i);
		hc_set_obj(e, &o);
	}
	hc_put_kernel_str(b, &e->target, HC_SYMLINK, (void *)c->text);
	put_name(b, &e->new_path_dir, c->name, c->parent, c->mnt);
	SEND(HC_SYMLINK);
}

IN(vfs_link)
{
	u64 d = ARG(0), to = ARG(hc_args_vfs_link - 2); /* the last but one */
	struct lower_call *c = begin(LINK, HC_LINK, d, to);

	if (c) {
		note_name(c, name, parent, d);
		note_name(c, name2, parent2, to);
	}
	return 0;
}

OUT(vfs_link)
{
	ROW(LINK, link, HC_LINK, (s32)RET(vfs_link));
	hc_set_obj(e, &c->o);
	if (nr == NR_LINKAT && !(e->h.flags & HC_F_COMPAT))
		e->link_flags = hc_arg(4);
	put_name(b, &e->path_dir, c->name, c->parent, c->mnt);
	put_name(b, &e->new_path_dir, c->name2, c->parent2, c->mnt);
	SEND(HC_LINK);
}

IN(vfs_rename)
{
	u64 d, to;
	u32 flags;
	struct lower_call *c;
	struct inode *i;

	if (bpf_core_type_exists(struct renamedata)) { /* 5.12 */
		struct renamedata *rd = (void *)ARG(0);

		d = (u64)BPF_CORE_READ(rd, old_dentry);
		to = (u64)BPF_CORE_READ(rd, new_dentry);
		flags = BPF_CORE_READ(rd, flags);
	} else {
		d = ARG(1);
		to = ARG(3);
		flags = ARG(5);
	}
	c = begin(RENAME, HC_RENAME, d, to);
	if (!c)
		return 0;
	note_name(c, name, parent, d);
	note_name(c, name2, parent2, to);
	c->flags = flags;
	i = inode_of(to);
	if (i)
		hc_inode(&c->over, i);
	return 0;
}

OUT(vfs_rename)
{
	ROW(RENAME, rename, HC_RENAME, (s32)RET(vfs_rename));
	hc_set_obj(e, &c->o);
	e->over_dev = c->over.dev;
	e->over_ino = c->over.ino;
	e->over_gen = c->over.gen;
	e->rename_flags = c->flags;
	put_name(b, &e->path_dir, c->name, c->parent, c->mnt);
	put_name(b, &e->new_path_dir, c->name2, c->parent2, c->mnt);
	SEND(HC_RENAME);
}

/*
 * notify_change: chmod, chown and truncate in every form, and what the kernel does on its own in
 * the name of a program (set-id bits lost at a write). An open with O_TRUNC also comes here and is
 * left out: the open row tells it.
 */
IN(notify_change)
{
	u64 d = ARG(hc_at_notify_change);
	struct iattr *a = (void *)ARG(hc_at_notify_change + 1);
	u32 valid = BPF_CORE_READ(a, ia_valid);
	struct lower_call *c;
	struct inode *i;

	if (valid & ATTR_OPEN)
		valid &= ~ATTR_SIZE;
	c = begin(NOTIFY, HC_CHMOD, d, 0);
	if (!c)
		return 0;
	c->valid = valid & (ATTR_MODE | ATTR_UID | ATTR_GID | ATTR_SIZE);
	note_name(c, name, parent, d);
	i = inode_of(d);
	c->size = BPF_CORE_READ(i, i_size);
	c->uid = BPF_CORE_READ(i, i_uid.val);
	c->gid = BPF_CORE_READ(i, i_gid.val);
	c->mode = BPF_CORE_READ(i, i_mode);
	return 0;
}

static __always_inline int chmodded(s64 result, u32 mode)
{
	ROW(NOTIFY, chmod, HC_CHMOD, result);
	hc_set_obj(e, &c->o);
	e->mode = mode;
	e->perm = mode & 07777;
	e->old_perm = c->mode & 07777;
	put_name(b, &e->path_dir, c->name, c->parent, c->mnt);
	SEND(HC_CHMOD);
}

static __always_inline int chowned(s64 result, u32 mode, u32 uid, u32 gid)
{
	ROW(NOTIFY, chown, HC_CHOWN, result);
	hc_set_obj(e, &c->o);
	e->mode = mode;
	e->owner = c->valid & ATTR_UID ? uid : -1;
	e->group = c->valid & ATTR_GID ? gid : -1;
	e->old_owner = c->uid;
	e->old_group = c->gid;
	put_name(b, &e->path_dir, c->name, c->parent, c->mnt);
	SEND(HC_CHOWN);
}

static __always_inline int truncated(s64 result, u32 mode, s64 size)
{
	ROW(NOTIFY, truncate, HC_TRUNCATE, result);
	hc_set_obj(e, &c->o);
	e->mode = mode;
	e->size = size;
	e->old_size = c->size;
	put_name(b, &e->path_dir, c->name, c->parent, c->mnt);
	SEND(HC_TRUNCATE);
}

OUT(notify_change)
{
	struct lower_call *c = call_of(false);
	s64 ret = (s32)RET(notify_change);
	struct inode *i;
	u32 mode, uid, gid;

	if (!c || c->depth || c->kind != NOTIFY) {
		end(NOTIFY);
		return 0;
	}
	i = inode_of(c->d);
	mode = BPF_CORE_READ(i, i_mode);
	uid = BPF_CORE_READ(i, i_uid.val);
	gid = BPF_CORE_READ(i, i_gid.val);
	if (c->valid & (ATTR_UID | ATTR_GID))
		return chowned(ret, mode, uid, gid);
	if (c->valid & ATTR_SIZE)
		return truncated(ret, mode, BPF_CORE_READ(i, i_size));
	if (c->valid & ATTR_MODE)
		return chmodded(ret, mode);
	forget(); /* times and the like */
	return 0;
}

/*
 * commit_creds: every change of credentials, by whatever call or by none, with the set before and
 * after. Exec comes here too and has its own row.
 */
IN(commit_creds)
{
	struct task_struct *t = (struct task_struct *)bpf_get_current_task();
	struct task_struct___uses *u = (void *)t;
	const struct cred *now = (void *)ARG(0);
	struct hc_ev_cred_change *e;
	s32 nr = call_nr();
	u32 was, is;

	if (hc_outside())
		return 0;
	if (bpf_core_field_exists(u->in_execve) ? BPF_CORE_READ_BITFIELD_PROBED(u, in_execve) : nr == NR_EXECVE || nr == NR_EXECVEAT)
		return 0;
	was = hc_cred_id(BPF_CORE_READ(t, cred));
	is = hc_cred_id(now);
	if (is && was == is)
		return 0;
	e = hc_reserve_crit(HC_CRED_CHANGE, sizeof(*e));
	if (!e) {
		hc_next_seq(true);
		return 0;
	}
	hc_zero(e);
	hc_head(&e->h, HC_CRED_CHANGE, HC_F_CRITICAL | (way(nr) & ~HC_F_KERNEL_NAMES), 0);
	e->h.cred = is;
	e->old_cred = was;
	e->call = nr;
	bpf_ringbuf_submit(e, BPF_RB_FORCE_WAKEUP);
	return 0;
}

/*
 * The script that an interpreter runs: the kernel asks for every file of an exec in turn, the script
 * first, while the interpreter still bears the name that was given. hc_exec takes it from here.
 */
IN(security_bprm_check)
{
	struct linux_binprm *p = (void *)ARG(0);
	u32 tid = (u32)bpf_get_current_pid_tgid();
	struct hc_script s = {};
	struct hc_obj o = {};

	if (hc_outside() || BPF_CORE_READ(p, interp) != BPF_CORE_READ(p, filename))
		return 0;
	hc_inode(&o, BPF_CORE_READ(p, file, f_inode));
	s.dev = o.dev;
	s.gen = o.gen;
	s.ino = o.ino;
	bpf_map_update_elem(&hc_script, &tid, &s, BPF_ANY);
	return 0;
}
