//! What takes long, goes on for long, or is called seldom.

use std::collections::BTreeSet;

use bus_schema::event::Body;
use bus_schema::event::network::{EdgeStats, Role};
use bus_schema::event::process::SignalSent;
use bus_schema::event::status::{HttpError, HttpStats};
use bus_schema::{Incident, Severity};

use super::log::{Log, leak, process, service};
use super::replay::conditions;
use super::{MILLI, SECOND};

fn root_of(incident: &Incident) -> (&str, &str) {
    let root = incident.root_cause().unwrap();
    (root.label.as_str(), root.condition.as_str())
}

/// Refused calls and failed requests of each second, as windows tell them.
fn goes_on(log: &mut Log, from: u64, to: u64) {
    (from + 1..=to).for_each(|second| log.second(second * SECOND, 200, 190, 600, 580));
}

#[test]
fn a_leak_that_takes_most_of_an_hour_is_still_the_fault_of_its_version() {
    const MINUTES: u64 = 50;
    let mut log = Log::default();
    log.healthy(0, 60 * MINUTES);
    log.redeploy(10 * SECOND, "cache", "v6.2", "v7.0");
    (12..60 * MINUTES).for_each(|second| log.growth(second * SECOND, "cache"));
    log.oom(60 * MINUTES * SECOND + 300 * MILLI, "cache");
    log.outage(60 * MINUTES * SECOND + 302 * MILLI, 5);
    let incidents = log.replay();
    assert_eq!(
        root_of(incidents.last().unwrap()),
        ("cache", "executable_changed")
    );
}

#[test]
fn an_incident_that_nobody_ends_keeps_its_root_and_is_told_ever_more_seldom() {
    let mut log = leak();
    goes_on(&mut log, 20, 50 * 60);
    let incidents = log.replay();
    let last = incidents.last().unwrap();
    assert!(incidents.iter().all(|incident| incident.id == last.id));
    assert_eq!(root_of(last), ("cache", "executable_changed"));
    let late =
        |incident: &&Incident| incident.updated_at.as_ns() > incident.opened_at.as_ns() + 10 * 60 * SECOND;
    let told_late = incidents.iter().filter(late).count();
    assert!(
        (2..=20).contains(&told_late),
        "{told_late} revisions in the last 40 minutes"
    );
}

/// A shop with one request a second, in which `failures` requests fail after a kill; it has worked for so many seconds.
fn seldom(failures: u64, worked: u64) -> Vec<Incident> {
    let mut log = Log::default();
    (21 - worked..=20).for_each(|second| log.second(second * SECOND, 1, 0, 1, 0));
    log.redeploy(10 * SECOND, "cache", "v6.2", "v7.0");
    (12..20).for_each(|second| log.growth(second * SECOND, "cache"));
    for second in 20..20 + failures {
        log.refused(second * SECOND + 500 * MILLI);
        log.error(second * SECOND + 501 * MILLI, Role::Server);
        log.second((second + 1) * SECOND, 1, 1, 1, 1);
    }
    (20 + failures..60).for_each(|second| log.second((second + 1) * SECOND, 1, 0, 1, 0));
    log.replay()
}

#[test]
fn what_is_called_once_a_second_and_always_fails_is_down() {
    let incidents = seldom(8, 20);
    let steps: BTreeSet<_> = incidents.iter().flat_map(conditions).collect();
    assert!(steps.contains(&("gateway", "http_5xx")), "{steps:?}");
    assert_eq!(seldom(1, 20), [], "one failed request is no outage");
    assert_eq!(seldom(8, 0), [], "it is still starting");
}

#[test]
fn what_has_failed_for_long_is_not_blamed_for_what_begins_now() {
    let mut log = Log::default();
    log.healthy(0, 95);
    for second in 1..=100 {
        let refused = EdgeStats {
            attempts: 20,
            refused: 20,
            ..EdgeStats::default()
        };
        log.add(
            second * SECOND,
            Severity::Info,
            service("gateway"),
            Some(service("collector")),
            Body::EdgeStats(refused),
        );
    }
    log.redeploy(90 * SECOND, "cache", "v6.2", "v7.0");
    (92..95).for_each(|second| log.growth(second * SECOND, "cache"));
    log.oom(95 * SECOND + 300 * MILLI, "cache");
    log.outage(95 * SECOND + 302 * MILLI, 5);
    let incidents = log.replay();
    let last_with = |condition| {
        let told = incidents
            .iter()
            .filter(|incident| conditions(incident).contains(&("gateway", condition)));
        told.max_by_key(|incident| incident.updated_at).unwrap()
    };
    assert_eq!(root_of(last_with("http_5xx")), ("cache", "executable_changed"));
}

