/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/* Who acts: keys, credentials and the header of a record. */
#ifndef HC_TASK_H
#define HC_TASK_H

#include "emit.h"

#ifdef HC_COMPAT /* see compat.h */
#define HC_ABI HC_F_COMPAT
#else
#define HC_ABI 0
#endif

/*
 * The running task. Before 5.11 the verifier does not know its type, so what is read of a task
 * that may be the running one is read by HC_T (one field) or HC_T2 (a field of what a field
 * points to): directly where that is allowed, which costs nothing, else by probing.
 */
/* The running task where a helper wants one it can trust. */
static __always_inline struct task_struct *hc_trusted(void)
{
	return hc_old ? (struct task_struct *)bpf_get_current_task() : bpf_get_current_task_btf();
}

/*
 * For reading, a pointer that the verifier does not trust: of one that it trusts it looks up, by
 * name and one after the other among all types of the kernel, what each pointer read through it
 * is worth. That took two thirds of the time to load everything (2.2 of 3.5 s of cpu).
 */
static __always_inline struct task_struct *hc_current(void)
{
	if (hc_has_cast)
		return bpf_rdonly_cast((void *)bpf_get_current_task(), bpf_core_type_id_kernel(struct task_struct));
	return hc_trusted();
}
#define HC_T(t_, a_) (hc_old ? BPF_CORE_READ(t_, a_) : (t_)->a_)
#define HC_T2(t_, a_, b_) (hc_old ? BPF_CORE_READ(t_, a_, b_) : (t_)->a_->b_)

static __always_inline u64 hc_pstart(struct task_struct *t)
{
	return HC_T2(t, group_leader, start_boottime);
}

/* Eight ids lie together in struct cred, and so do the five capability sets, in the order of the
 * key since before the oldest kernel we support. */
static __always_inline void hc_read_cred(struct hc_cred_key *k, const struct cred *c)
{
	bpf_core_read(&k->uid, 8 * sizeof(u32), &c->uid);
	bpf_core_read(&k->inh, 5 * sizeof(u64), &c->cap_inheritable);
	k->securebits = BPF_CORE_READ(c, securebits);
	k->userns = BPF_CORE_READ(c, user_ns, ns.inum);
}

static __always_inline void hc_fill_cred(struct hc_ev_cred *e, const struct hc_cred_key *k)
{
	e->uid = k->uid;
	e->euid = k->euid;
	e->suid = k->suid;
	e->fsuid = k->fsuid;
	e->gid = k->gid;
	e->egid = k->egid;
	e->sgid = k->sgid;
	e->fsgid = k->fsgid;
	e->cap_effective = k->eff;
	e->cap_permitted = k->prm;
	e->cap_bounding = k->bnd;
	e->userns = k->userns;
	e->securebits = k->securebits;
}

/*
 * The sets that this cpu used last: nearly every record finds its set there, and is spared the hash.
 * A part of the content tells where to look, all of it decides. A program that interrupts one that
 * writes a place finds it busy, and one that is interrupted while it compares sees another id
 * afterwards.
 */
#define HC_CREDS_NEAR 16
struct hc_cred_near {
	u32 busy, id; /* 0: none */
	struct hc_cred_key k;
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, HC_CREDS_NEAR);
	__type(key, u32);
	__type(value, struct hc_cred_near);
} hc_creds_near SEC(".maps");

static __always_inline struct hc_cred_near *hc_cred_place(u64 ids, u64 eff)
{
	u32 at = (ids + (ids >> 32) + eff) & (HC_CREDS_NEAR - 1);

	return bpf_map_lookup_elem(&hc_creds_near, &at);
}

/* The id of a set that this cpu used lately, or 0. Each word is read once, in this order. */
static __noinline u32 hc_cred_seen(const struct cred *c)
{
	struct hc_cred_near *near;
	volatile u64 *k;
	u64 differ = 0;
	u32 id;

	if (!hc_has_cast)
		return 0;
	near = hc_cred_place(hc_load8(&c->uid), hc_load8(&c->cap_effective));
	if (!near)
		return 0;
	id = *(volatile u32 *)&near->id;
	k = (u64 *)&near->k;
	for (int i = 0; i < 4; i++)
		differ |= hc_load8((void *)&c->uid + 8 * i) ^ k[i];
	for (int i = 0; i < 5; i++)
		differ |= hc_load8((void *)&c->cap_inheritable + 8 * i) ^ k[4 + i];
	differ |= (HC_READ(true, c, securebits) | (u64)HC_READ(true, c, user_ns, ns.inum) << 32) ^ k[9];
	return differ || *(volatile u32 *)&near->id != id ? 0 : id;
}

