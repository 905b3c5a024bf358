/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/*
 * How a record gets out. Fixed-size records are filled in place, in the critical ring or in a lane;
 * that is safe in any context. Records with variable parts are built in the per-cpu scratch buffer,
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
static __always_inline u64 hc_wake_crit(u32 len, bool now)
{
	u64 waiting;

	if (now)
		return BPF_RB_FORCE_WAKEUP;
	waiting = bpf_ringbuf_query(&hc_crit, BPF_RB_AVAIL_DATA);
	return waiting >= hc_crit_wake && waiting < (u64)hc_crit_wake + 4 * (len + 8) ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;
}

/*
 * Quotas keep one cgroup from filling a lane for all others. They are asked only when the lane
 * is nearly full, or when the user set them: a host whose recorder keeps up loses nothing to
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
	u32 share = hc_squeeze & 0x7fffffff;

	k.cgroup = bpf_get_current_cgroup_id();
	until = bpf_map_lookup_elem(&hc_quota, &k.cgroup);
	used = until ? *until : 0;
	if (used < now - 250000000)
		used = now - 250000000;
	used += share > hc_quota_ns ? share : hc_quota_ns;
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

/* Takes one of the upper lanes of a cpu; HC_LEVELS when all are busy. A global function, so that
 * whatever lane it is, the verifier follows one path. */
__noinline u32 hc_lane_above(u32 cpu)
{
	struct hc_lane *l = bpf_map_lookup_elem(&hc_lanes, &cpu);

	if (!l)
		return HC_LEVELS;
	for (u32 i = 1; i < HC_LEVELS; i++)
		if (!__sync_lock_test_and_set(&l[i].busy, 1))
			return i;
	return HC_LEVELS;
}

static __always_inline struct hc_lane *hc_lane_of(u32 level)
{
	u32 cpu = bpf_get_smp_processor_id();
	void *v = bpf_map_lookup_elem(&hc_lanes, &cpu);

	return v ? v + (level & (HC_LEVELS - 1)) * sizeof(struct hc_lane) : NULL;
}

/* The position behind a record that begins at head. */
static __always_inline u64 hc_lane_next(struct hc_lane *l, u64 head, u32 len)
{
	u64 step = (len + 15) & ~7ULL;

	return (head & l->mask) + step > l->mask ? (head | l->mask) + 1 : head + step;
}

/*
 * Room for a record in a lane of this cpu, which is taken until hc_lane_end or hc_lane_drop. NULL
 * when there is none or the cgroup is over its quota, which is counted unless told is false: then
 * there are no quotas either. What is kept of the lane lies in the record's header, so that the
 * verifier follows one path whichever it is.
 */
static __always_inline struct hc_rec *hc_lane_begin(u32 type, u32 len, bool important, bool told)
{
	u32 cpu = bpf_get_smp_processor_id(), level = 0;
	void *v = bpf_map_lookup_elem(&hc_lanes, &cpu);
	struct hc_lane *l = v;
	struct hc_rec *r;
	u64 head, tail, at;

	if (!v)
		return NULL;
	if (__sync_lock_test_and_set(&l->busy, 1)) {
		level = hc_lane_above(cpu);
		if (level >= HC_LEVELS) {
			if (told)
				hc_count(HC_RING_FULL, type);
			return NULL;
		}
		l = v + level * sizeof(*l);
	}
	head = l->head;
	tail = *(volatile u64 *)&l->tail;
	at = ((head & l->mask) + l->base) & ~7ULL;
	if (told && ((hc_squeeze && (!important || hc_squeeze >> 31)) || head - tail >= (important ? hc_quota_important : hc_quota_normal)) &&
	    hc_over_quota(type)) {
		l->busy = 0;
		return NULL;
	}
	if (len + 15 > l->most || hc_lane_next(l, head, len) - tail > (u64)l->mask + 1 || at > hc_lane_last) {
		if (told)
			hc_count(HC_RING_FULL, type);
		l->busy = 0;
		return NULL;
	}
	r = v + HC_LANE_DATA + at;
	r->len = len;
	r->level = level;
	return r;
}

/* Wakes the reader: it waits for the critical ring only. */
static __noinline int hc_lane_wake(void)
{
	void *p = bpf_ringbuf_reserve(&hc_crit, 8, 0);

	if (p)
		bpf_ringbuf_discard(p, BPF_RB_FORCE_WAKEUP);
	return 0;
}

