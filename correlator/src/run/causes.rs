//! Step two as a stage of one partition: episodes in, incidents out.

use std::sync::Arc;

use bus_client::publisher::Outgoing;
use bus_client::reader::Incoming;
use bus_schema::Incident;
use bus_schema::episode::{DecodeError, Report};
use bus_schema::names::{EPISODES_STREAM, INCIDENTS_BUCKET, incidents_subject};
use bus_stage::partitioned::{Applied, Output, Put, Reject, Stage, Work};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::metrics::{self, CellGauges, Own};
use super::told::Told;
use crate::graph::{Graph, State};
use crate::rules::RuleBook;

/// Between two counts of blind nodes, event time.
const BLIND_INTERVAL_NS: u64 = 1_000_000_000;

/// The stage.
#[derive(Debug)]
pub struct Causes {
    /// Mechanisms and wording.
    pub book: Arc<RuleBook>,
    /// Where it says how it gets on.
    pub metrics: Own,
}

/// The one partition.
#[derive(Debug)]
pub struct Cell {
    graph: Graph,
    told: Told,
    /// The state is being made again: what follows was told already.
    is_rebuilding: bool,
    /// Event time by the last report, UNIX ns.
    now_ns: u64,
    /// When blind nodes were counted last, event time, UNIX ns.
    blind_counted_ns: u64,
    /// What remains to be told with the next report.
    owed: Vec<Incident>,
    metrics: Own,
    gauges: CellGauges,
}

/// What a checkpoint holds.
#[derive(Debug, Serialize, Deserialize)]
struct Kept<G, T> {
    graph: G,
    told: T,
}

impl Causes {
    fn cell(&self, partition: u16, kept: Kept<State, Told>) -> Cell {
        Cell {
            graph: Graph::new(Arc::clone(&self.book), kept.graph),
            told: kept.told,
            is_rebuilding: false,
            now_ns: 0,
            blind_counted_ns: 0,
            owed: Vec::new(),
            metrics: self.metrics.clone(),
            gauges: self.metrics.cell(partition),
        }
    }
}

impl Stage for Causes {
    type Work = Cell;

    const NAME: &'static str = "causes";

    /// 1: what was told stands beside the graph. 0: the graph alone.
    const VERSION: u32 = 1;

    const RECALLS: Option<&'static str> = Some(INCIDENTS_BUCKET);

    fn partitions(&self) -> u16 {
        1
    }

    fn stream(&self, _partition: u16) -> String {
        EPISODES_STREAM.to_owned()
    }

    fn restore(&self, partition: u16, state: Option<&[u8]>) -> Result<Cell, String> {
        let kept = match state {
            Some(bytes) => rmp_serde::from_slice(bytes).map_err(|error| error.to_string())?,
            None => Kept {
                graph: State::default(),
                told: Told::default(),
            },
        };
        Ok(self.cell(partition, kept))
    }

    fn migrate(&self, partition: u16, version: u32, state: &[u8]) -> Result<Cell, String> {
        if version != 0 {
            return Err(format!("version {version} is not known"));
        }
        let graph = rmp_serde::from_slice(state).map_err(|error| error.to_string())?;
        let told = Told::default();
        Ok(self.cell(partition, Kept { graph, told }))
    }
}

impl Work for Cell {
    fn apply(&mut self, message: &Incoming) -> Result<Applied, Reject> {
        let report = Report::decode(&message.payload).map_err(|error| reject(&error))?;
        let began = Instant::now();
        let revisions = self.graph.apply(&report);
        self.now_ns = self.graph.now_ns();
        self.metrics.looked(began.elapsed());
        let outputs = self.tell(revisions)?;
        Ok(Applied {
            outputs,
            received: report.episodes.len() as u64,
            time_ns: report.watermark_ns,
            more: self.graph.has_more(),
            ..Applied::default()
        })
    }

    fn resume(&mut self) -> Result<Applied, Reject> {
        let began = Instant::now();
        let revisions = self.graph.resume();
        self.metrics.looked(began.elapsed());
        Ok(Applied {
            outputs: self.tell(revisions)?,
            more: self.graph.has_more(),
            ..Applied::default()
        })
    }

    fn lost(&mut self, reason: &'static str, count: u64) {
        self.graph.lost(Causes::NAME, reason, count);
    }

    fn rebuild(&mut self) {
        self.is_rebuilding = true;
    }

    fn recall(&mut self, value: &[u8]) {
        match serde_json::from_slice(value) {
            Ok(incident) => self.told.recall(incident),
            Err(error) => tracing::warn!(error = %error, "an incident that was told is not readable"),
        }
    }

    fn is_rebuilt(&mut self) {
        self.is_rebuilding = false;
        self.owed = self.told.settle(self.now_ns);
    }

    fn snapshot(&self) -> Result<Vec<u8>, String> {
        let (graph, told) = (self.graph.state(), &self.told);
        rmp_serde::to_vec_named(&Kept { graph, told }).map_err(|error| error.to_string())
    }
}

impl Cell {
    /// Revisions as they go out, behind those that are owed.
    fn tell(&mut self, revisions: Vec<Incident>) -> Result<Vec<Output>, Reject> {
        metrics::set(&self.gauges.remembered_episodes, self.graph.episodes());
        metrics::set(&self.gauges.open_incidents, self.graph.open_incidents());
        // All hooks of all nodes are looked at for it, so not at every report.
        if self.now_ns.abs_diff(self.blind_counted_ns) >= BLIND_INTERVAL_NS {
            self.blind_counted_ns = self.now_ns;
            metrics::set(&self.gauges.blind_nodes, self.graph.blind_nodes());
        }
        if self.is_rebuilding {
            for incident in revisions {
                self.told.find(incident);
            }
            return Ok(Vec::new());
        }
        let mut outputs = Vec::new();
        for incident in std::mem::take(&mut self.owed) {
            outputs.push(output(&incident)?);
        }
        for incident in revisions {
            outputs.push(output(&self.told.go_on(incident))?);
        }
        Ok(outputs)
    }
}

fn output(incident: &Incident) -> Result<Output, Reject> {
    let json = serde_json::to_vec(incident).map_err(|error| Reject {
        kind: "unencodable",
        detail: error.to_string(),
    })?;
    let put = Put {
        bucket: INCIDENTS_BUCKET,
        key: incident.id.to_string(),
        value: json.clone().into(),
    };
    let message = Outgoing {
        subject: incidents_subject(incident.severity, &incident.namespace, &incident.workload),
        message_id: Some(incident.message_id()),
        events: 1,
        payload: json.into(),
    };
    Ok(Output {
        message,
        put: Some(put),
    })
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
