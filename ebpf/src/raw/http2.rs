//! Mirrors of `bpf/http2.h`.
#![expect(
    unsafe_code,
    reason = "the mirrors vouch for their own layout, which a test compares with BTF"
)]

use super::layout::{Head, Task, mirror, numbered};

/// Most bytes of a frame in one record.
pub const HTTP2_BYTES: usize = 96;

mirror! {
    /// A client's preface was seen: a connection speaks HTTP/2 from its beginning.
    Http2Begin = "tapio_http2_begin" {
        /// Kind, size, time.
        head: Head,
        /// Who sent or received it.
        task: Task,
        /// The socket's cookie: one for each end of the connection.
        connection: u64,
        /// The other end.
        peer: [u32; 4],
        /// The other end's port.
        peer_port: u32,
        /// This end's port.
        local_port: u32,
        /// A [`super::Role`].
        role: u32,
        /// Inode of the network namespace.
        netns: u32,
        /// 1: its client does nothing but test servers.
        by_checker: u32,
        /// Zero.
        pad: u32,
    }
}

mirror! {
    /// A part of a frame that says something of exchanges.
    Http2Frame = "tapio_http2_frame" {
        /// Kind and size; no time.
        head: Head,
        /// As in [`Http2Begin`].
        connection: u64,
        /// When it was sent or received: `CLOCK_MONOTONIC`, ns.
        moved_ns: u64,
        /// Of the connection's records in this direction, from 0: where one is missing, it was lost.
        number: u32,
        /// 1: by the owner of the socket, 0: received.
        sent: u32,
        /// The stream.
        stream: u32,
        /// RFC 9113, section 6.
        frame_type: u32,
        /// Likewise.
        flags: u32,
        /// Of the frame's payload, bytes. Where it is longer than what is told of a frame, the rest never comes.
        length: u32,
        /// Where in the payload these bytes lie.
        at: u32,
        /// How many they are.
        bytes: u32,
        /// They; the rest is anything.
        payload: [u8; HTTP2_BYTES],
    }
}

mirror! {
    /// A connection ended, or cannot be followed any more.
    Http2End = "tapio_http2_end" {
        /// Kind, size, time.
        head: Head,
        /// As in [`Http2Begin`].
        connection: u64,
        /// When: `CLOCK_MONOTONIC`, ns.
        moved_ns: u64,
        /// A [`Http2How`].
        how: u32,
        /// Zero.
        pad: u32,
    }
}

numbered! {
    /// What became of a connection.
    Http2How {
        /// It goes on, but where its frames begin is not known any more.
        Lost = 1,
        /// Its owner closed it.
        Closed = 2,
        /// Its owner died.
        Exited = 3,
        /// Its peer ended it, or it broke.
        Ended = 4,
    }
}
