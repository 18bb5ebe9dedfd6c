/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* HTTP/1.x exchanges from the first bytes of what a TCP socket sends and receives: from the first of a request to the
 * first of its response, or to the client's giving up. The files that include this find the bytes. */
#ifndef TAPIO_HTTP_BPF_H
#define TAPIO_HTTP_BPF_H

#include "health_check.bpf.h"
#include "rows.bpf.h"
#include "status.h"

DESCRIBE(tapio_http_error);

#define MINIMUM 16 /* shorter payloads hold neither "GET / HTTP/1.1" with its CR LF nor a status line */
#define WINDOW_NS 100000000ULL
#define SWITCHING_PROTOCOLS 101
#define NO_RESPONSE 0
#define SHUTDOWN_MASK 3 /* neither sends nor receives any more */

enum tapio_direction { TAPIO_SENT = 1, TAPIO_RECEIVED = 2 };

/* When the bytes that are looked at moved, CLOCK_MONOTONIC, ns. */
static __always_inline __u64 moved_at(struct tcp_sock *tcp, const bool direct);

/* Whether the programs need a kernel from 5.12 on anyway, see claimed(). */
static __always_inline bool is_recent(void);

/* Whose socket it is. */
static __always_inline void identify(struct tapio_sum_key *key, struct sock *sk);
static __always_inline void fill_owner(struct tapio_task *out, struct sock *sk);

/* Whether the current task closes its files because it dies. */
static __always_inline bool is_exiting(void);

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, TAPIO_ROWS);
	__type(key, __u32);
	__type(value, struct tapio_http_row);
} http SEC(".maps");

/* When a 5xx or a giving up was last reported, per key without its second. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct tapio_sum_key);
	__type(value, __u64);
} reported SEC(".maps");

static __always_inline bool is_request(__u32 word)
{
	return word == WORD('G', 'E', 'T', ' ') || word == WORD('P', 'O', 'S', 'T') ||
	       word == WORD('P', 'U', 'T', ' ') || word == WORD('H', 'E', 'A', 'D') ||
	       word == WORD('D', 'E', 'L', 'E') || word == WORD('P', 'A', 'T', 'C') || word == WORD('O', 'P', 'T', 'I');
}

/* Conversations where they cannot lie with the socket itself. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, struct tapio_conversation);
} conversations_by_address SEC(".maps");

/* A socket's address is used again by later ones; the hash of its ends tells them apart. */
static __always_inline struct tapio_conversation *conversation_at(struct sock *sk, bool begins, const bool direct)
{
	struct tapio_conversation *at, fresh = {.hash = GET(direct, sk, __sk_common.skc_hash)};
	__u64 key = (__u64)sk;

	at = bpf_map_lookup_elem(&conversations_by_address, &key);
	if (at && at->hash == fresh.hash)
		return at;
	if (!begins)
		return 0;
	bpf_map_update_elem(&conversations_by_address, &key, &fresh, BPF_ANY);
	return bpf_map_lookup_elem(&conversations_by_address, &key);
}

static __always_inline bool is_own(void)
{
	return own_tgid && current_tgid() == own_tgid;
}

/* Whether requests go this way on a socket whose role is known. */
static __always_inline bool asks(struct tapio_conversation *at, __u32 direction)
{
	return (at->key.role == TAPIO_SERVER) == (direction == TAPIO_RECEIVED);
}

/* Whose counters this socket's are: settled once, by whoever sees its first request. */
static __always_inline void introduce(struct tapio_conversation *at, struct sock *sk, __u32 role, const bool direct)
{
	struct tapio_sum_key *key = &at->key;

	key->role = role;
	identify(key, sk);
	key->netns = netns_of(sk, direct);
	key->port = role == TAPIO_SERVER ? local_port_of(sk, direct) : peer_port_of(sk, direct);
	peer_of(sk, key->peer, direct);
}

static __always_inline void wait_from_now(struct tapio_conversation *at, struct sock *sk, const bool direct)
{
	struct tcp_sock *tcp = tcp_of(sk, direct);

	if (!tcp)
		return;
	at->since_ns = moved_at(tcp, direct);
	at->received = GET(direct, tcp, bytes_received);
}

/* The first request tells whether a connection is there for health checks. Where it is, each request is asked again: a
 * proxy may let users' follow. */
static __always_inline void begin(struct tapio_conversation *at, struct sock *sk, const struct payload *request,
				  __u32 direction, const bool direct)
{
	bool is_first = !at->key.role;

	if (is_first)
		introduce(at, sk, direction == TAPIO_RECEIVED ? TAPIO_SERVER : TAPIO_CLIENT, direct);
	if (!asks(at, direction))
		return;
	if (is_first || at->key.health_check)
		at->key.health_check = is_health_check(request);
	at->head_open = is_first && !at->key.health_check && request->length < MOST_PARTS * PART_BYTES;
	wait_from_now(at, sk, direct);
}

