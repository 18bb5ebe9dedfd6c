/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What both network families count by, and the rows in which they count, shared with user space. */
#ifndef TAPIO_SUMS_H
#define TAPIO_SUMS_H

#include "records.h"

#define TAPIO_ROWS 16384 /* a power of two, unless the loader says another */

enum tapio_role {
	TAPIO_CLIENT = 1,
	TAPIO_SERVER = 2,
};

/* By which programs and user space agree on the second. */
struct tapio_clock {
	__u64 epoch_ns; /* UNIX time of CLOCK_MONOTONIC's zero, as user space last measured it */
	__u64 of_tick;  /* a tick's number (upper half) and its second; the programs' own */
};
_Static_assert(sizeof(struct tapio_clock) == 16, "tapio_clock");

struct tapio_sum_key {
	__u64 cgroup_id;
	__u32 second; /* UNIX, modulo 2^32 */
	__u32 netns;
	__u16 role;
	__u8 health_check; /* 1: an exchange by which somebody tests the server */
	__u8 is_query;     /* 1: an exchange with a database */
	__u32 outcome; /* of an attempt to connect, errno or 0; of an HTTP exchange, its status or 0 without response */
	__u32 peer[4];
	__u32 port;            /* the server's port, on both roles */
	__u32 route;           /* what was asked for, see tapio_route; 0: not told */
	__u8 comm[TAPIO_COMM]; /* the local process */
};
_Static_assert(sizeof(struct tapio_sum_key) == 64, "tapio_sum_key");

/* A row's owner: nobody, somebody who is writing the key, or the key's hash with this bit. */
enum { TAPIO_FREE = 0, TAPIO_CLAIMED = 1, TAPIO_OWNED = 2 };

/* The sums follow. Programs take free rows and add to them; user space frees them. */
struct tapio_row {
	__u64 owner;
	struct tapio_sum_key key;
};
_Static_assert(sizeof(struct tapio_row) == 72, "tapio_row");

#endif
