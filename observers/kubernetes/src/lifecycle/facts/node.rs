//! What is kept of a node.

use k8s_openapi::api::core::v1::Node as Object;

use super::condition::condition;
use super::{Condition, Meta};
use crate::lifecycle::key::Kind;

/// A node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::lifecycle) struct Node {
    pub(in crate::lifecycle) meta: Meta,
    pub(in crate::lifecycle) ready: Option<Condition>,
    pub(in crate::lifecycle) memory: Option<Condition>,
    pub(in crate::lifecycle) disk: Option<Condition>,
    pub(in crate::lifecycle) pids: Option<Condition>,
    pub(in crate::lifecycle) is_cordoned: bool,
    pub(in crate::lifecycle) taints: Vec<Taint>,
}

/// A taint that keeps pods away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::lifecycle) struct Taint {
    pub(in crate::lifecycle) key: String,
    pub(in crate::lifecycle) value: String,
    pub(in crate::lifecycle) effect: String,
    /// When it was added, UNIX ns; 0 when unknown.
    pub(in crate::lifecycle) since_ns: u64,
}

impl Taint {
    /// As kubectl writes it.
    pub(in crate::lifecycle) fn text(&self) -> String {
        let Self {
            key, value, effect, ..
        } = self;
        if value.is_empty() {
            format!("{key}:{effect}")
        } else {
            format!("{key}={value}:{effect}")
        }
    }
}

impl Node {
    pub(in crate::lifecycle) fn of(node: &Object) -> Self {
        let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
        let condition = |kind: &str| condition!(conditions, kind);
        let taints = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
        Self {
            meta: Meta::of(Kind::Node, &node.metadata),
            ready: condition("Ready"),
            memory: condition("MemoryPressure"),
            disk: condition("DiskPressure"),
            pids: condition("PIDPressure"),
            is_cordoned: node.spec.as_ref().and_then(|spec| spec.unschedulable) == Some(true),
            taints: taints
                .filter(|taint| taint.effect != "PreferNoSchedule")
                .map(|taint| Taint {
                    key: taint.key.clone(),
                    value: taint.value.clone().unwrap_or_default(),
                    effect: taint.effect.clone(),
                    since_ns: super::nanoseconds(taint.time_added.as_ref()),
                })
                .collect(),
        }
    }
}
