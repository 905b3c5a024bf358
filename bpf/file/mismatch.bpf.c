// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * Claims that differ from what was done, forensic profile only. Other rows tell the truth already:
 * they name the object that the kernel used. Here the strings that programs pass are kept beside
 * it, as the call begins and as it ends, so that a swap in between, made to deceive who looks at
 * strings, is an event of its own.
 *
 * A string that cannot be read as the call begins, because its page is not there yet, cannot be
 * compared; that is counted. A swap that is over before the call ends, back to the first string,
 * shows by the object's name (kind 1) unless only directories above it were swapped.
 */
#include "../include/path.h"
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

#define HEAD 256
#define O_TMPFILE_BIT 020000000

enum { KIND_LINK = 1, KIND_CHANGED = 2, KIND_PROGRAM = 4 };

/* What a thread passed to the call that it is in. */
struct hc_claim {
	u64 hash;
	u32 len;
	u32 call;
	char head[HEAD];
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, u32);
	__type(value, struct hc_claim);
} hc_claims SEC(".maps");

/* Where things lie behind HC_BUF_SOFT while they are compared: the string of now, in front of
 * it room for the head of a claim, then two names, each filled up with zeros. */
#define AT_CLAIM HC_BUF_SOFT
#define AT_STRING (AT_CLAIM + 16)
#define AT_NAME (AT_STRING + HC_STR + 16)
#define AT_END (AT_NAME + 264)
_Static_assert(AT_END + 264 <= HC_BUF_SIZE, "room to compare");
_Static_assert(__builtin_offsetof(struct hc_claim, head) == 16, "a string read behind the claim's head is its string");

/* Hash of the len bytes at AT_STRING, which are filled up with zeros. */
__noinline u64 hc_hash_string(struct hc_buf *b, u32 len)
{
	u64 h = len, *w;
	u32 n = (len + 7) / 8;

	if (!b || len > HC_STR)
		return 0;
	*(u64 *)&b->data[AT_STRING + len] = 0;
	w = (u64 *)&b->data[AT_STRING];
	for (u32 i = 0; i <= HC_STR / 8; i++) {
		if (i >= n)
			break;
		h = (h ^ w[i]) * 11400714785074694791ULL;
		h ^= h >> 29;
	}
	return h;
}

static __always_inline int begin(u32 call, const void *name)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct hc_claim *c;
	struct hc_buf *b;
	long n;

	if (hc_skip(HC_MISMATCH))
		return 0;
	b = hc_get_buf(HC_MISMATCH, 0);
	if (!b)
		return 0;
	n = hc_read_user_str(&b->data[AT_STRING], HC_STR + 1, name);
	if (n <= 0) {
		hc_count(HC_READ_FAULT, HC_MISMATCH);
		hc_drop_buf(b);
		return 0;
	}
	c = (void *)&b->data[AT_CLAIM];
	c->len = n - 1;
	c->call = call;
	c->hash = hc_hash_string(b, n - 1);
	if (bpf_map_update_elem(&hc_claims, &tid, c, BPF_ANY))
		hc_count(HC_MAP_FULL, HC_MISMATCH);
	hc_drop_buf(b);
	return 0;
}

/* Whether the last component of the len bytes at AT_STRING is another name than the one that
 * (dentry, mnt) has. A string that ends in a slash, "." or ".." names none. */
