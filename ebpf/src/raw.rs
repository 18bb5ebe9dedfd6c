//! Rust mirrors of the C records in `bpf/*.h`, and the only unsafe code that reads them.
//!
//! Text is NUL-padded bytes ([`text`]), addresses are network byte order with IPv4 mapped into IPv6 ([`address`]), ports
//! are host order, times are `CLOCK_BOOTTIME` nanoseconds.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr};

mod container;
mod dns;
mod http2;
mod layout;
mod link;
mod network;
mod process;
mod status;
mod sums;

pub use container::{Cgroup, OomKill};
pub use dns::{Asker, DNS_BYTES, DnsAnswer, Question, QuestionKey};
pub use http2::{HTTP2_BYTES, Http2Begin, Http2End, Http2Frame, Http2How};
pub use layout::{Error, Field, Head, Layout, Task};
pub use link::{DropKey, DropReason, Drops};
pub use network::{ConnectFailed, Edge, Listen, Listener};
pub use process::{Exec, Exit, Signal};
pub use status::{CODE_BYTES, Http, HttpError, NO_RESPONSE, Protocol, Route, SLOTS, TRACE_PARENT_BYTES, Tls};
pub use sums::{Clock, Role, SumKey};

/// Kinds there is room for among the loss counters: `TAPIO_KINDS`.
pub(crate) const KINDS: u32 = 16;

/// The table of records: a mirror of this module, and its number in the header beside the struct.
macro_rules! records {
    ($($(#[$doc:meta])* $record:ident = $number:literal),+ $(,)?) => {
        /// What a record is about; also the index of its loss counter.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u32)]
        pub enum Kind { $($(#[$doc])* $record = $number),+ }

        impl Kind {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$record),+];
        }

        /// One record out of a ring buffer.
        #[derive(Clone, Copy, Debug)]
        pub enum Record { $($(#[$doc])* $record($record)),+ }

        impl Record {
            /// Reads the record that the bytes of one ring buffer entry hold.
            ///
            /// # Errors
            /// When they are too few, or of a kind that is not in the table.
            pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
                let head = Head::parse(bytes)?;
                Ok(match Kind::try_from(head.kind)? {
                    $(Kind::$record => Self::$record($record::parse(bytes)?)),+
                })
            }
        }

        const _: () = assert!($($number < KINDS)&&+);
    };
}

records! {
    /// A connection attempt that failed; what its tables had no room for are edges.
    ConnectFailed = 1,
    /// A listening socket opened or closed.
    Listen = 2,
    /// An exchange of HTTP or with a database that failed; what its tables had no room for are exchanges.
    HttpError = 3,
    /// A program started.
    Exec = 4,
    /// A process ended.
    Exit = 5,
    /// A signal that ends processes was generated.
    Signal = 6,
    /// The kernel chose an OOM victim.
    OomKill = 7,
    /// A cgroup was made or removed.
    Cgroup = 8,
    /// The answer of a name server; what its table had no room for are questions.
    DnsAnswer = 9,
    /// A connection speaks HTTP/2; what there was no room for are connections.
    Http2Begin = 10,
    /// A part of a frame of HTTP/2.
    Http2Frame = 11,
    /// A connection of HTTP/2 ended, or was lost.
    Http2End = 12,
    /// A process speaks TLS, and had not before.
    Tls = 13,
}

impl TryFrom<u32> for Kind {
    type Error = Error;

    fn try_from(number: u32) -> Result<Self, Error> {
        let known = Self::ALL.iter().find(|kind| **kind as u32 == number);
        known.copied().ok_or(Error::Kind(number))
    }
}

/// NUL-padded bytes as text; what is not UTF-8 is replaced.
pub fn text(bytes: &[u8]) -> Cow<'_, str> {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(bytes.get(..end).unwrap_or_default())
}

/// A record's address; `::ffff:a.b.c.d` becomes IPv4.
pub fn address(words: [u32; 4]) -> IpAddr {
    let mut octets = [0; 16];
    for (to, word) in octets.chunks_exact_mut(4).zip(words) {
        to.copy_from_slice(&word.to_ne_bytes());
    }
    Ipv6Addr::from(octets).to_canonical()
}

#[cfg(test)]
mod tests;
