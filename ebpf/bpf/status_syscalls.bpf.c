/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* HTTP from the syscall tracepoints, for kernels before 6.3: the file descriptor is followed to its TCP socket, so that
 * connections older than the observer count too; anything else is left at its inode's type. */
#include "http.bpf.h"

#define S_IFMT 0170000
#define S_IFSOCK 0140000

enum shape { PLAIN = 0, PARTS = 1, MESSAGE = 2 };

struct pending {
	__u64 sk;
	__u64 buffer;
	__u64 count;
	__u64 shape;
};

/* A receive between its entry and its exit, per thread. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, __u32);
	__type(value, struct pending);
} receiving SEC(".maps");

static __always_inline struct sock *socket_behind(struct file *file)
{
	struct socket *socket;
	struct inode *inode = BPF_CORE_READ(file, f_inode);
	struct sock *sk;

	if ((BPF_CORE_READ(inode, i_mode) & S_IFMT) != S_IFSOCK)
		return 0;
	socket = BPF_CORE_READ(file, private_data);
	sk = BPF_CORE_READ(socket, sk);
	return sk && is_tcp(sk, false) ? sk : 0;
}

static __always_inline struct fdtable *descriptors(void)
{
	if (has_current_btf()) {
		struct task_struct *task = bpf_get_current_task_btf();

		return task->files->fdt;
	}
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();

	return BPF_CORE_READ(task, files, fdt);
}

static __always_inline struct sock *socket_of(unsigned long descriptor)
{
	struct fdtable *table = descriptors();
	struct file **files = BPF_CORE_READ(table, fd);
	struct file *file = 0;

	if (descriptor >= BPF_CORE_READ(table, max_fds))
		return 0;
	bpf_probe_read_kernel(&file, sizeof(file), files + descriptor);
	return file ? socket_behind(file) : 0;
}

static __always_inline const void *part_of(__u64 buffer, __u64 count, enum shape shape, __u64 *length)
{
	if (shape == PARTS)
		return first_part((const struct iovec *)buffer, count, length);
	if (shape == MESSAGE)
		return first_of_message((const void *)buffer, length);
	return (const void *)buffer;
}

/* What is sent is already there, so the bytes decide before the descriptor is followed. */
static __always_inline int send(struct syscall_enter *ctx, enum shape shape)
{
	__u64 length = shape == PLAIN ? ctx->args[2] : TAPIO_REQUEST;
	__u8 line[MINIMUM];
	const void *buffer;
	struct sock *sk;

	if (length < MINIMUM || (own_tgid && current_tgid() == own_tgid))
		return 0;
	buffer = part_of(ctx->args[1], ctx->args[2], shape, &length);
	if (!buffer || kind_of(buffer, length, line) == OTHER)
		return 0;
	sk = socket_of(ctx->args[0]);
	if (sk)
		payload(sk, buffer, length, TAPIO_SENT, false);
	return 0;
}

static __always_inline int receive(struct syscall_enter *ctx, enum shape shape)
{
	struct pending wait = {.buffer = ctx->args[1], .count = ctx->args[2], .shape = shape};
	__u32 thread = (__u32)bpf_get_current_pid_tgid();

	if (own_tgid && current_tgid() == own_tgid)
		return 0;
	wait.sk = (__u64)socket_of(ctx->args[0]);
	if (wait.sk)
		bpf_map_update_elem(&receiving, &thread, &wait, BPF_ANY);
	return 0;
}

static __always_inline int received(struct syscall_exit *ctx)
{
	__u32 thread = (__u32)bpf_get_current_pid_tgid();
	struct pending *wait = bpf_map_lookup_elem(&receiving, &thread);
	__u64 length = ctx->ret;
	const void *buffer;

	if (!wait)
		return 0;
	if (ctx->ret >= MINIMUM) {
		buffer = part_of(wait->buffer, wait->count, wait->shape, &length);
		if (buffer)
			payload((struct sock *)wait->sk, buffer, length, TAPIO_RECEIVED, false);
	}
	bpf_map_delete_elem(&receiving, &thread);
	return 0;
}

SEC("tracepoint/syscalls/sys_enter_write")
int enter_write(struct syscall_enter *ctx)
{
	return send(ctx, PLAIN);
}

SEC("tracepoint/syscalls/sys_enter_sendto")
int enter_sendto(struct syscall_enter *ctx)
{
	return send(ctx, PLAIN);
}

SEC("tracepoint/syscalls/sys_enter_writev")
int enter_writev(struct syscall_enter *ctx)
{
	return send(ctx, PARTS);
}

SEC("tracepoint/syscalls/sys_enter_sendmsg")
int enter_sendmsg(struct syscall_enter *ctx)
{
	return send(ctx, MESSAGE);
}

SEC("tracepoint/syscalls/sys_enter_read")
int enter_read(struct syscall_enter *ctx)
{
	return receive(ctx, PLAIN);
}

SEC("tracepoint/syscalls/sys_enter_recvfrom")
int enter_recvfrom(struct syscall_enter *ctx)
{
	return receive(ctx, PLAIN);
}

SEC("tracepoint/syscalls/sys_enter_readv")
int enter_readv(struct syscall_enter *ctx)
{
	return receive(ctx, PARTS);
}

SEC("tracepoint/syscalls/sys_enter_recvmsg")
int enter_recvmsg(struct syscall_enter *ctx)
{
	return receive(ctx, MESSAGE);
}

SEC("tracepoint/syscalls/sys_exit_read")
int exit_read(struct syscall_exit *ctx)
{
	return received(ctx);
}

SEC("tracepoint/syscalls/sys_exit_recvfrom")
int exit_recvfrom(struct syscall_exit *ctx)
{
	return received(ctx);
}

SEC("tracepoint/syscalls/sys_exit_readv")
int exit_readv(struct syscall_exit *ctx)
{
	return received(ctx);
}

SEC("tracepoint/syscalls/sys_exit_recvmsg")
int exit_recvmsg(struct syscall_exit *ctx)
{
	return received(ctx);
}
