/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/*
 * What the user asked for. The recorder brings a filter to a list of clauses, each of which is a
 * set of event types and predicates that must all hold; what any clause lets pass is told. A
 * filter asks more than can be known here, so this lets through what the whole filter may want,
 * and the recorder asks the rest of it. Lineage is never asked: it passes.
 *
 * The clauses are constants by the time the verifier sees them. Without a filter nothing of this
 * file is left in a program, and with one its loops are as long as the filter is.
 *
 * It is asked twice. hc_unselected, before any work is done, knows the event and who acts;
 * hc_sel_late, when the record is made, knows its path too. Rows about sockets ask hc_sel_sock
 * instead, which reads the ends from the socket: what happens in softirq has an actor that is not
 * the running task.
 */
#ifndef HC_SELECT_H
#define HC_SELECT_H

#include "maps.h"

#define HC_SEL_CLAUSES 8
#define HC_SEL_PREDS 16
#define HC_SEL_VALUES 4
#define HC_SEL_TEXTS 4
#define HC_SEL_WORDS 6

/* What the verifier leaves of a loop is short: written out it would only be long. */
#define HC_ROLLED _Pragma("clang loop unroll(disable)")

/* About the actor, asked early; then about the object. */
enum { HC_SEL_PID = 1, HC_SEL_TID, HC_SEL_UID, HC_SEL_CGROUP, HC_SEL_TREE,
       HC_SEL_PATH, HC_SEL_PORT, HC_SEL_ADDR, HC_SEL_FAMILY, HC_SEL_PROTO };

struct hc_sel_pred {
	u32 kind;
	u32 negate;
	u32 n;    /* ranges or prefixes; which tree, which text */
	u32 ends; /* 1 local, 2 remote; families of the two prefixes from bits 8 and 16 on */
	u64 lo[HC_SEL_VALUES], hi[HC_SEL_VALUES]; /* ranges; of a prefix two words and their masks */
};

struct hc_sel_clause {
	u64 types;
	u32 first, n; /* predicates */
};

/* An absolute path, or the beginning of one. */
struct hc_sel_text {
	u32 len;   /* bytes of fore */
	u32 whole; /* bytes of back: whole components, leaf first, each NUL terminated, the root last */
	u32 part;  /* bytes of the component that follows them, not whole */
	u32 exact;
	u64 fore[HC_SEL_WORDS], back[HC_SEL_WORDS], next[HC_SEL_WORDS];
};

struct hc_selection {
	u64 types; /* that some clause may hold for */
	u64 paths; /* those of them whose path is asked */
	u64 ends;  /* the same for the ends of sockets */
	u32 n;     /* clauses */
	u32 trees;
	struct hc_sel_clause clause[HC_SEL_CLAUSES];
	struct hc_sel_pred pred[HC_SEL_PREDS];
	struct hc_sel_text text[HC_SEL_TEXTS];
};
const volatile u32 hc_selecting;
const volatile struct hc_selection hc_sel;

/* What passes whatever was asked: without it no row of another kind has a meaning. */
#define HC_SEL_ALWAYS                                                                        \
	(1ULL << HC_FORK | 1ULL << HC_EXEC | 1ULL << HC_EXIT | 1ULL << HC_CRED |             \
	 1ULL << HC_CRED_CHANGE | 1ULL << HC_PROCESS | 1ULL << HC_SET_NAME |                 \
	 1ULL << HC_SESSION | 1ULL << HC_REPARENT | 1ULL << HC_NAMESPACE)

