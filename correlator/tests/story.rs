//! Stories as events, replayed through both steps: what must be found, and what must not.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use bus_schema::entity::{Cgroup, Process, Workload};
use bus_schema::event::container::OomKill;
use bus_schema::event::memory::MemoryGrowth;
use bus_schema::event::network::{ConnectFailed, ConnectFailure, EdgeStats, Listening, Role};
use bus_schema::event::node::{Capability, Coverage, NodePressure};
use bus_schema::event::process::{Executable, ExecutableChanged, ProcessExited, SignalSent};
use bus_schema::event::status::{HttpError, HttpStats};
use bus_schema::event::{Body, Event};
use bus_schema::incident::{Role as Part, State};
use bus_schema::{Batch, Entity, EventId, Header, Incident, SCHEMA_VERSION, Severity};
use correlator::fold::Folder;
use correlator::graph::Graph;
use correlator::rules::RuleBook;

const SECOND: u64 = 1_000_000_000;
const MILLI: u64 = 1_000_000;
const START: u64 = 1_700_000_000 * SECOND;
const OBSERVERS: [&str; 5] = [
    "network",
    "status",
    "memory",
    "process-signals",
    "container-runtime",
];

/// A log of events, written in any order, replayed in order of time.
#[derive(Default)]
struct Log(Vec<Event>);

fn service(name: &str) -> Entity {
    let workload = Workload {
        kind: "Cgroup".into(),
        namespace: "host".into(),
        name: name.into(),
    };
    let cgroup = Some(Cgroup {
        id: 1,
        path: format!("/shop/{name}"),
    });
    Entity {
        workload: Some(workload),
        cgroup,
        node: Some("n1".into()),
        ..Entity::default()
    }
}

fn process(name: &str, pid: u32) -> Entity {
    let process = Some(Process {
        pid,
        start_ns: 1,
        comm: name.into(),
        exe: String::new(),
    });
    Entity {
        process,
        ..service(name)
    }
}

impl Log {
    fn add(&mut self, at: u64, severity: Severity, subject: Entity, object: Option<Entity>, body: Body) {
        let id = EventId::of_event(START + at, "n1", "b", "o", self.0.len() as u64);
        let time_ns = START + at;
        let window_ns = if matches!(body, Body::EdgeStats(_) | Body::HttpStats(_)) {
            SECOND
        } else {
            0
        };
        self.0.push(Event {
            id,
            time_ns,
            observed_ns: time_ns,
            severity,
            subject,
            object,
            count: 1,
            window_ns,
            trace: None,
            body,
        });
    }

    /// One second of the shop, ending at `end`: users ask the gateway, the gateway asks the cache.
    fn second(&mut self, end: u64, users: u64, errors: u64, attempts: u64, refused: u64) {
        let http = |role| HttpStats {
            role,
            by_class: [0, users - errors, 0, 0, errors],
            ..HttpStats::default()
        };
        let (asked, asking) = (http(Role::Server), http(Role::Client));
        self.add(
            end,
            Severity::Info,
            service("gateway"),
            None,
            Body::HttpStats(asked),
        );
        self.add(
            end,
            Severity::Info,
            service("users"),
            Some(service("gateway")),
            Body::HttpStats(asking),
        );
        let edge = EdgeStats {
            attempts,
            established: attempts - refused,
            refused,
            ..EdgeStats::default()
        };
        self.add(
            end,
            Severity::Info,
            service("gateway"),
            Some(service("cache")),
            Body::EdgeStats(edge),
        );
    }

    fn healthy(&mut self, from: u64, to: u64) {
        (from + 1..=to).for_each(|second| self.second(second * SECOND, 100, 0, 100, 0));
    }

    fn redeploy(&mut self, at: u64, service: &str, old: &str, new: &str) {
        let executable = |label: &str| Executable {
            path: format!("/srv/{label}/{service}"),
            label: label.into(),
            ..Executable::default()
        };
        let change = ExecutableChanged {
            old: executable(old),
            new: executable(new),
        };
        self.add(
            at,
            Severity::Notice,
            process(service, 4711),
            None,
            Body::ExecutableChanged(change),
        );
    }