/// One second in which `given_up` requests of the gateway to the cache, and of the users to the gateway, had no answer.
fn waiting(log: &mut Log, end: u64, given_up: u64) {
    for (caller, asked) in [("users", "gateway"), ("gateway", "cache")] {
        let mut asking = HttpStats {
            role: Role::Client,
            by_class: [0, 100 - given_up, 0, 0, 0],
            ..HttpStats::default()
        };
        if given_up > 0 {
            asking.unanswered.record(2 * SECOND, given_up);
        }
        let body = Body::HttpStats(asking);
        log.add(end, Severity::Info, service(caller), Some(service(asked)), body);
    }
}

/// The cache gets `signal`; then the gateway waits for it in vain, and the users for the gateway, who give up first.
fn silent_after(signal: i32) -> Vec<Incident> {
    let mut log = Log::default();
    (1..=10).for_each(|second| waiting(&mut log, second * SECOND, 0));
    let (shell, cache) = (process("bash", 9), Some(process("cache", 4711)));
    let sent = Body::SignalSent(SignalSent {
        signal,
        ..SignalSent::default()
    });
    log.add(10 * SECOND, Severity::Notice, shell, cache, sent);
    for tenth in 0..50 {
        let moment = 12 * SECOND + tenth * 100 * MILLI;
        for (at, caller, asked) in [(0, "users", "gateway"), (1, "gateway", "cache")] {
            let given_up = HttpError {
                role: Role::Client,
                status: 0,
                latency_ns: 2 * SECOND,
                ..HttpError::default()
            };
            let (client, body) = (process(caller, 33), Body::HttpError(given_up));
            log.add(
                moment + at * MILLI,
                Severity::Warning,
                client,
                Some(service(asked)),
                body,
            );
        }
    }
    (13..=17).for_each(|second| waiting(&mut log, second * SECOND, 100));
    log.replay()
}

#[test]
fn a_suspended_process_leaves_its_callers_and_theirs_without_an_answer() {
    const SIGSTOP: i32 = 19;
    const SIGTERM: i32 = 15;
    let suspended = silent_after(SIGSTOP);
    let last = suspended.last().unwrap();
    assert!(suspended.iter().all(|incident| incident.id == last.id));
    assert_eq!(root_of(last), ("cache", "signal_sent"));
    let steps = conditions(last);
    for step in [("gateway", "http_unanswered"), ("users", "http_unanswered")] {
        assert!(steps.contains(&step), "{step:?} is missing from {steps:?}");
    }
    let survived = silent_after(SIGTERM);
    let last = survived.last().unwrap();
    assert_eq!(
        root_of(last),
        ("cache", "not_observed"),
        "that explains no silence"
    );
}

/// The root that is told when the gateway answers with errors after `signal` was sent to a cache which it does not speak HTTP
/// with.
fn errors_after(signal: i32) -> (String, String) {
    let mut log = Log::default();
    log.healthy(0, 10);
    let sent = SignalSent {
        signal,
        by_kernel: false,
    };
    log.add(
        10 * SECOND,
        Severity::Notice,
        process("bash", 99),
        Some(process("cache", 4711)),
        Body::SignalSent(sent),
    );
    log.errors_of_the_gateway_itself(11 * SECOND, 5);
    let incidents = log.replay();
    let (label, condition) = root_of(incidents.last().unwrap());
    (label.to_owned(), condition.to_owned())
}

#[test]
fn a_suspended_callee_fails_requests_whatever_is_spoken_with_it() {
    let is = |label: &str, condition: &str| (label.to_owned(), condition.to_owned());
    assert_eq!(errors_after(19), is("cache", "signal_sent"), "SIGSTOP");
    assert_eq!(
        errors_after(10),
        is("gateway", "not_observed"),
        "SIGUSR1 suspends nobody"
    );
}

/// Incidents of a cache that is started again just before a second is over and refuses `after` of the next second's calls;
/// the kernel tells the first refusal alone.
fn started_again(after: u64) -> usize {
    let mut log = Log::default();
    log.healthy(0, 10);
    log.refused(10 * SECOND + 900 * MILLI);
    log.error(10 * SECOND + 901 * MILLI, Role::Server);
    log.second(11 * SECOND, 100, 10, 100, 10);
    log.second(12 * SECOND, 100, after, 100, after);
    log.healthy(12, 50);
    log.replay().len()
}

#[test]
fn a_restart_that_two_windows_share_is_no_outage_and_a_second_of_failures_is() {
    assert_eq!(started_again(10), 0);
    assert_ne!(started_again(95), 0);
}

/// Incidents of a gateway that has started before its cache and is refused for so many seconds.
fn started_before(seconds: u64) -> usize {
    let mut log = Log::default();
    for tenth in 0..seconds * 10 {
        log.refused(10 * SECOND + tenth * 100 * MILLI);
    }
    (11..11 + seconds).for_each(|second| log.second(second * SECOND, 0, 0, 10, 10));
    log.healthy(10 + seconds, 60);
    log.replay().len()
}

#[test]
fn what_has_never_worked_may_be_starting_and_is_down_when_that_takes_long() {
    assert_eq!(started_before(5), 0);
    assert_ne!(started_before(15), 0);
}
