// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * Mappings that matter: files mapped executable (libraries, and programs started through ld.so,
 * which exec alone does not show), files mapped so that stores change them, and memory made
 * executable in other ways. A store makes no call, so such a mapping is an interval, from its row
 * to that of its end; what was stored when is told by the witness in dirty.bpf.c.
 *
 * Reads through a mapping leave no trace. Mappings of a process are inherited by fork.
 */
#include "../include/stores.h"
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

#define MAP_SHARED 1
#define MAP_TYPE 0xf
#define MAP_SHARED_VALIDATE 3
#define MAP_FIXED 0x10
#define MAP_ANONYMOUS 0x20
#define MREMAP_DONTUNMAP 4
#define SHM_RDONLY 010000

/* A record with a mapping in it, as the call gave it. */
#define BEGIN(ev_, TYPE_)                                \
	struct hc_ev_##ev_ *e;                           \
	struct hc_buf *b = hc_get_buf(TYPE_, sizeof(*e)); \
	if (!b)                                          \
		return 0;                                \
	e = (void *)b->data;                             \
	hc_zero(e);                                      \
	hc_head(&e->h, TYPE_, 0, 0)

#define OBJECT(TYPE_, f_)                                \
	do {                                             \
		struct hc_obj o_;                        \
		hc_inode(&o_, BPF_CORE_READ(f_, f_inode)); \
		hc_set_obj(e, &o_);                      \
		hc_put_file_path(b, &e->path, TYPE_, f_); \
	} while (0)

static __always_inline bool failed(s64 ret)
{
	return ret < 0 && ret > -4096;
}

static __always_inline void noted(u64 lo, u64 len)
{
	if (!hc_stores_add(bpf_get_current_pid_tgid() >> 32, lo, lo + len))
		hc_count(HC_MAP_FULL, HC_UNMAP); /* its end will not be told */
}

static __noinline int unmapped(u64 lo, u64 len)
{
	struct hc_ev_unmap *e = hc_reserve(HC_UNMAP, sizeof(*e));

	if (!e) {
		hc_next_seq(false);
		return 0;
	}
	hc_zero(e);
	hc_head(&e->h, HC_UNMAP, 0, 0);
	e->addr = lo;
	e->length = len;
	hc_submit(e);
	return 0;
}

/* A range went away. Returns whether it held one of the ranges noted. */
static __noinline bool gone(u64 lo, u64 len)
{
	u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct hc_stores *s = bpf_map_lookup_elem(&hc_stores, &tgid);
	u64 page = hc_page_size;

	len = (len + page - 1) & ~(page - 1);
	if (!s || !hc_stores_touch(s, lo, lo + len, true) || hc_skip(HC_UNMAP))
		return false;
	unmapped(lo, len);
	return true;
}

/* What bpf_find_vma is to look for and to fill in. */
struct look {
	struct hc_buf *b;
	u64 addr;
	u32 flags; /* of the mapping found */
	u32 full;  /* take length and protection from it */
};

#define FROM_VMA(TYPE_)                                                                              \
	do {                                                                                         \
		e->map_flags = flags & VM_SHARED ? MAP_SHARED : 2 /* MAP_PRIVATE */;                 \
		if (l->full) {                                                                       \
			e->length = end - l->addr;                                                   \
			e->prot = flags & 7;                                                         \
		}                                                                                    \
		if (f) {                                                                             \
			e->offset = BPF_CORE_READ(vma, vm_pgoff) * hc_page_size + (l->addr - start);  \
			OBJECT(TYPE_, f);                                                            \
		} else {                                                                             \
			e->map_flags |= MAP_ANONYMOUS;                                               \
		}                                                                                    \
	} while (0)

static long fill_exec(struct task_struct *t, struct vm_area_struct *vma, struct look *l)
{
	struct file *f = BPF_CORE_READ(vma, vm_file);
	u64 start = BPF_CORE_READ(vma, vm_start), end = BPF_CORE_READ(vma, vm_end);
	u32 flags = BPF_CORE_READ(vma, vm_flags);
	struct hc_buf *b = l->b;
	struct hc_ev_mprotect *e = (void *)b->data;

	l->flags = flags;
	FROM_VMA(HC_MPROTECT);
	return 0;
}

static long fill_write(struct task_struct *t, struct vm_area_struct *vma, struct look *l)
{
	struct file *f = BPF_CORE_READ(vma, vm_file);
	u64 start = BPF_CORE_READ(vma, vm_start), end = BPF_CORE_READ(vma, vm_end);
	u32 flags = BPF_CORE_READ(vma, vm_flags);
	struct hc_buf *b = l->b;
	struct hc_ev_mmap_write *e = (void *)b->data;

	l->flags = flags;
	FROM_VMA(HC_MMAP_WRITE);
	return 0;
}

