//! Who wrote what of an object, and when, by its managed fields.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, Time};
use kube::api::ObjectMeta;
use serde_json::Value;

use super::object::seal;

/// Field manager of Kubernetes' own controllers, the one that scales among them.
pub(super) const CONTROLLERS: &str = "kube-controller-manager";
/// Managers whose labels and annotations are notes to themselves, and whose objects follow from others.
const NOTING: [&str; 6] = [
    CONTROLLERS,
    "cloud-controller-manager",
    "kube-apiserver",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
];

/// Who wrote, and in which second, UNIX ns. The API server does not keep when something was scaled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) manager: String,
    pub(super) time_ns: Option<u64>,
}

/// A part of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part<'a> {
    /// The image of a container.
    Image(&'a str),
    /// The number of replicas. Who owns it has written it: another number takes it away from everybody else.
    Replicas,
    /// Anything but labels, annotations and status.
    Content,
    /// Anything but the status.
    Anything,
}

/// Hashes of signatures: which manager wrote in which second.
pub(super) type Signed = Box<[u64]>;

/// All who have written an object so far.
pub(super) fn signed(meta: &ObjectMeta) -> Signed {
    entries(meta).map(signature).collect()
}

/// Who wrote a part last, those before all others who had not signed `before`; and whether it is one of them.
pub(super) fn last(meta: &ObjectMeta, part: Part<'_>, before: &[u64]) -> Option<(Written, bool)> {
    let owners = entries(meta).filter(|entry| has(entry, |fields| is_of(fields, part)));
    let signed = owners.map(|entry| (!before.contains(&signature(entry)), entry));
    let last = signed.max_by_key(|(is_new, entry)| (*is_new, time_ns(entry)));
    last.map(|(is_new, entry)| (written(entry), is_new))
}

/// Whether one of Kubernetes' own controllers wrote an object last.
pub(super) fn is_by_controller(meta: &ObjectMeta) -> bool {
    let last = last(meta, Part::Anything, &[]);
    last.is_some_and(|(written, _)| NOTING.contains(&written.manager.as_str()))
}

/// Whether the label or annotation `key` was written by a controller.
pub(super) fn is_note(meta: &ObjectMeta, key: &str) -> bool {
    let field = format!("f:{key}");
    let is_marked = |fields: &Value| {
        ["f:labels", "f:annotations"].iter().any(|marks| {
            let marks = fields.get("f:metadata").and_then(|meta| meta.get(marks));
            marks.is_some_and(|marks| marks.get(&field).is_some())
        })
    };
    let owners = entries(meta).filter(|entry| has(entry, is_marked));
    let last = owners.max_by_key(|entry| time_ns(entry));
    let manager = last.and_then(|entry| entry.manager.as_deref());
    manager.is_some_and(|manager| NOTING.contains(&manager))
}

fn is_of(fields: &Value, part: Part<'_>) -> bool {
    match part {
        Part::Image(container) => {
            let item = format!("k:{{\"name\":\"{container}\"}}");
            let templates = [
                "/f:spec/f:template/f:spec",
                "/f:spec/f:jobTemplate/f:spec/f:template/f:spec",
            ];
            let pods = templates.iter().filter_map(|path| fields.pointer(path));
            let mut lists = pods.flat_map(|pod| [pod.get("f:containers"), pod.get("f:initContainers")]);
            lists.any(|list| {
                let item = list.and_then(|list| list.get(&item));
                item.is_some_and(|item| item.get("f:image").is_some())
            })
        }
        Part::Replicas => fields.pointer("/f:spec/f:replicas").is_some(),
        Part::Content => fields.as_object().is_some_and(|fields| {
            let mut names = fields.keys();
            names.any(|name| name != "f:metadata" && name != "f:status")
        }),
        Part::Anything => fields
            .as_object()
            .is_some_and(|fields| fields.keys().any(|name| name != "f:status")),
    }
}

fn entries(meta: &ObjectMeta) -> impl Iterator<Item = &ManagedFieldsEntry> {
    let entries = meta.managed_fields.iter().flatten();
    entries.filter(|entry| entry.subresource.as_deref() != Some("status"))
}

fn has(entry: &ManagedFieldsEntry, is_there: impl Fn(&Value) -> bool) -> bool {
    entry.fields_v1.as_ref().is_some_and(|fields| is_there(&fields.0))
}

