// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * Connects, as they end: unix sockets with both ends, what was refused before anything was sent,
 * and addresses that are not the ones asked for. TCP connections themselves are told by their
 * states, whoever made them; here their calls only leave a row when something is odd.
 */
#include "../include/unix.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* Both shapes of an internet address, as a program passes them. */
struct asked {
	u16 family, port; /* port in network order */
	u32 v4;           /* flow label of IPv6 */
	u64 v6[2];
};

/* Reads an address from the program's memory and makes IPv4 of what is IPv4. False: unreadable. */
static __always_inline bool read_asked(struct asked *a, const void *from, u32 len)
{
	if (len < 8 || bpf_probe_read_user(a, 8, from))
		return false;
	if (a->family != AF_INET6) {
		a->v6[0] = a->v4;
		return true;
	}
	if (len < 24 || bpf_probe_read_user(a->v6, 16, from + 8))
		return false;
	if (hc_mapped(a->v6)) {
		a->family = AF_INET;
		a->v6[0] = a->v6[1] >> 32;
		a->v6[1] = 0;
	}
	return true;
}

static __always_inline void put(struct hc_buf *b, u8 c)
{
	u32 at = b->at;

	if (at > HC_BUF_SOFT)
		return;
	b->data[at] = c;
	b->at = at + 1;
}

static __noinline int put_number(struct hc_buf *b, u32 v)
{
	if (!b)
		return 0;
	for (u32 unit = 10000, seen = 0; unit; unit /= 10) {
		u32 d = v / unit % 10;

		seen |= d | (unit == 1);
		if (seen)
			put(b, '0' + d);
	}
	return 0;
}

static __noinline int put_group(struct hc_buf *b, u32 v)
{
	if (!b)
		return 0;
	for (int shift = 12; shift >= 0; shift -= 4) {
		u32 d = v >> shift & 15;

		put(b, d < 10 ? '0' + d : 'a' - 10 + d);
	}
	return 0;
}

/* Appends "127.0.0.1:80" or "[0000:...:0001]:80". */
static __always_inline void put_address(struct hc_buf *b, struct hc_var *v, const struct asked *a)
{
	u32 from = b->at;

	if (a->family == AF_INET6) {
		put(b, '[');
		for (int i = 0; i < 8; i++) {
			if (i)
				put(b, ':');
			put_group(b, bpf_ntohs(a->v6[i >> 2] >> (16 * (i & 3))));
		}
		put(b, ']');
	} else {
		for (int i = 0; i < 4; i++) {
			if (i)
				put(b, '.');
			put_number(b, a->v6[0] >> (8 * i) & 255);
		}
	}
	put(b, ':');
	put_number(b, bpf_ntohs(a->port));
	v->len = v->full = b->at - from;
}

static __always_inline int differs(struct hc_sys_exit *ctx, struct hc_fd_sock *s, const struct asked *used, const struct asked *asked)
{
	struct hc_ev_mismatch *e;
	struct hc_buf *b;
	struct hc_obj o;

	if (hc_skip(HC_MISMATCH))
		return 0;
	b = hc_get_buf(HC_MISMATCH, sizeof(*e));
	if (!b)
		return 0;
	e = (void *)b->data;
	hc_zero(e);
	hc_head(&e->h, HC_MISMATCH, 0, ctx->ret);
	e->kind = 3;
	e->call = ctx->nr;
	hc_inode(&o, s->inode);
	hc_set_obj(e, &o);
	put_address(b, &e->path, used);
	put_address(b, &e->claimed, asked);
	hc_send(b, false, HC_MISMATCH);
	return 0;
}

/*
 * What TCP and UDP were asked to connect to, beside what they use. They differ when a cgroup
 * program rewrites the address (that is how services of Kubernetes work under Cilium), or when
 * the memory changed during the call. Zeros mean this host to the kernel, and are no difference.
 */
static __always_inline int compare(struct hc_sys_exit *ctx, struct hc_fd_sock *s, u16 family)
{
	struct asked asked = {}, used = {};
	struct sock *sk = s->sk;
	u64 own[2] = {};
	bool same;

	used.port = BPF_CORE_READ(sk, __sk_common.skc_dport);
	if (!used.port)
		return 0; /* dissolved, or over already */
	if (!read_asked(&asked, (void *)hc_arg(1), hc_arg(2))) {
		hc_count(HC_READ_FAULT, HC_MISMATCH);
		return 0;
	}
	if (asked.family != AF_INET && asked.family != AF_INET6)
		return 0;
	used.family = family;
	if (family == AF_INET6) {
		bpf_probe_read_kernel(used.v6, 16, &sk->__sk_common.skc_v6_daddr);
		if (hc_mapped(used.v6)) {
			used.family = AF_INET;
			used.v6[0] = used.v6[1] >> 32;
			used.v6[1] = 0;
		}
	} else {
		used.v6[0] = BPF_CORE_READ(sk, __sk_common.skc_daddr);
	}
	same = asked.family == used.family && asked.v6[0] == used.v6[0] && asked.v6[1] == used.v6[1];
	if (!same && !asked.v6[0] && !asked.v6[1]) {
		/* "this host": loopback, or the address the socket is bound to */
		if (used.family == AF_INET) {
			own[0] = BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr);
			same = (u8)used.v6[0] == 127 || used.v6[0] == own[0];
		} else {
			bpf_probe_read_kernel(own, 16, &sk->__sk_common.skc_v6_rcv_saddr);
			same = (!used.v6[0] && used.v6[1] == 1ULL << 56) || (used.v6[0] == own[0] && used.v6[1] == own[1]);
		}
	}
	if (same && asked.port == used.port)
		return 0;
	return differs(ctx, s, &used, &asked);
}

