/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Payloads in the memory of the process whose system call is under way, and that process as their owner. */
#ifndef TAPIO_PAYLOAD_BPF_H
#define TAPIO_PAYLOAD_BPF_H

#include "http.bpf.h"

#define PF_EXITING 0x4
#define MOST_VECTORS 4 /* parts of a message that are gathered */

/* A system call's number and arguments, also at its exit. */
#if defined(__TARGET_ARCH_x86)
#define NUMBER(regs) ((regs)->orig_ax)
#define FIRST(regs) ((regs)->di)
#define SECOND(regs) ((regs)->si)
#define THIRD(regs) ((regs)->dx)
#elif defined(__TARGET_ARCH_arm64)
#define NUMBER(regs) ((regs)->syscallno)
#define FIRST(regs) ((regs)->orig_x0)
#define SECOND(regs) ((regs)->regs[1])
#define THIRD(regs) ((regs)->regs[2])
#endif

static __always_inline void identify(struct tapio_sum_key *key, struct sock *sk)
{
	key->cgroup_id = current_cgroup();
	fill_current_name(key->comm);
}

static __always_inline void fill_owner(struct tapio_task *out, struct sock *sk, const struct tapio_sum_key *key,
				       const bool is_current)
{
	if (is_current)
		return fill_current(out);
	out->cgroup_id = key->cgroup_id;
	__builtin_memcpy(out->comm, key->comm, TAPIO_COMM);
}

static __always_inline bool is_exiting(void)
{
	if (has_current_btf())
		return bpf_get_current_task_btf()->flags & PF_EXITING;
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();

	return BPF_CORE_READ(task, flags) & PF_EXITING;
}

static __always_inline bool read_part(const struct payload *payload, __u64 from, __u8 *to, __u64 size)
{
	return !bpf_probe_read_user(to, size, payload->in + from);
}

/* The beginning of a message, gathered from its parts. */
struct head {
	__u8 line[2 * LINE]; /* twice: no verifier has to know that parts add up to no more than one */
	__u64 length;        /* of what was gathered */
	struct payload payload; /* the first part that is not empty */
};

static __always_inline enum tapio_payload kind_of_head(const struct head *head)
{
	return head->length < SHORTEST ? OTHER : kind_of(head->line, head->length);
}

static __always_inline bool read_plain(struct head *head, const void *buffer, __u64 length)
{
	if (length < SHORTEST || bpf_probe_read_user(head->line, length < LINE ? SHORTEST : LINE, buffer))
		return false;
	head->length = length < LINE ? SHORTEST : LINE;
	head->payload.in = (void *)buffer;
	head->payload.length = length;
	return true;
}

/* Adds a part of a message, of which so many bytes are still wanted. */
static __always_inline bool add_part(struct head *head, const struct iovec *at, __u64 length)
{
	__u64 have = head->length & (LINE - 1), size;
	struct iovec part;

	if (bpf_probe_read_user(&part, sizeof(part), at))
		return false;
	if (!part.iov_len)
		return true;
	if (!head->payload.in) {
		head->payload.in = part.iov_base;
		head->payload.length = part.iov_len < length ? part.iov_len : length;
	}
	size = length < LINE ? length - have : LINE - have;
	if (part.iov_len < size)
		size = part.iov_len;
	asm volatile("" : "+r"(size)); /* older verifiers see its bounds only where they are checked */
	if (size > LINE || bpf_probe_read_user(head->line + have, size, part.iov_base))
		return false;
	head->length = have + size;
	return true;
}

/* A head may be handed over in parts: method, path, version; a status line in two. */
static __always_inline bool read_parts(struct head *head, const struct iovec *parts, __u64 count, __u64 length)
{
	__u64 wanted = length < LINE ? length : LINE;
	int i;

#pragma unroll
	for (i = 0; i < MOST_VECTORS; i++) {
		if (i >= count || head->length >= wanted)
			break;
		if (!add_part(head, parts + i, length))
			return false;
	}
	return head->payload.in;
}

static __always_inline bool read_message_parts(struct head *head, const void *message, __u64 length)
{
	struct user_msghdr header;

	if (bpf_probe_read_user(&header, sizeof(header), message))
		return false;
	return read_parts(head, header.msg_iov, header.msg_iovlen, length);
}

#endif