/* Processes below those whose descendants were asked for: a bit for each tree. And those that
 * ended lately: their sockets may outlive them. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, u32);
	__type(value, u32);
} hc_sel_tree SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, u32);
	__type(value, u32);
} hc_sel_gone SEC(".maps");

static __always_inline void hc_count(u32 cause, u32 type);

static __always_inline bool hc_in_ranges(const volatile struct hc_sel_pred *p, u64 v)
{
	HC_ROLLED
	for (u32 i = 0; i < HC_SEL_VALUES; i++) {
		if (i >= p->n)
			break;
		if (v - p->lo[i] <= p->hi[i] - p->lo[i])
			return true;
	}
	return false;
}

static __always_inline bool hc_in_tree(u32 tgid, u32 tree, bool gone)
{
	u32 *m = bpf_map_lookup_elem(&hc_sel_tree, &tgid);

	if (!m && gone)
		m = bpf_map_lookup_elem(&hc_sel_gone, &tgid);
	return m && *m >> tree & 1;
}

static __always_inline bool hc_sel_mine(const volatile struct hc_sel_pred *p)
{
	u64 id = bpf_get_current_pid_tgid();
	struct task_struct *t;

	switch (p->kind) {
	case HC_SEL_PID:
		return hc_in_ranges(p, id >> 32);
	case HC_SEL_TID:
		return hc_in_ranges(p, (u32)id);
	case HC_SEL_CGROUP:
		return hc_in_ranges(p, bpf_get_current_cgroup_id());
	case HC_SEL_TREE:
		return hc_in_tree(id >> 32, p->n, false);
	case HC_SEL_UID:
		t = (struct task_struct *)bpf_get_current_task();
		return hc_in_ranges(p, BPF_CORE_READ(t, cred, euid.val));
	}
	return !p->negate; /* not about the actor */
}

/* Whether what is asked of the actor may let an event of the running task pass. A global
 * function: verified once, not at each of its callers. */
__noinline u32 hc_sel_actor(u32 type)
{
	if (!hc_selecting)
		return 1;
	HC_ROLLED
	for (u32 c = 0; c < HC_SEL_CLAUSES; c++) {
		bool holds = true;

		if (c >= hc_sel.n)
			break;
		if (!(hc_sel.clause[c].types >> (type & 63) & 1))
			continue;
		HC_ROLLED
		for (u32 i = 0; i < HC_SEL_PREDS; i++) {
			const volatile struct hc_sel_pred *p = &hc_sel.pred[(hc_sel.clause[c].first + i) & (HC_SEL_PREDS - 1)];

			if (i >= hc_sel.clause[c].n)
				break;
			if (hc_sel_mine(p) == p->negate) {
				holds = false;
				break;
			}
		}
		if (holds)
			return 1;
	}
	return 0;
}

/* Whether the running task may make events of the type, as far as is known before they are made. */
static __always_inline bool hc_selected(u32 type)
{
	return !hc_selecting || HC_SEL_ALWAYS >> type & 1 || (hc_sel.types >> type & 1 && hc_sel_actor(type));
}

/* The same the other way round, and counted. */
static __always_inline bool hc_unselected(u32 type)
{
	if (hc_selected(type))
		return false;
	hc_count(HC_UNSELECTED, type);
	return true;
}

/* One predicate about a process that is not the running task; 0 is nobody known. What is not known
 * of it may be as asked. */
static __always_inline bool hc_sel_its(const volatile struct hc_sel_pred *p, u32 tgid, u64 cgroup)
{
	if (p->kind == HC_SEL_PID && tgid)
		return hc_in_ranges(p, tgid);
	if (p->kind == HC_SEL_TREE && tgid)
		return hc_in_tree(tgid, p->n, true);
	if (p->kind == HC_SEL_CGROUP && cgroup)
		return hc_in_ranges(p, cgroup);
	return !p->negate;
}

/* hc_sel_actor for an actor that is not the running task. */
__noinline u32 hc_sel_other(u32 type, u32 tgid, u64 cgroup)
{
	if (!hc_selecting)
		return 1;
	HC_ROLLED
	for (u32 c = 0; c < HC_SEL_CLAUSES; c++) {
		bool holds = true;

		if (c >= hc_sel.n)
			break;
		if (!(hc_sel.clause[c].types >> (type & 63) & 1))
			continue;
		HC_ROLLED
		for (u32 i = 0; i < HC_SEL_PREDS; i++) {
			const volatile struct hc_sel_pred *p = &hc_sel.pred[(hc_sel.clause[c].first + i) & (HC_SEL_PREDS - 1)];

			if (i >= hc_sel.clause[c].n)
				break;
			if (hc_sel_its(p, tgid, cgroup) == p->negate) {
				holds = false;
				break;
			}
		}
		if (holds)
			return 1;
	}
	return 0;
}

