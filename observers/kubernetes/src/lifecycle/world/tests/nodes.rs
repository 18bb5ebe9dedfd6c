//! States of nodes and of claims.

use serde_json::json;

use super::*;

fn node(conditions: &Value, is_cordoned: bool) -> Value {
    json!({
        "kind": "Node", "apiVersion": "v1", "metadata": {"name": "n1", "uid": "n1", "creationTimestamp": at(0)},
        "spec": {"unschedulable": is_cordoned}, "status": {"conditions": conditions},
    })
}

#[test]
fn a_node_that_joins_is_given_time_and_one_that_falls_silent_is_not() {
    let mut case = Case::new();
    let joining = json!([condition(
        "Ready",
        "False",
        "KubeletNotReady",
        "cni plugin not initialized",
        0
    )]);
    case.see(node(&joining, false));
    case.wait(60);
    case.see(node(
        &json!([condition("Ready", "True", "KubeletReady", "", 60)]),
        false,
    ));
    assert_eq!(case.lines(), []);
    let silent = json!([condition(
        "Ready",
        "Unknown",
        "NodeStatusUnknown",
        "Kubelet stopped posting node status.",
        200
    )]);
    case.see(node(&silent, false));
    case.see(node(
        &json!([condition("Ready", "True", "KubeletReady", "", 260)]),
        false,
    ));
    assert_eq!(
        case.lines(),
        [
            line(State::NodeNotReady, true, Reason::KubeletSilent, ""),
            line(State::NodeNotReady, false, Reason::KubeletSilent, ""),
        ]
    );
}

#[test]
fn pressure_is_one_state_whatever_it_is_of() {
    let mut case = Case::new();
    let under = |memory: &str, disk: &str| {
        json!([
            condition("Ready", "True", "", "", 0),
            condition("MemoryPressure", memory, "", "", 5),
            condition("DiskPressure", disk, "", "", 6),
        ])
    };
    case.see(node(&under("False", "True"), false));
    case.see(node(&under("True", "True"), true));
    case.wait(3);
    case.see(node(&under("False", "False"), false));
    assert_eq!(
        case.lines(),
        [
            line(State::NodePressure, true, Reason::DiskPressure, ""),
            line(State::NodeCordoned, true, Reason::Cordoned, ""),
            line(State::NodePressure, true, Reason::MemoryPressure, ""),
            line(State::NodePressure, false, Reason::MemoryPressure, ""),
            line(State::NodeCordoned, false, Reason::Cordoned, ""),
        ]
    );
}

fn claim(phase: &str) -> Value {
    json!({
        "kind": "PersistentVolumeClaim", "apiVersion": "v1",
        "metadata": {"name": "data", "namespace": "shop", "uid": "claim", "creationTimestamp": at(0)},
        "spec": {"storageClassName": "fast"}, "status": {"phase": phase},
    })
}

#[test]
fn a_claim_without_class_says_so_and_one_that_awaits_its_pod_says_nothing() {
    let mut case = Case::new();
    case.see(claim("Pending"));
    case.see(event(
        "claim",
        "WaitForFirstConsumer",
        "waiting for first consumer to be created before binding",
        1,
        0,
        0,
    ));
    case.wait(300);
    assert_eq!(case.lines(), []);
    let message = "storageclass.storage.k8s.io \"fast\" not found";
    case.see(event("claim", "ProvisioningFailed", message, 3, 300, 301));
    case.see(claim("Bound"));
    let class = "StorageClass//fast";
    assert_eq!(
        case.lines(),
        [
            line(State::VolumePending, true, Reason::StorageClassMissing, class),
            line(State::VolumePending, false, Reason::StorageClassMissing, class),
        ]
    );
}
