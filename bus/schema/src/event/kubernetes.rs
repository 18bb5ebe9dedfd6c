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
