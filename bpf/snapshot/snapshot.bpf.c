// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * What was there already: processes, their open objects, sockets; and the totals that idle
 * threads and sockets still hold. Iterators, run by the recorder, each writing a stream of
 * [u32 length][record].
 *
 * An iterator program can be preempted, so it must not take the scratch buffer of the live hooks
 * (its cpu's other programs would find it busy and drop records): it has its own. It may also be
 * run twice for one object when the reader's buffer overflows, and what it wrote the first time
 * is then taken back. So the rows of a stream carry no sequence number and are not counted as
 * made, and what is remembered as told is forgotten when a write fails.
 */
/* A record of an iterator must fit the kernel's buffer of eight pages, or the whole walk fails. */
#define HC_SEQ_MAX (8 * 4096 - 64)
#define HC_OWN_BUF
#define HC_PATH 8192
#include "../include/io.h"
#include "../include/sock.h"
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

enum { BUF_TASK = 0, BUF_FILE = 1, BUFS = 2 };

/* Not per cpu: an iterator is run once at a time. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, BUFS);
	__type(key, u32);
	__type(value, struct hc_buf);
} hc_iter_scratch SEC(".maps");

/* The record starts at 8, so that it is aligned, and its length stands right before it. */
#define START 8

static __always_inline struct hc_buf *get_buf(u32 which, u32 type, u32 fixed)
{
	struct hc_buf *b = bpf_map_lookup_elem(&hc_iter_scratch, &which);

	if (!b)
		return NULL;
	if (__sync_lock_test_and_set(&b->busy, 1)) {
		/* a second run of the same iterator: its caller broke the rule */
		hc_count(HC_SEEN, type);
		hc_count(HC_NESTED, type);
		return NULL;
	}
	b->at = START + fixed;
	return b;
}

static __always_inline void put_buf(struct hc_buf *b, struct seq_file *seq)
{
	u32 len = b->at - START + 4;

	*(u32 *)(b->data + START - 4) = b->at - START;
	if (len <= HC_BUF_SIZE - START)
		bpf_seq_write(seq, b->data + START - 4, len);
	b->busy = 0;
}

/* A record of fixed size behind its length. */
#define ROW(type_)            \
	struct {              \
		u32 pad, len; \
		struct type_ e; \
	}
#define write_row(seq_, r_) ((r_)->len = sizeof((r_)->e), bpf_seq_write(seq_, &(r_)->len, 4 + sizeof((r_)->e)))

/* n bytes, at most HC_ARGV, of whole bytes in another process's memory: it may have changed them
 * since it started. */
static __always_inline void put_memory(struct hc_buf *b, struct hc_var *v, struct task_struct *t, u64 start, u64 n, u64 whole)
{
	u32 at = b->at;

	v->full = whole;
	v->mark = n < whole;
	if (!n)
		return;
	if (n > HC_ARGV)
		n = HC_ARGV;
	if (at + n > HC_SEQ_MAX) {
		v->mark = 1;
		hc_count(HC_TRUNCATED, HC_PROCESS);
		return;
	}
	if (at > HC_BUF_SOFT || bpf_copy_from_user_task(&b->data[at], n, (void *)start, t, 0)) {
		v->mark = 2;
		hc_count(HC_READ_FAULT, HC_PROCESS);
		return;
	}
	v->len = n;
	b->at = at + n;
}

static __always_inline int process(struct bpf_iter__task *ctx, bool copy)
{
	struct task_struct *t = ctx->task;
	struct hc_ev_process *e;
	struct mm_struct *mm;
	u64 args = 0, nargs = 0, env = 0, nenv = 0;
	struct file *f;
	struct inode *i;
	struct hc_buf *b;
	struct hc_obj o;
	struct pid *pid;

	if (!t || t->pid != t->tgid)
		return 0;
	/* dead, not yet reaped: its children have other parents, and it can do nothing more */
	if (!t->signal->live.counter)
		return 0;
	b = get_buf(BUF_TASK, HC_PROCESS, sizeof(*e));
	if (!b)
		return 0;
	e = (void *)(b->data + START);
	hc_zero(e);
	hc_head_task(&e->h, t, HC_PROCESS, HC_F_SNAPSHOT, 0);
	e->h.cgroup = hc_task_cgroup(t);
	e->parent_pid = t->real_parent->tgid;
	e->parent_start = hc_pstart(t->real_parent);
	pid = BPF_CORE_READ(t, thread_pid);
	e->ns_pid = hc_upid(pid, BPF_CORE_READ(pid, level)).nr;
	hc_set_session(e, t);
	mm = t->mm;
	if (mm && !(t->flags & PF_KTHREAD)) {
		args = BPF_CORE_READ(mm, arg_start);
		nargs = BPF_CORE_READ(mm, arg_end) - args;
		env = BPF_CORE_READ(mm, env_start);
		nenv = BPF_CORE_READ(mm, env_end) - env;
		f = BPF_CORE_READ(mm, exe_file);
		if (f) {
			i = BPF_CORE_READ(f, f_inode);
			hc_inode(&o, i);
			hc_set_obj(e, &o);
			e->nlink = BPF_CORE_READ(i, i_nlink);
			e->ctime = hc_ctime(i);
			e->mtime = hc_mtime(i);
			hc_put_file_path(b, &e->exe, HC_PROCESS, f);
		}
		e->argv_len = nargs;
		e->env_len = nenv;
		if (copy)
			put_memory(b, &e->argv, t, args, nargs > HC_ARGV ? HC_ARGV : nargs, nargs);
		else if (nargs)
			e->argv = (struct hc_var){ .mark = 2, .full = nargs };
	}
	hc_put_path(b, &e->cwd, HC_PROCESS, BPF_CORE_READ(t, fs, pwd.dentry), BPF_CORE_READ(t, fs, pwd.mnt));
	if (copy) {
		if (nargs > HC_ARGV) {
			u64 n = nargs - HC_ARGV;

			if (n > HC_ARGV_TAIL) {
				n = HC_ARGV_TAIL;
				hc_count(HC_TRUNCATED, HC_PROCESS);
			}
			put_memory(b, &e->argv_tail, t, args + nargs - n, n, n);
		}
		if (nenv > HC_ARGV)
			hc_count(HC_TRUNCATED, HC_PROCESS);
		put_memory(b, &e->env, t, env, nenv > HC_ARGV ? HC_ARGV : nenv, nenv);
	} else {
		if (nargs > HC_ARGV)
			e->argv_tail.mark = 2;
		if (nenv)
			e->env = (struct hc_var){ .mark = 2, .full = nenv };
	}
	if (e->h.image != (u32)t->self_exec_id)
		/* it became another program meanwhile: that is an event; what stands here is of neither */
		e->exe.mark = e->argv.mark = e->cwd.mark = e->argv_tail.mark = e->env.mark = 2;
	put_buf(b, ctx->meta->seq);
	return 0;
}

/*
 * Every process, kernel threads included. Sleepable (kernel 5.18), because the arguments of
 * another process are read through its page tables and may have to be brought in.
 */
SEC("iter.s/task")
int hc_iter_task(struct bpf_iter__task *ctx)
{
	return process(ctx, true);
}

/* The same without arguments, marked unreadable, where the first does not load. */
SEC("iter/task")
int hc_iter_task_noargs(struct bpf_iter__task *ctx)
{
	return process(ctx, false);
}

static __always_inline void put_socket_row(struct seq_file *seq, struct sock *sk, u64 cookie)
{
	ROW(hc_ev_socket) r;
	struct hc_ev_socket *e = &r.e;
	struct hc_tcp v = {};
	struct hc_sk *s = NULL;
	struct tcp_sock *tp;
	u32 state;

	__builtin_memset(&r, 0, sizeof(r));
	e->h.type = HC_SOCKET;
	e->h.cpu = bpf_get_smp_processor_id();
	e->h.ts = bpf_ktime_get_boot_ns();
	e->h.flags = HC_F_SNAPSHOT;
	e->cookie = cookie;
	hc_set_tuple(e, sk, HC_PROBE);
	e->ino = hc_sock_ino(sk);
	state = BPF_CORE_READ(sk, __sk_common.skc_state);
	e->state = state;
	tp = bpf_skc_to_tcp_sock(sk);
	if (tp) {
		s = hc_sk_of((struct sock *)tp, false);
		if (s && s->role != HC_ROLE_LISTENER)
			v.role = s->role;
		if (state == TCP_LISTEN) {
			if (!e->lport)
				e->lport = BPF_CORE_READ(sk, __sk_common.skc_num);
		} else if (state != TCP_CLOSE && state != TCP_SYN_SENT) {
			hc_read_tcp(&v, tp, state, BPF_CORE_READ(sk, __sk_common.skc_flags), HC_PROBE);
			e->isn = v.isn;
			e->bytes_in = v.in;
			e->bytes_out = v.out;
		}
	}
	hc_head_sk(&e->h, s);
	write_row(seq, &r);
}

/*
 * Every open descriptor. A TCP socket gets its holder as owner, unless a live hook already knew
 * better; of several holders (a listener with forked workers) the first in the walk wins. The
 * socket walks below see only the recorder's network namespace, so sockets of other namespaces
 * get their row here, read without their lock.
 */
SEC("iter/task_file")
int hc_iter_file(struct bpf_iter__task_file *ctx)
{
	struct task_struct *t = ctx->task;
	struct file *f = ctx->file;
	struct hc_ev_file *e;
	struct socket *so;
	struct inode *i;
	struct hc_buf *b;
	struct hc_obj o;
	struct sock *sk = NULL;
	u32 tgid;
	u64 magic;

	if (!t || !f)
		return 0;
	/* threads share their leader's table; before 5.11 the kernel shows it once for each */
	if (t->pid != t->tgid && t->files == t->group_leader->files)
		return 0;
	tgid = t->tgid;
	if (tgid == hc_self || (hc_scoped && !bpf_map_lookup_elem(&hc_scope, &tgid)) || !hc_selected_of(HC_FILE, tgid, 0))
		return 0;
	b = get_buf(BUF_FILE, HC_FILE, sizeof(*e));
	if (!b)
		return 0;
	e = (void *)(b->data + START);
	hc_zero(e);
	hc_head_task(&e->h, t, HC_FILE, HC_F_SNAPSHOT, 0);
	e->h.cgroup = hc_task_cgroup(t);
	i = BPF_CORE_READ(f, f_inode);
	hc_inode(&o, i);
	hc_set_obj(e, &o);
	e->fd = ctx->fd;
	e->open_flags = f->f_flags;
	e->pos = f->f_pos;
	magic = BPF_CORE_READ(i, i_sb, s_magic);
	if (magic != PIPEFS_MAGIC && magic != SOCKFS_MAGIC)
		hc_put_file_path(b, &e->path, HC_FILE, f);
	if (hc_old) { /* no typed socket: its own walks tell of sockets */
		so = BPF_CORE_READ(f, private_data);
		if (magic == SOCKFS_MAGIC)
			sk = BPF_CORE_READ(so, sk);
		if (sk)
			e->cookie = hc_cookie(sk);
		sk = NULL;
	} else {
		so = bpf_sock_from_file(f);
		if (so) {
			sk = so->sk;
			if (sk)
				e->cookie = bpf_get_socket_cookie(sk);
		}
	}
	put_buf(b, ctx->meta->seq);
	if (!sk)
		return 0;

	u16 family = BPF_CORE_READ(sk, __sk_common.skc_family);
	u16 proto = BPF_CORE_READ(sk, sk_protocol);

	if (family != AF_INET && family != AF_INET6)
		return 0;
	if (proto == IPPROTO_TCP) {
		struct hc_sk *s = hc_sk_of(sk, true);
		bool listener = BPF_CORE_READ(sk, __sk_common.skc_state) == TCP_LISTEN;
		struct hc_owner own;

		if (!s) {
			hc_count(HC_MAP_FULL, HC_FILE);
		} else if (s->own < HC_OWN_FACT) {
			hc_owner_of(&own, t);
			hc_lock(&s->lock);
			if (s->own < HC_OWN_FACT) {
				s->own = HC_OWN_FACT;
				s->o = own;
				if (listener)
					s->role = HC_ROLE_LISTENER;
			}
			hc_unlock(&s->lock);
		}
	} else if (proto != IPPROTO_UDP) {
		return 0;
	}
	if (BPF_CORE_READ(sk, __sk_common.skc_net.net) !=
	    BPF_CORE_READ((struct task_struct *)bpf_get_current_task(), nsproxy, net_ns))
		put_socket_row(ctx->meta->seq, sk, hc_cookie(sk));
	return 0;
}

/*
 * TCP listeners and connections of the recorder's network namespace, each under its lock (from
 * 6.5; before, totals of a busy connection may be torn). Run after the walk of descriptors, so
 * that owners are known. Left out: requests not yet connections, and TIME_WAIT remains.
 */
SEC("iter/tcp")
int hc_iter_tcp(struct bpf_iter__tcp *ctx)
{
	struct sock_common *skc = ctx->sk_common;
	struct tcp_sock *tp;

	if (!skc || hc_scoped)
		return 0;
	tp = bpf_skc_to_tcp_sock(skc);
	if (tp)
		put_socket_row(ctx->meta->seq, (struct sock *)tp, hc_cookie((struct sock *)tp));
	return 0;
}

/* UDP sockets of the recorder's network namespace: bound, connected or both. */
SEC("iter/udp")
int hc_iter_udp(struct bpf_iter__udp *ctx)
{
	struct udp_sock *up = ctx->udp_sk;

	if (!up || hc_scoped)
		return 0;
	put_socket_row(ctx->meta->seq, (struct sock *)up, hc_cookie((struct sock *)up));
	return 0;
}

/*
 * Totals that UDP flows still hold, of every network namespace: a walk of the storage itself,
 * which visits only sockets that have flows. Kernel 5.9 on.
 */
SEC("iter/bpf_sk_storage_map")
int hc_iter_udp_total(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	struct sock *sk = ctx->sk;
	struct hc_udp *u;
	u32 told[HC_FLOWS] = {};
	u64 now = bpf_ktime_get_boot_ns();

	if (!sk)
		return 0;
	u = bpf_sk_storage_get(&hc_udp, sk, NULL, 0);
	if (!u)
		return 0;
	for (int i = 0; i < HC_FLOWS; i++) {
		ROW(hc_ev_sock_total) r;
		struct hc_flow *f = &u->flow[i];
		bool pending;

		__builtin_memset(&r, 0, sizeof(r));
		hc_lock(&u->lock);
		pending = hc_flow_pending(f);
		if (pending) {
			hc_flow_fill(&r.e, u, f, HC_FLOW_SWEEP);
			told[i] = f->ops_in + f->ops_out;
		}
		hc_unlock(&u->lock);
		if (!pending)
			continue;
		r.e.h.type = HC_SOCK_TOTAL;
		r.e.h.cpu = bpf_get_smp_processor_id();
		r.e.h.ts = bpf_ktime_get_boot_ns();
		if (write_row(ctx->meta->seq, &r))
			return 0;
	}
	hc_lock(&u->lock);
	for (int i = 0; i < HC_FLOWS; i++) {
		struct hc_flow *f = &u->flow[i];

		/* a flow that took the place meanwhile has fewer operations, or is younger */
		if (told[i] && f->t0 < now && f->ops_in + f->ops_out >= told[i] && f->told_ops < told[i])
			f->told_ops = told[i];
	}
	hc_unlock(&u->lock);
	return 0;
}

/* What the sweep told of a thread's table. Only the sweep writes it. */
struct hc_io_told {
	struct {
		u64 ino, t0;
		u32 ops, pad;
	} slot[HC_IO_SLOTS];
};
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct hc_io_told);
} hc_io_told SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct hc_io_told);
} hc_io_untold SEC(".maps");

