// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * The mappings that were there: files mapped executable, and files mapped so that stores change
 * them. An iterator as those in snapshot.bpf.c, with a buffer of its own. Kernel 5.12 on. A
 * mapping made while the walk is under way is told here and by its own row: the address says
 * that they are one.
 */
/* A record of an iterator must fit the kernel's buffer of eight pages, or the whole walk fails. */
#define HC_PATH 8192
#include "../include/stores.h"
#include "../include/sock.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct hc_buf);
} hc_vma_scratch SEC(".maps");

#define START 8 /* of the record; its length stands right before it */
#define MAP_SHARED 1
#define MAP_PRIVATE 2

/* mmap_exec and mmap_write have one shape. */
static __always_inline int row(struct bpf_iter__task_vma *ctx, struct task_struct *t, struct vm_area_struct *vma, struct file *f,
			       u32 type, u32 flags)
{
	struct hc_ev_mmap_exec *e;
	struct hc_buf *b;
	struct hc_obj o;
	u32 zero = 0, len;

	_Static_assert(sizeof(*e) == sizeof(struct hc_ev_mmap_write), "one shape");
	b = bpf_map_lookup_elem(&hc_vma_scratch, &zero);
	if (!b)
		return 0;
	if (__sync_lock_test_and_set(&b->busy, 1)) {
		/* a second run of the same iterator: its caller broke the rule */
		hc_count(HC_SEEN, type);
		hc_count(HC_NESTED, type);
		return 0;
	}
	b->at = START + sizeof(*e);
	e = (void *)(b->data + START);
	hc_zero(e);
	hc_head_task(&e->h, t, type, HC_F_SNAPSHOT, 0);
	e->h.cgroup = hc_task_cgroup(t);
	hc_inode(&o, BPF_CORE_READ(f, f_inode));
	hc_set_obj(e, &o);
	e->prot = flags & 7;
	e->map_flags = flags & VM_SHARED ? MAP_SHARED : MAP_PRIVATE;
	e->addr = BPF_CORE_READ(vma, vm_start);
	e->length = BPF_CORE_READ(vma, vm_end) - e->addr;
	e->offset = BPF_CORE_READ(vma, vm_pgoff) * hc_page_size;
	hc_put_file_path(b, &e->path, type, f);
	len = b->at - START + 4;
	*(u32 *)(b->data + START - 4) = b->at - START;
	if (len <= HC_BUF_SIZE - START)
		bpf_seq_write(ctx->meta->seq, b->data + START - 4, len);
	b->busy = 0;
	return 0;
}

SEC("iter/task_vma")
int hc_iter_vma(struct bpf_iter__task_vma *ctx)
{
	struct task_struct *t = ctx->task;
	struct vm_area_struct *vma = ctx->vma;
	struct file *f;
	u64 flags;
	u32 tgid;

	if (!t || !vma)
		return 0;
	tgid = t->tgid;
	if (t->pid != tgid || tgid == hc_self || (hc_scoped && !bpf_map_lookup_elem(&hc_scope, &tgid)))
		return 0;
	f = BPF_CORE_READ(vma, vm_file);
	if (!f)
		return 0;
	flags = BPF_CORE_READ(vma, vm_flags);
	if (flags & VM_EXEC && hc_selected_of(HC_MMAP_EXEC, tgid, 0))
		row(ctx, t, vma, f, HC_MMAP_EXEC, flags);
	if (flags & VM_SHARED) { /* of a file opened for writing, so that it may be made writable */
		if (!hc_stores_add(tgid, BPF_CORE_READ(vma, vm_start), BPF_CORE_READ(vma, vm_end)))
			hc_count(HC_MAP_FULL, HC_UNMAP);
		if (flags & VM_WRITE && hc_selected_of(HC_MMAP_WRITE, tgid, 0))
			row(ctx, t, vma, f, HC_MMAP_WRITE, flags);
	}
	return 0;
}
