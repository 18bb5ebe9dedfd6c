//! Bodies of the memory observer.

use serde::{Deserialize, Serialize};

/// Memory of the subject's control group grows steadily.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct MemoryGrowth {
    /// Memory charged to the group now, without page cache and slabs that can be taken back.
    pub usage_bytes: u64,
    /// Where the growth began.
    pub start_bytes: u64,
    /// Slope of the robust line through the recent samples, bytes per second.
    pub rate_bytes_per_second: f64,
    /// Limit of the group or of its nearest limited ancestor; `None` when unlimited.
    pub limit_bytes: Option<u64>,
    /// Path of the group whose limit that is.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub limited_cgroup: String,
    /// Time until the limit at this rate, ns.
    pub time_to_limit_ns: Option<u64>,
    /// How well a line fits the samples, 0 to 1 (coefficient of determination).
    pub fit: f64,
}

/// The subject's control group is above `memory.high`, its own or an ancestor's: nobody is killed, but whoever asks for memory waits
/// until some is taken back.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct MemoryThrottled {
    /// What is allowed before tasks wait, bytes.
    pub high_bytes: u64,
    /// Path of the group that has it.
    pub throttled_cgroup: String,
    /// Share of the last second in which some task of the subject waited for memory, percent.
    pub stalled_percent: f64,
}
