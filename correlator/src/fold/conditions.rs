//! How long each condition may be quiet before its episode ends.

use crate::condition::Condition;

const SECOND_NS: u64 = 1_000_000_000;

/// A quiet gap of this length ends an episode; a point ends at once.
pub(super) fn quiet_gap_ns(condition: Condition) -> u64 {
    match condition {
        Condition::ExecutableChanged
        | Condition::ImageChanged
        | Condition::ReplicasChanged
        | Condition::ResourcesChanged
        | Condition::EnvironmentChanged
        | Condition::CommandChanged
        | Condition::SpecChanged
        | Condition::SignalSent
        | Condition::ContainerStopped => 0,
        // A supervisor that waits between restarts (10 s, 20 s, 40 s) still tells one story.
        Condition::OomKill | Condition::ProcessCrashed | Condition::ProcessStopped => 60 * SECOND_NS,
        // Growth and pressure are reported about once a second while they last. Failures are ended earlier by a healthy
        // window; for them the gap is for edges on which all traffic stops.
        Condition::MemoryGrowth
        | Condition::NodeMemoryPressure
        | Condition::NetworkLoss
        | Condition::ConnectRefused
        | Condition::ConnectTimedOut
        | Condition::ConnectUnreachable
        | Condition::ConnectFailed
        | Condition::Http5xx
        | Condition::Http5xxReceived
        | Condition::HttpUnanswered => 10 * SECOND_NS,
        Condition::RetryStorm => 5 * SECOND_NS,
    }
}

/// Whether the condition hurts users only when it lasts: a restart refuses connections for a moment and is no incident.
pub(super) fn must_last(condition: Condition) -> bool {
    match condition {
        Condition::ConnectRefused
        | Condition::ConnectTimedOut
        | Condition::ConnectUnreachable
        | Condition::ConnectFailed
        | Condition::Http5xx
        | Condition::Http5xxReceived
        | Condition::HttpUnanswered => true,
        Condition::ExecutableChanged
        | Condition::ImageChanged
        | Condition::ReplicasChanged
        | Condition::ResourcesChanged
        | Condition::EnvironmentChanged
        | Condition::CommandChanged
        | Condition::SpecChanged
        | Condition::SignalSent
        | Condition::ContainerStopped
        | Condition::MemoryGrowth
        | Condition::OomKill
        | Condition::ProcessCrashed
        | Condition::ProcessStopped
        | Condition::RetryStorm
        | Condition::NodeMemoryPressure
        | Condition::NetworkLoss => false,
    }
}
