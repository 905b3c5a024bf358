// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * Connections and flows: TCP from its state changes, UDP and unix from the lengths that sends
 * and receives return. Nothing here runs per packet, and no byte of TCP is counted by us: the
 * kernel's own totals are read once, when the connection ends.
 */
#include "../include/accept.h"
#include "../include/preempt.h"
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* The running process, and whether it may make rows; a socket of the recorder is marked so
 * that its later states, seen in softirq, are left out too. */
static __always_inline bool in_scope(u32 tgid)
{
	return !hc_scoped || bpf_map_lookup_elem(&hc_scope, &tgid);
}

/* Writes the running process into a socket as its owner. */
static __always_inline struct hc_sk *stamp(struct sock *sk, u32 role, u32 type)
{
	u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct hc_owner o;
	struct hc_sk *s;
	bool self = tgid == hc_self;

	if (self)
		hc_count(HC_SELF, type);
	else if (!in_scope(tgid))
		return NULL;
	s = hc_sk_of(sk, true);
	if (!s) {
		hc_count(HC_MAP_FULL, type);
		return NULL;
	}
	hc_owner_of(&o, hc_current());
	u64 now = bpf_ktime_get_boot_ns();
	hc_lock(&s->lock);
	s->o = o;
	s->own = self ? HC_OWN_SELF : HC_OWN_FACT;
	s->role = role;
	s->t0 = now;
	__builtin_memset(s->user, 0, sizeof(s->user));
	hc_unlock(&s->lock);
	return s;
}

/* A row about a socket, made in whatever context: the actor is the socket's owner. */
static __always_inline void head(struct hc_hdr *h, u16 type, s64 ret, struct hc_sk *s)
{
	h->type = type;
	h->cpu = bpf_get_smp_processor_id();
	h->ts = bpf_ktime_get_boot_ns();
	h->ret = ret;
	h->flags = HC_F_CRITICAL | (ret < 0 ? HC_F_FAILED : 0);
	h->seq = hc_next_seq(true);
	hc_head_sk(h, s);
}

static __always_inline int listening(struct sock *sk)
{
	struct hc_sk *s = stamp(sk, HC_ROLE_LISTENER, HC_LISTEN);
	struct hc_ev_listen *e;

	if (s ? s->own == HC_OWN_SELF : hc_scoped)
		return 0;
	if (hc_unselected_sock(sk, HC_LISTEN, s, true))
		return 0;
	e = hc_reserve_crit(HC_LISTEN, sizeof(*e));
	if (!e) {
		hc_next_seq(true);
		return 0;
	}
	hc_zero(e);
	hc_head(&e->h, HC_LISTEN, HC_F_CRITICAL, 0);
	e->cookie = hc_cookie(sk);
	hc_set_tuple(e, sk, HC_DIRECT);
	if (!e->lport)
		e->lport = sk->__sk_common.skc_num;
	e->backlog = sk->sk_max_ack_backlog;
	bpf_ringbuf_submit(e, hc_wake_crit(sizeof(*e), false));
	return 0;
}

static __always_inline int connected(struct sock *sk, struct hc_sk *s, u32 state, s64 ret)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	struct hc_ev_connect *e;
	struct hc_tcp v = { .role = HC_ROLE_CONNECTED };

	if (hc_unselected_sock(sk, HC_CONNECT, s, false))
		return 0;
	e = hc_reserve_crit(HC_CONNECT, sizeof(*e));
	if (!e) {
		hc_next_seq(true);
		return 0;
	}
	hc_zero(e);
	head(&e->h, HC_CONNECT, ret, s);
	e->cookie = hc_cookie(sk);
	hc_set_tuple(e, sk, HC_DIRECT);
	if (tp && !ret) {
		hc_read_tcp(&v, tp, state, 0, HC_DIRECT);
		e->isn = v.isn;
	}
	if (s)
		e->t0 = s->t0;
	bpf_ringbuf_submit(e, hc_wake_crit(sizeof(*e), false));
	return 0;
}

