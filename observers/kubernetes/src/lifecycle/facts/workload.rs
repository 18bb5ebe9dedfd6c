//! What is kept of the owners of pods.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::batch::v1 as batch;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::condition::condition;
use super::{Condition, Meta, controller};
use crate::lifecycle::key::Kind;

/// Whose an object is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::lifecycle) struct Owner {
    pub(in crate::lifecycle) kind: String,
    pub(in crate::lifecycle) name: String,
}

/// A Deployment, `StatefulSet` or `DaemonSet`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::lifecycle) struct Workload {
    pub(in crate::lifecycle) meta: Meta,
    /// Labels of its pods.
    pub(in crate::lifecycle) labels: BTreeMap<String, String>,
    /// How many pods there are to be, are there, are of the newest template, and are ready.
    pub(in crate::lifecycle) wanted: i32,
    pub(in crate::lifecycle) created: i32,
    pub(in crate::lifecycle) updated: i32,
    pub(in crate::lifecycle) ready: i32,
    pub(in crate::lifecycle) generation: i64,
    /// Whether the counts are of this generation.
    pub(in crate::lifecycle) is_observed: bool,
    /// Conditions `Progressing` and `ReplicaFailure` of a Deployment.
    pub(in crate::lifecycle) progressing: Option<Condition>,
    pub(in crate::lifecycle) failure: Option<Condition>,
    /// Whether pods are replaced only as somebody deletes them.
    pub(in crate::lifecycle) is_manual: bool,
}

impl Workload {
    pub(in crate::lifecycle) fn of_deployment(object: &Deployment) -> Self {
        let (spec, status) = (object.spec.as_ref(), object.status.as_ref());
        let conditions = status.and_then(|status| status.conditions.as_ref());
        let condition = |kind: &str| condition!(conditions, kind);
        let count = |of: fn(&k8s_openapi::api::apps::v1::DeploymentStatus) -> Option<i32>| {
            status.and_then(of).unwrap_or(0)
        };
        let observed = status.and_then(|status| status.observed_generation);
        Self {
            meta: Meta::of(Kind::Deployment, &object.metadata),
            labels: labels(spec.and_then(|spec| spec.template.metadata.as_ref())),
            wanted: spec.and_then(|spec| spec.replicas).unwrap_or(1),
            created: count(|status| status.replicas),
            updated: count(|status| status.updated_replicas),
            ready: count(|status| status.ready_replicas),
            generation: object.metadata.generation.unwrap_or(0),
            is_observed: observed == object.metadata.generation,
            progressing: condition("Progressing"),
            failure: condition("ReplicaFailure"),
            is_manual: false,
        }
    }

    pub(in crate::lifecycle) fn of_stateful_set(object: &StatefulSet) -> Self {
        let (spec, status) = (object.spec.as_ref(), object.status.as_ref());
        let wanted = spec.and_then(|spec| spec.replicas).unwrap_or(1);
        let strategy = spec.and_then(|spec| spec.update_strategy.as_ref());
        let partition = strategy.and_then(|strategy| strategy.rolling_update.as_ref()?.partition);
        // Pods below the partition are to stay as they are.
        let old = partition.unwrap_or(0).clamp(0, wanted);
        let is_of_one = status.is_some_and(|status| status.current_revision == status.update_revision);
        let updated = status.and_then(|status| status.updated_replicas).unwrap_or(0);
        let created = status.map_or(0, |status| status.replicas);
        Self {
            meta: Meta::of(Kind::StatefulSet, &object.metadata),
            labels: labels(spec.and_then(|spec| spec.template.metadata.as_ref())),
            wanted,
            created,
            updated: if is_of_one {
                created
            } else {
                (updated + old).min(created)
            },
            ready: status.and_then(|status| status.ready_replicas).unwrap_or(0),
            generation: object.metadata.generation.unwrap_or(0),
            is_observed: status.and_then(|status| status.observed_generation) == object.metadata.generation,
            progressing: None,
            failure: None,
            is_manual: strategy.and_then(|strategy| strategy.type_.as_deref()) == Some("OnDelete"),
        }
    }

    pub(in crate::lifecycle) fn of_daemon_set(object: &DaemonSet) -> Self {
        let (spec, status) = (object.spec.as_ref(), object.status.as_ref());
        let strategy = spec.and_then(|spec| spec.update_strategy.as_ref());
        Self {
            meta: Meta::of(Kind::DaemonSet, &object.metadata),
            labels: labels(spec.and_then(|spec| spec.template.metadata.as_ref())),
            wanted: status.map_or(0, |status| status.desired_number_scheduled),
            created: status.map_or(0, |status| status.current_number_scheduled),
            updated: status
                .and_then(|status| status.updated_number_scheduled)
                .unwrap_or(0),
            ready: status.map_or(0, |status| status.number_ready),
            generation: object.metadata.generation.unwrap_or(0),
            is_observed: status.and_then(|status| status.observed_generation) == object.metadata.generation,
            progressing: None,
            failure: None,
            is_manual: strategy.and_then(|strategy| strategy.type_.as_deref()) == Some("OnDelete"),
        }
    }

    /// Whether all pods are there, new and ready.
    pub(in crate::lifecycle) fn is_complete(&self) -> bool {
        self.is_observed
            && self.created >= self.wanted
            && self.updated >= self.wanted
            && self.ready >= self.wanted
    }
}

fn labels(template: Option<&ObjectMeta>) -> BTreeMap<String, String> {
    template.and_then(|meta| meta.labels.clone()).unwrap_or_default()
}

/// A `ReplicaSet`, of which only the metadata is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::lifecycle) struct ReplicaSet {
    pub(in crate::lifecycle) meta: Meta,
    pub(in crate::lifecycle) owner: Option<Owner>,
}

impl ReplicaSet {
    pub(in crate::lifecycle) fn of(meta: &ObjectMeta) -> Self {
        Self {
            meta: Meta::of(Kind::ReplicaSet, meta),
            owner: controller(meta),
        }
    }
}

/// A job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::lifecycle) struct Job {
    pub(in crate::lifecycle) meta: Meta,
    pub(in crate::lifecycle) owner: Option<Owner>,
    pub(in crate::lifecycle) failed: Option<Condition>,
    /// Whether any pod of it was ever there.
    pub(in crate::lifecycle) has_pods: bool,
}

impl Job {
    pub(in crate::lifecycle) fn of(job: &batch::Job) -> Self {
        let status = job.status.as_ref();
        let conditions = status.and_then(|status| status.conditions.as_ref());
        let pods = status.map_or(0, |status| {
            status.active.unwrap_or(0) + status.succeeded.unwrap_or(0) + status.failed.unwrap_or(0)
        });
        Self {
            meta: Meta::of(Kind::Job, &job.metadata),
            owner: controller(&job.metadata),
            failed: condition!(conditions, "Failed"),
            has_pods: pods > 0,
        }
    }
}
