//! Bodies that every observer may publish: pressure of the node, loss, capabilities.

use serde::{Deserialize, Serialize};

/// Pressure stall information and free memory of the subject node.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct NodePressure {
    /// Share of the last 10 s in which some task waited for memory, percent; `None` where PSI is off.
    pub memory_some_avg10: Option<f64>,
    /// The same for CPU.
    pub cpu_some_avg10: Option<f64>,
    /// The same for I/O.
    pub io_some_avg10: Option<f64>,
    /// `MemAvailable`.
    pub memory_available_bytes: u64,
    /// `MemTotal`.
    pub memory_total_bytes: u64,
}

/// `count` things of the observer were lost in the window.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Loss {
    /// The observer or stage that lost them.
    pub observer: String,
    /// Why: `ring_buffer`, `rate_limit`, `ram_ring`, `spool_full`, `disk_error`, `undecodable`, `retention`, `map_full`.
    pub reason: String,
    /// Events that the observer sent in the minute before, so that it is known how large a part was lost; `None` where nobody
    /// counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent: Option<u64>,
}

/// How well a hook of an observer works here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Coverage {
    /// Works on its first choice.
    Full,
    /// Works on a lower rung.
    Degraded,
    /// Does not work; the reason says why.
    #[default]
    Missing,
    /// A state of a later version.
    #[serde(other)]
    Unknown,
}

/// One hook of one observer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Capability {
    /// The observer.
    pub observer: String,
    /// What it needs: `connect_outcome`, `oom_kill`.
    pub hook: String,
    /// What it uses for it: `tp_btf`, `raw_tp`, `tracepoint`, `procfs`; empty when missing.
    pub rung: String,
    /// How well.
    pub coverage: Coverage,
    /// Why it is not full.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
}
