/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* HTTP/1.x exchanges from the first bytes of what a TCP socket sends and receives: from the first of a request to the
 * first of its response, or to the end of the wait for it. The files that include this find the bytes. */
#ifndef TAPIO_HTTP_BPF_H
#define TAPIO_HTTP_BPF_H

#include "checkers.bpf.h"
#include "health_check.bpf.h"
#include "rows.bpf.h"
#include "status.h"
#include "waits.bpf.h"

DESCRIBE(tapio_http_error);

#define LINE TAPIO_LINE
#define SHORTEST 12          /* "HTTP/1.1 500": a status line may be handed over in parts */
#define CONTINUE_BYTES 25    /* "HTTP/1.1 100 Continue" and two CR LF: nobody adds a header to it */
#define SHORTEST_RESPONSE 17 /* "HTTP/1.1 200 " and two CR LF */

/* Nobody waits for an answer less than this: who wants none closes at once, or sets a timeout of 1 to 10 ms, which a
 * slow clock ends a tick later. */
#define LEAST_WAIT_NS 20000000ULL

/* Responses of a connection that are read in one tick of the kernel's clock. */
#define SAMPLES 8

#define WINDOW_NS 100000000ULL
#define CONTINUE 100
#define SWITCHING_PROTOCOLS 101
#define NO_RESPONSE 0
#define SHUTDOWN_MASK 3 /* neither sends nor receives any more */

enum tapio_direction { TAPIO_SENT = 1, TAPIO_RECEIVED = 2 };

/* When the bytes that are looked at moved, CLOCK_MONOTONIC, ns. */
static __always_inline __u64 moved_at(struct tcp_sock *tcp, const bool direct);

/* Whether the programs need a kernel from 5.12 on anyway, see claimed(). */
static __always_inline bool is_recent(void);

/* Whose socket it is. What the peer does is seen while any task may run. */
static __always_inline void identify(struct tapio_sum_key *key, struct sock *sk);
static __always_inline void fill_owner(struct tapio_task *out, struct sock *sk, const struct tapio_sum_key *key,
				       const bool is_current);

/* Whether a request says of itself that it tests a server. */
static __always_inline bool says_it_checks(const struct payload *request);

/* What a request asks for and which trace it belongs to, and that exchanges fail, in which case that is read. */
static __always_inline void see_request(struct tapio_conversation *at, struct sock *sk, const struct payload *request);
static __always_inline void see_failure(__u64 now);
static __always_inline void fill_request(struct tapio_http_error *out, struct sock *sk, __u32 route, __u64 begun_ns);

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
	at->by_checker =
	    is_checkers_connection(sk, role, direct) || (role == TAPIO_CLIENT && is_checkers_name(key->comm));
}

static __always_inline void wait_from_now(struct tapio_conversation *at, struct sock *sk, const bool direct)
{
	struct tcp_sock *tcp = tcp_of(sk, direct);

	if (!tcp)
		return;
	at->since_ns = moved_at(tcp, direct);
	at->taken = GET(direct, tcp, copied_seq);
	at->is_doubted = 0;
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
		at->key.health_check = at->by_checker || says_it_checks(request);
	at->head_open = is_first && !at->key.health_check && request->length < MOST_PARTS * PART_BYTES;
	wait_from_now(at, sk, direct);
	see_request(at, sk, request);
	see_wait(at, is_recent());
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

static __always_inline void report_error(struct tapio_conversation *at, struct sock *sk, __u64 begun_ns, __u64 latency,
					 const bool is_current, const bool direct)
{
	struct tapio_http_error *record = reserve(TAPIO_HTTP_ERROR, sizeof(*record));
	const struct tapio_sum_key *key = &at->key;

	if (!record)
		return;
	fill_owner(&record->task, sk, key, is_current);
	__builtin_memcpy(record->peer, key->peer, sizeof(record->peer));
	local_of(sk, record->local, direct);
	record->peer_port = peer_port_of(sk, direct);
	record->local_port = local_port_of(sk, direct);
	record->role = key->role;
	record->status = key->outcome;
	record->netns = key->netns;
	record->protocol = at->protocol;
	record->latency_ns = latency;
	if (key->outcome != NO_RESPONSE)
		__builtin_memcpy(record->code, at->code, sizeof(record->code));
	fill_request(record, sk, key->route, begun_ns);
	submit(record, true);
}

static __always_inline void end(struct tapio_conversation *at, struct sock *sk, __u32 status, __u64 now,
				const bool is_current, const bool direct)
{
	__u64 begun_ns = at->since_ns, latency = since(begun_ns, now);
	bool is_error = status >= 500 || status == NO_RESPONSE;

	rest(at, is_recent());
	at->key.outcome = status;
	if (is_error && !at->key.health_check) {
		see_failure(now);
		if (first_of_window(&at->key))
			report_error(at, sk, begun_ns, latency, is_current, direct);
	}
	count_exchange(&at->key, latency);
}

enum tapio_payload { OTHER = 0, REQUEST = 1, RESPONSE = 2 };

static __always_inline enum tapio_payload kind_of(const __u8 *line, __u64 length)
{
	__u32 word;

	__builtin_memcpy(&word, line, sizeof(word));
	if (word == WORD('H', 'T', 'T', 'P'))
		return RESPONSE;
	return length >= LINE && is_request(word) ? REQUEST : OTHER;
}

/* The leave to go on and the answer may be read at once. */
static __always_inline __u32 last_status(const __u8 *line, const struct payload *response)
{
	__u32 status = status_of(line);
	__u8 next[PART_BYTES];

	if (status != CONTINUE || response->length < CONTINUE_BYTES + LINE ||
	    !read_part(response, CONTINUE_BYTES, next, LINE) || kind_of(next, LINE) != RESPONSE)
		return status;
	return status_of(next);
}

/* What is announced is no answer: it is waited for on. Behind a longer message it may stand unseen. */
static __always_inline void announce(struct tapio_conversation *at, struct tcp_sock *tcp, __u32 status, __u64 length,
				     const bool direct)
{
	if (status == SWITCHING_PROTOCOLS) {
		at->key.role = 0;
		rest(at, is_recent());
	}
	if (status && length < 2 * SHORTEST_RESPONSE)
		at->taken = GET(direct, tcp, copied_seq);
}

static __always_inline void count_sample(struct tapio_conversation *at)
{
	__u64 tick = bpf_jiffies64();

	if (at->read_in != tick)
		at->reads = 0;
	at->read_in = tick;
	at->reads++;
}

static __always_inline void finish(struct tapio_conversation *at, struct sock *sk, const __u8 *line,
				   const struct payload *response, __u32 direction, const bool direct)
{
	struct tcp_sock *tcp = tcp_of(sk, direct);
	__u32 status;

	if (!tcp || !at->since_ns || asks(at, direction))
		return;
	status = last_status(line, response);
	if (status < 200)
		return announce(at, tcp, status, response->length, direct);
	count_sample(at);
	end(at, sk, status, moved_at(tcp, direct), true, direct);
}

#include "unanswered.bpf.h"

#endif
