/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/*
 * Which events a lower tier tells: programs inside the kernel's functions, where fentry or kprobes
 * load. They see every way into those functions (io_uring and the 32-bit table too) and the
 * kernel's own objects. What they cannot see is a call that is refused before it gets there; so
 * the programs at the exit of calls stay, and then tell only that.
 */
#ifndef HC_LOWER_H
#define HC_LOWER_H

#include "task.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u64); /* bit 1 << type: the recorder sets it once the lower programs are in place */
} hc_lower SEC(".maps");

/* Refusals that the lower tier has told: thread -> system call, until that call ends. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, u32);
	__type(value, u32);
} hc_lower_told SEC(".maps");

/* The file that an exec began with, by thread, for hc_exec: the script where there is one. */
struct hc_script {
	u32 dev, gen;
	u64 ino;
	u32 mode, pad;
};
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, u32);
	__type(value, struct hc_script);
} hc_script SEC(".maps");

static __always_inline bool hc_is_lower(u32 type)
{
	u32 zero = 0;
	u64 *set = bpf_map_lookup_elem(&hc_lower, &zero);

	return set && *set >> type & 1;
}

/* True when the end of a call need not be told, because a lower program did. */
static __always_inline bool hc_told_lower(u32 type, u32 nr, s64 ret)
{
	u32 tid = (u32)bpf_get_current_pid_tgid(), *told;

	if (!hc_is_lower(type))
		return false;
	if (ret >= 0)
		return true;
	told = bpf_map_lookup_elem(&hc_lower_told, &tid);
	if (!told || *told != nr)
		return false;
	bpf_map_delete_elem(&hc_lower_told, &tid);
	return true;
}

#endif
