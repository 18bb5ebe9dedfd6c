//! Mirrors of `bpf/network.h`.
#![expect(
    unsafe_code,
    reason = "the mirrors vouch for their own layout, which a test compares with BTF"
)]

use super::layout::{Head, Task, mirror};

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
    /// One edge's counters since the last drain.
    Edge = "tapio_edge" {
        /// Attempts that ended so (client), or accepted connections (server).
        count: u64,
        /// Sum over `count` of SYN to outcome, ns; client only.
        latency_sum_ns: u64,
        /// Payload sent, without what was sent again, over closed connections.
        bytes_sent: u64,
        /// Payload received, over closed connections; a connection's FIN counts as one byte.
        bytes_received: u64,
        /// Established connections that closed.
        closed: u32,
        /// Segments sent again on established connections.
        retransmits: u32,
        /// Segments sent by connections that closed, and by those that sent some again, none twice.
        segments: u32,
        /// Of those that closed, whose peer sent a reset before their owner had closed them.
        reset: u32,
        /// Whose owner sent one: something was unread, or it did not want to wait.
        aborted: u32,
        /// Whose peer acknowledged nothing any more.
        unacknowledged: u32,
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
