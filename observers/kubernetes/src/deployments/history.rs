//! Whether a template ran before: a rollback is known by what rolls out, not by who says so.

use std::fmt::Debug;
use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{ControllerRevision, ReplicaSet};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::api::{ListParams, ObjectMeta};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::kinds::Revisions;
use super::object::Object;
use super::writer::nanoseconds;

/// A change is told later by as much as this takes.
const PATIENCE: Duration = Duration::from_secs(3);
/// Label that a Deployment adds to the templates of its `ReplicaSets`.
const TEMPLATE_HASH: &str = "pod-template-hash";

/// Why it is not known.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// The API server refused.
    #[error("former templates cannot be listed")]
    Refused(#[source] kube::Error),
    /// It did not answer.
    #[error("the API server did not answer within {} s", PATIENCE.as_secs())]
    TimedOut,
}

/// A kind that keeps a former template.
trait Revision:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned + Send
{
    /// The template as JSON, without what the controller added.
    fn template(&self) -> Option<Value>;
}

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
        through_the_type(template)
    }
}

/// Two sides that went through the type leave out the same defaults.
fn through_the_type(template: Value) -> Option<Value> {
    let template: PodTemplateSpec = serde_json::from_value(template).ok()?;
    serde_json::to_value(template).ok()
}

/// Whether `object`'s template stands in a revision older than the change. The controller may already have made one for
/// the change itself, hence `before_ns`.
pub(super) async fn ran_before(
    client: &Client,
    revisions: Revisions,
    object: &Object,
    before_ns: u64,
) -> Result<bool, Error> {
    match revisions {
        Revisions::ReplicaSets => is_among::<ReplicaSet>(client, object, before_ns).await,
        Revisions::ControllerRevisions => is_among::<ControllerRevision>(client, object, before_ns).await,
    }
}

async fn is_among<R: Revision>(client: &Client, object: &Object, before_ns: u64) -> Result<bool, Error> {
    let part = |field: &str| object.spec.get(field).cloned();
    let Some(template) = part("template").and_then(through_the_type) else {
        return Ok(false);
    };
    let selector =
        part("selector").and_then(|selector| serde_json::from_value::<LabelSelector>(selector).ok());
    let selector = selector.and_then(|selector| selector.try_into().ok());
    let parameters = selector.map_or_else(ListParams::default, |selector| {
        ListParams::default().labels_from(&selector)
    });
    let api = Api::<R>::namespaced(client.clone(), object.namespace());
    let listing = tokio::time::timeout(PATIENCE, api.list(&parameters));
    let revisions = listing
        .await
        .map_err(|_| Error::TimedOut)?
        .map_err(Error::Refused)?;
    Ok(revisions.items.iter().any(|revision| {
        is_former(revision.meta(), &object.metadata, before_ns)
            && revision.template().as_ref() == Some(&template)
    }))
}

fn is_former(revision: &ObjectMeta, object: &ObjectMeta, before_ns: u64) -> bool {
    let mut owners = revision.owner_references.iter().flatten();
    let created_ns = revision.creation_timestamp.as_ref().map_or(u64::MAX, nanoseconds);
    created_ns < before_ns && owners.any(|owner| Some(&owner.uid) == object.uid.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(json: &str) -> ObjectMeta {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_former_revision_is_owned_and_older_than_the_change() {
        let object = meta(r#"{"uid": "u"}"#);
        let revision = |owner: &str| {
            meta(&format!(
                r#"{{"creationTimestamp": "1970-01-01T00:00:05Z",
                    "ownerReferences": [{{"apiVersion": "apps/v1", "kind": "Deployment", "name": "redis", "uid": "{owner}"}}]}}"#
            ))
        };
        assert!(is_former(&revision("u"), &object, 5_000_000_001));
        assert!(
            !is_former(&revision("u"), &object, 5_000_000_000),
            "made by the change"
        );
        assert!(
            !is_former(&revision("v"), &object, 9_000_000_000),
            "somebody else's"
        );
    }

    #[test]
    fn a_template_is_the_same_without_what_its_controller_added() {
        let set: ReplicaSet = serde_json::from_str(
            r#"{"metadata": {}, "spec": {"selector": {}, "template": {"metadata": {"labels": {"app": "redis", "pod-template-hash": "5f"}},
                "spec": {"containers": [{"name": "redis", "image": "redis:7"}]}}}}"#,
        )
        .unwrap();
        let now = serde_json::from_str(
            r#"{"metadata": {"labels": {"app": "redis"}}, "spec": {"containers": [{"name": "redis", "image": "redis:7"}]}}"#,
        );
        assert_eq!(set.template(), through_the_type(now.unwrap()));
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
