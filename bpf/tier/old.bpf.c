// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * What kernels before 5.12 need beside the rest: there a table stands in for socket storage, which
 * somebody must clear, and tracing programs cannot have a socket's cookie made. Nowhere else is
 * this object loaded.
 */
#include "../include/sock.h"
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* tcp_destroy_sock, kernel 4.15 on: the last thing that happens to a TCP socket, after its close was
 * told. */
SEC("tp_btf/tcp_destroy_sock")
int BPF_PROG(hc_old_gone, struct sock *sk)
{
	u64 key = (u64)sk;

	bpf_map_delete_elem(&hc_sk, &key);
	return 0;
}

/* Every socket that a program makes gets its cookie. */
SEC("cgroup/sock_create")
int hc_old_cookie(struct bpf_sock *ctx)
{
	bpf_get_socket_cookie(ctx);
	return 1;
}

/* And every one that a listener makes, right before it is established. */
SEC("sockops")
int hc_old_cookies(struct bpf_sock_ops *ctx)
{
	if (ctx->op == BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB)
		bpf_get_socket_cookie(ctx);
	return 1;
}
