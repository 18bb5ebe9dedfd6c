//! In which states a pod is.

use std::collections::HashMap;

use bus_schema::Entity;
use bus_schema::event::kubernetes::{Reason, State};

use super::SECOND_NS;
use super::container::{Crashes, is_backing_off, last_end};
use crate::lifecycle::facts::{
    Condition, Container, Hints, Node, Now, Phase, Pod, Role, Taint, Toleration, Topic, Truth,
};
use crate::lifecycle::finding::{Because, Finding};
use crate::lifecycle::reasons;

/// A pod that has run for less may become ready yet.
const STARTING_NS: u64 = 30 * SECOND_NS;
/// Claims are bound, and failed mounts succeed, within this time where nothing is wrong.
const SETTLING_NS: u64 = 5 * SECOND_NS;
/// Pods that give way are given as long as they ask for, mostly 30 s.
const PREEMPTING_NS: u64 = 60 * SECOND_NS;
/// A trouble that nobody can name has to last for so long.
const UNNAMED_NS: u64 = 10 * SECOND_NS;
/// A mount that failed once is tried again within a second.
const MOUNT_TRIES: i32 = 2;

/// What is around a pod.
#[derive(Debug)]
pub(in crate::lifecycle) struct Around<'a> {
    pub(in crate::lifecycle) hints: &'a Hints,
    pub(in crate::lifecycle) nodes: &'a HashMap<String, Node>,
    /// Whether it was told that the pod is not ready.
    pub(in crate::lifecycle) holds_not_ready: bool,
    pub(in crate::lifecycle) now_ns: u64,
}

/// All states of a pod.
pub(in crate::lifecycle) fn of_pod(pod: &Pod, crashes: &mut Crashes, around: &Around<'_>) -> Vec<Finding> {
    if let Some(evicted) = evicted(pod, around) {
        return vec![evicted];
    }
    if pod.is_deleted || pod.phase == Phase::Ended {
        return Vec::new();
    }
    if let Some(unschedulable) = unschedulable(pod, around) {
        return vec![unschedulable];
    }
    let mut found: Vec<_> = pod
        .containers
        .iter()
        .filter_map(|container| not_started(pod, container))
        .collect();
    if found.is_empty() {
        found.extend(not_prepared(pod, around.hints));
    }
    let others = pod
        .containers
        .iter()
        .filter(|container| container.role != Role::Init);
    found.extend(others.filter_map(|container| crashes.see(container, around.hints, around.now_ns)));
    if found.is_empty() || around.holds_not_ready {
        found.extend(not_ready(pod, around));
    }
    found
}

fn evicted(pod: &Pod, around: &Around<'_>) -> Option<Finding> {
    let disruption = pod
        .disruption
        .as_ref()
        .filter(|condition| condition.is(Truth::True));
    let said = disruption.map(|condition| (condition.reason.as_str(), condition.message.as_str()));
    let mut because = reasons::evicted((&pod.reason, &pod.message), said)?;
    if let Some(name) = &pod.node {
        because.object = Some(Entity::of_node(name));
        let node = around.nodes.get(name);
        let mut taints = node.iter().flat_map(|node| &node.taints);
        let taint = taints.find(|taint| taint.effect == "NoExecute");
        if let Some(taint) = taint.filter(|_| because.reason == Reason::TaintEviction) {
            because = because.detail("taint", taint.text());
        }
    }
    let since_ns = disruption.map_or(around.now_ns, |condition| condition.since_ns);
    Some(Finding::new(State::Evicted, since_ns, because))
}