/* Moves the head behind the record, when all of the record can be seen. */
static __always_inline void hc_lane_publish(struct hc_lane *l, u64 next)
{
#if defined(__TARGET_ARCH_x86) /* stores are seen in their order */
	asm volatile("" ::: "memory");
	*(volatile u64 *)&l->head = next;
	asm volatile("" ::: "memory");
#else
	__sync_lock_test_and_set(&l->head, next); /* the answer is not used: see withoutFetch in old.go */
#endif
}

static __always_inline void hc_lane_end(struct hc_rec *r)
{
	struct hc_lane *l = hc_lane_of(r->level);
	u64 head, next, read;

	if (!l)
		return;
	head = l->head;
	next = hc_lane_next(l, head, r->len);
	read = *(volatile u64 *)&l->read;
	hc_lane_publish(l, next);
	*(volatile u32 *)&l->busy = 0;
	if (next - read >= l->wake && head - read < l->wake)
		hc_lane_wake();
}

static __always_inline void hc_lane_drop(struct hc_rec *r)
{
	struct hc_lane *l = hc_lane_of(r->level);

	if (l)
		l->busy = 0;
}

/* The record in a buffer goes into a lane: 1 when there was room. A global function, which the
 * verifier checks once for all that send. */
__noinline u32 hc_lane_put(struct hc_buf *b, u32 type)
{
	struct hc_rec *r;
	bool important;
	u64 len;

	if (!b)
		return 0;
	type &= HC_TYPE_MAX - 1;
	asm volatile("" : "+r"(type));
	important = hc_important(type);
	len = b->at;
	asm volatile("" : "+r"(len)); /* 6.1 forgets the bounds of 32 bits that are saved on the stack */
	if (len > HC_BUF_SIZE)
		return 0;
	if (type == HC_OPEN) { /* to be written, or made */
		struct hc_ev_open *o = (void *)b->data;

		important = o->open_flags & 3 || o->created;
	}
	r = hc_lane_begin(type, len, important, true);
	if (!r)
		return 0;
	bpf_probe_read_kernel(r->data, len, b->data);
	hc_lane_end(r);
	return 1;
}

/* Sends the record in the scratch buffer and gives the buffer back. False when the ring was full
 * or the cgroup is over its quota, which is counted: it may be told later. What the filter does not
 * want is counted too, and done with. */
static __always_inline bool hc_send(struct hc_buf *b, bool crit, u32 type)
{
#ifdef HC_COMPAT
	u64 len = b->at; /* as in hc_lane_put */

	asm volatile("" : "+r"(len));
#else
	u32 len = b->at;
#endif
	bool sent = false;

	if (hc_sel_late(b, type)) {
		b->busy = 0;
		return true;
	}
	hc_count(HC_SEEN, type);
	if (!crit) {
		sent = hc_lane_put(b, type);
		b->busy = 0;
		return sent;
	}
	if (len <= sizeof(b->data))
		sent = !bpf_ringbuf_output(&hc_crit, b->data, len, hc_wake_crit(len, false));
	if (!sent)
		hc_count(HC_RING_FULL, type);
	b->busy = 0;
	return sent;
}

/* Gives the buffer back unsent: not after hc_head, whose number would be missing. */
static __always_inline void hc_drop_buf(struct hc_buf *b)
{
	b->busy = 0;
}

/* Room for a record of fixed size in the critical ring; what could not be had is counted. */
#define hc_reserve_crit(type_, size_)                              \
	({                                                         \
		void *p_;                                          \
		hc_count(HC_SEEN, type_);                          \
		p_ = bpf_ringbuf_reserve(&hc_crit, size_, 0);      \
		if (!p_)                                           \
			hc_count(HC_RING_FULL, type_);             \
		p_;                                                \
	})

/* The same in a lane. hc_submit sends it, hc_discard gives it back. */
static __always_inline void *hc_reserve(u32 type, u32 size)
{
	struct hc_rec *r;

	hc_count(HC_SEEN, type);
	r = hc_lane_begin(type, size, hc_important(type), true);
	return r ? r->data : NULL;
}

static __always_inline void hc_submit(void *e)
{
	hc_lane_end((struct hc_rec *)e - 1);
}

static __always_inline void hc_discard(void *e)
{
	hc_lane_drop((struct hc_rec *)e - 1);
}

/* Zero a record of fixed size; its size is a multiple of eight. */
#define hc_zero(p_) __builtin_memset(p_, 0, sizeof(*(p_)))

#endif
