//! What is kept of a pod.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    ContainerState, ContainerStateTerminated, ContainerStatus, Pod as Object, PodSpec,
};

use super::condition::condition;
use super::{Condition, Meta, Owner, controller, nanoseconds};
use crate::lifecycle::finding::shortened;
use crate::lifecycle::key::Kind;

/// A pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::lifecycle) struct Pod {
    pub(in crate::lifecycle) meta: Meta,
    pub(in crate::lifecycle) node: Option<String>,
    pub(in crate::lifecycle) owner: Option<Owner>,
    pub(in crate::lifecycle) labels: BTreeMap<String, String>,
    pub(in crate::lifecycle) is_deleted: bool,
    pub(in crate::lifecycle) phase: Phase,
    /// Why the kubelet ended or refused it: `Evicted`, `OutOfcpu`.
    pub(in crate::lifecycle) reason: String,
    pub(in crate::lifecycle) message: String,
    pub(in crate::lifecycle) scheduled: Option<Condition>,
    /// Whether pods of lower priority are ended to make room for it.
    pub(in crate::lifecycle) is_nominated: bool,
    /// Whether its network and volumes are there; none on nodes that do not say so.
    pub(in crate::lifecycle) sandbox: Option<Condition>,
    pub(in crate::lifecycle) containers_ready: Option<Condition>,
    pub(in crate::lifecycle) ready: Option<Condition>,
    /// Why it is about to be deleted, where that is for the sake of something else.
    pub(in crate::lifecycle) disruption: Option<Condition>,
    pub(in crate::lifecycle) containers: Vec<Container>,
    /// Names of the ports of its containers.
    pub(in crate::lifecycle) ports: Vec<String>,
    /// Ports of its node that it wants, kept while it has none, like the taints that do not keep it away.
    pub(in crate::lifecycle) host_ports: Vec<i32>,
    pub(in crate::lifecycle) tolerations: Vec<Toleration>,
}

/// How far a pod is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::lifecycle) enum Phase {
    Pending,
    Running,
    Ended,
}

/// A taint that a pod does not mind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::lifecycle) struct Toleration {
    /// Any when empty.
    pub(in crate::lifecycle) key: String,
    /// Any when `None`.
    pub(in crate::lifecycle) value: Option<String>,
    /// Any when empty.
    pub(in crate::lifecycle) effect: String,
}

/// A container of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::lifecycle) struct Container {
    pub(in crate::lifecycle) name: String,
    pub(in crate::lifecycle) image: String,
    pub(in crate::lifecycle) role: Role,
    pub(in crate::lifecycle) is_ready: bool,
    /// Whether it has passed its startup probe.
    pub(in crate::lifecycle) is_started: bool,
    pub(in crate::lifecycle) restarts: i32,
    pub(in crate::lifecycle) now: Now,
    pub(in crate::lifecycle) last: Option<End>,
}

/// What a container is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::lifecycle) enum Role {
    Main,
    Sidecar,
    Init,
}

/// What a container does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::lifecycle) enum Now {
    Waiting { reason: String, message: String },
    Running { since_ns: u64 },
    Ended(End),
}

/// How a container ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::lifecycle) struct End {
    pub(in crate::lifecycle) code: i32,
    pub(in crate::lifecycle) signal: i32,
    pub(in crate::lifecycle) reason: String,
    pub(in crate::lifecycle) message: String,
    pub(in crate::lifecycle) started_ns: u64,
    pub(in crate::lifecycle) ended_ns: u64,
}

impl Pod {
    pub(in crate::lifecycle) fn of(pod: &Object) -> Self {
        let (spec, status) = (pod.spec.as_ref(), pod.status.as_ref());
        let conditions = status.and_then(|status| status.conditions.as_ref());
        let condition = |kind: &str| condition!(conditions, kind);
        let text = |of: Option<&String>| of.map(|text| shortened(text)).unwrap_or_default();
        let node = spec.and_then(|spec| spec.node_name.clone());
        Self {
            meta: Meta::of(Kind::Pod, &pod.metadata),
            owner: controller(&pod.metadata),
            labels: pod.metadata.labels.clone().unwrap_or_default(),
            is_deleted: pod.metadata.deletion_timestamp.is_some(),
            phase: match status.and_then(|status| status.phase.as_deref()) {
                Some("Running") => Phase::Running,
                Some("Succeeded" | "Failed") => Phase::Ended,
                Some(_) | None => Phase::Pending,
            },
            reason: text(status.and_then(|status| status.reason.as_ref())),
            message: text(status.and_then(|status| status.message.as_ref())),
            scheduled: condition("PodScheduled"),
            is_nominated: status.is_some_and(|status| status.nominated_node_name.is_some()),
            sandbox: condition("PodReadyToStartContainers"),
            containers_ready: condition("ContainersReady"),
            ready: condition("Ready"),
            disruption: condition("DisruptionTarget"),
            containers: containers(pod),
            ports: ports(spec),
            host_ports: match &node {
                Some(_) => Vec::new(),
                None => host_ports(spec),
            },
            tolerations: match &node {
                Some(_) => Vec::new(),
                None => tolerations(spec),
            },
            node,
        }
    }
}

