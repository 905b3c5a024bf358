/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/*
 * Where a process has shared mappings of files that it may write to: what is unmapped or made
 * writable is compared with it, so that of the many calls that change mappings only the few that
 * matter make rows. A process with more ranges than there is room for has them all told.
 */
#ifndef HC_STORES_H
#define HC_STORES_H

#include "path.h"

#define HC_RANGES 16

#define PROT_WRITE 2
#define PROT_EXEC 4
#define VM_WRITE 2
#define VM_EXEC 4
#define VM_SHARED 8 /* of a file: one that was opened for writing */
#define FMODE_WRITE 2

struct hc_stores {
	u32 used[HC_RANGES]; /* 1: taken; by exchange, since threads of a process may map at one time */
	u32 many, pad;       /* there was no room for a range */
	u64 lo[HC_RANGES], hi[HC_RANGES];
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, u32);
	__type(value, struct hc_stores);
} hc_stores SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct hc_stores);
} hc_stores_none SEC(".maps");

static __always_inline bool hc_stores_add(u32 tgid, u64 lo, u64 hi)
{
	struct hc_stores *s = bpf_map_lookup_elem(&hc_stores, &tgid), *none;
	u32 zero = 0;

	if (!s) {
		none = bpf_map_lookup_elem(&hc_stores_none, &zero);
		if (none)
			bpf_map_update_elem(&hc_stores, &tgid, none, BPF_NOEXIST);
		s = bpf_map_lookup_elem(&hc_stores, &tgid);
		if (!s)
			return false;
	}
	for (int i = 0; i < HC_RANGES; i++) {
		if (s->lo[i] == lo && s->hi[i] == hi)
			return true;
		if (!s->used[i] && !__sync_lock_test_and_set(&s->used[i], 1)) {
			s->lo[i] = lo;
			s->hi[i] = hi;
			return true;
		}
	}
	s->many = 1;
	return true;
}

/* Whether the range touches one of them, or may. Those that it covers are forgotten when gone is set. */
static __always_inline bool hc_stores_touch(struct hc_stores *s, u64 lo, u64 hi, bool gone)
{
	bool hit = s->many;

	for (int i = 0; i < HC_RANGES; i++) {
		if (!s->used[i] || s->lo[i] >= hi || s->hi[i] <= lo)
			continue;
		hit = true;
		if (gone && lo <= s->lo[i] && s->hi[i] <= hi) {
			s->lo[i] = s->hi[i] = 0;
			s->used[i] = 0;
		}
	}
	return hit;
}

#endif
