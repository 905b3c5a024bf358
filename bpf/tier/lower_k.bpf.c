// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/* Tier K: kprobes, where fentry does not load. A busy kernel can skip the end of a function when
 * too many threads are in it at once; such calls are told by nobody and counted by the kernel. */
#define LOWER_K
#include "lower.h"
