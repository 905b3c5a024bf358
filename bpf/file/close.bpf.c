// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * Descriptors let go. The program runs at entry, for at the exit of the call the descriptor leads
 * nowhere. A descriptor that leads to a file is closed whatever the call returns then.
 *
 * Every profile has the totals of the object sent, when the thread has some that no row told; the
 * forensic one has a row of every close. Not seen: descriptors that close because the process
 * ends, or execs another program.
 */
#include "../include/io.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

#define CLOSE_RANGE_CLOEXEC 4
/* Who opens, reads and closes one file again and again gets a row of totals now and then. */
#define APART 100000000ULL

static __always_inline void totals(struct file *f)
{
	struct task_struct *t = hc_trusted();
	struct hc_io_table *tab = hc_io_of(t, false);
	struct hc_io_slot *s;
	bool any = false;
	struct hc_obj o;
	u32 pick;

	if (!tab)
		return;
	for (int i = 0; i < HC_IO_SLOTS; i++)
		any |= hc_io_pending(&tab->slot[i]);
	if (!any)
		return;
	hc_file_inode(&o, f);
	pick = hc_io_find(tab, o.ino, o.dev, o.gen);
	if (pick & HC_IO_SLOTS)
		return;
	s = &tab->slot[pick & (HC_IO_SLOTS - 1)];
	if (!hc_io_pending(s) || (s->sent && bpf_ktime_get_boot_ns() - s->sent < APART))
		return;
	hc_io_send(t, s, HC_IO_CLOSE);
}

static __always_inline int closed(struct file *f, u32 fd, u32 last)
{
	struct hc_ev_close *e;
	struct hc_obj o;

	if (hc_skip(HC_CLOSE))
		return 0;
	e = hc_reserve(HC_CLOSE, sizeof(*e));
	if (!e) {
		hc_next_seq(false);
		return 0;
	}
	hc_zero(e);
	hc_head(&e->h, HC_CLOSE, 0, 0);
	if (f) {
		hc_file_inode(&o, f);
		hc_set_obj(e, &o);
	}
	e->fd = fd;
	e->last_fd = last;
	hc_submit(e);
	return 0;
}

HC_SYSCALL_ENTER(close)
{
	u32 fd = ctx->args[0];
	struct file *f = hc_file(fd);

	if (!f)
		return 0;
	totals(f);
	return hc_forensic ? closed(f, fd, fd) : 0;
}

/* A descriptor that is replaced is closed. Forensic only. */
static __always_inline int replaced(u32 from, u32 to)
{
	struct file *f = hc_file(to);

	return f && from != to && hc_file(from) ? closed(f, to, to) : 0;
}
HC_SYSCALL_ENTER(dup2) { return replaced(ctx->args[0], ctx->args[1]); }
HC_SYSCALL_ENTER(dup3) { return replaced(ctx->args[0], ctx->args[1]); }

/* Many at once: one row, without objects. Forensic only. Kernel 5.9 on. */
HC_SYSCALL(close_range)
{
	if (ctx->ret || hc_arg(2) & CLOSE_RANGE_CLOEXEC)
		return 0;
	return closed(NULL, hc_arg(0), hc_arg(1));
}
