/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* A walk over the frames that one message holds, through all parts in which its bytes are handed over. Frames and their
 * headers may begin in one message and end in another. A part of http2.bpf.h. */
#ifndef TAPIO_HTTP2_WALK_BPF_H
#define TAPIO_HTTP2_WALK_BPF_H

#include "http2.h"
#include "payload.bpf.h"

DESCRIBE(tapio_http2_frame);

#define FRAME_HEADER 9        /* RFC 9113, 4.1 */
#define MOST_TOLD (16 << 10)  /* bytes of a frame: what all may send without having asked */
#define MOST_STEPS (16 << 10) /* over one message: some of a thousand bytes hold a hundred frames */

enum { HEADERS = 1, RST_STREAM = 3, PUSH_PROMISE = 5, GOAWAY = 7, CONTINUATION = 9 };

/* What a walk does not change. The rest lies with the flow, where all of it is unknown to the verifier anyhow. */
struct walk {
	struct tapio_http2_flow *flow;
	__u64 connection;
	__u64 moved_ns;
	__u32 sent;
	__u32 is_astray;
};

enum { GO_ON = 0, STOP = 1 };

static __always_inline long go_astray(struct walk *walk)
{
	walk->is_astray = 1;
	return STOP;
}

/* Passes over bytes in the window, or over more than it holds. */
static __always_inline void move_on(struct tapio_http2_flow *flow, __u64 bytes)
{
	__u64 in_window = bytes < flow->window_left ? bytes : flow->window_left;

	flow->window_at += in_window;
	flow->window_left -= in_window;
	flow->in += bytes - in_window;
	flow->part -= bytes - in_window;
	flow->message -= bytes;
	flow->next += bytes;
}

static __always_inline long next_part(struct walk *walk)
{
	struct tapio_http2_flow *flow = walk->flow;
	struct iovec part;

	if (!flow->parts_left || bpf_probe_read_user(&part, sizeof(part), (const void *)flow->parts))
		return go_astray(walk);
	flow->parts_left--;
	flow->parts += sizeof(part);
	flow->in = (__u64)part.iov_base;
	flow->part = part.iov_len < flow->message ? part.iov_len : flow->message;
	return GO_ON;
}

/* To read a process's memory costs more than all else that is done to a frame: of a part as much is read at once as
 * may be looked at. */
static __always_inline long open_window(struct walk *walk)
{
	struct tapio_http2_flow *flow = walk->flow;
	__u64 bytes = flow->part < TAPIO_HTTP2_WINDOW ? flow->part : TAPIO_HTTP2_WINDOW;

	asm volatile("" : "+r"(bytes)); /* its bounds are seen only where they are checked */
	if (!bytes || bytes > TAPIO_HTTP2_WINDOW || bpf_probe_read_user(flow->window, bytes, (const void *)flow->in))
		return go_astray(walk);
	flow->window_at = 0;
	flow->window_left = bytes;
	flow->in += bytes;
	flow->part -= bytes;
	return GO_ON;
}

static __always_inline const __u8 *in_window(struct tapio_http2_flow *flow)
{
	return flow->window + (flow->window_at & (TAPIO_HTTP2_WINDOW - 1));
}

static __always_inline bool is_told(__u32 type)
{
	return type == HEADERS || type == CONTINUATION || type == RST_STREAM || type == PUSH_PROMISE || type == GOAWAY;
}

/* Tells the next bytes of the frame that is under way. The number goes on even where no record is to be had. */
static __always_inline void tell_frame(struct walk *walk, __u64 bytes)
{
	struct tapio_http2_flow *flow = walk->flow;
	struct tapio_http2_frame *record = reserve_untimed(TAPIO_HTTP2_FRAME, sizeof(*record));
	__u32 number = flow->number++;

	if (!record)
		return;
	record->connection = walk->connection;
	record->moved_ns = walk->moved_ns;
	record->number = number;
	record->sent = walk->sent;
	record->stream = flow->stream;
	record->frame_type = flow->type;
	record->flags = flow->flags;
	record->length = flow->length;
	record->at = flow->length - flow->left;
	record->bytes = bytes;
	__builtin_memcpy(record->payload, in_window(flow), TAPIO_HTTP2_BYTES);
	submit(record, false);
}

