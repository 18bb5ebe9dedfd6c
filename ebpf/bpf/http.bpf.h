/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* HTTP/1.x exchanges from the first bytes of what a TCP socket sends and receives. Any source of (socket, user
 * buffer, length, direction) can feed `payload`; the two that do are status.bpf.c and status_syscalls.bpf.c. */
#ifndef TAPIO_HTTP_BPF_H
#define TAPIO_HTTP_BPF_H

#include "sock.bpf.h"
#include "status.h"

DESCRIBE(tapio_http_error);

#define WORD(a, b, c, d)                                                                                             \
	((__u32)(a) | (__u32)(b) << 8 | (__u32)(c) << 16 | (__u32)(d) << 24) /* little endian, as bpfel is */

#define MINIMUM 16 /* shorter payloads hold neither "GET / HTTP/1.1" with its CR LF nor a status line */
#define WINDOW_NS 100000000ULL

enum tapio_direction { TAPIO_SENT = 1, TAPIO_RECEIVED = 2 };

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, struct tapio_exchange);
} exchanges SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, struct tapio_http_key);
	__type(value, struct tapio_http);
} http SEC(".maps");

/* When a 5xx was last reported, per key without its generation. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct tapio_http_key);
	__type(value, __u64);
} reported SEC(".maps");

static __always_inline bool is_request(__u32 word)
{
	return word == WORD('G', 'E', 'T', ' ') || word == WORD('P', 'O', 'S', 'T') ||
	       word == WORD('P', 'U', 'T', ' ') || word == WORD('H', 'E', 'A', 'D') ||
	       word == WORD('D', 'E', 'L', 'E') || word == WORD('P', 'A', 'T', 'C') ||
	       word == WORD('O', 'P', 'T', 'I');
}

static __always_inline void begin(struct sock *sk, const void *buffer, __u64 length, __u32 direction)
{
	struct tapio_exchange exchange = {};
	__u64 key = (__u64)sk;

	if (length > TAPIO_REQUEST)
		length = TAPIO_REQUEST;
	if (bpf_probe_read_user(exchange.request, length, buffer))
		return;
	exchange.since_ns = bpf_ktime_get_boot_ns();
	exchange.role = direction == TAPIO_RECEIVED ? TAPIO_SERVER : TAPIO_CLIENT;
	bpf_map_update_elem(&exchanges, &key, &exchange, BPF_ANY);
}

static __always_inline __u32 status_of(const __u8 *line)
{
	__u32 a = line[9] - '0', b = line[10] - '0', c = line[11] - '0';

	if (line[8] != ' ' || a > 5 || b > 9 || c > 9)
		return 0;
	return a * 100 + b * 10 + c;
}

static __always_inline void fill_key(struct tapio_http_key *key, struct sock *sk, __u32 role, __u32 status,
				     const bool direct)
{
	key->role = role;
	key->status = status;
	key->netns = netns_of(sk, direct);
	key->port = role == TAPIO_SERVER ? local_port_of(sk, direct) : peer_port_of(sk, direct);
	peer_of(sk, key->peer, direct);
}

static __always_inline void count_exchange(struct tapio_http_key *key, struct tapio_task *task, __u64 now,
					   __u64 latency)
{
	struct tapio_http *total = bpf_map_lookup_elem(&http, key);
	__u32 slot = slot_of(latency);

	if (!total) {
		struct tapio_http fresh = {.task = *task};

		bpf_map_update_elem(&http, key, &fresh, BPF_NOEXIST);
		total = bpf_map_lookup_elem(&http, key);
	}
	if (!total) {
		count_loss(TAPIO_HTTP_ERROR);
		return;
	}
	__sync_fetch_and_add(&total->count, 1);
	__sync_fetch_and_add(&total->latency_sum_ns, latency);
	total->last_ns = now;
	if (slot < TAPIO_SLOTS)
		__sync_fetch_and_add(&total->latency_slots[slot], 1);
}

static __always_inline bool first_of_window(struct tapio_http_key *key, __u64 now)
{
	__u64 *last = bpf_map_lookup_elem(&reported, key);

	if (last && now - *last < WINDOW_NS)
		return false;
	bpf_map_update_elem(&reported, key, &now, BPF_ANY);
	return true;
}

static __always_inline void report_error(struct tapio_http_key *key, struct tapio_task *task, struct sock *sk,
					 struct tapio_exchange *exchange, __u64 latency, const bool direct)
{
	struct tapio_http_error *record = reserve(TAPIO_HTTP_ERROR, sizeof(*record));

	if (!record)
		return;
	record->task = *task;
	peer_of(sk, record->peer, direct);
	local_of(sk, record->local, direct);
	record->peer_port = peer_port_of(sk, direct);
	record->local_port = local_port_of(sk, direct);
	record->role = key->role;
	record->status = key->status;
	record->netns = key->netns;
	record->latency_ns = latency;
	__builtin_memcpy(record->request, exchange->request, TAPIO_REQUEST);
	submit(record, true);
}

static __always_inline void finish(struct sock *sk, const __u8 *line, __u32 direction, const bool direct)
{
	__u32 role = direction == TAPIO_SENT ? TAPIO_SERVER : TAPIO_CLIENT;
	__u32 status = status_of(line);
	__u64 address = (__u64)sk, now, latency;
	struct tapio_http_key key = {};
	struct tapio_exchange *exchange;
	struct tapio_task task = {};

	exchange = bpf_map_lookup_elem(&exchanges, &address);
	if (!exchange || exchange->role != role || status < 200)
		return;
	now = bpf_ktime_get_boot_ns();
	latency = now - exchange->since_ns;
	fill_current(&task);
	fill_key(&key, sk, role, status, direct);
	key.cgroup_id = task.cgroup_id;
	if (status >= 500 && first_of_window(&key, now))
		report_error(&key, &task, sk, exchange, latency, direct);
	key.generation = current_generation();
	count_exchange(&key, &task, now, latency);
	bpf_map_delete_elem(&exchanges, &address);
}

enum tapio_payload { OTHER = 0, REQUEST = 1, RESPONSE = 2 };

/* The cheap decision, from the first bytes alone. */
static __always_inline enum tapio_payload kind_of(const void *buffer, __u64 length, __u8 line[MINIMUM])
{
	__u32 word;

	if (length < MINIMUM || bpf_probe_read_user(line, MINIMUM, buffer))
		return OTHER;
	__builtin_memcpy(&word, line, sizeof(word));
	if (word == WORD('H', 'T', 'T', 'P'))
		return RESPONSE;
	return is_request(word) ? REQUEST : OTHER;
}

/* Tells whether it was HTTP. */
static __always_inline bool payload(struct sock *sk, const void *buffer, __u64 length, __u32 direction,
				    const bool direct)
{
	__u8 line[MINIMUM];
	enum tapio_payload kind = kind_of(buffer, length, line);

	if (kind == RESPONSE)
		finish(sk, line, direction, direct);
	else if (kind == REQUEST)
		begin(sk, buffer, length, direction);
	return kind != OTHER;
}

/* The first non-empty of the first two parts. */
static __always_inline const void *first_part(const struct iovec *parts, __u64 count, __u64 *length)
{
	struct iovec part;

	if (!count || bpf_probe_read_user(&part, sizeof(part), parts))
		return 0;
	if (!part.iov_len && count > 1 && bpf_probe_read_user(&part, sizeof(part), parts + 1))
		return 0;
	if (part.iov_len < *length)
		*length = part.iov_len;
	return part.iov_base;
}

static __always_inline const void *first_of_message(const void *message, __u64 *length)
{
	struct user_msghdr header;

	if (bpf_probe_read_user(&header, sizeof(header), message))
		return 0;
	return first_part(header.msg_iov, header.msg_iovlen, length);
}

#endif
