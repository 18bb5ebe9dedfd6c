/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Records of the container-runtime observer. */
#ifndef TAPIO_CONTAINER_H
#define TAPIO_CONTAINER_H

#include "records.h"

#define TAPIO_PATH 256

#define TAPIO_OOM_KILL 7

struct tapio_oom_kill {
	struct tapio_head head;
	struct tapio_task victim;
	struct tapio_task trigger;
	__u64 anon_bytes; /* the victim's resident memory; the kernel's own counters, up to a few hundred kB stale */
	__u64 file_bytes;
	__u64 shmem_bytes;
	__u64 total_vm_bytes;
	__u64 limit_bytes;     /* of the memory cgroup at its limit; 0: none was, the node itself ran out */
	__u64 usage_bytes;     /* of that cgroup */
	__u64 limit_cgroup_id; /* the nearest ancestor that uses at least 98 % of its limit */
	__u32 oom_score_adj;   /* two's complement */
	__u32 limit_unknown;   /* 1: lockdown forbids reading it here */
};
_Static_assert(sizeof(struct tapio_oom_kill) == 160, "tapio_oom_kill");

#define TAPIO_CGROUP 8

struct tapio_cgroup {
	struct tapio_head head;
	__u64 cgroup_id;
	__u32 hierarchy; /* 0: the unified hierarchy */
	__u32 path_unknown;
	__u8 path[TAPIO_PATH]; /* relative to the hierarchy's root; unknown when longer */
};
_Static_assert(sizeof(struct tapio_cgroup) == 288, "tapio_cgroup");

#endif
