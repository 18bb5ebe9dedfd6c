//! What one event says about a condition.

use std::collections::BTreeMap;

use bus_schema::entity::Process;
use bus_schema::episode::Fact;
use bus_schema::event::container::OomKill;
use bus_schema::event::memory::MemoryGrowth;
use bus_schema::event::network::{ConnectFailed, ConnectFailure, Role};
use bus_schema::event::process::{ExecutableChanged, ProcessExited, SignalSent};
use bus_schema::event::status::HttpError;
use bus_schema::event::{Body, Event};
use bus_schema::{Entity, EventId, Severity};

use crate::condition::Condition;

/// Facts by name.
pub(super) type Facts = BTreeMap<String, Fact>;

/// A condition was seen on an entity.
#[derive(Debug, Clone)]
pub(super) struct Sighting {
    pub(super) condition: Condition,
    pub(super) severity: Severity,
    pub(super) subject: Entity,
    pub(super) object: Option<Entity>,
    pub(super) time_ns: u64,
    /// Until when it lasted for certain, UNIX ns: earlier than `time_ns` where only a sum tells of it.
    pub(super) certain_until_ns: u64,
    pub(super) count: u64,
    pub(super) intensity: f64,
    pub(super) baseline: f64,
    pub(super) surprise: f64,
    /// Whether nothing of its kind has worked here yet, where that is known.
    pub(super) is_starting: Option<bool>,
    pub(super) facts: Facts,
    pub(super) evidence: Option<EventId>,
}

/// Fact of what ends a listener: how many other instances of the service go on listening.
pub(crate) const OTHERS_LISTENING: &str = "others_listening";

/// Fact of a call that was given up: how long its caller had waited by then.
pub(crate) const WAITED_SECONDS: &str = "waited_seconds";

impl Sighting {
    /// Notes how many instances are left.
    #[expect(clippy::cast_precision_loss, reason = "a small count")]
    pub(super) fn remaining(&mut self, others: usize) {
        let others = Fact::Number(others as f64);
        self.facts.insert(OTHERS_LISTENING.to_owned(), others);
    }

    /// What the event says; `None` for events that only make sense in sum.
    pub(super) fn of(event: &Event) -> Option<Self> {
        let object = event.object.clone();
        let (condition, severity, facts) = match &event.body {
            Body::ConnectFailed(failed) => {
                (refusal(failed.failure), Severity::Warning, connect_facts(failed))
            }
            Body::HttpError(error) => (http_condition(error), Severity::Warning, http_facts(error)),
            Body::MemoryGrowth(growth) => (Condition::MemoryGrowth, Severity::Warning, growth_facts(growth)),
            // In Kubernetes a new version is a new image, which the API tells; inside of it only its own starter execs.
            Body::ExecutableChanged(_) if event.subject.pod.is_some() => return None,
            Body::ExecutableChanged(change) => (
                Condition::ExecutableChanged,
                Severity::Notice,
                change_facts(change, event),
            ),
            Body::OomKill(kill) => (Condition::OomKill, Severity::Error, oom_facts(kill, event)),
            Body::ImageChanged(change) => (Condition::ImageChanged, Severity::Notice, image_facts(change)),
            Body::SignalSent(signal) => return signal_sighting(event, signal),
            Body::ProcessExited(exit) => return exit_sighting(event, exit),
            Body::Listening(_)
            | Body::EdgeStats(_)
            | Body::TcpStats(_)
            | Body::HttpStats(_)
            | Body::NodePressure(_)
            | Body::SpecChanged(_)
            | Body::ObjectState(_)
            | Body::Loss(_)
            | Body::Capability(_) => return None,
        };
        let object = if condition == Condition::Http5xx {
            None
        } else {
            object
        };
        Some(Self::new(
            condition,
            severity,
            event,
            event.subject.clone(),
            object,
            facts,
        ))
    }

    pub(super) fn new(
        condition: Condition,
        severity: Severity,
        event: &Event,
        subject: Entity,
        object: Option<Entity>,
        facts: Facts,
    ) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
        let intensity = event.count as f64;
        let evidence = Some(event.id);
        Self {
            condition,
            severity,
            subject,
            object,
            time_ns: event.time_ns,
            certain_until_ns: event.time_ns,
            count: event.count,
            intensity,
            baseline: 0.0,
            surprise: 0.0,
            is_starting: None,
            facts,
            evidence,
        }
    }
}

