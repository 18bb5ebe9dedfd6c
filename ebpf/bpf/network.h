/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Records and map values of the network family. Addresses are network byte order, IPv4 as ::ffff:a.b.c.d; ports are
 * host order. */
#ifndef TAPIO_NETWORK_H
#define TAPIO_NETWORK_H

#include "sums.h"

#define TAPIO_CONNECT_FAILED 1

struct tapio_connect_failed {
	struct tapio_head head;
	struct tapio_task task;
	__u32 peer[4];
	__u32 peer_port;
	__u32 local_port;
	__u32 error; /* errno; ECANCELED: its owner gave up waiting, ECONNABORTED: sooner than anybody does for lack of
			an answer */
	__u32 netns;
	__u64 waited_ns;
};
_Static_assert(sizeof(struct tapio_connect_failed) == 96, "tapio_connect_failed");

#define TAPIO_LISTEN 2

struct tapio_listen {
	struct tapio_head head;
	struct tapio_task task;
	__u32 local[4];
	__u32 local_port;
	__u32 netns;
	__u32 begins; /* 1: LISTEN entered, 0: left */
	__u32 pad;
};
_Static_assert(sizeof(struct tapio_listen) == 88, "tapio_listen");

/* With its row's head two cache lines. */
struct tapio_edge {
	__u64 count;
	__u64 latency_sum_ns;
	__u64 bytes_sent;
	__u64 bytes_received;
	__u32 closed;
	__u32 retransmits; /* segments sent again on established connections */
	__u32 segments;    /* segments sent by those that closed, and by those that sent some again */
	/* of those that closed, before their owner had: */
	__u32 reset;          /* the peer sent a reset */
	__u32 aborted;        /* the owner did, who left something unread or did not want to wait */
	__u32 unacknowledged; /* the peer acknowledged nothing any more */
};
_Static_assert(sizeof(struct tapio_edge) == 56, "tapio_edge");

struct tapio_edge_row {
	struct tapio_row row;
	struct tapio_edge sums;
};

/* Kept per connection between its states; not read by user space. Its key is made once and looked up where it lies. */
struct tapio_connection {
	struct tapio_sum_key key;
	struct tapio_task task;
	__u64 since_ns; /* CLOCK_MONOTONIC */
	__u32 open;
	__u32 error; /* what ICMP has said of it while it was tried */
};

struct tapio_listener_key {
	__u32 local[4];
	__u32 port;
	__u32 netns;
};
_Static_assert(sizeof(struct tapio_listener_key) == 24, "tapio_listener_key");

struct tapio_listening {
	struct tapio_listener_key at;
	struct tapio_task owner;
};

#endif
