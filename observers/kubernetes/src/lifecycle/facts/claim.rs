//! What is kept of a claim.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;

use super::Meta;
use crate::lifecycle::key::Kind;

/// A claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::lifecycle) struct Claim {
    pub(in crate::lifecycle) meta: Meta,
    /// Whether it has a volume.
    pub(in crate::lifecycle) is_bound: bool,
    /// Whether it had one that is gone.
    pub(in crate::lifecycle) is_lost: bool,
    /// Its storage class; empty for none.
    pub(in crate::lifecycle) class: String,
}

impl Claim {
    pub(in crate::lifecycle) fn of(claim: &PersistentVolumeClaim) -> Self {
        let phase = claim.status.as_ref().and_then(|status| status.phase.as_deref());
        let class = claim
            .spec
            .as_ref()
            .and_then(|spec| spec.storage_class_name.clone());
        Self {
            meta: Meta::of(Kind::Claim, &claim.metadata),
            is_bound: phase == Some("Bound"),
            is_lost: phase == Some("Lost"),
            class: class.unwrap_or_default(),
        }
    }
}