static __always_inline long tell_payload(struct walk *walk)
{
	struct tapio_http2_flow *flow = walk->flow;
	__u64 bytes = flow->keep < TAPIO_HTTP2_BYTES ? flow->keep : TAPIO_HTTP2_BYTES;

	if (!flow->window_left)
		return open_window(walk);
	if (flow->window_left < bytes)
		bytes = flow->window_left;
	tell_frame(walk, bytes);
	flow->keep -= bytes;
	flow->left -= bytes;
	move_on(flow, bytes);
	return GO_ON;
}

static __always_inline void pass_payload(struct tapio_http2_flow *flow)
{
	__u64 here = flow->window_left + flow->part, bytes = flow->left < here ? flow->left : here;

	flow->left -= bytes;
	move_on(flow, bytes);
}

/* Most frames say nothing of exchanges, and lie in one part with their header: they take no step of their own. */
static __always_inline void begin_frame(struct walk *walk)
{
	struct tapio_http2_flow *flow = walk->flow;
	const __u8 *header = flow->header;

	flow->header_bytes = 0;
	flow->length = flow->left = header[0] << 16 | header[1] << 8 | header[2];
	flow->type = header[3];
	flow->flags = header[4];
	flow->stream = (header[5] & 0x7f) << 24 | header[6] << 16 | header[7] << 8 | header[8];
	flow->keep = 0;
	if (!is_told(flow->type))
		return pass_payload(flow);
	flow->keep = flow->length < MOST_TOLD ? flow->length : MOST_TOLD;
	if (!flow->length)
		tell_frame(walk, 0);
}

static __always_inline long take_header(struct walk *walk)
{
	struct tapio_http2_flow *flow = walk->flow;
	__u64 have = flow->header_bytes & 15, bytes = FRAME_HEADER - have;

	if (!flow->window_left)
		return open_window(walk);
	if (flow->window_left < bytes)
		bytes = flow->window_left;
	__builtin_memcpy(flow->header + have, in_window(flow), 16);
	move_on(flow, bytes);
	flow->header_bytes = have + bytes;
	if (flow->header_bytes == FRAME_HEADER)
		begin_frame(walk);
	return GO_ON;
}

static long step(__u32 number, struct walk *walk)
{
	struct tapio_http2_flow *flow = walk->flow;

	if (!flow->message)
		return STOP;
	if (!flow->window_left && !flow->part)
		return next_part(walk);
	if (flow->keep)
		return tell_payload(walk);
	if (!flow->left)
		return take_header(walk);
	pass_payload(flow);
	return GO_ON;
}

/* What the system call that is under way was given. */
struct call {
	__u64 number;
	__u64 given;
	__u64 count;
};

/* Of several messages of one system call nobody knows which one has moved. */
static __always_inline bool find_parts(struct tapio_http2_flow *flow, const struct call *call)
{
	struct user_msghdr header;

	flow->part = 0;
	flow->parts_left = 0;
	flow->window_left = 0;
	if (call->number == WRITE || call->number == READ || call->number == SENDTO || call->number == RECVFROM) {
		flow->in = call->given;
		flow->part = flow->message;
		return true;
	}
	if (call->number == WRITEV || call->number == READV) {
		flow->parts = call->given;
		flow->parts_left = call->count;
		return true;
	}
	if ((call->number != SENDMSG && call->number != RECVMSG) ||
	    bpf_probe_read_user(&header, sizeof(header), (const void *)call->given))
		return false;
	flow->parts = (__u64)header.msg_iov;
	flow->parts_left = header.msg_iovlen;
	return true;
}

static __always_inline bool is_handed_over(struct task_struct *task)
{
	return !(task->flags & (PF_KTHREAD | PF_IO_WORKER));
}

static __always_inline bool walk_over(struct tapio_http2 *at, struct tapio_http2_flow *flow, struct tcp_sock *tcp,
				      __u64 moved, __u32 direction)
{
	struct walk walk = {
	    .flow = flow,
	    .connection = at->connection,
	    .moved_ns = last_moved(tcp, true),
	    .sent = direction == TAPIO_SENT,
	};
	struct task_struct *task = bpf_get_current_task_btf();
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
	struct call call = {.number = NUMBER(regs), .given = SECOND(regs), .count = THIRD(regs)};

	asm volatile("" ::: "memory"); /* registers are read here, each by an instruction of its own */
	flow->message = moved;
	if (!is_handed_over(task) || !find_parts(flow, &call))
		return false;
	bpf_loop(MOST_STEPS, step, &walk, 0);
	return !flow->message && !walk.is_astray;
}

#endif