/* In softirq, under the socket's lock. */
static __always_inline int established(struct sock *sk, int old)
{
	struct hc_sk *s = hc_sk_of(sk, false);

	if (s && s->own == HC_OWN_SELF)
		return 0;
	/* from a handshake of our own: SYN_RECV too when both ends called at once */
	if (s ? s->role == HC_ROLE_CONNECTED : old == TCP_SYN_SENT)
		return s || !hc_scoped ? connected(sk, s, old, 0) : 0;
	/* accept() has only an untrusted pointer, through which no cookie can be made */
	hc_cookie(sk);
	if (!s) {
		if (hc_scoped)
			return 0;
		s = hc_sk_of(sk, true);
		if (!s) {
			hc_count(HC_MAP_FULL, HC_ACCEPT);
			return 0;
		}
	}
	u64 now = bpf_ktime_get_boot_ns();
	hc_lock(&s->lock);
	if (s->role != HC_ROLE_ACCEPTED) { /* fast open: accepted and used already */
		s->role = HC_ROLE_ACCEPTED;
		s->t0 = now;
		if (s->own == HC_OWN_FACT)
			s->own = HC_OWN_GUESS; /* copied from the listener */
		__builtin_memset(s->user, 0, sizeof(s->user));
	}
	hc_unlock(&s->lock);
	return 0;
}

/* A process ends its side of a connection whose owner is a guess: it is a better answer. */
static __always_inline int leaving(struct sock *sk)
{
	struct task_struct *t = hc_current();
	struct hc_sk *s = hc_sk_of(sk, false);
	struct hc_owner o;

	if (!s || s->own >= HC_OWN_FACT || HC_T(t, flags) & PF_KTHREAD || HC_T(t, tgid) == hc_self)
		return 0;
	hc_owner_of(&o, t);
	hc_lock(&s->lock);
	if (s->own < HC_OWN_FACT) {
		s->own = HC_OWN_FACT;
		s->o = o;
	}
	hc_unlock(&s->lock);
	return 0;
}

static __always_inline int closed(struct sock *sk, int old)
{
	struct hc_sk *s;
	struct tcp_sock *tp;
	struct hc_ev_conn_close *e;
	struct hc_tcp v = {};

	if (old == TCP_LISTEN || old == TCP_CLOSE)
		return 0;
	s = hc_sk_of(sk, false);
	if (s ? s->own == HC_OWN_SELF : hc_scoped)
		return 0;
	if (old == TCP_SYN_SENT) {
		int err = sk->sk_err;

		if (!err)
			err = sk->sk_err_soft;
		tp = bpf_skc_to_tcp_sock(sk);
		if (!err && tp && !tp->segs_out)
			err = EADDRNOTAVAIL; /* no packet was sent: there was no port to send it from */
		/* the program gave up: what connect() answers then */
		return connected(sk, s, old, err ? -err : -ECONNABORTED);
	}
	if (s)
		v.role = s->role;
	if (old == TCP_SYN_RECV && v.role != HC_ROLE_CONNECTED)
		return 0; /* never a connection: no program could have had it */
	if (v.role == HC_ROLE_LISTENER)
		v.role = HC_ROLE_ACCEPTED;
	if (hc_unselected_sock(sk, HC_CONN_CLOSE, s, false))
		return 0;
	e = hc_reserve_crit(HC_CONN_CLOSE, sizeof(*e));
	if (!e) {
		hc_next_seq(true);
		return 0;
	}
	hc_zero(e);
	head(&e->h, HC_CONN_CLOSE, 0, s);
	e->cookie = hc_cookie(sk);
	hc_set_tuple(e, sk, HC_DIRECT);
	tp = bpf_skc_to_tcp_sock(sk);
	if (tp) {
		hc_read_tcp(&v, tp, old, sk->__sk_common.skc_flags, HC_DIRECT);
		e->isn = v.isn;
		e->bytes_in = v.in;
		e->bytes_out = v.out;
		e->sent = v.sent;
		e->segs_in = tp->segs_in;
		e->segs_out = tp->segs_out;
		e->srtt = tp->srtt_us >> 3;
		e->retrans = tp->total_retrans;
		e->role = v.role;
	}
	e->old_state = old;
	e->err = -sk->sk_err;
	if (s)
		e->t0 = s->t0;
	bpf_ringbuf_submit(e, hc_wake_crit(sizeof(*e), false));
	return 0;
}

