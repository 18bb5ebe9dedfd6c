//! What is remembered: through restarts, gaps, and messages that did not arrive.

use super::*;

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
    entry_routes_to(&mut before, "front", NOW);
    let mut stream = messages(&mut before, NOW);
    entry_routes_to(&mut before, "other", NOW);
    let changed = messages(&mut before, NOW);
    stream.retain(|message| message.relation != ROUTES_TO);
    stream.extend(changed);
    let later = NOW + MINUTE_NS;
    after.see_pod(pod("a", "web"), later);
    entry_routes_to(&mut after, "other", later);
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
