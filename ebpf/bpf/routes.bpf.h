/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What requests ask for, while some fail: then each is read for it, and exchanges are counted by it. Paths that differ
 * only in segments with digits are one route, as ids and uuids are; versions as v2 are none. A part of status.bpf.c. */
#ifndef TAPIO_ROUTES_BPF_H
#define TAPIO_ROUTES_BPF_H

#include "payload.bpf.h"

#define MOST_ROUTES 1024
#define READ_FOR_NS 10000000000ULL /* after a failure */

/* The first request of each route. User space forgets them all when they become many. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MOST_ROUTES);
	__type(key, __u32);
	__type(value, struct tapio_route);
} routes SEC(".maps");

/* When an exchange last failed, CLOCK_MONOTONIC, ns. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} failed_ns SEC(".maps");

static __always_inline void see_failure(__u64 now)
{
	__u32 zero = 0;
	__u64 *failed = bpf_map_lookup_elem(&failed_ns, &zero);

	if (failed)
		*failed = now;
}

static __always_inline bool has_failed_lately(__u64 now)
{
	__u32 zero = 0;
	__u64 *failed = bpf_map_lookup_elem(&failed_ns, &zero);

	return failed && *failed && since(*failed, now) < READ_FOR_NS;
}

/* How far a request was read. */
struct reading {
	struct tapio_route request;
	__u64 hash;    /* of what lies before this segment */
	__u64 segment; /* its hash */
	__u32 length;
	__u32 has_digit;
	__u32 in_path;
	__u8 first;
};

static __always_inline void end_segment(struct reading *at)
{
	bool is_version = at->first == 'v' && at->length <= 3;

	at->hash = mixed(at->hash, at->has_digit && !is_version ? 1 : at->segment);
	at->segment = 0;
	at->length = 0;
	at->has_digit = 0;
}

/* 1: the path has ended, with a space or a question mark. */
static int read_byte(__u32 index, struct reading *at)
{
	__u8 byte = at->request.line[index & (TAPIO_ROUTE - 1)];

	if (byte < ' ' || byte == '?' || (byte == ' ' && at->in_path))
		return 1;
	if (byte == ' ')
		at->in_path = 1;
	if (byte == '/') {
		end_segment(at);
		return 0;
	}
	if (!at->length)
		at->first = byte;
	at->length++;
	if (byte >= '0' && byte <= '9')
		at->has_digit = 1;
	at->segment = at->segment * 31 + byte;
	return 0;
}

static __always_inline __u32 route_of(const struct payload *request)
{
	__u64 size = request->length < TAPIO_ROUTE ? request->length : TAPIO_ROUTE;
	struct reading at = {.hash = hash_seed};
	__u32 route;

	asm volatile("" : "+r"(size));
	if (!size || size > TAPIO_ROUTE || !read_part(request, 0, at.request.line, size))
		return 0;
	bpf_loop(TAPIO_ROUTE, read_byte, &at, 0);
	end_segment(&at);
	route = at.hash | 1;
	if (!bpf_map_lookup_elem(&routes, &route) && bpf_map_update_elem(&routes, &route, &at.request, BPF_NOEXIST))
		return 0;
	return route;
}

static __always_inline void fill_route(struct tapio_route *out, __u32 route)
{
	struct tapio_route *known = route ? bpf_map_lookup_elem(&routes, &route) : 0;

	if (known)
		*out = *known;
}

#endif
