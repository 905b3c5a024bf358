/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/* An open object that another process gets, or gives. */
#ifndef HC_PASS_H
#define HC_PASS_H

#include "unix.h"

enum { HC_PASS_RECEIVED = 1, HC_PASS_SENT = 2, HC_PASS_FETCHED = 3, HC_PASS_SUPERVISED = 4 };

struct hc_pass {
	u64 via_ino, via_peer_ino;
	u64 target_start;
	u32 target_pid, target_tid;
	u32 how;
	s32 source_fd;
	s64 ret;
	u32 peers, pad; /* the other end was looked for */
};

/* One descriptor. */
__noinline u32 hc_pass_one(struct hc_pass *p, s32 fd)
{
	struct hc_ev_fd_passed *e;
	struct socket *so;
	struct hc_buf *b;
	struct file *f;
	struct hc_obj o;

	if (!p || hc_skip(HC_FD_PASSED))
		return 0;
	b = hc_get_buf(HC_FD_PASSED, sizeof(*e));
	if (!b)
		return 0;
	e = (void *)b->data;
	hc_zero(e);
	hc_head(&e->h, HC_FD_PASSED, 0, p->ret);
	e->how = p->how;
	e->fd = fd;
	e->source_fd = p->source_fd;
	e->via_ino = p->via_ino;
	e->via_peer_ino = p->via_peer_ino;
	e->target_pid = p->target_pid;
	e->target_start = p->target_start;
	e->target_tid = p->target_tid;
	f = hc_file(fd);
	if (f) {
		hc_inode(&o, BPF_CORE_READ(f, f_inode));
		hc_set_obj(e, &o);
		if (BPF_CORE_READ(f, f_inode, i_sb, s_magic) == SOCKFS_MAGIC) {
			so = BPF_CORE_READ(f, private_data);
			e->cookie = hc_sock_cookie(BPF_CORE_READ(so, sk));
		} else if (BPF_CORE_READ(f, f_inode, i_sb, s_magic) != PIPEFS_MAGIC) {
			hc_put_file_path(b, &e->path, HC_FD_PASSED, f);
		}
	}
	hc_send(b, false, HC_FD_PASSED);
	return 1;
}

#endif