static __always_inline void hc_cred_note(const struct hc_cred_key *k, u32 id)
{
	struct hc_cred_near *near = hc_cred_place(k->uid | (u64)k->gid << 32, k->eff);

	if (!near || __sync_lock_test_and_set(&near->busy, 1))
		return;
	*(volatile u32 *)&near->id = 0;
	barrier();
	near->k = *k;
	barrier();
	*(volatile u32 *)&near->id = id;
	near->busy = 0;
}

/*
 * The id of a credential set. Sets are compared by content, never by the address of the kernel's
 * struct, which is reused. A new set is described to the recorder before its id is first used
 * (both records come from this cpu, and the critical ring is read first). 0: no room for more.
 */
static __noinline u32 hc_cred_find(const struct cred *c)
{
	struct hc_cred_key k;
	struct hc_ev_cred *e;
	u32 zero = 0, id, *known, *next;

	hc_read_cred(&k, c);
	known = bpf_map_lookup_elem(&hc_creds, &k);
	if (known) {
		hc_cred_note(&k, *known);
		return *known;
	}
	next = bpf_map_lookup_elem(&hc_cred_next, &zero);
	if (!next)
		return 0;
	/* room first: an id that cannot be described must not be found by others, who would keep it */
	e = bpf_ringbuf_reserve(&hc_crit, sizeof(*e), 0);
	if (!e) {
		hc_count(HC_SEEN, HC_CRED);
		hc_count(HC_RING_FULL, HC_CRED);
		hc_next_seq(true);
		return 0;
	}
	id = __sync_fetch_and_add(next, 1) + 1;
	if (bpf_map_update_elem(&hc_creds, &k, &id, BPF_NOEXIST)) {
		bpf_ringbuf_discard(e, BPF_RB_NO_WAKEUP);
		known = bpf_map_lookup_elem(&hc_creds, &k);
		if (known)
			return *known;
		hc_count(HC_MAP_FULL, HC_CRED);
		return 0;
	}
	hc_count(HC_SEEN, HC_CRED);
	hc_zero(e);
	e->h.type = HC_CRED;
	e->h.cpu = bpf_get_smp_processor_id();
	e->h.flags = HC_F_CRITICAL | HC_F_SNAPSHOT;
	e->h.seq = hc_next_seq(true);
	e->h.ts = bpf_ktime_get_boot_ns();
	e->h.cred = id;
	hc_fill_cred(e, &k);
	bpf_ringbuf_submit(e, BPF_RB_NO_WAKEUP);
	return id;
}

static __always_inline u32 hc_cred_id(const struct cred *c)
{
	return hc_cred_seen(c) ?: hc_cred_find(c);
}

/* The name of a thread, of 16 bytes. */
static __always_inline void hc_read_comm(void *to, struct task_struct *t)
{
	if (hc_has_cast) {
		((u64 *)to)[0] = hc_load8(&t->comm);
		((u64 *)to)[1] = hc_load8((void *)&t->comm + 8);
	} else {
		bpf_core_read(to, sizeof(t->comm), &t->comm);
	}
}

/* Fills the header for a task that need not be running. The credential set is looked up first,
 * so that its description carries an earlier time than the first record that uses it. */
static __always_inline void hc_head_task(struct hc_hdr *h, struct task_struct *t, u16 type, u32 flags, s64 ret)
{
	h->cred = hc_cred_id(HC_T(t, cred));
	h->type = type;
	h->cpu = bpf_get_smp_processor_id();
	h->ts = bpf_ktime_get_boot_ns();
	h->tid = HC_T(t, pid);
	h->pid = HC_T(t, tgid);
	h->pstart = hc_pstart(t);
	h->image = (u32)HC_T(t, self_exec_id);
	h->cgroup = 0;
	h->ret = ret;
	if (HC_T(t, cred) != HC_T(t, real_cred))
		flags |= HC_F_OVERRIDE; /* for as long as the kernel acts for it: the set is not its own */
	if (HC_T(t, flags) & PF_KTHREAD)
		flags |= HC_F_KTHREAD;
	h->flags = flags;
	hc_read_comm(h->comm, t);
	h->seq = 0;
}

