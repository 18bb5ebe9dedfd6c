//! Answers that take longer than they did.

use std::collections::BTreeSet;

use bus_schema::event::Body;
use bus_schema::event::network::{EdgeStats, Role};
use bus_schema::event::status::HttpStats;
use bus_schema::incident::State;
use bus_schema::{Incident, Severity};

use super::log::{Log, service};
use super::replay::conditions;
use super::{MILLI, SECOND};

const CHANGED: u64 = 30;

/// One second of the shop: of the answers of the cache to the gateway, and of the gateway to the users, `slow` take `millis`.
fn second(log: &mut Log, end: u64, slow: u64, millis: u64) {
    for (caller, asked) in [("users", "gateway"), ("gateway", "cache")] {
        let stats = |role| {
            let mut stats = HttpStats {
                role,
                by_class: [0, 100, 0, 0, 0],
                ..HttpStats::default()
            };
            stats.latency.record(2 * MILLI, 100 - slow);
            stats.latency.record(millis * MILLI, slow);
            Body::HttpStats(stats)
        };
        let callee = Some(service(asked));
        log.add(
            end * SECOND,
            Severity::Info,
            service(caller),
            callee,
            stats(Role::Client),
        );
        log.add(
            end * SECOND,
            Severity::Info,
            service(asked),
            None,
            stats(Role::Server),
        );
    }
}

/// The cache is released anew; then `slow` of a hundred answers take `millis` instead of `before`.
fn after_a_release(before: u64, slow: u64, millis: u64) -> Vec<Incident> {
    let mut log = Log::default();
    (1..=CHANGED).for_each(|end| second(&mut log, end, slow, before));
    log.redeploy(CHANGED * SECOND, "cache", "v1", "v2");
    (CHANGED + 1..CHANGED + 20).for_each(|end| second(&mut log, end, slow, millis));
    (CHANGED + 20..CHANGED + 60).for_each(|end| second(&mut log, end, slow, before));
    log.replay()
}

#[test]
fn answers_that_take_long_since_a_release_are_its_fault_until_they_do_not() {
    let incidents = after_a_release(2, 90, 500);
    let last = incidents.last().unwrap();
    assert!(incidents.iter().all(|incident| incident.id == last.id));
    let root = last.root_cause().unwrap();
    assert_eq!(
        (root.label.as_str(), root.condition.as_str()),
        ("cache", "executable_changed")
    );
    let told: BTreeSet<_> = incidents.iter().flat_map(conditions).collect();
    for step in [("cache", "http_slow"), ("gateway", "http_slow")] {
        assert!(told.contains(&step), "{step:?} is missing from {told:?}");
    }
    assert_eq!(last.state, State::Resolved);
}

#[test]
fn a_distribution_with_more_buckets_than_there_are_is_no_trouble() {
    let mut log = Log::default();
    for end in 1..30 {
        let mut stats = HttpStats {
            role: Role::Server,
            by_class: [0, 100, 0, 0, 0],
            ..HttpStats::default()
        };
        stats.latency.0 = vec![1; 100];
        log.add(
            end * SECOND,
            Severity::Info,
            service("cache"),
            None,
            Body::HttpStats(stats),
        );
    }
    assert_eq!(log.replay(), []);
}

#[test]
fn answers_as_slow_as_ever_as_fast_as_nobody_notices_or_slow_for_few_are_no_incident() {
    assert_eq!(after_a_release(500, 90, 500), [], "as ever");
    assert_eq!(after_a_release(2, 90, 60), [], "nobody waits");
    assert_eq!(after_a_release(300, 90, 500), [], "less than twice as long");
}

/// What is told of a gateway that is slow since the cache's release: either the cache's answers are seen and come at once, or nobody
/// sees what is said between the two.
fn slow_beside_a_release(is_read: bool) -> (String, String) {
    let mut log = Log::default();
    for end in 1..CHANGED + 20 {
        let slow = if end > CHANGED { 90 } else { 0 };
        let answers = |role, slow| {
            let mut stats = HttpStats {
                role,
                by_class: [0, 100, 0, 0, 0],
                ..HttpStats::default()
            };
            stats.latency.record(2 * MILLI, 100 - slow);
            stats.latency.record(500 * MILLI, slow);
            Body::HttpStats(stats)
        };
        let connections = Body::EdgeStats(EdgeStats {
            attempts: 10,
            established: 10,
            ..EdgeStats::default()
        });
        let called = if is_read {
            answers(Role::Client, 0)
        } else {
            connections
        };
        for (subject, object, body) in [
            ("users", Some("gateway"), answers(Role::Client, slow)),
            ("gateway", None, answers(Role::Server, slow)),
            ("gateway", Some("cache"), called),
        ] {
            let object = object.map(service);
            log.add(end * SECOND, Severity::Info, service(subject), object, body);
        }
    }
    log.redeploy(CHANGED * SECOND, "cache", "v1", "v2");
    let incidents = log.replay();
    let root = incidents.last().unwrap().root_cause().unwrap();
    (root.label.clone(), root.condition.clone())
}

#[test]
fn who_is_answered_at_once_by_a_new_version_is_not_slow_because_of_it() {
    let told = slow_beside_a_release(true);
    assert_eq!(told, ("gateway".into(), "not_observed".into()));
    let told = slow_beside_a_release(false);
    assert_eq!(told, ("cache".into(), "executable_changed".into()));
}
