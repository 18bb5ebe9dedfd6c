/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Packets that the kernel dropped, summed up by between whom, and why. Addresses are network byte order, IPv4 as
 * ::ffff:a.b.c.d; ports are host order. */
#ifndef TAPIO_LINK_H
#define TAPIO_LINK_H

#include "records.h"

enum tapio_drop_reason {
	TAPIO_DROP_FILTER = 1,    /* netfilter, a policy in BPF, traffic control */
	TAPIO_DROP_NEIGHBOUR = 2, /* nobody has the address on that link */
	TAPIO_DROP_TOO_BIG = 3,   /* larger than the link takes, and not to be split */
	TAPIO_DROP_QUEUE = 4,     /* a queue of the device or of the kernel was full */
	TAPIO_DROP_ROUTE = 5,     /* no way leads there */
};

struct tapio_drop_key {
	__u32 caller[4]; /* who began the connection, or has the higher port; of other protocols, who sent */
	__u32 callee[4];
	__u32 port; /* of the callee; 0: the protocol has none */
	__u32 protocol;
	__u32 netns; /* where it was dropped */
	__u32 reason;
	__u32 is_answer; /* 1: the callee sent it */
	__u32 pad;
};
_Static_assert(sizeof(struct tapio_drop_key) == 56, "tapio_drop_key");

struct tapio_drops {
	__u64 count;
	__u64 last_ns;
};
_Static_assert(sizeof(struct tapio_drops) == 16, "tapio_drops");

#endif
