// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/* Life and death of processes: fork, exec, exit. */
#include "../include/path.h"
#include "../include/hash.h"
#include "../include/lower.h"
#include "../include/io.h"
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

#define CLONE_THREAD 0x10000

/*
 * task_newtask, not sched_process_fork: it runs at the end of copy_process for every new task,
 * carries the real clone flags, and the child's keys and real parent are set. Kernel 3.8 on. It
 * does not see the idle tasks of booting cpus.
 */
SEC("tp_btf/task_newtask")
int BPF_PROG(hc_fork, struct task_struct *child, u64 clone_flags)
{
	struct hc_ev_fork *e;
	struct pid *pid;
	struct upid up;
	u32 tgid = bpf_get_current_pid_tgid() >> 32, ctgid, one = 1;

	ctgid = child->tgid;
	if (hc_scoped) {
		if (!bpf_map_lookup_elem(&hc_scope, &tgid))
			return 0;
		if (!(clone_flags & CLONE_THREAD) && bpf_map_update_elem(&hc_scope, &ctgid, &one, BPF_ANY))
			hc_count(HC_MAP_FULL, HC_FORK);
	}
	if (hc_selecting && hc_sel.trees && !(clone_flags & CLONE_THREAD) && hc_sel_born(tgid, ctgid))
		hc_count(HC_MAP_FULL, HC_FORK);
	e = hc_reserve_crit(HC_FORK, sizeof(*e));
	if (!e) {
		hc_next_seq(true);
		return 0;
	}
	hc_zero(e);
	hc_head(&e->h, HC_FORK, HC_F_CRITICAL | (clone_flags & CLONE_THREAD ? HC_F_THREAD : 0), child->pid);
	e->child_pid = ctgid;
	e->child_tid = child->pid;
	e->child_start = hc_pstart(child);
	e->thread_start = child->start_boottime;
	e->clone_flags = clone_flags;
	e->exit_signal = child->exit_signal;
	e->parent_pid = child->real_parent->tgid;
	e->parent_start = hc_pstart(child->real_parent);
	pid = BPF_CORE_READ(child, thread_pid); /* untyped: 6.1 allows no arithmetic on typed pointers */
	up = hc_upid(pid, BPF_CORE_READ(pid, level));
	e->ns_pid = up.nr;
	e->pidns = BPF_CORE_READ(up.ns, ns.inum);
	bpf_ringbuf_submit(e, hc_wake_crit(sizeof(*e), false));
	return 0;
}

/*
 * sched_process_exec runs in the new image, single threaded, before it executes its first
 * instruction: the arguments on its stack cannot have been changed, and bprm still holds what
 * the kernel used. Old credentials are those of the process's previous row.
 */
