/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Who listens where: reported as it begins and ends, and asked by the connections that arrive. */
#ifndef TAPIO_LISTENERS_BPF_H
#define TAPIO_LISTENERS_BPF_H

#include "sock.bpf.h"

DESCRIBE(tapio_listen);

/* Listening sockets, and who listens where: a new connection knows only its address. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, struct tapio_listening);
} listening SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct tapio_listener_key);
	__type(value, struct tapio_task);
} listeners SEC(".maps");

static __always_inline bool is_any(const __u32 address[4])
{
	return !address[0] && !address[1] && !address[3] && (!address[2] || address[2] == bpf_htonl(0xffff));
}

static __always_inline struct tapio_task *listener_of(struct sock *sk, const bool direct)
{
	struct tapio_listener_key key = {.port = local_port_of(sk, direct), .netns = netns_of(sk, direct)};
	struct tapio_task *owner;

	local_of(sk, key.local, direct);
	owner = bpf_map_lookup_elem(&listeners, &key);
	if (owner)
		return owner;
	__builtin_memset(key.local, 0, sizeof(key.local));
	return bpf_map_lookup_elem(&listeners, &key);
}

static __always_inline void report_listen(struct tapio_listening *at, __u32 begins)
{
	struct tapio_listen *record = reserve(TAPIO_LISTEN, sizeof(*record));

	if (!record)
		return;
	record->task = at->owner;
	__builtin_memcpy(record->local, at->at.local, sizeof(record->local));
	record->local_port = at->at.port;
	record->netns = at->at.netns;
	record->begins = begins;
	submit(record, true);
}

static __always_inline void on_listen(struct sock *sk, const bool direct)
{
	struct tapio_listening at = {};
	__u64 key = (__u64)sk;

	fill_current(&at.owner);
	at.at.port = local_port_of(sk, direct);
	at.at.netns = netns_of(sk, direct);
	local_of(sk, at.at.local, direct);
	if (is_any(at.at.local)) /* 0.0.0.0 is :: */
		at.at.local[2] = 0;
	bpf_map_update_elem(&listening, &key, &at, BPF_ANY);
	bpf_map_update_elem(&listeners, &at.at, &at.owner, BPF_ANY);
	report_listen(&at, 1);
}

/* The port is already given back here, so what was said at the beginning is repeated. */
static __always_inline void on_listen_end(struct sock *sk)
{
	__u64 key = (__u64)sk;
	struct tapio_listening *at = bpf_map_lookup_elem(&listening, &key);
	struct tapio_task *owner;

	if (!at)
		return;
	report_listen(at, 0);
	owner = bpf_map_lookup_elem(&listeners, &at->at);
	if (owner && owner->tgid == at->owner.tgid) /* with SO_REUSEPORT others may listen on */
		bpf_map_delete_elem(&listeners, &at->at);
	bpf_map_delete_elem(&listening, &key);
}

#endif