/// The condition of a failed connection attempt.
pub(super) fn refusal(failure: ConnectFailure) -> Condition {
    match failure {
        ConnectFailure::Refused => Condition::ConnectRefused,
        ConnectFailure::TimedOut => Condition::ConnectTimedOut,
        ConnectFailure::Unreachable => Condition::ConnectUnreachable,
        ConnectFailure::Reset | ConnectFailure::Other => Condition::ConnectFailed,
    }
}

fn http_condition(error: &HttpError) -> Condition {
    match (error.status, error.role) {
        (0, _) => Condition::HttpUnanswered,
        (_, Role::Client) => Condition::Http5xxReceived,
        (_, Role::Server | Role::Unknown) => Condition::Http5xx,
    }
}

fn http_facts(error: &HttpError) -> Facts {
    if error.status == 0 {
        number(WAITED_SECONDS, seconds(error.latency_ns))
    } else {
        number("status", f64::from(error.status))
    }
}

fn connect_facts(failed: &ConnectFailed) -> Facts {
    let mut facts = number("errno", f64::from(failed.errno));
    if failed.failure == ConnectFailure::TimedOut {
        facts.insert(WAITED_SECONDS.into(), Fact::Number(seconds(failed.latency_ns)));
    }
    facts
}

#[expect(clippy::cast_precision_loss, reason = "seconds for a sentence")]
fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

fn number(name: &str, value: f64) -> Facts {
    Facts::from([(name.to_owned(), Fact::Number(value))])
}

pub(super) fn text(value: &str) -> Fact {
    Fact::Text(value.to_owned())
}

#[expect(clippy::cast_precision_loss, reason = "bytes for a sentence")]
fn bytes(value: u64) -> Fact {
    Fact::Number(value as f64)
}

fn growth_facts(growth: &MemoryGrowth) -> Facts {
    let mut facts = number("rate_bytes_per_second", growth.rate_bytes_per_second);
    facts.insert("usage_bytes".into(), bytes(growth.usage_bytes));
    if let (Some(limit), Some(left_ns)) = (growth.limit_bytes, growth.time_to_limit_ns) {
        facts.insert("limit_bytes".into(), bytes(limit));
        facts.insert("time_to_limit_seconds".into(), Fact::Number(seconds(left_ns)));
    }
    facts
}

fn change_facts(change: &ExecutableChanged, event: &Event) -> Facts {
    let mut facts = Facts::from([
        ("new".to_owned(), text(&change.new.label)),
        ("old".to_owned(), text(&change.old.label)),
        ("new_path".to_owned(), text(&change.new.path)),
        ("old_path".to_owned(), text(&change.old.path)),
    ]);
    facts.extend(process_facts(&event.subject));
    if let Some(cgroup) = &event.subject.cgroup {
        facts.insert("cgroup_path".to_owned(), text(&cgroup.path));
    }
    facts
}

fn image_facts(change: &bus_schema::event::kubernetes::ImageChanged) -> Facts {
    let tag = change
        .new_image
        .rsplit_once(':')
        .map_or(change.new_image.as_str(), |(_, tag)| tag);
    let rollback = change.rollback.then(|| ("rollback".to_owned(), text("true")));
    let facts = Facts::from([
        ("new".to_owned(), text(&change.new_image)),
        ("old".to_owned(), text(&change.old_image)),
        ("new_tag".to_owned(), text(tag)),
        ("container".to_owned(), text(&change.container)),
        ("manager".to_owned(), text(&change.manager)),
    ]);
    facts.into_iter().chain(rollback).collect()
}

fn oom_facts(kill: &OomKill, event: &Event) -> Facts {
    let mut facts = process_facts(&event.subject);
    if !kill.limit_unknown {
        facts.insert("rss_bytes".into(), bytes(kill.rss_bytes));
        facts.insert("usage_bytes".into(), bytes(kill.usage_bytes));
    }
    if let Some(limit) = kill.limit_bytes {
        facts.insert("limit_bytes".into(), bytes(limit));
    }
    let itself = event
        .subject
        .process
        .as_ref()
        .is_some_and(|victim| victim.pid == kill.trigger.pid);
    let trigger = if itself {
        "itself".to_owned()
    } else {
        process_text(&kill.trigger)
    };
    facts.insert("trigger".into(), Fact::Text(trigger));
    if let Some(pod) = &event.subject.pod {
        facts.insert("pod".into(), text(&pod.name));
    }
    if let Some(container) = &event.subject.container {
        facts.insert("container".into(), text(&container.name));
    }
    facts
}

