//! Claims of volumes: size, class and the volume that was given.

use bus_schema::event::kubernetes::Aspect;
use serde_json::Value;

use super::super::entries::{fields, items, scalar};
use super::super::index::Reach;
use super::super::object::Object;
use super::Content;

/// A `PersistentVolumeClaim`.
pub(super) fn read(object: &Object) -> Content {
    let mut content = Content {
        reach: Reach::Readers,
        ..Content::default()
    };
    let entries = &mut content.entries;
    for (field, value) in fields(&object.spec) {
        match field.as_str() {
            "resources" => {
                let size = value.pointer("/requests/storage").and_then(Value::as_str);
                entries.tell_of(Aspect::Storage, "", "size", size.unwrap_or_default(), value);
            }
            "storageClassName" => entries.flatten(Aspect::Storage, "", "class", value),
            "volumeName" => entries.flatten(Aspect::Storage, "", "volume", value),
            "accessModes" => {
                let modes: Vec<_> = items(value).map(scalar).collect();
                entries.tell(Aspect::Storage, field, modes.join(", "));
            }
            _ => entries.flatten(Aspect::Storage, "", field, value),
        }
    }
    content
}

#[cfg(test)]
mod tests {
    use super::super::tests::differences;

    #[test]
    fn size_class_and_volume_are_told() {
        assert_eq!(
            differences(
                "PersistentVolumeClaim",
                r#"{"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, "volumeMode": "Filesystem"}"#,
                r#"{"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "2Gi"}}, "volumeMode": "Filesystem", "storageClassName": "fast", "volumeName": "pv-1"}"#,
            ),
            [
                "Storage  class: - -> fast",
                "Storage  size: 1Gi -> 2Gi",
                "Storage  volume: - -> pv-1"
            ]
        );
    }
}
