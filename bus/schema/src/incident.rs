//! An incident: what happened, as one causal chain, with what it rests on. Published as JSON; `incident.schema.json`
//! describes the same shape for other languages.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::entity::Entity;
use crate::episode::Fact;
use crate::id::EventId;
use crate::severity::Severity;
use crate::timestamp::Timestamp;
use crate::trace_context::TraceContext;

/// One revision of an incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// Same for every revision.
    pub id: EventId,
    /// Counts from 1.
    pub revision: u32,
    /// Where it stands in its life.
    pub state: State,
    /// Worst of what it tells, the parts of its steps included.
    pub severity: Severity,
    /// Cluster.
    pub cluster: String,
    /// Namespace of the root cause; `host` outside Kubernetes.
    pub namespace: String,
    /// Workload of the root cause.
    pub workload: String,
    /// When the first symptom happened.
    pub first_symptom_at: Timestamp,
    /// Event time at which the incident was opened.
    pub opened_at: Timestamp,
    /// Event time of this revision.
    pub updated_at: Timestamp,
    /// The chain, root cause first, in order of time. Empty `caused_by` marks a step that nothing explains.
    pub steps: Vec<Step>,
    /// Probability that the root cause is right, 0 to 1.
    pub confidence: f64,
    /// What may have started it, likeliest first: the root cause that is told, its rivals, and what nobody saw.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<Candidate>,
    /// What else could have been, and the observation that speaks against it.
    pub rejected: Vec<Rejected>,
    /// What it hurts.
    pub impact: Impact,
    /// Where Tapio was blind.
    pub completeness: Completeness,
    /// What to do.
    pub recommendation: Option<Recommendation>,
    /// The chain as one sentence.
    pub narrative: String,
    /// Incident that continues this one, when it was merged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merged_into: Option<EventId>,
    /// What happened besides the steps, where there is more than an incident holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub omitted: Option<Omitted>,
}

/// Life cycle: open → updated* → resolved, or merged into another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// First revision.
    Open,
    /// More evidence came in.
    Updated,
    /// It turned out to be part of another incident.
    Merged,
    /// Its symptoms are gone.
    Resolved,
}

impl State {
    /// Its name, as in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Updated => "updated",
            Self::Merged => "merged",
            Self::Resolved => "resolved",
        }
    }
}

/// Part that a step plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// What started it.
    RootCause,
    /// Caused by one step, cause of another.
    Intermediate,
    /// Where it ends.
    Symptom,
}

/// One episode as a step of the chain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Id of the episode.
    pub id: EventId,
    /// Condition: `oom_kill`.
    pub condition: String,
    /// Low-cardinality name: `Container.OOMKilled`.
    pub name: String,
    /// Its part.
    pub role: Role,
    /// Distance from the root cause, in steps.
    pub depth: u32,
    /// How bad it is on its own.
    pub severity: Severity,
    /// On whom.
    pub entity: Entity,
    /// Short name of that entity.
    pub label: String,
    /// Towards whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<Entity>,
    /// Names of the pods on which it was seen; the first few dozen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pods: Vec<String>,
    /// Names of the nodes on which it was seen; the first few dozen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<String>,
    /// First event.
    pub start: Timestamp,
    /// Last event so far.
    pub last: Timestamp,
    /// Occurrences.
    pub count: u64,
    /// What was seen, as a line for the terminal.
    pub text: String,
    /// Steps that caused it, strongest first.
    pub caused_by: Vec<CausedBy>,
    /// Facts of the episode.
    pub facts: BTreeMap<String, Fact>,
    /// Ids of the events it rests on.
    pub evidence: Vec<EventId>,
    /// Traces of its users' own in which it can be seen; the first few.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exemplars: Vec<TraceContext>,
}

/// Why one step is held to be the cause of another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CausedBy {
    /// The causing step.
    pub step: EventId,
    /// The rule that links them.
    pub rule: String,
    /// Its mechanism, in words.
    pub mechanism: String,
    /// Probability of the link on its own, 0 to 1.
    pub strength: f64,
}

/// Steps that are counted instead of told, because there are too many.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Omitted {
    /// How many steps.
    pub steps: u64,
    /// Occurrences in all of them.
    pub count: u64,
    /// On which workloads; the first few hundred.
    pub workloads: Vec<String>,
    /// The first event of each, as proof; the first few hundred.
    pub evidence: Vec<EventId>,
}

/// Something that may have started an incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// The episode; absent for what nobody saw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub episode: Option<EventId>,
    /// Its condition; [`NOT_OBSERVED`] for what nobody saw.
    pub condition: String,
    /// Key of where it happened: `Deployment/shop/redis`.
    pub entity: String,
    /// What it is: `stock rollout`.
    pub hypothesis: String,
    /// Probability that it is at fault before anything is known of its effects, 0 to 1; absent for what is suffered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prior: Option<f64>,
    /// Probability that it started what is told, 0 to 1.
    pub probability: f64,
    /// What it explains, most certain first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub explains: Vec<Explained>,
    /// What it would likely have brought about where it happened, and nobody saw who would have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
}

/// Condition of a candidate that nobody saw.
pub const NOT_OBSERVED: &str = "not_observed";

/// A step that a candidate may have started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explained {
    /// The step.
    pub step: EventId,
    /// Probability that the candidate is its root.
    pub probability: f64,
}

/// A hypothesis that was considered and dropped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rejected {
    /// What could have been: `node memory pressure`.
    pub hypothesis: String,
    /// The observation against it: `PSI memory 0.0`.
    pub because: String,
    /// Whether it is excluded, or only less likely.
    pub excluded: bool,
    /// Remaining probability, 0 to 1.
    pub probability: f64,
}

/// What it hurts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Impact {
    /// 0 (nobody notices) to 100.
    pub score: f64,
    /// Affected workloads, in order of first harm.
    pub workloads: Vec<String>,
    /// Longest chain from the root cause, in steps.
    pub depth: u32,
}

/// Where Tapio was blind while this happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Completeness {
    /// 1 when every observer that a rule of this incident asks for could see, less otherwise: of the step that was seen least, how
    /// much of what may have caused it would have been seen.
    pub score: f64,
    /// Events known to be lost in the window.
    pub lost_events: u64,
    /// What could not be seen, and why.
    pub blind: Vec<String>,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recommendation {
    /// In words: `Roll back redis to image v6.2`.
    pub action: String,
    /// Exact command; empty when there is none to copy.
    pub command: String,
    /// What to look at before.
    pub precheck: String,
    /// When it has worked.
    pub healed_when: String,
}

impl Incident {
    /// Message id by which JetStream drops a repeated publish.
    pub fn message_id(&self) -> String {
        format!("{}/{}", self.id, self.revision)
    }

    /// The step that started it.
    pub fn root_cause(&self) -> Option<&Step> {
        self.steps.iter().find(|step| step.role == Role::RootCause)
    }
}
