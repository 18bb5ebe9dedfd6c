//! What looks alike and is something else, or nothing.

use bus_schema::entity::{Process, UNIT_KIND, Workload};
use bus_schema::event::Body;
use bus_schema::event::network::{EdgeStats, Role};
use bus_schema::event::process::{ProcessExited, SignalSent};
use bus_schema::incident::NOT_OBSERVED;
use bus_schema::{Entity, Incident, Severity};

use super::log::{Log, leak, process, service};
use super::replay::conditions;
use super::{MILLI, SECOND};

#[test]
fn healthy_traffic_and_a_harmless_redeploy_are_no_incident() {
    let mut log = Log::default();
    log.healthy(0, 20);
    log.redeploy(20 * SECOND + 500 * MILLI, "cache", "v6.1", "v6.2");
    for milli in [505, 515] {
        log.refused(20 * SECOND + milli * MILLI);
        log.error(20 * SECOND + (milli + 1) * MILLI, Role::Server);
    }
    log.second(21 * SECOND, 100, 2, 104, 6);
    log.healthy(21, 60);
    assert_eq!(log.replay(), []);
}

/// Whom the leak affects when a unit of the node calls the cache once a second, in vain from its end on.
fn affected_beside(unit: &str) -> Vec<String> {
    let mut log = leak();
    let caller = Entity {
        workload: Some(Workload {
            kind: UNIT_KIND.to_owned(),
            namespace: "host".to_owned(),
            name: unit.to_owned(),
        }),
        ..service(unit)
    };
    for second in 1..=20 {
        let refused = u64::from(second > 15);
        let edge = EdgeStats {
            attempts: 1,
            established: 1 - refused,
            refused,
            ..EdgeStats::default()
        };
        let (subject, object) = (caller.clone(), Some(service("cache")));
        log.add(
            second * SECOND,
            Severity::Info,
            subject,
            object,
            Body::EdgeStats(edge),
        );
    }
    log.replay().last().unwrap().impact.workloads.clone()
}

#[test]
fn a_probe_that_is_refused_is_nobody_who_suffers() {
    assert!(affected_beside("monitor").contains(&"monitor".to_owned()));
    assert!(!affected_beside("kubelet").contains(&"kubelet".to_owned()));
}

#[test]
fn errors_of_the_gateways_own_new_version_are_not_blamed_on_the_cache() {
    let mut log = Log::default();
    log.healthy(0, 10);
    log.redeploy(10 * SECOND, "gateway", "v1", "v2");
    log.errors_of_the_gateway_itself(10 * SECOND + 50 * MILLI, 6);
    let incidents = log.replay();
    let last = incidents.last().unwrap();
    let root = last.root_cause().unwrap();
    assert_eq!(
        (root.label.as_str(), root.condition.as_str()),
        ("gateway", "executable_changed")
    );
    assert!(!last.impact.workloads.contains(&"cache".to_owned()));
    assert!(incidents.iter().all(|incident| incident.id == last.id));
    assert!(incidents[0].opened_at.as_ns() - incidents[0].first_symptom_at.as_ns() <= 2 * SECOND);
}

#[test]
fn requests_that_were_under_way_fail_before_anybody_is_refused() {
    let mut log = Log::default();
    log.healthy(0, 10);
    let exit = ProcessExited {
        signal: 11,
        main: true,
        ..ProcessExited::default()
    };
    let cache = process("cache", 4711);
    log.add(
        10 * SECOND,
        Severity::Error,
        cache,
        None,
        Body::ProcessExited(exit),
    );
    log.error(10 * SECOND + MILLI, Role::Server);
    log.outage(10 * SECOND + 30 * MILLI, 5);
    let incidents = log.replay();
    let last = incidents.last().unwrap();
    assert!(incidents.iter().all(|incident| incident.id == last.id));
    let steps = conditions(last);
    for step in [("gateway", "connect_refused"), ("gateway", "http_5xx")] {
        assert!(steps.contains(&step), "{step:?} is missing from {steps:?}");
    }
}

/// The cache ends by `signal`, and nobody was seen to send it.
fn an_end_by(signal: i32) -> Incident {
    let mut log = Log::default();
    log.healthy(0, 10);
    let exit = ProcessExited {
        signal,
        main: true,
        ..ProcessExited::default()
    };
    let cache = process("cache", 4711);
    log.add(
        10 * SECOND,
        Severity::Error,
        cache,
        None,
        Body::ProcessExited(exit),
    );
    log.outage(10 * SECOND + 2 * MILLI, 5);
    log.replay().pop().unwrap()
}

#[test]
fn a_fault_of_its_own_needs_nobody_else_and_a_kill_does() {
    const SIGKILL: i32 = 9;
    const SIGSEGV: i32 = 11;
    let (fault, kill) = (an_end_by(SIGSEGV), an_end_by(SIGKILL));
    for (end, condition) in [(&fault, "process_crashed"), (&kill, NOT_OBSERVED)] {
        let root = end.root_cause().unwrap();
        assert_eq!((&*root.label, &*root.condition), ("cache", condition));
        assert!(conditions(end).contains(&("cache", "process_crashed")));
    }
    assert!(fault.confidence > 0.8, "{}", fault.confidence);
}

#[test]
fn a_kill_by_somebodys_shell_is_the_root_with_its_sender() {
    let mut log = Log::default();
    log.healthy(0, 10);
    let shell = Entity {
        process: Some(Process {
            pid: 99,
            start_ns: 1,
            comm: "bash".into(),
            exe: String::new(),
        }),
        node: Some("n1".into()),
        ..Entity::default()
    };
    let signal = SignalSent {
        signal: 9,
        by_kernel: false,
    };
    log.add(
        10 * SECOND,
        Severity::Warning,
        shell,
        Some(process("cache", 4711)),
        Body::SignalSent(signal),
    );
    let exit = ProcessExited {
        signal: 9,
        main: true,
        ..ProcessExited::default()
    };
    log.add(
        10 * SECOND + MILLI,
        Severity::Error,
        process("cache", 4711),
        None,
        Body::ProcessExited(exit),
    );
    log.outage(10 * SECOND + 2 * MILLI, 5);
    let incidents = log.replay();
    let last = incidents.last().unwrap();
    let root = last.root_cause().unwrap();
    assert_eq!(root.condition, "signal_sent");
    assert!(
        root.text.contains("SIGKILL") && root.text.contains("bash (pid 99)"),
        "{}",
        root.text
    );
    assert!(
        !conditions(last)
            .iter()
            .any(|(_, condition)| *condition == "memory_growth" || *condition == "oom_kill")
    );
}
