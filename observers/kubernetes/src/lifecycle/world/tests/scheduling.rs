//! Pods that get no node.

use serde_json::json;

use super::pods::ready;
use super::*;

fn without_node(message: &str) -> Value {
    let unscheduled = condition("PodScheduled", "False", "Unschedulable", message, 0);
    let mut pod = pod(&json!({"phase": "Pending", "conditions": [unscheduled]}));
    pod["spec"]["nodeName"] = Value::Null;
    pod
}

#[test]
fn an_unschedulable_pod_is_told_once_and_ends_when_it_gets_a_node() {
    let mut case = Case::new();
    let short = "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available.";
    case.see(without_node(short));
    case.see(without_node(&short.replace("0/1", "0/2")));
    assert_eq!(
        case.lines(),
        [line(State::Unschedulable, true, Reason::InsufficientResource, "")]
    );
    case.see(without_node(
        "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.",
    ));
    case.wait(3);
    assert_eq!(
        case.lines(),
        [line(State::Unschedulable, true, Reason::NodeSelector, "")]
    );
    case.see(ready(2));
    assert_eq!(
        case.lines(),
        [line(State::Unschedulable, false, Reason::NodeSelector, "")]
    );
}

#[test]
fn a_pod_that_is_not_yet_scheduled_is_not_unschedulable() {
    let mut case = Case::new();
    let mut fresh = pod(&json!({"phase": "Pending"}));
    fresh["spec"]["nodeName"] = Value::Null;
    case.see(fresh);
    case.see(ready(1));
    case.wait(60);
    assert_eq!(case.lines(), []);
}

#[test]
fn a_pod_for_which_others_give_way_is_given_time() {
    let mut case = Case::new();
    let mut nominated = without_node("0/1 nodes are available: 1 Insufficient cpu.");
    nominated["status"]["nominatedNodeName"] = "n1".into();
    case.see(nominated.clone());
    case.wait(40);
    case.see(ready(40));
    assert_eq!(case.lines(), []);
    case.lose(Kind::Pod, "web-1");
    case.see(nominated);
    case.wait(70);
    assert_eq!(case.lines().len(), 1);
}

#[test]
fn the_taint_is_looked_up_where_the_scheduler_does_not_name_it() {
    let mut case = Case::new();
    case.see(json!({
        "kind": "Node", "apiVersion": "v1", "metadata": {"name": "n1", "uid": "n1", "creationTimestamp": at(0)},
        "spec": {"taints": [
            {"key": "tolerated", "effect": "NoSchedule"},
            {"key": "dedicated", "value": "gpu", "effect": "NoSchedule"},
        ]},
    }));
    let mut pod = without_node("0/1 nodes are available: 1 node(s) had untolerated taint(s).");
    pod["spec"]["tolerations"] = json!([{"key": "tolerated", "operator": "Exists"}]);
    case.see(pod);
    let told = case.take();
    assert_eq!(told[0].body.details["taint"], "dedicated=gpu:NoSchedule");
    assert_eq!(told[0].subject.pod.as_ref().unwrap().uid, "pod-1");
}
