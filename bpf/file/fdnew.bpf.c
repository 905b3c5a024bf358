// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * Nameless objects as they are made: pipes, pairs of sockets, memory files and the descriptors of
 * events. The numbers of a pipe's or pair's descriptors lie in the program's memory and may have
 * been changed since; they are believed only when the kernel's objects behind them are the two
 * ends of one. Otherwise the row has none.
 */
#include "../include/unix.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

enum {
	PIPE = 1, SOCKETPAIR, MEMFD, MEMFD_SECRET, USERFAULTFD, INOTIFY, FANOTIFY, PIDFD, EVENTFD, SIGNALFD, TIMERFD, EPOLL
};

#define FMODE_READ 1
#define FMODE_WRITE 2

#define BEGIN(kind_, flags_)                                \
	struct hc_ev_fd_new *e;                             \
	struct hc_buf *b;                                   \
	struct hc_obj o;                                    \
	if (hc_skip(HC_FD_NEW))                             \
		return 0;                                   \
	b = hc_get_buf(HC_FD_NEW, sizeof(*e));              \
	if (!b)                                             \
		return 0;                                   \
	e = (void *)b->data;                                \
	hc_zero(e);                                         \
	hc_head(&e->h, HC_FD_NEW, 0, ctx->ret);             \
	e->kind = kind_;                                    \
	e->fd_flags = flags_;                               \
	e->fd = e->fd2 = -1

static __always_inline int one_(struct hc_sys_exit *ctx, u32 kind, u32 flags)
{
	struct file *f;

	if (ctx->ret < 0)
		return 0;
	BEGIN(kind, flags);
	e->fd = ctx->ret;
	f = hc_file(ctx->ret);
	if (f) {
		hc_inode(&o, BPF_CORE_READ(f, f_inode));
		hc_set_obj(e, &o);
		if (kind == MEMFD || kind == MEMFD_SECRET)
			hc_put_file_path(b, &e->path, HC_FD_NEW, f);
	}
	hc_send(b, false, HC_FD_NEW);
	return 0;
}

static __always_inline int pipe_(struct hc_sys_exit *ctx, u64 p, u32 flags)
{
	struct file *in, *out;
	s32 fd[2] = {-1, -1};

	if (ctx->ret)
		return 0;
	BEGIN(PIPE, flags);
	if (bpf_probe_read_user(fd, sizeof(fd), (void *)p))
		hc_count(HC_READ_FAULT, HC_FD_NEW);
	in = hc_file(fd[0]);
	out = hc_file(fd[1]);
	if (in && out && BPF_CORE_READ(in, f_inode) == BPF_CORE_READ(out, f_inode) &&
	    BPF_CORE_READ(in, f_mode) & FMODE_READ && BPF_CORE_READ(out, f_mode) & FMODE_WRITE) {
		hc_inode(&o, BPF_CORE_READ(in, f_inode));
		if ((o.mode & S_IFMT) == S_IFIFO) {
			hc_set_obj(e, &o);
			e->fd = fd[0];
			e->fd2 = fd[1];
		}
	}
	hc_send(b, false, HC_FD_NEW);
	return 0;
}
HC_SYSCALL(pipe) { return pipe_(ctx, hc_arg(0), 0); }
HC_SYSCALL(pipe2) { return pipe_(ctx, hc_arg(0), hc_arg(1)); }

/* The flags are those in the type of socket asked for. Pairs that are not unix sockets (TIPC) have
 * their first end alone. */
HC_SYSCALL(socketpair)
{
	struct hc_fd_sock s[2];
	s32 fd[2] = {-1, -1};
	struct sock *a, *z;
	bool local;

	if (ctx->ret)
		return 0;
	BEGIN(SOCKETPAIR, hc_arg(1));
	if (bpf_probe_read_user(fd, sizeof(fd), (void *)hc_arg(3)))
		hc_count(HC_READ_FAULT, HC_FD_NEW);
	if (hc_sock_by_fd(&s[0], fd[0]) && hc_sock_by_fd(&s[1], fd[1])) {
		a = s[0].sk;
		z = s[1].sk;
		local = BPF_CORE_READ(a, __sk_common.skc_family) == AF_UNIX;
		if (local && hc_unix_peer(a) == z && hc_unix_peer(z) == a) {
			hc_inode(&o, s[1].inode);
			e->peer_dev = o.dev;
			e->peer_ino = o.ino;
			e->peer_gen = o.gen;
			e->cookie2 = hc_sock_cookie(z);
			e->fd2 = fd[1];
		}
		if (!local || e->fd2 >= 0) {
			hc_inode(&o, s[0].inode);
			hc_set_obj(e, &o);
			e->cookie = hc_sock_cookie(a);
			e->fd = fd[0];
		}
	}
	hc_send(b, false, HC_FD_NEW);
	return 0;
}

HC_SYSCALL(memfd_create) { return one_(ctx, MEMFD, hc_arg(1)); }
HC_SYSCALL(memfd_secret) { return one_(ctx, MEMFD_SECRET, hc_arg(0)); }
HC_SYSCALL(userfaultfd) { return one_(ctx, USERFAULTFD, hc_arg(0)); }
HC_SYSCALL(fanotify_init) { return one_(ctx, FANOTIFY, hc_arg(0)); }

/* Forensic only: every program with an event loop makes some. */
HC_SYSCALL(inotify_init) { return one_(ctx, INOTIFY, 0); }
HC_SYSCALL(inotify_init1) { return one_(ctx, INOTIFY, hc_arg(0)); }
HC_SYSCALL_TOO(pidfd_open, fd) { return one_(ctx, PIDFD, hc_arg(1)); }
HC_SYSCALL(eventfd) { return one_(ctx, EVENTFD, 0); }
HC_SYSCALL(eventfd2) { return one_(ctx, EVENTFD, hc_arg(1)); }
/* signalfd changes the signals of a descriptor it is given: that makes nothing. */
HC_SYSCALL(signalfd) { return (s32)hc_arg(0) == -1 ? one_(ctx, SIGNALFD, 0) : 0; }
HC_SYSCALL(signalfd4) { return (s32)hc_arg(0) == -1 ? one_(ctx, SIGNALFD, hc_arg(3)) : 0; }
HC_SYSCALL(timerfd_create) { return one_(ctx, TIMERFD, hc_arg(1)); }
HC_SYSCALL(epoll_create) { return one_(ctx, EPOLL, 0); }
HC_SYSCALL(epoll_create1) { return one_(ctx, EPOLL, hc_arg(0)); }