/* Fills the header for the running task; flags tell the ring (HC_F_CRITICAL). */
static __noinline int hc_head(struct hc_hdr *h, u16 type, u32 flags, s64 ret)
{
	hc_head_task(h, hc_current(), type, flags | HC_ABI, ret);
	h->cgroup = bpf_get_current_cgroup_id();
	h->seq = hc_next_seq(flags & HC_F_CRITICAL);
	return 0;
}

/* True when a command is recorded and the running process is not of it. */
static __always_inline bool hc_outside(void)
{
	u32 tgid = bpf_get_current_pid_tgid() >> 32;

	return hc_scoped && !bpf_map_lookup_elem(&hc_scope, &tgid);
}

/* True when the running process makes no bulk events: it is the recorder itself, which is
 * counted, or outside the recorded command. */
static __always_inline bool hc_aloof(u32 type)
{
	u32 tgid = bpf_get_current_pid_tgid() >> 32;

	if (tgid == hc_self) {
		hc_count(HC_SELF, type);
		return true;
	}
	return hc_outside();
}

/* The same, or the filter wants no event of that type from it, which is counted too. */
static __always_inline bool hc_skip(u32 type)
{
	return hc_aloof(type) || hc_unselected(type);
}

/* The same where an operation makes events of two types. */
static __always_inline bool hc_skip_both(u32 type, u32 other)
{
	return hc_aloof(type) || (!hc_selected(other) && hc_unselected(type));
}

/* The pid of the task in its own pid namespace, and that namespace. */
static __always_inline struct upid hc_upid(struct pid *pid, unsigned int level)
{
	struct upid up = {};
	void *at = (void *)pid + bpf_core_field_offset(struct pid, numbers);

	bpf_probe_read_kernel(&up, sizeof(up), at + level * bpf_core_type_size(struct upid));
	return up;
}

/* The thread a struct pid stands for, or NULL. Not typed for the verifier: read it with BPF_CORE_READ. */
static __always_inline struct task_struct *hc_pid_task(struct pid *pid)
{
	void *link = pid ? BPF_CORE_READ(pid, tasks[0].first) : NULL;

	return link ? link - bpf_core_field_offset(struct task_struct, pid_links) : NULL;
}

/*
 * The thread that a number stands for in the pid namespace of the running task, or NULL: the
 * namespace's table of pids is walked as the kernel walks it. The kfuncs that look pids up know
 * the initial namespace only (6.2) or are young (6.13), and not every kind of program may call
 * them; the table has had this shape since 4.20. What is read is freed by RCU, in whose section
 * every program runs. Not typed for the verifier: read it with BPF_CORE_READ.
 */
static __noinline void *hc_task_by_pid(u32 nr)
{
	struct pid *pid = BPF_CORE_READ((struct task_struct *)bpf_get_current_task(), thread_pid);
	struct upid up = hc_upid(pid, BPF_CORE_READ(pid, level));
	const u32 mask = bpf_core_field_size(struct xa_node, slots) / sizeof(void *) - 1;
	u64 at = (u64)BPF_CORE_READ(up.ns, idr.idr_rt.xa_head);

	if ((s32)nr <= 0)
		return NULL;
	for (int i = 0; i < 8 && (at & 3) == 2; i++) { /* an inner node */
		struct xa_node *n = (void *)(at - 2);
		u32 slot = nr >> BPF_CORE_READ(n, shift);

		if (!i && slot > mask)
			return NULL; /* above all that the table holds */
		bpf_probe_read_kernel(&at, sizeof(at), (void *)n + bpf_core_field_offset(struct xa_node, slots) + (slot & mask) * sizeof(void *));
		if (!BPF_CORE_READ(n, shift))
			return at & 3 ? NULL : hc_pid_task((struct pid *)at);
	}
	return NULL;
}

/* Fills the key of a second process from a task that hc_task_by_pid or another walk gave. */
#define hc_set_target(e_, t_)                                                        \
	do {                                                                         \
		struct task_struct *hc_t_ = (t_);                                    \
		if (hc_t_) {                                                         \
			(e_)->target_pid = BPF_CORE_READ(hc_t_, tgid);               \
			(e_)->target_tid = BPF_CORE_READ(hc_t_, pid);                \
			(e_)->target_start = BPF_CORE_READ(hc_t_, group_leader, start_boottime); \
		}                                                                    \
	} while (0)
