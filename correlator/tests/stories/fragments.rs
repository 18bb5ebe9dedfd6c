//! One fault is one incident, even where nobody saw its cause.

use std::collections::BTreeSet;

use bus_schema::entity::{Pod, Service, Workload};
use bus_schema::event::Body;
use bus_schema::event::container::OomKill;
use bus_schema::event::network::{ConnectFailed, ConnectFailure, Listening, Role, TcpStats};
use bus_schema::event::process::{ProcessExited, SignalSent};
use bus_schema::event::status::{HttpError, HttpStats};
use bus_schema::histogram::Log2;
use bus_schema::{Entity, EventId, Severity};

use super::log::{Log, process, service};
use super::{MILLI, SECOND};

impl Log {
    /// For five seconds from `at`, and for as long before without a failure, `asking` asks `asked` ten times a second,
    /// which does not answer.
    fn is_silent(&mut self, asking: &str, asked: &str, at: u64) {
        let window = |answered: u64, unanswered: u64| {
            let mut waited = Log2::default();
            waited.record(50 * MILLI, unanswered);
            HttpStats {
                role: Role::Client,
                by_class: [0, answered, 0, 0, 0],
                unanswered: waited,
                ..HttpStats::default()
            }
        };
        let mut second = |end: u64, answered, unanswered| {
            let stats = Body::HttpStats(window(answered, unanswered));
            self.add(end, Severity::Info, service(asking), Some(service(asked)), stats);
        };
        (1..=10).for_each(|number| second(number * SECOND, 10, 0));
        let first = at / SECOND + 1;
        (first..first + 5).for_each(|number| second(number * SECOND, 0, 10));
        for tenth in 0..50 {
            let error = HttpError {
                role: Role::Client,
                status: 0,
                latency_ns: 50 * MILLI,
                ..HttpError::default()
            };
            self.add(
                at + tenth * 100 * MILLI,
                Severity::Warning,
                process(asking, 1),
                Some(service(asked)),
                Body::HttpError(error),
            );
        }
    }
}

/// Incidents, and the narrative of the last revision of the first one.
fn told(mut log: Log) -> (BTreeSet<EventId>, String) {
    // time goes on after the last failure
    (20..24).for_each(|second| log.second(second * SECOND, 10, 0, 10, 0));
    let incidents = log.replay();
    let ids: BTreeSet<_> = incidents
        .iter()
        .filter(|incident| incident.merged_into.is_none())
        .map(|incident| incident.id)
        .collect();
    let first = ids.first().copied();
    let last = incidents.iter().rfind(|incident| Some(incident.id) == first);
    (ids, last.map(|last| last.narrative.clone()).unwrap_or_default())
}

#[test]
fn several_callers_of_one_silent_callee_are_one_incident() {
    let mut log = Log::default();
    log.is_silent("cart", "stock", 11 * SECOND);
    log.is_silent("search", "stock", 11 * SECOND + 300 * MILLI);
    let (incidents, narrative) = told(log);
    assert_eq!(incidents.len(), 1, "{narrative}");
    let all = "Something that nobody saw in stock caused unanswered requests from cart and unanswered requests from search.";
    assert_eq!(narrative, all);
}

#[test]
fn callers_of_different_callees_are_different_incidents() {
    let mut log = Log::default();
    log.is_silent("cart", "stock", 11 * SECOND);
    log.is_silent("search", "index", 11 * SECOND + 300 * MILLI);
    assert_eq!(told(log).0.len(), 2);
}

#[test]
fn a_row_of_callers_is_one_incident_that_begins_with_the_deepest() {
    let mut log = Log::default();
    log.is_silent("edge", "cart", 11 * SECOND);
    log.is_silent("cart", "stock", 11 * SECOND + 10 * MILLI);
    let (incidents, narrative) = told(log);
    assert_eq!(incidents.len(), 1, "{narrative}");
    let deepest =
        "Something that nobody saw between cart and stock caused unanswered requests from cart, triggering";
    assert!(narrative.starts_with(deepest), "{narrative}");
}

/// What is told when the second in which segments were lost ends so long after the first unanswered request.
fn lost(later: u64) -> String {
    let mut log = Log::default();
    log.is_silent("cart", "stock", 11 * SECOND);
    for second in 0..5 {
        let stats = TcpStats {
            retransmits: Some(60),
            ..TcpStats::default()
        };
        let end = 11 * SECOND + later + second * SECOND;
        log.add(
            end,
            Severity::Info,
            Entity::of_node("n1"),
            None,
            Body::TcpStats(stats),
        );
        log.0.last_mut().unwrap().window_ns = SECOND;
    }
    told(log).1
}

#[test]
fn what_a_sum_of_a_second_tells_began_within_that_second() {
    let (within, after) = (lost(27 * MILLI), lost(1_500 * MILLI));
    assert!(within.starts_with("Packet loss"), "{within}");
    assert!(
        after.starts_with("Something that nobody saw between cart and stock"),
        "{after}"
    );
}

