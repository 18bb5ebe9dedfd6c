//! One event: an envelope that every stage understands and a typed body per kind.
//!
//! On the wire an event is a map whose `kind` stands before its `body`, so that a reader skips a kind it does not know
//! without decoding it. Bodies live in one file per family.

pub mod container;
pub mod counters;
pub mod dns;
pub mod kubernetes;
pub mod memory;
pub mod network;
pub mod node;
pub mod process;
pub mod status;

mod wire;

pub use wire::Decoded;

use crate::entity::Entity;
use crate::id::EventId;
use crate::severity::Severity;

/// Something that happened, or the aggregate of many such things.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Deterministic identity.
    pub id: EventId,
    /// When it happened, UNIX ns.
    pub time_ns: u64,
    /// When the observer saw it, UNIX ns.
    pub observed_ns: u64,
    /// How bad it is on its own.
    pub severity: Severity,
    /// Who it happened to, or who did it.
    pub subject: Entity,
    /// The other end: peer of a connection, target of a signal.
    pub object: Option<Entity>,
    /// How many occurrences it stands for; 1 for a single event.
    pub count: u64,
    /// Length of the aggregation window in ns, ending at `time_ns`; 0 for a single event.
    pub window_ns: u64,
    /// Trace in which it was seen, where known.
    pub trace: Option<Trace>,
    /// What happened.
    pub body: Body,
}

/// A place in a distributed trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trace {
    /// W3C trace id.
    pub trace_id: u128,
    /// W3C span id.
    pub span_id: u64,
}

impl Event {
    /// The entity whose workload decides where the event is joined with others: whoever was affected.
    pub fn affected(&self) -> &Entity {
        match (self.kind(), &self.object) {
            (Kind::SignalSent, Some(target)) => target,
            _ => &self.subject,
        }
    }

    /// Kind of its body.
    pub fn kind(&self) -> Kind {
        self.body.kind()
    }
}

/// The table of kinds: variant, body type, wire token. A new signal is one row here and one struct in its family's file.
macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident($body:ty) = $token:literal),+ $(,)?) => {
        /// Name of a kind of event.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind { $($(#[$doc])* $variant),+ }

        /// What happened, typed by kind.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Body { $($(#[$doc])* $variant($body)),+ }

        impl Kind {
            /// Every kind of this version.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The token on the wire.
            pub fn token(self) -> &'static str {
                match self { $(Self::$variant => $token),+ }
            }

            /// The kind with that token; `None` for one of a later version.
            pub fn parse(token: &str) -> Option<Self> {
                match token { $($token => Some(Self::$variant),)+ _ => None }
            }
        }

        impl Body {
            /// Its kind.
            pub fn kind(&self) -> Kind {
                match self { $(Self::$variant(_) => Kind::$variant),+ }
            }
        }

        impl serde::Serialize for Body {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self { $(Self::$variant(body) => body.serialize(serializer)),+ }
            }
        }

        impl<'de> serde::de::DeserializeSeed<'de> for Kind {
            type Value = Body;

            fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Body, D::Error> {
                match self {
                    $(Self::$variant => <$body as serde::Deserialize>::deserialize(deserializer).map(Body::$variant)),+
                }
            }
        }
    };
}

kinds! {
    /// A connection attempt failed.
    ConnectFailed(network::ConnectFailed) = "connect_failed",
    /// A socket listens, or stopped.
    Listening(network::Listening) = "listening",
    /// Which addresses a network namespace of a node holds.
    NetworkNamespace(network::NetworkNamespace) = "network_namespace",
    /// One second of one edge of the service graph.
    EdgeStats(network::EdgeStats) = "edge_stats",
    /// The queue of a socket was full.
    QueueFull(network::QueueFull) = "queue_full",
    /// Packets were dropped on their way.
    PacketsDropped(network::PacketsDropped) = "packets_dropped",
    /// One second of a node's TCP as a whole.
    TcpStats(network::TcpStats) = "tcp_stats",
    /// A lookup of a name went wrong.
    DnsFailed(dns::DnsFailed) = "dns_failed",
    /// One second of lookups at one name server.
    DnsStats(dns::DnsStats) = "dns_stats",
    /// An exchange ended with an error status.
    HttpError(status::HttpError) = "http_error",
    /// One second of HTTP on one edge.
    HttpStats(status::HttpStats) = "http_stats",
    /// Memory of a control group grows towards its limit.
    MemoryGrowth(memory::MemoryGrowth) = "memory_growth",
    /// Tasks of a control group wait for memory.
    MemoryThrottled(memory::MemoryThrottled) = "memory_throttled",
    /// The service runs another executable than before.
    ExecutableChanged(process::ExecutableChanged) = "executable_changed",
    /// A process sent another a signal.
    SignalSent(process::SignalSent) = "signal_sent",
    /// A process ended.
    ProcessExited(process::ProcessExited) = "process_exited",
    /// The kernel killed a process for memory.
    OomKill(container::OomKill) = "oom_kill",
    /// A container's image was changed in its workload.
    ImageChanged(kubernetes::ImageChanged) = "image_changed",
    /// An object of the API was created, deleted, or changed in something else than images.
    SpecChanged(kubernetes::SpecChanged) = "spec_changed",
    /// An object of the API entered or left a state in which it does not work.
    ObjectState(kubernetes::ObjectState) = "object_state",
    /// Pressure and free memory of the node.
    NodePressure(node::NodePressure) = "node_pressure",
    /// Something was not seen or not delivered.
    Loss(node::Loss) = "loss",
    /// What an observer can and cannot see on this node.
    Capability(node::Capability) = "capability",
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_token_names_one_kind() {
        let tokens: BTreeSet<_> = Kind::ALL.iter().map(|kind| kind.token()).collect();
        assert_eq!(tokens.len(), Kind::ALL.len());
        assert!(
            Kind::ALL
                .iter()
                .all(|kind| Kind::parse(kind.token()) == Some(*kind))
        );
        assert_eq!(Kind::parse("of_a_later_version"), None);
    }
}
