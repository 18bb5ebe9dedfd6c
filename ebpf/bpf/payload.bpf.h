/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Payloads in the memory of the process whose system call is under way, and that process as their owner. */
#ifndef TAPIO_PAYLOAD_BPF_H
#define TAPIO_PAYLOAD_BPF_H

#include "http.bpf.h"

#define PF_EXITING 0x4

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

static __always_inline void fill_owner(struct tapio_task *out, struct sock *sk)
{
	fill_current(out);
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

static __always_inline enum tapio_payload kind_at(const void *buffer, __u64 length, __u8 line[MINIMUM])
{
	if (length < MINIMUM || bpf_probe_read_user(line, MINIMUM, buffer))
		return OTHER;
	return kind_of(line);
}

/* The first non-empty of the first two parts. */
static __always_inline const void *first_part(const struct iovec *parts, __u64 count, __u64 *length)
{
	struct iovec part;

	if (!count || bpf_probe_read_user(&part, sizeof(part), parts))
		return 0;
	if (!part.iov_len && count > 1 && bpf_probe_read_user(&part, sizeof(part), parts + 1))
		return 0;
	if (part.iov_len < *length)
		*length = part.iov_len;
	return part.iov_base;
}

static __always_inline const void *first_of_message(const void *message, __u64 *length)
{
	struct user_msghdr header;

	if (bpf_probe_read_user(&header, sizeof(header), message))
		return 0;
	return first_part(header.msg_iov, header.msg_iovlen, length);
}

#endif
