/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/* A connection that a process takes, however it does: by a call, or by a request of io_uring. */
#ifndef HC_ACCEPT_H
#define HC_ACCEPT_H

#include "unix.h"

struct hc_taken {
	struct inode *inode;
	struct socket *so;
	struct sock *sk;
	u32 family, proto;
};

/* What a taken file is: false when it is no connection of a kind that is told. Like hc_fd_sock:
 * take the pointers out before reading through them. */
static __always_inline bool hc_taken(struct hc_taken *a, struct file *f)
{
	struct inode *i;
	struct socket *so;
	struct sock *sk;

	if (!f)
		return false;
	i = BPF_CORE_READ(f, f_inode);
	if (BPF_CORE_READ(i, i_sb, s_magic) != SOCKFS_MAGIC)
		return false; /* another thread replaced the descriptor */
	so = BPF_CORE_READ(f, private_data);
	sk = BPF_CORE_READ(so, sk);
	if (!sk)
		return false;
	a->inode = i;
	a->so = so;
	a->sk = sk;
	a->family = BPF_CORE_READ(sk, __sk_common.skc_family);
	a->proto = BPF_CORE_READ(sk, sk_protocol);
	if (a->family == AF_UNIX)
		return true;
	return (a->family == AF_INET || a->family == AF_INET6) && (a->proto == IPPROTO_TCP || a->proto == IPPROTO_MPTCP);
}

/* Fills the row of a connection over TCP, all but its head. */
static __always_inline void hc_fill_accept(struct hc_ev_accept *e, struct hc_taken *a)
{
	struct hc_tcp v = { .role = HC_ROLE_ACCEPTED };
	struct inode *i = a->inode;
	struct sock *sk = a->sk;
	struct tcp_sock *tp = (struct tcp_sock *)sk;

	hc_set_tuple(e, sk, HC_PROBE);
	e->cookie = BPF_CORE_READ(sk, __sk_common.skc_cookie.counter);
	e->ino = BPF_CORE_READ(i, i_ino);
	/* Unlocked: data may arrive between the reads. Two that agree are one. */
	for (int n = 0; n < 4 && a->proto == IPPROTO_TCP; n++) { /* of MPTCP its subflows have them */
		v.role = HC_ROLE_ACCEPTED;
		hc_read_tcp(&v, tp, TCP_ESTABLISHED, 0, HC_PROBE);
		if (v.isn == e->isn)
			break;
		e->isn = v.isn;
	}
}

#endif
