/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/*
 * Reads and writes, counted in the kernel.
 *
 * Each thread has a small table of the objects it touched lately, in its task storage: only the
 * thread itself writes it, so it needs no lock and no atomic, and nobody else can delete from
 * under it. The first read and the first write of an object in the table are events at once.
 * After that the slot counts, and its running totals are sent when a second has passed, when the
 * slot is needed for another object, and when the thread execs or ends; an iterator started by
 * the recorder sends what idle threads still hold. Totals are cumulative from the slot's first
 * operation: a lost row is mended by the next. They are sent too when the thread closes a
 * descriptor of the object. The forensic profile makes a row of every operation besides.
 */
#ifndef HC_IO_H
#define HC_IO_H

#include "path.h"
#include "access.h"

#define HC_IO_SLOTS 8
#define HC_IO_INTERVAL 1000000000ULL

enum { HC_IO_TICK = 1, HC_IO_EVICT = 2, HC_IO_EXIT = 3, HC_IO_EXEC = 4, HC_IO_SWEEP = 5, HC_IO_CLOSE = 6 };

struct hc_io_slot {
	u64 ino; /* 0: free */
	u32 dev, gen;
	u32 mode, methods;
	u64 t0, last, last_in, last_out;
	u64 in, out;
	u32 ops_in, ops_out;
	u64 sent;     /* when totals were last sent */
	u32 sent_ops; /* operations that rows already told */
	u32 pad;
};
struct hc_io_table {
	struct hc_io_slot slot[HC_IO_SLOTS];
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct hc_io_table);
} hc_io SEC(".maps");

/* What a new table holds, for kernels where it is not made by asking for it. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct hc_io_table);
} hc_io_none SEC(".maps");

/* The table of a thread, made when it has none and make is set. On old kernels it lies in a hash
 * under the thread's number, and hc_io_flush removes it as the thread ends. */
static __always_inline struct hc_io_table *hc_io_of(struct task_struct *t, bool make)
{
	struct hc_io_table *tab, *none;
	u32 tid, zero = 0;

	if (!hc_old)
		return bpf_task_storage_get(&hc_io, t, NULL, make ? BPF_LOCAL_STORAGE_GET_F_CREATE : 0);
	tid = HC_T(t, pid);
	tab = bpf_map_lookup_elem(&hc_io, &tid);
	if (tab || !make)
		return tab;
	none = bpf_map_lookup_elem(&hc_io_none, &zero);
	if (!none || bpf_map_update_elem(&hc_io, &tid, none, BPF_NOEXIST))
		return NULL;
	return bpf_map_lookup_elem(&hc_io, &tid);
}

static __always_inline bool hc_io_pending(struct hc_io_slot *s)
{
	return s->ino && s->ops_in + s->ops_out > s->sent_ops;
}

static __always_inline void hc_io_fill(struct hc_ev_io *e, struct task_struct *t, struct hc_io_slot *s, u32 reason)
{
	hc_set_obj(e, s);
	e->t0 = s->t0;
	e->last = s->last;
	e->last_in = s->last_in;
	e->last_out = s->last_out;
	e->bytes_in = s->in;
	e->bytes_out = s->out;
	e->ops_in = s->ops_in;
	e->ops_out = s->ops_out;
	e->methods = s->methods;
	e->reason = reason;
	e->fork_gen = HC_T(t, start_boottime);
}

/* Sends the totals of a slot. A slot whose row found no room stays pending. */
static __noinline void hc_io_send(struct task_struct *t, struct hc_io_slot *s, u32 reason)
{
	struct hc_ev_io *e;

	if (hc_unselected(HC_IO)) {
		s->sent = s->last;
		s->sent_ops = s->ops_in + s->ops_out;
		return;
	}
	e = hc_reserve(HC_IO, sizeof(*e));
	if (!e) {
		hc_next_seq(false);
		return;
	}
	hc_zero(e);
	hc_head(&e->h, HC_IO, 0, 0);
	if (reason == HC_IO_EXEC)
		e->h.image--; /* done by the program that was */
	hc_io_fill(e, t, s, reason);
	s->sent = s->last;
	s->sent_ops = s->ops_in + s->ops_out;
	hc_submit(e);
}

