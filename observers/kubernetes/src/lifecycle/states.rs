//! From what is known of an object to the states in which it is.

mod claim;
mod container;
mod node;
mod pod;
mod rollout;
mod service;

pub(super) use claim::of_claim;
pub(super) use container::Crashes;
pub(super) use node::of_node;
pub(super) use pod::{Around, of_pod};
pub(super) use rollout::{Progress, of_job, of_workload};
pub(super) use service::{Behind, Past, of_service};

/// One second.
pub(super) const SECOND_NS: u64 = 1_000_000_000;
