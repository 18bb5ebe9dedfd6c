//! Bodies of the network observer.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// Which end of a connection or exchange the subject is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// It asked.
    #[default]
    Client,
    /// It was asked.
    Server,
    /// A role of a later version.
    #[serde(other)]
    Unknown,
}

/// How a connection attempt failed. Refused is not timed out is not unreachable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConnectFailure {
    /// The peer's host answered that nobody listens.
    Refused,
    /// Nobody answered.
    TimedOut,
    /// No route, or a router said so.
    Unreachable,
    /// The peer reset the connection while it was being set up.
    Reset,
    /// Any other errno.
    #[default]
    #[serde(other)]
    Other,
}

/// A connection attempt of the subject to the object failed. `count` > 1 stands for equal failures in the window.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ConnectFailed {
    /// In which way.
    pub failure: ConnectFailure,
    /// Linux errno.
    pub errno: i32,
    /// Time from the attempt to its failure, ns.
    pub latency_ns: u64,
}

/// The subject's socket listens at the object's address, or no longer does.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Listening {
    /// `true` from now on, `false` when it was closed.
    pub open: bool,
}

/// Connections between subject and object within one window.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct EdgeStats {
    /// Which end the subject is.
    pub role: Role,
    /// Connections tried (client) or accepted (server).
    pub attempts: u64,
    /// Attempts that succeeded.
    pub established: u64,
    /// Attempts that were refused.
    pub refused: u64,
    /// Attempts that nobody answered.
    pub timed_out: u64,
    /// Attempts without a route.
    pub unreachable: u64,
    /// Attempts that failed otherwise.
    pub failed_otherwise: u64,
    /// Connections closed.
    pub closed: u64,
    /// Bytes that the subject sent, of the connections closed in the window.
    pub bytes_sent: u64,
    /// Bytes that the subject received, of the connections closed in the window.
    pub bytes_received: u64,
    /// Mean handshake time of established connections, ns; 0 when unknown.
    pub handshake_mean_ns: u64,
    /// Segments that the subject sent again on established connections.
    #[serde(skip_serializing_if = "is_zero")]
    pub retransmits: u64,
    /// Segments that it sent on connections that were closed, or on which some were sent again; none is counted twice.
    #[serde(skip_serializing_if = "is_zero")]
    pub segments: u64,
    /// Of the closed connections, those that the object ended by a reset before the subject had closed them.
    #[serde(skip_serializing_if = "is_zero")]
    pub reset: u64,
    /// Those that the subject ended by one: it left something unread, or did not want to wait for the object.
    #[serde(skip_serializing_if = "is_zero")]
    pub aborted: u64,
    /// Those that the kernel gave up, since the object acknowledged nothing any more.
    #[serde(skip_serializing_if = "is_zero")]
    pub unacknowledged: u64,
}

impl EdgeStats {
    /// Whether most of what was sent had been sent before: the object does not acknowledge anything, as one that is gone. On a way
    /// that loses some, more is new than is sent again.
    pub fn is_to_nobody(&self) -> bool {
        2 * self.retransmits > self.segments
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Which queue of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SocketQueue {
    /// Connections that its owner has not accepted.
    Accept,
    /// Datagrams that its owner has not read.
    Receive,
    /// A queue of a later version.
    #[default]
    #[serde(other)]
    Unknown,
}

/// The subject does not take what comes to its socket at the object's address: `count` connections or datagrams were dropped in
/// the window because its queue was full.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct QueueFull {
    /// Which.
    pub queue: SocketQueue,
    /// What waits in it now: connections, or bytes.
    pub waiting: u64,
}

/// Why packets were dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DropReason {
    /// By a packet filter, a network policy or traffic control.
    Filter,
    /// Nobody has the next address on that link.
    Neighbour,
    /// They were larger than the link takes, and not to be split.
    TooBig,
    /// A queue of the device or of the kernel was full.
    Queue,
    /// No route leads there.
    Route,
    /// They would have begun a connection, and the table of tracked connections was full.
    Conntrack,
    /// A reason of a later version.
    #[default]
    #[serde(other)]
    Unknown,
}

/// `count` packets between the subject, who calls, and the object were dropped on this node in the window.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PacketsDropped {
    /// Why.
    pub reason: DropReason,
    /// Whether the object sent them.
    pub answers: bool,
    /// Number of their protocol (IANA): 1 ICMP, 6 TCP, 17 UDP, 58 `ICMPv6`.
    pub protocol: u8,
}

/// TCP of the whole node within one window.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TcpStats {
    /// Segments sent again on established connections; `None` where nobody counts them.
    pub retransmits: Option<u64>,
    /// Connections established.
    pub established: u64,
    /// Over how many edges they were sent; `None` where nobody counts that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lossy_edges: Option<u64>,
}

/// What a network namespace of the subject, a node, holds now. It is told when that is news, and repeated for readers that came
/// later: every [`REPEATED_SECONDS`], which makes one that is not told any more a thing of the past.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworkNamespace {
    /// Its inode number.
    pub net_ns: u32,
    /// Addresses at which it answers, loopback apart; none when it is gone.
    pub addresses: Vec<IpAddr>,
    /// Networks that it reaches without a router.
    pub links: Vec<Network>,
    /// Its default routers.
    pub routers: Vec<IpAddr>,
    /// Whether it has more than is told.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
}

/// A network namespace is told again after this many seconds at the latest.
pub const REPEATED_SECONDS: u64 = 60;

/// The addresses that share a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Network {
    /// Any of them.
    pub ip: IpAddr,
    /// Leading bits that they have in common.
    pub prefix: u8,
}

impl Network {
    /// Whether `ip` is one of them.
    pub fn contains(&self, ip: IpAddr) -> bool {
        let (own, other, width) = match (self.ip, ip) {
            (IpAddr::V4(own), IpAddr::V4(other)) => (u32::from(own).into(), u32::from(other).into(), 32),
            (IpAddr::V6(own), IpAddr::V6(other)) => (u128::from(own), u128::from(other), 128),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return false,
        };
        let rest = width - u32::from(self.prefix).min(width);
        (own ^ other).checked_shr(rest).unwrap_or(0) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_what_shares_its_prefix_and_nothing_of_the_other_family() {
        let has = |ip: &str, prefix, other: &str| {
            let ip = ip.parse().unwrap();
            Network { ip, prefix }.contains(other.parse().unwrap())
        };
        assert!(has("10.1.0.0", 16, "10.1.255.255"));
        assert!(!has("10.1.0.0", 16, "10.2.0.0"));
        assert!(has("10.1.0.7", 32, "10.1.0.7") && !has("10.1.0.7", 32, "10.1.0.6"));
        assert!(has("fd00::1", 64, "fd00::2") && !has("fd00::1", 64, "fd00:0:0:1::2"));
        assert!(has("::", 0, "fd00::2") && !has("::", 0, "10.1.0.7"));
    }
}
