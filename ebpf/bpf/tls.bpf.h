/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* HTTP/1.x and queries of databases in TLS: what a thread hands to OpenSSL or GnuTLS, or gets from it, is clear text,
 * and the socket that moves bytes meanwhile is the connection. Whose library moves bytes outside of such a call (in
 * memory, in a thread of its own) is not seen. A part of status.bpf.c. */
#ifndef TAPIO_TLS_BPF_H
#define TAPIO_TLS_BPF_H

#include "database.bpf.h"

DESCRIBE(tapio_tls);

#define RECORD_BYTES 5 /* content type, version, length (RFC 8446, 5.1) */

enum { HANDSHAKE = 22, APPLICATION_DATA = 23 };

/* Longer than it takes to find a library that is new. */
#define FOLLOWED_AFTER_NS 5000000000ULL

/* Arguments and result of a function. */
#if defined(__TARGET_ARCH_x86)
#define ARGUMENT_1(regs) ((regs)->di)
#define ARGUMENT_2(regs) ((regs)->si)
#define ARGUMENT_3(regs) ((regs)->dx)
#define ARGUMENT_4(regs) ((regs)->cx)
#define RESULT(regs) ((regs)->ax)
#elif defined(__TARGET_ARCH_arm64)
#define ARGUMENT_1(regs) ((regs)->regs[0])
#define ARGUMENT_2(regs) ((regs)->regs[1])
#define ARGUMENT_3(regs) ((regs)->regs[2])
#define ARGUMENT_4(regs) ((regs)->regs[3])
#define RESULT(regs) ((regs)->regs[0])
#endif

struct tls_session {
	__u64 address; /* in the process */
	__u64 tgid;
};

/* A call of a library that is under way. */
struct tls_call {
	struct tls_session session;
	__u64 clear;    /* where the clear text is, or will be */
	__u64 length;   /* of what is sent */
	__u64 received; /* where the library will write how much it has received; 0: it returns that */
	__u64 socket;   /* address of the socket that has moved bytes */
	__u64 direction;
};

/* By thread. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, __u64);
	__type(value, struct tls_call);
} tls_calls SEC(".maps");

/* What was received before may be handed over without any byte on the socket. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct tls_session);
	__type(value, __u64);
} tls_sockets SEC(".maps");

/* Whether there has been such a call at all. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} tls_is_used SEC(".maps");

/* Processes that speak TLS, by when that was seen first (CLOCK_BOOTTIME, ns). */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, __u64);
} tls_speakers SEC(".maps");

static __always_inline bool is_tls(const struct head *head)
{
	const __u8 *line = head->line;

	return head->length >= RECORD_BYTES && (line[0] == HANDSHAKE || line[0] == APPLICATION_DATA) && line[1] == 3 &&
	       line[2] <= 4;
}

/* User space looks for the library of a process that is new. Of whom nothing is known later, that is said. */
static __always_inline void see_tls(const struct head *head)
{
	__u64 now = bpf_ktime_get_boot_ns(), *seen;
	struct tapio_tls *record;
	__u32 tgid = current_tgid();

	seen = bpf_map_lookup_elem(&tls_speakers, &tgid);
	if (seen) {
		if (head->line[0] == APPLICATION_DATA && since(*seen, now) > FOLLOWED_AFTER_NS)
			count_unread(TLS_UNREAD);
		return;
	}
	record = reserve(TAPIO_TLS, sizeof(*record));
	if (!record)
		return;
	bpf_map_update_elem(&tls_speakers, &tgid, &now, BPF_ANY);
	fill_current(&record->task);
	submit(record, true); /* it may not live long */
}

static __always_inline void read_clear_query(struct sock *sk, const struct head *head, __u64 length, __u32 direction,
					     const bool direct)
{
	bool may_begin = is_postgresql_startup(head, length) || is_postgresql_query(head, length) ||
			 is_mysql_query(head, length) || redis_command(head->line);
	struct tapio_conversation *at = conversation_at(sk, may_begin, direct);

	if (!at)
		return;
	at->is_tls = 1;
	if (at->key.role ? at->protocol != TAPIO_HTTP : recognize(at, sk, head, length, direction, direct))
		converse(at, sk, head, length, direction, direct);
}

