// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/* Names of threads, namespaces of new ones, and the parents that orphans get. */
#include "ns.h"
#include "../include/path.h"
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/*
 * task_rename runs before the new name is written, whoever asks: prctl, a write to comm in
 * procfs, by the thread itself or another one. The rename that comes with an exec is left out,
 * since the exec row says it (in_execve; a kernel without that bit tells it twice), and so are
 * kernel threads and workers, which the kernel names itself, and names that stay the same.
 */
SEC("tp_btf/task_rename")
int BPF_PROG(hc_rename_task, struct task_struct *t, const char *name)
{
	struct hc_ev_set_name *e;
	struct hc_buf *b;
	char was[16] = {}, now[16] = {};

	if (BPF_CORE_READ(t, flags) & (PF_KTHREAD | PF_IO_WORKER))
		return 0;
	if (bpf_core_field_exists(t->in_execve) && BPF_CORE_READ_BITFIELD_PROBED(t, in_execve))
		return 0;
	if (hc_skip(HC_SET_NAME))
		return 0;
	bpf_core_read(was, sizeof(was), &t->comm);
	bpf_probe_read_kernel_str(now, sizeof(now), name);
	for (int i = 0; i < 16; i++) { /* up to the end: the rest of a name may be anything */
		if (was[i] != now[i])
			break;
		if (!was[i])
			return 0;
	}
	b = hc_get_buf(HC_SET_NAME, sizeof(*e));
	if (!b)
		return 0;
	e = (void *)b->data;
	hc_zero(e);
	hc_head(&e->h, HC_SET_NAME, 0, 0);
	hc_set_target(e, t);
	hc_put_kernel_str(b, &e->new_comm, HC_SET_NAME, now);
	hc_send(b, false, HC_SET_NAME);
	return 0;
}

/* NEWTIME NEWNS NEWCGROUP NEWUTS NEWIPC NEWUSER NEWPID NEWNET; clone(2) cannot ask for the first, whose bit is part of its signal */
#define CLONE_NEW (0x80ULL | 0x20000 | 0x2000000 | 0x4000000 | 0x8000000 | 0x10000000 | 0x20000000 | 0x40000000)

/*
 * task_newtask, at the end of copy_process, when the child has its namespaces and has not run:
 * they are compared with those of its creator. Children made after unshare or setns are no
 * event here: the row of that call said in which namespaces future children will be.
 */
SEC("tp_btf/task_newtask")
int BPF_PROG(hc_fork_ns, struct task_struct *child, u64 clone_flags)
{
	struct hc_ns was = {}, now = {};
	struct hc_ns_row row = { .call = -1, .flags = clone_flags };

	if (!(clone_flags & CLONE_NEW) || hc_outside())
		return 0;
	hc_ns_of(&was, (struct task_struct *)bpf_get_current_task());
	hc_ns_of(&now, child);
	row.child = child;
	row.ret = BPF_CORE_READ(child, pid);
	hc_ns_rows(&row, &was, &now);
	return 0;
}

#define HC_ORPHANS 4096 /* children of one process that get rows */
#define HC_ORPHANS_OLD 64
#define HC_THREADS 512 /* threads of an ending process whose children are looked at */
#define HC_THREADS_OLD 16
#define HC_KIN 64      /* generations that are looked through for a reaper */

struct hc_orphans {
	u64 thread, threads; /* next in the list of threads, and its head */
	u64 next, head;      /* next in the list of children, and its head */
	u32 parent_pid, pad;
	u64 start; /* of the process that ends */
	u64 parent_start;
	u64 left;
};

/* One program runs at a time on a cpu, so each has one. In a map, not on the stack: there the
 * verifier would follow every step. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct hc_orphans);
} hc_orphaned SEC(".maps");

/* Orphans that were told, by their pid: the start of the process that left them, whose other
 * threads then tell them no more. What is pushed out may be told twice. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, u32);
	__type(value, u64);
} hc_orphans_told SEC(".maps");

/* True when a thread of the process has not begun to end. The first dozen are asked. */
static __noinline int hc_alive(u64 process)
{
	struct signal_struct *s = BPF_CORE_READ((struct task_struct *)process, signal);
	u64 head = (u64)s + bpf_core_field_offset(struct signal_struct, thread_head), at;

	at = (u64)BPF_CORE_READ(s, thread_head.next);
	for (int i = 0; i < 12 && at && at != head; i++) {
		struct task_struct *t = (void *)(at - bpf_core_field_offset(struct task_struct, thread_node));

		if (!(BPF_CORE_READ(t, flags) & PF_EXITING))
			return 1;
		at = (u64)BPF_CORE_READ(t, thread_node.next);
	}
	return at && at != head; /* too many to ask: somebody will */
}

/*
 * Who gets the orphans of a process, by the rules of find_new_reaper: the nearest ancestor in
 * the same pid namespace that asked for orphans and still lives, else the init of that
 * namespace. NULL when the process is that init, whose namespace ends with it.
 */
static __noinline u64 hc_reaper(struct task_struct *t)
{
	struct pid *pid = BPF_CORE_READ(t, thread_pid);
	u32 level = BPF_CORE_READ(pid, level);
	struct task_struct *init = BPF_CORE_READ(hc_upid(pid, level).ns, child_reaper), *r;
	struct signal_struct *s = BPF_CORE_READ(t, signal);

	if (BPF_CORE_READ(init, signal) == s)
		return 0;
	if (!BPF_CORE_READ_BITFIELD_PROBED(s, has_child_subreaper))
		return (u64)init;
	r = BPF_CORE_READ(t, real_parent);
	for (int i = 0; i < HC_KIN; i++) {
		if (BPF_CORE_READ(r, thread_pid, level) != level || !BPF_CORE_READ(r, pid))
			break;
		s = BPF_CORE_READ(r, signal);
		if (BPF_CORE_READ_BITFIELD_PROBED(s, is_child_subreaper) && hc_alive((u64)r))
			return (u64)r;
		r = BPF_CORE_READ(r, real_parent);
	}
	return (u64)init;
}

