//! Step two as a stage of one partition: episodes in, incidents out.

use std::sync::Arc;

use bus_client::publisher::Outgoing;
use bus_client::reader::Incoming;
use bus_schema::Incident;
use bus_schema::episode::{DecodeError, Report};
use bus_schema::names::{EPISODES_STREAM, INCIDENTS_BUCKET, incidents_subject};
use bus_stage::partitioned::{Applied, Output, Put, Reject, Stage, Work};

use crate::graph::{Graph, State};
use crate::rules::RuleBook;

/// The stage.
#[derive(Debug)]
pub struct Causes {
    /// Mechanisms and wording.
    pub book: Arc<RuleBook>,
}

/// The one partition.
#[derive(Debug)]
pub struct Cell {
    graph: Graph,
}

impl Stage for Causes {
    type Work = Cell;

    const NAME: &'static str = "causes";

    fn partitions(&self) -> u16 {
        1
    }

    fn stream(&self, _partition: u16) -> String {
        EPISODES_STREAM.to_owned()
    }

    fn restore(&self, _partition: u16, state: Option<&[u8]>) -> Result<Cell, String> {
        let state = match state {
            Some(bytes) => rmp_serde::from_slice(bytes).map_err(|error| error.to_string())?,
            None => State::default(),
        };
        Ok(Cell {
            graph: Graph::new(Arc::clone(&self.book), state),
        })
    }
}

impl Work for Cell {
    fn apply(&mut self, message: &Incoming) -> Result<Applied, Reject> {
        let report = Report::decode(&message.payload).map_err(|error| reject(&error))?;
        let mut outputs = Vec::new();
        for incident in self.graph.apply(&report) {
            outputs.push(output(&incident)?);
        }
        Ok(Applied {
            outputs,
            received: report.episodes.len() as u64,
            time_ns: report.watermark_ns,
            skipped: Vec::new(),
            more: false,
        })
    }

    fn lost(&mut self, reason: &'static str, count: u64) {
        self.graph.lost(Causes::NAME, reason, count);
    }

    fn snapshot(&self) -> Result<Vec<u8>, String> {
        rmp_serde::to_vec_named(self.graph.state()).map_err(|error| error.to_string())
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
