/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* HTTP from the socket layer's own tracepoints (6.3 and newer): nothing runs for files, the socket is an argument, and
 * the payload is found through the system call that is under way. */
#include "payload.bpf.h"

static __always_inline __u64 moved_at(struct tcp_sock *tcp, const bool direct)
{
	return last_moved(tcp, direct);
}

static __always_inline bool is_recent(void)
{
	return true;
}

#define PF_KTHREAD 0x00200000
#define MSG_PEEK 2

#if defined(__TARGET_ARCH_x86)
enum { READ = 0, WRITE = 1, READV = 19, WRITEV = 20, SENDTO = 44, RECVFROM = 45, SENDMSG = 46, RECVMSG = 47 };
#elif defined(__TARGET_ARCH_arm64)
enum { READ = 63, WRITE = 64, READV = 65, WRITEV = 66, SENDTO = 206, RECVFROM = 207, SENDMSG = 211, RECVMSG = 212 };
#endif

/* Reading user memory is most of a run's cost, so a socket that never spoke HTTP is asked ever more rarely. */
#define PATIENCE 16
#define SELDOM 63

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct tapio_conversation);
} conversations SEC(".maps");

/* Whether the first bytes have to be looked at. Once a socket speaks HTTP, most of its messages are told by their
 * direction: nobody waits for the rest of a response, and what comes after a response is the next request. Should that
 * be a rest after all, the request that really comes next is read, since one seems to wait, and begins anew.
 *
 * Of several responses within one tick of the kernel's clock the first is read, and the others count as it did: who
 * answers that often is known by hundreds of samples a second, and below that every response is read. What is no
 * response is no sample, so that another protocol on the same connection is not taken for one. */
static __always_inline bool is_worth_reading(struct tapio_conversation *at, struct sock *sk, __u32 direction)
{
	struct tcp_sock *tcp;
	__u32 before;

	if (!at->key.role) {
		before = at->messages++;
		return (before < PATIENCE || !(before & SELDOM)) && !is_own();
	}
	if (!at->since_ns) {
		if (!asks(at, direction))
			return false;
		if (at->key.health_check)
			return true;
		wait_from_now(at, sk, true);
		return false;
	}
	if (asks(at, direction) || at->read_in != bpf_jiffies64())
		return true;
	tcp = tcp_of(sk, true);
	if (tcp)
		end(at, sk, at->key.outcome, last_moved(tcp, true), true);
	return false;
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

/* The rest of the first request's head: who looks for HTTP/2's preface first reads its 24 bytes by themselves. */
static __always_inline void go_on(struct tapio_conversation *at, const struct payload *rest, __u32 direction)
{
	if (!at->head_open || !at->since_ns || !asks(at, direction))
		return;
	at->head_open = 0;
	at->key.health_check = is_health_check(rest);
}

static __always_inline void read_message(struct tapio_conversation *at, struct sock *sk, __u64 length, __u32 direction)
{
	struct task_struct *task = bpf_get_current_task_btf();
	enum tapio_payload kind;
	__u8 line[MINIMUM];
	const void *buffer;

	if (task->flags & PF_KTHREAD)
		return;
	buffer = buffer_of((struct pt_regs *)bpf_task_pt_regs(task), &length);
	if (!buffer)
		return;
	kind = kind_at(buffer, length, line);
	if (kind == RESPONSE)
		finish(at, sk, line, direction, true);
	else if (kind == REQUEST)
		begin(at, sk, &(struct payload){.in = (void *)buffer, .length = length}, direction, true);
	else
		go_on(at, &(struct payload){.in = (void *)buffer, .length = length}, direction);
}

static __always_inline struct tapio_conversation *known(struct sock *sk)
{
	struct tapio_conversation *at = bpf_sk_storage_get(&conversations, sk, 0, 0);

	return at ? at : conversation_at(sk, false, true);
}

/* Socket storage may be refused now and granted later where the kernel cannot allocate without locks, as on processors
 * without cmpxchg16b (7.x), so what was begun elsewhere goes on there. */
static __always_inline struct tapio_conversation *conversation_of(struct sock *sk)
{
	struct tapio_conversation *at = known(sk);

	if (!at)
		at = bpf_sk_storage_get(&conversations, sk, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	return at ? at : conversation_at(sk, true, true);
}

static __always_inline int transfer(struct sock *sk, int moved, __u32 direction)
{
	struct tapio_conversation *at;

	if (moved < MINIMUM || !is_tcp(sk, true))
		return 0;
	at = conversation_of(sk);
	if (!at)
		count_full(TAPIO_HTTP_ERROR);
	else if (is_worth_reading(at, sk, direction))
		read_message(at, sk, moved, direction);
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

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(closed_btf, struct sock *sk, int from, int to)
{
	struct tapio_conversation *at;

	if (!is_closed_by_owner(sk, from, to, true))
		return 0;
	at = known(sk);
	if (at)
		give_up(at, sk, true);
	return 0;
}