    fn growth(&mut self, at: u64, service: &str) {
        let growth = MemoryGrowth {
            usage_bytes: 40 << 20,
            rate_bytes_per_second: 12e6,
            limit_bytes: Some(64 << 20),
            time_to_limit_ns: Some(2 * SECOND),
            ..MemoryGrowth::default()
        };
        self.add(
            at,
            Severity::Warning,
            process(service, 4711),
            None,
            Body::MemoryGrowth(growth),
        );
    }

    fn oom(&mut self, at: u64, service: &str) {
        let kill = OomKill {
            trigger: Process {
                pid: 4711,
                ..Process::default()
            },
            limit_bytes: Some(64 << 20),
            usage_bytes: 64 << 20,
            rss_bytes: 63 << 20,
            limited_cgroup: "/shop/cache".into(),
        };
        self.add(
            at,
            Severity::Error,
            process(service, 4711),
            None,
            Body::OomKill(kill),
        );
        let exit = ProcessExited {
            signal: 9,
            main: true,
            ..ProcessExited::default()
        };
        self.add(
            at + MILLI / 2,
            Severity::Error,
            process(service, 4711),
            None,
            Body::ProcessExited(exit),
        );
    }

    /// Refused connections and 500s from `at` for `seconds`, with retries.
    fn outage(&mut self, at: u64, seconds: u64) {
        for tenth in 0..seconds * 10 {
            let moment = at + tenth * 100 * MILLI;
            let refused = ConnectFailed {
                failure: ConnectFailure::Refused,
                errno: 111,
                latency_ns: 5,
            };
            self.add(
                moment,
                Severity::Warning,
                process("gateway", 22),
                Some(service("cache")),
                Body::ConnectFailed(refused),
            );
            let error = |role| HttpError {
                role,
                status: 500,
                latency_ns: 7,
            };
            self.add(
                moment + MILLI,
                Severity::Warning,
                process("gateway", 22),
                None,
                Body::HttpError(error(Role::Server)),
            );
            self.add(
                moment + 2 * MILLI,
                Severity::Warning,
                process("users", 33),
                Some(service("gateway")),
                Body::HttpError(error(Role::Client)),
            );
        }
        let first = at / SECOND + 1;
        (first..first + seconds).for_each(|second| self.second(second * SECOND, 200, 190, 600, 580));
    }

    fn errors_of_the_gateway_itself(&mut self, at: u64, seconds: u64) {
        for tenth in 0..seconds * 10 {
            let error = HttpError {
                role: Role::Server,
                status: 500,
                latency_ns: 7,
            };
            self.add(
                at + tenth * 100 * MILLI,
                Severity::Warning,
                process("gateway", 22),
                None,
                Body::HttpError(error),
            );
        }
        let first = at / SECOND + 1;
        (first..first + seconds).for_each(|second| self.second(second * SECOND, 200, 200, 200, 0));
    }

    fn replay(self) -> Vec<Incident> {
        self.replay_from(|folder, graph| (folder, graph))
    }

    /// Replays; `between` may replace both states after each message, as a restart does.
    fn replay_from(mut self, between: impl Fn(Folder, Graph) -> (Folder, Graph)) -> Vec<Incident> {
        self.capabilities();
        self.0.sort_by_key(|event| event.time_ns);
        let book = Arc::new(RuleBook::embedded().unwrap());
        let (mut folder, mut graph) = (
            Folder::new(0),
            Graph::new(book, correlator::graph::State::default()),
        );
        let mut incidents = Vec::new();
        for (sequence, event) in (1..).zip(self.0) {
            let header = Header {
                schema: SCHEMA_VERSION,
                cluster: "lab".into(),
                node: "n1".into(),
                boot: "b".into(),
                observer: "o".into(),
                first_sequence: sequence,
                watermark_ns: event.time_ns - 1,
                dropped_total: 0,
            };
            let report = folder.apply(
                sequence,
                &Batch {
                    header,
                    events: vec![event],
                    ..Batch::default()
                },
            );
            incidents.extend(report.iter().flat_map(|report| graph.apply(report)));
            (folder, graph) = between(folder, graph);
        }
        incidents
    }

    fn capabilities(&mut self) {
        for observer in OBSERVERS {
            let capability = Capability {
                observer: observer.into(),
                hook: "all".into(),
                rung: "tp_btf".into(),
                coverage: Coverage::Full,
                reason: String::new(),
            };
            self.add(
                1,
                Severity::Info,
                Entity::of_node("n1"),
                None,
                Body::Capability(capability),
            );
        }
        let pressure = NodePressure {
            memory_some_avg10: Some(0.0),
            memory_available_bytes: 8 << 30,
            memory_total_bytes: 16 << 30,
            ..NodePressure::default()
        };
        self.add(
            2,
            Severity::Info,
            Entity::of_node("n1"),
            None,
            Body::NodePressure(pressure),
        );
    }
}

