/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Exchanges that are under way, where user space sees them: of who waits on and on nobody else would know. Each
 * connection takes a place at its first request; user space may take it back while nobody waits there. A part of
 * http.bpf.h. */
#ifndef TAPIO_WAITS_BPF_H
#define TAPIO_WAITS_BPF_H

#include "rows.bpf.h"
#include "status.h"
#include "unread.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, TAPIO_WAITS);
	__type(key, __u32);
	__type(value, struct tapio_wait);
} waits SEC(".maps");

static __always_inline struct tapio_wait *wait_of(struct tapio_conversation *at)
{
	struct tapio_wait *wait;

	if (!at->wait_owner)
		return 0;
	wait = bpf_map_lookup_elem(&waits, &at->wait_at);
	return wait && owner_of(&wait->owner) == at->wait_owner ? wait : 0;
}

static __always_inline struct tapio_wait *take_place(struct tapio_conversation *at, const bool recent)
{
	__u64 owner = mixed(mixed(hash_seed, at->since_ns), bpf_get_smp_processor_id()) | TAPIO_OWNED;
	__u32 step = owner | 1; /* odd: no place twice */
	int probe;

	for (probe = 0; probe < PROBES; probe++) {
		__u32 place = ((owner >> 32) + probe * step) & (TAPIO_WAITS - 1);
		struct tapio_wait *wait = bpf_map_lookup_elem(&waits, &place);

		if (!wait)
			return 0;
		if (owner_of(&wait->owner) != TAPIO_FREE || !claimed(&wait->owner, TAPIO_CLAIMED, recent))
			continue;
		wait->since_ns = 0;
		wait->key = at->key;
		at->wait_at = place;
		at->wait_owner = owner;
		hand_over(&wait->owner, owner, recent);
		return wait;
	}
	return 0;
}

/* A request waits for its answer. */
static __always_inline void see_wait(struct tapio_conversation *at, const bool recent)
{
	struct tapio_wait *wait;

	if (!recent || at->key.health_check)
		return;
	wait = wait_of(at);
	if (!wait)
		wait = take_place(at, recent);
	if (wait)
		wait->since_ns = at->since_ns;
	else
		count_unread(WAITS_UNSEEN);
}

/* Nobody waits any more. */
static __always_inline void rest(struct tapio_conversation *at, const bool recent)
{
	struct tapio_wait *wait = recent ? wait_of(at) : 0;

	at->since_ns = 0;
	if (wait)
		wait->since_ns = 0;
}

/* Nobody will ask any more. */
static __always_inline void give_place_back(struct tapio_conversation *at, const bool recent)
{
	struct tapio_wait *wait = recent ? wait_of(at) : 0;

	at->wait_owner = 0;
	if (!wait)
		return;
	wait->since_ns = 0;
	hand_over(&wait->owner, TAPIO_FREE, recent);
}

#endif
