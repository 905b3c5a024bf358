/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/*
 * Sockets: who owns them, what has been told of them, and how their ends and totals are read.
 *
 * Half of what happens to a socket happens in softirq, where the running task is whoever was
 * interrupted. So the owner is written into the socket's own storage in process context, and
 * read from there everywhere else. The storage lives exactly as long as the socket: there is no
 * table to fill up, and nothing to evict. A lock in it guards every field; it is taken with
 * interrupts off for a few dozen instructions and never around a helper call.
 */
#ifndef HC_SOCK_H
#define HC_SOCK_H

#include "path.h"
#include <bpf/bpf_endian.h>

/* Tracing programs have locks since 5.11. Before, two that meet on one socket can mix what they
 * write: an owner or a total that is wrong by one operation. */
static __always_inline void hc_lock(struct bpf_spin_lock *l)
{
	if (!hc_old)
		bpf_spin_lock(l);
}
static __always_inline void hc_unlock(struct bpf_spin_lock *l)
{
	if (!hc_old)
		bpf_spin_unlock(l);
}

enum { HC_ROLE_CONNECTED = 1, HC_ROLE_ACCEPTED = 2, HC_ROLE_LISTENER = 3 };

/* How the owner is known. A listener's storage is copied to the sockets it makes, so until a
 * process touches such a socket its owner is a guess: whoever listens. */
enum { HC_OWN_NONE = 0, HC_OWN_GUESS = 1, HC_OWN_FACT = 2, HC_OWN_SELF = 3 };

enum { HC_SEND = 1, HC_RECV = 2 };

struct hc_owner {
	u32 pid, tid;
	u64 pstart;
	u64 cgroup;
	u32 image, cred;
	char comm[16];
	u32 kthread, pad;
};

#define HC_USERS 4
struct hc_user {
	u64 pstart;
	u32 pid; /* 0: free */
	u32 image;
	u32 told; /* directions */
	u32 pad;
};

/* A TCP or unix socket. */
struct hc_sk {
	struct bpf_spin_lock lock;
	u32 role;
	u32 own;
	u32 victim;
	u64 t0; /* started, accepted or established; 0 unknown */
	struct hc_owner o;
	struct hc_user user[HC_USERS];
};
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct hc_sk);
} hc_sk SEC(".maps");

/* What a new entry holds, for kernels where it is not made by asking for it. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__uint(value_size, sizeof(struct hc_sk));
} hc_sk_none SEC(".maps");

/* What is known of a socket, made when nothing is and make is set. On old kernels it lies in a
 * hash under the socket's address, and hc_old_gone removes it. */
static __always_inline struct hc_sk *hc_sk_of(struct sock *sk, bool make)
{
	u64 key = (u64)sk;
	struct hc_sk *s;
	u32 zero = 0;
	void *none;

	if (!hc_old)
		return bpf_sk_storage_get(&hc_sk, sk, NULL, make ? BPF_SK_STORAGE_GET_F_CREATE : 0);
	s = bpf_map_lookup_elem(&hc_sk, &key);
	if (s || !make)
		return s;
	none = bpf_map_lookup_elem(&hc_sk_none, &zero);
	if (!none || bpf_map_update_elem(&hc_sk, &key, none, BPF_NOEXIST))
		return NULL;
	return bpf_map_lookup_elem(&hc_sk, &key);
}

/* The cookie of a socket. Before 5.12 only cgroup programs can have one made: hc_old_cookie. */
static __always_inline u64 hc_cookie(struct sock *sk)
{
	return hc_old ? (u64)BPF_CORE_READ(sk, __sk_common.skc_cookie.counter) : bpf_get_socket_cookie(sk);
}

/* The other end of an unconnected socket. */
struct hc_peer {
	u64 addr[2];
	u16 port; /* host order */
	u16 family;
	u32 tid; /* thread that is between the address hook and the length hook; 0: free */
	u32 dir;
	u32 pad;
};

/* What one process exchanged with one peer over a UDP socket. */
struct hc_flow {
	struct hc_owner o; /* pid 0: free */
	u64 addr[2];
	u64 t0, last, in, out;
	u64 sent; /* when totals were last told */
	u32 ops_in, ops_out;
	u32 told_ops; /* operations that rows already told */
	u16 port, family;
	u32 told; /* directions */
	u32 pad;
};

#define HC_FLOWS 4
#define HC_PEERS 4
#define HC_FLOW_INTERVAL 1000000000ULL