static __noinline int hc_orphan(struct hc_orphans *o, struct task_struct *child)
{
	struct hc_ev_reparent *e;
	u32 tgid = BPF_CORE_READ(child, tgid);
	u64 *told;

	/* two threads that end at once may both hold it: one of them gets its name in */
	if (bpf_map_update_elem(&hc_orphans_told, &tgid, &o->start, BPF_NOEXIST)) {
		told = bpf_map_lookup_elem(&hc_orphans_told, &tgid);
		if (told && *told == o->start)
			return 0;
		bpf_map_update_elem(&hc_orphans_told, &tgid, &o->start, BPF_ANY); /* adopted before, or another of that number */
	}
	/* an outsider has no children in the recorded command */
	if (hc_scoped && !bpf_map_lookup_elem(&hc_scope, &tgid))
		return 0;
	e = hc_reserve_crit(HC_REPARENT, sizeof(*e));
	if (!e) {
		hc_next_seq(true);
		return 0;
	}
	hc_zero(e);
	hc_head(&e->h, HC_REPARENT, HC_F_CRITICAL, 0);
	hc_set_target(e, child);
	e->parent_pid = o->parent_pid;
	e->parent_start = o->parent_start;
	bpf_ringbuf_submit(e, hc_wake_crit(sizeof(*e), false));
	return 0;
}

/* One child, or the step to the next thread. Returns 1 at the end. */
static long hc_orphans_step(u32 i, void *ctx)
{
	u32 zero = 0;
	struct hc_orphans *o = bpf_map_lookup_elem(&hc_orphaned, &zero);
	struct task_struct *t;

	if (!o)
		return 1;
	if (o->next == o->head || !o->next) {
		if (o->thread == o->threads || !o->thread || !o->left)
			return 1;
		o->left--;
		t = (void *)(o->thread - bpf_core_field_offset(struct task_struct, thread_node));
		o->thread = (u64)BPF_CORE_READ(t, thread_node.next);
		o->head = (u64)t + bpf_core_field_offset(struct task_struct, children);
		o->next = (u64)BPF_CORE_READ(t, children.next);
		return 0;
	}
	t = (void *)(o->next - bpf_core_field_offset(struct task_struct, sibling));
	o->next = (u64)BPF_CORE_READ(t, sibling.next);
	if (!BPF_CORE_READ(t, exit_state)) /* the dead keep no parent */
		hc_orphan(o, t);
	return 0;
}

/*
 * sched_process_exit comes before the kernel hands the children on (exit_notify), so the new
 * parent is computed with its rules; an ancestor that ends at this very moment may be passed over
 * by the kernel and not by us. Children hang on the thread that made them: those of all threads
 * are handed out when the process ends. A thread that ends alone leaves its children to another
 * thread, and their parent process stays. In a process that ends as a whole, a thread may be gone
 * with its children before the last one gets here: its own are told as it ends. Where all threads
 * end on their own accord at the same instant, children of one that was not last can be missed.
 */
SEC("tp_btf/sched_process_exit")
int BPF_PROG(hc_reparent, struct task_struct *dying)
{
	struct task_struct *t = dying, *reaper;
	struct hc_orphans *o;
	u32 zero = 0;
	struct signal_struct *s = BPF_CORE_READ(t, signal);
	u64 head = (u64)t + bpf_core_field_offset(struct task_struct, children);
	u64 threads = (u64)s + bpf_core_field_offset(struct signal_struct, thread_head);
	bool last = BPF_CORE_READ(s, live.counter) == 0;

	u64 own = (u64)t + bpf_core_field_offset(struct task_struct, thread_node);
	u64 first = (u64)BPF_CORE_READ(s, thread_head.next), child = (u64)BPF_CORE_READ(t, children.next);

	if (last) {
		/* nearly all: one thread, no child */
		if (child == head && first == own && (u64)BPF_CORE_READ(t, thread_node.next) == threads)
			return 0;
	} else if (child == head || !(BPF_CORE_READ(s, flags) & 4)) { /* SIGNAL_GROUP_EXIT */
		return 0;
	}
	reaper = (void *)hc_reaper(t);
	o = bpf_map_lookup_elem(&hc_orphaned, &zero);
	if (!reaper || !o)
		return 0;
	o->head = head;
	o->next = last ? head : child; /* of the last, they come with the others' */
	o->threads = threads;
	o->thread = last ? first : threads;
	o->left = hc_has_loop ? HC_THREADS : HC_THREADS_OLD;
	o->start = BPF_CORE_READ(t, group_leader, start_boottime);
	o->parent_pid = BPF_CORE_READ(reaper, tgid);
	o->parent_start = BPF_CORE_READ(reaper, group_leader, start_boottime);
	if (hc_has_loop) {
		bpf_loop(HC_ORPHANS + HC_THREADS, hc_orphans_step, NULL, 0);
	} else {
		for (int i = 0; i < HC_ORPHANS_OLD + HC_THREADS_OLD; i++) {
			if (hc_orphans_step(i, NULL))
				break;
		}
	}
	if (o->next != o->head || o->thread != o->threads)
		hc_count(HC_TRUNCATED, HC_REPARENT);
	return 0;
}