static __always_inline void hc_io_flush(struct task_struct *t, u32 reason)
{
	struct hc_io_table *tab = hc_io_of(t, false);

	if (!tab)
		return;
	for (int i = 0; i < HC_IO_SLOTS; i++) {
		if (hc_io_pending(&tab->slot[i]))
			hc_io_send(t, &tab->slot[i], reason);
		tab->slot[i].ino = 0;
		tab->slot[i].last = 0;
	}
	if (hc_old && reason == HC_IO_EXIT) {
		u32 tid = BPF_CORE_READ(t, pid);

		bpf_map_delete_elem(&hc_io, &tid);
	}
}

/*
 * Which slot an object has; with HC_IO_SLOTS added, which one to give it: a free one, else the one
 * used longest ago. A global function: the verifier checks it once and takes any answer.
 */
__noinline u32 hc_io_find(struct hc_io_table *tab, u64 ino, u32 dev, u32 gen)
{
	u64 oldest = ~0ULL;
	u32 victim = 0;

	if (!tab)
		return 0;
	for (int i = 0; i < HC_IO_SLOTS; i++) {
		struct hc_io_slot *s = &tab->slot[i];

		if (s->ino == ino && s->dev == dev && s->gen == gen)
			return i;
		if (s->last < oldest) { /* a free slot was last used at 0 */
			oldest = s->last;
			victim = i;
		}
	}
	return victim | HC_IO_SLOTS;
}

static __always_inline struct hc_io_slot *hc_io_slot(struct task_struct *t, struct hc_io_table *tab, struct hc_obj *o)
{
	u32 pick = hc_io_find(tab, o->ino, o->dev, o->gen);
	struct hc_io_slot *s = &tab->slot[pick & (HC_IO_SLOTS - 1)];

	if (!(pick & HC_IO_SLOTS))
		return s;
	if (hc_io_pending(s))
		hc_io_send(t, s, HC_IO_EVICT);
	__builtin_memset(s, 0, sizeof(*s));
	s->ino = o->ino;
	s->dev = o->dev;
	s->gen = o->gen;
	s->mode = o->mode;
	return s;
}

#define HC_IO_URING_METHOD 6 /* not a system call */
#define HC_IO_POSITIONED 2

/*
 * The memory of a process read or written through procfs: by its file "mem", its own too, which
 * no other check of the kernel's sees. Asked only at the first operation on an object.
 */
static __noinline int hc_io_mem(struct file *f, s64 ret, bool in, u32 method)
{
	struct inode *i = BPF_CORE_READ(f, f_inode);
	struct hc_access a = { .op = in ? 4 : 5, .size = ret, .ret = ret, .wake = true };
	struct pid *pid;
	u32 name = 0;

	bpf_probe_read_kernel(&name, sizeof(name), BPF_CORE_READ(f, f_path.dentry, d_name.name));
	if (name != 0x6d656d) /* "mem" */
		return 0;
	bpf_probe_read_kernel(&pid, sizeof(pid), (void *)i - bpf_core_field_offset(struct proc_inode, vfs_inode) + bpf_core_field_offset(struct proc_inode, pid));
	if (!pid)
		return 0;
	a.target = hc_pid_task(pid);
	a.nr = hc_upid(pid, 0).nr;
	if (method == HC_IO_POSITIONED)
		a.addr = hc_arg(3);
	else if (!method)
		a.addr = BPF_CORE_READ(f, f_pos) - ret;
	return hc_access_row(&a);
}

/* Memory that was reached by a thread of which nothing else is told. What does not fit pushes out
 * what was told longest ago, which is then told again. */
struct hc_reached {
	u64 ino, start;
	u32 tid, dir;
};
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct hc_reached);
	__type(value, u32);
} hc_reached SEC(".maps");

/*
 * Whose transfers are not wanted may still reach into the memory of the recorder, or of the recorded
 * command: true when that is to be told, once for each thread and direction. Nothing is counted.
 */