/*
 * The mapping at an address of the running task. bpf_find_vma came with bpf_loop, in 5.17; before,
 * and when another thread is just changing the mappings, the object stays unknown, and marked.
 */
#define FIND(ev_, TYPE_, fill_)                                                               \
	do {                                                                                  \
		long err_ = -1;                                                               \
		if (hc_has_loop)                                                              \
			err_ = bpf_find_vma(bpf_get_current_task_btf(), l.addr, fill_, &l, 0); \
		if (err_) {                                                                   \
			e->path.mark = 2;                                                     \
			hc_count(HC_READ_FAULT, TYPE_);                                       \
		}                                                                             \
	} while (0)

/* Memory that no mmap of a file made executable. Of several mappings in the range the first is named. */
static __noinline int executable(u64 addr, u64 len, u32 prot, u32 call)
{
	struct look l = { .addr = addr };

	if (hc_skip(HC_MPROTECT))
		return 0;
	BEGIN(mprotect, HC_MPROTECT);
	e->addr = addr;
	e->length = len;
	e->prot = prot;
	e->call = call;
	l.b = b;
	FIND(mprotect, HC_MPROTECT, fill_exec);
	hc_send(b, false, HC_MPROTECT);
	return 0;
}

/* A shared mapping of a file that is writable from now on, by another call than mmap. len 0: it
 * is as long as it is found to be. Returns its end, 0 when it is none. */
static __noinline u64 writable(u64 addr, u64 len, u32 prot)
{
	struct look l = { .addr = addr, .full = !len };
	struct hc_ev_mmap_write *e;
	struct hc_buf *b;
	u64 end;

	if (hc_skip(HC_MMAP_WRITE))
		return 0;
	b = hc_get_buf(HC_MMAP_WRITE, sizeof(*e));
	if (!b)
		return 0;
	e = (void *)b->data;
	hc_zero(e);
	e->addr = addr;
	e->length = len;
	e->prot = prot;
	l.b = b;
	FIND(mmap_write, HC_MMAP_WRITE, fill_write);
	if (e->path.mark != 2 && (l.flags & (VM_SHARED | VM_WRITE)) != (VM_SHARED | VM_WRITE)) {
		hc_drop_buf(b);
		return 0;
	}
	hc_head(&e->h, HC_MMAP_WRITE, 0, 0); /* takes a number: only of what is sent */
	end = addr + e->length;
	hc_send(b, false, HC_MMAP_WRITE);
	return end;
}

static __always_inline int mapped_exec(struct file *f, s64 ret, u32 prot, u32 flags)
{
	BEGIN(mmap_exec, HC_MMAP_EXEC);
	e->prot = prot;
	e->map_flags = flags;
	e->addr = ret;
	e->length = hc_arg(1);
	e->offset = hc_arg(5) * HC_MMAP_UNIT;
	OBJECT(HC_MMAP_EXEC, f);
	hc_send(b, false, HC_MMAP_EXEC);
	return 0;
}

static __always_inline int mapped_write(struct file *f, s64 ret, u32 prot, u32 flags)
{
	BEGIN(mmap_write, HC_MMAP_WRITE);
	e->prot = prot;
	e->map_flags = flags;
	e->addr = ret;
	e->length = hc_arg(1);
	e->offset = hc_arg(5) * HC_MMAP_UNIT;
	OBJECT(HC_MMAP_WRITE, f);
	hc_send(b, false, HC_MMAP_WRITE);
	return 0;
}

/*
 * Private mappings that are not executable, nearly all of them, are let go after a look at two
 * numbers. A shared one that only reads, of a file opened for writing, is noted: mprotect can
 * make it writable later. Memory shared with children alone (MAP_ANONYMOUS) is no file's.
 */
HC_SYSCALL(mmap)
{
	u32 prot, flags, type;
	struct file *f;
	bool shared;

	if (failed(ctx->ret))
		return 0;
	prot = hc_arg(2);
	flags = hc_arg(3);
	if (flags & MAP_FIXED)
		gone(ctx->ret, hc_arg(1)); /* what was there before */
	if (flags & MAP_ANONYMOUS)
		return prot & PROT_EXEC ? executable(ctx->ret, hc_arg(1), prot, ctx->nr) : 0;
	type = flags & MAP_TYPE;
	shared = type == MAP_SHARED || type == MAP_SHARED_VALIDATE;
	if (!shared && !(prot & PROT_EXEC))
		return 0;
	if (hc_skip(prot & PROT_EXEC ? HC_MMAP_EXEC : HC_MMAP_WRITE))
		return 0;
	f = hc_file(hc_arg(4));
	if (!f)
		return 0;
	if (prot & PROT_EXEC)
		mapped_exec(f, ctx->ret, prot, flags);
	if (shared && BPF_CORE_READ(f, f_mode) & FMODE_WRITE) {
		u64 len = hc_arg(1), page = hc_page_size;

		noted(ctx->ret, (len + page - 1) & ~(page - 1));
		if (prot & PROT_WRITE)
			mapped_write(f, ctx->ret, prot, flags);
	}
	return 0;
}

