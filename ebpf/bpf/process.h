/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Records of the process family. */
#ifndef TAPIO_PROCESS_H
#define TAPIO_PROCESS_H

#include "records.h"

#define TAPIO_FILENAME 128

#define TAPIO_EXEC 4

struct tapio_exec {
	struct tapio_head head;
	struct tapio_task task;
	struct tapio_task parent;
	__u32 filename_unknown; /* lockdown hides it */
	__u32 guest;            /* 1: it dies with the first process of its pid namespace, which is another */
	__u8 filename[TAPIO_FILENAME];
};
_Static_assert(sizeof(struct tapio_exec) == 232, "tapio_exec");

#define TAPIO_EXIT 5

struct tapio_exit {
	struct tapio_head head;
	struct tapio_task task;
	struct tapio_task parent;
	__u32 exit_code; /* wait status: code << 8, or signal | 0x80 when it left a core */
	__u32 pad;
};
_Static_assert(sizeof(struct tapio_exit) == 104, "tapio_exit");

#define TAPIO_SIGNAL 6

struct tapio_signal {
	struct tapio_head head;
	struct tapio_task sender;
	struct tapio_task target;
	struct tapio_task parent; /* of the target */
	__u32 signal;
	__u32 code;        /* si_code as two's complement; 0 with from_kernel when the kernel gave none */
	__u32 from_kernel; /* 1: sent by the kernel itself, the sender is whoever was running */
	__u32 result;      /* 0 delivered, 1 ignored (SIGINT, SIGTERM), 2 already pending, 3 overflow, 4 lost info */
};
_Static_assert(sizeof(struct tapio_signal) == 152, "tapio_signal");

#endif