fn time_ns(entry: &ManagedFieldsEntry) -> Option<u64> {
    entry.time.as_ref().map(nanoseconds)
}

fn signature(entry: &ManagedFieldsEntry) -> u64 {
    let ManagedFieldsEntry {
        manager,
        operation,
        subresource,
        ..
    } = entry;
    seal(&format!(
        "{manager:?} {operation:?} {subresource:?} {:?}",
        time_ns(entry)
    ))
}

fn written(entry: &ManagedFieldsEntry) -> Written {
    Written {
        manager: entry.manager.clone().unwrap_or_default(),
        time_ns: time_ns(entry),
    }
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

    fn manager(meta: &ObjectMeta, part: Part<'_>) -> Option<String> {
        last(meta, part, &[]).map(|(written, _)| written.manager)
    }

    #[test]
    fn the_last_writer_of_each_part_is_found_among_others() {
        let meta = managed(
            r#"{"managedFields": [
                {"manager": "helm", "operation": "Apply", "time": "2026-01-01T10:00:00Z",
                 "fieldsV1": {"f:spec": {"f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"redis\"}": {"f:image": {}, "f:args": {}}}}}}}},
                {"manager": "kubectl-set", "operation": "Update", "time": "2026-01-01T11:00:00Z",
                 "fieldsV1": {"f:spec": {"f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"redis\"}": {"f:image": {}}}}}}}},
                {"manager": "kubectl", "operation": "Update", "subresource": "scale",
                 "fieldsV1": {"f:spec": {"f:replicas": {}}}},
                {"manager": "kubectl-label", "operation": "Update", "time": "2026-01-01T11:40:00Z",
                 "fieldsV1": {"f:metadata": {"f:labels": {"f:team": {}}}}},
                {"manager": "kube-controller-manager", "operation": "Update", "time": "2026-01-01T12:00:00Z", "subresource": "status",
                 "fieldsV1": {"f:status": {}, "f:metadata": {"f:annotations": {"f:deployment.kubernetes.io/revision": {}}}}}]}"#,
        );
        let (written, _) = last(&meta, Part::Image("redis"), &[]).unwrap();
        assert_eq!(
            (written.manager.as_str(), written.time_ns.unwrap() / 1_000_000_000),
            ("kubectl-set", 1_767_265_200)
        );
        assert_eq!(manager(&meta, Part::Image("sidecar")), None);
        assert_eq!(manager(&meta, Part::Replicas).unwrap(), "kubectl");
        assert_eq!(manager(&meta, Part::Content).unwrap(), "kubectl-set");
        assert_eq!(manager(&meta, Part::Anything).unwrap(), "kubectl-label");
    }

    #[test]
    fn of_two_who_wrote_in_one_second_it_is_the_one_who_had_not_written_before() {
        let entry = |manager: &str| {
            format!(
                r#"{{"manager": "{manager}", "operation": "Update", "time": "2026-01-01T10:00:00Z", "fieldsV1": {{"f:spec": {{"f:template": {{}}}}}}}}"#
            )
        };
        let of = |entries: &[String]| managed(&format!(r#"{{"managedFields": [{}]}}"#, entries.join(",")));
        let (first, second) = (entry("kubectl-rollout"), entry("kubectl-set"));
        let before = signed(&of(std::slice::from_ref(&second)));
        let both = of(&[first, second]);
        let (written, is_new) = last(&both, Part::Content, &before).unwrap();
        assert_eq!((written.manager.as_str(), is_new), ("kubectl-rollout", true));
        assert!(!last(&both, Part::Content, &signed(&both)).unwrap().1);
    }

    #[test]
    fn a_label_of_a_controller_is_a_note() {
        let meta = managed(
            r#"{"managedFields": [
                {"manager": "kube-controller-manager", "operation": "Update", "time": "2026-01-01T10:00:00Z", "fieldsV1": {"f:metadata": {"f:annotations": {"f:example.org/seen": {}}}}},
                {"manager": "kubectl-label", "operation": "Update", "time": "2026-01-01T10:00:00Z", "fieldsV1": {"f:metadata": {"f:labels": {"f:team": {}}}}}]}"#,
        );
        assert!(is_note(&meta, "example.org/seen"));
        assert!(!is_note(&meta, "team"));
        assert!(!is_note(&meta, "nobody's"));
    }
}