fn process_facts(entity: &Entity) -> Facts {
    let Some(process) = &entity.process else {
        return Facts::new();
    };
    let mut facts = number("pid", f64::from(process.pid));
    facts.insert("comm".into(), text(&process.comm));
    facts
}

fn process_text(process: &Process) -> String {
    format!("{} (pid {})", process.comm, process.pid)
}

/// The signal is an episode of its target: there it has its effect.
fn signal_sighting(event: &Event, signal: &SignalSent) -> Option<Sighting> {
    let target = event.object.clone()?;
    if signal.by_kernel {
        return None;
    }
    let sender = event.subject.process.clone().unwrap_or_default();
    let target_pid = target.process.as_ref().map_or(0, |process| process.pid);
    let facts = Facts::from([
        ("signal".to_owned(), text(&signal_name(signal.signal))),
        ("sender".to_owned(), text(&sender.comm)),
        ("sender_pid".to_owned(), Fact::Number(f64::from(sender.pid))),
        ("target_pid".to_owned(), Fact::Number(f64::from(target_pid))),
    ]);
    let condition = if is_by_runtime(event) {
        Condition::ContainerStopped
    } else {
        Condition::SignalSent
    };
    Some(Sighting::new(
        condition,
        Severity::Notice,
        event,
        target,
        Some(event.subject.clone()),
        facts,
    ))
}

/// Whether a container runtime stops a container of a pod: it does so for Kubernetes, not by itself.
pub(super) fn is_by_runtime(event: &Event) -> bool {
    /// Names of at most 15 bytes, as the kernel keeps them.
    const RUNTIMES: [&str; 6] = ["runc", "crun", "youki", "runsc", "containerd-shim", "conmon"];
    let is_runtime = event
        .subject
        .process
        .as_ref()
        .is_some_and(|sender| RUNTIMES.contains(&sender.comm.as_str()));
    let in_pod = event.object.as_ref().is_some_and(|target| target.pod.is_some());
    is_runtime && in_pod && event.subject.pod.is_none()
}

/// Only the end of a service's main process is of interest. Ending by itself with 0, or by the polite signals, is a stop;
/// anything else is a crash.
fn exit_sighting(event: &Event, exit: &ProcessExited) -> Option<Sighting> {
    const SIGINT: i32 = 2;
    const SIGTERM: i32 = 15;
    if !exit.main {
        return None;
    }
    let polite = [SIGINT, SIGTERM];
    let shells_polite = polite.map(|signal| 128 + signal);
    let stopped = if exit.signal == 0 {
        exit.code == 0 || shells_polite.contains(&exit.code)
    } else {
        polite.contains(&exit.signal)
    };
    let how = if exit.signal == 0 {
        format!("exit status {}", exit.code)
    } else {
        signal_name(exit.signal)
    };
    let mut facts = process_facts(&event.subject);
    facts.insert("how".into(), Fact::Text(how));
    let (condition, severity) = if stopped {
        (Condition::ProcessStopped, Severity::Info)
    } else if exit.signal == 0 && is_job(&event.subject) {
        // What ends is nobody's outage, and what it ends with is its answer.
        (Condition::ProcessCrashed, Severity::Notice)
    } else {
        (Condition::ProcessCrashed, Severity::Error)
    };
    Some(Sighting::new(
        condition,
        severity,
        event,
        event.subject.clone(),
        None,
        facts,
    ))
}

/// Whether it is meant to end.
fn is_job(subject: &Entity) -> bool {
    let workload = subject.workload.as_ref();
    workload.is_some_and(|workload| ["Job", "CronJob"].contains(&workload.kind.as_str()))
}

/// Name of a Linux signal, as in signal(7) for x86 and arm.
fn signal_name(signal: i32) -> String {
    const NAMES: [&str; 32] = [
        "0", "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
        "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU",
        "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
    ];
    let name = usize::try_from(signal).ok().and_then(|index| NAMES.get(index));
    name.map_or_else(|| format!("signal {signal}"), |name| format!("SIG{name}"))
}