fn unschedulable(pod: &Pod, around: &Around<'_>) -> Option<Finding> {
    let condition = pod.scheduled.as_ref()?;
    if !condition.is(Truth::False) || condition.reason != "Unschedulable" {
        return None;
    }
    let mut because = reasons::unschedulable(&condition.message, &pod.meta.key.namespace);
    if because.reason == Reason::UntoleratedTaint && !because.details.contains_key("taint") {
        because = because.detail("taint", untolerated(pod, around.nodes));
    }
    if because.reason == Reason::HostPortTaken {
        let ports: Vec<_> = pod.host_ports.iter().map(ToString::to_string).collect();
        because = because.detail("port", ports.join(","));
    }
    let is_settling = because.reason == Reason::VolumeUnbound && because.object.is_none();
    let patience_ns = if pod.is_nominated {
        PREEMPTING_NS
    } else if is_settling {
        SETTLING_NS
    } else {
        0
    };
    let since_ns = condition.since_ns;
    Some(Finding::new(State::Unschedulable, since_ns, because).lasting(patience_ns))
}

/// The taint of most nodes that the pod does not tolerate. The scheduler does not name it since 1.34.
fn untolerated(pod: &Pod, nodes: &HashMap<String, Node>) -> String {
    let mut counts: HashMap<String, usize> = HashMap::new();
    for node in nodes.values() {
        let is_minded = |taint: &&Taint| {
            !pod.tolerations
                .iter()
                .any(|toleration| tolerates(toleration, taint))
        };
        if let Some(taint) = node.taints.iter().find(is_minded) {
            *counts.entry(taint.text()).or_default() += 1;
        }
    }
    let most = counts.into_iter().max_by(|a, b| (a.1, &b.0).cmp(&(b.1, &a.0)));
    most.map(|(taint, _)| taint).unwrap_or_default()
}

fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let Toleration { key, value, effect } = toleration;
    (key.is_empty() || *key == taint.key)
        && value.as_ref().is_none_or(|value| *value == taint.value)
        && (effect.is_empty() || *effect == taint.effect)
}

/// What keeps one container from being started.
fn not_started(pod: &Pod, container: &Container) -> Option<Finding> {
    let namespace = &pod.meta.key.namespace;
    let end = last_end(container);
    let cannot_run = end.filter(|end| reasons::is_bad_command(end));
    let because = match (&container.now, cannot_run) {
        (Now::Running { .. }, _) | (Now::Ended(_), None) => None,
        (Now::Ended(_), Some(end)) => Some(reasons::not_run(&end.message)),
        (Now::Waiting { reason, message }, cannot_run) => match (reason.as_str(), cannot_run) {
            ("CrashLoopBackOff" | "RunContainerError", Some(end)) => Some(reasons::not_run(&end.message)),
            ("CreateContainerConfigError", _) => Some(reasons::not_configured(message, namespace)),
            ("CreateContainerError" | "RunContainerError" | "PostStartHookError", _) => {
                Some(reasons::not_run(message))
            }
            _ => reasons::not_pulled(reason, message, &container.image),
        },
    };
    let because = because.or_else(|| failed_before(pod, container))?;
    let begun = pod.sandbox.as_ref().filter(|sandbox| sandbox.is(Truth::True));
    let begun_ns = begun
        .or(pod.scheduled.as_ref())
        .map(|condition| condition.since_ns);
    let since_ns = end.map(|end| end.ended_ns).or(begun_ns);
    let since_ns = since_ns.unwrap_or(pod.meta.created_ns);
    let patience_ns = if because.reason == Reason::Unknown {
        UNNAMED_NS
    } else {
        0
    };
    let finding = Finding::new(State::NotStarted, since_ns, because);
    Some(finding.of_container(&container.name).lasting(patience_ns))
}

/// An init container that fails again and again. Once it has failed it is held responsible until it succeeds.
fn failed_before(pod: &Pod, container: &Container) -> Option<Because> {
    let end = last_end(container).filter(|end| end.code != 0)?;
    let is_failing = container.role == Role::Init && (is_backing_off(container) || container.restarts > 1);
    let is_waiting = pod.phase == Phase::Pending;
    (is_failing && is_waiting).then(|| {
        Because::of(Reason::InitContainerFailed)
            .saying(&end.reason)
            .detail("exit_code", end.code.to_string())
    })
}