static __always_inline bool hc_selected_of(u32 type, u32 tgid, u64 cgroup)
{
	return !hc_selecting || HC_SEL_ALWAYS >> type & 1 || (hc_sel.types >> type & 1 && hc_sel_other(type, tgid, cgroup));
}

static __always_inline bool hc_unselected_of(u32 type, u32 tgid, u64 cgroup)
{
	if (hc_selected_of(type, tgid, cgroup))
		return false;
	hc_count(HC_UNSELECTED, type);
	return true;
}

/* Descendants of a process are those its processes fork, whoever becomes their parent later. */
static __noinline int hc_sel_born(u32 parent, u32 child)
{
	u32 *m = bpf_map_lookup_elem(&hc_sel_tree, &parent), mask;

	bpf_map_delete_elem(&hc_sel_gone, &child);
	if (!m) {
		bpf_map_delete_elem(&hc_sel_tree, &child);
		return 0;
	}
	mask = *m;
	return bpf_map_update_elem(&hc_sel_tree, &child, &mask, BPF_ANY);
}

static __noinline int hc_sel_died(u32 tgid)
{
	u32 *m = bpf_map_lookup_elem(&hc_sel_tree, &tgid), mask;

	if (!m)
		return 0;
	mask = *m;
	bpf_map_update_elem(&hc_sel_gone, &tgid, &mask, BPF_ANY);
	return bpf_map_delete_elem(&hc_sel_tree, &tgid);
}

enum { HC_NO = 0, HC_YES = 1, HC_PERHAPS = 2 };

/* Compares n bytes of the buffer with words. */
static __always_inline bool hc_sel_same(struct hc_buf *b, u32 at, const volatile u64 *w, u32 n)
{
	HC_ROLLED
	for (u32 i = 0; i < HC_SEL_WORDS; i++) {
		u64 v, mask = ~0ULL;

		if (i * 8 >= n)
			break;
		if (n - i * 8 < 8)
			mask = (1ULL << 8 * (n - i * 8)) - 1;
		v = *(u64 *)&b->data[(at + i * 8) & 0xffff];
		if ((v ^ w[i]) & mask)
			return false;
	}
	return true;
}

/*
 * Whether a path is, or begins with, a text. The path is a walk (leaf first) of len bytes at at,
 * followed by a name that the program gave: absolute, or relative to the walk. What was cut, or
 * does not say how it goes on, may be anything.
 */
static __always_inline u32 hc_sel_begins(struct hc_buf *b, const volatile struct hc_sel_text *t, u32 at, u32 dir, u32 name)
{
	u32 len = dir & 0xffff, n = name & 0xffff, off, from;

	if (n) {
		if (b->data[(at + len) & 0xffff] == '/' || !len) {
			if (name >> 16)
				return HC_PERHAPS;
			if (n < t->len || (t->exact && n != t->len))
				return HC_NO;
			return hc_sel_same(b, at + len, t->fore, t->len);
		}
		if (t->exact)
			return HC_PERHAPS;
	}
	if (dir >> 16)
		return HC_PERHAPS;
	if (len < t->whole)
		return n ? HC_PERHAPS : HC_NO;
	off = len - t->whole;
	if (t->exact)
		return !off && hc_sel_same(b, at, t->back, t->whole);
	if (!hc_sel_same(b, at + off, t->back, t->whole))
		return HC_NO;
	if (!off) {
		if (n && t->part)
			return HC_PERHAPS;
		return n || (!t->part && t->whole == 2);
	}
	if (b->data[(at + off - 1) & 0xffff])
		return HC_NO; /* in the middle of a name */
	if (!t->part)
		return HC_YES;
	from = off - 1; /* behind the component that must begin as the text ends */
	HC_ROLLED
	for (u32 i = 0; i < 255; i++) {
		if (!from || !b->data[(at + from - 1) & 0xffff])
			break;
		from--;
	}
	return off - 1 - from >= t->part && hc_sel_same(b, at + from, t->next, t->part);
}