fn ports(spec: Option<&PodSpec>) -> Vec<String> {
    let containers = spec.into_iter().flat_map(|spec| {
        let sidecars = spec.init_containers.iter().flatten();
        spec.containers.iter().chain(sidecars)
    });
    let ports = containers.flat_map(|container| container.ports.iter().flatten());
    ports.filter_map(|port| port.name.clone()).collect()
}

fn host_ports(spec: Option<&PodSpec>) -> Vec<i32> {
    let containers = spec.into_iter().flat_map(|spec| &spec.containers);
    let ports = containers.flat_map(|container| container.ports.iter().flatten());
    ports.filter_map(|port| port.host_port).collect()
}

fn tolerations(spec: Option<&PodSpec>) -> Vec<Toleration> {
    let all = spec
        .into_iter()
        .flat_map(|spec| spec.tolerations.iter().flatten());
    all.map(|toleration| Toleration {
        key: toleration.key.clone().unwrap_or_default(),
        value: (toleration.operator.as_deref() != Some("Exists"))
            .then(|| toleration.value.clone().unwrap_or_default()),
        effect: toleration.effect.clone().unwrap_or_default(),
    })
    .collect()
}

fn containers(pod: &Object) -> Vec<Container> {
    let Some(status) = &pod.status else {
        return Vec::new();
    };
    let sidecars: Vec<_> = pod
        .spec
        .iter()
        .flat_map(|spec| spec.init_containers.iter().flatten())
        .filter(|container| container.restart_policy.as_deref() == Some("Always"))
        .map(|container| container.name.as_str())
        .collect();
    let main = status.container_statuses.iter().flatten();
    let init = status.init_container_statuses.iter().flatten();
    let main = main.map(|status| container(status, Role::Main));
    let init = init.map(|status| {
        let is_sidecar = sidecars.contains(&status.name.as_str());
        container(status, if is_sidecar { Role::Sidecar } else { Role::Init })
    });
    init.chain(main).collect()
}

fn container(status: &ContainerStatus, role: Role) -> Container {
    Container {
        name: status.name.clone(),
        image: status.image.clone(),
        role,
        is_ready: status.ready,
        is_started: status.started == Some(true),
        restarts: status.restart_count,
        now: now(status.state.as_ref()),
        last: status
            .last_state
            .as_ref()
            .and_then(|state| state.terminated.as_ref())
            .map(end),
    }
}

fn now(state: Option<&ContainerState>) -> Now {
    if let Some(running) = state.and_then(|state| state.running.as_ref()) {
        let since_ns = nanoseconds(running.started_at.as_ref());
        return Now::Running { since_ns };
    }
    if let Some(ended) = state.and_then(|state| state.terminated.as_ref()) {
        return Now::Ended(end(ended));
    }
    let waiting = state.and_then(|state| state.waiting.as_ref());
    Now::Waiting {
        reason: waiting
            .and_then(|waiting| waiting.reason.clone())
            .unwrap_or_default(),
        message: waiting
            .and_then(|waiting| waiting.message.clone())
            .unwrap_or_default(),
    }
}

fn end(ended: &ContainerStateTerminated) -> End {
    End {
        code: ended.exit_code,
        signal: ended.signal.unwrap_or(0),
        reason: ended.reason.clone().unwrap_or_default(),
        message: ended.message.as_deref().map(shortened).unwrap_or_default(),
        started_ns: nanoseconds(ended.started_at.as_ref()),
        ended_ns: nanoseconds(ended.finished_at.as_ref()),
    }
}
