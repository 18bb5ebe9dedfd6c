//! Mirrors of `bpf/link.h`.
#![expect(
    unsafe_code,
    reason = "the mirrors vouch for their own layout, which a test compares with BTF"
)]

use super::layout::{mirror, numbered};

numbered! {
    /// Why a packet was dropped.
    DropReason {
        /// A packet filter, a policy or traffic control.
        Filter = 1,
        /// Nobody has the address on that link.
        Neighbour = 2,
        /// Larger than the link takes.
        TooBig = 3,
        /// A queue of the device or of the kernel was full.
        Queue = 4,
        /// No way leads there.
        Route = 5,
    }
}

mirror! {
    /// Between whom packets were dropped, and why.
    DropKey = "tapio_drop_key" {
        /// Who began the connection, or has the higher port; of a protocol without ports, who sent.
        caller: [u32; 4],
        /// The other end.
        callee: [u32; 4],
        /// Port of the callee; 0: the protocol has none.
        port: u32,
        /// Number of the protocol, as in an IP header.
        protocol: u32,
        /// Inode of the network namespace in which it was dropped.
        netns: u32,
        /// A [`DropReason`].
        reason: u32,
        /// 1: the callee sent it.
        is_answer: u32,
        /// Zero.
        pad: u32,
    }
}

mirror! {
    /// How many.
    Drops = "tapio_drops" {
        /// Packets since the first.
        count: u64,
        /// The last: `CLOCK_BOOTTIME`, ns.
        last_ns: u64,
    }
}
