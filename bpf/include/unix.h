/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/* Unix sockets: their names, their two ends and who is behind them; and sockets by descriptor. */
#ifndef HC_UNIX_H
#define HC_UNIX_H

#include "sock.h"

/* Errors of calls on sockets. */
#define ENOENT 2
#define EBADF 9
#define EAGAIN 11
#define EFAULT 14
#define EINVAL 22
#define EINTR 4
#define ENOTSOCK 88
#define EAFNOSUPPORT 97
#define EADDRINUSE 98
#define EADDRNOTAVAIL 99
#define EISCONN 106
#define EALREADY 114
#define EINPROGRESS 115
#define ERESTARTSYS 512
#define ERESTART_RESTARTBLOCK 516

/* What a descriptor of the running task leads to, when it is a socket. Not a type of the kernel's:
 * take its pointers out before reading through them. */
struct hc_fd_sock {
	struct sock *sk;
	struct inode *inode;
	struct socket *so;
};

static __always_inline bool hc_sock_by_fd(struct hc_fd_sock *s, int fd)
{
	struct file *f = hc_file(fd);
	struct inode *i;
	struct socket *so;

	if (!f)
		return false;
	i = BPF_CORE_READ(f, f_inode);
	if (BPF_CORE_READ(i, i_sb, s_magic) != SOCKFS_MAGIC)
		return false; /* another thread replaced the descriptor */
	so = BPF_CORE_READ(f, private_data);
	s->inode = i;
	s->so = so;
	s->sk = BPF_CORE_READ(so, sk);
	return s->sk;
}

static __always_inline u64 hc_sock_cookie(struct sock *sk)
{
	return BPF_CORE_READ(sk, __sk_common.skc_cookie.counter);
}

static __always_inline struct sock *hc_unix_peer(struct sock *sk)
{
	return BPF_CORE_READ((struct unix_sock *)sk, peer);
}

/*
 * The process that the kernel noted for the other end: who connected, listened or made the pair.
 * A process that has ended keeps its number here and has no start. Datagram sockets have none.
 */
#define hc_set_peer_process(e_, sk_)                                                         \
	do {                                                                                 \
		struct pid *peer_ = BPF_CORE_READ(sk_, sk_peer_pid);                         \
		struct task_struct *task_ = hc_pid_task(peer_);                              \
		if (peer_)                                                                   \
			(e_)->target_pid = hc_upid(peer_, 0).nr;                             \
		if (task_)                                                                   \
			(e_)->target_start = BPF_CORE_READ(task_, group_leader, start_boottime); \
	} while (0)

#define HC_UNIX_NAME 112 /* a name with its NUL, and room */
/* The compiler proves its own bound; this is the one the verifier sees. */
#define hc_bound_name(n_) asm volatile("%0 &= 127" : "+r"(n_))

/*
 * Appends the name that a unix socket is bound to, from the kernel's own copy, if it has one.
 * Abstract names may hold NULs; paths end in one, which is left out. A path is what bind was
 * given: it may be relative, and the file may have been renamed or removed since. One that begins
 * with @ gets "./" in front, so that nobody takes it for an abstract name.
 */
static __always_inline bool hc_put_unix_name(struct hc_buf *b, struct hc_var *v, struct sock *sk)
{
	struct unix_address *a = BPF_CORE_READ((struct unix_sock *)sk, addr);
	u64 at = b->at; /* 6.1 forgets the bounds of 32 bits that are saved on the stack */
	u64 n;
	void *name;
	u8 c = 0;

	asm volatile("" : "+r"(at));
	if (!a || at > HC_BUF_SOFT)
		return false;
	n = (u32)BPF_CORE_READ(a, len) - 2; /* the family */
	if (!n || n >= HC_UNIX_NAME)
		return false;
	name = (void *)a + bpf_core_field_offset(struct unix_address, name) + 2;
	bpf_probe_read_kernel(&c, 1, name);
	if (c == '@') {
		b->data[at] = '.';
		b->data[at + 1] = '/';
		at += 2;
	}
	hc_bound_name(n);
	if (at > HC_BUF_SOFT + 2 || bpf_probe_read_kernel(&b->data[at], n, name))
		return false;
	if (!c)
		b->data[at] = '@';
	else
		n--;
	b->at = at + n;
	v->len = v->full = n + (c == '@' ? 2 : 0);
	return true;
}

/*
 * Appends the name of a unix address in the program's memory, of len bytes with its family: what
 * was asked, claimed.
 */
