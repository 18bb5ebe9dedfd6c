//! Who is related to whom, as objects come, change and go.

use super::*;

#[test]
fn a_pod_tells_of_its_workload_and_a_second_one_tells_nothing_new() {
    let mut store = store();
    store.see_pod(pod("a", "web"), NOW);
    assert_eq!(
        told(&mut store, NOW),
        [
            "web mounts settings 0",
            "web refers_to password 0",
            "web runs_on n1 0"
        ]
    );
    store.see_pod(pod("a", "web"), NOW);
    assert_eq!(told(&mut store, NOW), NOTHING, "told again");
    let second = PodRecord {
        created_ns: NOW,
        ..pod("b", "web")
    };
    store.see_pod(second, NOW);
    assert_eq!(told(&mut store, NOW), NOTHING);
    store.lose_pod("a");
    assert_eq!(
        told(&mut store, NOW + MINUTE_NS),
        NOTHING,
        "the other one is there"
    );
    store.lose_pod("b");
    assert_eq!(
        told(&mut store, NOW + MINUTE_NS),
        [
            "web mounts settings 0..2",
            "web refers_to password 0..2",
            "web runs_on n1 0..2"
        ]
    );
}

#[test]
fn a_rollout_that_changes_a_reference_ends_the_old_one_and_begins_the_new_one_only() {
    let mut store = store();
    store.see_pod(pod("a", "web"), NOW);
    told(&mut store, NOW);
    let mut next = PodRecord {
        created_ns: NOW + MINUTE_NS,
        ..pod("b", "web")
    };
    next.owner.name = "web-2".into();
    next.shape.mounts = BTreeSet::from([id("ConfigMap", "other")]);
    store.see_pod(next, NOW + MINUTE_NS);
    assert_eq!(
        told(&mut store, NOW + MINUTE_NS),
        ["web mounts other 2", "web mounts settings 0"],
        "both while both run"
    );
    store.lose_pod("a");
    assert_eq!(
        told(&mut store, NOW + 2 * MINUTE_NS),
        ["web mounts other 2", "web mounts settings 0..3"]
    );
}

#[test]
fn a_service_selects_workloads_and_no_pods() {
    let mut store = store();
    for number in 0..10_000 {
        store.see_pod(pod(&format!("web-{number}"), "web"), NOW);
    }
    store.see_pod(pod("db", "db"), NOW);
    told(&mut store, NOW);
    let service = id("Service", "front");
    store.see_selector(service.clone(), Some(Selector::equal(&labels("web"))), MADE, NOW);
    assert_eq!(told(&mut store, NOW), ["front selects web 0"]);
    store.lose_pod("web-77");
    assert_eq!(told(&mut store, NOW), NOTHING);
    let later = NOW + 4 * MINUTE_NS;
    store.see_selector(
        service.clone(),
        Some(Selector::equal(&labels("wbe"))),
        MADE,
        later,
    );
    assert_eq!(
        told(&mut store, later),
        ["front selects web 0..5"],
        "a typing error"
    );
    store.see_selector(
        service.clone(),
        Some(Selector::equal(&labels("web"))),
        MADE,
        later + MINUTE_NS,
    );
    assert_eq!(
        told(&mut store, later + MINUTE_NS),
        ["front selects web 0..5", "front selects web 6"],
        "it does not pass for having selected them all the time"
    );
    store.lose_selector(&service, later + 2 * MINUTE_NS);
    assert_eq!(
        told(&mut store, later + 2 * MINUTE_NS),
        ["front selects web 0..5", "front selects web 6..7"]
    );
}

#[test]
fn a_pod_that_has_ended_is_no_longer_selected_nor_on_a_node() {
    let mut store = store();
    front_selects_web(&mut store);
    store.see_pod(pod("a", "web"), NOW);
    assert_eq!(told(&mut store, NOW).len(), 4);
    let ended = PodRecord {
        has_ended: true,
        ..pod("a", "web")
    };
    store.see_pod(ended, NOW);
    assert_eq!(
        told(&mut store, NOW),
        ["front selects web 0..1", "web runs_on n1 0..1"]
    );
}

#[test]
fn labels_that_were_changed_in_place_count_from_then_on() {
    let mut store = store();
    front_selects_web(&mut store);
    store.see_pod(pod("a", "db"), NOW);
    told(&mut store, NOW);
    let mut relabelled = pod("a", "db");
    relabelled.shape.labels = labels("web");
    store.see_pod(relabelled, NOW + MINUTE_NS);
    assert_eq!(told(&mut store, NOW + MINUTE_NS), ["front selects db 2"]);
}

#[test]
fn quotas_limit_the_workloads_of_their_namespace_whichever_comes_first() {
    let mut store = store();
    store.see_limit(id("ResourceQuota", "small"), MADE, NOW);
    store.see_limit(Identity::new("ResourceQuota", "other", "large"), MADE, NOW);
    store.see_pod(pod("a", "web"), NOW);
    let lines = told(&mut store, NOW);
    assert!(lines.contains(&"web limited_by small 0".to_owned()), "{lines:?}");
    assert_eq!(lines.len(), 4, "{lines:?}");
    store.see_limit(id("LimitRange", "range"), NOW, NOW);
    assert_eq!(
        told(&mut store, NOW),
        ["web limited_by range 1", "web limited_by small 0"]
    );
    store.lose_limit(&id("ResourceQuota", "small"), NOW + MINUTE_NS);
    assert_eq!(
        told(&mut store, NOW + MINUTE_NS),
        ["web limited_by range 1", "web limited_by small 0..2"]
    );
}

#[test]
fn what_names_its_targets_is_followed_as_it_changes() {
    let mut store = store();
    let (ingress, scaler) = (id("Ingress", "entry"), id("HorizontalPodAutoscaler", "more"));
    let services = |names: &[&str]| names.iter().map(|name| id("Service", name)).collect();
    store.see_targets(ROUTES_TO, &ingress, &services(&["front"]), MADE, NOW);
    store.see_targets(SCALES, &scaler, &BTreeSet::from([deployment("web")]), MADE, NOW);
    assert_eq!(
        told(&mut store, NOW),
        ["entry routes_to front 0", "more scales web 0"]
    );
    store.see_targets(ROUTES_TO, &ingress, &services(&["other"]), MADE, NOW);
    assert_eq!(
        told(&mut store, NOW),
        ["entry routes_to front 0..1", "entry routes_to other 1"]
    );
    store.lose_targets(ROUTES_TO, &ingress, NOW);
    assert_eq!(
        told(&mut store, NOW),
        ["entry routes_to front 0..1", "entry routes_to other 1..1"]
    );
}

#[test]
fn a_controller_that_is_told_later_moves_its_pods_to_their_workload() {
    let mut store = store();
    store.see_pod(pod("a", "web"), NOW);
    store.resolve(Clone::clone);
    store.derive(NOW);
    let first = store.take_untold(usize::MAX, NOW);
    assert!(
        first
            .iter()
            .all(|message| message.from == id("ReplicaSet", "web-1"))
    );
    store.see_owner(&pod("a", "web").owner);
    let lines = told(&mut store, NOW);
    assert!(lines.contains(&"web mounts settings 0".to_owned()), "{lines:?}");
    assert!(
        lines.contains(&"web-1 mounts settings 0..1".to_owned()),
        "{lines:?}"
    );
}
