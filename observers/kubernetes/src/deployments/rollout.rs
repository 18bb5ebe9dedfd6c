//! The three kinds whose pod template rolls out, seen alike.

use std::fmt::Debug;

use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, Time};
use kube::Resource;
use kube::api::ObjectMeta;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Label that a Deployment adds to the templates of its `ReplicaSets`.
const TEMPLATE_HASH: &str = "pod-template-hash";

/// A kind with a pod template.
pub(super) trait Rollout:
    Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Serialize + Send + 'static
{
    /// The objects in which its controller keeps former templates.
    type Revision: Revision;

    /// Which pods, and thereby which revisions, may be its own, and what its pods are made of.
    fn parts(&self) -> Option<(&LabelSelector, &PodTemplateSpec)>;
}

/// A kind that keeps a former template.
pub(super) trait Revision:
    Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send
{
    /// The template as JSON, without what the controller added.
    fn template(&self) -> Option<Value>;
}

macro_rules! rollout {
    ($kind:ty, $revision:ty) => {
        impl Rollout for $kind {
            type Revision = $revision;

            fn parts(&self) -> Option<(&LabelSelector, &PodTemplateSpec)> {
                let spec = self.spec.as_ref()?;
                Some((&spec.selector, &spec.template))
            }
        }
    };
}

rollout!(Deployment, ReplicaSet);
rollout!(StatefulSet, ControllerRevision);
rollout!(DaemonSet, ControllerRevision);

impl Revision for ReplicaSet {
    fn template(&self) -> Option<Value> {
        let mut template = self.spec.as_ref()?.template.clone()?;
        if let Some(labels) = template.metadata.as_mut().and_then(|meta| meta.labels.as_mut()) {
            labels.remove(TEMPLATE_HASH);
        }
        serde_json::to_value(template).ok()
    }
}

/// It holds a strategic merge patch that replaces the template.
impl Revision for ControllerRevision {
    fn template(&self) -> Option<Value> {
        let mut template = self.data.as_ref()?.0.pointer("/spec/template")?.clone();
        template.as_object_mut()?.remove("$patch");
        // Through the type: the two sides then leave out the same defaults.
        let template: PodTemplateSpec = serde_json::from_value(template).ok()?;
        serde_json::to_value(template).ok()
    }
}

/// Who wrote a container's image, and when (whole seconds, UNIX ns), by the object's managed fields.
pub(super) fn writer(meta: &ObjectMeta, container: &str) -> Option<(String, u64)> {
    last_writer(meta, |fields| {
        ["f:containers", "f:initContainers"].iter().any(|list| {
            let item = fields
                .pointer("/f:spec/f:template/f:spec")
                .and_then(|spec| spec.get(list)?.get(format!("k:{{\"name\":\"{container}\"}}")));
            item.is_some_and(|item| item.get("f:image").is_some())
        })
    })
}

/// The same for whoever wrote anything of the spec.
pub(super) fn spec_writer(meta: &ObjectMeta) -> Option<(String, u64)> {
    last_writer(meta, |fields| fields.get("f:spec").is_some())
}

fn last_writer(meta: &ObjectMeta, owns: impl Fn(&Value) -> bool) -> Option<(String, u64)> {
    let entries = meta.managed_fields.iter().flatten();
    let owners = entries.filter(|entry| entry.fields_v1.as_ref().is_some_and(|fields| owns(&fields.0)));
    let timed = owners.filter_map(|entry| {
        Some((
            entry.manager.clone().unwrap_or_default(),
            nanoseconds(entry.time.as_ref()?),
        ))
    });
    timed.max_by_key(|(_, time_ns)| *time_ns)
}

/// A time of the API, UNIX ns.
pub(super) fn nanoseconds(time: &Time) -> u64 {
    u64::try_from(time.0.as_nanosecond()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn managed(json: &str) -> ObjectMeta {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn the_last_writer_of_the_image_is_found_among_others() {
        let meta = managed(
            r#"{"managedFields": [
                {"manager": "helm", "operation": "Apply", "time": "2026-01-01T10:00:00Z",
                 "fieldsV1": {"f:spec": {"f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"redis\"}": {"f:image": {}, "f:args": {}}}}}}}},
                {"manager": "kubectl-set", "operation": "Update", "time": "2026-01-01T11:00:00Z",
                 "fieldsV1": {"f:spec": {"f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"redis\"}": {"f:image": {}}}}}}}},
                {"manager": "kube-controller-manager", "operation": "Update", "time": "2026-01-01T12:00:00Z",
                 "fieldsV1": {"f:status": {}}}]}"#,
        );
        let (manager, time_ns) = writer(&meta, "redis").unwrap();
        assert_eq!(
            (manager.as_str(), time_ns / 1_000_000_000),
            ("kubectl-set", 1_767_265_200)
        );
        assert_eq!(writer(&meta, "sidecar"), None);
    }

    #[test]
    fn a_template_is_the_same_without_what_its_controller_added() {
        let set: ReplicaSet = serde_json::from_str(
            r#"{"metadata": {}, "spec": {"selector": {}, "template": {"metadata": {"labels": {"app": "redis", "pod-template-hash": "5f"}},
                "spec": {"containers": [{"name": "redis", "image": "redis:7"}]}}}}"#,
        )
        .unwrap();
        let deployment: Deployment = serde_json::from_str(
            r#"{"metadata": {}, "spec": {"selector": {}, "template": {"metadata": {"labels": {"app": "redis"}},
                "spec": {"containers": [{"name": "redis", "image": "redis:7"}]}}}}"#,
        )
        .unwrap();
        let now = serde_json::to_value(deployment.parts().unwrap().1).unwrap();
        assert_eq!(set.template(), Some(now));
        let revision: ControllerRevision = serde_json::from_str(
            r#"{"metadata": {}, "revision": 1, "data": {"spec": {"template": {"$patch": "replace", "metadata": {"labels": {"app": "redis"}},
                "spec": {"containers": [{"name": "redis", "image": "redis:6"}]}}}}}"#,
        )
        .unwrap();
        let before = revision.template().unwrap();
        assert_eq!(before.pointer("/spec/containers/0/image").unwrap(), "redis:6");
        assert!(before.get("$patch").is_none());
    }
}