/// Volumes and network, which only Events tell of.
fn not_prepared(pod: &Pod, hints: &Hints) -> Option<Finding> {
    let is_preparing = |container: &Container| matches!(&container.now, Now::Waiting { reason, .. } if reason == "ContainerCreating" || reason == "PodInitializing");
    let is_prepared = pod
        .sandbox
        .as_ref()
        .is_some_and(|sandbox| sandbox.is(Truth::True));
    if pod.phase != Phase::Pending || is_prepared || !pod.containers.iter().all(is_preparing) {
        return None;
    }
    let often = |topic| hints.of(topic).filter(|hint| hint.count >= MOUNT_TRIES);
    let hint = [often(Topic::Mount), often(Topic::Sandbox)]
        .into_iter()
        .flatten()
        .max_by_key(|hint| hint.last_ns)?;
    let because = if hint.topic == Topic::Mount {
        reasons::not_mounted(&hint.message, &pod.meta.key.namespace)
    } else {
        Because::of(Reason::SandboxFailed).saying(&hint.message)
    };
    let finding = Finding::new(State::NotStarted, hint.first_ns, because);
    Some(finding.lasting(SETTLING_NS))
}

fn not_ready(pod: &Pod, around: &Around<'_>) -> Option<Finding> {
    let condition = pod.ready.as_ref().filter(|ready| !ready.is(Truth::True))?;
    if pod.phase != Phase::Running {
        return None;
    }
    let others = || {
        pod.containers
            .iter()
            .filter(|container| container.role != Role::Init)
    };
    let started = others().map(|container| match container.now {
        Now::Running { since_ns } => Some(since_ns),
        Now::Waiting { .. } | Now::Ended(_) => None,
    });
    let started_ns = started
        .max_by_key(|since_ns| since_ns.unwrap_or(u64::MAX))
        .flatten();
    // While it is told, it lasts until the pod is ready, whatever its containers do meanwhile.
    let started_ns = match (started_ns, around.holds_not_ready) {
        (Some(started_ns), _) => started_ns,
        (None, true) => condition.since_ns,
        (None, false) => return None,
    };
    let unready = others().find(|container| !container.is_ready);
    let (because, patience_ns) = match unready {
        Some(container) => (probed(container, around.hints), STARTING_NS),
        None => match silent_node(pod, around.nodes) {
            Some(because) => (because, 0),
            None => (gated(condition), STARTING_NS),
        },
    };
    let finding = Finding::new(State::NotReady, condition.since_ns, because);
    Some(if patience_ns == 0 {
        finding
    } else {
        finding.not_before(started_ns + patience_ns)
    })
}

/// A container that runs and is not ready waits for its startup or its readiness probe: nothing else keeps it.
fn probed(container: &Container, hints: &Hints) -> Because {
    let is_running = matches!(container.now, Now::Running { .. });
    let (reason, topic, probe) = match (is_running, container.is_started) {
        (false, _) => return Because::of(Reason::Unknown),
        (true, false) => (Reason::StartupProbe, Topic::Startup, "startup"),
        (true, true) => (Reason::ReadinessProbe, Topic::Readiness, "readiness"),
    };
    let message = hints
        .about(topic, &container.name)
        .map(|hint| hint.message.as_str());
    Because::of(reason)
        .saying(message.unwrap_or_default())
        .detail("probe", probe)
        .detail("container", container.name.as_str())
}

fn silent_node(pod: &Pod, nodes: &HashMap<String, Node>) -> Option<Because> {
    let name = pod.node.as_deref()?;
    let ready = nodes.get(name)?.ready.as_ref()?;
    let reason = match ready.truth {
        Truth::Unknown => Reason::KubeletSilent,
        Truth::False => Reason::KubeletReports,
        Truth::True => return None,
    };
    let because = Because::of(reason).saying(&ready.message);
    Some(Because {
        object: Some(Entity::of_node(name)),
        ..because
    })
}

fn gated(condition: &Condition) -> Because {
    let is_gate = condition.reason == "ReadinessGatesNotReady";
    let reason = if is_gate {
        Reason::ReadinessGate
    } else {
        Reason::Unknown
    };
    let gate = condition.message.split('"').nth(1).unwrap_or_default();
    Because::of(reason)
        .saying(&condition.message)
        .detail("gate", gate)
}