static __noinline int hc_io_reaches(struct file *f, bool in)
{
	struct task_struct *t = hc_current();
	struct hc_reached k = { .dir = in };
	u32 name = 0, one = 1;

	if (bpf_get_current_pid_tgid() >> 32 == hc_self || BPF_CORE_READ(f, f_inode, i_sb, s_magic) != PROC_SUPER_MAGIC)
		return 0;
	bpf_probe_read_kernel(&name, sizeof(name), BPF_CORE_READ(f, f_path.dentry, d_name.name));
	if (name != 0x6d656d) /* "mem" */
		return 0;
	k.ino = BPF_CORE_READ(f, f_inode, i_ino);
	k.tid = HC_T(t, pid);
	k.start = HC_T(t, start_boottime);
	if (bpf_map_lookup_elem(&hc_reached, &k))
		return 0;
	bpf_map_update_elem(&hc_reached, &k, &one, BPF_ANY);
	return 1;
}

/* One transfer of ret bytes to or from a file, by the running task, through a descriptor or -1. */
static __noinline int hc_io_file(struct file *f, int fd, s64 ret, bool in, u32 method)
{
	u32 type = in ? HC_READ : HC_WRITE;
	struct task_struct *t = hc_current();
	struct hc_io_table *tab;
	struct hc_io_slot *s;
	struct hc_ev_read *e; /* read and write have one shape */
	struct hc_buf *b;
	struct hc_obj o;
	bool first;
	u64 now;

	if (ret <= 0)
		return 0;
	if (hc_skip_both(type, HC_IO))
		return (hc_scoped || hc_selecting) && hc_io_reaches(f, in) ? hc_io_mem(f, ret, in, method) : 0;
	hc_file_inode(&o, f);
	/* sockets are seen where they send and receive; eventfds and their like carry no data of note */
	if (!(o.mode & S_IFMT) || (o.mode & S_IFMT) == S_IFSOCK)
		return 0;
	tab = hc_io_of(hc_trusted(), true);
	if (!tab) {
		hc_count(HC_BUSY, type);
		return 0;
	}
	s = hc_io_slot(t, tab, &o);
	now = bpf_ktime_get_boot_ns();
	if (!s->t0)
		s->t0 = now;
	s->last = now;
	s->methods |= 1 << method;
	if (in) {
		first = !s->ops_in;
		s->ops_in++;
		s->in += ret;
		s->last_in = now;
	} else {
		first = !s->ops_out;
		s->ops_out++;
		s->out += ret;
		s->last_out = now;
	}
	if (!first) {
		if (now - (s->sent ?: s->t0) >= HC_IO_INTERVAL)
			hc_io_send(t, s, HC_IO_TICK);
		if (!hc_forensic)
			return 0;
	}
	if ((hc_has_cast ? HC_READ(true, f, f_inode, i_sb, s_magic) : BPF_CORE_READ(f, f_inode, i_sb, s_magic)) == PROC_SUPER_MAGIC)
		hc_io_mem(f, ret, in, method);
	if (hc_unselected(type))
		return 0;
	b = hc_get_buf(type, sizeof(*e));
	if (!b)
		return 0;
	e = (void *)b->data;
	hc_zero(e);
	hc_head(&e->h, type, method == HC_IO_URING_METHOD ? HC_F_IO_URING : 0, ret);
	hc_set_obj(e, &o);
	e->fd = fd;
	e->method = method;
	e->offset = BPF_CORE_READ(f, f_pos);
	e->thread_start = HC_T(t, start_boottime);
	e->period = s->t0;
	if ((o.mode & S_IFMT) != S_IFIFO)
		hc_put_file_path(b, &e->path, type, f);
	if (hc_send(b, false, type) && first)
		s->sent_ops++; /* the totals of the forensic profile are sent as those of the others */
	return 0;
}

/* The same through a descriptor of the running task. */
static __always_inline int hc_io_op(int fd, s64 ret, bool in, u32 method)
{
	struct file *f;

	if (ret <= 0)
		return 0;
	f = hc_file(fd);
	return f ? hc_io_file(f, fd, ret, in, method) : 0;
}

#endif
