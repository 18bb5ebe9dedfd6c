/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What is known of a connection between its states, by its socket's address. */
#ifndef TAPIO_CONNECTIONS_BPF_H
#define TAPIO_CONNECTIONS_BPF_H

#include "rows.bpf.h"

#define SETS 4096 /* a power of two */
#define WAYS 8    /* in each: their owners are one cache line */

/* Places for sockets whose addresses have the same hash. */
struct places {
	__u64 owners[WAYS]; /* sockets' addresses, or TAPIO_FREE */
	struct tapio_connection connections[WAYS];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SETS);
	__type(key, __u32);
	__type(value, struct places);
} connections SEC(".maps");

/* The verifier lets nobody calculate with an address, but a copy of its lower half is a number. */
static __always_inline __u32 number_of(struct sock *sk)
{
	__u32 number = (__u64)sk;

	asm volatile("%0 = %1" : "=w"(number) : "w"(number));
	return number;
}

static __always_inline struct places *places_of(struct sock *sk)
{
	__u32 hash = number_of(sk) * 0x9e3779b9U; /* 2^32 / golden ratio, as the kernel's hash_32 */
	__u32 set = hash / (0x100000000ULL / SETS);

	return bpf_map_lookup_elem(&connections, &set);
}

/* Where the socket's is; WAYS: nowhere. */
static __always_inline int way_to(struct places *places, struct sock *sk)
{
	int way;

#pragma unroll
	for (way = 0; way < WAYS; way++)
		if (owner_of(&places->owners[way]) == (__u64)sk)
			break;
	return way;
}

static __always_inline int free_way(struct places *places, struct sock *sk, const bool recent)
{
	int way;

#pragma unroll
	for (way = 0; way < WAYS; way++)
		if (owner_of(&places->owners[way]) == TAPIO_FREE && claimed(&places->owners[way], (__u64)sk, recent))
			break;
	return way;
}

/* The kernel skips a program that is interrupted by itself, so an end may pass unseen and leave its place taken. What
 * has been there longest gives way. */
static __always_inline int oldest_way(struct places *places, struct sock *sk, const bool recent)
{
	int way, oldest = 0;

	for (way = 1; way < WAYS; way++)
		if (places->connections[way].since_ns < places->connections[oldest & (WAYS - 1)].since_ns)
			oldest = way;
	oldest &= WAYS - 1;
	hand_over(&places->owners[oldest], (__u64)sk, recent);
	count_full(TAPIO_CONNECT_FAILED);
	return oldest;
}

/* The socket's place, since now, with an outcome of 0 and not open; the rest is to be filled in. An earlier socket of
 * its address may have left one. */
static __always_inline struct tapio_connection *new_connection(struct sock *sk, const bool recent)
{
	struct places *places = places_of(sk);
	struct tapio_connection *at;
	int way;

	if (!places)
		return 0;
	way = way_to(places, sk);
	if (way == WAYS)
		way = free_way(places, sk, recent);
	if (way == WAYS)
		way = oldest_way(places, sk, recent);
	at = &places->connections[way & (WAYS - 1)];
	at->since_ns = bpf_ktime_get_ns();
	at->key.outcome = 0;
	at->open = 0;
	at->error = 0;
	return at;
}

#endif
