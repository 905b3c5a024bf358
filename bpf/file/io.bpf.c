// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * Reads and writes by system call. What the kernel moved (ret) is counted against the object the
 * descriptor leads to as the call ends. See include/io.h for what is sent when. Not seen here:
 * stores to shared mappings, io_uring, 32-bit calls.
 */
#include "../include/io.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

enum { PLAIN, VECTOR, POSITIONED, SENDFILE, SPLICE, COPY };

#define IN(name, method)                                         \
	HC_SYSCALL(name)                                         \
	{                                                        \
		if (ctx->ret <= 0)                               \
			return 0;                                \
		return hc_io_op(hc_arg(0), ctx->ret, true, method); \
	}
#define OUT(name, method)                                        \
	HC_SYSCALL(name)                                         \
	{                                                        \
		if (ctx->ret <= 0)                               \
			return 0;                                \
		return hc_io_op(hc_arg(0), ctx->ret, false, method); \
	}
/* from one descriptor to another: a read of the one and a write of the other */
#define BOTH(name, from, to, method)                             \
	HC_SYSCALL(name)                                         \
	{                                                        \
		if (ctx->ret <= 0)                               \
			return 0;                                \
		hc_io_op(hc_arg(from), ctx->ret, true, method);  \
		return hc_io_op(hc_arg(to), ctx->ret, false, method); \
	}

IN(read, PLAIN)
IN(readv, VECTOR)
IN(pread64, POSITIONED)
IN(preadv, POSITIONED)
IN(preadv2, POSITIONED)
OUT(write, PLAIN)
OUT(writev, VECTOR)
OUT(pwrite64, POSITIONED)
OUT(pwritev, POSITIONED)
OUT(pwritev2, POSITIONED)
OUT(vmsplice, SPLICE)
BOTH(sendfile64, 1, 0, SENDFILE)
BOTH(splice, 0, 2, SPLICE)
BOTH(tee, 0, 1, SPLICE)
BOTH(copy_file_range, 0, 2, COPY)
