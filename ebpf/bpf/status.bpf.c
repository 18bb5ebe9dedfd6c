/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* HTTP from the socket layer's own tracepoints (6.3 and newer): nothing runs for files, the socket is an argument, and
 * the payload is found through the system call that is under way. Here alone HTTP/2, TLS and databases are followed
 * too. */
#include "payload.bpf.h"

static __always_inline __u64 moved_at(struct tcp_sock *tcp, const bool direct)
{
	return last_moved(tcp, direct);
}

static __always_inline bool is_recent(void)
{
	return true;
}

#include "routes.bpf.h"
#include "trace_context.bpf.h"

static __always_inline void see_request(struct tapio_conversation *at, struct sock *sk, const struct payload *request)
{
	at->key.route = 0;
	if (!has_failed_lately(at->since_ns))
		return;
	at->key.route = route_of(request);
	see_trace(sk, request, at->since_ns);
}

static __always_inline void fill_request(struct tapio_http_error *out, struct sock *sk, __u32 route, __u64 begun_ns)
{
	fill_route(&out->request, route);
	fill_trace(out->trace_parent, sk, begun_ns);
}

#define PF_IO_WORKER 0x00000010
#define PF_KTHREAD 0x00200000
#define MSG_PEEK 2

#if defined(__TARGET_ARCH_x86)
enum {
	READ = 0,
	WRITE = 1,
	READV = 19,
	WRITEV = 20,
	SENDTO = 44,
	RECVFROM = 45,
	SENDMSG = 46,
	RECVMSG = 47,
	RECVMMSG = 299,
	SENDMMSG = 307,
};
#elif defined(__TARGET_ARCH_arm64)
enum {
	READ = 63,
	WRITE = 64,
	READV = 65,
	WRITEV = 66,
	SENDTO = 206,
	RECVFROM = 207,
	SENDMSG = 211,
	RECVMSG = 212,
	RECVMMSG = 243,
	SENDMMSG = 269,
};
#endif

/* Alike on all architectures, as all that came after 5.0. */
enum { IO_URING_SETUP = 425, IO_URING_ENTER = 426 };

#include "database.bpf.h"
#include "http2.bpf.h"
#include "tls.bpf.h"

/* Reading user memory is most of a run's cost, so a socket that never spoke HTTP is asked ever more rarely. */
#define PATIENCE 16
#define SELDOM 63

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct tapio_conversation);
} conversations SEC(".maps");

/* What follows an answer in the direction of requests is one, or the rest of one that was answered early: should
 * nothing be answered, nobody was waiting for certain. Should it be a rest, the request that really comes next is read,
 * since one seems to wait, and begins anew. */
static __always_inline void may_wait(struct tapio_conversation *at, struct sock *sk)
{
	wait_from_now(at, sk, true);
	at->is_doubted = 1;
}

/* What is no response is no sample, so that another protocol on the same connection is not taken for one. */
static __always_inline bool is_sampled(struct tapio_conversation *at)
{
	return at->read_in == bpf_jiffies64() && at->reads >= SAMPLES;
}

/* Whether the first bytes have to be looked at. Once a socket speaks HTTP, nobody waits for the rest of a response.
 *
 * Of many exchanges within one tick of the kernel's clock the first are read, and the others count as the last of these
 * did: who answers that often is known by thousands of samples a second, and below that everything is read. */
static __always_inline bool is_worth_reading(struct tapio_conversation *at, struct sock *sk, __u32 direction)
{
	struct tcp_sock *tcp;
	__u32 before;

	if (!at->key.role) {
		before = at->messages++;
		return (before < PATIENCE || !(before & SELDOM)) && !is_own();
	}
	if (!at->since_ns && !asks(at, direction))
		return false;
	if (!is_sampled(at))
		return true;
	if (asks(at, direction)) {
		if (at->since_ns || at->key.health_check)
			return true;
		may_wait(at, sk);
		return false;
	}
	tcp = tcp_of(sk, true);
	if (tcp)
		end(at, sk, at->key.outcome, last_moved(tcp, true), true, true);
	return false;
}

/* Of several messages of one system call the first is looked at. False: its bytes lie somewhere else. */
static __always_inline bool is_readable(__u64 number)
{
	return number == WRITE || number == READ || number == SENDTO || number == RECVFROM || number == WRITEV ||
	       number == READV || number == SENDMSG || number == RECVMSG || number == SENDMMSG || number == RECVMMSG;
}

static __always_inline void read_head(struct head *head, struct pt_regs *regs, __u64 length)
{
	__u64 number = NUMBER(regs);
	const void *given = (const void *)SECOND(regs);

	if (number == WRITE || number == READ || number == SENDTO || number == RECVFROM)
		read_plain(head, given, length);
	else if (number == WRITEV || number == READV)
		read_parts(head, given, THIRD(regs), length);
	else
		read_message_parts(head, given, length);
}

/* Some send a line word by word. What another message began is taken up, if it went the same way. */
static __always_inline void take_up(struct head *head, struct tapio_conversation *at, __u32 direction)
{
	if (!at->begun_way)
		return;
	if (at->begun_way == direction) {
		__builtin_memcpy(head->line, at->begun, LINE);
		head->length = at->begun_bytes & (LINE - 1);
	}
	at->begun_way = 0;
}

static __always_inline void put_by(const struct head *head, struct tapio_conversation *at, __u32 direction)
{
	__builtin_memcpy(at->begun, head->line, LINE);
	at->begun_bytes = head->length;
	at->begun_way = direction;
}

