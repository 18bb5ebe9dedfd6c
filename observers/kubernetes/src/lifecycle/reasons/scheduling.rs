//! Why no node takes a pod: the message of its condition `PodScheduled`.

use bus_schema::event::kubernetes::Reason;

use super::words::{has_any, quoted};
use crate::lifecycle::finding::Because;

/// Parts of the scheduler's message, the one that explains most first: where some nodes are full and others tainted, it is
/// for want of room that the pod waits.
const CAUSES: &[(&str, Reason)] = &[
    ("unbound immediate PersistentVolumeClaims", Reason::VolumeUnbound),
    ("persistentvolumeclaim \"", Reason::VolumeUnbound),
    ("Insufficient ", Reason::InsufficientResource),
    ("did not have enough free storage", Reason::InsufficientResource),
    ("Too many pods", Reason::TooManyPods),
    ("didn't have free ports", Reason::HostPortTaken),
    ("pod affinity rules", Reason::PodAffinity),
    ("anti-affinity rules", Reason::PodAffinity),
    ("topology spread constraints", Reason::PodAffinity),
    ("available persistent volumes to bind", Reason::VolumeUnbound),
    ("PersistentVolume's node affinity", Reason::VolumeUnbound),
    ("volume node affinity conflict", Reason::VolumeUnbound),
    ("no available volume zone", Reason::VolumeUnbound),
    ("bound to non-existent pv", Reason::VolumeUnbound),
    ("ReadWriteOncePod", Reason::VolumeUnbound),
    ("exceed max volume count", Reason::VolumeUnbound),
    ("node affinity/selector", Reason::NodeSelector),
    ("didn't match the requested node name", Reason::NodeSelector),
    ("untolerated taint", Reason::UntoleratedTaint),
    ("were unschedulable", Reason::Cordoned),
];

pub(in crate::lifecycle) fn unschedulable(message: &str, namespace: &str) -> Because {
    // What follows says which pods could give way.
    let said = message.split(" preemption: ").next().unwrap_or(message);
    let found = CAUSES.iter().find(|(part, _)| said.contains(part));
    let reason = found.map_or(Reason::Unknown, |(_, reason)| *reason);
    let because = Because::of(reason).saying(message);
    let because = because
        .detail("resource", resources(said))
        .detail("taint", taint(said));
    match quoted(said, "persistentvolumeclaim ") {
        Some(claim) => because.object("PersistentVolumeClaim", namespace, claim),
        None => because,
    }
}

/// All that are short, in the order of the message.
fn resources(said: &str) -> String {
    let parts = said.split("Insufficient ").skip(1);
    let names = parts.filter_map(|part| part.split([',', ' ']).next());
    let names: Vec<_> = names.map(|name| name.trim_end_matches('.')).collect();
    if names.is_empty() && has_any(said, &["enough free storage"]) {
        return "storage".to_owned();
    }
    names.join(",")
}

/// Up to 1.33 the message names it: `{key: value}`.
fn taint(said: &str) -> String {
    let found = super::words::between(said, "untolerated taint {", "}");
    let (key, value) = found.and_then(|found| found.split_once(':')).unwrap_or_default();
    match value.trim() {
        "" => key.to_owned(),
        value => format!("{key}={value}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(message: &str) -> Reason {
        unschedulable(message, "shop").reason
    }

    #[test]
    fn each_text_of_the_scheduler_has_its_reason() {
        let many = "0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient nvidia.com/gpu. no new claims to deallocate, preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.";
        let because = unschedulable(many, "shop");
        assert_eq!(because.reason, Reason::InsufficientResource);
        assert_eq!(because.details["resource"], "cpu,nvidia.com/gpu");
        assert_eq!(
            reason("0/3 nodes are available: 1 Insufficient memory, 2 node(s) had untolerated taint(s)."),
            Reason::InsufficientResource
        );
        assert_eq!(
            reason(
                "0/1 nodes are available: 1 node(s) had untolerated taint(s). preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
            ),
            Reason::UntoleratedTaint
        );
        assert_eq!(
            reason("0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."),
            Reason::NodeSelector
        );
        assert_eq!(
            reason("0/1 nodes are available: 1 node(s) didn't match pod anti-affinity rules."),
            Reason::PodAffinity
        );
        assert_eq!(
            reason(
                "0/1 nodes are available: 1 node(s) didn't match pod topology spread constraints (missing required label)."
            ),
            Reason::PodAffinity
        );
        assert_eq!(
            reason("0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports."),
            Reason::HostPortTaken
        );
        assert_eq!(
            reason("0/1 nodes are available: 1 Too many pods."),
            Reason::TooManyPods
        );
        assert_eq!(
            reason("0/1 nodes are available: 1 node(s) were unschedulable."),
            Reason::Cordoned
        );
        assert_eq!(
            reason("0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims."),
            Reason::VolumeUnbound
        );
        assert_eq!(reason("no nodes available to schedule pods"), Reason::Unknown);
    }

    #[test]
    fn a_claim_that_does_not_exist_is_the_object() {
        let because = unschedulable(
            "0/1 nodes are available: persistentvolumeclaim \"data\" not found. preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.",
            "shop",
        );
        assert_eq!(because.reason, Reason::VolumeUnbound);
        assert_eq!(because.object.unwrap().key(), "PersistentVolumeClaim/shop/data");
    }

    #[test]
    fn an_older_scheduler_names_the_taint() {
        let because = unschedulable(
            "0/1 nodes are available: 1 node(s) had untolerated taint {dedicated: gpu}.",
            "shop",
        );
        assert_eq!(because.details["taint"], "dedicated=gpu");
        let because = unschedulable(
            "0/1 nodes are available: 1 node(s) had untolerated taint {node.kubernetes.io/unreachable: }.",
            "shop",
        );
        assert_eq!(because.details["taint"], "node.kubernetes.io/unreachable");
    }
}
