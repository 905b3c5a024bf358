// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/* Local addresses: who took which, and who was refused one. */
#include "../include/unix.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/*
 * The exit of bind: the descriptor leads to the socket, whose address is what the kernel gave it,
 * port 0 resolved; a unix name is the kernel's copy. Beside it stands the port the program asked
 * for, and when it was refused (EACCES, EPERM, EADDRINUSE, EADDRNOTAVAIL) all that it asked for,
 * which is only claimed. Every kernel we support. Addresses of other families (netlink, packet,
 * vsock, bluetooth) are not told, only that they were bound. A listener that never bound has its
 * port in the listen row; a client, in the connect row.
 */
HC_SYSCALL(bind)
{
	struct {
		u16 family, port;
		u32 v4;
		u64 v6[2];
	} asked = {};
	struct hc_ev_bind *e;
	struct hc_fd_sock s;
	struct hc_buf *b;
	struct inode *i;
	struct socket *so;
	struct sock *sk;
	s64 ret = ctx->ret;
	u32 len = hc_arg(2);
	u16 family;
	bool inet;

	if (ret < 0 && !hc_refused(ret) && ret != -EADDRINUSE && ret != -EADDRNOTAVAIL)
		return 0;
	if (!hc_sock_by_fd(&s, hc_arg(0)) || hc_skip(HC_BIND))
		return 0;
	i = s.inode;
	so = s.so;
	sk = s.sk;
	b = hc_get_buf(HC_BIND, sizeof(*e));
	if (!b)
		return 0;
	e = (void *)b->data;
	hc_zero(e);
	hc_head(&e->h, HC_BIND, HC_F_CRITICAL | (ret < 0 ? HC_F_FAILED : 0), ret);
	family = BPF_CORE_READ(sk, __sk_common.skc_family);
	inet = family == AF_INET || family == AF_INET6;
	if (inet && len >= 8 && bpf_probe_read_user(&asked, 8, (void *)hc_arg(1)))
		hc_count(HC_READ_FAULT, HC_BIND);
	e->cookie = hc_sock_cookie(sk);
	e->ino = BPF_CORE_READ(i, i_ino);
	e->sock_type = BPF_CORE_READ(so, type);
	if (inet) {
		hc_set_tuple(e, sk, HC_PROBE);
		e->asked_port = bpf_ntohs(asked.port);
		if (ret < 0) {
			e->lport = e->asked_port;
			asked.v6[0] = asked.v4;
			if (family == AF_INET6) {
				asked.v6[0] = 0;
				if (len >= 24)
					bpf_probe_read_user(asked.v6, 16, (void *)hc_arg(1) + 8);
				if (hc_mapped(asked.v6)) {
					asked.v6[0] = asked.v6[1] >> 32;
					asked.v6[1] = 0;
					e->family = AF_INET;
				}
			}
			__builtin_memcpy(e->laddr, asked.v6, 16);
		}
	} else {
		e->family = family;
		e->proto = BPF_CORE_READ(sk, sk_protocol);
		e->netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	}
	if (family == AF_UNIX) {
		if (ret >= 0)
			hc_put_unix_name(b, &e->path, sk);
		else if (len > 2)
			hc_put_asked_name(b, &e->path, HC_BIND, (void *)hc_arg(1), len);
	}
	hc_send(b, true, HC_BIND);
	return 0;
}
