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

static __always_inline void move_on(struct tapio_http2_flow *flow, __u64 bytes)
{
	flow->in += bytes;
	flow->part -= bytes;
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

static __always_inline bool is_told(__u32 type)
{
	return type == HEADERS || type == CONTINUATION || type == RST_STREAM || type == PUSH_PROMISE || type == GOAWAY;
}

/* Tells the next bytes of the frame that is under way, as many as lie together. The number goes on even where no
 * record is to be had. */
static __always_inline long tell_frame(struct walk *walk, __u64 bytes)
{
	struct tapio_http2_flow *flow = walk->flow;
	struct tapio_http2_frame *record = reserve(TAPIO_HTTP2_FRAME, sizeof(*record));
	__u32 number = flow->number++;

	if (!record)
		return GO_ON;
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
	asm volatile("" : "+r"(bytes)); /* its bounds are seen only where they are checked */
	if (bytes &&
	    (bytes > TAPIO_HTTP2_BYTES || bpf_probe_read_user(record->payload, bytes, (const void *)flow->in))) {
		bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);
		return go_astray(walk);
	}
	submit(record, false);
	return GO_ON;
}

static __always_inline long pass_payload(struct walk *walk)
{
	struct tapio_http2_flow *flow = walk->flow;
	__u64 bytes = flow->left;

	if (flow->keep) {
		bytes = flow->keep < TAPIO_HTTP2_BYTES ? flow->keep : TAPIO_HTTP2_BYTES;
		if (flow->part < bytes)
			bytes = flow->part;
		if (tell_frame(walk, bytes) == STOP)
			return STOP;
		flow->keep -= bytes;
	}
	if (flow->part < bytes)
		bytes = flow->part;
	flow->left -= bytes;
	move_on(flow, bytes);
	return GO_ON;
}

/* Most frames say nothing of exchanges, and lie in one part with their header: they take no step of their own. */
static __always_inline long begin_frame(struct walk *walk)
{
	struct tapio_http2_flow *flow = walk->flow;
	const __u8 *header = flow->header;

	flow->header_bytes = 0;
	flow->length = flow->left = header[0] << 16 | header[1] << 8 | header[2];
	flow->type = header[3];
	flow->flags = header[4];
	flow->stream = (header[5] & 0x7f) << 24 | header[6] << 16 | header[7] << 8 | header[8];
	flow->keep = 0;
	if (is_told(flow->type)) {
		flow->keep = flow->length < MOST_TOLD ? flow->length : MOST_TOLD;
		return flow->length ? GO_ON : tell_frame(walk, 0);
	}
	return flow->left && flow->part ? pass_payload(walk) : GO_ON;
}

static __always_inline long take_header(struct walk *walk)
{
	struct tapio_http2_flow *flow = walk->flow;
	__u64 have = flow->header_bytes & 15, bytes = FRAME_HEADER - have;

	if (flow->part < bytes)
		bytes = flow->part;
	asm volatile("" : "+r"(bytes)); /* its bounds are seen only where they are checked */
	if (!bytes || bytes > FRAME_HEADER || bpf_probe_read_user(flow->header + have, bytes, (const void *)flow->in))
		return go_astray(walk);
	move_on(flow, bytes);
	flow->header_bytes = have + bytes;
	return flow->header_bytes == FRAME_HEADER ? begin_frame(walk) : GO_ON;
}

static long step(__u32 number, struct walk *walk)
{
	struct tapio_http2_flow *flow = walk->flow;

	if (!flow->message)
		return STOP;
	if (!flow->part)
		return next_part(walk);
	return flow->left ? pass_payload(walk) : take_header(walk);
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
