/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/*
 * How a record gets out. Fixed-size records are reserved in the ring and filled in place; that
 * is safe in any context. Records with variable parts are built in the per-cpu scratch buffer,
 * which only programs in process context may use: tracepoint programs run with preemption off,
 * so only an interrupt can nest, and programs that run there never take the scratch buffer.
 * busy guards that rule, and counts when it is broken.
 */
#ifndef HC_EMIT_H
#define HC_EMIT_H

#include "select.h"

static __always_inline void hc_count(u32 cause, u32 type)
{
	u32 zero = 0;
	struct hc_counts *c = bpf_map_lookup_elem(&hc_counters, &zero);

	if (c && cause < HC_CAUSES && type < HC_TYPE_MAX)
		__sync_fetch_and_add(&c->n[cause][type], 1);
}

/* The reader polls every few milliseconds; it is woken only when much waits (the crossing of
 * the threshold, not every record above it) or for records somebody may be waiting for. */
static __always_inline u64 hc_wake(bool crit, u32 len, bool now)
{
	u64 waiting;
	u32 limit;

	if (now)
		return BPF_RB_FORCE_WAKEUP;
	if (crit) {
		waiting = bpf_ringbuf_query(&hc_crit, BPF_RB_AVAIL_DATA);
		limit = hc_crit_wake;
	} else {
		waiting = bpf_ringbuf_query(&hc_bulk, BPF_RB_AVAIL_DATA);
		limit = hc_bulk_wake;
	}
	return waiting >= limit && waiting < (u64)limit + 4 * (len + 8) ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;
}

/*
 * Quotas keep one cgroup from filling the bulk ring for all others. They are asked only when the
 * ring is nearly full, or when the user set them: a host whose recorder keeps up loses nothing to
 * them. Each cgroup then goes on at hc_quota_ns per record, after a burst of a quarter of a second;
 * what it makes above that is counted in hc_quota_lost instead of sent. What changes something (a
 * name, a mode, a file opened to be written) is refused later than what only tells of data.
 */
#define HC_MANY                                                                                  \
	(1ULL << HC_OPEN | 1ULL << HC_OPEN_FAILED | 1ULL << HC_READ | 1ULL << HC_WRITE |         \
	 1ULL << HC_IO | 1ULL << HC_CLOSE | 1ULL << HC_SOCK | 1ULL << HC_SOCK_TOTAL |            \
	 1ULL << HC_SIGNAL | 1ULL << HC_DIRTY | 1ULL << HC_UNMAP | 1ULL << HC_FD_NEW |           \
	 1ULL << HC_SOCKET_NEW | 1ULL << HC_IO_URING | 1ULL << HC_SYSCALL)

static __always_inline bool hc_important(u32 type)
{
	return !(HC_MANY >> type & 1);
}

static __noinline int hc_over_quota(u32 type)
{
	struct hc_quota_key k = {};
	u64 now = bpf_ktime_get_boot_ns(), used, *until, *n, zero = 0;

	k.cgroup = bpf_get_current_cgroup_id();
	until = bpf_map_lookup_elem(&hc_quota, &k.cgroup);
	used = until ? *until : 0;
	if (used < now - 250000000)
		used = now - 250000000;
	used += hc_quota_ns;
	if (used <= now) {
		if (until)
			*until = used;
		else
			bpf_map_update_elem(&hc_quota, &k.cgroup, &used, BPF_ANY);
		return 0;
	}
	k.type = type;
	n = bpf_map_lookup_elem(&hc_quota_lost, &k);
	if (!n) {
		bpf_map_update_elem(&hc_quota_lost, &k, &zero, BPF_NOEXIST);
		n = bpf_map_lookup_elem(&hc_quota_lost, &k);
	}
	if (!n) {
		k.cgroup = 0;
		n = bpf_map_lookup_elem(&hc_quota_lost, &k);
	}
	if (n)
		__sync_fetch_and_add(n, 1);
	hc_count(HC_QUOTA, type);
	return 1;
}

/* True when a bulk record must not be sent; it is then counted. */
static __always_inline bool hc_refuse(u32 type, bool important)
{
	u64 waiting = bpf_ringbuf_query(&hc_bulk, BPF_RB_AVAIL_DATA);

	return waiting >= (important ? hc_quota_important : hc_quota_normal) && hc_over_quota(type);
}

static __always_inline u64 hc_next_seq(bool crit)
{
	u32 zero = 0;
	struct hc_seqs *s = bpf_map_lookup_elem(&hc_seq, &zero);

	if (!s)
		return 0;
	return __sync_fetch_and_add(crit ? &s->crit : &s->bulk, 1);
}

/* Takes the scratch buffer for a record whose fixed part has the given size. */
static __always_inline struct hc_buf *hc_get_buf(u32 type, u32 fixed)
{
	u32 cpu = bpf_get_smp_processor_id();
	struct hc_buf *b = bpf_map_lookup_elem(&hc_scratch, &cpu);

	if (!b)
		return NULL;
	if (__sync_lock_test_and_set(&b->busy, 1)) {
		hc_count(HC_SEEN, type);
		hc_count(HC_NESTED, type);
		return NULL;
	}
	b->at = fixed;
	return b;
}

/* Sends the record in the scratch buffer and gives the buffer back. False when the ring was full,
 * the cgroup is over its quota, or the filter does not want the record, which is counted. */
static __always_inline bool hc_send(struct hc_buf *b, bool crit, u32 type)
{
#ifdef HC_COMPAT
	u64 len = b->at; /* 6.1 forgets the bounds of 32 bits that are saved on the stack */

	asm volatile("" : "+r"(len));
#else
	u32 len = b->at;
#endif
	long err = -1;
	bool important = hc_important(type);

	if (hc_sel_late(b, type)) {
		b->busy = 0;
		return false;
	}
	hc_count(HC_SEEN, type);
	if (type == HC_OPEN) { /* to be written, or made */
		struct hc_ev_open *o = (void *)b->data;

		important = o->open_flags & 3 || o->created;
	}
	if (!crit && hc_refuse(type, important)) {
		b->busy = 0;
		return false;
	}
	if (len <= sizeof(b->data)) {
		if (crit)
			err = bpf_ringbuf_output(&hc_crit, b->data, len, hc_wake(true, len, false));
		else
			err = bpf_ringbuf_output(&hc_bulk, b->data, len, hc_wake(false, len, false));
	}
	if (err)
		hc_count(HC_RING_FULL, type);
	b->busy = 0;
	return !err;
}

/* Gives the buffer back unsent: not after hc_head, whose number would be missing. */
static __always_inline void hc_drop_buf(struct hc_buf *b)
{
	b->busy = 0;
}

/* Reserve, and count what could not be had. */
#define hc_reserve_in(ring_, type_, size_)                                                        \
	({                                                                                        \
		void *p_ = NULL;                                                                  \
		hc_count(HC_SEEN, type_);                                                         \
		if ((void *)&ring_ != (void *)&hc_bulk || !hc_refuse(type_, hc_important(type_))) { \
			p_ = bpf_ringbuf_reserve(&ring_, size_, 0);                               \
			if (!p_)                                                                  \
				hc_count(HC_RING_FULL, type_);                                    \
		}                                                                                 \
		p_;                                                                               \
	})

/* Zero a record of fixed size; its size is a multiple of eight. */
#define hc_zero(p_) __builtin_memset(p_, 0, sizeof(*(p_)))

#endif
