/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Loads only where bpf_probe_read_kernel is allowed; never attached. The loader asks before it loads anything else. */
#include "core_fixes.bpf.h"

char LICENSE[] SEC("license") = "GPL";

SEC("raw_tp/sched_process_exit")
int reads_kernel(void *ctx)
{
	__u64 word = 0;

	bpf_probe_read_kernel(&word, sizeof(word), (void *)bpf_get_current_task());
	return 0;
}
