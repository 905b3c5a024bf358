// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/* Sockets as they are made. */
#include "../include/unix.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

#define AF_NETLINK 16
#define SOCK_STREAM 1
#define SOCK_DGRAM 2
#define NETLINK_ROUTE 0

/*
 * True for a socket that other rows would tell: streams of TCP, datagrams of UDP, unix. And for
 * route netlink, which every program opens that looks up a host's name.
 */
static __always_inline bool common(u32 family, u32 type, u32 proto)
{
	switch (family) {
	case AF_UNIX:
		return true;
	case AF_INET:
	case AF_INET6:
		return (type == SOCK_STREAM && (!proto || proto == IPPROTO_TCP)) ||
		       (type == SOCK_DGRAM && (!proto || proto == IPPROTO_UDP));
	case AF_NETLINK:
		return proto == NETLINK_ROUTE;
	}
	return false;
}

/*
 * The exit of socket. The arguments are scalars, and decide; what was made is read from the
 * socket. Every kernel we support. In the standard profile only what is not common: raw and packet
 * sockets, netlink (audit, netfilter, xfrm, connector, generic), vsock, XDP, crypto, bluetooth,
 * keys, SCTP, MPTCP, ping. Failed calls are told when they were refused, common or not.
 */
HC_SYSCALL(socket)
{
	u32 family = hc_arg(0), type = hc_arg(1) & 0xf, proto = hc_arg(2);
	struct hc_ev_socket_new *e;
	struct hc_fd_sock s = {};
	struct inode *i;
	struct socket *so;
	struct sock *sk;

	if (ctx->ret < 0 ? !hc_refused(ctx->ret) : !hc_forensic && common(family, type, proto))
		return 0;
	if (hc_skip(HC_SOCKET_NEW))
		return 0;
	e = hc_reserve(HC_SOCKET_NEW, sizeof(*e));
	if (!e) {
		hc_next_seq(false);
		return 0;
	}
	hc_zero(e);
	hc_head(&e->h, HC_SOCKET_NEW, ctx->ret < 0 ? HC_F_FAILED : 0, ctx->ret);
	e->family = family;
	e->sock_type = type;
	e->proto = proto;
	e->protocol = proto;
	if (ctx->ret >= 0 && hc_sock_by_fd(&s, ctx->ret)) {
		i = s.inode;
		so = s.so;
		sk = s.sk;
		e->ino = BPF_CORE_READ(i, i_ino);
		e->cookie = hc_sock_cookie(sk);
		e->sock_type = BPF_CORE_READ(so, type);
		e->family = BPF_CORE_READ(sk, __sk_common.skc_family);
		e->proto = BPF_CORE_READ(sk, sk_protocol);
		e->netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	}
	hc_submit(e);
	return 0;
}