/*
 * Whether a connection that failed has no row of its own. TCP draws its first sequence number
 * right before the first packet: without one nothing was ever sent. A source address that is
 * found missing only then has passed through a state that hc_tcp_state tells. A socket that had
 * called before is left out here unless the error can only come from a policy.
 */
static __always_inline bool untold(struct sock *sk, u16 family, s64 ret)
{
	if (BPF_CORE_READ(sk, sk_protocol) != IPPROTO_TCP)
		return true;
	if (ret == -EPERM || ret == -EAFNOSUPPORT)
		return true;
	if (BPF_CORE_READ((struct tcp_sock *)sk, write_seq))
		return false;
	return ret != -EADDRNOTAVAIL || family != AF_INET || !BPF_CORE_READ(sk, __sk_common.skc_daddr);
}

static __always_inline int denied(struct hc_sys_exit *ctx, struct hc_fd_sock *s, u16 family)
{
	struct hc_ev_connect_denied *e;
	struct asked asked = {};
	struct sock *sk = s->sk;
	struct socket *so = s->so;
	s64 ret = ctx->ret;
	u32 len = hc_arg(2);
	struct hc_buf *b;

	switch (-ret) {
	case EINPROGRESS:
	case EALREADY:
	case EISCONN:
	case EINTR:
	case EBADF:
	case EFAULT:
	case ENOTSOCK:
		return 0;
	case ENOENT: /* programs look for sockets that are not there all day long */
	case EAGAIN: /* or ask again and again */
		if (!hc_forensic)
			return 0;
	}
	if (-ret >= ERESTARTSYS && -ret <= ERESTART_RESTARTBLOCK)
		return 0;
	if ((family == AF_INET || family == AF_INET6) && !untold(sk, family, ret))
		return 0;
	if (hc_skip(HC_CONNECT_DENIED))
		return 0;
	b = hc_get_buf(HC_CONNECT_DENIED, sizeof(*e));
	if (!b)
		return 0;
	e = (void *)b->data;
	hc_zero(e);
	hc_head(&e->h, HC_CONNECT_DENIED, HC_F_CRITICAL | HC_F_FAILED, ret);
	e->cookie = hc_sock_cookie(sk);
	e->netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	e->proto = BPF_CORE_READ(sk, sk_protocol);
	e->sock_type = BPF_CORE_READ(so, type);
	e->family = family;
	if (family == AF_INET || family == AF_INET6) {
		hc_set_tuple(e, sk, HC_PROBE);
		__builtin_memset(e->raddr, 0, sizeof(e->raddr));
		e->rport = 0;
		if (read_asked(&asked, (void *)hc_arg(1), len)) {
			if (asked.family == AF_INET || asked.family == AF_INET6) {
				__builtin_memcpy(e->raddr, asked.v6, 16);
				e->rport = bpf_ntohs(asked.port);
				e->family = asked.family;
				if (asked.family == AF_INET && family == AF_INET6 && !e->lport)
					__builtin_memset(e->laddr, 0, sizeof(e->laddr));
			}
		} else {
			hc_count(HC_READ_FAULT, HC_CONNECT_DENIED);
		}
	} else if (family == AF_UNIX && len > 2) {
		hc_put_asked_name(b, &e->path, HC_CONNECT_DENIED, (void *)hc_arg(1), len);
	}
	hc_send(b, true, HC_CONNECT_DENIED);
	return 0;
}

/*
 * A unix socket was connected. The other end of a stream is, until it is accepted, a socket that
 * no process holds: it has the listener's name, but no inode yet. The row of its accept has both.
 */
static __always_inline int unix_connected(struct hc_sys_exit *ctx, struct hc_fd_sock *s)
{
	/* no peer: it was taken back (AF_UNSPEC), or the other end is gone already */
	return hc_unix_conn(ctx->ret, 1, s->inode, s->so, s->sk, hc_unix_peer(s->sk));
}

/*
 * The exit of connect: the descriptor leads to the kernel's socket. Every kernel we support. It
 * misses connect by io_uring (a row of its own) and by the 32-bit table (compiled for it too).
 * A connect that was cut short by a signal and then completed is not told for unix sockets.
 */
HC_SYSCALL(connect)
{
	struct hc_fd_sock s;
	struct sock *sk;
	u16 family, proto;

	if (!hc_sock_by_fd(&s, hc_arg(0)))
		return 0;
	sk = s.sk;
	family = BPF_CORE_READ(sk, __sk_common.skc_family);
	if (ctx->ret < 0 && ctx->ret != -EINPROGRESS)
		return denied(ctx, &s, family);
	if (family == AF_UNIX)
		return unix_connected(ctx, &s);
	if (family != AF_INET && family != AF_INET6)
		return 0;
	proto = BPF_CORE_READ(sk, sk_protocol);
	if (proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_MPTCP)
		return compare(ctx, &s, family);
	return 0;
}

/*
 * Right before a unix socket is connected: it gets a cookie, which a tracepoint program cannot
 * make. By it the accept row knows the other end even when that was closed before. Kernel 6.7 on;
 * without it the ends are joined by inode.
 */
SEC("cgroup/connect_unix")
int hc_unix_cookie(struct bpf_sock_addr *ctx)
{
	bpf_get_socket_cookie(ctx);
	return 1;
}