/* The same of one thread; on old kernels in a table that forgets, which costs rows told twice. */
static __always_inline struct hc_io_told *told_of(struct task_struct *t)
{
	struct hc_io_told *none;
	u32 tid, zero = 0;

	if (!hc_old)
		return bpf_task_storage_get(&hc_io_told, t, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	tid = t->pid;
	none = bpf_map_lookup_elem(&hc_io_untold, &zero);
	if (none)
		bpf_map_update_elem(&hc_io_told, &tid, none, BPF_NOEXIST);
	return bpf_map_lookup_elem(&hc_io_told, &tid);
}

/*
 * Totals that idle threads still hold. The table belongs to its thread, which may be writing it
 * now: a slot that changed its object while it was read is left for the next sweep, and totals
 * that were read half-way are mended by the row that follows the operation.
 */
SEC("iter/task")
int hc_iter_io(struct bpf_iter__task *ctx)
{
	struct task_struct *t = ctx->task;
	struct hc_io_table *tab;
	struct hc_io_told *told = NULL;
	ROW(hc_ev_io) r;
	bool any = false;

	if (!t)
		return 0;
	tab = hc_io_of(t, false);
	if (!tab)
		return 0;
	for (int i = 0; i < HC_IO_SLOTS; i++)
		any |= hc_io_pending(&tab->slot[i]);
	if (!any)
		return 0;
	told = told_of(t);
	if (!told) {
		hc_count(HC_BUSY, HC_IO); /* they stay in the table for the next sweep */
		return 0;
	}
	__builtin_memset(&r, 0, sizeof(r));
	hc_head_task(&r.e.h, t, HC_IO, 0, 0);
	r.e.h.cgroup = hc_task_cgroup(t);
	for (int i = 0; i < HC_IO_SLOTS; i++) {
		struct hc_io_slot *s = &tab->slot[i];
		u64 ino = s->ino, t0 = s->t0;
		u32 n = s->ops_in + s->ops_out;

		if (!hc_io_pending(s))
			continue;
		if (told->slot[i].ino == ino && told->slot[i].t0 == t0 && told->slot[i].ops == n)
			continue;
		hc_io_fill(&r.e, t, s, HC_IO_SWEEP);
		if (*(volatile u64 *)&s->ino != ino || *(volatile u64 *)&s->t0 != t0 || r.e.ino != ino || r.e.t0 != t0)
			continue;
		r.e.h.ts = bpf_ktime_get_boot_ns();
		if (write_row(ctx->meta->seq, &r)) {
			/* this thread's rows are taken back and it is shown again */
			for (int j = 0; j < HC_IO_SLOTS; j++)
				told->slot[j].ops = 0;
			return 0;
		}
		told->slot[i].ino = ino;
		told->slot[i].t0 = t0;
		told->slot[i].ops = n;
	}
	return 0;
}