static __always_inline __u32 status_of(const __u8 *line)
{
	__u32 a = line[9] - '0', b = line[10] - '0', c = line[11] - '0';

	if (line[8] != ' ' || a > 5 || b > 9 || c > 9)
		return 0;
	return a * 100 + b * 10 + c;
}

static __always_inline __u32 slot_of(__u64 ns)
{
	__u64 us = ns / 1000;
	__u32 slot = 0;

	if (us >= 1ULL << 16) {
		us >>= 16;
		slot += 16;
	}
	if (us >= 1 << 8) {
		us >>= 8;
		slot += 8;
	}
	if (us >= 1 << 4) {
		us >>= 4;
		slot += 4;
	}
	if (us >= 1 << 2) {
		us >>= 2;
		slot += 2;
	}
	if (us >= 1 << 1)
		slot += 1;
	return slot < TAPIO_SLOTS ? slot : TAPIO_SLOTS - 1;
}

static __always_inline void count_exchange(struct tapio_sum_key *key, __u64 latency)
{
	struct tapio_http *sums = sums_of(&http, key, is_recent());
	__u32 slot = slot_of(latency);

	if (!sums)
		count_full(TAPIO_HTTP_ERROR);
	else if (slot < TAPIO_SLOTS)
		__sync_fetch_and_add(&sums->latency_slots[slot], 1);
}

static __always_inline bool first_of_window(struct tapio_sum_key *key)
{
	__u64 *last, now = bpf_ktime_get_ns();

	key->second = 0;
	last = bpf_map_lookup_elem(&reported, key);
	if (last && now - *last < WINDOW_NS)
		return false;
	bpf_map_update_elem(&reported, key, &now, BPF_ANY);
	return true;
}

static __always_inline void report_error(struct tapio_sum_key *key, struct sock *sk, __u64 latency, const bool direct)
{
	struct tapio_http_error *record = reserve(TAPIO_HTTP_ERROR, sizeof(*record));

	if (!record)
		return;
	fill_owner(&record->task, sk);
	__builtin_memcpy(record->peer, key->peer, sizeof(record->peer));
	local_of(sk, record->local, direct);
	record->peer_port = peer_port_of(sk, direct);
	record->local_port = local_port_of(sk, direct);
	record->role = key->role;
	record->status = key->outcome;
	record->netns = key->netns;
	record->latency_ns = latency;
	submit(record, true);
}

static __always_inline void end(struct tapio_conversation *at, struct sock *sk, __u32 status, __u64 now,
				const bool direct)
{
	__u64 latency = since(at->since_ns, now);
	bool is_error = status >= 500 || status == NO_RESPONSE;

	at->since_ns = 0;
	at->key.outcome = status;
	if (is_error && !at->key.health_check && first_of_window(&at->key))
		report_error(&at->key, sk, latency, direct);
	count_exchange(&at->key, latency);
}

static __always_inline void finish(struct tapio_conversation *at, struct sock *sk, const __u8 *line, __u32 direction,
				   const bool direct)
{
	struct tcp_sock *tcp = tcp_of(sk, direct);
	__u32 status = status_of(line);

	if (!tcp || !at->since_ns || asks(at, direction))
		return;
	if (status == SWITCHING_PROTOCOLS) {
		at->key.role = 0;
		at->since_ns = 0;
	}
	if (status < 200)
		return;
	at->read_in = bpf_jiffies64();
	end(at, sk, status, moved_at(tcp, direct), direct);
}

/* Who closes an established connection of his own accord; not who dies, and not who only has no more to send. What ends
 * a connection from outside changes its state before it is shut down. */
static __always_inline bool is_closed_by_owner(struct sock *sk, int from, int to, const bool direct)
{
	return from == TCP_ESTABLISHED && (to == TCP_FIN_WAIT1 || to == TCP_CLOSE) && is_tcp(sk, direct) &&
	       GET(direct, sk, sk_shutdown) == SHUTDOWN_MASK && !is_exiting();
}

/* The client closes while it waits and nothing has come back. */
static __always_inline void give_up(struct tapio_conversation *at, struct sock *sk, const bool direct)
{
	struct tcp_sock *tcp = tcp_of(sk, direct);

	if (tcp && at->since_ns && at->key.role == TAPIO_CLIENT && at->received == GET(direct, tcp, bytes_received))
		end(at, sk, NO_RESPONSE, bpf_ktime_get_ns(), direct);
}

/* Where conversations are found by address. */
static __always_inline int closed(struct sock *sk, int from, int to, const bool direct)
{
	struct tapio_conversation *at;

	if (!is_closed_by_owner(sk, from, to, direct))
		return 0;
	at = conversation_at(sk, false, direct);
	if (at)
		give_up(at, sk, direct);
	return 0;
}

enum tapio_payload { OTHER = 0, REQUEST = 1, RESPONSE = 2 };

static __always_inline enum tapio_payload kind_of(const __u8 line[MINIMUM])
{
	__u32 word;

	__builtin_memcpy(&word, line, sizeof(word));
	if (word == WORD('H', 'T', 'T', 'P'))
		return RESPONSE;
	return is_request(word) ? REQUEST : OTHER;
}

#endif
