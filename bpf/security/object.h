/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/* Objects of bpf: from a descriptor to what the kernel knows of a program, map or link. */
#ifndef HC_OBJECT_H
#define HC_OBJECT_H

#include "host.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct bpf_prog_aux {
	u32 id;
	char name[16];
};
struct bpf_prog {
	enum bpf_prog_type type;
	enum bpf_attach_type expected_attach_type;
	u8 tag[8];
	struct bpf_prog_aux *aux;
};
struct bpf_map {
	enum bpf_map_type map_type;
	u32 id;
	char name[16];
};
struct bpf_link {
	u32 id;
	enum bpf_link_type type;
	struct bpf_prog *prog;
};
struct btf {
	u32 id;
};
#pragma clang attribute pop

#define HC_BPF_ON_PERF 1001 /* in place of a command: a program put on a perf event by ioctl */

enum { PROG = 1, MAP, LINK, TYPES }; /* object */

/* Ids of what the recorder made: object << 32 | id. Written by the recorder once it has loaded. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, u64);
	__type(value, u32);
} hc_own SEC(".maps");

static __always_inline bool mine(u32 object, u32 id)
{
	u64 key = (u64)object << 32 | id;

	return id && bpf_map_lookup_elem(&hc_own, &key);
}

struct seen {
	u32 object, id, kind, attach, prog;
	u64 tag;
	const void *name; /* the kernel's */
};

static __always_inline void see_prog(struct seen *s, struct bpf_prog *p)
{
	u64 tag = 0;

	s->name = (void *)BPF_CORE_READ(p, aux) + bpf_core_field_offset(struct bpf_prog_aux, name);
	bpf_probe_read_kernel(&tag, sizeof(tag), (void *)p + bpf_core_field_offset(struct bpf_prog, tag));
	s->tag = __builtin_bswap64(tag);
	s->prog = BPF_CORE_READ(p, aux, id);
}

/* What the descriptor leads to; an object of 0 when it is nothing of bpf. */
static __noinline int see(struct seen *s, int fd)
{
	struct file *f = hc_file(fd);
	void *p;

	if (!f || !s)
		return 0;
	p = BPF_CORE_READ(f, private_data);
	if (hc_anon(f, "bpf-prog")) {
		struct bpf_prog *prog = p;

		see_prog(s, prog);
		s->object = PROG;
		s->id = s->prog;
		s->prog = 0;
		s->kind = BPF_CORE_READ(prog, type);
		s->attach = BPF_CORE_READ(prog, expected_attach_type);
	} else if (hc_anon(f, "bpf-map")) {
		struct bpf_map *map = p;

		s->object = MAP;
		s->id = BPF_CORE_READ(map, id);
		s->kind = BPF_CORE_READ(map, map_type);
		s->name = p + bpf_core_field_offset(struct bpf_map, name);
	} else if (hc_anon(f, "bpf_link") || hc_anon(f, "bpf-link")) {
		struct bpf_link *link = p;
		struct bpf_prog *prog = BPF_CORE_READ(link, prog);

		s->object = LINK;
		s->id = BPF_CORE_READ(link, id);
		s->kind = BPF_CORE_READ(link, type);
		if (prog)
			see_prog(s, prog);
	} else if (hc_anon(f, "btf")) {
		s->object = TYPES;
		s->id = BPF_CORE_READ((struct btf *)p, id);
	}
	return 0;
}

/* The id of the program behind a descriptor, 0 for none. */
static __noinline u32 prog_of(int fd)
{
	struct file *f = hc_file(fd);
	struct bpf_prog *p;

	if (!f || !hc_anon(f, "bpf-prog"))
		return 0;
	p = BPF_CORE_READ(f, private_data);
	return BPF_CORE_READ(p, aux, id);
}

/* Fills the fields of a row that tell which object it is about. */
static __always_inline void hc_set_seen(struct hc_ev_bpf *e, const struct seen *s, bool own)
{
	e->object = s->object;
	e->bpf_id = s->id;
	e->kind = s->kind;
	e->attach_type = s->attach;
	e->tag = s->tag;
	e->prog_id = s->prog;
	e->own = own;
}

#endif
