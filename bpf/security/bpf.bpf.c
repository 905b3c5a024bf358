// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * The bpf call at its exit, where every object it made or named can be asked for through its
 * descriptor: program, map, link. Paths, tracepoint names and attach types are the program's.
 *
 * What only reads is left out, and so is what changes elements of maps, which some programs do
 * all the time; the forensic profile tells all of it. The recorder's own maps, programs and links
 * are the exception: whoever touches them is told in every profile and scope, with own set.
 * Programs put on a perf event by ioctl are told where ioctl is (hc_ioctl); those put on a socket by
 * setsockopt are not.
 */
#include "object.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* Younger than the headers that this is compiled with. */
#define BPF_TOKEN_CREATE 36

#define BIT(cmd_) (1ULL << (cmd_))
/* Commands that every profile tells, and those it tells of the recorder's own maps only. */
#define TOLD                                                                                          \
	(BIT(BPF_MAP_CREATE) | BIT(BPF_PROG_LOAD) | BIT(BPF_OBJ_PIN) | BIT(BPF_OBJ_GET) |             \
	 BIT(BPF_PROG_ATTACH) | BIT(BPF_PROG_DETACH) | BIT(BPF_PROG_GET_FD_BY_ID) |                   \
	 BIT(BPF_MAP_GET_FD_BY_ID) | BIT(BPF_RAW_TRACEPOINT_OPEN) | BIT(BPF_BTF_LOAD) |               \
	 BIT(BPF_BTF_GET_FD_BY_ID) | BIT(BPF_MAP_FREEZE) | BIT(BPF_LINK_CREATE) |                     \
	 BIT(BPF_LINK_UPDATE) | BIT(BPF_LINK_GET_FD_BY_ID) | BIT(BPF_ENABLE_STATS) |                  \
	 BIT(BPF_ITER_CREATE) | BIT(BPF_LINK_DETACH) | BIT(BPF_PROG_BIND_MAP) | BIT(BPF_TOKEN_CREATE))
#define CHANGES                                                                                       \
	(BIT(BPF_MAP_UPDATE_ELEM) | BIT(BPF_MAP_DELETE_ELEM) | BIT(BPF_MAP_LOOKUP_AND_DELETE_ELEM) |  \
	 BIT(BPF_MAP_LOOKUP_AND_DELETE_BATCH) | BIT(BPF_MAP_UPDATE_BATCH) | BIT(BPF_MAP_DELETE_BATCH))

HC_SYSCALL(bpf)
{
	u32 a[20] = {}; /* the head of union bpf_attr */
	u64 user = hc_arg(1), name = 0, path = 0;
	u32 cmd = hc_arg(0), n = hc_arg(2);
	s64 ret = ctx->ret;
	struct hc_ev_bpf *e;
	struct seen s = {};
	struct hc_buf *b;
	bool own, rare = true, asked = false;
	int fd = -1, prog = -1;

	if (cmd < 64 && TOLD >> cmd & 1)
		rare = true;
	else if (cmd < 64 && CHANGES >> cmd & 1)
		rare = false;
	else if (!hc_forensic)
		return 0;
	if (bpf_get_current_pid_tgid() >> 32 == hc_self) { /* before anything is looked at: it asks often */
		hc_count(HC_SELF, HC_BPF);
		return 0;
	}
	if (n > sizeof(a))
		n = sizeof(a);
	if (bpf_probe_read_user(a, n, (void *)user)) {
		hc_count(HC_READ_FAULT, HC_BPF);
		user = 0;
	}
	/* which descriptor leads to the object, and which to a program beside it */
	switch (cmd) {
	case BPF_PROG_LOAD:
		s.kind = a[0];
		s.attach = a[17];
		name = user + 48;
		fd = ret;
		break;
	case BPF_MAP_CREATE:
		s.kind = a[0];
		name = user + 28;
		fd = ret;
		break;
	case BPF_PROG_GET_FD_BY_ID:
	case BPF_MAP_GET_FD_BY_ID:
	case BPF_BTF_GET_FD_BY_ID:
	case BPF_LINK_GET_FD_BY_ID:
		s.object = cmd == BPF_PROG_GET_FD_BY_ID ? PROG : cmd == BPF_MAP_GET_FD_BY_ID ? MAP : cmd == BPF_LINK_GET_FD_BY_ID ? LINK : TYPES;
		s.id = a[0];
		fd = ret;
		break;
	case BPF_BTF_LOAD:
		fd = ret;
		break;
	case BPF_OBJ_GET:
		path = *(u64 *)a;
		fd = ret;
		break;
	case BPF_OBJ_PIN:
		path = *(u64 *)a;
		fd = a[2];
		break;
	case BPF_RAW_TRACEPOINT_OPEN:
		path = *(u64 *)a;
		fd = ret;
		prog = ret < 0 ? a[2] : -1;
		break;
	case BPF_LINK_CREATE:
		fd = ret;
		prog = ret < 0 ? a[0] : -1;
		asked = true;
		break;
	case BPF_LINK_UPDATE:
		fd = a[0];
		prog = a[1];
		break;
	case BPF_PROG_ATTACH:
	case BPF_PROG_DETACH:
		fd = a[1];
		asked = true;
		break;
	case BPF_PROG_BIND_MAP:
		fd = a[1];
		prog = a[0];
		break;
	case BPF_ENABLE_STATS:
		s.kind = a[0];
		break;
	case BPF_LINK_DETACH:
	case BPF_ITER_CREATE:
	case BPF_MAP_FREEZE:
	case BPF_MAP_UPDATE_ELEM:
	case BPF_MAP_DELETE_ELEM:
	case BPF_MAP_LOOKUP_AND_DELETE_ELEM:
	case BPF_MAP_LOOKUP_ELEM:
	case BPF_MAP_GET_NEXT_KEY:
	case BPF_PROG_TEST_RUN:
	case BPF_OBJ_GET_INFO_BY_FD:
		fd = a[0];
		break;
	case BPF_MAP_LOOKUP_BATCH:
	case BPF_MAP_LOOKUP_AND_DELETE_BATCH:
	case BPF_MAP_UPDATE_BATCH:
	case BPF_MAP_DELETE_BATCH:
		fd = a[9];
		break;
	}
	if (fd >= 0)
		see(&s, fd);
	if (prog >= 0)
		s.prog = prog_of(prog);
	if (asked)
		s.attach = a[2];
	own = mine(s.object, s.id) || mine(PROG, s.prog);
	if (!rare && !own && !hc_forensic)
		return 0;
	if (!own && hc_outside())
		return 0;
	b = hc_get_buf(HC_BPF, sizeof(*e));
	if (!b)
		return 0;
	e = (void *)b->data;
	hc_zero(e);
	hc_head(&e->h, HC_BPF, hc_told(ret), ret);
	e->cmd = cmd;
	hc_set_seen(e, &s, own);
	if (s.name)
		hc_put_kernel_str(b, &e->name, HC_BPF, s.name);
	else if (name && user)
		hc_put_user_str(b, &e->name, HC_BPF, (void *)name);
	hc_put_optional(b, &e->path, HC_BPF, path);
	hc_send_now(b, HC_BPF);
	return 0;
}
