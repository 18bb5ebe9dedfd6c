//! Rust mirrors of the C records in `bpf/*.h`, and the only unsafe code that reads them.
//!
//! Text is NUL-padded bytes ([`text`]), addresses are network byte order with IPv4 mapped into IPv6 ([`address`]), ports
//! are host order, times are `CLOCK_BOOTTIME` nanoseconds.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr};

mod container;
mod layout;
mod network;
mod process;
mod status;
mod sums;

pub use container::{Cgroup, OomKill};
pub use layout::{Error, Field, Head, Kind, Layout, Task};
pub use network::{ConnectFailed, Edge, Listen, Listener};
pub use process::{Exec, Exit, Signal};
pub use status::{Http, HttpError, NO_RESPONSE, SLOTS};
pub use sums::{Clock, Role, SumKey};

/// One record out of a ring buffer.
#[derive(Clone, Copy, Debug)]
pub enum Record {
    /// A connection attempt that failed.
    ConnectFailed(ConnectFailed),
    /// A listening socket opened or closed.
    Listen(Listen),
    /// An HTTP exchange that ended in 5xx.
    HttpError(HttpError),
    /// A program started.
    Exec(Exec),
    /// A process ended.
    Exit(Exit),
    /// A signal that ends processes was generated.
    Signal(Signal),
    /// The kernel chose an OOM victim.
    OomKill(OomKill),
    /// A cgroup was made or removed.
    Cgroup(Cgroup),
}

impl Record {
    /// Reads the record that the bytes of one ring buffer entry hold.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let head = Head::parse(bytes)?;
        Ok(match Kind::try_from(head.kind)? {
            Kind::ConnectFailed => Self::ConnectFailed(ConnectFailed::parse(bytes)?),
            Kind::Listen => Self::Listen(Listen::parse(bytes)?),
            Kind::HttpError => Self::HttpError(HttpError::parse(bytes)?),
            Kind::Exec => Self::Exec(Exec::parse(bytes)?),
            Kind::Exit => Self::Exit(Exit::parse(bytes)?),
            Kind::Signal => Self::Signal(Signal::parse(bytes)?),
            Kind::OomKill => Self::OomKill(OomKill::parse(bytes)?),
            Kind::Cgroup => Self::Cgroup(Cgroup::parse(bytes)?),
        })
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
