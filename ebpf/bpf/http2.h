/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Records of HTTP/2 connections, whose headers are read in user space: what they say depends on all that were sent
 * before on the same connection (HPACK). */
#ifndef TAPIO_HTTP2_H
#define TAPIO_HTTP2_H

#include "network.h"

#define TAPIO_HTTP2_BEGIN 10

/* A client's preface was seen. */
struct tapio_http2_begin {
	struct tapio_head head;
	struct tapio_task task; /* who sent or received it */
	__u64 connection;       /* the socket's cookie: one for each end */
	__u32 peer[4];
	__u32 peer_port;
	__u32 local_port;
	__u32 role;
	__u32 netns;
	__u32 by_checker; /* 1: its client does nothing but test servers */
	__u32 pad;
};
_Static_assert(sizeof(struct tapio_http2_begin) == 104, "tapio_http2_begin");

#define TAPIO_HTTP2_FRAME 11

#define TAPIO_HTTP2_BYTES 96 /* most header blocks of a call are smaller; the larger ones take several records */

/* A part of a frame that says something of exchanges: its payload from `at` on. */
struct tapio_http2_frame {
	struct tapio_head head;
	__u64 connection;
	__u64 moved_ns; /* CLOCK_MONOTONIC */
	__u32 number;   /* of the connection's records in this direction, from 0: who misses one knows it */
	__u32 sent;     /* 1: by the owner of the socket, 0: received */
	__u32 stream;
	__u32 frame_type;
	__u32 flags;
	__u32 length; /* of the frame's payload; what lies behind the longest that is told is missing */
	__u32 at;
	__u32 bytes;
	__u8 payload[TAPIO_HTTP2_BYTES];
};
_Static_assert(sizeof(struct tapio_http2_frame) == 160, "tapio_http2_frame");

#define TAPIO_HTTP2_END 12

enum tapio_http2_how {
	TAPIO_HTTP2_LOST = 1,   /* it goes on, but nobody knows any more where its frames begin */
	TAPIO_HTTP2_CLOSED = 2, /* by its owner */
	TAPIO_HTTP2_EXITED = 3, /* with its owner, who dies */
	TAPIO_HTTP2_ENDED = 4,  /* by its peer, or it broke */
};

struct tapio_http2_end {
	struct tapio_head head;
	__u64 connection;
	__u64 moved_ns; /* CLOCK_MONOTONIC */
	__u32 how;      /* tapio_http2_how */
	__u32 pad;
};
_Static_assert(sizeof(struct tapio_http2_end) == 40, "tapio_http2_end");

/* One direction of a connection; not read by user space. */
struct tapio_http2_flow {
	__u32 next; /* sequence number of the byte that comes next */
	__u32 number;
	__u32 stream; /* of the frame that is under way */
	__u32 type;
	__u32 flags;
	__u32 length;
	__u32 left; /* of its payload, bytes that are still to come */
	__u32 keep; /* of these, from here on, how many are told */
	__u32 header_bytes;
	__u32 pad;
	__u8 header[32]; /* 9 bytes; wider, so that no verifier has to know that its parts add up to no more */
	__u64 message;   /* bytes of the message that are still to be walked over */
	__u64 part;      /* of these, how many lie in the part that is looked at */
	__u64 in;        /* where that goes on, in the process's memory */
	__u64 parts;     /* where the parts that follow are listed */
	__u64 parts_left;
};

struct tapio_http2 {
	__u64 connection;
	struct tapio_http2_flow sent;
	struct tapio_http2_flow received;
	__u32 is_lost;
	__u32 pad;
};

#endif
