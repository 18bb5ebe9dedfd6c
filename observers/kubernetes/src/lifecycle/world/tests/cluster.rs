//! Lists, interruptions, deletions and objects of the same name.

use serde_json::json;

use super::*;

fn broken(uid: &str) -> Value {
    let missing = waiting("CreateContainerConfigError", "configmap \"settings\" not found");
    let mut pod = pod(&status("Pending", false, &missing, 0, &json!({})));
    pod["metadata"]["uid"] = uid.into();
    pod
}

fn fine() -> Value {
    pod(&status("Running", true, &running(1), 0, &json!({})))
}

const SETTINGS: &str = "ConfigMap/shop/settings";
const PODS: Source = Source::Objects(Kind::Pod);

fn begins() -> Line {
    line(State::NotStarted, true, Reason::ConfigMapMissing, SETTINGS)
}

fn ends() -> Line {
    line(State::NotStarted, false, Reason::ConfigMapMissing, SETTINGS)
}

#[test]
fn what_holds_at_the_first_list_is_told_late_and_once_all_is_known() {
    let mut case = Case::starting();
    case.now_ns += 600 * SECOND_NS;
    case.apply(PODS, Change::List);
    case.see(broken("pod-1"));
    assert_eq!(case.lines(), []);
    case.see(json!({
        "kind": "ReplicaSet", "metadata": {
            "name": "web-a", "namespace": "shop", "uid": "set",
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "d", "controller": true}],
        },
    }));
    case.end_lists();
    let told = case.take();
    assert_eq!(told.len(), 1);
    assert!(told[0].body.late);
    assert_eq!(told[0].body.since_ns, START_NS + SECOND_NS);
    assert_eq!(told[0].subject.key(), "Deployment/shop/web");
    assert_eq!(told[0].subject.pod.as_ref().unwrap().name, "web-1");
}

#[test]
fn a_list_of_the_same_tells_nothing() {
    let mut case = Case::new();
    case.see(broken("pod-1"));
    assert_eq!(case.lines(), [begins()]);
    for _ in 0..3 {
        case.apply(PODS, Change::Blind);
        case.apply(PODS, Change::List);
        case.see(broken("pod-1"));
        case.apply(PODS, Change::Listed);
        case.wait(60);
    }
    assert_eq!(case.lines(), []);
}

#[test]
fn what_changed_during_an_interruption_is_told_once_by_the_next_list() {
    let mut case = Case::new();
    case.see(fine());
    case.wait(600);
    case.apply(PODS, Change::List);
    case.see(broken("pod-1"));
    case.apply(PODS, Change::Listed);
    let told = case.take();
    assert_eq!(told.len(), 1);
    assert!(told[0].body.late);
    case.apply(PODS, Change::List);
    case.see(fine());
    case.apply(PODS, Change::Listed);
    assert_eq!(case.lines(), [ends()]);
}

#[test]
fn a_watch_that_goes_on_tells_late_what_it_missed_and_then_what_happens() {
    let mut case = Case::new();
    case.see(fine());
    case.apply(PODS, Change::Blind);
    case.wait(600);
    case.see(broken("pod-1"));
    assert!(case.take()[0].body.late);
    case.see(fine());
    case.wait(60);
    case.see(fine());
    case.see(broken("pod-1"));
    let told = case.take();
    assert!(!told[1].body.late, "{told:?}");
}

#[test]
fn what_was_deleted_during_an_interruption_has_ended() {
    let mut case = Case::new();
    case.see(broken("pod-1"));
    case.apply(PODS, Change::List);
    case.apply(PODS, Change::Listed);
    assert_eq!(case.lines(), [begins(), ends()]);
    case.lose(Kind::Pod, "web-1");
    assert_eq!(case.lines(), []);
}

#[test]
fn a_pod_of_the_same_name_is_another_one() {
    let mut case = Case::new();
    case.see(broken("pod-1"));
    case.see(broken("pod-2"));
    let told = case.take();
    let uids: Vec<_> = told
        .iter()
        .map(|told| (told.subject.pod.as_ref().unwrap().uid.as_str(), told.body.holds))
        .collect();
    assert_eq!(uids, [("pod-1", true), ("pod-1", false), ("pod-2", true)]);
}

#[test]
fn one_kind_that_may_not_be_read_does_not_hold_up_the_others() {
    let mut case = Case::starting();
    case.see(broken("pod-1"));
    for source in SOURCES {
        let is_refused = source == Source::Warnings;
        case.apply(source, if is_refused { Change::Blind } else { Change::Listed });
    }
    assert_eq!(case.lines(), [begins()]);
}
