//! The kinds that are watched, one row each: where they are served, what is said of one, and whom it concerns.
//!
//! A further kind is one row here and one function in a file below.

mod autoscaler;
mod bounds;
mod claim;
mod data;
mod ingress;
mod policy;
mod service;
mod template;
mod workloads;

use std::collections::BTreeMap;

use super::entries::Entries;
use super::index::{AUTOSCALER, Reach};
use super::object::Object;

/// Objects of one page of a list.
const PAGE: u32 = 500;
/// The same for those of up to one MB each.
const PAGE_OF_LARGE: u32 = 50;
/// Secrets that are no configuration of a workload, and many: releases of helm, tokens that Kubernetes itself makes.
const SECRETS: &str =
    "type!=helm.sh/release.v1,type!=kubernetes.io/service-account-token,type!=bootstrap.kubernetes.io/token";
/// `ConfigMaps` that controllers write into namespaces, or again and again.
const CONFIG_MAPS: [&str; 4] = [
    "kube-root-ca.crt",
    "openshift-service-ca.crt",
    "istio-ca-root-cert",
    "cluster-autoscaler-status",
];

/// One kind.
#[derive(Debug)]
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) group: &'static str,
    pub(super) version: &'static str,
    pub(super) plural: &'static str,
    /// Which of its objects are watched; all of them without a selector.
    pub(super) field_selector: Option<&'static str>,
    /// Names of objects that are not told.
    pub(super) ignored: &'static [&'static str],
    /// How many objects are listed at once.
    pub(super) page: u32,
    /// Where its controller keeps former templates.
    pub(super) revisions: Option<Revisions>,
    /// What is said of an object.
    pub(super) read: fn(&Object) -> Content,
}

/// The objects in which a controller keeps former templates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Revisions {
    ReplicaSets,
    ControllerRevisions,
}

/// What is known of an object.
#[derive(Debug, Clone, Default)]
pub(super) struct Content {
    pub(super) entries: Entries,
    /// Image of each container, by its name.
    pub(super) images: BTreeMap<Box<str>, Box<str>>,
    /// Hash of the pod template.
    pub(super) template: Option<u64>,
    /// Whether its controller replaces pods when the template changes.
    pub(super) rolls: bool,
    /// Whom it concerns.
    pub(super) reach: Reach,
}

const fn kind(
    name: &'static str,
    group: &'static str,
    version: &'static str,
    plural: &'static str,
    read: fn(&Object) -> Content,
) -> Kind {
    Kind {
        name,
        group,
        version,
        plural,
        field_selector: None,
        ignored: &[],
        page: PAGE,
        revisions: None,
        read,
    }
}

impl Kind {
    const fn with_revisions(self, revisions: Revisions) -> Self {
        Self {
            revisions: Some(revisions),
            ..self
        }
    }

    const fn large(self) -> Self {
        Self {
            page: PAGE_OF_LARGE,
            ..self
        }
    }

    const fn only(self, field_selector: &'static str) -> Self {
        Self {
            field_selector: Some(field_selector),
            ..self
        }
    }

    const fn without(self, ignored: &'static [&'static str]) -> Self {
        Self { ignored, ..self }
    }
}

/// All of them.
pub(super) static KINDS: [Kind; 15] = [
    kind("Deployment", "apps", "v1", "deployments", workloads::deployment)
        .with_revisions(Revisions::ReplicaSets),
    kind(
        "StatefulSet",
        "apps",
        "v1",
        "statefulsets",
        workloads::stateful_set,
    )
    .with_revisions(Revisions::ControllerRevisions),
    kind("DaemonSet", "apps", "v1", "daemonsets", workloads::daemon_set)
        .with_revisions(Revisions::ControllerRevisions),
    kind("Job", "batch", "v1", "jobs", workloads::job),
    kind("CronJob", "batch", "v1", "cronjobs", workloads::cron_job),
    kind("ConfigMap", "", "v1", "configmaps", data::read)
        .large()
        .without(&CONFIG_MAPS),
    kind("Secret", "", "v1", "secrets", data::read)
        .large()
        .only(SECRETS),
    kind("Service", "", "v1", "services", service::read),
    kind("Ingress", "networking.k8s.io", "v1", "ingresses", ingress::read),
    kind(
        AUTOSCALER,
        "autoscaling",
        "v2",
        "horizontalpodautoscalers",
        autoscaler::read,
    ),
    kind(
        "NetworkPolicy",
        "networking.k8s.io",
        "v1",
        "networkpolicies",
        policy::read,
    ),
    kind("ResourceQuota", "", "v1", "resourcequotas", bounds::quota),
    kind("LimitRange", "", "v1", "limitranges", bounds::limit_range),
    kind(
        "PodDisruptionBudget",
        "policy",
        "v1",
        "poddisruptionbudgets",
        bounds::disruption_budget,
    ),
    kind(
        "PersistentVolumeClaim",
        "",
        "v1",
        "persistentvolumeclaims",
        claim::read,
    ),
];

#[cfg(test)]
mod tests {
    use super::super::entries::tests::lines;
    use super::*;

    /// The row of that name.
    pub(super) fn row(name: &str) -> &'static Kind {
        KINDS.iter().find(|kind| kind.name == name).unwrap()
    }

    /// What an object of that kind says.
    pub(super) fn content(kind: &str, json: &str) -> Content {
        (row(kind).read)(&serde_json::from_str::<Object>(json).unwrap())
    }

    /// What differs between two objects of that kind with these specs, each difference on one line.
    pub(super) fn differences(kind: &str, old: &str, new: &str) -> Vec<String> {
        let entries = |spec: &str| content(kind, &format!(r#"{{"spec": {spec}}}"#)).entries;
        lines(&entries(old), &entries(new))
    }

    #[test]
    fn an_object_that_says_nothing_is_read_by_every_kind() {
        for kind in &KINDS {
            let content = (kind.read)(&Object::default());
            assert_eq!(content.images.len(), 0, "{}", kind.name);
        }
    }
}
