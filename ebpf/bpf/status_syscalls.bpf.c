/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* HTTP from the syscall tracepoints, for kernels before 6.3: the file descriptor is followed to its TCP socket, so that
 * connections older than the observer count too; anything else is left at its inode's type. */
#include "payload.bpf.h"
#include "requests_unread.bpf.h"

/* At a system call's entry they have not moved yet. */
static __always_inline __u64 moved_at(struct tcp_sock *tcp, const bool direct)
{
	return bpf_ktime_get_ns();
}

static __always_inline bool is_recent(void)
{
	return false;
}

#define S_IFMT 0170000
#define S_IFSOCK 0140000

enum shape { PLAIN = 0, PARTS = 1, MESSAGE = 2 };

#define ANY_LENGTH (~0ULL) /* its parts say how long they are */

/* What a system call was given. */
struct call {
	__u64 descriptor;
	__u64 buffer;
	__u64 count;
};

/* A receive between its entry and its exit, per thread; only where the exit cannot ask for the arguments. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, __u32);
	__type(value, struct call);
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

static __always_inline void read_head(struct head *head, const struct call *call, __u64 length, enum shape shape)
{
	const void *given = (const void *)call->buffer;

	if (shape == PARTS)
		read_parts(head, given, call->count, length);
	else if (shape == MESSAGE)
		read_message_parts(head, given, length);
	else
		read_plain(head, given, length);
}

/* The bytes decide before the descriptor is followed. */
static __always_inline int transfer(struct call *call, __u64 length, enum shape shape, __u32 direction)
{
	struct tapio_conversation *at;
	enum tapio_payload kind;
	struct head head = {};
	struct sock *sk;

	read_head(&head, call, length, shape);
	kind = kind_of_head(&head);
	if (kind == OTHER)
		return 0;
	sk = socket_of(call->descriptor);
	at = sk ? conversation_at(sk, kind == REQUEST, false) : 0;
	if (!at)
		return 0;
	if (kind == RESPONSE)
		finish(at, sk, head.line, &head.payload, direction, false);
	else
		begin(at, sk, &head.payload, direction, false);
	return 0;
}

static __always_inline int send(struct syscall_enter *ctx, enum shape shape)
{
	struct call call = {.descriptor = ctx->args[0], .buffer = ctx->args[1], .count = ctx->args[2]};
	__u64 length = shape == PLAIN ? call.count : ANY_LENGTH;

	if (length < SHORTEST || is_own())
		return 0;
	return transfer(&call, length, shape, TAPIO_SENT);
}

static __always_inline int received(struct syscall_exit *ctx, enum shape shape)
{
	struct pt_regs *regs;
	struct call call;

	if (ctx->ret < SHORTEST || is_own())
		return 0;
	regs = (struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());
	call.descriptor = FIRST(regs);
	call.buffer = SECOND(regs);
	call.count = THIRD(regs);
	return transfer(&call, ctx->ret, shape, TAPIO_RECEIVED);
}

static __always_inline int receive(struct syscall_enter *ctx)
{
	struct call call = {.descriptor = ctx->args[0], .buffer = ctx->args[1], .count = ctx->args[2]};
	__u32 thread = (__u32)bpf_get_current_pid_tgid();

	if (!is_own())
		bpf_map_update_elem(&receiving, &thread, &call, BPF_ANY);
	return 0;
}

static __always_inline int received_after(struct syscall_exit *ctx, enum shape shape)
{
	__u32 thread = (__u32)bpf_get_current_pid_tgid();
	struct call *call;

	if (ctx->ret < SHORTEST)
		return 0;
	call = bpf_map_lookup_elem(&receiving, &thread);
	return call ? transfer(call, ctx->ret, shape, TAPIO_RECEIVED) : 0;
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

/* The first of several messages. */
SEC("tracepoint/syscalls/sys_enter_sendmmsg")
int enter_sendmmsg(struct syscall_enter *ctx)
{
	return send(ctx, MESSAGE);
}

SEC("tracepoint/syscalls/sys_enter_read")
int enter_read(struct syscall_enter *ctx)
{
	return receive(ctx);
}

SEC("tracepoint/syscalls/sys_enter_recvfrom")
int enter_recvfrom(struct syscall_enter *ctx)
{
	return receive(ctx);
}

SEC("tracepoint/syscalls/sys_enter_readv")
int enter_readv(struct syscall_enter *ctx)
{
	return receive(ctx);
}

SEC("tracepoint/syscalls/sys_enter_recvmsg")
int enter_recvmsg(struct syscall_enter *ctx)
{
	return receive(ctx);
}

SEC("tracepoint/syscalls/sys_exit_read")
int exit_read(struct syscall_exit *ctx)
{
	return received(ctx, PLAIN);
}

SEC("tracepoint/syscalls/sys_exit_recvfrom")
int exit_recvfrom(struct syscall_exit *ctx)
{
	return received(ctx, PLAIN);
}

SEC("tracepoint/syscalls/sys_exit_readv")
int exit_readv(struct syscall_exit *ctx)
{
	return received(ctx, PARTS);
}

SEC("tracepoint/syscalls/sys_exit_recvmsg")
int exit_recvmsg(struct syscall_exit *ctx)
{
	return received(ctx, MESSAGE);
}

SEC("tracepoint/syscalls/sys_exit_read")
int leave_read(struct syscall_exit *ctx)
{
	return received_after(ctx, PLAIN);
}

SEC("tracepoint/syscalls/sys_exit_recvfrom")
int leave_recvfrom(struct syscall_exit *ctx)
{
	return received_after(ctx, PLAIN);
}

SEC("tracepoint/syscalls/sys_exit_readv")
int leave_readv(struct syscall_exit *ctx)
{
	return received_after(ctx, PARTS);
}

SEC("tracepoint/syscalls/sys_exit_recvmsg")
int leave_recvmsg(struct syscall_exit *ctx)
{
	return received_after(ctx, MESSAGE);
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(changed_btf, struct sock *sk, int from, int to)
{
	return change(sk, from, to, true);
}

SEC("raw_tp/inet_sock_set_state")
int BPF_PROG(changed_raw, struct sock *sk, int from, int to)
{
	return change(sk, from, to, false);
}
