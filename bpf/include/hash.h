/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/* XXH64 of user memory, seed 0: the same number as any other implementation gives. */
#ifndef HC_HASH_H
#define HC_HASH_H

#include "emit.h"

#define HC_XXH_P1 11400714785074694791ULL
#define HC_XXH_P2 14029467366897019727ULL
#define HC_XXH_P3 1609587929392839161ULL
#define HC_XXH_P4 9650029242287828579ULL
#define HC_XXH_P5 2870177450012600261ULL

#define HC_XXH_CHUNK 1024
#define HC_XXH_MAX (16 << 20) /* arguments and environment together end at 6 MiB */

static __always_inline u64 hc_rotl(u64 x, int n)
{
	return x << n | x >> (64 - n);
}

static __always_inline u64 hc_xxh_round(u64 v, u64 in)
{
	return hc_rotl(v + in * HC_XXH_P2, 31) * HC_XXH_P1;
}

static __always_inline u64 hc_xxh_merge(u64 h, u64 v)
{
	return (h ^ hc_xxh_round(0, v)) * HC_XXH_P1 + HC_XXH_P4;
}

struct hc_xxh {
	struct hc_buf *b;
	u64 p, left;
	u64 v[4];
	u32 bad;
};

static long hc_xxh_chunk(u32 i, struct hc_xxh *x)
{
	u64 *w = (u64 *)&x->b->data[HC_BUF_SOFT];
	u64 v0 = x->v[0], v1 = x->v[1], v2 = x->v[2], v3 = x->v[3];

	if (x->left < HC_XXH_CHUNK)
		return 1;
	if (bpf_probe_read_user(w, HC_XXH_CHUNK, (void *)x->p)) {
		x->bad = 1;
		return 1;
	}
	for (int k = 0; k < HC_XXH_CHUNK / 8; k += 4) {
		v0 = hc_xxh_round(v0, w[k]);
		v1 = hc_xxh_round(v1, w[k + 1]);
		v2 = hc_xxh_round(v2, w[k + 2]);
		v3 = hc_xxh_round(v3, w[k + 3]);
	}
	x->v[0] = v0;
	x->v[1] = v1;
	x->v[2] = v2;
	x->v[3] = v3;
	x->p += HC_XXH_CHUNK;
	x->left -= HC_XXH_CHUNK;
	return 0;
}

/*
 * The hash of n bytes, n at least 32, of the running task's memory; 0 when a page is not there,
 * and on kernels without bpf_loop (before 5.17). It works in the room behind HC_BUF_SOFT, so
 * the buffer must still be below it. A global function: the verifier checks it once.
 */
__noinline u64 hc_xxh64(struct hc_buf *b, u64 p, u64 n)
{
	struct hc_xxh x = {
		.b = b,
		.p = p,
		.left = n,
		.v = { HC_XXH_P1 + HC_XXH_P2, HC_XXH_P2, 0, -HC_XXH_P1 },
	};
	u32 rest, stripes;
	u64 h, *w;
	u8 *at;

	if (!b || !hc_has_loop || n < 32 || n > HC_XXH_MAX)
		return 0;
	bpf_loop(HC_XXH_MAX / HC_XXH_CHUNK, hc_xxh_chunk, &x, 0);
	rest = x.left & (HC_XXH_CHUNK - 1);
	if (x.bad || bpf_probe_read_user(&b->data[HC_BUF_SOFT], rest, (void *)x.p))
		return 0;
	w = (u64 *)&b->data[HC_BUF_SOFT];
	stripes = rest / 32;
	asm volatile("" : "+r"(stripes)); /* 6.1 would not see that it bounds the loop: both conditions stay */
	for (u32 k = 0; k < HC_XXH_CHUNK / 32 && k < stripes; k++) {
		for (int l = 0; l < 4; l++)
			x.v[l] = hc_xxh_round(x.v[l], w[4 * k + l]);
	}
	h = hc_rotl(x.v[0], 1) + hc_rotl(x.v[1], 7) + hc_rotl(x.v[2], 12) + hc_rotl(x.v[3], 18);
	for (int l = 0; l < 4; l++)
		h = hc_xxh_merge(h, x.v[l]);
	h += n;

	at = &b->data[HC_BUF_SOFT + (rest & (HC_XXH_CHUNK - 32))];
	w = (u64 *)at;
	for (u32 k = 0; k < 3; k++)
		if (k < (rest & 31) / 8)
			h = hc_rotl(h ^ hc_xxh_round(0, w[k]), 27) * HC_XXH_P1 + HC_XXH_P4;
	at += rest & 24;
	if (rest & 4) {
		h = hc_rotl(h ^ *(u32 *)at * HC_XXH_P1, 23) * HC_XXH_P2 + HC_XXH_P3;
		at += 4;
	}
	for (u32 k = 0; k < 3; k++)
		if (k < (rest & 3))
			h = hc_rotl(h ^ at[k] * HC_XXH_P5, 11) * HC_XXH_P1;
	h = (h ^ h >> 33) * HC_XXH_P2;
	h = (h ^ h >> 29) * HC_XXH_P3;
	return h ^ h >> 32;
}

#endif
