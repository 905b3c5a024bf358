// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * Requests made through io_uring, which pass no system call of their own.
 *
 * A request is noted as it is submitted (who, when, the kernel's copies of the names, which are
 * gone when it ends) and told as it completes, with its result. What it did is told as well, by
 * the rows that a system call would have made: opens, names, reads and writes, accepted
 * connections. All of that happens in the context of a thread of the process that asked: itself,
 * one of its workers, or the thread that polls its ring. They share descriptors and working
 * directory; their names do not matter.
 *
 * Sends, receives and connections are seen where sockets are (net), whoever makes them.
 *
 * Nothing here runs unless somebody uses io_uring. In the standard profile reads, writes, sends,
 * receives, polls and timeouts are not noted when submitted: what their completion needs lies in
 * the request itself.
 *
 * A request that asks for no completion (IOSQE_CQE_SKIP_SUCCESS) gets one only when it fails, and
 * not always then. It is told as it is submitted, and flagged: its row says what was asked for, and
 * nothing is claimed to have been done, no byte counted. An answer follows as a second row, with
 * what was refused. Names that it changed are told by the programs inside the kernel's functions,
 * where those run; elsewhere, and of reads, writes and opens, there are the witnesses below alone.
 *
 * Not seen: the bytes of reads and writes whose completion finds the ring full in the standard
 * profile; their row says only that there was one.
 */
#include "../include/accept.h"
#include "../include/io.h"
#include "../include/lower.h"
#include "../include/uring.h"
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct io_cqe {
	u64 user_data;
	s32 res;
	u32 flags;
	int fd; /* shares its place with flags: set until the request is issued */
};
struct io_fixed_file {
	unsigned long file_ptr;
};
struct io_rsrc_node {
	unsigned long file_ptr;
};
struct io_rsrc_data {
	struct io_rsrc_node **nodes;
};
struct io_file_table {
	struct io_rsrc_data data;    /* from 6.13 on */
	struct io_fixed_file *files; /* before */
};
struct io_ring_ctx {
	unsigned int flags;
	struct io_file_table file_table;
};
struct io_kiocb {
	struct file *file; /* the first word of what an operation keeps, see below */
	u8 opcode;
	u32 flags; /* the low half, where it is 64 bits wide */
	struct io_cqe cqe;
	struct io_ring_ctx *ctx;
	const struct cred *creds;
	u64 iopoll_start;
};
struct io_kiocb___old { /* before 5.19 */
	u64 user_data;
	s32 result;
};
/* Flags of a request (see uring.h); one bit moved when polling became hybrid (6.13). */
#define HC_REQ_FIXED_FILE 1
#define HC_REQ_CREDS(req_) (1u << (bpf_core_field_exists((req_)->iopoll_start) ? 19 : 18))

/* What operations keep in the request, from its first byte. */
struct filename {
	const char *name;
};
struct open_how {
	u64 flags;
};
struct delayed_filename {
	struct filename *__incomplete_filename;
};
struct io_open {
	int dfd;
	u32 file_slot;
	struct filename *filename;
	struct open_how how;
};
struct io_open___new { /* from 7.0 on */
	struct delayed_filename filename;
};
struct io_unlink {
	int dfd;
	int flags;
	struct filename *filename;
};
struct io_unlink___new {
	struct delayed_filename filename;
};
struct io_rename {
	int old_dfd, new_dfd;
	struct filename *oldpath, *newpath;
	int flags;
};
struct io_rename___new {
	struct delayed_filename oldpath, newpath;
};
struct io_mkdir {
	int dfd;
	unsigned short mode;
	struct filename *filename;
};
struct io_mkdir___new {
	struct delayed_filename filename;
};
struct io_link {
	int old_dfd, new_dfd;
	struct filename *oldpath, *newpath;
	int flags;
};
struct io_link___new {
	struct delayed_filename oldpath, newpath;
};
struct io_hardlink { /* before 5.19, with io_symlink */
	int old_dfd, new_dfd;
	struct filename *oldpath, *newpath;
	int flags;
};
struct io_symlink {
	int new_dfd;
	struct filename *oldpath, *newpath;
};
struct io_statx {
	int dfd;
	unsigned int mask, flags;
	struct filename *filename;
};
struct io_statx___new {
	struct delayed_filename filename;
};
struct io_xattr {
	struct filename *filename;
};
struct io_xattr___new {
	struct delayed_filename filename;
};
struct kiocb {
	s64 ki_pos;
};
struct io_rw {
	struct kiocb kiocb;
	u32 len; /* 64 bits before 5.18, of which the low half says it */
};
struct io_splice {
	s64 off_out, off_in;
	u64 len;
	int splice_fd_in;
	unsigned int flags;
};
struct io_sync {
	s64 len, off;
	int flags, mode;
};
struct io_ftrunc {
	s64 len;
};
struct io_accept {
	int flags;
	u32 file_slot;
};
struct io_sr_msg {
	u32 len;
};
struct io_close {
	int fd;
	u32 file_slot;
};
struct io_uring_cqe {
	u64 user_data;
	s32 res;
	u32 flags;
};
struct trace_event_raw_io_uring_submit_sqe {
	u32 __data_loc_op_str;
};
struct trace_event_raw_io_uring_complete {
	void *req;
};
#pragma clang attribute pop

