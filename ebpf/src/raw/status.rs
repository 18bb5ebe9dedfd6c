//! Mirrors of `bpf/status.h`.
#![expect(
    unsafe_code,
    reason = "the mirrors vouch for their own layout, which a test compares with BTF"
)]

use super::layout::{Head, Task, mirror, numbered};

/// Slots of a latency histogram: slot i counts `[2^i, 2^(i+1))` microseconds, the first also less, the last also more.
pub const SLOTS: usize = 24;

/// Status of an exchange that ended without a response.
pub const NO_RESPONSE: u32 = 0;

/// Bytes of a header traceparent that are kept.
pub const TRACE_PARENT_BYTES: usize = 56;

/// Bytes of what a database calls an error.
pub const CODE_BYTES: usize = 16;

numbered! {
    /// What is spoken on a connection.
    Protocol {
        /// HTTP/1.x.
        Http = 0,
        /// Redis, and what speaks as it does.
        Redis = 1,
        /// `PostgreSQL`, likewise.
        Postgresql = 2,
        /// `MySQL`, likewise.
        Mysql = 3,
    }
}

mirror! {
    /// The beginning of a request, `GET /orders/17 HTTP/1.1`.
    Route = "tapio_route" {
        /// Its first bytes.
        line: [u8; 64],
    }
}

mirror! {
    /// The first 5xx, failed query of a database or end without a response per (cgroup, role, peer, port, route, status) in 100 ms; the rest is counted in
    /// [`Http`].
    HttpError = "tapio_http_error" {
        /// Kind, size, time (of the response's first byte, or of the end of the wait for it).
        head: Head,
        /// Who sent or received the response, or waited for it. Where the callee ended the connection only group and name are
        /// known.
        task: Task,
        /// The other end.
        peer: [u32; 4],
        /// This end.
        local: [u32; 4],
        /// The other end's port.
        peer_port: u32,
        /// This end's port.
        local_port: u32,
        /// A [`super::Role`].
        role: u32,
        /// 500 to 599, 500 for a database's error, or [`NO_RESPONSE`].
        status: u32,
        /// Inode of the network namespace.
        netns: u32,
        /// A [`Protocol`].
        protocol: u32,
        /// From the request's first bytes to the response's, or to the end of the wait, ns.
        latency_ns: u64,
        /// What the database calls its error: the first word of Redis, SQLSTATE of `PostgreSQL`, `MySQL`'s number.
        code: [u8; CODE_BYTES],
        /// What was asked for; zeros where it was not read.
        request: Route,
        /// The header traceparent, and one byte more; zeros where there was none, or it was not read.
        trace_parent: [u8; TRACE_PARENT_BYTES],
    }
}

mirror! {
    /// A process that speaks TLS. It is told once, as long as the programs remember it.
    Tls = "tapio_tls" {
        /// Kind, size, time.
        head: Head,
        /// The process.
        task: Task,
    }
}

mirror! {
    /// Exchanges since the last drain. Of those that one connection has within a tick of the kernel's clock, the first eight
    /// are read, and the last of these tells the status of all that follow.
    Http = "tapio_http" {
        /// How many per latency, first request byte to first response byte, see [`SLOTS`].
        latency_slots: [u32; SLOTS],
    }
}

impl Http {
    /// How many in all.
    pub fn count(&self) -> u64 {
        self.latency_slots.iter().map(|count| u64::from(*count)).sum()
    }
}