SEC("tp_btf/sched_process_exec")
int BPF_PROG(hc_exec, struct task_struct *t, int old_pid, struct linux_binprm *bprm)
{
	struct hc_buf *b;
	struct hc_ev_exec *e;
	struct file *f;
	struct inode *i;
	struct hc_obj o;
	unsigned long args, args_end, env, env_end;
	struct dentry *d;
	u32 flags = 0;
	u64 name = 0;

	if (hc_outside())
		return 0;
	hc_io_flush(t, HC_IO_EXEC);
	b = hc_get_buf(HC_EXEC, sizeof(*e));
	if (!b)
		return 0;
	e = (void *)b->data;
	hc_zero(e);
	hc_head(&e->h, HC_EXEC, HC_F_CRITICAL, 0);
	f = bprm->file;
	i = f->f_inode;
	hc_inode(&o, i);
	hc_set_obj(e, &o);
	e->nlink = BPF_CORE_READ(i, i_nlink);
	e->ctime = hc_ctime(i);
	e->mtime = hc_mtime(i);
	args = t->mm->arg_start;
	args_end = t->mm->arg_end;
	env = t->mm->env_start;
	env_end = t->mm->env_end;
	e->argv_len = args_end - args;
	e->env_len = env_end - env;
	/* what the row holds whole is hashed by the recorder */
	if (e->argv_len > HC_ARGV)
		e->argv_hash = hc_xxh64(b, args, e->argv_len);
	if (e->env_len > HC_ARGV)
		e->env_hash = hc_xxh64(b, env, e->env_len);
	hc_put_file_path(b, &e->exe, HC_EXEC, f);
	hc_put_argv(b, &e->argv, HC_EXEC, args, args_end);
	hc_put_path(b, &e->cwd, HC_EXEC, BPF_CORE_READ(t, fs, pwd.dentry), BPF_CORE_READ(t, fs, pwd.mnt));
	hc_put_kernel_str(b, &e->filename, HC_EXEC, bprm->filename);
	hc_put_kernel_str(b, &e->interp, HC_EXEC, bprm->interp);
	hc_put_tail(b, &e->argv_tail, HC_EXEC, args, args_end);
	if (e->env_len > HC_ARGV)
		hc_count(HC_TRUNCATED, HC_EXEC);
	hc_put_argv(b, &e->env, HC_EXEC, env, env_end);

	/* "memfd:" and no directory above: a file on disk can have the name, but not that */
	d = BPF_CORE_READ(f, f_path.dentry);
	bpf_probe_read_kernel(&name, 6, BPF_CORE_READ(d, d_name.name));
	if (name == 0x3a64666d656dULL && BPF_CORE_READ(d, d_parent) == d)
		flags |= 1;
	if (!e->nlink)
		flags |= 2;
	if (bprm->interp != bprm->filename) {
		u32 tid = old_pid;
		struct hc_script *script = bpf_map_lookup_elem(&hc_script, &tid); /* noted in the lower tiers */

		flags |= 4;
		if (script) {
			e->script_dev = script->dev;
			e->script_ino = script->ino;
			e->script_gen = script->gen;
		}
	}
	if (BPF_CORE_READ_BITFIELD_PROBED(bprm, secureexec))
		flags |= 8;
	if (bpf_core_field_exists(bprm->fdpath) && BPF_CORE_READ(bprm, fdpath))
		flags |= 16;
	if (old_pid != t->pid)
		flags |= 32;
	e->exec_flags = flags;
	e->old_tid = old_pid;
	hc_set_session(e, t);
	hc_send(b, true, HC_EXEC);
	return 0;
}

static __always_inline int exited(struct task_struct *t, bool group_dead)
{
	struct hc_ev_exit *e;
	u32 code, tgid = t->tgid;

	if (group_dead && tgid == hc_self)
		hc_self = 0; /* whoever gets the number next is not the recorder */
	if (hc_outside())
		return 0;
	hc_io_flush(t, HC_IO_EXIT);
	if (group_dead && hc_scoped)
		bpf_map_delete_elem(&hc_scope, &tgid);
	if (group_dead && hc_selecting && hc_sel.trees)
		hc_sel_died(tgid);
	e = hc_reserve_crit(HC_EXIT, sizeof(*e));
	if (!e) {
		hc_next_seq(true);
		return 0;
	}
	hc_zero(e);
	hc_head(&e->h, HC_EXIT, HC_F_CRITICAL | (group_dead ? 0 : HC_F_THREAD), 0);
	code = t->exit_code;
	if (group_dead && t->signal->flags & 4) /* SIGNAL_GROUP_EXIT */
		code = t->signal->group_exit_code;
	e->h.ret = code;
	e->code = code >> 8 & 0xff;
	e->signal = code & 0x7f;
	e->exit_flags = (code & 0x80 ? 1 : 0) | (group_dead ? 2 : 0);
	e->utime = t->utime;
	e->stime = t->stime;
	e->maxrss = t->signal->maxrss * hc_page_size;
	e->thread_start = t->start_boottime;
	e->parent_pid = t->real_parent->tgid;
	e->parent_start = hc_pstart(t->real_parent);
	bpf_ringbuf_submit(e, hc_wake_crit(sizeof(*e), false));
	return 0;
}

/*
 * sched_process_exit, in the dying thread. From 6.16 the tracepoint says whether the whole
 * process ends; before, we ask whether threads are left, which two threads that end at the same
 * instant may both answer with no: readers take the process to end once.
 */
SEC("tp_btf/sched_process_exit")
int BPF_PROG(hc_exit, struct task_struct *t, bool group_dead)
{
	return exited(t, group_dead);
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(hc_exit_old, struct task_struct *t)
{
	return exited(t, t->signal->live.counter == 0);
}

/* Tells the loader the thread group of the recorder as the initial pid namespace has it. */
SEC("raw_tp")
int hc_whoami(void *ctx)
{
	return bpf_get_current_pid_tgid() >> 32;
}

/* Never loaded: its argument puts the layout of every record into this object's BTF, where a
 * test compares it with the catalogue. */
SEC("raw_tp")
int hc_layout(union hc_any_event *any)
{
	return 0;
}