/*
 * inet_sock_set_state, kernel 4.16 on. One hook sees every turn of a TCP connection, under the
 * socket's lock, before the new state is stored. CLOSE->SYN_SENT, ->LISTEN, ->FIN_WAIT1 and
 * ->LAST_ACK happen in the process that asked; the others mostly in softirq, and go by the owner
 * in the socket's storage. A socket without one existed before us (its rows have no owner), or,
 * when a command is recorded, belongs to nobody in scope (no rows).
 *
 * It misses: TIME_WAIT mini sockets (the connection is told when it enters TIME_WAIT), requests
 * that never became a connection, the port of a listener that listens without bind, and the
 * failure of a listen() after its state was set. MPTCP shows its subflows.
 */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(hc_tcp_state, struct sock *sk, int old, int state)
{
	if (sk->sk_protocol != IPPROTO_TCP)
		return 0;
	switch (state) {
	case TCP_SYN_SENT:
		if (stamp(sk, HC_ROLE_CONNECTED, HC_CONNECT))
			hc_cookie(sk);
		return 0;
	case TCP_LISTEN:
		return listening(sk);
	case TCP_ESTABLISHED:
		return established(sk, old);
	case TCP_FIN_WAIT1:
	case TCP_LAST_ACK:
		return leaving(sk);
	case TCP_CLOSE:
		return closed(sk, old);
	}
	return 0;
}

/*
 * accept returns a descriptor; from it we reach the socket, but only by pointers that may be
 * probed, not handed to socket storage. So the accept row names the owner, and the storage
 * learns it at the first send, receive or shutdown, where the pointer is trusted; until then it
 * holds the listener's process as a guess. A table from cookie to owner would tell nothing more
 * than the accept row does.
 *
 * Of a unix socket both ends have an inode now, if the other one was not closed in the meantime; its
 * cookie stays. The kernel noted who connected.
 *
 * The tracepoints of the calls, not fexit of inet_csk_accept, which does not load everywhere.
 * They miss accept by io_uring, which tells it itself, and by 32-bit socketcall: there the first
 * send or receive tells.
 */
static __always_inline int accepted(struct hc_sys_exit *ctx)
{
	struct hc_ev_accept *e;
	struct hc_taken a;
	struct sock *sk;

	if (ctx->ret < 0 || !hc_taken(&a, hc_file(ctx->ret)))
		return 0;
	if (a.family == AF_UNIX)
		return hc_unix_conn(ctx->ret, 2, a.inode, a.so, a.sk, a.sk /* the listener's name */);
	sk = a.sk;
	if (hc_skip(HC_ACCEPT) || hc_unselected_sock(sk, HC_ACCEPT, NULL, true))
		return 0;
	e = hc_reserve_crit(HC_ACCEPT, sizeof(*e));
	if (!e) {
		hc_next_seq(true);
		return 0;
	}
	hc_zero(e);
	hc_head(&e->h, HC_ACCEPT, HC_F_CRITICAL, ctx->ret);
	hc_fill_accept(e, &a);
	bpf_ringbuf_submit(e, hc_wake_crit(sizeof(*e), false));
	return 0;
}

HC_SYSCALL(accept)
{
	return accepted(ctx);
}

HC_SYSCALL(accept4)
{
	return accepted(ctx);
}

/*
 * Finds the running process among the users of a socket, takes a place for it when it has none,
 * and notes the direction. True when it was not yet noted. Under the lock; calls nothing.
 */
static __always_inline bool first_use(struct hc_sk *s, u32 pid, u64 pstart, u32 image, u32 dir)
{
	struct hc_user *u = NULL, *free = NULL;

	for (int i = 0; i < HC_USERS; i++) {
		struct hc_user *x = &s->user[i];

		if (x->pid == pid && x->pstart == pstart && x->image == image)
			u = x;
		if (!x->pid && !free)
			free = x;
	}
	if (!u) {
		/* all taken: a process that loses its place tells again, never too little */
		u = free ? free : &s->user[s->victim++ & (HC_USERS - 1)];
		u->pid = pid;
		u->pstart = pstart;
		u->image = image;
		u->told = 0;
	}
	if (u->told & dir)
		return false;
	u->told |= dir;
	return true;
}

static __always_inline struct hc_ev_sock *sock_row(struct sock *sk, u32 dir, int ret)
{
	struct hc_ev_sock *e = hc_reserve(HC_SOCK, sizeof(*e));

	if (!e) {
		hc_next_seq(false);
		return NULL;
	}
	hc_zero(e);
	hc_head(&e->h, HC_SOCK, 0, ret);
	e->cookie = hc_cookie(sk);
	e->dir = dir;
	e->ino = hc_sock_ino(sk);
	return e;
}

