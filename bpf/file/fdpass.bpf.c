// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * Open objects that go from one process to another: over unix sockets (SCM_RIGHTS), by
 * pidfd_getfd, and from a seccomp supervisor. The message's control data is the program's memory:
 * it is looked at only when the socket is a unix one, and gives nothing but numbers, each of which
 * is looked up in the table of the process. A process can so claim a descriptor that it had
 * before as received; it cannot hide one it received unless another of its threads overwrites
 * the list within the call. Of more than eight pieces of control data in one message the rest is
 * counted as cut. Objects not received because the list had no room are closed by
 * the kernel and told by the sender's row alone.
 */
#include "../include/pass.h"
#include "../process/pidfd.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

#define SOL_SOCKET 1
#define SCM_RIGHTS 1
#define SCM_MAX_FD 253
#define MOST_CMSGS 8
#define MOST_MSGS 1024

#ifdef HC_COMPAT
typedef u32 word;
#else
typedef u64 word;
#endif
struct msg { /* as the program has it */
	word name;
	s32 namelen;
	word iov, iovlen;
	word control, controllen;
	s32 flags;
};
struct cmsg {
	word len;
	s32 level, type;
};

/* A list of n descriptors. A global function, as those below: each is verified once and by itself. */
__noinline u32 hc_pass_list(struct hc_pass *p, u64 at, u32 n)
{
	for (u32 i = 0; i < SCM_MAX_FD; i++) {
		s32 fd = -1;

		if (i >= n)
			break;
		if (bpf_probe_read_user(&fd, sizeof(fd), (void *)(at + i * sizeof(fd))))
			hc_count(HC_READ_FAULT, HC_FD_PASSED);
		hc_pass_one(p, fd);
	}
	return 0;
}

/* True for a unix socket. */
static __always_inline bool is_unix(int fd)
{
	struct hc_fd_sock s = {};
	struct sock *sk;

	if (!hc_sock_by_fd(&s, fd))
		return false;
	sk = s.sk;
	return BPF_CORE_READ(sk, __sk_common.skc_family) == AF_UNIX;
}

/*
 * Fills in what is known of the other end of the socket of the call. The process there is the one
 * that connected, listened or made the pair; when that is the actor itself, who made a pair to
 * share with others, it is not known.
 */
static __noinline int find_peers(struct hc_pass *p)
{
	struct hc_fd_sock s = {};
	struct sock *sk, *peer;
	struct inode *i;

	if (!p || p->peers)
		return 0;
	p->peers = 1;
	if (!hc_sock_by_fd(&s, hc_arg(0)))
		return 0;
	sk = s.sk;
	if (BPF_CORE_READ(sk, __sk_common.skc_family) != AF_UNIX)
		return 0; /* another thread replaced the descriptor */
	i = s.inode;
	p->via_ino = BPF_CORE_READ(i, i_ino);
	peer = hc_unix_peer(sk);
	if (peer)
		p->via_peer_ino = hc_sock_ino(peer);
	hc_set_peer_process(p, sk);
	if (p->target_pid == bpf_get_current_pid_tgid() >> 32)
		p->target_pid = p->target_start = 0;
	return 0;
}

/* The control data of a message: nearly all have none, which is all that is asked of them. */
struct control {
	word at, len;
};

static __always_inline bool has_control(struct control *c, u64 msg)
{
	if (bpf_probe_read_user(c, sizeof(*c), (void *)(msg + __builtin_offsetof(struct msg, control)))) {
		c->len = ~(word)0;
		return true; /* counted where the socket is known to be a unix one */
	}
	return c->at && c->len > sizeof(struct cmsg);
}

/* The descriptors of one message over a unix socket. */
__noinline u32 hc_pass_msg(struct hc_pass *p, u64 msg)
{
	struct control m = {};
	u64 at, end;

	if (!p || !has_control(&m, msg))
		return 0;
	if (m.len == ~(word)0) {
		hc_count(HC_READ_FAULT, HC_FD_PASSED);
		return 0;
	}
	at = m.at;
	end = at + m.len;
	for (int i = 0; i <= MOST_CMSGS; i++) {
		struct cmsg c = {};

		if (at + sizeof(c) > end)
			return 0;
		if (bpf_probe_read_user(&c, sizeof(c), (void *)at)) {
			hc_count(HC_READ_FAULT, HC_FD_PASSED);
			return 0;
		}
		if (c.len < sizeof(c) || at + c.len > end)
			return 0;
		if (i == MOST_CMSGS) { /* what follows is not told */
			hc_count(HC_TRUNCATED, HC_FD_PASSED);
			return 0;
		}
		if (c.level == SOL_SOCKET && c.type == SCM_RIGHTS) {
			find_peers(p);
			hc_pass_list(p, at + sizeof(c), (c.len - sizeof(c)) / 4);
		}
		at += (c.len + sizeof(word) - 1) & ~(u64)(sizeof(word) - 1);
	}
	return 0;
}

static __always_inline int message(struct hc_sys_exit *ctx, u32 how)
{
	struct hc_pass p = { .how = how, .source_fd = -1, .ret = ctx->ret };
	struct control m = {};

	if (ctx->ret < 0 || !has_control(&m, hc_arg(1)) || !is_unix(hc_arg(0)))
		return 0;
	hc_pass_msg(&p, hc_arg(1));
	return 0;
}

/* Several messages: the call returns how many. */
static __always_inline int messages(struct hc_sys_exit *ctx, u32 how)
{
	struct hc_pass p = { .how = how, .source_fd = -1, .ret = ctx->ret };
	u64 at = hc_arg(1), size = (sizeof(struct msg) + 4 + sizeof(word) - 1) & ~(sizeof(word) - 1);

	if (ctx->ret <= 0 || !is_unix(hc_arg(0)))
		return 0;
	for (int i = 0; i < MOST_MSGS; i++) {
		if (i >= ctx->ret)
			break;
		hc_pass_msg(&p, at + i * size);
	}
	return 0;
}

HC_SYSCALL(recvmsg) { return message(ctx, HC_PASS_RECEIVED); }
HC_SYSCALL(sendmsg) { return message(ctx, HC_PASS_SENT); }
HC_SYSCALL(recvmmsg) { return messages(ctx, HC_PASS_RECEIVED); }
HC_SYSCALL(sendmmsg) { return messages(ctx, HC_PASS_SENT); }

/* A descriptor taken from another process. Kernel 5.6 on. */
HC_SYSCALL_TOO(pidfd_getfd, fd)
{
	struct hc_pass p = { .how = HC_PASS_FETCHED, .ret = ctx->ret };

	if (ctx->ret < 0)
		return 0;
	p.source_fd = hc_arg(1);
	hc_set_target(&p, hc_pidfd_task(hc_arg(0)));
	hc_pass_one(&p, ctx->ret);
	return 0;
}
