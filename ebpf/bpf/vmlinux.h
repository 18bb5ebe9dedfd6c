/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The few kernel types the programs touch. Only names matter: CO-RE relocates every offset when the object is
 * loaded, so a member is listed only where a program reads it. */
#ifndef __VMLINUX_H__
#define __VMLINUX_H__

typedef unsigned char __u8;
typedef signed char __s8;
typedef unsigned short __u16;
typedef short __s16;
typedef unsigned int __u32;
typedef int __s32;
typedef unsigned long long __u64;
typedef long long __s64;
typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s64 s64;
typedef __s32 s32;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;
typedef int pid_t;
typedef _Bool bool;
#define true 1
#define false 0

enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_LRU_HASH = 9,
	BPF_MAP_TYPE_SK_STORAGE = 24,
	BPF_MAP_TYPE_RINGBUF = 27,
};

enum { BPF_ANY = 0, BPF_NOEXIST = 1 };
enum { BPF_RB_NO_WAKEUP = 1, BPF_RB_FORCE_WAKEUP = 2 };
enum { BPF_RB_AVAIL_DATA = 0 };
enum { BPF_F_NO_PREALLOC = 1, BPF_F_CLONE = 1 << 9, BPF_F_MMAPABLE = 1 << 10, BPF_LOCAL_STORAGE_GET_F_CREATE = 1 };

enum bpf_func_id {
	BPF_FUNC_get_current_task_btf = 158,
};

enum cgroup_subsys_id {
	memory_cgrp_id = 4,
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
	s64 counter;
} atomic_long_t;

struct kernfs_node {
	u64 id;
};

struct cgroup_root {
	int hierarchy_id;
};

struct cgroup {
	struct kernfs_node *kn;
	struct cgroup_root *root;
};

struct cgroup_subsys_state {
	struct cgroup *cgroup;
	struct cgroup_subsys_state *parent;
};

struct css_set {
	struct cgroup_subsys_state *subsys[16];
	struct cgroup *dfl_cgrp;
};

struct page_counter {
	atomic_long_t usage;
	unsigned long max;
};

struct mem_cgroup {
	struct cgroup_subsys_state css;
	struct page_counter memory;
};

struct percpu_counter {
	s64 count;
};

struct mm_rss_stat {
	atomic_long_t count[4];
};

struct mm_struct {
	unsigned long total_vm;
	struct percpu_counter rss_stat[4];
};

struct mm_struct___before_6_2 {
	struct mm_rss_stat rss_stat;
};

struct ns_common {
	unsigned int inum;
};

struct net {
	struct ns_common ns;
};

struct nsproxy {
	struct net *net_ns;
};

struct file_operations;

struct inode {
	unsigned short i_mode;
};

struct file {
	struct inode *f_inode;
	const struct file_operations *f_op;
	void *private_data;
};

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

struct signal_struct {
	short oom_score_adj;
	unsigned int flags;
};

struct pid {
	unsigned int level;
};

struct task_struct {
	unsigned int flags;
	struct mm_struct *mm;
	int exit_code;
	pid_t pid;
	pid_t tgid;
	struct task_struct *real_parent;
	struct task_struct *group_leader;
	u64 start_boottime;
	char comm[16];
	struct files_struct *files;
	struct nsproxy *nsproxy;
	struct signal_struct *signal;
	struct pid *thread_pid;
	struct css_set *cgroups;
};

struct linux_binprm {
	const char *filename;
};

struct kernel_siginfo {
	int si_signo;
	int si_code;
};

struct in6_addr {
	union {
		__u8 u6_addr8[16];
		__be32 u6_addr32[4];
	} in6_u;
};

typedef struct {
	struct net *net;
} possible_net_t;

struct sock_common {
	union {
		struct {
			__be32 skc_daddr;
			__be32 skc_rcv_saddr;
		};
	};
	union {
		struct {
			__be16 skc_dport;
			__u16 skc_num;
		};
	};
	u32 skc_hash;
	unsigned short skc_family;
	volatile unsigned char skc_state;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
};

struct sk_buff_head {
	struct sk_buff *prev;
	u32 qlen;
};