/* The same for a unix socket, with what is known of the other end. A datagram socket that is not
 * connected has none: to whom it sends is in the call alone. Before 6.3 it is told from inside a
 * function, where programs may be preempted. */
static __always_inline int unix_row(struct sock *sk, u32 dir, int ret)
{
	struct sock *peer = hc_unix_peer(sk);
	struct hc_ev_sock *e;
	struct hc_buf *b = hc_get_own_buf(HC_SOCK, sizeof(*e));

	if (!b)
		return 0;
	e = (void *)b->data;
	hc_zero(e);
	hc_head(&e->h, HC_SOCK, 0, ret);
	e->cookie = hc_cookie(sk);
	e->dir = dir;
	e->family = AF_UNIX;
	e->netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	e->ino = hc_sock_ino(sk);
	if (peer) {
		e->peer_ino = hc_sock_ino(peer);
		e->peer_cookie = hc_sock_cookie(peer);
	}
	if (!hc_put_unix_name(b, &e->path, sk) && peer)
		hc_put_unix_name(b, &e->path, peer);
	hc_set_peer_process(e, sk);
	return hc_send(b, false, HC_SOCK);
}

/* TCP and unix: one row per process, socket and direction. */
static __always_inline int stream_used(struct sock *sk, int ret, u32 dir, bool tcp)
{
	struct task_struct *t = hc_current();
	u32 pid = HC_T(t, tgid), image = (u32)HC_T(t, self_exec_id);
	u64 pstart = hc_pstart(t);
	struct hc_ev_sock *e;
	struct hc_owner o;
	struct hc_sk *s;
	bool first, adopt;

	if (ret <= 0 || hc_skip(HC_SOCK))
		return 0;
	s = hc_sk_of(sk, true);
	if (!s) {
		hc_count(HC_BUSY, HC_SOCK);
		return 0;
	}
	hc_lock(&s->lock);
	first = first_use(s, pid, pstart, image, dir);
	adopt = s->own < HC_OWN_FACT;
	hc_unlock(&s->lock);
	if (adopt) {
		hc_owner_of(&o, t);
		hc_lock(&s->lock);
		if (s->own < HC_OWN_FACT) {
			s->own = HC_OWN_FACT;
			s->o = o;
		}
		hc_unlock(&s->lock);
	}
	if (!first)
		return 0;
	if (tcp) {
		if (hc_unselected_sock(sk, HC_SOCK, s, true))
			return 0;
		e = sock_row(sk, dir, ret);
		if (e) {
			hc_set_tuple(e, sk, HC_DIRECT);
			hc_submit(e);
			return 0;
		}
	} else if (unix_row(sk, dir, ret)) {
		return 0;
	}
	hc_lock(&s->lock); /* tell it at the next use */
	for (int i = 0; i < HC_USERS; i++)
		if (s->user[i].pid == pid && s->user[i].pstart == pstart)
			s->user[i].told &= ~dir;
	hc_unlock(&s->lock);
	return 0;
}

/*
 * Rows of totals are filled in the lane, under the flow's lock, so they are reserved before it is
 * taken. One that cannot be had is lost, and counted, here: who asks would have sent it.
 */
static __always_inline struct hc_ev_sock_total *total_row(void)
{
	struct hc_rec *r = hc_lane_begin(HC_SOCK_TOTAL, sizeof(struct hc_ev_sock_total), false, true);

	if (!r) {
		hc_next_seq(false);
		hc_count(HC_SEEN, HC_SOCK_TOTAL);
	}
	return r ? (void *)r->data : NULL;
}

/* Sends a row, or gives it back when nothing was written to it. */
static __always_inline void send_total(struct hc_ev_sock_total *e, bool filled)
{
	if (!filled) {
		hc_discard(e);
		return;
	}
	hc_count(HC_SEEN, HC_SOCK_TOTAL);
	e->h.type = HC_SOCK_TOTAL;
	e->h.cpu = bpf_get_smp_processor_id();
	e->h.ts = bpf_ktime_get_boot_ns();
	e->h.seq = hc_next_seq(false);
	hc_submit(e);
}

static __always_inline struct hc_flow *find_flow(struct hc_udp *u, u32 pid, u64 pstart, u32 image,
						 const struct hc_peer *p)
{
	struct hc_flow *found = NULL;

	for (int i = 0; i < HC_FLOWS; i++) {
		struct hc_flow *f = &u->flow[i];

		if (f->o.pid == pid && f->o.pstart == pstart && f->o.image == image &&
		    f->port == p->port && f->family == p->family &&
		    f->addr[0] == p->addr[0] && f->addr[1] == p->addr[1])
			found = f;
	}
	return found;
}

