//! Batches as the observers of a busy cluster send them, for benches and load tests: the same ones in every run.

use std::net::{IpAddr, Ipv4Addr};

use crate::entity::{Address, Cgroup, Process, Workload};
use crate::event::network::{ConnectFailed, ConnectFailure, EdgeStats, Role};
use crate::event::status::{HttpError, HttpStats};
use crate::histogram::Log2;
use crate::{Batch, Body, Entity, Event, EventId, Header, SCHEMA_VERSION, Severity};

mod kinds;

pub use kinds::body;

const SECOND_NS: u64 = 1_000_000_000;
/// Aggregates that one node sends a second.
const EVENTS_PER_NODE_AND_SECOND: u64 = 1000;
const BOOT: &str = "4d3f8a52-1c77-4f0e-9a35-7b1c2f64e0aa-812";
const OBSERVER: &str = "network";
/// Every so manyth event of a failing workload is a single failure, the others are aggregates.
const SINGLE_EVERY: u64 = 4;

/// Callees of one workload.
const CALLEES: u64 = 10;

/// What is in the batches.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Nodes that take turns in sending.
    pub nodes: u64,
    /// Workloads they speak of.
    pub workloads: u64,
    /// How many of these have failing connections and requests.
    pub failing: u64,
    /// Events of one batch.
    pub events_per_batch: u64,
}

impl Shape {
    /// One node with 200 workloads, of which two fail.
    pub fn of_a_node(events_per_batch: u64) -> Self {
        Self {
            nodes: 1,
            workloads: 200,
            failing: 2,
            events_per_batch,
        }
    }
}

/// An endless sequence of batches; the nodes take turns.
#[derive(Debug, Clone)]
pub struct Samples {
    shape: Shape,
    start_ns: u64,
    batches: u64,
}

impl Samples {
    /// Batches of that shape that begin at `start_ns`.
    pub fn new(shape: Shape, start_ns: u64) -> Self {
        Self {
            shape,
            start_ns,
            batches: 0,
        }
    }

    fn event(&self, number: u64, time_ns: u64, node: &str, sequence: u64) -> Event {
        let workload = number % self.shape.workloads.max(1);
        let round = number / self.shape.workloads.max(1);
        let fails = workload < self.shape.failing;
        let body = if fails && round.is_multiple_of(SINGLE_EVERY) {
            failure(round)
        } else if round.is_multiple_of(3) {
            Body::HttpStats(exchanges(number, fails))
        } else {
            Body::EdgeStats(connections(number, fails))
        };
        let is_single = matches!(body, Body::ConnectFailed(_) | Body::HttpError(_));
        let subject = service(workload, node);
        let callee = service(
            (workload + 1 + round % CALLEES) % self.shape.workloads.max(1),
            node,
        );
        Event {
            id: EventId::of_event(time_ns, node, BOOT, OBSERVER, sequence),
            time_ns,
            observed_ns: time_ns + 1000,
            severity: if is_single {
                Severity::Warning
            } else {
                Severity::Info
            },
            subject: Entity {
                process: is_single.then(|| process(workload)),
                ..subject
            },
            object: Some(Entity {
                address: Some(address(number)),
                workload: callee.workload,
                ..Entity::default()
            }),
            count: if is_single { 1 } else { 10 + number % 7 },
            window_ns: if is_single { 0 } else { SECOND_NS },
            trace: None,
            body,
        }
    }
}

impl Iterator for Samples {
    type Item = Batch;

    fn next(&mut self) -> Option<Batch> {
        let (nodes, size) = (self.shape.nodes.max(1), self.shape.events_per_batch);
        let node = format!("node-{}", self.batches % nodes);
        let first = self.batches * size;
        let sequence = self.batches / nodes * size + 1;
        let time_ns = self.start_ns + first * SECOND_NS / (EVENTS_PER_NODE_AND_SECOND * nodes);
        self.batches += 1;
        let events = (0..size)
            .map(|offset| self.event(first + offset, time_ns, &node, sequence + offset))
            .collect();
        let header = Header {
            schema: SCHEMA_VERSION,
            cluster: "load".into(),
            node,
            boot: BOOT.into(),
            observer: OBSERVER.into(),
            first_sequence: sequence,
            watermark_ns: time_ns,
            dropped_total: 0,
            received_ns: 0,
            leaving: false,
        };
        Some(Batch {
            header,
            events,
            ..Batch::default()
        })
    }
}

