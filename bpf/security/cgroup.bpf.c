// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * Life of cgroups, of both versions, from the kernel's tracepoints: cgroup and path are its own.
 * They run in the context of whoever writes to the cgroup file system. A process born into another
 * cgroup (CLONE_INTO_CGROUP) moves without them: its own rows carry the cgroup. The frozen state of
 * version 1 has no tracepoint, nor has the killing of a cgroup, which shows as signals.
 */
#include "host.h"
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct cgroup_root___host {
	int hierarchy_id;
};
struct cgroup___host {
	struct kernfs_node *kn;
	int level;
	struct cgroup_root___host *root;
};
#pragma clang attribute pop

enum { MADE = 1, REMOVED, RENAMED, MOVED, FROZEN, THAWED };

static __always_inline int told(u32 op, void *cgroup, const char *path, struct task_struct *t, bool whole)
{
	struct cgroup___host *c = cgroup;
	struct hc_ev_cgroup *e;
	struct hc_buf *b;

	if (hc_skip(HC_CGROUP))
		return 0;
	b = hc_get_buf(HC_CGROUP, sizeof(*e));
	if (!b)
		return 0;
	e = (void *)b->data;
	hc_zero(e);
	hc_head(&e->h, HC_CGROUP, t && !whole ? HC_F_THREAD : 0, 0);
	e->op = op;
	e->cgroup_id = BPF_CORE_READ(c, kn, id);
	e->level = BPF_CORE_READ(c, level);
	e->hierarchy = BPF_CORE_READ(c, root, hierarchy_id);
	hc_set_target(e, t);
	hc_put_kernel_str(b, &e->path, HC_CGROUP, path);
	if (e->path.len == 1023) { /* the kernel's own limit here */
		e->path.mark = 1;
		hc_count(HC_TRUNCATED, HC_CGROUP);
	}
	hc_send(b, false, HC_CGROUP);
	return 0;
}

SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(hc_cgroup_mkdir, struct cgroup *c, const char *path) { return told(MADE, c, path, NULL, false); }
SEC("tp_btf/cgroup_rmdir")
int BPF_PROG(hc_cgroup_rmdir, struct cgroup *c, const char *path) { return told(REMOVED, c, path, NULL, false); }
SEC("tp_btf/cgroup_rename")
int BPF_PROG(hc_cgroup_rename, struct cgroup *c, const char *path) { return told(RENAMED, c, path, NULL, false); }
SEC("tp_btf/cgroup_attach_task")
int BPF_PROG(hc_cgroup_attach, struct cgroup *c, const char *path, struct task_struct *t, bool whole) { return told(MOVED, c, path, t, whole); }
SEC("tp_btf/cgroup_freeze")
int BPF_PROG(hc_cgroup_freeze, struct cgroup *c, const char *path) { return told(FROZEN, c, path, NULL, false); }
SEC("tp_btf/cgroup_unfreeze")
int BPF_PROG(hc_cgroup_thaw, struct cgroup *c, const char *path) { return told(THAWED, c, path, NULL, false); }
