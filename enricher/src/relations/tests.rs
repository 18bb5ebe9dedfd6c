//! What follows from what the API server tells, told once, with the times at which it was true.

use bus_schema::topology::{ROUTES_TO, Related, SCALES};

use super::*;

const MINUTE_NS: u64 = 60 * 1_000_000_000;
/// When everything was made.
const MADE: u64 = 1_000 * MINUTE_NS;
const NOW: u64 = MADE + MINUTE_NS;

fn id(kind: &str, name: &str) -> Identity {
    Identity::new(kind, "shop", name)
}

fn deployment(name: &str) -> Identity {
    id("Deployment", name)
}

fn labels(app: &str) -> Labels {
    Labels::from([("app".to_owned(), app.to_owned())])
}

/// A pod of the first `ReplicaSet` of `app`, on the node `n1`.
fn pod(uid: &str, app: &str) -> PodRecord {
    PodRecord {
        uid: uid.into(),
        owner: Workload {
            kind: "ReplicaSet".into(),
            namespace: "shop".into(),
            name: format!("{app}-1"),
        },
        shape: Shape {
            labels: labels(app),
            mounts: BTreeSet::from([id("ConfigMap", "settings")]),
            refers_to: BTreeSet::from([id("Secret", "password")]),
        },
        node: Some(Identity::new("Node", "", "n1")),
        created_ns: MADE,
        has_ended: false,
    }
}

/// `ReplicaSet` `x-1` belongs to Deployment `x`.
fn top_of(owner: &Workload) -> Workload {
    let name = owner.name.rsplit_once('-').map_or(&*owner.name, |(name, _)| name);
    Workload {
        kind: "Deployment".into(),
        namespace: owner.namespace.clone(),
        name: name.into(),
    }
}

/// A store of which somebody listens who knows nothing.
fn store() -> Store {
    let mut store = Store::default();
    for kind in [
        "Pod",
        "Service",
        "Ingress",
        "ResourceQuota",
        "HorizontalPodAutoscaler",
    ] {
        store.list(kind);
    }
    store
}

fn messages(store: &mut Store, now_ns: u64) -> Vec<Relations> {
    store.resolve(top_of);
    store.derive(now_ns);
    store.take_untold(usize::MAX, now_ns)
}

/// One line a target of what is told at `now_ns`: times are minutes since everything was made.
fn told(store: &mut Store, now_ns: u64) -> Vec<String> {
    let minutes = |ns: u64| (ns - MADE) / MINUTE_NS;
    let line = |message: &Relations, target: &Related| {
        let until = target.until_ns.map(|until_ns| format!("..{}", minutes(until_ns)));
        format!(
            "{} {} {} {}{}",
            message.from.name,
            message.relation,
            target.to.name,
            minutes(target.since_ns),
            until.unwrap_or_default()
        )
    };
    let mut lines: Vec<_> = messages(store, now_ns)
        .iter()
        .flat_map(|message| message.targets.iter().map(move |target| line(message, target)))
        .collect();
    lines.sort();
    lines
}

const NOTHING: [&str; 0] = [];

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
    store.see_selector(
        id("Service", "front"),
        Some(Selector::equal(&labels("web"))),
        MADE,
        NOW,
    );
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
    store.see_selector(
        id("Service", "front"),
        Some(Selector::equal(&labels("web"))),
        MADE,
        NOW,
    );
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

#[test]
fn what_has_ended_is_forgotten_after_a_quarter_of_an_hour_and_so_is_who_had_nothing_else() {
    let mut store = store();
    store.see_pod(pod("a", "web"), NOW);
    told(&mut store, NOW);
    store.lose_pod("a");
    told(&mut store, NOW);
    store.forget(NOW + 14 * MINUTE_NS);
    assert_eq!(store.count(), 3);
    store.forget(NOW + 15 * MINUTE_NS);
    assert_eq!(store.count(), 0);
    assert_eq!(told(&mut store, NOW + 15 * MINUTE_NS), NOTHING);
}

#[test]
fn a_restart_tells_nothing_new_and_keeps_when_it_began() {
    let (mut before, mut after) = (store(), store());
    before.see_pod(pod("a", "web"), NOW);
    before.see_targets(
        ROUTES_TO,
        &id("Ingress", "entry"),
        &BTreeSet::from([id("Service", "front")]),
        MADE,
        NOW,
    );
    let mut stream = messages(&mut before, NOW);
    before.see_targets(
        ROUTES_TO,
        &id("Ingress", "entry"),
        &BTreeSet::from([id("Service", "other")]),
        MADE,
        NOW,
    );
    let changed = messages(&mut before, NOW);
    stream.retain(|message| message.relation != ROUTES_TO);
    stream.extend(changed);
    let later = NOW + MINUTE_NS;
    after.see_pod(pod("a", "web"), later);
    after.see_targets(
        ROUTES_TO,
        &id("Ingress", "entry"),
        &BTreeSet::from([id("Service", "other")]),
        MADE,
        later,
    );
    after.resolve(top_of);
    after.derive(later);
    after.adopt(&stream, later);
    assert_eq!(told(&mut after, later), NOTHING);
    // A control: from what was never told, everything is.
    after.adopt(&[], later);
    assert_eq!(
        told(&mut after, later),
        [
            "entry routes_to front 0..1",
            "entry routes_to other 1",
            "web mounts settings 0",
            "web refers_to password 0",
            "web runs_on n1 0"
        ]
    );
}

