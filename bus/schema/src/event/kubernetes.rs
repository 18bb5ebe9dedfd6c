//! Bodies of the Kubernetes observers.

mod state;

use serde::{Deserialize, Serialize};

pub use state::{ObjectState, Reason, State};

use crate::entity::Workload;

/// The image of one container of the subject's pod template was changed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageChanged {
    /// Name of the container.
    pub container: String,
    /// Image reference before.
    pub old_image: String,
    /// Image reference now.
    pub new_image: String,
    /// `metadata.generation` that carries the change.
    pub generation: i64,
    /// Field manager that wrote it, such as `kubectl-set`; empty when unknown.
    pub manager: String,
    /// Whether the template equals one that ran before.
    pub rollback: bool,
    /// Whether the rollout is held back: paused, left to people, or partitioned before the first pod. It is told again when it
    /// goes on.
    #[serde(skip_serializing_if = "is_false")]
    pub held: bool,
    /// Whether it was made while nobody watched, and is told later.
    #[serde(skip_serializing_if = "is_false")]
    pub late: bool,
}

/// The subject, an object of the API, was created, deleted or changed in something else than images, by one write. A change of
/// labels and annotations alone, or a restart of a rollout, has no differences; neither has a workload that is new or gone. Any
/// other object that is new or gone differs in all that it says from nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts, as they are on the wire"
)]
pub struct SpecChanged {
    /// What is different now, in the order of [`Aspect`].
    pub differences: Vec<Difference>,
    /// Differences that are not listed, for they are too many.
    pub omitted: u32,
    /// `metadata.generation` that carries the change.
    pub generation: i64,
    /// Field manager that wrote it, such as `kubectl-client-side-apply`; empty when unknown.
    pub manager: String,
    /// Whether the template equals one that ran before.
    pub rollback: bool,
    /// What was done to it.
    #[serde(skip_serializing_if = "Action::is_change")]
    pub action: Action,
    /// Whether the pods of the subject are replaced by others because of it.
    #[serde(skip_serializing_if = "is_false")]
    pub replaces_pods: bool,
    /// Whether its pods stay as they are although their template differs, for the rollout is held back; it is told again when it
    /// goes on.
    #[serde(skip_serializing_if = "is_false")]
    pub held: bool,
    /// Whether it was made while nobody watched, and is told later.
    #[serde(skip_serializing_if = "is_false")]
    pub late: bool,
    /// Workloads that read the subject, are selected, bounded or scaled by it; at most [`MOST_AFFECTED`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub affected: Vec<Workload>,
}

/// Most workloads that a change names as affected.
pub const MOST_AFFECTED: usize = 32;

/// What was done to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It is new.
    Created,
    /// It is gone.
    Deleted,
    /// It was there before.
    #[default]
    #[serde(other)]
    Changed,
}

impl Action {
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde hands references to skip_serializing_if"
    )]
    fn is_change(&self) -> bool {
        *self == Self::Changed
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands references to skip_serializing_if"
)]
fn is_false(value: &bool) -> bool {
    !*value
}

/// One entry of an object that is different. Values that may be secret (of variables, arguments, commands, `ConfigMaps` and
/// Secrets) are never told.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Difference {
    /// What it belongs to.
    pub aspect: Aspect,
    /// Name of the container; empty for what is the pod's or the workload's.
    pub container: String,
    /// Name of the entry within the aspect, such as `limits.memory` or a variable's name; empty where there is one alone.
    pub name: String,
    /// Value before; `None` when it was not there, empty when it is not told.
    pub old: Option<String>,
    /// Value now; `None` when it is not there any more, empty when it is not told.
    pub new: Option<String>,
}

/// A part of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aspect {
    /// How many pods there are to be.
    Replicas,
    /// Limits and requests.
    Resources,
    /// Environment variables.
    Environment,
    /// Command and arguments.
    Command,
    /// Ports that containers name.
    Ports,
    /// Liveness, readiness and startup probes.
    Probes,
    /// Volumes and where they are mounted.
    Volumes,
    /// Which nodes the pods may run on.
    Scheduling,
    /// How pods are replaced and kept account of: no pod is another one by it.
    Rollout,
    /// Entries of a `ConfigMap` or Secret, by key.
    Data,
    /// Which pods belong to a Service, a policy or a budget.
    Selector,
    /// Ports of a Service and where they lead.
    ServicePorts,
    /// Hosts, paths and Services of an Ingress.
    Routes,
    /// What a `NetworkPolicy` lets through.
    Traffic,
    /// Bounds of a quota, a limit range, a disruption budget or an autoscaler.
    Bounds,
    /// Size, class and volume of a claim.
    Storage,
    /// When and how often jobs run.
    Schedule,
    /// Any other part of it.
    #[default]
    #[serde(other)]
    Other,
}
