//! Connections that break, whatever is spoken over them, and ports that are used up.

use bus_schema::event::Body;
use bus_schema::event::network::{ConnectFailed, ConnectFailure, EdgeStats};
use bus_schema::event::process::ProcessExited;
use bus_schema::{Incident, Severity};

use super::log::{Log, process, service};
use super::{MILLI, SECOND};

impl Log {
    /// A worker's connections to the queue in the second that ends at `end`: so many are closed, so many of these by a reset.
    fn closed(&mut self, end: u64, closed: u64, reset: u64) {
        let edge = EdgeStats {
            attempts: closed,
            established: closed,
            closed,
            reset,
            ..EdgeStats::default()
        };
        self.add(
            end,
            Severity::Info,
            service("worker"),
            Some(service("queue")),
            Body::EdgeStats(edge),
        );
    }
}

/// The last revision of the only incident, where there is one.
fn last(log: Log) -> Option<Incident> {
    let incidents = log.replay();
    let last = incidents.last().cloned()?;
    assert!(incidents.iter().all(|incident| incident.id == last.id));
    Some(last)
}

fn root(incident: &Incident) -> (&str, &str) {
    let root = incident.root_cause().unwrap();
    (root.label.as_str(), root.condition.as_str())
}

/// Of twenty connections a second so many are reset from eleven seconds on, for so long; the queue has a new version before.
fn after_release(before: u64, reset: u64, seconds: u64) -> Option<Incident> {
    let mut log = Log::default();
    log.redeploy(10 * SECOND + 500 * MILLI, "queue", "v1", "v2");
    for second in 1..=24 {
        let breaks = (12..12 + seconds).contains(&second);
        log.closed(second * SECOND, 20, if breaks { reset } else { before });
    }
    last(log)
}

#[test]
fn connections_that_a_new_version_breaks_are_its_fault_and_a_few_or_as_many_as_ever_are_no_incident() {
    let incident = after_release(0, 20, 10).unwrap();
    assert_eq!(
        root(&incident),
        ("queue", "executable_changed"),
        "{}",
        incident.narrative
    );
    let step = incident.steps.last().unwrap();
    assert_eq!(
        (step.label.as_str(), step.condition.as_str()),
        ("worker", "connection_broken")
    );
    assert_eq!(
        step.text,
        "100 % of connections to queue were reset by it, or given up"
    );
    assert_eq!(after_release(20, 20, 10), None, "it always ends them so");
    assert_eq!(after_release(0, 1, 1), None);
}

/// The gateway finds no free port for some of its calls to the cache, and its users get errors; before that, the gateway has a
/// new version.
fn without_ports(errno: i32) -> Incident {
    let mut log = Log::default();
    log.healthy(0, 10);
    log.redeploy(10 * SECOND + 500 * MILLI, "gateway", "v1", "v2");
    for second in 12..=20 {
        for tenth in 0..10 {
            let failed = ConnectFailed {
                failure: ConnectFailure::Other,
                errno,
                latency_ns: 0,
            };
            log.add(
                second * SECOND + tenth * 100 * MILLI - SECOND,
                Severity::Warning,
                process("gateway", 7),
                Some(service("cache")),
                Body::ConnectFailed(failed),
            );
        }
        log.second(second * SECOND, 100, 60, 40, 0);
    }
    last(log).unwrap()
}

#[test]
fn ports_that_are_used_up_are_told_as_such_and_are_no_failure_of_the_callee() {
    let conditions = |incident: &Incident| -> Vec<String> {
        let steps = incident.steps.iter();
        steps.map(|step| step.condition.clone()).collect()
    };
    let incident = without_ports(99);
    assert_eq!(
        root(&incident),
        ("gateway", "executable_changed"),
        "{}",
        incident.narrative
    );
    let told = conditions(&incident);
    assert!(told.contains(&"ports_exhausted".to_owned()), "{told:?}");
    assert!(
        incident.narrative.contains("no free ports in gateway"),
        "{}",
        incident.narrative
    );
    let told = conditions(&without_ports(13));
    assert!(!told.contains(&"ports_exhausted".to_owned()), "EACCES: {told:?}");
}

/// Incidents of a worker that sends segments again on its connections to the queue, with or without a stop of one of its processes
/// right before.
fn resent(queue_stops: bool) -> usize {
    let mut log = Log::default();
    for second in 1..=20 {
        let edge = EdgeStats {
            attempts: 10,
            established: 10,
            segments: 400,
            retransmits: if (12..16).contains(&second) { 60 } else { 0 },
            ..EdgeStats::default()
        };
        log.add(
            second * SECOND,
            Severity::Info,
            service("worker"),
            Some(service("queue")),
            Body::EdgeStats(edge),
        );
    }
    if queue_stops {
        let exit = ProcessExited {
            signal: 15,
            main: true,
            ..ProcessExited::default()
        };
        log.add(
            11 * SECOND + 100 * MILLI,
            Severity::Notice,
            process("queue", 7),
            None,
            Body::ProcessExited(exit),
        );
    }
    log.replay().len()
}

#[test]
fn what_is_sent_again_to_who_was_stopped_is_no_incident_and_loss_on_the_way_is_one() {
    assert_eq!(resent(true), 0);
    assert!(resent(false) > 0);
}
