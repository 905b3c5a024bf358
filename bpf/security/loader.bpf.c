// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * The module loader's own word, whoever asked for the load and by whatever call: the kernel
 * itself too (request_module runs a helper, whose rows these are). module_load fires before the
 * module's first instruction runs, module_free before its memory goes; in an object of their own
 * because a kernel without modules refuses them. What a module already loaded does is not seen.
 */
#include "host.h"
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct module {
	char name[56];
};
#pragma clang attribute pop

static __always_inline int told(u32 op, struct module *m)
{
	struct hc_ev_module *e;
	struct hc_buf *b;

	if (hc_skip(HC_MODULE))
		return 0;
	b = hc_get_buf(HC_MODULE, sizeof(*e));
	if (!b)
		return 0;
	e = (void *)b->data;
	hc_zero(e);
	hc_head(&e->h, HC_MODULE, HC_F_CRITICAL | HC_F_KERNEL_NAMES, 0);
	e->op = op;
	hc_put_kernel_str(b, &e->name, HC_MODULE, m->name);
	hc_send_now(b, HC_MODULE);
	return 0;
}

SEC("tp_btf/module_load")
int BPF_PROG(hc_module_load, struct module *m) { return told(4, m); }
SEC("tp_btf/module_free")
int BPF_PROG(hc_module_free, struct module *m) { return told(7, m); }