/* Counts one datagram. Under the lock. */
static __always_inline void count_flow(struct hc_flow *f, u32 dir, u32 n, u64 now)
{
	if (dir == HC_SEND) {
		f->out += n;
		f->ops_out++;
	} else {
		f->in += n;
		f->ops_in++;
	}
	f->last = now;
}

/* The peer of a datagram: of the connection, or zeros for the hooks below to have told better. */
static __always_inline void connected_peer(struct hc_peer *p, struct sock *sk)
{
	p->family = sk->__sk_common.skc_family;
	if (sk->__sk_common.skc_state != TCP_ESTABLISHED)
		return;
	p->port = bpf_ntohs(sk->__sk_common.skc_dport);
	if (p->family == AF_INET) {
		p->addr[0] = sk->__sk_common.skc_daddr;
		return;
	}
	bpf_probe_read_kernel(p->addr, 16, &sk->__sk_common.skc_v6_daddr);
	if (hc_mapped(p->addr)) {
		p->family = AF_INET;
		p->addr[0] = p->addr[1] >> 32;
		p->addr[1] = 0;
	}
}

/* The socket's own end, which bind or connect may have set since. Without the lock: whoever
 * writes it writes the same. */
static __always_inline void own_end(struct hc_udp *u, struct sock *sk)
{
	u64 l[2] = {};

	u->cookie = hc_cookie(sk);
	u->netns = sk->__sk_common.skc_net.net->ns.inum;
	u->lport = sk->__sk_common.skc_num;
	if (sk->__sk_common.skc_family == AF_INET6) {
		bpf_probe_read_kernel(l, 16, &sk->__sk_common.skc_v6_rcv_saddr);
		if (hc_mapped(l)) {
			l[0] = l[1] >> 32;
			l[1] = 0;
		}
	} else {
		l[0] = sk->__sk_common.skc_rcv_saddr;
	}
	u->laddr[0] = l[0];
	u->laddr[1] = l[1];
}

/* Gives a flow a place, if a sibling was not faster, and counts its first datagram. e takes the
 * totals of the flow that loses its place; when there is none it is thrown out untold if force is
 * set, else nothing is done and false returned. Under the lock. */
static __always_inline bool place_flow(struct hc_udp *u, struct hc_ev_sock_total *e, const struct hc_owner *o,
				       const struct hc_peer *peer, u32 dir, u32 n, u64 now, bool force, bool *first, bool *evict)
{
	struct hc_flow *f = find_flow(u, o->pid, o->pstart, o->image, peer);

	if (!f) {
		f = &u->flow[0];
		for (int i = 1; i < HC_FLOWS; i++)
			if (f->o.pid && (!u->flow[i].o.pid || u->flow[i].last < f->last))
				f = &u->flow[i];
		*evict = hc_flow_pending(f);
		if (*evict && !e && !force)
			return false;
		if (*evict && e)
			hc_flow_fill(e, u, f, HC_FLOW_EVICT);
		__builtin_memset(f, 0, sizeof(*f));
		f->o = *o;
		f->addr[0] = peer->addr[0];
		f->addr[1] = peer->addr[1];
		f->port = peer->port;
		f->family = peer->family;
		f->t0 = now;
		f->sent = now;
	}
	count_flow(f, dir, n, now);
	*first = !(f->told & dir);
	f->told |= dir;
	return true;
}

/* True when a flow with something to tell must give up its place. Without the lock: who is wrong
 * about it has asked for a row in vain, or asks a second time. */
static __always_inline bool crowded(struct hc_udp *u)
{
	struct hc_flow *f = &u->flow[0];

	for (int i = 0; i < HC_FLOWS; i++) {
		if (!u->flow[i].o.pid)
			return false;
		if (u->flow[i].last < f->last)
			f = &u->flow[i];
	}
	return hc_flow_pending(f);
}

/* A datagram of a flow that has no place. Who we are takes helper calls, so this is done without
 * the lock, which is then taken again. Returns whether the direction is new. */
