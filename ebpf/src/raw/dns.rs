//! Mirrors of `bpf/dns.h`.
#![expect(
    unsafe_code,
    reason = "the mirrors vouch for their own layout, which a test compares with BTF"
)]

use super::layout::{Head, Task, mirror};

/// Bytes of a message that are kept: its header and one question of any length.
pub const DNS_BYTES: usize = 272;

mirror! {
    /// A question that waits for its answer.
    Question = "tapio_question" {
        /// Who asked.
        task: Task,
        /// When first: `CLOCK_BOOTTIME`, ns.
        asked_ns: u64,
        /// When last: `CLOCK_BOOTTIME`, ns.
        again_ns: u64,
        /// Of the message; the same question again has the same.
        hash: u64,
        /// Which server was asked last.
        server: [u32; 4],
        /// Inode of the network namespace.
        netns: u32,
        /// How often it was asked.
        attempts: u32,
        /// Of the message, bytes.
        length: u32,
        /// Zero.
        pad: u32,
        /// Its beginning; the rest is zero.
        message: [u8; DNS_BYTES],
    }
}

mirror! {
    /// Which question: ids are the socket's own.
    QuestionKey = "tapio_question_key" {
        /// Address of the socket.
        socket: u64,
        /// The message's id.
        id: u64,
    }
}

mirror! {
    /// A socket that has asked.
    Asker = "tapio_asker" {
        /// When it was closed: `CLOCK_BOOTTIME`, ns; 0: it is open.
        closed_ns: u64,
        /// When the network last said that what it sent cannot arrive: `CLOCK_BOOTTIME`, ns; 0: never.
        failed_ns: u64,
        /// What it said then, errno.
        error: u32,
        /// Zero.
        pad: u32,
    }
}

mirror! {
    /// A process took the answer to its question.
    DnsAnswer = "tapio_dns_answer" {
        /// Kind, size, time.
        head: Head,
        /// Who asked.
        task: Task,
        /// Since it was asked first, ns.
        latency_ns: u64,
        /// Who answered.
        server: [u32; 4],
        /// Inode of the network namespace.
        netns: u32,
        /// How often it was asked.
        attempts: u32,
        /// Of the message, bytes.
        length: u32,
        /// 1: from a server that was not asked.
        foreign: u32,
        /// Its beginning; the rest is zero.
        message: [u8; DNS_BYTES],
    }
}