enum { HC_FLOW_TICK = 1, HC_FLOW_EVICT = 2, HC_FLOW_CLOSE = 3, HC_FLOW_SWEEP = 5 };

struct hc_udp {
	struct bpf_spin_lock lock;
	u32 netns;
	u64 cookie;
	u64 laddr[2];
	u16 lport, pad;
	u32 next; /* place of the next peer when all are taken */
	struct hc_peer peer[HC_PEERS];
	struct hc_flow flow[HC_FLOWS];
};
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct hc_udp);
} hc_udp SEC(".maps");

static __always_inline u64 hc_task_cgroup(struct task_struct *t)
{
	return hc_has_cast ? HC_READ(true, t, cgroups, dfl_cgrp, kn, id) : BPF_CORE_READ(t, cgroups, dfl_cgrp, kn, id);
}

static __always_inline void hc_owner_of(struct hc_owner *o, struct task_struct *t)
{
	__builtin_memset(o, 0, sizeof(*o));
	o->pid = HC_T(t, tgid);
	o->tid = HC_T(t, pid);
	o->pstart = hc_pstart(t);
	o->image = (u32)HC_T(t, self_exec_id);
	o->cred = hc_cred_id(HC_T(t, cred));
	o->cgroup = hc_task_cgroup(t);
	o->kthread = !!(HC_T(t, flags) & PF_KTHREAD);
	hc_read_comm(o->comm, t);
}

/* The header of a record about a socket, from its owner; not for the running task. Inlined so
 * that it may run under the storage's lock: it calls nothing. */
static __always_inline void hc_head_owner(struct hc_hdr *h, const struct hc_owner *o)
{
	h->pid = o->pid;
	h->tid = o->tid;
	h->pstart = o->pstart;
	h->image = o->image;
	h->cred = o->cred;
	h->cgroup = o->cgroup;
	__builtin_memcpy(h->comm, o->comm, sizeof(h->comm));
	h->flags |= HC_F_OWNER_SOCK;
	if (o->kthread)
		h->flags |= HC_F_KTHREAD;
}

static __always_inline void hc_head_sk(struct hc_hdr *h, struct hc_sk *s)
{
	bool none = true;

	if (s) {
		hc_lock(&s->lock);
		if (s->own == HC_OWN_FACT || s->own == HC_OWN_GUESS) {
			hc_head_owner(h, &s->o);
			if (s->own == HC_OWN_GUESS)
				h->flags |= HC_F_OWNER_GUESS;
			none = false;
		}
		hc_unlock(&s->lock);
	}
	if (none)
		h->flags |= HC_F_NO_OWNER;
}

/* Two ways to read: through a pointer the verifier knows, and by probing any other. */
#define HC_DIRECT(p_, f_) ((p_)->f_)
#define HC_PROBE(p_, f_) BPF_CORE_READ(p_, f_)

static __always_inline bool hc_mapped(const u64 *a)
{
	return !a[0] && (u32)a[1] == bpf_htonl(0xffff);
}

/*
 * Fills the ends of a record. IPv4 in an IPv6 socket is shown as IPv4. The local port comes from
 * where it outlives the release of the port; skc_num is already 0 when a socket closes.
 */
#define hc_set_tuple(e_, sk_, RD_)                                                            \
	do {                                                                                  \
		u64 l_[2] = {}, r_[2] = {};                                                   \
		u16 family_ = RD_(sk_, __sk_common.skc_family);                               \
		struct net *net_ = RD_(sk_, __sk_common.skc_net.net);                         \
		if (family_ == AF_INET6) {                                                    \
			bpf_probe_read_kernel(l_, 16, &(sk_)->__sk_common.skc_v6_rcv_saddr);  \
			bpf_probe_read_kernel(r_, 16, &(sk_)->__sk_common.skc_v6_daddr);      \
			if (hc_mapped(r_) || hc_mapped(l_)) {                                 \
				family_ = AF_INET;                                            \
				l_[0] = hc_mapped(l_) ? l_[1] >> 32 : 0;                      \
				r_[0] = hc_mapped(r_) ? r_[1] >> 32 : 0;                      \
				l_[1] = r_[1] = 0;                                            \
			}                                                                     \
		} else {                                                                      \
			l_[0] = RD_(sk_, __sk_common.skc_rcv_saddr);                          \
			r_[0] = RD_(sk_, __sk_common.skc_daddr);                              \
		}                                                                             \
		__builtin_memcpy((e_)->laddr, l_, 16);                                        \
		__builtin_memcpy((e_)->raddr, r_, 16);                                        \
		(e_)->family = family_;                                                       \
		(e_)->proto = RD_(sk_, sk_protocol);                                          \
		(e_)->netns = BPF_CORE_READ(net_, ns.inum);                                   \
		(e_)->lport = bpf_ntohs(BPF_CORE_READ((struct inet_sock *)(sk_), inet_sport)); \
		(e_)->rport = bpf_ntohs(RD_(sk_, __sk_common.skc_dport));                     \
	} while (0)

