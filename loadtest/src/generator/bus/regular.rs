//! What is told whether or not anything happens: how far time has come, what observers can see, how the nodes are.

use anyhow::Result;
use bus_client::bundle::Recorded;
use bus_schema::event::Body;
use bus_schema::event::network::TcpStats;
use bus_schema::event::node::{Capability, Coverage, NodePressure};
use bus_schema::names::{TOPOLOGY_STREAM, TOPOLOGY_TIME, topology_subject};
use bus_schema::topology::Relations;
use bus_schema::{Batch, Header, SCHEMA_VERSION, Severity};

use super::{Bus, CLUSTER, Observer, Told, enriched};
use crate::generator::entities;
use crate::generator::numbers::{MILLI, SECOND};

/// Every observer, and its hooks with what they use.
const HOOKS: [(Observer, &str, &[&str]); 7] = [
    (
        Observer::Network,
        "tp_btf",
        &["inet_sock_set_state", "tcp_retransmit_skb"],
    ),
    (
        Observer::Status,
        "tp_btf",
        &["inet_sock_set_state", "sock_recv_length", "sock_send_length"],
    ),
    (Observer::Memory, "cgroupfs", &["memory_usage", "node_pressure"]),
    (
        Observer::ProcessSignals,
        "tp_btf",
        &["sched_process_exec", "sched_process_exit", "signal_generate"],
    ),
    (
        Observer::ContainerRuntime,
        "tp_btf",
        &["cgroup_mkdir", "mark_victim", "signal_generate"],
    ),
    (
        Observer::Deployments,
        "api",
        &[
            "watch configmaps",
            "watch deployments",
            "watch jobs",
            "watch services",
        ],
    ),
    (
        Observer::Lifecycle,
        "api",
        &[
            "watch deployments",
            "watch endpointslices",
            "watch pods",
            "watch services",
        ],
    ),
];
/// Capabilities are told again after so many seconds, node pressure after so many, and the time of the topology.
const CAPABILITIES_EVERY: u64 = 60;
const PRESSURE_EVERY: u64 = 2;
const TIME_EVERY: u64 = 30;
/// A heartbeat is stored so long after its second, and everything up to so long before has come.
const HEARTBEAT_NS: u64 = 250 * MILLI;
const BEHIND_NS: u64 = 200 * MILLI;
const MEMORY_TOTAL: u64 = 64 << 30;

impl Bus {
    /// What belongs to the second that ended at `end_ns`; `retransmits` of each node in it.
    pub(in crate::generator) fn regular(&mut self, end_ns: u64, retransmits: &[u64]) -> Result<()> {
        let second = end_ns / SECOND;
        if second.is_multiple_of(CAPABILITIES_EVERY) {
            self.capabilities(end_ns);
        }
        for node in self.nodes.ids() {
            let stats = TcpStats {
                retransmits: Some(retransmits.get(node).copied().unwrap_or_default()),
                ..TcpStats::default()
            };
            self.of_node(end_ns, node, Observer::Network, Body::TcpStats(stats));
            if second.is_multiple_of(PRESSURE_EVERY) {
                self.of_node(end_ns, node, Observer::Memory, Body::NodePressure(healthy()));
            }
        }
        if second.is_multiple_of(TIME_EVERY) {
            let time = Relations {
                schema: SCHEMA_VERSION,
                cluster: CLUSTER.into(),
                told_ns: end_ns,
                ..Relations::default()
            };
            self.relate(end_ns + HEARTBEAT_NS, &time)?;
        }
        self.heartbeat(end_ns + HEARTBEAT_NS)
    }

    /// What each observer can see, everywhere.
    pub(in crate::generator) fn capabilities(&mut self, at_ns: u64) {
        for (observer, rung, hooks) in HOOKS {
            let is_of_cluster = matches!(observer, Observer::Deployments | Observer::Lifecycle);
            let nodes = if is_of_cluster { 0..1 } else { self.nodes.ids() };
            for (node, hook) in nodes.flat_map(|node| hooks.iter().map(move |hook| (node, *hook))) {
                let capability = Capability {
                    observer: observer.token().into(),
                    hook: hook.into(),
                    rung: rung.into(),
                    coverage: Coverage::Full,
                    reason: String::new(),
                };
                self.of_node(at_ns, node, observer, Body::Capability(capability));
            }
        }
    }

    fn of_node(&mut self, at_ns: u64, node: usize, observer: Observer, body: Body) {
        let subject = entities::node(&self.nodes[node]);
        self.sum(node, observer, Told::new(at_ns, Severity::Info, subject, body));
    }

    fn heartbeat(&mut self, stored_ns: u64) -> Result<()> {
        self.heartbeats += 1;
        let header = Header {
            schema: SCHEMA_VERSION,
            cluster: CLUSTER.into(),
            boot: "0".into(),
            observer: "enricher".into(),
            first_sequence: self.heartbeats,
            watermark_ns: stored_ns - BEHIND_NS - self.sight.behind_ns(),
            received_ns: stored_ns,
            ..Header::default()
        };
        let batch = Batch {
            header,
            ..Batch::default()
        };
        let message = enriched(stored_ns, "system", &batch)?;
        self.other(message);
        Ok(())
    }

    /// Tells relations.
    pub(in crate::generator) fn relate(&mut self, stored_ns: u64, relations: &Relations) -> Result<()> {
        let subject = if relations.is_heartbeat() {
            TOPOLOGY_TIME.to_owned()
        } else {
            topology_subject(&relations.relation, &relations.from)
        };
        self.other(Recorded {
            stream: TOPOLOGY_STREAM.to_owned(),
            sequence: 0,
            stored_ns,
            subject,
            payload: relations.encode()?.into(),
        });
        Ok(())
    }

    fn other(&mut self, message: Recorded) {
        self.put += 1;
        self.others.insert((message.stored_ns, self.put), message);
    }
}

fn healthy() -> NodePressure {
    NodePressure {
        memory_some_avg10: Some(0.0),
        cpu_some_avg10: Some(3.0),
        io_some_avg10: Some(0.5),
        memory_available_bytes: MEMORY_TOTAL / 2,
        memory_total_bytes: MEMORY_TOTAL,
    }
}
