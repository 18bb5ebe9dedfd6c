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
	struct tapio_head head; /* its time is not told: to read the clock would cost more than it says */
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
	__u8 payload[TAPIO_HTTP2_BYTES]; /* what lies behind these bytes is anything */
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

#define TAPIO_HTTP2_WINDOW 256 /* a power of two; holds most messages without a body */

/* One direction of a connection; not read by user space. Its arrays are longer than what is looked at of them, so that
 * copies may be of one size, and no verifier has to know more of where they begin than that it is within bounds. */
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
	__u32 window_at; /* where in the window the next byte is */
	__u64 window_left;
	__u64 message; /* bytes of the message that are still to be walked over */
	__u64 part;    /* of these, how many lie in the part that is looked at, behind the window */
	__u64 in;      /* where they begin, in the process's memory */
	__u64 parts;   /* where the parts that follow are listed */
	__u64 parts_left;
	__u8 header[32];
	__u8 window[TAPIO_HTTP2_WINDOW + TAPIO_HTTP2_BYTES];
};

struct tapio_http2 {
	__u64 connection;
	struct tapio_http2_flow sent;
	struct tapio_http2_flow received;
	__u32 is_lost;
	__u32 pad;
};

#endif
