/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What every object has: settings, the ring buffer with batched wake-ups, losses per kind, and who a task is. */
#ifndef TAPIO_COMMON_BPF_H
#define TAPIO_COMMON_BPF_H

#include "core_fixes.bpf.h"
#include "records.h"

char LICENSE[] SEC("license") = "GPL";

/* Keeps a record's type in the object's BTF, where the layout test compares it with its mirror. */
#define DESCRIBE(record) const struct record *describe_##record

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} records SEC(".maps");

/* Records that found the ring full, per kind; behind them, what of a kind found its table full. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2 * TAPIO_KINDS);
	__type(key, __u32);
	__type(value, __u64);
} losses SEC(".maps");

#define WAKEUP_MARGIN 512 /* bytes past the threshold: wider than any record */

const volatile __u32 own_tgid = 0;
const volatile __u32 wakeup_bytes = 16384;

static __always_inline void count_loss(__u32 kind)
{
	__u64 *lost = bpf_map_lookup_elem(&losses, &kind);

	if (lost)
		*lost += 1;
}

static __always_inline void count_full(__u32 kind)
{
	count_loss(TAPIO_KINDS + kind);
}

/* A record whose time is told by the caller, who may know it without reading the clock. */
static __always_inline void *reserve_untimed(__u32 kind, const __u32 size)
{
	struct tapio_head *head = bpf_ringbuf_reserve(&records, size, 0);

	if (!head) {
		count_loss(kind);
		return 0;
	}
	__builtin_memset(head, 0, size);
	head->kind = kind;
	head->size = size;
	return head;
}

static __always_inline void *reserve(__u32 kind, const __u32 size)
{
	struct tapio_head *head = reserve_untimed(kind, size);

	if (head)
		head->time_ns = bpf_ktime_get_boot_ns();
	return head;
}

/* The reader is woken for urgent records and when a batch has just become full; its own timer collects the rest. Past
 * the threshold nobody is woken again: a wake-up costs microseconds, and the descriptor is readable anyway. */
static __always_inline void submit(void *record, bool urgent)
{
	__u64 pending = bpf_ringbuf_query(&records, BPF_RB_AVAIL_DATA);

	if (urgent || pending - wakeup_bytes < WAKEUP_MARGIN)
		bpf_ringbuf_submit(record, BPF_RB_FORCE_WAKEUP);
	else
		bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
}

/* A cgroup's id: its directory's inode in the memory hierarchy, or in the unified one where that carries memory. */
static __always_inline __u64 cgroup_of(struct task_struct *task, const bool direct)
{
	struct css_set *sets = GET(direct, task, cgroups);
	struct cgroup *group = GET(direct, sets, dfl_cgrp);
	struct kernfs_node *node;

	if (has_memory_controller()) {
		__u64 at = bpf_core_enum_value(enum cgroup_subsys_id, memory_cgrp_id) * sizeof(void *);
		struct cgroup_subsys_state *css;
		struct cgroup *charged;
		struct cgroup_root *root;

		if (direct)
			css = *(struct cgroup_subsys_state **)((void *)&sets->subsys + at);
		else if (bpf_probe_read_kernel(&css, sizeof(css), (void *)&sets->subsys + at))
			return 0;
		charged = GET(direct, css, cgroup);
		root = GET(direct, charged, root);
		if (GET(direct, root, hierarchy_id) != 0)
			group = charged;
	}
	node = GET(direct, group, kn);
	return GET(direct, node, id);
}

/* A process is called as its first thread is; the others' names come and go. */
static __always_inline void fill_name(__u8 out[TAPIO_COMM], struct task_struct *task, const bool direct)
{
	struct task_struct *leader = GET(direct, task, group_leader);

	if (direct) {
		const __u64 *comm = (const __u64 *)leader->comm;

		((__u64 *)out)[0] = comm[0];
		((__u64 *)out)[1] = comm[1];
	} else {
		BPF_CORE_READ_STR_INTO((char(*)[TAPIO_COMM])out, leader, comm);
	}
}

static __always_inline void fill_task(struct tapio_task *out, struct task_struct *task, const bool direct)
{
	struct task_struct *leader = GET(direct, task, group_leader);

	out->start_ns = GET(direct, leader, start_boottime);
	out->cgroup_id = cgroup_of(task, direct);
	out->tgid = GET(direct, task, tgid);
	out->tid = GET(direct, task, pid);
	fill_name(out->comm, task, direct);
}

/* Without the task itself (5.10 under lockdown) the helpers still tell who it is, not since when. */
static __always_inline void fill_current_by_helpers(struct tapio_task *out)
{
	__u64 id = bpf_get_current_pid_tgid();

	out->tgid = id >> 32;
	out->tid = (__u32)id;
	out->cgroup_id = bpf_get_current_cgroup_id();
	bpf_get_current_comm(out->comm, sizeof(out->comm));
}

static __always_inline void fill_current(struct tapio_task *out)
{
	if (has_current_btf())
		fill_task(out, bpf_get_current_task_btf(), true);
	else if (locked_down)
		fill_current_by_helpers(out);
	else
		fill_task(out, (struct task_struct *)bpf_get_current_task(), false);
}

static __always_inline __u64 current_cgroup(void)
{
	if (has_current_btf())
		return cgroup_of(bpf_get_current_task_btf(), true);
	if (locked_down)
		return bpf_get_current_cgroup_id();
	return cgroup_of((struct task_struct *)bpf_get_current_task(), false);
}

static __always_inline void fill_current_name(__u8 out[TAPIO_COMM])
{
	if (has_current_btf())
		fill_name(out, bpf_get_current_task_btf(), true);
	else if (locked_down)
		bpf_get_current_comm(out, TAPIO_COMM);
	else
		fill_name(out, (struct task_struct *)bpf_get_current_task(), false);
}

static __always_inline __u32 current_tgid(void)
{
	return bpf_get_current_pid_tgid() >> 32;
}

#endif
