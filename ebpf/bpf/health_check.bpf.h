/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Requests by which kubelet or a load balancer tests a server. Nobody is served by them, and nobody suffers when they
 * fail; who sends them says so in the User-Agent. */
#ifndef TAPIO_HEALTH_CHECK_BPF_H
#define TAPIO_HEALTH_CHECK_BPF_H

#include "common.bpf.h"

/* Characters as they lie in memory: little endian, as bpfel is. */
#define WORD(a, b, c, d) ((__u32)(a) | (__u32)(b) << 8 | (__u32)(c) << 16 | (__u32)(d) << 24)
#define LONG(a, b, c, d, e, f, g, h) ((__u64)WORD(a, b, c, d) | (__u64)WORD(e, f, g, h) << 32)

#define LOWER_CASE 0x2020202020202020ULL /* of letters; of what else stands in the header's name nothing changes */

/* Checkers send few headers, and this one among the first: not farther than this is looked, part by part. */
#define PART_BYTES 64
#define MOST_PARTS 4

/* What is sent or received at once. */
struct payload {
	void *in; /* the process's memory, or a packet */
	__u64 at; /* in the packet, bytes */
	__u64 length;
};

/* Copies 1 to PART_BYTES bytes. */
static __always_inline bool read_part(const struct payload *payload, __u64 from, __u8 *to, __u64 size);

static __always_inline bool is_agent_header(__u64 letters)
{
	return (letters | LOWER_CASE) == LONG('-', 'a', 'g', 'e', 'n', 't', ':', ' ');
}

/* kube-probe/1.34, ELB-HealthChecker/2.0, GoogleHC/1.0, Consul Health Check. */
static __always_inline bool is_checker(__u64 letters)
{
	return letters == LONG('k', 'u', 'b', 'e', '-', 'p', 'r', 'o') ||
	       letters == LONG('E', 'L', 'B', '-', 'H', 'e', 'a', 'l') ||
	       letters == LONG('G', 'o', 'o', 'g', 'l', 'e', 'H', 'C') ||
	       letters == LONG('C', 'o', 'n', 's', 'u', 'l', ' ', 'H');
}

/* The last 16 bytes pass by in two words: when the first ends a header's name, the second is how its value begins. */
static __always_inline bool is_health_check(const struct payload *request)
{
	__u64 before = 0, last = 0;
	__u8 part[PART_BYTES] = {};
	__u64 from, size, i;

#pragma clang loop unroll(disable)
	for (from = 0; from < MOST_PARTS * PART_BYTES; from += PART_BYTES) {
		if (request->length <= from)
			return false;
		size = request->length - from < PART_BYTES ? request->length - from : PART_BYTES;
		asm volatile("" : "+r"(size)); /* older verifiers see its bounds only where they are checked */
		if (!size || size > PART_BYTES || !read_part(request, from, part, size))
			return false;
#pragma clang loop unroll(disable)
		for (i = 0; i < PART_BYTES; i++) {
			if (i >= size)
				return false;
			before = before >> 8 | last << 56;
			last = last >> 8 | (__u64)part[i] << 56;
			if (is_agent_header(before))
				return is_checker(last);
		}
	}
	return false;
}

#endif
