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
const volatile u32 hc_lane_last;    /* where the last record of a lane may begin */
const volatile u32 hc_crit_wake;    /* wake the reader when this many bytes wait in the ring */
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
volatile u32 hc_live[2] SEC(".data.hc");
#define hc_self hc_live[0]
/* At least so many ns lie between two records of a cgroup of which there are many, however empty its
 * lane is; 0: no such limit. With the highest bit this holds for all bulk records. The recorder sets it when it is to use less of a processor. */
#define hc_squeeze hc_live[1]

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

/*
 * Lanes: where bulk records go, which may overflow under flood. Each cpu has a ring of its own, that
 * no other cpu writes, so it needs no lock, and three small ones above it for a program that runs
 * while another one of the cpu is writing. The reader maps them all.
 *
 * Positions count bytes since the beginning; the ring's size is a power of two. A record lies at its
 * position modulo the size, 8 bytes of header before it, and does not wrap: it may run beyond the
 * end, where there is room for one, and the next begins at the next multiple of the size. A program
 * takes the lane, writes, and moves the head when the record is complete.
 */
#define HC_LEVELS 4
#define HC_LANE_DATA 1024 /* where the data begin in a value */
#define HC_UPPER_SIZE 32768
#define HC_UPPER_SLACK 8192 /* room beyond the end, and so the largest record there */
struct hc_lane {
	u64 head; /* end of what is complete */
	u32 busy; /* a program is writing behind it */
	u32 base; /* where its data are; set by the loader, as the next ones */
	u32 mask; /* its size less one */
	u32 most; /* bytes of the largest record that is sure to fit, with its header */
	u32 wake; /* wake the reader when so many bytes have not been read */
	u32 kept; /* bytes before what is stored that are not written over: the reader sees to it */
	u64 apart[12]; /* what the reader writes is in other cache lines */
	u64 tail;      /* what is before may be written over */
	u64 read;      /* how far the reader has come */
	u64 stored;    /* what is before is in the store; the kernel half does not look at it */
	u64 end[13];
};
_Static_assert(sizeof(struct hc_lane) == 256 && HC_LEVELS * sizeof(struct hc_lane) <= HC_LANE_DATA, "known to the reader");
/* The header of a record. */
struct hc_rec {
	u32 len; /* without it */
	u32 level;
	u8 data[];
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* one for each cpu; its value is made larger by the loader */
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(key_size, sizeof(u32));
	__uint(value_size, 262144);
} hc_lanes SEC(".maps");

/* For what a flood must never push out. */
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
