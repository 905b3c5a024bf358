/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/*
 * Requests of io_uring that ask for no answer when they succeed (IOSQE_CQE_SKIP_SUCCESS, 5.17).
 * Their own hooks see them submitted, and hear of them again only when they fail, from 6.0 on not
 * even then when they are about names; what became of one is known to whoever sees it done.
 */
#ifndef HC_URING_H
#define HC_URING_H

#include "task.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct io_wq_work {
};
struct io_kiocb___quiet {
	u32 flags; /* the low half, where it is 64 bits wide */
	struct io_wq_work work;
};
struct io_worker {
	struct io_wq_work *cur_work;
};
struct task_struct___worker {
	void *worker_private; /* from 5.17 on, under this name */
};
#pragma clang attribute pop

/* The kernel's enum has no name to relocate by: the low byte is the program's flags, part of the
 * kernel's interface. Before 5.17 the bit means something else. The kernel takes it away as a
 * request fails. */
static __always_inline bool hc_uring_quiet(const void *req)
{
	const struct io_kiocb___quiet *q = req;

	return bpf_core_field_exists(struct task_struct___worker, worker_private) && BPF_CORE_READ(q, flags) & 1 << 6;
}

/* The request that the running thread, a worker of io_uring, is at; NULL for none. */
static __always_inline void *hc_uring_work(void)
{
	struct task_struct___worker *t = (void *)bpf_get_current_task();
	struct io_worker *w;
	void *work;

	if (!bpf_core_field_exists(t->worker_private) || !bpf_core_field_exists(struct io_worker, cur_work))
		return NULL;
	w = BPF_CORE_READ(t, worker_private); /* none: the thread that polls a ring */
	work = w ? BPF_CORE_READ(w, cur_work) : NULL;
	return work ? work - bpf_core_field_offset(struct io_kiocb___quiet, work) : NULL;
}

#endif
