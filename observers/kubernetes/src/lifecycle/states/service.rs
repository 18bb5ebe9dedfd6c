//! Whether anything is behind a Service, and why not.

use std::collections::BTreeMap;

use bus_schema::Entity;
use bus_schema::entity::Workload as Name;
use bus_schema::event::kubernetes::{Reason, State};

use super::SECOND_NS;
use crate::lifecycle::facts::{Phase, Pod, Service, Slice, Truth, Workload};
use crate::lifecycle::finding::{Because, Finding};

/// A Service may be made before its pods …
const NEW_NS: u64 = 10 * SECOND_NS;
/// … and they take a while to be ready.
const STARTING_NS: u64 = 30 * SECOND_NS;

/// What is in the namespace of a Service.
#[derive(Debug)]
pub(in crate::lifecycle) struct Behind<'a> {
    pub(in crate::lifecycle) slices: Vec<&'a Slice>,
    pub(in crate::lifecycle) pods: Vec<&'a Pod>,
    pub(in crate::lifecycle) workloads: Vec<&'a Workload>,
    pub(in crate::lifecycle) now_ns: u64,
}

/// What is known of a Service from before.
#[derive(Debug, Default)]
pub(in crate::lifecycle) struct Past {
    /// One that loses its endpoints is told at once.
    had_endpoints: bool,
    empty_since_ns: Option<u64>,
}

/// All states of a Service.
pub(in crate::lifecycle) fn of_service(
    service: &Service,
    memory: &mut Past,
    behind: &Behind<'_>,
) -> Vec<Finding> {
    if service.selector.is_empty() {
        return Vec::new();
    }
    let is_served = behind.slices.iter().any(|slice| slice.ready > 0);
    let unserved = unserved_port(service, behind);
    memory.had_endpoints |= is_served;
    if is_served && unserved.is_none() {
        memory.empty_since_ns = None;
        return Vec::new();
    }
    let created_ns = service.meta.created_ns;
    let begun_ns = if memory.had_endpoints {
        behind.now_ns
    } else {
        created_ns
    };
    let since_ns = *memory.empty_since_ns.get_or_insert(begun_ns);
    let (because, starting_ns) = match unserved.filter(|_| is_served) {
        Some(port) => (wrong_port(port), 0),
        None => empty(service, behind, since_ns),
    };
    let new_ns = if memory.had_endpoints {
        0
    } else {
        created_ns + NEW_NS
    };
    let finding = Finding::new(State::WithoutEndpoints, since_ns, because);
    vec![finding.not_before(new_ns.max(starting_ns))]
}

/// A port for which no pod has the target, while others are served.
fn unserved_port<'a>(service: &'a Service, behind: &Behind<'_>) -> Option<&'a str> {
    let served = |name: &str| {
        let mut slices = behind.slices.iter().filter(|slice| slice.ready > 0);
        slices.any(|slice| slice.ports.iter().any(|port| port == name))
    };
    let mut named = service.ports.iter().filter(|port| port.target.is_some());
    named.find(|port| !served(&port.name))?.target.as_deref()
}

fn wrong_port(target: &str) -> Because {
    Because::of(Reason::WrongTargetPort).detail("port", target)
}

/// Why there are no endpoints, and until when that may be because pods are starting.
fn empty(service: &Service, behind: &Behind<'_>, since_ns: u64) -> (Because, u64) {
    let is_selected = |labels: &BTreeMap<String, String>| {
        let mut wanted = service.selector.iter();
        wanted.all(|(name, value)| labels.get(name) == Some(value))
    };
    let lives = |pod: &&&Pod| !pod.is_deleted && pod.phase != Phase::Ended;
    let pods = behind.pods.iter().filter(lives);
    let pods: Vec<_> = pods.filter(|pod| is_selected(&pod.labels)).collect();
    let is_ready = |pod: &&&&Pod| pod.ready.as_ref().is_some_and(|ready| ready.is(Truth::True));
    let mut ports = service.ports.iter().filter_map(|port| port.target.as_deref());
    let ready: Vec<_> = pods.iter().filter(|pod| is_ready(pod)).collect();
    if let Some(target) = ports.find(|target| {
        !ready.is_empty()
            && !ready
                .iter()
                .any(|pod| pod.ports.iter().any(|port| port == target))
    }) {
        return (wrong_port(target), 0);
    }
    if !pods.is_empty() {
        let newest_ns = pods.iter().map(|pod| pod.meta.created_ns).max().unwrap_or(0);
        let count = format!("0 of {} pods are ready", pods.len());
        let because = Because::of(Reason::NoReadyPods).saying(&count);
        let is_starting = behind.now_ns < newest_ns + STARTING_NS;
        // Old pods that stop being ready are told at once; of new ones it is to be expected.
        return (because, if is_starting { newest_ns + STARTING_NS } else { 0 });
    }
    let workloads = behind
        .workloads
        .iter()
        .filter(|workload| is_selected(&workload.labels));
    let mut workloads: Vec<_> = workloads.collect();
    workloads.sort_by_key(|workload| (workload.wanted, &workload.meta.key));
    match workloads.first() {
        Some(workload) if workload.wanted == 0 => {
            let key = &workload.meta.key;
            let name = Name {
                kind: key.kind.name().to_owned(),
                namespace: key.namespace.clone(),
                name: key.name.clone(),
            };
            let because = Because {
                object: Some(Entity::of_workload(name)),
                ..Because::of(Reason::ZeroReplicas)
            };
            (because, 0)
        }
        // Its pods are about to be made.
        Some(_) => (Because::of(Reason::NoReadyPods), since_ns + NEW_NS),
        None => {
            let text: Vec<_> = service
                .selector
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            (
                Because::of(Reason::SelectorMatchesNothing).detail("selector", text.join(",")),
                0,
            )
        }
    }
}
