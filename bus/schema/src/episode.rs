//! Episodes: events of one condition on one entity, folded over time. And what else the causal step needs to know:
//! edges of the entity graph, gauges that exclude a hypothesis, and where observers were blind.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::SCHEMA_VERSION;
use crate::entity::Entity;
use crate::event::node::{Capability, Loss};
use crate::id::EventId;
use crate::severity::Severity;
use crate::trace_context::TraceContext;

/// A condition that held on one entity (or one edge) from `start_ns` to `last_ns`; a change is a point.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Episode {
    /// Same for every revision: condition, subject, object and start.
    pub id: EventId,
    /// Counts up with every publication.
    pub revision: u32,
    /// What held: a token of the correlator's conditions, such as `oom_kill`.
    pub condition: String,
    /// How bad it is on its own.
    pub severity: Severity,
    /// On whom.
    pub subject: Entity,
    /// Towards whom, for a condition of an edge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<Entity>,
    /// Names of the pods on which it was seen; the first few dozen.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pods: Vec<String>,
    /// Names of the nodes on which it was seen; the first few dozen.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<String>,
    /// First event, UNIX ns.
    pub start_ns: u64,
    /// Last event so far, UNIX ns.
    pub last_ns: u64,
    /// Whether it has ended: by a quiet gap, a healthy window or the end of a state.
    pub closed: bool,
    /// From then on it is known to hold no more, UNIX ns: a healthy window was seen, the process is up again. What begins
    /// later has another cause.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub over_ns: Option<u64>,
    /// Occurrences.
    pub count: u64,
    /// Largest intensity, in the condition's own unit (a rate, a ratio, bytes per second).
    pub peak: f64,
    /// Intensity before it began, in the same unit.
    pub baseline: f64,
    /// How improbable it is under the baseline, in bits.
    pub surprise: f64,
    /// What its sentence needs: pid, limit, images.
    pub facts: BTreeMap<String, Fact>,
    /// The first events, as proof.
    pub evidence: Vec<EventId>,
    /// Traces of its users' own in which it can be seen; the first few.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exemplars: Vec<TraceContext>,
}

/// A value in an episode's facts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Fact {
    /// A count, ratio, or quantity whose unit is in its name.
    Number(f64),
    /// A name.
    Text(String),
}

/// An edge of the entity graph, seen in traffic, named by a change or told by the API server.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Edge {
    /// `calls`, `affects`, or a token of [`crate::topology::RELATIONS`].
    pub relation: String,
    /// Who calls, runs, is part, selects, mounts, owns.
    pub from: Entity,
    /// Whom, where, of what.
    pub to: Entity,
    /// First seen, UNIX ns.
    pub first_ns: u64,
    /// Last seen, UNIX ns.
    pub last_ns: u64,
    /// When it ended, UNIX ns; `None` while it holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until_ns: Option<u64>,
}

/// A measurement that may exclude a hypothesis.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Gauge {
    /// Of whom.
    pub subject: Entity,
    /// Name with unit: `psi_memory_some_avg10_percent`, `tcp_retransmits_per_second`.
    pub name: String,
    /// When it was taken, UNIX ns.
    pub time_ns: u64,
    /// Value.
    pub value: f64,
}

/// A loss or capability report, with the node it speaks of.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Blindness {
    /// Node.
    pub node: String,
    /// When, UNIX ns.
    pub time_ns: u64,
    /// What was lost, how many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss: Option<(Loss, u64)>,
    /// What can or cannot be seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capability: Option<Capability>,
}

/// One message on `tapio.episodes.<cell>.<theme>`. New sorts of records are new fields.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// [`SCHEMA_VERSION`] of the writer.
    pub schema: u16,
    /// Cluster.
    pub cluster: String,
    /// Enriched partition it was derived from.
    pub partition: u16,
    /// Stream sequence of the enriched message it was derived from.
    pub sequence: u64,
    /// Every event of this partition up to this time has been folded.
    pub watermark_ns: u64,
    /// When the bus received the raw batch that it follows from, UNIX ns.
    pub received_ns: u64,
    /// Episodes that began, changed or ended.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub episodes: Vec<Episode>,
    /// Edges seen for the first time, or again after a minute.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub edges: Vec<Edge>,
    /// Measurements.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gauges: Vec<Gauge>,
    /// Losses and capabilities.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub blindness: Vec<Blindness>,
}

/// Why a message is no report of this version.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Its schema is newer than this reader.
    #[error("episode report has schema {found}, this version reads up to {SCHEMA_VERSION}")]
    NewerSchema {
        /// The writer's schema.
        found: u16,
    },
    /// It is damaged or something else.
    #[error("episode report is not readable")]
    Malformed(#[source] rmp_serde::decode::Error),
}

impl Report {
    /// Message id by which JetStream drops a repeated publish: the same input gives the same report.
    pub fn message_id(&self) -> String {
        format!("{}/{}", self.partition, self.sequence)
    }

    /// Whether it carries nothing but time.
    pub fn is_heartbeat(&self) -> bool {
        self.episodes.is_empty()
            && self.edges.is_empty()
            && self.gauges.is_empty()
            && self.blindness.is_empty()
    }

    /// As named MessagePack.
    pub fn encode(&self) -> Result<Vec<u8>, rmp_serde::encode::Error> {
        rmp_serde::to_vec_named(self)
    }

    /// Reads a report.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let report: Self = rmp_serde::from_slice(bytes).map_err(DecodeError::Malformed)?;
        if report.schema > SCHEMA_VERSION {
            return Err(DecodeError::NewerSchema { found: report.schema });
        }
        Ok(report)
    }
}