#[test]
fn an_end_that_two_have_seen_is_one_end() {
    let (mut first, mut second) = (store(), store());
    let (scaler, target) = (
        id("HorizontalPodAutoscaler", "more"),
        BTreeSet::from([deployment("web")]),
    );
    for (store, delay_ns) in [(&mut first, 0), (&mut second, MINUTE_NS)] {
        store.see_targets(SCALES, &scaler, &target, MADE + delay_ns, NOW);
        store.lose_targets(SCALES, &scaler, NOW + MINUTE_NS + delay_ns);
    }
    let now_ns = NOW + 3 * MINUTE_NS;
    let stream = messages(&mut first, now_ns);
    assert_eq!(stream.len(), 1);
    second.adopt(&stream, now_ns);
    assert_eq!(told(&mut second, now_ns), NOTHING);
}

#[test]
fn what_was_deleted_while_nobody_looked_ends_and_what_began_meanwhile_began_after_the_last_word() {
    let (mut before, mut after) = (store(), store());
    before.see_pod(pod("gone", "db"), NOW);
    before.see_pod(pod("a", "web"), NOW);
    let stream = messages(&mut before, NOW);
    let later = NOW + 5 * MINUTE_NS;
    let mut changed = pod("a", "web");
    changed.shape.mounts.insert(id("ConfigMap", "more"));
    after.see_pod(changed, later);
    after.resolve(top_of);
    after.derive(later);
    after.adopt(&stream, later);
    assert_eq!(
        told(&mut after, later),
        [
            "db mounts settings 0..6",
            "db refers_to password 0..6",
            "db runs_on n1 0..6",
            "web mounts more 1",
            "web mounts settings 0"
        ]
    );
}

#[test]
fn what_only_a_kind_that_is_not_listed_would_tell_is_left_as_it_was_until_it_is() {
    let mut before = store();
    before.see_selector(id("NetworkPolicy", "deny"), Some(Selector::default()), MADE, NOW);
    before.see_limit(id("LimitRange", "range"), MADE, NOW);
    before.see_pod(pod("a", "web"), NOW);
    let stream = messages(&mut before, NOW);
    assert_eq!(stream.len(), 5);
    let mut after = store();
    after.see_pod(pod("a", "web"), NOW);
    after.resolve(top_of);
    after.derive(NOW);
    after.adopt(&stream, NOW);
    assert_eq!(told(&mut after, NOW), NOTHING, "nobody may look");
    after.list("NetworkPolicy");
    assert_eq!(
        told(&mut after, NOW),
        ["deny selects web 0..1"],
        "it is not there"
    );
    after.see_limit(id("LimitRange", "range"), MADE, NOW);
    after.list("LimitRange");
    assert_eq!(told(&mut after, NOW), NOTHING, "it is");
}

#[test]
fn more_targets_than_a_message_takes_are_counted_and_those_that_hold_come_first() {
    let mut store = store();
    let policy = id("NetworkPolicy", "deny");
    let many = |from: usize, to: usize| (from..to).map(|n| id("Service", &format!("s{n:05}"))).collect();
    store.see_targets(ROUTES_TO, &policy, &many(0, 1_500), MADE, NOW);
    store.see_targets(ROUTES_TO, &policy, &many(700, 1_500), MADE, NOW);
    let message = messages(&mut store, NOW).remove(0);
    assert_eq!((message.targets.len(), message.left_out), (1_000, 500));
    let holding = message.targets.iter().filter(|target| target.until_ns.is_none());
    assert_eq!(holding.count(), 800);
    assert!(message.targets.is_sorted());
    let mut again = Store::default();
    again.see_targets(ROUTES_TO, &policy, &many(700, 1_500), MADE, NOW);
    again.list("NetworkPolicy");
    again.adopt(&[message], NOW);
    assert_eq!(
        again.take_untold(1, NOW).len(),
        1,
        "what was left out is not known any more"
    );
}

#[test]
fn a_message_that_did_not_arrive_is_told_again() {
    let mut store = store();
    store.see_targets(
        SCALES,
        &id("HorizontalPodAutoscaler", "more"),
        &BTreeSet::from([deployment("web")]),
        MADE,
        NOW,
    );
    let message = messages(&mut store, NOW).remove(0);
    store.tell_again(&message);
    assert_eq!(messages(&mut store, NOW), [message]);
    assert_eq!(messages(&mut store, NOW), []);
}

#[test]
fn a_relation_that_comes_and_goes_is_remembered_by_its_last_times() {
    let mut store = store();
    let (scaler, target) = (
        id("HorizontalPodAutoscaler", "more"),
        BTreeSet::from([deployment("web")]),
    );
    for minute in 0..10 {
        let now_ns = NOW + minute * MINUTE_NS;
        store.see_targets(SCALES, &scaler, &target, MADE, now_ns);
        store.lose_targets(SCALES, &scaler, now_ns + 1);
    }
    assert_eq!(
        told(&mut store, NOW + 10 * MINUTE_NS),
        [
            "more scales web 10..10",
            "more scales web 7..7",
            "more scales web 8..8",
            "more scales web 9..9"
        ]
    );
}
