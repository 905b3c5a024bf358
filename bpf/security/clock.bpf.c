// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * The wall clock, set or steered: exits of the calls, refused ones too, except adjtimex calls that
 * only ask. Times are what the program's memory held; what the clock did is in the clock rows.
 * adjtimex writes its answer over the question, so the question is kept from the entry.
 */
#include "host.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

#define ADJ_SETOFFSET 0x0100
#define ADJ_NANO 0x2000

/* Words of the times a program hands over, and where struct timex has its offset and its time. */
#ifdef HC_COMPAT
typedef s32 word;
#define TIMEX_OFFSET 4
#define TIMEX_TIME 36
#else
typedef s64 word;
#define TIMEX_OFFSET 8
#define TIMEX_TIME 72
#endif

struct question {
	u32 modes;
	s64 asked;
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, u64);
	__type(value, struct question);
} hc_adjtime SEC(".maps");

static __always_inline int told(struct hc_sys_exit *ctx, s32 id, s64 asked, u32 modes)
{
	struct hc_ev_clock_set *e;

	if (hc_skip(HC_CLOCK_SET))
		return 0;
	e = hc_reserve_crit(HC_CLOCK_SET, sizeof(*e));
	if (!e) {
		hc_next_seq(true);
		return 0;
	}
	hc_zero(e);
	hc_head(&e->h, HC_CLOCK_SET, hc_told(ctx->ret), ctx->ret);
	e->call = ctx->nr;
	e->clock_id = id;
	e->asked = asked;
	e->modes = modes;
	bpf_ringbuf_submit(e, BPF_RB_FORCE_WAKEUP);
	return 0;
}

/* Two words of the program, seconds and a part of one, as nanoseconds; 0 when there are none. */
static __always_inline s64 time_at(u64 p, s64 unit)
{
	word t[2] = {};

	if (!p)
		return 0;
	if (bpf_probe_read_user(t, sizeof(t), (void *)p))
		hc_count(HC_READ_FAULT, HC_CLOCK_SET);
	return t[0] * 1000000000LL + t[1] * unit;
}

HC_SYSCALL(settimeofday) { return told(ctx, 0, time_at(hc_arg(0), 1000), 0); }
HC_SYSCALL(clock_settime) { return told(ctx, hc_arg(0), time_at(hc_arg(1), 1), 0); }

/* Keeps what struct timex asks for, unless it is only a question: modes are its first word. */
static __always_inline int ask(u64 p)
{
	u64 id = bpf_get_current_pid_tgid();
	struct question q = {};
	word offset = 0;

	if (bpf_probe_read_user(&q.modes, sizeof(q.modes), (void *)p) || !q.modes)
		return 0; /* a page that is not there is read by the kernel, and seen at the exit */
	if (q.modes & ADJ_SETOFFSET)
		q.asked = time_at(p + TIMEX_TIME, q.modes & ADJ_NANO ? 1 : 1000);
	else if (!bpf_probe_read_user(&offset, sizeof(offset), (void *)(p + TIMEX_OFFSET)))
		q.asked = (s64)offset * (q.modes & ADJ_NANO ? 1 : 1000);
	if (bpf_map_update_elem(&hc_adjtime, &id, &q, BPF_ANY))
		hc_count(HC_MAP_FULL, HC_CLOCK_SET);
	return 0;
}

static __always_inline int answer(struct hc_sys_exit *ctx, s32 id, u64 p)
{
	u64 who = bpf_get_current_pid_tgid();
	struct question *known = bpf_map_lookup_elem(&hc_adjtime, &who), q = {};

	if (known) {
		q = *known;
		bpf_map_delete_elem(&hc_adjtime, &who);
	} else if (bpf_probe_read_user(&q.modes, sizeof(q.modes), (void *)p)) {
		hc_count(HC_READ_FAULT, HC_CLOCK_SET);
		return 0;
	}
	return q.modes ? told(ctx, id, q.asked, q.modes) : 0;
}

HC_SYSCALL(adjtimex) { return answer(ctx, 0, hc_arg(0)); }
HC_SYSCALL(clock_adjtime) { return answer(ctx, hc_arg(0), hc_arg(1)); }
HC_SYSCALL_ENTER(adjtimex) { return ask(hc_arg(0)); }
HC_SYSCALL_ENTER(clock_adjtime) { return ask(hc_arg(1)); }