/// The cache's new version leaks until the kernel kills it.
fn leak() -> Log {
    let mut log = Log::default();
    log.healthy(0, 10);
    log.redeploy(10 * SECOND, "cache", "v6.2", "v7.0");
    (12..15).for_each(|second| log.growth(second * SECOND, "cache"));
    log.healthy(10, 15);
    log.oom(15 * SECOND + 300 * MILLI, "cache");
    log.outage(15 * SECOND + 302 * MILLI, 5);
    log
}

fn conditions(incident: &Incident) -> Vec<(&str, &str)> {
    incident
        .steps
        .iter()
        .map(|step| (step.label.as_str(), step.condition.as_str()))
        .collect()
}

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
        for step in incident.steps.iter().filter(|step| step.role != Part::RootCause) {
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
fn healthy_traffic_and_a_harmless_redeploy_are_no_incident() {
    let mut log = Log::default();
    log.healthy(0, 20);
    log.redeploy(20 * SECOND + 500 * MILLI, "cache", "v6.1", "v6.2");
    for (time, milli) in [(20 * SECOND, 505), (20 * SECOND, 515)] {
        let refused = ConnectFailed {
            failure: ConnectFailure::Refused,
            errno: 111,
            latency_ns: 5,
        };
        log.add(
            time + milli * MILLI,
            Severity::Warning,
            process("gateway", 22),
            Some(service("cache")),
            Body::ConnectFailed(refused),
        );
        let error = HttpError {
            role: Role::Server,
            status: 500,
            latency_ns: 7,
        };
        log.add(
            time + (milli + 1) * MILLI,
            Severity::Warning,
            process("gateway", 22),
            None,
            Body::HttpError(error),
        );
    }
    log.second(21 * SECOND, 100, 2, 104, 6);
    log.healthy(21, 60);
    assert_eq!(log.replay(), []);
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

#[test]
fn a_restart_at_any_message_changes_nothing() {
    let undisturbed = leak().replay();
    let book = Arc::new(RuleBook::embedded().unwrap());
    let restarted = leak().replay_from(|folder, graph| {
        let folder = rmp_serde::from_slice(&rmp_serde::to_vec_named(&folder).unwrap()).unwrap();
        let state = rmp_serde::from_slice(&rmp_serde::to_vec_named(graph.state()).unwrap()).unwrap();
        (folder, Graph::new(Arc::clone(&book), state))
    });
    assert_eq!(
        serde_json::to_string(&restarted).unwrap(),
        serde_json::to_string(&undisturbed).unwrap()
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
fn where_an_observer_is_missing_the_incident_says_so_and_is_less_sure() {
    let seeing = leak().replay().last().unwrap().confidence;
    let mut log = leak();
    let gone = Capability {
        observer: "process-signals".into(),
        hook: "exec".into(),
        coverage: Coverage::Missing,
        reason: "no BTF".into(),
        ..Capability::default()
    };
    log.add(
        3,
        Severity::Warning,
        Entity::of_node("n1"),
        None,
        Body::Capability(gone),
    );
    let incidents = log.replay();
    let last = incidents.last().unwrap();
    assert!(last.confidence < seeing, "{} against {seeing}", last.confidence);
    assert!(
        last.completeness.score < 1.0 && last.completeness.blind.iter().any(|text| text.contains("no BTF")),
        "{:?}",
        last.completeness
    );
}

#[test]
fn every_revision_is_what_the_published_schema_describes() {
    let schema = serde_json::from_str(include_str!("../../bus/schema/incident.schema.json")).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let mut incidents = leak().replay();
    assert!(!incidents.is_empty());
    for incident in &incidents {
        let json = serde_json::to_value(incident).unwrap();
        let errors: Vec<_> = validator
            .iter_errors(&json)
            .map(|error| error.to_string())
            .collect();
        assert!(errors.is_empty(), "{errors:?}");
    }
    incidents[0].confidence = 1.5;
    assert!(
        !validator.is_valid(&serde_json::to_value(&incidents[0]).unwrap()),
        "a probability above 1"
    );
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
