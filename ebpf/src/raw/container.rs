//! Mirrors of `bpf/container.h`.
#![expect(
    unsafe_code,
    reason = "the mirrors vouch for their own layout, which a test compares with BTF"
)]

use super::layout::{Head, Task, mirror};

mirror! {
    /// The kernel chose an OOM victim.
    OomKill = "tapio_oom_kill" {
        /// Kind, size, time.
        head: Head,
        /// Who is killed; only `tgid` where the kernel tells no more.
        victim: Task,
        /// Whose allocation hit the limit.
        trigger: Task,
        /// The victim's anonymous memory, bytes (the kernel's counter, up to some hundred kB stale).
        anon_bytes: u64,
        /// Its file pages, bytes.
        file_bytes: u64,
        /// Its shared memory, bytes.
        shmem_bytes: u64,
        /// Its address space, bytes.
        total_vm_bytes: u64,
        /// Limit of the cgroup that was full, bytes; 0: none was, the node ran out (or `limit_unknown`).
        limit_bytes: u64,
        /// What that cgroup used, bytes.
        usage_bytes: u64,
        /// That cgroup: the nearest ancestor using at least 98 % of its limit; 0 as above.
        limit_cgroup_id: u64,
        /// The victim's adjustment, two's complement, -1000 to 1000.
        oom_score_adj: u32,
        /// 1: this kernel lets nobody read memory and limit.
        limit_unknown: u32,
    }
}

mirror! {
    /// A cgroup was made.
    Cgroup = "tapio_cgroup" {
        /// Kind, size, time.
        head: Head,
        /// Inode of its directory.
        cgroup_id: u64,
        /// 0: the unified hierarchy; else a v1 hierarchy's number in `/proc/cgroups`.
        hierarchy: u32,
        /// 1: lockdown hides the path, or it is longer; look the inode up.
        path_unknown: u32,
        /// From the hierarchy's root.
        path: [u8; 256],
    }
}