/* The ends of a socket, as a filter asks for them. */
struct hc_sel_ends {
	u64 laddr[2], raddr[2];
	u32 netns;
	u16 lport, rport;
	u8 family, proto;
};

static __always_inline bool hc_sel_addr(const volatile struct hc_sel_pred *p, const u64 *a, u32 family)
{
	return (p->n > 0 && family == (p->ends >> 8 & 0xff) && (a[0] & p->hi[0]) == p->lo[0] && (a[1] & p->hi[1]) == p->lo[1]) ||
	       (p->n > 1 && family == (p->ends >> 16 & 0xff) && (a[0] & p->hi[2]) == p->lo[2] && (a[1] & p->hi[3]) == p->lo[3]);
}

static __always_inline bool hc_sel_end(const volatile struct hc_sel_pred *p, const struct hc_sel_ends *x)
{
	switch (p->kind) {
	case HC_SEL_PORT:
		return (p->ends & 1 && hc_in_ranges(p, x->lport)) || (p->ends & 2 && hc_in_ranges(p, x->rport));
	case HC_SEL_ADDR:
		return (p->ends & 1 && hc_sel_addr(p, x->laddr, x->family)) || (p->ends & 2 && hc_sel_addr(p, x->raddr, x->family));
	case HC_SEL_FAMILY:
		return hc_in_ranges(p, x->family);
	case HC_SEL_PROTO:
		return hc_in_ranges(p, x->proto);
	}
	return !p->negate;
}

/* Whether a row about a TCP socket may be wanted whose actor is the running task (tgid -1) or
 * another process, of which more may be known than nothing. */
__noinline u32 hc_sel_sock(u64 sock, u32 type, u32 tgid, u64 cgroup)
{
	struct sock *sk = (void *)sock;
	struct hc_sel_ends x = {};

	if (!hc_selecting)
		return 1;
	hc_set_tuple(&x, sk, HC_PROBE);
	HC_ROLLED
	for (u32 c = 0; c < HC_SEL_CLAUSES; c++) {
		bool holds = true;

		if (c >= hc_sel.n)
			break;
		if (!(hc_sel.clause[c].types >> (type & 63) & 1))
			continue;
		HC_ROLLED
		for (u32 i = 0; i < HC_SEL_PREDS; i++) {
			const volatile struct hc_sel_pred *p = &hc_sel.pred[(hc_sel.clause[c].first + i) & (HC_SEL_PREDS - 1)];
			bool is;

			if (i >= hc_sel.clause[c].n)
				break;
			if (p->kind >= HC_SEL_PATH)
				is = hc_sel_end(p, &x);
			else
				is = tgid == ~0U ? hc_sel_mine(p) : hc_sel_its(p, tgid, cgroup);
			if (is == p->negate) {
				holds = false;
				break;
			}
		}
		if (holds)
			return 1;
	}
	return 0;
}

/* A pointer as a number, which is what a global function takes. */
static __always_inline u64 hc_number(const void *p)
{
	u64 n = 0;

	bpf_probe_read_kernel(&n, sizeof(n), &p);
	return n;
}

/* True when the filter does not want a row about a socket, which is then counted: of its owner, or
 * with mine set of the running task. */
static __always_inline bool hc_unselected_sock(struct sock *sk, u32 type, struct hc_sk *s, bool mine)
{
	u32 tgid = mine ? ~0U : s ? s->o.pid : 0, told;
	u64 cgroup = s ? s->o.cgroup : 0;

	if (!hc_selecting)
		return false;
	if (!(hc_sel.types >> type & 1))
		told = 0;
	else if (hc_sel.ends >> type & 1)
		told = hc_sel_sock(hc_number(sk), type, tgid, cgroup);
	else
		told = mine ? hc_sel_actor(type) : hc_sel_other(type, tgid, cgroup);
	if (!told)
		hc_count(HC_UNSELECTED, type);
	return !told;
}