/* Whether a record with a path may be wanted. */
__noinline u32 hc_sel_path(struct hc_buf *b, u32 type, u32 at, u32 dir, u32 name)
{
	if (!hc_selecting || !b)
		return 1;
	HC_ROLLED
	for (u32 c = 0; c < HC_SEL_CLAUSES; c++) {
		bool holds = true;

		if (c >= hc_sel.n)
			break;
		if (!(hc_sel.clause[c].types >> (type & 63) & 1))
			continue;
		HC_ROLLED
		for (u32 i = 0; i < HC_SEL_PREDS; i++) {
			const volatile struct hc_sel_pred *p = &hc_sel.pred[(hc_sel.clause[c].first + i) & (HC_SEL_PREDS - 1)];
			u32 is;

			if (i >= hc_sel.clause[c].n)
				break;
			if (p->kind == HC_SEL_PATH)
				is = hc_sel_begins(b, &hc_sel.text[p->n & (HC_SEL_TEXTS - 1)], at, dir, name);
			else
				is = hc_sel_mine(p);
			if (is == p->negate) {
				holds = false;
				break;
			}
		}
		if (holds)
			return 1;
	}
	return 0;
}

static __always_inline u32 hc_sel_var(const struct hc_var *v)
{
	return v->len | (u32)v->mark << 16;
}

#define HC_SEL_WALKED(TYPE_, ev_)                                                                  \
	case TYPE_: {                                                                              \
		struct hc_ev_##ev_ *e_ = (void *)b->data;                                          \
		told = hc_sel_path(b, type, sizeof(*e_), hc_sel_var(&e_->path), 0);                \
		break;                                                                             \
	}
#define HC_SEL_NAMED(TYPE_, ev_)                                                                   \
	case TYPE_: {                                                                              \
		struct hc_ev_##ev_ *e_ = (void *)b->data;                                          \
		told = hc_sel_path(b, type, sizeof(*e_), hc_sel_var(&e_->path_dir), hc_sel_var(&e_->path)); \
		break;                                                                             \
	}

/* True when a record that was made is not wanted after all; it is then counted, and takes a number
 * in its ring as one that a quota refused does. Types that are not listed pass: the recorder asks
 * for their paths. */
static __always_inline bool hc_sel_late(struct hc_buf *b, u32 type)
{
	u32 told = 1;

	if (!hc_selecting || !(hc_sel.paths >> type & 1))
		return false;
	switch (type) {
	HC_SEL_WALKED(HC_OPEN, open)
	HC_SEL_WALKED(HC_READ, read)
	HC_SEL_WALKED(HC_WRITE, write)
	HC_SEL_WALKED(HC_INODE_UNLINK, inode_unlink)
	HC_SEL_WALKED(HC_MMAP_EXEC, mmap_exec)
	HC_SEL_WALKED(HC_MMAP_WRITE, mmap_write)
	HC_SEL_WALKED(HC_MPROTECT, mprotect)
	HC_SEL_WALKED(HC_DIRTY, dirty)
	HC_SEL_NAMED(HC_OPEN_FAILED, open_failed)
	HC_SEL_NAMED(HC_RENAME, rename)
	HC_SEL_NAMED(HC_LINK, link)
	HC_SEL_NAMED(HC_UNLINK, unlink)
	HC_SEL_NAMED(HC_MKDIR, mkdir)
	HC_SEL_NAMED(HC_CHMOD, chmod)
	HC_SEL_NAMED(HC_CHOWN, chown)
	HC_SEL_NAMED(HC_TRUNCATE, truncate)
	}
	if (told)
		return false;
	hc_count(HC_SEEN, type);
	hc_count(HC_DESELECTED, type);
	return true;
}

#endif
