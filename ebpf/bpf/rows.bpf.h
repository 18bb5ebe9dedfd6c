/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Rows of an array found by hash: neither a lock, nor a list, nor a call, as a hash map has them. Sums lie in memory
 * that user space maps, and every processor finds rows of its own, so that none waits for another's cache line; user
 * space adds them up and frees the rows of seconds that are over. */
#ifndef TAPIO_ROWS_BPF_H
#define TAPIO_ROWS_BPF_H

#include "sock.bpf.h"
#include "sums.h"

/* Rows that may be one's own: when all are others' the table is full. They lie apart, as next to each other they would
 * fill in clusters: of a table that is half taken, 1 in 65,536 finds none. */
#define PROBES 16

/* Chosen anew by the loader: nobody outside can fill the ways of others. */
const volatile __u64 hash_seed = 0;

/* Also its number of rows, less one: a power of two, less one. */
const volatile __u32 last_row = TAPIO_ROWS - 1;

static __always_inline __u64 mixed(__u64 hash, __u64 word)
{
	hash = (hash ^ word) * 0x9e3779b97f4a7c15ULL; /* 2^64 / golden ratio, as the kernel's hash_64 */
	return hash ^ hash >> 32;
}

/* Atomic exchange came with 5ffa25502b5a ("bpf: Add instructions for atomic_[cmp]xchg"), 5.12; `recent` is always a
 * compile-time constant. Before, two processors that want the same free row within nanoseconds may both take it. */
static __always_inline bool claimed(__u64 *owner, __u64 by, const bool recent)
{
	if (recent)
		return !__sync_val_compare_and_swap(owner, TAPIO_FREE, by);
	*(volatile __u64 *)owner = by;
	return true;
}

/* All that was written or read before is seen so by who sees this. */
static __always_inline void hand_over(__u64 *owner, __u64 to, const bool recent)
{
	if (recent)
		__sync_lock_test_and_set(owner, to);
	else
		*(volatile __u64 *)owner = to;
}

static __always_inline __u64 owner_of(__u64 *owner)
{
	return *(volatile __u64 *)owner;
}

static __always_inline __u64 hash_of(struct tapio_sum_key *key)
{
	const __u64 *words = (const __u64 *)key;
	__u64 hash = mixed(hash_seed, bpf_get_smp_processor_id());
	int i;

#pragma unroll
	for (i = 0; i < sizeof(*key) / sizeof(*words); i++)
		hash = mixed(hash, words[i]);
	return hash;
}

static __always_inline bool is_same(struct tapio_sum_key *a, struct tapio_sum_key *b)
{
	const __u64 *left = (const __u64 *)a, *right = (const __u64 *)b;
	__u64 differs = 0;
	int i;

#pragma unroll
	for (i = 0; i < sizeof(*a) / sizeof(*left); i++)
		differs |= left[i] ^ right[i];
	return !differs;
}

/* This processor's row of the running second, 0: full. */
static __always_inline void *sums_of(void *rows, struct tapio_sum_key *key, const bool recent)
{
	__u64 owner;
	__u32 step;
	int probe;

	key->second = this_second();
	owner = hash_of(key) | TAPIO_OWNED;
	step = owner | 1; /* odd: no row twice */
	for (probe = 0; probe < PROBES; probe++) {
		__u32 at = ((owner >> 32) + probe * step) & last_row;
		struct tapio_row *row = bpf_map_lookup_elem(rows, &at);
		__u64 now;

		if (!row)
			return 0;
		now = owner_of(&row->owner);
		if (now == owner && is_same(&row->key, key))
			return row + 1;
		if (now == TAPIO_FREE && claimed(&row->owner, TAPIO_CLAIMED, recent)) {
			row->key = *key;
			hand_over(&row->owner, owner, recent);
			return row + 1;
		}
	}
	return 0;
}

#endif
