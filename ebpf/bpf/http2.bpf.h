/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* HTTP/2 in clear text: follows the frames of a connection, in both directions, from the client's preface on. Where it
 * cannot, it says so, once, and looks no more: it never guesses where a frame may begin. */
#ifndef TAPIO_HTTP2_BPF_H
#define TAPIO_HTTP2_BPF_H

#include "http2_walk.bpf.h"
#include "unread.bpf.h"

DESCRIBE(tapio_http2_begin);
DESCRIBE(tapio_http2_end);

#define PREFACE_BYTES 24 /* "PRI * HTTP/2.0", two CR LF, "SM", two CR LF */
#define RCV_SHUTDOWN 1   /* the peer sends no more */

enum { END_STREAM = 0x1, END_HEADERS = 0x4, PRIORITY = 0x20 };

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct tapio_http2);
} http2 SEC(".maps");

static __always_inline void tell_end(struct tapio_http2 *at, __u32 how)
{
	struct tapio_http2_end *record = reserve(TAPIO_HTTP2_END, sizeof(*record));

	if (!record)
		return;
	record->connection = at->connection;
	record->moved_ns = bpf_ktime_get_ns();
	record->how = how;
	submit(record, false);
}

static __always_inline void lose(struct tapio_http2 *at)
{
	at->is_lost = 1;
	count_unread(HTTP2_LOST);
	tell_end(at, TAPIO_HTTP2_LOST);
}

/* Bytes that were missed do no harm where they are of a payload that is passed over. The end of what the peer sends
 * counts as a byte. */
static __always_inline bool is_where_it_was(struct tapio_http2_flow *flow, struct sock *sk, __u32 start,
					    __u32 direction)
{
	__u32 missed = start - flow->next;

	if (!missed || (missed == 1 && direction == TAPIO_RECEIVED && sk->sk_shutdown & RCV_SHUTDOWN))
		return true;
	if (flow->keep || flow->left < missed)
		return false;
	flow->left -= missed;
	flow->next = start;
	return true;
}

/* Sequence numbers tell whether a message was missed, or two threads came in each other's way: the stack counts what
 * this socket has sent and taken. */
static __always_inline void follow(struct tapio_http2 *at, struct sock *sk, __u64 moved, __u32 direction)
{
	struct tapio_http2_flow *flow = direction == TAPIO_SENT ? &at->sent : &at->received;
	struct tcp_sock *tcp = tcp_of(sk, true);
	__u32 end;

	if (at->is_lost)
		return count_unread(HTTP2_LOST);
	if (!tcp)
		return;
	end = direction == TAPIO_SENT ? tcp->write_seq : tcp->copied_seq;
	if ((__s32)(end - flow->next) <= 0)
		return; /* from before the preface */
	if (!is_where_it_was(flow, sk, end - moved, direction))
		return lose(at);
	if (!flow->keep && flow->left >= moved) {
		flow->left -= moved;
		flow->next += moved;
	} else if (!walk_over(at, flow, tcp, moved, direction)) {
		lose(at);
	}
}

static __always_inline bool tell_begin(struct tapio_http2 *at, struct sock *sk, __u32 role)
{
	struct tapio_http2_begin *record = reserve(TAPIO_HTTP2_BEGIN, sizeof(*record));

	if (!record)
		return false;
	fill_current(&record->task);
	record->connection = at->connection;
	peer_of(sk, record->peer, true);
	record->peer_port = peer_port_of(sk, true);
	record->local_port = local_port_of(sk, true);
	record->role = role;
	record->netns = netns_of(sk, true);
	record->by_checker =
	    is_checkers_connection(sk, role, true) || (role == TAPIO_CLIENT && is_checkers_name(record->task.comm));
	submit(record, false);
	return true;
}

/* The client's preface is passed over like a frame. A server may have sent whole frames before it came. */
static __always_inline bool speak_http2(struct sock *sk, __u64 moved, __u64 begun_bytes, __u32 direction)
{
	struct tcp_sock *tcp = tcp_of(sk, true);
	struct tapio_http2_flow *asked;
	struct tapio_http2 *at;

	if (!tcp)
		return false;
	at = bpf_sk_storage_get(&http2, sk, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!at) {
		count_full(TAPIO_HTTP2_BEGIN);
		return false;
	}
	at->connection = bpf_get_socket_cookie(sk);
	at->sent.next = tcp->write_seq;
	at->received.next = tcp->copied_seq;
	asked = direction == TAPIO_SENT ? &at->sent : &at->received;
	asked->next -= moved;
	asked->left = PREFACE_BYTES - begun_bytes;
	at->is_lost = !tell_begin(at, sk, direction == TAPIO_SENT ? TAPIO_CLIENT : TAPIO_SERVER);
	return true;
}

static __always_inline bool is_preface(const struct head *head)
{
	const __u64 *words = (const __u64 *)head->line;

	return head->length >= LINE && words[0] == LONG('P', 'R', 'I', ' ', '*', ' ', 'H', 'T') &&
	       words[1] == LONG('T', 'P', '/', '2', '.', '0', '\r', '\n');
}

/* The header of a frame with all of a block of headers, on a stream that a client began. */
static __always_inline bool is_amid_http2(const struct head *head)
{
	const __u8 *line = head->line;
	bool is_short = !line[0] && line[1] < MOST_TOLD >> 8;
	bool is_headers = line[3] == HEADERS && (line[4] & ~(END_STREAM | PRIORITY)) == END_HEADERS;

	return head->length >= LINE && is_short && is_headers && !line[5] && line[8] & 1;
}

static __always_inline void end_http2(struct tapio_http2 *at, struct sock *sk, int from, int to)
{
	if (at->is_lost)
		return;
	if (is_closed_by_owner(sk, from, to, true))
		tell_end(at, is_exiting() ? TAPIO_HTTP2_EXITED : TAPIO_HTTP2_CLOSED);
	else if (is_broken(sk, to, true) || is_ended_by_peer(from, to))
		tell_end(at, TAPIO_HTTP2_ENDED);
}

#endif
