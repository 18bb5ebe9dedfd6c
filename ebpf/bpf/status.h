/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Records and map values of the status family (HTTP/1.x exchanges). */
#ifndef TAPIO_STATUS_H
#define TAPIO_STATUS_H

#include "network.h"

#define TAPIO_REQUEST 64

struct tapio_http_error {
	struct tapio_head head;
	struct tapio_task task;
	__u32 peer[4];
	__u32 local[4];
	__u32 peer_port;
	__u32 local_port;
	__u32 role;
	__u32 status;
	__u32 netns;
	__u32 pad;
	__u64 latency_ns;
	__u8 request[TAPIO_REQUEST]; /* the first bytes of the request line, up to '?', ' ' after the path or CR */
};
_Static_assert(sizeof(struct tapio_http_error) == 184, "tapio_http_error");

struct tapio_http_key {
	__u64 cgroup_id;
	__u32 generation;
	__u32 role;
	__u32 peer[4];
	__u32 port; /* the server's port, on both roles */
	__u32 status;
	__u32 netns;
	__u32 pad;
};
_Static_assert(sizeof(struct tapio_http_key) == 48, "tapio_http_key");

struct tapio_http {
	__u64 count;
	__u64 latency_sum_ns;
	__u64 last_ns;
	struct tapio_task task;
	__u32 latency_slots[TAPIO_SLOTS];
};
_Static_assert(sizeof(struct tapio_http) == 160, "tapio_http");

/* A request that waits for its response; not read by user space. */
struct tapio_exchange {
	__u64 since_ns;
	__u32 role;
	__u32 pad;
	__u8 request[TAPIO_REQUEST];
};

#endif
