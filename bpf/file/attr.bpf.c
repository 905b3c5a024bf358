// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * Attributes and space of files: extended attributes, times, fallocate. As in
 * names.bpf.c a name is what the program's memory held as the call ended; a descriptor leads to
 * the kernel's object. Access control lists set with chmod-like calls pass here as extended
 * attributes. Times that reading and writing change of themselves are no event.
 */
#include "../include/name.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

enum { SETXATTR = 1, REMOVEXATTR = 2, TIMES = 3, FALLOCATE = 4, INODE_XFLAGS = 6 };

static __always_inline int by_name(struct hc_sys_exit *ctx, u32 op, int dfd, u64 path, u32 at, u64 name, u64 size, u64 flags)
{
	BEGIN(attr, HC_ATTR);
	e->op = op;
	e->size = size;
	e->attr_flags = flags;
	e->atime = e->mtime = -1;
	EMPTY(at, dfd, path);
	NAME(path, HC_ATTR, dfd, path);
	if (name)
		hc_put_user_str(b, &e->name, HC_ATTR, (void *)name);
	hc_send(b, false, HC_ATTR);
	return 0;
}

static __always_inline int by_fd(struct hc_sys_exit *ctx, u32 op, int fd, u64 name, u64 size, u64 flags, u64 offset)
{
	BEGIN(attr, HC_ATTR);
	e->op = op;
	e->size = size;
	e->attr_flags = flags;
	e->offset = offset;
	e->atime = e->mtime = -1;
	OBJECT(HC_ATTR, fd);
	if (name)
		hc_put_user_str(b, &e->name, HC_ATTR, (void *)name);
	hc_send(b, false, HC_ATTR);
	return 0;
}

PROG(setxattr) { return by_name(ctx, SETXATTR, AT_FDCWD, hc_arg(0), 0, hc_arg(1), hc_arg(3), hc_arg(4)); }
PROG(lsetxattr) { return by_name(ctx, SETXATTR, AT_FDCWD, hc_arg(0), 0, hc_arg(1), hc_arg(3), hc_arg(4)); }
PROG(fsetxattr) { return by_fd(ctx, SETXATTR, hc_arg(0), hc_arg(1), hc_arg(3), hc_arg(4), 0); }
PROG(removexattr) { return by_name(ctx, REMOVEXATTR, AT_FDCWD, hc_arg(0), 0, hc_arg(1), 0, 0); }
PROG(lremovexattr) { return by_name(ctx, REMOVEXATTR, AT_FDCWD, hc_arg(0), 0, hc_arg(1), 0, 0); }
PROG(fremovexattr) { return by_fd(ctx, REMOVEXATTR, hc_arg(0), hc_arg(1), 0, 0, 0); }

/* Kernel 6.13 on. Size and flags lie in memory: claimed. */
PROG(setxattrat)
{
	struct {
		u64 value;
		u32 size, flags;
	} a = {};

	bpf_probe_read_user(&a, sizeof(a), (void *)hc_arg(4));
	return by_name(ctx, SETXATTR, hc_arg(0), hc_arg(1), hc_arg(2), hc_arg(3), a.size, a.flags);
}
PROG(removexattrat) { return by_name(ctx, REMOVEXATTR, hc_arg(0), hc_arg(1), hc_arg(2), hc_arg(3), 0, 0); }

#define UTIME_NOW 0x3fffffff
#define UTIME_OMIT 0x3ffffffe

/* Two times as the call's structure has them: seconds, and parts of so many nanoseconds. */
static __always_inline bool times(s64 *atime, s64 *mtime, u64 p, u32 unit)
{
#ifdef HC_COMPAT
	s32 t[4];
#else
	s64 t[4];
#endif

	*atime = *mtime = 0;
	if (!p)
		return true;
	if (bpf_probe_read_user(t, sizeof(t), (void *)p)) {
		hc_count(HC_READ_FAULT, HC_ATTR);
		*atime = *mtime = -1;
		return false;
	}
	*atime = t[1] == UTIME_NOW ? 0 : t[1] == UTIME_OMIT ? -1 : t[0] * 1000000000LL + t[1] * unit;
	*mtime = t[3] == UTIME_NOW ? 0 : t[3] == UTIME_OMIT ? -1 : t[2] * 1000000000LL + t[3] * unit;
	return true;
}

static __always_inline int times_(struct hc_sys_exit *ctx, int dfd, u64 path, u64 p, u32 unit, u32 flags)
{
	BEGIN(attr, HC_ATTR);
	e->op = TIMES;
	e->attr_flags = flags;
	times(&e->atime, &e->mtime, p, unit);
	if (!path) { /* futimens */
		OBJECT(HC_ATTR, dfd);
	} else {
		EMPTY(flags, dfd, path);
		NAME(path, HC_ATTR, dfd, path);
	}
	hc_send(b, false, HC_ATTR);
	return 0;
}
PROG(utimensat) { return times_(ctx, hc_arg(0), hc_arg(1), hc_arg(2), 1, hc_arg(3)); }
PROG(futimesat) { return times_(ctx, hc_arg(0), hc_arg(1), hc_arg(2), 1000, 0); }
PROG(utimes) { return times_(ctx, AT_FDCWD, hc_arg(0), hc_arg(1), 1000, 0); }
PROG(utime)
{
	u64 p = hc_arg(1);
#ifdef HC_COMPAT
	s32 t[2] = {};
#else
	s64 t[2] = {};
#endif

	BEGIN(attr, HC_ATTR);
	e->op = TIMES;
	if (p && bpf_probe_read_user(t, sizeof(t), (void *)p)) {
		hc_count(HC_READ_FAULT, HC_ATTR);
		e->atime = e->mtime = -1;
	} else if (p) {
		e->atime = t[0] * 1000000000LL;
		e->mtime = t[1] * 1000000000LL;
	}
	NAME(path, HC_ATTR, AT_FDCWD, hc_arg(0));
	hc_send(b, false, HC_ATTR);
	return 0;
}

PROG(fallocate) { return by_fd(ctx, FALLOCATE, hc_arg(0), 0, hc_arg(3), hc_arg(1), hc_arg(2)); }

/* Inode flags by name, kernel 6.17 on: what ioctl does by descriptor. They lie in memory: claimed. */
PROG(file_setattr)
{
	u64 flags = 0;

	if (bpf_probe_read_user(&flags, sizeof(flags), (void *)hc_arg(2)))
		hc_count(HC_READ_FAULT, HC_ATTR);
	return by_name(ctx, INODE_XFLAGS, hc_arg(0), hc_arg(1), hc_arg(4), 0, 0, flags);
}