/// What callers of a Service with two workloads behind it suffer while one of them, or a stranger, is killed.
fn canary(killed: &str) -> String {
    let deployment = |name: &str| Workload {
        kind: "Deployment".into(),
        namespace: "shop".into(),
        name: name.into(),
    };
    let called = Entity {
        service: Some(Service {
            namespace: "shop".into(),
            name: "api".into(),
        }),
        backends: ["api", "api-canary"].map(deployment).to_vec(),
        ..Entity::default()
    };
    let mut log = Log::default();
    log.healthy(0, 10);
    let of_killed = Entity {
        node: Some("n1".into()),
        ..Entity::of_workload(deployment(killed))
    };
    let kill = Body::OomKill(OomKill::default());
    log.add(11 * SECOND, Severity::Error, of_killed, None, kill);
    for tenth in 0..40 {
        let refused = ConnectFailed {
            failure: ConnectFailure::Refused,
            errno: 111,
            latency_ns: 5,
        };
        log.add(
            11 * SECOND + (tenth * 100 + 2) * MILLI,
            Severity::Warning,
            process("gateway", 22),
            Some(called.clone()),
            Body::ConnectFailed(refused),
        );
    }
    log.healthy(10, 20);
    let incidents = log.replay();
    let of_gateway = incidents.iter().rev().flat_map(|incident| &incident.steps);
    let refused = of_gateway.filter(|step| step.condition == "connect_refused");
    let causes: Vec<_> = refused
        .flat_map(|step| &step.caused_by)
        .map(|cause| cause.rule.as_str())
        .collect();
    causes
        .first()
        .map_or_else(|| "none".to_owned(), |rule| (*rule).to_owned())
}

#[test]
fn what_happens_to_one_of_two_workloads_behind_a_service_reaches_its_callers() {
    assert_eq!(canary("api-canary"), "killed-callee-refuses");
    assert_eq!(canary("stranger"), "none");
}

/// Incidents of a workload of this kind whose process ends with status 1 as often, and listens in between where it does.
fn ends(kind: &str, times: u64, listens: bool) -> usize {
    let workload = Workload {
        kind: kind.into(),
        namespace: "shop".into(),
        name: "report".into(),
    };
    let mut log = Log::default();
    log.healthy(0, 20 * times + 10);
    for time in 1..=times {
        let pid = u32::try_from(time).unwrap();
        let subject = Entity {
            workload: Some(workload.clone()),
            cgroup: None,
            ..process("report", pid)
        };
        let exit = ProcessExited {
            code: 1,
            main: true,
            ..ProcessExited::default()
        };
        log.add(
            20 * time * SECOND,
            Severity::Error,
            subject.clone(),
            None,
            Body::ProcessExited(exit),
        );
        if listens {
            let body = Body::Listening(Listening { open: true });
            log.add((20 * time + 5) * SECOND, Severity::Info, subject, None, body);
        }
    }
    told(log).0.len()
}

#[test]
fn what_is_started_again_and_ends_again_is_one_incident() {
    for listens in [false, true] {
        let ends = |times| ends("Deployment", times, listens);
        assert_eq!((ends(1), ends(5)), (1, 1), "listens: {listens}");
    }
}

#[test]
fn a_job_that_ends_with_1_is_nobodys_outage() {
    assert_eq!((ends("Job", 3, false), ends("CronJob", 1, false)), (0, 0));
}

/// One process of each of these services is killed by somebody, the second a quarter of a second after the first.
fn killed(services: [&str; 2]) -> usize {
    let mut log = Log::default();
    log.healthy(0, 20);
    for (pid, service) in (100..).zip(services) {
        let at = 11 * SECOND + u64::from(pid - 100) * 250 * MILLI;
        let pod = Some(Pod {
            uid: format!("{service}-{pid}"),
            namespace: "shop".into(),
            name: format!("{service}-{pid}"),
        });
        let victim = || Entity {
            pod: pod.clone(),
            ..process(service, pid)
        };
        let signal = Body::SignalSent(SignalSent {
            signal: 9,
            by_kernel: false,
        });
        log.add(at, Severity::Warning, process("bash", 7), Some(victim()), signal);
        let exit = ProcessExited {
            signal: 9,
            main: true,
            ..ProcessExited::default()
        };
        log.add(
            at + MILLI,
            Severity::Error,
            victim(),
            None,
            Body::ProcessExited(exit),
        );
    }
    told(log).0.len()
}

#[test]
fn all_instances_of_a_service_that_are_killed_together_are_one_incident() {
    assert_eq!(killed(["cart", "cart"]), 1);
    assert_eq!(killed(["cart", "stock"]), 2);
}

/// What the gateway's errors are put down to when the cache is told to end, or another, 40 ms before they begin.
fn told_to_end(service: &str, signal: i32) -> String {
    let mut log = Log::default();
    log.healthy(0, 10);
    let signal = Body::SignalSent(SignalSent {
        signal,
        by_kernel: false,
    });
    let target = Some(process(service, 4711));
    log.add(
        10 * SECOND + 900 * MILLI,
        Severity::Warning,
        process("bash", 7),
        target,
        signal,
    );
    log.healthy(10, 11);
    log.errors_of_the_gateway_itself(10 * SECOND + 940 * MILLI, 4);
    told(log).1
}

#[test]
fn a_callee_that_is_told_to_end_fails_the_calls_that_are_under_way() {
    let sigint = told_to_end("cache", 2);
    assert!(sigint.starts_with("SIGINT sent to cache by bash"), "{sigint}");
    for other in [told_to_end("stranger", 2), told_to_end("cache", 1)] {
        assert!(!other.contains("bash"), "{other}");
    }
}
