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

/* Not static, hence verified once and by itself, and not for each way that leads to each of its callers. Kernels before
 * 5.12 give such functions nothing but numbers. */
__noinline int health_check_in_user_memory(__u64 in, __u64 length)
{
	struct payload request = {.in = (void *)in, .length = length};

	return is_health_check(&request);
}

static __always_inline bool says_it_checks(const struct payload *request)
{
	return health_check_in_user_memory((__u64)request->in, request->length);
}

/* The beginning of a message, gathered from its parts. */
struct head {
	__u8 line[2 * LINE];    /* twice: no verifier has to know that parts add up to no more than one */
	__u64 length;           /* of what was gathered */
	struct payload payload; /* the first part that is not empty */
};

static __always_inline enum tapio_payload kind_of_head(const struct head *head)
{
	return head->length < SHORTEST ? OTHER : kind_of(head->line, head->length);
}

/* Adds a part of a message to its beginning, of which so many bytes are wanted. */
static __always_inline bool add_part(struct head *head, void *from, __u64 length, __u64 wanted)
{
	__u64 have = head->length & (LINE - 1), size = wanted - have;

	if (!head->payload.in) {
		head->payload.in = from;
		head->payload.length = length;
	}
	if (length < size)
		size = length;
	asm volatile("" : "+r"(size)); /* older verifiers see its bounds only where they are checked */
	if (size > LINE || bpf_probe_read_user(head->line + have, size, from))
		return false;
	head->length = have + size;
	return true;
}

/* What is wanted of a message when some of its first line came before. */
static __always_inline __u64 wanted_of(const struct head *head, __u64 length)
{
	return length < LINE - (head->length & (LINE - 1)) ? head->length + length : LINE;
}

static __always_inline bool read_plain(struct head *head, const void *buffer, __u64 length)
{
	return add_part(head, (void *)buffer, length, wanted_of(head, length));
}

/* A head may be handed over in parts: method, path, version; a status line in two. */
static __always_inline bool read_parts(struct head *head, const struct iovec *parts, __u64 count, __u64 length)
{
	__u64 wanted = wanted_of(head, length);
	struct iovec part;
	int i;

#pragma unroll
	for (i = 0; i < MOST_VECTORS; i++) {
		if (i >= count || head->length >= wanted)
			break;
		if (bpf_probe_read_user(&part, sizeof(part), parts + i))
			return false;
		if (part.iov_len > length)
			part.iov_len = length;
		if (part.iov_len && !add_part(head, part.iov_base, part.iov_len, wanted))
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
