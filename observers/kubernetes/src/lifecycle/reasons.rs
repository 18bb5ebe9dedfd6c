//! What Kubernetes says in words, as reasons. The texts in the tests are of Kubernetes 1.34 and containerd.

mod creation;
mod eviction;
mod exit;
mod image;
mod scheduling;
mod start;
mod volume;
mod words;

pub(super) use creation::not_created;
pub(super) use eviction::evicted;
pub(super) use exit::{ended, is_ended_from_outside};
pub(super) use image::not_pulled;
pub(super) use scheduling::unschedulable;
pub(super) use start::{is_bad_command, not_configured, not_run};
pub(super) use volume::{no_volume, not_mounted};