static __always_inline bool new_flow(struct sock *sk, struct hc_udp *u, struct task_struct *t,
				     const struct hc_peer *peer, u32 dir, u32 n, u64 now)
{
	struct hc_ev_sock_total *e;
	struct hc_owner o;
	bool evict = false, first = false, placed = false, full = crowded(u);

	own_end(u, sk);
	hc_owner_of(&o, t);
	if (!full) {
		hc_lock(&u->lock);
		placed = place_flow(u, NULL, &o, peer, dir, n, now, false, &first, &evict);
		hc_unlock(&u->lock);
		if (placed)
			return first; /* else a sibling took the last place meanwhile */
	}
	e = total_row();
	if (!e) {
		hc_lock(&u->lock);
		place_flow(u, NULL, &o, peer, dir, n, now, true, &first, &evict);
		hc_unlock(&u->lock);
		return first;
	}
	hc_zero(e);
	hc_lock(&u->lock);
	place_flow(u, e, &o, peer, dir, n, now, true, &first, &evict);
	hc_unlock(&u->lock);
	send_total(e, evict);
	return first;
}

/*
 * UDP: totals per process, socket and peer. A connected socket has one peer; otherwise the
 * address hooks below noted it for this thread a moment ago. A program that receives without
 * asking for the sender's address has a peer of zeros.
 */
static __noinline int udp_used(struct sock *sk, int ret, u32 dir)
{
	struct task_struct *t = hc_current();
	u32 pid = HC_T(t, tgid), image = (u32)HC_T(t, self_exec_id), tid = HC_T(t, pid);
	u64 pstart = hc_pstart(t), now;
	struct hc_ev_sock_total *total;
	struct hc_ev_sock *e;
	struct hc_flow *f = NULL;
	struct hc_peer peer = {};
	struct hc_udp *u;
	bool first = false, tick = false;

	if (hc_skip_both(HC_SOCK_TOTAL, HC_SOCK))
		return 0;
	u = bpf_sk_storage_get(&hc_udp, sk, NULL, ret >= 0 ? BPF_SK_STORAGE_GET_F_CREATE : 0);
	if (!u) {
		if (ret >= 0)
			hc_count(HC_BUSY, HC_SOCK_TOTAL);
		return 0;
	}
	connected_peer(&peer, sk);
	now = bpf_ktime_get_boot_ns();
	hc_lock(&u->lock);
	for (int i = 0; i < HC_PEERS; i++) {
		struct hc_peer *x = &u->peer[i];

		if (x->tid == tid && x->dir == dir) {
			peer.addr[0] = x->addr[0];
			peer.addr[1] = x->addr[1];
			peer.port = x->port;
			peer.family = x->family;
			x->tid = 0;
		}
	}
	if (ret >= 0)
		f = find_flow(u, pid, pstart, image, &peer);
	if (f) {
		count_flow(f, dir, ret, now);
		first = !(f->told & dir);
		f->told |= dir;
		tick = now - f->sent >= HC_FLOW_INTERVAL;
		if (tick)
			f->sent = now;
	}
	hc_unlock(&u->lock);
	if (ret < 0)
		return 0;
	if (!f)
		first = new_flow(sk, u, t, &peer, dir, ret, now);
	if (tick) { /* without a row it stays to be told */
		total = total_row();
		if (total) {
			hc_zero(total);
			hc_lock(&u->lock);
			f = find_flow(u, pid, pstart, image, &peer);
			if (f) {
				hc_flow_fill(total, u, f, HC_FLOW_TICK);
				f->told_ops = f->ops_in + f->ops_out;
			} else {
				tick = false;
			}
			hc_unlock(&u->lock);
			send_total(total, tick);
		}
	}
	if (!first || hc_unselected(HC_SOCK))
		return 0;
	e = sock_row(sk, dir, ret);
	if (!e) {
		hc_lock(&u->lock);
		f = find_flow(u, pid, pstart, image, &peer);
		if (f)
			f->told &= ~dir;
		hc_unlock(&u->lock);
		return 0;
	}
	hc_set_tuple(e, sk, HC_DIRECT);
	__builtin_memcpy(e->raddr, peer.addr, 16);
	e->rport = peer.port;
	e->family = peer.family;
	hc_submit(e);
	return 0;
}

/* Each kind in a frame of its own: kernels before 6.13 allow 512 bytes of stack to all together. */
static __noinline int unix_used(struct sock *sk, int ret, u32 dir)
{
	return stream_used(sk, ret, dir, false);
}