struct sock {
	struct sock_common __sk_common;
	struct sk_buff_head sk_error_queue;
	int sk_err;
	int sk_err_soft;
	u16 sk_protocol;
	u16 sk_type;
	u8 sk_shutdown;
};

struct tcp_sock {
	u64 bytes_received;
	u64 bytes_sent;
	u32 segs_out;
	u32 data_segs_out;
	u32 snd_nxt;
	u32 rcv_nxt;
	u32 copied_seq;
	u32 write_seq;
	u64 bytes_retrans;
	u64 tcp_mstamp;
};

struct socket {
	struct sock *sk;
};

struct trace_event_raw_mark_victim {
	u32 uid;
};

struct net_device {
	possible_net_t nd_net;
};

struct sock_extended_err {
	u32 ee_errno;
	u8 ee_origin;
};

struct sock_exterr_skb {
	struct sock_extended_err ee;
};

struct sk_buff {
	struct net_device *dev;
	struct sock *sk;
	char cb[48];
	u16 network_header;
	unsigned char *head;
};

/* Their numbers differ from kernel to kernel. */
enum skb_drop_reason {
	SKB_DROP_REASON_NETFILTER_DROP,
	SKB_DROP_REASON_TC_INGRESS,
	SKB_DROP_REASON_TC_EGRESS,
	SKB_DROP_REASON_XDP,
	SKB_DROP_REASON_BPF_CGROUP_EGRESS,
	SKB_DROP_REASON_NEIGH_FAILED,
	SKB_DROP_REASON_NEIGH_QUEUEFULL,
	SKB_DROP_REASON_NEIGH_CREATEFAIL,
	SKB_DROP_REASON_PKT_TOO_BIG,
	SKB_DROP_REASON_QDISC_DROP,
	SKB_DROP_REASON_CPU_BACKLOG,
	SKB_DROP_REASON_FULL_RING,
	SKB_DROP_REASON_IP_OUTNOROUTES,
	SKB_DROP_REASON_IP_INNOROUTES,
};

#if defined(__TARGET_ARCH_x86)
struct pt_regs {
	unsigned long ax;
	unsigned long cx;
	unsigned long dx;
	unsigned long si;
	unsigned long di;
	unsigned long orig_ax;
};
#elif defined(__TARGET_ARCH_arm64)
struct pt_regs {
	u64 regs[31];
	u64 orig_x0;
	s32 syscallno;
};
#endif

#pragma clang attribute pop

/* User-space ABI and headers on the wire: fixed layouts, never relocated. */
struct __sk_buff {
	u32 len;
	u32 others[41];
	struct bpf_sock *sk;
};

struct bpf_sock {
	u32 bound_dev_if;
	u32 family;
	u32 type;
	u32 protocol;
	u32 others[7];
	u32 src_port;
	__be16 dst_port;
};

struct ipv4_header {
	u8 version_length; /* upper half: version; lower: length in words of 4 bytes */
	u8 service;
	__be16 length;
	__be16 id;
	__be16 fragment; /* its lower 13 bits: where this part lies in the whole, in words of 8 bytes */
	u8 hops;
	u8 protocol;
	__be16 checksum;
	__be32 source;
	__be32 target;
};

struct ipv6_header {
	__be32 version_flow;
	__be16 length;
	u8 next;
	u8 hops;
	__be32 source[4];
	__be32 target[4];
};

struct udp_header {
	__be16 source;
	__be16 dest;
	__be16 length;
	__be16 checksum;
};

struct tcp_header {
	__be16 ports[2];
	__be32 sequence;
	__be32 acknowledged;
	u8 offset; /* of the payload: its upper half, in words of 4 bytes */
	u8 flags;
	__be16 window;
};

struct iovec {
	void *iov_base;
	unsigned long iov_len;
};

struct user_msghdr {
	void *msg_name;
	int msg_namelen;
	struct iovec *msg_iov;
	unsigned long msg_iovlen;
};

/* Context of the classic syscall tracepoints: the header has been 8 bytes since the tracepoints exist. */
struct syscall_enter {
	u64 header;
	long nr;
	unsigned long args[6];
};

struct syscall_exit {
	u64 header;
	long nr;
	long ret;
};

#endif