/* Operations; their numbers are part of the interface of the kernel. */
enum {
	OP_NOP = 0,
	OP_READV = 1,
	OP_WRITEV = 2,
	OP_FSYNC = 3,
	OP_READ_FIXED = 4,
	OP_WRITE_FIXED = 5,
	OP_POLL_ADD = 6,
	OP_POLL_REMOVE = 7,
	OP_SENDMSG = 9,
	OP_RECVMSG = 10,
	OP_TIMEOUT = 11,
	OP_TIMEOUT_REMOVE = 12,
	OP_ACCEPT = 13,
	OP_ASYNC_CANCEL = 14,
	OP_LINK_TIMEOUT = 15,
	OP_FALLOCATE = 17,
	OP_OPENAT = 18,
	OP_CLOSE = 19,
	OP_STATX = 21,
	OP_READ = 22,
	OP_WRITE = 23,
	OP_SEND = 26,
	OP_RECV = 27,
	OP_OPENAT2 = 28,
	OP_EPOLL_CTL = 29,
	OP_SPLICE = 30,
	OP_PROVIDE_BUFFERS = 31,
	OP_REMOVE_BUFFERS = 32,
	OP_TEE = 33,
	OP_RENAMEAT = 35,
	OP_UNLINKAT = 36,
	OP_MKDIRAT = 37,
	OP_SYMLINKAT = 38,
	OP_LINKAT = 39,
	OP_SETXATTR = 42,
	OP_GETXATTR = 44,
	OP_SEND_ZC = 47,
	OP_SENDMSG_ZC = 48,
	OP_READ_MULTISHOT = 49,
	OP_FUTEX_WAIT = 51,
	OP_FUTEX_WAKE = 52,
	OP_FUTEX_WAITV = 53,
	OP_FTRUNCATE = 55,
	OP_RECV_ZC = 58,
	OP_EPOLL_WAIT = 59,
	OP_READV_FIXED = 60,
	OP_WRITEV_FIXED = 61,
	OP_UNKNOWN = 255,
};

#define BIT(n) (1ULL << (n))
/* What busy programs do all the time: told by totals, not one by one. */
#define FREQUENT                                                                                         \
	(BIT(OP_NOP) | BIT(OP_READV) | BIT(OP_WRITEV) | BIT(OP_FSYNC) | BIT(OP_READ_FIXED) |             \
	 BIT(OP_WRITE_FIXED) | BIT(OP_POLL_ADD) | BIT(OP_POLL_REMOVE) | BIT(OP_SENDMSG) |                \
	 BIT(OP_RECVMSG) | BIT(OP_TIMEOUT) | BIT(OP_TIMEOUT_REMOVE) | BIT(OP_ASYNC_CANCEL) |             \
	 BIT(OP_LINK_TIMEOUT) | BIT(OP_CLOSE) | BIT(OP_READ) | BIT(OP_WRITE) | BIT(OP_SEND) |            \
	 BIT(OP_RECV) | BIT(OP_EPOLL_CTL) | BIT(OP_SPLICE) | BIT(OP_PROVIDE_BUFFERS) |                   \
	 BIT(OP_REMOVE_BUFFERS) | BIT(OP_TEE) | BIT(OP_SEND_ZC) | BIT(OP_SENDMSG_ZC) |                   \
	 BIT(OP_READ_MULTISHOT) | BIT(OP_FUTEX_WAIT) | BIT(OP_FUTEX_WAKE) | BIT(OP_FUTEX_WAITV) |        \
	 BIT(OP_RECV_ZC) | BIT(OP_EPOLL_WAIT) | BIT(OP_READV_FIXED) | BIT(OP_WRITEV_FIXED))

/* uring_flags of a row */
enum { BY_POLLER = 1, BY_WORKER = 2, NOT_SEEN = 4, NO_ANSWER = 8, NO_ROOM = 16, FIXED = 32 };

#define IORING_SETUP_SQPOLL 2
#define IORING_CQE_F_MORE 2
#define IORING_CQE_F_NOTIF 8
#define SPLICE_F_FD_IN_FIXED (1u << 31)
#define PF_IO_WORKER 0x10

/* A request under way, by its address. */
struct hc_uring_req {
	u64 t0, pstart, cgroup, tstart;
	u64 ring, data;
	u64 offset, length;
	u32 pid, tid, image, cred;
	u32 how;
	int fd;
	char comm[16];
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, u64);
	__type(value, struct hc_uring_req);
} hc_uring_reqs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct hc_uring_req);
} hc_uring_noreq SEC(".maps");

/* The names of a request, without their NULs; longer ones are cut. */
#define HC_URING_NAME 960
struct hc_uring_name {
	u32 len, full;
	char s[HC_URING_NAME];
};
struct hc_uring_names {
	struct hc_uring_name n[2];
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, u64);
	__type(value, struct hc_uring_names);
} hc_uring_names SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct hc_uring_names);
} hc_uring_noname SEC(".maps");

/* Which request a completion is of that says only the program's own number: later ones of a
 * request that completes many times, those that find no room, and all before 5.18. */
struct hc_uring_key {
	u64 ring, data;
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, struct hc_uring_key);
	__type(value, u64);
} hc_uring_data SEC(".maps");

/*
 * Nothing takes back the note of a request that succeeds without an answer. The last so many are
 * kept, for the answer of one that fails: of those before, a failure is told without its submission.
 */
#define HC_QUIET 4096
struct hc_uring_kept {
	u64 req, t0;
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, HC_QUIET);
	__type(key, u32);
	__type(value, struct hc_uring_kept);
} hc_uring_quiets SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u64); /* how many there were */
} hc_uring_turn SEC(".maps");

/* The completion carries no request: every one must be noted. */
static __always_inline bool blind(void)
{
	return !bpf_core_field_exists(struct trace_event_raw_io_uring_complete, req);
}

static __always_inline bool frequent(u32 op)
{
	return op < 64 && FREQUENT >> op & 1;
}

static __always_inline u64 user_data(struct io_kiocb *req)
{
	if (bpf_core_field_exists(req->cqe))
		return BPF_CORE_READ(req, cqe.user_data);
	return BPF_CORE_READ((struct io_kiocb___old *)req, user_data);
}

/* The credentials a request brings along, when they are not those of the thread. */
static __always_inline const struct cred *own_cred(struct io_kiocb *req)
{
	return BPF_CORE_READ(req, flags) & HC_REQ_CREDS(req) ? BPF_CORE_READ(req, creds) : NULL;
}

static __always_inline void *name_at(const void *p)
{
	struct filename *f = NULL;

	bpf_probe_read_kernel(&f, sizeof(f), p);
	return f ? (void *)BPF_CORE_READ(f, name) : NULL;
}