static __always_inline void hc_put_asked_name(struct hc_buf *b, struct hc_var *v, u32 type, const void *from, u32 len)
{
	u32 at = b->at;
	u64 n = len - 2;
	long got;
	u8 c = 0;

	if (!n || n >= HC_UNIX_NAME || at > HC_BUF_SOFT)
		return;
	got = bpf_probe_read_user(&c, 1, from + 2);
	if (!got && c) {
		if (c == '@') {
			b->data[at] = '.';
			b->data[at + 1] = '/';
			at += 2;
		}
		if (at > HC_BUF_SOFT + 2)
			return;
		hc_bound_name(n);
		got = bpf_probe_read_user_str(&b->data[at], n + 1, from + 2);
		if (got >= 0) { /* 0: emptied meanwhile, on kernels before 6.13 */
			n = got ? got - 1 : 0;
			got = 0;
		}
	} else if (!got) {
		hc_bound_name(n);
		got = bpf_probe_read_user(&b->data[at], n, from + 2);
		b->data[at] = '@';
	}
	if (got) {
		v->mark = 2;
		hc_count(HC_READ_FAULT, type);
		return;
	}
	v->len = v->full = at - b->at + n;
	b->at = at + n;
}

/*
 * Writes the row of a socket into the stream of an iterator; of a unix socket with its other end,
 * its name behind it. A record that does not fit is taken back as a whole, and the socket shown
 * again.
 */
static __always_inline void hc_write_sock_row(struct seq_file *seq, struct sock *sk, u64 cookie, struct hc_sk *s)
{
	u16 family = BPF_CORE_READ(sk, __sk_common.skc_family);
	struct unix_address *a = NULL;
	struct sock *peer = NULL;
	struct {
		u32 pad, len;
		struct hc_ev_socket e;
	} r;
	struct {
		char dot[2]; /* goes before a path that begins with @ */
		char b[HC_UNIX_NAME + 16];
	} name = {{'.', '/'}};
	u64 n = 0, lead = 0;

	__builtin_memset(&r, 0, sizeof(r));
	if (family == AF_UNIX) {
		a = BPF_CORE_READ((struct unix_sock *)sk, addr);
		peer = hc_unix_peer(sk);
	}
	if (a) {
		n = (u32)BPF_CORE_READ(a, len) - 2;
		if (n >= HC_UNIX_NAME)
			n = 0;
		hc_bound_name(n);
		bpf_probe_read_kernel(name.b, n, (void *)a + bpf_core_field_offset(struct unix_address, name) + 2);
		if (n && name.b[0]) {
			n--;
			lead = name.b[0] == '@' ? 2 : 0;
		} else if (n) {
			name.b[0] = '@';
		}
	}
	r.e.h.type = HC_SOCKET;
	r.e.h.cpu = bpf_get_smp_processor_id();
	r.e.h.ts = bpf_ktime_get_boot_ns();
	r.e.h.flags = HC_F_SNAPSHOT;
	r.e.cookie = cookie;
	r.e.netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	r.e.family = family;
	r.e.proto = BPF_CORE_READ(sk, sk_protocol);
	r.e.state = BPF_CORE_READ(sk, __sk_common.skc_state);
	r.e.sock_type = BPF_CORE_READ(sk, sk_type);
	r.e.ino = hc_sock_ino(sk);
	if (peer) {
		r.e.peer_ino = hc_sock_ino(peer);
		r.e.peer_cookie = hc_sock_cookie(peer);
	}
	hc_head_sk(&r.e.h, s);
	r.e.path.len = r.e.path.full = n + lead;
	r.len = sizeof(r.e) + n + lead;
	bpf_seq_write(seq, &r.len, 4 + sizeof(r.e));
	if (lead)
		bpf_seq_write(seq, name.dot, 2);
	hc_bound_name(n);
	if (n)
		bpf_seq_write(seq, name.b, n);
}

/* A unix socket got its other end: op is that of the catalogue, named the end with a name or NULL.
 * The row is not sent yet; NULL for none. */
static __always_inline struct hc_buf *hc_unix_conn_row(s64 ret, u32 op, struct inode *i, struct socket *so, struct sock *sk, struct sock *named)
{
	struct sock *peer = hc_unix_peer(sk);
	struct hc_ev_unix_conn *e;
	struct hc_buf *b;

	if (hc_skip(HC_UNIX_CONN))
		return NULL;
	b = hc_get_buf(HC_UNIX_CONN, sizeof(*e));
	if (!b)
		return NULL;
	e = (void *)b->data;
	hc_zero(e);
	hc_head(&e->h, HC_UNIX_CONN, 0, ret);
	e->op = op;
	e->family = AF_UNIX;
	e->cookie = hc_sock_cookie(sk);
	e->netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	e->ino = BPF_CORE_READ(i, i_ino);
	e->sock_type = BPF_CORE_READ(so, type);
	if (peer) {
		e->peer_ino = hc_sock_ino(peer);
		e->peer_cookie = hc_sock_cookie(peer);
	}
	if (named)
		hc_put_unix_name(b, &e->path, named);
	hc_set_peer_process(e, sk);
	return b;
}

static __always_inline int hc_unix_conn(s64 ret, u32 op, struct inode *i, struct socket *so, struct sock *sk, struct sock *named)
{
	struct hc_buf *b = hc_unix_conn_row(ret, op, i, so, sk, named);

	if (b)
		hc_send(b, false, HC_UNIX_CONN);
	return 0;
}

#endif
