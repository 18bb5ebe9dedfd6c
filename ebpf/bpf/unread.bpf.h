/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* How much passes unseen. */
#ifndef TAPIO_UNREAD_BPF_H
#define TAPIO_UNREAD_BPF_H

#include "common.bpf.h"

/* Messages of which nobody knows what they say: HTTP/1 or unknown, HTTP/2 from before the programs, HTTP/2 that was
 * lost, TLS by a library that is not followed or around HTTP/2. Requests that found no place to wait at. */
enum { UNREAD, HTTP2_OLDER, HTTP2_LOST, TLS_UNREAD, WAITS_UNSEEN, UNREAD_KINDS };

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, UNREAD_KINDS);
	__type(key, __u32);
	__type(value, __u64);
} unread SEC(".maps");

static __always_inline void count_unread(__u32 kind)
{
	__u64 *count = bpf_map_lookup_elem(&unread, &kind);

	if (count)
		*count += 1;
}

#endif