__noinline u32 hc_other_name(struct hc_buf *b, u32 len, u64 dentry, u64 vfsmount)
{
	struct dentry *d = (void *)dentry;
	struct mount *mnt = (void *)vfsmount - bpf_core_field_offset(struct mount, mnt), *up;
	u64 *x, *y;
	u8 *s;
	u32 l, off;

	if (!b || !d || !vfsmount || !len || len >= HC_STR)
		return 0;
	/* the root of a mount has the name of the place it is mounted on */
	for (int i = 0; i < 8; i++) {
		if (d != BPF_CORE_READ(mnt, mnt.mnt_root))
			break;
		up = BPF_CORE_READ(mnt, mnt_parent);
		if (up == mnt)
			break;
		d = BPF_CORE_READ(mnt, mnt_mountpoint);
		mnt = up;
	}
	asm volatile("" : "+r"(len)); /* the verifier has forgotten the bound of what lay on the stack */
	len &= HC_STR - 1;
	s = &b->data[AT_STRING + len - 1];
	if (*s == '/')
		return 0;
	if (*s == '.') {
		if (len == 1 || s[-1] == '/')
			return 0;
		if (s[-1] == '.' && (len == 2 || s[-2] == '/'))
			return 0;
	}
	l = BPF_CORE_READ(d, d_name.len) & 255;
	if (!l || l > len)
		return 1;
	off = len - l;
	asm volatile("" : "+r"(off));
	off &= HC_STR - 1;
	if (off && b->data[AT_STRING + off - 1] != '/')
		return 1;
	if (bpf_probe_read_kernel(&b->data[AT_NAME], l, BPF_CORE_READ(d, d_name.name)) ||
	    bpf_probe_read_kernel(&b->data[AT_END], l, &b->data[AT_STRING + off]))
		return 0;
	*(u64 *)&b->data[AT_NAME + l] = 0;
	*(u64 *)&b->data[AT_END + l] = 0;
	x = (u64 *)&b->data[AT_NAME];
	y = (u64 *)&b->data[AT_END];
	for (u32 i = 0; i < 32; i++) {
		if (i * 8 >= l)
			break;
		if (x[i] != y[i])
			return 1;
	}
	return 0;
}

/* Appends the string at AT_STRING. */
static __always_inline void put_string(struct hc_buf *b, struct hc_var *v, long n)
{
	u32 at = b->at, len = n - 1;

	if (n <= 0 || len > HC_STR || at > HC_BUF_SOFT - HC_STR ||
	    bpf_probe_read_kernel(&b->data[at], len, &b->data[AT_STRING])) {
		v->mark = 2;
		return;
	}
	v->len = len;
	v->full = len;
	v->mark = len == HC_STR;
	b->at = at + len;
}

static __always_inline void put_before(struct hc_buf *b, struct hc_var *v, struct hc_claim *c)
{
	u32 at = b->at, len = c->len;

	v->full = len;
	if (len > HEAD) {
		len = HEAD;
		v->mark = 1;
	}
	if (at > HC_BUF_SOFT || bpf_probe_read_kernel(&b->data[at], len, c->head)) {
		v->mark = 2;
		return;
	}
	v->len = len;
	b->at = at + len;
}

static __always_inline int check(struct hc_sys_exit *ctx, int dfd, const void *name, bool opens)
{
	u32 tid = bpf_get_current_pid_tgid(), kind = 0;
	struct hc_claim *c = bpf_map_lookup_elem(&hc_claims, &tid);
	struct hc_ev_mismatch *e;
	struct file *f = NULL;
	struct hc_buf *b;
	struct hc_obj o;
	long n;

	if (!c)
		return 0;
	b = hc_get_buf(HC_MISMATCH, sizeof(*e));
	if (!b)
		goto out;
	n = hc_read_user_str(&b->data[AT_STRING], HC_STR + 1, name);
	if (opens && ctx->ret >= 0)
		f = hc_file(ctx->ret);
	if (n <= 0 || n - 1 != c->len || hc_hash_string(b, n - 1) != c->hash)
		kind = KIND_CHANGED;
	else if (f && !(BPF_CORE_READ(f, f_flags) & O_TMPFILE_BIT) &&
		 hc_other_name(b, n - 1, (u64)BPF_CORE_READ(f, f_path.dentry), (u64)BPF_CORE_READ(f, f_path.mnt)))
		kind = KIND_LINK;
	if (!kind) {
		hc_drop_buf(b);
		goto out;
	}
	e = (void *)b->data;
	hc_zero(e);
	hc_head(&e->h, HC_MISMATCH, ctx->ret < 0 ? HC_F_FAILED : 0, ctx->ret);
	e->kind = kind;
	e->call = ctx->nr;
	if (f) {
		hc_inode(&o, BPF_CORE_READ(f, f_inode));
		hc_set_obj(e, &o);
		hc_put_file_path(b, &e->path, HC_MISMATCH, f);
	}
	hc_put_base(b, &e->claimed_dir, HC_MISMATCH, dfd, name);
	put_string(b, &e->claimed, n);
	if (kind == KIND_CHANGED)
		put_before(b, &e->claimed_before, c);
	hc_send(b, false, HC_MISMATCH);
out:
	bpf_map_delete_elem(&hc_claims, &tid);
	return 0;
}

/* Both ends of the calls that open: nowhere else are both strings at hand, and the descriptor. */
HC_SYSCALL_ENTER(open)
{
	return begin(ctx->nr, (void *)ctx->args[0]);
}

