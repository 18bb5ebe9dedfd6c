/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Processes: what they execute, how they end, who signals whom. Threads are not processes. */
#include "common.bpf.h"
#include "process.h"

DESCRIBE(tapio_exec);
DESCRIBE(tapio_exit);
DESCRIBE(tapio_signal);

/* Signals that end a process by default, SIGSTOP and SIGCONT; the rest is traffic. */
#define TOLD                                                                                                           \
	((1ULL << 1) | (1ULL << 2) | (1ULL << 3) | (1ULL << 4) | (1ULL << 5) | (1ULL << 6) | (1ULL << 7) |             \
	 (1ULL << 8) | (1ULL << 9) | (1ULL << 11) | (1ULL << 13) | (1ULL << 15) | (1ULL << 18) | (1ULL << 19) |        \
	 (1ULL << 24) | (1ULL << 25) | (1ULL << 31))

#define SIGNAL_UNKILLABLE 0x40 /* by its own: the first process of a pid namespace */

static __always_inline void fill_parent(struct tapio_task *out, struct task_struct *task, const bool direct)
{
	struct task_struct *parent = GET(direct, task, real_parent);

	fill_task(out, parent, direct);
}

/* Under lockdown the name cannot be read; user space finds it in /proc while the process lives. */
static __always_inline void fill_filename(struct tapio_exec *record, struct linux_binprm *program, const bool direct)
{
	if (locked_down)
		record->filename_unknown = 1;
	else
		bpf_probe_read_kernel_str(record->filename, sizeof(record->filename), GET(direct, program, filename));
}

/* What somebody has put into a pid namespace, or was born there; not its first process, and not the host's. */
static __always_inline bool is_guest(struct task_struct *task, const bool direct)
{
	struct signal_struct *signal = GET(direct, task, signal);
	struct pid *pid = GET(direct, task, thread_pid);

	return GET(direct, pid, level) > 0 && !(GET(direct, signal, flags) & SIGNAL_UNKILLABLE);
}

static __always_inline int exec(struct task_struct *task, struct linux_binprm *program, const bool direct)
{
	struct tapio_exec *record = reserve(TAPIO_EXEC, sizeof(*record));

	if (!record)
		return 0;
	fill_task(&record->task, task, direct);
	fill_parent(&record->parent, task, direct);
	fill_filename(record, program, direct);
	record->guest = is_guest(task, direct);
	submit(record, false);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(exec_btf, struct task_struct *task, pid_t old, struct linux_binprm *program)
{
	return exec(task, program, true);
}

SEC("raw_tp/sched_process_exec")
int BPF_PROG(exec_raw, struct task_struct *task, pid_t old, struct linux_binprm *program)
{
	return exec(task, program, false);
}

/* 6.18 added a second argument ("group dead"); the leader's exit is told from the ids, which every kernel has. */
static __always_inline int leave(struct task_struct *task, const bool direct)
{
	struct tapio_exit *record;

	if (GET(direct, task, pid) != GET(direct, task, tgid))
		return 0;
	record = reserve(TAPIO_EXIT, sizeof(*record));
	if (!record)
		return 0;
	fill_task(&record->task, task, direct);
	fill_parent(&record->parent, task, direct);
	record->exit_code = GET(direct, task, exit_code);
	submit(record, record->exit_code != 0);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(exit_btf, struct task_struct *task)
{
	return leave(task, true);
}

SEC("raw_tp/sched_process_exit")
int BPF_PROG(exit_raw, struct task_struct *task)
{
	return leave(task, false);
}

/* TRACE_SIGNAL_IGNORED: the target has chosen that nothing happens, or is the first process of a container, for which
 * that is the default. */
#define IGNORED 1

enum { SIGINT = 2, SIGTERM = 15 };

static __always_inline bool matters(int number)
{
	return number > 0 && number < 64 && (TOLD >> number & 1);
}

/* Who ignores a wish to stop has still been asked, before it is killed. */
static __always_inline bool is_of_no_use(int number, int result)
{
	return result == IGNORED && number != SIGTERM && number != SIGINT;
}

/* `info` is 0 for kill(2) without details, 1 for the kernel, a real address otherwise; newer verifiers therefore let
 * nobody follow it directly. */
static __always_inline void fill_origin(struct tapio_signal *record, struct kernel_siginfo *info)
{
	unsigned long origin = (unsigned long)info;
	int code;

	if (origin == 1) {
		record->from_kernel = 1;
		return;
	}
	if (!origin || locked_down)
		return;
	code = BPF_CORE_READ(info, si_code);
	record->code = code;
	record->from_kernel = code > 0;
}

static __always_inline int signal(int number, struct kernel_siginfo *info, struct task_struct *target, int result,
				  const bool direct)
{
	struct tapio_signal *record;
	__u32 to;

	if (!matters(number) || is_of_no_use(number, result))
		return 0;
	to = GET(direct, target, tgid);
	if (own_tgid && to == own_tgid)
		return 0;
	record = reserve(TAPIO_SIGNAL, sizeof(*record));
	if (!record)
		return 0;
	fill_current(&record->sender);
	fill_task(&record->target, target, direct);
	fill_parent(&record->parent, target, direct);
	fill_origin(record, info);
	record->signal = number;
	record->result = result;
	submit(record, true);
	return 0;
}

SEC("tp_btf/signal_generate")
int BPF_PROG(signal_btf, int number, struct kernel_siginfo *info, struct task_struct *target, int group, int result)
{
	return signal(number, info, target, result, true);
}

SEC("raw_tp/signal_generate")
int BPF_PROG(signal_raw, int number, struct kernel_siginfo *info, struct task_struct *target, int group, int result)
{
	return signal(number, info, target, result, false);
}