/* The same from a number of the caller's pid namespace. Nobody there: the number is kept. */
#define hc_set_target_nr(e_, nr_)                             \
	do {                                                  \
		u32 hc_nr_ = (nr_);                           \
		(e_)->target_pid = hc_nr_;                    \
		hc_set_target(e_, (struct task_struct *)hc_task_by_pid(hc_nr_)); \
	} while (0)

/* Session, terminal and namespaces of a task, into the fields that exec and process share. */
#define hc_set_session(e_, t_)                                                            \
	do {                                                                              \
		struct tty_struct *tty_ = BPF_CORE_READ(t_, signal, tty);                 \
		struct pid *pid_ = BPF_CORE_READ(t_, thread_pid);                         \
		unsigned int level_ = BPF_CORE_READ(pid_, level);                         \
		(e_)->sid = hc_upid(BPF_CORE_READ(t_, signal, pids[3]), 0).nr;            \
		if (tty_)                                                                 \
			(e_)->tty = BPF_CORE_READ(tty_, driver, major) << 8 |             \
				    (BPF_CORE_READ(tty_, driver, minor_start) +           \
				     BPF_CORE_READ(tty_, index));                         \
		(e_)->pidns = BPF_CORE_READ(hc_upid(pid_, level_).ns, ns.inum);           \
		(e_)->mntns = BPF_CORE_READ(t_, nsproxy, mnt_ns, ns.inum);                \
		(e_)->netns = BPF_CORE_READ(t_, nsproxy, net_ns, ns.inum);                \
	} while (0)

#define HC_STACK_SIZE 16384 /* of a thread in the kernel: x86-64, and arm64 with pages of 4 KiB */

#ifdef HC_COMPAT
#include "compat.h"
#else
/*
 * A program at the exit of one system call: HC_SYSCALL(openat) { ... ctx->ret ... hc_arg(0) ... }.
 * Written once, it can be compiled for more than one system call table.
 */
#define HC_SYSCALL(call_) SEC("tp/syscalls/sys_exit_" #call_) int hc_##call_(struct hc_sys_exit *ctx)
/* A second program at the exit of a call that another file has one for. */
#define HC_SYSCALL_TOO(call_, as_) SEC("tp/syscalls/sys_exit_" #call_) int hc_##call_##_##as_(struct hc_sys_exit *ctx)
/* The same at its entry. */
#define HC_SYSCALL_ENTER(call_) SEC("tp/syscalls/sys_enter_" #call_) int hc_enter_##call_(struct hc_sys_enter *ctx)

/* Argument n of the system call that the running task is leaving, from its saved registers. */
static __always_inline u64 hc_arg(int n)
{
	struct pt_regs *r;

	if (hc_has_regs) {
		r = (struct pt_regs *)bpf_task_pt_regs(hc_trusted());
#if defined(__TARGET_ARCH_x86)
		switch (n) {
		case 0: return r->di;
		case 1: return r->si;
		case 2: return r->dx;
		case 3: return r->r10;
		case 4: return r->r8;
		}
		return r->r9;
#else
		return n ? r->regs[n] : r->orig_x0; /* regs[0] holds the result by now */
#endif
	}
	/* before 5.15: they lie at the end of the kernel stack */
	r = BPF_CORE_READ((struct task_struct *)bpf_get_current_task(), stack) + HC_STACK_SIZE - bpf_core_type_size(struct pt_regs);
#if defined(__TARGET_ARCH_x86)
	switch (n) {
	case 0: return BPF_CORE_READ(r, di);
	case 1: return BPF_CORE_READ(r, si);
	case 2: return BPF_CORE_READ(r, dx);
	case 3: return BPF_CORE_READ(r, r10);
	case 4: return BPF_CORE_READ(r, r8);
	}
	return BPF_CORE_READ(r, r9);
#else
	return n ? BPF_CORE_READ(r, regs[n]) : BPF_CORE_READ(r, orig_x0);
#endif
}

/* A length that is argument n. */
#define hc_length(ctx_, n_) ((s64)hc_arg(n_))
#define HC_MMAP_UNIT 1
#endif

#endif