/* The kernel's copy of a name. The pointer to it got a type of its own in 7.0. */
#define NAME(req_, type_, field_)                                                                     \
	(bpf_core_field_exists(struct type_, field_)                                                  \
		 ? name_at((void *)(req_) + bpf_core_field_offset(struct type_, field_))              \
	 : bpf_core_field_exists(struct type_##___new, field_)                                        \
		 ? name_at((void *)(req_) + bpf_core_field_offset(struct type_##___new, field_))      \
		 : NULL)

static __noinline void take_name(struct hc_uring_name *n, const void *p)
{
	struct hc_buf *b;
	long len;

	if (!p)
		return;
	len = bpf_probe_read_kernel_str(n->s, HC_URING_NAME, p);
	if (len <= 0)
		return;
	n->len = n->full = len - 1;
	if (len < HC_URING_NAME)
		return;
	/* cut: how long is it really? */
	b = hc_get_buf(HC_IO_URING, 0);
	if (!b)
		return;
	len = bpf_probe_read_kernel_str(b->data, HC_STR + 1, p);
	if (len > 0)
		n->full = len - 1;
	hc_drop_buf(b);
}

__noinline u32 hc_uring_take(u64 key, u32 op)
{
	struct io_kiocb *req = (void *)key;
	void *a = NULL, *z = NULL;
	struct hc_uring_names *n;
	u32 zero = 0;

	switch (op) {
	case OP_OPENAT:
	case OP_OPENAT2:
		a = NAME(req, io_open, filename);
		break;
	case OP_UNLINKAT:
		a = NAME(req, io_unlink, filename);
		break;
	case OP_MKDIRAT:
		a = NAME(req, io_mkdir, filename);
		break;
	case OP_RENAMEAT:
		a = NAME(req, io_rename, oldpath);
		z = NAME(req, io_rename, newpath);
		break;
	case OP_SYMLINKAT:
	case OP_LINKAT:
		if (bpf_core_type_exists(struct io_hardlink)) {
			struct io_hardlink *h = (void *)req;
			struct io_symlink *s = (void *)req;

			a = (void *)(op == OP_LINKAT ? BPF_CORE_READ(h, oldpath, name) : BPF_CORE_READ(s, oldpath, name));
			z = (void *)(op == OP_LINKAT ? BPF_CORE_READ(h, newpath, name) : BPF_CORE_READ(s, newpath, name));
		} else {
			a = NAME(req, io_link, oldpath);
			z = NAME(req, io_link, newpath);
		}
		break;
	case OP_STATX:
		a = NAME(req, io_statx, filename);
		break;
	case OP_SETXATTR:
	case OP_GETXATTR:
		a = NAME(req, io_xattr, filename);
		break;
	}
	if (!a && !z)
		return 0;
	n = bpf_map_lookup_elem(&hc_uring_noname, &zero);
	if (!n || bpf_map_update_elem(&hc_uring_names, &key, n, BPF_ANY)) {
		hc_count(HC_MAP_FULL, HC_IO_URING);
		return 0;
	}
	n = bpf_map_lookup_elem(&hc_uring_names, &key);
	if (!n)
		return 0;
	take_name(&n->n[0], a);
	take_name(&n->n[1], z);
	return 1;
}

/* Offset, and length or flags, by operation. */
static __always_inline void take_numbers(struct hc_uring_req *r, struct io_kiocb *req, u32 op)
{
	switch (op) {
	case OP_READV:
	case OP_WRITEV:
	case OP_READ_FIXED:
	case OP_WRITE_FIXED:
	case OP_READ:
	case OP_WRITE:
	case OP_READ_MULTISHOT:
	case OP_READV_FIXED:
	case OP_WRITEV_FIXED:
		r->offset = BPF_CORE_READ((struct io_rw *)req, kiocb.ki_pos);
		r->length = BPF_CORE_READ((struct io_rw *)req, len);
		break;
	case OP_FSYNC:
	case OP_FALLOCATE:
		r->offset = BPF_CORE_READ((struct io_sync *)req, off);
		r->length = BPF_CORE_READ((struct io_sync *)req, len);
		break;
	case OP_FTRUNCATE:
		if (bpf_core_type_exists(struct io_ftrunc))
			r->length = BPF_CORE_READ((struct io_ftrunc *)req, len);
		break;
	case OP_SPLICE:
	case OP_TEE:
		r->offset = BPF_CORE_READ((struct io_splice *)req, off_out);
		r->length = BPF_CORE_READ((struct io_splice *)req, len);
		break;
	case OP_OPENAT:
	case OP_OPENAT2:
		r->length = BPF_CORE_READ((struct io_open *)req, how.flags);
		break;
	case OP_UNLINKAT:
		r->length = (u32)BPF_CORE_READ((struct io_unlink *)req, flags);
		break;
	case OP_RENAMEAT:
		r->length = (u32)BPF_CORE_READ((struct io_rename *)req, flags);
		break;
	case OP_LINKAT:
		if (bpf_core_type_exists(struct io_hardlink))
			r->length = (u32)BPF_CORE_READ((struct io_hardlink *)req, flags);
		else
			r->length = (u32)BPF_CORE_READ((struct io_link *)req, flags);
		break;
	case OP_MKDIRAT:
		r->length = BPF_CORE_READ((struct io_mkdir *)req, mode);
		break;
	case OP_STATX:
		r->length = (u32)BPF_CORE_READ((struct io_statx *)req, flags);
		break;
	case OP_ACCEPT:
		r->length = (u32)BPF_CORE_READ((struct io_accept *)req, flags);
		break;
	case OP_SEND:
	case OP_RECV:
	case OP_SEND_ZC:
		r->length = BPF_CORE_READ((struct io_sr_msg *)req, len);
		break;
	}
}

/* The file in a slot of the ring's own table. */
static __always_inline struct file *fixed_file(struct io_ring_ctx *ctx, u32 slot)
{
	unsigned long p = 0;

	if (bpf_core_field_exists(ctx->file_table.files)) {
		struct io_fixed_file *files = BPF_CORE_READ(ctx, file_table.files), *f;

		f = (void *)files + (u64)slot * bpf_core_type_size(struct io_fixed_file);
		if (files)
			p = BPF_CORE_READ(f, file_ptr);
	} else {
		struct io_rsrc_node **nodes = BPF_CORE_READ(ctx, file_table.data.nodes), *n = NULL;

		if (nodes)
			bpf_probe_read_kernel(&n, sizeof(n), nodes + slot);
		if (n)
			p = BPF_CORE_READ(n, file_ptr);
	}
	return (struct file *)(p & ~7UL); /* flags of the table lie in the low bits */
}

/* The file that a request names: not yet looked up when it is submitted. */
static __always_inline struct file *named_file(struct io_kiocb *req, int fd)
{
	if (BPF_CORE_READ(req, flags) & HC_REQ_FIXED_FILE)
		return fixed_file(BPF_CORE_READ(req, ctx), fd);
	return hc_file(fd);
}

/* The actor of what a request did is who submitted it. Without a note of that it is the running
 * thread, which is of the same process, with the credentials the request had. */
static __always_inline void whose(struct hc_hdr *h, u64 q, struct hc_uring_req *r)
{
	const struct cred *c;

	if (r) {
		h->pid = r->pid;
		h->tid = r->tid;
		h->pstart = r->pstart;
		h->image = r->image;
		h->cred = r->cred;
		h->cgroup = r->cgroup;
		h->flags &= ~HC_F_KTHREAD;
		__builtin_memcpy(h->comm, r->comm, sizeof(h->comm));
	} else if (q) {
		c = own_cred((struct io_kiocb *)q);
		if (c)
			h->cred = hc_cred_id(c);
	}
}

/* Heads a row of what a request did. */
static __always_inline void head(struct hc_hdr *h, u16 type, u32 flags, s64 ret, u64 q, struct hc_uring_req *r)
{
	hc_head(h, type, flags | HC_F_IO_URING | (ret < 0 ? HC_F_FAILED : 0), ret);
	whose(h, q, r);
}

/* Appends a name of a request. */
static __noinline void put_name(struct hc_buf *b, struct hc_var *v, u32 type, struct hc_uring_name *n)
{
	u32 at = b->at, len;

	v->mark = 2;
	v->len = v->full = 0;
	if (!n || at > HC_BUF_SOFT)
		return;
	len = n->len;
	if (len >= HC_URING_NAME || bpf_probe_read_kernel(&b->data[at], len, n->s))
		return;
	v->mark = len < n->full;
	v->len = len;
	v->full = n->full;
	b->at = at + len;
	if (v->mark)
		hc_count(HC_TRUNCATED, type);
}

/* Appends the path of (dentry, mnt) to the scratch buffer in use; 1 when it was cut. */
__noinline u32 hc_uring_walk(u64 d, u64 m, u32 type)
{
	u32 cpu = bpf_get_smp_processor_id();
	struct hc_buf *b = bpf_map_lookup_elem(&hc_scratch, &cpu);
	struct hc_var v;

	if (!b || !d || !m)
		return 0;
	hc_put_path(b, &v, type, (struct dentry *)d, (struct vfsmount *)m);
	return v.mark;
}

static __always_inline void put_path(struct hc_buf *b, struct hc_var *v, u32 type, struct dentry *d, struct vfsmount *m)
{
	u32 from = b->at;

	v->mark = hc_uring_walk((u64)d, (u64)m, type);
	v->len = v->full = b->at - from;
}

/* The directory a relative name starts from. */
static __noinline void put_base(struct hc_buf *b, struct hc_var *v, u32 type, int dfd, struct hc_uring_name *n)
{
	struct task_struct *t = (struct task_struct *)bpf_get_current_task();
	struct dentry *d = NULL;
	struct vfsmount *m = NULL;
	struct file *f;

	if (n && n->len && n->s[0] != '/') {
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
	put_path(b, v, type, d, m);
}

static __always_inline void put_file_path(struct hc_buf *b, struct hc_var *v, u32 type, struct file *f)
{
	put_path(b, v, type, BPF_CORE_READ(f, f_path.dentry), BPF_CORE_READ(f, f_path.mnt));
}

#define FMODE_CREATED 0x100000

__noinline int hc_uring_opened(u64 q, s64 ret)
{
	struct hc_uring_req *r = bpf_map_lookup_elem(&hc_uring_reqs, &q);
	struct io_kiocb *req = (void *)q;
	u32 slot = BPF_CORE_READ((struct io_open *)req, file_slot);
	struct hc_ev_open *e;
	struct hc_buf *b;
	struct file *f;
	struct hc_obj o;

	if (hc_skip(HC_OPEN))
		return 0;
	if (!slot)
		f = hc_file(ret);
	else /* into the ring's table; all ones: a free slot, which the result tells */
		f = fixed_file(BPF_CORE_READ(req, ctx), slot == ~0U ? (u32)ret : slot - 1);
	b = hc_get_buf(HC_OPEN, sizeof(*e));
	if (!b)
		return 0;
	e = (void *)b->data;
	hc_zero(e);
	head(&e->h, HC_OPEN, 0, slot ? -1 : ret, q, r);
	e->h.flags &= ~HC_F_FAILED;
	if (f) {
		hc_inode(&o, BPF_CORE_READ(f, f_inode));
		hc_set_obj(e, &o);
		e->open_flags = BPF_CORE_READ(f, f_flags);
		e->created = !!(BPF_CORE_READ(f, f_mode) & FMODE_CREATED);
		put_file_path(b, &e->path, HC_OPEN, f);
	}
	hc_send(b, false, HC_OPEN);
	return 0;
}

__noinline int hc_uring_refused(u64 q, s64 ret)
{
	struct hc_uring_req *r = bpf_map_lookup_elem(&hc_uring_reqs, &q);
	struct hc_uring_names *n = bpf_map_lookup_elem(&hc_uring_names, &q);
	struct io_open *o = (void *)q;
	struct hc_ev_open_failed *e;
	struct hc_buf *b;

	if (!hc_refused(ret) || hc_skip(HC_OPEN_FAILED))
		return 0;
	b = hc_get_buf(HC_OPEN_FAILED, sizeof(*e));
	if (!b)
		return 0;
	e = (void *)b->data;
	hc_zero(e);
	head(&e->h, HC_OPEN_FAILED, HC_F_KERNEL_NAMES, ret, q, r);
	e->open_flags = BPF_CORE_READ(o, how.flags);
	put_base(b, &e->path_dir, HC_OPEN_FAILED, BPF_CORE_READ(o, dfd), n ? &n->n[0] : NULL);
	put_name(b, &e->path, HC_OPEN_FAILED, n ? &n->n[0] : NULL);
	hc_send(b, false, HC_OPEN_FAILED);
	return 0;
}

/*
 * What follows is global functions of plain numbers, which the verifier checks once each, and
 * which old kernels accept. They find what was noted of the request themselves.
 */

/* Begins a record about names: e and b are set. */
#define BEGIN(ev_, TYPE_)                                                   \
	struct hc_uring_name *n0 = n ? &n->n[0] : NULL;                     \
	struct hc_uring_name *n1 = n ? &n->n[1] : NULL;                     \
	struct hc_ev_##ev_ *e;                                              \
	struct hc_buf *b;                                                   \
	if ((ret < 0 && !hc_refused(ret)) || hc_skip(TYPE_))                \
		return 0;                                                   \
	b = hc_get_buf(TYPE_, sizeof(*e));                                  \
	if (!b)                                                             \
		return 0;                                                   \
	e = (void *)b->data;                                                \
	hc_zero(e);                                                         \
	head(&e->h, TYPE_, HC_F_KERNEL_NAMES, ret, q, r)

__noinline int hc_uring_renamed(u64 q, s64 ret)
{
	struct hc_uring_req *r = bpf_map_lookup_elem(&hc_uring_reqs, &q);
	struct hc_uring_names *n = bpf_map_lookup_elem(&hc_uring_names, &q);
	struct io_rename *c = (void *)q;
	BEGIN(rename, HC_RENAME);

	e->rename_flags = BPF_CORE_READ(c, flags);
	put_base(b, &e->path_dir, HC_RENAME, BPF_CORE_READ(c, old_dfd), n0);
	put_name(b, &e->path, HC_RENAME, n0);
	put_base(b, &e->new_path_dir, HC_RENAME, BPF_CORE_READ(c, new_dfd), n1);
	put_name(b, &e->new_path, HC_RENAME, n1);
	hc_send(b, false, HC_RENAME);
	return 0;
}

__noinline int hc_uring_linked(u64 q, s64 ret)
{
	struct hc_uring_req *r = bpf_map_lookup_elem(&hc_uring_reqs, &q);
	struct hc_uring_names *n = bpf_map_lookup_elem(&hc_uring_names, &q);
	struct io_link *c = (void *)q;
	struct io_hardlink *old = (void *)q;
	int from, to;
	BEGIN(link, HC_LINK);

	if (bpf_core_type_exists(struct io_hardlink)) {
		e->link_flags = BPF_CORE_READ(old, flags);
		from = BPF_CORE_READ(old, old_dfd);
		to = BPF_CORE_READ(old, new_dfd);
	} else {
		e->link_flags = BPF_CORE_READ(c, flags);
		from = BPF_CORE_READ(c, old_dfd);
		to = BPF_CORE_READ(c, new_dfd);
	}
	put_base(b, &e->path_dir, HC_LINK, from, n0);
	put_name(b, &e->path, HC_LINK, n0);
	put_base(b, &e->new_path_dir, HC_LINK, to, n1);
	put_name(b, &e->new_path, HC_LINK, n1);
	hc_send(b, false, HC_LINK);
	return 0;
}

__noinline int hc_uring_symlinked(u64 q, s64 ret)
{
	struct hc_uring_req *r = bpf_map_lookup_elem(&hc_uring_reqs, &q);
	struct hc_uring_names *n = bpf_map_lookup_elem(&hc_uring_names, &q);
	struct io_link *c = (void *)q;
	struct io_symlink *old = (void *)q;
	int to;
	BEGIN(symlink, HC_SYMLINK);

	if (bpf_core_type_exists(struct io_symlink))
		to = BPF_CORE_READ(old, new_dfd);
	else
		to = BPF_CORE_READ(c, new_dfd);
	put_name(b, &e->target, HC_SYMLINK, n0);
	put_base(b, &e->new_path_dir, HC_SYMLINK, to, n1);
	put_name(b, &e->new_path, HC_SYMLINK, n1);
	hc_send(b, false, HC_SYMLINK);
	return 0;
}

__noinline int hc_uring_unlinked(u64 q, s64 ret)
{
	struct hc_uring_req *r = bpf_map_lookup_elem(&hc_uring_reqs, &q);
	struct hc_uring_names *n = bpf_map_lookup_elem(&hc_uring_names, &q);
	struct io_unlink *c = (void *)q;
	BEGIN(unlink, HC_UNLINK);

	(void)n1;
	e->unlink_flags = BPF_CORE_READ(c, flags);
	put_base(b, &e->path_dir, HC_UNLINK, BPF_CORE_READ(c, dfd), n0);
	put_name(b, &e->path, HC_UNLINK, n0);
	hc_send(b, false, HC_UNLINK);
	return 0;
}

__noinline int hc_uring_mkdir(u64 q, s64 ret)
{
	struct hc_uring_req *r = bpf_map_lookup_elem(&hc_uring_reqs, &q);
	struct hc_uring_names *n = bpf_map_lookup_elem(&hc_uring_names, &q);
	struct io_mkdir *c = (void *)q;
	BEGIN(mkdir, HC_MKDIR);

	(void)n1;
	e->perm = S_IFDIR | (BPF_CORE_READ(c, mode) & 07777);
	put_base(b, &e->path_dir, HC_MKDIR, BPF_CORE_READ(c, dfd), n0);
	put_name(b, &e->path, HC_MKDIR, n0);
	hc_send(b, false, HC_MKDIR);
	return 0;
}

__noinline int hc_uring_truncated(u64 q, s64 ret)
{
	struct hc_uring_req *r = bpf_map_lookup_elem(&hc_uring_reqs, &q);
	struct file *f = BPF_CORE_READ((struct io_kiocb *)q, file);
	struct hc_ev_truncate *e;
	struct hc_buf *b;
	struct hc_obj o;

	if ((ret < 0 && !hc_refused(ret)) || !f || hc_skip(HC_TRUNCATE))
		return 0;
	b = hc_get_buf(HC_TRUNCATE, sizeof(*e));
	if (!b)
		return 0;
	e = (void *)b->data;
	hc_zero(e);
	head(&e->h, HC_TRUNCATE, 0, ret, q, r);
	if (bpf_core_type_exists(struct io_ftrunc))
		e->size = BPF_CORE_READ((struct io_ftrunc *)q, len);
	e->old_size = -1;
	hc_inode(&o, BPF_CORE_READ(f, f_inode));
	hc_set_obj(e, &o);
	put_file_path(b, &e->path_dir, HC_TRUNCATE, f);
	hc_send(b, false, HC_TRUNCATE);
	return 0;
}

/* The file that an accept gave. */
static __always_inline struct file *taken_file(u64 q, s64 ret, u32 slot)
{
	if (!slot)
		return hc_file(ret);
	return fixed_file(BPF_CORE_READ((struct io_kiocb *)q, ctx), slot == ~0U ? (u32)ret : slot - 1);
}

__noinline int hc_uring_accepted_unix(u64 q, s64 ret)
{
	struct hc_uring_req *r = bpf_map_lookup_elem(&hc_uring_reqs, &q);
	u32 slot = q ? BPF_CORE_READ((struct io_accept *)q, file_slot) : 0;
	struct hc_ev_unix_conn *e;
	struct hc_taken a;
	struct hc_buf *b;

	if (ret < 0 || !hc_taken(&a, taken_file(q, ret, slot)) || a.family != AF_UNIX)
		return 0;
	b = hc_unix_conn_row(slot ? -1 : ret, 2, a.inode, a.so, a.sk, a.sk);
	if (!b)
		return 0;
	e = (void *)b->data;
	e->h.flags |= HC_F_IO_URING;
	whose(&e->h, q, r);
	hc_send(b, false, HC_UNIX_CONN);
	return 0;
}

/* A connection taken: the rows that the accept calls make (net). */
__noinline int hc_uring_accepted(u64 q, s64 ret)
{
	struct hc_uring_req *r = bpf_map_lookup_elem(&hc_uring_reqs, &q);
	u32 slot = q ? BPF_CORE_READ((struct io_accept *)q, file_slot) : 0;
	struct hc_ev_accept *e;
	struct hc_taken a;
	struct sock *sk;

	if (ret < 0 || !hc_taken(&a, taken_file(q, ret, slot)))
		return 0;
	if (a.family == AF_UNIX)
		return 0; /* see above */
	sk = a.sk;
	if (hc_skip(HC_ACCEPT) || hc_unselected_sock(sk, HC_ACCEPT, NULL, true))
		return 0;
	e = hc_reserve_crit(HC_ACCEPT, sizeof(*e));
	if (!e) {
		hc_next_seq(true);
		return 0;
	}
	hc_zero(e);
	head(&e->h, HC_ACCEPT, HC_F_CRITICAL, slot ? -1 : ret, q, r);
	e->h.flags &= ~HC_F_FAILED;
	hc_fill_accept(e, &a);
	bpf_ringbuf_submit(e, hc_wake_crit(sizeof(*e), false));
	return 0;
}

__noinline int hc_uring_io(u64 f, u32 fd, s64 ret, u32 in)
{
	return hc_io_file((struct file *)f, fd, ret, in, HC_IO_URING_METHOD);
}

/* From one file to another: a read of the one and a write of the other. */
static __always_inline void spliced(u64 q, s64 ret)
{
	struct io_splice *s = (void *)q;
	u32 flags = BPF_CORE_READ(s, flags);
	int fd = BPF_CORE_READ(s, splice_fd_in);
	struct file *f;

	if (flags & SPLICE_F_FD_IN_FIXED)
		f = fixed_file(BPF_CORE_READ((struct io_kiocb *)q, ctx), fd);
	else
		f = hc_file(fd);
	if (f)
		hc_uring_io((u64)f, fd, ret, 1);
	f = BPF_CORE_READ((struct io_kiocb *)q, file);
	if (f)
		hc_uring_io((u64)f, -1, ret, 0);
}

/* What a request did, told as a call that does the same is told. f is the file it works on. */
static __always_inline void effect(u64 q, u32 op, s64 ret, struct file *f, int fd)
{
	switch (op) {
	case OP_READV:
	case OP_READ_FIXED:
	case OP_READ:
	case OP_READ_MULTISHOT:
	case OP_READV_FIXED:
		if (ret > 0 && f)
			hc_uring_io((u64)f, fd, ret, 1);
		break;
	case OP_WRITEV:
	case OP_WRITE_FIXED:
	case OP_WRITE:
	case OP_WRITEV_FIXED:
		if (ret > 0 && f)
			hc_uring_io((u64)f, fd, ret, 0);
		break;
	case OP_SPLICE:
	case OP_TEE:
		if (ret > 0)
			spliced(q, ret);
		break;
	case OP_OPENAT:
	case OP_OPENAT2:
		if (ret >= 0)
			hc_uring_opened(q, ret);
		else
			hc_uring_refused(q, ret);
		break;
	case OP_RENAMEAT:
		hc_uring_renamed(q, ret);
		break;
	case OP_LINKAT:
		hc_uring_linked(q, ret);
		break;
	case OP_SYMLINKAT:
		hc_uring_symlinked(q, ret);
		break;
	case OP_UNLINKAT:
		hc_uring_unlinked(q, ret);
		break;
	case OP_MKDIRAT:
		hc_uring_mkdir(q, ret);
		break;
	case OP_FTRUNCATE:
		hc_uring_truncated(q, ret);
		break;
	case OP_ACCEPT:
		hc_uring_accepted(q, ret); /* one of the two: kernels before 6.13 add up their stacks if one calls the other */
		hc_uring_accepted_unix(q, ret);
		break;
	}
}

/* These have no file; what lies in its place in the request is something else. */
static __always_inline bool fileless(u32 op)
{
	return op == OP_OPENAT || op == OP_OPENAT2 || op == OP_RENAMEAT || op == OP_UNLINKAT || op == OP_MKDIRAT ||
	       op == OP_SYMLINKAT || op == OP_LINKAT || op == OP_STATX;
}

/* The row of the request itself; what is its operation << 32 | flags of the row. */
__noinline int hc_uring_tell(u64 q, u64 ring, u64 data, s64 ret, u64 what)
{
	struct hc_uring_req *r = bpf_map_lookup_elem(&hc_uring_reqs, &q);
	struct hc_uring_names *n = bpf_map_lookup_elem(&hc_uring_names, &q);
	u32 op = what >> 32, how = what;
	struct hc_ev_io_uring *e;
	struct file *f = NULL;
	struct hc_buf *b;
	struct hc_obj o;

	if (hc_skip(HC_IO_URING))
		return 0;
	b = hc_get_buf(HC_IO_URING, sizeof(*e));
	if (!b)
		return 0;
	e = (void *)b->data;
	hc_zero(e);
	head(&e->h, HC_IO_URING, HC_F_KERNEL_NAMES, ret, q, r);
	e->opcode = op;
	e->user_data = data;
	e->ring = ring;
	e->uring_flags = how;
	e->fd = r ? r->fd : -1;
	if (q && !fileless(op)) /* looked up only as it is carried out */
		f = how & NO_ANSWER && r ? named_file((struct io_kiocb *)q, r->fd) : BPF_CORE_READ((struct io_kiocb *)q, file);
	if (f) {
		hc_inode(&o, BPF_CORE_READ(f, f_inode));
		hc_set_obj(e, &o);
		if ((o.mode & S_IFMT) == S_IFSOCK) {
			struct socket *so = BPF_CORE_READ(f, private_data);

			e->cookie = BPF_CORE_READ(so, sk, __sk_common.skc_cookie.counter);
		}
	}
	if (r) {
		e->offset = r->offset;
		e->length = r->length;
		e->t0 = r->t0;
		e->target_pid = r->pid;
		e->target_tid = r->tid;
		e->target_start = r->pstart;
	}
	if (n) {
		if (n->n[0].len)
			put_name(b, &e->path, HC_IO_URING, &n->n[0]);
		if (n->n[1].len)
			put_name(b, &e->new_path, HC_IO_URING, &n->n[1]);
	}
	hc_send(b, false, HC_IO_URING);
	return 0;
}

/* Which request a completion is of that does not say it. */
__noinline u64 hc_uring_find(u64 ring, u64 data)
{
	struct hc_uring_key k = { .ring = ring, .data = data };
	u64 *q = bpf_map_lookup_elem(&hc_uring_data, &k);

	return q ? *q : 0;
}

__noinline int hc_uring_forget(u64 q, u64 ring, u64 data)
{
	struct hc_uring_key k = { .ring = ring, .data = data };
	u64 *known = bpf_map_lookup_elem(&hc_uring_data, &k);

	if (known && *known == q)
		bpf_map_delete_elem(&hc_uring_data, &k);
	bpf_map_delete_elem(&hc_uring_names, &q);
	bpf_map_delete_elem(&hc_uring_reqs, &q);
	return 0;
}

/* A new request begins in this memory: whatever is noted of it is of one that is over. */
__noinline int hc_uring_stale(u64 q)
{
	struct hc_uring_req *r = bpf_map_lookup_elem(&hc_uring_reqs, &q);

	if (r)
		hc_uring_forget(q, r->ring, r->data);
	else
		bpf_map_delete_elem(&hc_uring_names, &q);
	return 0;
}

/* Keeps the note of a request that asked for no answer, in place of the one kept longest. */
__noinline int hc_uring_keep(u64 q)
{
	struct hc_uring_req *r = bpf_map_lookup_elem(&hc_uring_reqs, &q), *old;
	struct hc_uring_kept *k;
	u32 zero = 0, slot;
	u64 *n, was, t0;

	n = bpf_map_lookup_elem(&hc_uring_turn, &zero);
	if (!r || !n)
		return 0;
	slot = __sync_fetch_and_add(n, 1) & (HC_QUIET - 1);
	k = bpf_map_lookup_elem(&hc_uring_quiets, &slot);
	if (!k)
		return 0;
	was = k->req;
	t0 = k->t0;
	k->req = q;
	k->t0 = r->t0;
	old = bpf_map_lookup_elem(&hc_uring_reqs, &was);
	if (old && old->t0 == t0)
		hc_uring_forget(was, old->ring, old->data);
	return 0;
}

static __always_inline bool quiets(void)
{
	u32 zero = 0;
	u64 *n = bpf_map_lookup_elem(&hc_uring_turn, &zero);

	return n && *n;
}

/* Notes who submits a request. Returns how it was submitted. */
__noinline u32 hc_uring_note(u64 q)
{
	struct io_kiocb *req = (void *)q;
	struct task_struct *t = hc_current();
	struct io_ring_ctx *ctx = BPF_CORE_READ(req, ctx);
	u32 op = BPF_CORE_READ(req, opcode), flags = BPF_CORE_READ(req, flags), zero = 0, how;
	struct hc_uring_req *r;
	struct hc_uring_key k;
	const struct cred *c;

	how = (BPF_CORE_READ(ctx, flags) & IORING_SETUP_SQPOLL ? BY_POLLER : 0) |
	      (hc_uring_quiet(req) ? NO_ANSWER : 0) | (flags & HC_REQ_FIXED_FILE ? FIXED : 0);
	hc_uring_stale(q);
	k.ring = (u64)ctx;
	k.data = user_data(req);
	if (bpf_map_update_elem(&hc_uring_data, &k, &q, BPF_ANY))
		hc_count(HC_MAP_FULL, HC_IO_URING);
	r = bpf_map_lookup_elem(&hc_uring_noreq, &zero);
	if (!r || bpf_map_update_elem(&hc_uring_reqs, &q, r, BPF_ANY)) {
		hc_count(HC_MAP_FULL, HC_IO_URING);
		return how;
	}
	r = bpf_map_lookup_elem(&hc_uring_reqs, &q);
	if (!r)
		return how;
	r->t0 = bpf_ktime_get_boot_ns();
	r->pid = HC_T(t, tgid);
	r->tid = HC_T(t, pid);
	r->pstart = hc_pstart(t);
	r->image = (u32)HC_T(t, self_exec_id);
	r->cgroup = bpf_get_current_cgroup_id();
	c = own_cred(req);
	r->cred = hc_cred_id(c ? c : HC_T(t, cred));
	bpf_core_read(r->comm, sizeof(r->comm), &t->comm);
	r->ring = k.ring;
	r->data = k.data;
	r->fd = bpf_core_field_exists(req->cqe) ? BPF_CORE_READ(req, cqe.fd) : -1;
	r->how = how;
	take_numbers(r, req, op);
	return how;
}

static __always_inline int submitted(u64 q)
{
	struct io_kiocb *req = (void *)q;
	u32 op = BPF_CORE_READ(req, opcode), how;
	bool quiet = hc_uring_quiet(req);
	struct hc_uring_req *r;

	if (frequent(op) && !quiet && !hc_forensic && !blind() && op != OP_READ_MULTISHOT) {
		if (quiets())
			hc_uring_stale(q);
		return 0;
	}
	if (hc_skip(HC_IO_URING))
		return 0;
	how = hc_uring_note(q);
	hc_uring_take(q, op);
	if (!quiet)
		return 0;
	hc_uring_keep(q);
	r = bpf_map_lookup_elem(&hc_uring_reqs, &q);
	if (!r) /* no room for a note: counted */
		return 0;
	hc_uring_tell(q, r->ring, r->data, 0, (u64)op << 32 | how);
	return 0;
}

/*
 * io_uring_submit_req, kernel 6.4 on; before, io_uring_submit_sqe, whose arguments changed more
 * than once. Runs in the thread that enters the ring, or that polls it, after the request was
 * taken in and its names were copied, and before anything is done. A request that could not be
 * taken in does not pass here; its completion says so.
 */
SEC("tp_btf/io_uring_submit_req")
int BPF_PROG(hc_uring_submit, struct io_kiocb *req)
{
	u64 q = 0;

	/* as a number: global functions take no kernel pointer */
	bpf_probe_read_kernel(&q, sizeof(q), ctx);
	return submitted(q);
}

SEC("raw_tp/io_uring_submit_sqe")
int hc_uring_submit_old(struct bpf_raw_tracepoint_args *ctx)
{
	/* (req, nonblock) from 6.0 on, (ring, req, opcode, ...) before */
	if (bpf_core_field_exists(struct trace_event_raw_io_uring_submit_sqe, __data_loc_op_str))
		return submitted(ctx->args[0]);
	return submitted(ctx->args[1]);
}

/* True when a lower program told how a request went that asked for no answer. */
static __always_inline bool told_below(u32 op, s64 ret)
{
	switch (op) {
	case OP_RENAMEAT: return hc_told_lower(HC_RENAME, -1, ret);
	case OP_LINKAT: return hc_told_lower(HC_LINK, -1, ret);
	case OP_SYMLINKAT: return hc_told_lower(HC_SYMLINK, -1, ret);
	case OP_UNLINKAT: return hc_told_lower(HC_UNLINK, -1, ret);
	case OP_MKDIRAT: return hc_told_lower(HC_MKDIR, -1, ret);
	case OP_FTRUNCATE: return hc_told_lower(HC_TRUNCATE, -1, ret);
	}
	return false;
}

/* q is 0 where the tracepoint does not tell. */
static __always_inline int completed(u64 q, u64 ring, u64 data, s64 ret, u32 cflags, u32 how)
{
	struct task_struct *t = hc_current();
	struct hc_uring_req *r = NULL;
	struct file *f = NULL;
	bool last = true, noted;
	u32 op = OP_UNKNOWN;
	int fd = -1;

	if (cflags & IORING_CQE_F_NOTIF) /* a buffer is free again */
		return 0;
	if (!q) {
		last = !(cflags & IORING_CQE_F_MORE) && (blind() || how & NO_ROOM);
		q = hc_uring_find(ring, data);
		if (!q && !hc_forensic && !(how & NO_ROOM))
			return 0; /* of a request that is not noted, or posted from another ring */
	}
	if (q) {
		op = BPF_CORE_READ((struct io_kiocb *)q, opcode);
		f = fileless(op) ? NULL : BPF_CORE_READ((struct io_kiocb *)q, file);
		if (BPF_CORE_READ((struct io_kiocb *)q, flags) & HC_REQ_FIXED_FILE)
			how |= FIXED;
		r = bpf_map_lookup_elem(&hc_uring_reqs, &q);
		if (r && (r->ring != ring || r->data != data)) { /* of an earlier request in the same memory */
			hc_uring_forget(q, r->ring, r->data);
			r = NULL;
		}
	}
	noted = r;
	how |= noted ? r->how : NOT_SEEN;
	if (noted)
		fd = r->fd;
	if (HC_T(t, flags) & PF_IO_WORKER && !(how & BY_POLLER && noted && HC_T(t, pid) == r->tid))
		how |= BY_WORKER;
	if (q && (!(how & NO_ANSWER) || (ret < 0 && !told_below(op, ret))))
		effect(q, op, ret, f, fd);
	if (!frequent(op) || hc_forensic || how & NO_ANSWER)
		hc_uring_tell(q, ring, data, ret, (u64)op << 32 | how);
	if (last && noted)
		hc_uring_forget(q, ring, data);
	return 0;
}

/*
 * io_uring_complete, kernel 5.1 on, with the request since 5.18; where the answer is given as it
 * lies in the ring (from 6.16 on), what the program can change is not read: the request has the
 * kernel's own. Runs where the request ends: in a thread of the process, except when a ring is
 * torn down. Answers after the first of one request carry no request, nor does what another ring
 * posted here.
 */
SEC("tp_btf/io_uring_complete")
int BPF_PROG(hc_uring_complete, struct io_ring_ctx *ring, void *q, struct io_uring_cqe *cqe)
{
	struct io_kiocb *req = q;
	u32 flags = cqe->flags;
	u64 at = 0;

	/* as a number: global functions take no kernel pointer */
	bpf_probe_read_kernel(&at, sizeof(at), ctx);
	if (q)
		return completed((u64)q, at, BPF_CORE_READ(req, cqe.user_data), BPF_CORE_READ(req, cqe.res),
				 BPF_CORE_READ(req, cqe.flags), 0);
	return completed(0, at, cqe->user_data, cqe->res, flags, 0);
}

SEC("raw_tp/io_uring_complete")
int hc_uring_complete_old(struct bpf_raw_tracepoint_args *ctx)
{
	/* (ring, user_data, res, cflags) before 5.18, then (ring, req, user_data, res, cflags, ...) */
	if (blind())
		return completed(0, ctx->args[0], ctx->args[1], (s32)ctx->args[2], ctx->args[3], 0);
	return completed(ctx->args[1], ctx->args[0], ctx->args[2], (s32)ctx->args[3], ctx->args[4], 0);
}

/* io_uring_cqe_overflow, kernel 5.19 on: an answer that found the ring full, which does not
 * pass the tracepoint above. */
SEC("tp_btf/io_uring_cqe_overflow")
int BPF_PROG(hc_uring_overflow, void *ring, unsigned long long data, s32 res, u32 cflags)
{
	return completed(0, (u64)ring, data, res, cflags, NO_ROOM);
}
