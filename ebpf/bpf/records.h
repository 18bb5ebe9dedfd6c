/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What every family's records share. Times are CLOCK_BOOTTIME nanoseconds unless a field says otherwise. Text is an
 * array of bytes, NUL-padded: as __u64 words it could not be read on either side. */
#ifndef TAPIO_RECORDS_H
#define TAPIO_RECORDS_H

#define TAPIO_COMM 16

/* Each record has a number of its own, given beside it and in ebpf/src/raw.rs, below this. */
#define TAPIO_KINDS 16

/* One process as the kernel knew it at that moment; zeroed where unknown. */
struct tapio_task {
	__u64 start_ns;
	__u64 cgroup_id;
	__u32 tgid;
	__u32 tid;
	__u8 comm[TAPIO_COMM];
};
_Static_assert(sizeof(struct tapio_task) == 40, "tapio_task");

struct tapio_head {
	__u32 kind;
	__u32 size;
	__u64 time_ns;
};
_Static_assert(sizeof(struct tapio_head) == 16, "tapio_head");

#endif
