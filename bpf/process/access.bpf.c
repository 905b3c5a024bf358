// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * Processes that reach into others: ptrace, process_vm, pidfds, comparison of kernel objects.
 * Memory by procfs is seen where reads and writes are (io.h). Taken as the calls end: the other
 * process is found from the number or the pidfd that was passed, in the pid namespace of the
 * caller. Failed calls are told when they were refused; in the forensic profile all are.
 */
#include "../include/access.h"
#include "pidfd.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* Requests of a debugger that repeat without end, already told. What does not fit pushes out
 * what was told longest ago, which is then told again. */
struct hc_told {
	u32 pid, target_tid;
	u64 pstart, target_start, request;
};
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct hc_told);
	__type(value, u32);
} hc_ptraced SEC(".maps");

/* Requests that look at the tracee or let it run on; all others change it. */
static __always_inline bool repeats(u64 request)
{
	if (request < 64) /* PEEKTEXT PEEKDATA PEEKUSR CONT SINGLESTEP GETREGS GETFPREGS GETFPXREGS SYSCALL SYSEMU SYSEMU_SINGLESTEP SINGLEBLOCK */
		return (1ULL << 1 | 1ULL << 2 | 1ULL << 3 | 1ULL << 7 | 1ULL << 9 | 1ULL << 12 | 1ULL << 14 | 1ULL << 18 | 1ULL << 24 |
			1ULL << 31 | 1ULL << 32 | 1ULL << 33) >> request & 1;
	request -= 0x4200; /* GETEVENTMSG GETSIGINFO GETREGSET INTERRUPT LISTEN PEEKSIGINFO GETSIGMASK GET_SYSCALL_INFO GET_RSEQ */
	return request < 64 && (1ULL << 1 | 1ULL << 2 | 1ULL << 4 | 1ULL << 7 | 1ULL << 8 | 1ULL << 9 | 1ULL << 10 | 1ULL << 14 | 1ULL << 15) >> request & 1;
}

static __always_inline bool tells(s64 ret)
{
	return ret >= 0 || hc_refused(ret) || hc_forensic;
}

#define READV 0x10000 /* no request of ptrace */

/* True the first time that the running process makes the request of a thread. */
static __always_inline bool first(u64 request, struct task_struct *t, u32 nr)
{
	struct task_struct *me = (struct task_struct *)bpf_get_current_task();
	struct hc_told k = { .request = request };
	u32 one = 1;

	k.pid = BPF_CORE_READ(me, tgid);
	k.pstart = BPF_CORE_READ(me, group_leader, start_boottime);
	k.target_tid = t ? BPF_CORE_READ(t, pid) : nr;
	k.target_start = t ? BPF_CORE_READ(t, start_boottime) : 0;
	if (bpf_map_lookup_elem(&hc_ptraced, &k))
		return false;
	if (!hc_aside(HC_ACCESS, t))
		bpf_map_update_elem(&hc_ptraced, &k, &one, BPF_ANY);
	return true;
}

/* The address another process was entered at, from the first entry of a vector. */
static __always_inline u64 first_base(u64 vec)
{
	u64 base = 0;

	if (bpf_probe_read_user(&base, sizeof(base), (void *)vec))
		hc_count(HC_READ_FAULT, HC_ACCESS);
	return base;
}

/* With PTRACE_TRACEME the tracee makes the call: the other process is its tracer, its parent. */
HC_SYSCALL(ptrace)
{
	u64 request = hc_arg(0);
	struct hc_access a = { .op = 1, .request = request, .addr = hc_arg(2), .ret = ctx->ret, .wake = true };
	struct task_struct *me = (struct task_struct *)bpf_get_current_task(), *t;

	if (!tells(ctx->ret))
		return 0;
	if (request == 0) {
		t = BPF_CORE_READ(me, real_parent);
		a.addr = 0;
	} else {
		a.nr = hc_arg(1);
		t = hc_task_by_pid(a.nr);
	}
	a.target = t;
	if (!hc_forensic && repeats(request) && !first(request, t, a.nr))
		return 0;
	return hc_access_row(&a);
}

/* A tracer reads strings of its tracee at every call that it shows. */
HC_SYSCALL(process_vm_readv)
{
	struct hc_access a = { .op = 2, .size = ctx->ret, .ret = ctx->ret, .wake = true };
	struct task_struct *t;

	if (!tells(ctx->ret))
		return 0;
	a.nr = hc_arg(0);
	t = hc_task_by_pid(a.nr);
	if (!hc_forensic && !first(READV, t, a.nr))
		return 0;
	a.target = t;
	a.addr = first_base(hc_arg(3));
	return hc_access_row(&a);
}

HC_SYSCALL(process_vm_writev)
{
	struct hc_access a = { .op = 3, .size = ctx->ret, .ret = ctx->ret, .wake = true };

	if (!tells(ctx->ret))
		return 0;
	a.nr = hc_arg(0);
	a.target = hc_task_by_pid(a.nr);
	a.addr = first_base(hc_arg(3));
	return hc_access_row(&a);
}

HC_SYSCALL(pidfd_getfd)
{
	struct hc_access a = { .op = 6, .request = (s32)hc_arg(1), .ret = ctx->ret, .wake = true };

	if (!tells(ctx->ret))
		return 0;
	a.target = hc_pidfd_task(hc_arg(0));
	return hc_access_row(&a);
}

/* Since 5.10. */
HC_SYSCALL(process_madvise)
{
	struct hc_access a = { .op = 7, .request = (s32)hc_arg(3), .size = ctx->ret, .ret = ctx->ret, .wake = true };

	if (!tells(ctx->ret))
		return 0;
	a.target = hc_pidfd_task(hc_arg(0));
	a.addr = first_base(hc_arg(1));
	return hc_access_row(&a);
}

HC_SYSCALL(pidfd_open)
{
	struct hc_access a = { .op = 8, .nr = hc_arg(0), .request = (u32)hc_arg(1), .ret = ctx->ret };

	if (!tells(ctx->ret))
		return 0;
	a.target = hc_task_by_pid(a.nr);
	return hc_access_row(&a);
}

/* Of the two processes compared, the one that is not the caller. */
HC_SYSCALL(kcmp)
{
	struct hc_access a = { .op = 9, .nr = hc_arg(0), .request = (s32)hc_arg(2), .ret = ctx->ret };

	struct task_struct *t;

	if (!tells(ctx->ret))
		return 0;
	t = hc_task_by_pid(a.nr);
	if (t && BPF_CORE_READ(t, tgid) == bpf_get_current_pid_tgid() >> 32) {
		a.nr = hc_arg(1);
		t = hc_task_by_pid(a.nr);
	}
	a.target = t;
	return hc_access_row(&a);
}