static __always_inline int protected(u64 addr, u64 len, u32 prot, u32 call)
{
	u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct hc_stores *s;
	u64 page = hc_page_size;

	len = (len + page - 1) & ~(page - 1);
	if (!len)
		return 0;
	if (prot & PROT_EXEC)
		executable(addr, len, prot, call);
	if (prot & PROT_WRITE) {
		s = bpf_map_lookup_elem(&hc_stores, &tgid);
		if (s && hc_stores_touch(s, addr, addr + len, false))
			writable(addr, len, prot);
	}
	return 0;
}
HC_SYSCALL(mprotect) { return ctx->ret ? 0 : protected(hc_arg(0), hc_arg(1), hc_arg(2), ctx->nr); }
HC_SYSCALL(pkey_mprotect) { return ctx->ret ? 0 : protected(hc_arg(0), hc_arg(1), hc_arg(2), ctx->nr); }

HC_SYSCALL(munmap)
{
	if (!ctx->ret)
		gone(hc_arg(0), hc_arg(1));
	return 0;
}

/* True for an address in a range noted. */
static __always_inline bool within(u64 addr)
{
	u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct hc_stores *s = bpf_map_lookup_elem(&hc_stores, &tgid);

	return s && hc_stores_touch(s, addr, addr + 1, false);
}

/* A range noted that moved, grew or shrank: one interval ends and another begins. With an old
 * length of 0 it stays, and another mapping of the same pages begins. */
HC_SYSCALL(mremap)
{
	u64 len = hc_arg(2), page = hc_page_size;

	if (failed(ctx->ret))
		return 0;
	if (hc_arg(1) ? !gone(hc_arg(0), hc_arg(1)) : !within(hc_arg(0)))
		return 0;
	len = (len + page - 1) & ~(page - 1);
	noted(ctx->ret, len);
	writable(ctx->ret, len, PROT_WRITE | 1);
	if (hc_arg(1) && hc_arg(3) & MREMAP_DONTUNMAP) {
		noted(hc_arg(0), hc_arg(1));
		writable(hc_arg(0), hc_arg(1), PROT_WRITE | 1);
	}
	return 0;
}

/* System V memory is a file of the kernel's own: its inode number is the segment's id. */
HC_SYSCALL(shmat)
{
	u64 end;

	if (failed(ctx->ret) || hc_arg(2) & SHM_RDONLY)
		return 0;
	end = writable(ctx->ret, 0, PROT_WRITE | 1);
	if (end)
		noted(ctx->ret, end > ctx->ret ? end - ctx->ret : hc_page_size);
	return 0;
}

/* When the range was not remembered its length is 0: all that was attached at the address. */
HC_SYSCALL(shmdt)
{
	u32 tgid = bpf_get_current_pid_tgid() >> 32;
	u64 addr = hc_arg(0), len = 0;
	struct hc_stores *s;

	if (ctx->ret)
		return 0;
	s = bpf_map_lookup_elem(&hc_stores, &tgid);
	if (!s)
		return 0;
	for (int i = 0; i < HC_RANGES; i++)
		if (s->used[i] && s->lo[i] == addr)
			len = s->hi[i] - addr;
	if (len)
		gone(addr, len);
	else if (s->many && !hc_skip(HC_UNMAP))
		unmapped(addr, 0);
	return 0;
}

/* Ranges are inherited by a child that gets its own copy of the memory. */
SEC("tp_btf/sched_process_fork")
int BPF_PROG(hc_stores_fork, struct task_struct *parent, struct task_struct *child)
{
	u32 from = parent->tgid, to = child->tgid;
	struct hc_stores *s;

	if (from == to || parent->mm == child->mm)
		return 0;
	s = bpf_map_lookup_elem(&hc_stores, &from);
	if (s && bpf_map_update_elem(&hc_stores, &to, s, BPF_ANY))
		hc_count(HC_MAP_FULL, HC_UNMAP);
	return 0;
}

/* Exec and the end of the process end them all. */
SEC("tp_btf/sched_process_exec")
int BPF_PROG(hc_stores_exec, struct task_struct *t)
{
	u32 tgid = t->tgid;

	bpf_map_delete_elem(&hc_stores, &tgid);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(hc_stores_exit, struct task_struct *t)
{
	u32 tgid = t->tgid;

	if (t->signal->live.counter == 0)
		bpf_map_delete_elem(&hc_stores, &tgid);
	return 0;
}
