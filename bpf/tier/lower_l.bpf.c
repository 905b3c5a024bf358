// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/* Tier L: fentry and fexit. Kernel 5.5 on x86-64, 6.0 on arm64, where no policy forbids them. */
#include "lower.h"