HC_SYSCALL_ENTER(creat)
{
	return begin(ctx->nr, (void *)ctx->args[0]);
}

HC_SYSCALL_ENTER(openat)
{
	return begin(ctx->nr, (void *)ctx->args[1]);
}

HC_SYSCALL_ENTER(openat2)
{
	return begin(ctx->nr, (void *)ctx->args[1]);
}

HC_SYSCALL_TOO(open, claim)
{
	return check(ctx, AT_FDCWD, (void *)hc_arg(0), true);
}

HC_SYSCALL_TOO(creat, claim)
{
	return check(ctx, AT_FDCWD, (void *)hc_arg(0), true);
}

HC_SYSCALL_TOO(openat, claim)
{
	return check(ctx, hc_arg(0), (void *)hc_arg(1), true);
}

HC_SYSCALL_TOO(openat2, claim)
{
	return check(ctx, hc_arg(0), (void *)hc_arg(1), true);
}

/* An exec that fails leaves its string to compare; one that does not is compared below. */
HC_SYSCALL_ENTER(execve)
{
	return begin(ctx->nr, (void *)ctx->args[0]);
}

HC_SYSCALL_ENTER(execveat)
{
	return begin(ctx->nr, (void *)ctx->args[1]);
}

HC_SYSCALL_TOO(execve, claim)
{
	if (ctx->ret >= 0)
		return 0;
	return check(ctx, AT_FDCWD, (void *)hc_arg(0), false);
}

HC_SYSCALL_TOO(execveat, claim)
{
	if (ctx->ret >= 0)
		return 0;
	return check(ctx, hc_arg(0), (void *)hc_arg(1), false);
}

#ifndef HC_COMPAT /* it sees the execs of either table */
/*
 * The string of an exec as the call began against the kernel's copy of it, which is what was run.
 * By then the memory it came from is gone, so claimed is the kernel's copy. For execveat with a
 * descriptor the kernel writes /dev/fd/N in front. Kernel 3.4 on.
 */
SEC("tp_btf/sched_process_exec")
int BPF_PROG(hc_exec_claim, struct task_struct *t, int old_pid, struct linux_binprm *bprm)
{
	u32 tid = old_pid, len;
	struct hc_claim *c = bpf_map_lookup_elem(&hc_claims, &tid);
	struct hc_ev_mismatch *e;
	const char *name;
	struct hc_buf *b;
	struct file *f;
	struct hc_obj o;
	long n;

	if (!c)
		return 0;
	b = hc_get_buf(HC_MISMATCH, sizeof(*e));
	if (!b)
		goto out;
	name = BPF_CORE_READ(bprm, filename);
	n = bpf_probe_read_kernel_str(&b->data[AT_STRING], HC_STR + 1, name);
	len = c->len;
	if (n <= 0)
		goto same;
	if (b->data[AT_STRING] == '/' && b->data[AT_STRING + 1] == 'd' && n - 1 > len &&
	    bpf_core_field_exists(bprm->fdpath) && BPF_CORE_READ(bprm, fdpath)) {
		if (!len)
			goto same;
		n = bpf_probe_read_kernel_str(&b->data[AT_STRING], HC_STR + 1, name + (n - 1 - len));
		if (n <= 0)
			goto same;
	}
	if (n - 1 == len && hc_hash_string(b, n - 1) == c->hash)
		goto same;
	e = (void *)b->data;
	hc_zero(e);
	hc_head(&e->h, HC_MISMATCH, 0, 0);
	e->kind = KIND_PROGRAM;
	e->call = c->call;
	f = BPF_CORE_READ(bprm, file);
	hc_inode(&o, BPF_CORE_READ(f, f_inode));
	hc_set_obj(e, &o);
	hc_put_file_path(b, &e->path, HC_MISMATCH, f);
	if (b->data[AT_STRING] != '/')
		hc_put_path(b, &e->claimed_dir, HC_MISMATCH, BPF_CORE_READ(t, fs, pwd.dentry), BPF_CORE_READ(t, fs, pwd.mnt));
	put_string(b, &e->claimed, n);
	put_before(b, &e->claimed_before, c);
	hc_send(b, false, HC_MISMATCH);
	goto out;
same:
	hc_drop_buf(b);
out:
	bpf_map_delete_elem(&hc_claims, &tid);
	return 0;
}
#endif
