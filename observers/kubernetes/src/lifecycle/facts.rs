//! What is kept of each object: what its states follow from, and nothing else.

mod claim;
mod condition;
mod hint;
mod node;
mod pod;
mod service;
mod workload;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

pub(super) use claim::Claim;
pub(super) use condition::{Condition, Truth};
pub(super) use hint::{ByUid, Hint, Hints, Topic};
pub(super) use node::{Node, Taint};
pub(super) use pod::{Container, End, Now, Phase, Pod, Role, Toleration};
pub(super) use service::{Service, Slice};
pub(super) use workload::{Job, Owner, ReplicaSet, Workload};

use super::key::{Key, Kind};

/// Something of the API, as last seen.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "it is boxed where it waits")]
pub(super) enum Fact {
    Pod(Pod),
    Workload(Workload),
    ReplicaSet(ReplicaSet),
    Job(Job),
    Node(Node),
    Service(Service),
    Slice(Slice),
    Claim(Claim),
    Hint(Hint),
}

/// What every object has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Meta {
    pub(super) key: Key,
    pub(super) uid: String,
    /// UNIX ns.
    pub(super) created_ns: u64,
}

impl Meta {
    pub(super) fn of(kind: Kind, meta: &ObjectMeta) -> Self {
        Self {
            key: Key::new(
                kind,
                meta.namespace.as_deref().unwrap_or_default(),
                meta.name.as_deref().unwrap_or_default(),
            ),
            uid: meta.uid.clone().unwrap_or_default(),
            created_ns: nanoseconds(meta.creation_timestamp.as_ref()),
        }
    }
}

/// UNIX ns; 0 for none.
fn nanoseconds(time: Option<&Time>) -> u64 {
    time.map_or(0, |time| u64::try_from(time.0.as_nanosecond()).unwrap_or(0))
}

/// The controller among the owners.
fn controller(meta: &ObjectMeta) -> Option<Owner> {
    let owners = meta.owner_references.iter().flatten();
    owners
        .into_iter()
        .find(|owner| owner.controller == Some(true))
        .map(|owner| Owner {
            kind: owner.kind.clone(),
            name: owner.name.clone(),
        })
}