static __always_inline void read_clear(struct sock *sk, __u64 clear, __u64 length, __u32 direction, const bool direct)
{
	struct tapio_conversation *at;
	enum tapio_payload kind;
	struct head head = {};

	read_plain(&head, (const void *)clear, length);
	kind = kind_of_head(&head);
	if (is_preface(&head))
		count_unread(TLS_UNREAD);
	if (kind == OTHER)
		return read_clear_query(sk, &head, length, direction, direct);
	at = conversation_at(sk, kind == REQUEST, direct);
	if (!at)
		return;
	at->is_tls = 1;
	if (kind == RESPONSE)
		finish(at, sk, head.line, &head.payload, direction, direct);
	else
		begin(at, sk, &head.payload, direction, direct);
}

static __always_inline struct tls_call *call_under_way(void)
{
	__u64 thread = bpf_get_current_pid_tgid();
	__u32 zero = 0, *is_used;

	is_used = bpf_map_lookup_elem(&tls_is_used, &zero);
	return is_used && *is_used ? bpf_map_lookup_elem(&tls_calls, &thread) : 0;
}

/* Whether what moves on this socket is encrypted by a library that is followed. It is read where it is clear. */
static __always_inline bool is_encrypted(struct tapio_conversation *at, struct sock *sk, __u32 direction)
{
	struct tls_call *call = call_under_way();

	if (!call)
		return at->is_tls;
	if (!at->is_tls || call->socket != (__u64)sk) {
		at->is_tls = 1;
		call->socket = (__u64)sk;
		bpf_map_update_elem(&tls_sockets, &call->session, &call->socket, BPF_ANY);
	}
	if (direction == TAPIO_SENT && call->direction == TAPIO_SENT)
		read_clear(sk, call->clear, call->length, TAPIO_SENT, true);
	return true;
}

static __always_inline int enter_tls(struct pt_regs *regs, __u32 direction, __u64 received)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct tls_call call = {
	    .session = {.address = ARGUMENT_1(regs), .tgid = thread >> 32},
	    .clear = ARGUMENT_2(regs),
	    .length = ARGUMENT_3(regs),
	    .received = received,
	    .direction = direction,
	};
	__u32 zero = 0, one = 1;

	if (is_own())
		return 0;
	bpf_map_update_elem(&tls_is_used, &zero, &one, BPF_ANY);
	bpf_map_update_elem(&tls_calls, &thread, &call, BPF_ANY);
	return 0;
}

static __always_inline __u64 received_in(const struct tls_call *call, struct pt_regs *regs)
{
	__s64 result = (int)RESULT(regs);
	__u64 length = 0;

	if (result <= 0)
		return 0;
	if (!call->received)
		return result;
	return bpf_probe_read_user(&length, sizeof(length), (const void *)call->received) ? 0 : length;
}

static __always_inline void take_received(const struct tls_call *call, __u64 length)
{
	__u64 *known = bpf_map_lookup_elem(&tls_sockets, &call->session);
	__u64 socket = call->socket ? call->socket : known ? *known : 0;

	if (socket && length)
		read_clear((struct sock *)socket, call->clear, length, TAPIO_RECEIVED, false);
}

SEC("uprobe")
int enter_send(struct pt_regs *regs)
{
	return enter_tls(regs, TAPIO_SENT, 0);
}

SEC("uprobe")
int enter_receive(struct pt_regs *regs)
{
	return enter_tls(regs, TAPIO_RECEIVED, 0);
}

/* SSL_read_ex() */
SEC("uprobe")
int enter_receive_ex(struct pt_regs *regs)
{
	return enter_tls(regs, TAPIO_RECEIVED, ARGUMENT_4(regs));
}

SEC("uretprobe")
int leave_send(struct pt_regs *regs)
{
	__u64 thread = bpf_get_current_pid_tgid();

	bpf_map_delete_elem(&tls_calls, &thread);
	return 0;
}

SEC("uretprobe")
int leave_receive(struct pt_regs *regs)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct tls_call *call = bpf_map_lookup_elem(&tls_calls, &thread);

	if (!call)
		return 0;
	take_received(call, received_in(call, regs));
	bpf_map_delete_elem(&tls_calls, &thread);
	return 0;
}

#endif
