//! Bodies of the Kubernetes observers.

use serde::{Deserialize, Serialize};

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
}

/// Something else than images was changed in the spec of the subject, by one write. Labels and annotations alone are no change.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
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
}

/// One entry of a spec that is different. Values that may be secret (of variables, arguments and commands) are never told.
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

/// A part of a workload's spec.
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
    /// Any other part of the pod template.
    #[default]
    #[serde(other)]
    Other,
}