static __noinline int tcp_used(struct sock *sk, int ret, u32 dir)
{
	return stream_used(sk, ret, dir, true);
}

static __always_inline int used(struct sock *sk, int ret, u32 dir)
{
	u16 family = sk->__sk_common.skc_family, proto = sk->sk_protocol;

	if (family == AF_UNIX)
		return unix_used(sk, ret, dir);
	if (family != AF_INET && family != AF_INET6)
		return 0;
	if (proto == IPPROTO_TCP || proto == IPPROTO_MPTCP)
		return tcp_used(sk, ret, dir);
	if (proto == IPPROTO_UDP && !hc_old) /* there its storage is for cgroup programs only */
		return udp_used(sk, ret, dir);
	return 0;
}

/*
 * sock_send_length and sock_recv_length, kernel 6.3 on: one place for send, write, sendmsg,
 * sendmmsg, sendfile and io_uring alike, in the process that calls, with the socket and the
 * result. TCP, UDP and unix; other families (netlink, packet, raw, vsock, sctp) are not told.
 * They miss splice out of a socket. Older kernels have the functions below.
 */
SEC("tp_btf/sock_send_length")
int BPF_PROG(hc_sock_send, struct sock *sk, int ret, int flags)
{
	return used(sk, ret, HC_SEND);
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(hc_sock_recv, struct sock *sk, int ret, int flags)
{
	if (flags & (MSG_PEEK | MSG_ERRQUEUE))
		return 0;
	return used(sk, ret, HC_RECV);
}

/*
 * The same before 6.3, which has no such tracepoints: at the end of the functions below, which all
 * sends and receives pass. They need trampolines (fexit); the loader leaves them out where the
 * tracepoints are. They miss sendfile over TCP, and before 5.12 UDP.
 */
struct msghdr;

SEC("fexit/inet_sendmsg")
int BPF_PROG(hc_inet_sendmsg, struct socket *so, struct msghdr *msg, unsigned long size, int ret)
{
	return used(so->sk, ret, HC_SEND);
}

SEC("fexit/inet6_sendmsg")
int BPF_PROG(hc_inet6_sendmsg, struct socket *so, struct msghdr *msg, unsigned long size, int ret)
{
	return used(so->sk, ret, HC_SEND);
}

SEC("fexit/unix_stream_sendmsg")
int BPF_PROG(hc_unix_stream_sendmsg, struct socket *so, struct msghdr *msg, unsigned long size, int ret)
{
	return used(so->sk, ret, HC_SEND);
}

SEC("fexit/unix_dgram_sendmsg")
int BPF_PROG(hc_unix_dgram_sendmsg, struct socket *so, struct msghdr *msg, unsigned long size, int ret)
{
	return used(so->sk, ret, HC_SEND);
}

/* It ends in the one before, or has it within itself: told twice, the use of a socket is one row. */
SEC("fexit/unix_seqpacket_sendmsg")
int BPF_PROG(hc_unix_seqpacket_sendmsg, struct socket *so, struct msghdr *msg, unsigned long size, int ret)
{
	return used(so->sk, ret, HC_SEND);
}

static __always_inline int received(struct sock *sk, int ret, int flags)
{
	return flags & (MSG_PEEK | MSG_ERRQUEUE) ? 0 : used(sk, ret, HC_RECV);
}

SEC("fexit/inet_recvmsg")
int BPF_PROG(hc_inet_recvmsg, struct socket *so, struct msghdr *msg, unsigned long size, int flags, int ret)
{
	return received(so->sk, ret, flags);
}

SEC("fexit/inet6_recvmsg")
int BPF_PROG(hc_inet6_recvmsg, struct socket *so, struct msghdr *msg, unsigned long size, int flags, int ret)
{
	return received(so->sk, ret, flags);
}

SEC("fexit/unix_stream_recvmsg")
int BPF_PROG(hc_unix_stream_recvmsg, struct socket *so, struct msghdr *msg, unsigned long size, int flags, int ret)
{
	return received(so->sk, ret, flags);
}

SEC("fexit/unix_dgram_recvmsg")
int BPF_PROG(hc_unix_dgram_recvmsg, struct socket *so, struct msghdr *msg, unsigned long size, int flags, int ret)
{
	return received(so->sk, ret, flags);
}

SEC("fexit/unix_seqpacket_recvmsg")
int BPF_PROG(hc_unix_seqpacket_recvmsg, struct socket *so, struct msghdr *msg, unsigned long size, int flags, int ret)
{
	return received(so->sk, ret, flags);
}

/*
 * The address of an unconnected datagram, in the sending or receiving process, right before the
 * length hook. Kernel 4.18 (send) and 5.2 (receive); attached to the root of cgroup2, which every
 * network namespace passes. The thread's number keeps siblings on one socket apart. Programs
 * here may be preempted, so they touch nothing but the socket's storage.
 */
static __always_inline int note_peer(struct bpf_sock_addr *ctx, bool v6, u32 dir)
{
	u64 id = bpf_get_current_pid_tgid(), addr[2] = {};
	struct hc_peer *p = NULL;
	struct hc_udp *u;
	u32 tid = id, tgid = id >> 32;
	u16 family = AF_INET, port = bpf_ntohs(ctx->user_port);
	bool lost = false;

	if (!ctx->sk || tgid == hc_self || !in_scope(tgid))
		return 1;
	if (v6) {
		family = AF_INET6;
		addr[0] = ctx->user_ip6[0] | (u64)ctx->user_ip6[1] << 32;
		addr[1] = ctx->user_ip6[2] | (u64)ctx->user_ip6[3] << 32;
		if (hc_mapped(addr)) {
			family = AF_INET;
			addr[0] = addr[1] >> 32;
			addr[1] = 0;
		}
	} else {
		addr[0] = ctx->user_ip4;
	}
	u = bpf_sk_storage_get(&hc_udp, ctx->sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!u) {
		hc_count(HC_MAP_FULL, HC_SOCK_TOTAL);
		return 1;
	}
	hc_lock(&u->lock);
	for (int i = 0; i < HC_PEERS; i++) {
		struct hc_peer *x = &u->peer[i];

		if (!x->tid && !p)
			p = x;
		if (x->tid == tid && x->dir == dir) /* its length never came */
			p = x;
	}
	if (!p) {
		p = &u->peer[u->next++ & (HC_PEERS - 1)];
		lost = true;
	}
	p->tid = tid;
	p->dir = dir;
	p->addr[0] = addr[0];
	p->addr[1] = addr[1];
	p->port = port;
	p->family = family;
	hc_unlock(&u->lock);
	if (lost) /* more threads at once on one socket than we have places: one flow lacks its peer */
		hc_count(HC_MAP_FULL, HC_SOCK_TOTAL);
	return 1;
}

SEC("cgroup/sendmsg4")
int hc_sendmsg4(struct bpf_sock_addr *ctx)
{
	return note_peer(ctx, false, HC_SEND);
}

SEC("cgroup/sendmsg6")
int hc_sendmsg6(struct bpf_sock_addr *ctx)
{
	return note_peer(ctx, true, HC_SEND);
}

SEC("cgroup/recvmsg4")
int hc_recvmsg4(struct bpf_sock_addr *ctx)
{
	return note_peer(ctx, false, HC_RECV);
}

SEC("cgroup/recvmsg6")
int hc_recvmsg6(struct bpf_sock_addr *ctx)
{
	return note_peer(ctx, true, HC_RECV);
}

/*
 * The last descriptor of a socket was closed: what its flows still hold is told. Kernel 5.9 on.
 * Here and not in a tracepoint, because there is none that UDP passes when it is closed.
 */
SEC("cgroup/sock_release")
int hc_sock_release(struct bpf_sock *ctx)
{
	struct hc_ev_sock_total *e;
	struct hc_udp *u;
	bool pending;

	if (ctx->protocol != IPPROTO_UDP)
		return 1;
	u = bpf_sk_storage_get(&hc_udp, ctx, NULL, 0);
	if (!u)
		return 1;
	for (int i = 0; i < HC_FLOWS; i++) {
		struct hc_flow *f = &u->flow[i];

		if (!hc_flow_pending(f)) /* nobody counts any more: the last descriptor is gone */
			continue;
		e = total_row();
		if (!e) {
			f->told_ops = f->ops_in + f->ops_out;
			continue;
		}
		hc_zero(e);
		hc_lock(&u->lock);
		pending = hc_flow_pending(f); /* a sweep may have told it just now */
		if (pending)
			hc_flow_fill(e, u, f, HC_FLOW_CLOSE);
		f->told_ops = f->ops_in + f->ops_out;
		hc_unlock(&u->lock);
		send_total(e, pending);
	}
	return 1;
}
