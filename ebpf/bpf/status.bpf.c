/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* HTTP from the socket layer's own tracepoints (6.3 and newer): nothing runs for files, the socket is an argument, and
 * the payload is found through the system call that is under way. Works under lockdown. */
#include "http.bpf.h"

#define PF_KTHREAD 0x00200000
#define MSG_PEEK 2

#if defined(__TARGET_ARCH_x86)
#define NUMBER(regs) ((regs)->orig_ax)
#define SECOND(regs) ((regs)->si)
#define THIRD(regs) ((regs)->dx)
enum { READ = 0, WRITE = 1, READV = 19, WRITEV = 20, SENDTO = 44, RECVFROM = 45, SENDMSG = 46, RECVMSG = 47 };
#elif defined(__TARGET_ARCH_arm64)
#define NUMBER(regs) ((regs)->syscallno)
#define SECOND(regs) ((regs)->regs[1])
#define THIRD(regs) ((regs)->regs[2])
enum { READ = 63, WRITE = 64, READV = 65, WRITEV = 66, SENDTO = 206, RECVFROM = 207, SENDMSG = 211, RECVMSG = 212 };
#endif

/* Reading user memory is most of a run's cost, so a socket that never spoke HTTP is asked ever more rarely. */
#define PATIENCE 16
#define SELDOM 63
#define SPOKE_HTTP 0xffffffff

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u32);
} silent SEC(".maps");

static __always_inline bool is_worth_reading(__u32 *misses)
{
	if (*misses == SPOKE_HTTP || *misses < PATIENCE)
		return true;
	*misses += 1;
	if (*misses == SPOKE_HTTP)
		*misses = PATIENCE;
	return !(*misses & SELDOM);
}

static __always_inline const void *buffer_of(struct pt_regs *regs, __u64 *length)
{
	__u64 number = NUMBER(regs);

	if (number == WRITE || number == READ || number == SENDTO || number == RECVFROM)
		return (const void *)SECOND(regs);
	if (number == WRITEV || number == READV)
		return first_part((const struct iovec *)SECOND(regs), THIRD(regs), length);
	if (number == SENDMSG || number == RECVMSG)
		return first_of_message((const void *)SECOND(regs), length);
	return 0;
}

static __always_inline int transfer(struct sock *sk, int moved, __u32 direction)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u64 length = moved;
	const void *buffer;
	__u32 *misses;

	if (moved < MINIMUM || !is_tcp(sk, true) || task->flags & PF_KTHREAD)
		return 0;
	if (own_tgid && current_tgid() == own_tgid)
		return 0;
	misses = bpf_sk_storage_get(&silent, sk, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (misses && !is_worth_reading(misses))
		return 0;
	buffer = buffer_of((struct pt_regs *)bpf_task_pt_regs(task), &length);
	if (!buffer)
		return 0;
	if (payload(sk, buffer, length, direction, true)) {
		if (misses)
			*misses = SPOKE_HTTP;
	} else if (misses && *misses < PATIENCE) {
		*misses += 1;
	}
	return 0;
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(sent_btf, struct sock *sk, int moved, int flags)
{
	return transfer(sk, moved, TAPIO_SENT);
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(received_btf, struct sock *sk, int moved, int flags)
{
	if (flags & MSG_PEEK)
		return 0;
	return transfer(sk, moved, TAPIO_RECEIVED);
}
