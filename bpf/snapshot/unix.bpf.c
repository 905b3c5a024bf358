// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/* Unix sockets that were there already, with their names and both ends, and sockets of rare kinds. */
#include "../include/unix.h"
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/*
 * Unix sockets of the recorder's network namespace, kernel 5.15 on; the walk of descriptors gives
 * those of other namespaces. Each gets a cookie here, if it has none yet, by which later rows name
 * it as somebody's other end; a peer that comes later in the walk shows none in this row. A
 * connection that waits to be accepted has no inode.
 */
SEC("iter/unix")
int hc_iter_unix(struct bpf_iter__unix *ctx)
{
	struct unix_sock *u = ctx->unix_sk;
	struct sock *sk = (struct sock *)u;

	if (!u || hc_scoped)
		return 0;
	hc_write_sock_row(ctx->meta->seq, sk, hc_cookie(sk), hc_sk_of(sk, false));
	return 0;
}

/*
 * Sockets that no other walk shows, from the descriptors that hold them: unix sockets of other
 * network namespaces, and raw, packet, netlink, vsock, XDP and other sockets of all: who listens
 * to a whole network did so before we came. One row for each descriptor; the file rows tell whose.
 * TCP and UDP have walks of their own. Kernel 5.11 on.
 */
SEC("iter/task_file")
int hc_iter_socket(struct bpf_iter__task_file *ctx)
{
	struct task_struct *t = ctx->task;
	struct file *f = ctx->file;
	struct socket *so;
	struct sock *sk;
	u32 tgid;
	u16 family, proto;

	if (!t || !f)
		return 0;
	if (t->pid != t->tgid && t->files == t->group_leader->files)
		return 0;
	tgid = t->tgid;
	if (tgid == hc_self || (hc_scoped && !bpf_map_lookup_elem(&hc_scope, &tgid)) || !hc_selected_of(HC_SOCKET, tgid, 0))
		return 0;
	so = bpf_sock_from_file(f);
	if (!so)
		return 0;
	sk = so->sk;
	if (!sk)
		return 0;
	family = BPF_CORE_READ(sk, __sk_common.skc_family);
	proto = BPF_CORE_READ(sk, sk_protocol);
	if (family == AF_INET || family == AF_INET6) {
		if (proto == IPPROTO_TCP || proto == IPPROTO_UDP)
			return 0;
	} else if (family == AF_UNIX && !hc_scoped &&
		   BPF_CORE_READ(sk, __sk_common.skc_net.net) ==
			   BPF_CORE_READ((struct task_struct *)bpf_get_current_task(), nsproxy, net_ns)) {
		return 0;
	}
	hc_write_sock_row(ctx->meta->seq, sk, bpf_get_socket_cookie(sk), NULL);
	return 0;
}
