//! Bodies of the process-signals observer.

use serde::{Deserialize, Serialize};

/// A program file, told from another by build id where it has one, else by path and content hash.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Executable {
    /// Path as the process sees it.
    pub path: String,
    /// GNU build id in hexadecimal; empty when the file has none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub build_id: String,
    /// Hash of the content in hexadecimal; empty when it could not be read.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub content_hash: String,
    /// What tells it from the other one in a sentence: `v7.0`, else the file's name or the start of its build id.
    pub label: String,
}

/// The subject's service runs `new` where it ran `old`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ExecutableChanged {
    /// What ran before.
    pub old: Executable,
    /// What runs now.
    pub new: Executable,
}

/// The subject sent the object a signal.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SignalSent {
    /// Number of the signal.
    pub signal: i32,
    /// Whether the kernel raised it and the subject is only the process in whose context that happened.
    pub by_kernel: bool,
}

/// The subject ended.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts, as they are on the wire"
)]
pub struct ProcessExited {
    /// Exit status, when it ended by itself.
    pub code: i32,
    /// Signal that ended it; 0 when it ended by itself.
    pub signal: i32,
    /// Whether a core was dumped.
    pub core_dumped: bool,
    /// Whether it was the process that the service's supervisor started, or served by itself; else it was a worker of one.
    pub main: bool,
    /// Whether another process had asked it to stop (SIGTERM, SIGINT), however it ended then; or it passes on how its child in another
    /// control group ended, as the monitor of a container does.
    pub asked: bool,
    /// Whether nothing of its name has listened in its service or gone on for half a minute: a job, or what fails at its start.
    pub never_served: bool,
}
