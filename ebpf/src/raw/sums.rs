//! Mirrors of `bpf/sums.h`.
#![expect(
    unsafe_code,
    reason = "the mirrors vouch for their own layout, which a test compares with BTF"
)]

use super::layout::{mirror, numbered};

numbered! {
    /// Which end of a connection the process is.
    Role {
        /// It connected.
        Client = 1,
        /// It listened.
        Server = 2,
    }
}

mirror! {
    /// By which programs and user space agree on the second.
    Clock = "tapio_clock" {
        /// UNIX time of `CLOCK_MONOTONIC`'s zero.
        epoch_ns: u64,
        /// The programs' own: a tick and its second; 0: unknown.
        of_tick: u64,
    }
}

mirror! {
    /// What connections and HTTP exchanges are counted by.
    SumKey = "tapio_sum_key" {
        /// The local process's cgroup; 0: the listener is older than the observer.
        cgroup_id: u64,
        /// In which it was counted, UNIX, modulo 2^32.
        second: u32,
        /// Inode of the network namespace.
        netns: u32,
        /// A [`Role`].
        role: u16,
        /// 1: an exchange by which kubelet or a load balancer tests the server; nobody's traffic.
        health_check: u8,
        /// 1: an exchange with a database.
        is_query: u8,
        /// Of connections: 0 established, else errno as in [`super::ConnectFailed`]. Of exchanges: 200 to 599, or
        /// [`super::NO_RESPONSE`].
        outcome: u32,
        /// The other end.
        peer: [u32; 4],
        /// The server's port, on both roles.
        port: u32,
        /// What was asked for, by which [`crate::Loaded::routes`] finds it; 0: it was not read.
        route: u32,
        /// The local process's name; zeros where unknown.
        comm: [u8; 16],
    }
}
