/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/*
 * Where programs build records that may be preempted: those at the beginning and the end of
 * functions (fentry, fexit). With the scratch buffer in its hands such a program would be put
 * aside for as long as the scheduler likes, and every other program of that cpu would find the
 * buffer busy and drop its record. So they share buffers of their own, a few more than there are
 * cpus: a program takes that of its cpu, or one of the next ones while another holds it.
 */
#ifndef HC_PREEMPT_H
#define HC_PREEMPT_H

#include "emit.h"

#define HC_SPARE 3

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 + HC_SPARE); /* the loader makes one for each cpu and HC_SPARE more */
	__type(key, u32);
	__type(value, struct hc_buf);
} hc_own_scratch SEC(".maps");

/* As hc_get_buf. Before 5.12 paths are walked in the scratch buffer alone (hc_walk_old), and no
 * kernel is preempted unless it was built so. */
static __always_inline struct hc_buf *hc_get_own_buf(u32 type, u32 fixed)
{
	u32 at = bpf_get_smp_processor_id();
	struct hc_buf *b;

	if (hc_old)
		return hc_get_buf(type, fixed);
	for (int i = 0; i <= HC_SPARE; i++, at++) {
		u32 key = at;

		b = bpf_map_lookup_elem(&hc_own_scratch, &key);
		if (b && !__sync_lock_test_and_set(&b->busy, 1)) {
			b->at = fixed;
			return b;
		}
	}
	hc_count(HC_SEEN, type);
	hc_count(HC_NESTED, type);
	return NULL;
}

#endif
