/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/*
 * The kernel types we touch, and of each only the fields we read. Offsets are relocated at
 * load against the running kernel's BTF (CO-RE), so the order here means nothing. Where a
 * field moved or was renamed, the older shape stands beside it with a ___old suffix.
 */
#ifndef HC_KERNEL_H
#define HC_KERNEL_H

#include <linux/bpf.h>
#include <linux/types.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s32 s32;
typedef __s64 s64;

#ifndef NULL
#define NULL ((void *)0)
#endif

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
	u32 val;
} kuid_t;
typedef struct {
	u32 val;
} kgid_t;
typedef struct {
	u64 val; /* was u32 cap[2] before 6.3: same bytes */
} kernel_cap_t;
typedef struct {
	int counter;
} atomic_t;

struct ns_common {
	unsigned int inum;
};
struct user_namespace {
	struct ns_common ns;
};
struct task_struct;
struct xarray {
	void *xa_head;
};
struct xa_node {
	unsigned char shift;
	void *slots[64];
};
struct idr {
	struct xarray idr_rt;
};
struct pid_namespace {
	struct ns_common ns;
	struct idr idr;
	struct task_struct *child_reaper;
	unsigned int level;
};
struct mnt_namespace {
	struct ns_common ns;
};
struct net {
	struct ns_common ns;
};
struct uts_namespace {
	struct ns_common ns;
};
struct ipc_namespace {
	struct ns_common ns;
};
struct cgroup_namespace {
	struct ns_common ns;
};
struct time_namespace {
	struct ns_common ns;
};
struct nsproxy {
	struct mnt_namespace *mnt_ns;
	struct pid_namespace *pid_ns_for_children;
	struct net *net_ns;
	struct uts_namespace *uts_ns;
	struct ipc_namespace *ipc_ns;
	struct cgroup_namespace *cgroup_ns;
	struct time_namespace *time_ns_for_children; /* since 5.6 */
};

struct upid {
	int nr;
	struct pid_namespace *ns;
};
struct hlist_node {
	struct hlist_node *next;
};
struct hlist_head {
	struct hlist_node *first;
};
struct pid {
	unsigned int level;
	struct hlist_head tasks[4];
	struct upid numbers[1];
};

struct cred {
	kuid_t uid, suid, euid, fsuid;
	kgid_t gid, sgid, egid, fsgid;
	unsigned int securebits;
	kernel_cap_t cap_inheritable, cap_permitted, cap_effective, cap_bset, cap_ambient;
	struct user_namespace *user_ns;
};

struct qstr {
	u32 len;
	const unsigned char *name;
};
struct super_block {
	u32 s_dev;
	unsigned long s_magic;
};
struct inode {
	unsigned short i_mode;
	struct super_block *i_sb;
	unsigned long i_ino;
	u32 i_generation;
	unsigned int i_nlink;
	u32 i_rdev;
	s64 i_size;
	s64 i_ctime_sec, i_mtime_sec;
	u32 i_ctime_nsec, i_mtime_nsec;
	struct hlist_head i_dentry;
	void *i_private;
	kuid_t i_uid;
	kgid_t i_gid;
};
struct address_space {
	struct inode *host;
};
struct folio;
struct page;
struct proc_inode {
	struct pid *pid;
	struct inode vfs_inode;
};
struct timespec64 {
	s64 tv_sec;
	long tv_nsec;
};
struct inode___mid { /* 6.6 to 6.10 */
	struct timespec64 __i_ctime;
	struct timespec64 __i_mtime;
};
struct inode___old { /* before 6.6 */
	struct timespec64 i_ctime;
	struct timespec64 i_mtime;
};
struct dentry {
	struct dentry *d_parent;
	struct qstr d_name;
	struct inode *d_inode;
	struct {
		struct hlist_node d_alias;
	} d_u;
	struct super_block *d_sb;
};
struct vfsmount {
	struct dentry *mnt_root;
	struct super_block *mnt_sb;
};
struct mount {
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
};
struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
};
struct file {
	unsigned int f_mode;
	unsigned int f_flags;
	struct path f_path;
	struct inode *f_inode;
	s64 f_pos;
	void *private_data;
};
struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};
struct files_struct {
	struct fdtable *fdt;
};
struct fs_struct {
	struct path pwd;
};
struct mm_struct {
	unsigned long arg_start, arg_end, env_start, env_end;
	struct file *exe_file;
	atomic_t mm_users;
};
struct vm_area_struct {
	unsigned long vm_start, vm_end;
	unsigned long vm_flags;
	unsigned long vm_pgoff;
	struct file *vm_file;
};
struct tty_driver {
	int major;
	int minor_start;
};
struct tty_struct {
	int index;
	struct tty_driver *driver;
};
struct list_head {
	struct list_head *next;
};
struct rlimit {
	u64 rlim_cur, rlim_max;
};
struct signal_struct {
	atomic_t live;
	struct list_head thread_head;
	unsigned int is_child_subreaper : 1;
	unsigned int has_child_subreaper : 1;
	struct rlimit rlim[16];
	int group_exit_code;
	unsigned int flags;
	struct pid *pids[4];
	struct tty_struct *tty;
	unsigned long maxrss;
};
struct kernfs_node {
	u64 id;
};
struct cgroup {
	struct kernfs_node *kn;
};
struct css_set {
	struct cgroup *dfl_cgrp;
};
struct task_struct {
	unsigned int flags;
	void *stack;
	struct mm_struct *mm;
	int exit_code;
	int exit_signal;
	int pid;
	int tgid;
	struct task_struct *real_parent;
	struct task_struct *group_leader;
	struct list_head children, sibling, thread_node;
	int exit_state;
	unsigned int in_execve : 1;
	struct pid *thread_pid;
	struct hlist_node pid_links[4];
	u64 utime, stime;
	u64 start_boottime;
	const struct cred *real_cred;
	const struct cred *cred;
	char comm[16];
	struct fs_struct *fs;
	struct files_struct *files;
	struct nsproxy *nsproxy;
	struct signal_struct *signal;
	struct css_set *cgroups;
	u64 self_exec_id; /* u32 before 5.7: the low bits are what we keep */
};