/* Whether it may be the beginning of a line, which is to be gone on with. */
static __always_inline bool may_be_begun(const struct head *head)
{
	return head->length && head->length < LINE && head->line[0] >= 'A' && head->line[0] <= 'Z';
}

/* The rest of the first request's head: who looks for HTTP/2's preface first reads its 24 bytes by themselves. */
static __always_inline void go_on(struct tapio_conversation *at, struct sock *sk, const struct payload *rest,
				  __u32 direction)
{
	if (!at->key.role || !asks(at, direction))
		return;
	if (!at->since_ns)
		return may_wait(at, sk);
	if (!at->head_open || !rest->in)
		return;
	at->head_open = 0;
	at->key.health_check = says_it_checks(rest);
}

/* Of what may be anything, only io_uring is worth a word: whole servers use nothing else. */
static __always_inline void pass_unread(struct tapio_conversation *at, struct sock *sk, bool is_io_uring,
					__u32 direction)
{
	bool is_answer = at->since_ns && !asks(at, direction);

	if (is_answer || (!at->key.role && is_io_uring))
		count_unread(UNREAD);
	if (is_answer)
		rest(at, true);
	else if (at->key.role && !at->since_ns)
		may_wait(at, sk);
}

/* Whether what is not HTTP/1 is HTTP/2. */
static __always_inline bool may_be_http2(struct tapio_conversation *at, struct sock *sk, const struct head *head,
					 __u64 length, __u64 begun_bytes, __u32 direction)
{
	if (is_preface(head))
		at->is_http2 = speak_http2(sk, length, begun_bytes, direction);
	else if (is_amid_http2(head))
		count_unread(HTTP2_OLDER);
	else
		return false;
	return true;
}

/* On a connection to a database. Servers of MySQL read the header of a message by itself; from a request for TLS on, it
 * is read where it is clear. */
static __always_inline void read_database(struct tapio_conversation *at, struct sock *sk, const struct head *head,
					  __u64 length, __u32 direction)
{
	if (is_tls(head) && !at->since_ns) {
		at->key.role = 0;
		at->key.is_query = 0;
		at->protocol = TAPIO_HTTP;
		see_tls(head);
	} else if (at->protocol == TAPIO_MYSQL && head->length == MYSQL_HEADER) {
		put_by(head, at, direction);
	} else {
		converse(at, sk, head, length, direction, true);
	}
}

/* What is neither HTTP/1 nor TLS. */
static __always_inline void read_other(struct tapio_conversation *at, struct sock *sk, const struct head *head,
				       __u64 length, __u64 begun_bytes, __u32 direction)
{
	if (!at->key.role && may_be_http2(at, sk, head, length, begun_bytes, direction))
		return;
	if (!at->key.role && recognize(at, sk, head, length, direction, true))
		read_database(at, sk, head, length, direction);
	else if (may_be_begun(head))
		put_by(head, at, direction);
	else
		go_on(at, sk, &head->payload, direction);
}

static __always_inline void read_message(struct tapio_conversation *at, struct sock *sk, __u64 length, __u32 direction)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
	__u64 number = NUMBER(regs);
	bool is_io_uring = task->flags & PF_IO_WORKER || number == IO_URING_ENTER || number == IO_URING_SETUP;
	enum tapio_payload kind;
	struct head head = {};
	__u64 begun_bytes;

	if (task->flags & PF_KTHREAD)
		return;
	if (is_io_uring || !is_readable(number))
		return pass_unread(at, sk, is_io_uring, direction);
	take_up(&head, at, direction);
	begun_bytes = head.length;
	read_head(&head, regs, length);
	if (at->key.role && at->protocol != TAPIO_HTTP)
		return read_database(at, sk, &head, length, direction);
	kind = kind_of_head(&head);
	if (kind == RESPONSE)
		finish(at, sk, head.line, &head.payload, direction, true);
	else if (kind == REQUEST)
		begin(at, sk, &head.payload, direction, true);
	else if (!at->key.role && is_tls(&head))
		see_tls(&head);
	else
		read_other(at, sk, &head, length, begun_bytes, direction);
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

static __always_inline void transfer_http2(struct sock *sk, int moved, __u32 direction)
{
	struct tapio_http2 *at = bpf_sk_storage_get(&http2, sk, 0, 0);

	if (at)
		follow(at, sk, moved, direction);
}

static __always_inline int transfer(struct sock *sk, int moved, __u32 direction)
{
	struct tapio_conversation *at;

	if (moved <= 0 || !is_tcp(sk, true))
		return 0;
	at = conversation_of(sk);
	if (!at) {
		count_full(TAPIO_HTTP_ERROR);
		return 0;
	}
	if (!at->key.role && !at->is_http2 && is_encrypted(at, sk, direction))
		return 0;
	if (!at->is_http2 && is_worth_reading(at, sk, direction))
		read_message(at, sk, moved, direction);
	if (at->is_http2)
		transfer_http2(sk, moved, direction);
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

static __always_inline void change_http2(struct sock *sk, int from, int to)
{
	struct tapio_http2 *at = bpf_sk_storage_get(&http2, sk, 0, 0);

	if (at)
		end_http2(at, sk, from, to);
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(changed_btf, struct sock *sk, int from, int to)
{
	struct tapio_conversation *at;

	if (!is_tcp(sk, true))
		return 0;
	see_connecting(sk, from, to, true);
	if (!may_end_wait(from))
		return 0;
	at = known(sk);
	if (at && at->is_tls)
		at = conversation_at(sk, false, true);
	if (at && at->is_http2)
		change_http2(sk, from, to);
	else if (at)
		end_wait(at, sk, from, to, true);
	return 0;
}
