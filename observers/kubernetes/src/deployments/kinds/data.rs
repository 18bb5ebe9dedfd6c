//! `ConfigMaps` and Secrets: their keys, each with a hash. Values are not even read.

use bus_schema::event::kubernetes::Aspect;

use super::super::index::Reach;
use super::super::object::Object;
use super::Content;

/// One of them.
pub(super) fn read(object: &Object) -> Content {
    let mut content = Content {
        reach: Reach::Readers,
        ..Content::default()
    };
    let text = object.data.iter().flatten();
    for (key, value) in text.chain(object.binary_data.iter().flatten()) {
        content.entries.hide_sealed(Aspect::Data, key, value.0);
    }
    if let Some(of) = &object.r#type {
        content.entries.tell(Aspect::Other, "type", of);
    }
    if object.immutable == Some(true) {
        content.entries.tell(Aspect::Other, "immutable", "true");
    }
    content
}

#[cfg(test)]
mod tests {
    use super::super::super::entries::tests::lines;
    use super::super::tests::content;

    #[test]
    fn data_is_told_by_key() {
        let old = content(
            "Secret",
            r#"{"type": "Opaque", "data": {"a": "MQ==", "b": "MQ==", "c": "MQ=="}}"#,
        );
        let new = content(
            "Secret",
            r#"{"type": "Opaque", "data": {"a": "MQ==", "b": "Mg==", "d": "MQ=="}}"#,
        );
        assert_eq!(
            lines(&old.entries, &new.entries),
            ["Data  b:  -> ", "Data  c:  -> -", "Data  d: - -> "]
        );
    }

    #[test]
    fn bytes_are_entries_too() {
        let of = |value: &str| {
            content(
                "ConfigMap",
                &format!(r#"{{"binaryData": {{"blob": "{value}"}}}}"#),
            )
        };
        assert_eq!(
            lines(&of("MQ==").entries, &of("Mg==").entries),
            ["Data  blob:  -> "]
        );
    }
}
