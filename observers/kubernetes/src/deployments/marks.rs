//! Labels and annotations, compared by hash: which of them a person changed.

use kube::api::ObjectMeta;

use super::object::seal;
use super::writer::is_note;

/// Annotations that controllers write, by the beginning of their names.
const NOTES: [&str; 14] = [
    "autoscaling.alpha.kubernetes.io/",
    "batch.kubernetes.io/",
    "control-plane.alpha.kubernetes.io/",
    "deployment.kubernetes.io/",
    "deprecated.daemonset.template.generation",
    "endpoints.kubernetes.io/",
    "kubectl.kubernetes.io/last-applied-configuration",
    "leader-election.",
    "leaderelection.",
    "pv.kubernetes.io/",
    "service.kubernetes.io/load-balancer-cleanup",
    "volume.beta.kubernetes.io/",
    "volume.kubernetes.io/",
    "volumeresize.kubernetes.io/",
];

/// Hashes of names and values, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Marks(Box<[(u64, u64)]>);

/// Names and values of those that are no notes of controllers. A label and an annotation of one name are two.
fn told(meta: &ObjectMeta) -> impl Iterator<Item = (&'static str, &String, &String)> {
    let labels = meta
        .labels
        .iter()
        .flatten()
        .map(|(key, value)| ("label", key, value));
    let annotations = meta.annotations.iter().flatten();
    let annotations = annotations.map(|(key, value)| ("annotation", key, value));
    labels
        .chain(annotations)
        .filter(|(_, key, _)| !NOTES.iter().any(|note| key.starts_with(note)))
}

fn sealed((of, key, value): (&str, &String, &String)) -> (u64, u64) {
    (seal(&format!("{of} {key}")), seal(value))
}

impl Marks {
    /// Those of an object.
    pub(super) fn of(meta: &ObjectMeta) -> Self {
        let mut marks: Vec<_> = told(meta).map(sealed).collect();
        marks.sort_unstable();
        Self(marks.into_boxed_slice())
    }

    /// Whether somebody other than a controller has changed them to those of `meta`, which are `now`.
    pub(super) fn were_edited(&self, now: &Self, meta: &ObjectMeta) -> bool {
        if self == now {
            return false;
        }
        let is_gone = |(key, _): &(u64, u64)| now.0.binary_search_by_key(key, |(key, _)| *key).is_err();
        let is_news = |mark| self.0.binary_search(&mark).is_err();
        self.0.iter().any(is_gone) || told(meta).any(|mark| is_news(sealed(mark)) && !is_note(meta, mark.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(json: &str) -> ObjectMeta {
        serde_json::from_str(json).unwrap()
    }

    fn were_edited(old: &str, new: &str) -> bool {
        let (old, new) = (meta(old), meta(new));
        Marks::of(&old).were_edited(&Marks::of(&new), &new)
    }

    #[test]
    fn what_people_write_is_an_edit_and_what_controllers_write_is_none() {
        let old = r#"{"labels": {"app": "web"}, "annotations": {"deployment.kubernetes.io/revision": "1"}}"#;
        assert!(!were_edited(old, old));
        assert!(were_edited(old, r#"{"labels": {"app": "web", "team": "a"}}"#));
        assert!(were_edited(old, r#"{"labels": {"app": "api"}}"#));
        assert!(were_edited(old, "{}"), "a label is gone");
        assert!(were_edited(
            old,
            r#"{"labels": {"app": "web"}, "annotations": {"note": "x"}}"#
        ));
        assert!(were_edited(
            r#"{"labels": {"a": "1"}}"#,
            r#"{"annotations": {"a": "1"}}"#
        ));
        assert!(!were_edited(
            old,
            r#"{"labels": {"app": "web"}, "annotations": {"deployment.kubernetes.io/revision": "2", "control-plane.alpha.kubernetes.io/leader": "x"}}"#
        ));
        assert!(!were_edited(
            old,
            r#"{"labels": {"app": "web", "seen": "1"}, "managedFields": [{"manager": "kube-controller-manager",
                "time": "2026-01-01T10:00:00Z", "fieldsV1": {"f:metadata": {"f:labels": {"f:seen": {}}}}}]}"#
        ));
    }
}
