//! Why a pod was ended for the sake of something else.

use bus_schema::event::kubernetes::Reason;

use super::words::{between, has_any, quoted};
use crate::lifecycle::finding::Because;

/// By the pod's own reason and message, and those of its condition `DisruptionTarget`; `None` when it was not.
pub(in crate::lifecycle) fn evicted(
    status: (&str, &str),
    disruption: Option<(&str, &str)>,
) -> Option<Because> {
    let (reason, message) = status;
    match reason {
        "Evicted" => return Some(by_kubelet(message)),
        "Preempting" => return Some(Because::of(Reason::Preempted).saying(message)),
        _ => {}
    }
    let (reason, message) = disruption?;
    let reason = match reason {
        "PreemptionByScheduler" => Reason::Preempted,
        "EvictionByEvictionAPI" => Reason::Drained,
        "DeletionByTaintManager" => Reason::TaintEviction,
        "TerminationByKubelet" if message.contains("preempted") => Reason::Preempted,
        // The node is switched off.
        "TerminationByKubelet" if message.contains("node shutdown") => Reason::Drained,
        "TerminationByKubelet" => return Some(by_kubelet(message)),
        _ => Reason::Unknown,
    };
    Some(Because::of(reason).saying(message))
}

fn by_kubelet(message: &str) -> Because {
    const LOCAL_STORAGE: &[&str] = &[
        "ephemeral local storage",
        "local ephemeral storage",
        "EmptyDir volume",
    ];
    let resource = between(message, "low on resource: ", ".").unwrap_or_default();
    let condition = between(message, "had condition: [", "]").unwrap_or_default();
    let reason = if has_any(message, LOCAL_STORAGE) {
        Reason::EphemeralStorage
    } else if resource == "memory" || condition.contains("MemoryPressure") {
        Reason::MemoryPressure
    } else if resource == "pids" || condition.contains("PIDPressure") {
        Reason::PidPressure
    } else if has_any(resource, &["storage", "inodes", "fs"]) || condition.contains("DiskPressure") {
        Reason::DiskPressure
    } else {
        Reason::Unknown
    };
    let container = between(message, "Container ", " ").unwrap_or_default();
    let volume = quoted(message, "EmptyDir volume ").unwrap_or_default();
    let because = Because::of(reason).saying(message).detail("resource", resource);
    because.detail("container", container).detail("volume", volume)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_status(message: &str) -> Because {
        evicted(("Evicted", message), None).unwrap()
    }

    #[test]
    fn the_kubelet_says_what_it_was_short_of() {
        let memory = by_status(
            "The node was low on resource: memory. Threshold quantity: 100Mi, available: 82800Ki. Container web was using 400Mi, request is 0, has larger consumption of memory. ",
        );
        assert_eq!(memory.reason, Reason::MemoryPressure);
        assert_eq!(memory.details["container"], "web");
        assert_eq!(
            by_status("The node was low on resource: pids. ").reason,
            Reason::PidPressure
        );
        assert_eq!(
            by_status("The node was low on resource: ephemeral-storage. Threshold quantity: 1Gi").reason,
            Reason::DiskPressure
        );
        assert_eq!(
            by_status("The node had condition: [DiskPressure]. ").reason,
            Reason::DiskPressure
        );
        assert_eq!(
            by_status("Pod ephemeral local storage usage exceeds the total limit of containers 1Mi. ").reason,
            Reason::EphemeralStorage
        );
        let volume = by_status("Usage of EmptyDir volume \"scratch\" exceeds the limit \"1Mi\". ");
        assert_eq!(volume.reason, Reason::EphemeralStorage);
        assert_eq!(volume.details["volume"], "scratch");
        assert_eq!(
            by_status("Container web exceeded its local ephemeral storage limit \"1Mi\". ").reason,
            Reason::EphemeralStorage
        );
    }

    #[test]
    fn who_else_ends_a_pod_leaves_a_condition() {
        let by = |reason, message| evicted(("", ""), Some((reason, message))).map(|because| because.reason);
        assert_eq!(
            by("EvictionByEvictionAPI", "Eviction API: evicting"),
            Some(Reason::Drained)
        );
        assert_eq!(
            by(
                "PreemptionByScheduler",
                "default-scheduler: preempting to accommodate a higher priority pod"
            ),
            Some(Reason::Preempted)
        );
        assert_eq!(
            by(
                "DeletionByTaintManager",
                "Taint manager: deleting due to NoExecute taint"
            ),
            Some(Reason::TaintEviction)
        );
        assert_eq!(evicted(("OutOfcpu", ""), None), None);
    }
}
