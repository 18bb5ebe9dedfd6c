//! Measurements of nodes, and the edges of the service graph: said once, and again when it matters.

use std::collections::BTreeMap;

use bus_schema::Entity;
use bus_schema::entity::{CGROUP_KIND, Workload};
use bus_schema::episode::{Edge, Gauge};
use serde::{Deserialize, Serialize};

use super::seen::{Ends, Seen};

const SECOND_NS: u64 = 1_000_000_000;
/// An unchanged measurement is repeated this often.
const REPEAT_GAUGE_NS: u64 = 5 * SECOND_NS;
/// A known edge is repeated this often, so that a reader that starts later learns of it.
const REPEAT_EDGE_NS: u64 = 60 * SECOND_NS;
/// An edge without traffic is forgotten after this long.
const FORGET_EDGE_NS: u64 = 3600 * SECOND_NS;
/// Most edges and gauges of a partition.
const MOST: usize = 100_000;

/// The last published value by node and name.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Gauges {
    published: BTreeMap<(String, String), (u64, f64)>,
}

impl Gauges {
    /// The measurement, where it is worth a word.
    pub(super) fn say(&mut self, subject: &Entity, name: &str, time_ns: u64, value: f64) -> Option<Gauge> {
        let key = (subject.key(), name.to_owned());
        if let Some((said_ns, said)) = self.published.get(&key) {
            let doubled = value > 2.0 * said && value > 1.0;
            if time_ns < said_ns + REPEAT_GAUGE_NS && !doubled {
                return None;
            }
        } else if self.published.len() >= MOST {
            return None;
        }
        self.published.insert(key, (time_ns, value));
        Some(Gauge {
            subject: subject.clone(),
            name: name.to_owned(),
            time_ns,
            value,
        })
    }
}

/// When each edge was first seen, last seen and last published.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Edges {
    seen: BTreeMap<Ends, (u64, u64, u64)>,
}

impl Edges {
    /// Notes that the subject has this relation to `callee`; returns the edge when it is new or was not published for a while.
    pub(super) fn see(&mut self, relation: &str, seen: &Seen<'_>, callee: &Entity) -> Option<Edge> {
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
        Some(Edge {
            relation: relation.to_owned(),
            from: bare(&seen.event.subject),
            to: bare(callee),
            first_ns: *first_ns,
            last_ns: *last_ns,
            until_ns: None,
        })
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
