//! Bodies of the container-runtime observer.

use serde::{Deserialize, Serialize};

use crate::entity::Process;

/// The kernel killed the subject for memory.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct OomKill {
    /// The process whose allocation hit the limit; it need not be the victim.
    pub trigger: Process,
    /// Limit of the control group that ran full; `None` when the whole node did.
    pub limit_bytes: Option<u64>,
    /// What that group used.
    pub usage_bytes: u64,
    /// Resident memory of the victim, anonymous and shared.
    pub rss_bytes: u64,
    /// Path of the group whose limit was hit; the victim's own or an ancestor's.
    pub limited_cgroup: String,
    /// This kernel lets nobody read memory and limits: the absence of a limit says nothing, the numbers are 0.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub limit_unknown: bool,
}
