/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/*
 * Maps and settings shared by all objects. Each object declares them; the loader creates them
 * once and hands the same maps to every object.
 */
#ifndef HC_MAPS_H
#define HC_MAPS_H

#include "event_gen.h"
#include "kernel.h"

/* Settings, written by the loader before the programs are loaded. */
const volatile u32 hc_scoped;       /* 1: only processes in hc_scope make bulk events */
const volatile u32 hc_bulk_wake;    /* wake the reader when this many bytes wait in a ring */
const volatile u32 hc_crit_wake;
const volatile u32 hc_page_size = 4096;
const volatile u32 hc_forensic;     /* 1: every operation is told, whatever it costs */
const volatile u32 hc_has_cast;     /* the kernel has bpf_rdonly_cast */
const volatile u32 hc_has_loop;     /* the kernel has bpf_loop */
const volatile u32 hc_has_regs;     /* the kernel has bpf_task_pt_regs */
const volatile u32 hc_old;          /* before 5.12: tables stand in for storage, the running task is not typed */

/* From how many waiting bytes on a cgroup may send bulk records only at its quota: records of the
 * many, and those that change something. One record per hc_quota_ns. */
const volatile u32 hc_quota_normal = 0xffffffff;
const volatile u32 hc_quota_important = 0xffffffff;
const volatile u32 hc_quota_ns;

/* Thread group of the recorder, initial pid namespace; 0 when it is gone. It lies in a map that all
 * objects share: a recorder that takes over from a killed one writes its own. */
volatile u32 hc_self SEC(".data.hc");

/* What the counters count, per event type and cpu. The recorder turns them into ledger rows. */
enum hc_cause {
	HC_SEEN = 0,       /* records made: each is stored, or in one of the next rows */
	HC_RING_FULL = 1,  /* no room in the ring */
	HC_READ_FAULT = 2, /* user memory could not be read; the record was sent, marked */
	HC_MAP_FULL = 3,   /* no room in a table; the record was sent with less in it */
	HC_BUSY = 4,       /* task or socket storage busy: the operation was not counted */
	HC_SELF = 5,       /* left out: done by the recorder itself */
	HC_TRUNCATED = 6,  /* sent, but cut */
	HC_NESTED = 7,     /* the scratch buffer was in use by an interrupted program */
	HC_QUOTA = 8,      /* refused: its cgroup is over its quota; hc_quota_lost says whose */
	HC_UNSELECTED = 9, /* left out before it was made: the filter does not want it; see select.h */
	HC_DESELECTED = 10, /* made, and not sent: the same */
	HC_CAUSES = 11,
};

struct hc_counts {
	u64 n[HC_CAUSES][HC_TYPE_MAX];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct hc_counts);
} hc_counters SEC(".maps");

struct hc_seqs {
	u64 bulk, crit;
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct hc_seqs);
} hc_seq SEC(".maps");

/* Bulk may overflow under flood; critical is for what a flood must never push out. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 16 << 20);
} hc_bulk SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 << 20);
} hc_crit SEC(".maps");

/* Quotas: until when each cgroup has used up its share, and what it was refused. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, u64);
	__type(value, u64);
} hc_quota SEC(".maps");
struct hc_quota_key {
	u64 cgroup; /* 0: of those that found no room here; the loader makes these entries */
	u64 type;
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, struct hc_quota_key);
	__type(value, u64);
} hc_quota_lost SEC(".maps");

/* Processes in scope when a command is recorded; value is 1. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, u32);
	__type(value, u32);
} hc_scope SEC(".maps");

/*
 * Room to build a record in. Fixed parts and variable ones are below HC_BUF_SOFT, so that one
 * more component or string always fits behind it. An array that each cpu has one entry of, not a
 * per-cpu map, whose values end at 32 KiB; the loader sets its size.
 */
#define HC_BUF_SOFT 57344
#define HC_BUF_SIZE (HC_BUF_SOFT + 8192 + 256)
struct hc_buf {
	u32 busy;
	u32 at; /* bytes of data in use; kept in memory so that the verifier forgets its range */
	u8 data[HC_BUF_SIZE];
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct hc_buf);
} hc_scratch SEC(".maps");

/* Credential sets already described to the recorder, and their ids. */
struct hc_cred_key {
	u32 uid, gid, suid, sgid, euid, egid, fsuid, fsgid; /* as they lie in struct cred */
	u64 inh, prm, eff, bnd, amb;                        /* the same */
	u32 securebits, userns;
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, struct hc_cred_key);
	__type(value, u32);
} hc_creds SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u32);
} hc_cred_next SEC(".maps");

#endif