struct linux_binprm {
	struct file *file;
	struct file *executable;
	const char *filename;
	const char *interp;
	const char *fdpath;
	unsigned int secureexec : 1;
};

struct kernel_siginfo {
	int si_signo;
	int si_code;
};

/* Sockets. */
typedef struct {
	struct net *net;
} possible_net_t;
struct in6_addr {
	u8 in6_u[16];
};
typedef struct {
	s64 counter;
} atomic64_t;
struct sock_common {
	u32 skc_daddr;
	u32 skc_rcv_saddr;
	u16 skc_dport; /* network order */
	u16 skc_num;
	unsigned short skc_family;
	volatile unsigned char skc_state;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
	atomic64_t skc_cookie;
	unsigned long skc_flags;
};
struct socket;
struct sock {
	struct sock_common __sk_common;
	int sk_err, sk_err_soft;
	struct socket *sk_socket;
	struct pid *sk_peer_pid;
	u16 sk_protocol;
	u16 sk_type;
	u32 sk_ack_backlog;
	u32 sk_max_ack_backlog;
};
struct socket {
	short type;
	struct sock *sk;
	struct file *file;
};
struct inet_sock {
	struct sock sk;
	u16 inet_sport; /* network order */
	u32 inet_saddr;
};
struct tcp_sock {
	u32 srtt_us;
	u32 segs_in, segs_out;
	u64 bytes_sent, bytes_received, bytes_acked, bytes_retrans;
	u32 snd_una, snd_nxt, write_seq, rcv_nxt;
	u32 total_retrans;
};
struct sockaddr_un {
	unsigned short sun_family;
	char sun_path[108];
};
struct unix_address {
	int len;
	struct sockaddr_un name[1];
};
struct unix_sock {
	struct sock sk;
	struct unix_address *addr;
	struct sock *peer;
};
struct udp_sock {
	struct inet_sock inet;
};
struct socket_alloc {
	struct inode vfs_inode;
};
enum sock_flags {
	SOCK_DONE = 1, /* the peer's FIN was taken in */
};


#if defined(__TARGET_ARCH_x86)
struct pt_regs {
	unsigned long di, si, dx, cx, r10, r8, r9;
	unsigned long ax, orig_ax;
};
#elif defined(__TARGET_ARCH_arm64)
struct user_pt_regs {
	u64 regs[31];
};
struct pt_regs {
	u64 regs[31];
	u64 orig_x0;
	s32 syscallno;
};
#endif

