//! Mirrors of `bpf/status.h`.
#![expect(
    unsafe_code,
    reason = "the mirrors vouch for their own layout, which a test compares with BTF"
)]

use super::layout::{Head, Task, mirror};
use super::network::SLOTS;

mirror! {
    /// The first 5xx per (cgroup, role, peer, port, status) in 100 ms; the rest is counted in [`Http`].
    HttpError = "tapio_http_error" {
        /// Kind, size, time (of the response's first byte).
        head: Head,
        /// Who sent or received the response.
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
        /// 500 to 599.
        status: u32,
        /// Inode of the network namespace.
        netns: u32,
        /// Zero.
        pad: u32,
        /// From the request's first bytes to the response's, ns.
        latency_ns: u64,
        /// The request's first bytes; [`HttpError::request_line`] reads them.
        request: [u8; 64],
    }
}

impl HttpError {
    /// Method and path without the query, as far as they were captured.
    pub fn request_line(&self) -> String {
        let text = super::text(&self.request).into_owned();
        let line = text.split(['\r', '\n', '?']).next().unwrap_or_default();
        line.split(' ').take(2).collect::<Vec<_>>().join(" ")
    }
}

mirror! {
    /// What exchanges are counted by.
    HttpKey = "tapio_http_key" {
        /// The local process's cgroup.
        cgroup_id: u64,
        /// Internal; always the drained one.
        generation: u32,
        /// A [`super::Role`].
        role: u32,
        /// The other end.
        peer: [u32; 4],
        /// The server's port, on both roles.
        port: u32,
        /// 200 to 599.
        status: u32,
        /// Inode of the network namespace.
        netns: u32,
        /// Zero.
        pad: u32,
    }
}

mirror! {
    /// Exchanges since the last drain.
    Http = "tapio_http" {
        /// How many.
        count: u64,
        /// Sum of first request byte to first response byte, ns.
        latency_sum_ns: u64,
        /// The newest of them: `CLOCK_BOOTTIME`, ns.
        last_ns: u64,
        /// One process of them (the first).
        task: Task,
        /// First request byte to first response byte, see [`SLOTS`].
        latency_slots: [u32; SLOTS],
    }
}
