// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * The witness of changed files: a page of a file became dirty in the context of whoever changed
 * it, by whatever way it was changed. Stores to shared mappings are seen by nothing else; a
 * change made by a call for which we have no row is seen here as well.
 *
 * The tracepoint fires when a clean page, or a run of pages that the kernel keeps as one, becomes
 * dirty: of many stores to it between two writebacks (5 to 30 seconds) only the first is seen. It
 * fires for file systems that write back to something: not for tmpfs, memory files and System V
 * memory. Direct writes make no page dirty. What kernel threads write back or do for others is
 * left out. Pages are counted up to the last row: what follows it within a second waits for the
 * thread to dirty one more.
 */
#include "../include/path.h"
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

#define DIRTY_INTERVAL 1000000000ULL

struct dirtied_key {
	u64 ino;
	u32 dev, gen;
	u32 tid, pad;
};
struct dirtied {
	u64 t0, told; /* told: when a row was last made */
	u64 start;    /* of the thread: numbers are used again */
	u32 pages, pad;
};
/* Who dirtied what lately. One that is pushed out begins anew: a row more, and never one less. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct dirtied_key);
	__type(value, struct dirtied);
} hc_dirtied SEC(".maps");

/* The number of the system call the task is in; -1 in a fault of the program's own instruction. */
static __always_inline s64 call(void)
{
	struct pt_regs *r;

	if (hc_has_regs) {
		r = (struct pt_regs *)bpf_task_pt_regs(hc_trusted());
#if defined(__TARGET_ARCH_x86)
		return r->orig_ax;
#else
		return r->syscallno;
#endif
	}
	r = BPF_CORE_READ((struct task_struct *)bpf_get_current_task(), stack) + HC_STACK_SIZE - bpf_core_type_size(struct pt_regs);
#if defined(__TARGET_ARCH_x86)
	return BPF_CORE_READ(r, orig_ax);
#else
	return BPF_CORE_READ(r, syscallno);
#endif
}

/* Calls whose rows tell what they wrote, and where. Numbers of the 32-bit table that mean the
 * same as one of these are of calls that dirty nothing. */
static __always_inline bool explained(s64 nr)
{
#if defined(__TARGET_ARCH_x86)
	switch (nr) {
	case 1:   /* write */
	case 18:  /* pwrite64 */
	case 20:  /* writev */
	case 40:  /* sendfile */
	case 275: /* splice */
	case 296: /* pwritev */
	case 326: /* copy_file_range */
	case 328: /* pwritev2 */
		return true;
	}
#else
	switch (nr) {
	case 64:
	case 66:
	case 68:
	case 70:
	case 71:
	case 76:
	case 285:
	case 287:
		return true;
	}
#endif
	return false;
}

static __noinline int dirtied(struct inode *i)
{
	struct task_struct *t = hc_current();
	struct dirtied_key k = {};
	struct dirtied *d, first = {};
	struct hc_ev_dirty *e;
	struct hlist_node *alias;
	struct hc_buf *b;
	struct hc_obj o;
	u64 now;

	if (HC_T(t, flags) & PF_KTHREAD || hc_skip(HC_DIRTY))
		return 0;
	hc_inode(&o, i);
	k.ino = o.ino;
	k.dev = o.dev;
	k.gen = o.gen;
	k.tid = HC_T(t, pid);
	now = bpf_ktime_get_boot_ns();
	d = bpf_map_lookup_elem(&hc_dirtied, &k);
	if (!d || d->start != HC_T(t, start_boottime)) {
		first.t0 = now;
		first.start = HC_T(t, start_boottime);
		bpf_map_update_elem(&hc_dirtied, &k, &first, BPF_ANY);
		d = bpf_map_lookup_elem(&hc_dirtied, &k);
		if (!d)
			d = &first;
	}
	d->pages++; /* the thread's own */
	if (d->told && now - d->told < DIRTY_INTERVAL)
		return 0;
	d->told = now;
	b = hc_get_buf(HC_DIRTY, sizeof(*e));
	if (!b)
		return 0;
	e = (void *)b->data;
	hc_zero(e);
	hc_head(&e->h, HC_DIRTY, 0, 0);
	hc_set_obj(e, &o);
	e->t0 = d->t0;
	e->pages = d->pages;
	alias = BPF_CORE_READ(i, i_dentry.first);
	if (alias) {
		u32 from = b->at;

		e->path.mark = hc_walk(b, (u64)alias - bpf_core_field_offset(struct dentry, d_u), 0);
		e->path.len = e->path.full = b->at - from;
	}
	hc_send(b, false, HC_DIRTY);
	return 0;
}

/*
 * A file system's own records (directories, block maps) are pages of the device or of nameless
 * inodes, and are left out: of a device only what is stored through a mapping of it is told.
 */
static __always_inline int dirty(struct address_space *mapping)
{
	s64 nr = call();
	struct inode *i, *untyped;
	u32 kind;

	if (explained(nr) || !mapping)
		return 0;
	i = mapping->host;
	if (!i)
		return 0;
	kind = i->i_mode & S_IFMT;
	if (kind != S_IFREG && (kind != S_IFBLK || nr != -1))
		return 0;
	/* what follows reads it by probing, which not every verifier lets a typed pointer do */
	bpf_probe_read_kernel(&untyped, sizeof(untyped), &i);
	return dirtied(untyped);
}

SEC("tp_btf/writeback_dirty_folio")
int BPF_PROG(hc_dirty, struct folio *folio, struct address_space *mapping)
{
	return dirty(mapping);
}

/* Its name before 5.18. */
SEC("tp_btf/writeback_dirty_page")
int BPF_PROG(hc_dirty_old, struct page *page, struct address_space *mapping)
{
	return dirty(mapping);
}
