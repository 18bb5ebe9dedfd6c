/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Differences between kernels, each decided by the kernel's own BTF when the object is loaded. */
#ifndef TAPIO_CORE_FIXES_BPF_H
#define TAPIO_CORE_FIXES_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

/* Set by the loader: this kernel refuses bpf_probe_read_kernel (lockdown=confidentiality). */
const volatile __u32 locked_down = 0;

/* A member, read through a verified pointer or by probing. `direct` is always a compile-time constant. */
#define GET(direct, p, field) ((direct) ? (p)->field : BPF_CORE_READ(p, field))

/* bpf_get_current_task_btf: 3ca1032ab7ab ("bpf: Introduce bpf_get_current_task_btf()"), 5.11. */
static __always_inline bool has_current_btf(void)
{
	return bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_get_current_task_btf);
}

/* mark_victim carries the task since 72ba14deb40a ("mm: update mark_victim tracepoints fields"), 6.8 and stables. */
static __always_inline bool mark_victim_has_task(void)
{
	return bpf_core_field_exists(struct trace_event_raw_mark_victim, uid);
}

/* rss_stat became percpu counters in f1a7941243c1 ("mm: convert mm's rss stats into percpu_counter"), 6.2. */
static __always_inline __u64 rss_pages(struct mm_struct *mm, const __u64 which)
{
	void *at = (void *)mm;
	s64 pages = 0;

	if (bpf_core_type_exists(struct mm_rss_stat))
		at += bpf_core_field_offset(struct mm_struct___before_6_2, rss_stat) + which * sizeof(pages);
	else
		at += bpf_core_field_offset(struct mm_struct, rss_stat) +
		      which * bpf_core_type_size(struct percpu_counter) +
		      bpf_core_field_offset(struct percpu_counter, count);
	bpf_probe_read_kernel(&pages, sizeof(pages), at);
	return pages > 0 ? pages : 0;
}

/* The memory controller may be compiled out. */
static __always_inline bool has_memory_controller(void)
{
	return bpf_core_enum_value_exists(enum cgroup_subsys_id, memory_cgrp_id);
}

#endif
