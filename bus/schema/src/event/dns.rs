//! Bodies of the dns observer.

use serde::{Deserialize, Serialize};

use crate::histogram::Log2;

/// What was wrong with a lookup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DnsProblem {
    /// Nothing came back.
    TimedOut,
    /// The network said that the server cannot be reached, or that nobody is there.
    Unreachable,
    /// There is no such name (`NXDOMAIN`).
    NameUnknown,
    /// The server could not find out (`SERVFAIL`).
    ServerFailed,
    /// The server does not want to say (`REFUSED`).
    Refused,
    /// The answer was late.
    Slow,
    /// The answer was too long for its datagram and is to be asked for again over TCP.
    Truncated,
    /// The answer is none.
    Malformed,
    /// The answer came from a server that was not asked.
    Foreign,
    /// Any other response code.
    #[default]
    #[serde(other)]
    Other,
}

/// A lookup by the subject at the object, its name server, went wrong. `count` > 1 stands for equal ones since the last event.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DnsFailed {
    /// In which way.
    pub problem: DnsProblem,
    /// The name without a dot at its end, in lower case; empty where it cannot be read.
    pub name: String,
    /// Type of the records that were asked for: `A`, `AAAA`, `SRV`.
    pub record_type: String,
    /// Response code (RFC 6895, 2.3); Linux errno where the server is unreachable.
    pub code: i32,
    /// From the question to its answer, or to the end of the wait for it, ns.
    pub latency_ns: u64,
    /// How often it was asked in the same words.
    pub attempts: u32,
    /// How many names were tried for this one, by the asker's search list.
    pub searched: u32,
}

/// Lookups by the subject at the object that ended within one window.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DnsStats {
    /// All of them. What a search list tried on the way is one with its end.
    pub lookups: u64,
    /// To which nothing came back.
    pub timed_out: u64,
    /// Whose server was unreachable.
    pub unreachable: u64,
    /// Of names that do not exist.
    pub name_unknown: u64,
    /// Answered with `SERVFAIL`.
    pub server_failed: u64,
    /// Answered with `REFUSED`.
    pub refused: u64,
    /// Answered with any other error, or with what is no answer.
    pub failed_otherwise: u64,
    /// Answers that no lookup ends with: names that a search list tried on the way.
    pub searched: u64,
    /// From question to answer, of all answers, ns.
    pub latency: Log2,
}