fn connections(number: u64, fails: bool) -> EdgeStats {
    let attempts = 10 + number % 7;
    let refused = if fails { attempts / 2 } else { 0 };
    EdgeStats {
        role: Role::Client,
        attempts,
        established: attempts - refused,
        refused,
        closed: attempts - refused,
        bytes_sent: number * 37 % 100_000,
        bytes_received: number * 91 % 1_000_000,
        handshake_mean_ns: 50_000 + number * 13 % 10_000,
        ..EdgeStats::default()
    }
}

fn exchanges(number: u64, fails: bool) -> HttpStats {
    let mut latency = Log2::default();
    latency.record(1_000_000 + number * 7 % 1_000_000, 80);
    latency.record(8_000_000, 3);
    HttpStats {
        role: if number.is_multiple_of(2) {
            Role::Client
        } else {
            Role::Server
        },
        by_class: [0, 80, 0, 2, if fails { 40 } else { 0 }],
        latency,
        ..HttpStats::default()
    }
}

fn failure(round: u64) -> Body {
    if round.is_multiple_of(2 * SINGLE_EVERY) {
        Body::ConnectFailed(ConnectFailed {
            failure: ConnectFailure::Refused,
            errno: 111,
            latency_ns: 40_000,
        })
    } else {
        Body::HttpError(HttpError {
            role: Role::Client,
            status: 503,
            latency_ns: 2_000_000,
            ..HttpError::default()
        })
    }
}

fn service(number: u64, node: &str) -> Entity {
    Entity {
        workload: Some(Workload {
            kind: "Deployment".into(),
            namespace: "shop".into(),
            name: format!("service-{number}"),
        }),
        cgroup: Some(Cgroup {
            id: 4711 + number,
            path: format!("/kubepods.slice/kubepods-pod{number:08x}.slice/service-{number}.scope"),
        }),
        node: Some(node.to_owned()),
        ..Entity::default()
    }
}

fn process(number: u64) -> Process {
    Process {
        pid: 1000 + u32::try_from(number % 30_000).unwrap_or(0),
        start_ns: 1_700_000_000 * SECOND_NS,
        comm: "worker".into(),
        exe: "/usr/local/bin/worker".into(),
    }
}

fn address(number: u64) -> Address {
    let host = u8::try_from(number % 250).unwrap_or(0);
    Address {
        ip: IpAddr::V4(Ipv4Addr::new(10, 1, 0, host)),
        port: 8080,
        net_ns: 4_026_531_840,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const SHAPE: Shape = Shape {
        nodes: 3,
        workloads: 5,
        failing: 1,
        events_per_batch: 16,
    };

    fn is_failure(event: &Event) -> bool {
        let single = matches!(event.body, Body::ConnectFailed(_) | Body::HttpError(_));
        let refused = matches!(&event.body, Body::EdgeStats(stats) if stats.refused > 0);
        let errors = matches!(&event.body, Body::HttpStats(stats) if stats.server_errors() > 0);
        single || refused || errors
    }

    #[test]
    fn each_nodes_sequence_has_no_gap_and_time_never_goes_back() {
        let mut next: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        for batch in Samples::new(SHAPE, 7).take(30) {
            let (sequence, time_ns) = next.entry(batch.header.node.clone()).or_insert((1, 7));
            assert_eq!(batch.header.first_sequence, *sequence);
            assert!(batch.header.watermark_ns >= *time_ns);
            (*sequence, *time_ns) = (*sequence + 16, batch.header.watermark_ns);
        }
        assert_eq!(next.len(), 3);
    }

    #[test]
    fn only_those_that_shall_fail_do() {
        let events: Vec<_> = Samples::new(SHAPE, 0)
            .take(30)
            .flat_map(|batch| batch.events)
            .collect();
        let (failing, healthy): (Vec<_>, Vec<_>) = events
            .iter()
            .partition(|event| event.subject.label() == "service-0");
        assert!(!failing.is_empty() && failing.iter().all(|event| is_failure(event)));
        assert!(!healthy.is_empty() && !healthy.iter().any(|event| is_failure(event)));
    }
}
