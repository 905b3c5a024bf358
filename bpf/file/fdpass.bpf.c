// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * Open objects that go from one process to another: over unix sockets (SCM_RIGHTS), by
 * pidfd_getfd, and from a seccomp supervisor. The message's control data is the program's memory:
 * it is looked at only when the socket is a unix one, and gives nothing but numbers, each of which
 * is looked up in the table of the process. A process can so claim a descriptor that it had
 * before as received; it cannot hide one it received unless another of its threads overwrites
 * the list within the call. Objects not received because the list had no room are closed by
 * the kernel and told by the sender's row alone.
 */
#include "../include/pass.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

#define SOL_SOCKET 1
#define SCM_RIGHTS 1
#define SCM_MAX_FD 253
#define MOST_CMSGS 8
#define MOST_MSGS 1024
#define PID_FS_MAGIC 0x50494446

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

/* The descriptors of one message of the program. */
__noinline u32 hc_pass_msg(struct hc_pass *p, u64 msg)
{
	struct msg m = {};
	u64 at, end;

	if (!p)
		return 0;
	if (bpf_probe_read_user(&m, sizeof(m), (void *)msg)) {
		hc_count(HC_READ_FAULT, HC_FD_PASSED);
		return 0;
	}
	if (m.controllen <= sizeof(struct cmsg) || !m.control)
		return 0;
	at = m.control;
	end = at + m.controllen;
	for (int i = 0; i < MOST_CMSGS; i++) {
		struct cmsg c = {};

		if (at + sizeof(c) > end)
			return 0;
		if (bpf_probe_read_user(&c, sizeof(c), (void *)at)) {
			hc_count(HC_READ_FAULT, HC_FD_PASSED);
			return 0;
		}
		if (c.len < sizeof(c) || at + c.len > end)
			return 0;
		if (c.level == SOL_SOCKET && c.type == SCM_RIGHTS)
			hc_pass_list(p, at + sizeof(c), (c.len - sizeof(c)) / 4);
		at += (c.len + sizeof(word) - 1) & ~(u64)(sizeof(word) - 1);
	}
	return 0;
}

/*
 * Tells whether fd is a unix socket, and fills in what is known of its other end. The process there
 * is the one that connected, listened or made the pair; when that is the actor itself, who made a
 * pair to share with others, it is not known.
 */
static __always_inline bool unix_socket(struct hc_pass *p, int fd)
{
	struct file *f = hc_file(fd);
	struct hc_fd_sock s = {};
	struct sock *sk, *peer;
	struct socket *so;
	struct inode *i;

	if (!f)
		return false;
	so = BPF_CORE_READ(f, private_data);
	sk = BPF_CORE_READ(so, sk);
	if (BPF_CORE_READ(sk, __sk_common.skc_family) != AF_UNIX)
		return false;
	if (!hc_sock_by_fd(&s, fd) || s.sk != sk)
		return false;
	i = s.inode;
	p->via_ino = BPF_CORE_READ(i, i_ino);
	peer = hc_unix_peer(sk);
	if (peer)
		p->via_peer_ino = hc_sock_ino(peer);
	hc_set_peer_process(p, sk);
	if (p->target_pid == bpf_get_current_pid_tgid() >> 32)
		p->target_pid = p->target_start = 0;
	return true;
}

static __always_inline int message(struct hc_sys_exit *ctx, u32 how)
{
	struct hc_pass p = { .how = how, .source_fd = -1, .ret = ctx->ret };

	if (ctx->ret < 0 || !unix_socket(&p, hc_arg(0)))
		return 0;
	hc_pass_msg(&p, hc_arg(1));
	return 0;
}

/* Several messages: the call returns how many. */
static __always_inline int messages(struct hc_sys_exit *ctx, u32 how)
{
	struct hc_pass p = { .how = how, .source_fd = -1, .ret = ctx->ret };
	u64 at = hc_arg(1), size = (sizeof(struct msg) + 4 + sizeof(word) - 1) & ~(sizeof(word) - 1);

	if (ctx->ret <= 0 || !unix_socket(&p, hc_arg(0)))
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

/* A descriptor taken from another process. Kernel 5.6 on; from 6.9 a pidfd is an inode of its own. */
HC_SYSCALL_TOO(pidfd_getfd, fd)
{
	struct hc_pass p = { .how = HC_PASS_FETCHED, .ret = ctx->ret };
	struct task_struct *t;
	struct file *f;
	struct pid *pid;

	if (ctx->ret < 0)
		return 0;
	p.source_fd = hc_arg(1);
	f = hc_file(hc_arg(0));
	if (f) {
		if (BPF_CORE_READ(f, f_inode, i_sb, s_magic) == PID_FS_MAGIC)
			pid = BPF_CORE_READ(f, f_inode, i_private);
		else
			pid = BPF_CORE_READ(f, private_data);
		t = hc_pid_task(pid);
		hc_set_target(&p, t);
	}
	hc_pass_one(&p, ctx->ret);
	return 0;
}