/* The inode of a socket: what /proc/PID/fd shows. 0 when no file was made of it yet. */
static __always_inline u64 hc_sock_ino(struct sock *sk)
{
	void *s = BPF_CORE_READ(sk, sk_socket);
	struct inode *i;

	if (!s)
		return 0;
	i = s + bpf_core_field_offset(struct socket_alloc, vfs_inode);
	return BPF_CORE_READ(i, i_ino);
}

/* What a tcp_sock says of its connection. */
struct hc_tcp {
	u64 isn; /* own << 32 | peer */
	u64 in, out, sent;
	u32 role;
};

/*
 * The kernel counts sequence numbers, we want payload. bytes_received counts the peer's FIN,
 * which SOCK_DONE tells; bytes_acked counts our SYN on the side that connected and our FIN once
 * acknowledged. Own ISN = snd_una - bytes_acked, one less on the side that accepted; peer ISN =
 * rcv_nxt - bytes_received - 1. A socket whose role nobody saw is asked: snd_nxt less the
 * payload that was sent is the ISN as well, and only one of the two roles agrees with it.
 */
#define hc_read_tcp(v_, tp_, state_, flags_, RD_)                                              \
	do {                                                                                   \
		u64 acked_ = RD_(tp_, bytes_acked), got_ = RD_(tp_, bytes_received);           \
		u32 una_ = RD_(tp_, snd_una), nxt_ = RD_(tp_, snd_nxt), wr_ = RD_(tp_, write_seq); \
		bool fin_ = (state_) == TCP_FIN_WAIT1 || (state_) == TCP_FIN_WAIT2 ||           \
			    (state_) == TCP_CLOSING || (state_) == TCP_LAST_ACK ||              \
			    (state_) == TCP_TIME_WAIT;                                         \
		u32 own_ = una_ - (u32)acked_;                                                 \
		(v_)->sent = RD_(tp_, bytes_sent);                                             \
		if (!(v_)->role) {                                                             \
			u32 first_ = nxt_ - (u32)((v_)->sent - RD_(tp_, bytes_retrans)) - 1 -  \
				     (fin_ && nxt_ == wr_);                                    \
			if (own_ == first_)                                                    \
				(v_)->role = HC_ROLE_CONNECTED;                                \
			else if (own_ - 1 == first_)                                           \
				(v_)->role = HC_ROLE_ACCEPTED;                                 \
		}                                                                              \
		if ((v_)->role == HC_ROLE_ACCEPTED)                                            \
			own_--;                                                                \
		else if ((v_)->role == HC_ROLE_CONNECTED && acked_)                            \
			acked_--;                                                              \
		if (fin_ && una_ == wr_ && acked_)                                             \
			acked_--;                                                              \
		(v_)->out = acked_;                                                            \
		(v_)->isn = (v_)->role ? (u64)own_ << 32 |                                     \
						 (u32)(RD_(tp_, rcv_nxt) - (u32)got_ - 1)      \
				       : 0;                                                    \
		if ((flags_) >> bpf_core_enum_value(enum sock_flags, SOCK_DONE) & 1 && got_)   \
			got_--;                                                                \
		(v_)->in = got_;                                                               \
	} while (0)

/* Fills a row from a flow; the caller took a copy, or holds the lock. */
static __always_inline void hc_flow_fill(struct hc_ev_sock_total *e, const struct hc_udp *u,
					 const struct hc_flow *f, u32 reason)
{
	hc_head_owner(&e->h, &f->o);
	e->cookie = u->cookie;
	e->netns = u->netns;
	e->family = f->family;
	e->proto = IPPROTO_UDP;
	__builtin_memcpy(e->laddr, u->laddr, 16);
	__builtin_memcpy(e->raddr, f->addr, 16);
	e->lport = u->lport;
	e->rport = f->port;
	e->t0 = f->t0;
	e->last = f->last;
	e->bytes_in = f->in;
	e->bytes_out = f->out;
	e->ops_in = f->ops_in;
	e->ops_out = f->ops_out;
	e->reason = reason;
}

static __always_inline bool hc_flow_pending(const struct hc_flow *f)
{
	return f->o.pid && f->ops_in + f->ops_out > f->told_ops;
}

#endif
