//! Relations as a stage of one partition: what the enricher tells of them in, edges of the entity graph out.
//!
//! Its reports tell no time, so nobody waits for them.

mod known;

use bus_client::publisher::Outgoing;
use bus_client::reader::Incoming;
use bus_schema::SCHEMA_VERSION;
use bus_schema::episode::{Blindness, Edge, Report};
use bus_schema::names::{TOPOLOGY_STREAM, episodes_subject};
use bus_schema::topology::{DecodeError, Relations};
use bus_stage::losses::Losses;
use bus_stage::metrics::Series;
use bus_stage::partitioned::{Applied, Output, Reject, Stage, Work};
use prometheus_client::metrics::gauge::Gauge;
use serde::{Deserialize, Serialize};

use super::episodes::CELL;
use super::metrics::{self, Own};
use known::Known;

/// Theme of reports that tell of relations.
const THEME: &str = "topology";
/// Most edges of one report: some 50 kB.
const MOST_EDGES: usize = 256;
/// More relations hold than can be remembered; those are told once and not repeated.
const EVICTED: &str = "evicted";

/// The stage.
#[derive(Debug)]
pub struct Topology {
    /// Where it says how it gets on.
    pub metrics: Own,
}

/// The one partition.
#[derive(Debug)]
pub struct Partition {
    state: State,
    metrics: Own,
    known_relations: Series<Gauge>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct State {
    known: Known,
    losses: Losses,
}

impl Stage for Topology {
    type Work = Partition;

    const NAME: &'static str = "topology";

    /// 1: what is known of relations.
    const VERSION: u32 = 1;

    const IS_COMPACTED: bool = true;

    fn partitions(&self) -> u16 {
        1
    }

    fn stream(&self, _partition: u16) -> String {
        TOPOLOGY_STREAM.to_owned()
    }

    fn restore(&self, partition: u16, state: Option<&[u8]>) -> Result<Partition, String> {
        let state = match state {
            Some(bytes) => rmp_serde::from_slice(bytes).map_err(|error| error.to_string())?,
            None => State::default(),
        };
        Ok(Partition {
            state,
            known_relations: self.metrics.known_relations(partition),
            metrics: self.metrics.clone(),
        })
    }
}

impl Work for Partition {
    fn apply(&mut self, message: &Incoming) -> Result<Applied, Reject> {
        let relations = Relations::decode(&message.payload).map_err(|error| reject(&error))?;
        let known = &mut self.state.known;
        let (edges, time_ns) = if relations.is_heartbeat() {
            (known.pass(relations.told_ns), relations.told_ns)
        } else {
            // It may have been told days ago: that is no delay.
            (known.take(&relations), 0)
        };
        let evicted = known.take_evicted();
        self.metrics.evict(EVICTED, evicted);
        metrics::set(&self.known_relations, self.state.known.len());
        self.lost(EVICTED, evicted);
        Ok(Applied {
            outputs: self.report(&relations.cluster, &edges, message)?,
            received: relations.targets.len() as u64,
            time_ns,
            ..Applied::default()
        })
    }

    fn lost(&mut self, reason: &'static str, count: u64) {
        self.state.losses.add(reason, count);
    }

    fn snapshot(&self) -> Result<Vec<u8>, String> {
        rmp_serde::to_vec_named(&self.state).map_err(|error| error.to_string())
    }
}

impl Partition {
    /// What follows from a message, in reports of bounded size.
    fn report(&mut self, cluster: &str, edges: &[Edge], message: &Incoming) -> Result<Vec<Output>, Reject> {
        let losses = self.state.losses.due(Topology::NAME, message.stored_ns);
        let blindness = losses.into_iter().map(|loss| Blindness {
            time_ns: message.stored_ns,
            loss: Some(loss),
            ..Blindness::default()
        });
        let report = || Report {
            schema: SCHEMA_VERSION,
            cluster: cluster.to_owned(),
            sequence: message.sequence,
            received_ns: message.stored_ns,
            ..Report::default()
        };
        let mut reports: Vec<_> = edges
            .chunks(MOST_EDGES)
            .map(|edges| Report {
                edges: edges.to_vec(),
                ..report()
            })
            .collect();
        let blindness: Vec<_> = blindness.collect();
        if !blindness.is_empty() {
            reports.push(Report {
                blindness,
                ..report()
            });
        }
        let numbered = reports.iter().enumerate();
        numbered.map(|(number, report)| output(number, report)).collect()
    }
}

fn output(number: usize, report: &Report) -> Result<Output, Reject> {
    let payload = report.encode().map_err(|error| Reject {
        kind: "unencodable",
        detail: error.to_string(),
    })?;
    let message = Outgoing {
        subject: episodes_subject(CELL, THEME),
        // Reports of episodes have numbers of another stream.
        message_id: Some(format!("T/{}/{number}", report.sequence)),
        events: report.edges.len() as u64,
        payload: payload.into(),
    };
    Ok(Output { message, put: None })
}

fn reject(error: &DecodeError) -> Reject {
    let kind = match error {
        DecodeError::NewerSchema { .. } => "newer_schema",
        DecodeError::Malformed(_) => "undecodable",
    };
    Reject {
        kind,
        detail: bus_stage::process::chain(error),
    }
}

#[cfg(test)]
mod tests;