/* Iterators. */
struct seq_file;
struct bpf_iter_meta {
	struct seq_file *seq;
	u64 session_id;
	u64 seq_num;
};
struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};
struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	u32 fd;
	struct file *file;
};
struct bpf_iter__task_vma {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	struct vm_area_struct *vma;
};
struct bpf_iter__tcp {
	struct bpf_iter_meta *meta;
	struct sock_common *sk_common;
	u32 uid;
};
struct bpf_iter__unix {
	struct bpf_iter_meta *meta;
	struct unix_sock *unix_sk;
	u32 uid;
};
struct bpf_iter__bpf_sk_storage_map {
	struct bpf_iter_meta *meta;
	struct bpf_map *map;
	struct sock *sk;
	void *value;
};
struct bpf_iter__udp {
	struct bpf_iter_meta *meta;
	struct udp_sock *udp_sk;
	u32 uid;
	int bucket;
};

#pragma clang attribute pop

/*
 * How memory of the kernel is read where it is read often. A probe is a call for each pointer that is
 * followed; a fifth of an open's record was in them. From 6.2 on a pointer can be cast to a type
 * instead and loaded through: the verifier makes that a load which answers 0 where nothing can be
 * read, which is what a probe leaves behind too. The cast is no instruction of its own, and takes
 * any number for a pointer. What is read comes out as a number, as from a probe, so it can be passed,
 * kept and added to. Elsewhere BPF_CORE_READ does, which is half the code to load.
 */
extern const volatile u32 hc_has_cast; /* the kernel has bpf_rdonly_cast */
extern void *bpf_rdonly_cast(const void *obj, u32 type) __ksym __weak;

#define hc_cast_to(type_, p_) ((type_ *)bpf_rdonly_cast((const void *)(p_), bpf_core_type_id_kernel(type_)))
#define hc_cast(p_) hc_cast_to(__typeof_unqual__(*(p_)), p_)

/* The eight bytes at an address, by a type with such a number in front that every kernel has. */
#define hc_load8(at_) ((u64)hc_cast_to(struct timespec64, at_)->tv_sec)

/*
 * BPF_CORE_READ by loads where by_ is true. It is for functions that are written once with by_ as an
 * argument and called as hc_has_cast ? f(true) : f(false): each branch that the verifier removes
 * costs a copy of the program, and one question for each field made loading half as slow again.
 */
#define hc_from0(p_) (p_)
#define hc_fromN(p_) hc_cast(p_)
#define HC_READ(by_, src_, a_, ...) ({                                                                     \
	__typeof_unqual__(___arrow((src_), a_, ##__VA_ARGS__)) r_;                                         \
	if ((by_) && sizeof(r_) == 8) {                                                                    \
		u64 w_ = hc_load8(&___arrow(___apply(hc_from, ___empty(__VA_ARGS__))(src_), a_, ##__VA_ARGS__)); \
		__builtin_memcpy(&r_, &w_, sizeof(r_));                                                    \
	} else if (by_) {                                                                                  \
		r_ = ___arrow(hc_cast(src_), a_, ##__VA_ARGS__);                                           \
	} else {                                                                                           \
		BPF_CORE_READ_INTO(&r_, (src_), a_, ##__VA_ARGS__);                                        \
	}                                                                                                  \
	r_;                                                                                                \
})

/* Tracepoint contexts of single system calls. */
struct hc_sys_enter {
	u64 common;
	u32 nr;
	u32 pad;
	u64 args[6];
};
struct hc_sys_exit {
	u64 common;
	u32 nr;
	u32 pad;
	s64 ret;
};

#define S_IFMT 0170000
#define S_IFSOCK 0140000
#define S_IFLNK 0120000
#define S_IFREG 0100000
#define S_IFBLK 0060000
#define S_IFDIR 0040000
#define S_IFCHR 0020000
#define S_IFIFO 0010000

#define PF_KTHREAD 0x00200000
#define PF_EXITING 0x4
#define PF_IO_WORKER 0x10 /* since 5.12 */
#define AT_FDCWD -100
#define EPERM 1
#define EACCES 13

#define AF_UNIX 1
#define AF_INET 2
#define AF_INET6 10
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define IPPROTO_MPTCP 262

#define TCP_ESTABLISHED 1
#define TCP_SYN_SENT 2
#define TCP_SYN_RECV 3
#define TCP_FIN_WAIT1 4
#define TCP_FIN_WAIT2 5
#define TCP_TIME_WAIT 6
#define TCP_CLOSE 7
#define TCP_LAST_ACK 9
#define TCP_LISTEN 10
#define TCP_CLOSING 11

#define MSG_PEEK 0x2
#define MSG_ERRQUEUE 0x2000
#define ECONNABORTED 103

#define PROC_SUPER_MAGIC 0x9fa0
#define PIPEFS_MAGIC 0x50495045
#define SOCKFS_MAGIC 0x534f434b

#endif
