//! An object of the API as it is watched, whatever its kind: what a Secret, a `ConfigMap` or an annotation holds is replaced by a
//! hash while it is read, and its value is kept nowhere.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;

use kube::Resource;
use kube::api::ObjectMeta;
use kube::core::DynamicResourceScope;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::kinds::Kind;

/// The annotation in which kubectl keeps all that was applied, values of Secrets among them.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// An object, without its status but for one number of it.
#[derive(Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Object {
    /// Its annotations are hashes.
    #[serde(deserialize_with = "without_values")]
    pub(super) metadata: ObjectMeta,
    pub(super) spec: Value,
    pub(super) status: Option<Status>,
    /// Entries of a `ConfigMap` or Secret.
    pub(super) data: Option<BTreeMap<String, Sealed>>,
    /// Those of a `ConfigMap` that are no text.
    pub(super) binary_data: Option<BTreeMap<String, Sealed>>,
    /// Of a Secret.
    pub(super) r#type: Option<String>,
    /// Of a `ConfigMap` or Secret.
    pub(super) immutable: Option<bool>,
}

/// What is read of a status.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Status {
    /// How many pods an autoscaler wants.
    pub(super) desired_replicas: Option<i64>,
}

/// A value of which only the hash was kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Sealed(pub(super) u64);

impl<'de> Deserialize<'de> for Sealed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Any value will do: one that is refused would be told by the error.
        Value::deserialize(deserializer).map(|value| Self(seal(&value.to_string())))
    }
}

fn without_values<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    let mut meta = ObjectMeta::deserialize(deserializer)?;
    if let Some(annotations) = &mut meta.annotations {
        annotations.remove(LAST_APPLIED);
        for value in annotations.values_mut() {
            *value = format!("{:x}", seal(value));
        }
    }
    Ok(meta)
}

/// The same for equal texts within this process, and for nobody else.
pub(super) fn seal(text: &str) -> u64 {
    static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    KEY.hash_one(text)
}

impl Object {
    /// Its namespace; empty for what has none.
    pub(super) fn namespace(&self) -> &str {
        self.metadata.namespace.as_deref().unwrap_or_default()
    }

    /// Its name.
    pub(super) fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Object")
            .field("namespace", &self.namespace())
            .field("name", &self.name())
            .finish_non_exhaustive()
    }
}

impl Resource for Object {
    type DynamicType = &'static Kind;
    type Scope = DynamicResourceScope;

    fn kind(kind: &Self::DynamicType) -> Cow<'_, str> {
        kind.name.into()
    }

    fn group(kind: &Self::DynamicType) -> Cow<'_, str> {
        kind.group.into()
    }

    fn version(kind: &Self::DynamicType) -> Cow<'_, str> {
        kind.version.into()
    }

    fn plural(kind: &Self::DynamicType) -> Cow<'_, str> {
        kind.plural.into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_of_a_secret_or_an_annotation_is_kept() {
        let object: Object = serde_json::from_str(
            r#"{"metadata": {"name": "db", "annotations": {"note": "token-1", "kubectl.kubernetes.io/last-applied-configuration": "token-1"}},
                "type": "Opaque", "data": {"password": "token-1", "odd": {"token-1": 1}, "none": null}, "binaryData": {"blob": "token-1"}}"#,
        )
        .unwrap();
        let Object {
            metadata,
            data,
            binary_data,
            spec,
            ..
        } = &object;
        let kept = format!("{metadata:?} {data:?} {binary_data:?} {spec:?} {object:?}");
        assert!(!kept.contains("token-1"), "{kept}");
        let data = data.as_ref().unwrap();
        assert_eq!(data.len(), 3);
        assert_eq!(data["password"], binary_data.as_ref().unwrap()["blob"]);
        assert_eq!(metadata.annotations.as_ref().unwrap().len(), 1);
    }

    #[test]
    fn of_a_status_only_what_an_autoscaler_wants_is_read() {
        let of = |json: &str| serde_json::from_str::<Object>(json).unwrap().status;
        let wanted = of(r#"{"status": {"desiredReplicas": 3, "conditions": [{}]}}"#);
        assert_eq!(wanted.unwrap().desired_replicas, Some(3));
        assert_eq!(of(r#"{"status": {"phase": "Bound"}}"#), Some(Status::default()));
        assert_eq!(of("{}"), None);
    }
}
