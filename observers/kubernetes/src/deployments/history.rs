//! Whether a template ran before: a rollback is known by what rolls out, not by who says so.

use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use kube::api::{ListParams, ObjectMeta};
use kube::{Api, Client, Resource};

use super::rollout::{Revision, Rollout, nanoseconds};

/// A change is told later by as much as this takes.
const PATIENCE: Duration = Duration::from_secs(3);

/// Why it is not known.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// The API server refused.
    #[error(transparent)]
    Api(#[from] kube::Error),
    /// It did not answer.
    #[error("the API server did not answer within {} s", PATIENCE.as_secs())]
    TimedOut,
}

/// Whether `object`'s template stands in a revision older than the change. The controller may already have made one for
/// the change itself, hence `before_ns`.
pub(super) async fn ran_before<K>(client: &Client, object: &K, before_ns: u64) -> Result<bool, Error>
where
    K: Rollout,
    K::Revision: Resource<Scope = NamespaceResourceScope>,
{
    let meta = object.meta();
    let (Some(namespace), Some((selector, template))) = (&meta.namespace, object.parts()) else {
        return Ok(false);
    };
    let Ok(template) = serde_json::to_value(template) else {
        return Ok(false);
    };
    let api = Api::<K::Revision>::namespaced(client.clone(), namespace);
    let selector = selector.clone().try_into();
    let parameters = selector.map_or_else(
        |_| ListParams::default(),
        |selector| ListParams::default().labels_from(&selector),
    );
    let listing = tokio::time::timeout(PATIENCE, api.list(&parameters));
    let revisions = listing.await.map_err(|_| Error::TimedOut)??;
    Ok(revisions.items.iter().any(|revision| {
        is_former(revision.meta(), meta, before_ns) && revision.template().as_ref() == Some(&template)
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
}
