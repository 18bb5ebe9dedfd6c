//! Mirrors of `bpf/network.h`.
#![expect(
    unsafe_code,
    reason = "the mirrors vouch for their own layout, which a test compares with BTF"
)]

use super::layout::{Head, Task, mirror};

/// Which end of a connection the process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Role {
    /// It connected.
    Client = 1,
    /// It listened.
    Server = 2,
}

impl Role {
    /// The role a key's number stands for.
    pub fn from_number(number: u32) -> Option<Self> {
        [Self::Client, Self::Server]
            .into_iter()
            .find(|role| *role as u32 == number)
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
    /// The first failure per (cgroup, peer, port, error) in a second; the rest is counted in edges.
    ConnectFailed = "tapio_connect_failed" {
        /// Kind, size, time.
        head: Head,
        /// Who called connect(2).
        task: Task,
        /// Whom it wanted.
        peer: [u32; 4],
        /// Its port.
        peer_port: u32,
        /// The local port where the owner had bound one; else 0, since the kernel gives it back first.
        local_port: u32,
        /// errno; `ECANCELED` (125): the owner closed the socket before an answer came; `EADDRNOTAVAIL` (99): no
        /// local port was free.
        error: u32,
        /// Inode of the network namespace.
        netns: u32,
        /// From SYN to failure, ns.
        waited_ns: u64,
    }
}

mirror! {
    /// A socket began or ceased to listen.
    Listen = "tapio_listen" {
        /// Kind, size, time.
        head: Head,
        /// Who called listen(2).
        task: Task,
        /// The local address.
        local: [u32; 4],
        /// The local port.
        local_port: u32,
        /// Inode of the network namespace.
        netns: u32,
        /// 1: began, 0: ceased.
        begins: u32,
        /// Zero.
        pad: u32,
    }
}

mirror! {
    /// What an edge's counters are kept by.
    EdgeKey = "tapio_edge_key" {
        /// The local process's cgroup; 0: the listener is older than the observer.
        cgroup_id: u64,
        /// In which it was counted, UNIX, modulo 2^32.
        second: u32,
        /// Inode of the network namespace.
        netns: u32,
        /// A [`Role`].
        role: u32,
        /// 0: established; else errno as in [`ConnectFailed`].
        error: u32,
        /// The other end.
        peer: [u32; 4],
        /// The server's port, on both roles.
        port: u32,
        /// Zero.
        pad: u32,
    }
}

mirror! {
    /// One edge's counters since the last drain.
    Edge = "tapio_edge" {
        /// Attempts that ended so (client), or accepted connections (server).
        count: u64,
        /// Sum over `count` of SYN to outcome, ns; client only.
        latency_sum_ns: u64,
        /// Established connections that closed.
        closed: u64,
        /// Payload sent, without what was sent again, over closed connections.
        bytes_sent: u64,
        /// Payload received, over closed connections; a connection's FIN counts as one byte.
        bytes_received: u64,
    }
}

mirror! {
    /// Where someone listens, to be told to the kernel for listeners older than the observer.
    Listener = "tapio_listener_key" {
        /// The local address; all zero for any.
        local: [u32; 4],
        /// The local port.
        port: u32,
        /// Inode of the network namespace.
        netns: u32,
    }
}
