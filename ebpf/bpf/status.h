/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Records and map values of the status family (exchanges of HTTP/1.x and of databases). */
#ifndef TAPIO_STATUS_H
#define TAPIO_STATUS_H

#include "network.h"

#define TAPIO_SLOTS 24 /* slot i: [2^i, 2^(i+1)) microseconds; the first also holds less, the last also more */

#define TAPIO_LINE 16 /* bytes of a message that are looked at: "GET / HTTP/1.1" with its CR LF */

#define TAPIO_CODE 16 /* bytes of what a database calls an error, as CLUSTERDOWN */

/* What is spoken on a connection. */
enum tapio_protocol {
	TAPIO_HTTP = 0,
	TAPIO_REDIS = 1,
	TAPIO_POSTGRESQL = 2,
	TAPIO_MYSQL = 3,
};

#define TAPIO_ROUTE 64

/* The beginning of a request, "GET /orders/17 HTTP/1.1": the first of those that differ in numbers alone. */
struct tapio_route {
	__u8 line[TAPIO_ROUTE];
};

/* "00-", a trace's id, "-", a span's, "-" and flags: 55 bytes; the last is what follows them. */
#define TAPIO_TRACE_PARENT 56

#define TAPIO_HTTP_ERROR 3

/* An exchange of any protocol that failed. */
struct tapio_http_error {
	struct tapio_head head;
	struct tapio_task task;
	__u32 peer[4];
	__u32 local[4];
	__u32 peer_port;
	__u32 local_port;
	__u32 role;
	__u32 status; /* of HTTP, or what stands for a database's error */
	__u32 netns;
	__u32 protocol; /* tapio_protocol */
	__u64 latency_ns;
	__u8 code[TAPIO_CODE];      /* of a database's error: the first word of Redis, SQLSTATE, MySQL's number */
	struct tapio_route request; /* zeros where it was not read */
	__u8 trace_parent[TAPIO_TRACE_PARENT];
};
_Static_assert(sizeof(struct tapio_http_error) == 256, "tapio_http_error");

#define TAPIO_TLS 13

/* A process that speaks TLS. */
struct tapio_tls {
	struct tapio_head head;
	struct tapio_task task;
};
_Static_assert(sizeof(struct tapio_tls) == 56, "tapio_tls");

struct tapio_http {
	__u32 latency_slots[TAPIO_SLOTS]; /* each exchange is in one of them */
};
_Static_assert(sizeof(struct tapio_http) == 96, "tapio_http");

struct tapio_http_row {
	struct tapio_row row;
	struct tapio_http sums;
};

#define TAPIO_WAITS 16384 /* a power of two */

/* An exchange that is under way on a connection, whose owner took the place; one place for each end. */
struct tapio_wait {
	__u64 owner;    /* as of a row */
	__u64 since_ns; /* CLOCK_MONOTONIC; 0: nobody waits */
	struct tapio_sum_key key;
};
_Static_assert(sizeof(struct tapio_wait) == 80, "tapio_wait");

/* What is known of one socket; not read by user space. Its key is made once and looked up where it lies. */
struct tapio_conversation {
	struct tapio_sum_key key; /* its role is 0 while nobody knows what it speaks */
	__u64 since_ns;           /* when the request that waits began, CLOCK_MONOTONIC; 0: none waits */
	__u64 read_in;            /* the tick in which a response was last read */
	__u32 reads;              /* of responses in that tick */
	__u32 taken;     /* up to which sequence number its owner had taken what came, when the request began */
	__u32 messages;  /* seen before it spoke HTTP */
	__u32 hash;      /* which connection of a socket's address it is; unused where it lies with the socket */
	__u32 head_open; /* 1: more of the first request's head may come, and tell whether it is a health check */
	__u32
	    is_doubted; /* 1: what waits may be no request, but the rest of one that was answered before it had ended */
	__u32 by_checker; /* 1: its client does nothing but test servers */
	__u32 begun_way;  /* which way a line went that has only begun; 0: none has */
	__u32 begun_bytes;
	__u32 is_http2;   /* 1: it is followed elsewhere */
	__u32 is_tls;     /* 1: what is said is found by the address of the socket */
	__u32 protocol;   /* tapio_protocol; while it has no role, what may have been asked by the last message */
	__u32 asked_way;  /* which way that went */
	__u32 wait_at;    /* its place among those that wait, */
	__u64 wait_owner; /* as long as that has this owner */
	__u8 begun[TAPIO_LINE];
	__u8 code[TAPIO_CODE]; /* of the last answer, where a database called it an error */
};

#endif
