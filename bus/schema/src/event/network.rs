//! Bodies of the network observer.

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
}

/// TCP of the whole node within one window.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TcpStats {
    /// Segments sent again on established connections; `None` where nobody counts them.
    pub retransmits: Option<u64>,
    /// Connections established.
    pub established: u64,
}
