//! Measurements of nodes, and the edges of the service graph: said once, and again when it matters.

use std::collections::BTreeMap;

use bus_schema::entity::{CGROUP_KIND, Workload};
use bus_schema::episode::{Edge, Fact, Gauge};
use bus_schema::event::Event;
use bus_schema::event::network::TcpStats;
use bus_schema::event::node::NodePressure;
use bus_schema::{Entity, Severity};
use serde::{Deserialize, Serialize};

use super::seen::{Ends, Seen};
use super::sighting::{Facts, Sighting};
use crate::condition::Condition;

const SECOND_NS: u64 = 1_000_000_000;
/// An unchanged measurement is repeated this often.
const REPEAT_GAUGE_NS: u64 = 5 * SECOND_NS;
/// A known edge is repeated this often, so that a reader that starts later learns of it.
const REPEAT_EDGE_NS: u64 = 60 * SECOND_NS;
/// An edge without traffic is forgotten after this long.
const FORGET_EDGE_NS: u64 = 3600 * SECOND_NS;
/// Most edges and gauges of a partition.
const MOST: usize = 100_000;
/// Tasks stalled this share of the time is pressure …
const PRESSURE_PERCENT: f64 = 10.0;
/// … when less than this share of memory is left; a full control group alone stalls its own tasks too.
const LITTLE_MEMORY: f64 = 0.1;
/// Segments sent again per second that are loss rather than noise.
const LOSS_PER_SECOND: f64 = 10.0;

/// The last published value by node and name.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Gauges {
    published: BTreeMap<(String, String), (u64, f64)>,
}

impl Gauges {
    /// Retransmissions of a node.
    #[expect(clippy::cast_precision_loss, reason = "counts per second")]
    pub(super) fn tcp(&mut self, event: &Event, stats: &TcpStats, out: &mut Vec<Gauge>) -> Option<Sighting> {
        let per_second = stats.retransmits? as f64 * SECOND_NS as f64 / event.window_ns.max(1) as f64;
        out.extend(self.say(event, "tcp_retransmits_per_second", per_second));
        let facts = Facts::from([("per_second".to_owned(), Fact::Number(per_second))]);
        (per_second >= LOSS_PER_SECOND)
            .then(|| node_sighting(Condition::NetworkLoss, event, per_second, facts))
    }

    /// Pressure of a node.
    #[expect(clippy::cast_precision_loss, reason = "bytes as a share")]
    pub(super) fn pressure(
        &mut self,
        event: &Event,
        pressure: &NodePressure,
        out: &mut Vec<Gauge>,
    ) -> Option<Sighting> {
        let stalled = pressure.memory_some_avg10?;
        out.extend(self.say(event, "psi_memory_some_avg10_percent", stalled));
        let left = pressure.memory_available_bytes as f64 / (pressure.memory_total_bytes.max(1)) as f64;
        let facts = Facts::from([
            ("psi_percent".to_owned(), Fact::Number(stalled)),
            (
                "available_bytes".to_owned(),
                Fact::Number(pressure.memory_available_bytes as f64),
            ),
        ]);
        (stalled >= PRESSURE_PERCENT && left < LITTLE_MEMORY)
            .then(|| node_sighting(Condition::NodeMemoryPressure, event, stalled, facts))
    }

    fn say(&mut self, event: &Event, name: &str, value: f64) -> Option<Gauge> {
        let key = (event.subject.key(), name.to_owned());
        if let Some((said_ns, said)) = self.published.get(&key) {
            let doubled = value > 2.0 * said && value > 1.0;
            if event.time_ns < said_ns + REPEAT_GAUGE_NS && !doubled {
                return None;
            }
        } else if self.published.len() >= MOST {
            return None;
        }
        self.published.insert(key, (event.time_ns, value));
        Some(Gauge {
            subject: event.subject.clone(),
            name: name.to_owned(),
            time_ns: event.time_ns,
            value,
        })
    }
}

fn node_sighting(condition: Condition, event: &Event, intensity: f64, facts: Facts) -> Sighting {
    Sighting {
        condition,
        severity: Severity::Warning,
        subject: event.subject.clone(),
        object: None,
        time_ns: event.time_ns,
        certain_until_ns: event.time_ns,
        count: 1,
        intensity,
        baseline: 0.0,
        surprise: 0.0,
        is_starting: None,
        facts,
        evidence: Some(event.id),
    }
}

/// When each edge was first seen, last seen and last published.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Edges {
    seen: BTreeMap<Ends, (u64, u64, u64)>,
}

impl Edges {
    /// Notes that the subject calls `callee`; returns the edge when it is new or was not published for a while.
    pub(super) fn see(&mut self, seen: &Seen<'_>, callee: &Entity) -> Option<Edge> {
        let time_ns = seen.event.time_ns;
        let key = seen.ends.clone();
        if self.seen.len() >= MOST && !self.seen.contains_key(&key) {
            return None;
        }
        let (first_ns, last_ns, published_ns) = self.seen.entry(key).or_insert((time_ns, time_ns, 0));
        *last_ns = time_ns.max(*last_ns);
        if time_ns < *published_ns + REPEAT_EDGE_NS {
            return None;
        }
        *published_ns = time_ns;
        Some(super::calls(
            &bare(&seen.event.subject),
            &bare(callee),
            *first_ns,
            *last_ns,
        ))
    }

    /// Drops edges without traffic.
    pub(super) fn forget(&mut self, now_ns: u64) {
        self.seen
            .retain(|_, (_, last_ns, _)| now_ns < *last_ns + FORGET_EDGE_NS);
    }
}

/// Only what names the ends, and who may be behind them: an edge outlives processes and ports.
fn bare(entity: &Entity) -> Entity {
    let is_group = |workload: &Workload| workload.kind == CGROUP_KIND;
    Entity {
        workload: entity.workload.clone(),
        cgroup: entity
            .cgroup
            .clone()
            .filter(|_| entity.workload.as_ref().is_some_and(is_group)),
        service: entity.service.clone(),
        backends: entity.backends.clone(),
        node: entity.node.clone(),
        ..Entity::default()
    }
}
