/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The container runtime's view: OOM kills with the limit that was hit, and cgroups as they come and go. */
#include "common.bpf.h"
#include "container.h"

DESCRIBE(tapio_oom_kill);
DESCRIBE(tapio_cgroup);

#define SECOND_NS 1000000000ULL
#define ANCESTORS 12
#define UNLIMITED (1ULL << 50) /* pages; both cgroup versions mean "max" by anything near LONG_MAX / PAGE_SIZE */
#define SIGKILL 9

enum { MM_FILEPAGES = 0, MM_ANONPAGES = 1, MM_SHMEMPAGES = 3 };

const volatile __u64 page_bytes = 4096;

/* mark_victim carried only a pid before 6.8. The SIGKILL just before it, from the same task, carries the victim. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, struct tapio_oom_kill);
} killed SEC(".maps");

static __always_inline void fill_resident(struct tapio_oom_kill *record, struct task_struct *task)
{
	struct mm_struct *mm = BPF_CORE_READ(task, mm);

	record->oom_score_adj = BPF_CORE_READ(task, signal, oom_score_adj);
	if (!mm)
		return;
	record->anon_bytes = rss_pages(mm, MM_ANONPAGES) * page_bytes;
	record->file_bytes = rss_pages(mm, MM_FILEPAGES) * page_bytes;
	record->shmem_bytes = rss_pages(mm, MM_SHMEMPAGES) * page_bytes;
	record->total_vm_bytes = BPF_CORE_READ(mm, total_vm) * page_bytes;
}

static __always_inline struct mem_cgroup *memory_of(struct task_struct *task)
{
	struct css_set *sets = BPF_CORE_READ(task, cgroups);
	__u64 at = bpf_core_enum_value(enum cgroup_subsys_id, memory_cgrp_id) * sizeof(void *);
	struct mem_cgroup *memory = 0;

	bpf_probe_read_kernel(&memory, sizeof(memory), (void *)&sets->subsys + at);
	return memory;
}

/* The limit that was hit may be an ancestor's. */
static __always_inline void fill_limit(struct tapio_oom_kill *record, struct task_struct *task)
{
	struct mem_cgroup *memory = memory_of(task);

	for (int i = 0; i < ANCESTORS; i++) {
		__u64 limit, usage;

		if (!memory)
			return;
		limit = BPF_CORE_READ(memory, memory.max);
		usage = BPF_CORE_READ(memory, memory.usage.counter);
		if (limit < UNLIMITED && usage >= limit - limit / 50) {
			record->limit_bytes = limit * page_bytes;
			record->usage_bytes = usage * page_bytes;
			record->limit_cgroup_id = BPF_CORE_READ(memory, css.cgroup, kn, id);
			return;
		}
		memory = (struct mem_cgroup *)BPF_CORE_READ(memory, css.parent); /* css is the first member */
	}
}

static __always_inline void fill_victim(struct tapio_oom_kill *record, struct task_struct *task, const bool direct)
{
	fill_task(&record->victim, task, direct);
	if (locked_down) {
		record->limit_unknown = 1;
		return;
	}
	fill_resident(record, task);
	if (has_memory_controller())
		fill_limit(record, task);
}

/* When each thread's kernel last killed somebody, CLOCK_BOOTTIME. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, __u64);
} killed_at SEC(".maps");

/* The victim is marked after it was killed, and another of its threads may have ended by then. */
static __always_inline void date_back(struct tapio_oom_kill *record)
{
	__u32 current = (__u32)bpf_get_current_pid_tgid();
	__u64 *time_ns = bpf_map_lookup_elem(&killed_at, &current);

	if (time_ns && record->head.time_ns - *time_ns < SECOND_NS)
		record->head.time_ns = *time_ns;
}

static __always_inline int oom_with_task(struct task_struct *task, const bool direct)
{
	struct tapio_oom_kill *record = reserve(TAPIO_OOM_KILL, sizeof(*record));

	if (!record)
		return 0;
	date_back(record);
	fill_victim(record, task, direct);
	fill_current(&record->trigger);
	submit(record, true);
	return 0;
}

static __always_inline int oom_with_pid(__u32 pid)
{
	struct tapio_oom_kill *record = reserve(TAPIO_OOM_KILL, sizeof(*record));
	__u32 current = (__u32)bpf_get_current_pid_tgid();
	struct tapio_oom_kill *seen;
	struct tapio_head head;

	if (!record)
		return 0;
	date_back(record);
	head = record->head;
	seen = bpf_map_lookup_elem(&killed, &current);
	if (seen && (seen->victim.tid == pid || seen->victim.tgid == pid)) {
		__builtin_memcpy(record, seen, sizeof(*record));
		record->head = head;
	} else {
		record->victim.tgid = pid;
		record->victim.tid = pid;
		record->limit_unknown = 1;
	}
	fill_current(&record->trigger);
	submit(record, true);
	return 0;
}

SEC("tp_btf/mark_victim")
int oom_btf(unsigned long long *ctx)
{
	if (mark_victim_has_task())
		return oom_with_task((struct task_struct *)ctx[0], true);
	return oom_with_pid((__u32)ctx[0]);
}

SEC("raw_tp/mark_victim")
int oom_raw(unsigned long long *ctx)
{
	if (mark_victim_has_task())
		return oom_with_task((struct task_struct *)ctx[0], false);
	return oom_with_pid((__u32)ctx[0]);
}

static __always_inline int remember_killed(int number, unsigned long info, struct task_struct *target,
					   const bool direct)
{
	__u32 current = (__u32)bpf_get_current_pid_tgid();
	struct tapio_oom_kill seen = {};
	__u64 now;

	if (number != SIGKILL || info != 1)
		return 0;
	now = bpf_ktime_get_boot_ns();
	bpf_map_update_elem(&killed_at, &current, &now, BPF_ANY);
	if (mark_victim_has_task())
		return 0;
	fill_victim(&seen, target, direct);
	bpf_map_update_elem(&killed, &current, &seen, BPF_ANY);
	return 0;
}

SEC("tp_btf/signal_generate")
int BPF_PROG(killed_btf, int number, struct kernel_siginfo *info, struct task_struct *target)
{
	return remember_killed(number, (unsigned long)info, target, true);
}

SEC("raw_tp/signal_generate")
int BPF_PROG(killed_raw, int number, struct kernel_siginfo *info, struct task_struct *target)
{
	return remember_killed(number, (unsigned long)info, target, false);
}

static __always_inline int made(struct cgroup *group, const char *path, const bool direct)
{
	struct tapio_cgroup *record = reserve(TAPIO_CGROUP, sizeof(*record));
	struct cgroup_root *root;
	struct kernfs_node *node;
	long length;

	if (!record)
		return 0;
	root = GET(direct, group, root);
	node = GET(direct, group, kn);
	record->cgroup_id = GET(direct, node, id);
	record->hierarchy = GET(direct, root, hierarchy_id);
	length = locked_down ? -1 : bpf_probe_read_kernel_str(record->path, sizeof(record->path), path);
	if (length < 0 || length == sizeof(record->path)) /* half a path is somebody else's */
		record->path_unknown = 1;
	submit(record, false);
	return 0;
}

SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(mkdir_btf, struct cgroup *group, const char *path)
{
	return made(group, path, true);
}

SEC("raw_tp/cgroup_mkdir")
int BPF_PROG(mkdir_raw, struct cgroup *group, const char *path)
{
	return made(group, path, false);
}
