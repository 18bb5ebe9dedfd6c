/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Which trace a request belongs to, as its header traceparent says (W3C Trace Context, 3.2): looked for while exchanges
 * fail, and told with those that do. A part of status.bpf.c. */
#ifndef TAPIO_TRACE_CONTEXT_BPF_H
#define TAPIO_TRACE_CONTEXT_BPF_H

#include "payload.bpf.h"

#define TRACE_BYTES 1024 /* of a head, in which it is looked for */
#define NAME_BYTES 13    /* "traceparent: " */
#define WORD_BYTES sizeof(__u64)

struct trace {
	__u64 begun_ns; /* when the request began, which tells it from others of the same socket */
	__u8 parent[TAPIO_TRACE_PARENT];
};

/* The last request of each socket that has one. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, struct trace);
} traces SEC(".maps");

/* Where "traceparent: 00-" begins whose first aligned word this is: so many bytes before it; WORD_BYTES: it is not of
 * one. */
static __always_inline __u64 bytes_before(__u64 word)
{
	word |= LOWER_CASE;
	if (word == LONG('t', 'r', 'a', 'c', 'e', 'p', 'a', 'r'))
		return 0;
	if (word == LONG('r', 'a', 'c', 'e', 'p', 'a', 'r', 'e'))
		return 1;
	if (word == LONG('a', 'c', 'e', 'p', 'a', 'r', 'e', 'n'))
		return 2;
	if (word == LONG('c', 'e', 'p', 'a', 'r', 'e', 'n', 't'))
		return 3;
	if (word == LONG('e', 'p', 'a', 'r', 'e', 'n', 't', ':'))
		return 4;
	if (word == LONG('p', 'a', 'r', 'e', 'n', 't', ':', ' '))
		return 5;
	if (word == LONG('a', 'r', 'e', 'n', 't', ':', ' ', '0'))
		return 6;
	return word == LONG('r', 'e', 'n', 't', ':', ' ', '0', '0') ? 7 : WORD_BYTES;
}

/* Where the value of a request's header begins, 0: it has none. Verified by itself, as health_check_in_user_memory().
 */
__noinline int trace_parent_at(__u64 in, __u64 length)
{
	__u64 from, size, i, before, part[PART_BYTES / WORD_BYTES];

#pragma clang loop unroll(disable)
	for (from = 0; from < TRACE_BYTES && from + WORD_BYTES <= length; from += PART_BYTES) {
		size = length - from < PART_BYTES ? length - from : PART_BYTES;
		asm volatile("" : "+r"(size)); /* older verifiers see its bounds only where they are checked */
		__builtin_memset(part, 0, sizeof(part));
		if (!size || size > PART_BYTES || bpf_probe_read_user(part, size, (void *)in + from))
			return 0;
#pragma clang loop unroll(disable)
		for (i = 0; i < PART_BYTES / WORD_BYTES; i++) {
			before = bytes_before(part[i]);
			if (before < WORD_BYTES && before <= from + i * WORD_BYTES)
				return from + i * WORD_BYTES - before + NAME_BYTES;
		}
	}
	return 0;
}

static __always_inline void see_trace(struct sock *sk, const struct payload *request, __u64 begun_ns)
{
	struct trace trace = {.begun_ns = begun_ns};
	__u64 socket = (__u64)sk;
	__u32 at = trace_parent_at((__u64)request->in, request->length);

	if (!at || at + TAPIO_TRACE_PARENT > request->length ||
	    bpf_probe_read_user(trace.parent, TAPIO_TRACE_PARENT, request->in + at))
		return;
	bpf_map_update_elem(&traces, &socket, &trace, BPF_ANY);
}

static __always_inline void fill_trace(__u8 *out, struct sock *sk, __u64 begun_ns)
{
	__u64 socket = (__u64)sk;
	struct trace *known = bpf_map_lookup_elem(&traces, &socket);

	if (known && known->begun_ns == begun_ns)
		__builtin_memcpy(out, known->parent, TAPIO_TRACE_PARENT);
}

#endif
