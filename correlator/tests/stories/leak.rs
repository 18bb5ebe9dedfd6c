//! A new version leaks until the kernel kills it, and what its callers suffer.

use bus_schema::Severity;
use bus_schema::event::Body;
use bus_schema::event::network::Listening;
use bus_schema::event::process::ProcessExited;
use bus_schema::incident::{Role, State};

use super::log::{leak, process, service};
use super::replay::conditions;
use super::{MILLI, SECOND};

#[test]
fn a_leaking_version_is_the_root_of_everything_that_follows() {
    let incidents = leak().replay();
    let last = incidents.last().unwrap();
    assert!(
        incidents.iter().all(|incident| incident.id == last.id),
        "one fault, one incident"
    );
    let root = last.root_cause().unwrap();
    assert_eq!(
        (root.label.as_str(), root.condition.as_str()),
        ("cache", "executable_changed")
    );
    let steps = conditions(last);
    for step in [
        ("cache", "memory_growth"),
        ("cache", "oom_kill"),
        ("gateway", "connect_refused"),
        ("gateway", "http_5xx"),
        ("gateway", "retry_storm"),
        ("users", "retry_storm"),
    ] {
        assert!(steps.contains(&step), "{step:?} is missing from {steps:?}");
    }
    assert!(
        !steps.iter().any(|(_, condition)| *condition == "process_crashed"),
        "the exit is part of the OOM kill"
    );
    assert_eq!(
        last.narrative,
        "Start of cache v7.0 at 22:13:30 caused a memory leak, triggering an OOM kill, leading to connection failures in gateway, resulting in a retry storm and HTTP 500s."
    );
    assert!(last.confidence > 0.8, "{}", last.confidence);
    assert!(
        last.rejected
            .iter()
            .any(|other| other.hypothesis == "node memory pressure" && other.because == "PSI memory 0.0"),
        "{:?}",
        last.rejected
    );
    assert!(
        last.rejected
            .iter()
            .any(|other| other.hypothesis == "gateway change"),
        "{:?}",
        last.rejected
    );
}

#[test]
fn it_opens_at_the_kill_and_each_step_follows_its_cause() {
    let incidents = leak().replay();
    let first = incidents.first().unwrap();
    assert_eq!((first.revision, first.state), (1, State::Open));
    assert!(first.opened_at.as_ns() - first.first_symptom_at.as_ns() <= 2 * SECOND);
    for incident in &incidents {
        for step in incident.steps.iter().filter(|step| step.role != Role::RootCause) {
            let cause = step.caused_by.first().unwrap().step;
            let cause = incident.steps.iter().find(|other| other.id == cause).unwrap();
            assert!(
                cause.start <= step.start && cause.depth < step.depth,
                "{} before {}",
                cause.condition,
                step.condition
            );
        }
    }
    let revisions: Vec<u32> = incidents.iter().map(|incident| incident.revision).collect();
    assert_eq!(
        revisions,
        (1..=u32::try_from(incidents.len()).unwrap()).collect::<Vec<_>>()
    );
}

#[test]
fn without_the_redeploy_the_leak_itself_is_the_root() {
    let mut log = leak();
    log.0
        .retain(|event| !matches!(event.body, Body::ExecutableChanged(_)));
    let incidents = log.replay();
    assert_eq!(
        incidents.last().unwrap().root_cause().unwrap().condition,
        "memory_growth"
    );
}

#[test]
fn when_the_symptoms_stay_away_it_is_resolved_once() {
    let mut log = leak();
    log.healthy(25, 120);
    let incidents = log.replay();
    let resolved: Vec<_> = incidents
        .iter()
        .filter(|incident| incident.state == State::Resolved)
        .collect();
    assert_eq!(resolved.len(), 1);
    assert_eq!(incidents.last().unwrap().state, State::Resolved);
}

#[test]
fn a_stop_that_was_over_before_is_excluded_with_that_reason() {
    let mut log = leak();
    let stopped = ProcessExited {
        main: true,
        ..ProcessExited::default()
    };
    log.add(
        9 * SECOND + 990 * MILLI,
        Severity::Info,
        process("cache", 4700),
        None,
        Body::ProcessExited(stopped),
    );
    log.add(
        9 * SECOND + 999 * MILLI,
        Severity::Info,
        process("cache", 4711),
        Some(service("cache")),
        Body::Listening(Listening { open: true }),
    );
    let incidents = log.replay();
    let last = incidents.last().unwrap();
    assert_eq!(last.root_cause().unwrap().condition, "executable_changed");
    let stop = last
        .rejected
        .iter()
        .find(|other| other.hypothesis == "stop of cache")
        .unwrap();
    assert_eq!(stop.because, "over 5.3 s before");
    assert!(last.confidence > 0.8, "{}", last.confidence);
}
